"""Opening a journal: `open` to write to it during a batch, `open_readonly` for a report."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Final, Literal, final

import anyio
import anyio.to_thread
from attrs import frozen

from ..clock import SYSTEM_CLOCK, Clock
from ..version import VERSION
from .journal import Journal
from .report import JournalRow, Summary, read_rows, read_rows_by_id, summarise
from .sqlite import MERGED, MERGED_AT, JournalFile, Unusable, create, open_existing, open_for_batch
from .verdicts import ResumeRules, State

REMEMBERED: Final = 23 * 3600.0
"""How many seconds the service is assumed to remember a key; it documents 24 hours, and nothing for messages."""


@asynccontextmanager
async def open(  # noqa: A001 - read as `journal.open`
    path: str,
    *,
    batch: str,
    about: Mapping[str, str] | None = None,
    remembered: float = REMEMBERED,
    unknown: Literal["report", "resend"] = "report",
    keys: Literal["derived", "own"] = "derived",
    clock: Clock = SYSTEM_CLOCK,
) -> AsyncIterator[Journal]:
    """Open the journal of one *batch* at *path*, or create it there; for `batch.send(journal=...)`.

    Args:
        path: The file. One that is not the journal of this batch, is damaged, or in use by another program, is
            `Unusable`.
        batch: The name of the batch, the same in each run. With the id of a row it makes the idempotency key, so two
            batches with one name would be taken for one.
        about: Stored in the journal, for its readers.
        remembered: How many seconds after a row was first sent its key is relied on. A row that was begun and whose
            outcome is unknown is sent again under its key within this time. The service does not document how long it
            remembers the key of a message (docs: /api/conventions); it documents 24 hours elsewhere (/api/campaigns).
        unknown: What happens to such a row later: `report` yields an `Unanswered` with the code `outcome_unknown`;
            `resend` sends it, for users who have checked and decided.
        keys: `derived` makes the key of each row from the names of batch and row; `own` keeps the key of each call,
            which then must be the same in each run.
        clock: The clock.

    A journal that was merged from a fleet is relied on for the same time, since the workers may have sent more
    afterwards. Later, rows that are not settled in it have the code `journal_outdated`; merging again starts the time
    anew.

    A journal holds the ids of the rows and what the service responded, but no recipient, unless an id is one. Only its
    owner can read it.
    """
    file, merged = await anyio.to_thread.run_sync(partial(_open_file, path, batch, dict(about or {})))
    rules = ResumeRules(remembered, unknown == "resend", merged)
    journal = Journal(batch, path, file, clock, rules, keys == "own")
    try:
        try:
            yield journal
        except BaseException as error:
            with anyio.CancelScope(shield=True):
                try:
                    await journal.flush()
                except Unusable as lost:  # no harm: those rows are sent again under their keys
                    error.add_note(f"msgapi: the last outcomes are not in the journal: {lost}")
            raise
        with anyio.CancelScope(shield=True):
            await journal.flush()
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(file.close)


def _open_file(path: str, batch: str, about: dict[str, str]) -> tuple[JournalFile, float | None]:
    file = open_for_batch(path, batch)
    if file is None:
        return create(path, {"batch": batch, "version": VERSION} | about), None
    try:
        stored = file.about()
        if MERGED in stored:
            file.clear_merged()
    except BaseException:
        file.close()
        raise
    return file, merged_at(stored)


def merged_at(about: Mapping[str, str]) -> float | None:
    """Return the Unix time at which the journal with this *about* was last merged from a fleet; None if never."""
    return float(about[MERGED_AT]) if MERGED_AT in about else None


@final
@frozen(eq=False)
class JournalReader:
    """A journal that is only read. Made by `open_readonly`."""

    _file: JournalFile

    @property
    def about(self) -> Mapping[str, str]:
        """The name of its batch as `batch`, and the *about* that `open` was given."""
        return self._file.about()

    def summary(self) -> Summary:
        """Return the numbers of rows and the costs, by result."""
        return summarise(self._file)

    def rows(self, state: State | None = None) -> Iterator[JournalRow]:
        """Yield the rows in the order of their ids; only those in *state*, if one is given."""
        return read_rows(self._file, state)

    def rows_by_id(self, ids: Sequence[str]) -> Mapping[str, JournalRow]:
        """Return the rows with these *ids*, by id; ids that were never begun are left out."""
        return read_rows_by_id(self._file, ids)


@contextmanager
def open_readonly(path: str) -> Iterator[JournalReader]:
    """Open the journal at *path* for a report. While a batch writes to it, or if it is damaged, it is `Unusable`."""
    file = open_existing(path)
    try:
        yield JournalReader(file)
    finally:
        file.close()
