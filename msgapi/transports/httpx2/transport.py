"""A transport over the connection pool of httpx2's core."""

from typing import final

import anyio
import httpcore2
from attrs import define, field

from ...http import Request
from ..common.http1 import UrlCache, request_headers
from ..common.opening import ConnectFailed
from ..protocol import Answer
from .network import TimedNetworkStream
from .response import CONNECTION_LOST, INVALID_URL, NETWORK_ERRORS, TIMED_OUT, outcome_of, read_response


@final
@define(eq=False)
class Httpx2Transport:
    """A transport over *pool*, whose network backend is a `TimedNetworkBackend`."""

    pool: httpcore2.AsyncConnectionPool
    timeout: float
    max_response: int
    closed: bool = False
    _urls: UrlCache = field(factory=UrlCache, init=False, repr=False)

    async def __call__(self, request: Request, /) -> Answer:
        """Send *request* and return its outcome. Raise ValueError if one of its headers is not valid."""
        if self.closed:
            raise RuntimeError("this transport is closed: send inside its `async with`")
        url = self._urls.get(request.url)
        if url is None or not url.port:  # the core takes port 0 for no port
            return INVALID_URL
        core_url = httpcore2.URL(scheme=url.scheme, host=f"{url.raw_host}", port=url.port, target=url.raw_path_qs)
        headers = request_headers(request, url)
        core_request = httpcore2.Request(request.method, core_url, headers=headers, content=request.body)
        with anyio.move_on_after(self.timeout):
            try:
                return await self._exchange(core_request)
            except ConnectFailed as error:
                return error.outcome
            except NETWORK_ERRORS as error:
                return outcome_of(error)
        return TIMED_OUT

    async def _exchange(self, request: httpcore2.Request) -> Answer:
        response = await self.pool.handle_async_request(request)
        try:
            stream = response.extensions["network_stream"]
            if not (isinstance(stream, TimedNetworkStream) and stream.received):
                return CONNECTION_LOST  # the response had arrived before the request was written
            return await read_response(response.status, response.headers, response.aiter_stream(), self.max_response)
        finally:
            await response.aclose()
