"""The API emulated: a strict account in memory, to test against and to try things on."""

from .account import Account
from .answers import Reply
from .decisions import CODES, DECISIONS, Code, Decision
from .log import Entry
from .luck import LUCK, Luck
from .prices import Prices
from .senders import AGENTS, CHANNELS, TEMPLATES, Agent, Channel, Template
from .transport import Sandbox

__all__ = [
    "AGENTS",
    "CHANNELS",
    "CODES",
    "DECISIONS",
    "LUCK",
    "TEMPLATES",
    "Account",
    "Agent",
    "Channel",
    "Code",
    "Decision",
    "Entry",
    "Luck",
    "Prices",
    "Reply",
    "Sandbox",
    "Template",
]
