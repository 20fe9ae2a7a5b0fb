"""schema.free_json: template data and custom fields; each problem names its key, and decimals keep their zeros."""

from collections import ChainMap, UserDict
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msgapi import billing, contacts, messages
from msgapi.schema.free_json import json_object, plain_json
from tests.support.call_bodies import sent, wrong
from tests.support.strategies import JUNK, Kilos


def problems(value: object) -> dict[str, str]:
    found = json_object(value)
    assert found is not None
    assert not isinstance(found, str)
    return {one.field: one.message for one in found}


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("19.90", "19.90"),
        ("10.50", "10.50"),
        ("1E+2", "100"),
        ("0.00", "0.00"),
        ("-0.10", "-0.10"),
        ("1E-7", "0.0000001"),
        ("12345678901234567890.01", "12345678901234567890.01"),
    ],
)
def test_a_decimal_is_text_that_keeps_its_zeros_wherever_it_is(number: str, text: str) -> None:
    data = {"price": Decimal(number), "rows": [{"price": Decimal(number)}]}
    expected = {"price": text, "rows": [{"price": text}]}
    mail = messages.Email(channel_id="c", to="a@shop.example", template_id="t", template_data=data)
    contact = contacts.NewContact(source="API", email="a@shop.example", custom_fields=data)
    changes = contacts.ContactChanges(custom_fields=data)
    body: Any = sent(messages.send(mail))
    assert body["template_data"] == expected
    for call in (contacts.create(contact), contacts.update("c_1", changes)):
        body = sent(call)
        assert body["custom_fields"] == expected
    assert sent(billing.add_payment_method(data)) == expected


class Color(StrEnum):
    RED = "red"


class Size(IntEnum):
    BIG = 3


def test_values_of_other_classes_are_written_as_their_base_type() -> None:
    berlin = datetime(2026, 5, 4, 9, 30, tzinfo=timezone(timedelta(hours=2)))
    value = {
        "a": MappingProxyType({"b": UserDict({"c": ChainMap({"d": (1, None)})})}),
        "color": Color.RED,
        "size": Size.BIG,
        "weight": Kilos(1.5),
        "at": berlin,
        "yes": True,
        Color.RED: 1,
    }
    assert problems(value) == {}
    plain = plain_json(value)
    assert plain == {
        "a": {"b": {"c": {"d": [1, None]}}},
        "color": "red",
        "size": 3,
        "weight": 1.5,
        "at": "2026-05-04T07:30:00Z",
        "yes": True,
        "red": 1,
    }
    assert {type(part) for part in plain.values()} == {dict, str, int, float, bool}
    assert {type(name) for name in plain} == {str}


@pytest.mark.parametrize(
    ("value", "field", "problem"),
    [
        ({"a": object()}, "a", "must be a value that JSON can hold, not object"),
        ({"ok": 1, "items": [{"price": 1}, {"price": {1}}]}, "items[1].price", "must be a value that JSON can hold"),
        ({"a": [[float("inf")]]}, "a[0][0]", "must be a finite number"),
        ({"a": {"b": 2**64}}, "a.b", "must be a whole number of at most 64 bits"),
        ({"a": Decimal("1E+101")}, "a", "must be a finite number of at most 100 digits"),
        ({"a": Decimal("1E-999999999")}, "a", "must be a finite number of at most 100 digits"),
        ({"a": Decimal("sNaN")}, "a", "must be a finite number of at most 100 digits"),
        ({"a": datetime(2026, 5, 4)}, "a", "must be a datetime with a time zone"),  # noqa: DTZ001
        ({"a": "\ud800"}, "a", "is not valid Unicode"),
        ({"a": {5: 1}}, "a", "must have names that are strings, not int"),
        ({"a": {"b": {"\udfff": 1}}}, "a.b", "must have names that are valid Unicode"),
        ({"x" * 500: object()}, "x" * 60, "must be a value"),
        ({"a": {"x" * 50: {"y" * 50: {"z" * 50: object()}}}}, "a", "must be a value"),
    ],
)
def test_a_problem_names_its_key(value: object, field: str, problem: str) -> None:
    ((found, said),) = problems(value).items()
    assert found == field
    assert said.startswith(problem)


def test_each_key_has_its_problem() -> None:
    assert list(problems({"a": object(), "b": 1, "c": {1}, 5: 1})) == ["a", "c", ""]
    data = {"name": "Ann", "price": object()}
    mail = messages.Email(channel_id="c", to="a@shop.example", template_id="t", template_data=data)
    assert list(wrong(messages.send(mail))) == ["template_data.price"]


def test_an_object_that_holds_itself_many_times_is_invalid_in_a_moment() -> None:
    bomb: dict[str, Any] = {}
    for _ in range(40):
        bomb = {"a": bomb, "b": bomb}
    assert problems({"x": bomb, "y": object()}) == {"": "must hold at most 100,000 values"}
    endless: dict[str, Any] = {}
    endless |= {"a": endless, "b": [endless]}
    assert set(problems(endless)) == {"a", "b"}


class Twice(Mapping[str, object]):
    """A mapping that is another one each time it is read."""

    def __init__(self, *values: object) -> None:
        self.values_left = [*values]

    def __getitem__(self, key: str) -> object:
        return self.values_left.pop(0) if len(self.values_left) > 1 else self.values_left[0]

    def __iter__(self) -> Iterator[str]:
        return iter("a")

    def __len__(self) -> int:
        return 1


def test_a_mapping_that_changes_after_it_was_checked_is_invalid() -> None:
    def mail() -> messages.Email:
        data = Twice(1, object())
        return messages.Email(channel_id="c", to="a@shop.example", template_id="t", template_data=data)

    assert set(wrong(messages.send(mail()))) == {""}
    contact = contacts.NewContact(source="API", email="a@shop.example", custom_fields=Twice(1, object()))
    assert set(wrong(contacts.create(contact))) == {""}
    assert set(wrong(billing.add_payment_method(Twice(1, object())))) == {""}


@given(st.dictionaries(st.text(), JUNK, max_size=3))
def test_what_is_valid_is_written(value: dict[str, Any]) -> None:
    call = billing.add_payment_method(value)
    assert (call.body is None) == (call.invalid is not None) == bool(problems(value))
