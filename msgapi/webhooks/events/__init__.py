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
from .event_types import NAMES, Event, Known, Unknown
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
    "NAMES",
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
    "Known",
    "MessageDelivered",
    "MessageExpired",
    "MessageFailed",
    "MessageQueued",
    "MessageRead",
    "MessageRevoked",
    "Unknown",
    "UserMessage",
]
