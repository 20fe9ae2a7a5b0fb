"""batch: exceptions come out as themselves, and however it is left, nothing stays behind."""

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from typing import TypeVar

import anyio
import anyio.lowlevel
import pytest

from msgapi import Call, Ok, Result, batch
from tests.support.batch_calls import BACKENDS, Busy, answer, call, drain, number, rows, run

T = TypeVar("T")


@pytest.mark.anyio
async def test_leaving_early_cancels_what_is_in_flight() -> None:
    async def wait(row: int) -> None:
        await anyio.sleep(3600 if row else 0)

    api = Busy(wait)
    async with batch.send(api, rows(100), concurrency=4) as outcomes:
        async for outcome in outcomes:
            assert outcome.index == 0
            break
    assert api.now == 0
    assert outcomes.in_flight == 0


@pytest.mark.anyio
@pytest.mark.parametrize(
    "error", [ValueError("mine"), KeyboardInterrupt(), ExceptionGroup("mine", [ValueError()]), StopAsyncIteration()]
)
async def test_what_the_body_raises_comes_out_as_itself(error: BaseException) -> None:
    cause = OSError()
    api = Busy(lambda row: anyio.sleep(3600 if row else 0))

    async def main() -> None:
        async with batch.send(api, rows(100), concurrency=4) as outcomes:
            async for _ in outcomes:
                raise error from cause

    with pytest.raises(type(error)) as caught:
        await main()
    assert caught.value is error
    assert error.__cause__ is cause
    assert api.now == 0


@pytest.mark.anyio
async def test_what_the_source_raises_comes_out_after_the_outcomes_of_what_was_sent() -> None:
    error = LookupError("row 4")

    def source() -> Iterator[Call[int]]:
        yield from rows(4)
        raise error

    taken: list[int] = []
    async with batch.send(answer, source(), concurrency=3) as outcomes:
        with pytest.raises(LookupError) as caught:
            _ = await drain(outcomes, taken)
        assert caught.value is error
        assert await drain(outcomes) == []
    assert sorted(taken) == [0, 1, 2, 3]
    assert outcomes.stopped == batch.Stopped("exception")


@pytest.mark.anyio
async def test_what_ends_the_batch_is_known_while_calls_are_still_in_flight() -> None:
    error, seen = LookupError("row 1"), list[Exception | None]()

    async def api(a_call: Call[T]) -> Result[T]:
        if number(a_call) == 1:
            raise error
        while outcomes.failure is None:
            await anyio.lowlevel.checkpoint()
        seen.append(outcomes.failure)
        return Ok(a_call.returns())

    async with batch.send(api, rows(2), concurrency=2) as outcomes:
        assert outcomes.failure is None
        with pytest.raises(LookupError):
            _ = await drain(outcomes)
    assert seen == [error]


@pytest.mark.anyio
async def test_what_the_api_raises_comes_out_as_itself_and_names_the_call() -> None:
    errors, all_sent = [ValueError("a"), OSError("b")], anyio.Event()

    async def api(a_call: Call[T]) -> Result[T]:
        row = number(a_call)
        if row == 3:
            all_sent.set()
        await all_sent.wait()
        if row in {1, 2}:
            raise errors[row - 1]
        return Ok(a_call.returns())

    taken: list[int] = []
    with pytest.raises((ValueError, OSError)) as caught:
        await run(api, rows(100), taken, concurrency=4)
    assert caught.value in errors
    mine, other = errors if caught.value is errors[0] else errors[::-1]
    assert (
        mine.__notes__[0]
        == f"msgapi: raised for call {errors.index(mine) + 1} of the batch, which therefore has no outcome"
    )
    assert mine.__notes__[1] == f"msgapi: not the only one, {type(other).__name__} was raised as well"
    assert sorted([*taken, 1, 2]) == list(range(len(taken) + 2))


@pytest.mark.anyio
async def test_one_exception_raised_by_every_call_comes_out_once_and_resuming_does_not_hide_it() -> None:
    error, go = OSError("shared"), anyio.Event()

    async def api(a_call: Call[T]) -> Result[T]:
        if number(a_call) == 0:
            return await answer(a_call)
        await go.wait()
        raise error

    async with batch.send(api, rows(10), concurrency=3) as outcomes:
        assert (await anext(outcomes)).index == 0
        go.set()
        await anyio.wait_all_tasks_blocked()
        outcomes.resume()
        assert outcomes.stopped == batch.Stopped("exception")
        with pytest.raises(OSError, match="shared"):
            _ = await anext(outcomes)
        outcomes.resume()
        with pytest.raises(OSError, match="shared"):
            _ = await anext(outcomes)
    assert outcomes.settled == 1


