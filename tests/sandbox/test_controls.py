"""The controls of the sandbox, over HTTP and in Python."""

from decimal import Decimal
from typing import Any

import pytest

from msgapi import Ok, VirtualClock, agents, campaigns, contacts, messages
from msgapi.sandbox import ControlError, FaultSettings, FaultShares, LogEntry, Sandbox, WebhookFaults
from msgapi.sandbox.model.campaigns import CAMPAIGNS
from msgapi.sandbox.model.state import Role
from tests.support.sandbox_calls import COMPLETE, call, done
from tests.support.sandbox_requests import (
    NOW,
    TO,
    ask,
    delete,
    email,
    refusal,
    refused,
    request,
    said,
    send,
    still,
    text,
)

NEW = agents.NewAgent(display_name="Shop", region="EUROPE", billing_category="CONVERSATIONAL", use_case="MULTI_USE")
LAUNCHED = ("LAUNCHED", True, None)


def control(box: Sandbox, path: str, **fields: object) -> tuple[int, dict[str, object]]:
    answer = ask(box, request("POST", f"/_sandbox/{path}", body=fields))
    return answer.status, said(answer)


def submitted(box: Sandbox) -> str:
    agent = done(box, agents.create(NEW))
    _ = done(box, agents.update(agent.agent_id, COMPLETE))
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
        with pytest.raises(ValueError, match="a tap needs one that was sent"):
            _ = box.tap(name, "Yes")
    assert (box.messages, box.events) == before


@pytest.mark.parametrize(
    ("name", "problem"), [("msg_unknown", "no such message"), ("", "no suggestion with this text")]
)
def test_a_tap_that_is_not_possible_says_whether_message_or_suggestion_is_missing(name: str, problem: str) -> None:
    box = still(clock=VirtualClock(NOW))
    sent = chipped(box)
    assert box.deliver(sent)
    with pytest.raises(ValueError, match=problem):
        _ = box.tap(name or sent, "Perhaps")


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


# The status of a message, and the balance.


def status_of(box: Sandbox, name: str) -> str:
    found = box.account.state.log.find(name)
    assert found is not None
    return found.status


@pytest.mark.parametrize("over_http", [False, True])
def test_a_message_is_delivered_read_failed_or_expired(over_http: bool) -> None:
    box = still(clock=VirtualClock(NOW))

    def act(name: str, message_id: str) -> str:
        if not over_http:
            entry: LogEntry = getattr(box, name)(message_id)
            return entry.status
        status, told = control(box, f"messages/{message_id}/{name}")
        assert (status, told["message_id"]) == (200, message_id)
        return str(told["status"])

    ids = [str(said(send(box))["message_id"]) for _ in range(3)]
    assert [act("deliver", ids[0]), act("read", ids[0])] == ["DELIVERED", "READ"]
    assert [act("fail", ids[1]), act("expire", ids[2])] == ["FAILED", "EXPIRED"]
    assert [status_of(box, one) for one in ids] == ["READ", "FAILED", "EXPIRED"]
    assert box.balance.reserved == 0
    assert [one.event for one in box.events][-2:] == ["message.failed", "message.expired"]


def test_the_status_of_a_message_never_goes_back() -> None:
    box = still(clock=VirtualClock(NOW))
    name = str(said(send(box))["message_id"])
    assert control(box, f"messages/{name}/read")[0] == 404
    _ = box.deliver(name)
    assert [control(box, f"messages/{name}/{one}")[0] for one in ("deliver", "fail", "expire")] == [404] * 3
    _ = box.read(name)
    assert all(refused(one, name) for one in (box.deliver, box.read, box.fail, box.expire))
    assert control(box, "messages/msg_none/deliver")[0] == 404


REASONS = ("UNKNOWN_RCS_USER", "CARRIER_NOT_LAUNCHED", "MESSAGE_EXPIRED", "REJECTED_SPAM", "ACCOUNT_SUSPENDED")


@pytest.mark.parametrize("reason", REASONS)
def test_a_message_fails_for_each_reason(reason: str) -> None:
    box = still(clock=VirtualClock(NOW))
    name = str(said(send(box))["message_id"])
    assert control(box, f"messages/{name}/fail", reason=reason)[0] == 200
    assert box.events[-1].data["failure_reason"] == reason


def test_an_unknown_reason_is_refused_with_the_known_ones() -> None:
    box = still(clock=VirtualClock(NOW))
    name = str(said(send(box))["message_id"])
    status, told = control(box, f"messages/{name}/fail", reason="NO_REASON")
    known = ", ".join((*REASONS, "bounce", "full"))
    assert (status, told["details"]) == (400, [{"field": "reason", "message": f"must be one of {known}"}])
    with pytest.raises(ControlError, match="An RCS message fails for one of these reasons: UNKNOWN_RCS_USER, CARRIER"):
        _ = box.fail(name, "NO_REASON")
    assert control(box, f"messages/{name}/fail", reason="full")[0] == 404
    assert status_of(box, name) == "QUEUED"
    assert refused(box.fail, "msg_none", "NO_REASON")


