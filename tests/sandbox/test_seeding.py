"""Seeds: what a sandbox has when it starts, or what is added to it."""

import inspect
import json
import re
from decimal import Decimal
from textwrap import dedent
from typing import Any

import attrs
import pytest

from msgapi import VirtualClock
from msgapi.sandbox import ControlError, Sandbox
from msgapi.sandbox.model import seeds
from msgapi.sandbox.model.billing import LedgerTransaction
from tests.support.sandbox_refusals import HOOK, SEED
from tests.support.sandbox_requests import NOW, TO, ask, email, fields_of, get, request, said, send, text

OTHER = "+4915112345679"


def seeded(**seed: Any) -> Sandbox:  # noqa: ANN401 - JSON
    return Sandbox(seed=seed, timing=None, clock=VirtualClock(NOW))


def transactions(box: Sandbox) -> list[LedgerTransaction]:
    ledger = box.account.state.wallet.ledger
    return [ledger[number] for number in range(len(ledger))]


def problem(**seed: Any) -> str:  # noqa: ANN401 - JSON
    with pytest.raises(ControlError) as caught:
        _ = seeded(**seed)
    return str(caught.value)


def sent(**more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {"send": text(), **more}


def documented() -> Any:  # noqa: ANN401 - JSON
    """The example in the docstring that documents the format."""
    found = re.search(r"For example:\n\n(    \{.*?\n    \})\n", inspect.getdoc(seeds) or "", re.DOTALL)
    assert found is not None
    return json.loads(dedent(found[1]))


def test_the_documented_example_is_a_seed() -> None:
    box = seeded(**documented())
    assert box.balance.free == 50
    sent, reply = box.messages
    assert (sent.sender, sent.status, sent.created_at) == ("ag_live_parcels", "READ", NOW - 7200)
    assert (reply.direction, reply.created_at) == ("INBOUND", NOW - 5400)
    contacts = [*box.account.state.contacts]
    assert [one.status for one in contacts] == ["ACTIVE", "UNSUBSCRIBED"]
    assert contacts[0].consents_to("RCS", "NEWSLETTER")
    assert [one.url for one in box.account.state.endpoints] == ["http://localhost:8000/hook"]
    mail = email(channel_id="ch_parcels", template_id="tpl_invoice", content=None)
    assert send(box, mail).status == 200
    assert said(send(box, text(agent_id="ag_live_parcels")))["billing"]["message_price"] == 0.07
    assert said(send(box, mail))["billing"]["message_price"] == 0.004
    run = get(box, "/v1/campaigns/9d27c0de-5b8f-4f6e-9d27-5b8f0a6c1e10/status")
    assert run.status == 200


def test_the_example_has_every_field_at_the_top() -> None:
    assert [one.name for one in attrs.fields(seeds.SeedDocument)] == [*documented()]


def test_an_empty_seed_changes_nothing() -> None:
    assert seeded().snapshot() == Sandbox(timing=None, clock=VirtualClock(NOW)).snapshot()


def test_the_balance_is_as_before_or_that_of_the_seed_whatever_messages_cost() -> None:
    assert seeded(messages=[sent()]).balance.free == 1000
    box = seeded(balance=0.05, messages=[sent(), sent(status="QUEUED")])
    assert (box.balance.free, box.balance.reserved) == (Decimal("0.05"), Decimal("0.07"))
    assert [one.amount for one in transactions(box)] == [Decimal("0.07")]


@pytest.mark.parametrize("status", ["QUEUED", "SENT", "DELIVERED", "READ", "FAILED", "EXPIRED"])
def test_a_message_has_the_status_of_the_seed(status: str) -> None:
    box = seeded(messages=[sent(status=status, ago="45s")])
    assert (box.messages[0].status, box.messages[0].events[0]) == (status, ("queued", NOW - 45))


def test_a_message_that_failed_has_its_reason_and_an_email_bounces() -> None:
    mail = {"send": email(), "status": "FAILED", "reason": "full"}
    box = seeded(messages=[sent(status="FAILED", reason="REJECTED_SPAM"), mail, sent(status="FAILED")])
    assert [one.error_code for one in box.messages] == ["REJECTED_SPAM", "full", "UNKNOWN_RCS_USER"]
    assert problem(messages=[sent(status="FAILED", reason="full")]) == (
        "messages[0].reason An RCS message fails for one of these reasons: UNKNOWN_RCS_USER, CARRIER_NOT_LAUNCHED, "
        "MESSAGE_EXPIRED, REJECTED_SPAM, ACCOUNT_SUSPENDED."
    )


def test_messages_are_in_the_order_of_their_times() -> None:
    talk = {"send": text(message_type="CONVERSATION"), "ago": "1h"}
    reply = {"reply": {"agent_id": "ag_live_demo", "user": TO, "text": "Hi"}, "at": "2026-05-03T22:00:00Z"}
    box = seeded(messages=[talk, reply, sent(ago="3d")])
    assert [one.created_at for one in box.messages] == [NOW - 3 * 86_400, NOW - 7200, NOW - 3600]
    assert box.account.state.sessions.find(("ag_live_demo", TO), NOW) is not None


def test_what_has_ended_since_has_ended() -> None:
    box = seeded(messages=[{"reply": {"agent_id": "ag_live_demo", "user": TO, "text": "Hi"}, "ago": "2d"}])
    assert [one.event for one in box.events] == ["conversation.started", "conversation.ended"]
    assert box.events[-1].at == NOW - 86_400


def test_a_queued_message_continues_as_any_other() -> None:
    box = Sandbox(seed={"messages": [sent(status="QUEUED", ago="1s"), sent(ago="1s")]}, clock=VirtualClock(NOW))
    assert [one.status for one in box.messages] == ["SENT", "DELIVERED"]
    box.advance_clock(60)
    assert [one.status for one in box.messages] == ["READ", "DELIVERED"]


def test_no_webhooks_are_sent_for_what_is_in_a_seed() -> None:
    box = seeded(webhooks=[{**HOOK, "events": ["message.queued", "contact.created"]}])
    queue = box.account.state.webhook_queue
    assert box.seed({"contacts": [{"phone": TO}], "messages": [sent()]})["messages"] == 1
    assert queue.pending == []
    assert [one.event for one in box.events] == ["contact.created", "message.queued", "message.delivered"]
    assert send(box).status == 200
    assert len(queue.pending) == 1


def test_a_definition_replaces_the_one_with_its_id_and_others_stay() -> None:
    box = seeded(agents=[{"agent_id": "ag_live_demo", "status": "DRAFT"}], prices={"basic_message": 0.5})
    assert send(box).status == 403
    assert said(send(box, text(agent_id="ag_live_shop")))["billing"]["message_price"] == 0.5
    assert box.account.state.prices.single_message == Decimal("0.11")
    taken = Sandbox.from_snapshot(box.snapshot(), clock=VirtualClock(NOW))
    assert taken.account.state.prices == box.account.state.prices


def test_consents_are_granted_pending_or_revoked() -> None:
    kinds = [{"channel_type": "RCS", "message_type": "NEWSLETTER", "status": one} for one in ("PENDING", "REVOKED")]
    box = seeded(contacts=[{"phone": TO, "consents": kinds}])
    (contact,) = box.account.state.contacts
    assert [(one.status, one.revoked_at) for one in contact.consents] == [("PENDING", None), ("REVOKED", NOW)]
    box.confirm(contact.consents[0].id)


def test_a_seed_that_is_added_twice_changes_contacts_with_an_email_and_endpoints() -> None:
    box = seeded()
    seed: Any = {"contacts": [{"email": "ada@shop.example"}], "webhooks": [HOOK]}
    assert box.seed(seed) == {
        "agents": 0,
        "channels": 0,
        "templates": 0,
        "campaigns": 0,
        "contacts": 1,
        "webhooks": 1,
        "messages": 0,
    }
    seed["contacts"][0]["first_name"] = "Ada"
    _ = box.seed({**seed, "webhooks": [{**HOOK, "events": ["message.failed"]}]})
    assert [one.first_name for one in box.account.state.contacts] == ["Ada"]
    assert [one.events for one in box.account.state.endpoints] == [("message.failed",)]


def test_a_seed_with_a_mistake_is_not_added_in_part() -> None:
    box = seeded(balance=5)
    before = box.snapshot()
    answer = ask(
        box,
        request(
            "POST",
            "/_sandbox/seed",
            body={"balance": 9, "contacts": [{"phone": TO}], "webhooks": [HOOK], "messages": [{"send": {}}]},
        ),
    )
    assert fields_of(answer)[0] == "messages[0].send.agent_id"
    assert box.account.state.contacts.find_by_recipient(TO) == ()
    assert {**box.snapshot(), "windows": {}} == before


def test_a_page_notices_that_a_seed_was_added() -> None:
    box = seeded()
    changes = box.account.state.changes
    position = changes.count
    _ = box.seed({"balance": 5, "campaigns": [{"campaign_id": "c1"}], "agents": [{"agent_id": "ag_new"}]})
    summary = changes.since(position)
    assert summary is not None
    assert summary.topics >= {"account", "campaigns", "agents"}


def test_a_seed_is_added_over_http_and_is_gone_after_a_reset() -> None:
    box = seeded(balance=5)
    answer = ask(box, request("POST", "/_sandbox/seed", body=SEED))
    assert said(answer) == {
        "agents": 1,
        "channels": 1,
        "templates": 1,
        "campaigns": 1,
        "contacts": 1,
        "webhooks": 1,
        "messages": 2,
    }
    assert (box.balance.free, len(box.messages)) == (Decimal(50), 2)
    box.reset()
    assert (box.balance.free, len(box.messages)) == (Decimal(5), 0)


def test_a_reset_adds_the_seed_of_the_start_again_counted_from_now() -> None:
    clock = VirtualClock(NOW)
    box = Sandbox(seed={"messages": [sent(ago="1h")]}, clock=clock)
    assert send(box).status == 200
    clock.advance(1000)
    box.reset()
    assert [one.created_at for one in box.messages] == [NOW - 2600]


SECRET = "whsec_secret"


@pytest.mark.parametrize(
    ("seed", "said_of_it"),
    [
        ({"people": []}, "people is not a known field"),
        ({"balance": "5"}, "balance must be a number, not a string"),
        ({"balance": -1}, "balance must be from 0 to below 10**9 EUR, with at most 4 decimal places"),
        ({"prices": {"email": 0.00001}}, "prices.email must be from 0 to below"),
        ({"prices": {"sms": 1}}, "prices.sms is not a known field"),
        ({"agents": [{}]}, "agents[0].agent_id is required"),
        ({"agents": [{"agent_id": ""}]}, "agents[0].agent_id must not be empty"),
        ({"agents": [{"agent_id": "a", "status": "LIVE"}]}, "agents[0].status must be one of DRAFT, PENDING_REVIEW"),
        ({"channels": [{"channel_id": "c", "message_types": ["SMS"]}]}, "channels[0].message_types[0] must be one of"),
        ({"templates": [{"template_id": "t"}]}, "templates[0].versions is required"),
        ({"campaigns": [{"campaign_id": "c", "executions": 0}]}, "campaigns[0].executions must be a whole number"),
        ({"campaigns": [{"campaign_id": "c", "seconds": 0}]}, "campaigns[0].seconds must be more than 0 seconds"),
        ({"contacts": [{}]}, "contacts[0]"),
        ({"contacts": [{"phone": "0151"}]}, "contacts[0].phone must be a phone number in E.164"),
        ({"contacts": [{"phone": TO, "status": "GONE"}]}, "contacts[0].status must be one of ACTIVE"),
        ({"contacts": [{"phone": TO}, {"phone": TO, "source": "SHOP"}]}, "contacts[1].source must be one of"),
        (
            {"contacts": [{"phone": TO, "consents": [{"channel_type": "FAX", "message_type": "MESSAGE"}]}]},
            "contacts[0].consents[0].channel_type must be one of",
        ),
        (
            {"contacts": [{"phone": TO, "external_id": "1"}, {"phone": OTHER, "external_id": "1"}]},
            "contacts[1].external_id belongs to another contact",
        ),
        ({"webhooks": [{"url": "ftp://x", "events": ["message.read"], "secret": SECRET}]}, "webhooks[0].url must"),
        ({"webhooks": [{**HOOK, "events": ["message.lost"]}]}, "webhooks[0].events[0] is not a known event"),
        ({"messages": [{}]}, "messages[0] must have exactly one of send, reply"),
        ({"messages": [sent(reply={"agent_id": "a", "user": TO, "text": "x"})]}, "messages[0] must have exactly one"),
        ({"messages": [sent(ago="soon")]}, "messages[0].ago must be a time of up to a year, such as 45s, 90m, 2h or"),
        ({"messages": [sent(ago="9999d")]}, "messages[0].ago must be a time of up to a year"),
        ({"messages": [sent(ago="1h", at="2026-05-03T00:00:00Z")]}, "messages[0].ago must not be given beside at"),
        ({"messages": [sent(at="2026-05-05T00:00:00Z")]}, "messages[0].at must not be in the future"),
        ({"messages": [sent(at="yesterday")]}, "messages[0].at must be a time with its zone"),
        ({"messages": [sent(status="LOST")]}, "messages[0].status must be one of QUEUED, SENT"),
        ({"messages": [sent(reason="full")]}, "messages[0].reason is only for the status FAILED"),
        ({"messages": [sent(), {"send": text(to="1")}]}, "messages[1].send.to must be a phone number"),
        (
            {"messages": [{"send": text(agent_id="ag_none")}]},
            "messages[0].send is refused: not_found: There is no such agent.",
        ),
        (
            {"messages": [{"reply": {"agent_id": "ag_none", "user": TO, "text": "x"}}]},
            "messages[0].reply There is no such agent that is approved and launched.",
        ),
        (
            {"messages": [{"send": text(content={"text": "\ud800"})}]},
            "messages[0].send.content.text is not valid Unicode",
        ),
        (
            {"messages": [{"send": text(content=10**40)}]},
            "messages[0].send.content must be a whole number of at",
        ),
        (
            {"messages": [{"reply": {"agent_id": "ag_live_demo", "user": TO, "text": "\ud800"}}]},
            "messages[0].reply.text is not valid Unicode",
        ),
        ({"contacts": [{"phone": TO, "tags": ["\ud800"]}]}, "contacts[0].tags[0] is not valid Unicode"),
        ({"webhooks": [{**HOOK, "secret": "\ud800"}]}, "webhooks[0].secret is not valid Unicode"),
    ],
)
def test_a_mistake_is_one_line_with_its_path_and_quotes_no_value(seed: dict[str, Any], said_of_it: str) -> None:
    line = problem(**seed)
    assert line.startswith(said_of_it)
    assert "\n" not in line
    assert TO not in line
    assert SECRET not in line


def test_several_mistakes_are_all_in_the_details() -> None:
    with pytest.raises(ControlError, match=r"contacts\[0\].phone .* \(and 1 more\)") as caught:
        _ = seeded(contacts=[{"phone": "x"}, {"phone": "y"}])
    assert [one.field for one in caught.value.details] == ["contacts[0].phone", "contacts[1].phone"]


@pytest.mark.parametrize("seed", [[], 5, "x"])
def test_a_seed_is_an_object(seed: Any) -> None:  # noqa: ANN401 - what callers may pass
    with pytest.raises(ControlError, match="must be an object"):
        _ = Sandbox(seed=seed)


def test_a_seed_that_json_cannot_have_is_refused() -> None:
    with pytest.raises(ValueError, match="must be of the types of JSON: TypeError"):
        _ = Sandbox(seed={"balance": Decimal(5)})
