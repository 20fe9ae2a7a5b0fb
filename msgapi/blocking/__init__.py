"""Synchronous programs: a client whose calls block, on an event loop in a thread of its own."""

from .client import BlockingClient
from .outcomes import BlockingOutcomes

__all__ = ["BlockingClient", "BlockingOutcomes"]
