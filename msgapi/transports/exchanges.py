"""One connection of asyncio's: a request goes out over it, and httptools reads the answer to it.

Rules:
- A connection is `kept` only if the answer has ended, the request is written whole, and no byte came since.
- Once a request has left, whatever goes wrong is `Unanswered`. One that is lost or cancelled before has not, nor
  does it later.
- What comes before a request has left is no answer to it.
"""

import asyncio
from functools import lru_cache
from typing import Final, cast, final

import httptools

from ..http import Lowered
from ..results import NotSent, Unanswered
from .bounds import answered
from .outbox import Outbox
from .protocol import Answer

_LONGEST_HEAD: Final = 2**17  # bytes of an answer's headers, and what comes with their last part
_SWITCHING: Final = 101
_NOT_HTTP: Final = Unanswered("the answer is not HTTP")


@final
class Exchanges(asyncio.Protocol):
    """A connection for one exchange at a time, whose answers may have *most* bytes; *since* when it is idle."""

    def __init__(self, most: int, outbox: Outbox) -> None:
        self._most: Final = most
        self._outbox: Final = outbox
        self._unsent = b""
        self._parser: Final = httptools.HttpResponseParser(self)
        self._waiting: asyncio.Future[Answer] | None = None
        self._transport: asyncio.Transport
        self._bodiless = self._heading = self._kept = self._endless = False
        self._status = self._size = 0
        self._headers = Lowered()
        self._body: bytes | bytearray = b""
        self._loop: Final = asyncio.get_running_loop()
        self.since: float = 0.0

    def ask(self, request: bytes, *, bodiless: bool) -> asyncio.Future[Answer]:
        """Send *request*, and give the answer when it is there; a *bodiless* one has only a head."""
        waiting = self._waiting = self._loop.create_future()
        self._heading, self._bodiless = True, bodiless
        self._size = 0
        self._headers = Lowered()
        self._body = b""
        self._unsent = request
        self._outbox.put(self._leave)
        return waiting

    @property
    def alive(self) -> bool:
        """Whether a request can still be given to it."""
        return not self._transport.is_closing()

    @property
    def kept(self) -> bool:
        """Whether it can carry one more request, now that the last one has its answer."""
        return self._kept and self.alive and not self._transport.get_write_buffer_size()

    def drop(self) -> None:
        """Close it at once; what has not left yet stays here."""
        self._transport.abort()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Read on; bytes that nobody waits for end the connection."""
        if self._waiting is None or self._waiting.done() or self._unsent:
            self.drop()
            return
        if self._heading:
            self._size += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._kept = False
        except httptools.HttpParserError:
            self._fail(_NOT_HTTP)
        if self._heading and self._size > _LONGEST_HEAD:
            self._fail(_NOT_HTTP)

    def connection_lost(self, exc: Exception | None) -> None:
        """Settle what is left: an answer without a length ends here."""
        if self._unsent:
            self._settle(NotSent("the connection was lost before it left"))
        elif self._heading:
            self._settle(Unanswered("the connection was lost"))
        elif self._endless and exc is None:
            self._end()
        else:
            self._settle(Unanswered("the answer was cut short"))

    # What the parser calls.

    def on_message_begin(self) -> None:
        """Begin to read an answer; one that nobody asked for is an error, which ends the connection."""
        if not self._heading:
            raise ValueError("a second answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; of one that comes twice, the last."""
        self._headers[_name(name)] = value.decode(errors="surrogateescape")

    def on_headers_complete(self) -> None:
        """See what follows: nothing, a body, or an answer after this one, as after a 1xx."""
        self._status = self._parser.get_status_code()
        self._heading = False
        self._kept = self._parser.should_keep_alive()
        self._endless = not self._kept and self._is_endless()
        if self._size > _LONGEST_HEAD and sum(map(len, [*self._headers, *self._headers.values()])) > _LONGEST_HEAD:
            self._fail(_NOT_HTTP)
        elif self._bodiless:
            self._end()
            self._kept = False  # the parser waits for a body

    def on_body(self, data: bytes) -> None:
        """Keep a part of the body."""
        if not self._body:
            self._body = data  # most come whole
        elif isinstance(self._body, bytearray):
            self._body += data
        else:
            self._body = bytearray(self._body) + data
        if len(self._body) > self._most:
            self._fail(answered(self._status, self._headers, None, self._most))

    def on_message_complete(self) -> None:
        """End the answer."""
        if 100 <= self._status < 200 and self._status != _SWITCHING:  # noqa: PLR2004 - 1xx: not the answer yet
            self._heading = True
            self._headers = Lowered()
        else:
            self._end()

    def _leave(self) -> None:
        if not self._transport.is_closing() and self._waiting is not None and not self._waiting.done():
            request, self._unsent = self._unsent, b""
            self._transport.write(request)

    def _is_endless(self) -> bool:
        chunked = self._headers.get("transfer-encoding", "").lower().endswith("chunked")
        return not chunked and "content-length" not in self._headers

    def _end(self) -> None:
        self._settle(answered(self._status, self._headers, bytes(self._body), self._most))

    def _fail(self, answer: Answer) -> None:
        self._kept = False
        self._settle(answer)
        self.drop()

    def _settle(self, answer: Answer) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(answer)


@lru_cache(256)
def _name(raw: bytes) -> str:
    return raw.decode(errors="replace").lower()
