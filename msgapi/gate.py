"""Waiting for one's turn: the queue before a lane of the pace."""

from collections.abc import Callable
from typing import Final, final

import anyio
import anyio.lowlevel
from attrs import define, field

from .clock import Clock
from .pace import Lane
from .slots import Slots

_LOOK: Final = 0.25  # seconds between looks at whether a turn is still wanted


def time_left() -> float:
    """Tell the seconds until the surrounding anyio deadline; infinite without one."""
    return anyio.current_effective_deadline() - anyio.current_time()


async def rest(clock: Clock, seconds: float, only_while: Callable[[], bool] | None) -> None:
    """Wait for *seconds*, but not on and on after *only_while* has begun to say no."""
    if only_while is None:
        await clock.sleep(seconds)
        return
    until = clock.now() + seconds
    while only_while() and (left := until - clock.now()) > 0:
        await clock.sleep(min(left, _LOOK))


@final
@define(eq=False)
class Gate:
    """First come, first served, at the lane's pace; waiting here is no network time-out.

    Where the rate is shared, each turn needs one of the *slots* as well.
    """

    lane: Lane
    clock: Clock
    longest_wait: float
    slots: Slots | None = None
    _turn: anyio.Lock = field(factory=lambda: anyio.Lock(fast_acquire=True), init=False)
    _queued: int = field(default=0, init=False)

    def enter_at_once(self, now: float) -> bool:
        """Take a turn if there is one to take and nobody waits for it; False if it has to be waited for."""
        if self._queued or self.lane.wait(now) > 0 or (self.slots is not None and not self.slots.take(now)):
            return False
        self.lane.leave(now)
        return True

    async def enter(self, only_while: Callable[[], bool] | None = None) -> float | None:
        """Wait for a turn and take it: None. Gives the seconds it would take where that is too long.

        Too long is beyond the surrounding deadline, or a closed gate of more than *longest_wait*;
        a long queue alone is not. It is 0 if *only_while* says no in the meantime.
        """
        now = self.clock.now()
        expected = self.lane.wait(now, self._queued)
        if self.slots is not None:
            expected = max(expected, self.slots.wait(now))
        if expected > time_left():
            await anyio.lowlevel.checkpoint()  # in a scope that is cancelled no time is left, and this is the end
            return expected
        self._queued += 1
        try:
            async with self._turn:
                return await self._pass(only_while)
        finally:
            self._queued -= 1

    async def _pass(self, only_while: Callable[[], bool] | None) -> float | None:
        while True:
            if only_while is not None and not only_while():
                return 0.0
            now = self.clock.now()
            wait = self.lane.wait(now)
            if self.slots is not None and wait <= 0 and not self.slots.take(now):
                wait = self.slots.wait(now)
                if wait <= 0:
                    await self.slots.reserve(self._queued)
                    continue
            if wait <= 0:
                self.lane.leave(now)
                return None
            if wait > self.longest_wait or wait > time_left():
                await anyio.lowlevel.checkpoint()
                return wait
            await rest(self.clock, wait, only_while)
