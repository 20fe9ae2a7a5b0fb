"""A thousand clients opened and closed, and ten thousand calls in the queue: nothing is left, and nothing is late."""

import gc
import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from weakref import WeakSet

import anyio
import pytest

from msgapi import Client, Ok, Pace, Request, Response, VirtualClock, batch, journal
from msgapi.concurrency import background
from msgapi.sandbox import Sandbox
from msgapi.transports import Transport, aiohttp, httptools, httpx2
from tests.support.batch_calls import call, rows
from tests.support.journals import rows as rows_with_ids
from tests.support.raw_servers import Wire, reply, serving

pytestmark = pytest.mark.anyio
ON_ASYNCIO = pytest.mark.parametrize("anyio_backend", ["asyncio"])
OPEN_FILES = Path("/proc/self/fd")


async def answering(wire: Wire) -> None:
    while True:
        _ = await wire.request()
        await wire.send(reply(200, b"1"))


def held() -> tuple[int, int]:
    """Count the tasks, and the files and sockets where the system tells them."""
    return len(anyio.get_running_tasks()), sum(1 for _ in OPEN_FILES.iterdir()) if OPEN_FILES.exists() else 0


async def settled(before: tuple[int, int]) -> tuple[int, int]:
    """Wait until no more is held than *before*; the server's ends of the connections close a moment later."""
    with anyio.move_on_after(5):
        while any(now > then for now, then in zip(held(), before, strict=True)):  # noqa: ASYNC110 - nothing tells
            await anyio.sleep(0.01)
    return held()


async def use(api: Client, number: int) -> None:
    """Make a call, and cancel every third in flight."""
    if number % 3:
        assert isinstance(await api(call(number)), Ok)
        return
    async with anyio.create_task_group() as tasks:
        _ = tasks.start_soon(api, call(number))
        for _ in range(number % 7):
            await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("anyio_backend", "opened"),
    [
        ("asyncio", aiohttp.open),
        ("asyncio", httptools.open),
        ("asyncio", httpx2.open),
        ("trio", httpx2.open),
    ],
)
async def test_a_thousand_clients_leave_no_task_no_connection_and_no_memory_behind(
    opened: Callable[[], AbstractAsyncContextManager[Transport]],
) -> None:
    clients = WeakSet[Client]()
    async with serving(answering) as url:
        for number in range(1001):
            async with opened() as transport, Client(api_key="k", base_url=url, transport=transport) as api:
                clients.add(api)
                await use(api, number)
            if number == 0:
                await anyio.sleep(0.05)
                before, threads = held(), threading.active_count()
        del api
        assert await settled(before) == before
        assert threading.active_count() < threads + 40  # asyncio's own pool, which finds host names
    _ = gc.collect()
    assert len(clients) == 0


async def test_a_hundred_batches_with_journals_leave_no_file_open(tmp_path: Path) -> None:
    box = Sandbox(timing=None, rate_limit=100_000)
    before = held()
    for number in range(100):
        async with (
            Client(api_key=box.api_key, transport=box) as api,
            journal.open(str(tmp_path / f"{number}.db"), batch=f"{number}") as record,
            batch.send(api, rows_with_ids(3), journal=record) as outcomes,
        ):
            async for _ in outcomes:
                if number % 2:
                    break
    assert await settled(before) == before


@ON_ASYNCIO
async def test_ten_thousand_calls_that_wait_for_their_turn_are_no_time_outs() -> None:
    clock, sent = VirtualClock(), 0

    async def answer(_: Request, /) -> Response:
        nonlocal sent
        sent += 1
        await clock.sleep(0.1)
        return Response(200, {}, b"1")

    async def let_time_pass() -> None:
        while True:
            before = -1
            while sent > before:  # then every request that may leave has left
                before = sent
                for _ in range(20):
                    await anyio.lowlevel.checkpoint()
            clock.advance(0.02)

    client = Client(api_key="k", transport=answer, clock=clock, pace=Pace(per_second=1500)).with_options(timeout=6.0)
    async with background(let_time_pass), client, batch.send(client, rows(10_001), concurrency=10_001) as outcomes:
        async for outcome in outcomes:
            assert isinstance(outcome.result, Ok), outcome
    assert outcomes.settled == 10_001
    assert clock.now() > 6.0  # the last of them have waited for longer than an exchange may take
