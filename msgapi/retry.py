"""Retries: whether a failed attempt is repeated, and after how many seconds; what a server gives as `retry_after`.

Rules:
- A call that may have been carried out is only repeated if a second request has no further effect.
- The `retry_after` of a server is never shortened: the client waits for all of it, or returns the error.
- A `retry_after` of more than a day is a mistake of the server. The error is returned at once, and other calls are
  delayed by `Retry.longest_wait` only.
- Retries are paid from a budget that successes refill, so that they do not prolong an outage.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, final

from attrs import define, field, frozen

from .config import number
from .results import NO_FREE_CONNECTION, TOO_MANY_OPEN_FILES, ApiError, NotSent, Throttled

_LOCAL_LIMITS: Final = frozenset({NO_FREE_CONNECTION, TOO_MANY_OPEN_FILES})

LONGEST_RETRY_AFTER: Final = 86_400.0
"""Seconds: a longer `retry_after` is a mistake of the server, such as a Unix time in place of seconds."""

_LONGEST: Final = 1e15  # seconds, also for a number with more digits
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_SECONDS: Final = re.compile(r"\d+(?:\.\d+)?", re.ASCII)
_DURATION: Final = re.compile(
    r"(\d+(?:\.\d+)?) ?(?:(ms)|(s)(?:ec(?:ond)?s?)?|(m)(?:in(?:ute)?s?)?|(h)(?:(?:ou)?rs?)?|(d)(?:ays?)?)",
    re.ASCII | re.IGNORECASE,
)
_LONGEST_TEXT: Final = 64  # characters of a duration or a date
_CLOCK_TIME: Final = re.compile(r"[A-Za-z,]+ .*\d\d:\d\d:\d\d (GMT|UTC?|[+-]\d{4})", re.ASCII | re.IGNORECASE)
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_TIME: Final = r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)"
_DATES: Final = (  # RFC 9110, section 5.6.7: the preferred form, that of RFC 850, and that of asctime
    re.compile(rf"[A-Z][a-z]{{2}}, (?P<day>\d\d) (?P<month>[A-Z][a-z]{{2}}) (?P<year>\d{{4}}) {_TIME} GMT", re.ASCII),
    re.compile(rf"[A-Z][a-z]{{5,8}}, (?P<day>\d\d)-(?P<month>[A-Z][a-z]{{2}})-(?P<year>\d\d) {_TIME} GMT", re.ASCII),
    re.compile(rf"[A-Z][a-z]{{2}} (?P<month>[A-Z][a-z]{{2}}) (?P<day>[ \d]\d) {_TIME} (?P<year>\d{{4}})", re.ASCII),
)
_CENTURY: Final = 100
_EPOCH: Final = 70  # a year of two digits from 70 on is in the 20th century, as in POSIX


@lru_cache(maxsize=64)
def parse_http_date(text: str) -> float | None:
    """Return the Unix time of an HTTP date in one of the three forms of RFC 9110; None if *text* is none."""
    found = next((match for form in _DATES if (match := form.fullmatch(text)) is not None), None)
    if found is None or found["month"] not in _MONTHS:
        return None
    day, year, hour, minute, second = (int(found[name]) for name in ("day", "year", "hour", "minute", "second"))
    if year < _CENTURY and len(found["year"]) == 2:  # noqa: PLR2004 - digits
        year += 1900 if year >= _EPOCH else 2000
    try:
        moment = datetime(year, _MONTHS.index(found["month"]) + 1, day, hour, minute, tzinfo=UTC)
    except ValueError:
        return None
    return moment.timestamp() + min(second, 60)  # 60 is a leap second


def parse_retry_after(value: object, now: Callable[[], float]) -> float | None:
    """Return the seconds that a server asks to wait for, or None if *value* cannot be read.

    *value* is the text of a `Retry-After` header or the field `retry_after` of a body: a number of seconds, a duration
    such as `30s`, `1m30s` or `2 hours`, or a date as in HTTP or e-mail or a time in ISO 8601, which are compared with
    the Unix time *now()*.
    """
    if isinstance(value, str):
        text = value.strip()
        if _SECONDS.fullmatch(text):
            return min(float(text), _LONGEST)
        if len(text) > _LONGEST_TEXT:
            return None
        if (seconds := _parse_duration(text)) is not None:
            return min(seconds, _LONGEST)
        at = next((at for read in _READERS if (at := read(text)) is not None), None)
        return None if at is None else max(0.0, at - now())
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:  # noqa: PLR0124 - NaN
        return None
    return float(min(max(0, value), _LONGEST))


def requested_wait(error: ApiError) -> float | None:
    """Return the seconds that the response of *error* asks to wait for, in its body or header; None if it does not."""
    given = [seconds for seconds in (error.retry_after, error.meta.retry_after) if seconds is not None]
    return max(given, default=None)


def _parse_duration(text: str) -> float | None:
    # Several parts have no space between them, and each unit is smaller than the one before.
    total, end, last = 0.0, 0, float("inf")
    while end < len(text):
        found = _DURATION.match(text, end)
        if found is None or not (unit := _UNITS[found[found.lastindex or 0].lower()]) < last:
            return None
        total, end, last = total + float(found[1]) * unit, found.end(), unit
    return total if end else None


def _parse_email_date(text: str) -> float | None:
    # A date with a numeric zone, or in other letters than HTTP has it.
    if not _CLOCK_TIME.fullmatch(text):
        return None
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(text).astimezone(UTC).timestamp()
    except (ValueError, OverflowError):
        return None


def _parse_iso_time(text: str) -> float | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.timestamp() if moment.tzinfo is not None else None


_READERS: Final = (parse_http_date, _parse_iso_time, _parse_email_date)


def may_be_retried(error: ApiError, *, repeatable: bool) -> bool:
    """Return whether a call that ended in *error* can succeed if it is sent again, and is not carried out twice.

    *repeatable* is `Call.repeatable`: whether a second request has no further effect. After an answer that is not the
    service's only such a call is repeated, whatever its status: a proxy may have passed the request on.
    """
    if error.scope == "foreign":
        return repeatable
    return error.scope == "service" and (repeatable or not error.may_have_happened)


@final
@frozen(kw_only=True)
class Retry:
    """Which failed attempts a client repeats, and when. All durations are in seconds.

    - *attempts*: the most attempts for one call, 5 by default; 1 turns retries off. If a kept connection is lost before
      the response begins, a request that may be repeated is sent again at once over a new one. That is part of the same
      attempt, but `Meta.attempts` counts it.
    - *base*, *longest_backoff*: the wait before the n-th retry is random, from 0 to the smaller of *longest_backoff*
      (10 by default) and *base* * 2**(n - 1) (*base* is 0.2 by default).
    - *longest_wait*: the longest wait, 60 by default. If a longer one is needed, the error is returned at once. So is
      one with a `retry_after` of more than a day, whatever *longest_wait* is.
    - *budget*, *refill*: the client starts with *budget* retries (100 by default). A retry costs 1, except after a
      rate limit, and after a limit of this process: no free connection, or no file descriptor. Each success adds
      *refill* (0.1 by default), up to *budget*.

    Raise TypeError or ValueError for a value of a wrong type or out of range.
    """

    attempts: int = field(default=5, validator=number(at_least=1, whole=True))
    base: float = field(default=0.2, validator=number(above=0))
    longest_backoff: float = field(default=10.0, validator=number(above=0))
    longest_wait: float = field(default=60.0, validator=number(at_least=0))
    budget: float = field(default=100.0, validator=number(at_least=0))
    refill: float = field(default=0.1, validator=number(at_least=0))

    def wait(self, error: ApiError, *, attempt: int, repeatable: bool, chance: float) -> float | None:
        """Return the seconds to wait after attempt number *attempt* ended in *error*, or None to return the error.

        *repeatable* is `Call.repeatable`. *chance* is a random number from 0 to 1, and scales the backoff.
        """
        if attempt >= self.attempts or not may_be_retried(error, repeatable=repeatable):
            return None
        requested = requested_wait(error)
        if requested is not None and requested > LONGEST_RETRY_AFTER:
            return None
        backoff = chance * min(self.longest_backoff, self.base * 2.0 ** min(attempt - 1, 64))
        if max(requested or 0.0, backoff) > self.longest_wait:
            return None
        return backoff if requested is None else max(requested, min(requested + backoff, self.longest_wait))

    def delay_of_others(self, error: Throttled) -> float | None:
        """Return the seconds that *error* delays other calls by: its `retry_after`, or *longest_wait* if over a day."""
        seconds = error.retry_after
        return self.longest_wait if seconds is not None and seconds > LONGEST_RETRY_AFTER else seconds


@final
@define
class Budget:
    """The number of retries that a client may still make. All of its calls share it."""

    policy: Retry
    left: float = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Start with the full budget."""
        self.left = self.policy.budget

    def earn(self) -> None:
        """Add the refill for a success."""
        if self.left < self.policy.budget:
            self.left = min(self.policy.budget, self.left + self.policy.refill)

    def spend(self, error: ApiError) -> bool:
        """Take one retry after *error* from the budget. Return False if the budget is empty."""
        if isinstance(error, Throttled):
            return True  # the rate limit already spaces these retries
        if isinstance(error, NotSent) and error.code in _LOCAL_LIMITS:
            return True  # the service does not notice these retries
        if self.left < 1:
            return False
        self.left -= 1
        return True
