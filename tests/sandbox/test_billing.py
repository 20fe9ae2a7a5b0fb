"""Billing in the sandbox: transactions, usage, tiers and invoices."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msgapi import billing
from msgapi.sandbox import PriceList, Sandbox
from tests.support.sandbox_calls import done
from tests.support.sandbox_requests import NOW, TO, delete, email, fields_of, get, said, send, still, text

DAY = 86_400.0
PRICES = PriceList(basic_message=Decimal(1))
MOMENT = "2026-05-04T00:00:00.000Z"


def kinds(box: Sandbox) -> list[tuple[str | None, Decimal | None]]:
    return [(one.type, one.amount) for one in done(box, billing.transactions()).transactions]


def test_the_ledger_has_charges_releases_top_ups_and_credits_but_no_holds() -> None:
    box = still(balance=Decimal(50), prices=PRICES)
    paid, failed, revoked = (said(send(box))["message_id"] for _ in range(3))
    assert kinds(box) == []
    assert box.deliver(paid)
    assert box.fail(failed)
    assert delete(box, revoked).status == 200
    box.top_up(Decimal(7))
    _ = done(box, billing.top_up(Decimal(10)))
    names = ["topup", "credit", "release", "release", "charge"]
    page = said(get(box, "/v1/billing/transactions"))
    assert [one["type"] for one in page["transactions"]] == names
    assert page["next_cursor"] is None
    last = page["transactions"][-1]
    assert last == {**last, "amount": 1.0, "currency": "EUR", "message_id": paid}
    assert last["id"].startswith("txn_")


def test_a_message_that_costs_nothing_makes_no_transaction() -> None:
    box = still(prices=PriceList(basic_message=Decimal(0)))
    assert box.deliver(said(send(box))["message_id"])
    assert kinds(box) == []
    assert said(get(box, "/v1/billing/invoices")) == {"invoices": []}


@given(st.integers(0, 12), st.integers(1, 5))
def test_pages_of_transactions_contain_each_once_newest_first(count: int, limit: int) -> None:
    box = still()
    for number in range(count):
        _ = done(box, billing.top_up(Decimal(10 + number)), now=NOW + number)
    found: list[Decimal | None] = []
    cursor = None
    while True:
        page = done(box, billing.transactions(cursor=cursor, limit=limit))
        assert len(page.transactions) <= limit
        found += [one.amount for one in page.transactions]
        cursor = page.next_cursor
        if cursor is None:
            break
        assert len(page.transactions) == limit
    assert found == [Decimal(10 + number) for number in reversed(range(count))]


def test_transactions_can_be_limited_to_a_span_of_days() -> None:
    box = still()
    for number in range(4):
        _ = done(box, billing.top_up(Decimal(10 + number)), now=NOW + number * DAY)
    asked = billing.transactions(since=date(2026, 5, 5), until=date(2026, 5, 6))
    assert [one.amount for one in done(box, asked).transactions] == [12, 11]


@pytest.mark.parametrize(
    ("target", "field"),
    [
        ("transactions?limit=0", "limit"),
        ("transactions?limit=201", "limit"),
        ("transactions?limit=9999", "limit"),
        ("transactions?cursor=1", "cursor"),
        ("transactions?cursor=cur_x000000000000000", "cursor"),
        ("transactions?from=2026-05", "from"),
        ("transactions?to=2026-02-30", "to"),
        ("transactions?to=9999-12-31", "to"),
        ("transactions?offset=1", "offset"),
        ("transactions?limit=1&limit=2", "limit"),
        ("usage?month=2026-13", "month"),
        ("usage?month=0000-01", "month"),
        ("usage?month=9999-12", "month"),
        ("usage/detailed?group_by=recipient", "group_by"),
        ("usage/detailed?from=2026-05-05&to=2026-05-04", "to"),
        ("usage/detailed?from=0000-00-00", "from"),
        ("tier?channel=FAX", "channel"),
        (f"tier?{'&'.join('x' * 51)}", "query"),
    ],
)
def test_the_problems_of_a_query_are_returned(target: str, field: str) -> None:
    assert fields_of(get(still(), f"/v1/billing/{target}")) == [field]


def test_a_cursor_beyond_the_last_transaction_is_the_first_page() -> None:
    box = still()
    _ = done(box, billing.top_up(Decimal(10)))
    assert len(done(box, billing.transactions(cursor="cur_00000000ffffffff")).transactions) == 1


def spent(box: Sandbox) -> None:
    for body in (text(), text(content={"text": "x" * 161}), text(), email()):
        assert box.deliver(said(send(box, body))["message_id"])
    assert send(box, now=NOW + DAY).status == 200
    assert box.fail(said(send(box))["message_id"])
    assert delete(box, said(send(box))["message_id"]).status == 200
    assert send(box, now=NOW + 40 * DAY).status == 200
    _ = box.reply_from(TO, "ag_live_demo")


def test_the_usage_of_a_month_adds_up_what_was_sent_in_it() -> None:
    box = still(prices=PRICES)
    spent(box)
    usage = said(get(box, "/v1/billing/usage?month=2026-05"))
    assert usage == {
        "month": "2026-05",
        "currency": "EUR",
        "messages": 5,
        "amount": 2.115,
        "reserved": 1.0,
        "channels": [
            {
                "channel": "RCS",
                "messages": 4,
                "amount": 2.11,
                "reserved": 1.0,
                "units": {"basic_message": 3, "single_message": 1},
                "tier": {"channel": "RCS", "current": "tier_1", "volume_used": 6},
            },
            {
                "channel": "EMAIL",
                "messages": 1,
                "amount": 0.005,
                "reserved": 0.0,
                "units": {"basic_message": 1},
                "tier": {"channel": "EMAIL", "current": "tier_1", "volume_used": 1},
            },
        ],
    }
    assert done(box, billing.usage()).extra["messages"] == 5
    june = done(box, billing.usage("2026-06"))
    assert (june.month, june.extra["messages"]) == ("2026-06", 1)
    assert done(box, billing.usage(), now=NOW + 40 * DAY) == june
    assert done(box, billing.usage("2024-01")).extra["messages"] == 0


@pytest.mark.parametrize(
    ("group", "rows"),
    [
        ("", [("2026-05-04", 4), ("2026-05-05", 1)]),
        ("day", [("2026-05-04", 4), ("2026-05-05", 1)]),
        ("channel", [("RCS", 4), ("EMAIL", 1)]),
        ("message_type", [("MESSAGE", 5)]),
        ("unit", [("basic_message", 4), ("single_message", 1)]),
    ],
)
def test_detailed_usage_is_grouped(group: str, rows: list[tuple[str, int]]) -> None:
    box = still(prices=PRICES)
    spent(box)
    asked = billing.detailed_usage(since=date(2026, 5, 1), until=date(2026, 5, 31), group_by=group or None)
    extra: Any = done(box, asked).extra
    name = group or "day"
    assert (extra["group_by"], [(row[name], row["messages"]) for row in extra["rows"]]) == (name, rows)
    assert said(get(box, "/v1/billing/usage/detailed", now=NOW + DAY))["rows"][0]["messages"] == 4
    assert said(get(box, "/v1/billing/usage/detailed?from=2026-05-05&to=2026-05-05"))["rows"][0]["messages"] == 1


def test_the_tier_is_returned_for_one_channel_or_for_all() -> None:
    box = still()
    spent(box)
    rcs = {
        "channel": "RCS",
        "current": "tier_1",
        "volume_used": 6,
        "qualification_source": "volume",
        "months_below": 0,
    }
    assert said(get(box, "/v1/billing/tier?channel=RCS")) == rcs
    email_tier = {**rcs, "channel": "EMAIL", "volume_used": 1}
    assert said(get(box, "/v1/billing/tier")) == {"tiers": [rcs, email_tier]}
    assert done(box, billing.tier("EMAIL")).channel == "EMAIL"


def test_there_is_an_invoice_for_each_month_with_charges() -> None:
    box = still(prices=PRICES)
    for days in (0, 1, 40):
        one = said(send(box, now=NOW + days * DAY))["message_id"]
        box.account.state.wallet.charge(one, NOW + days * DAY)
    listed = said(get(box, "/v1/billing/invoices", now=NOW + 40 * DAY))["invoices"]
    assert listed == [
        {"id": "inv_2026-06", "month": "2026-06", "amount": 1.0, "currency": "EUR", "status": "open", "pdf_url": None},
        {"id": "inv_2026-05", "month": "2026-05", "amount": 2.0, "currency": "EUR", "status": "paid", "pdf_url": None},
    ]
    assert [one.amount for one in done(box, billing.invoices()).invoices] == [1, 2]
