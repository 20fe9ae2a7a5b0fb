"""The connections of the server: their timeouts, and the requests that are answered as soon as they arrive.

Rules:
- A connection is closed if the head or the body of a request takes more than REQUEST_TIMEOUT seconds, or if the client
  does not read its responses for as long.
- The timeout does not run while a request is being answered, however long that takes and whatever arrives meanwhile.
- A connection without a request is closed after KEEP_ALIVE seconds.
- A request that arrives whole is answered without a task, in the turn of the event loop after its arrival, if nothing
  about it is special. From the first one that is not, aiohttp reads and answers the requests of this connection, so
  that responses keep their order.
- Requests of several connections are answered together: all are parsed, then all are answered, then all responses are
  written. So each step finds its code and data in the caches of the processor, which a system call in between evicts.
"""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Final, TypeAlias, cast, final

from aiohttp import HttpVersion11
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import SERVER_SOFTWARE, HttpProcessingError, HttpRequestParser, RawRequestMessage

from ..http import Response
from .http.responses import SimulatedResponse

REQUEST_TIMEOUT = 10.0  # seconds for the head of a request, and again for its body
KEEP_ALIVE = 75.0  # seconds for which a connection may wait for its next request
MAX_LINE_SIZE: Final = 8190  # bytes of a request line, and of a header
MAX_HEADERS: Final = 128
_MAX_WHOLE_SIZE: Final = 2**16  # bytes of a request that is answered on arrival
_SERVER: Final = f"Server: {SERVER_SOFTWARE}\r\n"
_REASONS: Final = {one.value: one.phrase for one in HTTPStatus}
_END_OF_REQUEST: Final = b"\r\n\r\n"
_TAIL_SIZE: Final = 64  # bytes that are enough to recognise the end of a request
_TOGETHER: Final = 16  # requests; with more of them the first client would wait for its response for too long
Responder: TypeAlias = Callable[[RawRequestMessage, bytes, str | None], SimulatedResponse | None]


@final
class ServerConnections:
    """All connections of a server, by their transports."""

    def __init__(self, answer: Responder) -> None:
        """Start without connections.

        *answer* is called with the head and the body of a request, and the local address. It returns the response, or
        None if aiohttp is to read the request.
        """
        self.answer = answer
        self.connected: dict[asyncio.BaseTransport, ServerConnection] = {}
        self._arrived: list[ServerConnection] = []

    def wrap(self, inner: asyncio.Protocol) -> "ServerConnection":
        """Return a protocol for a new connection that passes to *inner* what it does not answer itself."""
        return ServerConnection(inner, self)

    def find(self, transport: asyncio.BaseTransport | None) -> "ServerConnection":
        """Return a connection by its transport; for one that is closed, a connection without effect."""
        found = None if transport is None else self.connected.get(transport)
        return self.wrap(asyncio.Protocol()) if found is None else found

    def answer_soon(self, connection: "ServerConnection", loop: asyncio.AbstractEventLoop) -> None:
        """Answer what has arrived at *connection* in the next turn of *loop*."""
        if not self._arrived:
            _ = loop.call_soon(self.answer_arrived)
        self._arrived.append(connection)

    def answer_arrived(self) -> None:
        """Answer the requests that have arrived, in this order, several at a time."""
        arrived, self._arrived = self._arrived, []
        for start in range(0, len(arrived), _TOGETHER):
            together = arrived[start : start + _TOGETHER]
            for one in together:
                one.parse_arrived()
            for one in together:
                one.answer_parsed()
            for one in together:
                one.write_answer()


