"""Stops: when a batch sends no more rows, and when it only waits, and why.

Three rules decide: the breaker, the outage and the spending limit.

Breaker, which results stop a batch:
- A 401 or a 402 of the service stops it at once.
- A run of *limit* identical refusals stops it. Refusals are identical if they have one type, one code and, for
  `Invalid`, the same details. A refusal that concerns one recipient (scope `recipient`) ends the run as a success does.
- *limit* identical refusals stop it, in a row or not and whatever they concern, as long as no row has been accepted in
  this run or, by its journal, in an earlier one: then the reason is not the recipients. Those that the journal has of
  other parts of the batch count as well, except for `Invalid`, whose details it does not have.
- A run of `FOREIGN_LIMIT` answers that are not the service's stops it. Failures of the service and of the network
  neither count nor end this run.

Outage, failures of the service, not of the rows, which are waited out, and after which the rows are sent again:
- A row that failed because of the service is kept. Once the service has responded to another row, it is sent again.
  If it then fails again while others do not, that is its result.
- After *limit* such failures in a row nothing new is sent. One row is sent as a probe, after a pause that grows with
  the outage, or after the `retry_after` of the service. Its success ends the outage.
- An answer that is not the service's is no sign of an outage, and does not end one. During an outage its row is kept.
- Only a call that may be repeated is sent twice.

Spending limit, what a batch has cost and may still cost:
- Before a row is sent, its highest possible cost is reserved. Spent and reserved together never exceed the limit.
- The cost of a row whose outcome is unknown stays reserved.
- Until one response has stated a price, one row is in flight at a time.
"""

from collections import Counter, deque
from collections.abc import Callable, Mapping
from decimal import Decimal
from random import random
from typing import Final, Generic, Literal, TypeAlias, TypeVar, final

from attrs import define, field, frozen
from attrs.validators import ge, gt

from ..calls import Call
from ..results import ApiError, InsufficientBalance, Invalid, Ok, Result, Throttled, Unauthorized
from ..retry import LONGEST_RETRY_AFTER, may_be_retried, requested_wait
from .queue import PendingRow

T = TypeVar("T")
FOREIGN_LIMIT: Final = 10
"""Answers in a row that are not the service's, after which a batch stops."""

NEVER_REACHED: Final = 10.0
"""Seconds to wait for a service that has never responded."""

_MOST_KINDS: Final = 100  # kinds of refusals that are counted, since details can differ in each row
_FIRST_PAUSE: Final = 1.0  # seconds
_LONGEST_PAUSE: Final = 30.0
_SHARE: Final = 0.5  # of the duration of the outage so far: how much longer it may seem to last than it does
_ZERO: Final = Decimal(0)

Reason: TypeAlias = Literal[
    "unauthorized", "balance", "spend", "refusals", "foreign", "outage", "rate_limit", "exception", "asked"
]


@final
@frozen
class Stopped:
    """Why a batch sends no more calls.

    *reason* is one of:

    - `unauthorized`: a 401.
    - `balance`: a 402.
    - `spend`: one more call could exceed `max_spend`.
    - `refusals`: a run of identical refusals, or identical refusals while nothing was accepted.
    - `foreign`: a run of answers that are not the service's. Check the base URL and any proxy.
    - `outage`: no response within `outage_timeout`.
    - `rate_limit`: the rate limit let no row through within `outage_timeout`.
    - `exception`: the source, the client or the journal raised an exception, which leaves the iteration.
    - `asked`: `Outcomes.stop` was called, or `only_while` returned False.

    *error* is the refusal that caused the stop, if there is one. *missing* is the amount in EUR that the free balance
    lacks for the rest of the batch; it is known after a 402 that states the balance, if an `estimate` was given.
    """

    reason: Reason
    error: ApiError | None = None
    missing: Decimal | None = None


@final
@frozen(kw_only=True)
class OutageState:
    """An ongoing outage: rows wait for the service to respond again, or for the end of a `retry_after`.

    - *lasted*: seconds since the first failure.
    - *next_probe*: seconds until one row is sent as a probe; 0.0 while a probe is under way.
    - *time_left*: seconds until the batch stops, if the service has not responded by then.
    - *error*: the last failure. A `Throttled` means that the rate limit lets no row through.
    """

    lasted: float
    next_probe: float
    time_left: float
    error: ApiError | None


def _nothing_accepted() -> bool:
    return False


