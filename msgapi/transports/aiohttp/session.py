"""A transport over a ClientSession: one of the caller's, which keeps its settings, such as proxy, tracing and headers.

Rules:
- `NotSent` is certain: only a failed connect of the first request is one.
- A request goes out once, although aiohttp repeats the methods that it takes for idempotent. It is repeated only if it
  may be repeated, once, if its connection was lost before a response, and if there was an earlier response: then it may
  have been a kept connection. aiohttp chooses the next one, which may be a kept one too.
- A status that has no body and comes with one is `Unanswered`: aiohttp's parser refuses it.
- No redirects, no quoting of the URL, no header that aiohttp adds by itself, no unpacking by aiohttp.
- The request's own Authorization is sent, whatever a .netrc or the session has.
- If a response was not read to its end, its connection is closed, so that no other call can read the rest.
- The kept connection that aiohttp reuses next is checked first: it is closed if it is at its end or has data that no
  request asked for. aiohttp would read it as the response to the next request.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import cache
from inspect import signature
from io import BytesIO
from math import inf
from typing import Any, Final, final

import aiohttp
from aiohttp.http import HttpProcessingError
from attrs import define, field
from multidict import CIMultiDict
from yarl import URL

from ...http import Request, Response
from ...results import NotSent, Unanswered
from ..common.causes import connect_failure, connection_lost, cut_short, host_and_port
from ..common.connections import CLOSED, INVALID_URL, ConnectionLimit, Deadlines, repeated_outcome, watch_socket
from ..common.http1 import MAX_HEAD, NOT_HTTP, ends_with_connection, join_parts, make_response, targets
from ..common.opening import Proxy, ProxyRules, peer
from ..protocol import Answer

_AUTOMATIC: Final = frozenset({"Accept", "Content-Type", "User-Agent"})  # added by aiohttp to a request without them
_LARGE: Final = 2**20  # bytes; aiohttp writes a larger body in parts only if it is a file
_HEAD_LIMITS: Final = ("max_line_size", "max_field_size", "max_headers")
_NETWORK_ERRORS: Final = (aiohttp.ClientError, OSError)
_CONNECT_ERRORS: Final = (
    aiohttp.ConnectionTimeoutError,
    aiohttp.ClientConnectorError,
    aiohttp.ServerFingerprintMismatch,
    aiohttp.ClientHttpProxyError,
    aiohttp.InvalidURL,
)

# The first match counts: aiohttp's timeouts are TimeoutErrors too.
_OUTCOMES: Final = (
    (aiohttp.InvalidURL, INVALID_URL),
    (TimeoutError, Unanswered("no answer in time")),
    (HttpProcessingError, NOT_HTTP),
)


@final
@define(eq=False)
class AiohttpSessionTransport:
    """A transport over *session*. Its connecting may take *connect_timeout* seconds."""

    session: aiohttp.ClientSession
    connect_timeout: float
    deadlines: Deadlines
    limit: ConnectionLimit
    max_response: int
    proxies: ProxyRules | None = field(default=None, init=False)  # of a session that was opened here
    keeps_limits: bool = field(default=True, init=False)
    _timeout: aiohttp.ClientTimeout = field(init=False, repr=False)
    _limits: dict[str, Any] = field(init=False, repr=False)
    _middlewares: Sequence[aiohttp.ClientMiddlewareType] = field(init=False, repr=False)
    _answered: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        """Keep the session's other timeouts, and raise its limits of a response's head."""
        self._timeout = self._timeout_with(self.connect_timeout)
        self._limits = head_limits(getattr(aiohttp.ClientSession, "_request", aiohttp.ClientSession.request))
        self._middlewares = getattr(self.session, "_middlewares", ())

    @property
    def max_connections(self) -> int:
        """The highest number of connections; with a higher value, calls that wait for one continue."""
        return self.limit.size

    @max_connections.setter
    def max_connections(self, size: int) -> None:
        self.limit.resize(size)

    async def __call__(self, request: Request, /) -> Answer:
        """Send *request* and return its outcome. Raise ValueError if one of its headers is not valid."""
        if self.limit.closed:
            raise RuntimeError("this transport is closed: send inside its `async with`")
        target = targets[request.url]
        if target is None:
            return INVALID_URL
        url, limits = target.url, request.limits
        if self.limit.free > 0:
            self.limit.free -= 1
        elif (unsent := await self.limit.wait(limits)) is not None:
            return unsent
        exchange, timeout, deadlines = _Exchange(request), self._timeout, self.deadlines
        if limits is not None:
            timeout = self._timeout_with(limits.connecting(self.connect_timeout, deadlines.seconds))
        repeatable = request.repeatable and self._answered
        try:
            with deadlines.start() if limits is None else deadlines.start_within(limits.exchange(deadlines.seconds)):
                outcome = await self._send(exchange, url, timeout)
                if exchange.lost and repeatable and exchange.requests == 1:
                    outcome = await self._send(exchange, url, timeout)
        except TimeoutError:
            outcome = Unanswered(CLOSED if self.limit.closed else "no answer in time")
        finally:
            self.limit.give_back()
        if isinstance(outcome, Response):
            self._answered = True
        return repeated_outcome(outcome, exchange.requests) if exchange.requests > 1 else outcome

    async def close(self) -> None:
        """End the calls in flight; the session stays open."""
        self.limit.close()
        self.deadlines.close()

    def _timeout_with(self, connect: float) -> aiohttp.ClientTimeout:
        own = self.session.timeout
        return aiohttp.ClientTimeout(
            total=own.total,
            connect=connect,
            sock_connect=own.sock_connect,
            sock_read=own.sock_read,
            ceil_threshold=inf,
        )

    async def _send(self, exchange: "_Exchange", url: URL, timeout: aiohttp.ClientTimeout) -> Answer:  # noqa: ASYNC109
        _close_unrequested(self.session.connector)
        proxy = None if self.proxies is None else self.proxies.choose(url)
        if proxy is not None and proxy.problem:
            return NotSent(proxy.problem)
        if proxy is not None and url.scheme == "http":
            exchange.headers.update(proxy.headers)  # aiohttp sends those of the proxy with CONNECT only
        try:
            response = await self.session.request(
                exchange.request.method,
                url,
                data=_data(exchange.request.body),
                headers=exchange.headers,
                skip_auto_headers=_AUTOMATIC,
                allow_redirects=False,
                raise_for_status=False,
                auto_decompress=False,
                timeout=timeout,
                middlewares=(exchange.send_once, *self._middlewares, exchange.send),
                **self._limits,
                proxy=None if proxy is None else f"{proxy}",
                proxy_headers=None if proxy is None else proxy.headers,
            )
        except _Lost as lost:
            await asyncio.sleep(0)  # the event loop notices which other connections have been closed
            return connection_lost(lost.__cause__)
        except _NETWORK_ERRORS as error:
            return _outcome(error, url, proxy)
        try:
            return await self._read(response)
        except (*_NETWORK_ERRORS, HttpProcessingError) as error:
            return _outcome(error, url, proxy)
        finally:
            response.close()  # no effect on a connection that was read to its end and returned to the pool

    async def _read(self, response: aiohttp.ClientResponse) -> Answer:
        connection = response.connection
        protocol = None if connection is None else connection.protocol
        body = await join_parts(response.content.iter_any(), self.max_response)
        if protocol is not None and ends_with_connection(response.headers):
            error = protocol.exception()
            if error is not None and not isinstance(error, aiohttp.ServerDisconnectedError):
                return cut_short(error)
        return make_response(response.status, response.headers, body, self.max_response)


@final
@define(eq=False)
class _Exchange:
    # One call: the middlewares that count its requests, and have aiohttp send them only once.
    request: Request
    headers: CIMultiDict[str] = field(init=False)
    requests: int = field(default=0, init=False)
    lost: bool = field(default=False, init=False)
    _authorization: str | None = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.headers = CIMultiDict(self.request.headers)
        _ = self.headers.setdefault("Accept-Encoding", "identity")  # so that bytes out are the bytes of the body
        self._authorization = self.headers.pop("Authorization", None)  # aiohttp refuses it beside a .netrc

    async def send_once(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Raise an exception after which aiohttp does not repeat the request."""
        try:
            return await handler(request)
        except _CONNECT_ERRORS:
            raise
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
            raise _Lost from error

    async def send(self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        """Count the request; a middleware of the session may repeat it, but not if it must not be repeated."""
        if self.lost and not self.request.repeatable:
            raise aiohttp.ServerDisconnectedError
        self.requests += 1
        if self._authorization is not None:
            request.headers["Authorization"] = self._authorization
        try:
            return await handler(request)
        except _CONNECT_ERRORS:
            raise
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError):
            self.lost = True
            raise


