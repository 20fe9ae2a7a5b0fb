"""Reserved slots: what this worker holds of a shared rate, and when it reserves more.

Rules:
- A worker holds one block of slots at most. Its size follows the number of waiting requests, since a slot that is not
  used is lost to all workers.
- A slot whose time has passed is not used: the service would count the late slots of all workers in one second.
"""

from math import inf
from typing import Final, final

from attrs import define, field

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
