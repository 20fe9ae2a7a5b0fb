"""Opening: a transport that is not open yet, and its connections to a service, directly or through a proxy.

The environment or an argument says which proxy a connection goes through. A request over TLS goes through a tunnel that
the proxy opens (CONNECT). Over plain http it is sent to the proxy, with the whole URL in its first line.

Rules:
- The environment is read once, when the transport opens: the variable of the scheme, else `ALL_PROXY`. A name in lower
  case comes first, and an empty value is no proxy. `HTTP_PROXY` is ignored where `REQUEST_METHOD` is set, since a web
  server sets it from a header of the request (httpoxy).
- Connections to this machine, and to the hosts in `NO_PROXY`, do not go through a proxy of the environment.
- The user name and the password of a proxy are in no repr, no error and no log, and in no local variable of a frame
  that raises: an error tracker would show them.
- A proxy that refuses a tunnel is `NotSent`: no byte of the request has left.
"""

import asyncio
import re
import ssl
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import lru_cache, partial
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from socket import SOCK_STREAM, socket
from typing import TYPE_CHECKING, Any, Final, Generic, TypeAlias, TypeVar, final
from urllib.parse import unquote, urlsplit

from attrs import field, frozen

from ...config import Misconfigured, is_loopback
from ...results import NotSent
from ..protocol import Transport
from .causes import connect_failure, host_and_port
from .http1 import BufferedReader

if TYPE_CHECKING:
    from yarl import URL

P = TypeVar("P", bound=asyncio.Protocol)
AddrInfo: TypeAlias = tuple[Any, Any, int, str, Any]
CloseFunction: TypeAlias = Callable[[], Awaitable[None] | None]
OpenTransport: TypeAlias = tuple[Transport, CloseFunction]
"""A transport, and the function that closes it."""

FROM_ENVIRONMENT: Final = "environment"
"""The value of the option `proxy` that stands for the proxies of the environment."""

_PORT: Final = 80
_PORT_NUMBER: Final = re.compile("[0-9]{1,5}")
_LONGEST_HEAD: Final = 2**14  # bytes of the answer to CONNECT
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] (\d{3})(?: [^\r\n]*)?\r\n")
_END_OF_HEAD: Final = b"\r\n\r\n"
_NOT_A_PROXY: Final = "its answer is not that of a proxy"
_BUFFER_SIZE: Final = 2**16  # bytes that a connection reads at a time
_READ_SIZE: Final = 2**12  # bytes of the answer of a proxy
_HAPPY_EYEBALLS_DELAY: Final = 0.25  # seconds after which the next address of a host is tried too (RFC 8305)


