"""clock: the system clock, the virtual clock, and clocks that stand still."""

import asyncio
import threading
import time
import warnings
from contextlib import AbstractContextManager

import anyio
import anyio.lowlevel
import freezegun
import pytest
import time_machine

import msgapi
from msgapi import Ok, Pace, Response, SystemClock, VirtualClock, batch, messages
from msgapi.clock import sleep_unobserved, steady

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


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_autojump_may_be_left_in_another_task_than_it_was_entered_in() -> None:
    clock = VirtualClock()
    jumping = clock.autojump()
    await asyncio.create_task(jumping.__aenter__())
    await clock.sleep(60)
    _ = await asyncio.create_task(jumping.__aexit__(None, None, None))
    assert clock.now() == 60


async def test_a_clock_that_jumps_by_itself_needs_no_block() -> None:
    clock = VirtualClock(autojump=True)
    await clock.sleep(3600)
    assert clock.now() == 3600


async def test_a_clock_begins_to_jump_for_those_who_sleep_already_and_then_stands_still() -> None:
    clock, woken = VirtualClock(), list[float]()

    async def sleep(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append(clock.now())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sleep, 5)
        tasks.start_soon(sleep, 60)
        await anyio.wait_all_tasks_blocked()
        async with clock.autojump():
            await clock.sleep(10)
        await anyio.sleep(0.01)
        assert (woken, clock.now()) == ([5], 10)
        clock.advance(50)
    assert woken == [5, 60]


async def test_another_sleeper_moves_the_clock_when_the_one_that_did_is_cancelled() -> None:
    clock, woken = VirtualClock(autojump=True), list[float]()

    async def sleep(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append(clock.now())

    async with anyio.create_task_group() as tasks:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await clock.sleep(1)
        for seconds in (3, 2):
            tasks.start_soon(sleep, seconds)
    assert woken == [2, 3]


async def test_a_task_that_sleeps_on_a_clock_that_stands_still_gets_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("msgapi.clock._STANDSTILL", 0.01)
    clock = VirtualClock()
    with pytest.raises(RuntimeWarning, match=r"stands still.*wakes in 30 s.*clock.advance\(30\).*autojump=True"):
        await clock.sleep(30)
    assert clock.now() == 0


async def test_the_warning_comes_once_for_each_time_at_which_the_clock_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("msgapi.clock._STANDSTILL", 0.01)
    clock = VirtualClock()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(clock.sleep, 30)
            for seconds in (10, 20):
                while len(caught) < seconds / 10:  # noqa: ASYNC110 - a warning sets no event
                    await anyio.sleep(0.005)
                await anyio.sleep(0.03)
                clock.advance(seconds)
    assert [str(one.message).split("wakes in ")[1].split(" s")[0] for one in caught] == ["30", "20"]


async def test_a_busy_task_may_advance_the_clock_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("msgapi.clock._STANDSTILL", 0.001)
    clock = VirtualClock()

    async def work() -> None:
        until = time.monotonic() + 0.05
        while time.monotonic() < until:
            await anyio.lowlevel.checkpoint()
        clock.advance(30)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(work)
        await clock.sleep(30)
    assert clock.now() == 30


async def test_a_wait_in_the_background_on_a_clock_that_stands_still_needs_no_warning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("msgapi.clock._STANDSTILL", 0.005)
    clock = VirtualClock()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sleep_unobserved, clock, 5)
        await anyio.sleep(0.03)
        with pytest.raises(RuntimeWarning, match="wakes in 30 s"):
            await clock.sleep(30)
        clock.advance(5)
    await sleep_unobserved(SystemClock(), 0)


async def test_a_wait_in_the_background_moves_a_clock_that_jumps_and_leaves_it_when_it_stands() -> None:
    clock, woken = VirtualClock(), list[float]()

    async def sleep(seconds: float) -> None:
        await sleep_unobserved(clock, seconds)
        woken.append(clock.now())

    async with anyio.create_task_group() as tasks:
        for seconds in (5, 6, 60):
            tasks.start_soon(sleep, seconds)
        await anyio.wait_all_tasks_blocked()
        async with clock.autojump():
            await sleep(10)
        await anyio.sleep(0.01)
        assert (woken, clock.now()) == ([5, 6, 10], 10)
        clock.advance(50)
    assert woken == [5, 6, 10, 60]


