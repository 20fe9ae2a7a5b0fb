"""Fleets: one batch on many workers, over an engine that exists already, at the pace of one key."""

from .chunk import SIZE, Chunk, Row, Unfit, row_of
from .chunks import Chunks, Lease, Unreachable
from .entry import ChunkRecord, Found
from .memory import MemoryChunks, MemoryRecords
from .records import Records, Revision

__all__ = [
    "SIZE",
    "Chunk",
    "ChunkRecord",
    "Chunks",
    "Found",
    "Lease",
    "MemoryChunks",
    "MemoryRecords",
    "Records",
    "Revision",
    "Row",
    "Unfit",
    "Unreachable",
    "row_of",
]
