"""batch: bounded and lazy, with one outcome for every call."""

import tracemalloc
import weakref
from collections.abc import Iterator
from typing import Any, TypeVar

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import msgapi
import msgapi.transports.aiohttp
from msgapi import (
    Call,
    InsufficientBalance,
    Invalid,
    Meta,
    NotFound,
    NotSent,
    Ok,
    Result,
    Unanswered,
    Unreadable,
    VirtualClock,
    batch,
)
from tests.support.batch_calls import BACKENDS, Busy, answer, answer_at_once, drain, rows, rows_later

T = TypeVar("T")


@pytest.mark.anyio
async def test_every_call_has_one_outcome_that_names_its_position_and_its_call() -> None:
    calls = list(rows(200))
    async with batch.send(answer, calls, concurrency=7) as outcomes:
        seen = {outcome.index: outcome async for outcome in outcomes}
    assert sorted(seen) == list(range(200))
    assert all(seen[index].call is calls[index] and seen[index].result == Ok(0) for index in seen)
    assert (outcomes.started, outcomes.settled, outcomes.in_flight, outcomes.stopped) == (200, 200, 0, None)


@pytest.mark.anyio
async def test_an_async_source_is_pulled_by_one_task_at_a_time() -> None:
    async with batch.send(answer, rows_later(50), concurrency=8) as outcomes:
        assert sorted(await drain(outcomes)) == list(range(50))


@pytest.mark.anyio
async def test_a_source_without_calls_ends_at_once() -> None:
    async with batch.send(answer, rows(0)) as outcomes:
        assert await drain(outcomes) == []
        assert await drain(outcomes) == []


@pytest.mark.anyio
async def test_an_api_that_never_waits_is_no_trouble() -> None:
    async with batch.send(answer_at_once, rows(1000), concurrency=8) as outcomes:
        assert await drain(outcomes) == list(range(1000))


@BACKENDS
@settings(max_examples=40)
@given(
    delays=st.lists(st.integers(0, 5), max_size=30),
    concurrency=st.integers(1, 8),
    pauses=st.lists(st.integers(0, 3), min_size=1, max_size=4),
    later=st.booleans(),
)
def test_whatever_takes_how_long_each_call_ends_once_and_never_too_many_are_in_flight(
    backend: str, delays: list[int], concurrency: int, pauses: list[int], *, later: bool
) -> None:
    clock, ended, taken = VirtualClock(), list[int](), list[int]()

    async def wait(row: int) -> None:
        await clock.sleep(delays[row])
        ended.append(row)

    async def main() -> None:
        api = Busy(wait)
        source = rows_later(len(delays)) if later else rows(len(delays))
        async with clock.autojump(), batch.send(api, source, concurrency=concurrency) as outcomes:
            async for outcome in outcomes:
                taken.append(outcome.index)
                await clock.sleep(pauses[outcome.index % len(pauses)])
        assert api.most <= concurrency
        assert (api.now, outcomes.in_flight) == (0, 0)

    anyio.run(main, backend=backend)
    assert sorted(taken) == list(range(len(delays)))
    assert taken == ended


@pytest.mark.anyio
async def test_all_of_at_once_are_used() -> None:
    full = anyio.Event()

    async def wait(row: int) -> None:
        if row == 15:
            full.set()
        await full.wait()

    api = Busy(wait)
    async with batch.send(api, rows(40), concurrency=16) as outcomes:
        assert len(await drain(outcomes)) == 40
    assert api.most == 16


@pytest.mark.anyio
async def test_nothing_is_sent_before_someone_iterates() -> None:
    source = rows(5)
    async with batch.send(answer, source) as outcomes:
        await anyio.wait_all_tasks_blocked()
    assert outcomes.started == 0
    assert len(list(source)) == 5


@pytest.mark.anyio
async def test_asked_to_stop_before_the_first_it_sends_nothing() -> None:
    async with batch.send(answer, rows(10)) as outcomes:
        outcomes.stop()
        assert await drain(outcomes) == []
    assert outcomes.started == 0


@pytest.mark.anyio
async def test_a_slow_consumer_holds_the_source_back() -> None:
    pulled = 0

    def source() -> Iterator[Call[int]]:
        nonlocal pulled
        for pulled, row in enumerate(rows(1000), 1):  # noqa: B007 - counted outside
            yield row

    async with batch.send(answer, source(), concurrency=5) as outcomes:
        taken = 0
        async for _ in outcomes:
            taken += 1
            if taken < 20:
                await anyio.wait_all_tasks_blocked()
            assert pulled - taken <= 4 * 5
    assert taken == 1000


@pytest.mark.anyio
async def test_while_the_body_works_the_next_calls_are_sent() -> None:
    async with batch.send(answer_at_once, rows(100), concurrency=2) as outcomes:
        _ = await anext(outcomes)
        await anyio.wait_all_tasks_blocked()
        assert outcomes.started == 4


