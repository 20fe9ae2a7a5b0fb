"""The rate limit of one API key as many workers share it: slots that are reserved ahead of use.

Rules:
- A request leaves in a slot that was reserved for it, or not at all. A slot that is not used in its time is lost, never
  kept for later: several at once would exceed the limit.
- Each implementation of `SharedRate` goes by a clock of its own; the times that it returns are seconds from now.
- `RateState` is the arithmetic of all implementations. It reads no clock: every time is passed in.
"""

from collections.abc import Mapping
from math import floor
from typing import Final, Protocol, final

import anyio.lowlevel
import attrs
from attrs import define, field, frozen

from ..clock import Clock

_SHARE: Final = 0.93  # share of a limit that is used; the rest is room for slots that are used late, within one second
_LATE: Final = 0.03  # seconds of missed slots that a late reservation makes up for
_BLOCK: Final = 0.05  # seconds: the length of the longest block, and how far ahead a block may begin
_UNSPACED: Final = 8  # slots in a block while no limit is known
_WAVE: Final = 0.1  # seconds after a throttle during which another 429 belongs to the same wave of requests
_LEAST: Final = 1e-3  # the lowest rate in requests per second, and the shortest measurement in seconds
_AGREED: Final = 0.2  # seconds beside two slots by which the next slot can be ahead; more means a clock was set back

FIGURES: Final[Mapping[str, float]] = {
    "SHARE": _SHARE,
    "LATE": _LATE,
    "BLOCK": _BLOCK,
    "UNSPACED": _UNSPACED,
    "WAVE": _WAVE,
    "LEAST": _LEAST,
    "AGREED": _AGREED,
}
"""The constants of the arithmetic by name, for an implementation in another language."""


@final
@frozen
class Grant:
    """Slots that are reserved: the first may be used *after* so many seconds, the others *spacing* seconds apart.

    *after* is negative for a slot whose time has come already. If *slots* is 0 nothing is reserved: ask again *after*
    so many seconds. A *spacing* of 0.0 means that no limit is known yet.
    """

    slots: int
    after: float
    spacing: float


class SharedRate(Protocol):
    """What the workers of one API key share: the rate of each endpoint class, and a pause of all sends.

    An endpoint class is a method and the first path segment after the version, such as `POST messages`: the service
    limits each one separately. No method raises for a failure of the store behind it. While the store is unreachable,
    `reserve` grants nothing, `throttle` and `set_limit` do nothing (the next response repeats them), and the three
    methods of the pause wait.
    """

    async def reserve(self, endpoint_class: str, slots: int, at_most: float | None = None) -> Grant:
        """Reserve up to *slots* slots of *endpoint_class*; return what is granted, possibly nothing.

        *at_most* is the upper bound that the user sets for all workers together, in requests per second, whatever
        limit is known; None for no bound.
        """
        ...  # pragma: no cover

    async def throttle(self, endpoint_class: str, seconds: float) -> None:
        """Grant nothing of *endpoint_class* for *seconds* and lower its rate, after a 429."""
        ...  # pragma: no cover

    async def set_limit(self, endpoint_class: str, per_second: float) -> None:
        """Set the limit of *endpoint_class* that response headers give, in requests per second; may be repeated."""
        ...  # pragma: no cover

    async def pause(self, why: bytes) -> None:
        """Pause all sends, since the balance is used up; *why* is the error as JSON. May be repeated."""
        ...  # pragma: no cover

    async def paused(self) -> bytes | None:
        """Return the error that sends are paused for, as JSON; None if they are not paused."""
        ...  # pragma: no cover

    async def resume(self) -> None:
        """End the pause; do nothing if there is none."""
        ...  # pragma: no cover


