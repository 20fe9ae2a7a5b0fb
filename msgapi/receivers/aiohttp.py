"""A receiver for aiohttp.web: `app.router.add_post("/webhooks", handler(handle, secret=...))`."""

from collections.abc import Awaitable, Callable, Iterable

from aiohttp import web

from .inbox import Handle, Inbox
from .seen import Remembered, Seen


def handler(
    handle: Handle,
    *,
    secret: str | Iterable[str],
    seen: Seen | None = None,
    most: int = 2**20,
    timeout: float = 4.5,
) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Make a handler of aiohttp.web that gives each event to *handle*, once; what the others mean, `Inbox` says."""
    inbox = Inbox(handle, secret, Remembered() if seen is None else seen, most=most, timeout=timeout)

    async def receive(request: web.Request) -> web.Response:
        answer = await inbox.take(request.headers, request.content.iter_any())
        return web.Response(status=answer.status, body=answer.body, content_type="application/json")

    return receive
