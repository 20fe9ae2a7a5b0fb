"""Outcomes: the result of one row, and the reason why a batch has stopped."""

from decimal import Decimal
from typing import Generic, Literal, TypeAlias, TypeVar, final

from attrs import frozen

from ..calls import Call
from ..results import ApiError, Result

T = TypeVar("T")

Reason: TypeAlias = Literal[
    "unauthorized", "balance", "spend", "refusals", "foreign", "outage", "rate_limit", "exception", "asked"
]


@final
@frozen
class Outcome(Generic[T]):
    """The result of one call. *index* is its position in the source; *id* is that of its row, with a journal."""

    index: int
    call: Call[T]
    result: Result[T]
    id: str = ""


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
