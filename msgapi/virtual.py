"""A clock for tests, on which hours take no time."""

import heapq
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import final

import anyio
import anyio.lowlevel
from attrs import define, field

# Rounds of the event loop to let the tasks come to rest in, before asking whether they have: on
# asyncio that question sleeps for a real tenth of a second whenever the answer is no.
_ROUNDS = 10


@final
@define(eq=False)
class VirtualClock:
    """A clock for tests: hours of waiting take no time. Starts at *start*, in Unix seconds.

    Time stands still until `advance`, or, inside `async with clock.running()`, until every task
    is blocked: then it jumps to the moment at which the next sleeper is due. Only for programs that
    wait for nothing outside themselves, as over the sandbox in memory.
    """

    start: float = 1_800_000_000.0
    _elapsed: float = field(default=0.0, init=False)
    _sleepers: list[tuple[float, int, anyio.Event]] = field(factory=list, init=False, repr=False)
    _order: "count[int]" = field(factory=count, init=False, repr=False)

    def now(self) -> float:
        """Tell the seconds that have passed on this clock."""
        return self._elapsed

    def time(self) -> float:
        """Tell the clock's Unix time in seconds."""
        return self.start + self._elapsed

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock has moved on by *seconds*."""
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
        """Move on by *seconds* at once, and wake whoever is due by then."""
        self._move(self._elapsed + seconds)

    def _move(self, to: float) -> None:
        self._elapsed = to
        while self._sleepers and self._sleepers[0][0] <= self._elapsed:
            heapq.heappop(self._sleepers)[2].set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Let time pass by itself: whenever all tasks wait, the next sleeper is woken."""
        failure: Exception | None = None
        async with anyio.create_task_group() as tasks:
            _ = tasks.start_soon(self._run)
            try:
                yield
            except Exception as error:  # noqa: BLE001 - raised again below, as itself and not in a group
                failure = error
            finally:
                tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def _run(self) -> None:
        while True:
            for _ in range(_ROUNDS):
                await anyio.lowlevel.checkpoint()
            await anyio.wait_all_tasks_blocked()
            if self._sleepers:
                self._move(self._sleepers[0][0])
            else:
                await anyio.sleep(0.001)
