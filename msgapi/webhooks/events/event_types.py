"""The types of events that the service sends, by their names (docs: /api/webhooks/overview).

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
from typing import Final, TypeAlias, final

from attrs import field

from ...codec.converter import mark_model
from ...models import frozen
from ...redact import hidden
from .account import (
    AgentApproved,
    AgentRejected,
    AutoReloadFailed,
    AutoReloadSucceeded,
    BalanceLow,
    ConsentCreated,
    ConsentUpdated,
    ContactCreated,
    ContactUpdated,
)
from .messages import (
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
