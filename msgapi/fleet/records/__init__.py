"""The records of a batch on a fleet: its manifest, the result of each chunk, and the takeover by a local batch."""

from .chunk_record import ChunkRecord, RowRecord
from .manifest import FleetConflict, Manifest

__all__ = ["ChunkRecord", "FleetConflict", "Manifest", "RowRecord"]
