"""Pacing: what the answers say about the rate limit becomes when the next request may leave.

Rules:
- Arithmetic only: every moment is passed in, as seconds of a clock that never goes back.
- Only the key's rate limit closes the gate; a cap on one recipient does not.
- After a wait, requests are spaced: those that all leave at once only collide again.
- Figures of one kind of endpoint say nothing about another: each has a lane of its own.
"""

from math import inf
from typing import Final, final

from attrs import define, field
from attrs.validators import optional

from .config import check_methods, number
from .quota import Quota
from .results import RateLimit

UNTOLD_WAIT: Final = 1.0
"""Seconds to wait after a 429 that names none."""

_UNTOLD_WINDOW: Final = 1.0  # seconds that a window lasts until two resets tell
_CATCH_UP: Final = 0.02  # seconds of slots that may be made good after waking late
_TRICKLE: Final = 0.01  # seconds between requests beyond the window while the limit is unknown
_WINDOW: Final = 8.0  # requests in flight before anything is known of the limit
_WIDEN: Final = 0.2  # by how much each answer widens that window
_WIDEN_TOLD: Final = 1.0  # the same for an answer that tells what remains
_ROOM: Final = 0.1  # share of a window that is left at its end, from which it has room for more
_SAME_RESET: Final = 0.25  # seconds by which two tellings of one reset may differ
_HASTE: Final = 1.25  # within a known window, how much faster than the limit requests may leave
_LONGEST_RESET: Final = 86_400.0  # seconds; a reset further off is a wrong clock's
_RIGHT_CLOCK: Final = -1.25, 0.25  # seconds by which a `Date`, which is cut to the second, differs from the same clock


