"""Async Python SDK for a messaging HTTP API. A call is a value, and so is its result.

    async with msgapi.Client() as client:
        result = await client(messages.send(messages.Text(...)))

The names by topic; `help(msgapi.messages)` describes a module, `help(msgapi.Client)` a class:

- clients: `Client`, and `BlockingClient` for programs without an event loop; `Retry`, `Pace`, `Clock`, `SystemClock`,
  `VirtualClock`, `Misconfigured`
- calls: the modules `messages`, `contacts`, `agents`, `campaigns`, `billing`, `webhooks` and `testagent`, which have
  the models too; `Call`, `Caller`, `fallback`, `define_call`, `extend_call`
- results: `Result` is `Ok` or an `ApiError`: `Invalid`, `Unauthorized`, `InsufficientBalance`, `Forbidden`, `NotFound`,
  `Conflict`, `Unprocessable`, `Throttled`, `ServerFault`, `Unavailable`, `Unexpected`, `Unreadable`, `NotSent` or
  `Unanswered`; `CallFailed` is what `unwrap()` raises; `Meta`, `RateLimit`, `Detail` and `Balance` are parts of them
- many calls: `batch`, `journal`; `msgapi.fleet` for several hosts
- phone numbers and email addresses as people write them: `recipients`
- transports and tests: `transports`, `Request`, `Response`, `sandbox`, `testing`; `msgapi.pytest_plugin` has fixtures
- logs, traces and JSON: `observe`, `telemetry`, `codec`
- `__version__`
"""

from importlib import import_module
from typing import TYPE_CHECKING

from .version import VERSION

if TYPE_CHECKING:
    from . import (
        agents,
        batch,
        billing,
        campaigns,
        codec,
        contacts,
        fallback,
        journal,
        messages,
        observe,
        recipients,
        sandbox,
        telemetry,
        testagent,
        testing,
        transports,
        webhooks,
    )
    from .blocking import BlockingClient
    from .calls import Call, Caller
    from .client import Client
    from .clock import Clock, SystemClock, VirtualClock
    from .config import Misconfigured
    from .http import Request, Response
    from .ratelimit.pace import Pace
    from .results import (
        ApiError,
        Balance,
        CallFailed,
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
    from .retry import Retry
    from .schema.requests import define_call, extend_call
else:

    def __getattr__(name: str) -> object:
        """Import a module or a class on first use, so that importing the package is fast."""
        if name in _NOUNS:
            return import_module(f".{name}", __name__)
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = found = getattr(import_module(f".{_HOMES[name]}", __name__), name)
        return found

    def __dir__() -> list[str]:
        """Return all names, those that are imported on first use too."""
        return sorted(globals().keys() | set(__all__))


__all__ = [
    "ApiError",
    "Balance",
    "BlockingClient",
    "Call",
    "CallFailed",
    "Caller",
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
    "contacts",
    "define_call",
    "extend_call",
    "fallback",
    "journal",
    "messages",
    "observe",
    "recipients",
    "sandbox",
    "telemetry",
    "testagent",
    "testing",
    "transports",
    "webhooks",
]

__version__ = VERSION
_HOMES = {
    "ApiError": "results",
    "Balance": "results",
    "BlockingClient": "blocking",
    "Call": "calls",
    "CallFailed": "results",
    "Caller": "calls",
    "Client": "client",
    "Clock": "clock",
    "Conflict": "results",
    "Detail": "results",
    "Forbidden": "results",
    "InsufficientBalance": "results",
    "Invalid": "results",
    "Meta": "results",
    "Misconfigured": "config",
    "NotFound": "results",
    "NotSent": "results",
    "Ok": "results",
    "Pace": "ratelimit.pace",
    "RateLimit": "results",
    "Request": "http",
    "Response": "http",
    "Result": "results",
    "Retry": "retry",
    "ServerFault": "results",
    "SystemClock": "clock",
    "Throttled": "results",
    "Unanswered": "results",
    "Unauthorized": "results",
    "Unavailable": "results",
    "Unexpected": "results",
    "Unprocessable": "results",
    "Unreadable": "results",
    "VirtualClock": "clock",
    "define_call": "schema.requests",
    "extend_call": "schema.requests",
}
_NOUNS = frozenset(
    {
        "agents",
        "batch",
        "billing",
        "campaigns",
        "codec",
        "contacts",
        "fallback",
        "journal",
        "messages",
        "observe",
        "recipients",
        "sandbox",
        "telemetry",
        "testagent",
        "testing",
        "transports",
        "webhooks",
    }
)
