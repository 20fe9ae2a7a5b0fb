"""Fleets: one batch on many workers, over an engine that exists already, at the pace of one key."""

from .chunk import SIZE, Chunk, Row, Unfit, row_of
from .chunks import Chunks, Lease, Unreachable
from .collecting import Collection, collect
from .enqueuing import enqueue
from .entry import ChunkRecord, Found
from .manifest import Manifest, Taken
from .memory import MemoryChunks, MemoryRecords
from .records import Records, Revision
from .sending import Sent, send_chunk

__all__ = [
    "SIZE",
    "Chunk",
    "ChunkRecord",
    "Chunks",
    "Collection",
    "Found",
    "Lease",
    "Manifest",
    "MemoryChunks",
    "MemoryRecords",
    "Records",
    "Revision",
    "Row",
    "Sent",
    "Taken",
    "Unfit",
    "Unreachable",
    "collect",
    "enqueue",
    "row_of",
    "send_chunk",
]
