"""testagent: the four calls about the test agent."""

from typing import cast

import pytest

from msgapi import messages, testagent
from tests.support.call_bodies import answered, route, sent, wrong

TO = "+4915112345678"
TEXT = messages.Text(agent_id="ag_test_1", to=TO, traffic_type="TRANSACTION", text="Hello")


def test_a_number_is_registered_and_verified() -> None:
    call = testagent.register(TO)
    assert (route(call), sent(call)) == (("POST", "/v1/test/register"), {"phone": TO})
    code = testagent.verify(TO, "000000")
    assert (route(code), sent(code)) == (("POST", "/v1/test/verify"), {"phone": TO, "code": "000000"})
    assert TO not in repr(call) + repr(code)


@pytest.mark.parametrize("code", ["", "12x456", "1" * 11, cast("str", 123456), cast("str", None)])
def test_a_value_that_is_not_a_code_is_invalid(code: str) -> None:
    assert set(wrong(testagent.verify("0151", code))) == {"phone", "code"}


def test_a_message_is_sent_like_any_other_but_on_its_own_route() -> None:
    call = testagent.send(TEXT, idempotency_key="k")
    assert route(call) == ("POST", "/v1/test/messages")
    assert (call.body, call.idempotency_key) == (messages.send(TEXT).body, "k")
    empty = testagent.send(messages.Text(agent_id="", to=TO, traffic_type="TRANSACTION", text="Hello"))
    assert set(wrong(empty)) == {"agent_id"}


def test_all_fields_of_an_answer_are_kept() -> None:
    assert route(testagent.status()) == ("GET", "/v1/test/status")
    assert answered(testagent.status(), {"remaining": 5}).extra == {"remaining": 5}
