"""The table of operations, and the OpenAPI document that is made from it.

For each operation the table has the function of the client that calls it, and the models of its request and response.
The table of coverage in the README is made from it, too. The service publishes no OpenAPI document. Where its docs are
incomplete, the document says what the sandbox does.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final, final

import orjson
from attrs import frozen

from ... import agents, billing, campaigns, contacts, messages, testagent, webhooks
from ...billing.models import NewTopUp
from ...campaigns import CampaignRun, CampaignStatus
from ...contacts import ImportRows
from ...http import CONTROL_PREFIX
from ...messages import Accepted, Message, MessageRecord, Page, Revoked
from ...results import Balance
from ...schema.validators import IDEMPOTENCY_KEY, MONTH
from ...testagent import Registration, TestAgentStatus, Verification
from ...version import VERSION
from ...webhooks import Confirmation
from ..decisions import CODES
from ..http.requests import DATE_OR_TIME, KEY_FIELD
from ..model.campaigns import CAMPAIGNS
from ..model.inspection import DIRECTIONS, STATUSES
from ..routes.agents import CodeSentResponse, TestAgentResponse
from ..routes.billing import (
    AlertResponse,
    AutoReloadResponse,
    NewPaymentMethod,
    PaymentMethodResponse,
    PaymentMethodsResponse,
    TopUpResponse,
    TransactionsResponse,
)
from ..routes.campaigns import CampaignStatusResponse
from ..routes.controls import CONTROLS as _CONTROLS
from ..routes.inspection.requests import STATUS as REQUEST_STATUS
from ..routes.inspection.table import INSPECTIONS as _INSPECTIONS
from ..routes.state import STATE_CONTROLS
from ..routes.table import ROUTES
from ..routes.usage import DetailedUsageResponse, InvoicesResponse, TierResponse, TiersResponse, UsageResponse
from ..routes.webhooks import DeletedResponse, WebhookTestResponse
from .schemas import Schema, closed_object, or_null, pattern_schema, referenced_models, request_schema, response_schema


@final
@frozen
class Operation:
    """One operation: its route, the *function* that makes its call, and the models *takes* and *gives*.

    *takes* is None if there is no body, or one without fields. *statuses* are those of a success. *answers* is the
    model that the sandbox returns if the docs show none, so that the client keeps any fields. *media* is the media type
    of a success.
    """

    method: str
    path: str
    function: Callable[..., Any]
    gives: Any
    takes: Any = None
    statuses: tuple[int, ...] = (200,)
    query: tuple[str, ...] = ()
    answers: Any = None
    media: str = "application/json"

    @property
    def name(self) -> str:
        """The name of the function with its module, as a user calls it."""
        return f"{self.noun}.{self.function.__name__}"

    @property
    def noun(self) -> str:
        """The name of the module; `sandbox` for a control."""
        return self.function.__module__.removeprefix("msgapi.").partition(".")[0]


_CREATED: Final = (201,)
_ACCEPTED: Final = (202,)
_LOG: Final = (
    *("limit", "offset", "direction", "status", "channel_id", "contact_id", "campaign_id", "message_type"),
    *("from", "to"),
)
OPERATIONS: Final = (
    Operation("POST", "/v1/messages", messages.send, Accepted, Message),
    Operation("GET", "/v1/messages", messages.list, Page, query=_LOG),
    Operation("GET", "/v1/messages/{id}", messages.get, MessageRecord),
    Operation("DELETE", "/v1/messages/{id}", messages.revoke, Revoked),
    Operation("POST", "/v1/test/register", testagent.register, TestAgentStatus, Registration, answers=CodeSentResponse),
    Operation("POST", "/v1/test/verify", testagent.verify, TestAgentStatus, Verification, answers=TestAgentResponse),
    Operation("POST", "/v1/test/messages", testagent.send, Accepted, Message),
    Operation("GET", "/v1/test/status", testagent.status, TestAgentStatus, answers=TestAgentResponse),
    Operation("POST", "/v1/rcs/agents", agents.create, agents.Agent, agents.NewAgent, _CREATED),
    Operation("GET", "/v1/rcs/agents/{id}", agents.get, agents.Agent),
    Operation("PATCH", "/v1/rcs/agents/{id}", agents.update, agents.Agent, agents.AgentChanges),
    Operation("POST", "/v1/rcs/agents/{id}/submit", agents.submit, agents.Submitted, statuses=_ACCEPTED),
    Operation("GET", "/v1/rcs/agents/{id}/launch", agents.launch_status, agents.LaunchStatus),
    Operation("POST", "/v1/contacts", contacts.create, contacts.Contact, contacts.NewContact, (201, 200)),
    Operation("GET", "/v1/contacts/{id}", contacts.get, contacts.Contact),
    Operation("PATCH", "/v1/contacts/{id}", contacts.update, contacts.Contact, contacts.ContactChanges),
    Operation("DELETE", "/v1/contacts/{id}", contacts.delete, contacts.Deleted),
    Operation("POST", "/v1/contacts/import", contacts.import_contacts, contacts.Imported, ImportRows),
    Operation("GET", "/v1/contacts/{id}/consent", contacts.list_consents, contacts.Consents),
    Operation(
        "POST", "/v1/contacts/{id}/consent", contacts.create_consent, contacts.Consent, contacts.NewConsent, _CREATED
    ),
    Operation("POST", "/v1/campaigns/{id}/trigger", campaigns.trigger, CampaignRun, statuses=_ACCEPTED),
    Operation("POST", "/v1/campaigns/{id}/pause", campaigns.pause, CampaignStatus),
    Operation("POST", "/v1/campaigns/{id}/resume", campaigns.resume, CampaignStatus),
    Operation("GET", "/v1/campaigns/{id}/status", campaigns.status, CampaignStatus, answers=CampaignStatusResponse),
    Operation("GET", "/v1/billing/balance", billing.balance, Balance),
    Operation("GET", "/v1/billing/usage", billing.usage, billing.UsageReport, query=("month",), answers=UsageResponse),
    Operation(
        "GET",
        "/v1/billing/usage/detailed",
        billing.detailed_usage,
        billing.UsageReport,
        query=("from", "to", "group_by"),
        answers=DetailedUsageResponse,
    ),
    Operation(
        "GET",
        "/v1/billing/tier",
        billing.tier,
        billing.UsageReport,
        query=("channel",),
        answers=TiersResponse | TierResponse,
    ),
    Operation("POST", "/v1/billing/topup", billing.top_up, billing.TopUp, NewTopUp, answers=TopUpResponse),
    Operation(
        "GET",
        "/v1/billing/payment-methods",
        billing.payment_methods,
        billing.PaymentMethods,
        answers=PaymentMethodsResponse,
    ),
    Operation(
        "POST",
        "/v1/billing/payment-methods",
        billing.add_payment_method,
        billing.PaymentMethod,
        NewPaymentMethod,
        _CREATED,
        answers=PaymentMethodResponse,
    ),
    Operation(
        "GET", "/v1/billing/auto-reload", billing.auto_reload, billing.AutoReloadSettings, answers=AutoReloadResponse
    ),
    Operation(
        "PUT",
        "/v1/billing/auto-reload",
        billing.set_auto_reload,
        billing.SettingSaved,
        billing.AutoReload,
        answers=AutoReloadResponse,
    ),
    Operation(
        "PUT", "/v1/billing/alerts", billing.set_alert, billing.SettingSaved, billing.Alert, answers=AlertResponse
    ),
    Operation(
        "GET",
        "/v1/billing/transactions",
        billing.transactions,
        billing.Transactions,
        query=("cursor", "limit", "from", "to"),
        answers=TransactionsResponse,
    ),
    Operation("GET", "/v1/billing/invoices", billing.invoices, billing.Invoices, answers=InvoicesResponse),
    Operation("POST", "/v1/webhooks", webhooks.create, webhooks.WebhookEndpoint, webhooks.NewEndpoint, _CREATED),
    Operation("GET", "/v1/webhooks", webhooks.list, webhooks.EndpointPage),
    Operation(
        "PATCH",
        "/v1/webhooks/{id}",
        webhooks.update,
        Confirmation,
        webhooks.EndpointChanges,
        answers=webhooks.WebhookEndpoint,
    ),
    Operation("DELETE", "/v1/webhooks/{id}", webhooks.delete, Confirmation, answers=DeletedResponse),
    Operation("POST", "/v1/webhooks/{id}/test", webhooks.test, Confirmation, answers=WebhookTestResponse),
)
"""Every operation that the docs have, in the order of their pages."""

CONTROLS: Final = (
    *(
        Operation(
            one.method, one.path, one.handler, one.returns, None if one.form is None else one.form.model, (one.status,)
        )
        for one in (*_CONTROLS, *STATE_CONTROLS)
    ),
    *(
        Operation("GET", one.path, one.reader, one.returns, query=tuple(one.parsers), media=one.media)
        for one in _INSPECTIONS
    ),
)
"""The controls, for which the service has no routes."""


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
    "description": "The page of a proxy; only as a simulated fault.",
    "content": {"text/html": {"schema": {"type": "string"}}},
}
_STATUS: Final[Mapping[str, int]] = {one.code: one.status for one in CODES}
_ROUTES: Final = {(route.method, route.path): route for route in ROUTES}
_KEY: Final = pattern_schema(IDEMPOTENCY_KEY)
_HEADERS: Final[Mapping[str, Schema]] = {
    "X-RateLimit-Limit": {"type": "integer", "minimum": 1},
    "X-RateLimit-Remaining": {"type": "integer", "minimum": 0},
    "X-RateLimit-Reset": {"type": "number"},
}
"""The headers of every response except that of a proxy."""
_CONTROL_HEADERS: Final[Mapping[str, Schema]] = {"X-Msgapi-Sandbox": {"type": "string"}}
"""The headers of every response below `/_sandbox`, beside those."""
_HEADER_REFS: Final[Schema] = {name: {"$ref": f"#/components/headers/{name}"} for name in _HEADERS}
_CONTROL_REFS: Final[Schema] = {name: {"$ref": f"#/components/headers/{name}"} for name in _CONTROL_HEADERS}
_PARAMETERS: Final[Mapping[str, Schema]] = {
    "limit": {"type": "integer", "minimum": 1, "maximum": 200},
    "offset": {"type": "integer", "minimum": 0},
    "direction": {"enum": [*DIRECTIONS]},
    "month": pattern_schema(MONTH),
    "channel": {"enum": ["RCS", "EMAIL"]},
    "group_by": {"enum": ["day", "channel", "message_type", "unit"]},
    "from": {"type": "string", "format": "date"},
    "to": {"type": "string", "format": "date"},
    "messages.list from": pattern_schema(DATE_OR_TIME),
    "messages.list to": pattern_schema(DATE_OR_TIME),
    **{f"sandbox.{one} to": {"type": "string"} for one in ("messages", "wait")},
    **{f"sandbox.{one} status": {"enum": [*STATUSES]} for one in ("messages", "wait")},
    "sandbox.requests status": pattern_schema(REQUEST_STATUS),
    "after": {"type": "integer", "minimum": 0},
    "before": {"type": "integer", "minimum": 0},
    "order": {"enum": ["newest", "oldest"]},
    "timeout": {"type": "integer", "minimum": 0, "maximum": 60},
}
"""The schema of a query parameter, or of that of one operation."""
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
    "contacts.create_consent": {"channel_type": "EMAIL", "message_type": "NEWSLETTER", "source": "shop"},
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
"""Ids of a new sandbox, by the beginning of the path."""
_LINKS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "messages.send": (
        "message_id",
        (
            *("messages.get", "messages.revoke", "sandbox.message", "sandbox.mail"),
            *("sandbox.deliver", "sandbox.read", "sandbox.fail", "sandbox.expire"),
        ),
    ),
    "contacts.create": (
        "id",
        ("contacts.get", "contacts.update", "contacts.list_consents", "contacts.create_consent", "contacts.delete"),
    ),
    "agents.create": (
        "agent_id",
        ("agents.get", "agents.update", "agents.submit", "agents.launch_status", "sandbox.approve", "sandbox.reject"),
    ),
    "contacts.create_consent": ("id", ("sandbox.confirm",)),
    "webhooks.create": ("id", ("webhooks.update", "webhooks.test", "webhooks.delete")),
}
"""For an operation, the field of its response that has an id, and the operations that take this id."""


@lru_cache(1)
def document() -> bytes:
    """Return the document as JSON."""
    schemas: dict[str, Schema] = {}
    paths: dict[str, dict[str, Schema]] = {}
    for one in (*OPERATIONS, *CONTROLS):
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one, schemas)
    _ = response_schema(Balance, schemas)
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
    headers = {**_HEADERS, **_CONTROL_HEADERS}
    return {name: {"required": True, "schema": schema} for name, schema in headers.items()}


def _operation(one: Operation, schemas: dict[str, Schema]) -> Schema:
    writes = _ROUTES[one.method, one.path].writes
    described: Schema = {
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
    if _ROUTES[one.method, one.path].is_public:
        described["security"] = []
    if writes:
        media: Schema = {"schema": _body(one, schemas)}
        media |= {"example": _EXAMPLES[one.name]} if one.name in _EXAMPLES else {}
        described["requestBody"] = {"required": one.takes is not None, "content": {"application/json": media}}
    return described


def _body(one: Operation, schemas: dict[str, Schema]) -> Schema:
    # Any body may contain an idempotency key.
    if one.takes is None:
        return {**closed_object(), "properties": {KEY_FIELD: _KEY}}
    schema = request_schema(one.takes, schemas)
    for name in referenced_models(schema):
        schemas[name]["properties"][KEY_FIELD] = _KEY
    return _without_message_type(schema, schemas) if one.name == "testagent.send" else schema


def _without_message_type(schema: Schema, schemas: dict[str, Schema]) -> Schema:
    # The test agent does not require a message_type.
    for name in referenced_models(schema):
        whole = schemas[name]
        needed = [field for field in whole["required"] if field != "message_type"]
        properties = {**whole["properties"], "message_type": or_null(whole["properties"]["message_type"])}
        schemas[f"Test{name}"] = {**whole, "properties": properties, "required": needed}
    return {"anyOf": [{"$ref": f"#/components/schemas/Test{name}"} for name in referenced_models(schema)]}


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
    for code in sorted(_ROUTES[one.method, one.path].error_codes):
        by_status.setdefault(_STATUS[code], []).append(code)
    errors = {str(status): _error_response(codes) for status, codes in sorted(by_status.items())}
    pages = {"502": _PAGE} if _ROUTES[one.method, one.path].has_random_faults else {}
    found = {**{str(status): _success(one, status, schemas) for status in one.statuses}, **errors, **pages}
    if not one.path.startswith(CONTROL_PREFIX):
        return found
    return {
        status: {**response, "headers": {**response["headers"], **_CONTROL_REFS}} for status, response in found.items()
    }


def _success(one: Operation, status: int, schemas: dict[str, Schema]) -> Schema:
    name, others = _LINKS.get(one.name, ("", ()))
    links = {other: {"operationId": other, "parameters": {"id": f"$response.body#/{name}"}} for other in others}
    schema = response_schema(one.answers or one.gives, schemas)
    location = (
        {"Location": {"required": True, "schema": {"type": "string"}}}
        if (status,) == _CREATED and one.noun != "sandbox"
        else {}
    )
    return {
        "description": "Done.",
        "headers": {**_HEADER_REFS, **location},
        "content": {one.media: {"schema": schema}},
        "links": links,
    }


def _error_response(codes: list[str]) -> Schema:
    schema = {"$ref": "#/components/schemas/Error", "properties": {"error": {"enum": codes}}}
    content = {"application/json": {"schema": schema}}
    return {"description": ", ".join(codes), "headers": _HEADER_REFS, "content": content}
