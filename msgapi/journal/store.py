"""Store: the SQLite file of a journal. One connection, used by one thread at a time.

Rules:
- What a transaction has written is on the disk when it returns (WAL, synchronous=FULL).
- One connection, and the file is locked by it: SQLite before 3.51.3 can damage a WAL that two have
  written, and two programs that send the same batch would each think that they know all of it.
- A file is only used if it is a journal, whole, and of the batch that was asked for.
"""

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, TypeAlias, final

from attrs import define

from .entries import COLUMNS, IN_DOUBT, WEIGHTS, Entry, Finding, State

Reason: TypeAlias = Literal["missing", "foreign", "newer", "damaged", "other batch", "in use", "unwritable"]

UNTOUCHED: Final = "collected"
"""What a journal says of itself that was collected, until a local run goes on with it."""

COLLECTED_AT: Final = "collected_at"
"""When it was collected last, as Unix time: since then others may have sent what is not settled in it."""

_APPLICATION: Final = 0x6D736761  # in the head of the file: it is ours
_FORMAT: Final = 1
_OWNER_ONLY: Final = 0o600
_WAIT: Final = 0.5  # seconds for another program to let go of the file
_MANY: Final = 500  # ids in one query
_SCHEMA: Final = f"""
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {_FORMAT};
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE rows (
  id TEXT PRIMARY KEY, mark BLOB NOT NULL, state INTEGER NOT NULL, started REAL NOT NULL, key TEXT,
  kind TEXT, code TEXT, status INTEGER, message TEXT, message_id TEXT, unit TEXT, price TEXT, hold TEXT
) WITHOUT ROWID;
"""
_FIELDS: Final = ", ".join(COLUMNS)
_SETTLE: Final = f"UPDATE rows SET state = ?, {', '.join(f'{name} = ?' for name in COLUMNS)} WHERE id = ?"  # noqa: S608 - names of ours
_INSERT: Final = "INSERT INTO rows (id, mark, state, started, key) VALUES (?, ?, 0, ?, ?)"
_START: Final = f"{_INSERT} ON CONFLICT (id) DO NOTHING"
_ANEW: Final = "SET mark = excluded.mark, state = 0, started = excluded.started, key = excluded.key"
_AGAIN: Final = f"{_INSERT} ON CONFLICT (id) DO UPDATE {_ANEW}"
_RELEASE: Final = "DELETE FROM rows WHERE id = ? AND state = 0"
_TAKEN: Final = ", ".join(f"{name} = excluded.{name}" for name in ("mark", *COLUMNS))
_INVALID: Final = (
    f"INSERT INTO rows (id, mark, state, started, {_FIELDS}) VALUES (?, ?, 5, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - names of ours
    f" ON CONFLICT (id) DO UPDATE SET started = excluded.started, {_TAKEN} WHERE state = 5"  # what was begun stays
)
_RANKS: Final = {state: rank for rank, state in enumerate(WEIGHTS)}
_RANK: Final = f"CASE {{0}}.state {' '.join(f'WHEN {state:d} THEN {rank}' for state, rank in _RANKS.items())} END"
_DOUBT: Final = f"({', '.join(f'{state:d}' for state in sorted(IN_DOUBT))})"
_OLDER: Final = f"UPDATE rows SET started = min(started, ?) WHERE id = ? AND state IN {_DOUBT}"  # noqa: S608 - numbers of ours
_SINCE: Final = f"iif(rows.state IN {_DOUBT} AND excluded.state IN {_DOUBT}, rows.started, excluded.started)"
_MERGE: Final = (
    f"INSERT INTO rows (id, mark, state, started, key, {_FIELDS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - names of ours
    f" ON CONFLICT (id) DO UPDATE SET state = excluded.state, key = excluded.key, started = {_SINCE}, {_TAKEN}"
    f" WHERE {_RANK.format('excluded')} > {_RANK.format('rows')}"
)


class Unusable(Exception):
    """The journal can't be used or written: *reason* is one word for it, the text says what to do."""

    def __init__(self, reason: Reason, text: str) -> None:
        """Say *text*."""
        super().__init__(text)
        self.reason: Final = reason


class Start(NamedTuple):
    """A row that is about to be sent; *key* only if it is not the derived one."""

    id: str
    mark: bytes
    started: float
    key: str | None


Settled: TypeAlias = tuple[State, *Finding, str]
"""A state, what was found, and the row's id."""


