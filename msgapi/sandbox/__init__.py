"""The API emulated: a strict account in memory, to test against and to try things out."""

from typing import TYPE_CHECKING

from .account import Account
from .decisions import CODES, DECISIONS, Code, Decision
from .http.responses import SimulatedResponse
from .model.agents import AGENTS, SandboxAgent
from .model.billing import PriceList
from .model.campaigns import CAMPAIGNS, Campaign
from .model.faults import DELIVERY_OUTCOMES, MAGIC_RECIPIENTS, DeliveryOutcome, MagicRecipient, Timing
from .model.messages import CHANNELS, TEMPLATES, EmailChannel, EmailTemplate, KeptMessages, LogEntry
from .model.webhooks import Attempt, EmittedEvent, WebhookFaults
from .rules.controls import ControlError
from .sandbox import Sandbox, Workspaces

if TYPE_CHECKING:
    from .server import serve
else:

    def __getattr__(name: str) -> object:
        """Import `serve` when it is first used, because it needs aiohttp."""
        if name != "serve":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from .server import serve

        globals()[name] = serve
        return serve


__all__ = [
    "AGENTS",
    "CAMPAIGNS",
    "CHANNELS",
    "CODES",
    "DECISIONS",
    "DELIVERY_OUTCOMES",
    "MAGIC_RECIPIENTS",
    "TEMPLATES",
    "Account",
    "Attempt",
    "Campaign",
    "Code",
    "ControlError",
    "Decision",
    "DeliveryOutcome",
    "EmailChannel",
    "EmailTemplate",
    "EmittedEvent",
    "KeptMessages",
    "LogEntry",
    "MagicRecipient",
    "PriceList",
    "Sandbox",
    "SandboxAgent",
    "SimulatedResponse",
    "Timing",
    "WebhookFaults",
    "Workspaces",
    "serve",
]
