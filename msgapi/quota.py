"""Quota: the rate limit of one key as many workers share it, in slots that are reserved ahead.

Rules:
- A request leaves in a slot that was reserved for it, or not at all. A slot that is not used in its
  time is lost, never kept for later: so many at once would break the limit.
- Whoever keeps the quota goes by its own clock; what it tells is in seconds from now.
- `Meter` is the arithmetic of all of them, and has no clock: every moment is passed in.
"""

from collections.abc import Mapping
from math import floor
from typing import Final, Protocol, final

import anyio.lowlevel
import attrs
from attrs import define, field, frozen

from .clock import Clock

_SHARE: Final = 0.93  # of a limit that is used: room for slots that are used late, all in one second of the service
_LATE: Final = 0.03  # seconds of slots that may be made good by who asks late
_BLOCK: Final = 0.05  # seconds: so many slots at most are reserved at once, and so far ahead
_UNSPACED: Final = 8  # slots at once while nobody knows a limit
_WAVE: Final = 0.1  # seconds after a penalty in which a refusal still is of the requests before it
_LEAST: Final = 1e-3  # requests a second, and seconds to measure over
_AGREED: Final = 0.2  # seconds, beside two slots, by which the next slot can be away; more is a clock that was set

FIGURES: Final[Mapping[str, float]] = {
    "SHARE": _SHARE,
    "LATE": _LATE,
    "BLOCK": _BLOCK,
    "UNSPACED": _UNSPACED,
    "WAVE": _WAVE,
    "LEAST": _LEAST,
    "AGREED": _AGREED,
}
"""The figures of the arithmetic, for who does the same elsewhere."""


@final
@frozen
class Grant:
    """Slots that are reserved: the first may be used *after* so many seconds, the others *spacing* apart.

    An *after* below 0 is that of a slot whose time has come already. With no *slots* nothing is reserved:
    ask again *after* so many seconds. A *spacing* of 0 is that of a limit that nobody knows yet.
    """

    slots: int
    after: float
    spacing: float


class Quota(Protocol):
    """What the workers of one key share: the rate for each kind of endpoint, and a pause of all sends.

    None of its methods raises for what the store behind it does. While that is away nothing is granted,
    and who asks is told to ask again; a penalty and a limit that cannot be told are dropped, as the next
    answer tells them anew; the pause is waited for.
    """

    async def reserve(self, band: str, slots: int, at_most: float | None = None) -> Grant:
        """Reserve up to so many *slots* of a kind of endpoint, such as `POST messages`.

        *at_most* is what the user allows all workers together, in requests a second, whatever is known.
        """
        ...  # pragma: no cover

    async def penalise(self, band: str, seconds: float) -> None:
        """Close the kind of endpoint for all, for *seconds*, and lower its rate: one was refused with a 429."""
        ...  # pragma: no cover

    async def tell(self, band: str, per_second: float) -> None:
        """Take down the limit that an answer told, in requests a second."""
        ...  # pragma: no cover

    async def pause(self, why: bytes) -> None:
        """Let nobody send for now: the balance is used up. *why* is the error as JSON."""
        ...  # pragma: no cover

    async def paused(self) -> bytes | None:
        """Tell why nobody sends; None if they may."""
        ...  # pragma: no cover

    async def resume(self) -> None:
        """Let them send again."""
        ...  # pragma: no cover


