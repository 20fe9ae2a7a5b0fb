"""The sandbox over a socket, with aiohttp.web: the same account behind HTTP."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_address
from logging import Logger
from typing import Any, Final, cast

import anyio
from aiohttp import HttpVersion10, HttpVersion11, web

from ..http import Request
from ..transports.aiohttp import opened
from . import connection_timeouts as guard
from .connection_timeouts import Guard, Guards
from .routes.table import room
from .sandbox import Sandbox
from .webhook_sender import PATIENCE
from .workspaces import Workspaces

_NO_LOG: Final = cast("Logger", None)  # what aiohttp takes for none, and does not say so
_WITH_HOST: Final = re.compile("https?://", re.IGNORECASE)
_GRACE = 0.2  # seconds for what is under way when the server closes


@asynccontextmanager
async def serving(sandbox: Sandbox | Workspaces, *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serve *sandbox* for the time of an `async with`, on asyncio only; gives the base URL. Webhooks go out.

    Port 0 takes a free one. Anyone who can reach *host* can use the account. A lost answer is a
    connection that is closed without one.
    """
    guards = Guards()
    server = web.Server(_answering(sandbox, guards))
    runner = web.ServerRunner(server, handle_signals=False, shutdown_timeout=_GRACE)
    await runner.setup()
    loop, listener = asyncio.get_running_loop(), None
    try:
        listener = await loop.create_server(
            lambda: guards.around(
                _Speaker(
                    server, sandbox, loop=loop, access_log=_NO_LOG, auto_decompress=False, keepalive_timeout=guard.IDLE
                )
            ),
            host,
            port,
            reuse_address=True,
            backlog=128,
        )
        address, bound = listener.sockets[0].getsockname()[:2]
        if ip_address(address).is_unspecified:  # every address of this machine: a client takes http for this one only
            host = "::1" if ":" in address else "127.0.0.1"
        async with opened(timeout=PATIENCE) as transport, sandbox.posting(transport):
            yield f"http://[{host}]:{bound}" if ":" in host else f"http://{host}:{bound}"
    finally:
        if listener is not None:
            listener.close()
        with anyio.CancelScope(shield=True):
            await runner.cleanup()


class _Speaker(web.RequestHandler):
    """Speaks HTTP on one connection, and the envelope to whoever does not.

    What aiohttp says and logs of bytes that are no HTTP quotes them, and so may show a key.
    """

    __slots__ = ("_sandbox",)

    def __init__(self, server: web.Server, sandbox: Sandbox | Workspaces, **options: Any) -> None:  # noqa: ANN401 - those of its base
        """Speak for *sandbox*."""
        super().__init__(server, **options)
        self._sandbox = sandbox

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Answer what could not be read; what broke in here is a defect of ours, and stays loud."""
        if status >= 500:  # noqa: PLR2004
            return super().handle_error(request, status, exc, message)
        return _unreadable(self._sandbox, request)


def _answering(
    sandbox: Sandbox | Workspaces, guards: Guards
) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        guarding = guards.of(request.transport)
        guarding.begin()
        try:
            return await _answer(sandbox, request, guarding)
        finally:
            guarding.end()

    return answer


async def _answer(sandbox: Sandbox | Workspaces, request: web.BaseRequest, guarding: Guard) -> web.StreamResponse:
    if request.version not in {HttpVersion10, HttpVersion11}:
        return _unreadable(sandbox, request)
    body = None
    url = request.raw_path if _WITH_HOST.match(request.raw_path) else f"http://sandbox{request.raw_path}"
    with anyio.move_on_after(guard.SLOWEST), suppress(ConnectionError):
        body = await _body(request, url)
    if body is None:
        return _cut(request)
    guarding.read(body)
    reply = sandbox.handle(Request(request.method, url, _headers(request), body))
    if reply.delay:
        await sandbox.clock.sleep(reply.delay)
    given = reply.response
    if reply.lost:
        return _cut(request)
    return web.Response(status=given.status, headers=given.headers, body=given.body)


def _unreadable(sandbox: Sandbox | Workspaces, request: web.BaseRequest) -> web.Response:
    # Written here, as aiohttp would answer in the version of HTTP that was asked in, whatever that is.
    given = sandbox.unreadable().response
    headers = {**given.headers, "content-length": f"{len(given.body)}", "connection": "close"}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    if request.transport is not None:
        request.transport.write(f"HTTP/1.1 400 Bad Request\r\n{head}\r\n".encode() + given.body)
        request.transport.close()
    return web.Response()


def _cut(request: web.BaseRequest) -> web.Response:
    # What is answered does not matter: nothing can be said over a connection that is gone.
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def _body(request: web.BaseRequest, url: str) -> bytes:
    # One byte more than is allowed tells the account all that it needs to refuse the rest.
    most = room(request.method, url)
    parts = bytearray()
    while len(parts) <= most and (part := await request.content.readany()):
        parts += part
    return bytes(parts)


def _headers(request: web.BaseRequest) -> dict[str, str]:
    # What is said twice is a list, as HTTP has it; so two different keys are no key.
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        lower = name.lower()
        headers[lower] = f"{headers[lower]}, {value}" if lower in headers else value
    return headers
