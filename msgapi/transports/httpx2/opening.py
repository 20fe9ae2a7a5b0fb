"""Open a transport over httpx2: over connections of its core, or over a client of the caller's.

Rules, for both:
- `NotSent` is certain. If a byte may have left, the outcome is `Unanswered`.
- No cookies, no redirects, no quoting of the URL, no request for compression.
- If a response was not read to its end, its connection is closed, so that no other call can read the rest.
"""

import ssl as tls
from contextlib import AbstractAsyncContextManager
from typing import Final

import httpcore2
import httpx2

from ...config import check_seconds
from ..common.http1 import MAX_RESPONSE
from ..common.opening import OpenTransport, UnopenedTransport, default_ssl_context
from ..protocol import Transport
from .client import Httpx2ClientTransport, hide_paths_in_log
from .network import TimedNetworkBackend
from .transport import Httpx2Transport

_KEEPALIVE: Final = 15.0  # seconds for which an idle connection is kept


def open(  # noqa: A001 - `transports.httpx2.open`
    *,
    timeout: float = 30.0,
    connect_timeout: float = 10.0,
    max_response: int = MAX_RESPONSE,
    ssl: tls.SSLContext | None = None,
    client: httpx2.AsyncClient | None = None,
) -> AbstractAsyncContextManager[Transport]:
    """Return a transport over httpx2, for asyncio or trio, to be opened and closed by `async with` or a `Client`.

    *timeout* is in seconds, for one whole exchange. Connecting may take at most *connect_timeout* of it, and at most
    nine tenths. A response of more than *max_response* bytes is `Unanswered`. There are never more connections than
    calls in flight, and no call waits for a free connection.

    A *client* that is passed in keeps its TLS, limits, proxy, hooks and headers, so *ssl* is set there. Its time-outs,
    cookies, parameters, redirects and authentication are not used. It is not closed. It must not repeat requests by
    itself: `NotSent` would no longer be certain. Only without a *client* is a response that arrived before its
    request, from a server that sends more than it was asked for, recognised as such.
    """
    check_seconds("timeout", timeout)
    check_seconds("connect_timeout", connect_timeout)
    connecting = min(connect_timeout, 0.9 * timeout)

    def start() -> OpenTransport:
        if client is not None:
            hide_paths_in_log()
            return Httpx2ClientTransport(client, connecting, timeout, max_response), lambda: None
        pool = httpcore2.AsyncConnectionPool(
            ssl_context=default_ssl_context() if ssl is None else ssl,
            max_connections=None,
            keepalive_expiry=_KEEPALIVE,
            network_backend=TimedNetworkBackend(connecting),
        )
        transport = Httpx2Transport(pool, timeout, max_response)

        async def close() -> None:
            transport.closed = True
            await pool.aclose()

        return transport, close

    return UnopenedTransport(start)
