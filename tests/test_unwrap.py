"""unwrap, CallFailed and the repr of errors: why a call failed, in words of this package and without content."""

import copy
import pickle
from decimal import Decimal
from typing import Any, Final, get_args

import attrs
import pytest

import msgapi
from msgapi import ApiError, CallFailed, Detail, Meta, Ok, messages

PRIVATE: Final = "call +4915112345678 or anna@example.org: your code is 4711"
SECRETS: Final = ("4915112345678", "anna@example.org", "4711", "your code")
ERRORS: Final = [
    kind("no route") if kind in {msgapi.NotSent, msgapi.Unanswered} else kind() for kind in get_args(ApiError)
]


def answered(kind: type[ApiError], status: int, **fields: object) -> ApiError:
    return kind(message=PRIVATE, meta=Meta(status=status), **fields)  # type: ignore[arg-type]


def test_unwrap_returns_the_value_of_a_success() -> None:
    assert Ok(42).unwrap() == 42


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_unwrap_of_every_error_raises_it_in_one_exception(error: ApiError) -> None:
    with pytest.raises(CallFailed) as caught:
        error.unwrap()
    assert caught.value.error is error
    assert str(caught.value).startswith(type(error).__name__)
    assert str(caught.value).endswith(f": {error.explanation}")
    assert error.explanation


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_the_exception_can_be_pickled_and_copied(error: ApiError) -> None:
    failed = CallFailed(error)
    for other in (pickle.loads(pickle.dumps(failed)), copy.deepcopy(failed)):  # noqa: S301 - pickled here
        assert (other.error, str(other)) == (error, str(failed))


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            messages.send(messages.Text(agent_id="ag_1", to="+4915112345678", traffic_type="X", text="Hi")).invalid,  # type: ignore[arg-type]
            (
                "Invalid (validation_error): traffic_type must be one of AUTHENTICATION, TRANSACTION, PROMOTION, "
                "SERVICEREQUEST, ACKNOWLEDGEMENT"
            ),
        ),
        (
            msgapi.Invalid(message="the row is not valid: 4915112345678", own_words=True),
            "Invalid (validation_error): the row is not valid: ***",
        ),
        (
            answered(msgapi.Invalid, 400, details=(Detail("to", PRIVATE), Detail("", PRIVATE), Detail("to", PRIVATE))),
            "Invalid (validation_error): HTTP 400: the input is not valid: to",
        ),
        (
            answered(msgapi.Unprocessable, 422, code="no_consent", details=(Detail(PRIVATE, PRIVATE),)),
            "Unprocessable (no_consent): HTTP 422: a valid request that the service refused: ***",
        ),
        (
            answered(msgapi.NotFound, 404, code=PRIVATE),
            "NotFound (***): HTTP 404: an unknown id, a device without RCS, or a message that can no longer be revoked",
        ),
        (
            answered(msgapi.NotFound, 404, code="http_404", from_service=False),
            "NotFound (http_404): HTTP 404, but not from the service: check MSGAPI_BASE_URL and any proxy",
        ),
        (
            answered(msgapi.ServerFault, 502, from_service=False),
            "ServerFault: HTTP 502, but not from the service: a gateway answers so in an outage",
        ),
        (
            answered(msgapi.Throttled, 429, code="newsletter_daily_cap"),
            "Throttled (newsletter_daily_cap): HTTP 429: a cap for one recipient is reached",
        ),
        (
            answered(msgapi.Throttled, 429, code="rate_limit_exceeded"),
            "Throttled (rate_limit_exceeded): HTTP 429: the rate limit of the API key is exceeded",
        ),
        (
            answered(msgapi.Unreadable, 200, problems=("must be a string @ $.message_id",)),
            (
                "Unreadable (unreadable): HTTP 200: the call succeeded, but its response could not be decoded: "
                "must be a string @ $.message_id"
            ),
        ),
        (msgapi.NotSent("no +4915112345678"), "NotSent (not_sent): nothing was sent: no ***"),
        (
            msgapi.Invalid(message=PRIVATE, details=(Detail("to", PRIVATE),)),
            "Invalid (validation_error): the input is not valid: to",
        ),
        (msgapi.Unanswered("reset"), "Unanswered (unanswered): sent, but not answered: reset"),
    ],
)
def test_the_text_of_the_exception_says_why_and_shows_no_content(error: ApiError, text: str) -> None:
    assert str(CallFailed(error)) == text
    for shown in (text, repr(error), repr(CallFailed(error))):
        assert not any(secret in shown for secret in SECRETS)


def test_the_repr_of_an_error_begins_with_why_and_shows_what_is_not_a_default() -> None:
    error = msgapi.InsufficientBalance(
        message=PRIVATE, code="insufficient_balance", required_amount=Decimal("1.50"), topup_url="https://pay.example/1"
    )
    assert repr(error) == (
        "InsufficientBalance('the free balance does not cover the call', may_have_happened=False, "
        "code='insufficient_balance', required_amount=Decimal('1.50'), topup_url=***)"
    )
    foreign = attrs.evolve(
        error, from_service=False, meta=Meta(status=402), code="", required_amount=None, topup_url=None
    )
    assert repr(foreign) == (
        "InsufficientBalance('HTTP 402, but not from the service: check MSGAPI_BASE_URL and any proxy', "
        f"may_have_happened=False, meta={Meta(status=402)!r}, from_service=False)"
    )


def test_an_exception_that_a_task_queue_made_of_its_text_has_this_text() -> None:
    # Celery stores an exception as its class and the repr of its arguments, and makes it anew of these.
    made: Any = CallFailed
    again = made("NotFound('HTTP 404', may_have_happened=False)")
    assert str(again) == again.error == "NotFound('HTTP 404', may_have_happened=False)"
