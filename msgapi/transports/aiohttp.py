"""Sending over aiohttp, on asyncio: what is opened for a client's life, and what is used of a caller's session.

Rules, whichever way it goes:
- What is `NotSent` is certain; wherever a byte may have left it is `Unanswered`.
- No cookies, no redirects, no re-quoting of the URL, no compression asked for.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from math import inf
from typing import TYPE_CHECKING

import aiohttp

from .answers import Limit
from .bounds import MAX_RESPONSE
from .connections import OverConnections
from .deadlines import Deadlines
from .outbox import Outbox
from .protocol import Transport
from .session import OverSession
from .urls import Urls

if TYPE_CHECKING:
    from ssl import SSLContext


@asynccontextmanager
async def opened(
    *,
    timeout: float = 30.0,  # noqa: ASYNC109 - becomes a value, Unanswered; a deadline is the caller's `fail_after`
    connect_timeout: float = 10.0,
    max_response: int = MAX_RESPONSE,
    ssl: "SSLContext | None" = None,
    session: aiohttp.ClientSession | None = None,
) -> AsyncIterator[Transport]:
    """Open a transport over aiohttp, on asyncio only; its connections are closed at the end.

    *timeout* is in seconds for one whole exchange, of which at most *connect_timeout* (and nine
    tenths) may go into connecting. An answer of more than *max_response* bytes is `Unanswered`.
    There are never more connections than calls in flight, and no waiting for one.

    A *session* that is passed in keeps its own settings, such as a proxy or tracing, so
    *connect_timeout* and *ssl* are for it to say; it is not closed, and a call costs about twice as much.
    """
    deadlines, limit, urls = Deadlines(timeout), Limit(max_response), Urls()
    async with AsyncExitStack() as stack:
        _ = stack.callback(deadlines.close)
        if session is not None:
            yield OverSession(session, deadlines, limit, urls)
            return
        connector = aiohttp.TCPConnector(limit=0, ssl=True if ssl is None else ssl)
        _ = await stack.enter_async_context(connector)
        connecting = aiohttp.ClientTimeout(total=None, connect=min(connect_timeout, 0.9 * timeout), ceil_threshold=inf)
        yield OverConnections(connector, connecting, deadlines, Outbox(deadlines), limit, urls)
