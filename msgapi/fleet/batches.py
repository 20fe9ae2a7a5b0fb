"""Batches on a fleet: the manifest, how rows are queued as chunks, and how the results are collected.

The manifest says what a batch is, and how much of it is queued; it is the first record of the batch. `enqueue` cuts the
rows into chunks, in a way that a later run can resume. `collect` writes the records as an ordinary journal, for the
report that a local batch gets.

Rules of the manifest:
- It is written before the first chunk is queued, so that each chunk belongs to a known batch.
- A batch has one source: no other rows are queued under its name, since the keys derive from the name.
- The sizes that cut the rows into chunks are stored here, so that a later run cuts them alike.
"""

import re
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import islice
from typing import Any, Final, final

import anyio
import anyio.to_thread
from attrs import asdict, define, evolve, field, frozen

from .. import journal
from ..clock import SYSTEM_CLOCK, Clock
from ..codec import Problems, from_json, to_json
from ..journal import JournalRow, State
from . import chunk_journal
from .backend import ChunkSink, RecordStore
from .chunk import DEFAULT_CHUNK_ROWS, Chunk, ChunkRow, RowRecord, load_record
from .timings import FleetHistory

MANIFEST: Final = "manifest"
"""The name of the document of the manifest."""

DEFAULT_CHUNK_BYTES: Final = 256 << 10
"""Bytes of rows in a chunk; a longer row is a chunk of its own."""

_VERSION: Final = 1
_VALID_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_CHUNKS_AT_ONCE: Final = 32  # chunks that are queued concurrently, between two writes of the progress
_NOT_CHUNKS: Final = (
    MANIFEST,
    chunk_journal.NAME,
    chunk_journal.ACCEPTED,
)  # documents that are not the record of a chunk
_ROWS_AT_ONCE: Final = 5_000  # rows that are written to the journal at once


@final
@frozen(kw_only=True)
class Manifest:
    """A *batch* of so many *rows*: *source* identifies them, such as a hash; *about* is copied into its journal.

    *created_at* is the Unix time at which queueing began, *chunks_queued* the number of chunks queued so far, and
    *chunks_total* the number of all chunks, None until all are queued. A chunk has up to *rows_per_chunk* rows and up
    to *bytes_per_chunk* bytes of them.
    """

    batch: str
    source: str
    rows: int
    about: Mapping[str, str] = field(factory=dict, repr=False)
    created_at: float = 0.0
    chunks_queued: int = 0
    chunks_total: int | None = None
    rows_per_chunk: int = DEFAULT_CHUNK_ROWS
    bytes_per_chunk: int = DEFAULT_CHUNK_BYTES
    version: int = _VERSION


@final
class FleetConflict(Exception):
    """A name is in use already: that of a batch by other rows, or that of a fleet by another API key.

    Also raised for a batch that another version of this package queued. The message says which it is.
    """


def is_valid_name(name: str) -> bool:
    """Return whether a batch or a fleet can have this *name*: 1 to 64 of `A-Z a-z 0-9 . _ -`, no sign first."""
    return _VALID_NAME.fullmatch(name) is not None


async def begin_batch(records: RecordStore, manifest: Manifest, now: float) -> Manifest:
    """Store *manifest* as begun at the Unix time *now*, and return it; return the stored one if there is one.

    Raise ValueError if the name of the batch is invalid, and `FleetConflict` if the stored manifest has another source
    or another version.
    """
    if not is_valid_name(manifest.batch):
        raise ValueError(f"a batch is named by up to 64 of A-Z a-z 0-9 . _ -, not {manifest.batch!r}")
    manifest = evolve(manifest, created_at=now)
    if await records.write(manifest.batch, MANIFEST, to_json(manifest), 0):
        return manifest
    stored = await read_manifest(records, manifest.batch)
    if stored is None or stored.source != manifest.source:
        raise FleetConflict(
            f"the batch {manifest.batch} is of other rows: finish it by its own file, or name another batch"
        )
    return stored


async def read_manifest(records: RecordStore, batch: str) -> Manifest | None:
    """Return the manifest of *batch*, None if there is no such batch; raise `FleetConflict` if of another version."""
    value, _ = await records.read(batch, MANIFEST)
    return None if value is None else parse_manifest(batch, value)


async def record_progress(records: RecordStore, manifest: Manifest) -> Manifest:
    """Store how many chunks of *manifest* are queued; return the stored manifest, in which another may be further."""
    while True:
        value, revision = await records.read(manifest.batch, MANIFEST)
        stored = manifest if value is None else parse_manifest(manifest.batch, value)
        merged = evolve(
            stored,
            chunks_queued=max(stored.chunks_queued, manifest.chunks_queued),
            chunks_total=stored.chunks_total or manifest.chunks_total,
        )
        if await records.write(manifest.batch, MANIFEST, to_json(merged), revision):
            return merged


def parse_manifest(batch: str, value: bytes) -> Manifest:
    """Parse the stored manifest of *batch*; raise `FleetConflict` if it is of another version or damaged."""
    manifest = from_json(value, Manifest)
    if isinstance(manifest, Problems) or manifest.version != _VERSION:
        raise FleetConflict(f"the batch {batch} was queued by another version of msgapi-sdk: finish it with that one")
    return manifest


