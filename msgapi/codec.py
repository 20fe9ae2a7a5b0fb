"""Codec: convert models and outcomes to JSON and back, with cattrs hooks for each type of a field.

Rules:
- Reading never raises: it returns the model, or `Problems` that name a path and quote no value.
- The fast converter reads first; only what it refuses is read again by the detailed one, which locates the problems.
- No value is coerced from one JSON type to another, except that a Decimal is read from a number or a string.
- A null where a field has a default is read as that default.
- A field of an answer or an event that has an unexpected type is kept in its `extra` as it came. It does not cost the
  other fields, nor an odd element of an array the other elements: it is in `extra` too, in a list under that name.
- A Literal is read as a str, since the API adds to its enums. `schema.validators` checks what may be sent.
"""

import json
import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from math import isfinite
from types import NoneType, UnionType
from typing import Any, Final, Literal, TypeVar, Union, cast, final, get_args, get_origin

import attrs
import orjson
from attrs import frozen
from cattrs import AttributeValidationNote, ClassValidationError, IterableValidationError
from cattrs.cols import homogenous_tuple_structure_factory
from cattrs.preconf.orjson import OrjsonConverter
from cattrs.preconf.orjson import make_converter as make_orjson_converter

from .codegen import EXTRA, Cache, Part, Tree, Unusual, in_utc, reader, unknown_fields
from .results import ApiError, Detail, Meta, Ok

T = TypeVar("T")
Structure = Callable[[Any, Any], T]
_DECIMAL_SOURCES: Final = frozenset({float, int, str})
_KIND: Final = "kind"
_ID: Final = re.compile(r'"((?:[a-z]+_)?id)"\s*:\s*"([!#-\[\]-~]{1,255})"')
_NO_HOOKS: Final[Mapping[str, Structure[Any]]] = {}
_MAX_DIGITS: Final = 20  # of a whole number of 64 bits, or 19 and a sign
_ERRORS: Final = {kind.__name__: kind for kind in get_args(ApiError)}


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
        return read if read.tzinfo is UTC else in_utc(read)
    except (ValueError, OverflowError):
        raise Mismatch("must be an ISO 8601 time") from None


def _any_json(value: object, _: object) -> object:
    return value


def _mapping(value: object, _: object) -> Mapping[str, object]:
    if isinstance(value, dict):
        return value
    raise Mismatch(f"must be an object, not {json_type_name(value)}")


def _object(converter: OrjsonConverter, model: Any) -> Structure[T]:  # noqa: ANN401 - a class, as cattrs passes it
    if is_answer(model):
        return tolerant_reader(model)
    structure: Structure[T] = converter.gen_structure_attrs_fromdict(model)

    def checked(value: object, model: object) -> T:
        return structure(_without_nulls(_checked_object(value)), model)

    return checked


def is_answer(model: type) -> bool:
    """Return whether *model* is an answer or an event: it has a field `extra`, and is not an error."""
    return any(one.name == EXTRA for one in attrs.fields(model)) and model.__name__ not in _ERRORS


def tolerant_reader(
    model: Any,  # noqa: ANN401 - any attrs class
    hooks: Mapping[str, Structure[Any]] = _NO_HOOKS,
) -> Structure[Any]:
    """Return the reader of an answer that keeps a field of an unexpected type in `extra`, as it came.

    So it does with the elements of an array that cannot be read. Only a field without a default is required. *hooks*
    read the fields that they name.
    """
    given_fields = [one for one in attrs.fields(attrs.resolve_types(model)) if one.name != EXTRA]
    field_readers = [_field_reader(one, hooks.get(one.name)) for one in given_fields]
    known = frozenset(one.name for one in given_fields)

    def structure(value: object, _: object) -> object:
        given = _checked_object(value)
        found: Tree = {EXTRA: unknown_fields(given, known)}
        errors = [error for read in field_readers if (error := read(given, found)) is not None]
        if errors:
            raise ClassValidationError("does not fit", errors, model)  # pyright: ignore[reportCallIssue] - its base takes two
        return model(**found)

    return structure


def _field_reader(one: "attrs.Attribute[Any]", hook: Structure[Any] | None) -> Callable[[Tree, Tree], Exception | None]:
    kind: Any = _inner(one.type) if _is_optional(one.type) else one.type
    element = get_args(kind)[0] if _origin(kind) is tuple else None
    required = one.default is attrs.NOTHING
    structure: Structure[Any] = hook or detailed.structure

    def read(given: Tree, found: Tree) -> Exception | None:
        raw = given.get(one.name)
        if raw is None:
            return located(KeyError(one.name), one.name) if required else None
        try:
            if element is not None and type(raw) is list:
                found[one.name], odd = _read_elements(raw, element)
                found[EXTRA] |= {one.name: odd} if odd else {}
            else:
                found[one.name] = structure(raw, kind)
        except Exception as error:  # noqa: BLE001 - whatever it was, the value is kept or is a problem
            if required:
                return located(error, one.name)
            found[EXTRA][one.name] = raw
        return None

    return read


def _read_elements(raw: list[object], kind: Any) -> tuple[tuple[Any, ...], list[object]]:  # noqa: ANN401
    good, odd = [], []
    for element in raw:
        try:
            good.append(detailed.structure(element, kind))
        except Exception:  # noqa: BLE001 - one odd element is one odd element
            odd.append(element)
    return tuple(good), odd


def located(error: Exception, path: str) -> Exception:
    """Return *error* with a note that names the *path* at which it was found."""
    error.add_note(AttributeValidationNote("", path, None))
    return error


def _checked_object(value: object) -> Tree:
    if type(value) is dict:
        return value
    raise Mismatch(f"must be an object, not {json_type_name(value)}")


