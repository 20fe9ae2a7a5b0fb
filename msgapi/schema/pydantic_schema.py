"""Pydantic: models and results as types of pydantic, and so of FastAPI. Imported when pydantic asks for a schema.

Rules:
- The codec reads and writes: pydantic accepts what `codec.from_dict` accepts and writes what `codec.to_dict` writes.
- A request is also checked against the documented limits, so that FastAPI answers 422 with all problems.
- An instance is accepted as it is.
- An error of validation names a path and quotes no value: `input` is hidden.
- No schema contains itself: FastAPI would list such a model twice, as its input and its output. So the errors before a
  result, in its `Meta`, are described as objects of these kinds, without their other fields.
- The typed dicts here describe the JSON. They are not used for reading, except for the value of an `Ok`.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from types import NoneType, UnionType
from typing import Any, Final, Literal, TypeAlias, TypeVar, Union, get_args, get_origin

import attrs
from pydantic import GetCoreSchemaHandler
from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError, core_schema
from pydantic_core.core_schema import CoreSchema, SerializationInfo

from ..codec import Problems, from_dict, to_dict
from ..codec.converter import KIND, NOT_WRITTEN, is_answer, marker_of
from ..redact import HIDDEN
from ..results import ApiError, Detail, Meta
from .mapping import field_paths, is_optional_in_request, marker_paths
from .validators import CHECKS, problems_of

Generate: TypeAlias = Callable[[Any], CoreSchema]
_JSON: Final = (dict, list, str, int, float, bool, NoneType)
_SELF: Final = (Meta, "refused")
"""The field whose values contain a model of its own class."""
_PARTS: Final = re.compile(r"[^.\[\]]+|\[\d+\]")
_SIMPLE: Final[Mapping[object, Callable[[], CoreSchema]]] = {
    str: core_schema.str_schema,
    int: core_schema.int_schema,
    float: core_schema.float_schema,
    bool: core_schema.bool_schema,
    datetime: core_schema.datetime_schema,
    Decimal: lambda: core_schema.union_schema([core_schema.float_schema(), core_schema.str_schema()]),
    object: core_schema.any_schema,
}


def core_schema_of(model: type, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:  # noqa: ANN401 - any type
    """Return the core schema of *model*, one of the classes of this package. *source* is it, or `Ok[...]`."""
    shape = _shape(model, source, handler.generate_schema)

    def validate(value: object, _: object) -> object:
        return value if type(value) is model else _read(value, model, source)

    validate.__name__ = validate.__qualname__ = model.__name__  # pydantic names the members of a union by it
    return core_schema.no_info_wrap_validator_function(
        validate,
        shape,
        ref=_reference(source),
        serialization=core_schema.plain_serializer_function_ser_schema(_write, info_arg=True),
    )


def _write(value: object, info: SerializationInfo) -> object:
    # In Python a model is a value like a datetime; only JSON has a form of its own for it.
    return to_dict(value) if info.mode == "json" else value


def _reference(source: Any) -> str:  # noqa: ANN401 - any type
    model = get_origin(source) or source
    inner = ",".join(_reference(one) for one in get_args(source) if isinstance(get_origin(one) or one, type))
    return f"{model.__module__}.{model.__qualname__}:{id(model)}{f'[{inner}]' if inner else ''}"


# Reading.


def _read(value: object, model: type, source: Any) -> object:  # noqa: ANN401 - any type
    if not isinstance(value, _JSON):
        details: tuple[Detail, ...] = (Detail("", f"must be an object, or a {model.__name__}"),)
    else:
        found = from_dict(value, source)
        if not isinstance(found, Problems):
            details = tuple(problems_of("", CHECKS[model], found)) if model in CHECKS else ()
            if not details:
                return found
        else:
            details = found.details
    raise ValidationError.from_exception_data(model.__name__, [_line(one) for one in details], hide_input=True)


def _line(detail: Detail) -> InitErrorDetails:
    code = "missing" if detail.message == "is required" else "msgapi_invalid"
    # Without a context the template is the text as it is.
    kind = PydanticCustomError(code, detail.message)  # pyright: ignore[reportArgumentType] - that rule is for translations
    return InitErrorDetails(type=kind, loc=_location(detail.field), input=HIDDEN)


def _location(path: str) -> tuple[str | int, ...]:
    return tuple(int(part[1:-1]) if part.startswith("[") else part for part in _PARTS.findall(path))


# The form in JSON.


def _shape(model: type, source: Any, generate: Generate) -> CoreSchema:  # noqa: ANN401 - any type
    fields = attrs.fields(attrs.resolve_types(model))
    paths = field_paths(model)
    root = _Tree()
    if marker := marker_of(model):
        root.put([marker[0]], core_schema.literal_schema([marker[1]]), required=True)
    for one in [one for one in fields if one.name not in NOT_WRITTEN]:
        kind = (get_args(source) or (object,))[0] if isinstance(one.type, TypeVar) else one.type
        required = one.default is attrs.NOTHING if paths is None else not is_optional_in_request(one)
        inner = _earlier_errors() if (model, one.name) == _SELF else _kind(kind, generate, open_=is_answer(model))
        path = one.name if paths is None else paths[one.name]
        root.put(path.split("."), inner, required=required)
    for mark in marker_paths(model):
        root.put(mark.split("."), core_schema.typed_dict_schema({}, extra_behavior="forbid"), required=True)
    return root.schema(closed=paths is not None and not is_answer(model), model=model)


class _Tree:
    """The fields of an object in JSON, and of the objects inside it."""

    def __init__(self) -> None:
        self._leaves: dict[str, CoreSchema] = {}
        self._inner: dict[str, _Tree] = {}
        self._required: set[str] = set()

    def put(self, path: list[str], schema: CoreSchema, *, required: bool) -> None:
        """Add a field with *schema* at *path*. If it is *required*, so are the objects around it."""
        name, *rest = path
        if required:
            self._required.add(name)
        if rest:
            self._inner.setdefault(name, _Tree()).put(rest, schema, required=required)
        else:
            self._leaves[name] = schema

    def schema(self, *, closed: bool, model: type | None = None) -> CoreSchema:
        """Return the schema of the object; if *closed*, it has no other fields."""
        schemas = self._leaves | {name: inner.schema(closed=closed) for name, inner in self._inner.items()}
        fields = {
            name: core_schema.typed_dict_field(schema, required=name in self._required)
            for name, schema in schemas.items()
        }
        behavior: Literal["forbid", "allow"] = "forbid" if closed else "allow"
        return core_schema.typed_dict_schema(fields, cls=model, extra_behavior=behavior)


def _earlier_errors() -> CoreSchema:
    kinds = core_schema.literal_schema([one.__name__ for one in get_args(ApiError)])
    fields = {KIND: core_schema.typed_dict_field(kinds, required=True)}
    return core_schema.list_schema(core_schema.typed_dict_schema(fields, extra_behavior="allow"))


def _kind(kind: Any, generate: Generate, *, open_: bool) -> CoreSchema:  # noqa: ANN401 - any type of a field
    origin, parts = get_origin(kind), get_args(kind)
    if kind in _SIMPLE:
        return _SIMPLE[kind]()
    if origin is Literal:  # the service adds to the enums of its answers
        return core_schema.str_schema() if open_ else core_schema.literal_schema([*parts])
    if origin is tuple:
        return core_schema.list_schema(_kind(parts[0], generate, open_=open_))
    if origin in {Union, UnionType}:
        inner = [_kind(one, generate, open_=open_) for one in parts if one is not NoneType]
        schema = inner[0] if len(inner) == 1 else core_schema.union_schema([*inner])
        return core_schema.nullable_schema(schema) if NoneType in parts else schema
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return core_schema.dict_schema(core_schema.str_schema(), _kind(parts[1], generate, open_=open_))
    return generate(kind)
