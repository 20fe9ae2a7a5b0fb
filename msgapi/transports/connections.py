"""Sending over aiohttp's connections: its pool, its TLS and its parser, with the request written here.

Half of what a ClientSession does for each call is for what this API has no use for: cookies,
redirects, forms, defaults merged into headers, a task that writes the body.

Rules:
- Bytes in, bytes out: no header but the request's own, the host, and what frames the body.
- A connection whose answer was not read to its end is closed, so no other call can read the rest.
- So is one on which something came that nobody asked for: it is no answer to the next request.
- Only names that aiohttp does not mark as private; the tests run with the oldest and the newest version.
"""

import asyncio
from typing import Final, final

import aiohttp
from aiohttp.connector import Connection
from aiohttp.http import HttpProcessingError
from attrs import define, field
from yarl import URL

from ..http import Request
from ..results import NotSent
from .answers import Limit, explain
from .deadlines import Deadline, Deadlines
from .heads import written
from .outbox import Outbox
from .protocol import Answer
from .urls import Urls

_SWITCHING: Final = 101
_LOST: Final = (aiohttp.ClientError, aiohttp.EofStream, HttpProcessingError, OSError)
_SPEAKS: Final = NotSent("the server speaks before it is asked")
_FOUL: Final = 1024  # connections in a row on which something came unasked
_ORIGINS: Final = 64  # kept; more are a program that asks for anything anywhere


@final
@define(eq=False)
class OverConnections:
    """A transport over the connections of *connector*."""

    connector: aiohttp.BaseConnector
    timeout: aiohttp.ClientTimeout
    deadlines: Deadlines
    outbox: Outbox
    limit: Limit
    urls: Urls
    _origins: dict[URL, aiohttp.ClientRequest] = field(factory=dict, init=False, repr=False)

    async def __call__(self, request: Request, /) -> Answer:
        """Send *request*: its answer, or how it came to none. A header that can't be sent is a ValueError."""
        if self.connector.closed:
            raise RuntimeError("this transport is closed: send inside its `async with`")
        url = self.urls.get(request.url)
        if url is None:
            return NotSent("the URL is not valid")
        data = written(request, url)
        try:
            with self.deadlines.start() as deadline:
                try:
                    connection = await self._connect(url)
                except TimeoutError:
                    return NotSent("could not connect in time")
                if connection is None:
                    return _SPEAKS
                try:
                    return await self._exchange(connection, request.method, data, deadline)
                except BaseException:
                    _drop(connection)
                    raise
        except _LOST as error:
            return explain(error)

    async def _connect(self, url: URL) -> Connection | None:
        for _ in range(_FOUL):
            connection = await self.connector.connect(self._origin(url), [], self.timeout)
            if connection.protocol is None or not connection.protocol.should_close:
                return connection
            connection.close()
        return None

    async def _exchange(self, connection: Connection, method: str, data: bytes, deadline: Deadline) -> Answer:
        protocol, transport = connection.protocol, connection.transport
        if protocol is None or transport is None:
            raise aiohttp.ServerDisconnectedError
        left = False

        def leave() -> None:
            nonlocal left  # and what has come before it is no answer to it: the connection should close then
            if not (deadline.called_off or transport.is_closing() or protocol.should_close):
                left = True
                transport.write(data)

        protocol.set_response_params(skip_payload=method == "HEAD", read_until_eof=True, auto_decompress=False)
        self.outbox.put(leave)
        try:
            message, content = await protocol.read()
        except _LOST:
            if left:
                raise
            _drop(connection)
            return NotSent("the connection was lost before it left")
        if not left:
            _drop(connection)
            return _SPEAKS
        while 100 <= message.code < 200 and message.code != _SWITCHING:  # noqa: PLR2004 - 1xx: not the answer yet
            message, content = await protocol.read()
        body = await self.limit.read(content)
        if body is None or transport.get_write_buffer_size():  # the rest of either must not meet the next request
            _drop(connection)
        else:
            connection.release()
        return self.limit.answer(message.code, message.headers, body)

    def _origin(self, url: URL) -> aiohttp.ClientRequest:
        # What aiohttp finds a connection by: scheme, host and port of a request are enough.
        origin = url.origin()
        known = self._origins.get(origin)
        if known is None:
            if len(self._origins) >= _ORIGINS:
                self._origins.clear()
            known = aiohttp.ClientRequest("GET", origin, loop=asyncio.get_running_loop())
            self._origins[origin] = known
        return known


def _drop(connection: Connection) -> None:
    # `close` alone would first send what is still to be sent.
    transport = connection.transport
    if transport is not None and transport.get_write_buffer_size():
        transport.abort()
    connection.close()
