"""A transport over a session of the caller's, which keeps its settings: proxy, tracing, headers.

Rules:
- No redirects, no quoting of the URL, no header that aiohttp adds by itself, no unpacking by aiohttp.
- If a response was not read to its end, its connection is closed, so that no other call can read the rest.
"""

from io import BytesIO
from typing import Final, final

import aiohttp
from attrs import define

from ...http import Request
from ...results import NotSent
from ..common.connections import Deadlines
from ..common.http1 import UrlCache
from ..protocol import Answer
from .transport import ResponseLimit, outcome_of

_AUTOMATIC: Final = frozenset({"Accept", "Content-Type", "User-Agent"})  # added by aiohttp to a request without them
_LARGE: Final = 2**20  # bytes; aiohttp writes a larger body in parts only if it is a file


@final
@define(eq=False)
class AiohttpSessionTransport:
    """A transport over *session*."""

    session: aiohttp.ClientSession
    deadlines: Deadlines
    limit: ResponseLimit
    urls: UrlCache

    async def __call__(self, request: Request, /) -> Answer:
        """Send *request* and return its outcome."""
        url = self.urls.get(request.url)
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
                try:
                    body = await self.limit.read(response.content)
                finally:
                    response.close()  # no effect on a connection that was read to its end and returned to the pool
        except (aiohttp.ClientError, OSError) as error:
            return outcome_of(error)
        return self.limit.make_response(response.status, response.headers, body)


def _data(body: bytes | None) -> bytes | BytesIO | None:
    return BytesIO(body) if body is not None and len(body) > _LARGE else body
