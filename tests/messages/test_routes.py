"""messages.calls: the calls that send, list, read and revoke."""

import re
from collections.abc import Mapping
from datetime import date, datetime, timedelta, timezone
from typing import Any, TypeVar, cast
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msgapi import Call, Caller, Ok, Result, ServerFault, Unreadable, messages
from msgapi.messages import Accepted, Email, Filters, Message, MessageRecord, Page, Reply, Revoked, Text
from tests.support.call_bodies import answered
from tests.support.strategies import JUNK, MESSAGES

T = TypeVar("T")
TEXT = Text(agent_id="ag_live_demo", to="+4915112345678", traffic_type="TRANSACTION", text="Hi")


def fields_of(call: Call[Any]) -> list[str]:
    assert call.invalid is not None
    assert call.body is None
    return [detail.field for detail in call.invalid.details]


def test_sending_fixes_the_body_and_a_fresh_key() -> None:
    call = messages.send(TEXT)
    assert (call.method, call.path, call.query, call.returns) == ("POST", "/v1/messages", (), Accepted)
    assert call.body == (
        b'{"agent_id":"ag_live_demo","to":"+4915112345678","traffic_type":"TRANSACTION",'
        b'"content":{"text":"Hi"},"message_type":"MESSAGE"}'
    )
    assert UUID(call.idempotency_key).version == 4
    assert messages.send(TEXT).idempotency_key != call.idempotency_key
    assert call.repeatable


def test_sending_uses_the_given_key() -> None:
    assert messages.send(TEXT, idempotency_key="batch-7/1").idempotency_key == "batch-7/1"


def test_a_message_that_is_not_valid_is_an_invalid_call() -> None:
    call = messages.send(cast("Message", Text(agent_id="", to="+1", traffic_type="TRANSACTION", text="")))
    assert fields_of(call) == ["agent_id", "to", "content.text"]
    assert call.invalid is not None
    assert call.invalid.code == "validation_error"
    assert call.invalid.message == (
        "agent_id must not be empty; "
        "to must be a phone number in E.164: + and 7 to 15 digits, the first not 0; "
        "content.text must not be empty"
    )
    assert not call.invalid.may_have_happened
    assert UUID(call.idempotency_key).version == 4


@pytest.mark.parametrize("key", ["", "a b", "a\r\nX: y", 5, ["k"]])
def test_a_key_that_does_not_fit_into_a_header_is_an_invalid_call(key: Any) -> None:  # noqa: ANN401 - untyped caller
    call = messages.send(TEXT, idempotency_key=key)
    assert fields_of(call) == ["idempotency_key"]
    assert call.idempotency_key is None


@pytest.mark.parametrize(
    ("call", "method", "returns"),
    [(messages.get("a/b?c#ä"), "GET", MessageRecord), (messages.revoke("a/b?c#ä"), "DELETE", Revoked)],
)
def test_an_id_is_quoted_into_one_segment_of_the_path(call: Call[Any], method: str, returns: type) -> None:
    assert call == Call(method, "/v1/messages/a%2Fb%3Fc%23%C3%A4", returns)
    assert call.repeatable is (method == "GET")


@pytest.mark.parametrize("name", ["", ".", "..", "\ud800", None, 5, b"msg", ["."]])
def test_an_id_that_is_not_a_path_segment_is_an_invalid_call(name: Any) -> None:  # noqa: ANN401 - from an untyped caller
    assert fields_of(messages.get(name)) == ["message_id"]
    assert fields_of(messages.revoke(name)) == ["message_id"]
    assert "messages" in messages.get(name).endpoint_class


def test_a_page_without_filters_has_only_limit_and_offset() -> None:
    assert messages.list() == Call("GET", "/v1/messages", Page, (("limit", "50"), ("offset", "0")))


def test_every_filter_goes_into_the_query() -> None:
    call = messages.list(
        limit=200,
        offset=7,
        direction="INBOUND",
        status="BOUNCED",
        channel_id="ch_1",
        contact_id="c_1",
        campaign_id="x",
        message_type="NEWSLETTER",
        since=date(2026, 5, 4),
        until=datetime(2026, 5, 5, 2, 30, tzinfo=timezone(timedelta(hours=2))),
    )
    assert dict(call.query) == {
        "limit": "200",
        "offset": "7",
        "direction": "INBOUND",
        "status": "BOUNCED",
        "channel_id": "ch_1",
        "contact_id": "c_1",
        "campaign_id": "x",
        "message_type": "NEWSLETTER",
        "from": "2026-05-04",
        "to": "2026-05-05T00:30:00Z",
    }
    assert call.target.endswith("from=2026-05-04&to=2026-05-05T00%3A30%3A00Z")


