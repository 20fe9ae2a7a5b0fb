"""Functions that make frozen values: the same value as by the class, and the same refusals."""

import copy
import inspect
import pickle
from typing import Any

import attrs
import pytest
from attrs import define, field, frozen

from msgapi import Meta, Ok, Request, Response, codegen, messages
from msgapi.calls import Call
from msgapi.codegen import Cache, checker, constructor, copier
from msgapi.results import Balance, NotSent, RateLimit

MODELS = [Meta, RateLimit, Balance, Request, Ok, messages.Accepted, messages.Text, Call]


def given(model: type) -> tuple[list[object], dict[str, object]]:
    """Make up a value for every field: those that may stand without their names, and the others."""
    parts = attrs.fields(model)
    values = {one.alias: int if one.name == "returns" else one.name for one in parts}
    return [values[one.alias] for one in parts if not one.kw_only], {
        one.alias: values[one.alias] for one in parts if one.kw_only
    }


@pytest.mark.parametrize("model", MODELS)
def test_it_makes_what_the_class_makes(model: type) -> None:
    make = constructor(model)
    assert make is not model
    ordered, named = given(model)
    made = make(*ordered, **named)
    assert type(made) is model
    assert made == model(*ordered, **named)
    assert repr(made) == repr(model(*ordered, **named))
    needed = [one for one in attrs.fields(model) if one.default is attrs.NOTHING]
    by_name = {one.alias: one.name for one in needed}
    assert make(**by_name) == model(**by_name)


@pytest.mark.parametrize("model", MODELS)
def test_what_it_makes_is_frozen_and_can_be_copied(model: type) -> None:
    ordered, named = given(model)
    made: Any = constructor(model)(*ordered, **named)
    name = attrs.fields(model)[0].name
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(made, name, 1)
    assert copy.deepcopy(made) == pickle.loads(pickle.dumps(made)) == made  # noqa: S301 - our own
    assert attrs.evolve(made) == made


@pytest.mark.parametrize("model", MODELS)
def test_it_refuses_what_the_class_refuses(model: type) -> None:
    make = constructor(model)
    with pytest.raises(TypeError, match="unexpected keyword argument 'other'"):
        make(other=1)
    kinds = [(one.name, one.kind) for one in inspect.signature(make).parameters.values()]
    assert kinds == [(one.name, one.kind) for one in inspect.signature(model).parameters.values()]


def test_a_field_may_be_called_whatever_the_function_itself_uses() -> None:
    @frozen
    class Named:
        model: int
        new: int
        make: int = 4

    make = constructor(Named)
    assert make is not Named
    assert (make(1, 2), make(1, 2, make=5)) == (Named(1, 2), Named(1, 2, make=5))


def test_a_copy_has_the_new_values_and_all_others() -> None:
    request = Request("GET", "/", {"a": "b"}, b"x")
    assert copier(Request, "url", "body")(request, "/v1", None) == attrs.evolve(request, url="/v1", body=None)
    assert request.url == "/"


def test_a_copy_of_a_model_with_a_validator_is_checked() -> None:
    @frozen
    class Checked:
        size: int = field(validator=attrs.validators.ge(0))
        name: str = ""

    copy_size = copier(Checked, "size")
    assert copy_size(Checked(1, "a"), 2) == Checked(2, "a")
    with pytest.raises(ValueError, match="size"):
        copy_size(Checked(1), -1)


def test_a_default_that_is_made_is_made_anew_each_time() -> None:
    make = constructor(Request)
    one, other = make("GET", "/"), make("GET", "/")
    assert one.headers == other.headers == {}
    assert one.headers is not other.headers


def test_one_that_does_more_than_set_its_fields_stays_as_it_is() -> None:
    @frozen
    class Checked:
        size: int = field(validator=attrs.validators.ge(0))

    @frozen
    class Finished:
        size: int

        def __attrs_post_init__(self) -> None:
            raise ValueError

    @frozen(slots=False)
    class Open:
        size: int

    @define
    class Counting:
        size: int = field(default=0, init=False)

    for model in (Checked, Finished, Open, Counting, Response, NotSent):
        assert constructor(model) is model


def test_values_that_are_converted_already_are_taken_as_they_are() -> None:
    headers = {"a": "1"}
    made = constructor(Response, convert=False)(200, headers, b"{}")
    assert made == Response(200, {"A": "1"}, b"{}")
    assert made.headers is headers


def test_without_the_global_lock_a_value_is_made_by_its_class(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codegen, "_HAS_GIL", False)
    assert constructor(Meta) is Meta


def test_a_cache_computes_each_value_once_until_it_is_full() -> None:
    computed = []

    def double(number: int) -> int:
        computed.append(number)
        return 2 * number

    cache = Cache(double, 2)
    assert [cache[1], cache[1], cache[2], cache[1]] == [2, 2, 4, 2]
    assert computed == [1, 2]
    assert [cache[3], cache[1]] == [6, 2]
    assert computed == [1, 2, 3, 1]


def test_an_exception_of_a_cache_is_not_kept() -> None:
    cache = Cache[str, int](int)
    for _ in range(2):
        with pytest.raises(ValueError, match="invalid literal"):
            _ = cache["x"]


@pytest.mark.parametrize(("limit", "good"), [(1, True), ("default", True), (-1, False), ("text", False)])
def test_a_model_passes_a_check_if_each_field_does_and_nothing_raises(limit: Any, *, good: bool) -> None:  # noqa: ANN401
    check = checker([("limit", lambda limit: None if limit > 0 else "must be more", "default")])
    assert check(RateLimit(limit=limit)) is good
