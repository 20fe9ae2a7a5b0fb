"""The turn queue: the requests of one endpoint class that wait until the rate limit lets them leave."""

from collections.abc import Callable
from typing import Final, TypeAlias, final

import anyio
import anyio.lowlevel
from attrs import define, field, frozen

from ..clock import Clock
from .pace import Lane
from .reservation import ReservedSlots

_CHECK_INTERVAL: Final = 0.25  # seconds between two calls of `only_while` during a wait


@final
@frozen
class Turn:
    """The request may leave now, and is counted as sent: send it, or call `Lane.record_unanswered`."""


@final
@frozen
class TooLate:
    """The request may leave in so many *seconds*, which is later than the caller waits. Nothing is counted."""

    seconds: float


@final
@frozen
class Cancelled:
    """`only_while` returned False before the request could leave. Nothing is counted."""


TurnOutcome: TypeAlias = Turn | TooLate | Cancelled
"""What a wait in the queue ends with."""

_TURN: Final = Turn()
_CANCELLED: Final = Cancelled()


def time_left() -> float:
    """Return the seconds until the surrounding anyio deadline: infinite without one, negative once it has passed."""
    return anyio.current_effective_deadline() - anyio.current_time()


async def sleep_while(clock: Clock, seconds: float, only_while: Callable[[], bool] | None) -> None:
    """Sleep for *seconds* on *clock*; return earlier, within 0.25 seconds, once *only_while* returns False.

    If *only_while* is None, sleep for the whole time. A value of *seconds* that is not above 0 does not sleep, unless
    *only_while* is None: then it goes to `clock.sleep` as it is.
    """
    if only_while is None:
        await clock.sleep(seconds)
        return
    until = clock.now() + seconds
    while only_while() and (left := until - clock.now()) > 0:
        await clock.sleep(min(left, _CHECK_INTERVAL))


@final
@define(eq=False)
class TurnQueue:
    """A first-in, first-out queue of the requests of one endpoint class, at the pace of its *lane*.

    Waiting here does not count towards a network timeout. *longest_wait* is in seconds. If the rate is shared by
    several workers, each request needs one of the reserved *slots* as well.
    """

    lane: Lane
    clock: Clock
    longest_wait: float
    slots: ReservedSlots | None = None
    _turn: anyio.Lock = field(factory=lambda: anyio.Lock(fast_acquire=True), init=False)
    _queued: int = field(default=0, init=False)

    def enter_at_once(self, now: float) -> bool:
        """Take a turn if the queue is empty and the request may leave *now*; return False if it has to wait."""
        if self._queued or self.lane.wait(now) > 0 or (self.slots is not None and not self.slots.take(now)):
            return False
        self.lane.record_sent(now)
        return True

    async def enter(self, only_while: Callable[[], bool] | None = None) -> TurnOutcome:
        """Wait until the request may leave, and count it as sent.

        Return `TooLate` without waiting if the turn would come after the surrounding anyio deadline, and once the
        rate limit is known to block for more than *longest_wait*; a long queue alone is not too late. Return
        `Cancelled` if *only_while*, which is called a few times a second, returns False. May be called again after
        either.
        """
        now = self.clock.now()
        expected = self.lane.wait(now, self._queued)
        if self.slots is not None:
            expected = max(expected, self.slots.wait(now))
        if expected > time_left():
            await anyio.lowlevel.checkpoint()  # a cancelled scope has no time left: raise the cancellation here
            return TooLate(expected)
        self._queued += 1
        try:
            async with self._turn:
                return await self._wait(only_while)
        finally:
            self._queued -= 1

    async def _wait(self, only_while: Callable[[], bool] | None) -> TurnOutcome:
        while True:
            if only_while is not None and not only_while():
                return _CANCELLED
            now = self.clock.now()
            wait = self.lane.wait(now)
            if self.slots is not None and wait <= 0 and not self.slots.take(now):
                wait = self.slots.wait(now)
                if wait <= 0:
                    await self.slots.reserve(self._queued)
                    continue
            if wait <= 0:
                self.lane.record_sent(now)
                return _TURN
            if wait > self.longest_wait or wait > time_left():
                await anyio.lowlevel.checkpoint()
                return TooLate(wait)
            await sleep_while(self.clock, wait, only_while)