@pytest.mark.anyio
async def test_memory_does_not_grow_with_the_length_of_the_source() -> None:
    async def peak(count: int) -> int:
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        async with batch.send(answer_at_once, rows(count), concurrency=16) as outcomes:
            async for _ in outcomes:
                pass
        return tracemalloc.get_traced_memory()[1] - before

    tracemalloc.start()
    try:
        _ = await peak(100)
        assert await peak(20_000) < 1.5 * await peak(1000)
    finally:
        tracemalloc.stop()


@pytest.mark.anyio
async def test_an_outcome_that_was_taken_is_let_go() -> None:
    living = weakref.WeakSet[Busy]()

    class Row(Busy):
        pass

    async def note(a_call: Call[T]) -> Result[T]:
        result = await answer(a_call)
        assert isinstance(result, Ok)
        value: Any = Row(anyio.sleep)
        living.add(value)
        return Ok(value)

    most = 0
    async with batch.send(note, rows(500), concurrency=4) as outcomes:
        async for _ in outcomes:
            most = max(most, len(living))
    assert most <= 4 * 4 + 1


@pytest.mark.anyio
async def test_two_tasks_cannot_wait_for_outcomes_at_once() -> None:
    api = Busy(lambda _: anyio.sleep(3600))
    async with anyio.create_task_group() as tasks, batch.send(api, rows(2)) as outcomes:
        _ = tasks.start_soon(anext, outcomes)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(RuntimeError, match="already"):
            _ = await anext(outcomes)
        tasks.cancel_scope.cancel()


@pytest.mark.anyio
async def test_giving_up_a_wait_loses_no_outcome() -> None:
    go = anyio.Event()
    api = Busy(lambda _: go.wait())
    async with batch.send(api, rows(3)) as outcomes:
        with anyio.move_on_after(0):
            _ = await anext(outcomes)
        go.set()
        assert len(await drain(outcomes)) == 3


@pytest.mark.anyio
async def test_a_batch_that_was_left_cannot_be_iterated() -> None:
    async with batch.send(answer, rows(3)) as outcomes:
        pass
    with pytest.raises(RuntimeError, match="inside its `async with"):
        _ = await anext(outcomes)


@pytest.mark.parametrize(("concurrency", "breaker", "named"), [(0, 25, "concurrency"), (1, 0, "breaker")])
def test_a_limit_below_one_is_refused_before_anything_is_sent(concurrency: int, breaker: int, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        _ = batch.send(answer, [], concurrency=concurrency, breaker=breaker)


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_client_gets_as_many_connections_as_there_are_calls_in_flight() -> None:
    client = msgapi.Client(api_key="sk_1", base_url="http://127.0.0.1:9")
    calls: list[Call[object]] = []
    async with client, batch.send(client, calls, concurrency=300) as outcomes:
        assert [outcome async for outcome in outcomes] == []
        assert client._sender.transport.max_connections == 300  # type: ignore[attr-defined]


def test_more_calls_in_flight_than_the_connections_of_a_transport_are_a_mistake() -> None:
    client = msgapi.Client(api_key="sk_1", transport=msgapi.transports.aiohttp.open(max_connections=63))
    with pytest.raises(ValueError, match="open it with max_connections=64"):
        _ = batch.send(client, [])


@pytest.mark.anyio
async def test_only_a_verdict_settles_a_call() -> None:
    results: list[Result[object]] = [
        Ok(None),
        Unreadable(),
        NotFound(),
        Invalid(),
        Unanswered("cut"),
        Unreadable(from_service=False),
        NotFound(may_have_happened=True),
        NotFound(from_service=False, meta=Meta(status=404)),
        NotSent("no route"),
    ]

    async def api(call: Call[T], /) -> Result[T]:
        return results[int(call.path[1:])]  # type: ignore[return-value]

    calls = (Call("GET", f"/{at}", returns=object) for at in range(len(results)))
    async with batch.send(api, calls, concurrency=1, outage_timeout=0) as outcomes:
        ended = [outcome async for outcome in outcomes]
        assert (len(ended), outcomes.started, outcomes.settled) == (9, 9, 4)


@pytest.mark.anyio
async def test_a_call_that_is_sent_again_after_a_top_up_is_settled_once() -> None:
    results = iter([InsufficientBalance(), Ok(None)])

    async def api(_: Call[T], /) -> Result[T]:
        return next(results)  # type: ignore[return-value]

    async with batch.send(api, [Call("GET", "/1", returns=object)]) as outcomes:
        (short,) = [outcome async for outcome in outcomes]
        assert outcomes.settled == 0
        outcomes.resume(short)
        _ = [outcome async for outcome in outcomes]
        assert outcomes.settled == 1
