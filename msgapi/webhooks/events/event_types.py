"""The events that the service tells, one value each (docs: /api/webhooks/overview).

Rules:
- Beside the envelope's *id* and *timestamp*, only what says whose event it is must be there.
- The API adds to its enums, so they are plain strings.
- What an event has beyond its fields is kept in its *extra*: the docs don't show what a tapped action brings.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, TypeAlias, final

from attrs import field, frozen

from ...privacy import hidden
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
from .messages import (
    ConversationEnded,
    ConversationStarted,
    MessageDelivered,
    MessageExpired,
    MessageFailed,
    MessageQueued,
    MessageRead,
    MessageRevoked,
)


@final
@frozen(kw_only=True)
class Unknown:
    """An event that this version does not know, or whose *data* are not what the docs say: *problems* tell.

    It was signed and is real, so it is given rather than refused: what is refused comes again, and is lost in the end.
    """

    id: str
    event: str
    timestamp: datetime | None = None
    data: Mapping[str, object] = field(factory=dict, repr=hidden, hash=False)
    problems: tuple[str, ...] = ()


Known: TypeAlias = (
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
"""Every event that the docs have a page for."""
Event: TypeAlias = Known | Unknown
"""Whatever comes out of `read` but a refusal."""

NAMES: Final[Mapping[str, type[Known]]] = {
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
"""The name of each event, as an endpoint asks for it."""
