"""Clocks: the time, and a way to wait, as an object that is passed in; the virtual clock for tests."""

import heapq
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Final, Protocol, TypeVar, final

import anyio
import anyio.lowlevel
from attrs import define, field

from .concurrency import background, task_group

T = TypeVar("T")

# Rounds of the event loop in which the tasks may become blocked before `wait_all_tasks_blocked` is called. On asyncio
# that function sleeps for a tenth of a real second whenever they are not, so it is called again after a shorter time.
_ROUNDS: Final = 10
_LONGEST_WAIT: Final = 0.001  # real seconds


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
    """The clock of this machine."""

    def now(self) -> float:
        """Return the seconds since some fixed moment. The value never decreases."""
        return time.monotonic()

    def time(self) -> float:
        """Return the Unix time in seconds."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Wait for *seconds*."""
        await anyio.sleep(seconds)


SYSTEM_CLOCK: Final = SystemClock()
"""The default clock; it has no state."""


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

    Time stands still until `advance` is called. Inside `async with clock.autojump()` it jumps to the end of the next
    sleep whenever every task is blocked. Use that only for programs that wait for nothing outside themselves, as over
    the sandbox in memory.
    """

    start: float = 1_800_000_000.0
    _elapsed: float = field(default=0.0, init=False)
    _sleepers: list[tuple[float, int, anyio.Event]] = field(factory=list, init=False, repr=False)
    _order: "count[int]" = field(factory=count, init=False, repr=False)

    def now(self) -> float:
        """Return the seconds that have passed on this clock."""
        return self._elapsed

    def time(self) -> float:
        """Return the Unix time of this clock in seconds."""
        return self.start + self._elapsed

    async def sleep(self, seconds: float) -> None:
        """Wait until *seconds* have passed on this clock."""
        if seconds <= 0:
            await anyio.lowlevel.checkpoint()
            return
        woken = anyio.Event()
        sleeper = (self._elapsed + seconds, next(self._order), woken)
        heapq.heappush(self._sleepers, sleeper)
        try:
            await woken.wait()
        finally:
            if not woken.is_set():
                self._sleepers.remove(sleeper)
                heapq.heapify(self._sleepers)

    def advance(self, seconds: float) -> None:
        """Advance the time by *seconds* and wake every sleeper whose sleep is over by then."""
        self._move(self._elapsed + seconds)

    def _move(self, to: float) -> None:
        self._elapsed = to
        while self._sleepers and self._sleepers[0][0] <= self._elapsed:
            heapq.heappop(self._sleepers)[2].set()

    @asynccontextmanager
    async def autojump(self) -> AsyncIterator[None]:
        """Advance the time automatically: whenever all tasks are blocked, wake the next sleeper."""
        async with background(self._run):
            yield

    async def _run(self) -> None:
        while True:
            for _ in range(_ROUNDS):
                await anyio.lowlevel.checkpoint()
            with anyio.move_on_after(_LONGEST_WAIT) as waiting:
                await anyio.wait_all_tasks_blocked()
            if waiting.cancelled_caught:
                continue
            if self._sleepers:
                self._move(self._sleepers[0][0])
            else:
                await anyio.sleep(0.001)