@final
class _Lost(aiohttp.ClientError):
    """The connection was lost before a response; the cause is aiohttp's exception."""


@cache
def head_limits(function: Callable[..., object]) -> dict[str, Any]:
    """Return arguments for *function* that raise aiohttp's limits of a response's head; some versions have fewer."""
    return {name: MAX_HEAD for name in _HEAD_LIMITS if name in signature(function).parameters}


def _close_unrequested(connector: aiohttp.BaseConnector | None) -> None:
    # aiohttp takes the first connection of each list. A version that keeps them in another way is left alone.
    for connections in getattr(connector, "_conns", {}).values():
        for protocol, _ in connections:
            transport = protocol.transport
            sock = None if transport is None else transport.get_extra_info("socket")
            if sock is not None and not protocol.should_close and not watch_socket(sock.fileno())(0):
                break
            protocol.close()


def _outcome(error: Exception, url: URL, proxy: Proxy | None) -> NotSent | Unanswered:
    if isinstance(error, _CONNECT_ERRORS) and not isinstance(error, aiohttp.InvalidURL):
        return _not_connected(error, url, proxy)
    for kind, outcome in _OUTCOMES:
        if isinstance(error, kind):
            return outcome
    if isinstance(error, aiohttp.ClientResponseError):
        return NOT_HTTP
    return cut_short(error) if isinstance(error, aiohttp.ClientPayloadError) else connection_lost(error)


def _not_connected(error: Exception, url: URL, proxy: Proxy | None) -> NotSent:
    # Without *proxy* the session may have one of its own.
    match error:
        case aiohttp.ServerFingerprintMismatch():
            return NotSent(f"no secure connection to {peer(url, proxy)}: the fingerprint does not match")
        case aiohttp.ClientHttpProxyError(status=status):
            name = "the proxy" if proxy is None else proxy.name
            return NotSent(f"{name} refused to connect to {peer(url)}: HTTP {status}")
        case aiohttp.ClientProxyConnectionError(host=host, port=port):
            return connect_failure(error, f"the proxy {host_and_port(host, port)}")
        case aiohttp.ConnectionTimeoutError():
            return connect_failure(TimeoutError(), peer(url, proxy))
        case _:
            return connect_failure(error, peer(url, proxy))


def _data(body: bytes | None) -> bytes | BytesIO | None:
    return BytesIO(body) if body is not None and len(body) > _LARGE else body
