"""Waiting for one's turn: the queue before a lane of the pace."""

from typing import final

import anyio
from attrs import define, field

from .clock import Clock
from .pace import Lane


def time_left() -> float:
    """Tell the seconds until the surrounding anyio deadline; infinite without one."""
    return anyio.current_effective_deadline() - anyio.current_time()


@final
@define(eq=False)
class Gate:
    """First come, first served, at the lane's pace; waiting here is no network time-out."""

    lane: Lane
    clock: Clock
    longest_wait: float
    _turn: anyio.Lock = field(factory=lambda: anyio.Lock(fast_acquire=True), init=False)
    _queued: int = field(default=0, init=False)

    def enter_at_once(self, now: float) -> bool:
        """Take a turn if there is one to take and nobody waits for it; False if it has to be waited for."""
        if self._queued or self.lane.wait(now) > 0:
            return False
        self.lane.leave(now)
        return True

    async def enter(self) -> float | None:
        """Wait for a turn and take it: None. Gives the seconds it would take where that is too long.

        Too long is beyond the surrounding deadline, or a closed gate of more than *longest_wait*;
        a long queue alone is not.
        """
        expected = self.lane.wait(self.clock.now(), self._queued)
        if expected > time_left():
            return expected
        self._queued += 1
        try:
            async with self._turn:
                return await self._pass()
        finally:
            self._queued -= 1

    async def _pass(self) -> float | None:
        while True:
            now = self.clock.now()
            wait = self.lane.wait(now)
            if wait <= 0:
                self.lane.leave(now)
                return None
            if wait > self.longest_wait or wait > time_left():
                return wait
            await self.clock.sleep(wait)
