"""Fleets: one batch sent by many workers, over a Redis, Valkey or NATS server, at the shared rate of one API key.

A producer cuts the rows of a batch into chunks and queues them (`enqueue`). Workers take chunks and send their rows
(`work`, or `send_chunk` in a task queue of your own). One record per chunk keeps the result of each row, so that a
chunk may be sent any number of times and each row is carried out once. `collect` writes the records as an ordinary
journal.
"""

from .backend import (
    ChunkQueue,
    ChunkSink,
    Lease,
    MemoryChunkQueue,
    MemoryRecordStore,
    RecordStore,
    Revision,
    Unreachable,
)
from .batches import Collection, FleetConflict, Manifest, collect, enqueue
from .chunk import DEFAULT_CHUNK_ROWS, Chunk, ChunkRecord, ChunkRow, InvalidChunk, RowRecord, make_row
from .opening import Fleet, disclaim, open  # noqa: A004 - used as `fleet.open`
from .sending import ChunkResult, send_chunk
from .worker import (
    BackendUnreachable,
    ChunkFinished,
    ChunkLeased,
    Disposition,
    Event,
    Paused,
    Resumed,
    RowFinished,
    work,
)

__all__ = [
    "DEFAULT_CHUNK_ROWS",
    "BackendUnreachable",
    "Chunk",
    "ChunkFinished",
    "ChunkLeased",
    "ChunkQueue",
    "ChunkRecord",
    "ChunkResult",
    "ChunkRow",
    "ChunkSink",
    "Collection",
    "Disposition",
    "Event",
    "Fleet",
    "FleetConflict",
    "InvalidChunk",
    "Lease",
    "Manifest",
    "MemoryChunkQueue",
    "MemoryRecordStore",
    "Paused",
    "RecordStore",
    "Resumed",
    "Revision",
    "RowFinished",
    "RowRecord",
    "Unreachable",
    "collect",
    "disclaim",
    "enqueue",
    "make_row",
    "open",
    "send_chunk",
    "work",
]
