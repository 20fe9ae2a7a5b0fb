"""Collected: the journal of a batch that others have sent, written from what they have found.

Rules:
- It is written beside its place and put there whole: whoever reads it finds the one before or this one.
- A journal of the batch that is there already is merged in: a local run may have gone on with it.
- Of two findings about one row the weightier stays.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkstemp
from typing import final

from attrs import astuple, frozen

from ..version import VERSION
from .store import Store, Unusable, create, open_existing
from .summary import Line


@final
@frozen(eq=False, repr=False)
class Collected:
    """A journal that is being written. Made by `journal.collecting`, and usable only inside it."""

    _store: Store

    def add(self, found: Iterable[tuple[bytes, Line]]) -> None:
        """Take in what was *found* about rows, each with the mark of its request; many at a time are quicker."""
        self._store.merge((name, mark, *rest) for mark, line in found for name, *rest in [astuple(line)])


@contextmanager
def collecting(path: str, *, batch: str, about: Mapping[str, str]) -> Iterator[Collected]:
    """Write the journal of *batch* at *path*, with what is known *about* it; it is there once the block has ended.

    A file that is there must be a journal of this batch, or empty; else it is `Unusable`. What raises in the
    block leaves the file as it was.
    """
    part = _part_of(path)
    try:
        store = _begun(path, part, batch)
        try:
            store.tell({"batch": batch, "version": VERSION} | dict(about))
            yield Collected(store)
        finally:
            store.close()
        with _told(path):
            _ = Path(part).replace(path)
    finally:
        with suppress(FileNotFoundError):
            Path(part).unlink()


def _part_of(path: str) -> str:
    place = Path(path).absolute()
    with _told(path):
        number, part = mkstemp(".part", f".{place.name}.", place.parent)
    os.close(number)
    return part


def _begun(path: str, part: str, batch: str) -> Store:
    try:
        there = open_existing(path)
    except Unusable as error:
        if error.reason != "missing":
            raise
        return create(part, {})
    try:
        other = there.about().get("batch")
        if other != batch:
            raise Unusable("other batch", f"the journal {path} is of the batch {other}, not of {batch}: name another")
        there.copy(part)
    finally:
        there.close()
    return open_existing(part)


@contextmanager
def _told(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unusable("unwritable", f"cannot write the journal {path}: {error.strerror or error}") from None