async def test_a_client_on_a_virtual_clock_that_stands_still_says_so_instead_of_hanging(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("msgapi.clock._STANDSTILL", 0.01)

    async def unavailable(_: msgapi.Request, /) -> Response:
        return Response(503)

    async with msgapi.Client(transport=unavailable, api_key="sk_test_0123456789", clock=VirtualClock()) as client:
        with pytest.raises(RuntimeWarning, match="stands still"):
            _ = await client(messages.get("msg_1"))


# Clocks whose time does not advance while one sleeps.


class FrozenClock:
    slept = 0.0

    def now(self) -> float:
        return 1000.0

    def time(self) -> float:
        return 1_800_000_000.0

    async def sleep(self, seconds: float) -> None:
        self.slept += seconds
        await anyio.lowlevel.checkpoint()


def call(number: int) -> msgapi.Call[messages.Accepted]:
    to = f"+491511234567{number}"
    return messages.send(messages.Text(agent_id="ag_live_demo", to=to, traffic_type="TRANSACTION", text="Hi"))


async def accept(_: msgapi.Request, /) -> Response:
    return Response(200, {}, b'{"message_id":"msg_1","status":"queued","created_at":"2026-05-04T07:30:00Z"}')


async def test_a_wait_for_the_pace_ends_although_the_clock_of_the_test_is_frozen() -> None:
    clock = FrozenClock()
    options = {"api_key": "sk_test_0123456789", "clock": clock, "pace": Pace(per_second=20)}
    async with msgapi.Client(transport=accept, **options) as client, anyio.create_task_group() as tasks:  # type: ignore[arg-type]
        for number in range(5):
            tasks.start_soon(client, call(number))
    assert 0.15 < clock.slept < 0.3


async def test_an_outage_is_given_up_although_the_clock_of_the_test_is_frozen() -> None:
    clock, sent = FrozenClock(), 0

    async def unavailable(_: msgapi.Request, /) -> Response:
        nonlocal sent
        sent += 1
        return await accept(_) if sent == 1 else Response(503)

    retry = msgapi.Retry(attempts=1)
    async with (
        msgapi.Client(transport=unavailable, api_key="sk_test_0123456789", clock=clock, retry=retry) as client,
        batch.send(client, map(call, range(9)), concurrency=1, outage_timeout=60, clock=clock) as outcomes,
    ):
        results = [outcome.result async for outcome in outcomes]
    assert isinstance(results[0], Ok)
    assert outcomes.stopped is not None
    assert outcomes.stopped.reason == "outage"
    assert clock.slept < 120


async def test_a_steady_clock_advances_by_the_longest_sleep_and_not_by_the_sum() -> None:
    frozen = FrozenClock()
    clock = steady(frozen)
    assert steady(clock) is clock
    async with anyio.create_task_group() as tasks:
        for seconds in (1, 2, 3):
            tasks.start_soon(clock.sleep, seconds)
    assert (clock.now(), clock.time(), frozen.slept) == (1003, 1_800_000_000, 6)


async def test_a_clock_that_advances_by_itself_is_left_alone() -> None:
    class Slow(FrozenClock):
        def now(self) -> float:
            return self.slept / 2

    clock = steady(Slow())
    await clock.sleep(4)
    assert clock.now() == 2
    assert steady(system := SystemClock()) is system
    assert steady(virtual := VirtualClock()) is virtual


@pytest.mark.parametrize("tool", ["freezegun", "time_machine"])
async def test_a_wait_on_the_system_clock_takes_the_real_time_under_a_frozen_one(tool: str) -> None:
    clock, real = SystemClock(), time.CLOCK_MONOTONIC
    began = time.clock_gettime(real)
    with freeze(tool):
        before = clock.now()
        await clock.sleep(0.05)
        assert clock.now() - before > 0.05 - 1e-6
    assert time.clock_gettime(real) - began >= 0.05


def freeze(tool: str) -> AbstractContextManager[object]:
    if tool == "freezegun":
        return freezegun.freeze_time("2026-05-04")
    return time_machine.travel("2026-05-04", tick=False)


async def test_a_frozen_time_that_a_test_moves_during_a_wait_is_left_alone() -> None:
    clock = SystemClock()
    with freezegun.freeze_time("2026-05-04") as frozen:
        before = clock.now()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(clock.sleep, 0.05)
            await SystemClock().sleep(0.005)
            _ = frozen.tick(5)
        assert clock.now() - before == 5


async def test_a_wait_under_a_frozen_time_can_be_cancelled() -> None:
    clock, threads = SystemClock(), threading.active_count()
    with freeze("freezegun"):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(clock.sleep, 600)
            await clock.sleep(0.01)
            tasks.cancel_scope.cancel()
    assert threading.active_count() <= threads + 4


async def test_a_client_works_under_a_frozen_time() -> None:
    with freeze("freezegun"):
        async with msgapi.Client(transport=accept, api_key="sk_test_0123456789", pace=Pace(per_second=50)) as client:
            for number in range(3):
                assert isinstance(await client(call(number)), Ok)
