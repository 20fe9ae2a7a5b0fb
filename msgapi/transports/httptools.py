"""A transport over asyncio's sockets, with httptools as the parser: the one with the least CPU time per call.

Rules, beside those of `common.connections`:
- No cookies, no redirects, no quoting of the URL, no request for compression.
- If a response was not read to its end, its connection is closed, so that no other call can read the rest.
- A connection is `reusable` only if the response has ended, the request is written whole, and no data arrived since.
- A connection that was used before is checked right before the next request is written. If the socket has data or is
  at its end, the connection is closed and the outcome is `NotSent`.
- Once a request is written, any failure is `Unanswered`. A request whose connection is lost, or whose call is
  cancelled, before it is written is not written afterwards either.
- Data that arrives before a request is written is not the response to it.
"""

import asyncio
import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Final, cast, final

from ..config import check_count, check_seconds, needing_extra
from ..results import Unanswered
from .common.causes import LOST_BEFORE_SENT, connection_lost, cut_short
from .common.connections import (
    KEEPALIVE,
    MAX_AGE,
    MAX_CONNECTIONS,
    ConnectionLimit,
    PooledTransport,
    make_deadlines,
    watch_socket,
)
from .common.http1 import MAX_HEAD, MAX_RESPONSE, NOT_HTTP, RequestCoalescer, finish_response, header_names
from .common.opening import FROM_ENVIRONMENT, Connector, OpenTransport, UnopenedTransport, parse_setting, read_proxies
from .protocol import Answer, Transport

with needing_extra("transports.httptools", "fast", "httptools", "aiohappyeyeballs"):
    import httptools

if TYPE_CHECKING:
    from ssl import SSLContext

_SWITCHING_PROTOCOLS: Final = 101


@final
class HttpConnection(asyncio.Protocol):
    """A connection for one exchange at a time; a response has at most *max_response* bytes."""

    def __init__(self, max_response: int, coalescer: RequestCoalescer) -> None:
        self._max_response: Final = max_response
        self._coalescer: Final = coalescer
        self._unsent = b""
        self._parser: Final = httptools.HttpResponseParser(self)
        self._future: asyncio.Future[Answer] | None = None
        self._transport: asyncio.Transport
        self._bodiless = self._in_head = self._keep_alive = self._until_eof = False
        self._status = self._head_size = self._replaced_size = 0
        self._headers: dict[str, str] = {}
        self._body: bytes | bytearray = b""
        self._watch: Callable[[int], object] | None = None  # from the first request on
        self._loop: Final = asyncio.get_running_loop()
        self.idle_since: float = 0.0
        self.retire_at: float = 0.0
        self.is_open: bool = True  # it is checked when the request is written

    def send(self, request: bytes, *, bodiless: bool) -> asyncio.Future[Answer]:
        """Send *request* and return the future of its outcome; the response to a *bodiless* one has only a head."""
        future = self._future = self._loop.create_future()
        self._in_head, self._bodiless = True, bodiless
        self._head_size = self._replaced_size = 0
        self._headers = {}
        self._body = b""
        self._unsent = request
        self._coalescer.add(self._write)
        return future

    @property
    def reusable(self) -> bool:
        """Whether it can carry one more request, after the exchange has ended."""
        transport = self._transport
        return self._keep_alive and not (transport.is_closing() or transport.get_write_buffer_size())

    @property
    def answered(self) -> bool:
        """Whether a byte of the response to the last request has arrived."""
        return self._head_size > 0

    def abort(self) -> None:
        """Close the connection at once; data that is still buffered is not sent."""
        self._transport.abort()

    # Called by asyncio.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the asyncio transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Parse *data*; if no response is expected, close the connection."""
        if self._future is None or self._future.done() or self._unsent:
            self.abort()
            return
        if self._in_head:
            self._head_size += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._keep_alive = False
        except httptools.HttpParserError:
            self._fail(NOT_HTTP)
        if self._in_head and self._head_size > MAX_HEAD:
            self._fail(NOT_HTTP)

    def connection_lost(self, exc: Exception | None) -> None:
        """Set the outcome; a response without a length ends here."""
        if self._unsent:
            self._set_outcome(LOST_BEFORE_SENT)
        elif self._in_head:
            self._set_outcome(connection_lost(exc))
        elif self._until_eof and exc is None:
            self._finish()
        else:
            self._set_outcome(Unanswered("the response was cut short") if exc is None else cut_short(exc))

    # Called by the parser.

    def on_message_begin(self) -> None:
        """Begin a response; a second response to one request is an error, which closes the connection."""
        if not self._in_head:
            raise ValueError("a second response")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; if it is repeated, the last one."""
        key, headers = header_names[name], self._headers
        if key in headers:
            self._replaced_size += _line_size(key, headers[key])
        try:
            headers[key] = value.decode()  # half of the time of the next one
        except UnicodeDecodeError:
            headers[key] = value.decode(errors="surrogateescape")

    def on_headers_complete(self) -> None:
        """Check the head, and decide what follows: nothing, a body, or another response, as after a 1xx."""
        self._status = self._parser.get_status_code()
        self._in_head = False
        self._keep_alive = self._parser.should_keep_alive()
        self._until_eof = not self._keep_alive and self._has_no_length()
        if self._head_size > MAX_HEAD and self._fields_size() > MAX_HEAD:
            self._fail(NOT_HTTP)
        elif self._bodiless:
            self._finish()
            self._keep_alive = False  # the parser waits for a body

    def on_body(self, data: bytes) -> None:
        """Keep a part of the body."""
        if not self._body:
            self._body = data  # most bodies arrive in one part
        elif isinstance(self._body, bytearray):
            self._body += data
        else:
            self._body = bytearray(self._body) + data
        if len(self._body) > self._max_response:
            self._fail(finish_response(self._status, self._headers, None, self._max_response))

    def on_message_complete(self) -> None:
        """End the response; after a 1xx, begin the next."""
        if 100 <= self._status < 200 and self._status != _SWITCHING_PROTOCOLS:  # noqa: PLR2004 - 1xx: interim
            self._in_head = True
            self._headers = {}
        else:
            self._finish()

    def _write(self) -> None:
        if self._future is None or self._future.done():
            return
        if self._transport.is_closing() or (self._watch is not None and self._watch(0)):
            self._set_outcome(LOST_BEFORE_SENT)
            self.abort()
            return
        if self._watch is None:
            self._watch = watch_socket(self._transport.get_extra_info("socket").fileno())
        request, self._unsent = self._unsent, b""
        self._transport.write(request)

    def _fields_size(self) -> int:
        # The data that arrived with the head may be body, so the head is measured by its fields.
        return self._replaced_size + sum(_line_size(*field) for field in self._headers.items())

    def _has_no_length(self) -> bool:
        chunked = self._headers.get("transfer-encoding", "").lower().endswith("chunked")
        return not chunked and "content-length" not in self._headers

    def _finish(self) -> None:
        self._set_outcome(finish_response(self._status, self._headers, bytes(self._body), self._max_response))

    def _fail(self, outcome: Answer) -> None:
        self._keep_alive = False
        self._set_outcome(outcome)
        self.abort()

    def _set_outcome(self, outcome: Answer) -> None:
        if self._future is not None and not self._future.done():
            self._future.set_result(outcome)


def _line_size(name: str, value: str) -> int:
    return len(name) + len(value) + 4  # a colon, a space, and the line break


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


__all__ = ["open"]
