"""Merging: the journal of a batch that others have sent, written from their records.

Rules:
- The journal is written under a temporary name and renamed: a reader sees the previous one or this one.
- An existing journal of the batch is merged in, since a local run may have continued with it.
- Of two results for one row, the one with the higher precedence stays, and that of a later leg of a fallback before it,
  unless the earlier leg was accepted. That a row was only begun, as an earlier merge
  recorded, is not kept: a worker may have released it. It is kept once a local run has continued with the journal,
  since that run may have begun it.
- The existing journal is locked meanwhile: the results of a local run would be lost.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import final

from attrs import astuple, frozen

from ..clock import SYSTEM_CLOCK, Clock
from ..version import VERSION
from .errors import Unusable
from .mainfile import part_of, publish
from .opening import check_batch, fill, open_existing, open_part
from .report import JournalRow
from .sqlite import MERGED, MERGED_AT, JournalFile


@final
@frozen(eq=False, repr=False)
class Merge:
    """A journal that is being written. Made by `journal.merge`, and usable only inside its `with`."""

    _file: JournalFile

    def add(self, rows: Iterable[tuple[bytes, JournalRow]]) -> None:
        """Add *rows*, each with the digest of its request. Many rows in one call are faster."""
        found = ((digest, row.leg, astuple(row)[:-2]) for digest, row in rows)  # without `in_file` and `leg`
        self._file.merge((name, leg, digest, *rest) for digest, leg, (name, *rest) in found)


@contextmanager
def merge(path: str, *, batch: str, about: Mapping[str, str], clock: Clock = SYSTEM_CLOCK) -> Iterator[Merge]:
    """Write the journal of *batch* at *path* from the records of others; it is complete once the block has ended.

    *about* is stored in it. An existing file must be the journal of this batch; otherwise it is `Unusable`. If
    the block raises, the file stays as it was. Rows that others send afterwards are not in it: 23 hours later
    `journal.open` treats the outcomes of rows that are not settled as unknown.
    """
    now = f"{clock.time()}"
    with part_of(path) as part:
        with _existing(path, batch) as existing, _start(part, path, existing) as file:
            file.update_about({"batch": batch, "version": VERSION, MERGED_AT: now} | dict(about))
            yield Merge(file)
        publish(part, path, replace=existing is not None)


@contextmanager
def _existing(path: str, batch: str) -> Iterator[JournalFile | None]:
    # Locked for as long as it is open.
    try:
        existing = open_existing(path)
    except Unusable as error:
        if error.reason != "missing":
            raise
        yield None
        return
    try:
        check_batch(existing, batch)
        yield existing
    finally:
        existing.close()


@contextmanager
def _start(part: str, path: str, existing: JournalFile | None) -> Iterator[JournalFile]:
    if existing is None:
        with fill(part, path, {MERGED: "yes"}) as file:
            yield file
        return
    existing.copy(part)
    with open_part(part, path) as file:
        if MERGED in existing.about():
            file.delete_started()
        yield file
