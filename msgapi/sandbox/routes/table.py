"""Routes: which method and path leads to which function, and under which rate limit."""

from collections.abc import Callable
from typing import Final, Literal, TypeAlias, final
from urllib.parse import unquote, urlsplit

from attrs import frozen

from ..http.requests import LARGEST
from ..http.responses import Reply
from ..model.state import Ask, State
from . import agents as agency
from . import billing as topups
from . import campaigns, consents, contacts, controls, sending, webhooks
from . import messages as history
from . import statements as bills
from . import testagent as testing

_ANYWHERE: Final = ("unauthorized", "rate_limit_exceeded", "internal_error", "service_unavailable")
Action: TypeAlias = Callable[[State, Ask], Reply]
Role: TypeAlias = Literal["viewer", "editor", "manager"]
ROLES: Final[tuple[Role, ...]] = ("viewer", "editor", "manager")
"""The roles that a key can have, each with what those before it may do."""


@final
@frozen
class Route:
    """One route: `{id}` in *path* takes any one segment. *band* is the kind of endpoint that it is counted as.

    *role* is the least that the key must have. One with *writes* has a JSON object of at most *most*
    bytes as its body, and an idempotency key if the caller likes. The object of a *bare* one has no
    fields, so it may be left out. *codes* are the error codes with which its action refuses, apart from
    `validation_error` for a body.
    """

    method: str
    path: str
    band: str
    action: Action
    writes: bool = False
    bare: bool = False
    most: int = LARGEST
    role: Role = "viewer"
    codes: tuple[str, ...] = ()

    @property
    def refusals(self) -> frozenset[str]:
        """Every error code that the route answers with, whoever refuses the request; a 502 has none."""
        keyed = {"idempotency_conflict"} if self.writes and not self.bare else set[str]()
        written = {"validation_error"} if self.writes else set[str]()
        barred = set[str]() if self.role == "viewer" else {"forbidden"}
        return frozenset({*_ANYWHERE, *keyed, *written, *barred, *self.codes})

    @property
    def segments(self) -> tuple[str, ...]:
        """The path, cut at its slashes."""
        return tuple(self.path.split("/"))