@pytest.mark.parametrize(("reason", "kind"), [(None, "hard"), ("bounce", "hard"), ("full", "soft")])
def test_an_email_bounces_for_its_own_reasons(reason: str | None, kind: str) -> None:
    box = still(clock=VirtualClock(NOW))
    name = str(said(send(box, email()))["message_id"])
    with pytest.raises(ControlError, match="An email bounces for one of these reasons: bounce, full"):
        _ = box.fail(name, "REJECTED_SPAM")
    assert control(box, f"messages/{name}/fail", reason=reason)[1]["status"] == "BOUNCED"
    assert box.events[-1].data["bounce_type"] == kind


@pytest.mark.parametrize("over_http", [False, True])
def test_the_balance_is_topped_up_with_a_transaction_and_set_without_one(over_http: bool) -> None:
    box = still(clock=VirtualClock(NOW), balance=Decimal(1))
    assert send(box).status == 200
    if over_http:
        assert control(box, "topup", amount=2.5) == (200, {"free": 3.43, "reserved": 0.07, "total": 3.5})
        assert control(box, "balance", free=0.01) == (200, {"free": 0.01, "reserved": 0.07, "total": 0.08})
    else:
        box.top_up(Decimal("2.5"))
        box.set_balance(Decimal("0.01"))
    assert (box.balance.free, box.balance.total) == (Decimal("0.01"), Decimal("0.08"))
    ledger = box.account.state.wallet.ledger
    assert (len(ledger), ledger[0].type, ledger[0].amount) == (1, "credit", Decimal("2.5"))
    assert send(box).status == 402


@pytest.mark.parametrize("amount", [-1, 0.00001, 1e9, 1e300])
def test_an_amount_that_is_none_is_refused_at_its_field(amount: float) -> None:
    box = still(clock=VirtualClock(NOW))
    for path, name in (("topup", "amount"), ("balance", "free")):
        status, told = control(box, path, **{name: amount})
        assert (status, [one["field"] for one in told["details"]]) == (400, [name])  # type: ignore[attr-defined]
        assert refused(getattr(box, {"topup": "top_up", "balance": "set_balance"}[path]), Decimal(repr(amount)))
    assert refused(box.set_balance, 5)
    assert (box.balance.free, len(box.account.state.wallet.ledger)) == (Decimal(1000), 0)


def test_a_balance_never_reaches_the_bound_of_an_amount() -> None:
    box = still(clock=VirtualClock(NOW))
    assert send(box).status == 200
    status, told = control(box, "balance", free=999_999_999.95)
    assert (status, told["message"]) == (400, "The request is not valid.")
    with pytest.raises(ControlError, match="amount must leave the balance below 1,000,000,000 EUR"):
        box.top_up(Decimal(999_999_000))
    box.top_up(Decimal(999_998_999))


def test_a_balance_that_is_set_below_the_threshold_is_an_event_and_reloads() -> None:
    box = still(clock=VirtualClock(NOW))
    asked = {"enabled": True, "trigger_threshold": 5, "reload_amount": 20}
    assert ask(box, request("PUT", "/v1/billing/alerts", body={"low_balance_threshold": 5})).status == 200
    assert ask(box, request("POST", "/v1/billing/payment-methods", body={"type": "sepa"})).status == 201
    assert ask(box, request("PUT", "/v1/billing/auto-reload", body=asked)).status == 200
    box.set_balance(Decimal(4))
    assert [one.event for one in box.events] == ["billing.balance_low", "billing.auto_reload_success"]
    assert box.balance.free == 24


@pytest.mark.parametrize("role", ["viewer", "editor", "manager"])
def test_a_key_of_any_role_may_use_the_controls(role: Role) -> None:
    box = Sandbox(role=role)
    for name in ("/_sandbox/reset", "/_sandbox/clock", "/_sandbox/topup"):
        body = {"amount": 5} if name.endswith("topup") else {}
        assert ask(box, request("POST", name, body=body)).status == 200
    assert box.account.role == role


# Faults.


def set_faults(box: Sandbox, **fields: object) -> Any:  # noqa: ANN401 - JSON
    return ask(box, request("POST", "/_sandbox/faults", body=fields))


