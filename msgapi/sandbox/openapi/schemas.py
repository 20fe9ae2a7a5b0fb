"""JSON Schemas of the models of requests and responses."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from re import Pattern
from types import NoneType, UnionType
from typing import Any, Final, Literal, TypeAlias, Union, get_args, get_origin

import attrs

from ...schema.mapping import field_paths, marker_paths
from ...schema.validators import DURATION, PHONE_NUMBER
from ...webhooks import EVENT_TYPES
from ..http.codecs import BASE64, MAX_POSTBACK, is_required
from ..model.agents import CARRIERS
from ..model.billing import AMOUNT_BOUND
from ..model.faults import BOUNCE_REASONS, FAIL_REASONS, FaultShares
from ..rules.controls import MAX_SECONDS

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
_NUMBER: Final[Schema] = {"type": "number"}
_NULL: Final[Schema] = {"type": "null"}
_OPEN: Final = frozenset({"NewPaymentMethod"})
"""Request models whose unknown fields are ignored."""


def pattern_schema(pattern: Pattern[str], *, some: str = "") -> Schema:
    """Return the schema of a string that a *pattern* matches as a whole, and that contains a match of *some*."""
    ahead = f"(?=.*{some})" if some else ""
    return {"type": "string", "pattern": f"^{ahead}({pattern.pattern})$"}


_AMOUNT: Final[Schema] = {"type": "number", "minimum": 0, "exclusiveMaximum": int(AMOUNT_BOUND)}
_SHARE: Final[Schema] = {"type": "number", "minimum": 0, "maximum": 1}
_SECONDS: Final[Schema] = {"type": "number", "minimum": 0, "maximum": MAX_SECONDS}
_FIELDS: Final[Mapping[str, Schema]] = {
    "phone": pattern_schema(PHONE_NUMBER),
    "phone_number": pattern_schema(PHONE_NUMBER),
    "user": pattern_schema(PHONE_NUMBER),
    "email": {"type": "string", "format": "email"},
    "ttl": pattern_schema(DURATION, some="[1-9]"),
    "color": {
        "type": "string",
        "pattern": "^#[0-9A-Fa-f]{6}$",
        "description": "Its contrast to white is at least 4.5 to 1.",
    },
    "NewTopUp.amount": {"type": "number", "minimum": 10},
    "postback_data": {**pattern_schema(BASE64), "maxLength": MAX_POSTBACK},
    "NewEndpoint.events": {"type": "array", "minItems": 1, "items": {"enum": [*EVENT_TYPES]}},
    "EndpointChanges.events": {"type": "array", "minItems": 1, "items": {"enum": [*EVENT_TYPES]}},
    "code": {"type": "string", "pattern": "^[0-9]{4,10}$"},
    "text": {"type": "string", "minLength": 1, "maxLength": 25},
    "Text.text": {"type": "string", "minLength": 1, "maxLength": 3072},
    "Email.text": {"type": "string"},
    "UserReply.text": {"type": "string"},
    "SuggestionTap.text": {"type": "string", "minLength": 1},
    "DeliveryFailure.reason": {"enum": [*FAIL_REASONS, *BOUNCE_REASONS]},
    "DashboardTopUp.amount": _AMOUNT,
    "FreeBalance.free": _AMOUNT,
    "SeedPrices.email": _AMOUNT,
    **dict.fromkeys((f"FaultChanges.{one.name}" for one in attrs.fields(FaultShares)), _SHARE),
    **dict.fromkeys((f"WebhookFaultChanges.{name}" for name in ("late", "repeated", "reordered")), _SHARE),
    **dict.fromkeys(("advance", "seconds", "slow_seconds", "late_by"), _SECONDS),
    "SnapshotDocument.format": {"const": "msgapi-sandbox"},
    "carrier": {"enum": [*CARRIERS]},
    "executions": {"type": "integer", "minimum": 1},
    "latitude": {"type": "number", "minimum": -90, "maximum": 90},
    "longitude": {"type": "number", "minimum": -180, "maximum": 180},
}
"""The schema of a field of any request, or of one model, if its type is not enough to describe it."""


def response_schema(kind: Any, schemas: dict[str, Schema]) -> Schema:  # noqa: ANN401 - any type of a field
    """Return the schema of a response of the type *kind*, and add its models to *schemas*."""
    return _schema(kind, schemas, request=False)


def request_schema(kind: Any, schemas: dict[str, Schema]) -> Schema:  # noqa: ANN401 - as above
    """Return the schema of a request of the type *kind*, and add its models to *schemas*.

    A field that has a default may be null. An object has no other properties.
    """
    return _schema(kind, schemas, request=True)


def referenced_models(schema: Schema) -> Iterable[str]:
    """Return the names of the models that a *schema* refers to, or chooses from."""
    refs = (one["$ref"] for one in (schema, *schema.get("anyOf", ())) if "$ref" in one)
    return tuple(ref.rpartition("/")[2] for ref in refs)


def closed_object() -> Schema:
    """Return the schema of an object without properties."""
    return {"type": "object", "properties": {}, "additionalProperties": False}


def _schema(kind: Any, schemas: dict[str, Schema], *, request: bool) -> Schema:  # noqa: ANN401 - as above
    origin, parts = get_origin(kind), get_args(kind)
    if kind in _SIMPLE:
        return _NUMBER if request and kind is Decimal else _SIMPLE[kind]
    if origin is Literal:
        return {"enum": [*parts]}
    if origin in {Union, UnionType}:
        inner = [_schema(part, schemas, request=request) for part in parts if part is not NoneType]
        return {"anyOf": [*inner, *([_NULL] if NoneType in parts else [])]}
    if origin is tuple:
        return {"type": "array", "items": _schema(parts[0], schemas, request=request)}
    if attrs.has(kind):
        return _model(kind, schemas, request=request)
    return {"type": "object"}


def _model(model: Any, schemas: dict[str, Schema], *, request: bool) -> Schema:  # noqa: ANN401 - an attrs class
    paths = field_paths(model) or {}
    noun = model.__module__.removeprefix("msgapi.").partition(".")[0]
    name = model.__name__ if model.__name__ not in {"Changes", "Status"} else f"{noun.title()}{model.__name__}"
    if name not in schemas:
        schemas[name] = {}  # a model that contains itself refers to this entry
        schemas[name] = closed_object() if request and name not in _OPEN else {"type": "object", "properties": {}}
        for field in attrs.fields(attrs.resolve_types(model)):
            if field.name != "extra":
                path = (paths.get(field.name) or field.name).split(".")
                required = is_required(model, field)
                hint = _FIELDS.get(f"{name}.{field.name}", _FIELDS.get(field.name)) if request else None
                leaf = hint or _schema(field.type, schemas, request=request)
                _put(schemas[name], path, leaf if required or not request else or_null(leaf), required=required)
        for mark in marker_paths(model):
            _put(schemas[name], mark.split("."), closed_object(), required=True)
        _allow_null(schemas[name])
    return {"$ref": f"#/components/schemas/{name}"}


def or_null(schema: Schema) -> Schema:
    """Return the schema of a value of *schema*, or null."""
    either = schema.get("anyOf", [schema])
    return {"anyOf": [*either, *([] if _NULL in either else [_NULL])]}


def _put(schema: Schema, path: list[str], leaf: Schema, *, required: bool) -> None:
    # The objects that contain a nested field are added, and are required if the field is.
    for name in path[:-1]:
        if required:
            _require(schema, name)
        schema = schema["properties"].setdefault(name, closed_object())
    schema["properties"][path[-1]] = leaf
    if required:
        _require(schema, path[-1])


def _require(schema: Schema, name: str) -> None:
    if name not in schema.setdefault("required", []):
        schema["required"].append(name)


def _allow_null(schema: Schema) -> None:
    # An object that contains no required field may be null.
    for name, part in schema["properties"].items():
        if part.get("additionalProperties") is False:
            _allow_null(part)
            if name not in schema.get("required", ()):
                part["type"] = ["object", "null"]
