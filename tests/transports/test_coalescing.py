"""Request coalescing: requests that are written together, and requests that are not written yet."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack, asynccontextmanager
from functools import partial
from typing import TypeAlias
from unittest.mock import patch

import anyio
import pytest
from attrs import define, field

from msgapi import Response
from msgapi.transports import Answer, Transport, aiohttp, httptools
from msgapi.transports.common.connections import Deadlines
from msgapi.transports.common.http1 import RequestCoalescer
from tests.support.exchanges import OK, post
from tests.support.raw_servers import Wire, reply, serving
from tests.transports.test_httptools import UVLOOP

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio", UVLOOP])]

Opened: TypeAlias = Callable[[], AbstractAsyncContextManager[Transport]]
BOTH = pytest.mark.parametrize("opened", [httptools.open, aiohttp.open], ids=["httptools", "aiohttp"])


@asynccontextmanager
async def in_flight(count: int) -> AsyncIterator[RequestCoalescer]:
    deadlines = Deadlines(60)
    with ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(deadlines.start())
        assert len(deadlines.running) == count
        yield RequestCoalescer(deadlines)
    deadlines.close()


async def test_where_few_are_in_flight_each_leaves_at_once() -> None:
    left: list[int] = []
    async with in_flight(7) as coalescer:
        for number in range(20):
            coalescer.add(partial(left.append, number))
            assert left == list(range(number + 1))


async def test_where_many_are_those_of_one_turn_leave_together() -> None:
    left: list[int] = []
    async with in_flight(8) as coalescer:
        for number in range(3):
            coalescer.add(partial(left.append, number))
        assert left == []
        await asyncio.sleep(0)
        assert left == [0, 1, 2]
        coalescer.add(lambda: left.append(3))
        await asyncio.sleep(0)
        assert left == [0, 1, 2, 3]


async def test_none_waits_for_more_than_a_few_others() -> None:
    left: list[int] = []
    async with in_flight(100) as coalescer:
        for number in range(20):
            coalescer.add(partial(left.append, number))
            assert len(left) == (number + 1) // 8 * 8
        await asyncio.sleep(0)
    assert left == list(range(20))


@define
class Held:
    """An outbox that keeps what is put into it."""

    leaving: list[Callable[[], object]] = field(factory=list)
    came: anyio.Event = field(factory=anyio.Event)

    def add(self, write: Callable[[], object]) -> None:
        self.leaving.append(write)
        self.came.set()

    async def taken(self) -> Callable[[], object]:
        await self.came.wait()
        self.came = anyio.Event()
        return self.leaving.pop()


@define
class Service:
    """Answers what comes; tells how much did, and has the wire."""

    requests: int = 0
    wires: list[Wire] = field(factory=list)

    async def serve(self, wire: Wire) -> None:
        self.wires.append(wire)
        while True:
            _ = await wire.request()
            self.requests += 1
            await wire.send(OK)


@asynccontextmanager
async def held(opened: Opened, service: Service) -> AsyncIterator[tuple[Transport, Held, str]]:
    """Give a transport with one idle connection, whose next requests stay in the outbox."""
    box = Held()
    async with AsyncExitStack() as stack:
        _ = stack.enter_context(patch.object(RequestCoalescer, "add", lambda _, write: box.add(write)))
        url = await stack.enter_async_context(serving(service.serve))
        transport = await stack.enter_async_context(opened())
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(transport, post(url))
            _ = (await box.taken())()
        assert service.requests == 1
        yield transport, box, url


async def asked(transport: Transport, url: str, answers: list[Answer]) -> None:
    answers.append(await transport(post(url)))


@asynccontextmanager
async def leaving(opened: Opened, service: Service, answers: list[Answer]) -> AsyncIterator[Callable[[], object]]:
    """Give what has a held call leave; its answer is there once the block has ended."""
    async with held(opened, service) as (transport, box, url):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(asked, transport, url, answers)
            yield await box.taken()
        await anyio.sleep(0.02)


@BOTH
async def test_a_delayed_request_is_written_once_and_answered(opened: Opened) -> None:
    service, answers = Service(), list[Answer]()
    async with leaving(opened, service, answers) as leave:
        await anyio.sleep(0.02)
        assert (service.requests, answers) == (1, [])
        _ = leave()
    assert [type(answer) for answer in answers] == [Response]
    assert (service.requests, len(service.wires)) == (2, 1)


@BOTH
@pytest.mark.parametrize("knows", [True, False], ids=["and has ended", "and does not know yet"])
async def test_a_call_that_is_cancelled_before_it_left_never_leaves(opened: Opened, knows: bool) -> None:
    service = Service()
    async with held(opened, service) as (transport, box, url):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(transport, post(url))
            leave = await box.taken()
            tasks.cancel_scope.cancel()
            if not knows:
                _ = leave()
        _ = leave()
        await anyio.sleep(0.02)
        assert service.requests == 1


@BOTH
@pytest.mark.parametrize("data", [False, True], ids=["ended", "with data"])
async def test_a_kept_connection_lost_before_the_request_was_written_is_replaced(opened: Opened, data: bool) -> None:
    service, answers = Service(), list[Answer]()
    async with held(opened, service) as (transport, box, url), anyio.create_task_group() as tasks:
        tasks.start_soon(asked, transport, url, answers)
        leave = await box.taken()
        if data:
            await service.wires[0].send(reply(200, b'{"unasked":1}'))
        else:
            await service.wires[0].stream.aclose()
        again = await box.taken()
        _ = leave()
        await anyio.sleep(0.02)
        assert (service.requests, answers) == (1, [])
        _ = again()
    assert answers == [Response(200, {"content-length": "2"}, b"{}")]
    assert (service.requests, len(service.wires)) == (2, 2)


@BOTH
async def test_many_at_once_are_all_answered(opened: Opened) -> None:
    service, answers = Service(), list[Answer]()
    async with serving(service.serve) as url, opened() as transport:
        for _ in range(3):
            async with anyio.create_task_group() as tasks:
                for _ in range(100):
                    tasks.start_soon(asked, transport, url, answers)
    assert service.requests == len(answers) == 300
    assert all(isinstance(answer, Response) for answer in answers)
