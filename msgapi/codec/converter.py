"""Converter: the cattrs hooks that define how each type of a field is read and written.

Rules:
- No value is coerced from one JSON type to another, except that a Decimal is read from a number or a string.
- A null where a field has a default is read as that default.
- A Literal is read as a str, since the API adds to its enums. `schema.validators` checks what may be sent.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from types import NoneType, UnionType
from typing import Any, Final, Literal, TypeVar, Union, cast, get_args, get_origin

import attrs
from cattrs.cols import homogenous_tuple_structure_factory
from cattrs.preconf.orjson import OrjsonConverter
from cattrs.preconf.orjson import make_converter as make_orjson_converter

from ..codegen import Part, reader

T = TypeVar("T")
Structure = Callable[[Any, Any], T]
_DECIMAL_SOURCES: Final = frozenset({float, int, str})


class Mismatch(TypeError):
    """A value is not of the expected type. The text names the expected type, never the value."""


def json_type_name(value: object) -> str:
    """Return the name of the JSON type of *value* with its article, such as "an object"."""
    names = {type(None): "null", bool: "a boolean", int: "a number", float: "a number", str: "a string"}
    return names.get(type(value), "an object" if isinstance(value, Mapping) else "an array")


def _strict(expected: type[T], name: str) -> Structure[T]:
    def structure(value: object, _: object) -> T:
        if type(value) is expected:
            return value
        raise Mismatch(f"must be {name}, not {json_type_name(value)}")

    return structure


def _integer(value: object, _: object) -> int:
    # JSON has one type of number: 310.0 is an integer.
    if type(value) is int:
        return value
    if type(value) is float and value.is_integer():
        return int(value)
    raise Mismatch(f"must be a whole number, not {json_type_name(value)}")


def _float(value: object, _: object) -> float:
    if type(value) is float or type(value) is int:
        return float(value)
    raise Mismatch(f"must be a number, not {json_type_name(value)}")


def _decimal(value: object, _: object) -> Decimal:
    if type(value) not in _DECIMAL_SOURCES:
        raise Mismatch(f"must be a number, not {json_type_name(value)}")
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        raise Mismatch("must be a decimal number") from None
    if number.is_finite():
        return number
    raise Mismatch("must be a finite number")


def _datetime(value: object, _: object) -> datetime:
    if type(value) is not str:
        raise Mismatch(f"must be an ISO 8601 time, not {json_type_name(value)}")
    try:
        read = datetime.fromisoformat(value)
        if read.tzinfo is UTC:
            return read
        return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
    except (ValueError, OverflowError):
        raise Mismatch("must be an ISO 8601 time") from None


def _any_json(value: object, _: object) -> object:
    return value


def _mapping(value: object, _: object) -> Mapping[str, object]:
    if isinstance(value, dict):
        return value
    raise Mismatch(f"must be an object, not {json_type_name(value)}")


def _object(converter: OrjsonConverter, model: Any) -> Structure[T]:  # noqa: ANN401 - a class, as cattrs passes it
    structure: Structure[T] = converter.gen_structure_attrs_fromdict(model)

    def checked(value: object, model: object) -> T:
        if type(value) is dict:
            return structure(_without_nulls(value), model)
        raise Mismatch(f"must be an object, not {json_type_name(value)}")

    return checked


def _compiled_object(converter: OrjsonConverter, model: Any) -> Structure[T]:  # noqa: ANN401 - a class, as cattrs passes it
    # Fields that only need a type check are read without a function call each, which takes less than half of
    # the time of a cattrs hook per field. The detailed converter explains what this one refuses.
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
        raise Mismatch(f"must be an array, not {json_type_name(value)}")

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
    # Write a JSON number if one equals the value exactly, otherwise a string: nothing is rounded.
    if value.is_finite():
        number = float(value)
        if Decimal(repr(number)) == value:
            return number
    return str(value)


def format_time(value: datetime) -> str:
    """Return *value*, an aware datetime, in ISO 8601 and UTC with a `Z` (docs: /api/conventions)."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


_SIMPLE: Final[Mapping[type, Structure[Any]]] = {
    str: _strict(str, "a string"),
    int: _integer,
    bool: _strict(bool, "true or false"),
    float: _float,
    Decimal: _decimal,
    datetime: _datetime,
}


def _is_subclass_of(base: type) -> Callable[[object], bool]:
    return lambda kind: isinstance(kind, type) and kind is not base and issubclass(kind, base)


def _origin(kind: object) -> object:
    return get_origin(kind)


def make_converter(*, locate_problems: bool) -> OrjsonConverter:
    """Return a converter for all models: one that locates every problem, or a faster one that only refuses."""
    made = make_orjson_converter(detailed_validation=locate_problems, omit_if_default=True)
    for kind, structure in _SIMPLE.items():
        made.register_structure_hook(kind, structure)
    read_object = _object if locate_problems else _compiled_object
    _ = made.register_structure_hook_factory(attrs.has, lambda model: read_object(made, model))
    _ = made.register_structure_hook_factory(lambda kind: _origin(kind) is tuple, lambda kind: _array(made, kind))
    _ = made.register_structure_hook_factory(_is_optional, lambda kind: _optional(made, kind))
    made.register_structure_hook_func(lambda kind: _origin(kind) is Literal, _strict(str, "a string"))
    made.register_structure_hook_func(lambda kind: kind is object, _any_json)
    made.register_structure_hook_func(lambda kind: kind == Mapping[str, object], _mapping)
    made.register_unstructure_hook(Decimal, _write_decimal)
    made.register_unstructure_hook(datetime, format_time)
    # orjson does not accept subclasses that libraries define, such as numpy.float64 or a named tuple.
    made.register_unstructure_hook_func(_is_subclass_of(float), float)
    made.register_unstructure_hook_func(
        _is_subclass_of(tuple), lambda value: [made.unstructure(part) for part in value]
    )
    made.register_unstructure_hook_func(lambda kind: kind == Mapping[str, object], lambda value: value)
    return made


fast: Final = make_converter(locate_problems=False)
detailed: Final = make_converter(locate_problems=True)
