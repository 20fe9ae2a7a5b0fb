"""HTTP/1.1 on the wire: URLs, the heads of requests, when requests are written, and responses.

Rules:
- A URL is sent as it is: nothing is quoted again.
- No header is sent but the request's own, Host, Accept-Encoding, and the one that frames the body.
- A response is read up to a limit, and unpacked.

Coalescing: requests that are made in one iteration of the event loop are written one right after the other. This
matters for a peer on the same machine, such as a sidecar proxy: waking it for each write costs more than the write,
and it stays awake between writes that follow each other closely. Rules:
- If few requests are in flight, each is written at once.
- No request waits for longer than one iteration of the loop, nor for more than `_BATCH` others.
"""

import asyncio
import re
import zlib
from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from functools import lru_cache
from itertools import zip_longest
from typing import TYPE_CHECKING, Final, TypeAlias, final

from anyio import CancelScope
from attrs import define, field, frozen
from yarl import URL

from ...codegen import Cache
from ...http import Request, lower_names, new_response
from ...results import Unanswered
from ..protocol import Answer

if TYPE_CHECKING:
    from .connections import Deadlines

MAX_RESPONSE: Final = 10 * 2**20  # bytes
NOT_HTTP: Final = Unanswered("the response is not HTTP")
MAX_HEAD: Final = 2**17  # bytes of a response's head, and of each of its lines
_BATCH: Final = 8  # requests that are written together
_GZIP: Final = 16 + zlib.MAX_WBITS
_GZIP_PART: Final = 2**12  # bytes that are unpacked at a time
_GZIP_MAGIC: Final = b"\x1f\x8b"
_GZIP_NAMES: Final = frozenset({"gzip", "x-gzip"})
_ENCODING_HEADERS: Final = frozenset({"content-encoding", "content-length"})
FRAMING_HEADERS: Final = frozenset(
    {"connection", "content-length", "expect", "te", "trailer", "transfer-encoding", "upgrade"}
)
_CACHED_HEADS: Final = 64
_BREAK_IN_HEADER: Final = "a header has a line break or a zero byte in it"
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_BREAKS: Final = re.compile(r"[\0\n\v\f\r]")
_BODILESS_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})  # without a body, no Content-Length is sent


Origin: TypeAlias = tuple[str, str | None, int | None]
"""Scheme, host and port."""


@final
@frozen(eq=False)
class Target:
    """A parsed URL: its *origin*, what a request line contains of it (*path*, with the query), and its Host header."""

    url: URL
    origin: Origin
    path: str
    host: str


def _parse_target(text: str) -> Target | None:
    try:
        url = URL(text, encoded=True)
        _ = (url.raw_host or "").encode("idna"), url.port  # where the resolver would raise
    except ValueError:
        return None
    if url.scheme not in {"http", "https"} or not url.raw_host or not _is_plain(text):
        return None
    return Target(url, (url.scheme, url.raw_host, url.port), url.raw_path_qs, f"{url.host_port_subcomponent}")


targets: Final = Cache(_parse_target, 256)
"""The targets of absolute http and https URLs, which are not quoted again; None for any other text."""


def request_headers(request: Request, url: URL) -> list[tuple[bytes, bytes]]:
    """Return the headers to send for *request*; raise ValueError if one of them is not valid."""
    names = check_names(request.method, *request.headers)
    if any(map(_BREAKS.search, request.headers.values())):
        raise ValueError(_BREAK_IN_HEADER)
    pairs = [(name.encode(), value.strip(" \t").encode()) for name, value in request.headers.items()]
    if "host" not in names:
        pairs.append((b"Host", f"{url.host_port_subcomponent}".encode()))
    if "accept-encoding" not in names:
        pairs.append((b"Accept-Encoding", b"identity"))  # so that bytes out are the bytes of the body
    if request.body or request.method not in _BODILESS_METHODS:
        pairs.append((b"Content-Length", b"%d" % len(request.body or b"")))
    return pairs


