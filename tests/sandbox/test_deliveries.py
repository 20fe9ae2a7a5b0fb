"""The delivery of messages in the sandbox as time passes, and the replies of users."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import msgapi
from msgapi import Ok, VirtualClock, codec, messages, sandbox
from msgapi.codec.json import to_plain
from msgapi.messages import Email, Message, MessageRecord, OpenUrl, Reply, Text
from msgapi.sandbox import DELIVERY_OUTCOMES, Sandbox, Timing
from msgapi.sandbox.model.faults import DeliverySteps, parse_ttl, plan_delivery
from tests.support.sandbox_requests import KEY, TO, email, refused, text

pytestmark = pytest.mark.anyio


def box(**options: Any) -> tuple[Sandbox, VirtualClock]:  # noqa: ANN401 - those of `Sandbox`
    clock = VirtualClock()
    return Sandbox(clock=clock, timing=Timing(sent=1, delivered=2, read=10), **options), clock


async def queued(account: Sandbox, message: Message) -> str:
    async with msgapi.Client(transport=account, api_key=KEY, clock=account.clock) as api:
        result = await api(messages.send(message))
    assert isinstance(result, Ok), result
    return result.value.message_id


async def shown(account: Sandbox, message_id: str) -> MessageRecord:
    async with msgapi.Client(transport=account, api_key=KEY, clock=account.clock) as api:
        result = await api(messages.get(message_id))
    assert isinstance(result, Ok), result
    return result.value


def rcs(to: str = TO, **more: Any) -> Text:  # noqa: ANN401 - fields of a Text
    return Text(agent_id="ag_live_demo", to=to, traffic_type="TRANSACTION", text="Hello", **more)


def mail(to: str) -> Email:
    return Email(channel_id="ch_demo", to=to, subject="Hello", text="Hello")


def emitted(account: Sandbox) -> list[str]:
    return [one.event for one in account.events]


async def test_a_message_is_sent_delivered_and_read_as_time_passes() -> None:
    account, clock = box()
    name = await queued(account, rcs())
    seen = []
    for pause in (0.9, 0.2, 2, 10):
        clock.advance(pause)
        seen.append((await shown(account, name)).status)
    assert seen == ["QUEUED", "SENT", "DELIVERED", "READ"]
    assert emitted(account) == ["message.queued", "message.delivered", "message.read"]


async def test_a_step_has_the_time_at_which_it_was_due_even_if_it_is_read_later() -> None:
    account, clock = box()
    name = await queued(account, rcs())
    clock.advance(86_400)
    message = await shown(account, name)
    assert message.created_at is not None
    passed = [(event.at - message.created_at).total_seconds() for event in message.events if event.at]
    assert passed == [0, 1, 3, 13]


async def test_a_delivered_message_is_charged_and_the_hold_of_a_failed_one_is_released() -> None:
    account, clock = box(balance=Decimal(1))
    _ = await queued(account, rcs())
    _ = await queued(account, rcs("+447700900701"))
    assert account.balance.reserved == Decimal("0.14")
    clock.advance(60)
    assert (account.balance.free, account.balance.reserved) == (Decimal("0.93"), Decimal(0))


@pytest.mark.parametrize("ending", [one for one in DELIVERY_OUTCOMES if one.phone][:5], ids=lambda one: one.name)
async def test_a_recipient_whose_messages_fail_has_its_documented_reason(ending: sandbox.DeliveryOutcome) -> None:
    account, clock = box()
    name = await queued(account, rcs(ending.phone))
    clock.advance(60)
    message = await shown(account, name)
    assert (message.status, message.error_code, message.cost) == ("FAILED", ending.name, Decimal(0))
    assert account.events[-1].data["failure_reason"] == ending.name


async def test_a_message_that_is_not_delivered_within_its_ttl_expires_and_costs_nothing() -> None:
    account, clock = box()
    name = await queued(account, rcs("+447700900710", ttl="60s"))
    clock.advance(59)
    assert (await shown(account, name)).status == "SENT"
    clock.advance(1)
    assert (await shown(account, name)).status == "EXPIRED"
    assert (account.balance.reserved, emitted(account)[-1]) == (Decimal(0), "message.expired")


@pytest.mark.parametrize(
    ("name", "statuses"),
    [
        ("offline", ["SENT"]),
        ("unread", ["SENT", "DELIVERED"]),
    ],
)
def test_the_messages_to_some_recipients_are_never_read(name: str, statuses: list[str]) -> None:
    phone = next(one.phone for one in DELIVERY_OUTCOMES if one.name == name and one.phone)
    assert [step.status for step in steps(phone)] == statuses


def steps(to: str, ttl: float | None = None) -> DeliverySteps:
    account = Sandbox(timing=None)
    reply = account.handle(request_to(to))
    assert reply.response.status == 200
    return plan_delivery(account.messages[0], Timing(sent=1, delivered=2, read=10), ttl)


def request_to(to: str) -> msgapi.Request:
    from tests.support.sandbox_requests import request

    return request("POST", "/v1/messages", body=text(to=to) if to.startswith("+") else email(to=to))


@given(st.floats(0.1, 100))
def test_no_step_before_the_delivery_is_later_than_the_ttl(ttl: float) -> None:
    found = steps(TO, ttl)
    passed, names = 0.0, [step.status for step in found]
    for step in found[: names.index("DELIVERED") + 1 if "DELIVERED" in names else len(names)]:
        passed += step.after
    assert passed <= ttl + 1e-9
    assert ("EXPIRED" in names) == (ttl <= 3)


@pytest.mark.parametrize(("ttl", "expected"), [(None, None), ("900s", 900.0), ("0.5s", 0.5), ("24h", 86_400.0)])
def test_a_ttl_is_parsed_in_both_of_its_formats(ttl: str | None, expected: float | None) -> None:
    assert parse_ttl(ttl) == expected


@pytest.mark.parametrize(
    ("name", "events", "status"),
    [
        ("someone", ["email.delivered", "email.opened"], "READ"),
        ("bounce", ["email.bounced"], "BOUNCED"),
        ("full", ["email.bounced"], "BOUNCED"),
        ("unread", ["email.delivered"], "DELIVERED"),
        ("click", ["email.delivered", "email.opened", "email.clicked"], "CLICKED"),
        ("complain", ["email.delivered", "email.opened", "email.complained"], "COMPLAINED"),
        ("unsubscribe", ["email.delivered", "email.opened", "email.unsubscribed"], "UNSUBSCRIBED"),
    ],
)
async def test_an_email_has_the_outcome_of_its_recipient(name: str, events: list[str], status: str) -> None:
    account, clock = box()
    message = await queued(account, mail(f"{name}@ending.example"))
    clock.advance(3600)
    assert emitted(account) == events
    assert (await shown(account, message)).status == status
    if status == "BOUNCED":
        assert account.events[-1].data["bounce_type"] == ("soft" if name == "full" else "hard")


async def test_the_status_of_a_revoked_message_does_not_change() -> None:
    account, clock = box()
    name = await queued(account, rcs())
    async with msgapi.Client(transport=account, api_key=KEY, clock=clock) as api:
        assert isinstance(await api(messages.revoke(name)), Ok)
    clock.advance(60)
    assert (await shown(account, name)).status == "REVOKED"
    assert emitted(account) == ["message.queued", "message.revoked"]


async def test_the_status_of_a_message_can_be_changed_by_a_control() -> None:
    account = Sandbox(timing=None, clock=VirtualClock())
    name = await queued(account, rcs())
    assert refused(account.read, name)
    assert (account.deliver(name).status, account.read(name).status) == ("DELIVERED", "READ")
    assert refused(account.read, name)
    assert refused(account.fail, name, "REJECTED_SPAM")
    other = await queued(account, rcs())
    assert account.fail(other, "REJECTED_SPAM").status == "FAILED"
    assert account.events[-1].data["failure_reason"] == "REJECTED_SPAM"


@pytest.mark.parametrize(("reason", "kind", "code"), [("", "hard", "550"), ("full", "soft", "452")])
async def test_an_email_that_is_made_to_fail_emits_a_bounce(reason: str, kind: str, code: str) -> None:
    account = Sandbox(timing=None, clock=VirtualClock())
    name = await queued(account, mail("ada@shop.example"))
    assert account.fail(name, reason) if reason else account.fail(name)
    assert refused(account.fail, name)
    assert [entry.status for entry in account.messages] == ["BOUNCED"]
    assert account.balance.reserved == 0
    (event,) = account.events
    assert event.event == "email.bounced"
    assert (event.data["message_id"], event.data["bounce_type"], event.data["bounce_code"]) == (name, kind, code)


async def test_a_reply_opens_a_session_emits_an_event_and_is_in_the_log() -> None:
    account, clock = box()
    entry = account.reply_from(TO, "ag_live_demo", text="Where is it?")
    assert isinstance(entry.id, str)
    _ = await queued(account, rcs(message_type="CONVERSATION"))
    event = account.events[0]
    assert event.event == "conversation.started"
    assert event.data["user_message"] == {"type": "text", "text": "Where is it?"}
    inbound = await shown(account, entry.id)
    assert (inbound.direction, inbound.cost, inbound.content) == ("INBOUND", None, {"text": "Where is it?"})
    assert [one.type for one in inbound.events] == ["received"]
    async with msgapi.Client(transport=account, api_key=KEY, clock=clock) as api:
        result = await api(messages.list(direction="INBOUND"))
    assert isinstance(result, Ok)
    assert [one.id for one in result.value.messages] == [entry.id]


async def test_every_reply_emits_an_event_and_the_session_ends_after_the_last_one() -> None:
    account, clock = box()
    _ = account.reply_from(TO, "ag_live_demo")
    clock.advance(80_000)
    _ = account.reply_from(TO, "ag_live_demo")
    clock.advance(80_000)
    assert emitted(account) == ["conversation.started", "conversation.started"]
    clock.advance(80_000)
    assert emitted(account) == ["conversation.started", "conversation.started", "conversation.ended"]
    assert account.events[-1].data["reason"] == "ttl_expired"


async def test_a_session_with_two_simultaneous_replies_ends_once() -> None:
    account, clock = box()
    for _ in range(2):
        _ = account.reply_from("+447700900000", "ag_live_shop")
    clock.advance(90_000)
    assert emitted(account).count("conversation.ended") == 1


async def test_the_event_of_a_tapped_suggestion_has_its_postback_data() -> None:
    account, clock = box()
    chips = (Reply(text="Yes", postback_data="yes-7"), OpenUrl(text="Open", url="https://shop.example"))
    name = await queued(account, rcs(suggestions=chips))
    clock.advance(2)
    _ = account.tap(name, "Yes")
    assert account.events[-1].data["user_message"] == {
        "type": "suggested_reply",
        "text": "Yes",
        "postback_data": "eWVzLTc=",
    }
    _ = account.tap(name, "Open")
    assert account.events[-1].data["user_message"] == {"type": "suggested_reply", "text": "Open"}


async def test_a_suggestion_on_a_card_is_found() -> None:
    account, clock = box()
    card = messages.Card(title="Hello", suggestions=(Reply(text="Yes"),))
    row = messages.Carousel(agent_id="ag_live_demo", to=TO, traffic_type="TRANSACTION", cards=(card, card))
    name = await queued(account, row)
    clock.advance(2)
    _ = account.tap(name, "Yes")
    assert account.events[-1].event == "conversation.started"


async def test_a_tap_on_an_unknown_suggestion_is_refused() -> None:
    account, clock = box()
    card = messages.Card(title="Hello", suggestions=(Reply(text="No"),))
    row = messages.Carousel(agent_id="ag_live_demo", to=TO, traffic_type="TRANSACTION", cards=(card, card))
    names = [await queued(account, rcs()), await queued(account, row)]
    clock.advance(2)
    for message_id in names:
        with pytest.raises(ValueError, match="no suggestion"):
            _ = account.tap(message_id, "Yes")


async def test_an_idle_account_returns_when_something_is_due_next() -> None:
    account, clock = box()
    assert account.due_at is None
    _ = await queued(account, rcs())
    assert account.due_at == pytest.approx(clock.time() + 1)


def test_the_client_reads_the_log_of_a_busy_account() -> None:
    account = Sandbox(clock=VirtualClock())
    _ = account.handle(request_to(TO))
    body = to_plain([entry.summary() for entry in account.messages])
    assert codec.from_dict({"messages": body}, messages.Page)


@pytest.mark.parametrize("steps", [1, 20])
async def test_a_top_up_is_recorded_after_what_was_due_before_it(steps: int) -> None:
    account, clock = box()
    _ = await queued(account, rcs())
    for _ in range(steps):
        clock.advance(20 / steps)
        _ = account.due_at if steps > 1 else None
    account.top_up(Decimal(10))
    ledger = account.account.state.wallet.ledger
    assert [(ledger[at].type, round(ledger[at].at - clock.start)) for at in range(2)] == [("charge", 3), ("credit", 20)]


@pytest.mark.parametrize("ttl", ["9" * 400 + "h", "9" * 13 + "s"])
async def test_a_ttl_beyond_the_calendar_is_accepted(ttl: str) -> None:
    account, clock = box()
    _ = await queued(account, rcs("+447700900710", ttl=ttl))
    async with clock.autojump(), account.deliver_webhooks(account):
        await clock.sleep(2e9)
    assert [entry.status for entry in account.messages] == ["EXPIRED"]