@final
@frozen
class Meter:
    """What is known of the rate of one kind of endpoint, and which slots are given away.

    A rate of 0 is one that nobody knows. One that headers *told* holds; without it refusals find a
    *rate*, as in `pace.Lane`: they lower it to what was let through, and each slot raises it a little.
    """

    told: float = 0.0
    rate: float = 0.0
    goal: float = 0.0
    next_at: float = 0.0
    closed_until: float = 0.0
    since: float = 0.0
    granted: int = 0
    # of the last penalty: the rate before it, and what was granted since when, and how many of these were refused
    before: float = 0.0
    began: float = 0.0
    most: int = 0
    refused: int = 0

    def reserve(self, now: float, slots: int, at_most: float = 0.0) -> tuple["Meter", Grant]:
        """Reserve up to so many *slots*, of which none is further off than a block is long."""
        known = self.told or self.rate
        limit = min(known or at_most, at_most or known)
        if not limit:
            wait = self.closed_until - now
            grant = Grant(0, wait, 0.0) if wait > 0 else Grant(min(slots, _UNSPACED), 0.0, 0.0)
            return self._counted(now, grant.slots), grant
        spacing = 1 / (_SHARE * limit)
        earliest = max(now - _LATE, self.closed_until)
        first = max(earliest, min(self.next_at, earliest + _AGREED + 2 * spacing))
        if first - now > _BLOCK:
            return self, Grant(0, first - now, spacing)
        number = min(slots, max(1, floor(limit * _BLOCK)))
        after = attrs.evolve(self._counted(now, number), next_at=first + number * spacing)
        return after, Grant(number, first - now, spacing)

    def penalise(self, now: float, seconds: float) -> "Meter":
        """Close for *seconds*, and lower the rate to what was let through; all refusals of one wave lower it once."""
        until = max(self.closed_until, now + seconds)
        if self.told:
            return attrs.evolve(self, closed_until=until)
        if self.refused and now < self.closed_until + _WAVE:
            wave = attrs.evolve(self, refused=self.refused + 1)
        else:
            began = self.since if self.granted else now
            wave = attrs.evolve(self, before=self.rate, began=began, most=self.granted, granted=0, refused=1)
        measured = max(wave.most - wave.refused, 0) / max(until - wave.began, _LEAST)
        lowered = max(min(measured, 0.9 * wave.before), 0.5 * wave.before, _LEAST)
        rate = lowered if wave.before else max(measured, 1.0)
        return attrs.evolve(wave, closed_until=until, rate=rate, goal=measured if measured >= 1 else 0.0)

    def tell(self, per_second: float) -> "Meter":
        """Take down the limit that headers tell; it is the rate from now on."""
        return attrs.evolve(self, told=per_second, rate=0.0, goal=0.0)

    def _counted(self, now: float, slots: int) -> "Meter":
        if self.told or not slots:
            return self
        rate = self.rate
        if rate:
            step = 0.7 if not self.goal or rate < self.goal else max(1.0, 0.02 * rate) / rate
            rate += slots * step
        since = self.since if self.granted else max(now, self.closed_until)
        return attrs.evolve(self, rate=rate, since=since, granted=self.granted + slots)


@final
@define(eq=False)
class Local:
    """The quota of the clients of one process, in memory; also a double of the shared ones in tests."""

    clock: Clock
    _meters: dict[str, Meter] = field(factory=dict, init=False, repr=False)
    _why: bytes | None = field(default=None, init=False)

    async def reserve(self, band: str, slots: int, at_most: float | None = None) -> Grant:
        """Reserve up to so many *slots* of a kind of endpoint."""
        await anyio.lowlevel.checkpoint()
        self._meters[band], grant = self._meter(band).reserve(self.clock.now(), slots, at_most or 0.0)
        return grant

    async def penalise(self, band: str, seconds: float) -> None:
        """Close the kind of endpoint for *seconds*, and lower its rate."""
        await anyio.lowlevel.checkpoint()
        self._meters[band] = self._meter(band).penalise(self.clock.now(), seconds)

    async def tell(self, band: str, per_second: float) -> None:
        """Take down the limit that an answer told."""
        await anyio.lowlevel.checkpoint()
        self._meters[band] = self._meter(band).tell(per_second)

    async def pause(self, why: bytes) -> None:
        """Let nobody send for now."""
        await anyio.lowlevel.checkpoint()
        self._why = why

    async def paused(self) -> bytes | None:
        """Tell why nobody sends; None if they may."""
        await anyio.lowlevel.checkpoint()
        return self._why

    async def resume(self) -> None:
        """Let them send again."""
        await anyio.lowlevel.checkpoint()
        self._why = None

    def _meter(self, band: str) -> Meter:
        return self._meters.get(band, _FRESH)


_FRESH: Final = Meter()
