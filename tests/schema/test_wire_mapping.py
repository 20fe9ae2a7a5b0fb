"""schema.mapping: at which path of the JSON body each field is, for any model."""

from typing import Any

import orjson
import pytest
from attrs import frozen

from msgapi import Detail, codec
from msgapi.codec import Problems
from msgapi.codec.converter import Mismatch
from msgapi.schema.mapping import FieldCodec, map_fields, map_union, value_at


@frozen
class Plain:
    name: str
    size: int | None = None
    tags: tuple[str, ...] = ()
    level: str = "LOW"


@frozen
class Marked:
    name: str


def _reverse(value: object) -> str:
    if isinstance(value, str):
        return value[::-1]
    raise Mismatch("must be a string")


PATHS = map_fields(
    Plain,
    {"name": "a.b.name", "size": "a.size"},
    codecs={"name": FieldCodec(lambda text: text[::-1], _reverse)},
)
_ = map_fields(Marked, {"name": "act.name"}, marker="act.do.it")
Either: Any = Plain | Marked
map_union(Either, {"a": Plain, "act.do.it": Marked})


def written(value: object) -> object:
    return orjson.loads(codec.to_json(value))


def lines(value: object, model: type) -> set[str]:
    found = codec.from_dict(value, model)
    assert isinstance(found, Problems)
    return set(found.lines())


def test_the_paths_of_all_fields_are_returned() -> None:
    assert PATHS == {"name": "a.b.name", "size": "a.size", "tags": "tags", "level": "level"}


def test_fields_are_written_and_read_at_their_paths() -> None:
    whole = Plain("xyz", 5, ("t",), "HIGH")
    assert written(whole) == {"a": {"b": {"name": "zyx"}, "size": 5}, "tags": ["t"], "level": "HIGH"}
    assert codec.from_dict(written(whole), Plain) == whole
    assert written(Plain("x")) == {"a": {"b": {"name": "x"}}, "level": "LOW"}
    assert codec.from_dict({"a": {"b": {"name": "x"}, "size": None}, "level": "LOW"}, Plain) == Plain("x")


def test_a_marker_is_written_beside_the_fields_and_must_be_empty() -> None:
    assert written(Marked("x")) == {"act": {"do": {"it": {}}, "name": "x"}}
    assert codec.from_dict(written(Marked("x")), Marked) == Marked("x")
    assert lines({"act": {"do": {"it": {"y": 1}}, "name": "x"}}, Marked) == {"is not a known field @ $.act.do.it.y"}
    assert lines({"act": {"do": {"it": 1}, "name": "x"}}, Marked) == {"must be an object, not a number @ $.act.do.it"}


@pytest.mark.parametrize(
    ("value", "problems"),
    [
        ([], {"must be an object, not an array @ $"}),
        ({"a": 5, "level": "L"}, {"must be an object, not a number @ $.a"}),
        ({"a": {"b": {"name": 5}}, "level": "L"}, {"must be a string @ $.a.b.name"}),
        ({"a": None}, {"is required @ $.a.b.name", "is required @ $.level"}),
        (
            {"a": {"b": {"name": "x", "y": 1}}, "level": "L", "z": 1},
            {"is not a known field @ $.a.b.y", "is not a known field @ $.z"},
        ),
        (
            {"a": {"b": {"name": "x"}, 1: 2}, "level": "L", None: 1, 10**5000: 1},
            {"has a field whose name is not a string @ $", "has a field whose name is not a string @ $.a"},
        ),
    ],
)
def test_a_mapped_model_refuses_unknown_and_missing_fields(value: object, problems: set[str]) -> None:
    assert lines(value, Plain) == problems


@pytest.mark.parametrize("value", [{}, {"act": {}}, {"act": 5}, {"a": {}, "act": {"do": {"it": {}}}}, None, "a"])
def test_a_union_requires_exactly_one_marker(value: object) -> None:
    assert codec.from_dict(value, Either) == Problems((Detail("", "must have exactly one of a, act.do.it"),))


def test_a_union_is_read_as_the_model_whose_marker_is_present() -> None:
    for one in (Plain("x"), Marked("x")):
        assert codec.from_dict(written(one), Either) == one


def test_the_value_at_a_path_is_returned_or_none() -> None:
    assert value_at({"a": {"b": 1}}, ("a", "b")) == 1
    assert value_at({"a": None}, ("a", "b")) is None
    with pytest.raises(Mismatch):
        _ = value_at({"a": 5}, ("a", "b"))
