"""Merging: the journal of a batch that others have sent, written from their records.

Rules:
- The journal is written under a temporary name and renamed: a reader sees the previous one or this one.
- An existing journal of the batch is merged in, since a local run may have continued with it.
- Of two results for one row, the one with the higher precedence stays. That a row was only begun, as an earlier merge
  recorded, is not kept: a worker may have released it. It is kept once a local run has continued with the journal,
  since that run may have begun it.
- The existing journal is locked meanwhile: the results of a local run would be lost.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkstemp
from typing import final

from attrs import astuple, frozen

from ..clock import SYSTEM_CLOCK, Clock
from ..version import VERSION
from .report import JournalRow
from .sqlite import MERGED, MERGED_AT, JournalFile, Unusable, create, open_existing, open_for_batch


@final
@frozen(eq=False, repr=False)
class Merge:
    """A journal that is being written. Made by `journal.merge`, and usable only inside its `with`."""

    _file: JournalFile

    def add(self, rows: Iterable[tuple[bytes, JournalRow]]) -> None:
        """Add *rows*, each with the digest of its request. Many rows in one call are faster."""
        self._file.merge((name, digest, *rest) for digest, row in rows for name, *rest, _ in [astuple(row)])


@contextmanager
def merge(path: str, *, batch: str, about: Mapping[str, str], clock: Clock = SYSTEM_CLOCK) -> Iterator[Merge]:
    """Write the journal of *batch* at *path* from the records of others; it is complete once the block has ended.

    *about* is stored in it. An existing file must be empty or a journal of this batch; otherwise it is `Unusable`. If
    the block raises, the file stays as it was. Rows that others send afterwards are not in it: 23 hours later
    `journal.open` treats the outcomes of rows that are not settled as unknown.
    """
    now = f"{clock.time()}"
    part = _temporary_file(path)
    try:
        with _existing(path, batch) as existing:
            file = _start(part, existing)
            try:
                file.update_about({"batch": batch, "version": VERSION, MERGED_AT: now} | dict(about))
                yield Merge(file)
            finally:
                file.close()
        with _as_unusable(path):
            _ = Path(part).replace(path)
    finally:
        with suppress(FileNotFoundError):
            Path(part).unlink()


def _temporary_file(path: str) -> str:
    place = Path(path).absolute()
    with _as_unusable(path):
        number, part = mkstemp(".part", f".{place.name}.", place.parent)
    os.close(number)
    return part


@contextmanager
def _existing(path: str, batch: str) -> Iterator[JournalFile | None]:
    # Locked for as long as it is open.
    existing = open_for_batch(path, batch)
    try:
        yield existing
    finally:
        if existing is not None:
            existing.close()


def _start(part: str, existing: JournalFile | None) -> JournalFile:
    if existing is None:
        return create(part, {MERGED: "yes"})
    existing.copy(part)
    file = open_existing(part)
    if MERGED in existing.about():
        file.delete_started()
    return file


@contextmanager
def _as_unusable(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unusable("unwritable", f"cannot write the journal {path}: {error.strerror or error}") from None
