"""clock and virtual: time as something passed in."""

import time

import anyio
import anyio.lowlevel
import pytest

from msgapi import SystemClock, VirtualClock

pytestmark = pytest.mark.anyio


async def test_the_system_clock_is_the_machines() -> None:
    clock = SystemClock()
    before = clock.now()
    await clock.sleep(0)
    assert clock.now() >= before
    assert abs(clock.time() - time.time()) < 60


async def test_a_virtual_day_passes_at_once_while_it_runs() -> None:
    clock = VirtualClock(start=1000)
    async with clock.autojump():
        await clock.sleep(86_400)
    assert (clock.now(), clock.time()) == (86_400, 87_400)


async def test_sleepers_wake_in_the_order_of_their_time() -> None:
    clock, woken = VirtualClock(), []

    async def sleep(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((seconds, clock.now()))

    async with clock.autojump(), anyio.create_task_group() as tasks:
        for seconds in (3, 1, 2, 0, -1):
            tasks.start_soon(sleep, seconds)
    assert sorted(woken[:2]) == [(-1, 0), (0, 0)]
    assert woken[2:] == [(1, 1), (2, 2), (3, 3)]


async def test_time_that_does_not_run_moves_only_when_told() -> None:
    clock, woken = VirtualClock(), []

    async def sleep() -> None:
        await clock.sleep(10)
        woken.append(clock.now())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sleep)
        await anyio.wait_all_tasks_blocked()
        clock.advance(9)
        await anyio.wait_all_tasks_blocked()
        assert woken == []
        clock.advance(1)
        await anyio.wait_all_tasks_blocked()
        assert woken == [10]


async def test_a_cancelled_sleeper_is_forgotten() -> None:
    clock = VirtualClock()
    async with clock.autojump():
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(clock.sleep, 5)
                tasks.start_soon(clock.sleep, 50)
                await clock.sleep(1)
                scope.cancel()
        await clock.sleep(2)
    assert clock.now() == 3


async def test_an_exception_while_it_runs_comes_out_as_itself() -> None:
    clock = VirtualClock()
    with pytest.raises(KeyError, match="mine"):
        async with clock.autojump():
            raise KeyError("mine")


async def test_a_running_clock_with_nobody_asleep_waits() -> None:
    clock = VirtualClock()
    async with clock.autojump():
        await anyio.sleep(0.01)
    assert clock.now() == 0


async def test_time_stands_still_while_a_task_is_busy_and_goes_on_as_soon_as_it_is_not() -> None:
    clock, ended = VirtualClock(), list[float]()

    async def be_busy() -> None:
        until = time.monotonic() + 0.005
        while time.monotonic() < until:
            await anyio.lowlevel.checkpoint()
        ended.append(clock.now())

    began = time.monotonic()
    async with clock.autojump(), anyio.create_task_group() as tasks:
        for _ in range(30):
            tasks.start_soon(be_busy)
            await clock.sleep(1)
    assert ended == [float(second) for second in range(30)]
    assert time.monotonic() - began < 2  # a tenth of a second for each would be 3
