"""Opening: a transport that is not open yet, and a connection of the transports that open their own."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from functools import lru_cache, partial
from socket import SOCK_STREAM, socket
from typing import Any, Final, Generic, TypeAlias, TypeVar, final

from aiohappyeyeballs import start_connection
from attrs import field, frozen
from yarl import URL

from ...results import NotSent
from ..protocol import Transport
from .causes import connect_failure, host_and_port
from .proxy import Proxy, ProxyRules, open_tunnel

P = TypeVar("P", bound=asyncio.Protocol)
_READ_SIZE: Final = 2**12  # bytes of the answer of a proxy
_HAPPY_EYEBALLS_DELAY: Final = 0.25  # seconds after which the next address of a host is tried too (RFC 8305)

AddrInfo: TypeAlias = tuple[Any, Any, int, str, Any]
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
        super().__init__(outcome)  # so that it can be pickled
        self.outcome: Final = outcome


@final
@frozen
class Connector(Generic[P]):
    """Makes connections over TCP, or TLS if the URL is https, each in at most *timeout* seconds by default.

    Those that are made at the same time share the resolution of their host, since a thread is needed for each one.
    """

    factory: Callable[[], P]
    timeout: float
    ssl: ssl.SSLContext | None
    proxies: ProxyRules | None = None
    _resolving: "dict[tuple[str, int], asyncio.Future[list[AddrInfo]]]" = field(factory=dict, init=False, repr=False)

    async def __call__(self, url: URL, seconds: float | None = None) -> P:
        """Connect to the origin of *url* in at most *seconds*; raise `ConnectFailed` if that fails."""
        proxy = None if self.proxies is None else self.proxies.choose(url)
        try:
            async with asyncio.timeout(self.timeout if seconds is None else seconds):
                if proxy is None:
                    return await self._secure(url, await self._connect(f"{url.raw_host}", url.port or 0))
                return await self._connect_through(proxy, url)
        except OSError as error:  # time-outs too
            raise ConnectFailed(connect_failure(error, peer(url, proxy))) from None

    async def _connect_through(self, proxy: Proxy, url: URL) -> P:
        loop = asyncio.get_running_loop()
        if proxy.problem:
            raise ConnectFailed(NotSent(proxy.problem))
        try:
            sock = await self._connect(proxy.host, proxy.port)
        except OSError as error:
            raise ConnectFailed(connect_failure(error, proxy.name)) from None
        try:
            if url.scheme == "https":
                failure = await open_tunnel(
                    proxy, url, partial(loop.sock_sendall, sock), partial(loop.sock_recv, sock, _READ_SIZE)
                )
                if failure is not None:
                    raise ConnectFailed(failure)
        except BaseException:
            sock.close()
            raise
        return await self._secure(url, sock)

    async def _connect(self, host: str, port: int) -> socket:
        loop = asyncio.get_running_loop()
        addresses = await self._resolve(host, port)
        try:
            return await start_connection(
                list(addresses), happy_eyeballs_delay=_HAPPY_EYEBALLS_DELAY, interleave=1, loop=loop
            )
        except RuntimeError as error:  # with uvloop it raises this for an OSError
            raise OSError(*error.args) from error

    async def _secure(self, url: URL, sock: socket) -> P:
        secure = url.scheme == "https"
        context = (self.ssl or default_ssl_context()) if secure else None
        name = f"{url.raw_host}".rstrip(".") if secure else None
        loop = asyncio.get_running_loop()
        _, protocol = await loop.create_connection(self.factory, sock=sock, ssl=context, server_hostname=name)
        return protocol

    async def _resolve(self, host: str, port: int) -> "list[AddrInfo]":
        resolving = self._resolving.get((host, port))
        if resolving is None:
            lookup = asyncio.get_running_loop().getaddrinfo(host, port, type=SOCK_STREAM)
            resolving = self._resolving[host, port] = asyncio.ensure_future(lookup)
            resolving.add_done_callback(lambda done: self._resolved(host, port, done))
        return await asyncio.shield(resolving)  # the cancellation of one call must not end it for the others

    def _resolved(self, host: str, port: int, done: "asyncio.Future[list[AddrInfo]]") -> None:
        del self._resolving[host, port]
        if not done.cancelled():
            _ = done.exception()  # else asyncio logs it, if no call waits for it any more


def peer(url: URL, proxy: Proxy | None = None) -> str:
    """Return host and port of *url*, and the *proxy* through which it is reached, for a sentence."""
    return f"{host_and_port(url.raw_host, url.port)}{'' if proxy is None else f' through {proxy.name}'}"


@lru_cache(1)
def default_ssl_context() -> ssl.SSLContext:
    """Return the context with the system's certificates. It is made once, since that reads all of them."""
    return ssl.create_default_context()
