"""A receiver as a request handler for aiohttp.web."""

from collections.abc import Awaitable, Callable, Iterable

from aiohttp import web

from .event_store import EventStore, MemoryEventStore
from .receiver import Handler, Receiver, WebhookResponse, error_response


def aiohttp(
    handler: Handler,
    *,
    secret: str | Iterable[str],
    store: EventStore | None = None,
    max_body: int = 2**20,
    timeout: float = 4.5,
) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Return a request handler that calls *handler* once for each event; see `Receiver` for the options.

    For example: `app.router.add_post("/webhooks", webhooks.aiohttp(handler, secret=...))`.

    *store* is a new `MemoryEventStore` by default, so "once" holds for this request handler in this process.
    *max_body* is in bytes, 1 MiB by default. *timeout* is in seconds, 4.5 by default, as the service waits 5.
    aiohttp decompresses a body that has a Content-Encoding, so the signature is checked over the decompressed bytes.
    """
    store = MemoryEventStore() if store is None else store
    receiver = Receiver(handler, secret, store, max_body=max_body, timeout=timeout)

    async def receive(request: web.Request) -> web.Response:
        response = web.Response()

        async def respond(answer: WebhookResponse) -> None:
            nonlocal response
            response = _to_aiohttp(answer)
            _ = await response.prepare(request)
            await response.write_eof()

        try:
            await receiver.receive(request.headers, request.content.iter_any(), respond)
        except web.RequestPayloadError:
            request.content.feed_eof()  # without it, aiohttp continues to read the body and logs an error
            body = error_response(400, "validation_error", "the body cannot be read").body
            response = _to_aiohttp(WebhookResponse(400, body, close=True))
        except ConnectionError:
            pass  # the sender has disconnected, so a response cannot be sent
        return response

    return receive


def _to_aiohttp(answer: WebhookResponse) -> web.Response:
    response = web.Response(status=answer.status, body=answer.body, content_type="application/json")
    if answer.close:
        response.force_close()
    return response