@final
@define(eq=False)
class Breaker:
    """Stops a batch by the rules of the breaker above.

    *limit* is None for never; the rules for 401, 402 and foreign answers hold all the same. *has_accepted* returns
    whether a row was accepted before this run. *earlier* are the numbers of refusals before it, by type and code.
    """

    limit: int | None
    has_accepted: Callable[[], bool] = _nothing_accepted
    earlier: Mapping[tuple[str, str], int] = field(factory=dict)
    _last: object = field(default=None, init=False)
    _count: int = field(default=0, init=False)
    _foreign: int = field(default=0, init=False)
    _accepted: bool = field(default=False, init=False)
    _refusals: Counter[object] = field(factory=Counter, init=False)

    def reset(self) -> None:
        """Start counting anew."""
        self._end_run()
        self._foreign = 0
        self._refusals.clear()

    def judge(self, result: "Result[object]") -> Stopped | None:
        """Count *result* of a call that was sent; return why the batch stops, or None if it continues."""
        if (stopped := self.judge_source(result)) is not None:
            return stopped
        match result:
            case Ok():
                self._end_run()
                self._accepted = True
                return None
            case error if error.scope == "foreign":
                return None
            case Unauthorized():
                return Stopped("unauthorized", result)
            case InsufficientBalance():
                return Stopped("balance", result)
            case error:
                return self._refused(error)

    def judge_source(self, result: "Result[object]") -> Stopped | None:
        """Count *result* only by whether it is the service's, as for a call that is to be sent again."""
        if isinstance(result, Ok) or result.from_service:
            self._foreign = 0
            return None
        if result.scope != "foreign":
            return None
        self._foreign += 1
        return Stopped("foreign", result) if self._foreign >= FOREIGN_LIMIT else None

    def _end_run(self) -> None:
        self._last, self._count = None, 0

    def _refused(self, error: ApiError) -> Stopped | None:
        refusal = (type(error).__name__, error.code, *(error.details if isinstance(error, Invalid) else ()))
        if error.scope == "recipient":
            self._end_run()
        else:
            self._count = self._count + 1 if refusal == self._last else 1
            self._last = refusal
        if self._count == self.limit or (error.scope != "service" and self._is_only_answer(refusal)):
            return Stopped("refusals", error)
        return None

    def _earlier(self, refusal: tuple[object, ...]) -> int:
        return sum(rows for group, rows in self.earlier.items() if group == refusal)

    def _is_only_answer(self, refusal: tuple[object, ...]) -> bool:
        if self._accepted or self.limit is None:
            return False
        if refusal in self._refusals or len(self._refusals) < _MOST_KINDS:
            self._refusals[refusal] += 1
        if self._refusals[refusal] + self._earlier(refusal) < self.limit:
            return False
        self._accepted = self.has_accepted()
        return not self._accepted


@final
@define(eq=False)
class Outage(Generic[T]):
    """Keeps the rows that failed because of the service.

    *timeout* is how many seconds an outage may last; 0 keeps no rows.
    """

    timeout: float
    limit: int = 5
    waiting: deque[PendingRow[T]] = field(factory=deque, init=False)
    _recoveries: int = field(default=0, init=False)
    _failures: int = field(default=0, init=False)
    _since: float = field(default=0.0, init=False)
    _retry_after: float = field(default=0.0, init=False)
    _probe_at: float = field(default=0.0, init=False)
    _error: ApiError | None = field(default=None, init=False)

    @property
    def closed(self) -> bool:
        """Whether nothing new is to be sent."""
        return self._failures >= self.limit

    def keep(self, row: PendingRow[T], error: ApiError, now: float) -> bool:
        """Keep *row*, which failed with *error*, to send it again; return False if the error is its result."""
        if not self.waits_out(error, row.call):
            if not self.waiting:
                self._failures = 0  # no row is left to probe with: the next one shows whether the outage has ended
            return False
        if not self.waiting and not self._failures:
            self._since = now
        self._failures += 1
        if row.last is not None and self._recoveries > row.recoveries and not self.closed:
            return False  # other rows have succeeded since, and still do
        retry_after = requested_wait(error) or 0.0
        self._retry_after = 0.0 if retry_after > LONGEST_RETRY_AFTER else retry_after
        row.last, row.recoveries, self._error = error, self._recoveries, error
        self.waiting.append(row)
        return True

    def waits_out(self, error: ApiError, call: Call[object]) -> bool:
        """Return whether *call*, which failed with *error*, is to be sent again later."""
        expected = self.closed or error.scope != "foreign"
        return bool(self.timeout) and expected and may_be_retried(error, repeatable=call.repeatable)

    def recover(self) -> list[PendingRow[T]]:
        """Record that the service has responded; return the rows that can be sent again."""
        self._recoveries += 1
        self._failures = 0
        if not self.waiting:
            return []
        again = list(self.waiting)
        self.waiting.clear()
        return again

    def pause(self, now: float) -> float | None:
        """Return the seconds until the next probe; None if the outage has lasted too long."""
        grown = max(_FIRST_PAUSE, _SHARE * (now - self._since))
        backoff = min(_LONGEST_PAUSE, grown) * (0.75 + random() / 4)  # noqa: S311 - jitter
        wait = max(backoff, self._retry_after)
        self._probe_at = now + wait
        return wait if now + wait - self._since <= self._longest else None

    def state(self, now: float) -> OutageState | None:
        """Return what is known of the outage at the time *now*; None if the last call that ended was no failure."""
        if not self._failures:
            return None
        lasted = now - self._since
        return OutageState(
            lasted=lasted,
            next_probe=max(0.0, self._probe_at - now),
            time_left=max(0.0, self._longest - lasted),
            error=self._error,
        )

    @property
    def _longest(self) -> float:
        return self.timeout if self._recoveries else min(self.timeout, NEVER_REACHED)

    def give_up(self) -> Stopped:
        """Return why the batch stops once the outage has lasted too long: the rate limit, or the service."""
        error = self.waiting[-1].last
        return Stopped("rate_limit" if isinstance(error, Throttled) else "outage", error)


