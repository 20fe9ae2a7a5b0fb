"""One connection: aiohttp's protocol, with its parser and its streams. The request is written here.

Half of what a ClientSession does for each call is of no use to this API: cookies, redirects, forms, default headers,
a task that writes the body.

Rules:
- Data that no request asked for closes the connection: it is not the response to the next request.
- If a response was not read to its end, its connection is not reusable, so that no other call can read the rest.
- If more arrived with a response than its Content-Length, its connection is not reusable. aiohttp's parser does not
  report the beginning of a second response.
- A reset is not the end of a response that has no length. A body where none is allowed, as of a 204, is not read.
- The head of a response may have `MAX_HEAD` bytes, whatever limits aiohttp has for its lines.
- The names of aiohttp that this file needs are in `NAMES`; `missing_names` looks for them.
"""

import asyncio
from collections.abc import Callable
from typing import Final, TypeAlias, final

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import HttpProcessingError, RawResponseMessage

from ...results import NotSent
from ..common.causes import LOST_BEFORE_SENT, connection_lost, cut_short
from ..common.connections import watch_socket
from ..common.http1 import MAX_HEAD, NOT_HTTP, RequestCoalescer, decode_headers, ends_with_connection, finish_response
from ..protocol import Answer
from .session import head_limits

NAMES: Final = [
    "_reading_paused",
    "connection_lost",
    "data_received",
    "exception",
    "feed_data",
    "force_close",
    "resume_reading",
    "set_response_params",
    "should_close",
    "transport",
]
_Response: TypeAlias = tuple[RawResponseMessage, aiohttp.StreamReader]
UNREQUESTED_DATA: Final = NotSent("the server sent data before the request")
NETWORK_ERRORS: Final = (aiohttp.ClientError, aiohttp.EofStream, HttpProcessingError, OSError)
_SWITCHING_PROTOCOLS: Final = 101
_BODILESS_STATUSES: Final = frozenset({b"204", b"304"})
_END_OF_HEAD: Final = b"\r\n\r\n"


def missing_names() -> str:
    """Return the names of aiohttp that `AiohttpConnection` needs and that this version does not have."""
    return ", ".join(name for name in NAMES if not hasattr(ResponseHandler, name))


