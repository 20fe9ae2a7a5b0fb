"""Converter: the cattrs hooks that convert models and outcomes to JSON types and back, one for each type of a field.

Rules:
- The fast converter reads first; only what it refuses is read again by the detailed one, which locates the problems.
- No value is coerced from one JSON type to another, except that a Decimal is read from a number or a string.
- A null where a field has a default is read as that default.
- A field of an answer or an event that has an unexpected type is kept in its `extra` as it came. It does not cost the
  other fields, nor an odd element of an array the other elements: it is in `extra` too, in a list under that name.
- A Literal is read as a str, since the API adds to its enums. `schema.validators` checks what may be sent.
- An answer and an outcome are written with all fields, except those that are None by default and in value, and an
  empty `extra`. Of any other class, fields at their default are omitted.
- An outcome is written with a field "kind", the name of its class, and is read only as that class.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from types import NoneType, UnionType
from typing import Any, Final, Literal, TypeVar, Union, cast, get_args, get_origin

import attrs
from cattrs import AttributeValidationNote, ClassValidationError
from cattrs.cols import homogenous_tuple_structure_factory
from cattrs.gen import make_dict_unstructure_fn, override
from cattrs.preconf.orjson import OrjsonConverter
from cattrs.preconf.orjson import make_converter as make_orjson_converter

from ..codegen import EXTRA, Part, Tree, Unusual, in_utc, reader, unknown_fields
from ..results import ApiError, Meta, Ok, RateLimit

T = TypeVar("T")
Structure = Callable[[Any, Any], T]
_DECIMAL_SOURCES: Final = frozenset({float, int, str})
NOT_WRITTEN: Final = frozenset({"_headers", "raw_body"})  # of `Meta`: what a response contains beside its figures
KIND: Final = "kind"  # the field of an outcome that has the name of its class
_NO_HOOKS: Final[Mapping[str, Structure[Any]]] = {}
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
    # JSON has one type of number: 310.0 is an integer. One of more than 64 bits can be read, but not be written again.
    if type(value) is int:
        return value
    if type(value) is float and value.is_integer() and -(2.0**63) <= value < 2.0**64:
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


def _is_array(kind: object) -> bool:
    # A tuple of any length; one such as tuple[int, str], or a named tuple, has a type for each place.
    return get_origin(kind) is tuple and get_args(kind)[-1:] == (...,)


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
    _ = made.register_structure_hook_factory(_is_array, lambda kind: _array(made, kind))
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


# Outcomes, and other models of which several have the same fields: a marker says which one it is.


def mark_model(model: type, name: str, value: str) -> None:
    """Write *model* with the field *name*, which is *value*, and read it only from an object with that field."""
    MARKERS[model] = name, value


def marker_of(model: type) -> tuple[str, str] | None:
    """Return the name and the value of the field that marks *model*, or None."""
    return MARKERS.get(model)


_OMITTED: Final = frozenset({EXTRA, "own_words"})  # at its default


def answer_writer(model: type) -> Callable[[object], dict[str, object]]:
    """Return the function that writes an answer or an outcome, by the rule above."""
    omitted = {one.name: one.default is None or one.name in _OMITTED for one in attrs.fields(model)}
    overrides: Any = {name: override(omit_if_default=omit) for name, omit in omitted.items()}
    overrides |= {name: override(omit=True) for name in NOT_WRITTEN & omitted.keys()}
    return make_dict_unstructure_fn(model, fast, **overrides)


def _marked_writer(model: Any) -> Callable[[object], dict[str, object]]:  # noqa: ANN401 - a class, as cattrs passes it
    name, value = MARKERS[get_origin(model) or model]
    write = answer_writer(model)
    return lambda one: {name: value, **write(one)}


def _marked_reader(converter: OrjsonConverter, model: Any) -> Structure[Any]:  # noqa: ANN401 - as above
    kind: type = get_origin(model) or model
    name, expected = MARKERS[kind]
    read = _unmarked_reader(converter, model)

    def structure(value: object, model: object) -> object:
        if _checked_object(value).get(name) != expected:
            raise _located_error(kind, [located(Mismatch(f"must be {expected}"), name)])
        return read({given: part for given, part in _checked_object(value).items() if given != name}, model)

    return structure


def _unmarked_reader(converter: OrjsonConverter, model: Any) -> Structure[Any]:  # noqa: ANN401 - as above
    if _is_ok(model):
        return _ok_reader(converter, (get_args(model) or (object,))[0])
    return _object(converter, model) if converter is detailed else compiled_reader(model)


def _ok_reader(converter: OrjsonConverter, kind: Any) -> Structure[Any]:  # noqa: ANN401 - the type of the value
    def structure(given: Tree, _: object) -> object:
        found: Tree = {}
        errors: list[Exception] = []
        for name, part in (("value", kind), ("meta", Meta)):
            try:
                found[name] = converter.structure(given[name] if name == "value" else given.get(name) or {}, part)
            except Exception as error:  # noqa: BLE001 - collected, and raised as one below
                errors.append(located(error, name))
        if errors:
            raise _located_error(Ok, errors)
        return Ok(**found)

    return structure


def _located_error(model: type, errors: list[Exception]) -> ClassValidationError:
    return ClassValidationError("does not fit", errors, model)  # pyright: ignore[reportCallIssue] - its base takes two


def _union_reader(converter: OrjsonConverter, union: object) -> Structure[Any]:
    kinds = {MARKERS[get_origin(one) or one][1]: one for one in get_args(union)}

    def structure(value: object, _: object) -> object:
        name = value.get(KIND) if isinstance(value, dict) else None
        if not isinstance(name, str) or name not in kinds:
            raise Mismatch(f"must be an object with the kind of {'a result' if Ok.__name__ in kinds else 'an error'}")
        return converter.structure(value, kinds[name])

    return structure


def _is_ok(kind: object) -> bool:
    return kind is Ok or get_origin(kind) is Ok


def _is_marked(kind: object) -> bool:
    return _is_ok(kind) or (isinstance(kind, type) and kind in MARKERS)


def _is_union_of_outcomes(kind: object) -> bool:
    return get_origin(kind) in {Union, UnionType} and set(_ERRORS.values()) <= set(get_args(kind))


def _register_outcomes() -> None:
    _ = attrs.resolve_types(Meta)  # it names the errors, which are defined after it
    for kind in (RateLimit, Meta):
        fast.register_unstructure_hook(kind, answer_writer(kind))
    _ = fast.register_unstructure_hook_factory(lambda kind: attrs.has(kind) and is_answer(kind), answer_writer)
    _ = fast.register_unstructure_hook_factory(_is_marked, _marked_writer)
    for converter in (fast, detailed):
        _register_reading(converter)


def _register_reading(converter: OrjsonConverter) -> None:
    _ = converter.register_structure_hook_factory(_is_marked, lambda kind: _marked_reader(converter, kind))
    _ = converter.register_structure_hook_factory(_is_union_of_outcomes, lambda kind: _union_reader(converter, kind))


MARKERS: Final[dict[type, tuple[str, str]]] = {one: (KIND, one.__name__) for one in (Ok, *_ERRORS.values())}
_register_outcomes()
