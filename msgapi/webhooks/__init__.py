"""Webhooks: the service sends events to an endpoint of yours (docs: /api/webhooks/overview).

- Calls: `create`, `list`, `pages`, `update`, `delete` and `test` manage the endpoints of the account.
- Deliveries: `read` verifies and parses one, `sign` and `write` make one, for tests. `explain_mismatch` looks for the
  cause of a wrong signature.
- Events: one class for each (`MessageFailed`, `ConversationStarted`, ...), with `Event` as their union.
- Receivers: `asgi` and `aiohttp` connect a handler to a web application, and call it once for each event.
"""

from typing import TYPE_CHECKING

from .delivery import SIGNATURE_HEADER, InvalidDelivery, parse_secrets, read, sign, write
from .endpoints import (
    SCHEMAS,
    Confirmation,
    EndpointChanges,
    EndpointPage,
    NewEndpoint,
    WebhookEndpoint,
    create,
    delete,
    list,  # noqa: A004 - `webhooks.list` is the route
    pages,
    test,
    update,
)
from .events import (
    EVENT_TYPES,
    AgentApproved,
    AgentRejected,
    AutoReloadFailed,
    AutoReloadSucceeded,
    BalanceLow,
    ConsentCreated,
    ConsentUpdated,
    ContactCreated,
    ContactUpdated,
    ConversationEnded,
    ConversationStarted,
    EmailBounced,
    EmailClicked,
    EmailComplained,
    EmailDelivered,
    EmailOpened,
    EmailUnsubscribed,
    Event,
    KnownEvent,
    MessageDelivered,
    MessageExpired,
    MessageFailed,
    MessageQueued,
    MessageRead,
    MessageRevoked,
    UnknownEvent,
    UserMessage,
)
from .mismatch import explain_mismatch
from .receivers import EventState, EventStore, Handler, MemoryEventStore, Receiver, asgi

if TYPE_CHECKING:
    from .receivers.aiohttp_web import aiohttp
else:

    def __getattr__(name: str) -> object:
        """Load what imports aiohttp when it is first used."""
        if name == "aiohttp":
            from .receivers.aiohttp_web import aiohttp

            return aiohttp
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "EVENT_TYPES",
    "SCHEMAS",
    "SIGNATURE_HEADER",
    "AgentApproved",
    "AgentRejected",
    "AutoReloadFailed",
    "AutoReloadSucceeded",
    "BalanceLow",
    "Confirmation",
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
    "EndpointChanges",
    "EndpointPage",
    "Event",
    "EventState",
    "EventStore",
    "Handler",
    "InvalidDelivery",
    "KnownEvent",
    "MemoryEventStore",
    "MessageDelivered",
    "MessageExpired",
    "MessageFailed",
    "MessageQueued",
    "MessageRead",
    "MessageRevoked",
    "NewEndpoint",
    "Receiver",
    "UnknownEvent",
    "UserMessage",
    "WebhookEndpoint",
    "aiohttp",
    "asgi",
    "create",
    "delete",
    "explain_mismatch",
    "list",
    "pages",
    "parse_secrets",
    "read",
    "sign",
    "test",
    "update",
    "write",
]
