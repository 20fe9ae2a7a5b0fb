"""Open a transport over asyncio's sockets, with httptools as the parser."""

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from ...config import check_seconds
from ..common.connections import RequestCoalescer, make_deadlines
from ..common.http1 import MAX_RESPONSE
from ..common.opening import OpenTransport, UnopenedTransport
from ..protocol import Transport
from .transport import SocketTransport

if TYPE_CHECKING:
    from ssl import SSLContext


def open(  # noqa: A001 - `transports.httptools.open`
    *,
    timeout: float = 30.0,
    connect_timeout: float = 10.0,
    max_response: int = MAX_RESPONSE,
    ssl: "SSLContext | None" = None,
) -> AbstractAsyncContextManager[Transport]:
    """Return a transport over sockets, for asyncio or uvloop, to be opened and closed by `async with` or a `Client`.

    *timeout* is in seconds, for one whole exchange. Connecting may take at most *connect_timeout* of it, and at most
    nine tenths. A response of more than *max_response* bytes is `Unanswered`. There are never more connections than
    calls in flight, and no call waits for a free connection. A proxy is not used: for one, pass a session to
    `msgapi.transports.aiohttp`.
    """
    check_seconds("timeout", timeout)
    check_seconds("connect_timeout", connect_timeout)

    def start() -> OpenTransport:
        deadlines = make_deadlines(timeout)
        coalescer = RequestCoalescer(deadlines)
        transport = SocketTransport(deadlines, coalescer, min(connect_timeout, 0.9 * timeout), max_response, ssl)

        async def close() -> None:
            deadlines.close()
            transport.close()
            await asyncio.sleep(0)  # asyncio closes the sockets in the next iteration of the loop

        return transport, close

    return UnopenedTransport(start)
