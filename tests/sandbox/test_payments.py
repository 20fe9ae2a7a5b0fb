"""Payments in the sandbox: top-ups, payment methods, the automatic reload and the alert."""

from decimal import Decimal

import pytest
from attrs import astuple
from hypothesis import given
from hypothesis import strategies as st

from msgapi import NotFound, Unprocessable, VirtualClock, billing
from msgapi.billing import Alert, AutoReload
from msgapi.sandbox import PriceList, Sandbox
from tests.support.sandbox_calls import call, done, emitted, post
from tests.support.sandbox_requests import NOW, fields_of, get, refusal, refused, said, send, still

DAY = 86_400.0
PRICES = PriceList(basic_message=Decimal(1))
MOMENT = "2026-05-04T00:00:00.000Z"


def method(box: Sandbox, **fields: object) -> str:
    answer = post(box, "/v1/billing/payment-methods", {"type": "credit_card", **fields})
    assert answer.status == 201
    return str(said(answer)["id"])


def kinds(box: Sandbox) -> list[tuple[str | None, Decimal | None]]:
    return [(one.type, one.amount) for one in done(box, billing.transactions()).transactions]


def test_a_top_up_adds_to_the_balance_once_for_each_key() -> None:
    box = still(balance=Decimal(5))
    answers = [post(box, "/v1/billing/topup", {"amount": 10.5, "currency": "EUR"}, key="k") for _ in range(2)]
    first = said(answers[0])
    assert answers[0].status == 200
    assert first == {
        "id": first["id"],
        "status": "succeeded",
        "amount": 10.5,
        "currency": "EUR",
        "payment_method_id": None,
        "balance": {"free": 15.5, "reserved": 0.0, "total": 15.5},
        "created_at": MOMENT,
    }
    assert answers[0].body == answers[1].body
    assert kinds(box) == [("topup", Decimal("10.5"))]
    assert done(box, billing.top_up(Decimal(10), payment_method_id=method(box))).status == "succeeded"
    assert box.balance.free == Decimal("25.5")


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["amount"]),
        ({"amount": 9.99}, ["amount"]),
        ({"amount": 10.001}, ["amount"]),
        ({"amount": "ten", "currency": "USD"}, ["amount"]),
        ({"amount": 10, "currency": "USD"}, ["currency"]),
        ({"amount": 1e300, "payment_method_id": ""}, ["amount", "payment_method_id"]),
        ({"amount": -10}, ["amount"]),
        ({"amount": True}, ["amount"]),
    ],
)
def test_the_problems_of_a_top_up_are_returned(body: object, fields: list[str]) -> None:
    box = still()
    assert fields_of(post(box, "/v1/billing/topup", body)) == fields
    assert kinds(box) == []


def test_the_balance_with_what_is_reserved_is_at_most_five_thousand() -> None:
    box = still(balance=Decimal(4990), prices=PRICES)
    assert send(box).status == 200
    refused = call(box, billing.top_up(Decimal("10.01")))
    assert isinstance(refused, Unprocessable)
    assert (refused.code, refused.details[0].field) == ("balance_limit_exceeded", "amount")
    assert done(box, billing.top_up(Decimal(10))).status == "succeeded"


def test_only_the_type_of_a_payment_method_is_shown() -> None:
    box = still()
    one = method(box, number="4111111111111111", holder="Ada")
    sepa = post(box, "/v1/billing/payment-methods", {"type": "sepa"})
    assert sepa.headers["location"] == "/v1/billing/payment-methods"
    assert said(get(box, "/v1/billing/payment-methods")) == {
        "payment_methods": [{"id": one, "type": "credit_card", "created_at": MOMENT}, said(sepa)]
    }
    for body in ({}, {"type": "cash"}, {"type": 1, "token": "x"}):
        assert fields_of(post(box, "/v1/billing/payment-methods", body)) == ["type"]


def test_a_top_up_by_an_unknown_or_failing_method_adds_nothing() -> None:
    box = still()
    declined = method(box, token="card_declined")
    assert isinstance(call(box, billing.top_up(Decimal(10), payment_method_id="pm_none")), NotFound)
    refused = call(box, billing.top_up(Decimal(10), payment_method_id=declined))
    assert isinstance(refused, Unprocessable)
    assert (refused.code, refused.extra) == ("payment_failed", {"failure_reason": "card_declined"})
    assert kinds(box) == []


def test_an_event_is_emitted_each_time_the_balance_falls_below_the_threshold() -> None:
    box = still(balance=Decimal(4), prices=PRICES)
    saved = done(box, billing.set_alert(Alert(low_balance_threshold=Decimal(3))))
    assert saved.extra == {"low_balance_threshold": 3.0}
    first, *_ = [said(send(box))["message_id"] for _ in range(3)]
    event = {"balance": {"free": 2.0, "reserved": 2.0, "total": 4.0}, "threshold": 3.0, "currency": "EUR"}
    assert emitted(box, "billing.balance_low") == [event]
    _ = done(box, billing.top_up(Decimal(10)))
    assert box.fail(first)
    assert len([send(box) for _ in range(10)]) == 10
    assert len(emitted(box, "billing.balance_low")) == 2
    assert fields_of(post(box, "/v1/billing/alerts", {"low_balance_threshold": -1}, method="PUT")) == [
        "low_balance_threshold"
    ]


