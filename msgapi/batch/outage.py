"""Outage: failures that are the service's and not the rows' are waited out, and the rows go again.

Rules:
- A row that failed without a verdict of the service is kept. Once the service has answered another
  row it goes again; if it then fails anew while others do not, that is its outcome.
- After *limit* such failures in a row nothing new is sent. One row goes as a probe, after a pause
  that grows with the outage, or after the service's own `retry_after`; its success ends the outage.
- Only what may be sent twice is sent twice.
"""

from collections import deque
from random import random
from typing import Final, Generic, TypeVar, final

from attrs import define, field

from ..calls import Call
from ..results import ApiError, NotSent, Result, ServerFault, Throttled, Unanswered, Unavailable
from .outcome import Due

T = TypeVar("T")
_FIRST_PAUSE: Final = 1.0  # seconds
_LONGEST_PAUSE: Final = 30.0
_SHARE: Final = 0.5  # of what the outage has lasted: so much longer it may seem to last than it does
_STRANGER: Final = 10.0  # seconds of patience with a service that has never answered


@final
@define(eq=False)
class Outage(Generic[T]):
    """Keeps the rows that failed with the service; *patience* in seconds, 0 keeps none."""

    patience: float
    limit: int = 5
    suspects: deque[Due[T]] = field(factory=deque, init=False)
    _healthy: int = field(default=0, init=False)
    _run: int = field(default=0, init=False)
    _since: float = field(default=0.0, init=False)
    _asked: float = field(default=0.0, init=False)

    @property
    def closed(self) -> bool:
        """Whether nothing new is to be sent."""
        return self._run >= self.limit

    def keep(self, due: Due[T], error: ApiError, now: float) -> bool:
        """Keep *due*, which failed with *error*, to go again; False if that is its outcome."""
        if not self.minds(error, due.call):
            return False
        if not self.suspects and not self._run:
            self._since = now
        self._run += 1
        if due.last is not None and self._healthy > due.healthy and not self.closed:
            return False  # others fared better meanwhile, and do so now
        self._asked = getattr(error, "retry_after", None) or 0.0
        due.last, due.healthy = error, self._healthy
        self.suspects.append(due)
        return True

    def minds(self, error: ApiError, call: Call[object]) -> bool:
        """Tell whether *error* is a failure that is waited out."""
        return bool(self.patience) and _of_the_service(error, call)

    def heal(self) -> list[Due[T]]:
        """Take in that the service has answered; gives the rows that may go again."""
        self._healthy += 1
        self._run = 0
        if not self.suspects:
            return []
        again = list(self.suspects)
        self.suspects.clear()
        return again

    def pause(self, now: float) -> float | None:
        """Tell the seconds until the next probe; None if the patience is at its end."""
        grown = max(_FIRST_PAUSE, _SHARE * (now - self._since))
        backoff = min(_LONGEST_PAUSE, grown) * (0.75 + random() / 4)  # noqa: S311 - jitter
        wait = max(backoff, self._asked)
        patience = self.patience if self._healthy else min(self.patience, _STRANGER)
        return wait if now + wait - self._since <= patience else None


def well(result: Result[object]) -> bool:
    """Tell whether *result* shows that the service answers."""
    match result:
        case NotSent() | Unanswered() | Unavailable() | ServerFault():
            return False
        case Throttled():
            return not result.rate_limited
        case _:
            return True


def _of_the_service(error: ApiError, call: Call[object]) -> bool:
    match error:
        case NotSent():
            return True
        case Throttled():
            return error.rate_limited
        case Unavailable() | ServerFault() | Unanswered():
            return call.repeatable
        case _:
            return False
