"""billing: the balance, and the unit of each message."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, TypeVar, cast

import anyio.lowlevel
import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from msgapi import Balance, Call, Ok, Response, Result, ServerFault, Unreadable, billing, codec, messages, webhooks
from msgapi.decode import decode
from msgapi.messages import Card, Carousel, Email, Message, MessageType, Reply, RichCard, Text
from tests.support.call_bodies import answered, route, sent, wrong
from tests.support.strategies import JUNK, any_message

T = TypeVar("T")
CARD = Card(title="T")


def text(body: str = "Hi", *chips: Reply, kind: MessageType = "MESSAGE") -> Text:
    return Text(
        agent_id="a",
        to="+4915112345678",
        traffic_type="TRANSACTION",
        text=body,
        suggestions=chips,
        message_type=kind,
    )


def test_the_balance_is_asked_for() -> None:
    assert billing.balance() == Call("GET", "/v1/billing/balance", Balance)
    assert billing.balance().repeatable


def test_the_balance_is_read_as_decimals() -> None:
    found = codec.from_json(b'{"free":72.4,"reserved":2.6,"total":75}', billing.balance().returns)
    assert found == billing.Balance(free=Decimal("72.4"), reserved=Decimal("2.6"), total=Decimal(75))


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (text("x" * 160), "basic_message"),
        (text("\U0001f600" * 160), "basic_message"),
        (text("x" * 161), "single_message"),
        (text("x", Reply(text="y")), "single_message"),
        (RichCard(agent_id="a", to="+4915112345678", traffic_type="PROMOTION", card=CARD), "single_message"),
        (Carousel(agent_id="a", to="+4915112345678", traffic_type="PROMOTION", cards=(CARD, CARD)), "single_message"),
        (text(kind="CONVERSATION"), "conversation"),
        (text("x" * 161, kind="NEWSLETTER"), "mau"),
        (Email(channel_id="c", to="a@b.example", subject="s", text="x" * 161), "basic_message"),
        (Email(channel_id="c", to="a@b.example", template_id="t", message_type="NEWSLETTER"), "basic_message"),
    ],
)
def test_a_message_is_billed_by_the_unit_of_the_docs(message: Message, expected: str) -> None:
    assert billing.unit(message) == expected
    assert messages.unit is billing.unit


# The further routes.


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (billing.usage(), ("GET", "/v1/billing/usage")),
        (billing.usage("2026-05"), ("GET", "/v1/billing/usage?month=2026-05")),
        (
            billing.detailed_usage(since=date(2026, 5, 1), until=date(2026, 5, 31), group_by="channel"),
            ("GET", "/v1/billing/usage/detailed?from=2026-05-01&to=2026-05-31&group_by=channel"),
        ),
        (billing.tier(), ("GET", "/v1/billing/tier")),
        (billing.tier("RCS"), ("GET", "/v1/billing/tier?channel=RCS")),
        (billing.transactions(), ("GET", "/v1/billing/transactions")),
        (billing.transactions(cursor="a b", limit=9), ("GET", "/v1/billing/transactions?cursor=a%20b&limit=9")),
        (billing.invoices(), ("GET", "/v1/billing/invoices")),
        (billing.payment_methods(), ("GET", "/v1/billing/payment-methods")),
        (billing.auto_reload(), ("GET", "/v1/billing/auto-reload")),
    ],
)
def test_what_is_read_is_asked_for_by_its_route(call: Call[object], expected: tuple[str, str]) -> None:
    assert route(call) == expected
    assert call.repeatable


@pytest.mark.parametrize("month", ["2026-5", "2026-13", "05-2026", cast("str", 202605)])
def test_what_is_no_month_is_refused(month: str) -> None:
    assert set(wrong(billing.usage(month))) == {"month"}


def test_dates_have_no_time_in_them() -> None:
    now = datetime(2026, 5, 1, tzinfo=UTC)
    assert set(wrong(billing.detailed_usage(since=now, until=now))) == {"from", "to"}


def test_a_top_up_has_a_key_that_stays() -> None:
    call = billing.top_up(Decimal("50.25"), payment_method_id="pm_1")
    assert route(call) == ("POST", "/v1/billing/topup")
    assert sent(call) == {"amount": 50.25, "currency": "EUR", "payment_method_id": "pm_1"}
    assert call.idempotency_key
    assert call.repeatable
    assert billing.top_up(Decimal(10), idempotency_key="k").idempotency_key == "k"


@pytest.mark.parametrize(
    "amount",
    [Decimal("9.99"), Decimal("10.001"), Decimal("NaN"), Decimal("Infinity"), Decimal("1e30"), cast("Decimal", 10.0)],
)
def test_an_amount_that_cannot_be_topped_up_is_refused(amount: Decimal) -> None:
    assert set(wrong(billing.top_up(amount))) == {"amount"}


def test_settings_are_put() -> None:
    reload = billing.AutoReload(enabled=True, trigger_threshold=Decimal(5), reload_amount=Decimal(20))
    call = billing.set_auto_reload(reload)
    assert route(call) == ("PUT", "/v1/billing/auto-reload")
    assert sent(call) == {"enabled": True, "trigger_threshold": 5.0, "reload_amount": 20.0}
    told = {"enabled": True, "trigger_threshold": 5, "reload_amount": 20}
    assert answered(call, told).extra == told
    assert answered(billing.auto_reload(), told) == billing.AutoReloadSettings(
        enabled=True, trigger_threshold=Decimal(5), reload_amount=Decimal(20)
    )
    alert = billing.set_alert(billing.Alert(low_balance_threshold=Decimal(3)))
    assert (route(alert), sent(alert)) == (("PUT", "/v1/billing/alerts"), {"low_balance_threshold": 3.0})
    assert set(wrong(billing.set_alert(billing.Alert(low_balance_threshold=Decimal(-1))))) == {"low_balance_threshold"}


def test_a_payment_method_goes_out_as_it_is_given() -> None:
    call = billing.add_payment_method({"type": "sepa", "iban": "DE02"})
    assert (route(call), sent(call)) == (("POST", "/v1/billing/payment-methods"), {"type": "sepa", "iban": "DE02"})
    assert not call.repeatable
    assert set(wrong(billing.add_payment_method({"type": object()}))) == {"type"}
    assert "DE02" not in repr(answered(call, {"id": "pm_1", "iban": "DE02"}, 201))


def test_what_the_docs_do_not_show_is_kept() -> None:
    usage = answered(billing.usage(), {"month": "2026-05", "rcs": {"messages": 7}})
    assert (usage.month, usage.extra) == ("2026-05", {"rcs": {"messages": 7}})
    invoices = answered(billing.invoices(), [{"invoice_id": "in_1", "url": "https://pdf.example", "amount": "7.10"}])
    assert [(one.id, one.pdf_url, one.amount) for one in invoices.invoices] == [
        ("in_1", "https://pdf.example", Decimal("7.10"))
    ]
    assert answered(billing.payment_methods(), {"payment_methods": [{"id": "pm_1"}]}).payment_methods[0].id == "pm_1"


def test_what_was_kept_is_written_and_read_again_as_it_was() -> None:
    usage = answered(billing.usage(), {"month": "2026-05", "rcs": 7})
    assert codec.from_json(codec.to_json(usage), billing.UsageReport) == usage


async def pages_of(*bodies: object, pages: Callable[..., Any] = billing.pages, cut: bool = False) -> list[Result[Any]]:
    asked: list[str] = []

    async def api(call: Call[T], /) -> Result[T]:
        await anyio.lowlevel.checkpoint()
        asked.append(call.target)
        body = bodies[len(asked) - 1]
        return body if isinstance(body, ServerFault) else Ok(answered(call, body))

    found = [page async for page in pages(api, limit=2)]
    assert len(asked) == len(bodies)
    assert len(found) == len(bodies) + cut
    if cut:
        assert isinstance(found[-1], Unreadable)
        assert found[-1].code == "incomplete_list"
    return found


@pytest.mark.anyio
async def test_transactions_come_page_by_page_to_the_last() -> None:
    found = await pages_of({"transactions": [{"id": "t1"}], "next_cursor": "n"}, {"transactions": [], "cursor": None})
    assert all(isinstance(page, Ok) for page in found)


@pytest.mark.anyio
async def test_an_error_ends_the_pages_and_so_does_a_cursor_that_leads_back() -> None:
    fault = ServerFault(code="internal_error", message="no")
    assert await pages_of({"transactions": [], "next_cursor": "n"}, fault) == [
        Ok(billing.Transactions(transactions=(), next_cursor="n")),
        fault,
    ]
    again = {"transactions": [], "next_cursor": "n"}
    _ = await pages_of(again, again, cut=True)


@pytest.mark.anyio
async def test_three_pages_in_a_row_without_a_new_row_end_the_pages() -> None:
    one = {"transactions": [{"id": "t1"}], "next_cursor": "c0"}
    empty = [{"transactions": [], "next_cursor": f"c{turn}"} for turn in range(1, 9)]
    _ = await pages_of(*empty[:3], cut=True)
    _ = await pages_of(one, *empty[:3], cut=True)
    _ = await pages_of(*empty[:2], one, *empty[3:6], cut=True)
    _ = await pages_of(*({**one, "next_cursor": f"c{turn}"} for turn in range(4)), cut=True)
    _ = await pages_of(*empty[:2], {"transactions": []})
    odd = ({"transactions": [turn], "next_cursor": f"c{turn}"} for turn in range(9))
    _ = await pages_of(*odd, {"transactions": []})


@pytest.mark.anyio
@pytest.mark.parametrize(
    "more",
    [
        {"next": "p2"},
        {"next": "p2", "has_more": True},
        {"next_page_token": "p2"},
        {"nextToken": "p2"},
        {"after": "p2"},
        {"paging": {"cursors": {"after": "p2", "before": "p0"}}},
        {"paging": {"next": "p2"}},
        {"meta": {"pagination": {"next_cursor": "p2"}}},
        {"continuation_token": "p2"},
        {"next": "https://api.example/v1/billing/transactions?limit=2&cursor=p2"},
        {"links": {"next": "/v1/billing/transactions?after=p2"}},
        {"_links": {"next": {"href": "?page_token=p2"}}},
    ],
)
@pytest.mark.parametrize(
    ("pages", "array"),
    [(billing.pages, "transactions"), (billing.invoice_pages, "invoices"), (webhooks.pages, "webhooks")],
)
async def test_the_next_page_is_found_whatever_its_cursor_is_called(
    more: dict[str, object], pages: Callable[..., Any], array: str
) -> None:
    targets: list[str] = []

    async def api(call: Call[T], /) -> Result[T]:
        await anyio.lowlevel.checkpoint()
        targets.append(call.target)
        return Ok(answered(call, {array: [{"id": str(len(targets))}], **(more if len(targets) == 1 else {})}))

    assert len([page async for page in pages(api)]) == 2
    assert targets[1].endswith("?cursor=p2")


@pytest.mark.anyio
@pytest.mark.parametrize(
    "more",
    [
        {"has_more": True},
        {"meta": {"hasNextPage": True}},
        {"next": "https://api.example/v1/billing/transactions?page=2"},
        {"next": "https://[/"},
        {"page": 1, "next_page": 2},
        {"next_cursor": 5, "next": "?x=1"},
        {"next_cursor": None, "has_more": True},
    ],
)
async def test_a_list_whose_next_page_cannot_be_found_is_not_called_whole(more: dict[str, object]) -> None:
    _ = await pages_of({"transactions": [{"id": "t1"}], **more}, cut=True)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "more",
    [
        {"next": None},
        {"next": ""},
        {"next": "p2", "has_more": False},
        {"has_more": False, "next": "?x=1"},
        {"query": {"after": "2026-05-01", "limit": 2}},
        {"next_invoice_date": "2026-06-01"},
        {"previous": "p0", "total": 1},
    ],
)
async def test_a_list_that_ends_is_whole(more: dict[str, object]) -> None:
    (page,) = await pages_of({"transactions": [{"id": "t1"}], **more})
    assert isinstance(page, Ok)


# Estimates.

PRICES = billing.Prices(
    basic_message=Decimal("0.07"),
    single_message=Decimal("0.11"),
    conversation=Decimal("0.20"),
    mau=Decimal("0.30"),
    email=Decimal("0.01"),
)


def test_an_estimate_counts_units_and_adds_up_their_prices() -> None:
    mail = Email(channel_id="c", to="ada@shop.example", subject="S", text="T")
    found = billing.estimate([text(), text("x" * 161), text("x", Reply(text="Yes")), mail], PRICES)
    assert found == billing.Estimate(
        messages=4, units={"basic_message": 2, "single_message": 2}, amount=Decimal("0.30")
    )


def test_a_conversation_and_a_month_are_counted_once_for_each_recipient_and_agent() -> None:
    sends = [text(kind="CONVERSATION"), text(kind="CONVERSATION"), text(kind="NEWSLETTER"), text(kind="NEWSLETTER")]
    other = evolve(text(kind="NEWSLETTER"), agent_id="b")
    found = billing.estimate([*sends, other], PRICES)
    assert (found.messages, found.units, found.amount) == (5, {"conversation": 1, "mau": 2}, Decimal("0.80"))


WRONG: list[Any] = [None, 5, "x", evolve(text(), text=cast("str", None)), evolve(text(), suggestions=cast("Any", 7))]


@pytest.mark.parametrize("message", WRONG)
def test_what_will_be_refused_is_counted_at_most_as_a_message(message: Message) -> None:
    assert billing.unit(message) == "single_message"
    assert billing.estimate([message], PRICES).amount == Decimal("0.11")


def test_pairs_that_are_none_are_counted_each() -> None:
    none: Any = []
    for bad in (evolve(text(kind="CONVERSATION"), agent_id=none), evolve(text(kind="NEWSLETTER"), to=none)):
        assert billing.estimate([bad, bad], PRICES).messages == 2
        assert sum(billing.estimate([bad, bad], PRICES).units.values()) == 2


@settings(max_examples=30)
@given(st.lists(st.one_of(any_message(), JUNK), max_size=5))
def test_an_estimate_never_raises(sends: list[Any]) -> None:
    found = billing.estimate(sends, PRICES)
    assert found.messages == len(sends)


def test_what_the_free_balance_covers_is_no_shortage() -> None:
    found = billing.estimate([text()] * 10, PRICES)
    assert billing.shortage(found, Balance(free=Decimal("0.70"))) is None
    assert billing.shortage(billing.estimate([], PRICES), Balance(free=Decimal(0))) is None
    assert billing.shortage(billing.estimate([], PRICES), Balance()) is None


def test_a_balance_that_is_not_told_is_neither_enough_nor_a_shortage() -> None:
    found = billing.estimate([text()] * 10, PRICES)
    assert billing.shortage(found, Balance()) == billing.BalanceUnknown(estimate=found)


@given(st.integers(1, 200), st.decimals(-5, 20, places=2))
def test_a_shortage_tells_what_is_missing_and_how_far_it_goes(number: int, free: Decimal) -> None:
    found = billing.estimate([text()] * number, PRICES)
    short = billing.shortage(found, Balance(free=free))
    assert (short is None) == (found.amount <= free)
    assert not isinstance(short, billing.BalanceUnknown)
    if short is not None:
        assert short.missing == found.amount - free
        assert short.covered == max(0, int(free / Decimal("0.07")))


@pytest.mark.parametrize("price", [Decimal("NaN"), Decimal("Infinity"), Decimal(-1), Decimal("1e12"), 0.07])
def test_a_price_that_is_none_is_a_mistake_that_is_named(price: Any) -> None:  # noqa: ANN401 - from an untyped caller
    with pytest.raises(ValueError, match="email must be a Decimal of EUR"):
        _ = evolve(PRICES, email=price)


def test_nothing_that_is_owed_is_covered_by_a_balance_below_nothing() -> None:
    assert billing.shortage(billing.Estimate(), Balance(free=Decimal(-1))) is None


@pytest.mark.parametrize("body", [b"", b"{}"])
@pytest.mark.parametrize("status", [200, 202, 204])
def test_a_write_that_is_answered_with_nothing_was_done(status: int, body: bytes) -> None:
    reload = billing.set_auto_reload(billing.AutoReload(enabled=False))
    alert = billing.set_alert(billing.Alert(low_balance_threshold=Decimal(1)))
    for call in (reload, alert):
        result = decode(call, Response(status, {}, body))
        assert isinstance(result, Ok)
        assert result.value == billing.SettingSaved()


def test_a_read_that_is_answered_with_nothing_is_unreadable() -> None:
    assert isinstance(decode(billing.balance(), Response(204, {})), Unreadable)


def test_the_only_array_of_an_answer_is_taken_for_the_one_that_was_asked_for() -> None:
    page = answered(billing.transactions(), {"data": [{"id": "t1"}], "cursor": "n"})
    assert ([one.id for one in page.transactions], page.next_cursor, page.extra) == (["t1"], "n", {})


@pytest.mark.parametrize(
    ("body", "ids"),
    [
        ({"items": [], "links": []}, []),
        ({"items": [], "links": [{"rel": "next"}]}, []),
        ({"links": [], "entries": [{"id": "t1"}]}, ["t1"]),
        ({"warnings": ["x"], "entries": [{"id": "t1"}]}, ["t1"]),
        ({"a": [], "b": []}, []),
    ],
)
def test_of_several_arrays_the_one_that_can_be_meant_is_taken(body: object, ids: list[str]) -> None:
    assert [one.id for one in answered(billing.transactions(), body).transactions] == ids


@pytest.mark.parametrize("body", [b'{"a": [{}], "b": [{}]}', b'{"a": ["x"], "b": [1]}', b'{"a": 1}'])
def test_arrays_that_could_all_be_meant_are_unreadable(body: bytes) -> None:
    assert isinstance(decode(billing.transactions(), Response(200, {}, body)), Unreadable)


@pytest.mark.parametrize(
    "more",
    [
        {"nextCursor": "c2"},
        {"cursor": "c2"},
        {"pagination": {"next_cursor": "c2", "previous_cursor": "c0"}},
        {"page_info": {"startCursor": "c0", "endCursor": "c2"}, "total": 9},
        {"meta": {"cursor": "c1"}, "next_page_cursor": "c2"},
    ],
)
@pytest.mark.parametrize("call", [billing.transactions(), billing.invoices(), webhooks.list()])
def test_a_cursor_is_found_whatever_it_is_called(call: Call[Any], more: dict[str, object]) -> None:
    page = answered(call, {"items": [], **more})
    assert page.next_cursor == "c2"
    assert set(page.extra) == {name for name, part in more.items() if part != "c2"}
    assert codec.from_json(codec.to_json(page), type(page)) == page


@pytest.mark.parametrize(
    "more",
    [
        {"cursor": "self", "next_cursor": None},
        {"cursor": "c9", "has_more": False},
        {"next_cursor": "c9", "has_more": False},
        {"page_info": {"end_cursor": "c9", "hasNextPage": False}},
    ],
)
def test_a_page_that_says_that_it_is_the_last_is_the_last(more: dict[str, object]) -> None:
    assert not answered(billing.transactions(), {"transactions": [], **more}).next_cursor


@pytest.mark.parametrize(
    "more", [{"cursors": {"before": "a", "after": "b"}}, {"cursor": {"next": "b"}, "hasMore": True}]
)
def test_a_cursor_in_an_object_of_cursors_is_found(more: dict[str, object]) -> None:
    assert answered(billing.transactions(), {"transactions": [], **more}).next_cursor == "b"


@pytest.mark.parametrize("more", [{"prev_cursor": "c0"}, {"next_cursor": None}, {"next_cursor": ""}, {"cursor": 7}, {}])
def test_the_last_page_has_no_cursor(more: dict[str, object]) -> None:
    assert not answered(billing.transactions(), {"items": [], **more}).next_cursor


def test_what_is_not_of_the_form_that_we_guessed_is_kept_as_it_came() -> None:
    told = {"transactions": [{"id": 17, "amount": "much", "currency": "EUR", "created_at": "yesterday"}]}
    (found,) = answered(billing.transactions(), told).transactions
    assert found == billing.Transaction(currency="EUR", extra={"id": 17, "amount": "much", "created_at": "yesterday"})
    assert answered(billing.usage(), {"month": 5, "x": 1}).extra == {"x": 1, "month": 5}


def test_how_the_balance_is_topped_up_is_read_as_far_as_it_is_told() -> None:
    found = answered(billing.auto_reload(), {"trigger_threshold": 5, "payment_method_id": "pm_1"})
    assert (found.enabled, found.trigger_threshold) == (None, Decimal(5))
    assert found.extra == {"payment_method_id": "pm_1"}


def test_the_limit_of_a_page_of_transactions_is_for_the_service_to_say() -> None:
    assert route(billing.transactions(limit=500)) == ("GET", "/v1/billing/transactions?limit=500")
    assert set(wrong(billing.transactions(limit=0))) == {"limit"}


def test_invoices_are_asked_for_by_page_too() -> None:
    assert route(billing.invoices(cursor="c 2", limit=5)) == ("GET", "/v1/billing/invoices?cursor=c%202&limit=5")
    assert set(wrong(billing.invoices(cursor="", limit=0))) == {"cursor", "limit"}


@pytest.mark.anyio
async def test_invoices_come_page_by_page_to_the_last() -> None:
    found = await pages_of(
        {"invoices": [{"id": "i1"}], "next_cursor": "n"}, {"invoices": [{"id": "i2"}]}, pages=billing.invoice_pages
    )
    assert [one.id for page in found if isinstance(page, Ok) for one in page.value.invoices] == ["i1", "i2"]
