"""Every operation of the API, the function of the client that calls it, and the models of its request and response.

The table of coverage in the README and the OpenAPI document (`document.py`) are made from it.
"""

from collections.abc import Callable
from typing import Any, Final, final

from attrs import frozen

from ... import agents, billing, campaigns, contacts, messages, testagent, webhooks
from ...billing.models import NewTopUp
from ...campaigns import CampaignRun, CampaignStatus
from ...contacts import ImportRows
from ...messages import Accepted, Message, MessageRecord, Page, Revoked
from ...results import Balance
from ...testagent import Registration, TestAgentStatus, Verification
from ...webhooks import Confirmation
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
from ..routes.testagent import CodeSentResponse, TestAgentResponse
from ..routes.usage import (
    DetailedUsageResponse,
    InvoicesResponse,
    TierResponse,
    TiersResponse,
    UsageResponse,
)
from ..routes.webhooks import DeletedResponse, WebhookTestResponse


@final
@frozen
class Operation:
    """One operation: its route, the *function* that makes its call, and the models *takes* and *gives*.

    *takes* is None if there is no body, or one without fields. *statuses* are those of a success. *answers* is the
    model that the sandbox returns if the docs show none, so that the client keeps any fields.
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
    Operation("GET", "/v1/billing/usage", billing.usage, billing.Statement, query=("month",), answers=UsageResponse),
    Operation(
        "GET",
        "/v1/billing/usage/detailed",
        billing.detailed_usage,
        billing.Statement,
        query=("from", "to", "group_by"),
        answers=DetailedUsageResponse,
    ),
    Operation(
        "GET",
        "/v1/billing/tier",
        billing.tier,
        billing.Statement,
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
    Operation("GET", "/v1/billing/auto-reload", billing.auto_reload, billing.Reloading, answers=AutoReloadResponse),
    Operation(
        "PUT",
        "/v1/billing/auto-reload",
        billing.set_auto_reload,
        billing.Saved,
        billing.AutoReload,
        answers=AutoReloadResponse,
    ),
    Operation("PUT", "/v1/billing/alerts", billing.set_alert, billing.Saved, billing.Alert, answers=AlertResponse),
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

CONTROLS: Final = tuple(
    Operation("POST", one.path, one.handler, one.returns, None if one.form is None else one.form.model, (one.status,))
    for one in _CONTROLS
)
"""The controls, for which the service has no routes."""
