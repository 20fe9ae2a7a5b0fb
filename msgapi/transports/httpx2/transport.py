"""A transport over httpx2: over connections made here and its parser, or over a client of the caller's.

The pool of httpx2 looks at all connections and all requests at each call, so that the cost of one call grows with the
calls in flight. It also reads what arrives on an idle connection as the response to the next request.

Rules, beside those of `common.connections`:
- No cookies, no redirects, no quoting of the URL, no request for compression.
- If a response was not read to its end, its connection is closed, so that no other call can read the rest.
- httpx2 logs the URL of each request. The path of ours is hidden there, since it may contain a recipient.
"""

import logging
import os
import ssl as tls
from collections.abc import AsyncIterable, Iterable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from types import TracebackType
from typing import Any, Final, final

import anyio
import anyio.lowlevel
import httpcore2
import httpx2
from attrs import define, field
from yarl import URL

from ...config import check_count, check_seconds
from ...http import DEFAULT_PORTS, Request, TimeLimits
from ...results import NotSent, Unanswered
from ..common.causes import TIMED_OUT, connect_failure, connection_lost, cut_short, host_and_port, with_cause
from ..common.connections import (
    CLOSED,
    INVALID_URL,
    KEEPALIVE,
    MAX_AGE,
    MAX_CONNECTIONS,
    ConnectionLimit,
    PooledTransport,
    StartsDeadlines,
    keepalive_within,
    no_free_connection,
    repeated_outcome,
    seconds_to_wait,
)
from ..common.http1 import FRAMING_HEADERS, MAX_RESPONSE, join_parts, make_response, request_headers, targets
from ..common.opening import FROM_ENVIRONMENT, OpenTransport, UnopenedTransport, parse_setting, read_proxies
from ..protocol import Answer, Transport
from .connection import SocketConnector

_LOG: Final = logging.getLogger("httpx2")
_NETWORK_ERRORS: Final = (httpcore2.NetworkError, httpcore2.ProtocolError, httpx2.RequestError, OSError)
_NOT_HTTP: Final = (httpcore2.RemoteProtocolError, httpx2.RemoteProtocolError)


def open(  # noqa: A001 - `transports.httpx2.open`
    *,
    timeout: float = 30.0,
    connect_timeout: float = 10.0,
    max_connections: int = MAX_CONNECTIONS,
    max_response: int = MAX_RESPONSE,
    keepalive_timeout: float = KEEPALIVE,
    max_connection_age: float = MAX_AGE,
    proxy: str | None = FROM_ENVIRONMENT,
    ssl: tls.SSLContext | None = None,
    client: httpx2.AsyncClient | None = None,
) -> AbstractAsyncContextManager[Transport]:
    """Return a transport over httpx2, for asyncio or trio, to be opened and closed by `async with` or a `Client`.

    *timeout* is in seconds, for one whole exchange. Connecting may take at most *connect_timeout* of it, and at most
    nine tenths. A response of more than *max_response* bytes is `Unanswered`. There are at most *max_connections*
    connections. If all are in use, a call waits for a free one for as long as its caller does: the timeout begins after
    that wait. An idle connection is closed after *keepalive_timeout* seconds, 15 by default. None is used for longer
    than *max_connection_age* seconds, 300 by default, so that a changed address of the host is followed.

    *proxy* is the URL of an http proxy for all hosts, or None for no proxy. By default, those of the environment are
    used (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY), which are read when the transport opens, but never for
    connections to this machine.

    A *client* that is passed in keeps its TLS, limits, kept connections, proxy, hooks and headers, so *ssl* and the
    times of its connections are set there. Its timeouts,
    cookies, parameters, redirects and authentication are not used. It is not closed. It must not repeat requests by
    itself: `NotSent` would no longer be certain. Which of its connections is reused is up to the client: it does not
    notice a response that no request asked for, and keeps the others after a timeout.
    """
    setting, problem = parse_setting(proxy)
    del proxy  # an error tracker shows the local variables of a frame that raises
    if problem is not None:
        raise problem
    check_seconds("timeout", timeout)
    check_seconds("connect_timeout", connect_timeout)
    check_seconds("keepalive_timeout", keepalive_timeout)
    check_seconds("max_connection_age", max_connection_age)
    check_count("max_connections", max_connections)
    connecting = min(connect_timeout, 0.9 * timeout)

    def start() -> OpenTransport:
        limit, deadlines = ConnectionLimit(max_connections), ScopeDeadlines(timeout)
        if client is not None:
            hide_paths_in_log()
            over_client = Httpx2ClientTransport(client, limit, deadlines, connecting, max_response)
            return over_client, over_client.close
        proxies = read_proxies(setting, os.environ)
        transport = PooledTransport(
            SocketConnector(
                connecting, max_response, ssl, keepalive_within(keepalive_timeout, max_connection_age), proxies
            ),
            deadlines,
            limit,
            None,
            keepalive_timeout,
            max_connection_age,
            proxies,
        )
        return transport, transport.close

    return UnopenedTransport(start, max_connections)


