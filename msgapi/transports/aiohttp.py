"""Sending over aiohttp, on asyncio: what is opened for a client's life, and what is used of a caller's session.

Rules, whichever way it goes:
- What is `NotSent` is certain; wherever a byte may have left it is `Unanswered`.
- No cookies, no redirects, no re-quoting of the URL, no compression asked for.
"""

from contextlib import AbstractAsyncContextManager
from math import inf
from typing import TYPE_CHECKING

import aiohttp

from ..config import check_seconds
from .answers import Limit
from .bounds import MAX_RESPONSE
from .connections import OverConnections
from .deadlines import deadlines_of
from .opening import Opened, Unopened
from .outbox import Outbox
from .protocol import Transport
from .session import OverSession
from .urls import Urls

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
    """Make a transport over aiohttp, for asyncio only, opened and closed by `async with` or a `Client`.

    *timeout* is in seconds for one whole exchange, of which at most *connect_timeout* (and nine
    tenths) may go into connecting. An answer of more than *max_response* bytes is `Unanswered`.
    There are never more connections than calls in flight, and no waiting for one.

    A *session* that is passed in keeps its own settings, such as a proxy or tracing, so
    *connect_timeout* and *ssl* are set there; it is not closed, and a call costs about twice as much.
    """
    check_seconds("timeout", timeout)
    check_seconds("connect_timeout", connect_timeout)

    def start() -> Opened:
        deadlines, limit, urls = deadlines_of(timeout), Limit(max_response), Urls()
        if session is not None:
            return OverSession(session, deadlines, limit, urls), deadlines.close
        connector = aiohttp.TCPConnector(limit=0, ssl=True if ssl is None else ssl)

        async def close() -> None:
            try:
                await connector.close()
            finally:
                deadlines.close()

        connecting = aiohttp.ClientTimeout(total=None, connect=min(connect_timeout, 0.9 * timeout), ceil_threshold=inf)
        return OverConnections(connector, connecting, deadlines, Outbox(deadlines), limit, urls), close

    return Unopened(start)
