"""The controls of the sandbox, over HTTP and in Python."""

from decimal import Decimal
from typing import Any

import pytest

from msgapi import Ok, VirtualClock, agents, campaigns, contacts, messages
from msgapi.sandbox import Sandbox
from msgapi.sandbox.model.campaigns import CAMPAIGNS
from tests.support.sandbox_calls import call, done
from tests.support.sandbox_requests import NOW, TO, ask, delete, refusal, refused, request, said, send, still, text

NEW = agents.NewAgent(display_name="Shop", region="EUROPE", billing_category="CONVERSATIONAL", use_case="MULTI_USE")
WHOLE = agents.AgentChanges(
    description="Parcels",
    color="#1a2b3c",
    logo_url="https://shop.example/logo.png",
    banner_url="https://shop.example/banner.png",
    email="ada@shop.example",
    privacy_policy_url="https://shop.example/privacy",
    terms_of_service_url="https://shop.example/terms",
)
LAUNCHED = ("LAUNCHED", True, None)


def control(box: Sandbox, path: str, **fields: object) -> tuple[int, dict[str, object]]:
    answer = ask(box, request("POST", f"/_sandbox/{path}", body=fields))
    return answer.status, said(answer)


def submitted(box: Sandbox) -> str:
    agent = done(box, agents.create(NEW))
    _ = done(box, agents.update(agent.agent_id, WHOLE))
    _ = done(box, agents.submit(agent.agent_id))
    return agent.agent_id


def test_a_user_writes_to_an_agent_over_http() -> None:
    box = still(clock=VirtualClock(NOW))
    status, told = control(box, "replies", agent_id="ag_live_demo", user=TO, text="Where is it?")
    assert status == 201
    entry = box.messages[0]
    assert (told, entry.direction, entry.to) == ({"message_id": entry.id}, "INBOUND", TO)
    assert send(box, text(message_type="CONVERSATION")).status == 200


def test_a_recipient_taps_a_suggestion_over_http() -> None:
    box = still(clock=VirtualClock(NOW))
    name = chipped(box)
    assert box.deliver(name)
    assert control(box, "taps", message_id=name, text="Yes")[0] == 201
    assert box.events[-1].data["user_message"] == {"type": "suggested_reply", "text": "Yes", "postback_data": "eWVz"}
    assert control(box, "taps", message_id=name, text="No")[0] == 404
    assert control(box, "taps", message_id="msg_nobody", text="Yes")[0] == 404


@pytest.mark.parametrize("path", ["replies", "taps", "agents/ag_1/reject", "agents/ag_1/launch"])
def test_a_control_without_its_required_fields_is_invalid(path: str) -> None:
    assert control(still(), path, nonsense=1)[0] == 400


def test_an_agent_is_approved_launched_and_sends_over_http() -> None:
    box = still(clock=VirtualClock(NOW))
    draft = submitted(box)
    status, told = control(box, f"agents/{draft}/approve")
    assert (status, told["status"]) == (200, "APPROVED")
    live = str(told["agent_id"])
    assert send(box, text(agent_id=live)).status == 403
    assert control(box, f"agents/{live}/launch", carrier="nobody")[0] == 400
    assert control(box, f"agents/{live}/launch", carrier="telekom_de")[0] == 200
    assert send(box, text(agent_id=live)).status == 200
    assert control(box, "agents/ag_nobody/approve")[0] == 404
    assert control(box, "agents/ag_nobody/reject", reason="logo")[0] == 404
    assert control(box, "agents/ag_nobody/launch", carrier="telekom_de")[0] == 404


def test_an_agent_is_rejected_over_http() -> None:
    box = still(clock=VirtualClock(NOW))
    draft = submitted(box)
    assert control(box, f"agents/{draft}/reject", reason="The logo is blurred.")[0] == 200
    assert done(box, agents.get(draft)).rejection_reason == "The logo is blurred."


def test_a_consent_is_confirmed_over_http_and_in_python() -> None:
    for python in (False, True):
        box = still(clock=VirtualClock(NOW))
        person = done(box, contacts.create(contacts.NewContact(source="API", phone=TO)))
        given = contacts.NewConsent(channel_type="RCS", message_type="NEWSLETTER", source="shop", enforced_doi=True)
        record = done(box, contacts.create_consent(person.id, given))
        if python:
            box.confirm(record.id)
            assert refused(box.confirm, record.id)
        else:
            assert control(box, f"consents/{record.id}/confirm")[0] == 200
            assert control(box, f"consents/{record.id}/confirm")[0] == 404
        assert done(box, contacts.list_consents(person.id)).consent_records[0].status == "GRANTED"


