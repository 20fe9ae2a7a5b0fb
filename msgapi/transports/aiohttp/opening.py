"""Open a transport over aiohttp: over its connections, or over a session of the caller's.

Rules, for both:
- `NotSent` is certain. If a byte may have left, the outcome is `Unanswered`.
- No cookies, no redirects, no quoting of the URL, no request for compression.
"""

from contextlib import AbstractAsyncContextManager
from math import inf
from typing import TYPE_CHECKING

import aiohttp

from ...config import check_seconds
from ..common.connections import RequestCoalescer, make_deadlines
from ..common.http1 import MAX_RESPONSE, UrlCache
from ..common.opening import OpenTransport, UnopenedTransport
from ..protocol import Transport
from .session import AiohttpSessionTransport
from .transport import AiohttpTransport, ResponseLimit

if TYPE_CHECKING:
    from ssl import SSLContext


def open(  # noqa: A001 - `transports.aiohttp.open`
    *,
    timeout: float = 30.0,
    connect_timeout: float = 10.0,
    max_response: int = MAX_RESPONSE,
    ssl: "SSLContext | None" = None,
    session: aiohttp.ClientSession | None = None,
) -> AbstractAsyncContextManager[Transport]:
    """Return a transport over aiohttp, for asyncio only, to be opened and closed by `async with` or a `Client`.

    *timeout* is in seconds, for one whole exchange. Connecting may take at most *connect_timeout* of it, and at most
    nine tenths. A response of more than *max_response* bytes is `Unanswered`. There are never more connections than
    calls in flight, and no call waits for a free connection.

    A *session* that is passed in keeps its own settings, such as a proxy or tracing, so *connect_timeout* and *ssl*
    are set there. It is not closed. A call over it costs about twice as much CPU time.
    """
    check_seconds("timeout", timeout)
    check_seconds("connect_timeout", connect_timeout)

    def start() -> OpenTransport:
        deadlines, limit, urls = make_deadlines(timeout), ResponseLimit(max_response), UrlCache()
        if session is not None:
            return AiohttpSessionTransport(session, deadlines, limit, urls), deadlines.close
        connector = aiohttp.TCPConnector(limit=0, ssl=True if ssl is None else ssl)

        async def close() -> None:
            try:
                await connector.close()
            finally:
                deadlines.close()

        connecting = aiohttp.ClientTimeout(total=None, connect=min(connect_timeout, 0.9 * timeout), ceil_threshold=inf)
        coalescer = RequestCoalescer(deadlines)
        return AiohttpTransport(connector, connecting, deadlines, coalescer, limit, urls), close

    return UnopenedTransport(start)