def reloading(box: Sandbox, trigger: int = 3, amount: int = 10) -> AutoReload:
    setting = AutoReload(enabled=True, trigger_threshold=Decimal(trigger), reload_amount=Decimal(amount))
    assert done(box, billing.set_auto_reload(setting)).extra["enabled"] is True
    return setting


def test_the_auto_reload_is_off_until_it_is_set() -> None:
    box = still()
    off = {"enabled": False, "trigger_threshold": None, "reload_amount": None}
    assert said(get(box, "/v1/billing/auto-reload")) == off
    setting, found = reloading(box), done(box, billing.auto_reload())
    assert (found.enabled, found.trigger_threshold, found.reload_amount) == astuple(setting)
    assert said(get(box, "/v1/billing/auto-reload")) == {
        "enabled": True,
        "trigger_threshold": 3.0,
        "reload_amount": 10.0,
    }
    assert said(post(box, "/v1/billing/auto-reload", {"enabled": False}, method="PUT")) == off


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["enabled"]),
        ({"enabled": True}, ["trigger_threshold", "reload_amount"]),
        ({"enabled": True, "trigger_threshold": 1}, ["reload_amount"]),
        ({"enabled": True, "trigger_threshold": -1, "reload_amount": 9}, ["trigger_threshold", "reload_amount"]),
        ({"enabled": False, "amount": 1}, ["amount"]),
    ],
)
def test_the_problems_of_an_auto_reload_are_returned(body: object, fields: list[str]) -> None:
    assert fields_of(post(still(), "/v1/billing/auto-reload", body, method="PUT")) == fields


def test_a_hold_that_takes_the_balance_below_the_trigger_tops_it_up() -> None:
    box = still(balance=Decimal(4), prices=PRICES)
    _ = method(box), reloading(box)
    assert [said(send(box))["billing"]["balance"]["free"] for _ in range(2)] == [3.0, 12.0]
    assert emitted(box, "billing.auto_reload_success") == [
        {
            "amount_added": 10.0,
            "currency": "EUR",
            "balance": {"free": 12.0, "reserved": 2.0, "total": 14.0},
            "payment_method": "credit_card",
            "reloaded_at": MOMENT,
        }
    ]
    assert kinds(box) == [("topup", Decimal(10))]


def test_setting_an_auto_reload_on_a_low_balance_tops_it_up_at_once() -> None:
    box = still(balance=Decimal(1))
    _ = method(box), reloading(box)
    assert box.balance.free == 11


def test_the_balance_is_reloaded_three_times_a_day_at_most() -> None:
    box = still(balance=Decimal(5), prices=PriceList(basic_message=Decimal(10)))
    _ = method(box), reloading(box, trigger=20)
    assert [send(box).status for _ in range(4)] == [200, 200, 200, 402]
    assert len(emitted(box, "billing.auto_reload_success")) == 3
    box.top_up(Decimal(10))
    assert send(box).status == 200
    assert len(emitted(box, "billing.auto_reload_success")) == 3
    box.top_up(Decimal(10))
    assert send(box, now=NOW + DAY).status == 200
    assert len(emitted(box, "billing.auto_reload_success")) == 4


def test_a_reload_without_a_payment_method_fails_and_is_retried_once_a_day_later() -> None:
    box = still(balance=Decimal(2), prices=PRICES)
    _ = reloading(box)
    failed = {
        "attempted_amount": 10.0,
        "currency": "EUR",
        "failure_reason": "payment_method_missing",
        "balance": {"free": 2.0, "reserved": 0.0, "total": 2.0},
        "failed_at": MOMENT,
    }
    assert emitted(box, "billing.auto_reload_failed") == [failed]
    free = {"prices": PriceList(basic_message=Decimal(0))}
    box.account.state.prices = free["prices"]
    assert send(box).status == 200
    assert send(box, now=NOW + DAY - 1).status == 200
    assert len(emitted(box, "billing.auto_reload_failed")) == 1
    assert [send(box, now=NOW + days * DAY).status for days in (1, 2, 3)] == [200] * 3
    assert len(emitted(box, "billing.auto_reload_failed")) == 2
    _ = method(box)
    assert send(box, now=NOW + 3 * DAY).status == 200
    assert box.balance.free == 12


