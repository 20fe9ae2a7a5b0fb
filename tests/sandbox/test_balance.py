"""Money in the sandbox: prices, holds, sessions, newsletters, and an insufficient balance."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msgapi.sandbox import Campaign, PriceList, Sandbox
from tests.support.sandbox_requests import (
    NOW,
    TO,
    delete,
    email,
    get,
    refusal,
    refused,
    said,
    send,
    still,
    subscribe,
    text,
)

DAY = 86_400.0
CARD = {"rich_card": {"standalone": {"orientation": "VERTICAL", "content": {"title": "Hello"}}}}


def conversation(**fields: object) -> dict[str, object]:
    return text(message_type="CONVERSATION", **fields)


def newsletter(**fields: object) -> dict[str, object]:
    return text(message_type="NEWSLETTER", traffic_type="PROMOTION", **fields)


def charged(box: Sandbox, body: dict[str, object], *, now: float = NOW) -> dict[str, object]:
    billing: dict[str, object] = said(send(box, body, now=now))["billing"]
    return {name: part for name, part in billing.items() if name not in {"balance", "tier", "channel"}}


def figures(box: Sandbox) -> tuple[Decimal | None, Decimal | None]:
    assert (box.balance.free or Decimal(0)) + (box.balance.reserved or Decimal(0)) == box.balance.total
    return box.balance.free, box.balance.reserved


@pytest.mark.parametrize(
    ("body", "unit", "price"),
    [
        (text(content={"text": "x" * 160}), "basic_message", 0.07),
        (text(content={"text": "x" * 161}), "single_message", 0.11),
        (text(content=CARD), "single_message", 0.11),
        (email(), "basic_message", 0.005),
        (email(message_type="NEWSLETTER"), "basic_message", 0.005),
    ],
)
def test_a_message_holds_the_price_of_its_unit(body: dict[str, object], unit: str, price: float) -> None:
    box = still()
    _ = subscribe(box, "ada@shop.example")
    assert charged(box, body) == {"message_type": unit, "hold_amount": price, "message_price": price}
    assert float(box.balance.reserved or 0) == price


def test_the_balance_can_be_used_up_exactly() -> None:
    box = still(balance=Decimal("0.22"), prices=PriceList(basic_message=Decimal("0.11")))
    assert [send(box).status for _ in range(2)] == [200, 200]
    answer = send(box)
    assert figures(box) == (Decimal(0), Decimal("0.22"))
    assert said(answer) == {
        "error": "insufficient_balance",
        "message": "The free balance does not cover this message.",
        "details": [],
        "balance": {"free": 0.0, "reserved": 0.22, "total": 0.22},
        "required_amount": 0.11,
        "topup_url": "https://app.arowana.app/billing",
    }
    box.top_up(Decimal("0.11"))
    assert send(box).status == 200


NO_MONEY = ("-1", "-1e999", "0.00001", "1e-9999999", "1000000000", "1e30", "1e999", "NaN", "sNaN", "Infinity")


@pytest.mark.parametrize("amount", [*map(Decimal, NO_MONEY), 1.5, 1, "1", None], ids=str)
def test_an_invalid_amount_is_refused(amount: Any) -> None:  # noqa: ANN401 - what must not be one
    with pytest.raises(ValueError, match="EUR"):
        _ = still(balance=amount)
    with pytest.raises(ValueError, match="EUR"):
        _ = PriceList(email=amount)
    with pytest.raises(ValueError, match="EUR"):
        still().top_up(amount)
    with pytest.raises(ValueError, match="EUR"):
        _ = Campaign(campaign_id="x", price=amount)


@pytest.mark.parametrize("amount", ["0", "-0", "0.0001", "0.10000", "1e3", "999999999.9999"])
def test_an_amount_of_four_decimal_places_is_accepted_in_any_notation(amount: str) -> None:
    assert still(balance=Decimal(amount)).balance.free == Decimal(amount)


def test_a_delivered_message_is_charged_and_a_failed_or_revoked_one_is_not() -> None:
    box = still(balance=Decimal(1))
    paid, failed, revoked = (said(send(box))["message_id"] for _ in range(3))
    assert figures(box) == (Decimal("0.79"), Decimal("0.21"))
    assert box.deliver(paid)
    assert figures(box) == (Decimal("0.79"), Decimal("0.14"))
    assert box.fail(failed)
    assert figures(box) == (Decimal("0.86"), Decimal("0.07"))
    assert delete(box, revoked).status == 200
    assert figures(box) == (Decimal("0.93"), Decimal(0))
    assert all(refused(act, one) for act in (box.deliver, box.fail) for one in (paid, failed, revoked, "msg_none"))
    assert said(get(box, "/v1/billing/balance")) == {"free": 0.93, "reserved": 0.0, "total": 0.93}


def opened(box: Sandbox, at: float) -> None:
    _ = box.account.state.sessions.open_or_extend(("ag_live_demo", TO), at)


def test_a_conversation_needs_an_open_session() -> None:
    box = still()
    opened(box, NOW)
    assert refusal(send(box, conversation(to="+4915100000000"))) == (422, "no_active_session")
    assert refusal(send(box, conversation(agent_id="ag_live_shop"))) == (422, "no_active_session")
    assert send(box, conversation(), now=NOW + DAY - 1).status == 200
    assert refusal(send(box, conversation(), now=NOW + DAY)) == (422, "no_active_session")


def test_a_users_reply_by_the_sandboxs_clock_opens_the_session() -> None:
    box = still()
    box.reply_from(TO, "ag_live_demo")
    assert send(box, conversation(), now=box.clock.time()).status == 200


def test_the_first_message_of_a_session_holds_its_price_and_the_next_are_free() -> None:
    box = still()
    opened(box, NOW)
    first = {"message_type": "conversation", "hold_amount": 0.16, "message_price": 0.16, "in_session": True}
    free = {**first, "hold_amount": 0.0, "message_price": 0.0}
    assert [charged(box, conversation()) for _ in range(3)] == [first, free, free]
    opened(box, NOW + DAY - 1)
    assert charged(box, conversation(), now=NOW + DAY) == free
    opened(box, NOW + 3 * DAY)
    assert charged(box, conversation(), now=NOW + 3 * DAY) == first
    assert figures(box)[1] == Decimal("0.32")


def test_a_session_whose_paying_message_was_revoked_is_paid_by_the_next() -> None:
    box = still()
    opened(box, NOW)
    first = said(send(box, conversation()))["message_id"]
    second = said(send(box, conversation()))["message_id"]
    assert delete(box, second).status == 200
    assert charged(box, conversation())["hold_amount"] == 0
    assert delete(box, first).status == 200
    assert charged(box, conversation())["hold_amount"] == 0.16
    assert figures(box)[1] == Decimal("0.16")


def test_a_newsletter_is_charged_once_a_month_for_each_recipient_and_agent() -> None:
    box = still()
    _ = [subscribe(box, to) for to in (TO, "+4915100000000")]
    first = {"message_type": "mau", "hold_amount": 0.35, "message_price": 0.35, "mau_charged": True}
    later = {**first, "hold_amount": 0.0, "message_price": 0.0, "mau_charged": False}
    assert charged(box, newsletter()) == first
    assert charged(box, newsletter(), now=NOW + DAY) == later
    assert charged(box, newsletter(to="+4915100000000"), now=NOW + DAY) == first
    assert charged(box, newsletter(), now=NOW + 27.9 * DAY) == later
    assert charged(box, newsletter(), now=NOW + 28 * DAY) == first


def test_a_second_newsletter_on_one_day_is_refused_until_midnight() -> None:
    box = still()
    _ = subscribe(box)
    assert send(box, newsletter(), now=NOW + 3600).status == 200
    answer = send(box, newsletter(), now=NOW + DAY - 0.5)
    assert refusal(answer) == (429, "newsletter_daily_cap")
    assert said(answer)["retry_after"] == 0.5
    assert answer.headers["x-ratelimit-remaining"] != "0"
    assert send(box, newsletter(), now=NOW + DAY).status == 200


def test_a_newsletter_that_was_revoked_frees_its_day_and_its_month() -> None:
    box = still()
    _ = subscribe(box)
    first = said(send(box, newsletter()))["message_id"]
    second = said(send(box, newsletter(), now=NOW + DAY))["message_id"]
    assert delete(box, second).status == 200
    assert charged(box, newsletter(), now=NOW + DAY)["mau_charged"] is False
    assert delete(box, first).status == 200
    assert refusal(send(box, newsletter(), now=NOW + DAY)) == (429, "newsletter_daily_cap")
    assert charged(box, newsletter(), now=NOW + 2 * DAY)["mau_charged"] is True


def test_the_tier_counts_the_messages_of_the_month_on_each_channel() -> None:
    box = still()
    _ = subscribe(box)

    def used(body: dict[str, object], now: float) -> int:
        return int(said(send(box, body, now=now))["billing"]["tier"]["volume_used"])

    assert [used(text(), NOW), used(text(), NOW), used(email(), NOW), used(newsletter(), NOW)] == [1, 2, 1, 3]
    assert [used(newsletter(), NOW + DAY), used(text(), NOW + 28 * DAY)] == [3, 1]


def test_a_subscriber_counts_once_a_month_even_if_newsletters_are_revoked() -> None:
    box = still()
    _ = subscribe(box)
    used = []
    for now in (NOW, NOW, NOW + DAY, NOW + 28 * DAY):
        answer = said(send(box, newsletter(), now=now))
        assert answer["billing"]["mau_charged"] is True
        used.append(answer["billing"]["tier"]["volume_used"])
        assert delete(box, answer["message_id"], now=now).status == 200
    assert used == [1, 1, 1, 1]


def _step(box: Sandbox, kind: str, to: str, number: int, now: float) -> None:
    ids = [entry.id for entry in box.messages] or ["msg_none"]
    chosen = ids[number % len(ids)]
    sends: dict[str, Callable[..., dict[str, object]]] = {
        "text": text,
        "conversation": conversation,
        "newsletter": newsletter,
    }
    if kind in sends:
        _ = send(box, sends[kind](to=to), key=f"k{number % 7}" if number % 2 else None, now=now)
    elif kind == "reply":
        _ = box.account.state.sessions.open_or_extend(("ag_live_demo", to), now)
    elif kind == "revoke":
        _ = delete(box, chosen, now=now)
    else:
        _ = refused(box.deliver if kind == "deliver" else box.fail, chosen)


_KINDS = st.sampled_from(["text", "conversation", "newsletter", "reply", "revoke", "deliver", "fail"])
_TO = (TO, "+4915100000000", "+447700900402", "+447700900600", "+447700900501")
_NUMBERS = st.sampled_from(_TO)


@given(
    st.integers(0, 300).map(lambda cents: Decimal(cents) / 100),
    st.lists(st.tuples(_KINDS, _NUMBERS, st.integers(0, 50), st.sampled_from([0.0, 60.0, DAY])), max_size=40),
    st.sampled_from([0.0, 0.3]),
)
def test_the_sum_of_money_is_constant_and_never_negative(
    balance: Decimal, steps: list[tuple[str, str, int, float]], faults: float
) -> None:
    box = still(balance=balance, faults=faults)
    now = NOW
    if not faults:
        _ = [subscribe(box, to) for to in _TO]
    for kind, to, number, later in steps:
        now += later
        _step(box, kind, to, number, now)
        entries = box.messages
        held = sum(entry.hold for entry in entries if entry.status in {"QUEUED", "SENT"})
        spent = sum(entry.hold for entry in entries if entry.status == "DELIVERED")
        free, reserved = figures(box)
        assert free is not None
        assert free >= 0
        assert reserved == held
        assert free == balance - held - spent
        assert len({entry.idempotency_key for entry in entries if entry.idempotency_key}) <= 7
