"""Event stores: record which events were handled, since the service may deliver an event more than once.

Rules:
- "Each event once" holds as far as the store reaches: `MemoryEventStore` one process, `SqliteEventStore` one machine,
  `RedisEventStore` all machines that use the same server.
- A claim ends after its lease, unless its owner claims the event again. So the event of a process that was killed is
  given to a later delivery, and the event of a handler that still runs is not, however long the handler takes.
- A claim belongs to its owner. An owner whose lease has expired cannot release the claim of the next one.
- An event that was handled is never handled again within the retention, even if the owner had lost its claim.

Rules of the store in a SQLite file:
- Whatever decides about an event is one transaction, which locks the file before it reads.
- A transaction is on the disk when it returns. The file has a rollback journal and no WAL: SQLite before 3.51.3 can
  damage a WAL that two processes write.
- No connection is used in two processes. It is opened when it is first needed, and a forked child opens its own; it
  never closes that of its parent, since SQLite would roll back the transaction of the parent.
- No file that may be open is opened and closed beside SQLite: the system would drop all locks of this process on it.
- A file that was deleted or replaced is opened anew, so that all processes use the one that is at the path.
- Blocking calls run in a thread, one at a time, and wait for other processes for at most a few seconds.
"""

import logging
import os
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Protocol, Self, TypeAlias, TypeVar, final
from weakref import WeakSet

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar
from attrs import define, field
from attrs.validators import ge, gt

from ...clock import SYSTEM_CLOCK, Clock

T = TypeVar("T")
EventState: TypeAlias = Literal["new", "busy", "done"]
"""The answer of `EventStore.claim`."""
REDELIVERY_WINDOW: Final = 26 * 3600.0
"""Seconds within which the service repeats a delivery: its fifth attempt comes about 25 hours after the first."""
DEFAULT_LEASE: Final = 30.0
"""Seconds. Shorter than the minute after which the service delivers again, so that the second delivery is handled."""
DEFAULT_RETENTION: Final = 7 * 86400.0
"""Seconds. Longer than `REDELIVERY_WINDOW`, since deliveries can also be repeated by hand in the dashboard."""
_THREADS: Final = 8  # of one event loop, for the stores whose client blocks
_limiter: Final[RunVar[anyio.CapacityLimiter]] = RunVar("msgapi_event_store_threads")
_log: Final = logging.getLogger("msgapi")
_APPLICATION: Final = 0x6D736765  # "msge": marks a file as one of these
_FORMAT: Final = 1
_BUSY_TIMEOUT: Final = 3.0  # seconds to wait for another process; a delivery has 4.5
_FORGOTTEN_AT_ONCE: Final = 50  # ids that one claim deletes at most, so that none takes long
_MARKS: Final = ("SELECT count(*) FROM sqlite_schema", "PRAGMA application_id", "PRAGMA user_version")
# A handled event has no owner. A row whose time is over counts as absent.
_SCHEMA: Final = (
    "CREATE TABLE events (id TEXT PRIMARY KEY, owner TEXT, until REAL NOT NULL) WITHOUT ROWID",
    "CREATE INDEX events_until ON events (until)",
    f"PRAGMA application_id = {_APPLICATION}",
    f"PRAGMA user_version = {_FORMAT}",
)
_CLAIM: Final = (
    "INSERT INTO events (id, owner, until) VALUES (:id, :owner, :until) ON CONFLICT (id) DO UPDATE"
    " SET owner = excluded.owner, until = excluded.until WHERE owner = excluded.owner OR until <= :now RETURNING 1"
)
_OWNER: Final = "SELECT owner FROM events WHERE id = :id"
_COMPLETE: Final = "INSERT OR REPLACE INTO events (id, owner, until) VALUES (:id, NULL, :until)"
_RELEASE: Final = "DELETE FROM events WHERE id = :id AND owner = :owner"
_FORGET: Final = f"DELETE FROM events WHERE id IN (SELECT id FROM events WHERE until <= :now ORDER BY until LIMIT {_FORGOTTEN_AT_ONCE})"  # noqa: S608, E501 - our own number
_parents: Final[list[sqlite3.Connection]] = []  # connections of a parent process, which stay open in the child
_creating: threading.Lock = threading.Lock()  # from the creation of a file until its descriptor is closed


