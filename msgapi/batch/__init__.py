"""Batches: send any number of calls with bounded concurrency, and yield each outcome as it ends."""

from .queue import JournalProtocol, Outcome
from .run import Outcomes, send
from .stops import OutageState, Reason, SpendLimit, Stopped

__all__ = ["JournalProtocol", "OutageState", "Outcome", "Outcomes", "Reason", "SpendLimit", "Stopped", "send"]