@pytest.mark.parametrize(
    ("name", "value", "field"),
    [
        ("limit", 0, "limit"),
        ("limit", 201, "limit"),
        ("limit", True, "limit"),
        ("limit", "5", "limit"),
        ("offset", -1, "offset"),
        ("offset", 2**63, "offset"),
        ("direction", "inbound", "direction"),
        ("status", "queued", "status"),
        ("status", ["QUEUED"], "status"),
        ("channel_id", "", "channel_id"),
        ("contact_id", 5, "contact_id"),
        ("campaign_id", "\ud800", "campaign_id"),
        ("message_type", "SMS", "message_type"),
        ("since", datetime(2026, 5, 4), "from"),  # noqa: DTZ001 - that is what is wrong with it
        ("until", "2026-05-04", "to"),
        ("until", datetime.max.replace(tzinfo=timezone(timedelta(hours=-9))), "to"),
    ],
)
def test_a_filter_that_is_not_valid_is_an_invalid_call(name: str, value: object, field: str) -> None:
    assert fields_of(messages.list(**cast("Any", {name: value}))) == [field]


@given(st.dictionaries(st.sampled_from([*Filters.__annotations__, "limit", "offset"]), JUNK))
def test_listing_never_raises(filters: Mapping[str, Any]) -> None:
    call = messages.list(**filters)
    given = any(value is not None for value in {"limit": 50, "offset": 0, **filters}.values())
    assert bool(call.query) == (call.invalid is None and given)
    assert call.target


class Log:
    """A log of *length* messages, which fails at the page with number *fails*."""

    def __init__(self, length: int, fails: int | None = None, *, most: int = 200, deaf: bool = False) -> None:
        self.length = length
        self.most = most
        self.deaf = deaf
        self.fails = fails
        self.asked: list[dict[str, str]] = []

    async def __call__(self, call: Call[T], /) -> Result[T]:
        self.asked.append(dict(call.query))
        if len(self.asked) == self.fails:
            return ServerFault()
        if call.invalid is not None:
            return call.invalid
        first, limit = int(dict(call.query)["offset"]), int(dict(call.query)["limit"])
        first = 0 if self.deaf else first
        found = range(first, min(first + limit, first + self.most, self.length))
        page = Page(messages=tuple(MessageRecord(id=str(number), status="SENT") for number in found))
        return Ok(cast("T", page))


@pytest.mark.anyio
@pytest.mark.parametrize(("length", "sizes"), [(0, []), (3, [3]), (5, [5]), (12, [5, 5, 2])])
async def test_all_pages_are_read_up_to_an_empty_one(length: int, sizes: list[int]) -> None:
    log = Log(length)
    found = [page async for page in messages.pages(log, limit=5, status="SENT")]
    assert [len(page.value.messages) for page in found if isinstance(page, Ok)] == sizes
    ids = [one.id for page in found if isinstance(page, Ok) for one in page.value.messages]
    assert ids == [str(number) for number in range(length)]
    assert all(asked["status"] == "SENT" for asked in log.asked)


@pytest.mark.anyio
async def test_pages_shorter_than_the_limit_are_read_to_the_end() -> None:
    found = [page async for page in messages.pages(Log(7, most=3), limit=5)]
    assert [len(page.value.messages) for page in found if isinstance(page, Ok)] == [3, 3, 1]


@pytest.mark.anyio
async def test_a_service_that_ignores_the_offset_is_read_once_and_the_log_is_not_called_whole() -> None:
    log = Log(3, deaf=True)
    first, last = [page async for page in messages.pages(log, limit=3)]
    assert isinstance(first, Ok)
    assert isinstance(last, Unreadable)
    assert (last.code, last.problems) == ("incomplete_list", ("3 pages in a row have no new row @ $",))
    assert len(log.asked) == 4


