"""Sending over httpx2, on asyncio and on trio: over the connections of its core, or a caller's client.

Rules, whichever way it goes:
- What is `NotSent` is certain; wherever a byte may have left it is `Unanswered`.
- No cookies, no redirects, no re-quoting of the URL, no compression asked for.
- A connection whose answer was not read to its end is closed, so no other call can read the rest.
- httpx2 logs the URL of each request; of ours, not the path: a recipient may stand there.
"""

import logging
import ssl as tls
from collections.abc import AsyncIterable, Iterable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, final

import anyio
import httpcore2
import httpx2
from attrs import define, field
from yarl import URL

from ..config import check_seconds
from ..http import Request
from ..results import NotSent, Unanswered
from .bounds import MAX_RESPONSE, answered, collected
from .connecting import NotConnected, default_ssl_context
from .heads import FRAMING, head
from .opening import Opened, Unopened
from .protocol import Answer, Transport
from .urls import Urls
from .wires import LATE, Network, Wire

_IDLE: Final = 15.0  # seconds for which a connection is kept
_INVALID: Final = NotSent("the URL is not valid")
_LOST: Final = Unanswered("the connection was lost")
_NO_ANSWER: Final = Unanswered("no answer in time")
_NOT_HTTP: Final = (httpcore2.RemoteProtocolError, httpx2.RemoteProtocolError)
_FAILURES: Final = (httpcore2.NetworkError, httpcore2.ProtocolError, httpx2.RequestError, OSError)

# What a caller's client raises; the first that fits counts.
_REASONS: Final = (
    (httpx2.ConnectTimeout, LATE),
    (httpx2.PoolTimeout, NotSent("no connection was free in time")),
    (httpx2.ConnectError, NotSent("could not connect")),
    (httpx2.ProxyError, NotSent("the proxy refused to connect")),
    (httpx2.TimeoutException, _NO_ANSWER),
)


def open(  # noqa: A001 - `transports.httpx2.open`
    *,
    timeout: float = 30.0,
    connect_timeout: float = 10.0,
    max_response: int = MAX_RESPONSE,
    ssl: tls.SSLContext | None = None,
    client: httpx2.AsyncClient | None = None,
) -> AbstractAsyncContextManager[Transport]:
    """Make a transport over httpx2, for asyncio or trio, opened and closed by `async with` or a `Client`.

    *timeout* is in seconds for one whole exchange, of which at most *connect_timeout* (and nine
    tenths) may go into connecting. An answer of more than *max_response* bytes is `Unanswered`.
    There are never more connections than calls in flight, and no waiting for one.

    A *client* that is passed in keeps its TLS, limits, proxy, hooks and headers, so *ssl* is set
    there. Its time-outs, cookies, parameters, redirects and authentication are left out. It is not
    closed. It must not repeat requests by itself: what is `NotSent` would no longer be certain. An answer
    that came before its request, from a server that says more than it was asked, is only distinguished from
    a real one over connections of our own.
    """
    check_seconds("timeout", timeout)
    check_seconds("connect_timeout", connect_timeout)
    connecting = min(connect_timeout, 0.9 * timeout)

    def start() -> Opened:
        if client is not None:
            _LOG.addFilter(_without_paths)
            return OverClient(client, connecting, timeout, max_response), lambda: None
        pool = httpcore2.AsyncConnectionPool(
            ssl_context=default_ssl_context() if ssl is None else ssl,
            max_connections=None,
            keepalive_expiry=_IDLE,
            network_backend=Network(connecting),
        )
        over = OverPool(pool, timeout, max_response)

        async def close() -> None:
            over.closed = True
            await pool.aclose()

        return over, close

    return Unopened(start)


