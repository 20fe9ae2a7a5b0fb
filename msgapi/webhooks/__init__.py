"""Webhooks: the endpoints to which the service sends its events, the events themselves, and receivers for them."""

from typing import TYPE_CHECKING

from .delivery import HEADER, Refused, read, secrets, sign, write
from .endpoints import (
    FORMS,
    Changes,
    Done,
    Endpoint,
    Endpoints,
    NewEndpoint,
    create,
    delete,
    list,  # noqa: A004 - `webhooks.list` is the route
    pages,
    test,
    update,
)
from .events import (
    NAMES,
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
    Known,
    MessageDelivered,
    MessageExpired,
    MessageFailed,
    MessageQueued,
    MessageRead,
    MessageRevoked,
    Unknown,
    UserMessage,
)
from .receivers import Handle, Inbox, Remembered, Seen, Standing, asgi

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
    "FORMS",
    "HEADER",
    "NAMES",
    "AgentApproved",
    "AgentRejected",
    "AutoReloadFailed",
    "AutoReloadSucceeded",
    "BalanceLow",
    "Changes",
    "ConsentCreated",
    "ConsentUpdated",
    "ContactCreated",
    "ContactUpdated",
    "ConversationEnded",
    "ConversationStarted",
    "Done",
    "EmailBounced",
    "EmailClicked",
    "EmailComplained",
    "EmailDelivered",
    "EmailOpened",
    "EmailUnsubscribed",
    "Endpoint",
    "Endpoints",
    "Event",
    "Handle",
    "Inbox",
    "Known",
    "MessageDelivered",
    "MessageExpired",
    "MessageFailed",
    "MessageQueued",
    "MessageRead",
    "MessageRevoked",
    "NewEndpoint",
    "Refused",
    "Remembered",
    "Seen",
    "Standing",
    "Unknown",
    "UserMessage",
    "aiohttp",
    "asgi",
    "create",
    "delete",
    "list",
    "pages",
    "read",
    "secrets",
    "sign",
    "test",
    "update",
    "write",
]
