"""Outcomes one by one: a row while it is due, what became of it, and why a batch has stopped."""

from decimal import Decimal
from typing import Generic, Literal, TypeAlias, TypeVar, final

from attrs import define, frozen

from ..calls import Call
from ..results import ApiError, Result

T = TypeVar("T")

Reason: TypeAlias = Literal["unauthorized", "balance", "spend", "refusals", "outage", "exception", "asked"]


@final
@frozen
class Outcome(Generic[T]):
    """What became of one call: *index* is its position in the source, from 0; *id* that of its row, with a journal."""

    index: int
    call: Call[T]
    result: Result[T]
    id: str = ""


@final
@frozen
class Stopped:
    """Why a batch sends no more.

    *reason* is `unauthorized` (a 401), `balance` (a 402), `spend` (one more could exceed `max_spend`),
    `refusals` (a run of the same one), `outage` (no answer for as long as its patience), `exception`
    (raised by the source, the api or the journal, and out of the iteration) or `asked`
    (`Outcomes.stop`). *error* is the refusal that did it, where there is one. *missing* is what the
    free balance lacks for the rest, in EUR, after a 402 that tells it and with an `estimate` given.
    """

    reason: Reason
    error: ApiError | None = None
    missing: Decimal | None = None


@final
@define(eq=False, repr=False)
class Due(Generic[T]):
    """A row that is to be sent.

    *doubtful* is whether an earlier run may have sent it; *verdict* is what it comes to without being
    sent; *last* what it came to so far, if it is to go again, and *healthy* how often the service had
    proved to be well by then.
    """

    index: int
    call: Call[T]
    id: str = ""
    verdict: ApiError | None = None
    doubtful: bool = False
    last: ApiError | None = None
    healthy: int = 0
