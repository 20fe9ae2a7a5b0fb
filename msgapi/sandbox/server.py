"""The sandbox over HTTP, on a socket of this machine, with aiohttp.web.

Rules:
- A request is refused unless its Host, and its Origin if it has one, are a loopback name, the address that the server
  is bound to, or allowed by name. Otherwise a web page could use the account: the browser of its user
  reaches it, and a page can point a name of its own to 127.0.0.1 (DNS rebinding).
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import lru_cache, partial
from ipaddress import ip_address
from logging import Logger
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar, cast, final
from urllib.parse import urlsplit

import anyio
from aiohttp import HttpVersion10, HttpVersion11, web
from aiohttp.http import RawRequestMessage
from anyio.from_thread import BlockingPortal, start_blocking_portal
from attrs import field, frozen

from ..http import Request, Response
from ..transports import aiohttp
from . import connections
from .connections import MAX_HEADERS, MAX_LINE_SIZE, ServerConnection, ServerConnections
from .http.responses import SimulatedResponse, error_response
from .page.access import PageAccess, is_local_name
from .page.serving import PageServer
from .routes.table import max_body_of
from .sandbox import Sandbox, Workspaces
from .webhook_sender import ENDPOINT_TIMEOUT

if TYPE_CHECKING:
    from multidict import CIMultiDictProxy

T = TypeVar("T")
Served: TypeAlias = Sandbox | Workspaces
_NO_LOG: Final = cast("Logger", None)  # disables aiohttp's access log, though its type does not allow None
_ABSOLUTE_URL: Final = re.compile("https?://", re.IGNORECASE)
_HOST: Final = re.compile(r"[a-z0-9_]([a-z0-9_.-]{0,252}[a-z0-9_])?\.?")
_NEVER = 1e9  # seconds
_SHUTDOWN_TIMEOUT = 0.2  # seconds for the requests that are under way when the server closes


@asynccontextmanager
async def serve(
    sandbox: Served,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    allow_hosts: Iterable[str] = (),
    access: str | None = None,
) -> AsyncIterator[str]:
    """Serve *sandbox* and send its webhooks for the duration of an `async with`, on asyncio; yields the base URL.

    *port* 0, the default, selects a free port. Everyone who can reach *host* can use the account. A lost response is a
    connection that is closed without a response.

    The page of the sandbox is at `/`. On a loopback address everyone who can reach it can open it. On another one it
    opens with `/?access=` and the secret *access*; if that is None, the default, it does not.

    A request is answered with 403 unless its Host is a loopback name, *host*, the address that the connection was made
    to, or one of *allow_hosts*, such as the name of a container. So is one with the Origin of another host, as browsers
    send it. Raises ValueError if one of *allow_hosts* is not a host name or an IP address.
    """
    hosts = AllowedHosts([host] if host and not _is_any_address(host) else [], allow_hosts)
    clients = ServerConnections(partial(_answer, sandbox, hosts))
    page = PageServer(sandbox, PageAccess(access))
    server = web.Server(_handler(sandbox, clients, hosts, page))
    runner = web.ServerRunner(server, handle_signals=False, shutdown_timeout=_SHUTDOWN_TIMEOUT)
    await runner.setup()
    loop, listener = asyncio.get_running_loop(), None
    try:
        listener = await loop.create_server(
            lambda: clients.wrap(_RequestHandler(server, sandbox, loop=loop)),
            host,
            port,
            reuse_address=True,
            backlog=128,
        )
        address, bound = listener.sockets[0].getsockname()[:2]
        if _is_any_address(address):  # clients address; clients accept http only for a loopback address
            host = "::1" if ":" in address else "127.0.0.1"
        async with aiohttp.open(timeout=ENDPOINT_TIMEOUT) as transport, sandbox.deliver_webhooks(transport):
            yield f"http://[{host}]:{bound}" if ":" in host else f"http://{host}:{bound}"
    finally:
        if listener is not None:
            listener.close()
        page.close()
        with anyio.CancelScope(shield=True):
            await runner.cleanup()


@final
@frozen(kw_only=True)
class ServedSandbox:
    """A sandbox that is served by a thread of its own, at *url*."""

    url: str
    api_key: str = field(repr=False)
    _sandbox: Sandbox = field(repr=False, alias="sandbox")
    _portal: BlockingPortal = field(repr=False, alias="portal")

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment variables by which a program finds this sandbox."""
        return {"MSGAPI_BASE_URL": self.url, "MSGAPI_API_KEY": self.api_key}

    def call(self, function: Callable[[Sandbox], T]) -> T:
        """Return the result of *function*, which is called with the sandbox in the thread of the server.

        Another thread must not use the sandbox. For example: `server.call(lambda sandbox: sandbox.messages)`.
        """
        return self._portal.call(function, self._sandbox)


