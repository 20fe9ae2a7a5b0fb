"""Deadlines: one timer for many exchanges, and cancellations that are not from a deadline."""

import asyncio

import anyio
import pytest

from msgapi.transports.common.connections import Deadlines

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]

SOON = 0.03


async def wait(deadlines: Deadlines, seconds: float = 60) -> None:
    with deadlines.start():
        await asyncio.sleep(seconds)


async def test_what_ends_in_time_is_left_alone() -> None:
    deadlines = Deadlines(SOON)
    await wait(deadlines, 0)
    await asyncio.sleep(2 * SOON)  # the timer finds nobody
    await wait(deadlines, 0)
    deadlines.close()


async def test_what_does_not_end_is_a_time_out_and_the_task_goes_on() -> None:
    deadlines = Deadlines(SOON)
    with pytest.raises(TimeoutError):
        await wait(deadlines)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    await asyncio.sleep(0)  # nothing of the cancellation is left to strike here
    deadlines.close()
    Deadlines(SOON).close()


async def test_each_of_many_has_its_own_time_though_there_is_one_timer() -> None:
    deadlines, ended = Deadlines(SOON), []

    async def one(delay: float) -> None:
        await asyncio.sleep(delay)
        began = asyncio.get_running_loop().time()
        with pytest.raises(TimeoutError):
            await wait(deadlines)
        ended.append((delay, asyncio.get_running_loop().time() - began))

    async with asyncio.TaskGroup() as tasks:
        for delay in (0, SOON / 3, SOON / 2, SOON / 2):
            tasks.create_task(one(delay))
    assert [delay for delay, _ in ended] == [0, SOON / 3, SOON / 2, SOON / 2]
    assert all(took >= SOON * 0.9 for _, took in ended)
    deadlines.close()


async def test_a_cancellation_from_outside_passes() -> None:
    deadlines = Deadlines(60)
    with anyio.move_on_after(SOON) as scope:
        await wait(deadlines)
    assert scope.cancelled_caught
    await wait(deadlines, 0)
    deadlines.close()


async def test_a_cancellation_from_outside_wins_over_a_deadline_of_the_same_moment() -> None:
    deadlines = Deadlines(0)
    task = asyncio.create_task(wait(deadlines))
    await asyncio.sleep(0)
    deadlines._fire()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    deadlines.close()


async def test_an_exception_passes() -> None:
    deadlines = Deadlines(SOON)
    with pytest.raises(LookupError), deadlines.start():
        raise LookupError("a bug")
    deadlines.close()
