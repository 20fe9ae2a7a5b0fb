"""One connection: a TCP or TLS socket on asyncio or trio, with h11, the parser of httpx2, for the responses.

Rules:
- Once a byte of a request may have left, any failure is `Unanswered`.
- A connection is `reusable` only if the request was written whole, and nothing followed its response.
- The socket is used without a stream of anyio around it, since a stream keeps data that arrived: then it cannot be
  checked, and would be the response to the next request.
"""

import os
import ssl
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from itertools import zip_longest
from socket import IPPROTO_TCP, SO_ERROR, SOCK_STREAM, SOL_SOCKET, TCP_NODELAY, socket
from time import monotonic
from typing import Any, Final, TypeAlias, TypeVar, final

import anyio
import h11
from attrs import frozen
from yarl import URL

from ...results import NotSent, Unanswered
from ..common.causes import connect_failure, connection_lost, cut_short
from ..common.connections import KEEPALIVE, watch_socket
from ..common.http1 import MAX_HEAD, NOT_HTTP, decode_headers, finish_response
from ..common.opening import ConnectFailed, Proxy, ProxyRules, default_ssl_context, open_tunnel, peer
from ..protocol import Answer

A = TypeVar("A")
R = TypeVar("R")
_READ_SIZE: Final = 2**16  # more than one record of TLS, so that the TLS library keeps no data that it has decrypted
_PROXY_READ_SIZE: Final = 2**12  # bytes of the answer of a proxy
_HAPPY_EYEBALLS_DELAY: Final = 0.25  # seconds after which the next address of a host is tried too (RFC 8305)
_CUT_SHORT: Final = Unanswered("the response was cut short")
# For h11, the method alone decides how the response is read. The request itself is written by `encode_request`.
_GET: Final = h11.Request(method="GET", target="/", headers=[("Host", "-")])
_HEAD: Final = h11.Request(method="HEAD", target="/", headers=[("Host", "-")])
_END: Final = h11.EndOfMessage()
_Address: TypeAlias = tuple[int, int, int, Any]  # family, type, protocol, and what `socket.connect` takes


@final
class H11Connection:
    """A connection over *sock*, for one exchange at a time; a response has at most *max_response* bytes."""

    def __init__(self, sock: socket, max_response: int, keepalive: float = KEEPALIVE) -> None:
        self._socket: Final = sock
        self._max_response: Final = max_response
        self._keepalive: Final = keepalive
        self._watch: Final = watch_socket(sock.fileno())
        self._h11: Final = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
        self._status = 0
        self._headers: dict[str, str] | None = None  # of the response that is being read
        self._body = bytearray()
        self.answered: bool = False
        self.reusable: bool = False
        self.idle_since: float = 0.0
        self.retire_at: float = 0.0

    @property
    def is_open(self) -> bool:
        """Whether a request can be sent over it: nothing has arrived since, and it has not been idle for too long."""
        return monotonic() - self.idle_since < self._keepalive and not self._watch(0)

    async def send(self, request: bytes, *, bodiless: bool) -> Answer:
        """Send *request* and return its outcome; the response to a *bodiless* one has only a head."""
        self.answered = self.reusable = False
        self._headers = None
        self._body.clear()
        try:
            written = await self._write(request)
            _ = self._h11.send(_HEAD if bodiless else _GET)
            _ = self._h11.send(_END)
            outcome = await self._read()
        except OSError as error:
            return connection_lost(error) if self._headers is None else cut_short(error)
        except h11.RemoteProtocolError:
            return NOT_HTTP if self._headers is None else _CUT_SHORT
        if written and self._h11.our_state is h11.DONE and self._h11.their_state is h11.DONE:
            self.reusable = not self._h11.trailing_data[0]
            self._h11.start_next_cycle()
        return outcome

    def abort(self) -> None:
        """Close the connection at once."""
        self._socket.close()

    async def _write(self, data: bytes) -> bool:
        # Return False if the server did not accept all of it: it may have responded before.
        try:
            await _send_all(self._socket, data)
        except BrokenPipeError:
            return False
        return True

    async def _read(self) -> Answer:
        headers: dict[str, str] = {}
        received = 0  # bytes
        event: type[h11.NEED_DATA | h11.PAUSED] | h11.Event = h11.NEED_DATA  # nothing has been received yet
        while True:
            if event is h11.NEED_DATA:
                await anyio.wait_readable(self._socket)
                data = await _when_ready(self._socket, self._socket.recv, _READ_SIZE, anyio.wait_readable)
                if not data and self._h11.their_state is h11.SEND_RESPONSE:
                    return connection_lost(None)
                self.answered |= bool(data)
                self._h11.receive_data(data)
                received += len(data)
            elif isinstance(event, h11.Response):
                self._status = event.status_code
                self._headers = headers = decode_headers(event.headers)
                if received > MAX_HEAD and sum(len(name) + len(value) + 4 for name, value in event.headers) > MAX_HEAD:
                    return NOT_HTTP
            elif isinstance(event, h11.Data):
                self._body += event.data
                if len(self._body) > self._max_response:
                    return finish_response(self._status, headers, None, self._max_response)
            elif isinstance(event, h11.EndOfMessage):
                return finish_response(self._status, headers, bytes(self._body), self._max_response)
            event = self._h11.next_event()


