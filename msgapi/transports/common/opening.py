"""Opening: a transport that is not open yet, and a connection of the transports that open their own."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from functools import lru_cache
from socket import SOCK_STREAM
from typing import Final, Generic, TypeAlias, TypeVar, final

from aiohappyeyeballs import start_connection
from attrs import frozen
from yarl import URL

from ...results import NotSent
from ..protocol import Transport
from .causes import connect_failure

P = TypeVar("P", bound=asyncio.Protocol)
_HAPPY_EYEBALLS_DELAY: Final = 0.25  # seconds after which the next address of a host is tried too (RFC 8305)

CloseFunction: TypeAlias = Callable[[], Awaitable[None] | None]
OpenTransport: TypeAlias = tuple[Transport, CloseFunction]
"""A transport, and the function that closes it."""


@final
class UnopenedTransport:
    """A transport that is opened and closed by `async with`, or by the `Client` that it is passed to.

    This is not an async generator, since an event loop closes those by itself when it ends.
    """

    def __init__(self, start: Callable[[], OpenTransport], max_connections: int | None = None) -> None:
        self._start = start
        self._close: CloseFunction | None = None
        self.max_connections: Final = max_connections

    async def __aenter__(self) -> Transport:
        """Open the transport in the running event loop."""
        if self._close is not None:
            raise RuntimeError("this transport is open already: pass on what its `async with` gives, or open another")
        transport, self._close = self._start()
        return transport

    async def __aexit__(self, *_: object) -> None:
        """Close the transport."""
        close, self._close = self._close, None
        if close is not None and (closing := close()) is not None:
            await closing


@final
class ConnectFailed(Exception):
    """No connection could be made; *outcome* holds the reason. Nothing was sent."""

    def __init__(self, outcome: NotSent) -> None:
        super().__init__()
        self.outcome: Final = outcome


@final
@frozen
class Connector(Generic[P]):
    """Makes connections over TCP, or TLS if the URL is https, each in at most *timeout* seconds."""

    factory: Callable[[], P]
    timeout: float
    ssl: ssl.SSLContext | None

    async def __call__(self, url: URL) -> P:
        """Connect to the origin of *url*; raise `ConnectFailed` if that fails."""
        try:
            async with asyncio.timeout(self.timeout):
                return await self._open(f"{url.raw_host}", url.port or 0, secure=url.scheme == "https")
        except (OSError, RuntimeError) as error:  # time-outs are OSErrors; uvloop raises RuntimeErrors too
            raise ConnectFailed(connect_failure(error)) from None

    async def _open(self, host: str, port: int, *, secure: bool) -> P:
        loop = asyncio.get_running_loop()
        addresses = await loop.getaddrinfo(host, port, type=SOCK_STREAM)
        socket = await start_connection(addresses, happy_eyeballs_delay=_HAPPY_EYEBALLS_DELAY, interleave=1, loop=loop)
        context = (self.ssl or default_ssl_context()) if secure else None
        name = host.rstrip(".") if secure else None
        _, protocol = await loop.create_connection(self.factory, sock=socket, ssl=context, server_hostname=name)
        return protocol


@lru_cache(1)
def default_ssl_context() -> ssl.SSLContext:
    """Return the context with the system's certificates. It is made once, since that reads all of them."""
    return ssl.create_default_context()
