"""Record exchanges to a file, and replay them."""

from .recording import Cassette, NotRecorded, Recording, RecordMode, Replay

__all__ = ["Cassette", "NotRecorded", "RecordMode", "Recording", "Replay"]
