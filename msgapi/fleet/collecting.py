"""Collecting: write the records of a batch as an ordinary journal, for the report that a local batch gets."""

from collections.abc import AsyncGenerator
from typing import Any, Final, final

import anyio.to_thread
from attrs import asdict, define, field

from .. import journal
from ..clock import SYSTEM_CLOCK, Clock
from ..codec import Problems
from ..journal import JournalRow, State
from .backend import RecordStore
from .records import chunk_journal
from .records.chunk_record import RowRecord, load_record
from .records.manifest import NAME, Manifest, read_manifest

_NOT_CHUNKS: Final = (NAME, chunk_journal.NAME)  # documents that are not the record of a chunk
_GROUP: Final = 5_000  # rows that are written to the journal at once


@final
@define(eq=False)
class Collection:
    """How far a batch on a fleet is: the numbers of chunks of *manifest* that are *begun* and *done*.

    *buried* gives for each chunk that can never succeed the reason. *unreadable* lists the names of the records that
    are damaged or of a later version.
    """

    manifest: Manifest
    begun: int = 0
    done: int = 0
    buried: dict[str, str] = field(factory=dict)
    unreadable: list[str] = field(factory=list)

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
        return [_line(row) for row in record.rows]


async def collect(
    records: RecordStore, batch: str, path: str, *, only_read: bool = False, clock: Clock = SYSTEM_CLOCK
) -> Collection | None:
    """Write the results of *batch* so far as a journal at *path*; return None if there is no such batch.

    The journal is one as a local batch writes: `journal.reading` reads it, and a batch can be resumed with it. If there
    is one at *path*, it must be of the same batch (else raise `journal.Unusable`); where it says more of a row, that
    stays. May be repeated at any time, also while the batch is being sent. Raise `Unreachable` if the backend fails,
    and `FleetConflict` if another version queued the batch.

    A day after the first collection the workers stop sending the batch, since a local batch may have sent it meanwhile:
    rows that are not settled then have an unknown outcome. With *only_read* this does not apply, and no batch may be
    resumed with the journal.
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
                if len(group) >= _GROUP:
                    await anyio.to_thread.run_sync(collected.add, group)
                    group = []
            await anyio.to_thread.run_sync(collected.add, group)
        finally:
            if isinstance(documents, AsyncGenerator):  # close it here, not at garbage collection
                await documents.aclose()
    return collection


def _line(row: RowRecord) -> tuple[bytes, JournalRow]:
    fields: dict[str, Any] = asdict(row) | {"state": State(row.state)}
    request_hash = bytes.fromhex(fields.pop("request_hash"))
    return request_hash, JournalRow(**fields)
