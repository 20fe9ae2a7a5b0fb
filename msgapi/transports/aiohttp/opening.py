"""Open a transport over aiohttp: over its connections, or over a session of the caller's.

Rules, for both:
- `NotSent` is certain. If a byte may have left, the outcome is `Unanswered`.
- No cookies, no redirects, no quoting of the URL, no request for compression.
"""

import asyncio
import logging
import os
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Final

import aiohttp

from ...config import check_count, check_seconds
from ..common.connections import (
    KEEPALIVE,
    MAX_AGE,
    MAX_CONNECTIONS,
    ConnectionLimit,
    Deadlines,
    PooledTransport,
    make_deadlines,
)
from ..common.http1 import MAX_RESPONSE, RequestCoalescer
from ..common.opening import FROM_ENVIRONMENT, Connector, OpenTransport, UnopenedTransport, parse_setting, read_proxies
from ..protocol import Transport
from .session import AiohttpSessionTransport

if TYPE_CHECKING:
    from ssl import SSLContext

    from .connection import AiohttpConnection

_VERSION: Final = aiohttp.__version__
_log: Final = logging.getLogger("msgapi")


def open(  # noqa: A001 - `transports.aiohttp.open`
    *,
    timeout: float = 30.0,
    connect_timeout: float = 10.0,
    max_connections: int | None = None,
    max_response: int = MAX_RESPONSE,
    keepalive_timeout: float = KEEPALIVE,
    max_connection_age: float = MAX_AGE,
    proxy: str | None = FROM_ENVIRONMENT,
    ssl: "SSLContext | None" = None,
    session: aiohttp.ClientSession | None = None,
) -> AbstractAsyncContextManager[Transport]:
    """Return a transport over aiohttp, for asyncio only, to be opened and closed by `async with` or a `Client`.

    *timeout* is in seconds, for one whole exchange. Connecting may take at most *connect_timeout* of it, and at most
    nine tenths. A response of more than *max_response* bytes is `Unanswered`. There are at most *max_connections*
    connections, 100 by default. If all are in use, a call waits for a free one for as long as its caller does: the
    timeout begins after that wait. An idle connection is closed after *keepalive_timeout* seconds, 15 by default. None
    is used for longer than *max_connection_age* seconds, 300 by default, so that a changed address of the host is
    followed.

    *proxy* is the URL of an http proxy for all hosts, or None for no proxy. By default, those of the environment are
    used (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY), which are read when the transport opens, but never for
    connections to this machine.

    A *session* that is passed in keeps its own settings, such as a proxy or tracing, so *ssl* and the times of its
    connections are set there, and *max_connections* is at most the limit of its connector. It is not closed. A call
    over it costs about twice as much CPU time. aiohttp does not repeat these requests by itself.
    """
    setting, problem = parse_setting(proxy)
    del proxy  # an error tracker shows the local variables of a frame that raises
    if problem is not None:
        raise problem
    check_seconds("timeout", timeout)
    check_seconds("connect_timeout", connect_timeout)
    check_seconds("keepalive_timeout", keepalive_timeout)
    check_seconds("max_connection_age", max_connection_age)
    if max_connections is not None:
        check_count("max_connections", max_connections)
    connecting = min(connect_timeout, 0.9 * timeout)
    size = max_connections or MAX_CONNECTIONS
    if session is not None:
        size = _session_limit(session, max_connections)

    def over_session(session: aiohttp.ClientSession, deadlines: Deadlines, size: int) -> AiohttpSessionTransport:
        return AiohttpSessionTransport(session, connecting, deadlines, ConnectionLimit(size), max_response)

    def start() -> OpenTransport:
        deadlines = make_deadlines(timeout)
        if session is not None:
            transport = over_session(session, deadlines, size)
            return transport, transport.close
        connection, proxies = _own_connections(), read_proxies(setting, os.environ)
        if connection is None:
            own = _own_session(ssl, keepalive_timeout)
            transport = over_session(own, deadlines, size)
            transport.proxies = proxies

            async def close() -> None:
                await transport.close()
                await own.close()

            return transport, close
        loop, coalescer = asyncio.get_running_loop(), RequestCoalescer(deadlines)
        connector = Connector(lambda: connection(loop, max_response, coalescer), connecting, ssl, proxies)
        pooled = PooledTransport(
            connector, deadlines, ConnectionLimit(size), loop, keepalive_timeout, max_connection_age, proxies
        )
        return pooled, pooled.close

    return UnopenedTransport(start, size)


def _own_connections() -> "type[AiohttpConnection] | None":
    # aiohttp may change what is not its public interface. A ClientSession does the same, at twice the cost.
    try:
        from .connection import AiohttpConnection, missing_names
    except ImportError as error:
        missing = f"{error}"
    else:
        if not (missing := missing_names()):
            return AiohttpConnection
    _log.warning("aiohttp %s lacks what msgapi's own connections need (%s): a ClientSession is used", _VERSION, missing)
    return None


def _session_limit(session: aiohttp.ClientSession, wanted: int | None) -> int:
    connector = session.connector
    limits = [] if connector is None else [connector.limit, connector.limit_per_host]
    return min([limit for limit in (wanted, *limits) if limit], default=MAX_CONNECTIONS)


def _own_session(ssl: "SSLContext | None", keepalive_timeout: float) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(limit=0, ssl=True if ssl is None else ssl, keepalive_timeout=keepalive_timeout)
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
