"""campaigns: the four calls about a campaign."""

import pytest

from msgapi import Call, campaigns
from tests.support.call_bodies import answered, route, sent, wrong


def test_a_trigger_has_its_key_in_the_header_and_in_the_body() -> None:
    call = campaigns.trigger("11", idempotency_key="spring")
    assert route(call) == ("POST", "/v1/campaigns/11/trigger")
    assert (call.idempotency_key, sent(call)) == ("spring", {"idempotency_key": "spring"})
    assert call.repeatable


def test_a_trigger_without_a_key_gets_one_that_is_fixed() -> None:
    call = campaigns.trigger("11")
    assert call.idempotency_key
    assert sent(call) == {"idempotency_key": call.idempotency_key}
    assert campaigns.trigger("11").idempotency_key != call.idempotency_key


def test_a_key_that_does_not_fit_into_a_header_is_invalid() -> None:
    assert set(wrong(campaigns.trigger("", idempotency_key="a b"))) == {"campaign_id", "idempotency_key"}


@pytest.mark.parametrize(
    ("call", "expected", "repeatable"),
    [
        (campaigns.pause("11"), ("POST", "/v1/campaigns/11/pause"), False),
        (campaigns.resume("11"), ("POST", "/v1/campaigns/11/resume"), False),
        (campaigns.status("11"), ("GET", "/v1/campaigns/11/status"), True),
    ],
)
def test_the_other_calls_have_no_body(call: Call[object], expected: tuple[str, str], repeatable: bool) -> None:
    assert (route(call), sent(call), call.repeatable) == (expected, None, repeatable)


def test_the_answers_are_read() -> None:
    assert answered(campaigns.trigger("11"), {"run_id": "r1", "status": "RUNNING"}, 202).run_id == "r1"
    progress = answered(campaigns.status("11"), {"state": "PAUSED", "sent": 7})
    assert (progress.status, progress.extra) == ("PAUSED", {"sent": 7})
    assert answered(campaigns.resume("11"), {}).status is None
