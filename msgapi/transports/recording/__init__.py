"""Record exchanges to a file, and replay them."""

from .recording import Recording, Replay

__all__ = ["Recording", "Replay"]
