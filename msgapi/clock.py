"""Clocks: the time, and a way to wait, as an object that is passed in; the virtual clock for tests.

Rules:
- A wait ends after the real time that was asked for, also if the time of the machine stands still, as under freezegun.
- No task is left waiting on a `VirtualClock` that stands still without a warning.
- A `VirtualClock` needs no task of its own: one of the sleepers, the leader, moves it. So it can be entered and left in
  different tasks, as fixtures are.
"""

import heapq
import math
import threading
import time
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Final, Protocol, TypeVar, final

import anyio
import anyio.lowlevel
import anyio.to_thread
from attrs import define, field

from .concurrency import task_group

T = TypeVar("T")

# Rounds of the event loop in which the tasks may become blocked before `wait_all_tasks_blocked` is called. On asyncio
# that function sleeps for a tenth of a real second whenever they are not, so it is called again after a shorter time.
_ROUNDS: Final = 10
_LONGEST_WAIT: Final = 0.001  # real seconds
_STANDSTILL: Final = 1.0  # real seconds for which a virtual clock may stand still before it warns
# Whether two readings of a running clock differ. If not, as on some versions of Windows, a frozen one is not noticed.
_IS_FINE: Final = time.get_clock_info("monotonic").resolution < 1e-6  # noqa: PLR2004 - a call takes less


class Clock(Protocol):
    """A source of time: monotonic seconds, Unix time, and a way to wait."""

    def now(self) -> float:
        """Return the seconds since some fixed moment. The value never decreases."""
        ...  # pragma: no cover

    def time(self) -> float:
        """Return the Unix time in seconds, according to this machine."""
        ...  # pragma: no cover

    async def sleep(self, seconds: float) -> None:
        """Wait for *seconds*."""
        ...  # pragma: no cover


@final
class SystemClock:
    """The clock of this machine.

    If its time stands still, as under freezegun or time-machine, `sleep` still takes the real seconds, and `now`
    advances by them.
    """

    def __init__(self) -> None:
        self._ahead = 0.0

    def now(self) -> float:
        """Return the seconds since some fixed moment. The value never decreases."""
        return time.monotonic() + self._ahead

    def time(self) -> float:
        """Return the Unix time in seconds."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Wait for *seconds*."""
        before = time.monotonic()
        if not (_IS_FINE and before == time.monotonic()):
            await anyio.sleep(seconds)
            return
        until = before + self._ahead + seconds
        await _sleep_in_thread(seconds)
        if time.monotonic() == before:
            self._ahead = max(self._ahead, until - before)


SYSTEM_CLOCK: Final = SystemClock()
"""The default clock."""


async def _sleep_in_thread(seconds: float) -> None:
    # Under a frozen time the timers of the event loop never fire.
    ended = threading.Event()
    try:
        _ = await anyio.to_thread.run_sync(
            ended.wait, max(0.0, seconds), abandon_on_cancel=True, limiter=anyio.CapacityLimiter(1)
        )
    finally:
        ended.set()


@final
@define(eq=False)
class _SteadyClock:
    """A *clock* whose `now` advances by what was slept on it, also if that of *clock* stands still."""

    clock: Clock
    _ahead: float = field(default=0.0, init=False)

    def now(self) -> float:
        return self.clock.now() + self._ahead

    def time(self) -> float:
        return self.clock.time()

    async def sleep(self, seconds: float) -> None:
        before = self.clock.now()
        until = before + self._ahead + seconds
        await self.clock.sleep(seconds)
        if self.clock.now() == before:
            self._ahead = max(self._ahead, until - before)


def steady(clock: Clock) -> Clock:
    """Return *clock*, or a clock over it that advances by what is slept, so that no wait on it is repeated for ever.

    A clock of a test may return the same `now` before and after a sleep.
    """
    return clock if isinstance(clock, SystemClock | VirtualClock | _SteadyClock) else _SteadyClock(clock)


async def sleep_unobserved(clock: Clock, seconds: float) -> None:
    """Wait for *seconds* on *clock* in a task for which no other waits: a virtual clock may stand still meanwhile."""
    await (clock.sleep_unobserved(seconds) if isinstance(clock, VirtualClock) else clock.sleep(seconds))


@final
@define(eq=False)
class _Sleeper:
    """One wait on a virtual clock. *signal* is set when it is over, and when the waiting task becomes the leader.

    *awaited* is False if nothing else waits for its end.
    """

    awaited: bool = True
    signal: anyio.Event = field(factory=anyio.Event)
    woken: bool = False


async def within(clock: Clock, seconds: float, task: Callable[[], Awaitable[T]]) -> T | None:
    """Return the result of *task*, or None if it is not done after *seconds* of *clock*; it is then cancelled.

    On the system clock this is a deadline that `anyio.current_effective_deadline` shows to the code inside.
    """
    result: T | None = None
    if isinstance(clock, SystemClock):
        with anyio.move_on_after(seconds):
            result = await task()
        return result  # noqa: RET504 - None if the scope was cancelled
    async with task_group() as tasks:

        async def expire() -> None:
            await clock.sleep(seconds)
            tasks.cancel_scope.cancel()

        _ = tasks.start_soon(expire)
        result = await task()
    return result  # noqa: RET504 - None if the group was cancelled


