"""A transport over aiohttp's connections: its pool, its TLS and its parser. The request is written here.

Half of what a ClientSession does for each call is of no use to this API: cookies, redirects, forms, default headers,
a task that writes the body.

Rules:
- No header is sent but the request's own, Host, Accept-Encoding, and the one that frames the body.
- If a response was not read to its end, its connection is closed, so that no other call can read the rest.
- If data arrived on a connection before the request was written, the connection is closed: that data is not the
  response to the next request.
- Only names that aiohttp does not mark as private are used; the tests run with the oldest and the newest version.
"""

import asyncio
from collections.abc import Mapping
from typing import Final, final

import aiohttp
from aiohttp.connector import Connection
from aiohttp.http import HttpProcessingError
from attrs import define, field, frozen
from yarl import URL

from ...http import Request
from ...results import NotSent, Unanswered
from ..common.connections import Deadline, Deadlines, RequestCoalescer
from ..common.http1 import UrlCache, encode_request, make_response
from ..protocol import Answer

_SWITCHING_PROTOCOLS: Final = 101
_NETWORK_ERRORS: Final = (aiohttp.ClientError, aiohttp.EofStream, HttpProcessingError, OSError)
_UNREQUESTED_DATA: Final = NotSent("the server sent data before the request")
_MAX_UNUSABLE: Final = 1024  # connections in a row on which data arrived before the request
_MAX_ORIGINS: Final = 64  # cached; only a program that requests arbitrary URLs has more

# The first match counts: aiohttp's connector errors are OSErrors too, and its time-outs are TimeoutErrors.
_OUTCOMES: Final = (
    (aiohttp.ConnectionTimeoutError, NotSent("could not connect in time")),
    (aiohttp.ClientConnectorDNSError, NotSent("the host name could not be resolved")),
    (aiohttp.ClientSSLError, NotSent("no secure connection: TLS failed")),
    (
        aiohttp.ServerFingerprintMismatch,
        NotSent("no secure connection: the fingerprint does not match"),
    ),
    (aiohttp.ClientConnectorError, NotSent("could not connect")),
    (aiohttp.ClientHttpProxyError, NotSent("the proxy refused to connect")),
    (aiohttp.InvalidURL, NotSent("the URL is not valid")),
    (TimeoutError, Unanswered("no answer in time")),
    (aiohttp.ClientPayloadError, Unanswered("the response was cut short")),
    (aiohttp.ClientResponseError, Unanswered("the response is not HTTP")),
    (HttpProcessingError, Unanswered("the response is not HTTP")),
)


def outcome_of(error: Exception) -> NotSent | Unanswered:
    """Return the outcome of a request that raised *error*, an exception of aiohttp or of the socket."""
    for kind, outcome in _OUTCOMES:
        if isinstance(error, kind):
            return outcome
    return Unanswered("the connection was lost")


@final
@frozen
class ResponseLimit:
    """A response of more than *size* bytes is not read to its end."""

    size: int

    async def read(self, content: aiohttp.StreamReader) -> bytes | None:
        """Read *content* to its end; return None if it is over the limit, with the rest unread."""
        if content.is_eof():  # a short body has arrived whole with its head: there is nothing to wait for
            body = content.read_nowait()
            return body if len(body) <= self.size else None
        buffer = bytearray()
        async for part in content.iter_any():
            buffer += part
            if len(buffer) > self.size:
                return None
        return bytes(buffer)

    def make_response(self, status: int, headers: Mapping[str, str], body: bytes | None) -> Answer:
        """Return the response, unpacked if need be; the names of *headers* may have any case."""
        return make_response(status, headers, body, self.size)


@final
@define(eq=False)
class AiohttpTransport:
    """A transport over the connections of *connector*."""

    connector: aiohttp.BaseConnector
    timeout: aiohttp.ClientTimeout
    deadlines: Deadlines
    coalescer: RequestCoalescer
    limit: ResponseLimit
    urls: UrlCache
    _origins: dict[URL, aiohttp.ClientRequest] = field(factory=dict, init=False, repr=False)

    async def __call__(self, request: Request, /) -> Answer:
        """Send *request* and return its outcome. Raise ValueError if one of its headers is not valid."""
        if self.connector.closed:
            raise RuntimeError("this transport is closed: send inside its `async with`")
        url = self.urls.get(request.url)
        if url is None:
            return NotSent("the URL is not valid")
        data = encode_request(request, url)
        try:
            with self.deadlines.start() as deadline:
                try:
                    connection = await self._connect(url)
                except TimeoutError:
                    return NotSent("could not connect in time")
                if connection is None:
                    return _UNREQUESTED_DATA
                try:
                    return await self._exchange(connection, request.method, data, deadline)
                except BaseException:
                    _drop(connection)
                    raise
        except _NETWORK_ERRORS as error:
            return outcome_of(error)

    async def _connect(self, url: URL) -> Connection | None:
        for _ in range(_MAX_UNUSABLE):
            connection = await self.connector.connect(self._origin(url), [], self.timeout)
            if connection.protocol is None or not connection.protocol.should_close:
                return connection
            connection.close()
        return None

    async def _exchange(self, connection: Connection, method: str, data: bytes, deadline: Deadline) -> Answer:
        protocol, transport = connection.protocol, connection.transport
        if protocol is None or transport is None:
            raise aiohttp.ServerDisconnectedError
        written = False

        def write() -> None:
            # If data arrived before the request, `should_close` is true: that data is not the response.
            nonlocal written
            if not (deadline.cancelled or transport.is_closing() or protocol.should_close):
                written = True
                transport.write(data)

        protocol.set_response_params(skip_payload=method == "HEAD", read_until_eof=True, auto_decompress=False)
        self.coalescer.add(write)
        try:
            message, content = await protocol.read()
        except _NETWORK_ERRORS:
            if written:
                raise
            _drop(connection)
            return NotSent("the connection was lost before the request was sent")
        if not written:
            _drop(connection)
            return _UNREQUESTED_DATA
        while 100 <= message.code < 200 and message.code != _SWITCHING_PROTOCOLS:  # noqa: PLR2004 - 1xx: interim
            message, content = await protocol.read()
        body = await self.limit.read(content)
        if body is None or transport.get_write_buffer_size():  # the rest of either must not affect the next request
            _drop(connection)
        else:
            connection.release()
        return self.limit.make_response(message.code, message.headers, body)

    def _origin(self, url: URL) -> aiohttp.ClientRequest:
        # aiohttp finds a connection by a request, of which only scheme, host and port count.
        origin = url.origin()
        request = self._origins.get(origin)
        if request is None:
            if len(self._origins) >= _MAX_ORIGINS:
                self._origins.clear()
            request = aiohttp.ClientRequest("GET", origin, loop=asyncio.get_running_loop())
            self._origins[origin] = request
        return request


def _drop(connection: Connection) -> None:
    # `close` alone would first send the data that is still buffered.
    transport = connection.transport
    if transport is not None and transport.get_write_buffer_size():
        transport.abort()
    connection.close()
