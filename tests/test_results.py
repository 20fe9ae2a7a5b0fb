"""results: what each error is about, and what retry, outage, circuit breaker and journal make of it."""

from collections.abc import Mapping
from typing import Final, NamedTuple, get_args

import pytest

import msgapi
from msgapi import ApiError, Call, Meta, Response, messages
from msgapi.batch.stops import Breaker, Outage, is_healthy
from msgapi.decode import decode
from msgapi.journal import State
from msgapi.journal.resumption import state_of
from msgapi.messages import Accepted
from msgapi.results import Scope
from msgapi.retry import may_be_retried


class Meaning(NamedTuple):
    """One line of the table: *retried* is for a call that may be repeated, and for one that may not."""

    scope: Scope
    retried: tuple[bool, bool]
    breaker: str
    state: State


YES, NO, IF_REPEATABLE = (True, True), (False, False), (True, False)


def status(number: int) -> Meta:
    return Meta(status=number)


TABLE: Final[Mapping[ApiError, Meaning]] = {
    msgapi.Invalid(): Meaning("request", NO, "counts", State.REFUSED),
    msgapi.Unauthorized(): Meaning("account", NO, "unauthorized", State.NOT_SENT),
    msgapi.InsufficientBalance(): Meaning("account", NO, "balance", State.NOT_SENT),
    msgapi.Forbidden(): Meaning("request", NO, "counts", State.REFUSED),
    msgapi.NotFound(): Meaning("recipient", NO, "counts until one is accepted", State.REFUSED),
    msgapi.Conflict(): Meaning("request", NO, "counts", State.REFUSED),
    msgapi.Unprocessable(): Meaning("recipient", NO, "counts until one is accepted", State.REFUSED),
    msgapi.Throttled(code="rate_limit_exceeded"): Meaning("service", YES, "counts", State.NOT_SENT),
    msgapi.Throttled(code="newsletter_daily_cap"): Meaning(
        "recipient", NO, "counts until one is accepted", State.REFUSED
    ),
    msgapi.ServerFault(): Meaning("service", IF_REPEATABLE, "counts", State.UNKNOWN),
    msgapi.Unavailable(): Meaning("service", IF_REPEATABLE, "counts", State.UNKNOWN),
    msgapi.Unexpected(): Meaning("request", NO, "counts", State.UNKNOWN),
    msgapi.Unreadable(): Meaning("request", NO, "counts", State.ACCEPTED),
    msgapi.NotSent("refused"): Meaning("service", YES, "counts", State.NOT_SENT),
    msgapi.Unanswered("reset"): Meaning("service", IF_REPEATABLE, "counts", State.UNKNOWN),
    msgapi.Unexpected(meta=status(405)): Meaning("request", NO, "counts", State.UNKNOWN),
    msgapi.Unexpected(meta=status(408)): Meaning("service", IF_REPEATABLE, "counts", State.UNKNOWN),
    msgapi.Unexpected(meta=status(421)): Meaning("service", IF_REPEATABLE, "counts", State.UNKNOWN),
    msgapi.Unexpected(meta=status(425)): Meaning("service", IF_REPEATABLE, "counts", State.UNKNOWN),
}
# What an answer means that is not the service's, by its status: the class of the error does not matter.
NOT_CARRIED_OUT: Final = Meaning("foreign", IF_REPEATABLE, "foreign", State.NOT_SENT)
UNKNOWN_OUTCOME: Final = Meaning("foreign", IF_REPEATABLE, "foreign", State.UNKNOWN)
OF_A_GATEWAY: Final = Meaning("service", IF_REPEATABLE, "counts", State.UNKNOWN)
FOREIGN: Final[Mapping[int, Meaning]] = {
    **dict.fromkeys((200, 201, 202, 203, 204, 206, 100, 700), UNKNOWN_OUTCOME),
    **dict.fromkeys((301, 302, 303, 307, 308, 400, 401, 402, 403, 404, 405, 409, 410, 421, 422, 425), NOT_CARRIED_OUT),
    **dict.fromkeys((408, 500, 502, 503, 504, 599), OF_A_GATEWAY),
    429: Meaning("service", YES, "counts", State.NOT_SENT),
}
CALL = Call("POST", "/v1/messages", Accepted, idempotency_key="k")
CALLS = Call("POST", "/v1/x", object, idempotency_key="k"), Call("POST", "/v1/x", object)


def judged(error: ApiError) -> str:
    breaker, later = Breaker(2), Breaker(2)
    first, second = breaker.judge(error), breaker.judge(error)
    if first is not None:
        return first.reason
    if second is None:
        last = [breaker.judge(error) for _ in range(8)][-1]
        return "never" if last is None else last.reason
    _ = later.judge(msgapi.Ok(1))
    _, afterwards = later.judge(error), later.judge(error)
    return "counts until one is accepted" if afterwards is None else "counts"


@pytest.mark.parametrize(("number", "meaning"), FOREIGN.items())
@pytest.mark.parametrize("body", [b"<html>", b"{}", b'{"error":"Not Found","message":"m"}', b"null", b""])
def test_an_answer_that_is_not_the_services_means_one_thing_everywhere(
    number: int, meaning: Meaning, body: bytes
) -> None:
    error = decode(CALL, Response(number, {}, body))
    assert not isinstance(error, msgapi.Ok)
    assert not error.from_service
    test_an_error_means_one_thing_everywhere(error, meaning)
    assert state_of(error, maybe_sent=True) is State.UNKNOWN


def test_an_error_without_a_response_is_never_foreign_whatever_a_double_says_of_its_status() -> None:
    assert msgapi.NotSent("x", meta=status(200)).scope == "service"
    assert msgapi.Unanswered("x", meta=status(404)).scope == "service"


def test_only_an_error_that_the_service_gave_is_from_the_service() -> None:
    assert not msgapi.NotSent("x").from_service
    assert not msgapi.Unanswered("x").from_service
    refused_here = messages.send(messages.Text(agent_id="", to="", traffic_type="TRANSACTION", text="")).invalid
    assert refused_here is not None
    assert not refused_here.from_service
    assert msgapi.Invalid(meta=status(400)).from_service
    assert msgapi.NotFound().from_service


def test_the_table_has_every_error() -> None:
    assert {type(error) for error in TABLE} == set(get_args(ApiError))


@pytest.mark.parametrize(("error", "meaning"), TABLE.items(), ids=lambda value: f"{type(value).__name__}")
def test_an_error_means_one_thing_everywhere(error: ApiError, meaning: Meaning) -> None:
    assert error.scope == meaning.scope
    assert tuple(may_be_retried(error, repeatable=call.repeatable) for call in CALLS) == meaning.retried
    waited_out = NO if meaning.scope == "foreign" else meaning.retried
    assert tuple(Outage[object](60).waits_out(error, call) for call in CALLS) == waited_out
    assert is_healthy(error) is (meaning.scope not in {"service", "foreign"})
    assert judged(error) == meaning.breaker
    assert state_of(error, maybe_sent=False) is meaning.state


@pytest.mark.parametrize("error", TABLE, ids=lambda error: type(error).__name__)
def test_an_unknown_outcome_stays_unknown_until_the_service_has_looked_at_the_row(error: ApiError) -> None:
    before = TABLE[error].state
    assert state_of(error, maybe_sent=True) is (State.UNKNOWN if before is State.NOT_SENT else before)