def test_an_agent_is_approved_launched_or_rejected_in_python() -> None:
    box = still(clock=VirtualClock(NOW))
    live = box.approve(submitted(box))
    assert refused(box.approve, live)
    box.launch(live)
    assert refused(box.launch, "ag_nobody")
    wanted = messages.Text(agent_id=live, to=TO, traffic_type="TRANSACTION", text="Hello")
    assert isinstance(call(box, messages.send(wanted)), Ok)
    other = submitted(box)
    box.reject(other, "logo")
    assert refused(box.reject, other, "logo")


STEPS = [
    (("PENDING",), [("PENDING", False, None)]),
    (("REJECTED", "PENDING", "LAUNCHED"), [("REJECTED", False, "logo"), ("PENDING", False, None), LAUNCHED]),
    (("LAUNCHED", "SUSPENDED", "LAUNCHED"), [LAUNCHED, ("SUSPENDED", True, None), LAUNCHED]),
    (("SUSPENDED",), [None]),
    (("PENDING", "PENDING"), [("PENDING", False, None), None]),
    (("LAUNCHED", "LAUNCHED", "REJECTED", "PENDING"), [LAUNCHED, LAUNCHED, None, None]),
]


@pytest.mark.parametrize("over_http", [False, True])
@pytest.mark.parametrize(("asked", "expected"), STEPS)
def test_a_carrier_sets_an_agent_to_pending_rejected_launched_and_suspended(
    asked: tuple[Any, ...], expected: list[tuple[str, bool, str | None] | None], over_http: bool
) -> None:
    box = still(clock=VirtualClock(NOW))
    live = box.approve(submitted(box))
    for status, wanted in zip(asked, expected, strict=True):
        if over_http:
            fields = {"carrier": "telekom_de", "status": status, "reason": "logo"}
            code, told = control(box, f"agents/{live}/launch", **fields)
            assert (code, told.get("status")) == ((200, status) if wanted else (404, None))
        else:
            assert refused(box.launch, live, "telekom_de", status=status, reason="logo") == (wanted is None)
        found = done(box, agents.launch_status(live)).carriers[1]
        if wanted:
            assert (found.status, found.launched_at is not None, found.rejection_reason) == wanted
        assert (send(box, text(agent_id=live)).status == 200) == (found.status == "LAUNCHED")


def test_an_agent_sends_while_one_carrier_has_launched_it() -> None:
    box = still(clock=VirtualClock(NOW))
    box.launch("ag_live_demo", status="SUSPENDED")
    assert send(box).status == 200
    for carrier in ("telekom_de", "telefonica_de"):
        box.launch("ag_live_demo", carrier, status="SUSPENDED")
    assert refusal(send(box)) == (403, "agent_not_launched")


def test_a_reply_to_an_unknown_agent_or_from_an_invalid_number_is_refused() -> None:
    box = still(clock=VirtualClock(NOW))
    for user, agent, said_of in ((TO, "ag_live_demoo", "no such agent"), ("hello", "ag_live_demo", "to must be")):
        with pytest.raises(ValueError, match=said_of):
            _ = box.reply_from(user, agent)
    assert control(box, "replies", agent_id="ag_live_demoo", user=TO, text="x")[0] == 404
    assert control(box, "replies", agent_id="ag_live_demo", user="hello", text="x")[0] == 400
    assert (box.messages, box.events) == ((), ())
    assert box.reply_from(TO, "ag_test_demo").direction == "INBOUND"


def test_a_reply_to_the_drafts_id_opens_a_session_with_the_agent() -> None:
    box = still(clock=VirtualClock(NOW))
    name = submitted(box)
    live = box.approve(name)
    box.launch(live)
    entry = box.reply_from(TO, name)
    assert (entry.sender, entry.channel_id.startswith("ch_")) == (live, True)
    assert send(box, text(agent_id=live, message_type="CONVERSATION")).status == 200


def counted(box: Sandbox, name: str) -> tuple[str | None, Any]:
    found = done(box, campaigns.status(name), now=box.clock.time())
    return found.status, found.extra["executions"]


def test_a_campaign_with_some_failed_executions_ends_as_completed_partial() -> None:
    clock = VirtualClock(NOW)
    box = Sandbox(clock=clock)
    name = CAMPAIGNS[0].campaign_id
    assert refused(box.fail_executions, name)
    assert control(box, f"campaigns/{name}/fail", executions=2)[0] == 404
    _ = done(box, campaigns.trigger(name))
    box.fail_executions(name, 2)
    assert control(box, f"campaigns/{name}/fail", executions=3) == (200, {"campaign_id": name, "failed": 3})
    assert all(refused(box.fail_executions, name, count) for count in (0, 96))
    assert counted(box, name) == ("RUNNING", {"total": 100, "completed": 0, "pending": 95, "failed": 5})
    clock.advance(94.5)
    assert counted(box, name) == ("RUNNING", {"total": 100, "completed": 94, "pending": 1, "failed": 5})
    clock.advance(1)
    assert counted(box, name) == ("COMPLETED_PARTIAL", {"total": 100, "completed": 95, "pending": 0, "failed": 5})
    assert refused(box.fail_executions, name)
    _ = done(box, campaigns.trigger(name), now=clock.time())
    assert counted(box, name)[0] == "RUNNING"