@final
@define(eq=False)
class VirtualClock:
    """A clock for tests on which hours of waiting take no time. It starts at *start*, in Unix seconds.

    Time stands still until `advance` is called. With *autojump*, and inside `async with clock.autojump()`, it jumps to
    the end of the next sleep whenever every task is blocked. Use that only for programs that wait for nothing outside
    themselves, as over the sandbox in memory.

    If a task sleeps on a clock that has stood still for a second of real time, a RuntimeWarning says what to do. Under
    pytest that is an error in the task that sleeps.
    """

    start: float = 1_800_000_000.0
    _autojump: bool = field(default=False, kw_only=True, alias="autojump")
    _elapsed: float = field(default=0.0, init=False)
    _sleepers: list[tuple[float, int, _Sleeper]] = field(factory=list, init=False, repr=False)
    _order: "count[int]" = field(factory=count, init=False, repr=False)
    _leader: _Sleeper | None = field(default=None, init=False, repr=False)
    _jumping: int = field(default=0, init=False, repr=False)
    _warned_at: float = field(default=-1.0, init=False, repr=False)

    def now(self) -> float:
        """Return the seconds that have passed on this clock."""
        return self._elapsed

    def time(self) -> float:
        """Return the Unix time of this clock in seconds."""
        return self.start + self._elapsed

    async def sleep(self, seconds: float) -> None:
        """Wait until *seconds* have passed on this clock."""
        await self._sleep(seconds, _Sleeper())

    async def sleep_unobserved(self, seconds: float) -> None:
        """Wait until *seconds* have passed on this clock, without a warning if it stands still."""
        await self._sleep(seconds, _Sleeper(awaited=False))

    async def _sleep(self, seconds: float, sleeper: _Sleeper) -> None:
        if seconds <= 0:
            await anyio.lowlevel.checkpoint()
            return
        entry = (self._elapsed + seconds, next(self._order), sleeper)
        heapq.heappush(self._sleepers, entry)
        try:
            while not sleeper.woken:
                if self._leader is None and self._may_lead(sleeper):
                    self._leader = sleeper
                if self._leader is not sleeper:
                    sleeper.signal = anyio.Event()
                    await sleeper.signal.wait()
                elif self._jumps:
                    await self._jump(sleeper)
                elif sleeper.awaited:
                    await self._stand(sleeper)
                else:
                    self._resign()
        finally:
            if not sleeper.woken:
                self._sleepers.remove(entry)
                heapq.heapify(self._sleepers)
            if self._leader is sleeper:
                self._resign()

    def advance(self, seconds: float) -> None:
        """Advance the time by *seconds* and wake every sleeper whose sleep is over by then."""
        self._move(self._elapsed + seconds)

    @asynccontextmanager
    async def autojump(self) -> AsyncIterator[None]:
        """Advance the time automatically: whenever all tasks are blocked, wake the next sleeper."""
        self._jumping += 1
        self._resign()
        try:
            yield
        finally:
            self._jumping -= 1

    @property
    def _jumps(self) -> bool:
        return self._autojump or self._jumping > 0

    def _move(self, to: float) -> None:
        self._elapsed = to
        while self._sleepers and self._sleepers[0][0] <= self._elapsed:
            sleeper = heapq.heappop(self._sleepers)[2]
            sleeper.woken = True
            sleeper.signal.set()
        if self._leader is not None:
            self._leader.signal.set()

    def _may_lead(self, sleeper: _Sleeper) -> bool:
        return sleeper.awaited or self._jumps

    def _resign(self) -> None:
        # Another sleeper, or the same one, becomes the leader.
        if self._leader is not None:
            self._leader.signal.set()
        self._leader = next((other for _, _, other in self._sleepers if self._may_lead(other)), None)
        if self._leader is not None:
            self._leader.signal.set()

    async def _jump(self, sleeper: _Sleeper) -> None:
        for _ in range(_ROUNDS):
            await anyio.lowlevel.checkpoint()
        if await _all_blocked() and self._jumps and not sleeper.woken:
            self._move(self._sleepers[0][0])

    async def _stand(self, sleeper: _Sleeper) -> None:
        sleeper.signal, elapsed = anyio.Event(), self._elapsed
        with anyio.move_on_after(math.inf if elapsed == self._warned_at else _STANDSTILL) as waiting:
            await sleeper.signal.wait()
        if not waiting.cancelled_caught or not await _all_blocked() or elapsed != self._elapsed or self._jumps:
            return
        self._warned_at, left = elapsed, min(until - elapsed for until, _, other in self._sleepers if other.awaited)
        warnings.warn(
            f"a VirtualClock stands still: a task has slept on it for {_STANDSTILL:g} s of real time, and wakes in "
            f"{left:g} s of its time; call clock.advance({left:g}), or let it run by VirtualClock(autojump=True) or "
            "`async with clock.autojump()`",
            RuntimeWarning,
            stacklevel=4,
        )


async def _all_blocked() -> bool:
    with anyio.move_on_after(_LONGEST_WAIT) as waiting:
        await anyio.wait_all_tasks_blocked()
    return not waiting.cancelled_caught
