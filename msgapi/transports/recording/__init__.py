"""Record exchanges to a file, and replay them."""

from .exchanges import NotRecorded
from .recording import Cassette, Recording, RecordMode, Replay

__all__ = ["Cassette", "NotRecorded", "RecordMode", "Recording", "Replay"]
