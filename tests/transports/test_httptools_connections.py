"""Transport over httptools: which connections are kept, closed and reused."""

import anyio
import anyio.lowlevel
import pytest

from msgapi import Request, Response
from msgapi.transports import Transport, httptools
from msgapi.transports.common.connections import PooledTransport
from msgapi.transports.httptools import HttpConnection
from tests.support.exchanges import HEAD, OK, get, post, saying, secured
from tests.support.raw_servers import Serve, Wire, reply, serving
from tests.transports.test_httptools import LOST, UVLOOP, between

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio", UVLOOP])]


def echo(numbers: list[int], gone: anyio.Event | None = None) -> Serve:
    """Answer each request with its own body; note the number of its connection, and that one has ended."""

    async def serve(wire: Wire) -> None:
        try:
            while True:
                request = await wire.request()
                numbers.append(wire.number)
                await wire.send(reply(200, request.body))
        finally:
            if gone is not None:
                gone.set()

    return serve


def kept(transport: Transport) -> list[HttpConnection]:
    assert isinstance(transport, PooledTransport)
    return [connection for connections in transport.pool.idle.values() for connection in connections]


async def none_alive(transport: Transport) -> None:
    while any(connection.reusable for connection in kept(transport)):
        await anyio.lowlevel.checkpoint()


async def test_a_connection_is_used_again() -> None:
    numbers: list[int] = []
    async with between(echo(numbers)) as (transport, url):
        for _ in range(3):
            assert isinstance(await transport(post(url)), Response)
    assert numbers == [1, 1, 1]


@pytest.mark.parametrize("last", [b"", HEAD], ids=["no word", "half an answer"])
async def test_no_post_is_ever_sent_again(last: bytes) -> None:
    requests = 0

    async def serve(wire: Wire) -> None:
        nonlocal requests
        while True:
            _ = await wire.request()
            requests += 1
            if requests == 2:
                return await wire.send(last)  # as a server that closes a kept connection just when it is used again
            await wire.send(OK)

    async with between(serve) as (transport, url):
        assert isinstance(await transport(post(url)), Response)
        assert await transport(post(url)) == LOST
        assert isinstance(await transport(post(url)), Response)
    assert requests == 3


async def test_a_connection_that_the_server_has_closed_is_not_used() -> None:
    async with between(saying(OK)) as (transport, url):
        for _ in range(3):
            assert isinstance(await transport(post(url)), Response)
            await none_alive(transport)


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([], id="before the answer"),
        pytest.param([HEAD, b"Content-Length: 9\r\n\r\n", b"old"], id="in its middle"),
        pytest.param([HEAD, b"Transfer-Encoding: chunked\r\n\r\n", b"3\r\nold\r\n"], id="between its chunks"),
    ],
)
async def test_a_cancelled_call_leaves_nothing_for_the_next_one_to_read(parts: list[bytes]) -> None:
    scope = anyio.CancelScope()

    async def serve(wire: Wire) -> None:
        while True:
            request = await wire.request()
            if request.body == b"cancel":
                await wire.send(*parts)
                await anyio.sleep(0.02)
                scope.cancel()
                await anyio.sleep(0.02)
                await wire.send(b"answer")
            else:
                await wire.send(reply(200, request.body))

    async with between(serve) as (transport, url):
        assert isinstance(await transport(post(url)), Response)
        with scope:
            _ = await transport(post(url, b"cancel"))
            raise AssertionError
        for body in (b"one", b"two"):
            answer = await transport(post(url, body))
            assert isinstance(answer, Response)
            assert answer.body == body


@pytest.mark.parametrize("later", [False, True], ids=["with the answer", "after it"])
@pytest.mark.parametrize("more", [reply(200, b"not asked for"), reply(204), b"garbage"])
async def test_what_came_before_the_request_is_no_answer_to_it(more: bytes, later: bool) -> None:
    numbers: list[int] = []

    async def serve(wire: Wire) -> None:
        while True:
            answer = reply(200, (await wire.request()).body)
            numbers.append(wire.number)
            await wire.send(*([answer, more] if later else [answer + more]))

    async with between(serve) as (transport, url):
        for body in (b"one", b"two", b"three"):
            answer = await transport(post(url, body))
            assert isinstance(answer, Response)
            assert answer.body == body
            await none_alive(transport)
    assert numbers == [1, 2, 3]


