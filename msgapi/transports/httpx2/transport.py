"""A transport over httpx2: over the connection pool of its core, or over a client of the caller's.

Rules, for both:
- `NotSent` is certain. If a byte may have left, the outcome is `Unanswered`.
- No cookies, no redirects, no quoting of the URL, no request for compression.
- If a response was not read to its end, its connection is closed, so that no other call can read the rest.
"""

import ssl as tls
from contextlib import AbstractAsyncContextManager
from typing import Final, final

import anyio
import httpcore2
import httpx2
from attrs import define, field

from ...config import check_seconds
from ...http import Request
from ..common.http1 import MAX_RESPONSE, UrlCache, request_headers
from ..common.opening import ConnectFailed, OpenTransport, UnopenedTransport, default_ssl_context
from ..protocol import Answer, Transport
from .client import (
    CONNECTION_LOST,
    INVALID_URL,
    NETWORK_ERRORS,
    TIMED_OUT,
    Httpx2ClientTransport,
    hide_paths_in_log,
    outcome_of,
    read_response,
)
from .network import TimedNetworkBackend, TimedNetworkStream

_KEEPALIVE: Final = 15.0  # seconds for which an idle connection is kept


@final
@define(eq=False)
class Httpx2Transport:
    """A transport over *pool*, whose network backend is a `TimedNetworkBackend`."""

    pool: httpcore2.AsyncConnectionPool
    timeout: float
    max_response: int
    closed: bool = False
    _urls: UrlCache = field(factory=UrlCache, init=False, repr=False)

    async def __call__(self, request: Request, /) -> Answer:
        """Send *request* and return its outcome. Raise ValueError if one of its headers is not valid."""
        if self.closed:
            raise RuntimeError("this transport is closed: send inside its `async with`")
        url = self._urls.get(request.url)
        if url is None or not url.port:  # the core takes port 0 for no port
            return INVALID_URL
        core_url = httpcore2.URL(scheme=url.scheme, host=f"{url.raw_host}", port=url.port, target=url.raw_path_qs)
        headers = request_headers(request, url)
        core_request = httpcore2.Request(request.method, core_url, headers=headers, content=request.body)
        with anyio.move_on_after(self.timeout):
            try:
                return await self._exchange(core_request)
            except ConnectFailed as error:
                return error.outcome
            except NETWORK_ERRORS as error:
                return outcome_of(error)
        return TIMED_OUT

    async def _exchange(self, request: httpcore2.Request) -> Answer:
        response = await self.pool.handle_async_request(request)
        try:
            stream = response.extensions["network_stream"]
            if not (isinstance(stream, TimedNetworkStream) and stream.received):
                return CONNECTION_LOST  # the response had arrived before the request was written
            return await read_response(response.status, response.headers, response.aiter_stream(), self.max_response)
        finally:
            await response.aclose()


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
