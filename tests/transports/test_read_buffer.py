"""The buffer that the connections of one event loop share: responses are read into it, and never mixed."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TypeAlias

import anyio
import anyio.lowlevel
import pytest

from msgapi import Response
from msgapi.transports import Transport, aiohttp, httptools
from msgapi.transports.common.http1 import BufferedConnection, new_read_buffer
from tests.support.exchanges import post
from tests.support.raw_servers import Wire, reply, serving
from tests.transports.test_httptools import UVLOOP

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio", UVLOOP])]
Opened: TypeAlias = Callable[[], AbstractAsyncContextManager[Transport]]


@pytest.mark.parametrize("opened", [httptools.open, aiohttp.open], ids=["httptools", "aiohttp"])
@pytest.mark.parametrize("size", [100, 2**16 + 1, 300_000])
async def test_responses_of_many_connections_are_not_mixed(opened: Opened, size: int) -> None:
    served, bodies = 0, dict[bytes, int]()

    async def serve(wire: Wire) -> None:
        nonlocal served
        served += 1
        body = b"%08d" % served * (size // 8)
        for _ in range(3):
            _ = await wire.request()
            whole = reply(body=body)
            for start in range(0, len(whole), 40_000):
                await wire.send(whole[start : start + 40_000])
                await anyio.lowlevel.checkpoint()

    async def ask(transport: Transport, url: str) -> None:
        for _ in range(3):
            answer = await transport(post(url))
            assert isinstance(answer, Response)
            bodies[answer.body] = bodies.get(answer.body, 0) + 1

    async with serving(serve) as url, opened() as transport, anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(ask, transport, url)
    assert sum(bodies.values()) == 60
    assert all(body == body[:8] * (size // 8) for body in bodies)


async def test_what_is_read_is_a_copy() -> None:
    await anyio.lowlevel.checkpoint()

    class Received(BufferedConnection):
        def __init__(self, buffer: memoryview) -> None:
            self._read_buffer = buffer
            self.parts: list[bytes] = []

        def data_received(self, data: bytes) -> None:
            self.parts.append(data)

    buffer = new_read_buffer()
    first, second = Received(buffer), Received(buffer)
    for one, part in ((first, b"one"), (second, b"second"), (first, b"3")):
        one.get_buffer(-1)[: len(part)] = part
        one.buffer_updated(len(part))
    assert (first.parts, second.parts) == ([b"one", b"3"], [b"second"])


async def test_asyncio_reads_into_the_buffer_and_uvloop_does_not() -> None:
    read: list[int] = []

    class Counting(BufferedConnection):
        _read_buffer = new_read_buffer()

        def buffer_updated(self, nbytes: int) -> None:
            read.append(nbytes)
            super().buffer_updated(nbytes)

        def data_received(self, data: bytes) -> None:
            received.set_result(data)

    async def serve(wire: Wire) -> None:
        await wire.send(b"hello")
        await wire.hang()

    loop = asyncio.get_running_loop()
    received: asyncio.Future[bytes] = loop.create_future()
    async with serving(serve) as url:
        transport, _ = await loop.create_connection(Counting, "127.0.0.1", int(url.rpartition(":")[2]))
        assert await received == b"hello"
        transport.close()
    assert read == ([] if "uvloop" in type(loop).__module__ else [5])