@final
@frozen
class Proxy:
    """One http proxy. *source* is the variable of the environment that names it, or `proxy` for the argument.

    A variable may name one that cannot be used: *problem* says why. Nothing is sent then.
    """

    source: str
    host: str
    port: int
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    problem: str = ""

    def __str__(self) -> str:
        """Return its URL, without user name and password."""
        return f"http://{host_and_port(self.host, self.port)}"

    @property
    def name(self) -> str:
        """The proxy with host and port, for a sentence."""
        return f"the proxy {host_and_port(self.host, self.port)}"

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers that a request to the proxy has in addition; none without a user name."""
        if not self.username and not self.password:
            return {}
        credentials = b64encode(f"{self.username}:{self.password}".encode()).decode()
        return {"Proxy-Authorization": f"Basic {credentials}"}

    @property
    def header_lines(self) -> bytes:
        """The same as lines."""
        return "".join(f"{name}: {value}\r\n" for name, value in self.headers.items()).encode()


ProxySetting: TypeAlias = Proxy | str | None
"""The option `proxy` as it is kept: `FROM_ENVIRONMENT`, one proxy for all hosts, or None for no proxy."""

Bypass: TypeAlias = Callable[[str, int], bool]
"""Returns whether a host and port are reached without a proxy."""


@final
@frozen
class ProxyRules:
    """The proxy for each scheme, and the hosts that are reached without one."""

    proxies: Mapping[str, Proxy]
    bypasses: tuple[Bypass, ...] = field(default=(), repr=False)

    def choose(self, url: "URL") -> Proxy | None:
        """Return the proxy for *url*, or None."""
        proxy = self.proxies.get(url.scheme)
        if proxy is None or self.is_bypassed(url):
            return None
        return proxy

    def is_bypassed(self, url: "URL") -> bool:
        """Return whether the host of *url* is reached without a proxy."""
        host, port = (url.raw_host or "").lower().rstrip("."), url.port or 0
        return any(bypass(host, port) for bypass in self.bypasses)

    def forward(self, data: bytes, url: "URL") -> bytes:
        """Return a request as a proxy takes it: with the whole *url* in its first line, if it is plain http."""
        proxy = self.choose(url) if url.scheme == "http" else None
        if proxy is None:
            return data
        line, _, rest = data.partition(b"\r\n")
        method = line.partition(b" ")[0]
        target = f"http://{url.host_port_subcomponent}{url.raw_path_qs}".encode()
        return b"%s %s HTTP/1.1\r\n%s%s" % (method, target, proxy.header_lines, rest)


def read_proxies(proxy: ProxySetting, environment: Mapping[str, str]) -> ProxyRules | None:
    """Return the rules for the option *proxy*, or None if no connection goes through a proxy.

    It is `FROM_ENVIRONMENT`, a proxy for all hosts, or None.
    """
    if proxy is None:
        return None
    if isinstance(proxy, Proxy):
        return ProxyRules({"http": proxy, "https": proxy})
    found = {scheme: one for scheme in ("http", "https") if (one := _of_scheme(scheme, environment)) is not None}
    if not found:
        return None
    return ProxyRules(found, (_is_this_machine, *_read_no_proxy(environment)))


def parse_setting(proxy: object) -> tuple[ProxySetting, Exception | None]:
    """Return the option `proxy` without its text, which may contain a password, and the error to raise if it is wrong.

    It is `FROM_ENVIRONMENT`, None, or the URL of a proxy; one that was parsed before is returned as it is.
    """
    if proxy is None or isinstance(proxy, Proxy):
        return proxy, None
    if not isinstance(proxy, str):
        text = f"proxy must be a URL such as http://proxy.example:3128, or None, not {type(proxy).__name__}"
        return None, TypeError(text)
    if proxy == FROM_ENVIRONMENT:
        return FROM_ENVIRONMENT, None
    parsed = _parse(proxy, "proxy")
    return parsed, Misconfigured(parsed.problem) if parsed.problem else None


def _parse(text: str, source: str) -> Proxy:
    # The problem names the *source*, and shows nothing of the URL but its scheme.
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = parts = None
    if parts is None or not host or not text.isprintable() or " " in text:
        return Proxy(source, "", 0, problem=f"{source} must be the URL of a proxy, such as http://proxy.example:3128")
    if parts.scheme != "http":
        problem = (
            f"{source} names a proxy of the kind {parts.scheme}, which is not supported: give an http proxy, "
            "pass proxy=None, or list the host in NO_PROXY"
        )
        return Proxy(source, "", 0, problem=problem)
    return Proxy(source, host, port or _PORT, unquote(parts.username or ""), unquote(parts.password or ""))


def _of_scheme(scheme: str, environment: Mapping[str, str]) -> Proxy | None:
    names = [f"{scheme}_proxy", f"{scheme}_proxy".upper(), "all_proxy", "ALL_PROXY"]
    if "REQUEST_METHOD" in environment and scheme == "http":
        names.remove("HTTP_PROXY")
    name = next((name for name in names if name in environment), None)
    text = "" if name is None else environment[name].strip()
    return None if name is None or not text else _parse(text, name)


def _is_this_machine(host: str, _: int) -> bool:
    return is_loopback(host.strip("[]"))


def _read_no_proxy(environment: Mapping[str, str]) -> Iterator[Bypass]:
    text = environment.get("no_proxy", environment.get("NO_PROXY", ""))
    for entry in text.replace(",", " ").split():
        yield _bypass(entry.lower())


def _bypass(entry: str) -> Bypass:
    if entry == "*":
        return lambda _, __: True
    try:
        network = ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        pass
    else:
        return lambda host, _: _is_in(host, network)
    name, _, number = entry.rpartition(":")
    port = int(number) if name and _PORT_NUMBER.fullmatch(number) else None
    name = (entry if port is None else name).removeprefix("*").strip("[].")
    return lambda host, at: (host == name or host.endswith(f".{name}")) and port in {None, at}


def _is_in(host: str, network: IPv4Network | IPv6Network) -> bool:
    try:
        return ip_address(host) in network
    except ValueError:
        return False


async def open_tunnel(
    proxy: Proxy,
    url: "URL",
    send: Callable[[bytes], Awaitable[object]],
    receive: Callable[[], Awaitable[bytes]],
) -> NotSent | None:
    """Ask *proxy*, over a connection to it, for a tunnel to the host of *url*. Return why there is none, else None."""
    origin = host_and_port(url.raw_host, url.port).encode()
    refused = f"{proxy.name} refused to connect to {origin.decode()}"
    _ = await send(b"CONNECT %s HTTP/1.1\r\nHost: %s\r\n%s\r\n" % (origin, origin, proxy.header_lines))
    head = b""
    while _END_OF_HEAD not in head:
        data = await receive()
        if not data or len(head) > _LONGEST_HEAD:
            return NotSent(f"{refused}: {_NOT_A_PROXY if data else 'it closed the connection'}")
        head += data
    status = _STATUS_LINE.match(head)
    if status is None:
        return NotSent(f"{refused}: {_NOT_A_PROXY}")
    if not status[1].startswith(b"2"):
        return NotSent(f"{refused}: HTTP {status[1].decode()}{_advice(status[1])}")
    speaks_first = not head.endswith(_END_OF_HEAD)  # a server does not, in TLS
    return NotSent(f"{refused}: {_NOT_A_PROXY}") if speaks_first else None


def _advice(status: bytes) -> str:
    return " (it wants a user name and a password)" if status == b"407" else ""


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

    Those that are made at the same time share the resolution of their host, since a thread is needed for each one. All
    of them share a buffer for what they read, so a connector belongs to one event loop.
    """

    factory: Callable[[], P]
    timeout: float
    ssl: ssl.SSLContext | None
    proxies: ProxyRules | None = None
    _buffer: memoryview = field(factory=lambda: memoryview(bytearray(_BUFFER_SIZE)), init=False, repr=False)
    _resolving: "dict[tuple[str, int], asyncio.Future[list[AddrInfo]]]" = field(factory=dict, init=False, repr=False)

    async def __call__(self, url: "URL", seconds: float | None = None) -> P:
        """Connect to the origin of *url* in at most *seconds*; raise `ConnectFailed` if that fails."""
        proxy = None if self.proxies is None else self.proxies.choose(url)
        try:
            async with asyncio.timeout(self.timeout if seconds is None else seconds):
                if proxy is None:
                    return await self._secure(url, await self._connect(f"{url.raw_host}", url.port or 0))
                return await self._connect_through(proxy, url)
        except OSError as error:  # timeouts too
            raise ConnectFailed(connect_failure(error, peer(url, proxy))) from None

    async def _connect_through(self, proxy: Proxy, url: "URL") -> P:
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
        from aiohappyeyeballs import start_connection

        loop = asyncio.get_running_loop()
        addresses = await self._resolve(host, port)
        try:
            return await start_connection(
                list(addresses), happy_eyeballs_delay=_HAPPY_EYEBALLS_DELAY, interleave=1, loop=loop
            )
        except RuntimeError as error:  # with uvloop it raises this for an OSError
            raise OSError(*error.args) from error

    async def _secure(self, url: "URL", sock: socket) -> P:
        secure = url.scheme == "https"
        context = (self.ssl or default_ssl_context()) if secure else None
        name = f"{url.raw_host}".rstrip(".") if secure else None
        loop = asyncio.get_running_loop()
        protocol = self.factory()
        is_buffered = not secure and isinstance(loop, asyncio.BaseEventLoop)  # uvloop's is none
        reader = BufferedReader(protocol, self._buffer) if is_buffered else protocol
        _ = await loop.create_connection(lambda: reader, sock=sock, ssl=context, server_hostname=name)
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


def peer(url: "URL", proxy: Proxy | None = None) -> str:
    """Return host and port of *url*, and the *proxy* through which it is reached, for a sentence."""
    return f"{host_and_port(url.raw_host, url.port)}{'' if proxy is None else f' through {proxy.name}'}"


@lru_cache(1)
def default_ssl_context() -> ssl.SSLContext:
    """Return the context with the system's certificates. It is made once, since that reads all of them."""
    return ssl.create_default_context()
