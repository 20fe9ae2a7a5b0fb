"""The catalogue: every operation of the API, the function of the client that calls it, and its models.

The README's table of coverage and the OpenAPI document are made from it.
"""

from collections.abc import Callable
from typing import Any, Final, final

from attrs import frozen

from ... import agents, billing, campaigns, contacts, messages, testagent, webhooks
from ...billing.models import NewTopUp
from ...campaigns import Progress, Run
from ...contacts import Rows
from ...messages import Accepted, Logged, Message, Page, Revoked
from ...results import Balance
from ...testagent import Registration, Standing, Verification
from ...webhooks import Confirmation
from ..model.agents import Launched
from ..routes import controls, orders
from ..routes.billing import NewMethod
from . import figures


@final
@frozen
class Operation:
    """One operation: its route, the *function* that makes its call, what it takes and what it gives.

    *takes* None is no body, or one without fields. *statuses* are those of a success. *answers* is what the
    sandbox gives where the docs show no body, so that the client keeps whatever comes.
    """

    method: str
    path: str
    function: Callable[..., Any]
    gives: Any
    takes: Any = None
    statuses: tuple[int, ...] = (200,)
    query: tuple[str, ...] = ()
    answers: Any = None

    @property
    def name(self) -> str:
        """What a user calls: the module and the function."""
        return f"{self.noun}.{self.function.__name__}"

    @property
    def noun(self) -> str:
        """The module; `sandbox` for what the service has no route for."""
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
    Operation("GET", "/v1/messages/{id}", messages.get, Logged),
    Operation("DELETE", "/v1/messages/{id}", messages.revoke, Revoked),
    Operation("POST", "/v1/test/register", testagent.register, Standing, Registration, answers=figures.CodeSent),
    Operation("POST", "/v1/test/verify", testagent.verify, Standing, Verification, answers=figures.TrialStanding),
    Operation("POST", "/v1/test/messages", testagent.send, Accepted, Message),
    Operation("GET", "/v1/test/status", testagent.status, Standing, answers=figures.TrialStanding),
    Operation("POST", "/v1/rcs/agents", agents.create, agents.Agent, agents.NewAgent, _CREATED),
    Operation("GET", "/v1/rcs/agents/{id}", agents.get, agents.Agent),
    Operation("PATCH", "/v1/rcs/agents/{id}", agents.update, agents.Agent, agents.Changes),
    Operation("POST", "/v1/rcs/agents/{id}/submit", agents.submit, agents.Submitted, statuses=_ACCEPTED),
    Operation("GET", "/v1/rcs/agents/{id}/launch", agents.launch, agents.Launch),
    Operation("POST", "/v1/contacts", contacts.create, contacts.Contact, contacts.NewContact, (201, 200)),
    Operation("GET", "/v1/contacts/{id}", contacts.get, contacts.Contact),
    Operation("PATCH", "/v1/contacts/{id}", contacts.update, contacts.Contact, contacts.Changes),
    Operation("DELETE", "/v1/contacts/{id}", contacts.delete, contacts.Deleted),
    Operation("POST", "/v1/contacts/import", contacts.import_rows, contacts.Imported, Rows),
    Operation("GET", "/v1/contacts/{id}/consent", contacts.consents, contacts.Consents),
    Operation("POST", "/v1/contacts/{id}/consent", contacts.consent, contacts.Consent, contacts.NewConsent, _CREATED),
    Operation("POST", "/v1/campaigns/{id}/trigger", campaigns.trigger, Run, statuses=_ACCEPTED),
    Operation("POST", "/v1/campaigns/{id}/pause", campaigns.pause, Progress),
    Operation("POST", "/v1/campaigns/{id}/resume", campaigns.resume, Progress),
    Operation("GET", "/v1/campaigns/{id}/status", campaigns.status, Progress, answers=figures.CampaignStanding),
    Operation("GET", "/v1/billing/balance", billing.balance, Balance),
    Operation("GET", "/v1/billing/usage", billing.usage, billing.Statement, query=("month",), answers=figures.Usage),
    Operation(
        "GET",
        "/v1/billing/usage/detailed",
        billing.detailed_usage,
        billing.Statement,
        query=("from", "to", "group_by"),
        answers=figures.DetailedUsage,
    ),
    Operation(
        "GET",
        "/v1/billing/tier",
        billing.tier,
        billing.Statement,
        query=("channel",),
        answers=figures.Tiers | figures.TierStanding,
    ),
    Operation("POST", "/v1/billing/topup", billing.top_up, billing.TopUp, NewTopUp, answers=figures.ToppedUp),
    Operation(
        "GET",
        "/v1/billing/payment-methods",
        billing.payment_methods,
        billing.PaymentMethods,
        answers=figures.AddedMethods,
    ),
    Operation(
        "POST",
        "/v1/billing/payment-methods",
        billing.add_payment_method,
        billing.PaymentMethod,
        NewMethod,
        _CREATED,
        answers=figures.AddedMethod,
    ),
    Operation("GET", "/v1/billing/auto-reload", billing.auto_reload, billing.Reloading, answers=figures.SavedReload),
    Operation(
        "PUT",
        "/v1/billing/auto-reload",
        billing.set_auto_reload,
        billing.Saved,
        billing.AutoReload,
        answers=figures.SavedReload,
    ),
    Operation("PUT", "/v1/billing/alerts", billing.alert, billing.Saved, billing.Alert, answers=figures.SavedAlert),
    Operation(
        "GET",
        "/v1/billing/transactions",
        billing.transactions,
        billing.Transactions,
        query=("cursor", "limit", "from", "to"),
        answers=figures.LedgerPage,
    ),
    Operation("GET", "/v1/billing/invoices", billing.invoices, billing.Invoices, answers=figures.MonthlyInvoices),
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
    Operation("DELETE", "/v1/webhooks/{id}", webhooks.delete, Confirmation, answers=figures.Success),
    Operation("POST", "/v1/webhooks/{id}/test", webhooks.test, Confirmation, answers=figures.Tested),
)
"""Every operation that the docs have, in the order of their pages."""

CONTROLS: Final = (
    Operation("POST", "/_sandbox/replies", controls.reply, orders.Noted, orders.Written, _CREATED),
    Operation("POST", "/_sandbox/taps", controls.tap, orders.Noted, orders.Tapped, _CREATED),
    Operation("POST", "/_sandbox/agents/{id}/approve", controls.approve, orders.Reviewed),
    Operation("POST", "/_sandbox/agents/{id}/reject", controls.reject, orders.Reviewed, orders.Rejection),
    Operation("POST", "/_sandbox/agents/{id}/launch", controls.launch, orders.Placed, Launched),
    Operation("POST", "/_sandbox/campaigns/{id}/halt", controls.halt, orders.Stopped, orders.Halted),
    Operation("POST", "/_sandbox/campaigns/{id}/fail", controls.fail_executions, orders.Failed, orders.Failures),
    Operation("POST", "/_sandbox/consents/{id}/confirm", controls.confirm, orders.Confirmed),
)
"""What somebody else does, which the service has no routes for."""
