"""Sending over aiohttp: one session for the client's life, tuned to do nothing it need not do.

Rules:
- Bytes in, bytes out: no cookies, no redirects, no re-quoting of the URL, no compression asked for.
- What is `NotSent` is certain; wherever a byte may have left it is `Unanswered`.
- A connection whose answer was not read to its end is closed, so no other call can read the rest.
"""

import zlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from io import BytesIO
from math import inf
from typing import TYPE_CHECKING, Final, final

import aiohttp
from attrs import define, field
from yarl import URL

from ..http import Request, Response
from ..results import NotSent, Unanswered
from .deadlines import Deadlines
from .protocol import Answer, Transport

if TYPE_CHECKING:
    from ssl import SSLContext

MAX_RESPONSE: Final = 10 * 2**20  # bytes
_KNOWN_URLS: Final = 256  # URLs kept parsed; beyond it the oldest go
_HEADERS: Final = {"Accept-Encoding": "identity"}  # so that bytes out are the bytes of the body
_AUTOMATIC: Final = frozenset({"Accept", "Content-Type", "User-Agent"})  # added by aiohttp to a request without
_LARGE: Final = 2**20  # bytes beyond which aiohttp wants a file, so as not to write all of it in one go
_GZIP: Final = 16 + zlib.MAX_WBITS


@final
@define(eq=False)
class _Aiohttp:
    session: aiohttp.ClientSession
    deadlines: Deadlines
    max_response: int
    _urls: dict[str, URL] = field(factory=dict, init=False, repr=False)

    async def __call__(self, request: Request, /) -> Answer:
        url = self._urls.get(request.url) or self._parse(request.url)
        if url is None:
            return NotSent("the URL is not valid")
        headers = request.headers
        try:
            with self.deadlines.start():
                response = await self.session.request(
                    request.method,
                    url,
                    data=_data(request.body),
                    headers=headers,
                    skip_auto_headers=None if headers.keys() >= _AUTOMATIC else _AUTOMATIC,
                    allow_redirects=False,
                    raise_for_status=False,
                    auto_decompress=False,
                )
                content = response.content
                # A short answer has come whole with its head: nothing is left to wait for.
                body = content.read_nowait() if content.is_eof() else await self._read(response)
        except (aiohttp.ClientError, OSError) as error:
            return _explain(error)
        if body is None or len(body) > self.max_response:
            return self._too_large()
        if response.headers.get("Content-Encoding") in {"gzip", "x-gzip"}:
            return self._unpack(response, body)
        return Response(response.status, response.headers, body)

    async def _read(self, response: aiohttp.ClientResponse) -> bytes | None:
        body = bytearray()
        try:
            async for part in response.content.iter_any():
                body += part
                if len(body) > self.max_response:
                    return None
        finally:
            response.close()  # does nothing to a connection that was read to its end and given back
        return bytes(body)

    def _unpack(self, response: aiohttp.ClientResponse, body: bytes) -> Answer:
        # Not asked for; but what stands in between may do it. What can't be unpacked stays as it came.
        stream = zlib.decompressobj(_GZIP)
        try:
            plain = stream.decompress(body, self.max_response + 1)
        except zlib.error:
            return Response(response.status, response.headers, body)
        if len(plain) > self.max_response:
            return self._too_large()
        packed = {"content-encoding", "content-length"}
        headers = {name: value for name, value in response.headers.items() if name.lower() not in packed}
        return Response(response.status, headers, plain)

    def _too_large(self) -> Unanswered:
        return Unanswered(f"the answer is larger than {self.max_response} bytes")

    def _parse(self, text: str) -> URL | None:
        try:
            url = URL(text, encoded=True)
            _ = (url.raw_host or "").encode("idna"), url.port  # what the resolver would trip over
        except ValueError:
            return None
        if url.scheme not in {"http", "https"} or not url.raw_host or not _is_plain(text):
            return None
        if len(self._urls) >= _KNOWN_URLS:
            del self._urls[next(iter(self._urls))]
        self._urls[text] = url
        return url


def _data(body: bytes | None) -> bytes | BytesIO | None:
    return BytesIO(body) if body is not None and len(body) > _LARGE else body


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text


# The first that fits counts: aiohttp's connector errors are OSErrors too, its time-outs TimeoutErrors.
_REASONS: Final = (
    (aiohttp.ConnectionTimeoutError, NotSent("could not connect in time")),
    (aiohttp.ClientConnectorDNSError, NotSent("the host name could not be resolved")),
    (aiohttp.ClientSSLError, NotSent("no secure connection: TLS failed")),
    (aiohttp.ServerFingerprintMismatch, NotSent("no secure connection: not the certificate that was asked for")),
    (aiohttp.ClientConnectorError, NotSent("could not connect")),
    (aiohttp.ClientHttpProxyError, NotSent("the proxy refused to connect")),
    (aiohttp.InvalidURL, NotSent("the URL is not valid")),
    (TimeoutError, Unanswered("no answer in time")),
    (aiohttp.ClientPayloadError, Unanswered("the answer was cut short")),
    (aiohttp.ClientResponseError, Unanswered("the answer is not HTTP")),
)


def _explain(error: Exception) -> NotSent | Unanswered:
    for kind, answer in _REASONS:
        if isinstance(error, kind):
            return answer
    return Unanswered("the connection was lost")


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
    There are never more connections than calls in flight, and no waiting for one. A *session* that
    is passed in keeps its own settings, so *connect_timeout* and *ssl* are for it to say; it is not closed.
    """
    connect = min(connect_timeout, 0.9 * timeout)
    deadlines = Deadlines(timeout)
    async with AsyncExitStack() as stack:
        _ = stack.callback(deadlines.close)
        if session is None:
            session = await stack.enter_async_context(
                aiohttp.ClientSession(
                    connector=aiohttp.TCPConnector(limit=0, ssl=True if ssl is None else ssl),
                    timeout=aiohttp.ClientTimeout(total=None, connect=connect, ceil_threshold=inf),
                    cookie_jar=aiohttp.DummyCookieJar(),
                    headers=_HEADERS,
                )
            )
        yield _Aiohttp(session, deadlines, max_response)
