"""The one converter between models and JSON: dump, load, and what is wrong where.

Rules:
- Reading never raises: it gives the model, or `Problems` that name a path and quote no value.
- The fast converter reads first; only what it refuses is read again by the one that explains.
- A str is a str: nothing is coerced from one JSON type to another, but a Decimal from a number.
- A null where a field has a default is that default; the explaining converter sees to it.
- A Literal is read as a str: the API adds to its enums. What may be sent is checked elsewhere.
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
from cattrs.preconf.orjson import OrjsonConverter, make_converter

from .results import ApiError, Detail, Ok

T = TypeVar("T")
Structure = Callable[[Any, Any], T]
KIND: Final = "kind"


class Mismatch(TypeError):
    """A value is not of the type that its place asks for; the text says which, never the value."""


@final
@frozen
class Problems:
    """Why something could not be read: what was wrong at which path."""

    details: tuple[Detail, ...]

    def __str__(self) -> str:
        """Put the problems in one line."""
        return "; ".join(self.lines())

    def lines(self) -> tuple[str, ...]:
        """Write each problem as `message @ $.path`."""
        return tuple(
            f"{detail.message} @ {'.'.join(part for part in ('$', detail.field) if part)}" for detail in self.details
        )


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


def _float(value: object, _: object) -> float:
    if type(value) is float or type(value) is int:
        return float(value)
    raise Mismatch(f"must be a number, not {kind_of(value)}")


def _decimal(value: object, _: object) -> Decimal:
    kind = type(value)
    if kind is not float and kind is not int and kind is not str:
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
    explains = converter.detailed_validation

    def checked(value: object, model: object) -> T:
        if type(value) is dict:
            return structure(_without_nulls(value) if explains else value, model)
        raise Mismatch(f"must be an object, not {kind_of(value)}")

    return checked


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


def _optional(converter: OrjsonConverter, kind: object) -> Structure[T | None]:
    inner = next(part for part in get_args(kind) if part is not NoneType)
    structure = converter.get_structure_hook(inner)
    return lambda value, _: None if value is None else structure(value, inner)


def _write_decimal(value: Decimal) -> float | str:
    # As a JSON number where one says exactly this, else as a string: nothing is rounded.
    if value.is_finite():
        number = float(value)
        if Decimal(repr(number)) == value:
            return number
    return str(value)


def _write_datetime(value: datetime) -> str:
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


_SIMPLE: Final[Mapping[type, Structure[Any]]] = {
    str: _strict(str, "a string"),
    int: _strict(int, "a whole number"),
    bool: _strict(bool, "true or false"),
    float: _float,
    Decimal: _decimal,
    datetime: _datetime,
}


def _origin(kind: object) -> object:
    return get_origin(kind)


def _converter(*, detailed: bool) -> OrjsonConverter:
    made = make_converter(detailed_validation=detailed, omit_if_default=True)
    for kind, structure in _SIMPLE.items():
        made.register_structure_hook(kind, structure)
    _ = made.register_structure_hook_factory(attrs.has, lambda model: _object(made, model))
    _ = made.register_structure_hook_factory(lambda kind: _origin(kind) is tuple, lambda kind: _array(made, kind))
    _ = made.register_structure_hook_factory(_is_optional, lambda kind: _optional(made, kind))
    made.register_structure_hook_func(lambda kind: _origin(kind) is Literal, _strict(str, "a string"))
    made.register_structure_hook_func(lambda kind: kind is object, _json)
    made.register_structure_hook_func(lambda kind: kind == Mapping[str, object], _mapping)
    made.register_unstructure_hook(Decimal, _write_decimal)
    made.register_unstructure_hook(datetime, _write_datetime)
    made.register_unstructure_hook_func(lambda kind: kind == Mapping[str, object], lambda value: value)
    return made


fast: Final = _converter(detailed=False)
explaining: Final = _converter(detailed=True)


def dump(value: object) -> bytes:
    """Write *value*, a model or an outcome, as JSON; fields at their default are left out."""
    # orjson keeps its buffer of 4 kB behind each result; a copy keeps only what was written.
    return memoryview(orjson.dumps(fast.unstructure(value))).tobytes()


def plain(value: object) -> Any:  # noqa: ANN401 - JSON has no better type
    """Turn *value* into what JSON knows: dicts, lists, strings, numbers, booleans and None."""
    return fast.unstructure(value)


def parse(body: bytes) -> object | Problems:
    """Read *body* as JSON; anything that is not JSON is one problem at the root."""
    try:
        return cast("object", orjson.loads(body))
    except orjson.JSONDecodeError:
        return Problems((Detail("", "is not JSON" if body else "is empty"),))


def load(body: bytes, model: type[T]) -> T | Problems:
    """Read JSON *body* into a *model*, or say what is in the way. Unknown fields are passed over."""
    value = parse(body)
    return value if isinstance(value, Problems) else read(value, model)


def load_error(body: bytes) -> ApiError | Problems:
    """Read an error value that `dump` wrote."""
    return load(body, cast("type[ApiError]", ApiError))


def read(value: object, model: type[T]) -> T | Problems:
    """Read a parsed JSON *value* into a *model*, or say what is in the way."""
    try:
        return fast.structure(value, model)
    except Exception:  # noqa: BLE001 - whatever it was, the second reading tells it by its path
        return _explain(value, model)


def _explain(value: object, model: type[T]) -> T | Problems:
    try:
        return explaining.structure(value, model)
    except Exception as error:  # noqa: BLE001 - reading never raises; every error becomes a Problem
        return Problems(tuple(_problems(error, "")))


def _problems(error: BaseException, path: str) -> Iterable[Detail]:
    if isinstance(error, ClassValidationError):
        named, bare = error.group_exceptions()
        for inner, note in named:
            yield from _problems(inner, f"{path}.{note.name}" if path else note.name)
        for inner in bare:
            yield from _problems(inner, path)
    elif isinstance(error, IterableValidationError):
        for inner, index in error.group_exceptions()[0]:
            yield from _problems(inner, f"{path}[{index.index}]")
    elif isinstance(error, KeyError):
        yield Detail(path, "is required")
    else:
        yield Detail(path, str(error) if isinstance(error, Mismatch) else "is not of the expected form")


# Errors and Ok, tagged with their kind so that a written one says what it is.


def _tagged(kind: type) -> Callable[[object], dict[str, object]]:
    plainly: Callable[[object], dict[str, object]] = fast.gen_unstructure_attrs_fromdict(kind)
    return lambda value: {KIND: kind.__name__, **plainly(value)}


_KINDS: Final = {kind.__name__: kind for kind in get_args(ApiError)}


def _error(value: object, _: object) -> object:
    name = value.get(KIND) if isinstance(value, dict) else None
    if not isinstance(name, str) or name not in _KINDS:
        raise Mismatch("must be an object with the kind of an error")
    return explaining.structure(value, _KINDS[name])


def _prepare() -> None:
    _ = fast.register_unstructure_hook_factory(lambda kind: kind is Ok or kind in _KINDS.values(), _tagged)
    for converter in (fast, explaining):
        converter.register_structure_hook_func(lambda kind: kind == ApiError, _error)


_prepare()
