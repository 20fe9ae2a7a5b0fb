"""The SQLite file of a journal: its tables and statements, and the checks of the values that are read from it.

It has one connection, used by one thread at a time.

Rules:
- A transaction is on the disk when it returns (WAL, synchronous=FULL).
- The connection locks the file: SQLite before 3.51.3 can damage a WAL that two connections write, and two programs
  that send the same batch would both assume that they know all of it.
- A stored value is checked like any input: one that a journal does not write is `Unusable`, as damaged.
- Every cursor is closed with the file. SQLite does not release the lock of a file that has an open statement.
- Only the process that opened the file uses it. In a forked child nothing is written, and the connection is never
  closed, since SQLite would move the WAL of the parent into the file and delete it.
"""

import math
import os
import sqlite3
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from decimal import Decimal, InvalidOperation
from typing import Any, Final, NamedTuple, TypeAlias, final, get_args
from weakref import WeakSet

from attrs import define, field, frozen

from ..results import ApiError
from .mainfile import APPLICATION, FORMAT, MARK_SIZE, MainFile, SealState, Unusable, damaged, translated
from .resumption import COLUMNS, MAYBE_SENT, PRECEDENCE, Entry, State, StoredResult

API_ERRORS: Final[Mapping[str, type[Any]]] = {one.__name__: one for one in get_args(ApiError)}
"""The errors, by the names under which they are stored."""

MERGED: Final = "merged"
"""The name in `about` that marks a merged journal, until a local run continues with it."""

RUN: Final = "run"
"""The name in `about` of the number of the last run."""

FINISHED: Final = "finished"
"""The name in `about` of the Unix time at which a run has settled all rows of the file."""

MERGED_AT: Final = "merged_at"
"""The name in `about` of the Unix time of the last merge: others may have sent unsettled rows since."""

LOST_SINCE: Final = "lost_since"
"""The name in `about` of the Unix time since which rows may have been sent that the journal lacks."""

_KINDS: Final = {"Accepted", *API_ERRORS}
_STATES: Final = {int(state): state for state in State}
_OPENED: Final = "opened"  # the name in `about` of the mark of the last opening: the first row of its WAL