@final
@define(eq=False)
class Pace:
    """How fast a client may go: what its answers say, and never faster than *per_second* requests.

    Without a limit from the server a few requests leave at first, and more with each answer. The
    figures of `X-RateLimit-*` are kept to; a 429 closes the gate for its `retry_after`, lowers the
    rate to what was really accepted, and each answer after it raises the rate a little.

    The service has a limit for each kind of endpoint (docs: /api/conventions), so each has its lane.
    Clients of one process that share a key share one Pace. With *shared* the workers of many processes
    go by one rate: each request needs a slot of that quota as well, and *per_second* is for all together.
    """

    per_second: float | None = field(default=None, validator=optional(number(above=0)))
    shared: Quota | None = field(default=None, kw_only=True)
    _lanes: "dict[str, Lane]" = field(factory=dict, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        """Check what is shared."""
        if self.shared is not None:
            check_methods("shared", self.shared, ("reserve",), "the quota of a fleet")

    def lane(self, band: str) -> "Lane":
        """Find the lane of one kind of endpoint, such as `POST messages`."""
        lane = self._lanes.get(band)
        if lane is None:
            lane = self._lanes[band] = Lane(self.per_second)
        return lane


@final
@define(eq=False)
class Lane:
    """The pace of one kind of endpoint: see `Pace`."""

    per_second: float | None = None
    _in_flight: int = field(default=0, init=False)
    _window: float = field(default=_WINDOW, init=False)
    _next_at: float = field(default=-inf, init=False)
    _closed_until: float = field(default=-inf, init=False)
    # learned from 429s
    _rate: float | None = field(default=None, init=False)
    _goal: float = field(default=inf, init=False)
    _cut_at: float = field(default=-inf, init=False)
    _since: float | None = field(default=None, init=False)
    _accepted: int = field(default=0, init=False)
    # learned from X-RateLimit-*
    _limit: int = field(default=0, init=False)
    _remaining: int | None = field(default=None, init=False)
    _reset_at: float = field(default=-inf, init=False)
    _length: float | None = field(default=None, init=False)
    _skew: float = field(default=-inf, init=False)
    _reset: float = field(default=-inf, init=False)
    _between: float = field(default=0.0, init=False)
    _span: float = field(default=inf, init=False)
    _least_span: float = field(default=_UNTOLD_WINDOW, init=False)

    @property
    def in_flight(self) -> int:
        """How many requests have left and are not answered yet."""
        return self._in_flight

    @property
    def rate(self) -> float | None:
        """Requests a second at which they are spaced now; None while nothing asks for spacing."""
        spacing = self._spacing()
        return 1 / spacing if spacing else None

    @property
    def told(self) -> float | None:
        """Requests a second by the limit that answers told, once windows in a row have told how long one lasts."""
        return self._limit / self._span if self._limit and self._span < inf else None

    @property
    def supposed(self) -> float | None:
        """The most that this may turn out to be, as soon as a limit is told."""
        return self._limit / self._least_span if self._limit else None

    def wait(self, now: float, ahead: int = 0) -> float:
        """Tell the seconds until a request may leave that has *ahead* others before it, at the least; 0 is now."""
        self._roll(now)
        at = self._next_at + ahead * self._spacing() if ahead else self._next_at
        at = max(at, self._closed_until)
        if self._remaining is not None and self._remaining <= ahead and at < self._reset_at:
            at = self._reset_at
        if self._rate is None and self._in_flight + ahead >= self._window:
            at = max(at, self._next_at + _TRICKLE)
        return at - now if at > now else 0.0

    def leave(self, now: float) -> None:
        """Count a request that leaves now."""
        self._since = now if self._since is None else self._since
        self._in_flight += 1
        if self._remaining is not None:
            self._remaining -= 1
        spacing = self._spacing()
        self._next_at = max(self._next_at, now - _CATCH_UP) + spacing if spacing else now

    def lose(self) -> None:
        """Count a request that ended without an answer."""
        self._in_flight -= 1

    def learn(self, now: float, wall: float, *, figures: RateLimit | None, server_time: float | None) -> None:
        """Count an answer that was let through, and what its headers say.

        *wall* is this machine's Unix time and *server_time* the answer's `Date`: where they differ, the
        reset is read by the server's clock.
        """
        self._in_flight -= 1
        self._accepted += 1
        self._window += _WIDEN if self._remaining is None else _WIDEN_TOLD
        if self._rate is not None:
            self._rate += 0.7 if self._rate < self._goal else max(1.0, 0.02 * self._rate) / self._rate
        self._read(now, wall, figures, server_time)

    def throttle(self, now: float, left_at: float, retry_after: float | None, figures: RateLimit | None = None) -> None:
        """Count a 429 of the key's rate limit for a request that left at *left_at*; close the gate.

        Where its own *figures* say that there was room, the rate is not lowered: it is not the reason.
        """
        self._in_flight -= 1
        until = now + (UNTOLD_WAIT if retry_after is None else retry_after)
        self._closed_until = max(self._closed_until, until)
        self._next_at = max(self._next_at, self._closed_until)
        if figures is not None and figures.remaining:
            return
        if left_at < self._cut_at:
            return  # it left before the last cut, and says nothing about the rate since
        since = left_at if self._since is None else self._since
        measured = self._accepted / max(self._closed_until - since, 1e-3)
        if self._rate is None:
            self._rate = max(measured, 1.0)
        else:
            self._rate = max(min(measured, 0.9 * self._rate), 0.5 * self._rate, 1e-3)
        self._goal = measured if measured >= 1 else inf
        self._cut_at, self._since, self._accepted = now, self._closed_until, 0

    def _spacing(self) -> float:
        seconds = 1 / self.per_second if self.per_second else 0.0
        if self._rate is not None:
            return max(seconds, 1 / self._rate)
        if self._length and self._limit:
            return max(seconds, self._length / (self._limit * _HASTE))
        return seconds

    def _roll(self, now: float) -> None:
        # The known window is over: take the next for as large, until an answer tells.
        if self._remaining is not None and now >= self._reset_at:
            self._use_room(self._remaining)
            self._remaining = max(1, self._limit - self._in_flight)
            self._reset_at = now + (self._length or _UNTOLD_WINDOW)

    def _read(self, now: float, wall: float, figures: RateLimit | None, server_time: float | None) -> None:
        if figures is None or not figures.limit or figures.remaining is None or figures.reset is None:
            return
        ahead = figures.reset - wall - self._clock_error(wall, server_time)
        if not -_SAME_RESET <= ahead <= _LONGEST_RESET:
            return
        reset_at = now + ahead
        if reset_at > self._reset_at + _SAME_RESET or self._remaining is None:
            self._length = self._seen_length(reset_at)
            self._remaining = figures.remaining - self._in_flight
            self._reset_at = reset_at
        elif reset_at > self._reset_at - _SAME_RESET:
            self._remaining = min(self._remaining, figures.remaining)
        self._limit = figures.limit
        between = figures.reset - self._reset  # by the server's clock alone; too long where windows went by unseen
        if between > _SAME_RESET:
            if abs(between - self._between) < _SAME_RESET:
                self._span = min(self._span, between)
            self._between, self._reset = between, figures.reset
            self._least_span = max(self._least_span, ahead + _RIGHT_CLOCK[0])

    def _clock_error(self, wall: float, server_time: float | None) -> float:
        # Of many `Date`s the one least cut off is the nearest; a clock that was set is taken anew.
        if server_time is not None:
            seen = server_time - wall
            self._skew = max(seen, self._skew) if seen > self._skew - 2.0 else seen
        earliest, latest = _RIGHT_CLOCK
        return 0.0 if self._skew == -inf or earliest <= self._skew <= latest else self._skew

    def _use_room(self, left: int) -> None:
        # What the window that ends had left over is gone into, by half, as others may do the same.
        if self._rate is None or left < _ROOM * self._limit:
            return
        length = self._length or _UNTOLD_WINDOW
        self._rate += left / length / 2
        if self._rate >= self._limit / length:
            self._rate = None

    def _seen_length(self, reset_at: float) -> float | None:
        between = reset_at - self._reset_at
        return between if self._remaining is not None and between <= _LONGEST_RESET else self._length
