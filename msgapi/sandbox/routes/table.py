"""The table of routes: which method and path leads to which function, and what each route requires."""

from collections.abc import Callable
from typing import Final, TypeAlias, final

from attrs import frozen

from ..http.requests import ID_SEGMENT, MAX_BODY, RouteRequest, match_path, split_url
from ..http.responses import SimulatedResponse
from ..model.state import AccountState, Role
from . import agents, billing, campaigns, contacts, messages, usage, webhooks
from .controls import CONTROLS
from .inspection.table import INSPECTIONS
from .state import STATE_CONTROLS

Action: TypeAlias = Callable[[AccountState, RouteRequest], SimulatedResponse]
_EVERY_ROUTE: Final = ("unauthorized", "rate_limit_exceeded")
_RANDOM_FAULTS: Final = ("internal_error", "service_unavailable")


@final
@frozen
class Route:
    """One route. `{id}` in *path* matches any one segment. *endpoint_class* is the class for the rate limit.

    *role* is the least that the key must have. A route that *writes* has a JSON object of at most *max_body* bytes as
    its body, and an optional idempotency key. If it is *without_fields*, the object has no fields and may be left out.
    *codes* are the error codes of its action, without the `validation_error` of a body. A route that *is_public* needs
    no key, and has no rate limit.
    """

    method: str
    path: str
    endpoint_class: str
    action: Action
    writes: bool = False
    without_fields: bool = False
    max_body: int = MAX_BODY
    role: Role = "viewer"
    codes: tuple[str, ...] = ()
    is_public: bool = False

    @property
    def has_random_faults(self) -> bool:
        """Whether random faults happen to its requests: not to those of the controls."""
        return self.endpoint_class != "controls"

    @property
    def error_codes(self) -> frozenset[str]:
        """Every error code of the route; a 502 has none."""
        faults = _RANDOM_FAULTS if self.has_random_faults else ()
        keyed = {"idempotency_conflict"} if self.writes and not self.without_fields else set[str]()
        invalid = {"validation_error"} if self.writes else set[str]()
        forbidden = set[str]() if self.role == "viewer" else {"forbidden"}
        if self.is_public:
            return frozenset()
        return frozenset({*_EVERY_ROUTE, *faults, *keyed, *invalid, *forbidden, *self.codes})

    @property
    def segments(self) -> tuple[str, ...]:
        """The segments of the path."""
        return tuple(self.path.split("/"))