async def enqueue(
    rows: Iterable[ChunkRow],
    manifest: Manifest,
    *,
    queue: ChunkSink,
    records: RecordStore,
    on_progress: Callable[[Manifest], None] | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> Manifest:
    """Queue *rows* as the batch that *manifest* describes; return the manifest as it is stored at the end.

    May be repeated with the same rows after any end: it resumes where it stopped and queues nothing twice. *rows* is
    iterated in the event loop, a few chunks at a time. *on_progress* is called with the manifest after every 32 chunks.

    Raise `FleetConflict` if there is a batch of this name with another `source`, `Unreachable` if the backend fails,
    and ValueError if the name of the batch is invalid.
    """
    manifest = await begin_batch(records, manifest, clock.time())
    count = 0
    chunks = enumerate(split_rows(rows, manifest))
    while group := list(islice(chunks, _CHUNKS_AT_ONCE)):
        count = group[-1][0] + 1
        await _put_all(queue, [chunk for number, chunk in group if number >= manifest.chunks_queued])
        if count > manifest.chunks_queued:
            manifest = await record_progress(records, evolve(manifest, chunks_queued=count))
            if on_progress is not None:
                on_progress(manifest)
    if manifest.chunks_total is not None:
        return manifest
    return await record_progress(records, evolve(manifest, chunks_total=count))


def split_rows(rows: Iterable[ChunkRow], manifest: Manifest) -> Iterator[Chunk]:
    """Yield *rows* as chunks of the sizes that *manifest* sets; a row above the byte limit is a chunk of its own."""
    number, group, length = 0, list[ChunkRow](), 0
    for row in rows:
        added = row.size
        if group and (len(group) >= manifest.rows_per_chunk or length + added > manifest.bytes_per_chunk):
            yield _chunk(manifest, number, group)
            number, group, length = number + 1, [], 0
        group.append(row)
        length += added
    if group:
        yield _chunk(manifest, number, group)


def _chunk(manifest: Manifest, number: int, rows: Iterable[ChunkRow]) -> Chunk:
    return Chunk(batch=manifest.batch, id=f"{number:06}", rows=tuple(rows), created_at=manifest.created_at)


async def _put_all(queue: ChunkSink, chunks: list[Chunk]) -> None:
    # A failure does not cancel the other chunks: they may be queued already. The first one is raised, not in a group.
    failures: list[Exception] = []

    async def put(chunk: Chunk) -> None:
        try:
            await queue.put(chunk.name, chunk.dump())
        except Exception as error:  # noqa: BLE001 - raised again below
            failures.append(error)

    async with anyio.create_task_group() as tasks:
        for chunk in chunks:
            _ = tasks.start_soon(partial(put, chunk))
    if failures:
        raise failures[0]


@final
@define(eq=False)
class Collection:
    """How far a batch on a fleet is: the numbers of chunks of *manifest* that are *begun* and *done*.

    *buried* gives for each chunk that can never succeed the reason. *unreadable* lists the names of the records that
    are damaged or of a later version. *timings* has what the workers have done over time.
    """

    manifest: Manifest
    begun: int = 0
    done: int = 0
    buried: dict[str, str] = field(factory=dict)
    unreadable: list[str] = field(factory=list)
    timings: FleetHistory = field(factory=FleetHistory, repr=False)

    def add(self, name: str, value: bytes) -> list[tuple[bytes, JournalRow]]:
        """Count the chunk whose record *name* has this *value*; return its rows, none if it is unreadable."""
        record = load_record(value)
        if isinstance(record, Problems):
            self.unreadable.append(name)
            return []
        self.begun += record.stage == "begun"
        self.done += record.stage == "done"
        if record.stage == "buried":
            self.buried[name] = record.reason or "no reason is recorded"
        self.timings.add(record.timings)
        return [_line(row) for row in record.rows]


async def collect(
    records: RecordStore, batch: str, path: str, *, only_read: bool = False, clock: Clock = SYSTEM_CLOCK
) -> Collection | None:
    """Write the results of *batch* so far as a journal at *path*; return None if there is no such batch.

    The journal is one as a local batch writes: `journal.open_readonly` reads it, and a batch can be resumed with it. If
    there is one at *path*, it must be of the same batch (else raise `journal.Unusable`); where it says more of a row,
    that stays. May be repeated at any time, also while the batch is being sent. Raise `Unreachable` if the backend
    fails, and `FleetConflict` if another version queued the batch.

    23 hours after the first collection the workers stop sending the batch, since a local batch may have sent it
    meanwhile: rows that are not settled then have an unknown outcome. With *only_read* this does not apply, and no
    batch may be resumed with the journal.
    """
    manifest = await read_manifest(records, batch)
    if manifest is None:
        return None
    if not only_read:
        await chunk_journal.record_takeover(records, batch, clock.time())
    collection = Collection(manifest)
    with journal.merge(path, batch=batch, about=manifest.about, clock=clock) as collected:
        documents = records.scan(batch)
        try:
            group: list[tuple[bytes, JournalRow]] = []
            async for name, value in documents:
                group += () if name in _NOT_CHUNKS else collection.add(name, value)
                if len(group) >= _ROWS_AT_ONCE:
                    await anyio.to_thread.run_sync(collected.add, group)
                    group = []
            await anyio.to_thread.run_sync(collected.add, group)
            if (history := collection.timings.history()) is not None:
                collected.add_history(history)
        finally:
            if isinstance(documents, AsyncGenerator):  # close it here, not at garbage collection
                await documents.aclose()
    return collection


def _line(row: RowRecord) -> tuple[bytes, JournalRow]:
    fields: dict[str, Any] = asdict(row) | {"state": State(row.state)}
    request_hash = bytes.fromhex(fields.pop("request_hash"))
    return request_hash, JournalRow(**fields)