def compiled_reader(
    model: Any,  # noqa: ANN401 - any attrs class
    unusual: Unusual | None = None,
    hooks: Mapping[str, Structure[Any]] = _NO_HOOKS,
) -> Structure[Any]:
    """Return the fast reader of *model*. *unusual* is as in `codegen.reader`; *hooks* read the fields they name."""
    # Fields that only need a type check are read without a function call each, which takes less than half of
    # the time of a cattrs hook per field. The detailed converter explains what this one refuses.
    parts = []
    for one in attrs.fields(attrs.resolve_types(model)):
        kind = _inner(one.type) if _is_optional(one.type) else cast("Any", one.type)
        exact = str if _origin(kind) is Literal else kind
        hook = hooks.get(one.name)
        parts.append(Part(one, kind, None if hook else exact, hook or fast.get_structure_hook(kind)))
    return reader(model, parts, unusual, open_=is_answer(model))


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
    _ = made.register_structure_hook_factory(
        attrs.has, lambda model: _object(made, model) if locate_problems else compiled_reader(model)
    )
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
    return memoryview(orjson.dumps(_fast_writers[type(value)](value))).tobytes()


def to_plain(value: object) -> Any:  # noqa: ANN401 - JSON has no better type
    """Return *value* as the types of JSON: dicts, lists, strings, numbers, booleans and None."""
    return fast.unstructure(value)


def parse(body: bytes) -> object | Problems:
    """Return the JSON value in *body*. If *body* is not JSON, return one problem without a path.

    A byte order mark is skipped; the body may then be UTF-16 too.
    """
    try:
        value: object = orjson.loads(_without_mark(body))
        return value
    except ValueError:
        return Problems((Detail("", "is not JSON" if body else "is empty"),))


def _without_mark(body: bytes) -> bytes | str:
    if body.startswith(BOM_UTF8):
        return body.removeprefix(BOM_UTF8)
    return body.decode("utf-16") if body.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else body


def parse_leniently(body: bytes) -> object | Problems:
    """Return the JSON value in *body* as `parse` does, or with what strict parsers refuse replaced.

    Invalid Unicode, such as half of a surrogate pair, becomes U+FFFD. NaN and numbers beyond a float become None.
    """
    value = parse(body)
    if not isinstance(value, Problems):
        return value
    try:
        text = _without_mark(body)
        text = text if isinstance(text, str) else text.decode(errors="replace")
        read = json.loads(text, parse_constant=_none, parse_int=_whole_number, parse_float=_finite_number)
        return _without_surrogates(read)
    except (ValueError, RecursionError):
        return value


def _none(_: str) -> None:
    return None


def _whole_number(digits: str) -> int | float | None:
    # orjson reads and writes 64 bits, and reads a longer number as a float.
    if len(digits) <= _MAX_DIGITS and -(2**63) <= (number := int(digits)) < 2**64:
        return number
    return _finite_number(digits)


def _finite_number(digits: str) -> float | None:
    number = float(digits)
    return number if isfinite(number) else None


def _without_surrogates(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        tree = cast("dict[str, object]", value)
        return {cast("str", _without_surrogates(name)): _without_surrogates(part) for name, part in tree.items()}
    return [_without_surrogates(part) for part in cast("list[object]", value)] if isinstance(value, list) else value


def salvage(body: bytes, deepest: int) -> Tree:
    """Return what can be read of *body*, which is no answer: the fields of a JSON object, or the ids in a part of one.

    If objects and arrays are nested in more than *deepest* levels, return the fields that are strings.
    """
    value = parse_leniently(body)
    if isinstance(value, dict):
        whole = not is_nested_deeper(value, deepest)
        return value if whole else {name: part for name, part in value.items() if isinstance(part, str)}
    text = body.decode(errors="replace").lstrip("\ufeff \t\r\n")
    return dict(reversed(_ID.findall(text))) if text.startswith("{") else {}  # of two ids with one name, the first


_fast_writers: Final[Cache[Any, Callable[[Any], Any]]] = Cache(fast.get_unstructure_hook)
_fast_readers: Final[Cache[Any, Structure[Any]]] = Cache(fast.get_structure_hook)


def load(body: bytes, model: type[T]) -> T | Problems:
    """Return the *model* read from the JSON in *body*, or the problems found.

    Unknown fields are ignored, or kept in `extra` if the model has one. Such a model is also read from JSON that is
    not quite valid, as `parse_leniently` does.
    """
    try:
        read: T = _fast_readers[model](orjson.loads(body), model)
        return read
    except Exception:  # noqa: BLE001 - whatever it was, the second reading locates it
        value = parse_leniently(body) if attrs.has(model) and is_answer(model) else parse(body)
        return value if isinstance(value, Problems) else _read_in_detail(value, model)


def load_error(body: bytes) -> ApiError | Problems:
    """Return the error value that `dump` wrote to *body*, or the problems found."""
    return load(body, cast("type[ApiError]", ApiError))


def from_plain(value: object, model: type[T]) -> T | Problems:
    """Return the *model* read from *value*, a parsed JSON value, or the problems found."""
    try:
        read: T = _fast_readers[model](value, model)
        return read
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


def _read_error(value: object, _: object) -> object:
    name = value.get(_KIND) if isinstance(value, dict) else None
    if not isinstance(name, str) or name not in _ERRORS:
        raise Mismatch("must be an object with the kind of an error")
    return detailed.structure(value, _ERRORS[name])


def _register_outcomes() -> None:
    _ = attrs.resolve_types(Meta)  # it names the errors, which are defined after it
    _ = fast.register_unstructure_hook_factory(lambda kind: kind is Ok or kind in _ERRORS.values(), _write_with_kind)
    for converter in (fast, detailed):
        converter.register_structure_hook_func(lambda kind: kind == ApiError, _read_error)


_register_outcomes()
