"""The turn queue: the requests of one endpoint class that wait until the rate limit lets them leave.

Rules:
- A worker of a shared rate reserves one block of slots at most. Its size follows the number of waiting requests, since
  a slot that is not used is lost to all workers. A slot whose time has passed is not used: the service would count the
  late slots of all workers in one second.
"""

from collections.abc import Callable
from math import inf
from typing import Final, TypeAlias, final

import anyio
import anyio.lowlevel
from attrs import define, field, frozen

from ..clock import Clock
from .pace import DEFAULT_RETRY_AFTER, Lane
from .shared import SharedRate

_USABLE: Final = 0.05  # seconds after its time during which a slot may be used
_SLOW_RESPONSE: Final = 0.25  # seconds: the slots of a slower response are taken to be this old at the most
_RECENT: Final = 0.25  # seconds: the use of a block that was reserved within them sizes the next block
_SAME_LIMIT: Final = 0.01  # share by which two readings of one limit may differ


@final
@define(eq=False)
class ReservedSlots:
    """The slots of one *endpoint_class* that this worker has reserved of *shared*.

    *at_most* is the upper bound that the user sets for all workers together, in requests per second; None for no bound.
    """

    shared: SharedRate
    endpoint_class: str
    lane: Lane
    clock: Clock
    at_most: float | None = None
    _left: int = field(default=0, init=False)
    _at: float = field(default=-inf, init=False)  # time of the next slot; without one, time of the next reservation
    _spacing: float = field(default=0.0, init=False)
    _used: int = field(default=0, init=False)
    _reserved_at: float = field(default=-inf, init=False)
    _reported: float = field(default=0.0, init=False)

    def wait(self, now: float) -> float:
        """Return the seconds until a slot may be used or a reservation may be made; 0.0 for now."""
        self._drop(now)
        return max(0.0, self._at - now)

    def take(self, now: float) -> bool:
        """Use a slot whose time has come; return False if there is none."""
        self._drop(now)
        if not self._left or self._at > now:
            return False
        self._left -= 1
        self._used += 1
        self._at = self._at + self._spacing if self._left else -inf
        return True

    async def reserve(self, waiting: int) -> None:
        """Reserve slots for the *waiting* requests, or one more than were used of a recent block if that is more.

        If the responses show a limit that the shared rate does not have yet, report it first. If nothing is granted,
        `wait` returns the time until the next reservation.
        """
        limit = self._unreported_limit()
        if limit is not None:
            await self.shared.set_limit(self.endpoint_class, limit)
            self._reported = limit
        asked_at = self.clock.now()
        wanted = max(waiting, self._used + 1 if asked_at - self._reserved_at < _RECENT else 1)
        grant = await self.shared.reserve(self.endpoint_class, wanted, self.at_most)
        now = self.clock.now()
        at = min(now, asked_at + _SLOW_RESPONSE) if grant.slots else now
        self._left, self._at, self._spacing = grant.slots, at + grant.after, grant.spacing
        if grant.slots:
            self._used, self._reserved_at = 0, now

    async def throttle(self, retry_after: float | None) -> None:
        """Delay all workers by *retry_after* seconds after a 429 of the key's rate limit; None for the default of 1."""
        await self.shared.throttle(self.endpoint_class, DEFAULT_RETRY_AFTER if retry_after is None else retry_after)

    def _drop(self, now: float) -> None:
        while self._left and self._at < now - _USABLE:
            self._left -= 1
            self._at = self._at + self._spacing if self._left else -inf

    def _unreported_limit(self) -> float | None:
        # The upper bound is reported only where the shared rate is above it: the limit cannot be higher.
        limit = self.lane.header_rate
        if limit is None and (bound := self.lane.header_rate_bound) is not None and bound * self._spacing < 1:
            limit = bound
        known = self._reported if self._spacing else 0.0
        return limit if limit is not None and abs(limit - known) > _SAME_LIMIT * limit else None


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

    async def enter(
        self, only_while: Callable[[], bool] | None = None, *, until: float = inf, longest_wait: float | None = None
    ) -> TurnOutcome:
        """Wait until the request may leave, and count it as sent.

        Return `TooLate` without waiting if the turn would come after the surrounding anyio deadline or after *until*,
        a time of the clock, and once the rate limit is known to block for more than *longest_wait*, by default that of
        the queue; a long queue alone is not too late. Return `Cancelled` if *only_while*, which is called a few times
        a second, returns False. May be called again after either.
        """
        now = self.clock.now()
        expected = self.lane.wait(now, self._queued)
        if self.slots is not None:
            expected = max(expected, self.slots.wait(now))
        if expected > min(time_left(), until - now):
            await anyio.lowlevel.checkpoint()  # a cancelled scope has no time left: raise the cancellation here
            return TooLate(expected)
        self._queued += 1
        try:
            async with self._turn:
                return await self._wait(only_while, until, self.longest_wait if longest_wait is None else longest_wait)
        finally:
            self._queued -= 1

    async def _wait(self, only_while: Callable[[], bool] | None, until: float, longest_wait: float) -> TurnOutcome:
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
            if wait > min(longest_wait, time_left(), until - now):
                await anyio.lowlevel.checkpoint()
                return TooLate(wait)
            await sleep_while(self.clock, wait, only_while)
