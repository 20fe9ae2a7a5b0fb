"""The connections that httpx2's transport makes itself: addresses, TLS, and what a socket that is not ready does."""

import errno
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from msgapi import NotSent, Response, Unanswered
from msgapi.transports import Transport, httpx2
from msgapi.transports.httpx2 import connection as module
from msgapi.transports.httpx2.connection import H11Connection
from msgapi.transports.protocol import Answer
from tests.support.exchanges import get, peer, post, secured
from tests.support.raw_servers import Serve, Wire, reply, serving

pytestmark = pytest.mark.anyio
V6, V4 = socket.AF_INET6, socket.AF_INET


# Several addresses of one host.


def resolves(monkeypatch: pytest.MonkeyPatch, *addresses: tuple[int, str]) -> None:
    async def getaddrinfo(_: str, port: int, **__: object) -> list[Any]:
        return [(family, socket.SOCK_STREAM, 0, "", (host, port)) for family, host in addresses]

    monkeypatch.setattr(anyio, "getaddrinfo", getaddrinfo)


class Addresses:
    """What happens at each address; the sockets that were connected."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **behaviour: float | OSError) -> None:
        self.behaviour = behaviour
        self.tried: list[str] = []
        self.sockets: dict[str, socket.socket] = {}
        resolves(monkeypatch, *((V6 if name.startswith("six") else V4, name) for name in behaviour))
        monkeypatch.setattr(module, "_connect_one", self.connect)
        monkeypatch.setattr(module, "_HAPPY_EYEBALLS_DELAY", 0.02)

    async def connect(self, address: Any) -> socket.socket:  # noqa: ANN401 - as the module has it
        name = address[3][0]
        self.tried.append(name)
        outcome = self.behaviour[name]
        if isinstance(outcome, OSError):
            raise outcome
        await anyio.sleep(outcome)
        self.sockets[name] = socket.socket()
        return self.sockets[name]

    async def open(self) -> socket.socket:
        return await module._connect("host.test", 80)

    def close(self) -> None:
        for sock in self.sockets.values():
            sock.close()


async def test_the_families_take_turns_until_one_address_works(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = OSError(errno.ECONNREFUSED, "Connection refused")
    addresses = Addresses(monkeypatch, six1=refused, six2=refused, four1=refused, four2=0.0)
    assert await addresses.open() is addresses.sockets["four2"]
    assert addresses.tried == ["six1", "four1", "six2", "four2"]
    addresses.close()


async def test_a_slow_address_does_not_hold_up_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    addresses = Addresses(monkeypatch, six=60.0, four=0.0)
    with anyio.fail_after(2):
        assert await addresses.open() is addresses.sockets["four"]
    addresses.close()


async def test_of_two_addresses_that_connect_at_once_one_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    first = Addresses(monkeypatch, six=0.0, four=0.0)
    both = anyio.Event()

    async def connect(address: Any) -> socket.socket:  # noqa: ANN401 - as the module has it
        scope = anyio.CancelScope(shield=True)
        with scope:
            if address[3][0] == "four":
                both.set()
            await both.wait()
            sock = await first.connect(address)
        return sock  # noqa: RET504 - for mypy, a scope may swallow what is raised in it

    monkeypatch.setattr(module, "_connect_one", connect)
    chosen = await first.open()
    assert sorted(sock.fileno() == -1 for sock in first.sockets.values()) == [False, True]
    assert chosen.fileno() != -1
    first.close()


async def test_a_connection_is_closed_that_is_cancelled_just_when_it_is_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    addresses = Addresses(monkeypatch, six=0.0, four=0.0)

    async def connect(address: Any) -> socket.socket:  # noqa: ANN401 - as the module has it
        try:
            return await addresses.connect(address)
        finally:
            scope.cancel()

    monkeypatch.setattr(module, "_connect_one", connect)
    with anyio.CancelScope() as scope:
        _ = await addresses.open()
        await anyio.lowlevel.checkpoint()
    assert scope.cancelled_caught
    if addresses.sockets["six"].fileno() != -1:  # it was returned before the cancellation arrived
        addresses.close()


@pytest.mark.parametrize(
    ("errors", "reason"),
    [
        ([errno.ECONNREFUSED] * 2, "could not connect to h.test:80: ECONNREFUSED (Connection refused)"),
        (
            [errno.ENETUNREACH, errno.ECONNREFUSED],
            "could not connect to h.test:80: ENETUNREACH (Network is unreachable), ECONNREFUSED (Connection refused)",
        ),
    ],
)
async def test_the_errors_of_all_addresses_are_named(
    monkeypatch: pytest.MonkeyPatch, errors: list[int], reason: str
) -> None:
    six, four = (OSError(number, "why") for number in errors)
    _ = Addresses(monkeypatch, six=six, four=four)
    async with httpx2.open() as transport:
        assert await transport(get("http://h.test")) == NotSent(reason)


async def test_a_host_with_two_addresses_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    async with answering() as (transport, url):
        resolves(monkeypatch, (V6, "::1"), (V4, "127.0.0.1"))
        assert isinstance(await transport(get(url)), Response)


async def test_a_connect_that_is_cancelled_closes_its_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[socket.socket] = []

    class Stuck(socket.socket):
        def connect(self, _: object) -> None:
            made.append(self)
            raise BlockingIOError

    async def never(_: object) -> None:
        await anyio.sleep_forever()

    monkeypatch.setattr(module, "socket", Stuck)
    monkeypatch.setattr(anyio, "wait_writable", never)
    async with httpx2.open(connect_timeout=0.05) as transport:
        assert await transport(get("http://127.0.0.1:9")) == NotSent("could not connect to 127.0.0.1:9 in time")
    assert [sock.fileno() for sock in made] == [-1]


# TLS.


@asynccontextmanager
async def answering(serve: Serve | None = None, *, tls: bool = False) -> AsyncIterator[tuple[Transport, str]]:
    async def echo(wire: Wire) -> None:
        while True:
            await wire.send(reply(200, (await wire.request()).body))

    server, trusting = secured("127.0.0.1") if tls else (None, None)
    async with serving(serve or echo, tls=server) as url, httpx2.open(ssl=trusting) as transport:
        yield transport, url


async def test_large_bodies_go_both_ways_over_tls_and_one_connection() -> None:
    numbers: set[int] = set()

    async def serve(wire: Wire) -> None:
        while True:
            body = (await wire.request()).body
            numbers.add(wire.number)
            await wire.send(reply(200, body))

    async with answering(serve, tls=True) as (transport, url):
        for size in (0, 1, 2**22):
            answer = await transport(post(url, b"x" * size))
            assert isinstance(answer, Response)
            assert answer.body == b"x" * size
    assert numbers == {1}


@pytest.mark.parametrize("apart", [False, True], ids=["with the answer", "after it"])
async def test_an_answer_that_no_request_asked_for_retires_a_connection_with_tls(*, apart: bool) -> None:
    numbers: list[int] = []

    async def serve(wire: Wire) -> None:
        while True:
            answer, more = reply(200, (await wire.request()).body), reply(200, b"an answer to nothing")
            numbers.append(wire.number)
            await wire.send(*([answer, more] if apart else [answer + more]))

    async with answering(serve, tls=True) as (transport, url):
        for body in (b"one", b"two", b"three"):
            answer = await transport(post(url, body))
            assert isinstance(answer, Response)
            assert (answer.body, answer.attempts) == (body, 1)
            await anyio.sleep(0.02)
    assert numbers == [1, 2, 3]


async def test_a_socket_that_tls_cannot_be_started_on_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[socket.socket] = []

    def refuse(_: ssl.SSLContext, sock: socket.socket, **__: object) -> None:
        given.append(sock)
        raise OSError(errno.ENOTCONN, "not connected any more")

    monkeypatch.setattr(ssl.SSLContext, "wrap_socket", refuse)
    async with serving(Wire.hang) as url, httpx2.open(ssl=ssl.create_default_context()) as transport:
        answer = await transport(get(url.replace("http:", "https:")))
    assert answer == NotSent(f"could not connect to {peer(url)}: ENOTCONN (Transport endpoint is not connected)")
    assert [sock.fileno() for sock in given] == [-1]


# A socket that is not ready.


@pytest.mark.parametrize(
    ("error", "waits"),
    [
        (BlockingIOError, ["own"]),
        (ssl.SSLWantReadError, ["readable"]),
        (ssl.SSLWantWriteError, ["writable"]),
    ],
)
async def test_an_operation_is_repeated_when_the_socket_is_ready_for_what_it_needs(
    monkeypatch: pytest.MonkeyPatch, error: type[OSError], waits: list[str]
) -> None:
    waited: list[str] = []

    def waiting(name: str) -> Callable[[object], Awaitable[None]]:
        async def wait(_: object) -> None:
            await anyio.lowlevel.checkpoint()
            waited.append(name)

        return wait

    def operation(argument: int) -> int:
        if not waited:
            raise error
        return argument + 1

    monkeypatch.setattr(anyio, "wait_readable", waiting("readable"))
    monkeypatch.setattr(anyio, "wait_writable", waiting("writable"))
    with socket.socket() as sock:
        assert await module._when_ready(sock, operation, 1, waiting("own")) == 2
    assert waited == waits


async def test_an_answer_that_comes_before_the_request_is_written_whole_is_read() -> None:
    class Full(socket.socket):
        def send(self, _: object) -> int:  # type: ignore[override]
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    ours, theirs = socket.socketpair()
    with theirs:
        connection = H11Connection(Full(fileno=ours.detach()), 1000)
        theirs.sendall(reply(413, b"too large"))
        answer = await connection.send(b"x" * 99, bodiless=False)
        assert isinstance(answer, Response)
        assert (answer.status, connection.reusable) == (413, False)
        connection.abort()


@pytest.mark.parametrize(
    ("fields", "body", "outcome"),
    [
        (b"A: a\r\n" * 25_000, b"", Unanswered("the response is not HTTP")),
        (b"A: a\r\n", b"x" * 150_000, Response(200, {"a": "a", "content-length": "150000"}, b"x" * 150_000)),
    ],
    ids=["a long head", "a long body"],
)
async def test_of_what_arrives_at_once_only_the_head_may_not_be_too_long(
    fields: bytes, body: bytes, outcome: Answer
) -> None:
    class Whole(socket.socket):
        def recv(self, *_: object) -> bytes:
            return b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n%b" % (fields, len(body), body)

    ours, theirs = socket.socketpair()
    with theirs:
        connection = H11Connection(Whole(fileno=ours.detach()), 200_000)
        theirs.sendall(b"-")  # so that there is something to read
        assert await connection.send(b"x", bodiless=False) == outcome
        connection.abort()


async def test_what_is_lost_while_it_is_written_is_unanswered() -> None:
    class Lost(socket.socket):
        def send(self, _: object) -> int:  # type: ignore[override]
            raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")

    ours, theirs = socket.socketpair()
    with theirs:
        connection = H11Connection(Lost(fileno=ours.detach()), 1000)
        answer = await connection.send(b"x" * 99, bodiless=False)
        assert answer == Unanswered("the connection was lost: ECONNRESET (Connection reset by peer)")
        connection.abort()


async def test_a_connection_that_was_idle_for_long_is_not_used() -> None:
    numbers: list[int] = []

    async def serve(wire: Wire) -> None:
        while True:
            _ = await wire.request()
            numbers.append(wire.number)
            await wire.send(reply(200))

    async with answering(serve) as (transport, url):
        _ = await transport(post(url))
        (connection,) = transport.pool.idle[next(iter(transport.pool.idle))]  # type: ignore[attr-defined]
        connection.idle_since -= 15.0
        _ = await transport(post(url))
    assert numbers == [1, 2]
