"""Sending over aiohttp: one session for the client's life, tuned to do nothing it need not do.

Rules:
- Bytes in, bytes out: no cookies, no redirects, no decompression, no re-quoting of the URL.
- What is `NotSent` is certain; wherever a byte may have left it is `Unanswered`.
- A connection whose answer was not read to its end is closed, so no other call can read the rest.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, final

import aiohttp
from attrs import define, field
from yarl import URL

from ..http import Request, Response
from ..results import NotSent, Unanswered
from .protocol import Answer, Transport

if TYPE_CHECKING:
    from ssl import SSLContext

MAX_RESPONSE: Final = 10 * 2**20  # bytes
_KNOWN_URLS: Final = 256  # URLs kept parsed; beyond it the oldest go
_HEADERS: Final = {"Accept-Encoding": "identity"}  # so that bytes out are the bytes of the body
_UNASKED: Final = frozenset({"Accept", "Content-Type", "User-Agent"})  # ours are in the request already


@final
@define(eq=False)
class _Aiohttp:
    session: aiohttp.ClientSession
    max_response: int
    _urls: dict[str, URL] = field(factory=dict, init=False)

    async def __call__(self, request: Request, /) -> Answer:
        try:
            response = await self.session.request(
                request.method,
                self._url(request.url),
                data=b"" if request.body is None and request.method in {"POST", "PUT", "PATCH"} else request.body,
                headers=request.headers,
                allow_redirects=False,
            )
        except (aiohttp.ClientError, OSError) as error:
            return _before_the_answer(error)
        try:
            body = await self._read(response)
        except (aiohttp.ClientError, OSError) as error:
            return _within_the_answer(error)
        finally:
            response.close()  # does nothing to a connection that was read to its end and given back
        if body is None:
            return Unanswered(f"the answer is larger than {self.max_response} bytes")
        return Response(response.status, response.headers, body)

    async def _read(self, response: aiohttp.ClientResponse) -> bytes | None:
        size = response.content_length
        if size is not None:
            return await response.read() if size <= self.max_response else None
        body = bytearray()
        async for part in response.content.iter_any():
            body += part
            if len(body) > self.max_response:
                return None
        return bytes(body)

    def _url(self, text: str) -> URL:
        url = self._urls.get(text)
        if url is None:
            if len(self._urls) >= _KNOWN_URLS:
                del self._urls[next(iter(self._urls))]
            url = self._urls[text] = URL(text, encoded=True)
        return url


def _before_the_answer(error: Exception) -> NotSent | Unanswered:
    # The order matters: aiohttp's connector errors are also OSErrors, its time-outs also TimeoutErrors.
    match error:
        case aiohttp.ConnectionTimeoutError():
            return NotSent("could not connect in time")
        case aiohttp.ClientConnectorDNSError():
            return NotSent("the host name could not be resolved")
        case aiohttp.ClientSSLError():
            return NotSent("no secure connection: TLS failed")
        case aiohttp.ClientConnectorError():
            return NotSent("could not connect")
        case aiohttp.InvalidURL():
            return NotSent("the URL is not valid")
        case _:
            return _within_the_answer(error)


def _within_the_answer(error: Exception) -> Unanswered:
    match error:
        case TimeoutError():
            return Unanswered("no answer in time")
        case aiohttp.ClientPayloadError():
            return Unanswered("the answer was cut short")
        case aiohttp.ClientResponseError():
            return Unanswered("the answer is not HTTP")
        case _:
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
    is passed in keeps its own time-outs and settings, and is not closed.
    """
    if session is not None:
        yield _Aiohttp(session, max_response)
        return
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=True if ssl is None else ssl),
        timeout=aiohttp.ClientTimeout(total=timeout, connect=min(connect_timeout, 0.9 * timeout)),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=_HEADERS,
        skip_auto_headers=_UNASKED,
        auto_decompress=False,
        trust_env=False,
    ) as own:
        yield _Aiohttp(own, max_response)
