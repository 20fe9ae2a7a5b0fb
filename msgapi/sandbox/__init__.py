"""The API emulated: a strict account in memory, to test against and to try things on."""

from .account import Account
from .decisions import CODES, DECISIONS, Code, Decision
from .http.responses import Reply
from .model.campaigns import CAMPAIGNS, Campaign
from .model.email_channels import AGENTS, CHANNELS, TEMPLATES, Agent, Channel, Template
from .model.endings import ENDINGS, Ending, Timing
from .model.faults import LUCK, Luck
from .model.messages import Entry
from .model.outbox import Happening
from .model.prices import Prices
from .model.webhooks import Attempt, Mischief
from .sandbox import Sandbox
from .workspaces import Workspaces

__all__ = [
    "AGENTS",
    "CAMPAIGNS",
    "CHANNELS",
    "CODES",
    "DECISIONS",
    "ENDINGS",
    "LUCK",
    "TEMPLATES",
    "Account",
    "Agent",
    "Attempt",
    "Campaign",
    "Channel",
    "Code",
    "Decision",
    "Ending",
    "Entry",
    "Happening",
    "Luck",
    "Mischief",
    "Prices",
    "Reply",
    "Sandbox",
    "Template",
    "Timing",
    "Workspaces",
]
