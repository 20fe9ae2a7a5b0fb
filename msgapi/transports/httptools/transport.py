"""A transport over connections of its own: asyncio's sockets, with httptools as the parser.

Rules:
- `NotSent` is certain. If a byte may have left, the outcome is `Unanswered`. Nothing is sent twice.
- No proxy, no cookies, no redirects, no quoting of the URL, no request for compression.
- If a response was not read to its end, its connection is closed, so that no other call can read the rest.
"""

import asyncio
import ssl as tls
from socket import SOCK_STREAM, gaierror
from typing import Final, TypeAlias, final

from aiohappyeyeballs import start_connection
from attrs import define, field
from yarl import URL

from ...http import Request
from ...results import NotSent, Unanswered
from ..common.connections import Deadlines, RequestCoalescer
from ..common.http1 import UrlCache, encode_request
from ..common.opening import ConnectFailed, default_ssl_context
from ..protocol import Answer
from .connection import HttpConnection

_KEEPALIVE: Final = 15.0  # seconds for which an idle connection is kept
_HAPPY_EYEBALLS_DELAY: Final = 0.25  # seconds after which the next address of a host is tried too (RFC 8305)
_Origin: TypeAlias = tuple[str, str | None, int | None]


@final
@define(eq=False)
class SocketTransport:
    """A transport over a pool of `HttpConnection`s.

    A connection must be ready within *connect_timeout* seconds; a response has at most *max_response* bytes.
    """

    deadlines: Deadlines
    coalescer: RequestCoalescer
    connect_timeout: float
    max_response: int
    ssl: tls.SSLContext | None
    closed: bool = field(default=False, init=False)
    _loop: asyncio.AbstractEventLoop = field(factory=asyncio.get_running_loop, init=False, repr=False)
    _urls: UrlCache = field(factory=UrlCache, init=False, repr=False)
    _idle: dict[_Origin, list[HttpConnection]] = field(factory=dict, init=False, repr=False)
    _timer: asyncio.TimerHandle | None = field(default=None, init=False, repr=False)

    async def __call__(self, request: Request, /) -> Answer:
        """Send *request* and return its outcome. Raise ValueError if one of its headers is not valid."""
        if self.closed:
            raise RuntimeError("this transport is closed: send inside its `async with`")
        url = self._urls.get(request.url)
        if url is None:
            return NotSent("the URL is not valid")
        data = encode_request(request, url)
        origin = url.scheme, url.raw_host, url.port
        try:
            with self.deadlines.start():
                connection = self._pop_idle(origin) or await self._connect(url)
                try:
                    outcome = await connection.send(data, bodiless=request.method == "HEAD")
                except BaseException:
                    connection.abort()
                    raise
        except ConnectFailed as error:
            return error.outcome
        except TimeoutError:
            return Unanswered("no answer in time")
        self._release(origin, connection)
        return outcome

    def close(self) -> None:
        """Close the idle connections; those in use are closed when their calls end."""
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
        for connections in self._idle.values():
            for connection in connections:
                connection.abort()
        self._idle.clear()

    def close_expired(self) -> None:
        """Close the connections that have been idle for too long."""
        oldest = self._loop.time() - _KEEPALIVE
        for origin, connections in list(self._idle.items()):
            for connection in connections:
                if connection.idle_since <= oldest:
                    connection.abort()
            self._idle[origin] = [connection for connection in connections if connection.is_open]
            if not self._idle[origin]:
                del self._idle[origin]
        self._timer = self._loop.call_later(_KEEPALIVE / 2, self.close_expired) if self._idle else None

    def _pop_idle(self, origin: _Origin) -> HttpConnection | None:
        connections = self._idle.get(origin)
        while connections:
            connection = connections.pop()  # the one that was used last is the least likely to be stale
            if connection.is_open:
                return connection
        return None

    def _release(self, origin: _Origin, connection: HttpConnection) -> None:
        if self.closed or not connection.reusable:
            connection.abort()
            return
        connection.idle_since = self._loop.time()
        self._idle.setdefault(origin, []).append(connection)
        if self._timer is None:
            self._timer = self._loop.call_later(_KEEPALIVE, self.close_expired)

    async def _connect(self, url: URL) -> HttpConnection:
        try:
            async with asyncio.timeout(self.connect_timeout):
                return await self._open(f"{url.raw_host}", url.port or 0, secure=url.scheme == "https")
        except TimeoutError:
            reason = "could not connect in time"
        except gaierror:
            reason = "the host name could not be resolved"
        except tls.SSLError:
            reason = "no secure connection: TLS failed"
        except OSError:
            reason = "could not connect"
        raise ConnectFailed(NotSent(reason))

    async def _open(self, host: str, port: int, *, secure: bool) -> HttpConnection:
        loop = self._loop
        addresses = await loop.getaddrinfo(host, port, type=SOCK_STREAM)
        socket = await start_connection(addresses, happy_eyeballs_delay=_HAPPY_EYEBALLS_DELAY, interleave=1, loop=loop)
        context = (self.ssl or default_ssl_context()) if secure else None
        name = host.rstrip(".") if secure else None
        _, connection = await loop.create_connection(
            lambda: HttpConnection(self.max_response, self.coalescer), sock=socket, ssl=context, server_hostname=name
        )
        return connection
