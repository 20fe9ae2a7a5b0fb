"""The SQLite file of a journal. One connection, used by one thread at a time.

Rules:
- A transaction is on the disk when it returns (WAL, synchronous=FULL).
- The connection locks the file: SQLite before 3.51.3 can damage a WAL that two connections write, and two programs
  that send the same batch would both assume that they know all of it.
- A file is only used if it is an undamaged journal of the requested batch.
"""

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, TypeAlias, final

from attrs import define

from .verdicts import COLUMNS, MAYBE_SENT, PRECEDENCE, Entry, State, StoredResult

Reason: TypeAlias = Literal["missing", "foreign", "newer", "damaged", "other batch", "in use", "unwritable"]

MERGED: Final = "merged"
"""The name in `about` that marks a merged journal, until a local run continues with it."""

MERGED_AT: Final = "merged_at"
"""The name in `about` of the Unix time of the last merge: others may have sent unsettled rows since."""

_APPLICATION: Final = 0x6D736761  # in the header of the file: marks it as a journal
_FORMAT: Final = 1
_OWNER_ONLY: Final = 0o600
_WAIT: Final = 0.5  # seconds for another program to release the file
_MANY: Final = 500  # ids in one query
_SCHEMA: Final = f"""
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {_FORMAT};
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE rows (
  id TEXT PRIMARY KEY, digest BLOB NOT NULL, state INTEGER NOT NULL, started REAL NOT NULL, key TEXT,
  kind TEXT, code TEXT, status INTEGER, message TEXT, message_id TEXT, unit TEXT, price TEXT, hold TEXT
) WITHOUT ROWID;
"""
_FIELDS: Final = ", ".join(COLUMNS)
_SETTLE: Final = f"UPDATE rows SET state = ?, {', '.join(f'{name} = ?' for name in COLUMNS)} WHERE id = ?"  # noqa: S608 - our own names
_INSERT: Final = "INSERT INTO rows (id, digest, state, started, key) VALUES (?, ?, 0, ?, ?)"
_START: Final = f"{_INSERT} ON CONFLICT (id) DO NOTHING"
_RESTARTED: Final = "SET digest = excluded.digest, state = 0, started = excluded.started, key = excluded.key"
_RESTART: Final = f"{_INSERT} ON CONFLICT (id) DO UPDATE {_RESTARTED}"
_RELEASE: Final = "DELETE FROM rows WHERE id = ? AND state = 0"
_REPLACED: Final = ", ".join(f"{name} = excluded.{name}" for name in ("digest", *COLUMNS))
_INVALID: Final = (
    f"INSERT INTO rows (id, digest, state, started, {_FIELDS}) VALUES (?, ?, 5, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - our own names
    f" ON CONFLICT (id) DO UPDATE SET started = excluded.started, {_REPLACED} WHERE state = 5"  # a begun row stays
)
_RANKS: Final = {state: rank for rank, state in enumerate(PRECEDENCE)}
_RANK: Final = f"CASE {{0}}.state {' '.join(f'WHEN {state:d} THEN {rank}' for state, rank in _RANKS.items())} END"
_MAYBE: Final = f"({', '.join(f'{state:d}' for state in sorted(MAYBE_SENT))})"
_OLDER: Final = f"UPDATE rows SET started = min(started, ?) WHERE id = ? AND state IN {_MAYBE}"  # noqa: S608 - our own numbers
_SINCE: Final = f"iif(rows.state IN {_MAYBE} AND excluded.state IN {_MAYBE}, rows.started, excluded.started)"
_MERGE: Final = (
    f"INSERT INTO rows (id, digest, state, started, key, {_FIELDS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - our own names
    f" ON CONFLICT (id) DO UPDATE SET state = excluded.state, key = excluded.key, started = {_SINCE}, {_REPLACED}"
    f" WHERE {_RANK.format('excluded')} > {_RANK.format('rows')}"
)


class Unusable(Exception):
    """The journal cannot be used or written. *reason* classifies the problem; the text says what to do."""

    def __init__(self, reason: Reason, text: str) -> None:
        """Set *reason* and the text."""
        super().__init__(text)
        self.reason: Final = reason


