"""A transport over connections of its own: asyncio's sockets, with httptools as the parser.

Rules, beside those of `common.connections`:
- No cookies, no redirects, no quoting of the URL, no request for compression.
- If a response was not read to its end, its connection is closed, so that no other call can read the rest.
"""

import asyncio
import os
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from ...config import check_count, check_seconds
from ..common.connections import KEEPALIVE, MAX_AGE, MAX_CONNECTIONS, ConnectionLimit, PooledTransport, RequestCoalescer
from ..common.deadlines import make_deadlines
from ..common.http1 import MAX_RESPONSE
from ..common.opening import FROM_ENVIRONMENT, Connector, OpenTransport, UnopenedTransport, parse_setting, read_proxies
from ..protocol import Transport
from .connection import HttpConnection

if TYPE_CHECKING:
    from ssl import SSLContext


def open(  # noqa: A001 - `transports.httptools.open`
    *,
    timeout: float = 30.0,
    connect_timeout: float = 10.0,
    max_connections: int = MAX_CONNECTIONS,
    max_response: int = MAX_RESPONSE,
    keepalive_timeout: float = KEEPALIVE,
    max_connection_age: float = MAX_AGE,
    proxy: str | None = FROM_ENVIRONMENT,
    ssl: "SSLContext | None" = None,
) -> AbstractAsyncContextManager[Transport]:
    """Return a transport over sockets, for asyncio or uvloop, to be opened and closed by `async with` or a `Client`.

    *timeout* is in seconds, for one whole exchange. Connecting may take at most *connect_timeout* of it, and at most
    nine tenths. A response of more than *max_response* bytes is `Unanswered`. There are at most *max_connections*
    connections. If all are in use, a call waits for a free one for as long as its caller does: the timeout begins after
    that wait. An idle connection is closed after *keepalive_timeout* seconds, 15 by default. None is used for longer
    than *max_connection_age* seconds, 300 by default, so that a changed address of the host is followed.

    *proxy* is the URL of an http proxy for all hosts, or None for no proxy. By default, those of the environment are
    used (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY), which are read when the transport opens, but never for
    connections to this machine.
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

    def start() -> OpenTransport:
        deadlines, proxies = make_deadlines(timeout), read_proxies(setting, os.environ)
        coalescer, loop = RequestCoalescer(deadlines), asyncio.get_running_loop()
        connecting = min(connect_timeout, 0.9 * timeout)
        connector = Connector(lambda: HttpConnection(max_response, coalescer), connecting, ssl, proxies)
        transport = PooledTransport(
            connector, deadlines, ConnectionLimit(max_connections), loop, keepalive_timeout, max_connection_age, proxies
        )
        return transport, transport.close

    return UnopenedTransport(start, max_connections)