def test_a_campaign_whose_executions_all_fail_ends_at_once() -> None:
    box = Sandbox(clock=VirtualClock(NOW))
    name = CAMPAIGNS[0].campaign_id
    _ = done(box, campaigns.trigger(name))
    box.fail_executions(name, 100)
    assert counted(box, name) == ("COMPLETED_PARTIAL", {"total": 100, "completed": 0, "pending": 0, "failed": 100})


def test_a_running_campaign_is_halted_over_http() -> None:
    box = Sandbox(clock=VirtualClock(NOW))
    name = CAMPAIGNS[0].campaign_id
    assert control(box, f"campaigns/{name}/halt")[0] == 404
    _ = done(box, campaigns.trigger(name))
    assert control(box, f"campaigns/{name}/halt", status="PAUSED")[0] == 400
    assert control(box, f"campaigns/{name}/fail", executions=True)[0] == 400
    assert control(box, f"campaigns/{name}/halt") == (200, {"campaign_id": name, "status": "PAUSED_ERROR"})
    assert counted(box, name)[0] == "PAUSED_ERROR"


def test_a_running_campaign_is_halted_in_python() -> None:
    box = Sandbox(clock=VirtualClock(NOW), balance=Decimal(100_000))
    name = CAMPAIGNS[0].campaign_id
    assert refused(box.halt, name)
    _ = done(box, campaigns.trigger(name))
    box.halt(name, "PAUSED_BALANCE")
    assert done(box, campaigns.status(name)).status == "PAUSED_BALANCE"


def test_a_control_requires_the_key() -> None:
    asked = request("POST", "/_sandbox/replies", body={}, Authorization="Bearer sk_other")
    assert ask(still(), asked).status == 401


CHIPS = [{"reply": {"text": "Yes", "postback_data": "eWVz"}}]


def chipped(box: Sandbox) -> str:
    return str(said(send(box, text(content={"text": "Well?", "suggestions": CHIPS})))["message_id"])


@pytest.mark.parametrize("over_http", [False, True])
@pytest.mark.parametrize("state", ["queued", "failed", "revoked", "inbound"])
def test_a_tap_on_a_message_that_was_not_received_is_refused(state: str, over_http: bool) -> None:
    box = still(clock=VirtualClock(NOW))
    name = chipped(box)
    match state:
        case "failed":
            assert box.fail(name)
        case "revoked":
            assert delete(box, name).status == 200
        case "inbound":
            assert box.deliver(name)
            name = box.tap(name, "Yes").id
        case _:
            assert box.messages[-1].status == "QUEUED"
    before = (box.messages, box.events)
    if over_http:
        assert control(box, "taps", message_id=name, text="Yes")[0] == 404
    else:
        with pytest.raises(ValueError, match="no such message"):
            _ = box.tap(name, "Yes")
    assert (box.messages, box.events) == before


@pytest.mark.parametrize("over_http", [False, True])
@pytest.mark.parametrize("agent", ["ag_draft_demo", "ag_live_unlaunched"])
def test_a_reply_to_an_agent_that_cannot_send_is_refused(agent: str, over_http: bool) -> None:
    box = still(clock=VirtualClock(NOW))
    if over_http:
        assert control(box, "replies", agent_id=agent, user=TO, text="x")[0] == 404
    else:
        with pytest.raises(ValueError, match="no such agent"):
            _ = box.reply_from(TO, agent)
    assert (box.messages, box.events) == ((), ())


@pytest.mark.parametrize("over_http", [False, True])
def test_a_tap_for_an_agent_that_every_carrier_has_suspended_is_refused(over_http: bool) -> None:
    box = still(clock=VirtualClock(NOW))
    name = chipped(box)
    assert box.deliver(name)
    for carrier in ("vodafone_de", "telekom_de", "telefonica_de"):
        box.launch("ag_live_demo", carrier, status="SUSPENDED")
    if over_http:
        assert control(box, "taps", message_id=name, text="Yes")[0] == 404
    else:
        with pytest.raises(ValueError, match="no such agent"):
            _ = box.tap(name, "Yes")


def test_the_status_of_an_inbound_message_cannot_be_changed() -> None:
    box = still(clock=VirtualClock(NOW))
    entry = box.reply_from(TO, "ag_live_demo")
    assert all(refused(control, entry.id) for control in (box.read, box.deliver, box.fail))
    assert [one.event for one in box.events] == ["conversation.started"]