class StartedRow(NamedTuple):
    """A row that is about to be sent; *key* is None if it is the derived one."""

    id: str
    digest: bytes
    started: float
    key: str | None


SettledRow: TypeAlias = tuple[State, *StoredResult, str]
"""The state, the stored result and the id of a row."""


@final
@define(eq=False, repr=False)
class JournalFile:
    """The SQLite file at *path*."""

    path: str
    _connection: sqlite3.Connection

    def close(self) -> None:
        """Close the file; the content of the WAL is moved into it."""
        self._connection.close()

    def about(self) -> dict[str, str]:
        """Return the names and values that are stored about the journal."""
        with _translated(self.path):
            return dict(self._connection.execute("SELECT name, value FROM about"))

    def write(
        self,
        starts: Sequence[StartedRow],
        settled: Iterable[SettledRow],
        invalid: Iterable[tuple[object, ...]],
        released: Iterable[tuple[str]],
    ) -> bool:
        """Write all of this or nothing; return False, without *starts*, if one of them is in the journal already."""
        with _translated(self.path), self._transaction():
            if settled:
                _ = self._connection.executemany(_SETTLE, settled)
            if released:
                _ = self._connection.executemany(_RELEASE, released)
            if invalid:
                _ = self._connection.executemany(_INVALID, invalid)
            if not starts:
                return True
            _ = self._connection.execute("SAVEPOINT starts")
            if self._connection.executemany(_START, starts).rowcount == len(starts):
                return True
            _ = self._connection.execute("ROLLBACK TO starts")
            return False

    def restart(self, starts: Sequence[StartedRow]) -> None:
        """Write that *starts* are about to be sent, including rows that the journal has already."""
        with _translated(self.path), self._transaction():
            _ = self._connection.executemany(_RESTART, starts)

    def merge(self, rows: Iterable[tuple[object, ...]]) -> None:
        """Merge rows of another source: id, digest, state, started, key and a stored result.

        If the outcome of a row is unknown in both, the earlier start counts, since the service counts from the first.
        """
        some = list(rows)
        unknown = [(started, row) for row, _, state, started, *_ in some if state in MAYBE_SENT]
        with _translated(self.path), self._transaction():
            _ = self._connection.executemany(_OLDER, unknown)
            _ = self._connection.executemany(_MERGE, some)

    def update_about(self, about: Mapping[str, str]) -> None:
        """Store names and values about the journal; existing names are replaced."""
        with _translated(self.path), self._transaction():
            _ = self._connection.executemany("INSERT OR REPLACE INTO about VALUES (?, ?)", about.items())

    def clear_merged(self) -> None:
        """Record that a local run continues with the journal."""
        with _translated(self.path), self._transaction():
            _ = self._connection.execute("DELETE FROM about WHERE name = ?", (MERGED,))

    def delete_started(self) -> None:
        """Delete the rows that were begun and have no result."""
        with _translated(self.path), self._transaction():
            _ = self._connection.execute("DELETE FROM rows WHERE state = 0")

    def copy(self, path: str) -> None:
        """Copy the journal into the empty file at *path*."""
        with _translated(path):
            self._connection.execute("VACUUM INTO ?", (path,)).close()

    def find(self, ids: Sequence[str]) -> dict[str, Entry]:
        """Return the entries of *ids*, by id."""
        found: dict[str, Entry] = {}
        with _translated(self.path):
            for at in range(0, len(ids), _MANY):
                some = ids[at : at + _MANY]
                values = ", ".join("?" * len(some))
                query = f"SELECT id, digest, state, started, key FROM rows WHERE id IN ({values})"  # noqa: S608 - question marks
                for row, digest, state, started, key in self._connection.execute(query, some):
                    found[row] = Entry(digest, State(state), started, key)
        return found

    def has(self, state: State) -> bool:
        """Return whether a row is in *state*."""
        with _translated(self.path):
            return (
                self._connection.execute("SELECT 1 FROM rows WHERE state = ? LIMIT 1", (state,)).fetchone() is not None
            )

    def select(self, query: str, *values: object) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a *query*."""
        with _translated(self.path):
            yield from self._connection.execute(query, values)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        _ = self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            _ = self._connection.execute("COMMIT")
        except BaseException:
            self._connection.rollback()
            raise


def create(path: str, about: Mapping[str, str]) -> JournalFile:
    """Create a journal with these *about* values, readable by its owner only; an existing file must be empty."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, _OWNER_ONLY))
    except OSError as error:
        raise Unusable("unwritable", f"cannot write the journal {path}: {error.strerror or error}") from None
    return _connect(path, lambda file: _fill(file, about))


