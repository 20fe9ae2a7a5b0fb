"""The API emulated: a strict account in memory, to test against and to try things out."""

from typing import TYPE_CHECKING

from .decisions import CODES, DECISIONS, Code, Decision
from .http.responses import SimulatedResponse
from .model.agents import AGENTS, SandboxAgent
from .model.billing import PriceList
from .model.campaigns import CAMPAIGNS, Campaign
from .model.faults import DELIVERY_OUTCOMES, MAGIC_RECIPIENTS, DeliveryOutcome, FaultShares, MagicRecipient, Timing
from .model.messages import CHANNELS, TEMPLATES, EmailChannel, EmailTemplate, KeptMessages, LogEntry
from .model.state import ClockState
from .model.webhooks import Attempt, EmittedEvent, WebhookFaults
from .rules.controls import ControlError, FaultSettings
from .sandbox import Sandbox, Workspaces

if TYPE_CHECKING:
    from .server import ServedSandbox, serve, serve_in_thread
else:

    def __getattr__(name: str) -> object:
        """Import the server when it is first used, because it needs aiohttp."""
        if name not in {"ServedSandbox", "serve", "serve_in_thread"}:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from . import server

        return getattr(server, name)

    def __dir__() -> list[str]:
        """Return all names, those that are imported on first use too."""
        return sorted(globals().keys() | set(__all__))


__all__ = [
    "AGENTS",
    "CAMPAIGNS",
    "CHANNELS",
    "CODES",
    "DECISIONS",
    "DELIVERY_OUTCOMES",
    "MAGIC_RECIPIENTS",
    "TEMPLATES",
    "Attempt",
    "Campaign",
    "ClockState",
    "Code",
    "ControlError",
    "Decision",
    "DeliveryOutcome",
    "EmailChannel",
    "EmailTemplate",
    "EmittedEvent",
    "FaultSettings",
    "FaultShares",
    "KeptMessages",
    "LogEntry",
    "MagicRecipient",
    "PriceList",
    "Sandbox",
    "SandboxAgent",
    "ServedSandbox",
    "SimulatedResponse",
    "Timing",
    "WebhookFaults",
    "Workspaces",
    "serve",
    "serve_in_thread",
]