@final
@define(eq=False)
class ScopeDeadlines:
    """Deadlines of *seconds* each, as cancel scopes of anyio: `with deadlines.start():` raises TimeoutError."""

    seconds: float
    running: "set[ScopeDeadline]" = field(factory=set, init=False, repr=False)

    def start(self) -> "ScopeDeadline":
        """Start a deadline for the current task; it runs until its `with` block ends."""
        return ScopeDeadline(anyio.move_on_after(self.seconds), self.running)

    def start_within(self, seconds: float) -> "ScopeDeadline":
        """Start a deadline of another length."""
        return ScopeDeadline(anyio.move_on_after(seconds), self.running)

    def close(self) -> None:
        """Let every running deadline expire now."""
        for deadline in self.running:
            deadline.scope.cancel()


@final
@define(eq=False)
class ScopeDeadline:
    """One deadline of `ScopeDeadlines`."""

    scope: anyio.CancelScope
    running: "set[ScopeDeadline]"

    def __enter__(self) -> "ScopeDeadline":
        """Enter the cancel scope."""
        _ = self.scope.__enter__()
        self.running.add(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> bool:
        """Leave the cancel scope; raise TimeoutError if it was cancelled."""
        self.running.discard(self)
        caught = self.scope.__exit__(kind, error, _)
        if self.scope.cancelled_caught:
            raise TimeoutError
        return bool(caught)


@final
@define(eq=False)
class Httpx2ClientTransport:
    """A transport over *client*, with at most as many calls at a time as *limit* allows.

    The cost of a call over httpx2's pool grows with the calls in flight, so they wait here and not there.
    """

    client: httpx2.AsyncClient
    limit: ConnectionLimit
    deadlines: StartsDeadlines
    connect_timeout: float
    max_response: int
    keeps_limits: bool = field(default=True, init=False)

    async def __call__(self, request: Request, /) -> Answer:
        """Send *request* and return its outcome. Raise ValueError if one of its headers is not valid."""
        target = targets[request.url]
        if target is None:
            return INVALID_URL
        try:
            httpx_request = self._build_request(request, target.url)
        except httpx2.InvalidURL:
            return INVALID_URL
        if self.limit.free > 0:
            self.limit.free -= 1
        elif (unsent := await self.limit.wait(request.limits)) is not None:
            return unsent
        try:
            return await self._send(httpx_request, request.limits, repeatable=request.repeatable)
        finally:
            self.limit.give_back()

    async def close(self) -> None:
        """End the calls in flight. The client stays open."""
        self.limit.close()
        self.deadlines.close()
        await anyio.lowlevel.cancel_shielded_checkpoint()

    async def _send(self, request: httpx2.Request, limits: TimeLimits | None, *, repeatable: bool) -> Answer:
        # The client may have a lower limit of connections. Waiting for one of its own ends as late.
        until, repeated, connecting = anyio.current_time() + seconds_to_wait(limits), False, self.connect_timeout
        if limits is not None:
            connecting = limits.connecting(connecting, self.deadlines.seconds)
        while True:
            remaining = max(0.0, until - anyio.current_time())
            pool_timeout = min(connecting, remaining)
            timeouts = httpx2.Timeout(None, connect=connecting, pool=pool_timeout)
            progress = _Progress()
            request.extensions |= {"timeout": timeouts.as_dict(), "trace": progress.trace}
            outcome: Answer
            try:
                with self._deadline(limits):
                    outcome = await self._exchange(request)
            except httpx2.PoolTimeout:
                if pool_timeout < remaining:
                    continue
                outcome = no_free_connection("those of the client are in use")
            except TimeoutError:
                outcome = progress.expired(request.url, closed=self.limit.closed)
            except _NETWORK_ERRORS as error:
                outcome = cut_short(_root(error)) if progress.answered else _outcome_of(error, request.url)
                if repeatable and not repeated and progress.is_stale and isinstance(outcome, Unanswered):
                    repeated = True
                    continue
            return repeated_outcome(outcome, 2) if repeated else outcome

    def _deadline(self, limits: TimeLimits | None) -> AbstractContextManager[object]:
        deadlines = self.deadlines
        return deadlines.start() if limits is None else deadlines.start_within(limits.exchange(deadlines.seconds))

    async def _exchange(self, request: httpx2.Request) -> Answer:
        response = await self.client.send(request, stream=True, auth=httpx2.Auth(), follow_redirects=False)
        try:
            parts = response.aiter_bytes() if response.is_stream_consumed else response.aiter_raw()
            return await _read_response(response.status_code, response.headers.raw, parts, self.max_response)
        finally:
            await response.aclose()

    def _build_request(self, request: Request, url: URL) -> httpx2.Request:
        headers = request_headers(request, url)
        names = FRAMING_HEADERS | {name.lower().decode() for name, _ in headers}
        headers += [pair for pair in self.client.headers.raw if pair[0].lower().decode() not in names]
        extensions: dict[str, Any] = {}
        target, private_url = url.raw_path_qs.encode(), _PrivateUrl(request.url)
        if private_url.raw_path != target:  # httpx2 has quoted the path again, or removed its dot segments
            extensions["target"] = target
        stream = httpx2.ByteStream(request.body or b"")
        result = httpx2.Request(request.method, private_url, headers=headers, stream=stream, extensions=extensions)
        result.url = private_url  # httpx2 made a copy, of its own type
        return result


@define(eq=False)
class _Progress:
    # How far one request has come, from the events that httpx2 sends to a trace.
    connected: bool = False
    began: bool = False
    answered: bool = False

    @property
    def is_stale(self) -> bool:
        # Whether it was sent over a connection that was there before, and no response has come.
        return self.began and not self.connected and not self.answered

    def expired(self, url: httpx2.URL, *, closed: bool) -> NotSent | Unanswered:
        # The outcome if the time was up, or the transport was closed.
        if self.connected and not self.began:
            return NotSent(CLOSED) if closed else connect_failure(TimeoutError(), _peer(url))
        return Unanswered(CLOSED) if closed else TIMED_OUT

    async def trace(self, event: str, _: object) -> None:
        await anyio.lowlevel.checkpoint_if_cancelled()
        self.connected |= event.endswith(".connect_tcp.started")
        self.began |= event.endswith(".send_request_headers.started")
        self.answered |= event.endswith(".receive_response_headers.complete")


async def _read_response(
    status: int, headers: Iterable[tuple[bytes, bytes]], parts: AsyncIterable[bytes], limit: int
) -> Answer:
    """Read the body in *parts*, and return the response, or `Unanswered` if it is incomplete or over *limit* bytes."""
    try:
        body = await join_parts(parts, limit)
    except _NOT_HTTP:
        return Unanswered("the response was cut short")
    texts = {name.decode(errors="replace"): value.decode(errors="surrogateescape") for name, value in headers}
    return make_response(status, texts, body, limit)


def _outcome_of(error: Exception, url: httpx2.URL) -> NotSent | Unanswered:
    match error:
        case httpx2.ConnectTimeout():
            return connect_failure(TimeoutError(), _peer(url))
        case httpx2.ConnectError():
            return connect_failure(_root(error), _peer(url))
        case httpx2.ProxyError():  # the client is the caller's, and so is its proxy
            return NotSent(with_cause(f"the proxy refused to connect to {_peer(url)}", _root(error)))
        case httpx2.TimeoutException():
            return TIMED_OUT
        case httpcore2.RemoteProtocolError() | httpx2.RemoteProtocolError():
            closed = str(error).startswith("Server disconnected")
            return connection_lost(None) if closed else Unanswered("the response is not HTTP")
        case _:
            return connection_lost(_root(error))


def _peer(url: httpx2.URL) -> str:
    return host_and_port(url.raw_host.decode(), url.port or DEFAULT_PORTS[url.scheme])


def _root(error: BaseException) -> BaseException:
    # The error of the socket or of TLS, from which httpx2 has made its own.
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause.exceptions[0] if isinstance(cause, BaseExceptionGroup) else cause
    return error


def hide_paths_in_log() -> None:
    """Have httpx2's log show the URLs of this package's requests without their paths."""
    _LOG.addFilter(_without_paths)


@final
class _PrivateUrl(httpx2.URL):
    """The URL of a request of this package, by which the log filter recognises it."""


def _without_paths(record: logging.LogRecord) -> bool:
    if isinstance(record.args, tuple):
        record.args = tuple(
            f"{arg.scheme}://{arg.host}/***" if isinstance(arg, _PrivateUrl) else arg for arg in record.args
        )
    return True
