"""Batches: send any number of calls with bounded concurrency, and yield each outcome as it ends."""

from .budget import SpendLimit
from .journalled_queue import JournalProtocol
from .outcomes import Outcome, Reason, Stopped
from .run import Outcomes, send

__all__ = ["JournalProtocol", "Outcome", "Outcomes", "Reason", "SpendLimit", "Stopped", "send"]