@pytest.mark.parametrize("reason", ["card_declined", "insufficient_funds", "payment_method_expired"])
def test_a_reload_with_a_failing_method_emits_the_reason(reason: str) -> None:
    box = still(balance=Decimal(2))
    _ = method(box), method(box, token=reason), reloading(box)
    assert [event["failure_reason"] for event in emitted(box, "billing.auto_reload_failed")] == [reason]
    _ = method(box), reloading(box)
    assert box.balance.free == 12


def test_a_reload_that_would_exceed_the_highest_balance_is_not_made() -> None:
    box = still(balance=Decimal(4995), prices=PRICES)
    _ = method(box), reloading(box, trigger=5000)
    assert send(box).status == 200
    assert emitted(box, "billing.auto_reload_success", "billing.auto_reload_failed") == []


def test_an_auto_reload_that_is_off_does_nothing() -> None:
    box = still(balance=Decimal(2), prices=PRICES)
    _ = method(box), done(box, billing.set_auto_reload(AutoReload(enabled=False, trigger_threshold=Decimal(9))))
    assert send(box).status == 200
    assert box.balance.free == 1


def test_a_refused_top_up_may_be_tried_again_under_its_key() -> None:
    box = still(balance=Decimal(4999))
    body = {"amount": 10}
    assert refusal(post(box, "/v1/billing/topup", body, key="k"))[0] == 422
    box.account.state.wallet.free = Decimal(0)
    assert post(box, "/v1/billing/topup", body, key="k").status == 200


_ACTS = st.sampled_from(["send", "deliver", "fail", "topup", "reload", "later"])


@given(st.lists(st.tuples(_ACTS, st.integers(0, 20)), max_size=40), st.booleans())
def test_the_ledger_and_the_holds_explain_the_balance(acts: list[tuple[str, int]], paying: bool) -> None:
    box = still(balance=Decimal(20), prices=PRICES)
    now = NOW
    if paying:
        _ = method(box)
    for act, number in acts:
        entries = box.messages
        chosen = entries[number % len(entries)].id if entries else "msg_none"
        match act:
            case "send":
                _ = send(box, now=now)
            case "deliver":
                _ = refused(box.deliver, chosen)
            case "fail":
                _ = refused(box.fail, chosen)
            case "topup":
                _ = post(box, "/v1/billing/topup", {"amount": 5 + number}, now=now)
            case "reload":
                _ = reloading(box, trigger=number)
            case _:
                now += number * 3600
        ledger = box.account.state.wallet.ledger
        sums = dict.fromkeys(("charge", "release", "topup", "credit"), Decimal(0))
        for at in range(len(ledger)):
            sums[ledger[at].type] += ledger[at].amount
        assert box.balance.total == 20 + sums["topup"] - sums["charge"]
        assert (box.balance.free or 0) >= 0
        assert sum(ledger.charged_by_month.values()) == sums["charge"]


def test_a_hold_that_is_not_covered_is_reloaded_for_on_a_new_day() -> None:
    box = still(balance=Decimal("0.5"), prices=PriceList(basic_message=Decimal(10)))
    _ = method(box), reloading(box, trigger=1)
    assert [send(box).status for _ in range(4)] == [200, 200, 200, 402]
    assert len(emitted(box, "billing.auto_reload_success")) == 3
    assert [send(box, now=NOW + 2 * DAY).status for _ in range(4)] == [200, 200, 200, 402]
    assert len(emitted(box, "billing.auto_reload_success")) == 6


@pytest.mark.parametrize("steps", [1, 100])
def test_a_failed_reload_is_retried_once_automatically(steps: int) -> None:
    clock = VirtualClock(NOW)
    box = still(balance=Decimal("0.5"), prices=PRICES, clock=clock)
    _ = method(box, token="card_declined"), reloading(box, trigger=5)
    assert [refusal(send(box))[0] for _ in range(3)] == [402] * 3
    due = box.due_at
    assert due == NOW + DAY
    for _ in range(steps):
        clock.advance(3 * DAY / steps)
        _ = box.balance
    assert [event["failed_at"] for event in emitted(box, "billing.auto_reload_failed")] == [
        MOMENT,
        "2026-05-05T00:00:00.000Z",
    ]
    assert refusal(send(box, now=clock.time()))[0] == 402
    assert box.due_at is None
    _ = method(box)
    assert send(box, now=clock.time()).status == 200


def test_a_retried_reload_may_succeed_and_one_whose_failure_was_reset_is_not_retried() -> None:
    clock = VirtualClock(NOW)
    box = still(balance=Decimal("0.5"), prices=PRICES, clock=clock)
    _ = reloading(box, trigger=5)
    clock.advance(DAY / 2)
    _ = method(box)
    clock.advance(DAY)
    assert (box.balance.free, len(box.events)) == (Decimal("0.5"), 1)
    _ = method(box, token="card_declined")
    assert refusal(send(box, now=clock.time()))[0] == 402
    clock.advance(DAY / 2)
    box.account.state.payments.methods.popitem()
    clock.advance(DAY)
    assert (box.balance.free, len(box.events)) == (Decimal("10.5"), 3)
