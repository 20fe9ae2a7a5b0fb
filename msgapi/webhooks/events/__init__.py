"""The events that the service sends to a webhook endpoint, one class for each."""

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
from .emails import (
    EmailBounced,
    EmailClicked,
    EmailComplained,
    EmailDelivered,
    EmailOpened,
    EmailUnsubscribed,
)
from .event_types import EVENT_TYPES, Event, KnownEvent, UnknownEvent
from .messages import (
    ConversationEnded,
    ConversationStarted,
    MessageDelivered,
    MessageExpired,
    MessageFailed,
    MessageQueued,
    MessageRead,
    MessageRevoked,
    UserMessage,
)

__all__ = [
    "EVENT_TYPES",
    "AgentApproved",
    "AgentRejected",
    "AutoReloadFailed",
    "AutoReloadSucceeded",
    "BalanceLow",
    "ConsentCreated",
    "ConsentUpdated",
    "ContactCreated",
    "ContactUpdated",
    "ConversationEnded",
    "ConversationStarted",
    "EmailBounced",
    "EmailClicked",
    "EmailComplained",
    "EmailDelivered",
    "EmailOpened",
    "EmailUnsubscribed",
    "Event",
    "KnownEvent",
    "MessageDelivered",
    "MessageExpired",
    "MessageFailed",
    "MessageQueued",
    "MessageRead",
    "MessageRevoked",
    "UnknownEvent",
    "UserMessage",
]
