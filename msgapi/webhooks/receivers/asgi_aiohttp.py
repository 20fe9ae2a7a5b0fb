"""Receivers for asynchronous frameworks: an ASGI 3 application (FastAPI, Starlette, Litestar) and an aiohttp handler.

aiohttp is imported when `aiohttp` is called.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, MutableMapping
from contextlib import aclosing, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, final

from attrs import frozen

from .event_store import EventStore, MemoryEventStore
from .receiver import POST_ONLY, Handler, Receiver, WebhookResponse, error_response

if TYPE_CHECKING:
    from aiohttp import web

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]


def asgi(
    handler: Handler,
    *,
    secret: str | Iterable[str],
    store: EventStore | None = None,
    max_body: int = 2**20,
    timeout: float = 4.5,
) -> Application:
    """Return an ASGI application that calls *handler* once for each event; see `Receiver` for the options.

    In FastAPI and Starlette: `app.routes.append(Route("/webhooks", webhooks.asgi(handler, secret=...)))`.
    Do not use `mount` there: a mounted application answers at `/webhooks/` only, and the service does not
    follow the redirect from `/webhooks`.

    *store* is a new `MemoryEventStore` by default, so "once" holds for this application in this process.
    *max_body* is in bytes, 1 MiB by default. *timeout* is in seconds, 4.5 by default, as the service waits 5.
    The application answers at every path, and runs on asyncio and on trio.
    """
    store = MemoryEventStore() if store is None else store
    return _AsgiApplication(Receiver(handler, secret, store, max_body=max_body, timeout=timeout))


@final
@frozen(eq=False)
class _AsgiApplication:
    # An object and not a function: a Starlette route calls a function with a request, and an object as ASGI.
    receiver: Receiver

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _complete_lifespan(receive, send)
        elif scope["type"] == "http":
            await _answer(self.receiver, scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1003})


async def _complete_lifespan(receive: Receive, send: Send) -> None:
    for stage in ("startup", "shutdown"):
        _ = await receive()
        await send({"type": f"lifespan.{stage}.complete"})


async def _answer(receiver: Receiver, scope: Scope, receive: Receive, send: Send) -> None:
    respond = partial(_send_response, send)
    if scope["method"] != "POST":
        await respond(POST_ONLY)
        return
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        _ = headers.setdefault(name.decode("latin-1"), value.decode("latin-1"))
    with suppress(_DisconnectedError):
        async with aclosing(_body_chunks(receive)) as chunks:
            await receiver.receive(headers, chunks, respond)


async def _body_chunks(receive: Receive) -> AsyncGenerator[bytes, None]:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _DisconnectedError
        yield message.get("body", b"")
        more = message.get("more_body", False)


class _DisconnectedError(Exception):
    """The sender disconnected before the end of its body, so a response cannot be sent."""


async def _send_response(send: Send, response: WebhookResponse) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(response.body)).encode())]
    if response.status == 405:  # noqa: PLR2004
        headers.append((b"allow", b"POST"))
    if response.close:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})


def aiohttp(
    handler: Handler,
    *,
    secret: str | Iterable[str],
    store: EventStore | None = None,
    max_body: int = 2**20,
    timeout: float = 4.5,
) -> "Callable[[web.Request], Awaitable[web.Response]]":
    """Return an aiohttp.web request handler that calls *handler* once for each event; see `Receiver` for the options.

    For example: `app.router.add_post("/webhooks", webhooks.aiohttp(handler, secret=...))`.

    *store* is a new `MemoryEventStore` by default, so "once" holds for this request handler in this process.
    *max_body* is in bytes, 1 MiB by default. *timeout* is in seconds, 4.5 by default, as the service waits 5.
    aiohttp decompresses a body that has a Content-Encoding, so the signature is checked over the decompressed bytes.
    """
    from aiohttp import web

    store = MemoryEventStore() if store is None else store
    receiver = Receiver(handler, secret, store, max_body=max_body, timeout=timeout)

    async def receive(request: web.Request) -> web.Response:
        if request.method != "POST":
            return _to_aiohttp(POST_ONLY)
        response = web.Response()

        async def respond(answer: WebhookResponse) -> None:
            nonlocal response
            response = _to_aiohttp(answer)
            _ = await response.prepare(request)
            await response.write_eof()

        try:
            async with aclosing(_request_chunks(request)) as chunks:
                await receiver.receive(request.headers, chunks, respond)
        except web.RequestPayloadError:
            request.content.feed_eof()  # without it, aiohttp continues to read the body and logs an error
            body = error_response(400, "validation_error", "the body cannot be read").body
            response = _to_aiohttp(WebhookResponse(400, body, close=True))
        except ConnectionError:
            pass  # the sender has disconnected, so a response cannot be sent
        return response

    return receive


async def _request_chunks(request: "web.Request") -> AsyncGenerator[bytes, None]:
    if request.content.at_eof():  # a middleware may have read the body; aiohttp still has it if that was by `read`
        yield await request.read()
    else:
        async for chunk in request.content.iter_any():
            yield chunk


def _to_aiohttp(answer: WebhookResponse) -> "web.Response":
    from aiohttp import web

    headers = {"Allow": "POST"} if answer.status == 405 else {}  # noqa: PLR2004
    response = web.Response(status=answer.status, body=answer.body, content_type="application/json", headers=headers)
    if answer.close:
        response.force_close()
    return response
