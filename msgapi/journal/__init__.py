"""Journals: a batch that is stopped in any way, `kill -9` included, goes on where it was."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Final, Literal, final

import anyio
import anyio.to_thread
from attrs import frozen

from ..clock import Clock, SystemClock
from ..version import VERSION
from .collected import Collected, collecting
from .entries import CHANGED, OUTDATED, REPEATED, SETTLED, UNKNOWN, Go, State, Terms, Verdict, held_up
from .journal import Journal
from .keys import key_of
from .store import COLLECTED_AT, UNTOUCHED, Store, Unusable, create, of_batch, open_existing
from .summary import Count, Line, Summary, lines, lines_of, summarise

__all__ = [
    "CHANGED",
    "OUTDATED",
    "REMEMBERED",
    "REPEATED",
    "SETTLED",
    "UNKNOWN",
    "Collected",
    "Count",
    "Go",
    "Journal",
    "Line",
    "Record",
    "State",
    "Summary",
    "Unusable",
    "Verdict",
    "collected_at",
    "collecting",
    "held_up",
    "key_of",
    "opened",
    "reading",
]

REMEMBERED: Final = 23 * 3600.0
"""Seconds for which a key is relied on: the service documents 24 h in one place, and none for messages."""

_SYSTEM_CLOCK: Final = SystemClock()


@asynccontextmanager
async def opened(
    path: str,
    *,
    batch: str,
    about: Mapping[str, str] | None = None,
    remembered: float = REMEMBERED,
    unknown: Literal["report", "resend"] = "report",
    keys: Literal["derived", "own"] = "derived",
    clock: Clock = _SYSTEM_CLOCK,
) -> AsyncIterator[Journal]:
    """Open the journal of one *batch* at *path*, or begin it there; for `batch.sending(journal=...)`.

    *batch* names the batch, the same at each run: with the row's id it makes the idempotency key,
    so that two batches of one name would be taken for one. A file that is not the journal of this
    batch, is damaged, or in use by another program, is `Unusable`.

    A row that was begun and whose answer is not known is sent again under its key for *remembered*
    seconds after it first went out; the service says nothing of how long it knows the key of a
    message (docs: /api/conventions), and 24 h of another one (/api/campaigns). Later, such a row is
    reported as an `Unanswered` with the code `outcome_unknown`; *unknown* `resend` sends it all the
    same, for users who have looked and decided. *keys* `own` keeps the key that each call brings,
    which then must be the same at each run. *about* is kept beside it, for whoever reads the file.

    A journal that was collected from a fleet is relied on as long: the workers may have sent more since. Later, what
    is not settled in it has the code `journal_outdated`; collected anew, it is good for another *remembered* seconds.

    It holds the ids of the rows and what the service said, but no recipient, unless an id is one;
    only its owner can read it.
    """
    store, elsewhere = await anyio.to_thread.run_sync(partial(_begun, path, batch, dict(about or {})))
    terms = Terms(remembered, unknown == "resend", elsewhere)
    journal = Journal(batch, path, store, clock, terms, keys == "own")
    try:
        try:
            yield journal
        except BaseException as error:
            with anyio.CancelScope(shield=True):
                try:
                    await journal.flush()
                except Unusable as lost:  # nothing is: those rows go out again under their keys
                    error.add_note(f"msgapi: the last outcomes are not in the journal: {lost}")
            raise
        with anyio.CancelScope(shield=True):
            await journal.flush()
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(store.close)


def _begun(path: str, batch: str, about: dict[str, str]) -> tuple[Store, float | None]:
    store = of_batch(path, batch)
    if store is None:
        return create(path, {"batch": batch, "version": VERSION} | about), None
    try:
        said = store.about()
        if UNTOUCHED in said:
            store.touch()
    except BaseException:
        store.close()
        raise
    return store, collected_at(said)


def collected_at(about: Mapping[str, str]) -> float | None:
    """Tell when a journal that says *about* this of itself was collected from a fleet last, as Unix time, if it was."""
    return float(about[COLLECTED_AT]) if COLLECTED_AT in about else None


@final
@frozen(eq=False)
class Record:
    """A journal that is only read."""

    _store: Store

    @property
    def about(self) -> Mapping[str, str]:
        """What it says of itself: the name of its batch as `batch`, and what was given as *about*."""
        return self._store.about()

    def summary(self) -> Summary:
        """Count the rows by how they ended."""
        return summarise(self._store)

    def lines(self, state: State | None = None) -> Iterator[Line]:
        """Read the rows in the order of their ids; those in one *state*, if one is named."""
        return lines(self._store, state)

    def lines_of(self, ids: Sequence[str]) -> Mapping[str, Line]:
        """Read the rows that have these *ids*, by their ids; one that was never begun is left out."""
        return lines_of(self._store, ids)


@contextmanager
def reading(path: str) -> Iterator[Record]:
    """Open the journal at *path* for a report, while no batch writes to it; else it is `Unusable`."""
    store = open_existing(path)
    try:
        yield Record(store)
    finally:
        store.close()