def open_existing(path: str) -> JournalFile:
    """Open the journal at *path* and check it; anything else, or a damaged one, is `Unusable`."""
    try:
        with Path(path).open("rb+") as file:
            if not file.read(1):
                raise Unusable("missing", f"the journal {path} is empty: no row was begun with it")
    except OSError as error:
        reason: Reason = "missing" if isinstance(error, FileNotFoundError) else "unwritable"
        raise Unusable(reason, f"cannot open the journal {path}: {error.strerror or error}") from None
    return _connect(path, _check)


def open_for_batch(path: str, batch: str) -> JournalFile | None:
    """Open the journal of *batch* at *path*; return None if there is none. A journal of another batch is `Unusable`."""
    try:
        file = open_existing(path)
    except Unusable as error:
        if error.reason != "missing":
            raise
        return None
    try:
        other = file.about().get("batch")
        if other != batch:
            raise Unusable("other batch", f"the journal {path} is of the batch {other}, not of {batch}: name another")
    except BaseException:
        file.close()
        raise
    return file


def _connect(path: str, prepare: "Callable[[JournalFile], None]") -> JournalFile:
    with _translated(path):
        connection = sqlite3.connect(path, timeout=_WAIT, isolation_level=None, check_same_thread=False)
    file = JournalFile(path, connection)
    try:
        with _translated(path):
            for pragma in ("locking_mode = EXCLUSIVE", "synchronous = FULL", "journal_mode = WAL"):
                connection.execute(f"PRAGMA {pragma}").close()
            prepare(file)
    except BaseException:
        connection.close()
        raise
    return file


def _fill(file: JournalFile, about: Mapping[str, str]) -> None:
    with file._transaction():  # noqa: SLF001 - part of the class
        connection = file._connection  # noqa: SLF001 - the same
        for statement in _SCHEMA.split(";"):
            connection.execute(statement).close()
        _ = connection.executemany("INSERT INTO about VALUES (?, ?)", about.items())


def _check(file: JournalFile) -> None:
    path, connection = file.path, file._connection  # noqa: SLF001 - part of the class
    facts = "SELECT application_id, page_count FROM pragma_application_id, pragma_page_count"
    with closing(connection.execute(facts)) as found:
        ours, pages = found.fetchone()
        if not ours and pages <= 1:  # its program was killed before it was a journal
            raise Unusable("missing", f"the journal {path} is empty: no row was begun with it")
        if ours != _APPLICATION:
            raise Unusable("foreign", f"{path} is a database of another program, not a journal: name another file")
    with closing(connection.execute("PRAGMA user_version")) as found:
        if found.fetchone() != (_FORMAT,):
            raise Unusable(
                "newer", f"the journal {path} is of another version of msgapi-sdk: finish it with that version"
            )
    with closing(connection.execute("PRAGMA quick_check(1)")) as found:
        if found.fetchone() != ("ok",):
            raise _damaged(path)


@contextmanager
def _translated(path: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise _translate(path, error) from error


def _translate(path: str, error: sqlite3.Error) -> Unusable:
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:
        case sqlite3.SQLITE_NOTADB:
            return Unusable("foreign", f"{path} is not a journal: name another file")
        case sqlite3.SQLITE_CORRUPT:
            return _damaged(path)
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return Unusable("in use", f"the journal {path} is in use by another program: let that one finish")
        case sqlite3.SQLITE_FULL:
            return Unusable("unwritable", f"cannot write the journal {path}: the disk is full")
        case _:
            return Unusable("unwritable", f"cannot use the journal {path}: {error}")


def _damaged(path: str) -> Unusable:
    return Unusable(
        "damaged", f"the journal {path} is damaged and cannot be relied on; look in the message log for what was sent"
    )
