"""Breaker: which results speak against sending any more, and what is said about it."""

from typing import final

from attrs import define, field

from ..results import (
    ApiError,
    InsufficientBalance,
    Invalid,
    NotFound,
    Ok,
    Result,
    Throttled,
    Unauthorized,
    Unprocessable,
)
from .outcome import Stopped


@final
@define(eq=False)
class Breaker:
    """Trips at a 401, at a 402, and at *limit* refusals in a row that say the same.

    The same is: one kind, one code and, for `Invalid`, the same details. Refusals that belong to one
    row do not count and end the run as a success does, since others fare better: `NotFound`,
    `Unprocessable` and a `Throttled` that is the cap of one recipient.
    """

    limit: int | None
    _same: object = field(default=None, init=False)
    _run: int = field(default=0, init=False)

    def reset(self) -> None:
        """Forget the run so far."""
        self._same, self._run = None, 0

    def judge(self, result: "Result[object]") -> Stopped | None:
        """Take the next result of a call that was sent, and tell whether it stops the batch."""
        match result:
            case Ok() | NotFound() | Unprocessable() | Throttled(rate_limited=False):
                self.reset()
                return None
            case Unauthorized():
                return Stopped("unauthorized", result)
            case InsufficientBalance():
                return Stopped("balance", result)
            case error:
                return self._count(error)

    def _count(self, error: ApiError) -> Stopped | None:
        said = (type(error), error.code, error.details if isinstance(error, Invalid) else ())
        if said != self._same:
            self._same, self._run = said, 0
        self._run += 1
        return Stopped("refusals", error) if self._run == self.limit else None
