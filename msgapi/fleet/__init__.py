"""Fleets: one batch on many workers, over an engine that exists already, at the pace of one key."""

from .chunk import SIZE, Chunk, Row, Unfit, row_of
from .chunks import Chunks, Lease, Sink, Unreachable
from .collecting import Collection, collect
from .enqueuing import enqueue
from .entry import ChunkRecord, Found
from .events import Away, Event, Given, Leased, Paused, Resumed, Told
from .manifest import Manifest, Taken
from .memory import MemoryChunks, MemoryRecords
from .opening import Fleet, opened
from .owner import disclaim
from .records import Records, Revision
from .sending import Sent, send_chunk
from .work import work

__all__ = [
    "SIZE",
    "Away",
    "Chunk",
    "ChunkRecord",
    "Chunks",
    "Collection",
    "Event",
    "Fleet",
    "Found",
    "Given",
    "Lease",
    "Leased",
    "Manifest",
    "MemoryChunks",
    "MemoryRecords",
    "Paused",
    "Records",
    "Resumed",
    "Revision",
    "Row",
    "Sent",
    "Sink",
    "Taken",
    "Told",
    "Unfit",
    "Unreachable",
    "collect",
    "disclaim",
    "enqueue",
    "opened",
    "row_of",
    "send_chunk",
    "work",
]
