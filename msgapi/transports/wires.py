"""Connections for httpx2's core, over anyio: when there is none, a value says why.

Rules:
- Connecting takes as long as it may in all: name, socket and TLS together.
- Bytes that came before a request was written are no answer to it.
"""

import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from socket import gaierror
from typing import TYPE_CHECKING, Any, Final, cast, final

import anyio
import httpcore2
from attrs import define

from ..results import NotSent
from .connecting import NotConnected

if TYPE_CHECKING:
    from httpcore2 import SOCKET_OPTION

LATE: Final = NotSent("could not connect in time")
_ANYIO: Final = cast("httpcore2.AsyncNetworkBackend", httpcore2.AnyIOBackend())  # a stub without anyio, says pyright


@final
@define(eq=False)
class Network(httpcore2.AsyncNetworkBackend):
    """Connects, in at most *seconds* for all that this takes."""

    seconds: float

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002, ASYNC109 - ours is for TLS too
        local_address: str | None = None,
        socket_options: "Iterable[SOCKET_OPTION] | None" = None,
    ) -> "Wire":
        """Find the host and connect to it."""
        until = anyio.current_time() + self.seconds
        with _connecting():
            return Wire(await _ANYIO.connect_tcp(host, port, self.seconds, local_address, socket_options), until)


@final
@define(eq=False)
class Wire(httpcore2.AsyncNetworkStream):
    """One connection, to be ready by *until*; *heard* is whether anything came since something was written.

    The core keeps what comes after the end of an answer, and would read it as the next answer.
    """

    stream: httpcore2.AsyncNetworkStream
    until: float
    heard: bool = True

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - httpcore2's name
        """Wait for bytes; none is the end."""
        data = await self.stream.read(max_bytes, timeout)
        self.heard = True
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - httpcore2's name
        """Write all of *buffer*."""
        self.heard = False
        await self.stream.write(buffer, timeout)

    async def aclose(self) -> None:
        """Close the connection."""
        await self.stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002, ASYNC109 - ours has begun already
    ) -> "Wire":
        """Secure the connection."""
        left = max(0.0, self.until - anyio.current_time())
        with _connecting():
            try:
                return Wire(await self.stream.start_tls(ssl_context, server_hostname, left), self.until)
            except BaseException:  # the core does not close it when it is cancelled here
                await self.stream.aclose()
                raise

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 - as httpcore2 has it
        """Tell the core what it asks for."""
        return self.stream.get_extra_info(info)


@contextmanager
def _connecting() -> Iterator[None]:
    try:
        yield
    except httpcore2.ConnectTimeout:
        raise NotConnected(LATE) from None
    except httpcore2.ConnectError as error:
        match error.__cause__:
            case gaierror():
                reason = "the host name could not be resolved"
            case ssl.SSLError():
                reason = "no secure connection: TLS failed"
            case _:
                reason = "could not connect"
        raise NotConnected(NotSent(reason)) from None
