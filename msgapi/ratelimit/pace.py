"""The pace: when the next request may leave, by what the responses say about the rate limit.

Terms: an endpoint class is a method and the first path segment after the version, such as `POST messages`; the service
limits each one separately. A lane is the pace of one endpoint class.

Rules:
- Arithmetic only: every time is passed in, as seconds of a monotonic clock.
- Only the key's rate limit blocks a lane; a cap on one recipient does not.
- After a wait, requests are spaced: those that all leave at once only collide again.
- The figures of one endpoint class say nothing about another: each has a lane of its own.
"""

from math import inf
from typing import Final, final

from attrs import define, field
from attrs.validators import optional

from ..config import check_methods, number
from ..results import RateLimit
from .shared import SharedRate

DEFAULT_RETRY_AFTER: Final = 1.0
"""Seconds to wait after a 429 that gives no `retry_after`."""

_DEFAULT_WINDOW: Final = 1.0  # seconds: the length of a rate-limit window until two resets show it
_CATCH_UP: Final = 0.02  # seconds of missed departures that may be made up for after waking late
_TRICKLE: Final = 0.01  # seconds between requests beyond the concurrency window while the limit is unknown
_WINDOW: Final = 8.0  # requests in flight before anything is known of the limit
_WIDEN: Final = 0.2  # by how much each response widens that window
_WIDEN_WITH_HEADERS: Final = 1.0  # the same for a response with `X-RateLimit-Remaining`
_ROOM: Final = 0.1  # share of a rate-limit window that must be left at its end for the rate to be raised
_SAME_RESET: Final = 0.25  # seconds by which two readings of one reset may differ
_HASTE: Final = 1.25  # how much faster than the average rate requests may leave within a known window
_LONGEST_RESET: Final = 86_400.0  # seconds; a reset further ahead comes from a wrong clock
_LONGEST_UNDATED_RESET: Final = 300.0  # the same for a response without `Date`, which does not show the server's clock
_RIGHT_CLOCK: Final = -1.25, 0.25  # seconds by which a `Date`, cut to the second, may differ from an equal clock