_NONE: Final = ("not_found",)
_STATE: Final = ("not_found", "wrong_state")
_QUERY: Final = ("validation_error",)
_SEND: Final = (
    *("insufficient_balance", "forbidden", "not_found", "not_rcs_capable", "template_not_found"),
    *("agent_not_approved", "agent_not_launched", "newsletter_not_enabled", "sender_not_verified"),
    *("no_active_session", "message_type_not_allowed", "traffic_type_not_allowed", "recipient_suppressed"),
    *("consent_missing", "template_not_published", "subject_missing", "newsletter_daily_cap"),
)
_IMPORT: Final = 16 * LARGEST  # 10,000 rows, however long their names and addresses
ROUTES: Final = (
    Route("POST", "/v1/messages", "sends", sending.send, writes=True, role="editor", codes=_SEND),
    Route("GET", "/v1/messages", "messages", history.list_messages, codes=_QUERY),
    Route("GET", "/v1/messages/{id}", "messages", history.show, codes=_NONE),
    Route(
        "DELETE",
        "/v1/messages/{id}",
        "messages",
        history.revoke,
        codes=(*_STATE, "already_delivered", "already_revoked"),
    ),
    Route("POST", "/v1/contacts", "contacts", contacts.create, writes=True, role="editor", codes=("already_exists",)),
    Route("GET", "/v1/contacts/{id}", "contacts", contacts.show, codes=_NONE),
    Route(
        "PATCH",
        "/v1/contacts/{id}",
        "contacts",
        contacts.update,
        writes=True,
        role="editor",
        codes=(*_NONE, "already_exists"),
    ),
    Route("DELETE", "/v1/contacts/{id}", "contacts", contacts.delete, role="manager", codes=_NONE),
    Route(
        "POST",
        "/v1/contacts/import",
        "contacts",
        contacts.import_rows,
        writes=True,
        most=_IMPORT,
        role="editor",
        codes=("limit_exceeded",),
    ),
    Route("GET", "/v1/contacts/{id}/consent", "contacts", consents.list_consents, codes=_NONE),
    Route("POST", "/v1/contacts/{id}/consent", "contacts", consents.create, writes=True, codes=_NONE),
    Route("POST", "/v1/rcs/agents", "agents", agency.create, writes=True),
    Route("GET", "/v1/rcs/agents/{id}", "agents", agency.show, codes=_NONE),
    Route("PATCH", "/v1/rcs/agents/{id}", "agents", agency.update, writes=True, codes=_STATE),
    Route(
        "POST",
        "/v1/rcs/agents/{id}/submit",
        "agents",
        agency.submit,
        writes=True,
        bare=True,
        codes=(*_STATE, "agent_incomplete"),
    ),
    Route("GET", "/v1/rcs/agents/{id}/launch", "agents", agency.launch_status, codes=_STATE),
    Route("POST", "/v1/webhooks", "webhooks", webhooks.create, writes=True),
    Route("GET", "/v1/webhooks", "webhooks", webhooks.list_endpoints),
    Route("PATCH", "/v1/webhooks/{id}", "webhooks", webhooks.update, writes=True, codes=_NONE),
    Route("DELETE", "/v1/webhooks/{id}", "webhooks", webhooks.delete, codes=_NONE),
    Route("POST", "/v1/webhooks/{id}/test", "webhooks", webhooks.test, writes=True, bare=True, codes=_NONE),
    Route(
        "POST",
        "/v1/campaigns/{id}/trigger",
        "campaigns",
        campaigns.trigger,
        writes=True,
        bare=True,
        codes=(*_STATE, "not_api_triggered", "insufficient_balance"),
    ),
    Route("POST", "/v1/campaigns/{id}/pause", "campaigns", campaigns.pause, writes=True, bare=True, codes=_STATE),
    Route(
        "POST",
        "/v1/campaigns/{id}/resume",
        "campaigns",
        campaigns.resume,
        writes=True,
        bare=True,
        codes=(*_STATE, "insufficient_balance"),
    ),
    Route("GET", "/v1/campaigns/{id}/status", "campaigns", campaigns.status, codes=_NONE),
    Route("POST", "/v1/test/register", "test", testing.register, writes=True),
    Route("POST", "/v1/test/verify", "test", testing.verify, writes=True, codes=("forbidden",)),
    Route(
        "POST",
        "/v1/test/messages",
        "test",
        testing.send,
        writes=True,
        role="editor",
        codes=("forbidden", "no_active_session"),
    ),
    Route("GET", "/v1/test/status", "test", testing.status),
    Route("GET", "/v1/billing/balance", "billing", bills.balance),
    Route("GET", "/v1/billing/usage", "billing", bills.usage, codes=_QUERY),
    Route("GET", "/v1/billing/usage/detailed", "billing", bills.detailed, codes=_QUERY),
    Route("GET", "/v1/billing/tier", "billing", bills.tier, codes=_QUERY),
    Route(
        "POST",
        "/v1/billing/topup",
        "billing",
        topups.top_up,
        writes=True,
        codes=(*_NONE, "payment_failed", "balance_limit_exceeded"),
    ),
    Route("GET", "/v1/billing/payment-methods", "billing", topups.list_methods),
    Route("POST", "/v1/billing/payment-methods", "billing", topups.add_method, writes=True),
    Route("GET", "/v1/billing/auto-reload", "billing", topups.show_reload),
    Route("PUT", "/v1/billing/auto-reload", "billing", topups.set_reload, writes=True),
    Route("PUT", "/v1/billing/alerts", "billing", topups.set_alert, writes=True),
    Route("GET", "/v1/billing/transactions", "billing", bills.transactions, codes=_QUERY),
    Route("GET", "/v1/billing/invoices", "billing", bills.invoices),
    Route("POST", "/_sandbox/replies", "controls", controls.reply, writes=True, codes=_NONE),
    Route("POST", "/_sandbox/taps", "controls", controls.tap, writes=True, codes=_NONE),
    Route("POST", "/_sandbox/agents/{id}/approve", "controls", controls.approve, writes=True, bare=True, codes=_NONE),
    Route("POST", "/_sandbox/agents/{id}/reject", "controls", controls.reject, writes=True, codes=_NONE),
    Route("POST", "/_sandbox/agents/{id}/launch", "controls", controls.launch, writes=True, codes=_NONE),
    Route("POST", "/_sandbox/campaigns/{id}/halt", "controls", controls.halt, writes=True, codes=_NONE),
    Route("POST", "/_sandbox/campaigns/{id}/fail", "controls", controls.fail_executions, writes=True, codes=_NONE),
    Route("POST", "/_sandbox/consents/{id}/confirm", "controls", controls.confirm, writes=True, bare=True, codes=_NONE),
)
"""All routes of the sandbox: those of the service below /v1, and those of `controls`."""

_BY_METHOD: Final = {
    method: tuple((route, route.segments) for route in ROUTES if route.method == method)
    for method in {route.method for route in ROUTES}
}


def target(url: str) -> tuple[str, str]:
    """Find the path and the query in a *url*; there is none in what is no URL."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "", ""
    # A lone surrogate is no text that an answer could quote.
    return parts.path, parts.query.encode(errors="replace").decode()


def room(method: str, url: str) -> int:
    """Tell how many bytes the body of a request may have."""
    found = find(method, target(url)[0])
    return found[0].most if found else LARGEST


def find(method: str, path: str) -> tuple[Route, str] | None:
    """Find the route of a request and the id in its *path*, which is percent-encoded as it came."""
    given = path.split("/")
    for route, segments in _BY_METHOD.get(method, ()):
        if len(segments) == len(given):
            pairs = list(zip(segments, given, strict=True))
            if all(wanted in {one, "{id}"} for wanted, one in pairs):
                return route, next((unquote(one) for wanted, one in pairs if wanted == "{id}"), "")
    return None
