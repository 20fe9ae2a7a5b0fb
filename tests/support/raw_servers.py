"""Servers for tests: raw TCP on loopback, answering with whatever bytes a test wants."""

import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeAlias

import anyio
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSListener
from attrs import define, field, frozen

GONE = (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream)
LONGEST = 120.0  # seconds that any test may take with a server, also on a busy machine


@frozen
class Arrived:
    """A request as it came over the wire; header names in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    head: bytes


@define(eq=False)
class Wire:
    """One connection, seen from the server."""

    stream: ByteStream
    number: int
    _buffer: bytes = field(default=b"", init=False)

    async def until(self, end: bytes) -> bytes:
        while end not in self._buffer:
            self._buffer += await self.stream.receive()
        found, _, self._buffer = self._buffer.partition(end)
        return found + end

    async def exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._buffer += await self.stream.receive()
        found, self._buffer = self._buffer[:size], self._buffer[size:]
        return found

    async def request(self) -> Arrived:
        """Read one request to its end."""
        head = await self.until(b"\r\n\r\n")
        first, *lines = head.decode().splitlines()[:-1]
        method, target, _ = first.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        assert "transfer-encoding" not in headers, "a body whose size is known is not sent in chunks"
        body = await self.exactly(int(headers.get("content-length", "0")))
        return Arrived(method, target, headers, body, head)

    async def send(self, *parts: bytes) -> None:
        for part in parts:
            await self.stream.send(part)

    async def hang(self) -> None:
        """Wait until the client has gone away."""
        while True:
            _ = await self.stream.receive()

    async def reset(self) -> None:
        """Close the connection with a TCP reset."""
        raw = self.stream.extra(SocketAttribute.raw_socket)  # noqa: S610 - anyio's, not Django's
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await anyio.aclose_forcefully(self.stream)


Serve: TypeAlias = Callable[[Wire], Awaitable[None]]


@asynccontextmanager
async def serving(serve: Serve, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Run *serve* for each connection; gives the base URL."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    port = listener.extra(SocketAttribute.local_port)  # noqa: S610 - anyio's, not Django's
    connections = 0

    async def connected(stream: ByteStream) -> None:
        nonlocal connections
        connections += 1
        with suppress(*GONE):
            async with stream:
                await serve(Wire(stream, connections))

    with anyio.fail_after(LONGEST):
        async with listener, anyio.create_task_group() as tasks:
            secured = TLSListener(listener, tls, standard_compatible=False) if tls else listener
            _ = tasks.start_soon(secured.serve, connected)
            yield f"{'https' if tls else 'http'}://127.0.0.1:{port}"
            tasks.cancel_scope.cancel()


@asynccontextmanager
async def by_uvicorn(app: Any) -> AsyncIterator[str]:  # noqa: ANN401 - as uvicorn has it
    """Serve an ASGI application, on asyncio only; gives the base URL."""
    import uvicorn

    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_config=None, ws="none", lifespan="off"))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.serve)
        while not server.started:  # noqa: ASYNC110 - uvicorn has nothing to wait for
            await anyio.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.should_exit = True


def free_port() -> int:
    """Find a port on which no server listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def reply(status: int = 200, body: bytes = b"{}", *, headers: Mapping[str, str] | None = None) -> bytes:
    """Write an answer with a Content-Length."""
    lines = [f"HTTP/1.1 {status} Whatever", *(f"{name}: {value}" for name, value in (headers or {}).items())]
    if status not in {204, 304}:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body