_MANY: Final = 500  # ids in one query
SCHEMA: Final = f"""
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {FORMAT};
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE rows (
  id TEXT NOT NULL PRIMARY KEY, leg INTEGER NOT NULL DEFAULT 1, run INTEGER NOT NULL DEFAULT 0,
  in_file INTEGER NOT NULL DEFAULT 1, recipients BLOB,
  digest BLOB NOT NULL, state INTEGER NOT NULL, started REAL NOT NULL, key TEXT,
  kind TEXT, code TEXT, status INTEGER, message TEXT, message_id TEXT, unit TEXT, price TEXT, hold TEXT
);
"""
_FIELDS: Final = ", ".join(COLUMNS)
_ENTRY: Final = "id, digest, state, started, key, run, leg, in_file"
_ADVANCE: Final = "UPDATE rows SET leg = ?, started = ?, state = 0 WHERE id = ?"
_SETTLE: Final = f"UPDATE rows SET leg = ?, state = ?, {', '.join(f'{name} = ?' for name in COLUMNS)} WHERE id = ?"  # noqa: S608 - our own names
_INSERT: Final = (
    "INSERT INTO rows (id, digest, state, started, key, recipients, run, leg) VALUES (?, ?, 0, ?, ?, ?, ?, ?)"
)
_ABOUT: Final = "INSERT OR REPLACE INTO about VALUES (?, ?)"
_START: Final = f"{_INSERT} ON CONFLICT (id) DO NOTHING"
_NO_RESULT: Final = ", ".join(f"{name} = NULL" for name in COLUMNS)
_RESTARTED: Final = "SET state = 0, in_file = 1, " + ", ".join(
    f"{name} = excluded.{name}" for name in ("digest", "started", "key", "recipients", "run", "leg")
)
_RESTART: Final = f"{_INSERT} ON CONFLICT (id) DO UPDATE {_RESTARTED}, {_NO_RESULT}"
_FINISH: Final = (
    "INSERT OR REPLACE INTO about SELECT ?, ?"
    " WHERE NOT EXISTS (SELECT 1 FROM rows WHERE in_file AND state IN (0, 3, 4))"
)
_KEEP: Final = f"UPDATE rows SET state = 3, {_NO_RESULT} WHERE id = ? AND state = 0"  # noqa: S608 - our own names
_RELEASE: Final = "DELETE FROM rows WHERE id = ? AND state = 0"
_REPLACED: Final = ", ".join(f"{name} = excluded.{name}" for name in ("digest", *COLUMNS))
_INVALID: Final = (
    f"INSERT INTO rows (id, digest, state, started, {_FIELDS}) VALUES (?, ?, 5, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - our own names
    f" ON CONFLICT (id) DO UPDATE SET started = excluded.started, {_REPLACED} WHERE state = 5"  # a begun row stays
)
_RANKS: Final = {state: rank for rank, state in enumerate(PRECEDENCE)}
_RANK: Final = f"CASE {{0}}.state {' '.join(f'WHEN {state:d} THEN {rank}' for state, rank in _RANKS.items())} END"
MAYBE: Final = f"({', '.join(f'{state:d}' for state in sorted(MAYBE_SENT))})"
_OLDER: Final = f"UPDATE rows SET started = min(started, ?) WHERE id = ? AND leg = ? AND state IN {MAYBE}"  # noqa: S608 - our own numbers
_CERTAINTY: Final = f"({{0}}.state = {State.ACCEPTED:d}, {{0}}.leg, {_RANK})"
_BOTH_MAYBE: Final = f"rows.leg = excluded.leg AND rows.state IN {MAYBE} AND excluded.state IN {MAYBE}"
_SINCE: Final = f"iif({_BOTH_MAYBE}, rows.started, excluded.started)"
_MERGE: Final = (
    f"INSERT INTO rows (id, leg, digest, state, started, key, {_FIELDS})"  # noqa: S608 - our own names
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    f" ON CONFLICT (id) DO UPDATE SET leg = excluded.leg, state = excluded.state, key = excluded.key,"
    f" started = {_SINCE}, {_REPLACED} WHERE {_CERTAINTY.format('excluded')} > {_CERTAINTY.format('rows')}"
)


@final
class Connection(sqlite3.Connection):
    """A connection that closes its cursors when it is closed.

    An exception keeps the frames in which it was raised, and these their cursors. A connection with an open statement
    keeps its lock, although it is closed.
    """

    def __init__(self, *where: Any, **how: Any) -> None:  # noqa: ANN401 - those of `sqlite3.connect`
        """Connect."""
        super().__init__(*where, **how)
        self._cursors: WeakSet[sqlite3.Cursor] = WeakSet()

    def execute(self, sql: str, values: Any = (), /) -> sqlite3.Cursor:  # noqa: ANN401 - as the base class
        """Execute a statement."""
        return self._tracked().execute(sql, values)

    def executemany(self, sql: str, values: Any, /) -> sqlite3.Cursor:  # noqa: ANN401 - as the base class
        """Execute a statement once for each of *values*."""
        return self._tracked().executemany(sql, values)

    def _tracked(self) -> sqlite3.Cursor:
        made = self.cursor()
        self._cursors.add(made)
        return made

    def close(self) -> None:
        """Close the cursors and the connection."""
        for cursor in list(self._cursors):
            cursor.close()
        super().close()


class StartedRow(NamedTuple):
    """A row that is about to be sent in the run with this number; *key* is None if it is the derived one.

    *recipients* are the hashes of the recipients of all legs, *leg* is the number of the leg that is sent.
    """

    id: str
    digest: bytes
    started: float
    key: str | None
    recipients: bytes
    run: int
    leg: int = 1


class AdvancedRow(NamedTuple):
    """A row whose next leg, with the number *leg*, is about to be sent at the Unix time *started*."""

    leg: int
    started: float
    id: str


