"""codec: values are written and read exactly, and every problem has its path and not its value."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, Literal, cast

import attrs
import orjson
import pytest
from attrs import frozen
from hypothesis import example, given
from hypothesis import strategies as st

from msgapi import (
    Detail,
    Meta,
    Ok,
)
from msgapi.codec import Problems, from_dict, from_json, to_json
from msgapi.codec.converter import json_type_name
from msgapi.codec.json import error_from_json, parse, to_plain
from tests.support.strategies import JSON, JUNK


@frozen(kw_only=True)
class Inner:
    name: str
    amount: Decimal | None = None


@frozen(kw_only=True)
class Outer:
    count: int
    on: bool = False
    ratio: float = 0.5
    at: datetime | None = None
    way: Literal["IN", "OUT"] = "IN"
    inner: Inner | None = None
    inners: tuple[Inner, ...] = ()
    anything: object = None
    mapping: Mapping[str, object] = attrs.field(factory=dict)


def lines(value: object, model: type = Outer) -> set[str]:
    found = from_dict(value, model)
    assert isinstance(found, Problems)
    return set(found.lines())


def test_unknown_fields_are_ignored_and_null_is_read_as_the_default() -> None:
    nulls = dict.fromkeys(["on", "ratio", "at", "way", "inner", "inners", "anything", "mapping"])
    assert from_dict({"count": 1, "new": [1]}, Outer) == Outer(count=1)
    assert from_dict({"count": 1, **nulls}, Outer) == Outer(count=1)


def test_a_value_outside_a_literal_is_accepted() -> None:
    assert from_dict({"count": 1, "way": "SIDEWAYS"}, Outer) == Outer(count=1, way=cast("Any", "SIDEWAYS"))


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (None, "must be an object, not null @ $"),
        ([], "must be an object, not an array @ $"),
        ({}, "is required @ $.count"),
        ({"count": None}, "is required @ $.count"),
        ({"count": True}, "must be a whole number, not a boolean @ $.count"),
        ({"count": 1.5}, "must be a whole number, not a number @ $.count"),
        ({"count": "1"}, "must be a whole number, not a string @ $.count"),
        ({"count": 1, "on": 1}, "must be true or false, not a number @ $.on"),
        ({"count": 1, "on": "true"}, "must be true or false, not a string @ $.on"),
        ({"count": 1, "ratio": "1"}, "must be a number, not a string @ $.ratio"),
        ({"count": 1, "ratio": True}, "must be a number, not a boolean @ $.ratio"),
        ({"count": 1, "at": 5}, "must be an ISO 8601 time, not a number @ $.at"),
        ({"count": 1, "at": "secret"}, "must be an ISO 8601 time @ $.at"),
        ({"count": 1, "at": "0001-01-01T00:00:00+14:00"}, "must be an ISO 8601 time @ $.at"),
        ({"count": 1, "way": 5}, "must be a string, not a number @ $.way"),
        ({"count": 1, "inner": "secret"}, "must be an object, not a string @ $.inner"),
        ({"count": 1, "inner": {}}, "is required @ $.inner.name"),
        ({"count": 1, "inner": {"name": {}}}, "must be a string, not an object @ $.inner.name"),
        ({"count": 1, "inner": {"name": "x", "amount": True}}, "must be a number, not a boolean @ $.inner.amount"),
        ({"count": 1, "inner": {"name": "x", "amount": "secret"}}, "must be a decimal number @ $.inner.amount"),
        ({"count": 1, "inner": {"name": "x", "amount": "NaN"}}, "must be a finite number @ $.inner.amount"),
        ({"count": 1, "inner": {"name": "x", "amount": float("inf")}}, "must be a finite number @ $.inner.amount"),
        ({"count": 1, "inner": {"name": "x", "amount": 10**5000}}, "is not of the expected form @ $.inner.amount"),
        ({"count": 1, "inners": {}}, "must be an array, not an object @ $.inners"),
        ({"count": 1, "inners": "secret"}, "must be an array, not a string @ $.inners"),
        ({"count": 1, "inners": [{"name": "x"}, {"name": 5}]}, "must be a string, not a number @ $.inners[1].name"),
        ({"count": 1, "inners": [5]}, "must be an object, not a number @ $.inners[0]"),
        ({"count": 1, "mapping": []}, "must be an object, not an array @ $.mapping"),
    ],
)
def test_no_value_is_coerced_and_the_problem_has_its_path(value: object, problem: str) -> None:
    assert lines(value) == {problem}


@frozen(kw_only=True)
class Filled:
    name: str
    sizes: list[object] = attrs.field(factory=list)
    label: str = attrs.field(default=attrs.Factory(lambda self: f"for {self.name}", takes_self=True))
    _hidden: int = 7


def test_missing_fields_get_the_defaults_of_the_model() -> None:
    assert (
        from_json(b'{"name":"x","sizes":null}', Filled) == Filled(name="x") == Filled(name="x", sizes=[], label="for x")
    )


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**17), 10**17).map(lambda cents: cents / 100))
@example(0.0)
@example(-0.0)
@example(1e22)
@example(1e-4)
@example(1e15)
@example(5e-324)
@example(1.7976931348623157e308)
def test_a_float_is_read_as_its_shortest_decimal(amount: float) -> None:
    for _ in range(2):  # the second is the one that is remembered
        found = from_dict({"name": "x", "amount": amount}, Inner)
        assert isinstance(found, Inner)
        assert str(found.amount) == str(Decimal(repr(amount or 0.0)))


def test_all_problems_are_returned_together() -> None:
    value = {"on": "secret", "inner": {"amount": "secret"}, "inners": [{"name": 1}, {}]}
    assert lines(value) == {
        "is required @ $.count",
        "must be true or false, not a string @ $.on",
        "is required @ $.inner.name",
        "must be a decimal number @ $.inner.amount",
        "must be a string, not a number @ $.inners[0].name",
        "is required @ $.inners[1].name",
    }
    assert "secret" not in str(from_dict(value, Outer))
    assert "secret" not in repr(from_dict(value, Outer))


def test_problems_are_formatted_in_one_line() -> None:
    assert str(Problems((Detail("a.b", "is required"), Detail("", "is empty")))) == "is required @ $.a.b; is empty @ $"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "is empty"),
        (b"<html>", "is not JSON"),
        (b'{"count":', "is not JSON"),
        (b"\xff", "is not JSON"),
        (b"NaN", "is not JSON"),
        (b"1e999", "is not JSON"),
        (b"[" * 5000 + b"]" * 5000, "is not JSON"),
    ],
)
def test_a_body_that_is_not_json_is_one_problem_at_the_root(body: bytes, said: str) -> None:
    assert parse(body) == Problems((Detail("", said),))
    assert from_json(body, Outer) == Problems((Detail("", said),))
    assert error_from_json(body) == Problems((Detail("", said),))


@given(st.binary())
def test_reading_bytes_never_raises(body: bytes) -> None:
    _ = parse(body)
    assert isinstance(from_json(body, Outer), Outer | Problems)
    assert isinstance(error_from_json(body), Problems)


@given(st.one_of(JUNK, JSON, st.fixed_dictionaries({}, optional={one.name: JUNK for one in attrs.fields(Outer)})))
def test_reading_a_value_never_raises(value: object) -> None:
    assert isinstance(from_dict(value, Outer), Outer | Problems)


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_a_decimal_is_written_and_read_exactly(amount: Decimal) -> None:
    inner = Inner(name="x", amount=amount)
    assert from_json(to_json(inner), Inner) == inner


@pytest.mark.parametrize(
    ("amount", "written"),
    [
        ("0.11", b"0.11"),
        ("72.40", b"72.4"),
        ("5", b"5.0"),
        ("0.1234567890123456789", b'"0.1234567890123456789"'),
        ("1E+400", b'"1E+400"'),
        ("NaN", b'"NaN"'),
        ("sNaN", b'"sNaN"'),
        ("-Infinity", b'"-Infinity"'),
    ],
)
def test_a_decimal_is_written_as_a_number_only_if_that_is_exact(amount: str, written: bytes) -> None:
    assert to_json(Decimal(amount)) == written


@pytest.mark.parametrize(
    ("text", "read_as"),
    [
        ("2026-05-04T07:30:00Z", datetime(2026, 5, 4, 7, 30, tzinfo=UTC)),
        ("2026-05-04T09:30:00+02:00", datetime(2026, 5, 4, 7, 30, tzinfo=UTC)),
        ("2026-05-04T07:30:00.123456", datetime(2026, 5, 4, 7, 30, 0, 123456, tzinfo=UTC)),
        ("2026-05-04", datetime(2026, 5, 4, tzinfo=UTC)),
    ],
)
def test_every_time_is_read_as_utc(text: str, read_as: datetime) -> None:
    found = from_dict({"count": 1, "at": text}, Outer)
    assert isinstance(found, Outer)
    assert found.at == read_as
    assert found.at.tzinfo is UTC


def test_a_time_is_written_in_utc() -> None:
    at = datetime(2026, 5, 4, 9, 30, tzinfo=timezone(timedelta(hours=2)))
    assert orjson.loads(to_json(Outer(count=1, at=at))) == {"count": 1, "at": "2026-05-04T07:30:00Z"}


def test_a_model_is_converted_to_plain_json_types() -> None:
    assert to_plain(Inner(name="x", amount=Decimal("0.5"))) == {"name": "x", "amount": 0.5}


def test_a_success_is_written_with_its_kind() -> None:
    assert orjson.loads(to_json(Ok(Inner(name="x"), meta=Meta(status=200)))) == {
        "kind": "Ok",
        "value": {"name": "x"},
        "meta": {"status": 200, "attempts": 0, "elapsed": 0.0, "leg": 1, "refused": []},
    }


def test_json_types_are_named_in_words() -> None:
    values: list[object] = [None, True, 1, 1.5, "x", {}, [], ()]
    assert [json_type_name(value) for value in values] == [
        "null",
        "a boolean",
        "a number",
        "a number",
        "a string",
        "an object",
        "an array",
        "an array",
    ]
