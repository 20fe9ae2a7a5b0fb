"""Queueing: cut the rows of a batch into chunks and queue them, in a way that a later run can resume."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Final

import anyio
from attrs import evolve

from ..clock import SYSTEM_CLOCK, Clock
from .backend import ChunkSink, RecordStore
from .chunk import Chunk, ChunkRow
from .records.manifest import Manifest, begin_batch, record_progress

_GROUP: Final = 32  # chunks that are queued concurrently, between two writes of the progress


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
    while group := list(islice(chunks, _GROUP)):
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
        added = len(row.body.encode()) + len(row.id.encode())
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
