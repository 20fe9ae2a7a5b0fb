"""Enqueuing: the rows of a batch, cut into chunks and put into the queue, so that a later run goes on with it."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Final

import anyio
from attrs import evolve

from ..clock import SYSTEM_CLOCK, Clock
from .chunk import Chunk, Row
from .chunks import Sink
from .manifest import Manifest, begun, noted
from .records import Records

_LOT: Final = 32  # chunks that are put at once, and between two writings of how far it is


async def enqueue(
    rows: Iterable[Row],
    manifest: Manifest,
    *,
    chunks: Sink,
    records: Records,
    on_put: Callable[[Manifest], None] | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> Manifest:
    """Queue *rows*, the same each time, as the batch of *manifest*; gives what that is at the end.

    After any end the same goes on where it was. *rows* is pulled in the event loop, a chunk at a time.
    *on_put* is told how far it is, now and then. A batch of this name with another `source` is `manifest.Taken`;
    what the engine cannot do is `chunks.Unreachable`.
    """
    manifest = await begun(records, manifest, clock.time())
    count = 0
    cut = enumerate(chunked(rows, manifest))
    while lot := list(islice(cut, _LOT)):
        count = lot[-1][0] + 1
        await _put([chunk for number, chunk in lot if number >= manifest.put], chunks)
        if count > manifest.put:
            manifest = await noted(records, evolve(manifest, put=count))
            if on_put is not None:
                on_put(manifest)
    return manifest if manifest.chunks is not None else await noted(records, evolve(manifest, chunks=count))


def chunked(rows: Iterable[Row], manifest: Manifest) -> Iterator[Chunk]:
    """Cut *rows* into the chunks of the batch of *manifest*."""
    number, some, length = 0, list[Row](), 0
    for row in rows:
        more = len(row.body.encode()) + len(row.id.encode())
        if some and (len(some) >= manifest.size or length + more > manifest.most):
            yield _chunk(manifest, number, some)
            number, some, length = number + 1, [], 0
        some.append(row)
        length += more
    if some:
        yield _chunk(manifest, number, some)


def _chunk(manifest: Manifest, number: int, rows: Iterable[Row]) -> Chunk:
    return Chunk(batch=manifest.batch, id=f"{number:06}", rows=tuple(rows), at=manifest.at)


async def _put(lot: list[Chunk], chunks: Sink) -> None:
    # What leaves a task group leaves it as a group, so the first failure is carried around it instead.
    failures: list[Exception] = []

    async def put(chunk: Chunk) -> None:
        try:
            await chunks.put(chunk.name, chunk.dump())
        except Exception as error:  # noqa: BLE001 - raised again below
            failures.append(error)

    async with anyio.create_task_group() as tasks:
        for chunk in lot:
            _ = tasks.start_soon(partial(put, chunk))
    if failures:
        raise failures[0]
