"""Retrying: whether a failed attempt is worth another, and after how many seconds.

Rules:
- What may have been carried out is only repeated if a second request can do no more than the first.
- A server's `retry_after` is waited for in full, or the error is returned; it is never shortened.
- Retries spend from a budget that successes fill, so that an outage is not amplified.
"""

from typing import final

from attrs import define, field, frozen

from .config import number
from .results import ApiError, Throttled


def may_be_retried(error: ApiError, *, repeatable: bool) -> bool:
    """Return whether a call that ended in *error* can succeed if it is sent again, and cannot happen twice.

    *repeatable* says whether a second request can do no more than the first one.
    """
    return error.scope == "service" and (repeatable or not error.may_have_happened)


@final
@frozen(kw_only=True)
class Retry:
    """When to repeat a call by itself; all durations in seconds.

    *attempts* counts all requests of one call; 1 repeats nothing. The wait before the n-th retry is
    random between 0 and the smaller of *longest_backoff* and *base* * 2**(n - 1). A wait longer than
    *longest_wait* is not begun: the error is returned at once. *budget* retries may be made ahead of
    the successes that pay for them, each success pays for *refill* of one (rate limits cost nothing).
    """

    attempts: int = field(default=5, validator=number(at_least=1, whole=True))
    base: float = field(default=0.2, validator=number(above=0))
    longest_backoff: float = field(default=10.0, validator=number(above=0))
    longest_wait: float = field(default=60.0, validator=number(at_least=0))
    budget: float = field(default=100.0, validator=number(at_least=0))
    refill: float = field(default=0.1, validator=number(at_least=0))

    def wait(self, error: ApiError, *, attempt: int, repeatable: bool, chance: float) -> float | None:
        """Tell how long to wait after attempt number *attempt* ended in *error*, None to give up.

        *chance* is a random number from 0 up to 1.
        """
        if attempt >= self.attempts or not may_be_retried(error, repeatable=repeatable):
            return None
        asked = getattr(error, "retry_after", None)
        backoff = chance * min(self.longest_backoff, self.base * 2.0 ** min(attempt - 1, 64))
        if max(asked or 0.0, backoff) > self.longest_wait:
            return None
        return backoff if asked is None else max(asked, min(asked + backoff, self.longest_wait))


@final
@define
class Budget:
    """How many retries a client may still make; shared by all of its calls."""

    policy: Retry
    left: float = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Begin full."""
        self.left = self.policy.budget

    def earn(self) -> None:
        """Count a success."""
        if self.left < self.policy.budget:
            self.left = min(self.policy.budget, self.left + self.policy.refill)

    def spend(self, error: ApiError) -> bool:
        """Pay for a retry after *error*; False if there is nothing left to pay with."""
        if isinstance(error, Throttled):
            return True  # paced, not guessed: it adds no load
        if self.left < 1:
            return False
        self.left -= 1
        return True
