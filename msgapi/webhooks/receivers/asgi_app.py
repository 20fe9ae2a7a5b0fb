"""A receiver as an ASGI 3 application: `app.routes.append(Route("/webhooks", webhooks.asgi(handle, secret=...)))`."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, MutableMapping
from contextlib import aclosing, suppress
from functools import partial
from typing import Any, TypeAlias, final

from attrs import frozen

from .event_store import Remembered, Seen
from .receiver import Answer, Handle, Inbox, refusal

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]


def asgi(
    handle: Handle,
    *,
    secret: str | Iterable[str],
    seen: Seen | None = None,
    most: int = 2**20,
    timeout: float = 4.5,
) -> Application:
    """Make an ASGI application that gives each event to *handle*, once; what the others mean, `Inbox` says.

    It answers at whatever path it is put, and runs on asyncio and on trio. In FastAPI and Starlette put
    it at a route: what is mounted at `/webhooks` there answers only at `/webhooks/`, and a sender of
    webhooks does not follow the redirect from one to the other.
    """
    return _Receiver(Inbox(handle, secret, Remembered() if seen is None else seen, most=most, timeout=timeout))


@final
@frozen(eq=False)
class _Receiver:
    # An object and no function: a route of Starlette's calls a function with a request, and an object as ASGI.
    inbox: Inbox

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
        elif scope["type"] == "http":
            await _take(self.inbox, scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1003})


async def _live(receive: Receive, send: Send) -> None:
    for stage in ("startup", "shutdown"):
        _ = await receive()
        await send({"type": f"lifespan.{stage}.complete"})


async def _take(inbox: Inbox, scope: Scope, receive: Receive, send: Send) -> None:
    say = partial(_say, send)
    if scope["method"] != "POST":
        await say(refusal(405, "method_not_allowed", "webhooks are sent by POST"))
        return
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        _ = headers.setdefault(name.decode("latin-1"), value.decode("latin-1"))
    with suppress(_GoneError):
        async with aclosing(_parts(receive)) as parts:
            await inbox.take(headers, parts, say)


async def _parts(receive: Receive) -> AsyncGenerator[bytes, None]:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _GoneError
        yield message.get("body", b"")
        more = message.get("more_body", False)


class _GoneError(Exception):
    """The sender went before its body was here: there is nobody to answer."""


async def _say(send: Send, answer: Answer) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer.body)).encode())]
    if answer.status == 405:  # noqa: PLR2004
        headers.append((b"allow", b"POST"))
    if answer.close:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
