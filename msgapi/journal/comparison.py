"""Comparison: the rows of a file, compared with the rows of a journal before any of them is sent.

Rules:
- A comparison writes nothing to the journal until `commit`, which writes all of its decisions in one transaction.
- Its tables are in a file in the folder of the journal, which is deleted as soon as it is open. Memory does not grow
  with the number of rows.
- A row is changed if the journal has it as sent, with another request; or if it is new, and the journal has a row as
  sent to the same recipient that is not in the file any more. Sent means accepted or unknown.
- A row of the journal is new, too, if it can still be sent, and the last file did not have it with this request: since
  then, another row may have been sent in its place. A row of the last file was compared when that file was.
- A row of the journal that has another recipient now is not in the file any more, for its previous recipient.
- A row that an earlier comparison left out stays left out, unless *again* is true.
- A row that others have sent (`journal.merge`) has no hash of its recipient: while one is not in the file, every new
  row counts as changed.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkstemp
from typing import Final, Literal, TypeAlias, final

from attrs import astuple, define, frozen

from ..clock import SYSTEM_CLOCK, Clock
from ..fallback import AnyCall
from .journal import with_own_key
from .mainfile import Unusable
from .opening import check_batch, open_existing
from .resumption import (
    CHANGED,
    COLUMNS,
    MAYBE_SENT,
    SENT,
    SETTLED_STATES,
    Entry,
    RowRequest,
    State,
    changed_id,
    changed_key,
    is_changed,
    recipient_hashes,
    request_digest,
    reuses_key,
    split_hashes,
)
from .sqlite import FINISHED, MAYBE, JournalFile

Choice: TypeAlias = Literal["skip", "send"]
_SHOWN: Final = 10
_SCHEMA: Final = """
PRAGMA compared.journal_mode = OFF;
PRAGMA compared.synchronous = OFF;
CREATE TABLE compared.seen (id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE compared.fresh (
  id TEXT PRIMARY KEY, line INTEGER NOT NULL, digest BLOB NOT NULL, recipients BLOB NOT NULL,
  key TEXT, leg INTEGER NOT NULL, renewed INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE compared.addressed (hash BLOB, id TEXT, PRIMARY KEY (hash, id)) WITHOUT ROWID;
CREATE TABLE compared.gone (hash BLOB PRIMARY KEY, unknown INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE compared.changed (
  id TEXT PRIMARY KEY, known TEXT, line INTEGER NOT NULL, digest BLOB NOT NULL, recipients BLOB NOT NULL,
  key TEXT, leg INTEGER NOT NULL, unknown INTEGER NOT NULL, reused INTEGER NOT NULL
) WITHOUT ROWID
"""
_SENT: Final = f"({', '.join(f'{state:d}' for state in sorted(SENT))})"
_GONE: Final = (
    f"FROM main.rows WHERE state IN {_SENT} AND id NOT IN compared.seen"  # noqa: S608 - our own names and numbers
    " AND id NOT IN (SELECT known FROM compared.changed WHERE known IS NOT NULL)"
)
_OTHER_REQUEST: Final = (
    f"SELECT old.recipients, new.recipients, old.state IN {MAYBE} FROM compared.changed AS new"  # noqa: S608 - our own names and numbers
    f" JOIN main.rows AS old ON old.id = new.known WHERE old.state IN {_SENT}"
)
_NEW_CHANGED: Final = (
    "INSERT OR IGNORE INTO compared.changed SELECT id, NULL, line, digest, recipients, key, leg, {unknown}, 0"
    " FROM compared.fresh {matching} GROUP BY id"
)
_MATCHING: Final = "JOIN compared.addressed USING (id) JOIN compared.gone USING (hash)"
_ADD_SEEN: Final = "INSERT OR IGNORE INTO compared.seen VALUES (?)"
_ADD_FRESH: Final = "INSERT OR IGNORE INTO compared.fresh VALUES (?, ?, ?, ?, ?, ?, ?)"
_ADD_ADDRESSED: Final = "INSERT OR IGNORE INTO compared.addressed VALUES (?, ?)"
_ADD_CHANGED: Final = "INSERT OR IGNORE INTO compared.changed VALUES (?, ?, ?, ?, ?, ?, 1, ?, ?)"
_ADD_GONE: Final = (
    "INSERT INTO compared.gone VALUES (?, ?) ON CONFLICT (hash) DO UPDATE SET unknown = max(unknown, excluded.unknown)"
)
_ADD_UNKNOWN: Final = (
    "UPDATE compared.changed SET unknown = 1"
    " WHERE id IN (SELECT id FROM compared.addressed JOIN compared.gone USING (hash) WHERE unknown)"
)
_RENEWED: Final = "SELECT leg, digest, recipients, key, known FROM compared.changed WHERE known IS NOT NULL"
_REPLACING: Final = "SELECT leg, digest, recipients, key, id FROM compared.fresh WHERE renewed"
_MAYBE_SENT: Final = f"SELECT id FROM compared.changed JOIN main.rows USING (id) WHERE state IN {MAYBE}"  # noqa: S608 - our own numbers
_SKIP: Final = (
    "INSERT OR REPLACE INTO main.rows (id, digest, state, started, recipients, run, kind, code, leg, key)"  # noqa: S608 - our own names and numbers
    f" SELECT id, digest, {State.CHANGED:d}, ?, recipients, ?, 'Invalid', '{CHANGED}', leg,"
    " iif(known IS NULL, key, NULL) FROM compared.changed"
)
_LEFT_OUT: Final = f"WHERE state = {State.CHANGED:d} AND NOT in_file"
_FIELDS: Final = "leg, recipients, digest, state, started, kind, code, status, message, message_id, unit, price, hold"
_ARCHIVE: Final = (
    f"INSERT INTO main.rows (id, run, in_file, key, {_FIELDS})"  # noqa: S608 - our own names and numbers
    f" SELECT id || '/' || lower(hex(digest)) || '/' || run, run, 0, key, {_FIELDS} FROM main.rows WHERE id = ?"
)
_NOT_SENT: Final = f"state = {State.NOT_SENT:d}, " + ", ".join(f"{name} = NULL" for name in COLUMNS)
_RENEW: Final = (
    f"UPDATE main.rows SET in_file = 1, leg = ?, digest = ?, recipients = ?, key = ?, {_NOT_SENT} WHERE id = ?"  # noqa: S608 - our own names and numbers
)


@final
@frozen(eq=False, repr=False)
class FileRow:
    """A row of the file that can be sent: its *id*, its *line* and its *call*. *own_key* is the key in the file."""

    id: str
    line: int
    call: AnyCall[object]
    own_key: str | None = None


@final
@frozen(kw_only=True)
class Difference:
    """How the file differs from the journal.

    - *changed*: rows to decide on, on the *lines*, of which the first are given; *unknown*: those of them that replace
      rows with an unknown outcome; *reused*: those that have the idempotency key of another message.
    - *accepted*: rows of the file that were accepted, *first* and *last* when: Unix times, 0 if there are none.
    """

    changed: int
    unknown: int
    reused: int
    lines: tuple[int, ...]
    accepted: int
    first: float
    last: float


@final
@frozen(eq=False)
class _Sending:
    # How a row is sent: the key that it keeps, the leg of a fallback with which it begins, and whether the journal gets
    # this request in place of the previous one.
    key: str | None = None
    leg: int = 1
    renewed: bool = False


_NEW: Final = _Sending()


@final
@define(eq=False, repr=False)
class Comparison:
    """The rows of a file, compared with a journal. Made by `compare`, and usable only inside its `with`."""

    _file: JournalFile
    _batch: str
    _clock: Clock
    _again: bool

    def add(self, rows: Sequence[FileRow]) -> None:
        """Compare *rows*; many in one call are faster."""
        entries = self._file.find([row.id for row in rows])
        requests = [(row, self._request(row)) for row in rows]
        seen: list[tuple[object, ...]] = []
        changed: list[tuple[FileRow, RowRequest, Entry]] = []
        fresh: list[tuple[FileRow, RowRequest, _Sending]] = []
        for row, request in requests:
            found = entries.get(row.id)
            entry = None if found is None else with_own_key(self._batch, row.id, found)
            if entry is not None and _is_changed(entry, request):
                changed.append((row, request, entry))
                continue
            sending = self._sending(entry, request)
            if sending is not None:
                fresh.append((row, request, sending))
            if sending is not _NEW:
                seen.append((row.id,))
        left_out = (
            set[str]() if self._again else self._file.find([_variant(row, request) for row, request, _ in changed])
        )
        seen += ((name,) for row, request, _ in changed if (name := _variant(row, request)) in left_out)
        undecided = [self._changed(*one) for one in changed if _variant(one[0], one[1]) not in left_out]
        with self._gathering():
            self._file.execute_many(_ADD_SEEN, seen)
            self._add_fresh(fresh)
            self._file.execute_many(_ADD_CHANGED, undecided)
            self._add_addressed((name, recipients) for name, _, _, _, recipients, *_ in undecided)

    def difference(self) -> Difference:
        """Return how the file differs, once all of its rows were added."""
        self._find_changed()
        ((changed, unknown, reused),) = self._file.select(
            "SELECT count(*), coalesce(sum(unknown), 0), coalesce(sum(reused), 0) FROM compared.changed"
        )
        lines = self._file.select("SELECT line FROM compared.changed ORDER BY line LIMIT ?", _SHOWN)
        ((accepted, first, last),) = self._file.select(
            "SELECT count(*), coalesce(min(started), 0), coalesce(max(started), 0)"  # noqa: S608 - our own names and numbers
            f" FROM main.rows JOIN compared.seen USING (id) WHERE state = {State.ACCEPTED:d}"
        )
        return Difference(
            changed=changed,
            unknown=unknown,
            reused=reused,
            lines=tuple(line for (line,) in lines),
            accepted=accepted,
            first=first,
            last=last,
        )

    def commit(self, choice: Choice | None, about: Mapping[str, str]) -> None:
        """Write to the journal which rows are in the file, that changed rows are skipped or sent, and *about*."""
        run, execute = self._file.run, self._file.execute
        self._file.begin_opening(self._clock.time())
        with self._file.transaction():
            _ = execute("UPDATE main.rows SET in_file = 0 WHERE in_file AND id NOT IN compared.seen")
            _ = execute("UPDATE main.rows SET in_file = 1 WHERE NOT in_file AND id IN compared.seen")
            _ = execute(f"DELETE FROM main.rows {_LEFT_OUT} AND key IS NULL AND leg = 1")  # noqa: S608 - our own names and numbers
            _ = execute(f"UPDATE main.rows SET {_NOT_SENT} {_LEFT_OUT}")  # noqa: S608 - our own names and numbers
            self._file.execute_many(_RENEW, self._file.select(_REPLACING))
            if choice == "skip":
                self._file.execute_many(_ARCHIVE, list(self._file.select(_MAYBE_SENT)))
                _ = execute(_SKIP, self._clock.time(), run)
            elif choice == "send":
                for *renewed, known in self._file.select(_RENEWED):
                    _ = execute(_ARCHIVE, known)
                    _ = execute(_RENEW, *renewed, known)
            for name, value in about.items():
                _ = execute("INSERT OR REPLACE INTO main.about VALUES (?, ?)", name, value)
            _ = execute("DELETE FROM main.about WHERE name = ?", FINISHED)

    def _request(self, row: FileRow) -> RowRequest:
        digest = request_digest(*row.call.legs)
        return RowRequest(digest, row.call.repeatable, row.own_key, changed_key(self._batch, row.id, digest))

    def _sending(self, entry: Entry | None, request: RowRequest) -> "_Sending | None":
        # None if the row is not sent, or was in the last file: then it was compared with the rows that are gone.
        if entry is None or entry.state is State.INVALID:
            return _NEW
        left_out = entry.state is State.CHANGED
        if left_out and not self._again:
            return None
        if left_out and entry.key is None and entry.leg == 1:
            return _NEW
        if is_changed(entry, request):
            return _Sending(request.own_key or request.changed_key, renewed=True)
        if left_out or not (entry.in_file or entry.state in SETTLED_STATES):
            return _Sending(entry.key, entry.leg, renewed=left_out)
        return None

    def _add_fresh(self, rows: Sequence[tuple[FileRow, RowRequest, "_Sending"]]) -> None:
        found = [
            (row.id, row.line, request.digest, recipient_hashes(self._batch, *row.call.legs), *astuple(sending))
            for row, request, sending in rows
        ]
        self._file.execute_many(_ADD_FRESH, found)
        self._add_addressed((name, recipients) for name, _, _, recipients, *_ in found)

    def _add_addressed(self, rows: Iterable[tuple[str, bytes]]) -> None:
        self._file.execute_many(_ADD_ADDRESSED, ((one, name) for name, hashes in rows for one in split_hashes(hashes)))

    def _changed(
        self, row: FileRow, request: RowRequest, entry: Entry
    ) -> tuple[str, str, int, bytes, bytes, str | None, bool, bool]:
        recipients = recipient_hashes(self._batch, *row.call.legs)
        key = row.own_key or request.changed_key
        unknown, reused = entry.state in MAYBE_SENT, reuses_key(entry, request)
        return _variant(row, request), row.id, row.line, request.digest, recipients, key, unknown, reused

    def _find_changed(self) -> None:
        gone = self._file.select(f"{_OTHER_REQUEST} UNION ALL SELECT recipients, x'', state IN {MAYBE} {_GONE}")
        unhashed: set[int] = set()  # whether the outcomes of the rows that may have had any recipient are unknown
        with self._gathering():
            self._file.execute_many(_ADD_GONE, _gone_recipients(gone, unhashed))
            _ = self._file.execute(_ADD_UNKNOWN)
            if unhashed:
                _ = self._file.execute(_NEW_CHANGED.format(unknown="?", matching=""), max(unhashed))
            else:
                _ = self._file.execute(_NEW_CHANGED.format(unknown="max(unknown)", matching=_MATCHING))

    @contextmanager
    def _gathering(self) -> Iterator[None]:
        # One transaction of the tables of the comparison: of the journal, it only reads.
        _ = self._file.execute("BEGIN")
        yield
        _ = self._file.execute("COMMIT")


def _is_changed(entry: Entry, request: RowRequest) -> bool:
    # A row that was refused or not sent is sent with the new request, unless that has the key of the old one.
    if entry.state is State.CHANGED or not is_changed(entry, request):
        return False
    return entry.state in SENT or reuses_key(entry, request)


def _gone_recipients(
    rows: Iterable[tuple[bytes | None, bytes, int]], unhashed: set[int]
) -> Iterator[tuple[bytes, int]]:
    # Of rows that were sent, the recipients that they do not have any more; *unhashed* is filled.
    for before, now, unknown in rows:
        if before is None:
            unhashed.add(unknown)
        else:
            kept = {*split_hashes(now)}
            yield from ((one, unknown) for one in split_hashes(before) if one not in kept)


def _variant(row: FileRow, request: RowRequest) -> str:
    return changed_id(row.id, request.digest)


@contextmanager
def compare(path: str, *, batch: str, again: bool = False, clock: Clock = SYSTEM_CLOCK) -> Iterator[Comparison]:
    """Compare the rows of a file with the journal of *batch* at *path*, which is locked meanwhile.

    With *again*, rows that an earlier comparison left out are decided on once more.
    """
    file = open_existing(path)
    try:
        check_batch(file, batch)
        _attach(file)
        yield Comparison(file, batch, clock, again)
    finally:
        file.close()


def _attach(file: JournalFile) -> None:
    place = Path(file.path).absolute()
    try:
        number, name = mkstemp(".compared", f".{place.name}.", place.parent)
    except OSError as error:
        raise Unusable("unwritable", f"cannot write in {place.parent}: {error.strerror or error}") from None
    os.close(number)
    try:
        _ = file.execute("ATTACH ? AS compared", name)
        for statement in _SCHEMA.split(";"):
            _ = file.execute(statement)
    finally:
        with suppress(FileNotFoundError):
            Path(name).unlink()