@final
@frozen
class RateState:
    """What is known of the rate of one endpoint class, and which slots are granted; times are seconds of one clock.

    *limit* is what response headers give, *rate* what is learned from 429s as in `pace.Lane`: a 429 lowers it to the
    rate that the service accepted, and each granted slot raises it a little until it reaches *goal*, slower after that.
    Both are in requests per second; 0.0 means unknown. A known *limit* takes precedence.
    """

    limit: float = 0.0
    rate: float = 0.0
    goal: float = 0.0
    next_at: float = 0.0
    closed_until: float = 0.0
    granted_since: float = 0.0
    granted: int = 0
    # the last wave of 429s: the rate before it, the start and the number of the grants measured, and how many failed
    rate_before: float = 0.0
    measured_since: float = 0.0
    measured: int = 0
    refused: int = 0

    def reserve(self, now: float, slots: int, at_most: float = 0.0) -> tuple["RateState", Grant]:
        """Reserve up to *slots* slots, none of them further ahead than one block; return the next state and the grant.

        *at_most* is an upper bound in requests per second; 0.0 for no bound.
        """
        known = self.limit or self.rate
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

    def throttle(self, now: float, seconds: float) -> "RateState":
        """Return the state after a 429: nothing is granted for *seconds*, and the rate is lowered once per wave."""
        until = max(self.closed_until, now + seconds)
        if self.limit:
            return attrs.evolve(self, closed_until=until)
        if self.refused and now < self.closed_until + _WAVE:
            wave = attrs.evolve(self, refused=self.refused + 1)
        else:
            since = self.granted_since if self.granted else now
            wave = attrs.evolve(
                self, rate_before=self.rate, measured_since=since, measured=self.granted, granted=0, refused=1
            )
        accepted = max(wave.measured - wave.refused, 0) / max(until - wave.measured_since, _LEAST)
        lowered = max(min(accepted, 0.9 * wave.rate_before), 0.5 * wave.rate_before, _LEAST)
        rate = lowered if wave.rate_before else max(accepted, 1.0)
        return attrs.evolve(wave, closed_until=until, rate=rate, goal=accepted if accepted >= 1 else 0.0)

    def set_limit(self, per_second: float) -> "RateState":
        """Return the state with the limit of the response headers, which replaces a learned rate."""
        return attrs.evolve(self, limit=per_second, rate=0.0, goal=0.0)

    def _counted(self, now: float, slots: int) -> "RateState":
        if self.limit or not slots:
            return self
        rate = self.rate
        if rate:
            step = 0.7 if not self.goal or rate < self.goal else max(1.0, 0.02 * rate) / rate
            rate += slots * step
        since = self.granted_since if self.granted else max(now, self.closed_until)
        return attrs.evolve(self, rate=rate, granted_since=since, granted=self.granted + slots)


@final
@define(eq=False)
class LocalSharedRate:
    """A `SharedRate` in memory, for the clients of one process; stands in for the others in tests."""

    clock: Clock
    _states: dict[str, RateState] = field(factory=dict, init=False, repr=False)
    _why: bytes | None = field(default=None, init=False)

    async def reserve(self, endpoint_class: str, slots: int, at_most: float | None = None) -> Grant:
        """Reserve up to *slots* slots of *endpoint_class*, at no more than *at_most* requests per second."""
        await anyio.lowlevel.checkpoint()
        state = self._state(endpoint_class)
        self._states[endpoint_class], grant = state.reserve(self.clock.now(), slots, at_most or 0.0)
        return grant

    async def throttle(self, endpoint_class: str, seconds: float) -> None:
        """Grant nothing of *endpoint_class* for *seconds* and lower its rate."""
        await anyio.lowlevel.checkpoint()
        self._states[endpoint_class] = self._state(endpoint_class).throttle(self.clock.now(), seconds)

    async def set_limit(self, endpoint_class: str, per_second: float) -> None:
        """Set the limit of *endpoint_class* that response headers give, in requests per second."""
        await anyio.lowlevel.checkpoint()
        self._states[endpoint_class] = self._state(endpoint_class).set_limit(per_second)

    async def pause(self, why: bytes) -> None:
        """Pause all sends; *why* is the error as JSON."""
        await anyio.lowlevel.checkpoint()
        self._why = why

    async def paused(self) -> bytes | None:
        """Return the error that sends are paused for, as JSON; None if they are not paused."""
        await anyio.lowlevel.checkpoint()
        return self._why

    async def resume(self) -> None:
        """End the pause; do nothing if there is none."""
        await anyio.lowlevel.checkpoint()
        self._why = None

    def _state(self, endpoint_class: str) -> RateState:
        return self._states.get(endpoint_class, _NEW_STATE)


_NEW_STATE: Final = RateState()
