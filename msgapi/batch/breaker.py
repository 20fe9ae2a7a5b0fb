"""Circuit breaker: which results stop a batch.

Rules:
- A 401 or a 402 of the service stops it at once.
- A run of *limit* identical refusals stops it. Refusals are identical if they have one type, one code and, for
  `Invalid`, the same details. A refusal that concerns one recipient (scope `recipient`) ends the run as a success does.
- *limit* identical refusals stop it, in a row or not and whatever they concern, as long as no row has been accepted in
  this run or, by its journal, in an earlier one: then the reason is not the recipients.
- A run of `FOREIGN_LIMIT` answers that are not the service's stops it. Failures of the service and of the network
  neither count nor end this run.
"""

from collections import Counter
from collections.abc import Callable
from typing import Final, final

from attrs import define, field

from ..results import ApiError, InsufficientBalance, Invalid, Ok, Result, Unauthorized
from .outcomes import Stopped

FOREIGN_LIMIT: Final = 10
"""Answers in a row that are not the service's, after which a batch stops."""

_MOST_KINDS: Final = 100  # kinds of refusals that are counted, since details can differ in each row


def _nothing_accepted() -> bool:
    return False


@final
@define(eq=False)
class Breaker:
    """Stops a batch by the rules above.

    *limit* is None for never; the rules for 401, 402 and foreign answers hold all the same. *has_accepted* returns
    whether a row was accepted before this run.
    """

    limit: int | None
    has_accepted: Callable[[], bool] = _nothing_accepted
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
        refusal = (type(error), error.code, error.details if isinstance(error, Invalid) else ())
        if error.scope == "recipient":
            self._end_run()
        else:
            self._count = self._count + 1 if refusal == self._last else 1
            self._last = refusal
        if self._count == self.limit or (error.scope != "service" and self._is_only_answer(refusal)):
            return Stopped("refusals", error)
        return None

    def _is_only_answer(self, refusal: object) -> bool:
        if self._accepted or self.limit is None:
            return False
        if refusal in self._refusals or len(self._refusals) < _MOST_KINDS:
            self._refusals[refusal] += 1
        if self._refusals[refusal] < self.limit:
            return False
        self._accepted = self.has_accepted()
        return not self._accepted
