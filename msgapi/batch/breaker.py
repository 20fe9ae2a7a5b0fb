"""Circuit breaker: which results stop a batch."""

from typing import final

from attrs import define, field

from ..results import ApiError, InsufficientBalance, Invalid, Ok, Result, Unauthorized
from .outcomes import Stopped


@final
@define(eq=False)
class Breaker:
    """Stops a batch after a 401, after a 402, and after *limit* identical refusals in a row.

    Refusals are identical if they have one type, one code and, for `Invalid`, the same details. A refusal that
    concerns one recipient (scope `recipient`) ends the run as a success does, since other rows are not affected.
    """

    limit: int | None
    _last: object = field(default=None, init=False)
    _count: int = field(default=0, init=False)

    def reset(self) -> None:
        """Start counting anew."""
        self._last, self._count = None, 0

    def judge(self, result: "Result[object]") -> Stopped | None:
        """Count *result* of a call that was sent; return why the batch stops, or None if it continues."""
        match result:
            case Ok():
                self.reset()
                return None
            case Unauthorized():
                return Stopped("unauthorized", result)
            case InsufficientBalance():
                return Stopped("balance", result)
            case error if error.scope == "recipient":
                self.reset()
                return None
            case error:
                return self._refused(error)

    def _refused(self, error: ApiError) -> Stopped | None:
        refusal = (type(error), error.code, error.details if isinstance(error, Invalid) else ())
        if refusal != self._last:
            self._last, self._count = refusal, 0
        self._count += 1
        return Stopped("refusals", error) if self._count == self.limit else None
