"""Custom calls, extra fields, and what a result keeps of its response: its headers, and its body on request."""

import copy
import pickle
import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from types import ModuleType
from typing import Any, Generic, NamedTuple, TypedDict, TypeVar, assert_type

import orjson
import pytest
from attrs import frozen

import msgapi
from msgapi import Call, Invalid, Meta, NotFound, Ok, Response, Result, codec, define_call, extend_call, messages
from msgapi.codec.json import error_from_json
from msgapi.http import Headers
from msgapi.results import Unreadable
from tests.test_client import READ, scripted

T = TypeVar("T")
pytestmark = pytest.mark.anyio
TEXT = messages.Text(agent_id="ag_1", to="+4915112345678", traffic_type="TRANSACTION", text="Hi")


@frozen
class Report:
    """A model of the caller's own."""

    id: str
    total: Decimal | None = None


async def test_an_unknown_route_is_called_and_its_answer_decoded_to_the_type_of_the_caller() -> None:
    call = define_call(
        "POST",
        "/v1/reports/a%20b",
        returns=Report,
        query={"since": datetime(2026, 1, 2, tzinfo=UTC), "day": date(2026, 1, 2), "all": True, "none": None, "n": 3},
        body={"price": Decimal("1.50"), "names": ["a"]},
        idempotency_key="key-1",
    )
    assert_type(call, Call[Report])
    async with scripted(Response(201, {}, b'{"id":"r1","total":2}')) as (client, script):
        result = await client(call)
    assert_type(result, Result[Report])
    assert isinstance(result, Ok)
    assert result.value == Report("r1", Decimal(2))
    (request,) = script.asked
    assert request.method == "POST"
    assert request.url.endswith("/v1/reports/a%20b?since=2026-01-02T00%3A00%3A00Z&day=2026-01-02&all=true&n=3")
    assert orjson.loads(request.body or b"") == {"price": 1.5, "names": ["a"]}
    assert request.headers["Idempotency-Key"] == "key-1"
    assert call.repeatable
    assert not define_call("POST", "/v1/reports").repeatable


@dataclass
class Day:
    """A dataclass of the caller's."""

    reports: "list[Report]"


class Total(TypedDict):
    """A typed dict of the caller's."""

    total: int


class Plain:
    """A class without fields."""


@frozen
class HalfReadable:
    """A model with a field that JSON has no form for."""

    part: Plain


@pytest.mark.parametrize(
    ("returns", "name"),
    [
        ("Report", "a value of type str"),
        (None, "a value of type NoneType"),
        (3, "a value of type int"),
        ({}, "a value of type dict"),
        (Report("+4915112345678"), "a value of type Report"),
        (lambda body: body, "a value of type function"),
        (Plain, f"{Plain!r}"),
        (list[Plain], f"{list[Plain]!r}"),
        (Plain | None, f"{Plain | None!r}"),
        (HalfReadable, f"{HalfReadable!r}"),
    ],
)
def test_a_type_that_json_cannot_be_decoded_to_is_a_mistake_when_the_call_is_made(returns: Any, name: str) -> None:  # noqa: ANN401 - anything
    with pytest.raises(TypeError) as raised:
        _ = define_call("GET", "/v1/reports", returns=returns)
    assert str(raised.value) == (
        f"returns is a type to decode JSON to, such as an attrs class or dict[str, object], not {name}; "
        "leave it out for any JSON"
    )


@pytest.mark.parametrize(
    "returns",
    [Report, Day, Total, dict, dict[str, int], list[Report], Report | None, str, int, object, Any, messages.Accepted],
)
def test_each_type_that_json_can_be_decoded_to_is_allowed(returns: Any) -> None:  # noqa: ANN401 - anything
    assert define_call("GET", "/v1/reports", returns=returns).returns is returns


@frozen
class Linked:
    """A model with an optional field of itself."""

    name: str
    next: "Linked | None" = None


@frozen
class Boxed(Generic[T]):
    """A generic model of the caller's."""

    value: T


class Pair(NamedTuple):
    """A named tuple of the caller's."""

    number: int
    name: str


@pytest.mark.parametrize(
    ("returns", "body", "value"),
    [
        (Linked, b'{"name":"a","next":{"name":"b"}}', Linked("a", Linked("b"))),
        (list[Linked], b'[{"name":"a"}]', [Linked("a")]),
        (Boxed[int], b'{"value":1}', Boxed(1)),
        (Pair, b'[1,"a"]', Pair(1, "a")),
        (tuple[int, str], b'[1,"a"]', (1, "a")),
        (tuple[int, ...], b"[1,2]", (1, 2)),
    ],
)
async def test_unusual_types_are_decoded_too(returns: Any, body: bytes, value: object) -> None:  # noqa: ANN401 - types
    async with scripted(Response(200, {}, body)) as (client, _):
        result = await client(define_call("GET", "/v1/reports", returns=returns))
        assert isinstance(result, Ok)
        assert result.value == value


async def test_a_model_may_name_a_class_that_is_defined_after_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("reports")
    monkeypatch.setitem(sys.modules, "reports", module)
    vars(module)["frozen"] = frozen
    exec("@frozen\nclass Early:\n    late: 'Late'\n", vars(module))  # noqa: S102 - as a module is imported
    call: Call[Any] = define_call("GET", "/v1/reports", returns=module.Early)
    exec("@frozen\nclass Late:\n    a: int\n", vars(module))  # noqa: S102
    async with scripted(Response(200, {}, b'{"late":{"a":1}}')) as (client, _):
        result = await client(call)
        assert isinstance(result, Ok)
        assert result.value == module.Early(module.Late(1))