@final
class AiohttpConnection(ResponseHandler):
    """A connection for one exchange at a time; a response has at most *max_response* bytes."""

    def __init__(self, loop: asyncio.AbstractEventLoop, max_response: int, coalescer: RequestCoalescer) -> None:
        super().__init__(loop)
        self._event_loop: Final = loop
        self._future: asyncio.Future[_Response | None] | None = None
        self._max_response: Final = max_response
        self._coalescer: Final = coalescer
        self._limits: Final = head_limits(ResponseHandler.set_response_params)
        self._request: bytes | None = None
        self._has_data: Callable[[int], object]
        self._expecting = self._in_head = self._bodiless = self._unrequested = False
        self._head_size = 0
        self._first = b""  # the first part of a response
        self._last = b""  # the last bytes of a head that has no body, for an end of it that comes in two parts
        self._lost: BaseException | None = None
        self._malformed = self._parses = False
        self.reusable: bool = False
        self.idle_since: float = 0.0
        self.retire_at: float = 0.0

    @property
    def is_open(self) -> bool:
        """Whether a request can be sent over it: it is open, and there is nothing to read."""
        transport = self.transport
        return transport is not None and not transport.is_closing() and not self._has_data(0)

    @property
    def answered(self) -> bool:
        """Whether a byte of the response to the last request has arrived."""
        return self._head_size > 0

    def abort(self) -> None:
        """Close the connection at once; data that is still buffered is not sent."""
        if self.transport is not None:
            self.transport.abort()

    async def send(self, request: bytes, *, bodiless: bool) -> Answer:
        """Send *request* and return its outcome; the response to a *bodiless* one has only a head."""
        future = self._future = self._event_loop.create_future()
        self._in_head, self._head_size, self._last, self.reusable = True, 0, b"", False
        # To make a parser takes as long as to parse a head. After a response without a body it may wait for one.
        if bodiless or self._bodiless or not self._parses:
            self.set_response_params(skip_payload=bodiless, read_until_eof=True, auto_decompress=False, **self._limits)
            self._parses = True
        self._request, self._bodiless = request, bodiless
        self._coalescer.add(self._write)
        response = await future
        return self._failure() if response is None else await self._respond(*response)

    async def _respond(self, message: RawResponseMessage, content: aiohttp.StreamReader) -> Answer:
        self._in_head = False
        if self._head_size > MAX_HEAD and sum(len(name) + len(value) for name, value in message.raw_headers) > MAX_HEAD:
            return NOT_HTTP
        try:
            body = await _read_body(content, self._max_response)
        except NETWORK_ERRORS as error:
            return NOT_HTTP if isinstance(error, HttpProcessingError) else cut_short(self._lost or error)
        self._expecting = False
        transport, headers = self.transport, decode_headers(message.raw_headers)
        if self._lost is not None and not self._bodiless and ends_with_connection(headers):
            return cut_short(self._lost)
        self.reusable = (
            body is not None
            and transport is not None
            and not self.should_close
            and not transport.is_closing()
            and not transport.get_write_buffer_size()  # the rest of it must not affect the next request
            and not self._has_more(headers.get("content-length"))
        )
        return finish_response(message.code, headers, body, self._max_response)

    def _has_more(self, length: str | None) -> bool:
        # Whether a response that arrived in one part was followed by something else.
        first = self._first
        if self._head_size > len(first) or length is None or not length.isdecimal() or self._bodiless:
            return False
        return len(first) > first.find(_END_OF_HEAD) + len(_END_OF_HEAD) + int(length)

    def _failure(self) -> Answer:
        if self._request is not None:
            return UNREQUESTED_DATA if self._unrequested else LOST_BEFORE_SENT
        return NOT_HTTP if self._malformed else connection_lost(self._lost)

    def _write(self) -> None:
        # A call that was cancelled has cancelled its future.
        request, transport = self._request, self.transport
        if request is None or transport is None or transport.is_closing() or self._is_answered():
            return
        self._request, self._expecting = None, True
        transport.write(request)

    # Called by asyncio.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the asyncio transport."""
        super().connection_made(transport)
        self._has_data = watch_socket(transport.get_extra_info("socket").fileno())

    def data_received(self, data: bytes) -> None:
        """Parse *data*; if no request asked for it, close the connection."""
        if not self._expecting:
            self._unrequested = True
            self.abort()
            return
        if self._in_head:
            if not self._head_size:
                self._first = data
                if data[9:12] in _BODILESS_STATUSES:
                    self._bodiless = True
            self._head_size += len(data)
            if self._bodiless:
                data = self._without_body(data)
        ResponseHandler.data_received(self, data)  # a third of the time of `super()`
        if self._is_answered():
            return
        if self._head_size > MAX_HEAD or self.exception() is not None:
            self._malformed = True
            self._end()
            self.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        """End the response, or the wait for it."""
        self._lost = exc
        super().connection_lost(exc)
        self._end()

    # Called by aiohttp.

    def feed_data(self, data: _Response, size: int = 0) -> None:  # noqa: ARG002 - some versions pass it
        """Give the call its response; a second response to one request closes the connection."""
        if 100 <= data[0].code < 200 and data[0].code != _SWITCHING_PROTOCOLS:  # noqa: PLR2004 - 1xx: interim
            return
        if self._future is None or self._future.done():
            self.force_close()
        else:
            self._future.set_result(data)

    def resume_reading(self, *args: bool, **kwargs: bool) -> None:
        """Resume reading if it is paused. aiohttp asks for it at each read, and then also parses what is left."""
        if self._reading_paused:
            super().resume_reading(*args, **kwargs)

    def _end(self) -> None:
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    def _is_answered(self) -> bool:
        return self._future is None or self._future.done()

    def _without_body(self, data: bytes) -> bytes:
        # The parser takes a body where none is allowed for the next response.
        end = (self._last + data).find(_END_OF_HEAD)
        if end < 0:
            self._last = (self._last + data)[-3:]
            return data
        size = end + len(_END_OF_HEAD) - len(self._last)
        if size < len(data):
            self.force_close()
        return data[:size]


async def _read_body(content: aiohttp.StreamReader, limit: int) -> bytes | None:
    # None if it is more than *limit* bytes, with the rest unread.
    if content.is_eof():  # a short body has arrived whole with its head: there is nothing to wait for
        body = content.read_nowait()
        return body if len(body) <= limit else None
    buffer = bytearray()
    async for part in content.iter_any():
        buffer += part
        if len(buffer) > limit:
            return None
    return bytes(buffer)
