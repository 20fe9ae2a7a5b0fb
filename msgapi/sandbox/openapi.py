"""OpenAPI: the document of what the sandbox serves, made from the models that it reads and the client gives.

The service publishes none. What the docs leave open is in it as the sandbox decided it.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from types import NoneType, UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin

import attrs
import orjson

from ..events import NAMES
from ..layout import marks_of, paths_of
from ..version import VERSION
from .catalogue import CONTROLS, OPERATIONS, Operation
from .decisions import CODES
from .dossiers import CARRIERS
from .routes import ROUTES
from .runs import CAMPAIGNS

_Schema = dict[str, Any]
_SIMPLE: Final[Mapping[object, _Schema]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    Decimal: {"type": ["number", "string"]},
    datetime: {"type": "string", "format": "date-time"},
    object: {},
}
_ERROR: Final[_Schema] = {
    "type": "object",
    "required": ["error", "message"],
    "properties": {
        "error": {"type": "string"},
        "message": {"type": "string"},
        "details": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
        "retry_after": {"type": "number"},
        "balance": {"$ref": "#/components/schemas/Balance"},
        "required_amount": {"type": "number"},
        "topup_url": {"type": "string"},
        "agent_status": {"type": "string"},
        "campaign_status": {"type": "string"},
        "message_status": {"type": "string"},
        "failure_reason": {"type": "string"},
    },
}
_PAGE: Final[_Schema] = {
    "description": "A proxy's page; by bad luck or chance only.",
    "content": {"text/html": {"schema": {"type": "string"}}},
}
_STATUS: Final[Mapping[str, int]] = {one.code: one.status for one in CODES}
_REFUSALS: Final = {(route.method, route.path): route.refusals for route in ROUTES}
_PARAMETERS: Final[Mapping[str, _Schema]] = {
    "limit": {"type": "integer", "minimum": 1, "maximum": 200},
    "offset": {"type": "integer", "minimum": 0},
    "direction": {"enum": ["OUTBOUND", "INBOUND"]},
    "month": {"type": "string", "pattern": "^[0-9]{4}-(0[1-9]|1[0-2])$"},
    "channel": {"enum": ["RCS", "EMAIL"]},
    "group_by": {"enum": ["day", "channel", "message_type", "unit"]},
    "from": {"type": "string", "format": "date"},
    "to": {"type": "string", "format": "date"},
}
_NUMBER: Final[_Schema] = {"type": "string", "pattern": r"^\+[1-9][0-9]{6,14}$"}
_FIELDS: Final[Mapping[str, _Schema]] = {
    "phone": _NUMBER,
    "phone_number": _NUMBER,
    "email": {"type": "string", "format": "email"},
    "ttl": {"type": "string", "pattern": "^[1-9][0-9]{0,5}s$"},
    "color": {"type": "string", "pattern": "^#[0-5][0-9a-f]{5}$"},
    "amount": {"type": "number", "minimum": 10},
    "events": {"type": "array", "minItems": 1, "items": {"enum": [*NAMES]}},
    "code": {"type": "string", "pattern": "^[0-9]{6}$"},
    "user": _NUMBER,
    "text": {"type": "string", "minLength": 1, "maxLength": 25},
    "Text.text": {"type": "string", "minLength": 1, "maxLength": 3072},
    "Email.text": {"type": "string"},
    "Written.text": {"type": "string"},
    "carrier": {"enum": [*CARRIERS]},
    "executions": {"type": "integer", "minimum": 1},
    "latitude": {"type": "number", "minimum": -90, "maximum": 90},
    "longitude": {"type": "number", "minimum": -180, "maximum": 180},
}
"""What a field of a request holds, or that of one model, where its type alone does not say it."""
_TEXT: Final = {
    "agent_id": "ag_live_demo",
    "to": "+4915112345678",
    "message_type": "MESSAGE",
    "traffic_type": "TRANSACTION",
    "content": {"text": "Your parcel is here"},
}
_EXAMPLES: Final[Mapping[str, object]] = {
    "messages.send": _TEXT,
    "contacts.create": {"source": "API", "email": "ada@shop.example", "tags": ["vip"]},
    "contacts.update": {"first_name": "Ada", "tags": []},
    "contacts.consent": {"channel_type": "EMAIL", "message_type": "NEWSLETTER", "source": "shop"},
    "agents.create": {
        "display_name": "Shop",
        "region": "EUROPE",
        "billing_category": "CONVERSATIONAL",
        "use_case": "MULTI_USE",
        "newsletter_enabled": True,
    },
    "webhooks.create": {"url": "https://shop.example/hook", "events": ["message.read"], "secret": "whsec_1"},
    "billing.top_up": {"amount": 10, "currency": "EUR"},
    "testagent.register": {"phone": "+4915112345678"},
    "sandbox.reply": {"agent_id": "ag_live_demo", "user": "+4915112345678", "text": "Hello"},
    "sandbox.launch": {"carrier": "telekom_de"},
}
_IDS: Final[Mapping[str, str]] = {
    "/v1/campaigns": CAMPAIGNS[0].campaign_id,
    "/_sandbox/campaigns": CAMPAIGNS[0].campaign_id,
}
"""What there is from the beginning, by where its path begins."""
_LINKS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "messages.send": ("message_id", ("messages.get", "messages.revoke")),
    "contacts.create": (
        "id",
        ("contacts.get", "contacts.update", "contacts.consents", "contacts.consent", "contacts.delete"),
    ),
    "agents.create": (
        "agent_id",
        ("agents.get", "agents.update", "agents.submit", "agents.launch", "sandbox.approve", "sandbox.reject"),
    ),
    "contacts.consent": ("id", ("sandbox.confirm",)),
    "webhooks.create": ("id", ("webhooks.update", "webhooks.test", "webhooks.delete")),
}
"""Which operations take the id that another one gives, and where it stands in the answer."""


@lru_cache(1)
def document() -> bytes:
    """Write the document as JSON."""
    schemas: dict[str, _Schema] = {}
    paths: dict[str, dict[str, _Schema]] = {}
    for one in (*OPERATIONS, *CONTROLS):
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one, schemas)
    _ = _schema(_named("Balance"), schemas)
    schemas["Error"] = _ERROR
    return orjson.dumps(
        {
            "openapi": "3.1.0",
            "info": {"title": "Sandbox of a messaging API", "version": VERSION},
            "security": [{"key": []}],
            "paths": paths,
            "components": {"schemas": schemas, "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
        }
    )


def _named(name: str) -> Any:  # noqa: ANN401 - a class
    return next(one.gives for one in OPERATIONS if getattr(one.gives, "__name__", "") == name)


def _operation(one: Operation, schemas: dict[str, _Schema]) -> _Schema:
    made: _Schema = {
        "operationId": one.name,
        "tags": [one.noun],
        "summary": (one.function.__doc__ or "").partition("\n")[0],
        "parameters": [
            *([_id_of(one)] if "{id}" in one.path else ()),
            *(_parameter(name, "query") for name in one.query),
            *([_parameter("Idempotency-Key", "header")] if one.method == "POST" else ()),
        ],
        "responses": _responses(one, schemas),
    }
    if one.takes is not None:
        media: _Schema = {"schema": _schema(one.takes, schemas)}
        media |= {"example": _EXAMPLES[one.name]} if one.name in _EXAMPLES else {}
        made["requestBody"] = {"required": True, "content": {"application/json": media}}
    return made


def _id_of(one: Operation) -> _Schema:
    known = _IDS.get(one.path.partition("/{id}")[0])
    return _parameter("id", "path") | ({} if known is None else {"example": known})


def _parameter(name: str, where: str) -> _Schema:
    schema = _PARAMETERS.get(name, {"type": "string", "minLength": 1})
    if where == "header":
        schema = {"type": "string", "pattern": "^[!-~]{1,255}$"}
    return {"name": name, "in": where, "required": where == "path", "schema": schema}


def _responses(one: Operation, schemas: dict[str, _Schema]) -> _Schema:
    name, others = _LINKS.get(one.name, ("", ()))
    links = {other: {"operationId": other, "parameters": {"id": f"$response.body#/{name}"}} for other in others}
    good: _Schema = {"content": {"application/json": {"schema": _schema(one.gives, schemas)}}, "links": links}
    by_status: dict[int, list[str]] = {}
    for code in sorted(_REFUSALS[one.method, one.path]):
        by_status.setdefault(_STATUS[code], []).append(code)
    refused = {str(status): _refused(codes) for status, codes in sorted(by_status.items())}
    return {**{str(status): {"description": "Done.", **good} for status in one.statuses}, **refused, "502": _PAGE}


def _refused(codes: list[str]) -> _Schema:
    schema = {"$ref": "#/components/schemas/Error", "properties": {"error": {"enum": codes}}}
    return {"description": ", ".join(codes), "content": {"application/json": {"schema": schema}}}


def _schema(kind: Any, schemas: dict[str, _Schema]) -> _Schema:  # noqa: ANN401 - any type that a field can have
    origin, parts = get_origin(kind), get_args(kind)
    if kind in _SIMPLE:
        return _SIMPLE[kind]
    if origin is Literal:
        return {"enum": [*parts]}
    if origin in {Union, UnionType}:
        inner = [_schema(part, schemas) for part in parts if part is not NoneType]
        return {"anyOf": [*inner, *([{"type": "null"}] if NoneType in parts else [])]}
    if origin is tuple:
        return {"type": "array", "items": _schema(parts[0], schemas)}
    if attrs.has(kind):
        return _model(kind, schemas)
    return {"type": "object"}


def _model(model: Any, schemas: dict[str, _Schema]) -> _Schema:  # noqa: ANN401 - an attrs class
    paths = paths_of(model)
    noun = model.__module__.removeprefix("msgapi.").partition(".")[0]
    name = model.__name__ if model.__name__ not in {"Changes", "Status"} else f"{noun.title()}{model.__name__}"
    # A request that is laid out in objects is read whole; one that is flat may leave out what has a default.
    deep = paths is not None and any(path != field for field, path in paths.items())
    if name not in schemas:
        schemas[name] = {}  # so that a model that holds itself ends
        schemas[name] = _object() if paths else {"type": "object", "properties": {}}
        for field in attrs.fields(attrs.resolve_types(model)):
            if field.name != "extra":
                where = (paths[field.name] if paths else field.name).split(".")
                needed = field.default is attrs.NOTHING or (deep and field.default not in {None, ()})
                hint = _FIELDS.get(f"{name}.{field.name}", _FIELDS.get(field.name)) if paths else None
                _put(schemas[name], where, hint or _schema(field.type, schemas), needed=needed)
        for mark in marks_of(model):
            _put(schemas[name], mark.split("."), _object(), needed=True)
    return {"$ref": f"#/components/schemas/{name}"}


def _object() -> _Schema:
    return {"type": "object", "properties": {}, "additionalProperties": False}


def _put(schema: _Schema, where: list[str], leaf: _Schema, *, needed: bool) -> None:
    # Where a field stands deeper, the objects on the way to it are made, and are needed where it is.
    for name in where[:-1]:
        if needed:
            _need(schema, name)
        schema = schema["properties"].setdefault(name, _object())
    schema["properties"][where[-1]] = leaf
    if needed:
        _need(schema, where[-1])


def _need(schema: _Schema, name: str) -> None:
    if name not in schema.setdefault("required", []):
        schema["required"].append(name)
