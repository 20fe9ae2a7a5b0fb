"""A receiver for aiohttp.web: `app.router.add_post("/webhooks", webhooks.aiohttp(handle, secret=...))`."""

from collections.abc import Awaitable, Callable, Iterable

from aiohttp import web

from .event_store import Remembered, Seen
from .receiver import Answer, Handle, Inbox, refusal


def aiohttp(
    handle: Handle,
    *,
    secret: str | Iterable[str],
    seen: Seen | None = None,
    most: int = 2**20,
    timeout: float = 4.5,
) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Make a handler of aiohttp.web that gives each event to *handle*, once; what the others mean, `Inbox` says.

    aiohttp unpacks a body with a Content-Encoding before anyone sees it, so the signature of one must be
    that of the unpacked bytes.
    """
    inbox = Inbox(handle, secret, Remembered() if seen is None else seen, most=most, timeout=timeout)

    async def receive(request: web.Request) -> web.Response:
        response = web.Response()

        async def say(answer: Answer) -> None:
            nonlocal response
            response = _said(answer)
            _ = await response.prepare(request)
            await response.write_eof()

        try:
            await inbox.take(request.headers, request.content.iter_any(), say)
        except web.RequestPayloadError:
            request.content.feed_eof()  # or aiohttp goes on reading, and logs that it cannot
            response = _said(Answer(400, refusal(400, "validation_error", "the body cannot be read").body, close=True))
        except ConnectionError:
            pass  # the sender has gone, so there is nobody to answer
        return response

    return receive


def _said(answer: Answer) -> web.Response:
    response = web.Response(status=answer.status, body=answer.body, content_type="application/json")
    if answer.close:
        response.force_close()
    return response
