"""Hooks: how the converter reads and writes each type that a field can have.

Rules:
- A str is a str: nothing is coerced from one JSON type to another, but a Decimal from a number.
- A null where a field has a default is that default.
- A Literal is read as a str: the API adds to its enums. What may be sent is checked elsewhere.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from types import NoneType, UnionType
from typing import Any, Final, Literal, TypeVar, Union, cast, get_args, get_origin

import attrs
from cattrs.cols import homogenous_tuple_structure_factory
from cattrs.preconf.orjson import OrjsonConverter, make_converter

from ..codegen import Part, reader

T = TypeVar("T")
Structure = Callable[[Any, Any], T]
_NUMBERS: Final = frozenset({float, int, str})  # what a Decimal is read from


class Mismatch(TypeError):
    """A value is not of the type that its place asks for; the text says which, never the value."""


def kind_of(value: object) -> str:
    """Name the JSON type of *value*, with its article."""
    names = {type(None): "null", bool: "a boolean", int: "a number", float: "a number", str: "a string"}
    return names.get(type(value), "an object" if isinstance(value, Mapping) else "an array")


def _strict(expected: type[T], name: str) -> Structure[T]:
    def structure(value: object, _: object) -> T:
        if type(value) is expected:
            return value
        raise Mismatch(f"must be {name}, not {kind_of(value)}")

    return structure


def _whole(value: object, _: object) -> int:
    # JSON has one kind of number: 310.0 is whole.
    if type(value) is int:
        return value
    if type(value) is float and value.is_integer():
        return int(value)
    raise Mismatch(f"must be a whole number, not {kind_of(value)}")


def _float(value: object, _: object) -> float:
    if type(value) is float or type(value) is int:
        return float(value)
    raise Mismatch(f"must be a number, not {kind_of(value)}")


def _decimal(value: object, _: object) -> Decimal:
    if type(value) not in _NUMBERS:
        raise Mismatch(f"must be a number, not {kind_of(value)}")
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        raise Mismatch("must be a decimal number") from None
    if number.is_finite():
        return number
    raise Mismatch("must be a finite number")


def _datetime(value: object, _: object) -> datetime:
    if type(value) is not str:
        raise Mismatch(f"must be an ISO 8601 time, not {kind_of(value)}")
    try:
        read = datetime.fromisoformat(value)
        if read.tzinfo is UTC:
            return read
        return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
    except (ValueError, OverflowError):
        raise Mismatch("must be an ISO 8601 time") from None


def _json(value: object, _: object) -> object:
    return value


def _mapping(value: object, _: object) -> Mapping[str, object]:
    if isinstance(value, dict):
        return value
    raise Mismatch(f"must be an object, not {kind_of(value)}")


def _object(converter: OrjsonConverter, model: Any) -> Structure[T]:  # noqa: ANN401 - a class, as cattrs passes it
    structure: Structure[T] = converter.gen_structure_attrs_fromdict(model)

    def checked(value: object, model: object) -> T:
        if type(value) is dict:
            return structure(_without_nulls(value), model)
        raise Mismatch(f"must be an object, not {kind_of(value)}")

    return checked


def _object_in_one_go(converter: OrjsonConverter, model: Any) -> Structure[T]:  # noqa: ANN401 - a class, as cattrs passes it
    # Without a call for the fields that need nothing but to be of their type: less than half of the time
    # that cattrs takes with a hook for each. What it refuses is explained elsewhere.
    parts = []
    for one in attrs.fields(attrs.resolve_types(model)):
        kind = _inner(one.type) if _is_optional(one.type) else cast("Any", one.type)
        exact = str if _origin(kind) is Literal else kind
        parts.append(Part(one, kind, exact, converter.get_structure_hook(kind)))
    return reader(model, parts)


def _without_nulls(value: dict[str, object]) -> dict[str, object]:
    return {name: part for name, part in value.items() if part is not None}


def _array(converter: OrjsonConverter, kind: Any) -> Structure[T]:  # noqa: ANN401 - a type, as cattrs passes it
    structure: Structure[T] = homogenous_tuple_structure_factory(kind, converter)

    def checked(value: object, kind: object) -> T:
        if type(value) is list or type(value) is tuple:
            return structure(value, kind)
        raise Mismatch(f"must be an array, not {kind_of(value)}")

    return checked


def _is_optional(kind: object) -> bool:
    return len(get_args(kind)) == 2 and NoneType in get_args(kind) and get_origin(kind) in {Union, UnionType}  # noqa: PLR2004


def _inner(kind: object) -> Any:  # noqa: ANN401 - a type, as cattrs passes it
    return next(part for part in get_args(kind) if part is not NoneType)


def _optional(converter: OrjsonConverter, kind: object) -> Structure[T | None]:
    inner = _inner(kind)
    structure = converter.get_structure_hook(inner)
    return lambda value, _: None if value is None else structure(value, inner)


def _write_decimal(value: Decimal) -> float | str:
    # As a JSON number where one says exactly this, else as a string: nothing is rounded.
    if value.is_finite():
        number = float(value)
        if Decimal(repr(number)) == value:
            return number
    return str(value)


def format_time(value: datetime) -> str:
    """Return *value* as ISO 8601 in UTC, with `Z`."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


_SIMPLE: Final[Mapping[type, Structure[Any]]] = {
    str: _strict(str, "a string"),
    int: _whole,
    bool: _strict(bool, "true or false"),
    float: _float,
    Decimal: _decimal,
    datetime: _datetime,
}


def _derived(base: type) -> Callable[[object], bool]:
    return lambda kind: isinstance(kind, type) and kind is not base and issubclass(kind, base)


def _origin(kind: object) -> object:
    return get_origin(kind)


def converter(*, detailed: bool) -> OrjsonConverter:
    """Make a converter; a *detailed* one says what is wrong where, the other one is quick."""
    made = make_converter(detailed_validation=detailed, omit_if_default=True)
    for kind, structure in _SIMPLE.items():
        made.register_structure_hook(kind, structure)
    read_object = _object if detailed else _object_in_one_go
    _ = made.register_structure_hook_factory(attrs.has, lambda model: read_object(made, model))
    _ = made.register_structure_hook_factory(lambda kind: _origin(kind) is tuple, lambda kind: _array(made, kind))
    _ = made.register_structure_hook_factory(_is_optional, lambda kind: _optional(made, kind))
    made.register_structure_hook_func(lambda kind: _origin(kind) is Literal, _strict(str, "a string"))
    made.register_structure_hook_func(lambda kind: kind is object, _json)
    made.register_structure_hook_func(lambda kind: kind == Mapping[str, object], _mapping)
    made.register_unstructure_hook(Decimal, _write_decimal)
    made.register_unstructure_hook(datetime, format_time)
    # What a library has of its own, such as numpy.float64 or a named tuple, which orjson does not take.
    made.register_unstructure_hook_func(_derived(float), float)
    made.register_unstructure_hook_func(_derived(tuple), lambda value: [made.unstructure(part) for part in value])
    made.register_unstructure_hook_func(lambda kind: kind == Mapping[str, object], lambda value: value)
    return made