@pytest.mark.parametrize("secure", [False, True])
async def test_a_cancellation_passes_and_closes_the_connection(secure: bool) -> None:
    gone, scope = anyio.Event(), anyio.CancelScope()

    async def serve(wire: Wire) -> None:
        _ = await wire.until(b"\r\n\r\n")
        scope.cancel()
        try:
            await wire.hang()
        finally:
            gone.set()

    server, trusting = secured("127.0.0.1")
    async with serving(serve, tls=server if secure else None) as url, httptools.open(ssl=trusting) as transport:
        with scope:
            _ = await transport(post(url))
        assert scope.cancelled_caught
        await gone.wait()


async def test_what_is_cancelled_while_it_connects_is_never_sent() -> None:
    scope = anyio.CancelScope()
    heard: list[bytes] = []

    async def serve(wire: Wire) -> None:
        heard.append(await wire.stream.receive())
        scope.cancel()
        while True:
            heard.append(await wire.stream.receive())

    async with between(serve) as (transport, url):
        with scope:
            _ = await transport(post(url.replace("http:", "https:")))
        assert scope.cancelled_caught
        await anyio.wait_all_tasks_blocked()
    assert len(heard) == 1  # the first word of TLS


async def test_an_answer_that_comes_before_the_request_is_written_ends_the_connection() -> None:
    gone = anyio.Event()

    async def serve(wire: Wire) -> None:
        _ = await wire.until(b"\r\n\r\n")
        await wire.send(reply(413))
        await gone.wait()
        await wire.hang()

    async with between(serve) as (transport, url):
        answer = await transport(post(url, b"x" * 2**25))
        assert isinstance(answer, Response)
        assert answer.status == 413
        assert not kept(transport)
        gone.set()


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("HEAD", HEAD + b"Content-Length: 9\r\n\r\n"),
        ("GET", HEAD + b"Connection: close\r\nContent-Length: 0\r\n\r\n"),
        ("GET", b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ],
)
async def test_a_connection_that_is_not_to_be_used_again_is_closed(method: str, answer: bytes) -> None:
    gone = anyio.Event()

    async def serve(wire: Wire) -> None:
        _ = await wire.request()
        await wire.send(answer)
        try:
            await wire.hang()
        finally:
            gone.set()

    async with between(serve) as (transport, url):
        assert isinstance(await transport(Request(method, url)), Response)
        await gone.wait()


async def test_a_connection_is_closed_that_was_idle_for_long() -> None:
    gone = anyio.Event()
    async with between(echo([], gone)) as (transport, url):
        assert isinstance(transport, PooledTransport)
        transport.pool.keepalive = 0.02
        _ = await transport(post(url))
        await gone.wait()
        while kept(transport):
            await anyio.lowlevel.checkpoint()


async def test_of_two_idle_connections_only_the_older_one_is_closed() -> None:
    gone, both = anyio.Event(), anyio.Event()
    inner = echo([], gone)

    async def serve(wire: Wire) -> None:
        if wire.number == 2:
            both.set()
        await both.wait()
        await inner(wire)

    async with between(serve) as (transport, url):
        async with anyio.create_task_group() as tasks:
            for _ in range(2):
                tasks.start_soon(transport, post(url))
        connections = kept(transport)
        assert len(connections) == 2
        connections[0].idle_since -= 60.0
        assert isinstance(transport, PooledTransport)
        transport.pool.drop_expired()
        await gone.wait()
        assert kept(transport) == connections[1:]
        assert isinstance(await transport(post(url)), Response)


async def test_at_the_end_the_connections_are_closed_and_then_a_call_is_a_mistake() -> None:
    gone = anyio.Event()
    async with serving(echo([], gone)) as url:
        async with httptools.open() as transport:
            assert isinstance(await transport(post(url)), Response)
        await gone.wait()
        with pytest.raises(RuntimeError, match="closed"):
            _ = await transport(get(url))
