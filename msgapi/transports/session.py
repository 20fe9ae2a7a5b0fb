"""Sending over an aiohttp session of the caller's, whose settings are kept: its proxy, tracing, headers.

Rules:
- No redirects, no re-quoting of the URL, no header of aiohttp's own, bytes in and bytes out.
- A connection whose answer was not read to its end is closed, so no other call can read the rest.
"""

from io import BytesIO
from typing import Final, final

import aiohttp
from attrs import define

from ..http import Request
from ..results import NotSent
from .answers import Limit, explain
from .deadlines import Deadlines
from .protocol import Answer
from .urls import Urls

_AUTOMATIC: Final = frozenset({"Accept", "Content-Type", "User-Agent"})  # added by aiohttp to a request without
_LARGE: Final = 2**20  # bytes beyond which aiohttp wants a file, so as not to write all of it in one go


@final
@define(eq=False)
class OverSession:
    """A transport over *session*."""

    session: aiohttp.ClientSession
    deadlines: Deadlines
    limit: Limit
    urls: Urls

    async def __call__(self, request: Request, /) -> Answer:
        """Send *request*: its answer, or how it came to none."""
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
                    response.close()  # does nothing to a connection that was read to its end and given back
        except (aiohttp.ClientError, OSError) as error:
            return explain(error)
        return self.limit.answer(response.status, response.headers, body)


def _data(body: bytes | None) -> bytes | BytesIO | None:
    return BytesIO(body) if body is not None and len(body) > _LARGE else body
