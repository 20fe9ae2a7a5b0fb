"""Async Python SDK for a messaging HTTP API: a call is a value, and so is its outcome."""

from importlib import import_module
from typing import TYPE_CHECKING

from .calls import Api, Call
from .client import Client, Misconfigured, connect
from .clock import Clock, SystemClock
from .http import Request, Response
from .pace import Pace
from .results import (
    ApiError,
    Balance,
    Conflict,
    Detail,
    Forbidden,
    InsufficientBalance,
    Invalid,
    Meta,
    NotFound,
    NotSent,
    Ok,
    RateLimit,
    Result,
    ServerFault,
    Throttled,
    Unanswered,
    Unauthorized,
    Unavailable,
    Unexpected,
    Unprocessable,
    Unreadable,
)
from .retries import Retry
from .version import VERSION

if TYPE_CHECKING:
    from . import (
        agents,
        batch,
        billing,
        campaigns,
        codec,
        contacts,
        events,
        journal,
        messages,
        receivers,
        sandbox,
        testagent,
        transports,
        webhooks,
    )
    from .virtual import VirtualClock
else:

    def __getattr__(name: str) -> object:
        """Load a part of the package when it is first asked for, so that importing it stays quick."""
        if name == "VirtualClock":
            return import_module(".virtual", __name__).VirtualClock
        if name in _NOUNS:
            return import_module(f".{name}", __name__)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "Api",
    "ApiError",
    "Balance",
    "Call",
    "Client",
    "Clock",
    "Conflict",
    "Detail",
    "Forbidden",
    "InsufficientBalance",
    "Invalid",
    "Meta",
    "Misconfigured",
    "NotFound",
    "NotSent",
    "Ok",
    "Pace",
    "RateLimit",
    "Request",
    "Response",
    "Result",
    "Retry",
    "ServerFault",
    "SystemClock",
    "Throttled",
    "Unanswered",
    "Unauthorized",
    "Unavailable",
    "Unexpected",
    "Unprocessable",
    "Unreadable",
    "VirtualClock",
    "__version__",
    "agents",
    "batch",
    "billing",
    "campaigns",
    "codec",
    "connect",
    "contacts",
    "events",
    "journal",
    "messages",
    "receivers",
    "sandbox",
    "testagent",
    "transports",
    "webhooks",
]

__version__ = VERSION
_NOUNS = frozenset(
    {
        "agents",
        "batch",
        "billing",
        "campaigns",
        "codec",
        "contacts",
        "events",
        "journal",
        "messages",
        "receivers",
        "sandbox",
        "testagent",
        "transports",
        "webhooks",
    }
)