SettledRow: TypeAlias = tuple[int, State, *StoredResult, str]
"""The leg, the state, the stored result and the id of a row."""

Statement: TypeAlias = tuple[str, Sequence[tuple[object, ...]]]
"""A statement that returns no rows, and the values with which it is executed."""


@final
@frozen
class RowResults:
    """What has become known of rows that were begun.

    *advanced* are rows whose next leg is sent, *settled* those that have a result. *released* are the ids of rows that
    were not sent, *kept* those of them that keep a key or a leg. *about* is stored about the journal, and *more* are
    statements of the timeline.
    """

    settled: Sequence[SettledRow]
    invalid: Sequence[tuple[object, ...]]
    released: Sequence[tuple[str]]
    kept: Sequence[tuple[str]]
    advanced: Sequence[AdvancedRow] = ()
    about: Sequence[tuple[str, str]] = ()
    more: Sequence[Statement] = ()

    def statements(self) -> Iterator[Statement]:
        """Yield the statements that write this, in their order."""
        yield _ADVANCE, self.advanced
        yield _SETTLE, self.settled
        yield _RELEASE, self.released
        yield _KEEP, self.kept
        yield _INVALID, self.invalid
        yield _ABOUT, self.about
        yield from self.more


@final
@define(eq=False, repr=False)
class JournalFile:
    """The SQLite file at *path*; *lost_since* is the Unix time since which rows may be missing, None if none are."""

    path: str
    _connection: sqlite3.Connection
    _main: MainFile
    lost_since: float | None = None
    _process: int = field(factory=os.getpid, init=False)
    _is_begun: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        """Have a forked child leave the file alone."""
        _files.add(self)

    @property
    def is_inherited(self) -> bool:
        """Whether another process, of which this one is a fork, has opened the file."""
        return os.getpid() != self._process

    def close(self) -> None:
        """Close the file and release its lock. The content of the WAL is moved into it, if there is room."""
        if self.is_inherited:
            return
        try:
            if self._is_begun:
                with suppress(Unusable):  # then it stays in the WAL, and the next opening moves it
                    self.seal()
        finally:
            self._connection.close()
            self._main.close()

    def begin_opening(self, now: float) -> None:
        """Mark the file as opened at the Unix time *now*; rows can be written afterwards."""
        mark = os.urandom(MARK_SIZE)
        self._is_begun = True
        self._main.mark_opening(now)
        self.update_about({_OPENED: mark.hex()})
        self._main.mark_open(mark)

    def lacks_opening(self) -> bool:
        """Return whether the content is older than the last opening, although that has begun rows."""
        is_open = self._main.seal.state is SealState.OPEN
        return is_open and self.about().get(_OPENED) != self._main.seal.mark_text

    def seal(self) -> None:
        """Move the content of the WAL into the main file, and mark that as complete."""
        with translated(self.path), closing(self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")) as found:
            _ = found.fetchall()
        self._main.mark_closed()

    def about(self) -> dict[str, str]:
        """Return the names and values that are stored about the journal."""
        return read_about(self.path, self.select("SELECT name, value FROM about"))

    def write(self, starts: Sequence[StartedRow], results: RowResults) -> bool:
        """Write all of this or nothing; return False, without *starts*, if one of them is in the journal already."""
        with translated(self.path):
            if self._write(starts, results):
                return True
            _ = self._write((), results)
        return False

    def _write(self, starts: Sequence[StartedRow], results: RowResults) -> bool:
        # The starts come first, so that they need no savepoint: SQLite would copy each page that they change to a file.
        with self._transaction():
            if starts and self._connection.executemany(_START, starts).rowcount != len(starts):
                self._connection.rollback()
                return False
            for statement in results.statements():
                _ = self._connection.executemany(*statement)
        return True

    def restart(self, starts: Sequence[StartedRow]) -> None:
        """Write that *starts* are about to be sent, including rows that the journal has already."""
        with translated(self.path), self._transaction():
            _ = self._connection.executemany(_RESTART, starts)

    def merge(self, rows: Iterable[tuple[object, ...]]) -> None:
        """Merge rows of another source: id, leg, digest, state, started, key and a stored result.

        Of two results of a row, an acceptance counts, then that of the later leg, then the one with the higher
        precedence. If the outcome of a leg is unknown in both, the earlier start counts, since the service counts from
        the first.
        """
        some = list(rows)
        unknown = [(started, row, leg) for row, leg, _, state, started, *_ in some if state in MAYBE_SENT]
        with translated(self.path), self._transaction():
            _ = self._connection.executemany(_OLDER, unknown)
            _ = self._connection.executemany(_MERGE, some)

    def update_about(self, about: Mapping[str, str]) -> None:
        """Store names and values about the journal; existing names are replaced."""
        with translated(self.path), self._transaction():
            _ = self._connection.executemany(_ABOUT, about.items())

    def begin_run(self) -> None:
        """Record that a run begins, and count it. Invalid rows are judged anew, so they are deleted."""
        run = self.run + 1
        with self.transaction():
            _ = self._connection.execute("DELETE FROM about WHERE name = ?", (MERGED,))
            _ = self._connection.execute("DELETE FROM rows WHERE state = 5")
            _ = self._connection.execute(_ABOUT, (RUN, f"{run}"))

    @property
    def run(self) -> int:
        """The number of the last run; 0 if there was none."""
        return read_count(self.path, self.about(), RUN)

    def mark_finished(self, now: float) -> None:
        """Record that the file was sent to its end, unless rows of it have an unknown outcome or were not sent."""
        with self.transaction():
            _ = self._connection.execute(_FINISH, (FINISHED, f"{now}"))

    def clear_about(self, name: str) -> None:
        """Delete the value that is stored about the journal under *name*."""
        with translated(self.path), self._transaction():
            _ = self._connection.execute("DELETE FROM about WHERE name = ?", (name,))

    def delete_started(self) -> None:
        """Delete the rows that were begun and have no result."""
        with translated(self.path), self._transaction():
            _ = self._connection.execute("DELETE FROM rows WHERE state = 0")

    def copy(self, path: str) -> None:
        """Copy the journal into the empty file at *path*."""
        with translated(path):
            self._connection.execute("VACUUM INTO ?", (path,)).close()

    def find(self, ids: Sequence[str]) -> dict[str, Entry]:
        """Return the entries of *ids*, by id."""
        found: dict[str, Entry] = {}
        for at in range(0, len(ids), _MANY):
            some = ids[at : at + _MANY]
            values = ", ".join("?" * len(some))
            query = f"SELECT {_ENTRY} FROM rows WHERE id IN ({values})"  # noqa: S608 - question marks
            for row in self.select(query, *some):
                found[row[0]] = read_entry(self.path, row)
        return found

    def has(self, state: State) -> bool:
        """Return whether a row is in *state*."""
        with translated(self.path):
            return (
                self._connection.execute("SELECT 1 FROM rows WHERE state = ? LIMIT 1", (state,)).fetchone() is not None
            )

    def select(self, query: str, *values: object) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a *query*."""
        with translated(self.path):
            found = self._connection.execute(query, values)
            try:
                yield from iter(found.fetchone, None)
            finally:
                with suppress(sqlite3.ProgrammingError):  # the file was closed in the meantime, with the cursor
                    found.close()

    def execute(self, statement: str, *values: object) -> int:
        """Execute a *statement* that returns no rows; return the number of rows that it has changed."""
        with translated(self.path), closing(self._connection.execute(statement, values)) as done:
            return done.rowcount

    def execute_many(self, statement: str, values: Iterable[tuple[object, ...]]) -> None:
        """Execute a *statement* that returns no rows, with each of *values*."""
        with translated(self.path):
            _ = self._connection.executemany(statement, values)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Write what the block writes, or nothing if it raises."""
        with translated(self.path), self._transaction():
            yield

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        if self.is_inherited:
            text = f"the journal {self.path} belongs to the process that opened it, and not to its forks"
            raise Unusable("in use", text)
        _ = self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            if self._connection.in_transaction:  # not rolled back in the block
                _ = self._connection.execute("COMMIT")
        except BaseException:
            self._connection.rollback()
            raise


_files: Final[WeakSet[JournalFile]] = WeakSet()


def _keep_connections() -> None:
    # In a forked child: the connections must not even be closed by the garbage collector or at exit.
    if sys.implementation.name == "cpython":  # pragma: no branch - others close nothing at exit
        import ctypes

        for file in _files:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(file._connection))  # noqa: SLF001 - part of the class