@final
@define(eq=False)
class Pace:
    """How fast a client may send: by what the responses say, and never faster than *per_second* requests a second.

    Until a response gives a limit, a few requests leave at first, and more with each response. The figures of
    `X-RateLimit-*` are kept. A 429 blocks the lane for its `retry_after` and lowers the rate to what was accepted; each
    response after it raises the rate a little.

    The service limits each endpoint class separately (docs: /api/conventions), so each one has its own lane.
    Clients of one process that use the same API key share one Pace. With *shared*, workers of several processes share
    one rate: each request needs a slot of it as well, and *per_second* is for all of them together.

    *per_second* is None (no bound of one's own) or above 0, otherwise a ValueError.
    """

    per_second: float | None = field(default=None, validator=optional(number(above=0)))
    shared: SharedRate | None = field(default=None, kw_only=True)
    _lanes: "dict[str, Lane]" = field(factory=dict, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        """Check *shared*."""
        if self.shared is not None:
            check_methods("shared", self.shared, ("reserve",), "the shared rate of a fleet")

    def lane(self, endpoint_class: str) -> "Lane":
        """Return the lane of *endpoint_class*, such as `POST messages`; the same object each time."""
        lane = self._lanes.get(endpoint_class)
        if lane is None:
            lane = self._lanes[endpoint_class] = Lane(self.per_second)
        return lane


@final
@define(eq=False)
class Lane:
    """The pace of one endpoint class: see `Pace`."""

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
    _least_span: float = field(default=_DEFAULT_WINDOW, init=False)

    @property
    def in_flight(self) -> int:
        """The number of requests that were sent and have no response yet."""
        return self._in_flight

    @property
    def rate(self) -> float | None:
        """The rate at which requests are spaced now, in requests per second; None while they are not spaced."""
        spacing = self._spacing()
        return 1 / spacing if spacing else None

    @property
    def header_rate(self) -> float | None:
        """The limit by the response headers, in requests per second; None until resets in a row show the window."""
        return self._limit / self._span if self._limit and self._span < inf else None

    @property
    def header_rate_bound(self) -> float | None:
        """The upper bound of `header_rate`, by the shortest window possible; None until a response gives a limit."""
        return self._limit / self._least_span if self._limit else None

    def wait(self, now: float, ahead: int = 0) -> float:
        """Return the least number of seconds until a request with *ahead* others before it may leave; 0.0 for now."""
        if self._remaining is not None and now >= self._reset_at:
            self._roll(now, self._remaining)
        at = self._next_at + ahead * self._spacing() if ahead else self._next_at
        at = max(at, self._closed_until)
        if self._remaining is not None and self._remaining <= ahead and at < self._reset_at:
            at = self._reset_at
        if self._rate is None and self._in_flight + ahead >= self._window:
            at = max(at, self._next_at + _TRICKLE)
        return at - now if at > now else 0.0

    def record_sent(self, now: float) -> None:
        """Count a request that leaves *now*."""
        self._since = now if self._since is None else self._since
        self._in_flight += 1
        if self._remaining is not None:
            self._remaining -= 1
        spacing = self._spacing()
        self._next_at = max(self._next_at, now - _CATCH_UP) + spacing if spacing else now

    def record_unanswered(self) -> None:
        """Count a request that ended without a response."""
        self._in_flight -= 1

    def record_response(self, now: float, wall: float, *, figures: RateLimit | None, server_time: float | None) -> None:
        """Count a response other than a 429 of the rate limit, with the *figures* of its headers.

        *wall* is this machine's Unix time and *server_time* the `Date` of the response: where they differ, the reset
        is read by the server's clock. Figures that are incomplete or implausible are ignored.
        """
        self._in_flight -= 1
        self._accepted += 1
        self._window += _WIDEN if self._remaining is None else _WIDEN_WITH_HEADERS
        if self._rate is not None:
            self._rate += 0.7 if self._rate < self._goal else max(1.0, 0.02 * self._rate) / self._rate
        self._read(now, wall, figures, server_time)

    def record_throttled(
        self, now: float, sent_at: float, retry_after: float | None, figures: RateLimit | None = None
    ) -> None:
        """Count a 429 of the key's rate limit for a request that left at *sent_at*, and block the lane.

        *retry_after* is in seconds; None for the default of 1 second. The rate is lowered unless *figures* say that
        requests remained: then the rate is not the reason.
        """
        self._in_flight -= 1
        until = now + (DEFAULT_RETRY_AFTER if retry_after is None else retry_after)
        self._closed_until = max(self._closed_until, until)
        self._next_at = max(self._next_at, self._closed_until)
        if figures is not None and figures.remaining:
            return
        if sent_at < self._cut_at:
            return  # it left before the rate was last lowered, and says nothing about the rate since
        since = sent_at if self._since is None else self._since
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

    def _roll(self, now: float, left: int) -> None:
        # The known window is over, with so many requests *left*: assume that the next one is as large, until a response
        # says otherwise.
        self._use_room(left)
        self._remaining = max(1, self._limit - self._in_flight)
        self._reset_at = now + (self._length or _DEFAULT_WINDOW)

    def _read(self, now: float, wall: float, figures: RateLimit | None, server_time: float | None) -> None:
        if figures is None or not figures.limit or figures.remaining is None or figures.reset is None:
            return
        ahead = figures.reset - wall - self._clock_error(wall, server_time)
        if not -_SAME_RESET <= ahead <= (_LONGEST_UNDATED_RESET if server_time is None else _LONGEST_RESET):
            return
        reset_at = now + ahead
        if reset_at > self._reset_at + _SAME_RESET or self._remaining is None:
            self._length = self._seen_length(reset_at)
            self._remaining = figures.remaining - self._in_flight
            self._reset_at = reset_at
        elif reset_at > self._reset_at - _SAME_RESET:
            self._remaining = min(self._remaining, figures.remaining)
        self._limit = figures.limit
        between = figures.reset - self._reset  # by the server's clock alone; too long if it missed windows
        if between > _SAME_RESET:
            if abs(between - self._between) < _SAME_RESET:
                self._span = min(self._span, between)
            self._between, self._reset = between, figures.reset
            self._least_span = max(self._least_span, ahead + _RIGHT_CLOCK[0])

    def _clock_error(self, wall: float, server_time: float | None) -> float:
        # Each `Date` is cut to the second, so the largest difference is the nearest; a clock that was set starts anew.
        if server_time is not None:
            seen = server_time - wall
            self._skew = max(seen, self._skew) if seen > self._skew - 2.0 else seen
        earliest, latest = _RIGHT_CLOCK
        return 0.0 if self._skew == -inf or earliest <= self._skew <= latest else self._skew

    def _use_room(self, left: int) -> None:
        # Raise the rate by half of what the window that ends had left: other clients may do the same.
        if self._rate is None or left < _ROOM * self._limit:
            return
        length = self._length or _DEFAULT_WINDOW
        self._rate += left / length / 2
        if self._rate >= self._limit / length:
            self._rate = None

    def _seen_length(self, reset_at: float) -> float | None:
        between = reset_at - self._reset_at
        return between if self._remaining is not None and between <= _LONGEST_RESET else self._length