@contextmanager
def serve_in_thread(
    sandbox: Sandbox | None = None, *, host: str = "127.0.0.1", port: int = 0, allow_hosts: Iterable[str] = ()
) -> Iterator[ServedSandbox]:
    """Serve *sandbox* in a thread for the duration of a `with`; by default a new one. For programs without asyncio.

    The arguments are those of `serve`. The sandbox needs a clock that runs, as the system clock does.
    """
    served = Sandbox() if sandbox is None else sandbox
    with start_blocking_portal("asyncio") as portal:
        serving = serve(served, host=host, port=port, allow_hosts=allow_hosts)
        with portal.wrap_async_context_manager(serving) as url:
            yield ServedSandbox(url=url, api_key=served.api_key, sandbox=served, portal=portal)


@final
class AllowedHosts:
    """The hosts for which a server answers, beside loopback names."""

    def __init__(self, bound: Iterable[str], allowed: Iterable[str]) -> None:
        """Answer for the names and addresses *bound* and *allowed*. Raises ValueError if one of *allowed* is none."""
        self._verdict = lru_cache(maxsize=256)(self._find_verdict)
        self._names = {name for one in bound if (name := host_of(one)) is not None}
        for one in allowed:
            name = host_of(one)
            if name is None:
                raise ValueError(f"{one!r} is not a host name or an IP address such as sandbox or 192.0.2.1")
            self._names.add(name)

    def check(self, headers: "CIMultiDictProxy[str]", path: str, local: str | None) -> str | None:
        """Return why a request is refused, or None. A request without a Host or an Origin is not from a browser.

        *path* is the target of the request, which may be a URL, and *local* the address of this end of the connection.
        """
        authority = urlsplit(path).netloc if _ABSOLUTE_URL.match(path) else None
        return self._verdict(tuple(headers.getall("Host", ())), authority, tuple(headers.getall("Origin", ())), local)

    def _find_verdict(
        self, hosts: tuple[str, ...], authority: str | None, origins: tuple[str, ...], local: str | None
    ) -> str | None:
        given = hosts if authority is None else (*hosts, authority)
        refused = next((one for one in given if not self._accepts(one, local)), None)
        if refused is not None:
            name = host_of(refused) or "NAME"
            remedy = f"start it with --allow-host {name}, or set MSGAPI_SANDBOX_ALLOW_HOST={name}"
            return f"The sandbox does not answer for this Host: {remedy}."
        if all(self._accepts_origin(one, local) for one in origins):
            return None
        return "The sandbox does not answer to web pages of other hosts: this Origin is not allowed (--allow-host)."

    def _accepts(self, authority: str, local: str | None) -> bool:
        name = host_of(authority)
        return name is not None and (is_local_name(name) or name in {*self._names, local})

    def _accepts_origin(self, origin: str, local: str | None) -> bool:
        scheme, separator, authority = origin.partition("://")
        return scheme in {"http", "https"} and bool(separator) and self._accepts(authority, local)


def host_of(authority: str) -> str | None:
    """Return the host in an *authority* such as `sandbox:8025` in its usual form; None if it is not one."""
    try:
        parts = urlsplit(f"//{authority}")
        host, _ = parts.hostname or "", parts.port
        if parts.netloc != authority or "@" in authority:
            return None
        return str(ip_address(host)) if _is_address(host) else host.removesuffix(".") if _HOST.fullmatch(host) else None
    except ValueError:
        return None


def _is_address(host: str) -> bool:
    try:
        return bool(ip_address(host))
    except ValueError:
        return False


def _is_any_address(host: str) -> bool:
    return _is_address(host) and ip_address(host).is_unspecified