@final
@define(eq=False)
class OverPool:
    """A transport over the connections of *pool*, whose network is ours."""

    pool: httpcore2.AsyncConnectionPool
    timeout: float
    most: int
    closed: bool = False
    _urls: Urls = field(factory=Urls, init=False, repr=False)

    async def __call__(self, request: Request, /) -> Answer:
        """Send *request*: its answer, or how it came to none. A header that can't be sent is a ValueError."""
        if self.closed:
            raise RuntimeError("this transport is closed: send inside its `async with`")
        url = self._urls.get(request.url)
        if url is None or not url.port:  # the core takes port 0 for none
            return _INVALID
        where = httpcore2.URL(scheme=url.scheme, host=f"{url.raw_host}", port=url.port, target=url.raw_path_qs)
        sent = httpcore2.Request(request.method, where, headers=head(request, url), content=request.body)
        with anyio.move_on_after(self.timeout):
            try:
                return await self._exchange(sent)
            except NotConnected as error:
                return error.answer
            except _FAILURES as error:
                return _explain(error)
        return _NO_ANSWER

    async def _exchange(self, sent: httpcore2.Request) -> Answer:
        response = await self.pool.handle_async_request(sent)
        try:
            wire = response.extensions["network_stream"]
            if not (isinstance(wire, Wire) and wire.heard):
                return _LOST  # an answer that was there before the question
            return await _read(response.status, response.headers, response.aiter_stream(), self.most)
        finally:
            await response.aclose()


@final
@define(eq=False)
class OverClient:
    """A transport over a *client* of the caller's."""

    client: httpx2.AsyncClient
    connecting: float
    timeout: float
    most: int
    _urls: Urls = field(factory=Urls, init=False, repr=False)

    async def __call__(self, request: Request, /) -> Answer:
        """Send *request*: its answer, or how it came to none. A header that can't be sent is a ValueError."""
        url = self._urls.get(request.url)
        if url is None:
            return _INVALID
        try:
            sent = self._written(request, url)
        except httpx2.InvalidURL:
            return _INVALID
        with anyio.move_on_after(self.timeout):
            try:
                return await self._exchange(sent)
            except _FAILURES as error:
                return _explain(error)
        return _NO_ANSWER

    async def _exchange(self, sent: httpx2.Request) -> Answer:
        response = await self.client.send(sent, stream=True, auth=httpx2.Auth(), follow_redirects=False)
        try:
            parts = response.aiter_bytes() if response.is_stream_consumed else response.aiter_raw()
            return await _read(response.status_code, response.headers.raw, parts, self.most)
        finally:
            await response.aclose()

    def _written(self, request: Request, url: URL) -> httpx2.Request:
        headers = head(request, url)
        ours = FRAMING | {name.lower().decode() for name, _ in headers}
        headers += [pair for pair in self.client.headers.raw if pair[0].lower().decode() not in ours]
        waits = httpx2.Timeout(None, connect=self.connecting, pool=self.connecting)
        extensions: dict[str, Any] = {"timeout": waits.as_dict()}
        target, named = url.raw_path_qs.encode(), _Named(request.url)
        if named.raw_path != target:  # httpx2 has quoted it anew, or followed its dots
            extensions["target"] = target
        stream = httpx2.ByteStream(request.body or b"")
        sent = httpx2.Request(request.method, named, headers=headers, stream=stream, extensions=extensions)
        sent.url = named  # which httpx2 has copied
        return sent


async def _read(status: int, headers: Iterable[tuple[bytes, bytes]], parts: AsyncIterable[bytes], most: int) -> Answer:
    try:
        body = await collected(parts, most)
    except _NOT_HTTP:
        return Unanswered("the answer was cut short")
    texts = {name.decode(errors="replace"): value.decode(errors="surrogateescape") for name, value in headers}
    return answered(status, texts, body, most)


def _explain(error: Exception) -> NotSent | Unanswered:
    for kind, answer in _REASONS:
        if isinstance(error, kind):
            return answer
    if isinstance(error, _NOT_HTTP) and not str(error).startswith("Server disconnected"):
        return Unanswered("the answer is not HTTP")
    return _LOST


@final
class _Named(httpx2.URL):
    """The URL of a request of ours, for httpx2's log to show without its path."""


def _without_paths(record: logging.LogRecord) -> bool:
    if isinstance(record.args, tuple):
        record.args = tuple(f"{arg.scheme}://{arg.host}/***" if isinstance(arg, _Named) else arg for arg in record.args)
    return True


_LOG: Final = logging.getLogger("httpx2")