@final
@define(eq=False)
class RequestEncoder:
    """Writes requests as bytes, head and body.

    Requests of one client have the same headers, except for the last one, the idempotency key. What does not change in
    their heads is checked and kept: writing a request takes a third of the time of writing every header.
    """

    _heads: dict[tuple[object, ...], "_Head"] = field(factory=dict, init=False, repr=False)

    def encode(self, request: Request, target: Target) -> bytes:
        """Return *request* to *target* as bytes. Raise ValueError if one of its headers is not valid."""
        method, headers, body = request.method, request.headers, request.body or b""
        framed = bool(body) or method not in _BODILESS_METHODS
        *fixed, last = headers.values() or ("",)
        key = (method, framed, target.host, *headers)
        head = self._heads.get(key)
        if head is None or head.fixed != fixed:
            head = _make_head(method, target.host, [*headers], fixed, framed=framed)
            if len(self._heads) >= _CACHED_HEADS:
                self._heads.clear()
            self._heads[key] = head
        if _has_break(last):
            raise ValueError(_BREAK_IN_HEADER)
        if framed:
            return f"{method} {target.path}{head.before}{last}{head.after}{len(body)}\r\n\r\n".encode() + body
        return f"{method} {target.path}{head.before}{last}{head.after}\r\n\r\n".encode()


@final
@frozen(eq=False)
class _Head:
    # A head without its target, the value of the last header, and the length: the other headers, and what is *before*
    # that value and *after* it.
    fixed: list[str]
    before: str
    after: str


def _make_head(method: str, host: str, names: list[str], fixed: list[str], *, framed: bool) -> _Head:
    lower = check_names(method, *names)
    if _has_break("".join(fixed)):
        raise ValueError(_BREAK_IN_HEADER)
    lines = [f"{name}: {value}" for name, value in zip_longest(names, fixed, fillvalue="")]
    more = [] if "host" in lower else [f"Host: {host}"]
    if "accept-encoding" not in lower:
        more.append("Accept-Encoding: identity")  # so that bytes out are the bytes of the body
    if framed:
        more.append("Content-Length: ")
    return _Head(fixed, "\r\n".join((" HTTP/1.1", *lines)), "\r\n".join(("", *more)))


def _has_break(text: str) -> bool:
    return "\n" in text or "\r" in text or "\0" in text


@lru_cache(64)
def check_names(method: str, *names: str) -> frozenset[str]:
    """Return the header names in lower case; raise ValueError if one of them, or the method, is not valid."""
    if not all(_TOKEN.fullmatch(word) for word in (method, *names)):
        raise ValueError("the method, or the name of a header, has a character that it can't have")
    lower = frozenset(name.lower() for name in names)
    if len(lower) < len(names):
        raise ValueError("a header is given twice, in names that differ only in their case")
    if lower & FRAMING_HEADERS:
        raise ValueError(
            f"these headers are the transport's own to write: {', '.join(sorted(lower & FRAMING_HEADERS))}"
        )
    return lower


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text


async def join_parts(parts: AsyncIterable[bytes], limit: int) -> bytes | None:
    """Return *parts* joined; None if they are more than *limit* bytes, and then the rest is not read.

    The iteration is cancelled, not abandoned: an abandoned generator does not close the generators inside it.
    """
    body = bytearray()
    with CancelScope() as scope:
        async for part in parts:
            body += part
            if len(body) > limit:
                scope.cancel()
    return bytes(body) if len(body) <= limit else None


def _decode_name(name: bytes) -> str:
    return name.decode(errors="replace").lower()


header_names: Final = Cache(_decode_name, 256)
"""The names of headers in lower case, by the bytes that arrived."""