class _RequestHandler(web.RequestHandler):
    """Responds to malformed requests with the error envelope.

    aiohttp's own response and log entry quote the received bytes, which may contain a key.
    """

    __slots__ = ("_sandbox",)

    def __init__(self, server: web.Server, sandbox: Served, *, loop: asyncio.AbstractEventLoop) -> None:
        """Handle the requests for *sandbox*."""
        super().__init__(
            server,
            loop=loop,
            access_log=_NO_LOG,
            auto_decompress=False,
            keepalive_timeout=_NEVER,  # `ServerConnection` closes idle connections
            max_line_size=MAX_LINE_SIZE,
            max_field_size=MAX_LINE_SIZE,
            max_headers=MAX_HEADERS,
        )
        self._sandbox = sandbox

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Respond to a malformed request; an exception of the sandbox is a defect, which aiohttp logs."""
        if status >= 500:  # noqa: PLR2004
            return super().handle_error(request, status, exc, message)
        return _respond_to_malformed(self._sandbox, request)


def _handler(
    sandbox: Served, clients: ServerConnections, hosts: AllowedHosts, page: PageServer
) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        connection = clients.find(request.transport)
        connection.begin_response()
        try:
            return await _respond(sandbox, request, connection, hosts, page)
        finally:
            connection.end_response()

    return handle


async def _respond(
    sandbox: Served,
    request: web.BaseRequest,
    connection: ServerConnection,
    hosts: AllowedHosts,
    page: PageServer,
) -> web.StreamResponse:
    if request.version not in {HttpVersion10, HttpVersion11}:
        return _respond_to_malformed(sandbox, request)
    path, body = request.raw_path, None
    if request.content.is_eof():  # most bodies arrive with the head
        body = request.content.read_nowait()
    else:
        with anyio.move_on_after(connections.REQUEST_TIMEOUT), suppress(ConnectionError):
            body = await _read_body(request)
    if body is None:
        return _abort(request)
    connection.body_received(body)
    refused = hosts.check(request.headers, path, connection.local)
    if refused is not None:
        return _to_web(error_response(403, "forbidden", refused).response)
    given = _read_request(request.method, path, request.headers, body)
    selected = sandbox.select(given)
    simulated = connection.take_answer()
    if simulated is None and path.startswith("/v1/"):
        simulated = selected.handle(given)
    elif simulated is None:
        found = await page.respond(request, given)
        if isinstance(found, web.StreamResponse):
            return found
        simulated = found
    if simulated.delay:
        await selected.sleep(simulated.delay)
    if simulated.lost:
        return _abort(request)
    return _to_web(simulated.response)


def _answer(
    sandbox: Served, hosts: AllowedHosts, message: RawRequestMessage, body: bytes, local: str | None
) -> SimulatedResponse | None:
    # Return the response to a request for the API; None if it is refused.
    if hosts.check(message.headers, message.path, local) is not None:
        return None
    given = _read_request(message.method, message.path, message.headers, body)
    return sandbox.select(given).handle(given)


def _read_request(method: str, path: str, headers: "CIMultiDictProxy[str]", body: bytes) -> Request:
    return Request(method, _url_of(path), _merge_headers(headers), body)


def _url_of(path: str) -> str:
    return path if _ABSOLUTE_URL.match(path) else f"http://sandbox{path}"


def _to_web(response: Response) -> web.Response:
    return web.Response(status=response.status, headers=response.headers, body=response.body)


def _respond_to_malformed(sandbox: Served, request: web.BaseRequest) -> web.Response:
    # Written here, because aiohttp would respond in the HTTP version of the request, whatever that is.
    response = sandbox.handle_malformed().response
    headers = {**response.headers, "content-length": f"{len(response.body)}", "connection": "close"}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    if request.transport is not None:
        request.transport.write(f"HTTP/1.1 400 Bad Request\r\n{head}\r\n".encode() + response.body)
        request.transport.close()
    return web.Response()


def _abort(request: web.BaseRequest) -> web.Response:
    # The returned response is not sent, because the connection is closed.
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def _read_body(request: web.BaseRequest) -> bytes:
    # One byte more than is allowed is enough for the account to refuse the body.
    most = max_body_of(request.method, _url_of(request.raw_path))
    parts = bytearray()
    while len(parts) <= most and (part := await request.content.readany()):
        parts += part
    return bytes(parts)


def _merge_headers(received: "CIMultiDictProxy[str]") -> dict[str, str]:
    # A repeated header is a list, as HTTP defines it; so two different keys are not a valid key.
    headers = {name.lower(): value for name, value in received.items()}
    if len(headers) == len(received):
        return headers
    headers.clear()
    for name, value in received.items():
        lower = name.lower()
        headers[lower] = f"{headers[lower]}, {value}" if lower in headers else value
    return headers
