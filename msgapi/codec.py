"""Codec: convert models and outcomes to JSON and back, with cattrs hooks for each type of a field.

Rules:
- Reading never raises: it returns the model, or `Problems` that name a path and quote no value.
- The fast converter reads first; only what it refuses is read again by the detailed one, which locates the problems.
- No value is coerced from one JSON type to another, except that a Decimal is read from a number or a string.
- A null where a field has a default is read as that default.
- A Literal is read as a str, since the API adds to its enums. `schema.validators` checks what may be sent.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from types import NoneType, UnionType
from typing import Any, Final, Literal, TypeVar, Union, cast, final, get_args, get_origin

import attrs
import orjson
from attrs import frozen
from cattrs import ClassValidationError, IterableValidationError
from cattrs.cols import homogenous_tuple_structure_factory
from cattrs.preconf.orjson import OrjsonConverter
from cattrs.preconf.orjson import make_converter as make_orjson_converter

from .codegen import Part, reader
from .results import ApiError, Detail, Ok

T = TypeVar("T")
Structure = Callable[[Any, Any], T]
_DECIMAL_SOURCES: Final = frozenset({float, int, str})
_KIND: Final = "kind"


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


@final
@frozen
class Problems:
    """Why a value could not be read: each problem with the path at which it was found."""

    details: tuple[Detail, ...]

    def __str__(self) -> str:
        """Return the problems in one line."""
        return "; ".join(self.lines())

    def lines(self) -> tuple[str, ...]:
        """Return each problem as `message @ $.path`."""
        return tuple(
            f"{detail.message} @ {'.'.join(part for part in ('$', detail.field) if part)}" for detail in self.details
        )


def dump(value: object) -> bytes:
    """Return *value*, a model or an outcome, as JSON. Fields at their default are omitted."""
    # orjson keeps its buffer of 4 kB alive behind each result; a copy keeps only the bytes that were written.
    return memoryview(orjson.dumps(fast.unstructure(value))).tobytes()


def to_plain(value: object) -> Any:  # noqa: ANN401 - JSON has no better type
    """Return *value* as the types of JSON: dicts, lists, strings, numbers, booleans and None."""
    return fast.unstructure(value)


def parse(body: bytes) -> object | Problems:
    """Return the JSON value in *body*. If *body* is not JSON, return one problem without a path."""
    try:
        value: object = orjson.loads(body)
        return value
    except orjson.JSONDecodeError:
        return Problems((Detail("", "is not JSON" if body else "is empty"),))


def load(body: bytes, model: type[T]) -> T | Problems:
    """Return the *model* read from the JSON in *body*, or the problems found. Unknown fields are ignored."""
    try:
        return fast.structure(orjson.loads(body), model)
    except Exception:  # noqa: BLE001 - whatever it was, the second reading locates it
        value = parse(body)
        return value if isinstance(value, Problems) else _read_in_detail(value, model)


def load_error(body: bytes) -> ApiError | Problems:
    """Return the error value that `dump` wrote to *body*, or the problems found."""
    return load(body, cast("type[ApiError]", ApiError))


def from_plain(value: object, model: type[T]) -> T | Problems:
    """Return the *model* read from *value*, a parsed JSON value, or the problems found."""
    try:
        return fast.structure(value, model)
    except Exception:  # noqa: BLE001 - whatever it was, the second reading locates it
        return _read_in_detail(value, model)


def is_nested_deeper(value: object, levels: int) -> bool:
    """Return True if objects and arrays in *value* are nested in more than *levels* levels."""
    layer: list[object] = [value]
    for _ in range(levels + 2):  # the body itself, and the leaves
        layer = [
            child
            for one in layer
            for child in (one.values() if isinstance(one, dict) else one if isinstance(one, list) else ())
        ]
        if not layer:
            return False
    return True


def _read_in_detail(value: object, model: type[T]) -> T | Problems:
    try:
        return detailed.structure(value, model)
    except Exception as error:  # noqa: BLE001 - reading never raises; every error becomes a problem
        return Problems(tuple(_details(error, "")))


def _details(error: BaseException, path: str) -> Iterable[Detail]:
    if isinstance(error, ClassValidationError):
        named, bare = error.group_exceptions()
        for inner, note in named:
            yield from _details(inner, f"{path}.{note.name}" if path else note.name)
        for inner in bare:
            yield from _details(inner, path)
    elif isinstance(error, IterableValidationError):
        for inner, index in error.group_exceptions()[0]:
            yield from _details(inner, f"{path}[{index.index}]")
    elif isinstance(error, KeyError):
        yield Detail(path, "is required")
    else:
        yield Detail(path, str(error) if isinstance(error, Mismatch) else "is not of the expected form")


# Errors and `Ok` are written with a field "kind", the name of their class.


def _write_with_kind(kind: type) -> Callable[[object], dict[str, object]]:
    write: Callable[[object], dict[str, object]] = fast.gen_unstructure_attrs_fromdict(kind)
    return lambda value: {_KIND: kind.__name__, **write(value)}


_ERRORS: Final = {kind.__name__: kind for kind in get_args(ApiError)}


def _read_error(value: object, _: object) -> object:
    name = value.get(_KIND) if isinstance(value, dict) else None
    if not isinstance(name, str) or name not in _ERRORS:
        raise Mismatch("must be an object with the kind of an error")
    return detailed.structure(value, _ERRORS[name])


def _register_outcomes() -> None:
    _ = fast.register_unstructure_hook_factory(lambda kind: kind is Ok or kind in _ERRORS.values(), _write_with_kind)
    for converter in (fast, detailed):
        converter.register_structure_hook_func(lambda kind: kind == ApiError, _read_error)


_register_outcomes()
