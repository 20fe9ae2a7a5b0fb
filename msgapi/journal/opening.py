"""Opening: a journal is created, merged from the records of others, opened to be written or read, and closed.

Rules:
- A new journal is written under a temporary name and appears complete, with the name of its batch.
- A main file is only used if it is what was written. If its program has not closed it, the rest is in the WAL, which
  must be the one of that opening. Without it the main file is used as it is, and rows may be missing.
- Before a row is begun, the main file says that it is open. After all of that is in the main file, it is sealed.
- To read a journal changes nothing, neither the file nor its WAL, and works on a read-only disk.
- A journal that another program writes to is read from a copy: first the main file is copied, then its WAL. The copy
  is good if the header of the WAL is the same before and after: then the WAL was not begun anew, so it has every page
  that was moved into the main file in the meantime. A transaction whose end is missing does not count.

Rules of merging, which writes the journal of a batch that others have sent:
- The journal is written under a temporary name and renamed: a reader sees the previous one or this one.
- An existing journal of the batch is merged in, since a local run may have continued with it.
- Of two results for one row, an acceptance stays; otherwise that of the later leg of a fallback, and of one leg the one
  with the higher precedence. That a row was only begun, as an earlier merge recorded, is not kept: a worker may have
  released it. It is kept once a local run has continued with the journal, since that run may have begun it.
- The existing journal is locked meanwhile: the results of a local run would be lost.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, final
from urllib.parse import quote

from attrs import astuple, frozen

from ..clock import SYSTEM_CLOCK, Clock
from ..version import VERSION
from .mainfile import (
    PAGE,
    SEAL_SIZE,
    WAIT,
    MainFile,
    SealState,
    Unusable,
    copy_open,
    damaged,
    in_use,
    is_open_here,
    open_main,
    part_of,
    publish,
    real_path,
    translated,
)
from .report import JournalRow
from .sqlite import LOST_SINCE, MERGED, MERGED_AT, SCHEMA, Connection, JournalFile, read_time
from .timeline import RunHistory, write_history

_WITHOUT_LOCKS: Final = "win32-none" if os.name == "nt" else "unix-none"
_HOW: Final[dict[str, Any]] = {"isolation_level": None, "check_same_thread": False, "factory": Connection}
_MOST_COPIES: Final = 10  # of a journal whose WAL is begun anew while it is copied
_PRAGMAS: Final = (
    f"page_size = {PAGE}",  # this and the next count only for a new file
    "auto_vacuum = NONE",
    "locking_mode = EXCLUSIVE",
    "synchronous = FULL",
    "cache_size = -2048",  # KB; for the pages of one transaction, which would else be written several times
    "journal_mode = WAL",
)
_SEAL_TABLE: Final = f"""
CREATE TABLE seal (seal BLOB NOT NULL);
INSERT INTO seal VALUES (zeroblob({SEAL_SIZE}));
"""  # noqa: S608 - our own number


def create(path: str, about: Mapping[str, str]) -> None:
    """Create a journal with these *about* values, readable by its owner only. It must not exist."""
    with part_of(path) as part:
        with fill(part, path, about):
            pass
        publish(part, path, replace=False)


@contextmanager
def fill(part: str, path: str, about: Mapping[str, str]) -> Iterator[JournalFile]:
    """Create the journal *path* with these *about* values in the empty file *part*; it is sealed at exit."""
    with open_part(part, path) as file:
        with translated(path):
            for statement in (_SEAL_TABLE + SCHEMA).split(";"):
                file._connection.execute(statement).close()  # noqa: SLF001 - part of the class
        file.update_about(about)
        yield file


@contextmanager
def open_part(part: str, path: str) -> Iterator[JournalFile]:
    """Open the file *part*, which becomes the journal *path*, unchecked; it is sealed at exit."""
    main = open_main(part, write=True, name=path)
    with _closed_on_error(main):
        file = _connect(main)
    try:
        yield file
        file.seal()
    finally:
        file.close()


def open_existing(path: str) -> JournalFile:
    """Open and lock the journal at *path*; all of it is in the main file.

    `JournalFile.begin_opening` must come before anything is written.
    """
    main = open_main(path, write=True)
    with _closed_on_error(main):
        main.check()
        is_unchanged, lost = main.is_unchanged, main.wal_is_missing()
        if is_unchanged or lost:  # it has no row, or none of this journal
            main.remove_wal(keep=lost)
        file = _connect(main)
    with _closed_on_error(file):
        if not is_unchanged:
            _check_pages(file)
            if (lost or file.lacks_opening()) and lost_since(file) is None:
                file.update_about({LOST_SINCE: f"{main.seal.opened!r}"})
            file.seal()
        elif main.seal.state is SealState.OPENING:
            main.mark_closed()
        file.lost_since = lost_since(file)
    return file


@contextmanager
def open_in_place(path: str) -> Iterator[tuple[JournalFile, bool]]:
    """Open the journal at *path* to read it, unchanged, and close it at exit. The second value is False: no copy."""
    with closing(open_to_read(path)) as file:
        yield file, False


@contextmanager
def open_to_read_copy(path: str) -> Iterator[tuple[JournalFile, bool]]:
    """Open the journal at *path* to read it; a copy of it if another program writes to it, which the second value says.

    A journal that this process has open itself is `Unusable`, as `in use`.
    """
    for _ in range(_MOST_COPIES):
        try:
            file = open_to_read(path)
        except Unusable as error:
            if error.reason != "in use" or is_open_here(path):
                raise
        else:
            with closing(file):
                yield file, False
            return
        with TemporaryDirectory(prefix="msgapi-") as directory:
            copy = Path(directory) / "journal"
            if copy_open(path, copy):
                with closing(open_to_read(str(copy), name=path)) as file:
                    yield file, True
                return
    raise in_use(path)


def open_to_read(path: str, *, name: str | None = None) -> JournalFile:
    """Open the journal at *path* to read it, unchanged. Errors name it as *name*, by default as *path*."""
    main = open_main(path, write=False, name=name)
    with _closed_on_error(main):
        main.check()
        lost = main.wal_is_missing()
        # A file that is declared immutable is read without its WAL.
        how = "immutable=1" if main.is_unchanged or lost or not main.has_wal else f"vfs={_WITHOUT_LOCKS}"
        with translated(path):
            uri = f"file:{quote(os.fsencode(main.place))}?mode=ro&{how}"
            connection = sqlite3.connect(uri, uri=True, **_HOW)
    file = JournalFile(main.path, connection, main)
    with _closed_on_error(file):
        with translated(path):
            connection.execute("PRAGMA locking_mode = EXCLUSIVE").close()
        file.lost_since = lost_since(file)
        if not main.is_unchanged:
            _check_pages(file)
            if (lost or file.lacks_opening()) and file.lost_since is None:
                file.lost_since = main.seal.opened
    return file


def rename(path: str, target: str) -> None:
    """Rename the journal at *path* to *target*, which must not exist. Nothing of it stays behind in a WAL."""
    open_existing(path).close()
    publish(real_path(path), target, replace=False)


def lost_since(file: JournalFile) -> float | None:
    """Return the Unix time since which rows may have been sent that *file* lacks; None if it has them all."""
    return read_time(file.path, file.about(), LOST_SINCE)


def check_batch(file: JournalFile, batch: str) -> None:
    """Raise `Unusable` if *file* is the journal of another batch."""
    other = file.about().get("batch")
    if other != batch:
        raise Unusable("other batch", f"the journal {file.path} is of the batch {other}, not of {batch}: name another")


def check_complete(
    path: str, lost_since: float | None, *, same_file: bool = False, same_recipe: bool = True, new_batch: bool = False
) -> None:
    """Raise `Unusable` if rows may have been sent that the journal lacks, and the input is not that of the lost run.

    *lost_since* is `JournalReader.lost_since`. With the same file and the same recipe, the rows that are not settled
    can be sent under their previous keys; a new batch would send them under other keys.
    """
    if lost_since is None or (same_file and same_recipe and not new_batch):
        return
    why = (
        "a new batch could send them again"
        if new_batch
        else "the options are not those of that run"
        if not same_recipe
        else "the input is not, or not known to be, that of that run"
    )
    raise Unusable(
        "incomplete",
        f"the journal {path} was not closed, and its {path}-wal is missing or of another journal: "
        f"rows may have been sent that it lacks, and {why}; "
        "put that file back, or run the command of that run with its input unchanged",
    )


@final
@frozen(eq=False, repr=False)
class Merge:
    """A journal that is being written. Made by `journal.merge`, and usable only inside its `with`."""

    _file: JournalFile

    def add(self, rows: Iterable[tuple[bytes, JournalRow]]) -> None:
        """Add *rows*, each with the digest of its request. Many rows in one call are faster."""
        found = ((digest, row.leg, astuple(row)[:-2]) for digest, row in rows)  # without `in_file` and `leg`
        self._file.merge((name, leg, digest, *rest) for digest, leg, (name, *rest) in found)

    def add_history(self, history: RunHistory) -> None:
        """Add what was done over time, in place of an earlier history with its number: 0 for a fleet."""
        write_history(self._file, history)


@contextmanager
def merge(path: str, *, batch: str, about: Mapping[str, str], clock: Clock = SYSTEM_CLOCK) -> Iterator[Merge]:
    """Write the journal of *batch* at *path* from the records of others; it is complete once the block has ended.

    *about* is stored in it. An existing file must be the journal of this batch; otherwise it is `Unusable`. If
    the block raises, the file stays as it was. Rows that others send afterwards are not in it: 23 hours later
    `journal.open` treats the outcomes of rows that are not settled as unknown. *clock* is the system clock by default.
    """
    now = f"{clock.time()}"
    with part_of(path) as part:
        with _open_if_existing(path, batch) as existing, _begin_merge(part, path, existing) as file:
            file.update_about({"batch": batch, "version": VERSION, MERGED_AT: now} | dict(about))
            yield Merge(file)
        publish(part, path, replace=existing is not None)


@contextmanager
def _open_if_existing(path: str, batch: str) -> Iterator[JournalFile | None]:
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
def _begin_merge(part: str, path: str, existing: JournalFile | None) -> Iterator[JournalFile]:
    if existing is None:
        with fill(part, path, {MERGED: "yes"}) as file:
            yield file
        return
    existing.copy(part)
    with open_part(part, path) as file:
        if MERGED in existing.about():
            file.delete_started()
        yield file


def _connect(main: MainFile) -> JournalFile:
    with translated(main.path):
        connection = sqlite3.connect(main.place, timeout=WAIT, **_HOW)
    with _closed_on_error(connection), translated(main.path):
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}").close()
    return JournalFile(main.path, connection, main)


@contextmanager
def _closed_on_error(opened: MainFile | JournalFile | sqlite3.Connection) -> Iterator[None]:
    try:
        yield
    except BaseException:
        opened.close()
        raise


def _check_pages(file: JournalFile) -> None:
    # Also that the index has every row: one that it lacks would be sent again.
    for (found,) in file.select("PRAGMA integrity_check(1)"):
        if found != "ok":
            raise damaged(file.path)