@final
@define(eq=False, repr=False)
class Store:
    """The file at *path*."""

    path: str
    _connection: sqlite3.Connection

    def close(self) -> None:
        """Close the file; what stands in the WAL goes into it."""
        self._connection.close()

    def about(self) -> dict[str, str]:
        """Read what the journal says of itself."""
        with _told(self.path):
            return dict(self._connection.execute("SELECT name, value FROM about"))

    def write(
        self,
        starts: Sequence[Start],
        settled: Iterable[Settled],
        invalid: Iterable[tuple[object, ...]],
        released: Iterable[tuple[str]],
    ) -> bool:
        """Write all of this, or nothing; False if one of *starts* is in the journal already, and then those are not."""
        with _told(self.path), self._transaction():
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

    def restart(self, starts: Sequence[Start]) -> None:
        """Write that *starts* are about to be sent, those that the journal has as well."""
        with _told(self.path), self._transaction():
            _ = self._connection.executemany(_AGAIN, starts)

    def merge(self, rows: Iterable[tuple[object, ...]]) -> None:
        """Write rows as they were found elsewhere: id, mark, state, started, key and a finding.

        What is in doubt here and there is as old as the older of the two: the service counts from the first.
        """
        some = list(rows)
        doubted = [(started, row) for row, _, state, started, *_ in some if state in IN_DOUBT]
        with _told(self.path), self._transaction():
            _ = self._connection.executemany(_OLDER, doubted)
            _ = self._connection.executemany(_MERGE, some)

    def tell(self, about: Mapping[str, str]) -> None:
        """Write what the journal says of itself, over what it said."""
        with _told(self.path), self._transaction():
            _ = self._connection.executemany("INSERT OR REPLACE INTO about VALUES (?, ?)", about.items())

    def touch(self) -> None:
        """Write that a local run goes on with it."""
        with _told(self.path), self._transaction():
            _ = self._connection.execute("DELETE FROM about WHERE name = ?", (UNTOUCHED,))

    def take_back(self) -> None:
        """Drop the rows of which it is only known that they were begun."""
        with _told(self.path), self._transaction():
            _ = self._connection.execute("DELETE FROM rows WHERE state = 0")

    def copy(self, path: str) -> None:
        """Write all of it into the empty file at *path*."""
        with _told(path):
            self._connection.execute("VACUUM INTO ?", (path,)).close()

    def find(self, ids: Sequence[str]) -> dict[str, Entry]:
        """Read the entries of *ids*."""
        found: dict[str, Entry] = {}
        with _told(self.path):
            for at in range(0, len(ids), _MANY):
                some = ids[at : at + _MANY]
                marks = ", ".join("?" * len(some))
                query = f"SELECT id, mark, state, started, key FROM rows WHERE id IN ({marks})"  # noqa: S608 - question marks
                for row, mark, state, started, key in self._connection.execute(query, some):
                    found[row] = Entry(mark, State(state), started, key)
        return found

    def select(self, query: str, *values: object) -> Iterator[tuple[Any, ...]]:
        """Read what *query* asks for, row by row."""
        with _told(self.path):
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


def create(path: str, about: Mapping[str, str]) -> Store:
    """Make a journal that says *about* itself, readable by its owner only; a file that is there must be empty."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, _OWNER_ONLY))
    except OSError as error:
        raise Unusable("unwritable", f"cannot write the journal {path}: {error.strerror or error}") from None
    return _opened(path, lambda store: _fill(store, about))


def open_existing(path: str) -> Store:
    """Open the journal at *path*, and see whether it is one, and whole."""
    try:
        with Path(path).open("rb+") as file:
            if not file.read(1):
                raise Unusable("missing", f"the journal {path} is empty: nothing was begun with it")
    except OSError as error:
        reason: Reason = "missing" if isinstance(error, FileNotFoundError) else "unwritable"
        raise Unusable(reason, f"cannot open the journal {path}: {error.strerror or error}") from None
    return _opened(path, _check)


def of_batch(path: str, batch: str) -> Store | None:
    """Open the journal of *batch* at *path*, or None if nothing was begun there; one of another is `Unusable`."""
    try:
        store = open_existing(path)
    except Unusable as error:
        if error.reason != "missing":
            raise
        return None
    try:
        other = store.about().get("batch")
        if other != batch:
            raise Unusable("other batch", f"the journal {path} is of the batch {other}, not of {batch}: name another")
    except BaseException:
        store.close()
        raise
    return store


def _opened(path: str, prepare: "Callable[[Store], None]") -> Store:
    with _told(path):
        connection = sqlite3.connect(path, timeout=_WAIT, isolation_level=None, check_same_thread=False)
    store = Store(path, connection)
    try:
        with _told(path):
            for pragma in ("locking_mode = EXCLUSIVE", "synchronous = FULL", "journal_mode = WAL"):
                connection.execute(f"PRAGMA {pragma}").close()
            prepare(store)
    except BaseException:
        connection.close()
        raise
    return store


def _fill(store: Store, about: Mapping[str, str]) -> None:
    with store._transaction():  # noqa: SLF001 - the store's own file
        connection = store._connection  # noqa: SLF001 - the same
        for statement in _SCHEMA.split(";"):
            connection.execute(statement).close()
        _ = connection.executemany("INSERT INTO about VALUES (?, ?)", about.items())


def _check(store: Store) -> None:
    path, connection = store.path, store._connection  # noqa: SLF001 - the store's own file
    facts = "SELECT application_id, page_count FROM pragma_application_id, pragma_page_count"
    with closing(connection.execute(facts)) as found:
        ours, pages = found.fetchone()
        if not ours and pages <= 1:  # whoever made it was killed before it was one
            raise Unusable("missing", f"the journal {path} is empty: nothing was begun with it")
        if ours != _APPLICATION:
            raise Unusable("foreign", f"{path} is a database of another program, not a journal: name another file")
    with closing(connection.execute("PRAGMA user_version")) as found:
        if found.fetchone() != (_FORMAT,):
            raise Unusable("newer", f"the journal {path} is of another version of msgapi-sdk: finish it with that one")
    with closing(connection.execute("PRAGMA quick_check(1)")) as found:
        if found.fetchone() != ("ok",):
            raise _damaged(path)


@contextmanager
def _told(path: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise _explained(path, error) from error


def _explained(path: str, error: sqlite3.Error) -> Unusable:
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
    said = "is damaged: what it says can't be relied on"
    return Unusable("damaged", f"the journal {path} {said}; look in the message log for what was sent")
