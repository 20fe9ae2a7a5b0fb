"""Slots: those that this worker has reserved of a shared quota, and when it asks for more.

Rules:
- It has one block in hand at most, of a size that goes by how many wait: what it does not use is lost to all.
- A slot whose time is over is not used: of all the late ones together the service sees too many in one second.
"""

from math import inf
from typing import Final, final

from attrs import define, field

from .clock import Clock
from .pace import UNTOLD_WAIT, Lane
from .quota import Quota
from .results import ApiError, Throttled

_USABLE: Final = 0.05  # seconds after its time in which a slot may be used
_SLOWEST: Final = 0.25  # seconds that an answer may take before its slots are held to be older
_RECENT: Final = 0.25  # seconds: what was used of a block of then tells how many are wanted now
_SAME: Final = 0.01  # share by which two tellings of one limit may differ


@final
@define(eq=False)
class Slots:
    """The slots in hand for one kind of endpoint (*band*), of a *quota* that is shared.

    *at_most* is what the user allows all workers together, in requests a second.
    """

    quota: Quota
    band: str
    lane: Lane
    clock: Clock
    at_most: float | None = None
    _left: int = field(default=0, init=False)
    _at: float = field(default=-inf, init=False)  # when the next may be used, or where there is none, asked for
    _spacing: float = field(default=0.0, init=False)
    _used: int = field(default=0, init=False)
    _reserved_at: float = field(default=-inf, init=False)
    _told: float = field(default=0.0, init=False)

    def wait(self, now: float) -> float:
        """Tell the seconds until a slot may be used, or some may be asked for; 0 is now."""
        self._drop(now)
        return max(0.0, self._at - now)

    def take(self, now: float) -> bool:
        """Use a slot if there is one whose time has come."""
        self._drop(now)
        if not self._left or self._at > now:
            return False
        self._left -= 1
        self._used += 1
        self._at = self._at + self._spacing if self._left else -inf
        return True

    async def reserve(self, waiting: int) -> None:
        """Reserve slots for those that are *waiting*, and one more than were used of the last block."""
        told = self._news()
        if told is not None:
            await self.quota.tell(self.band, told)
            self._told = told
        asked = self.clock.now()
        wanted = max(waiting, self._used + 1 if asked - self._reserved_at < _RECENT else 1)
        grant = await self.quota.reserve(self.band, wanted, self.at_most)
        now = self.clock.now()
        at = min(now, asked + _SLOWEST) if grant.slots else now
        self._left, self._at, self._spacing = grant.slots, at + grant.after, grant.spacing
        if grant.slots:
            self._used, self._reserved_at = 0, now

    async def answered(self, error: ApiError) -> None:
        """Tell the others of an *error* that says that the key's rate limit was exceeded."""
        if isinstance(error, Throttled) and error.rate_limited:
            seconds = UNTOLD_WAIT if error.retry_after is None else error.retry_after
            await self.quota.penalise(self.band, seconds)

    def _drop(self, now: float) -> None:
        while self._left and self._at < now - _USABLE:
            self._left -= 1
            self._at = self._at + self._spacing if self._left else -inf

    def _news(self) -> float | None:
        # What is only supposed is told where more is supposed by all: it is the most that there can be.
        told = self.lane.told
        if told is None and (most := self.lane.supposed) is not None and most * self._spacing < 1:
            told = most
        known = self._told if self._spacing else 0.0
        return told if told is not None and abs(told - known) > _SAME * told else None
