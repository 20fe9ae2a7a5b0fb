"""The pace: when the next request may leave, by what the responses say about the rate limit, and the queue for it.

Terms: an endpoint class is a method and the first path segment after the version, such as `POST messages`; the service
limits each one separately. A lane is the pace of one endpoint class. In its turn queue, the requests of the class wait
until the lane lets them leave.

Rules:
- A lane is arithmetic only: every time is passed in, as seconds of a monotonic clock. The queue waits.
- Only the key's rate limit blocks a lane; a cap on one recipient does not.
- After a wait, requests are spaced: those that all leave at once only collide again.
- The figures of one endpoint class say nothing about another: each has a lane of its own.
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
from attrs.validators import optional

from ..clock import Clock
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
_USABLE: Final = 0.05  # seconds after its time during which a slot may be used
_SLOW_RESPONSE: Final = 0.25  # seconds: the slots of a slower response are taken to be this old at the most
_RECENT: Final = 0.25  # seconds: the use of a block that was reserved within them sizes the next block
_SAME_LIMIT: Final = 0.01  # share by which two readings of one limit may differ
_CHECK_INTERVAL: Final = 0.25  # seconds between two calls of `only_while` during a wait


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
    _next_at: float = field(default=-inf, init=False)  # never before `_closed_until`
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
        if self._remaining is not None and self._remaining <= ahead and at < self._reset_at:
            at = self._reset_at
        if self._rate is None and self._in_flight + ahead >= self._window:
            at = max(at, self._next_at + _TRICKLE)
        return at - now if at > now else 0.0

    def blocked(self, now: float) -> float:
        """Return the seconds for which no request may leave, whatever is in flight; 0.0 if one may leave now.

        Unlike `wait` this changes nothing, so it can be called to show why a program waits.
        """
        at = self._next_at
        if self._remaining is not None and self._remaining <= 0:
            at = max(at, self._reset_at)
        return max(0.0, at - now)

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