async def test_without_a_type_any_json_is_the_value() -> None:
    async with scripted(Response(200, {}, b'[{"a":1},null]'), Response(404, {}, b"{}")) as (client, _):
        result = await client(define_call("GET", "/v1/reports"))
        assert isinstance(result, Ok)
        assert result.value == [{"a": 1}, None]
        assert isinstance(await client(define_call("GET", "/v1/reports", returns=dict)), NotFound)


@pytest.mark.parametrize(
    ("given", "fields"),
    [
        ({"method": "get"}, ["method"]),
        ({"method": 1}, ["method"]),
        ({"path": "v1/reports"}, ["path"]),
        ({"path": "/v1/reports?a=1"}, ["path"]),
        ({"path": "/v1/a b"}, ["path"]),
        ({"path": None, "method": ""}, ["method", "path"]),
        ({"idempotency_key": "a b"}, ["idempotency_key"]),
        ({"body": object()}, ["body"]),
        ({"query": 5}, ["body"]),
        ({"query": {"name": "\ud800"}}, ["body"]),
        ({"query": {"\ud800": 1}}, ["body"]),
        ({"path": "/v1/100%"}, ["path"]),
        ({"path": "/v1/%zz"}, ["path"]),
        ({"body": {"a": [float("nan")]}}, ["body"]),
    ],
)
def test_a_custom_call_with_bad_input_is_invalid(given: dict[str, Any], fields: list[str]) -> None:
    call = define_call(**{"method": "GET", "path": "/v1/reports", **given})
    assert isinstance(call.invalid, Invalid)
    assert [detail.field for detail in call.invalid.details] == fields


def test_a_call_is_extended_by_fields_and_stays_the_same_operation() -> None:
    call = messages.send(TEXT)
    extended = extend_call(call, {"priority": "HIGH", "content": {"footer": {"text": "x"}}, "ttl": None})
    assert_type(extended, Call[messages.Accepted])
    body, known = orjson.loads(extended.body or b""), orjson.loads(call.body or b"")
    assert body == {**known, "priority": "HIGH", "ttl": None, "content": {**known["content"], "footer": {"text": "x"}}}
    assert (extended.idempotency_key, extended.path) == (call.idempotency_key, call.path)
    assert call == messages.send(TEXT, idempotency_key=call.idempotency_key)


def test_what_cannot_be_extended_is_invalid() -> None:
    broken = messages.send(messages.Text(agent_id="", to="", traffic_type="TRANSACTION", text=""))
    assert extend_call(broken, {"a": 1}) is broken
    for call, fields in (
        (READ, {"a": 1}),
        (messages.send(TEXT), {"a": object()}),
        (messages.send(TEXT), {"a": float("inf")}),
        (messages.send(TEXT), 5),
    ):
        extended = extend_call(call, fields)  # type: ignore[arg-type]
        assert isinstance(extended.invalid, Invalid)


# What a result keeps of its response.


async def test_the_headers_of_the_answer_are_case_insensitive_and_shown_nowhere() -> None:
    answer = Response(200, {"X-Request-Id": "r-1", "X-To": "+4915112345678"}, b'{"free":1}')
    async with scripted(answer) as (client, _):
        result = await client(READ)
    headers = result.meta.headers
    assert isinstance(headers, Headers)
    assert headers["x-request-id"] == headers["X-REQUEST-ID"] == headers.get("X-Request-Id") == "r-1"
    assert ("X-To" in headers, "X-Other" in headers, len(headers)) == (True, False, 2)
    assert set(headers) == {"x-request-id", "x-to"}
    assert headers == {"x-request-id": "r-1", "x-to": "+4915112345678"}
    with pytest.raises(KeyError):
        _ = headers["x-other"]
    assert "4915112345678" not in f"{headers!r}{result!r}"
    assert dict(Meta().headers) == {}


async def test_headers_and_body_survive_pickle_and_do_not_matter_for_equality_and_storage() -> None:
    answer = Response(404, {"X-A": "1"}, b'{"error":"not_found","message":"m"}')
    async with scripted(answer) as (client, _):
        error = await client.with_options(keep_raw=True)(READ)
    assert isinstance(error, NotFound)
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - pickled here
    assert again == copy.deepcopy(error) == error
    assert (again.meta.headers["X-A"], again.meta.raw_body) == ("1", answer.body)
    stored = codec.to_json(error)
    assert b"X-A" not in stored.replace(b"x-a", b"X-A")
    assert b"raw_body" not in stored
    assert error_from_json(stored) == error
    assert hash(error.meta) == hash(again.meta)


@pytest.mark.parametrize("body", [b'{"free":1,"new":[1]}', b"<html>+4915112345678</html>"])
async def test_the_body_is_kept_as_it_came_on_request_only(body: bytes) -> None:
    async with scripted(Response(200, {}, body)) as (client, _):
        keeping = client.with_options(keep_raw=True)
        kept = await keeping(READ, retry=msgapi.Retry(attempts=1))
        plain = await client(READ, retry=msgapi.Retry(attempts=1))
        dropped = await keeping.with_options(keep_raw=False)(READ, retry=msgapi.Retry(attempts=1))
    assert isinstance(kept, Ok | Unreadable)
    assert kept.meta.raw_body == body
    assert plain.meta.raw_body is dropped.meta.raw_body is None
    assert "4915112345678" not in repr(kept)


def test_the_names_are_exported() -> None:
    assert {"define_call", "extend_call"} <= set(msgapi.__all__)
