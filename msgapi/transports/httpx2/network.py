"""Connections for httpx2's core, over anyio, whose failures are `ConnectFailed` with the outcome.

Rules:
- One time limit covers connecting as a whole: name resolution, socket and TLS.
- Data that arrived before a request was written is not the response to it.
"""

import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from socket import gaierror
from typing import TYPE_CHECKING, Any, Final, cast, final

import anyio
import httpcore2
from attrs import define

from ...results import NotSent
from ..common.opening import ConnectFailed

if TYPE_CHECKING:
    from httpcore2 import SOCKET_OPTION

CONNECT_TIMED_OUT: Final = NotSent("could not connect in time")
_ANYIO: Final = cast("httpcore2.AsyncNetworkBackend", httpcore2.AnyIOBackend())  # a stub without anyio, says pyright


@final
@define(eq=False)
class TimedNetworkBackend(httpcore2.AsyncNetworkBackend):
    """Makes connections, in at most *seconds* each, TLS included."""

    seconds: float

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002, ASYNC109 - `seconds` covers TLS too
        local_address: str | None = None,
        socket_options: "Iterable[SOCKET_OPTION] | None" = None,
    ) -> "TimedNetworkStream":
        """Resolve *host* and connect to it."""
        deadline = anyio.current_time() + self.seconds
        with _connect_errors():
            stream = await _ANYIO.connect_tcp(host, port, self.seconds, local_address, socket_options)
            return TimedNetworkStream(stream, deadline)


@final
@define(eq=False)
class TimedNetworkStream(httpcore2.AsyncNetworkStream):
    """One connection, whose TLS must be ready by *deadline*; *received* is whether data arrived since the last write.

    The core keeps data that arrives after the end of a response, and would read it as the next response.
    """

    stream: httpcore2.AsyncNetworkStream
    deadline: float
    received: bool = True

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - httpcore2's name
        """Return the next data; empty at the end of the stream."""
        data = await self.stream.read(max_bytes, timeout)
        self.received = True
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - httpcore2's name
        """Write all of *buffer*."""
        self.received = False
        await self.stream.write(buffer, timeout)

    async def aclose(self) -> None:
        """Close the connection."""
        await self.stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002, ASYNC109 - `deadline` is already running
    ) -> "TimedNetworkStream":
        """Start TLS, and return the stream over it."""
        remaining = max(0.0, self.deadline - anyio.current_time())
        with _connect_errors():
            try:
                stream = await self.stream.start_tls(ssl_context, server_hostname, remaining)
                return TimedNetworkStream(stream, self.deadline)
            except BaseException:  # the core does not close the stream if it is cancelled here
                await self.stream.aclose()
                raise

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 - the type that httpcore2 declares
        """Return a detail of the connection, such as its socket."""
        return self.stream.get_extra_info(info)


@contextmanager
def _connect_errors() -> Iterator[None]:
    try:
        yield
    except httpcore2.ConnectTimeout:
        raise ConnectFailed(CONNECT_TIMED_OUT) from None
    except httpcore2.ConnectError as error:
        match error.__cause__:
            case gaierror():
                reason = "the host name could not be resolved"
            case ssl.SSLError():
                reason = "no secure connection: TLS failed"
            case _:
                reason = "could not connect"
        raise ConnectFailed(NotSent(reason)) from None
