"""An http proxy on loopback, for tests: it forwards plain requests, and opens tunnels by CONNECT."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import anyio
from anyio.abc import ByteStream, SocketAttribute
from attrs import define, field

from tests.support.raw_servers import GONE, LONGEST


@define(eq=False)
class ProxyServer:
    """What a proxy is to do, and the heads of the requests that it was asked, in their order.

    A tunnel leads to *target*, a port of this machine, whatever host was asked for. *answer* is sent in place of the
    answer of a proxy that accepts.
    """

    target: int = 0
    answer: bytes = b""
    heads: list[bytes] = field(factory=list)
    port: int = field(default=0, init=False)

    def url(self, credentials: str = "") -> str:
        return f"http://{credentials}127.0.0.1:{self.port}"

    def lines(self) -> list[str]:
        """Return the first line of each request."""
        return [head.partition(b"\r\n")[0].decode() for head in self.heads]

    async def serve(self, stream: ByteStream) -> None:
        with suppress(*GONE):
            async with stream:
                while True:
                    await self._serve_one(stream)

    async def _serve_one(self, stream: ByteStream) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            data += await stream.receive()
        head, _, body = data.partition(b"\r\n\r\n")
        self.heads.append(head)
        method, target, _ = head.partition(b"\r\n")[0].split(b" ")
        if self.answer:
            await stream.send(self.answer)
            await stream.aclose()
        async with await anyio.connect_tcp("127.0.0.1", self.target) as server:
            if method == b"CONNECT":
                await stream.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                parts = urlsplit(target.decode())
                await server.send(head.replace(target, parts.path.encode(), 1) + b"\r\n\r\n" + body)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_copy, stream, server, tasks.cancel_scope)
                tasks.start_soon(_copy, server, stream, tasks.cancel_scope)
        await stream.aclose()


async def _copy(source: ByteStream, sink: ByteStream, scope: anyio.CancelScope) -> None:
    with suppress(*GONE):
        while True:
            await sink.send(await source.receive())
    scope.cancel()


@asynccontextmanager
async def proxying(url: str = "http://127.0.0.1:1", *, answer: bytes = b"") -> AsyncIterator[ProxyServer]:
    """Run a proxy in front of the server at *url*."""
    proxy = ProxyServer(urlsplit(url).port or 0, answer)
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    proxy.port = listener.extra(SocketAttribute.local_port)  # noqa: S610 - anyio's, not Django's
    with anyio.fail_after(LONGEST):
        async with listener, anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, proxy.serve)
            yield proxy
            tasks.cancel_scope.cancel()
