"""Outage: failures of the service, not of the rows, are waited out, and the rows are sent again.

Rules:
- A row that failed because of the service is kept. Once the service has responded to another row, it is sent again.
  If it then fails again while others do not, that is its result.
- After *limit* such failures in a row nothing new is sent. One row is sent as a probe, after a pause that grows with
  the outage, or after the `retry_after` of the service. Its success ends the outage.
- An answer that is not the service's is no sign of an outage, and does not end one. During an outage its row is kept.
- Only a call that may be repeated is sent twice.
"""

from collections import deque
from random import random
from typing import Final, Generic, TypeVar, final

from attrs import define, field

from ..calls import Call
from ..results import ApiError, Ok, Result, Throttled
from ..retry import LONGEST_RETRY_AFTER, may_be_retried, requested_wait
from .outcomes import Stopped
from .queue import PendingRow

T = TypeVar("T")
_FIRST_PAUSE: Final = 1.0  # seconds
_LONGEST_PAUSE: Final = 30.0
_SHARE: Final = 0.5  # of the duration of the outage so far: how much longer it may seem to last than it does
_NEVER_REACHED: Final = 10.0  # seconds to wait for a service that has never responded


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
        row.last, row.recoveries = error, self._recoveries
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
        timeout = self.timeout if self._recoveries else min(self.timeout, _NEVER_REACHED)
        return wait if now + wait - self._since <= timeout else None

    def give_up(self) -> Stopped:
        """Return why the batch stops once the outage has lasted too long: the rate limit, or the service."""
        error = self.waiting[-1].last
        return Stopped("rate_limit" if isinstance(error, Throttled) else "outage", error)


def is_healthy(result: Result[object]) -> bool:
    """Return whether *result* shows that the service responds."""
    return isinstance(result, Ok) or result.scope not in {"service", "foreign"}
