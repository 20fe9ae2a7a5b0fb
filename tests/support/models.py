"""Strategies for instances of every public model, made from the types of its fields."""

import importlib
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import attrs
from hypothesis import strategies as st

from msgapi import NotFound, messages
from msgapi.codec.converter import NOT_WRITTEN
from tests.support.strategies import JSON, texts

MODULES = """results messages.models billing.models agents contacts campaigns testagent webhooks.endpoints
webhooks.events webhooks.message_events""".split()
FIGURES = {"Prices", "Estimate", "Shortage", "BalanceUnknown"}  # of this package, not of the API
MODELS: list[type] = [
    model
    for module in map(importlib.import_module, [f"msgapi.{name}" for name in MODULES])
    for model in vars(module).values()
    if isinstance(model, type) and attrs.has(model) and model.__module__ == module.__name__
    if not model.__name__.startswith("_") and model.__name__ not in FIGURES
]
"""Every class of requests, answers, results and events."""

_NAMES = st.text("abc", min_size=1, max_size=5).map("x_{}".format)  # no name by which a field may arrive
_OBJECTS = st.dictionaries(_NAMES, JSON, max_size=2)
_SIMPLE: Mapping[object, st.SearchStrategy[Any]] = {
    str: texts(8),
    int: st.integers(-(2**63), 2**63 - 1),
    bool: st.booleans(),
    float: st.floats(allow_nan=False, allow_infinity=False),
    Decimal: st.decimals(allow_nan=False, allow_infinity=False),
    datetime: st.datetimes(timezones=st.just(UTC)),
}
_BY_NAME: Mapping[str, st.SearchStrategy[Any]] = {
    "MessageRecord.status": st.sampled_from([None, "SENT", "READ"]),
    # An error has a `Meta`, which has errors: without an end.
    "Meta.refused": st.sampled_from([(), (NotFound(code="not_rcs_capable"),)]),
}


def instances(model: Any) -> st.SearchStrategy[Any]:  # noqa: ANN401 - any attrs class
    """Instances of *model* with any values of the right types, beyond the documented limits too."""
    fields = [one for one in attrs.fields(attrs.resolve_types(model)) if one.name not in NOT_WRITTEN]
    named = {one.name: f"{model.__name__}.{one.name}" for one in fields}
    parts = {
        one.name: _BY_NAME[named[one.name]] if named[one.name] in _BY_NAME else _values(one.type) for one in fields
    }
    return st.builds(model, **parts)


def _values(kind: Any) -> st.SearchStrategy[Any]:  # noqa: ANN401 - any type of a field
    origin, parts = get_origin(kind), get_args(kind)
    if kind in _SIMPLE:
        return _SIMPLE[kind]
    if origin is Literal:
        return st.sampled_from(parts)
    if origin in {Union, UnionType}:
        return st.one_of([st.none() if one is NoneType else _values(one) for one in parts])
    if origin is tuple:
        return st.lists(_values(parts[0]), max_size=2).map(tuple)
    if origin is not None:
        return _OBJECTS
    return instances(kind) if attrs.has(kind) else instances(messages.Accepted)  # the value of an `Ok`
