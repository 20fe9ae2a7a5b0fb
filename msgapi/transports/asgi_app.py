"""The transport into an ASGI application of the same process: no socket, no HTTP parser.

Rules:
- The application sees what a server would give it: one request, then a disconnect once its response is complete.
- Without `async with` there is no lifespan, as the application may be running already. With it, startup has ended
  before the first request, and shutdown ends before the block does.
- A failure of the application is an answer, as it would be over HTTP, unless the caller asks for the exception.
"""

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Final, TypeAlias, final
from urllib.parse import unquote, urlsplit

import anyio
import anyio.lowlevel

from ..concurrency import task_group
from ..http import DEFAULT_PORTS, Request, Response
from ..results import Unanswered
from .protocol import Answer

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
AsgiApp: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]
"""An ASGI application, such as one of FastAPI, Starlette, Litestar or Django."""

_ASGI: Final = {"version": "3.0", "spec_version": "2.4"}
_LOG: Final = logging.getLogger("msgapi")


def asgi(app: AsgiApp, *, raise_errors: bool = False) -> "AsgiTransport":
    """Return a transport that gives each request to the ASGI application *app*, for tests without a socket.

        async with sandbox.deliver_webhooks(transports.asgi(app)):
            ...

    It is open as it is. In an `async with` it also runs the lifespan of *app*: startup before, shutdown after. Requests
    may be sent at the same time. Host and path of the URL are those of the request; the client is 127.0.0.1.

    If *app* raises, the exception is logged under `msgapi`, and the response is the one that *app* has sent, or 500 if
    it has sent none. With *raise_errors* the exception is raised instead. A response that *app* does not complete is
    `Unanswered`. Raise TypeError if *app* is not callable.
    """
    if not callable(app):
        raise TypeError(f"app must be an ASGI application, such as FastAPI(), not {type(app).__name__}")
    return AsgiTransport(app, raise_errors=raise_errors)


@final
class AsgiTransport:
    """A transport into an ASGI application; see `asgi`."""

    def __init__(self, app: AsgiApp, *, raise_errors: bool) -> None:
        self._app = app
        self._raise_errors = raise_errors
        self._state: dict[str, Any] = {}
        self._stack: AsyncExitStack | None = None

    async def __call__(self, request: Request, /) -> Answer:
        """Give *request* to the application and return its response."""
        await anyio.lowlevel.checkpoint()
        exchange = _Exchange(request)
        try:
            await self._app(_scope(request, self._state), exchange.receive, exchange.send)
        except Exception as error:
            if self._raise_errors:
                raise
            _LOG.warning("the ASGI application raised %s", type(error).__name__, exc_info=error)
            return exchange.answer() if exchange.complete else Response(500)
        return exchange.answer()

    async def __aenter__(self) -> "AsgiTransport":
        """Run the startup of the application. Raise RuntimeError if that fails."""
        async with AsyncExitStack() as stack:
            tasks = await stack.enter_async_context(task_group())
            lifespan = _Lifespan(self._app, self._state)
            _ = tasks.start_soon(lifespan.run)
            await lifespan.start_up()
            _ = stack.push_async_callback(lifespan.shut_down)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Run the shutdown of the application. Raise RuntimeError if that fails."""
        stack, self._stack = self._stack, None
        if stack is not None:
            _ = await stack.__aexit__(kind, error, trace)


@final
class _Exchange:
    """One request, and the response as the application sends it."""

    def __init__(self, request: Request) -> None:
        self._request: Message | None = {"type": "http.request", "body": request.body or b"", "more_body": False}
        self._status: int | None = None
        self._headers: dict[str, str] = {}
        self._body = bytearray()
        self._ended = anyio.Event()

    @property
    def complete(self) -> bool:
        """Whether the application has sent the end of a response."""
        return self._ended.is_set()

    def answer(self) -> Answer:
        """Return the response; Unanswered if it is not complete."""
        if self._status is None or not self.complete:
            return Unanswered("the ASGI application ended without a complete response")
        return Response(self._status, self._headers, bytes(self._body))

    async def receive(self) -> Message:
        """Return the request, and a disconnect once the response is complete."""
        await anyio.lowlevel.checkpoint()
        request, self._request = self._request, None
        if request is not None:
            return request
        await self._ended.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Take a part of the response."""
        await anyio.lowlevel.checkpoint()
        if message["type"] == "http.response.start" and self._status is None:
            self._status = message["status"]
            for name, value in message.get("headers", ()):
                text, known = value.decode("latin-1"), self._headers.get(name.decode("latin-1").lower())
                self._headers[name.decode("latin-1").lower()] = text if known is None else f"{known}, {text}"
        elif message["type"] == "http.response.body" and self._status is not None and not self.complete:
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                self._ended.set()
        else:
            raise RuntimeError(f"the ASGI application sent {message['type']}, which is not expected here")


@final
class _Lifespan:
    """The lifespan of *app*, which sees one startup and one shutdown. An application that has none raises at once."""

    def __init__(self, app: AsgiApp, state: dict[str, Any]) -> None:
        self._app, self._state = app, state
        self._begun, self._ended = anyio.Event(), anyio.Event()
        self._stopping = anyio.Event()
        self._messages = iter(("lifespan.startup", "lifespan.shutdown"))
        self._failure: str | None = None

    async def run(self) -> None:
        """Run the application until its lifespan has ended."""
        scope = {"type": "lifespan", "asgi": _ASGI, "state": self._state}
        try:
            await self._app(scope, self._receive, self._send)
        except Exception as error:  # noqa: BLE001 - before startup it says that there is no lifespan
            if self._begun.is_set() and self._failure is None:
                self._failure = f"{type(error).__name__}: {error}"
        finally:
            self._begun.set()
            self._ended.set()

    async def start_up(self) -> None:
        """Wait for the end of the startup."""
        await self._begun.wait()
        self._check("startup")

    async def shut_down(self) -> None:
        """Run the shutdown."""
        self._stopping.set()
        await self._ended.wait()
        self._check("shutdown")

    def _check(self, phase: str) -> None:
        if self._failure is not None:
            raise RuntimeError(f"the {phase} of the ASGI application failed: {self._failure}")

    async def _receive(self) -> Message:
        kind = next(self._messages, None)
        if kind != "lifespan.startup":
            await self._stopping.wait()
        if kind is None:
            await anyio.sleep_forever()
        return {"type": kind}

    async def _send(self, message: Message) -> None:
        await anyio.lowlevel.checkpoint()
        if message["type"].endswith(".failed"):
            self._failure = message.get("message") or "it did not say why"
        if message["type"].startswith("lifespan.startup."):
            self._begun.set()
        else:
            self._ended.set()


def _scope(request: Request, state: dict[str, Any]) -> dict[str, Any]:
    parts = urlsplit(request.url)
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in request.headers.items()]
    names = {name for name, _ in headers}
    if b"host" not in names:
        headers.insert(0, (b"host", parts.netloc.rpartition("@")[2].encode("ascii")))
    if request.body is not None and b"content-length" not in names:
        headers.append((b"content-length", b"%d" % len(request.body)))
    path = parts.path or "/"
    return {
        "type": "http",
        "asgi": _ASGI,
        "http_version": "1.1",
        "method": request.method,
        "scheme": parts.scheme,
        "path": unquote(path),
        "raw_path": path.encode("ascii"),
        "query_string": parts.query.encode("ascii"),
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": (parts.hostname or "", parts.port or DEFAULT_PORTS.get(parts.scheme, 80)),
        "state": state.copy(),
        "extensions": {},
    }