@BACKENDS
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_inside_the_api_ends_everything_as_itself(backend: str, error: type[BaseException]) -> None:
    async def api(a_call: Call[T]) -> Result[T]:
        _ = await answer(a_call)
        raise error

    taken: list[int] = []
    with pytest.raises(error):
        anyio.run(run, api, rows(10), taken, 1, backend=backend)
    assert taken == []


@BACKENDS
@pytest.mark.parametrize("later", [False, True])
def test_cancelled_at_any_await_it_leaves_no_task_and_no_open_source_behind(backend: str, *, later: bool) -> None:
    async def main(last: int) -> bool:
        ticks = 0
        scope = anyio.CancelScope()
        closed = []

        async def tick(_: object = None) -> None:
            nonlocal ticks
            ticks += 1
            if ticks == last:
                scope.cancel()
            await anyio.lowlevel.checkpoint()

        async def source() -> AsyncIterator[Call[int]]:
            try:
                for row in rows(6):
                    await tick()
                    yield row
            finally:
                closed.append(True)

        before, finished = len(anyio.get_running_tasks()), False
        api = Busy(tick)
        with scope:
            async with batch.send(api, source() if later else rows(6), concurrency=3) as outcomes:
                async for _ in outcomes:
                    await tick()
            finished = True
        assert finished is not scope.cancelled_caught
        assert (api.now, outcomes.in_flight, len(anyio.get_running_tasks())) == (0, 0, before)
        assert closed == ([True] if later and ticks else [])
        return finished

    ended = [anyio.run(main, last, backend=backend) for last in range(1, 30)]
    assert not ended[0]
    assert ended[-1]


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_task_cancelled_by_asyncio_itself_ends_as_cancelled() -> None:
    api = Busy(lambda _: anyio.sleep(3600))

    task = asyncio.create_task(run(api, rows(100), [], concurrency=4))
    await anyio.wait_all_tasks_blocked()
    assert api.now == 4
    assert task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert api.now == 0


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_cancelled_future_in_the_api_is_an_error_and_not_a_silent_end() -> None:
    async def api(a_call: Call[T]) -> Result[T]:
        future = asyncio.get_running_loop().create_future()
        if number(a_call) == 5:
            assert future.cancel()
            await future
        return await answer(a_call)

    taken: list[int] = []
    with pytest.raises(RuntimeError, match="cancelled from within") as caught:
        await run(api, rows(100), taken, concurrency=2)
    assert isinstance(caught.value.__cause__, asyncio.CancelledError)
    assert sorted([*taken, 5]) == list(range(len(taken) + 1))


@pytest.mark.anyio
async def test_an_async_generator_is_closed_when_the_batch_is_left() -> None:
    closed = []

    async def source() -> AsyncIterator[Call[int]]:
        try:
            for row in rows(100):
                await anyio.lowlevel.checkpoint()
                yield row
        finally:
            closed.append(True)

    async with batch.send(answer, source(), concurrency=2) as outcomes:
        _ = await anext(outcomes)
        outcomes.stop()
        assert not closed
    assert closed
    del outcomes
    _ = gc.collect()


@pytest.mark.anyio
async def test_another_async_source_is_left_open_for_whoever_opened_it() -> None:
    give, take = anyio.create_memory_object_stream[Call[int]](10)
    async with give, take:
        for row in rows(3):
            await give.send(row)
        async with batch.send(answer, take, concurrency=2) as outcomes:
            assert {(await anext(outcomes)).index for _ in range(3)} == {0, 1, 2}
        await give.send(call(3))
        assert number(await take.receive()) == 3


@pytest.mark.anyio
async def test_a_batch_that_was_cancelled_does_not_go_through_the_rest_of_its_source() -> None:
    pulled: list[int] = []
    tasks = anyio.CancelScope()

    def source() -> Iterator[Call[int]]:
        for one in rows(1_000):  # more than any that may have been on their way
            pulled.append(number(one))
            if len(pulled) == 10:
                tasks.cancel()
            yield one

    api = Busy(lambda _: anyio.sleep(0.001))
    with tasks:
        async with batch.send(api, source(), concurrency=4) as outcomes:
            _ = await drain(outcomes)
    assert len(pulled) < 30
    assert api.now == 0
