"""The test agent of the sandbox: one number, five messages, and one error for everything else."""

from typing import Any

import pytest

from msgapi import Forbidden, Ok, messages, testagent
from msgapi.sandbox import Sandbox
from tests.support.sandbox_calls import call, done, post
from tests.support.sandbox_requests import NOW, TO, email, fields_of, get, refusal, said, send, still, text

OTHER = "+4915100000000"
REFUSED = (403, "forbidden")
MESSAGE = messages.Text(agent_id="ag_test_demo", to=TO, traffic_type="TRANSACTION", text="Hello")


def verified(box: Sandbox, phone: str = TO) -> None:
    _ = done(box, testagent.register(phone))
    _ = done(box, testagent.verify(phone, "000000"))


def tried(box: Sandbox, **fields: object) -> Any:  # noqa: ANN401 - a response
    return post(box, "/v1/test/messages", text(**{"agent_id": "ag_test_demo", **fields}))


def test_a_number_is_bound_by_the_code_that_was_sent_there() -> None:
    box = still()
    standing = {"agent_id": "ag_test_demo", "phone": None, "verified": False, "sends_used": 0, "sends_remaining": 5}
    assert said(get(box, "/v1/test/status")) == standing
    assert done(box, testagent.register(TO)).extra == {"phone": TO, "status": "code_sent"}
    assert said(get(box, "/v1/test/status")) == standing
    bound = {**standing, "phone": TO, "verified": True}
    assert done(box, testagent.verify(TO, "000000")).extra == bound
    assert done(box, testagent.status()).extra == bound
    assert TO not in repr(box.account.state.test_agent)


def test_five_messages_to_the_verified_number_are_free() -> None:
    box = still()
    verified(box)
    body = {name: part for name, part in text(agent_id="ag_test_demo").items() if name != "message_type"}
    answer = said(post(box, "/v1/test/messages", body, key="k"))
    assert said(post(box, "/v1/test/messages", body, key="k")) == answer
    assert answer["billing"]["hold_amount"] == 0
    assert answer["billing"]["tier"]["volume_used"] == 0
    for used in range(2, 6):
        assert isinstance(call(box, testagent.send(MESSAGE)), Ok)
        assert said(get(box, "/v1/test/status"))["sends_remaining"] == 5 - used
    assert isinstance(call(box, testagent.send(MESSAGE)), Forbidden)
    assert [entry.sender for entry in box.messages] == ["ag_test_demo"] * 5
    assert box.deliver(box.messages[0].id)
    assert done(box, messages.get(answer["message_id"])).status is not None
    assert said(get(box, "/v1/billing/usage"))["messages"] == 0
    assert box.balance.reserved == 0


def test_everything_that_the_test_agent_refuses_has_the_same_response() -> None:
    box = still()
    refusals = [tried(box)]
    refusals.append(post(box, "/v1/test/verify", {"phone": TO, "code": "000000"}))
    _ = done(box, testagent.register(TO))
    refusals += [
        tried(box),
        post(box, "/v1/test/verify", {"phone": TO, "code": "000001"}),
        post(box, "/v1/test/verify", {"phone": OTHER, "code": "000000"}),
    ]
    _ = done(box, testagent.verify(TO, "000000"))
    refusals += [
        post(box, "/v1/test/verify", {"phone": TO, "code": "000000"}),
        tried(box, to=OTHER),
        tried(box, agent_id="ag_live_demo"),
        tried(box, agent_id="ag_none"),
        tried(box, message_type="NEWSLETTER", traffic_type="PROMOTION"),
        post(box, "/v1/test/messages", email()),
    ]
    assert {refusal(answer) for answer in refusals} == {REFUSED}
    assert len({answer.body for answer in refusals}) == 1
    assert box.messages == ()
    assert said(get(box, "/v1/test/status"))["sends_remaining"] == 5


def test_the_test_agent_cannot_be_used_for_real_sends() -> None:
    assert refusal(send(still(), text(agent_id="ag_test_demo"))) == (404, "not_found")


def test_a_second_number_replaces_the_first_and_the_quota_stays() -> None:
    box = still()
    verified(box)
    assert tried(box).status == 200
    _ = done(box, testagent.register(OTHER))
    assert tried(box).status == 200
    _ = done(box, testagent.verify(OTHER, "000000"))
    assert (refusal(tried(box)), tried(box, to=OTHER).status) == (REFUSED, 200)
    assert said(get(box, "/v1/test/status"))["sends_remaining"] == 2


def test_a_conversation_with_the_test_agent_needs_a_session() -> None:
    box = still()
    verified(box)
    assert refusal(tried(box, message_type="CONVERSATION")) == (422, "no_active_session")
    _ = box.account.state.sessions.open_or_extend(("ag_test_demo", TO), NOW)
    answer = tried(box, message_type="CONVERSATION")
    assert said(answer)["billing"]["in_session"] is True
    assert said(answer)["billing"]["hold_amount"] == 0


@pytest.mark.parametrize(
    ("target", "body", "fields"),
    [
        ("register", {}, ["phone"]),
        ("register", {"phone": "0151"}, ["phone"]),
        ("register", {"phone": TO, "code": "1"}, ["code"]),
        ("verify", {"phone": TO}, ["code"]),
        ("verify", {"phone": TO, "code": 0}, ["code"]),
        ("verify", {"phone": TO, "code": "12a456"}, ["code"]),
        ("messages", {"agent_id": "ag_test_demo"}, None),
        ("messages", text(agent_id="", to="1"), ["agent_id", "to"]),
    ],
)
def test_the_problems_of_a_test_message_are_returned(target: str, body: object, fields: list[str] | None) -> None:
    answer = post(still(), f"/v1/test/{target}", body)
    assert fields_of(answer) == (fields or fields_of(answer))