def test_the_faults_are_changed_one_by_one_while_it_runs() -> None:
    box = still(clock=VirtualClock(NOW))
    fine = dict.fromkeys(("429", "500", "502", "503", "lost", "slow"), 0.0)
    webhooks = {"late": 0.0, "late_by": 30.0, "repeated": 0.0, "reordered": 0.0}
    assert said(ask(box, request("GET", "/_sandbox/faults"))) == {**fine, "slow_seconds": 3.0, "webhooks": webhooks}
    assert said(set_faults(box, **{"503": 0.5, "slow": 0.25})) == {
        **fine,
        "503": 0.5,
        "slow": 0.25,
        "slow_seconds": 3.0,
        "webhooks": webhooks,
    }
    changed = said(set_faults(box, **{"503": 0, "slow_seconds": 7, "webhooks": {"late": 1}}))
    assert (changed["503"], changed["slow"], changed["slow_seconds"]) == (0, 0.25, 7)
    assert changed["webhooks"] == {**webhooks, "late": 1}
    assert said(ask(box, request("GET", "/_sandbox/account")))["faults"] == changed
    assert box.faults == FaultSettings(
        shares=FaultShares(slow=0.25), slow_seconds=7, webhooks=WebhookFaults(late=1, seed=1)
    )


@pytest.mark.parametrize(
    ("name", "status"), [("429", 429), ("500", 500), ("502", 502), ("503", 503), ("lost", None), ("slow", 200)]
)
def test_each_fault_has_its_own_share(name: str, status: int | None) -> None:
    box = still(clock=VirtualClock(NOW), slow=9)
    assert set_faults(box, **{name: 1}).status == 200
    for key in ("k-1", "k-2"):
        first = box.handle(request("POST", "/v1/messages", body=text(), key=key))
        assert (None if first.lost else first.response.status) == status
        assert first.delay == (9 if name == "slow" else 0)
        assert first.fault == name
        again = box.handle(request("POST", "/v1/messages", body=text(), key=key))
        assert (again.response.status, again.lost, again.delay) == (200, False, 0)
    assert len(box.messages) == 2


def test_the_controls_have_no_random_faults() -> None:
    box = still(clock=VirtualClock(NOW), faults=1.0)
    for number in range(20):
        assert ask(box, request("GET", "/_sandbox/faults", key=f"k-{number}")).status == 200
        assert set_faults(box).status == 200


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"429": 1.5}, ["429"]),
        ({"lost": -0.1, "slow": 2}, ["lost", "slow"]),
        ({"slow_seconds": -1}, ["slow_seconds"]),
        ({"webhooks": {"late": 2, "late_by": -1}}, ["webhooks.late", "webhooks.late_by"]),
        ({"404": 1}, ["404"]),
        ({"429": 0.6, "500": 0.6}, ["429", "500"]),
    ],
)
def test_faults_that_cannot_be_are_refused_at_their_fields(fields: dict[str, Any], found: list[str]) -> None:
    box = still(clock=VirtualClock(NOW), faults=0.5)
    before = box.faults
    answer = set_faults(box, **fields)
    assert (answer.status, [one["field"] for one in said(answer)["details"]]) == (400, found)
    assert box.faults == before


def test_the_shares_are_checked_together_with_those_that_stay() -> None:
    box = still(clock=VirtualClock(NOW))
    assert set_faults(box, lost=0.6).status == 200
    answer = set_faults(box, slow=0.5)
    problem = "is too much: the shares of all faults are more than 1 together"
    assert said(answer)["details"] == [{"field": "slow", "message": problem}]
    with pytest.raises(ValueError, match="more than 1 together"):
        box.set_faults(FaultShares(lost=0.6, slow=0.5))
    assert box.faults.shares == FaultShares(lost=0.6)


def test_the_faults_are_set_in_python() -> None:
    box = still(clock=VirtualClock(NOW))
    box.set_faults(0.5)
    assert box.faults.shares == FaultShares.spread(0.5)
    box.set_faults(slow=4)
    box.set_faults(FaultShares(slow=1), webhooks=WebhookFaults(late=1))
    assert (box.faults.shares, box.faults.slow_seconds, box.faults.webhooks.late) == (FaultShares(slow=1), 4, 1)
    assert box.handle(request("POST", "/v1/messages", body=text())).delay == 4
    with pytest.raises(ControlError, match="slow_seconds must be from 0 to"):
        box.set_faults(slow=-1)
    with pytest.raises(ValueError, match="share of the faults"):
        box.set_faults(1.5)


def test_which_requests_have_a_fault_depends_on_the_random_seed_and_the_shares_alone() -> None:
    def drawn(seed: int) -> list[str | None]:
        box = still(clock=VirtualClock(NOW), random_seed=seed)
        box.set_faults(FaultShares(status_503=0.3, slow=0.2))
        keys = [f"k-{number}" for number in range(50)]
        return [box.handle(request("POST", "/v1/messages", body=text(), key=key)).fault for key in keys]

    assert drawn(1) == drawn(1) != drawn(2)
    assert {*drawn(1)} == {"503", "slow", None}
