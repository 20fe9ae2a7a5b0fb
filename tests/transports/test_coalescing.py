"""Request coalescing: requests that are written together, and requests that are not written yet."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack, asynccontextmanager
from functools import partial
from typing import Any, TypeAlias

import anyio
import pytest
from aiohttp.client_proto import ResponseHandler
from attrs import define, field

from msgapi import NotSent, Response
from msgapi.transports import Answer, Transport, aiohttp, httptools
from msgapi.transports.common.connections import Deadlines, RequestCoalescer
from tests.support.raw_servers import Wire, reply, serving
from tests.transports.test_aiohttp import OK, post
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
        assert len(deadlines) == count
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
        url = await stack.enter_async_context(serving(service.serve))
        transport: Any = await stack.enter_async_context(opened())
        transport.coalescer = box
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
async def test_a_connection_lost_before_the_request_was_written_is_not_sent(opened: Opened) -> None:
    service, answers = Service(), list[Answer]()
    async with leaving(opened, service, answers) as leave:
        await service.wires[0].stream.aclose()
        while not answers:  # noqa: ASYNC110 - what it waits for has no event
            await anyio.sleep(0.005)
        _ = leave()
    assert answers == [NotSent("the connection was lost before the request was sent")]
    assert service.requests == 1


@BOTH
async def test_what_comes_before_it_left_is_no_answer_to_it(opened: Opened) -> None:
    service, answers = Service(), list[Answer]()
    async with leaving(opened, service, answers) as leave:
        await service.wires[0].send(reply(200, b'{"unasked":1}'))
        await anyio.sleep(0.02)
        _ = leave()
    assert [type(answer) for answer in answers] == [NotSent]
    assert service.requests == 1


async def test_what_has_just_come_over_aiohttp_before_it_left_is_no_answer_to_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    service, answers, reading = Service(), list[Answer](), list[ResponseHandler]()
    asking = ResponseHandler.set_response_params

    def asked_of(handler: ResponseHandler, **how: Any) -> None:  # noqa: ANN401 - passed on
        reading.append(handler)
        asking(handler, **how)

    monkeypatch.setattr(ResponseHandler, "set_response_params", asked_of)
    async with leaving(aiohttp.open, service, answers) as leave:
        reading[-1].data_received(reply(408, b""))
        _ = leave()  # before the call learns of it
    assert [type(answer) for answer in answers] == [NotSent]
    assert service.requests == 1


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
