"""The limit of connections, the pool of idle ones, and the check of a socket."""

import asyncio
import gc
import select
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from math import inf
from typing import Any

import anyio
import pytest
from attrs import define, field
from yarl import URL

from msgapi import NotSent, Request, Response
from msgapi.results import NO_FREE_CONNECTION
from msgapi.transports import Answer, Transport
from msgapi.transports.common import connections
from msgapi.transports.common.connections import (
    ConnectionLimit,
    ConnectionPool,
    PooledTransport,
    make_deadlines,
    watch_socket,
)
from msgapi.transports.common.http1 import Origin, RequestEncoder, request_headers, targets
from msgapi.transports.common.opening import ConnectFailed, Connector

pytestmark = pytest.mark.anyio
HERE: Origin = ("http", "here.test", 80)
THERE: Origin = ("http", "there.test", 80)
ON_ASYNCIO = pytest.mark.parametrize("anyio_backend", ["asyncio"])


# The limit, on every event loop.


async def take(limit: ConnectionLimit, taken: list[NotSent | None]) -> None:
    taken.append(await limit.wait())


async def test_those_who_wait_are_served_in_the_order_in_which_they_came() -> None:
    limit, order = ConnectionLimit(1), list[int]()
    limit.free -= 1

    async def call(number: int) -> None:
        assert await limit.wait() is None
        order.append(number)
        limit.give_back()

    async with anyio.create_task_group() as tasks:
        for number in range(5):
            tasks.start_soon(call, number)
            await anyio.wait_all_tasks_blocked()
        limit.give_back()
    assert order == [0, 1, 2, 3, 4]
    assert limit.free == 1


async def test_a_higher_limit_lets_those_who_wait_go_on() -> None:
    limit, taken = ConnectionLimit(1), list[NotSent | None]()
    limit.free -= 1
    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(take, limit, taken)
        await anyio.wait_all_tasks_blocked()
        limit.resize(3)
        await anyio.wait_all_tasks_blocked()
        assert taken == [None, None]
        limit.resize(5)
    assert (taken, limit.free, limit.size) == ([None, None, None], 1, 5)


async def test_a_lower_limit_holds_as_soon_as_enough_are_given_back() -> None:
    limit, taken = ConnectionLimit(2), list[NotSent | None]()
    limit.free -= 2
    limit.resize(1)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(take, limit, taken)
        await anyio.wait_all_tasks_blocked()
        limit.give_back()
        await anyio.wait_all_tasks_blocked()
        assert taken == []
        limit.give_back()
    assert taken == [None]
    assert limit.free == 0


async def test_who_is_cancelled_just_when_it_was_served_gives_back() -> None:
    limit, taken = ConnectionLimit(1), list[NotSent | None]()
    limit.free -= 1
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(take, limit, taken)
        await anyio.wait_all_tasks_blocked()
        limit.give_back()
        tasks.cancel_scope.cancel()
    assert len(taken) + limit.free == 1


@ON_ASYNCIO
async def test_a_task_that_is_cancelled_after_it_was_served_gives_back() -> None:
    limit = ConnectionLimit(1)
    limit.free -= 1
    waiting = asyncio.create_task(limit.wait())
    await anyio.wait_all_tasks_blocked()
    limit.give_back()
    assert waiting.cancel()
    _ = await asyncio.wait([waiting])
    assert waiting.cancelled()
    assert limit.free == 1


async def test_a_deadline_that_has_passed_is_not_waited_for() -> None:
    limit = ConnectionLimit(1)
    limit.free -= 1
    with anyio.move_on_after(0.001) as scope:
        unsent = await limit.wait()
    if not scope.cancelled_caught:
        assert unsent is not None
        assert unsent.code == NO_FREE_CONNECTION
    limit.give_back()
    assert limit.free == 1


async def test_a_limit_that_closes_ends_the_wait() -> None:
    limit, taken = ConnectionLimit(1), list[NotSent | None]()
    limit.free -= 1
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(take, limit, taken)
        await anyio.wait_all_tasks_blocked()
        limit.close()
    assert taken == [NotSent("the transport was closed")]


# The pool, on asyncio.


