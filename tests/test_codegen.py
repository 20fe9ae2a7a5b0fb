"""Functions that make frozen values: the same value as by the class, and the same refusals."""

import copy
import inspect
import pickle
from typing import Any

import attrs
import pytest
from attrs import define, field, frozen

from msgapi import Meta, Ok, Request, Response, messages
from msgapi.calls import Call
from msgapi.codegen import constructor
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
