"""Final messages beyond the number to keep are dropped; what was counted, charged and answered stays."""

from decimal import Decimal
from typing import Any

import orjson
import pytest

from msgapi.sandbox import DELIVERY_OUTCOMES, Sandbox, Timing
from msgapi.sandbox.rules.lifecycle import change_status
from tests.support.sandbox_requests import (
    NOW,
    TO,
    ask,
    delete,
    email,
    get,
    refusal,
    refused,
    request,
    said,
    send,
    still,
    subscribe,
    text,
)

DAY = 86_400.0


def ids(box: Sandbox) -> list[str]:
    return [entry.id for entry in box.account.state.log.entries()]


def sent(box: Sandbox, **fields: object) -> str:
    return str(said(send(box, text(**fields)))["message_id"])


def test_the_oldest_final_messages_beyond_the_number_are_dropped() -> None:
    box = still(keep_messages=2)
    names = [sent(box) for _ in range(5)]
    for name in names:
        _ = box.deliver(name)
    assert [entry.id for entry in box.messages] == names[3:]
    assert box.messages.dropped == 3
    assert repr(box) == "Sandbox(5 messages, 5 requests)"


def test_the_oldest_is_the_one_that_was_accepted_first_whenever_it_became_final() -> None:
    box = still(keep_messages=2)
    names = [sent(box) for _ in range(3)]
    for name in reversed(names):
        _ = box.deliver(name)
    assert ids(box) == names[1:]


def test_a_message_that_failed_within_its_time_to_live_is_dropped_at_once() -> None:
    phone = next(one.phone for one in DELIVERY_OUTCOMES if one.name == "REJECTED_SPAM")
    box = Sandbox(keep_messages=0, timing=Timing(sent=1, delivered=1, read=1))
    _ = sent(box, to=phone, ttl="3600s")
    _ = get(box, "/v1/billing/balance", now=NOW + 2.0)
    assert (len(box.account.state.log.entries()), box.account.state.log.dropped) == (0, 1)


def test_messages_under_way_are_kept_and_do_not_count() -> None:
    box = still(keep_messages=1)
    names = [sent(box) for _ in range(4)]
    _ = box.deliver(names[2])
    assert ids(box) == names
    _ = box.fail(names[3])
    assert ids(box) == [names[0], names[1], names[3]]
    assert box.messages.dropped == 1


def test_a_message_is_final_once_nothing_more_is_scheduled_for_it() -> None:
    box = Sandbox(keep_messages=0, timing=Timing(sent=1, delivered=1, read=10))
    name = sent(box)
    assert get(box, f"/v1/messages/{name}", now=NOW + 11).status == 200
    assert refusal(get(box, f"/v1/messages/{name}", now=NOW + 12)) == (404, "not_found")
    assert [event.event for event in box.account.state.events] == [
        "message.queued",
        "message.delivered",
        "message.read",
    ]
    assert box.account.state.log.dropped == 1


def test_a_message_whose_scheduled_change_is_not_possible_any_more_is_final() -> None:
    box = Sandbox(keep_messages=0)
    name = sent(box)
    assert delete(box, name).status == 200
    assert ids(box) == []
    assert get(box, "/v1/messages", now=NOW + 100).status == 200
    assert (box.account.state.log.dropped, box.account.state.schedule.next_at()) == (1, None)


def test_a_delivered_message_that_would_have_expired_is_final() -> None:
    box = still(keep_messages=0)
    name = sent(box, ttl="900s")
    _ = change_status(box.account.state, name, "DELIVERED", NOW)
    assert ids(box) == []


def test_a_message_that_is_final_twice_is_counted_once() -> None:
    box = still(keep_messages=1)
    name, other = sent(box), sent(box)
    _, _ = box.deliver(name), box.read(name)
    assert (ids(box), box.messages.dropped) == ([name, other], 0)
    _ = box.deliver(other)
    assert (ids(box), box.messages.dropped) == ([other], 1)