def is_healthy(result: Result[object]) -> bool:
    """Return whether *result* shows that the service responds."""
    return isinstance(result, Ok) or result.scope not in {"service", "foreign"}


@final
@frozen(kw_only=True)
class SpendLimit:
    """The most that a batch may spend: *total* EUR, with a cost of at most *per_message* EUR for one message.

    The limit is for one run. *spent* is what earlier runs of the batch have cost, 0 by default, and counts towards
    *total*: take it from `JournalReader.summary`, as the page "Money and 402" shows. A message that costs more than
    *per_message* stops the batch. The first message is sent alone, so that it shows a price that is too low; if only a
    later one costs more, those in flight with it may exceed the limit. A negative amount, or a *per_message*
    that is not above 0, is a ValueError.
    """

    total: Decimal = field(validator=ge(_ZERO))
    per_message: Decimal = field(validator=gt(_ZERO))
    spent: Decimal = field(default=_ZERO, validator=ge(_ZERO))


@final
@define(eq=False)
class SpendTracker:
    """Adds up the costs that the responses state, in EUR. The legs of a fallback share one reservation."""

    limit: SpendLimit | None
    spent: Decimal = field(default=_ZERO, init=False)
    in_flight: int = field(default=0, init=False)
    _exceeded: bool = field(default=False, init=False)
    _reserved: Decimal = field(default=_ZERO, init=False)
    _price_known: bool = field(default=False, init=False)

    def admits(self) -> bool:
        """Return whether one more row may be sent now."""
        if self.limit is None:
            return True
        if self._exceeded or (self.in_flight and not self._price_known):
            return False
        reserved = self._reserved + (self.in_flight + 1) * self.limit.per_message
        return self.limit.spent + self.spent + reserved <= self.limit.total

    def reserve(self) -> None:
        """Reserve the cost of a row that is about to be sent."""
        self.in_flight += 1

    def settle(self, result: Result[object]) -> None:
        """Record the cost of a row that ended in *result*."""
        if not isinstance(result, Ok):
            if result.may_have_happened:
                self.keep_reserved()
            else:
                self.in_flight -= 1
            return
        cost = cost_of(result.value)
        if cost is None:
            self.keep_reserved()
            return
        self.in_flight -= 1
        self.spent += cost
        self._price_known = True
        if self.limit is not None and cost > self.limit.per_message:
            self._exceeded = True

    def keep_reserved(self) -> None:
        """Record that the cost of a row is unknown: it stays reserved."""
        self.in_flight -= 1
        self._reserved += _ZERO if self.limit is None else self.limit.per_message


def cost_of(value: object) -> Decimal | None:
    """Return what an accepted message takes from the balance: the larger of its hold and its price, or None."""
    billing = getattr(value, "billing", None)
    price, hold = getattr(billing, "message_price", None), getattr(billing, "hold_amount", None)
    known = [amount for amount in (price, hold) if isinstance(amount, Decimal)]
    return max(known) if known else None
