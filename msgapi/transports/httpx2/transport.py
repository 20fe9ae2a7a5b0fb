"""A transport over httpx2: over connections made here and its parser, or over a client of the caller's.

The pool of httpx2 looks at all connections and all requests at each call, so that the cost of one call grows with the
calls in flight. It also reads what arrives on an idle connection as the response to the next request.

Rules, beside those of `common.connections`:
- No cookies, no redirects, no quoting of the URL, no request for compression.
- If a response was not read to its end, its connection is closed, so that no other call can read the rest.
"""

import os
import ssl as tls
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import final

import anyio
import httpx2
from attrs import define, field

from ...config import check_count, check_seconds
from ..common.connections import (
    KEEPALIVE,
    MAX_AGE,
    MAX_CONNECTIONS,
    ConnectionLimit,
    PooledTransport,
    keepalive_within,
)
from ..common.http1 import MAX_RESPONSE
from ..common.opening import FROM_ENVIRONMENT, OpenTransport, UnopenedTransport, parse_setting, read_proxies
from ..protocol import Transport
from .client import Httpx2ClientTransport, hide_paths_in_log
from .connection import SocketConnector


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
    times of its connections are set there. Its time-outs,
    cookies, parameters, redirects and authentication are not used. It is not closed. It must not repeat requests by
    itself: `NotSent` would no longer be certain. Which of its connections is reused is up to the client: it does not
    notice a response that no request asked for, and keeps the others after a time-out.
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