_UNKNOWN: Final = ("not_found",)
_STATE: Final = ("not_found", "wrong_state")
_QUERY: Final = ("validation_error",)
_SEND: Final = (
    *("insufficient_balance", "forbidden", "not_found", "not_rcs_capable", "template_not_found"),
    *("agent_not_approved", "agent_not_launched", "newsletter_not_enabled", "sender_not_verified"),
    *("no_active_session", "message_type_not_allowed", "traffic_type_not_allowed", "recipient_suppressed"),
    *("consent_missing", "template_not_published", "subject_missing", "newsletter_daily_cap"),
)
MAX_STATE: Final = 256 * MAX_BODY
"""The most bytes that a snapshot or a seed may have."""
_MAX_IMPORT: Final = 16 * MAX_BODY  # 10,000 rows, however long their names and addresses
ROUTES: Final = (
    Route("POST", "/v1/messages", "sends", messages.send, writes=True, role="editor", codes=_SEND),
    Route("GET", "/v1/messages", "messages", messages.list_messages, codes=_QUERY),
    Route("GET", "/v1/messages/{id}", "messages", messages.show, codes=_UNKNOWN),
    Route(
        "DELETE",
        "/v1/messages/{id}",
        "messages",
        messages.revoke,
        codes=(*_STATE, "already_delivered", "already_revoked"),
    ),
    Route("POST", "/v1/contacts", "contacts", contacts.create, writes=True, role="editor", codes=("already_exists",)),
    Route("GET", "/v1/contacts/{id}", "contacts", contacts.show, codes=_UNKNOWN),
    Route(
        "PATCH",
        "/v1/contacts/{id}",
        "contacts",
        contacts.update,
        writes=True,
        role="editor",
        codes=(*_UNKNOWN, "already_exists"),
    ),
    Route("DELETE", "/v1/contacts/{id}", "contacts", contacts.delete, role="manager", codes=_UNKNOWN),
    Route(
        "POST",
        "/v1/contacts/import",
        "contacts",
        contacts.import_rows,
        writes=True,
        max_body=_MAX_IMPORT,
        role="editor",
        codes=("limit_exceeded",),
    ),
    Route("GET", "/v1/contacts/{id}/consent", "contacts", contacts.list_consents, codes=_UNKNOWN),
    Route("POST", "/v1/contacts/{id}/consent", "contacts", contacts.create_consent, writes=True, codes=_UNKNOWN),
    Route("POST", "/v1/rcs/agents", "agents", agents.create, writes=True),
    Route("GET", "/v1/rcs/agents/{id}", "agents", agents.show, codes=_UNKNOWN),
    Route("PATCH", "/v1/rcs/agents/{id}", "agents", agents.update, writes=True, codes=_STATE),
    Route(
        "POST",
        "/v1/rcs/agents/{id}/submit",
        "agents",
        agents.submit,
        writes=True,
        without_fields=True,
        codes=(*_STATE, "agent_incomplete"),
    ),
    Route("GET", "/v1/rcs/agents/{id}/launch", "agents", agents.launch_status, codes=_STATE),
    Route("POST", "/v1/webhooks", "webhooks", webhooks.create, writes=True),
    Route("GET", "/v1/webhooks", "webhooks", webhooks.list_endpoints),
    Route("PATCH", "/v1/webhooks/{id}", "webhooks", webhooks.update, writes=True, codes=_UNKNOWN),
    Route("DELETE", "/v1/webhooks/{id}", "webhooks", webhooks.delete, codes=_UNKNOWN),
    Route(
        "POST", "/v1/webhooks/{id}/test", "webhooks", webhooks.test, writes=True, without_fields=True, codes=_UNKNOWN
    ),
    Route(
        "POST",
        "/v1/campaigns/{id}/trigger",
        "campaigns",
        campaigns.trigger,
        writes=True,
        without_fields=True,
        codes=(*_STATE, "not_api_triggered", "insufficient_balance"),
    ),
    Route(
        "POST", "/v1/campaigns/{id}/pause", "campaigns", campaigns.pause, writes=True, without_fields=True, codes=_STATE
    ),
    Route(
        "POST",
        "/v1/campaigns/{id}/resume",
        "campaigns",
        campaigns.resume,
        writes=True,
        without_fields=True,
        codes=(*_STATE, "insufficient_balance"),
    ),
    Route("GET", "/v1/campaigns/{id}/status", "campaigns", campaigns.show_status, codes=_UNKNOWN),
    Route("POST", "/v1/test/register", "test", agents.register_test_number, writes=True),
    Route("POST", "/v1/test/verify", "test", agents.verify_test_number, writes=True, codes=("forbidden",)),
    Route(
        "POST",
        "/v1/test/messages",
        "test",
        agents.send_test_message,
        writes=True,
        role="editor",
        codes=("forbidden", "no_active_session"),
    ),
    Route("GET", "/v1/test/status", "test", agents.show_test_agent),
    Route("GET", "/v1/billing/balance", "billing", billing.show_balance),
    Route("GET", "/v1/billing/usage", "billing", usage.show_usage, codes=_QUERY),
    Route("GET", "/v1/billing/usage/detailed", "billing", usage.show_detailed_usage, codes=_QUERY),
    Route("GET", "/v1/billing/tier", "billing", usage.show_tiers, codes=_QUERY),
    Route(
        "POST",
        "/v1/billing/topup",
        "billing",
        billing.top_up,
        writes=True,
        codes=(*_UNKNOWN, "payment_failed", "balance_limit_exceeded"),
    ),
    Route("GET", "/v1/billing/payment-methods", "billing", billing.list_payment_methods),
    Route("POST", "/v1/billing/payment-methods", "billing", billing.add_payment_method, writes=True),
    Route("GET", "/v1/billing/auto-reload", "billing", billing.show_auto_reload),
    Route("PUT", "/v1/billing/auto-reload", "billing", billing.set_auto_reload, writes=True),
    Route("PUT", "/v1/billing/alerts", "billing", billing.set_alert, writes=True),
    Route("GET", "/v1/billing/transactions", "billing", billing.list_transactions, codes=_QUERY),
    Route("GET", "/v1/billing/invoices", "billing", usage.list_invoices),
    *(
        Route(
            one.method,
            one.path,
            "controls",
            one.respond,
            writes=one.method != "GET",
            without_fields=one.form is None,
            max_body=MAX_STATE if one.is_large else MAX_BODY,
            codes=one.codes,
        )
        for one in (*CONTROLS, *STATE_CONTROLS)
    ),
    *(Route("GET", one.path, "controls", one.respond, codes=one.codes, is_public=one.is_public) for one in INSPECTIONS),
)
"""All routes: those of the service below `/v1`, and those of the controls below `/_sandbox`."""

ENDPOINT_CLASSES: Final = tuple(dict.fromkeys(route.endpoint_class for route in ROUTES))
"""The endpoint classes, each of which has a rate limit of its own."""
_WITHOUT_ID: Final = {(route.method, route.path): route for route in ROUTES if ID_SEGMENT not in route.path}
_WITH_ID: Final = tuple((route, route.segments) for route in ROUTES if ID_SEGMENT in route.path)


def max_body_of(method: str, url: str) -> int:
    """Return how many bytes the body of a request may have."""
    found = find_route(method, split_url(url)[0])
    return found[0].max_body if found else MAX_BODY


def find_route(method: str, path: str) -> tuple[Route, str] | None:
    """Return the route of a request and the unquoted id in its *path*; None if there is no such route."""
    found = _WITHOUT_ID.get((method, path))
    if found is not None:
        return found, ""
    given = path.split("/")
    for route, segments in _WITH_ID:
        if route.method == method and (id_ := match_path(segments, given)) is not None:
            return route, id_
    return None
