"""A transport over an httpx2 client of the caller's.

Rule: httpx2 logs the URL of each request. The path of ours is hidden there, since it may contain a recipient.
"""

import logging
from typing import Any, Final, final

import anyio
import httpx2
from attrs import define, field
from yarl import URL

from ...http import Request
from ..common.http1 import FRAMING_HEADERS, UrlCache, request_headers
from ..protocol import Answer
from .response import INVALID_URL, NETWORK_ERRORS, TIMED_OUT, outcome_of, read_response

_LOG: Final = logging.getLogger("httpx2")


@final
@define(eq=False)
class Httpx2ClientTransport:
    """A transport over *client*."""

    client: httpx2.AsyncClient
    connect_timeout: float
    timeout: float
    max_response: int
    _urls: UrlCache = field(factory=UrlCache, init=False, repr=False)

    async def __call__(self, request: Request, /) -> Answer:
        """Send *request* and return its outcome. Raise ValueError if one of its headers is not valid."""
        url = self._urls.get(request.url)
        if url is None:
            return INVALID_URL
        try:
            httpx_request = self._build_request(request, url)
        except httpx2.InvalidURL:
            return INVALID_URL
        with anyio.move_on_after(self.timeout):
            try:
                return await self._exchange(httpx_request)
            except NETWORK_ERRORS as error:
                return outcome_of(error)
        return TIMED_OUT

    async def _exchange(self, request: httpx2.Request) -> Answer:
        response = await self.client.send(request, stream=True, auth=httpx2.Auth(), follow_redirects=False)
        try:
            parts = response.aiter_bytes() if response.is_stream_consumed else response.aiter_raw()
            return await read_response(response.status_code, response.headers.raw, parts, self.max_response)
        finally:
            await response.aclose()

    def _build_request(self, request: Request, url: URL) -> httpx2.Request:
        headers = request_headers(request, url)
        names = FRAMING_HEADERS | {name.lower().decode() for name, _ in headers}
        headers += [pair for pair in self.client.headers.raw if pair[0].lower().decode() not in names]
        timeouts = httpx2.Timeout(None, connect=self.connect_timeout, pool=self.connect_timeout)
        extensions: dict[str, Any] = {"timeout": timeouts.as_dict()}
        target, private_url = url.raw_path_qs.encode(), _PrivateUrl(request.url)
        if private_url.raw_path != target:  # httpx2 has quoted the path again, or removed its dot segments
            extensions["target"] = target
        stream = httpx2.ByteStream(request.body or b"")
        result = httpx2.Request(request.method, private_url, headers=headers, stream=stream, extensions=extensions)
        result.url = private_url  # httpx2 made a copy, of its own type
        return result


def hide_paths_in_log() -> None:
    """Have httpx2's log show the URLs of this package's requests without their paths."""
    _LOG.addFilter(_without_paths)


@final
class _PrivateUrl(httpx2.URL):
    """The URL of a request of this package, by which the log filter recognises it."""


def _without_paths(record: logging.LogRecord) -> bool:
    if isinstance(record.args, tuple):
        record.args = tuple(
            f"{arg.scheme}://{arg.host}/***" if isinstance(arg, _PrivateUrl) else arg for arg in record.args
        )
    return True