if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows has no forks
    os.register_at_fork(after_in_child=_keep_connections)


def read_about(path: str, rows: Iterable[Sequence[object]]) -> dict[str, str]:
    """Return the names and values about the journal at *path*."""
    found: dict[str, str] = {}
    for name, value in rows:
        if not isinstance(name, str) or not isinstance(value, str):
            raise damaged(path)
        found[name] = value
    return found


def read_time(path: str, about: Mapping[str, str], name: str) -> float | None:
    """Return the Unix time that *about* has under *name*; None if it has none."""
    if name not in about:
        return None
    try:
        found = float(about[name])
    except ValueError:
        raise damaged(path) from None
    return _time(path, found)


def read_count(path: str, about: Mapping[str, str], name: str) -> int:
    """Return the number that *about* has under *name*; 0 if it has none."""
    text = about.get(name, "0")
    if not text.isdecimal():
        raise damaged(path)
    return int(text)


def read_entry(path: str, row: Sequence[Any]) -> Entry:
    """Return the entry of a *row*: id, digest, state, started, key, run, leg and whether it is in the file."""
    name, digest, state, started, key, run, leg, in_file = row
    if not isinstance(digest, bytes) or not isinstance(run, int):
        raise damaged(path)
    _ = read_text(path, name), read_text(path, key)
    leg, state = read_leg(path, leg), read_state(path, state)
    return Entry(digest, state, _time(path, started), key, key, run, leg, bool(in_file))