@final
class ServerConnection(asyncio.Protocol):
    """Answers a request that arrives whole, passes anything else to *inner*, and closes the connection in time."""

    def __init__(self, inner: asyncio.Protocol, connections: ServerConnections) -> None:
        """Wrap *inner*; while it is connected, it is one of *connections*."""
        self._inner = inner
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._parser: HttpRequestParser | None = new_parser(self._loop)  # None: aiohttp reads the requests
        self._arrived = b""  # what is to be answered in the next turn of the event loop
        self._parsed: tuple[RawRequestMessage, bytes] | None = None
        self._answered: SimulatedResponse | Exception | None = None
        self._written: bytes | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._deadline: float | None = None  # by the clock of the event loop
        self._transport: asyncio.Transport | None = None
        self.local: str | None = None  # the address of this end
        self._tail = b""
        self._is_idle = False  # no request has begun to arrive
        self._responding = False
        self._paused = False  # the client has to read its responses first
        self._begun = False

    def begin_response(self) -> None:
        """Stop the timer: the head of a request has arrived and is being answered."""
        self._responding = True
        self._update_timer()

    def take_answer(self) -> SimulatedResponse | None:
        """Return the response to the request that is being answered, if it was determined on arrival.

        Raises the exception that the sandbox raised instead, which is a defect.
        """
        answered, self._answered = self._answered, None
        if isinstance(answered, Exception):
            raise answered
        return answered

    def body_received(self, body: bytes) -> None:
        """Note that the *body* of the request has arrived."""
        # The last bytes are the end of this request; otherwise the next request has begun to arrive.
        self._begun = not self._tail.endswith((_END_OF_REQUEST, (_END_OF_REQUEST + body)[-_TAIL_SIZE:]))

    def end_response(self) -> None:
        """Note that the request is answered; start the timer for the next one."""
        self._responding = False
        self._update_timer()

    def parse_arrived(self) -> None:
        """Parse what has arrived, if it is one whole request."""
        if self._parser is not None:
            self._parsed = read_whole_request(self._parser, self._arrived)

    def answer_parsed(self) -> None:
        """Determine the response to the request that was parsed. A special one is kept for aiohttp."""
        parsed, self._parsed = self._parsed, None
        if parsed is None:
            return
        try:
            answered = self._connections.answer(*parsed, self.local)
            if answered is not None and not answered.delay and not answered.lost:
                self._written = write_response(answered.response)
        except Exception as error:  # noqa: BLE001 - a defect: aiohttp logs it, and responds with 500
            self._answered = error
        else:
            self._answered = answered if self._written is None else None

    def write_answer(self) -> None:
        """Write the response that was determined, or pass to aiohttp what has arrived."""
        arrived, self._arrived = self._arrived, b""
        written, self._written = self._written, None
        if written is None or self._transport is None:
            self._parser = None
            self._pass_on(arrived)
            return
        self._update_timer()
        self._transport.write(written)  # may call `pause_writing`

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the timer for the first request."""
        self._transport = cast("asyncio.Transport", transport)
        self._connections.connected[transport] = self
        address = transport.get_extra_info("sockname")
        self.local = address[0] if address else None
        self._start_timer(REQUEST_TIMEOUT)
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Answer the request in *data* soon, or start the timer for the rest of it."""
        if self._parser is None:
            self._pass_on(data)
            return
        if not self._arrived:
            self._connections.answer_soon(self, self._loop)
        self._arrived += data

    def _pass_on(self, data: bytes) -> None:
        self._tail = (self._tail + data[-_TAIL_SIZE:])[-_TAIL_SIZE:]
        if self._responding or self._paused:
            self._begun = True
        elif self._is_idle or self._deadline is None:
            self._start_timer(REQUEST_TIMEOUT)
        self._inner.data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Answer what has arrived, which has its effect without a client, too. Stop the timer."""
        self._answer_now()
        self._stop_timer()
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            _ = self._connections.connected.pop(self._transport, None)
            self._transport = None
        self._inner.connection_lost(exc)

    def eof_received(self) -> bool | None:
        """Pass the end of the input to the inner protocol."""
        self._answer_now()
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        """Start the timer: the client has to read its responses. Let aiohttp answer, which waits for that."""
        self._parser = None
        self._paused = True
        if self._is_idle or self._deadline is None:
            self._start_timer(REQUEST_TIMEOUT)
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Stop the timer: the client has read some of its responses."""
        self._paused = False
        self._update_timer()
        self._inner.resume_writing()

    def _answer_now(self) -> None:
        if self._arrived:
            self._connections.answer_arrived()

    def _update_timer(self) -> None:
        # While the client does not read, the timer runs on: aiohttp may still begin with the next request.
        if self._paused:
            return
        if self._responding:
            self._stop_timer()
            return
        self._start_timer(REQUEST_TIMEOUT if self._begun else KEEP_ALIVE)
        self._is_idle = not self._begun

    def _stop_timer(self) -> None:
        self._deadline = None
        self._is_idle = False

    def _start_timer(self, seconds: float) -> None:
        # One timer is enough for many requests: it is moved when it fires before the deadline.
        self._is_idle = False
        self._deadline = self._loop.time() + seconds
        if self._timer is not None and self._timer.when() > self._deadline:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = self._loop.call_at(self._deadline, self._close)

    def _close(self) -> None:
        self._timer = None
        if self._deadline is None or self._transport is None:
            return
        if self._loop.time() < self._deadline:
            self._timer = self._loop.call_at(self._deadline, self._close)
        elif self._is_idle and not self._transport.get_write_buffer_size():
            self._transport.close()  # would wait for a client that does not read
        else:
            self._transport.abort()


def new_parser(loop: asyncio.AbstractEventLoop) -> HttpRequestParser:
    """Return a parser with the limits of the server."""
    return HttpRequestParser(
        BaseProtocol(loop),
        loop,
        _MAX_WHOLE_SIZE,
        max_line_size=MAX_LINE_SIZE,
        max_field_size=MAX_LINE_SIZE,
        max_headers=MAX_HEADERS,
        auto_decompress=False,
    )


def read_whole_request(parser: HttpRequestParser, data: bytes) -> tuple[RawRequestMessage, bytes] | None:
    """Return the head and the body of the request to the API in *data*.

    Return None if it is not exactly one, or if it has something special: it is not of HTTP/1.1, has parts, expects a
    response before its body, or ends the connection. The parser can then not be used any more.
    """
    if len(data) > _MAX_WHOLE_SIZE:
        return None
    try:
        messages, upgraded, rest = parser.feed_data(data)
    except HttpProcessingError:
        return None
    if upgraded or rest or len(messages) != 1:
        return None
    message, payload = messages[0]
    is_special = message.version != HttpVersion11 or message.should_close or message.chunked
    if is_special or message.method == "HEAD" or "Expect" in message.headers or not payload.is_eof():
        return None
    body = payload.read_nowait()
    is_whole = len(data) == data.index(_END_OF_REQUEST) + len(_END_OF_REQUEST) + len(body)
    return (message, body) if is_whole and message.path.startswith("/v1/") else None


def write_response(response: Response) -> bytes | None:
    """Return the bytes of *response*, or None if it is special: it has no body, no date, or a server of its own."""
    headers, body = response.headers, response.body
    if not body or "date" not in headers or "server" in headers:
        return None
    fields = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    reason = _REASONS.get(response.status, "")
    return (
        f"HTTP/1.1 {response.status} {reason}\r\n{fields}Content-Length: {len(body)}\r\n{_SERVER}\r\n".encode() + body
    )
