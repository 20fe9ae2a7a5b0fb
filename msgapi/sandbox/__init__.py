"""The API emulated: a strict account in memory, to test against and to try things on."""

from .account import Account
from .answers import Reply
from .couriers import Attempt, Mischief
from .decisions import CODES, DECISIONS, Code, Decision
from .endings import ENDINGS, Ending, Timing
from .log import Entry
from .luck import LUCK, Luck
from .outbox import Happening
from .prices import Prices
from .runs import CAMPAIGNS, Campaign
from .senders import AGENTS, CHANNELS, TEMPLATES, Agent, Channel, Template
from .transport import Sandbox
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
