"""Sending over sockets of asyncio's own, with httptools to read the answers: the least that a call can cost.

Rules:
- What is `NotSent` is certain; wherever a byte may have left it is `Unanswered`. Nothing is sent twice.
- No proxy, no cookies, no redirects, no re-quoting of the URL, no compression asked for.
- A connection whose answer was not read to its end is closed, so no other call can read the rest.
"""

import asyncio
import ssl as tls
from contextlib import AbstractAsyncContextManager
from socket import SOCK_STREAM, gaierror
from typing import Final, TypeAlias, final

from aiohappyeyeballs import start_connection
from attrs import define, field
from yarl import URL

from ..config import check_seconds
from ..http import Request
from ..results import NotSent, Unanswered
from .bounds import MAX_RESPONSE
from .connecting import NotConnected, default_ssl_context
from .deadlines import Deadlines, deadlines_of
from .exchanges import Exchanges
from .heads import written
from .opening import Opened, Unopened
from .outbox import Outbox
from .protocol import Answer, Transport
from .urls import Urls

_IDLE: Final = 15.0  # seconds for which a connection is kept
_STAGGER: Final = 0.25  # seconds after which the next address of a host is tried too (RFC 8305)
_Origin: TypeAlias = tuple[str, str | None, int | None]


def open(  # noqa: A001 - `transports.httptools.open`
    *,
    timeout: float = 30.0,
    connect_timeout: float = 10.0,
    max_response: int = MAX_RESPONSE,
    ssl: tls.SSLContext | None = None,
) -> AbstractAsyncContextManager[Transport]:
    """Make a transport over sockets, for asyncio or uvloop only, opened and closed by `async with` or a `Client`.

    *timeout* is in seconds for one whole exchange, of which at most *connect_timeout* (and nine
    tenths) may go into connecting. An answer of more than *max_response* bytes is `Unanswered`.
    There are never more connections than calls in flight, and no waiting for one. A proxy is not
    used: for one, pass a session to `msgapi.transports.aiohttp`.
    """
    check_seconds("timeout", timeout)
    check_seconds("connect_timeout", connect_timeout)

    def start() -> Opened:
        deadlines = deadlines_of(timeout)
        over = OverSockets(deadlines, Outbox(deadlines), min(connect_timeout, 0.9 * timeout), max_response, ssl)

        async def close() -> None:
            deadlines.close()
            over.close()
            await asyncio.sleep(0)  # in which asyncio closes the sockets

        return over, close

    return Unopened(start)


@final
@define(eq=False)
class OverSockets:
    """A transport over connections of its own, each to be ready within *connecting* seconds."""

    deadlines: Deadlines
    outbox: Outbox
    connecting: float
    most: int
    ssl: tls.SSLContext | None
    closed: bool = field(default=False, init=False)
    _loop: asyncio.AbstractEventLoop = field(factory=asyncio.get_running_loop, init=False, repr=False)
    _urls: Urls = field(factory=Urls, init=False, repr=False)
    _idle: dict[_Origin, list[Exchanges]] = field(factory=dict, init=False, repr=False)
    _timer: asyncio.TimerHandle | None = field(default=None, init=False, repr=False)

    async def __call__(self, request: Request, /) -> Answer:
        """Send *request*: its answer, or how it came to none. A header that can't be sent is a ValueError."""
        if self.closed:
            raise RuntimeError("this transport is closed: send inside its `async with`")
        url = self._urls.get(request.url)
        if url is None:
            return NotSent("the URL is not valid")
        data = written(request, url)
        origin = url.scheme, url.raw_host, url.port
        try:
            with self.deadlines.start():
                connection = self._pick(origin) or await self._connect(url)
                try:
                    answer = await connection.ask(data, bodiless=request.method == "HEAD")
                except BaseException:
                    connection.drop()
                    raise
        except NotConnected as error:
            return error.answer
        except TimeoutError:
            return Unanswered("no answer in time")
        self._give_back(origin, connection)
        return answer

    def close(self) -> None:
        """Close the connections; those in use go when their calls end."""
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
        for connections in self._idle.values():
            for connection in connections:
                connection.drop()
        self._idle.clear()

    def sweep(self) -> None:
        """Close the connections that were idle for too long."""
        old = self._loop.time() - _IDLE
        for origin, connections in list(self._idle.items()):
            for connection in connections:
                if connection.since <= old:
                    connection.drop()
            self._idle[origin] = [connection for connection in connections if connection.alive]
            if not self._idle[origin]:
                del self._idle[origin]
        self._timer = self._loop.call_later(_IDLE / 2, self.sweep) if self._idle else None

    def _pick(self, origin: _Origin) -> Exchanges | None:
        connections = self._idle.get(origin)
        while connections:
            connection = connections.pop()  # the one that was used last is the least likely to be stale
            if connection.alive:
                return connection
        return None

    def _give_back(self, origin: _Origin, connection: Exchanges) -> None:
        if self.closed or not connection.kept:
            connection.drop()
            return
        connection.since = self._loop.time()
        self._idle.setdefault(origin, []).append(connection)
        if self._timer is None:
            self._timer = self._loop.call_later(_IDLE, self.sweep)

    async def _connect(self, url: URL) -> Exchanges:
        try:
            async with asyncio.timeout(self.connecting):
                return await self._open(f"{url.raw_host}", url.port or 0, secure=url.scheme == "https")
        except TimeoutError:
            reason = "could not connect in time"
        except gaierror:
            reason = "the host name could not be resolved"
        except tls.SSLError:
            reason = "no secure connection: TLS failed"
        except OSError:
            reason = "could not connect"
        raise NotConnected(NotSent(reason))

    async def _open(self, host: str, port: int, *, secure: bool) -> Exchanges:
        loop = self._loop
        found = await loop.getaddrinfo(host, port, type=SOCK_STREAM)
        socket = await start_connection(found, happy_eyeballs_delay=_STAGGER, interleave=1, loop=loop)
        context = (self.ssl or default_ssl_context()) if secure else None
        name = host.rstrip(".") if secure else None
        _, connection = await loop.create_connection(
            lambda: Exchanges(self.most, self.outbox), sock=socket, ssl=context, server_hostname=name
        )
        return connection
