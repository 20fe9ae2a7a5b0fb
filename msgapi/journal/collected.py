"""Collected: the journal of a batch that others have sent, written from what they have found.

Rules:
- It is written beside its place and put there whole: whoever reads it finds the one before or this one.
- A journal of the batch that is there already is merged in: a local run may have gone on with it.
- Of two findings about one row the weightier stays. But that a row was begun, as collected before, is told anew:
  a worker may have taken it back. Not so once a local run has gone on with the journal: that may have begun it.
- Nobody else can use the journal that is there meanwhile: what a local run found then would be lost.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkstemp
from typing import Final, final

from attrs import astuple, frozen

from ..clock import Clock, SystemClock
from ..version import VERSION
from .store import COLLECTED_AT, UNTOUCHED, Store, Unusable, create, of_batch, open_existing
from .summary import Line

_SYSTEM_CLOCK: Final = SystemClock()


@final
@frozen(eq=False, repr=False)
class Collected:
    """A journal that is being written. Made by `journal.collecting`, and usable only inside it."""

    _store: Store

    def add(self, found: Iterable[tuple[bytes, Line]]) -> None:
        """Take in what was *found* about rows, each with the mark of its request; many at a time are quicker."""
        self._store.merge((name, mark, *rest) for mark, line in found for name, *rest in [astuple(line)])


@contextmanager
def collecting(path: str, *, batch: str, about: Mapping[str, str], clock: Clock = _SYSTEM_CLOCK) -> Iterator[Collected]:
    """Write the journal of *batch* at *path*, with what is known *about* it; it is there once the block has ended.

    A file that is there must be a journal of this batch, or empty; else it is `Unusable`. What raises in the
    block leaves the file as it was. What others send from now on is not in it: 23 hours later `journal.opened`
    takes what is not settled for in doubt.
    """
    now = f"{clock.time()}"
    part = _part_of(path)
    try:
        with _before(path, batch) as there:
            store = _begun(part, there)
            try:
                store.tell({"batch": batch, "version": VERSION, COLLECTED_AT: now} | dict(about))
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


@contextmanager
def _before(path: str, batch: str) -> Iterator[Store | None]:
    # The journal that is there, which is ours while it is open.
    there = of_batch(path, batch)
    try:
        yield there
    finally:
        if there is not None:
            there.close()


def _begun(part: str, there: Store | None) -> Store:
    if there is None:
        return create(part, {UNTOUCHED: "yes"})
    there.copy(part)
    store = open_existing(part)
    if UNTOUCHED in there.about():
        store.take_back()
    return store


@contextmanager
def _told(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unusable("unwritable", f"cannot write the journal {path}: {error.strerror or error}") from None
