"""Iterating over the items of paged lists: each item once, an error that the caller sees, and no row that is lost."""

from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any, assert_type, get_args

import orjson
import pytest

from msgapi import ApiError, Call, Caller, NotSent, Response, Unreadable, billing, messages, webhooks
from msgapi.calls import T
from msgapi.decode import decode
from msgapi.results import Result
from msgapi.schema.cursor_pages import INCOMPLETE, UNREADABLE_ROW

pytestmark = pytest.mark.anyio
LOST = NotSent("no route")


class Pages:
    """A caller that answers with one page after another, and then with the last result for ever."""

    def __init__(self, *pages: dict[str, object] | ApiError) -> None:
        self.pages, self.calls = [*pages], list[Call[Any]]()

    async def __call__(self, call: Call[T], /) -> Result[T]:
        self.calls.append(call)
        page = self.pages.pop(0) if len(self.pages) > 1 else self.pages[0]
        return decode(call, Response(200, {}, orjson.dumps(page))) if isinstance(page, dict) else page


def rows(*ids: str) -> list[dict[str, str]]:
    return [{"id": one} for one in ids]


def log(*ids: str) -> dict[str, object]:
    return {"messages": rows(*ids)}


def shown(item: object) -> object:
    return item.code if isinstance(item, get_args(ApiError)) else item.id  # type: ignore[attr-defined]


async def items(api: Caller, iterate: Callable[..., AsyncGenerator[Any, None]], **options: object) -> list[object]:
    return [item async for item in iterate(api, **options)]


async def test_each_message_is_yielded_once_and_the_end_without_an_error_is_the_end_of_the_log() -> None:
    api = Pages(log("m1", "m2"), log("m2", "m3"), log())
    found = await items(api, messages.iterate, limit=2, status="SENT")
    assert [shown(one) for one in found] == ["m1", "m2", "m3"]
    assert all(("status", "SENT") in call.query and ("limit", "2") in call.query for call in api.calls)


@pytest.mark.parametrize("before", [0, 1])
async def test_an_error_is_the_last_item(before: int) -> None:
    found = await items(Pages(*[log("m1")] * before, LOST), messages.iterate)
    assert found[before:] == [LOST]
    assert [shown(one) for one in found[:before]] == ["m1"] * before


async def test_a_list_that_may_not_be_whole_ends_in_an_error() -> None:
    found = await items(Pages({"webhooks": rows("w1"), "has_more": True}), webhooks.iterate)
    assert [shown(one) for one in found] == ["w1", INCOMPLETE]


async def test_a_row_that_cannot_be_read_is_yielded_in_its_place_and_the_others_go_on() -> None:
    first: dict[str, object] = {"messages": [*rows("m1"), {"id": None, "text": "x"}, 5, *rows("m2")]}
    found = await items(Pages(first, log("m3"), log()), messages.iterate)
    assert [shown(one) for one in found] == ["m1", "m2", UNREADABLE_ROW, UNREADABLE_ROW, "m3"]
    odd = [one for one in found if isinstance(one, Unreadable)]
    assert [one.extra for one in odd] == [{"id": None, "text": "x"}, {"row": 5}]
    assert odd[0].problems == ("one row is not of the expected form @ $.messages",)
    assert odd[0].meta.status == 200


@pytest.mark.parametrize(
    ("iterate", "array", "options"),
    [
        (webhooks.iterate, "webhooks", {"limit": 1}),
        (billing.iterate, "transactions", {"limit": 1}),
        (billing.iterate_invoices, "invoices", {"limit": 1}),
    ],
)
async def test_pages_with_cursors_are_followed(
    iterate: Callable[..., AsyncGenerator[Any, None]], array: str, options: dict[str, object]
) -> None:
    api = Pages({array: rows("a", "b"), "next_cursor": "c2"}, {array: rows("c")})
    found = await items(api, iterate, **options)
    assert [shown(one) for one in found] == ["a", "b", "c"]
    assert [dict(call.query) for call in api.calls] == [{"limit": "1"}, {"limit": "1", "cursor": "c2"}]


@pytest.mark.parametrize(
    ("iterate", "array"),
    [
        (messages.iterate, "messages"),
        (webhooks.iterate, "webhooks"),
        (billing.iterate, "transactions"),
        (billing.iterate_invoices, "invoices"),
    ],
)
async def test_a_loop_that_ends_early_requests_no_further_page_and_leaves_nothing_open(
    iterate: Callable[..., AsyncGenerator[Any, None]], array: str
) -> None:
    api = Pages({array: rows("a", "b"), "next_cursor": "c"}, {array: rows("c")})
    iterator = iterate(api)
    assert shown(await anext(iterator)) == "a"
    await iterator.aclose()
    assert len(api.calls) == 1


async def test_the_types_of_an_item_can_be_matched_to_their_end() -> None:
    found: Sequence[str] = []
    async for item in messages.iterate(Pages(log("m1"), LOST)):
        assert_type(item, messages.MessageRecord | ApiError)
        match item:
            case messages.MessageRecord():
                found = [*found, item.id]
            case Unreadable() | NotSent():
                found = [*found, item.code]
            case error:
                assert isinstance(error, get_args(ApiError))
    assert found == ["m1", "not_sent"]
