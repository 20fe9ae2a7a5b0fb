"""Collecting: the records of a batch as an ordinary journal, for the report that a local batch gets."""

from collections.abc import AsyncGenerator
from typing import Any, Final, final

import anyio.to_thread
from attrs import asdict, define, field

from .. import journal
from ..clock import SYSTEM_CLOCK, Clock
from ..codec import Problems
from ..journal import JournalRow, State
from . import elsewhere
from .entry import Found, load_record
from .manifest import NAME, Manifest, found
from .records import Records

_OTHERS: Final = (NAME, elsewhere.NAME)  # records that are of no chunk
_LOT: Final = 5_000  # rows that are written together


@final
@define(eq=False)
class Collection:
    """What a batch on a fleet has come to: so many chunks of *manifest* are *begun*, *done* or *buried*, and why.

    *unreadable* names the records that nobody can read.
    """

    manifest: Manifest
    begun: int = 0
    done: int = 0
    buried: dict[str, str] = field(factory=dict)
    unreadable: list[str] = field(factory=list)

    def take(self, name: str, value: bytes) -> list[tuple[bytes, JournalRow]]:
        """Count the chunk whose record of this *name* is *value*; gives its rows, none if nobody can read it."""
        record = load_record(value)
        if isinstance(record, Problems):
            self.unreadable.append(name)
            return []
        self.begun += record.stage == "begun"
        self.done += record.stage == "done"
        if record.stage == "buried":
            self.buried[name] = record.why or "nobody says why"
        return [_line(row) for row in record.rows]


async def collect(
    records: Records, batch: str, path: str, *, only_read: bool = False, clock: Clock = SYSTEM_CLOCK
) -> Collection | None:
    """Write what became of *batch* so far as a journal at *path*; None if there is no such batch.

    The journal is as one that a local batch has written: `journal.reading` reads it, and a batch goes on with it.
    One that is there must be of the same batch (else `journal.Unusable`); where it says more of a row, that stays.
    It may be collected any number of times, also while the batch is being sent.

    A day after it was first collected the workers send no more of the batch, as a local one may have sent it since:
    what is not settled is in doubt then. Not so if the journal is *only_read*, and no batch goes on with it.
    """
    manifest = await found(records, batch)
    if manifest is None:
        return None
    if not only_read:
        await elsewhere.noted(records, batch, clock.time())
    collection = Collection(manifest)
    with journal.merge(path, batch=batch, about=manifest.about, clock=clock) as collected:
        documents = records.scan(batch)
        try:
            lot: list[tuple[bytes, JournalRow]] = []
            async for name, value in documents:
                lot += () if name in _OTHERS else collection.take(name, value)
                if len(lot) >= _LOT:
                    await anyio.to_thread.run_sync(collected.add, lot)
                    lot = []
            await anyio.to_thread.run_sync(collected.add, lot)
        finally:
            if isinstance(documents, AsyncGenerator):  # it must not be left to the garbage collector
                await documents.aclose()
    return collection


def _line(found: Found) -> tuple[bytes, JournalRow]:
    facts: dict[str, Any] = asdict(found) | {"state": State(found.state)}
    mark = bytes.fromhex(facts.pop("mark"))
    return mark, JournalRow(**facts)
