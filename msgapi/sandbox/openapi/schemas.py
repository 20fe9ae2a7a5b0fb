"""Schemas: the JSON Schemas of the models that the sandbox reads and the client gives."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from re import Pattern
from types import NoneType, UnionType
from typing import Any, Final, Literal, TypeAlias, Union, get_args, get_origin

import attrs

from ...layout import marks_of, paths_of
from ...rules import DURATION, NUMBER
from ...webhooks import EVENT_TYPES
from ..model.agents import CARRIERS

Schema: TypeAlias = dict[str, Any]
_SIMPLE: Final[Mapping[object, Schema]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    Decimal: {"type": ["number", "string"]},
    datetime: {"type": "string", "format": "date-time"},
    object: {},
}
_NULL: Final[Schema] = {"type": "null"}
_OPEN: Final = frozenset({"NewMethod"})
"""Requests in which what is not known is passed over."""


def like(pattern: Pattern[str], *, some: str = "") -> Schema:
    """Describe a string that a *pattern* matches whole; *some* is what it must have somewhere."""
    ahead = f"(?=.*{some})" if some else ""
    return {"type": "string", "pattern": f"^{ahead}({pattern.pattern})$"}


_FIELDS: Final[Mapping[str, Schema]] = {
    "phone": like(NUMBER),
    "phone_number": like(NUMBER),
    "user": like(NUMBER),
    "email": {"type": "string", "format": "email"},
    "ttl": like(DURATION, some="[1-9]"),
    "color": {
        "type": "string",
        "pattern": "^#[0-9A-Fa-f]{6}$",
        "description": "Its contrast to white is at least 4.5 to 1.",
    },
    "NewTopUp.amount": {"type": ["number", "string"], "minimum": 10},
    "NewEndpoint.events": {"type": "array", "minItems": 1, "items": {"enum": [*EVENT_TYPES]}},
    "EndpointChanges.events": {"type": "array", "minItems": 1, "items": {"enum": [*EVENT_TYPES]}},
    "code": {"type": "string", "pattern": "^[0-9]{4,10}$"},
    "text": {"type": "string", "minLength": 1, "maxLength": 25},
    "Text.text": {"type": "string", "minLength": 1, "maxLength": 3072},
    "Email.text": {"type": "string"},
    "Written.text": {"type": "string"},
    "Tapped.text": {"type": "string", "minLength": 1},
    "carrier": {"enum": [*CARRIERS]},
    "executions": {"type": "integer", "minimum": 1},
    "latitude": {"type": "number", "minimum": -90, "maximum": 90},
    "longitude": {"type": "number", "minimum": -180, "maximum": 180},
}
"""What a field of a request holds, or that of one model, where its type alone does not say it."""


def answered(kind: Any, schemas: dict[str, Schema]) -> Schema:  # noqa: ANN401 - any type that a field can have
    """Describe what is answered as *kind*; the models in it go into *schemas*."""
    return _schema(kind, schemas, asked=False)


def asked_for(kind: Any, schemas: dict[str, Schema]) -> Schema:  # noqa: ANN401 - as above
    """Describe what is asked for as *kind*: what has a default may be null, and there is nothing else."""
    return _schema(kind, schemas, asked=True)


def refs_of(schema: Schema) -> Iterable[str]:
    """Name the models that a *schema* is, or is one of."""
    refs = (one["$ref"] for one in (schema, *schema.get("anyOf", ())) if "$ref" in one)
    return tuple(ref.rpartition("/")[2] for ref in refs)


def closed() -> Schema:
    """Describe an object that has nothing yet."""
    return {"type": "object", "properties": {}, "additionalProperties": False}


def _schema(kind: Any, schemas: dict[str, Schema], *, asked: bool) -> Schema:  # noqa: ANN401 - as above
    origin, parts = get_origin(kind), get_args(kind)
    if kind in _SIMPLE:
        return _SIMPLE[kind]
    if origin is Literal:
        return {"enum": [*parts]}
    if origin in {Union, UnionType}:
        inner = [_schema(part, schemas, asked=asked) for part in parts if part is not NoneType]
        return {"anyOf": [*inner, *([_NULL] if NoneType in parts else [])]}
    if origin is tuple:
        return {"type": "array", "items": _schema(parts[0], schemas, asked=asked)}
    if attrs.has(kind):
        return _model(kind, schemas, asked=asked)
    return {"type": "object"}


def _model(model: Any, schemas: dict[str, Schema], *, asked: bool) -> Schema:  # noqa: ANN401 - an attrs class
    paths = paths_of(model) or {}
    noun = model.__module__.removeprefix("msgapi.").partition(".")[0]
    name = model.__name__ if model.__name__ not in {"Changes", "Status"} else f"{noun.title()}{model.__name__}"
    # A request that is laid out in objects is read whole; one that is flat may leave out what has a default.
    deep = any(path != field for field, path in paths.items())
    if name not in schemas:
        schemas[name] = {}  # so that a model that holds itself ends
        schemas[name] = closed() if asked and name not in _OPEN else {"type": "object", "properties": {}}
        for field in attrs.fields(attrs.resolve_types(model)):
            if field.name != "extra":
                where = (paths.get(field.name) or field.name).split(".")
                needed = field.default is attrs.NOTHING or (deep and field.default not in {None, ()})
                hint = _FIELDS.get(f"{name}.{field.name}", _FIELDS.get(field.name)) if asked else None
                leaf = hint or _schema(field.type, schemas, asked=asked)
                _put(schemas[name], where, leaf if needed or not asked else _or_null(leaf), needed=needed)
        for mark in marks_of(model):
            _put(schemas[name], mark.split("."), closed(), needed=True)
        _open(schemas[name])
    return {"$ref": f"#/components/schemas/{name}"}


def _or_null(schema: Schema) -> Schema:
    either = schema.get("anyOf", [schema])
    return {"anyOf": [*either, *([] if _NULL in either else [_NULL])]}


def _put(schema: Schema, where: list[str], leaf: Schema, *, needed: bool) -> None:
    # Where a field stands deeper, the objects on the way to it are made, and are needed where it is.
    for name in where[:-1]:
        if needed:
            _need(schema, name)
        schema = schema["properties"].setdefault(name, closed())
    schema["properties"][where[-1]] = leaf
    if needed:
        _need(schema, where[-1])


def _need(schema: Schema, name: str) -> None:
    if name not in schema.setdefault("required", []):
        schema["required"].append(name)


def _open(schema: Schema) -> None:
    # An object on the way to fields none of which is needed may be null as well.
    for name, part in schema["properties"].items():
        if part.get("additionalProperties") is False:
            _open(part)
            if name not in schema.get("required", ()):
                part["type"] = ["object", "null"]
