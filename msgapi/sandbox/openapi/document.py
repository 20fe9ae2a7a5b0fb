"""OpenAPI: the document of what the sandbox serves, made from the models that it reads and the client gives.

The service publishes none. What the docs leave open is in it as the sandbox decided it.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

import orjson

from ...results import Balance
from ...rules import KEY, MONTH
from ...version import VERSION
from ..decisions import CODES
from ..http.dates import MOMENT
from ..http.idempotency import FIELD
from ..model.campaigns import CAMPAIGNS
from ..routes.table import ROUTES
from .operations import CONTROLS, OPERATIONS, Operation
from .schemas import Schema, answered, asked_for, closed, like, refs_of

_ERROR: Final[Schema] = {
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
_PAGE: Final[Schema] = {
    "description": "A proxy's page; by bad luck or chance only.",
    "content": {"text/html": {"schema": {"type": "string"}}},
}
_STATUS: Final[Mapping[str, int]] = {one.code: one.status for one in CODES}
_ROUTES: Final = {(route.method, route.path): route for route in ROUTES}
_KEY: Final = like(KEY)
_HEADERS: Final[Mapping[str, Schema]] = {
    "X-RateLimit-Limit": {"type": "integer", "minimum": 1},
    "X-RateLimit-Remaining": {"type": "integer", "minimum": 0},
    "X-RateLimit-Reset": {"type": "number"},
}
"""What is said with every answer but a proxy's."""
_SAID: Final[Schema] = {name: {"$ref": f"#/components/headers/{name}"} for name in _HEADERS}
_MADE: Final = 201
_PARAMETERS: Final[Mapping[str, Schema]] = {
    "limit": {"type": "integer", "minimum": 1, "maximum": 200},
    "offset": {"type": "integer", "minimum": 0},
    "direction": {"enum": ["OUTBOUND", "INBOUND"]},
    "month": like(MONTH),
    "channel": {"enum": ["RCS", "EMAIL"]},
    "group_by": {"enum": ["day", "channel", "message_type", "unit"]},
    "from": {"type": "string", "format": "date"},
    "to": {"type": "string", "format": "date"},
    "messages.list from": like(MOMENT),
    "messages.list to": like(MOMENT),
}
"""What a parameter holds, or that of one operation."""
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
    schemas: dict[str, Schema] = {}
    paths: dict[str, dict[str, Schema]] = {}
    for one in (*OPERATIONS, *CONTROLS):
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one, schemas)
    _ = answered(Balance, schemas)
    schemas["Error"] = _ERROR
    return orjson.dumps(
        {
            "openapi": "3.1.0",
            "info": {"title": "Sandbox of a messaging API", "version": VERSION},
            "security": [{"key": []}],
            "paths": paths,
            "components": {
                "schemas": schemas,
                "headers": _headers(),
                "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            },
        }
    )


def _headers() -> Schema:
    return {name: {"required": True, "schema": schema} for name, schema in _HEADERS.items()}


def _operation(one: Operation, schemas: dict[str, Schema]) -> Schema:
    writes = _ROUTES[one.method, one.path].writes
    made: Schema = {
        "operationId": one.name,
        "tags": [one.noun],
        "summary": (one.function.__doc__ or "").partition("\n")[0],
        "parameters": [
            *([_id_of(one)] if "{id}" in one.path else ()),
            *(_parameter(one, name) for name in one.query),
            *([{"name": "Idempotency-Key", "in": "header", "required": False, "schema": _KEY}] if writes else ()),
        ],
        "responses": _responses(one, schemas),
    }
    if writes:
        media: Schema = {"schema": _body(one, schemas)}
        media |= {"example": _EXAMPLES[one.name]} if one.name in _EXAMPLES else {}
        made["requestBody"] = {"required": one.takes is not None, "content": {"application/json": media}}
    return made


def _body(one: Operation, schemas: dict[str, Schema]) -> Schema:
    # An idempotency key may stand beside the fields of any body.
    if one.takes is None:
        return {**closed(), "properties": {FIELD: _KEY}}
    schema = asked_for(one.takes, schemas)
    for name in refs_of(schema):
        schemas[name]["properties"][FIELD] = _KEY
    return _lenient(schema, schemas) if one.name == "testagent.send" else schema


def _lenient(schema: Schema, schemas: dict[str, Schema]) -> Schema:
    # The test agent needs no message_type.
    for name in refs_of(schema):
        needed = [field for field in schemas[name]["required"] if field != "message_type"]
        schemas[f"Test{name}"] = {**schemas[name], "required": needed}
    return {"anyOf": [{"$ref": f"#/components/schemas/Test{name}"} for name in refs_of(schema)]}


def _id_of(one: Operation) -> Schema:
    known = _IDS.get(one.path.partition("/{id}")[0])
    schema = {"type": "string", "minLength": 1}
    return {"name": "id", "in": "path", "required": True, "schema": schema} | (
        {} if known is None else {"example": known}
    )


def _parameter(one: Operation, name: str) -> Schema:
    schema = _PARAMETERS.get(f"{one.name} {name}", _PARAMETERS.get(name, {"type": "string"}))
    return {"name": name, "in": "query", "required": False, "schema": schema}


def _responses(one: Operation, schemas: dict[str, Schema]) -> Schema:
    by_status: dict[int, list[str]] = {}
    for code in sorted(_ROUTES[one.method, one.path].refusals):
        by_status.setdefault(_STATUS[code], []).append(code)
    refused = {str(status): _refused(codes) for status, codes in sorted(by_status.items())}
    return {**{str(status): _good(one, status, schemas) for status in one.statuses}, **refused, "502": _PAGE}


def _good(one: Operation, status: int, schemas: dict[str, Schema]) -> Schema:
    name, others = _LINKS.get(one.name, ("", ()))
    links = {other: {"operationId": other, "parameters": {"id": f"$response.body#/{name}"}} for other in others}
    schema = answered(one.answers or one.gives, schemas)
    made = (
        {"Location": {"required": True, "schema": {"type": "string"}}}
        if status == _MADE and one.noun != "sandbox"
        else {}
    )
    return {
        "description": "Done.",
        "headers": {**_SAID, **made},
        "content": {"application/json": {"schema": schema}},
        "links": links,
    }


def _refused(codes: list[str]) -> Schema:
    schema = {"$ref": "#/components/schemas/Error", "properties": {"error": {"enum": codes}}}
    content = {"application/json": {"schema": schema}}
    return {"description": ", ".join(codes), "headers": _SAID, "content": content}