def read_state(path: str, state: object) -> State:
    """Return the state with the number *state*."""
    found = _STATES.get(state) if isinstance(state, int) else None
    if found is None:
        raise damaged(path)
    return found


def read_leg(path: str, leg: object) -> int:
    """Return the stored number of a *leg*, from 1."""
    if not isinstance(leg, int) or leg < 1:
        raise damaged(path)
    return leg


def read_kind(path: str, kind: object) -> str | None:
    """Return the stored *kind* of a result."""
    if kind is not None and (not isinstance(kind, str) or kind not in _KINDS):
        raise damaged(path)
    return kind


def read_amount(path: str, amount: object) -> Decimal | None:
    """Return the *amount* in EUR; None if none is stored."""
    if amount is None:
        return None
    try:
        found = Decimal(amount) if isinstance(amount, str) else None
    except InvalidOperation:
        found = None
    if found is None or not found.is_finite():
        raise damaged(path)
    return found


def read_text(path: str, text: object) -> str | None:
    """Return a stored *text*; None if none is stored."""
    if not isinstance(text, str | None):
        raise damaged(path)
    return text


def check_row(path: str, row: Mapping[str, Any]) -> None:
    """Raise `Unusable` unless the columns of *row* have values that a journal stores."""
    _ = read_state(path, row["state"]), _time(path, row["started"]), read_kind(path, row["kind"])
    _ = [read_amount(path, row[name]) for name in ("price", "hold")]
    _ = [read_text(path, row[name]) for name in ("id", "key", "code", "message", "message_id", "unit")]
    _ = read_leg(path, row["leg"])
    if row["id"] is None or not isinstance(row["status"], int | None):
        raise damaged(path)


def _time(path: str, found: object) -> float:
    if not isinstance(found, float) or not math.isfinite(found):
        raise damaged(path)
    return found
