"""Batches: send any number of calls with bounded concurrency, and yield each outcome as it ends."""

from .budget import SpendLimit
from .outcomes import Outcome, Reason, Stopped
from .queue import JournalProtocol
from .run import Outcomes, send

__all__ = ["JournalProtocol", "Outcome", "Outcomes", "Reason", "SpendLimit", "Stopped", "send"]