@define(eq=False)
class Idle:
    """A connection that does nothing."""

    is_open: bool = True
    reusable: bool = True
    answered: bool = False
    number: int = 0
    idle_since: float = 0.0
    retire_at: float = inf
    aborted: bool = False

    def abort(self) -> None:
        self.aborted = True

    async def send(self, request: bytes, *, bodiless: bool) -> Answer:
        del request, bodiless
        return Response(self.number)


@define
class Time:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def pool_at(
    monkeypatch: pytest.MonkeyPatch, *, limit: int = 9
) -> AsyncIterator[tuple[ConnectionPool[Idle], Time]]:
    time = Time()
    monkeypatch.setattr(connections, "monotonic", time)
    pool = ConnectionPool[Idle](ConnectionLimit(limit), asyncio.get_running_loop())
    yield pool, time
    pool.close()


@define(eq=False)
class Connections:
    """Makes connections that answer each request with their number, and remembers them."""

    made: list[Idle] = field(factory=list)

    async def __call__(self, _: object, __: object = None) -> Idle:
        self.made.append(Idle(number=len(self.made) + 1))
        return self.made[-1]


@asynccontextmanager
async def transport_over(made: Connections) -> AsyncIterator[PooledTransport[Idle]]:
    transport = PooledTransport(made, make_deadlines(9), ConnectionLimit(9), asyncio.get_running_loop())
    yield transport
    await transport.close()


async def number_of(transport: Transport, host: str = "here.test") -> int:
    answer = await transport(Request("GET", f"http://{host}/"))
    assert isinstance(answer, Response)
    return answer.status


@ON_ASYNCIO
async def test_the_connection_that_was_used_last_is_reused_first() -> None:
    made = Connections()
    async with transport_over(made) as transport:
        first, second = Idle(number=1), Idle(number=2)
        for connection in (first, second):
            assert transport.pool.release(HERE, connection)
        assert [await number_of(transport), await number_of(transport)] == [2, 2]
        second.reusable = False
        assert [await number_of(transport), await number_of(transport)] == [2, 1]
        assert second.aborted
        assert await number_of(transport, "there.test") == 1
    assert len(made.made) == 1


@ON_ASYNCIO
async def test_a_connection_that_is_not_open_is_closed_and_not_reused() -> None:
    made, good, stale = Connections(), Idle(number=7), Idle(number=8)
    async with transport_over(made) as transport:
        for connection in (good, stale):
            assert transport.pool.release(HERE, connection)
        stale.is_open = False
        assert await number_of(transport) == 7
        assert (good.aborted, stale.aborted) == (False, True)
        good.is_open = False
        assert await number_of(transport) == 1


@ON_ASYNCIO
async def test_a_deadline_that_expires_while_connecting_is_not_sent() -> None:
    async def never(_: object, __: object) -> Idle:
        await anyio.sleep_forever()
        raise AssertionError

    transport = PooledTransport(never, make_deadlines(0.02), ConnectionLimit(9), None)
    assert await transport(Request("GET", "http://here.test/")) == NotSent("could not connect to here.test:80 in time")
    await transport.close()


@ON_ASYNCIO
async def test_the_limit_of_an_open_transport_can_be_raised() -> None:
    async with transport_over(Connections()) as transport:
        assert transport.max_connections == 9
        transport.max_connections = 12
        assert (transport.max_connections, transport.limit.free) == (12, 12)


@ON_ASYNCIO
async def test_a_connection_that_is_not_reusable_or_comes_back_to_a_closed_pool_is_closed() -> None:
    pool = ConnectionPool[Idle](ConnectionLimit(1), None)
    used, late = Idle(reusable=False), Idle()
    assert not pool.release(HERE, used)
    pool.limit.close()
    assert not pool.release(HERE, late)
    assert (used.aborted, late.aborted, pool.idle) == (True, True, {})


