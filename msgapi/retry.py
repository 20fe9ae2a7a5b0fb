"""Retries: whether a failed attempt is repeated, and after how many seconds. `decode.py` parses `retry_after`.

Rules:
- A call that may have been carried out is only repeated if a second request has no further effect.
- The `retry_after` of a server is never shortened: the client waits for all of it, or returns the error.
- Retries are paid from a budget that successes refill, so that they do not prolong an outage.
"""

from typing import Final, final

from attrs import define, field, frozen

from .config import number
from .results import NO_FREE_CONNECTION, TOO_MANY_OPEN_FILES, ApiError, NotSent, Throttled

_LOCAL_LIMITS: Final = frozenset({NO_FREE_CONNECTION, TOO_MANY_OPEN_FILES})


def may_be_retried(error: ApiError, *, repeatable: bool) -> bool:
    """Return whether a call that ended in *error* can succeed if it is sent again, and is not carried out twice.

    *repeatable* is `Call.repeatable`: whether a second request has no further effect.
    """
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
    - *longest_wait*: the longest wait, 60 by default. If a longer one is needed, the error is returned at once.
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
        requested = getattr(error, "retry_after", None)
        backoff = chance * min(self.longest_backoff, self.base * 2.0 ** min(attempt - 1, 64))
        if max(requested or 0.0, backoff) > self.longest_wait:
            return None
        return backoff if requested is None else max(requested, min(requested + backoff, self.longest_wait))


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
