"""The table of the routes that read, from which the table of all routes and the OpenAPI document are made."""

from typing import Final

from .account import (
    AccountOverview,
    AgentViews,
    CampaignViews,
    ContactViews,
    HealthView,
    TransactionViews,
    account,
    agents,
    campaigns,
    contacts,
    health,
    transactions,
)
from .deliveries import DeliveryViews, EndpointViews, deliveries, endpoints
from .listing import PAGED, Inspection, parse_text
from .messages import (
    LIST_PARAMETERS,
    SEARCH_PARAMETERS,
    WAIT_PARAMETERS,
    AwaitedMessage,
    ConversationDetails,
    ConversationViews,
    MessageView,
    MessageViews,
    conversation,
    conversations,
    mail,
    message,
    messages,
    wait,
)
from .requests import REQUEST_PARAMETERS, RequestViews, requests

_UNKNOWN: Final = ("not_found", "validation_error")
_QUERY: Final = ("validation_error",)
_DELIVERIES: Final = {"webhook_id": parse_text, "event": parse_text, **PAGED}

INSPECTIONS: Final = (
    Inspection("/_sandbox/health", health, HealthView, is_public=True),
    Inspection("/_sandbox/account", account, AccountOverview, codes=_QUERY),
    Inspection("/_sandbox/transactions", transactions, TransactionViews, PAGED, _QUERY),
    Inspection("/_sandbox/conversations", conversations, ConversationViews, SEARCH_PARAMETERS, _QUERY),
    Inspection("/_sandbox/conversations/{id}", conversation, ConversationDetails, codes=_UNKNOWN),
    Inspection("/_sandbox/messages", messages, MessageViews, LIST_PARAMETERS, _QUERY),
    Inspection("/_sandbox/messages/wait", wait, AwaitedMessage, WAIT_PARAMETERS, _QUERY),
    Inspection("/_sandbox/messages/{id}", message, MessageView, codes=_UNKNOWN),
    Inspection("/_sandbox/messages/{id}/mail", mail, str, codes=_UNKNOWN, media="text/html"),
    Inspection("/_sandbox/agents", agents, AgentViews, PAGED, _QUERY),
    Inspection("/_sandbox/campaigns", campaigns, CampaignViews, PAGED, _QUERY),
    Inspection("/_sandbox/contacts", contacts, ContactViews, SEARCH_PARAMETERS, _QUERY),
    Inspection("/_sandbox/webhooks", endpoints, EndpointViews, PAGED, _QUERY),
    Inspection("/_sandbox/deliveries", deliveries, DeliveryViews, _DELIVERIES, _QUERY),
    Inspection("/_sandbox/requests", requests, RequestViews, REQUEST_PARAMETERS, _QUERY),
)
"""All routes that read. A path without `{id}` comes before those with it that match the same requests."""