@final
@frozen
class SocketConnector:
    """Makes connections over TCP, or TLS if the URL is https, each in at most *timeout* seconds by default."""

    timeout: float
    max_response: int
    ssl: ssl.SSLContext | None
    keepalive: float = KEEPALIVE
    proxies: ProxyRules | None = None

    async def __call__(self, url: URL, seconds: float | None = None) -> H11Connection:
        """Connect to the origin of *url* in at most *seconds*; raise `ConnectFailed` if that fails."""
        proxy = None if self.proxies is None else self.proxies.choose(url)
        try:
            with anyio.fail_after(self.timeout if seconds is None else seconds):
                sock = await (_connect(f"{url.raw_host}", url.port or 0) if proxy is None else _through(proxy, url))
                if url.scheme == "https":
                    sock = await _start_tls(sock, f"{url.raw_host}".rstrip("."), self.ssl or default_ssl_context())
        except OSError as error:  # a timeout too
            raise ConnectFailed(connect_failure(error, peer(url, proxy))) from None
        return H11Connection(sock, self.max_response, self.keepalive)


async def _connect(host: str, port: int) -> socket:
    found = await anyio.getaddrinfo(host, port, type=SOCK_STREAM)
    addresses = [(family, kind, protocol, address) for family, kind, protocol, _, address in found]
    return await (_connect_one(addresses[0]) if len(addresses) == 1 else _connect_first(addresses))


async def _through(proxy: Proxy, url: URL) -> socket:
    if proxy.problem:
        raise ConnectFailed(NotSent(proxy.problem))
    try:
        sock = await _connect(proxy.host, proxy.port)
    except OSError as error:
        raise ConnectFailed(connect_failure(error, proxy.name)) from None
    try:
        if url.scheme == "https":
            send = partial(_send_all, sock)
            receive = partial(_when_ready, sock, sock.recv, _PROXY_READ_SIZE, anyio.wait_readable)
            failure = await open_tunnel(proxy, url, send, receive)
            if failure is not None:
                raise ConnectFailed(failure)
    except BaseException:
        sock.close()
        raise
    return sock


async def _send_all(sock: socket, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[await _when_ready(sock, sock.send, view, anyio.wait_writable) :]


async def _connect_first(addresses: Sequence[_Address]) -> socket:
    connected: list[socket] = []
    errors: list[OSError] = []

    async def attempt(address: _Address, ended: anyio.Event) -> None:
        try:
            connected.append(await _connect_one(address))
            group.cancel_scope.cancel()
        except OSError as error:
            errors.append(error)
        ended.set()

    try:
        async with anyio.create_task_group() as group:
            for address in _interleave(addresses):
                ended = anyio.Event()
                _ = group.start_soon(attempt, address, ended)
                with anyio.move_on_after(_HAPPY_EYEBALLS_DELAY):
                    await ended.wait()
    except BaseException:
        for sock in connected:
            sock.close()
        raise
    for sock in connected[1:]:
        sock.close()
    if not connected:
        raise errors[0] if len({error.errno for error in errors}) == 1 else OSError(", ".join(map(str, errors)))
    return connected[0]


async def _connect_one(address: _Address) -> socket:
    family, kind, protocol, peer = address
    sock = socket(family, kind, protocol)
    try:
        sock.settimeout(0)
        sock.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        try:
            sock.connect(peer)
        except BlockingIOError:
            await anyio.wait_writable(sock)
        if (number := sock.getsockopt(SOL_SOCKET, SO_ERROR)) != 0:
            raise OSError(number, os.strerror(number))
    except BaseException:
        sock.close()
        raise
    return sock


async def _start_tls(sock: socket, host: str, context: ssl.SSLContext) -> ssl.SSLSocket:
    try:
        secured = context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
    except BaseException:
        sock.close()
        raise
    try:
        await _when_ready(secured, secured.do_handshake, False, anyio.wait_readable)  # noqa: FBT003 - `block`
    except BaseException:
        secured.close()
        raise
    return secured


async def _when_ready(
    sock: socket, operation: Callable[[A], R], argument: A, wait: Callable[[socket], Awaitable[None]]
) -> R:
    # TLS may have to read in order to write, and the other way round.
    while True:
        try:
            return operation(argument)
        except ssl.SSLWantReadError:
            await anyio.wait_readable(sock)
        except ssl.SSLWantWriteError:
            await anyio.wait_writable(sock)
        except BlockingIOError:
            await wait(sock)


def _interleave(addresses: Sequence[_Address]) -> list[_Address]:
    # The families take turns, so that one that does not work delays the others once only.
    first = [address for address in addresses if address[0] == addresses[0][0]]
    others = [address for address in addresses if address[0] != addresses[0][0]]
    return [address for pair in zip_longest(first, others) for address in pair if address is not None]