async def test_without_a_loop_an_expired_connection_is_closed_when_another_one_becomes_idle(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    time, old, young, last = Time(), Idle(), Idle(), Idle()
    monkeypatch.setattr(connections, "monotonic", time)
    pool = ConnectionPool[Idle](ConnectionLimit(9), None)
    assert pool.release(HERE, old)
    time.now += 10
    assert pool.release(HERE, young)
    assert not old.aborted
    time.now += 6
    assert pool.release(HERE, last)
    assert (old.aborted, pool.idle) == (True, {HERE: [young, last]})
    pool.close()


@ON_ASYNCIO
async def test_what_is_idle_for_15_seconds_or_closed_by_the_peer_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    old, stale, young = Idle(), Idle(is_open=False), Idle()
    async with pool_at(monkeypatch) as (pool, time):
        pool.release(HERE, old)
        time.now += 8
        pool.release(HERE, young)
        pool.release(THERE, stale)
        time.now += 8
        pool.drop_expired()
        assert [one.aborted for one in (old, stale, young)] == [True, True, False]
        assert pool.idle == {HERE: [young]}
        time.now += 8
        pool.drop_expired()
        assert pool.idle == {}


@ON_ASYNCIO
async def test_expired_connections_are_closed_by_a_timer_that_ends_with_them() -> None:
    pool, idle = ConnectionPool[Idle](ConnectionLimit(1), asyncio.get_running_loop()), Idle()
    pool.keepalive = 0.01
    pool.release(HERE, idle)
    with anyio.fail_after(2):
        while pool.idle:  # noqa: ASYNC110 - what it waits for has no event
            await anyio.sleep(0.01)
    assert idle.aborted
    pool.release(HERE, Idle())  # which starts it again
    with anyio.fail_after(2):
        while pool.idle:  # noqa: ASYNC110 - what it waits for has no event
            await anyio.sleep(0.01)
    pool.close()


@ON_ASYNCIO
async def test_the_connection_that_is_idle_for_longest_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, third = Idle(), Idle(), Idle()
    async with pool_at(monkeypatch, limit=3) as (pool, time):
        for origin, connection in ((THERE, first), (HERE, second), (THERE, third)):
            time.now += 1
            pool.release(origin, connection)
        assert pool.idle[HERE].pop() is second
        pool.limit.free -= 1
        pool.make_room()
        assert not first.aborted
        pool.limit.free -= 1
        pool.make_room()
        assert (first.aborted, third.aborted) == (True, False)
        pool.limit.resize(1)
        pool.make_room()
        assert third.aborted


@ON_ASYNCIO
async def test_closing_a_pool_closes_what_is_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    idle = Idle()
    async with pool_at(monkeypatch) as (pool, _):
        pool.release(HERE, idle)
    assert idle.aborted


# The check of a socket.


@pytest.fixture(params=["poll", "select"])
def watched(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: ANN401 - a generator
    if request.param == "select":
        monkeypatch.delattr(select, "poll")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield theirs, watch_socket(ours.fileno())


Watched = tuple[socket.socket, Callable[[int], object]]


def test_a_socket_with_nothing_to_read_is_quiet(watched: Watched) -> None:
    _, has_data = watched
    assert not has_data(0)


def test_a_socket_with_data_is_noticed_without_the_event_loop(watched: Watched) -> None:
    theirs, has_data = watched
    theirs.sendall(b"x")
    assert has_data(0)


def test_a_socket_at_its_end_is_noticed_without_the_event_loop(watched: Watched) -> None:
    theirs, has_data = watched
    theirs.close()
    assert has_data(0)


# The resolution of a host, on asyncio.


class NoProtocol(asyncio.Protocol):
    """A protocol that does nothing."""


@ON_ASYNCIO
async def test_connections_that_are_made_at_the_same_time_share_the_resolution_of_their_host(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop, lookups, go = asyncio.get_running_loop(), list[str](), asyncio.Event()

    async def getaddrinfo(host: str, *_: object, **__: object) -> None:
        lookups.append(host)
        await go.wait()
        raise socket.gaierror(socket.EAI_AGAIN, "later")

    monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo)
    connector = Connector(NoProtocol, 30.0, None)
    tasks = [asyncio.create_task(connector(URL("http://one.test"))) for _ in range(9)]
    other = asyncio.create_task(connector(URL("http://two.test")))
    await anyio.wait_all_tasks_blocked()
    tasks[0].cancel()
    go.set()
    results = await asyncio.gather(*tasks, other, return_exceptions=True)
    assert lookups == ["one.test", "two.test"]
    assert [type(result) for result in results] == [asyncio.CancelledError, *([ConnectFailed] * 9)]
    with pytest.raises(ConnectFailed):
        _ = await connector(URL("http://one.test"))
    assert len(lookups) == 3


@ON_ASYNCIO
async def test_a_resolution_that_no_call_waits_for_any_more_logs_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    go = asyncio.Event()

    async def getaddrinfo(*_: object, **__: object) -> None:
        await go.wait()
        raise socket.gaierror(socket.EAI_AGAIN, "later")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    connector = Connector(NoProtocol, 0.01, None)
    for _ in range(2):
        with pytest.raises(ConnectFailed):
            _ = await connector(URL("http://one.test"))
    (lookup,) = connector._resolving.values()
    go.set()
    await asyncio.wait([lookup])
    go.clear()
    with pytest.raises(ConnectFailed):
        _ = await connector(URL("http://one.test"))
    (cancelled,) = connector._resolving.values()
    cancelled.cancel()
    await asyncio.wait([cancelled])
    await asyncio.sleep(0)
    assert connector._resolving == {}
    gc.collect()
    assert caplog.records == []


@ON_ASYNCIO
async def test_a_call_that_is_cancelled_right_after_it_was_served_gives_the_connection_back() -> None:
    limit = ConnectionLimit(1)
    limit.free -= 1
    task = asyncio.create_task(limit.wait())
    await anyio.wait_all_tasks_blocked()
    limit.give_back()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        _ = await task
    assert limit.free == 1


@ON_ASYNCIO
async def test_a_deadline_that_expires_while_a_call_connects_is_not_sent() -> None:
    async def connect(_: URL, __: float | None) -> Idle:
        await asyncio.sleep(60)
        raise AssertionError

    transport = PooledTransport(connect, make_deadlines(0.02), ConnectionLimit(1), asyncio.get_running_loop())
    assert await transport(Request("GET", "http://here.test/")) == NotSent("could not connect to here.test:80 in time")
    await transport.close()


def test_the_headers_of_a_request_are_its_own_and_those_that_it_lacks() -> None:
    url = URL("http://here.test:81/", encoded=True)
    given = {"host": "other.test", "ACCEPT-ENCODING": "gzip"}
    assert request_headers(Request("GET", "", given), url) == [(b"host", b"other.test"), (b"ACCEPT-ENCODING", b"gzip")]
    assert request_headers(Request("POST", "", {}, b"{}"), url) == [
        (b"Host", b"here.test:81"),
        (b"Accept-Encoding", b"identity"),
        (b"Content-Length", b"2"),
    ]


# The head of a request.


def head(encoder: RequestEncoder, *, url: str = "http://here.test/a", **headers: str) -> str:
    target = targets[url]
    assert target is not None
    return encoder.encode(Request("POST", url, headers, b"{}"), target).decode()


async def test_a_head_that_was_kept_is_only_used_for_the_same_headers() -> None:
    encoder, end = RequestEncoder(), "Accept-Encoding: identity\r\nContent-Length: 2\r\n\r\n{}"
    for first, last in (("1", "a"), ("1", "b"), ("2", "b")):
        assert head(encoder, A=first, Key=last) == (
            f"POST /a HTTP/1.1\r\nA: {first}\r\nKey: {last}\r\nHost: here.test\r\n{end}"
        )
    assert head(encoder, B="1", Key="a").startswith("POST /a HTTP/1.1\r\nB: 1\r\nKey: a\r\nHost: here.test\r\n")
    assert head(encoder, url="http://there.test/b?c", A="1", Key="a") == (
        f"POST /b?c HTTP/1.1\r\nA: 1\r\nKey: a\r\nHost: there.test\r\n{end}"
    )
    assert head(encoder) == f"POST /a HTTP/1.1\r\nHost: here.test\r\n{end}"
    assert head(encoder, Host="x") == f"POST /a HTTP/1.1\r\nHost: x\r\n{end}"


@pytest.mark.parametrize("headers", [{"A": "1\n", "Key": "a"}, {"A": "1", "Key": "a\r"}, {"A": "1", "Key": "\0"}])
async def test_a_line_break_in_any_header_raises_each_time(headers: dict[str, str]) -> None:
    encoder = RequestEncoder()
    _ = head(encoder, A="1", Key="a")
    for _ in range(2):
        with pytest.raises(ValueError, match="a header has a line break"):
            _ = head(encoder, **headers)


async def test_heads_of_more_hosts_than_are_kept_are_right() -> None:
    encoder = RequestEncoder()
    for number in [*range(100), *range(100)]:
        assert f"Host: h{number}.test\r\n" in head(encoder, url=f"http://h{number}.test/", Key="a")
