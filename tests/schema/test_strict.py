"""strict=False sends past the rules that are not in the docs, and past no other."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from msgapi import Call, agents, billing, contacts, messages, testagent, webhooks
from tests.support.call_bodies import sent, wrong

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


def text(**more: Any) -> messages.Text:  # noqa: ANN401 - any field
    given = {"agent_id": "a", "to": "+4915112345678", "traffic_type": "TRANSACTION", "text": "Hi", **more}
    return messages.Text(**given)


EVENT = messages.CreateCalendarEvent(text="Add", title="T", start_time=NOON, end_time=NOON)
CARD = messages.RichCard(
    agent_id="a", to="+4915112345678", traffic_type="TRANSACTION", card=messages.Card(suggestions=(EVENT,))
)
CENT: Any = Decimal("10.005")


def both(function: Any, *given: Any) -> tuple[Call[Any], Call[Any]]:  # noqa: ANN401 - any function
    return function(*given), function(*given, strict=False)


@pytest.mark.parametrize(
    ("calls", "field", "written"),
    [
        (both(messages.send, text(ttl="15m")), "ttl", "15m"),
        (both(messages.send, text(ttl="1d")), "ttl", "1d"),
        (both(messages.send, text(ttl="0s")), "ttl", "0s"),
        (both(testagent.send, text(ttl="15m")), "ttl", "15m"),
        (both(billing.top_up, CENT), "amount", 10.005),
        (both(billing.set_alert, billing.Alert(low_balance_threshold=CENT)), "low_balance_threshold", 10.005),
        (both(billing.set_auto_reload, billing.AutoReload(enabled=True, reload_amount=CENT)), "reload_amount", 10.005),
        (
            both(billing.set_auto_reload, billing.AutoReload(enabled=True, trigger_threshold=CENT)),
            "trigger_threshold",
            10.005,
        ),
        (both(testagent.verify, "+4915112345678", "AB-12"), "code", "AB-12"),
    ],
)
def test_a_rule_of_our_own_can_be_sent_past(calls: tuple[Call[Any], Call[Any]], field: str, written: object) -> None:
    strict, documented = calls
    assert set(wrong(strict)) == {field}
    body: Any = sent(documented)
    assert body[field] == written


@pytest.mark.parametrize(
    "calls",
    [
        both(contacts.update, "c_1", contacts.ContactChanges()),
        both(agents.update, "ag_1", agents.AgentChanges()),
        both(webhooks.update, "w_1", webhooks.EndpointChanges()),
    ],
)
def test_changes_that_change_nothing_can_be_sent(calls: tuple[Call[Any], Call[Any]]) -> None:
    strict, documented = calls
    assert wrong(strict) == {"": "must change something"}
    assert sent(documented) == {}


@pytest.mark.parametrize("message", [text(suggestions=(EVENT,)), CARD])
def test_a_calendar_event_that_ends_when_it_starts_can_be_sent(message: Any) -> None:  # noqa: ANN401 - any message
    (field,) = wrong(messages.send(message))
    assert field.endswith("create_calendar_event.end_time")
    assert messages.check(message, strict=False) == ()
    assert messages.send(message, strict=False).invalid is None


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (messages.send(text(ttl="15m", to="0151"), strict=False), "to"),
        (messages.send(text(ttl="15\nm"), strict=False), "ttl"),
        (messages.send(text(ttl=""), strict=False), "ttl"),
        (billing.top_up(Decimal("9.99"), strict=False), "amount"),
        (billing.top_up(Decimal("1e12"), strict=False), "amount"),
        (billing.set_alert(billing.Alert(low_balance_threshold=Decimal(-1)), strict=False), "low_balance_threshold"),
        (contacts.update("c_1", contacts.ContactChanges(phone="1"), strict=False), "phone"),
        (testagent.verify("+4915112345678", "", strict=False), "code"),
    ],
)
def test_the_rules_of_the_docs_stay(call: Call[Any], field: str) -> None:
    assert set(wrong(call)) == {field}
