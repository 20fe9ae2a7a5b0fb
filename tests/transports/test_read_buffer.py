"""The buffer that the connections of one event loop share: responses are read into it, and never mixed."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from unittest.mock import Mock, call

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
import trustme

from msgapi import Response
from msgapi.transports import Transport, aiohttp, httptools
from msgapi.transports.common.http1 import BufferedReader
from tests.support.exchanges import post
from tests.support.raw_servers import Wire, reply, serving
from tests.transports.test_httptools import UVLOOP

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio", UVLOOP])]
OPENED = pytest.mark.parametrize("opened", [httptools.open, aiohttp.open], ids=["httptools", "aiohttp"])


def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return the contexts of a server and of its clients."""
    authority, server = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return server, client


@OPENED
@pytest.mark.parametrize("size", [100, 2**16 + 1, 300_000])
async def test_responses_of_many_connections_are_not_mixed(
    opened: Callable[[], AbstractAsyncContextManager[Transport]], size: int
) -> None:
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
            _ = tasks.start_soon(ask, transport, url)
    assert sum(bodies.values()) == 60
    assert all(body == body[:8] * (size // 8) for body in bodies)


async def test_what_is_read_is_a_copy() -> None:
    await anyio.lowlevel.checkpoint()

    class Received(asyncio.Protocol):
        def __init__(self) -> None:
            self.parts: list[bytes] = []

        def data_received(self, data: bytes) -> None:
            self.parts.append(data)

    buffer, received = memoryview(bytearray(9)), [Received(), Received()]
    readers = [BufferedReader(one, buffer) for one in received]
    for at, part in ((0, b"one"), (1, b"second"), (0, b"3")):
        readers[at].get_buffer(-1)[: len(part)] = part
        readers[at].buffer_updated(len(part))
    assert [one.parts for one in received] == [[b"one", b"3"], [b"second"]]


async def test_every_event_of_a_connection_is_passed_on() -> None:
    await anyio.lowlevel.checkpoint()
    inner, transport = Mock(spec=asyncio.Protocol), Mock()
    inner.eof_received.return_value = True
    reader = BufferedReader(inner, memoryview(bytearray(9)))
    reader.connection_made(transport)
    reader.pause_writing()
    reader.resume_writing()
    assert reader.eof_received() is True
    reader.connection_lost(None)
    assert inner.mock_calls == [
        call.connection_made(transport),
        call.pause_writing(),
        call.resume_writing(),
        call.eof_received(),
        call.connection_lost(None),
    ]


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "TLS"])
async def test_the_buffer_is_used_on_asyncio_without_tls(monkeypatch: pytest.MonkeyPatch, *, secure: bool) -> None:
    read: list[int] = []
    server, client = contexts()
    updated = BufferedReader.buffer_updated

    def count(self: BufferedReader, size: int) -> None:
        read.append(size)
        updated(self, size)

    monkeypatch.setattr(BufferedReader, "buffer_updated", count)

    async def serve(wire: Wire) -> None:
        _ = await wire.request()
        await wire.send(reply())

    async with (
        serving(serve, tls=server if secure else None) as url,
        httptools.open(ssl=client) as transport,
    ):
        assert isinstance(await transport(post(url)), Response)
    on_asyncio = isinstance(asyncio.get_running_loop(), asyncio.BaseEventLoop)
    assert bool(read) is (on_asyncio and not secure)


@OPENED
@pytest.mark.parametrize("length", [b"", b"Content-Length: 300000\r\n"], ids=["until the end", "with a length"])
async def test_a_response_over_tls_is_whole_if_the_connection_ends_with_it(
    opened: Callable[..., AbstractAsyncContextManager[Transport]], length: bytes
) -> None:
    server, client = contexts()
    body = b"x" * 300_000

    def serve() -> None:
        plain, _ = listener.accept()
        with server.wrap_socket(plain, server_side=True) as stream:
            _ = stream.recv(2**16)
            stream.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n" + length + b"\r\n" + body)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        async with anyio.create_task_group() as tasks, opened(ssl=client) as transport:
            _ = tasks.start_soon(anyio.to_thread.run_sync, serve)
            answer = await transport(post(url))
            assert isinstance(answer, Response)
            assert answer.body == body
