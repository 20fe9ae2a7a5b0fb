"""results: what each error is about, and what retry, outage, circuit breaker and journal make of it."""

from collections.abc import Mapping
from typing import Final, NamedTuple, get_args

import pytest

import msgapi
from msgapi import ApiError, Call
from msgapi.batch.breaker import Breaker
from msgapi.batch.outage import Outage, is_healthy
from msgapi.journal import State
from msgapi.journal.verdicts import state_of
from msgapi.results import Scope
from msgapi.retry import may_be_retried


class Meaning(NamedTuple):
    """One line of the table: *retried* is for a call that may be repeated, and for one that may not."""

    scope: Scope
    retried: tuple[bool, bool]
    breaker: str
    state: State


YES, NO, IF_REPEATABLE = (True, True), (False, False), (True, False)
TABLE: Final[Mapping[ApiError, Meaning]] = {
    msgapi.Invalid(): Meaning("request", NO, "counts", State.REFUSED),
    msgapi.Unauthorized(): Meaning("account", NO, "unauthorized", State.NOT_SENT),
    msgapi.InsufficientBalance(): Meaning("account", NO, "balance", State.NOT_SENT),
    msgapi.Forbidden(): Meaning("request", NO, "counts", State.REFUSED),
    msgapi.NotFound(): Meaning("recipient", NO, "resets", State.REFUSED),
    msgapi.Conflict(): Meaning("request", NO, "counts", State.REFUSED),
    msgapi.Unprocessable(): Meaning("recipient", NO, "resets", State.REFUSED),
    msgapi.Throttled(code="rate_limit_exceeded"): Meaning("service", YES, "counts", State.NOT_SENT),
    msgapi.Throttled(code="newsletter_daily_cap"): Meaning("recipient", NO, "resets", State.REFUSED),
    msgapi.ServerFault(): Meaning("service", IF_REPEATABLE, "counts", State.UNKNOWN),
    msgapi.Unavailable(): Meaning("service", IF_REPEATABLE, "counts", State.UNKNOWN),
    msgapi.Unexpected(): Meaning("request", NO, "counts", State.UNKNOWN),
    msgapi.Unreadable(): Meaning("request", NO, "counts", State.ACCEPTED),
    msgapi.NotSent("refused"): Meaning("service", YES, "counts", State.NOT_SENT),
    msgapi.Unanswered("reset"): Meaning("service", IF_REPEATABLE, "counts", State.UNKNOWN),
}
CALLS = Call("POST", "/v1/x", object, idempotency_key="k"), Call("POST", "/v1/x", object)


def judged(error: ApiError) -> str:
    breaker = Breaker(2)
    first, second = breaker.judge(error), breaker.judge(error)
    if first is not None:
        return first.reason
    return "counts" if second is not None else "resets"


def test_the_table_has_every_error() -> None:
    assert {type(error) for error in TABLE} == set(get_args(ApiError))


@pytest.mark.parametrize(("error", "meaning"), TABLE.items(), ids=lambda value: f"{type(value).__name__}")
def test_an_error_means_one_thing_everywhere(error: ApiError, meaning: Meaning) -> None:
    assert error.scope == meaning.scope
    assert tuple(may_be_retried(error, repeatable=call.repeatable) for call in CALLS) == meaning.retried
    assert tuple(Outage[object](60).waits_out(error, call) for call in CALLS) == meaning.retried
    assert is_healthy(error) is (meaning.scope != "service")
    assert judged(error) == meaning.breaker
    assert state_of(error, maybe_sent=False) is meaning.state


@pytest.mark.parametrize("error", TABLE, ids=lambda error: type(error).__name__)
def test_an_unknown_outcome_stays_unknown_until_the_service_has_looked_at_the_row(error: ApiError) -> None:
    before = TABLE[error].state
    assert state_of(error, maybe_sent=True) is (State.UNKNOWN if before is State.NOT_SENT else before)