def decode_headers(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return *headers* as text, with names in lower case; if one is repeated, the last one."""
    decoded = {}
    for name, value in headers:
        try:
            text = value.decode()  # half of the time of the next one
        except UnicodeDecodeError:
            text = value.decode(errors="surrogateescape")
        decoded[header_names[name]] = text
    return decoded


def ends_with_connection(headers: Mapping[str, str]) -> bool:
    """Return whether a body with these headers, whose names have no case, ends only with its connection."""
    return "content-length" not in headers and "chunked" not in headers.get("transfer-encoding", "").lower()


def make_response(status: int, headers: Mapping[str, str], body: bytes | None, limit: int) -> Answer:
    """Do the same as `finish_response`, for *headers* whose names can have any case."""
    return finish_response(status, lower_names(headers), body, limit)


def finish_response(status: int, headers: Mapping[str, str], body: bytes | None, limit: int) -> Answer:
    """Return the response, or `Unanswered` if it is larger than *limit* bytes; a *body* of None is too large.

    The names of *headers* must be in lower case. No transport asks for compression, but a proxy may compress the body
    with gzip. It is unpacked here. If it was cut or damaged, the outcome is `Unanswered`; a body that does not begin as
    gzip stays as it is.
    """
    if body is None:
        return _too_large(limit)
    if "content-encoding" not in headers or headers["content-encoding"].strip().lower() not in _GZIP_NAMES:
        return new_response(status, headers, body)
    if not body or not _GZIP_MAGIC.startswith(body[:2]):
        return new_response(status, headers, body)
    try:
        plain = _unpack(body, limit)
    except (EOFError, zlib.error):
        return Unanswered("the response was cut short: its gzip body is incomplete or damaged")
    if plain is None:
        return _too_large(limit)
    kept = {name: value for name, value in headers.items() if name not in _ENCODING_HEADERS}
    return new_response(status, kept, plain)


def _unpack(body: bytes, limit: int) -> bytes | None:
    # A gzip body may have several members, and zeros after the last one. It is read in parts, since zlib copies all
    # that follows a member.
    plain, view, stream = bytearray(), memoryview(body), None
    for start in range(0, len(body), _GZIP_PART):
        part = bytes(view[start : start + _GZIP_PART])
        while part:
            if stream is None:
                part = part.lstrip(b"\0")
                if not part:
                    break
                stream = zlib.decompressobj(_GZIP)
            plain += stream.decompress(part, limit + 1 - len(plain))
            if len(plain) > limit:
                return None
            part = stream.unconsumed_tail or stream.unused_data
            stream = None if stream.eof else stream
    if stream is not None:
        raise EOFError
    return bytes(plain)


def _too_large(limit: int) -> Unanswered:
    return Unanswered(f"the response is larger than {limit} bytes")


@final
class BufferedReader(asyncio.BufferedProtocol):
    """A protocol that reads into *buffer*, and passes what was read to *inner*. Connections can share the buffer.

    For an `asyncio.Protocol` asyncio allocates 256 KiB for each read, which the C library maps and unmaps: three system
    calls more. uvloop has a buffer of its own. It is not for TLS: there asyncio would lose what the buffer has no room
    for when the connection ends.
    """

    def __init__(self, inner: asyncio.Protocol, buffer: memoryview) -> None:
        """Read for *inner*."""
        self._inner = inner
        self._buffer = buffer

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - the buffer has one size
        """Return the buffer to read into."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Pass on a copy of what was read."""
        self._inner.data_received(bytes(self._buffer[:nbytes]))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Pass on the transport."""
        self._inner.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass on the end of the connection."""
        self._inner.connection_lost(exc)

    def eof_received(self) -> bool | None:
        """Pass on the end of the input."""
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        """Pass on that the buffer of the transport is full."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Pass on that the buffer of the transport has room."""
        self._inner.resume_writing()


@final
@define(eq=False)
class RequestCoalescer:
    """Requests that are about to be written; the number of running *deadlines* is that of the requests in flight."""

    deadlines: "Deadlines"
    _loop: asyncio.AbstractEventLoop = field(factory=asyncio.get_running_loop, init=False, repr=False)
    _pending: list[Callable[[], object]] = field(factory=list, init=False, repr=False)

    def add(self, write: Callable[[], object]) -> None:
        """Call *write* in this iteration of the loop or the next. It writes one request, and must not raise."""
        if len(self.deadlines.running) < _BATCH:
            _ = write()
            return
        if not self._pending:
            _ = self._loop.call_soon(self._flush)
        self._pending.append(write)
        if len(self._pending) == _BATCH:
            self._flush()

    def _flush(self) -> None:
        pending, self._pending = self._pending, []
        for write in pending:
            _ = write()