class EventStoreError(Exception):
    """An event store cannot be used. The delivery is answered 500, and the service repeats it."""


class EventStore(Protocol):
    """A store of event ids. Implement this over a database that all worker processes share.

    An *owner* is a string that is unique for each claim. If a method raises, the delivery is answered 500, and the
    service repeats it. Each method may be called again with the same arguments.
    """

    @property
    def lease(self) -> float:
        """Seconds after which a claim ends, unless its owner claims the event again, as a receiver does in time."""
        ...  # pragma: no cover

    async def claim(self, event_id: str, owner: str) -> EventState:
        """Return `new` if *owner* is to handle the event, `busy` if another one does, and `done` if it was handled.

        `new` claims the event for the time of the lease. This must be atomic: of several owners, one gets `new`. An
        owner that claims its event again gets `new` again, and another lease.
        """
        ...  # pragma: no cover

    async def complete(self, event_id: str, owner: str) -> None:
        """Record that the event was handled, also if *owner* does not have the claim any more."""
        ...  # pragma: no cover

    async def release(self, event_id: str, owner: str) -> None:
        """Give up the claim of *owner*, if there is one: the event was not handled, and the next `claim` gets `new`."""
        ...  # pragma: no cover


def check_retention(_: object, __: object, seconds: float) -> None:
    """Raise ValueError if *seconds* is less than the time for which a delivery is repeated. A validator of attrs."""
    if not seconds >= REDELIVERY_WINDOW:
        raise ValueError(
            f"retention must be at least {REDELIVERY_WINDOW:g} seconds, not {seconds!r}: the service repeats a "
            "delivery up to 25 hours after the first"
        )


async def run_blocking(function: Callable[[], T]) -> T:
    """Run a *function* that blocks in a thread of the event stores, so that slow handlers cannot use up the threads.

    A cancellation waits until the function has returned, so that its result is known.
    """
    limiter = _limiter.get(None)
    if limiter is None:
        limiter = anyio.CapacityLimiter(_THREADS)
        _ = _limiter.set(limiter)
    return await anyio.to_thread.run_sync(function, limiter=limiter)


@final
@define(eq=False, kw_only=True)
class MemoryEventStore:
    """The ids of handled events in the memory of one process.

    "Once" holds for this process only, until it ends: with several worker processes each of them handles an event that
    is delivered to it, and after a restart an event that is delivered again is handled again. Use `SqliteEventStore`
    or `RedisEventStore` there.

    An id is kept for *retention* seconds, 7 days by default and at least 26 hours. If more than *max_events* (100,000
    by default, at least 1) are kept, the id that was delivered least recently is forgotten before. *lease* is in
    seconds, 30 by default. *clock* is for tests. Event loops in several threads can share a store. Raise ValueError if
    a number is too small.
    """

    max_events: int = field(default=100_000, validator=ge(1))
    lease: float = field(default=DEFAULT_LEASE, validator=gt(0))
    retention: float = field(default=DEFAULT_RETENTION, validator=check_retention)
    clock: Clock = SYSTEM_CLOCK
    # In the order of the times at which they end.
    _done: "OrderedDict[str, tuple[str, float]]" = field(factory=OrderedDict, init=False, repr=False)
    _busy: "OrderedDict[str, tuple[str, float]]" = field(factory=OrderedDict, init=False, repr=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False, repr=False)

    async def claim(self, event_id: str, owner: str) -> EventState:
        """Return `new`, `busy` or `done`; `new` claims the event."""
        with self._lock:
            self._forget(self._done)
            self._forget(self._busy)
            if event_id in self._done:
                self._keep(self._done, event_id, owner, self.retention)
                return "done"
            if self._busy.get(event_id, (owner, 0.0))[0] != owner:
                return "busy"
            self._keep(self._busy, event_id, owner, self.lease)
            return "new"

    async def complete(self, event_id: str, owner: str) -> None:
        """Record that the event was handled."""
        with self._lock:
            _ = self._busy.pop(event_id, None)
            self._keep(self._done, event_id, owner, self.retention)
            if len(self._done) > self.max_events:
                _ = self._done.popitem(last=False)

    async def release(self, event_id: str, owner: str) -> None:
        """Give up the claim of *owner*."""
        with self._lock:
            if self._busy.get(event_id, ("", 0.0))[0] == owner:
                del self._busy[event_id]

    def _keep(self, events: "OrderedDict[str, tuple[str, float]]", event_id: str, owner: str, seconds: float) -> None:
        events[event_id] = (owner, self.clock.now() + seconds)
        events.move_to_end(event_id)

    def _forget(self, events: "OrderedDict[str, tuple[str, float]]") -> None:
        now = self.clock.now()
        while events and next(iter(events.values()))[1] <= now:
            _ = events.popitem(last=False)