def scripted(*bodies: object) -> tuple[list[str], Caller]:
    """A client whose answers are these; the last is repeated."""
    asked: list[str] = []

    async def api(call: Call[T], /) -> Result[T]:
        asked.append(dict(call.query)["offset"])
        assert len(asked) < 50
        return Ok(answered(call, bodies[min(len(asked), len(bodies)) - 1]))

    return asked, api


@pytest.mark.anyio
async def test_two_replicas_that_ignore_the_offset_in_turn_end_the_log() -> None:
    pages = [{"messages": [{"id": f"msg_{turn % 2}{n}"} for n in range(3)]} for turn in range(40)]
    asked, api = scripted(*pages)
    found = [page async for page in messages.pages(api)]
    assert [type(page) for page in found] == [Ok, Ok, Unreadable]
    assert len(asked) == 5


@pytest.mark.anyio
async def test_an_empty_page_that_says_that_there_are_more_does_not_end_the_log_in_silence() -> None:
    _, api = scripted({"messages": [{"id": "m"}]}, {"messages": [], "has_more": True})
    found = [page async for page in messages.pages(api)]
    assert [type(page) for page in found] == [Ok, Unreadable]


@pytest.mark.anyio
@pytest.mark.parametrize("odd", [None, 7, "x", [], {}, {"id": 17, "status": "SENT"}, {"id": None}])
async def test_an_odd_row_is_one_odd_row_and_counts_in_the_offset(odd: object) -> None:
    rows = [{"id": f"msg_{n}", "status": "SENT"} for n in range(3)]
    asked, api = scripted({"messages": [rows[0], odd, rows[1]]}, {"messages": [rows[2]]}, {"messages": []})
    first, second = [page async for page in messages.pages(api)]
    assert isinstance(first, Ok)
    assert isinstance(second, Ok)
    assert [one.id for one in (*first.value.messages, *second.value.messages)] == ["msg_0", "msg_1", "msg_2"]
    assert first.value.extra == {"messages": [odd]}
    assert asked == ["0", "3", "4"]


@pytest.mark.anyio
async def test_pages_of_odd_rows_only_are_read_to_the_end() -> None:
    asked, api = scripted(*({"messages": [n]} for n in range(9)), {"messages": []})
    assert len([page async for page in messages.pages(api)]) == 9
    assert len(asked) == 10


def test_a_row_with_an_odd_field_is_read_with_the_others() -> None:
    page = answered(messages.list(), {"messages": [{"id": "m", "status": 5, "contact_id": 17, "events": [{"at": 1}]}]})
    (row,) = page.messages
    assert (row.id, row.status) == ("m", None)
    assert row.extra == {"status": 5, "contact_id": 17, "events": [{"at": 1}]}


@pytest.mark.anyio
async def test_an_error_ends_the_pages_and_is_yielded_once() -> None:
    found = [page async for page in messages.pages(Log(12, fails=2), limit=5)]
    assert [type(page) for page in found] == [Ok, ServerFault]


@pytest.mark.anyio
async def test_an_invalid_limit_is_yielded_as_the_only_result() -> None:
    log = Log(12)
    (page,) = [page async for page in messages.pages(log, limit=0)]
    assert not isinstance(page, Ok)
    assert page.code == "validation_error"


@pytest.mark.anyio
async def test_an_unknown_filter_raises_type_error() -> None:
    with pytest.raises(TypeError, match="stauts"):
        _ = [page async for page in messages.pages(Log(1), **cast("Any", {"stauts": "SENT"}))]


SECRET = re.compile(r"[a-z]{12}")


@given(st.from_regex(SECRET, fullmatch=True))
def test_no_repr_shows_recipient_or_content(secret: str) -> None:
    recipient = f"{secret}@{secret}.example"
    data = {secret: secret}
    for message in (
        Email(channel_id="ch_1", to=recipient, subject=secret, html=secret, text=secret),
        Email(channel_id="ch_1", to=recipient, template_id="tpl_1", template_data=data),
        Text(agent_id="a", to=secret, traffic_type="TRANSACTION", text=secret, suggestions=(Reply(text=secret),)),
    ):
        call = messages.send(message)
        for shown in (message, call, call.invalid, messages.check(message)):
            assert secret not in repr(shown)
            assert secret not in str(shown)


@given(MESSAGES)
def test_no_repr_of_a_message_shows_the_recipient(message: Message) -> None:
    assert message.to not in repr(message)
    assert message.to not in repr(messages.send(message))
