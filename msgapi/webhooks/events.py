"""The events of an account (agents, contacts, consent and the balance), and the types of all events by their names.

The events of messages are in `message_events` (docs: /api/webhooks/overview).

Rules for the event classes:
- *id* identifies the event and is the same in each repeated delivery. *timestamp* is in UTC; events can arrive in
  another order.
- Required are *id* and the id of the message, agent or contact, if any. Every other field may be None.
- Codes such as a status are plain strings, since the service may add values.
- Fields that a class does not have, and those of an unexpected type, are kept in *extra* as they came, under the names
  that they have on the wire.
- A repr shows neither recipients nor content.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Final, TypeAlias, final

from attrs import field

from ..codec.converter import mark_model
from ..models import frozen
from ..redact import hidden
from ..results import Balance
from .message_events import (
    ConversationEnded,
    ConversationStarted,
    EmailBounced,
    EmailClicked,
    EmailComplained,
    EmailDelivered,
    EmailOpened,
    EmailUnsubscribed,
    MessageDelivered,
    MessageExpired,
    MessageFailed,
    MessageQueued,
    MessageRead,
    MessageRevoked,
)


@final
@frozen(kw_only=True)
class AgentApproved:
    """An agent was approved.

    Docs: /api/webhooks/agent-approved.
    """

    id: str
    timestamp: datetime | None = None
    agent_id: str
    display_name: str | None = None
    approved_at: datetime | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=hidden, hash=False)


@final
@frozen(kw_only=True)
class AgentRejected:
    """An agent was rejected; *reason* says why.

    Docs: /api/webhooks/agent-rejected.
    """

    id: str
    timestamp: datetime | None = None
    agent_id: str
    display_name: str | None = None
    rejected_at: datetime | None = None
    reason: str | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=hidden, hash=False)


@final
@frozen(kw_only=True)
class ContactCreated:
    """A contact was created.

    Docs: /api/webhooks/contact-created.
    """

    id: str
    timestamp: datetime | None = None
    contact_id: str
    source: str | None = None
    created_at: datetime | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=hidden, hash=False)


@final
@frozen(kw_only=True)
class ContactUpdated:
    """A contact was changed; *updated_fields* are the names of the changed fields.

    Docs: /api/webhooks/contact-updated.
    """

    id: str
    timestamp: datetime | None = None
    contact_id: str
    updated_fields: tuple[str, ...] = ()
    updated_at: datetime | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=hidden, hash=False)


@final
@frozen(kw_only=True)
class ConsentCreated:
    """A consent was recorded.

    Docs: /api/webhooks/consent-created.
    """

    id: str
    timestamp: datetime | None = None
    contact_id: str
    consent_record_id: str | None = None
    channel_type: str | None = None
    message_type: str | None = None
    status: str | None = None
    source: str | None = field(default=None, repr=hidden)
    enforced_doi: bool | None = None
    doi_status: str | None = None
    created_at: datetime | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=hidden, hash=False)


@final
@frozen(kw_only=True)
class ConsentUpdated:
    """A recorded consent was changed.

    Docs: /api/webhooks/consent-updated.
    """

    id: str
    timestamp: datetime | None = None
    contact_id: str
    consent_record_id: str | None = None
    channel_type: str | None = None
    message_type: str | None = None
    previous_status: str | None = None
    status: str | None = None
    source: str | None = field(default=None, repr=hidden)
    doi_status: str | None = None
    updated_at: datetime | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=hidden, hash=False)


@final
@frozen(kw_only=True)
class BalanceLow:
    """The balance is below the *threshold* of the alert. Amounts are in *currency*.

    Docs: /api/webhooks/billing-balance-low.
    """

    id: str
    timestamp: datetime | None = None
    balance: Balance | None = None
    threshold: Decimal | None = None
    currency: str | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=hidden, hash=False)


@final
@frozen(kw_only=True)
class AutoReloadSucceeded:
    """The balance was topped up automatically. *amount_added* is in *currency*.

    Docs: /api/webhooks/billing-auto-reload-success.
    """

    id: str
    timestamp: datetime | None = None
    amount_added: Decimal | None = None
    currency: str | None = None
    balance: Balance | None = None
    payment_method: str | None = None
    reloaded_at: datetime | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=hidden, hash=False)


@final
@frozen(kw_only=True)
class AutoReloadFailed:
    """An automatic top-up failed.

    *failure_reason* is a code such as `card_declined`. *attempted_amount* is in *currency*.

    Docs: /api/webhooks/billing-auto-reload-failed.
    """

    id: str
    timestamp: datetime | None = None
    attempted_amount: Decimal | None = None
    currency: str | None = None
    failure_reason: str | None = None
    balance: Balance | None = None
    failed_at: datetime | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=hidden, hash=False)


@final
@frozen(kw_only=True)
class UnknownEvent:
    """An event that this version does not know, or whose *data* are not as documented.

    *event* is its name. *problems* say what is not as documented; they are empty if only the name is unknown.
    A *timestamp* that is not an ISO 8601 time, and *data* that are not an object, are in *extra* as they came.
    """

    id: str
    event: str
    timestamp: datetime | None = None
    data: Mapping[str, object] = field(factory=dict, repr=hidden, hash=False)
    problems: tuple[str, ...] = ()
    extra: Mapping[str, object] = field(factory=dict, repr=hidden, hash=False)


KnownEvent: TypeAlias = (
    MessageQueued
    | MessageDelivered
    | MessageRead
    | MessageFailed
    | MessageExpired
    | MessageRevoked
    | ConversationStarted
    | ConversationEnded
    | EmailDelivered
    | EmailBounced
    | EmailOpened
    | EmailClicked
    | EmailComplained
    | EmailUnsubscribed
    | AgentApproved
    | AgentRejected
    | ContactCreated
    | ContactUpdated
    | ConsentCreated
    | ConsentUpdated
    | BalanceLow
    | AutoReloadSucceeded
    | AutoReloadFailed
)
"""The documented events."""
Event: TypeAlias = KnownEvent | UnknownEvent
"""An event, as `read` returns it and a handler receives it."""

EVENT_TYPES: Final[Mapping[str, type[KnownEvent]]] = {
    "message.queued": MessageQueued,
    "message.delivered": MessageDelivered,
    "message.read": MessageRead,
    "message.failed": MessageFailed,
    "message.expired": MessageExpired,
    "message.revoked": MessageRevoked,
    "conversation.started": ConversationStarted,
    "conversation.ended": ConversationEnded,
    "email.delivered": EmailDelivered,
    "email.bounced": EmailBounced,
    "email.opened": EmailOpened,
    "email.clicked": EmailClicked,
    "email.complained": EmailComplained,
    "email.unsubscribed": EmailUnsubscribed,
    "agent.approved": AgentApproved,
    "agent.rejected": AgentRejected,
    "contact.created": ContactCreated,
    "contact.updated": ContactUpdated,
    "consent.created": ConsentCreated,
    "consent.updated": ConsentUpdated,
    "billing.balance_low": BalanceLow,
    "billing.auto_reload_success": AutoReloadSucceeded,
    "billing.auto_reload_failed": AutoReloadFailed,
}
"""The class of each event by its name, as in the *events* of an endpoint."""

for _name, _model in EVENT_TYPES.items():  # several have the same fields
    mark_model(_model, "event", _name)