def _check_path(_: object, __: object, path: Path) -> None:
    if f"{path}" == ":memory:":
        raise ValueError("an event store in memory is MemoryEventStore()")


@final
@define(eq=False)
class SqliteEventStore:
    """The ids of handled events in a SQLite file at *path*, for all processes of one machine.

    "Once" holds for all processes that use this file. An event is handled again if its handler raised or was cancelled
    (see `Receiver`), if the process was killed before the handler had ended and that was recorded, or if the process
    was blocked for longer than *lease*, so that it could not renew its claim. The file must be on a local disk: locks
    of network file systems cannot be relied on. A whole-machine crash loses nothing that was recorded.

    An id is kept for *retention* seconds, 7 days by default and at least 26 hours. *lease* is in seconds, 30 by
    default: the event of a process that was killed is free after that time. *clock* is for tests; all processes use the
    time of the machine.

    The file is created when the store is first used, with access for its owner only; its directory must exist. A
    store can be made before a server forks its workers, and can be used by several threads and event loops.
    `close` closes the file; the store can be used again after that. A claim takes two writes to the disk. If the file
    is deleted or replaced, the store logs a warning and uses the file that is then at *path*; what was recorded in the
    other one is lost.

    Raise ValueError if a number is too small or *path* is `:memory:`. A file that is not an event store, or that cannot
    be opened, raises `EventStoreError` when it is used.
    """

    path: Path = field(converter=Path, validator=_check_path)
    lease: float = field(default=DEFAULT_LEASE, validator=gt(0), kw_only=True)
    retention: float = field(default=DEFAULT_RETENTION, validator=check_retention, kw_only=True)
    clock: Clock = field(default=SYSTEM_CLOCK, kw_only=True)
    _lock: threading.Lock = field(factory=threading.Lock, init=False, repr=False)
    _connection: sqlite3.Connection | None = field(default=None, init=False, repr=False)
    _file: os.stat_result | None = field(default=None, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        """Register the store, so that a forked child does not use the connection of its parent."""
        _stores.add(self)

    async def claim(self, event_id: str, owner: str) -> EventState:
        """Return `new`, `busy` or `done`; `new` claims the event."""

        def run(connection: sqlite3.Connection) -> EventState:
            now = self.clock.time()
            values = {"id": event_id, "owner": owner, "now": now, "until": now + self.lease}
            _ = _fetch(connection, _FORGET, values)
            if _fetch(connection, _CLAIM, values) is not None:
                return "new"
            return "done" if _fetch(connection, _OWNER, values) == (None,) else "busy"

        return await run_blocking(lambda: self._run(run))

    async def complete(self, event_id: str, owner: str) -> None:
        """Record that the event was handled."""
        await self._write(_COMPLETE, event_id, owner, self.retention)

    async def release(self, event_id: str, owner: str) -> None:
        """Give up the claim of *owner*."""
        await self._write(_RELEASE, event_id, owner, 0.0)

    def close(self) -> None:
        """Close the file. The store opens it again when it is used after that."""
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    def __enter__(self) -> Self:
        """Return the store, which is closed at the end of the block."""
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        """Close the file."""
        self.close()

    async def _write(self, sql: str, event_id: str, owner: str, seconds: float) -> None:
        values = {"id": event_id, "owner": owner, "until": self.clock.time() + seconds}
        _ = await run_blocking(lambda: self._run(lambda connection: _fetch(connection, sql, values)))

    def _run(self, function: Callable[[sqlite3.Connection], T]) -> T:
        if not self._lock.acquire(timeout=_BUSY_TIMEOUT):
            raise EventStoreError(f"the event store {self.path} cannot be used: other threads wait for it too long")
        try:
            with _translated_errors(self.path):
                connection = self._current_connection()
                with _transaction(connection):
                    return function(connection)
        finally:
            self._lock.release()

    def _current_connection(self) -> sqlite3.Connection:
        if self._connection is not None and not _is_at(self.path, self._file):
            _log.warning("the file of the event store %s was deleted or replaced; it is opened anew", self.path)
            connection, self._connection = self._connection, None
            connection.close()
        if self._connection is None:
            self._connection = _open(self.path)
            self._file = self.path.stat()
        return self._connection

    def _forget_parent(self) -> None:
        if self._connection is not None:
            _parents.append(self._connection)
        self._lock, self._connection = threading.Lock(), None


_stores: Final[WeakSet[SqliteEventStore]] = WeakSet()


def _after_fork() -> None:
    global _creating  # noqa: PLW0603 - another thread of the parent may have held it
    _creating = threading.Lock()
    for store in list(_stores):
        store._forget_parent()  # noqa: SLF001


if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows has none, and no fork
    os.register_at_fork(after_in_child=_after_fork)


def _is_at(path: Path, opened: os.stat_result | None) -> bool:
    try:
        return opened is not None and os.path.samestat(path.stat(), opened)
    except FileNotFoundError:
        return False


def _create(path: Path) -> None:
    # SQLite would give everybody access to read it.
    with _creating:
        if not path.exists():
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


def _open(path: Path) -> sqlite3.Connection:
    _create(path)
    connection = sqlite3.connect(path, timeout=_BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)
    try:
        with _transaction(connection):
            _create_tables(connection, path)
        _ = _fetch(connection, "PRAGMA journal_mode = TRUNCATE", {})
        _ = _fetch(connection, "PRAGMA synchronous = FULL", {})
    except BaseException:
        connection.close()
        raise
    return connection


def _create_tables(connection: sqlite3.Connection, path: Path) -> None:
    tables, *marks = (_fetch(connection, sql, {}) for sql in _MARKS)
    if [tables, *marks] == [(0,)] * 3:
        for sql in _SCHEMA:
            _ = _fetch(connection, sql, {})
    elif marks != [(_APPLICATION,), (_FORMAT,)]:
        raise EventStoreError(f"{path} is another SQLite file, and not an event store: choose another path")


def _fetch(connection: sqlite3.Connection, sql: str, values: dict[str, object]) -> tuple[object, ...] | None:
    with closing(connection.execute(sql, values)) as cursor:
        row: tuple[object, ...] | None = cursor.fetchone()
        return row


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    _ = _fetch(connection, "BEGIN IMMEDIATE", {})
    try:
        yield
        _ = _fetch(connection, "COMMIT", {})
    except BaseException:
        with suppress(sqlite3.OperationalError):  # SQLite may have rolled it back by itself
            _ = _fetch(connection, "ROLLBACK", {})
        raise


@contextmanager
def _translated_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise EventStoreError(f"the event store {path} cannot be used: {error}") from error