def test_replies_of_users_are_final_at_once() -> None:
    box = still(keep_messages=2)
    for _ in range(3):
        _ = box.reply_from(TO, "ag_live_demo")
    assert (len(box.messages), box.messages.dropped) == (2, 1)


def test_a_dropped_message_is_not_found_and_cannot_be_controlled() -> None:
    box = still(keep_messages=0)
    name = sent(box)
    _ = box.deliver(name)
    assert refusal(get(box, f"/v1/messages/{name}")) == (404, "not_found")
    assert refusal(delete(box, name)) == (404, "not_found")
    assert said(get(box, "/v1/messages")) == {"messages": []}
    assert refused(box.read, name)
    assert refused(box.tap, name, "Yes")


def test_the_key_of_a_dropped_message_still_stands_for_it_for_a_day() -> None:
    box = still(keep_messages=0)
    first = send(box, key="k1")
    _ = box.deliver(said(first)["message_id"])
    assert box.messages.dropped == 1
    assert send(box, key="k1", now=NOW + DAY - 1).body == first.body
    assert refusal(send(box, text(content={"text": "Other"}), key="k1")) == (409, "idempotency_conflict")
    assert send(box, key="k1", now=NOW + DAY).body != first.body


def test_a_created_response_is_stored_with_its_location() -> None:
    box = still()
    body = {"source": "API", "email": "ada@shop.example"}
    first, again = (ask(box, request("POST", "/v1/contacts", body=body, key="k")) for _ in range(2))
    assert (first.status, first.body, first.headers["location"]) == (201, again.body, again.headers["location"])


@pytest.mark.parametrize("keep", [0, 1, 3, 100])
def test_usage_tiers_transactions_and_balance_do_not_depend_on_what_is_kept(keep: int) -> None:
    found = [figures(Sandbox(keep_messages=number)) for number in (1000, keep)]
    assert found[0] == found[1]


def figures(box: Sandbox) -> Any:  # noqa: ANN401 - JSON
    _ = subscribe(box)
    end = NOW + 3 * DAY
    for day in range(3):
        now = NOW + day * DAY
        for body in (text(), text(content={"text": "x" * 200}), email(), text(to="+447700900701"), text(ttl="1s")):
            assert send(box, body, now=now).status == 200
        newsletter = text(message_type="NEWSLETTER", traffic_type="PROMOTION")
        assert send(box, newsletter, now=now).status == 200
    _ = send(box, now=end)
    targets = ["/usage", "/tier", "/transactions?limit=200", "/balance", "/invoices"]
    targets += [f"/usage/detailed?group_by={group}" for group in ("day", "channel", "message_type", "unit")]
    targets += ["/usage/detailed?from=2026-05-05&to=2026-05-05"]
    return [sorted_rows(said(get(box, f"/v1/billing{target}", now=end))) for target in targets]


def sorted_rows(body: Any) -> Any:  # noqa: ANN401 - JSON
    return {**body, "rows": sorted(body["rows"], key=orjson.dumps)} if "rows" in body else body


def test_usage_counts_a_message_of_the_same_moment() -> None:
    box = still()
    _ = sent(box)
    for target in ("usage", "usage/detailed"):
        body = said(get(box, f"/v1/billing/{target}"))
        assert sum(row["messages"] for row in body.get("rows", [body])) == 1


def test_the_number_to_keep_is_not_negative() -> None:
    with pytest.raises(ValueError, match="keep"):
        _ = Sandbox(keep_messages=-1)


def test_transactions_are_stored_with_what_they_were_added_with() -> None:
    box = still(keep_messages=0)
    box.top_up(Decimal("12.34"))
    name = sent(box)
    _ = box.deliver(name)
    transactions = box.account.state.wallet.ledger
    found = [(one.number, one.type, one.amount, one.message_id) for one in (transactions[at] for at in range(2))]
    assert found == [(0, "credit", Decimal("12.34"), None), (1, "charge", Decimal("0.07"), name)]
