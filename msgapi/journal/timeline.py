"""Timeline: what each run of a batch has done over time, in a bounded number of buckets, and its slowest rows.

Rules:
- A run has at most `MOST_BUCKETS` buckets, `LEAST_WIDTH` seconds wide at first. When it outlasts them, they are merged
  in pairs and are twice as wide.
- What was recorded is written with the next transaction of the journal, so a killed run keeps what was committed.
- A row counts in the bucket in which it ended, and in each run in which it was sent. So the sums over all runs can
  be higher than the numbers of the rows.
- Rows are named by id, number and line. There is no recipient, no content and no text of the service.
- A journal of an earlier version has no such tables; it then has no runs to read.
"""

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from math import isfinite, log2
from typing import Any, Final, Literal, TypeAlias, final, get_args

from attrs import define, evolve, field, frozen

from ..results import ApiError, Ok, Result
from .mainfile import damaged
from .resumption import State
from .sqlite import JournalFile, Statement, read_amount, read_text

Cause: TypeAlias = Literal["rate_limit", "outage", "balance", "disk"]
"""What the rows of a batch wait for."""

CAUSES: Final[tuple[Cause, ...]] = get_args(Cause)
MOST_BUCKETS: Final = 240
LEAST_WIDTH: Final = 0.25  # seconds
MOST_SLOW: Final = 10  # slowest rows of a run
MOST_SAMPLES: Final = 5  # rows of a run that ended with one error
SLOTS: Final = 48
"""The number of counts in `RunHistory.answers`."""

_MOST_GROUPS: Final = 40  # errors with samples
_MOST_RUNS: Final = 100  # that are kept
_COUNTED: Final = (State.ACCEPTED, State.REFUSED, State.INVALID, State.UNKNOWN, State.NOT_SENT)
_PLACES: Final = {state: place for place, state in enumerate(_COUNTED)}
_ZERO: Final = Decimal(0)
_NUMBERS: Final = ("accepted", "refused", "invalid", "unknown", "not_sent")
_TABLES: Final = f"""
CREATE TABLE IF NOT EXISTS runs (
  run INTEGER PRIMARY KEY, began REAL NOT NULL, ended REAL NOT NULL, width REAL NOT NULL, ended_by TEXT,
  answers TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS buckets (
  run INTEGER NOT NULL, number INTEGER NOT NULL, {", ".join(f"{name} INTEGER NOT NULL" for name in _NUMBERS)},
  spend TEXT NOT NULL, {", ".join(f"{name} REAL NOT NULL" for name in CAUSES)}, PRIMARY KEY (run, number)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS notable (
  run INTEGER NOT NULL, id TEXT NOT NULL, slow INTEGER NOT NULL, at REAL NOT NULL, elapsed REAL NOT NULL,
  attempts INTEGER NOT NULL, kind TEXT NOT NULL, code TEXT NOT NULL, number INTEGER, line INTEGER,
  PRIMARY KEY (run, id)
) WITHOUT ROWID
"""
_NAMES: Final = ("runs", "buckets", "notable")
_HAS_TABLES: Final = (
    "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name IN ('runs', 'buckets', 'notable')"
)
_FORGET: Final = tuple(f"DELETE FROM {name} WHERE run <= ? AND run > 0" for name in _NAMES)  # noqa: S608 - our own names
_CLEAR: Final = {name: f"DELETE FROM {name} WHERE run = ?" for name in _NAMES}  # noqa: S608 - our own names
_RUN: Final = "INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?, ?)"
_BUCKET: Final = f"INSERT OR REPLACE INTO buckets VALUES ({', '.join('?' * (3 + len(_NUMBERS) + len(CAUSES)))})"  # noqa: S608 - question marks
_NOTABLE: Final = "INSERT OR REPLACE INTO notable VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_READ_RUNS: Final = "SELECT run, began, ended, width, ended_by, answers FROM runs ORDER BY run"
_READ_BUCKETS: Final = (
    f"SELECT number, {', '.join((*_NUMBERS, 'spend', *CAUSES))} FROM buckets WHERE run = ? ORDER BY number"  # noqa: S608 - our own names
)
_READ_NOTABLE: Final = (
    "SELECT id, slow, at, elapsed, attempts, kind, code, number, line FROM notable WHERE run = ?"
    " ORDER BY elapsed DESC, id"
)


@final
@frozen(kw_only=True)
class Bucket:
    """What happened in one interval of a run: rows by result, the cost of the accepted ones in EUR, and waits.

    *number* counts from 0 at the start of the run. *waits* are the seconds for which rows waited, in the order of
    `CAUSES`: never more than the interval has.
    """

    number: int
    accepted: int = 0
    refused: int = 0
    invalid: int = 0
    unknown: int = 0
    not_sent: int = 0
    spend: Decimal = _ZERO
    waits: tuple[float, ...] = (0.0,) * len(CAUSES)


@final
@define(kw_only=True)
class NotableRow:
    """A row that is worth a look: one of the slowest of its run if *is_slow*, or one of the first with its error.

    *at* is the Unix time at which it ended, *elapsed* the seconds of its last call with all waits and *attempts*.
    *kind* and *code* are those of its result. *number* and *line* say where it is in the input, if that is known.
    """

    id: str
    at: float
    elapsed: float
    attempts: int
    kind: str
    code: str = ""
    is_slow: bool = False
    number: int | None = None
    line: int | None = None


@final
@frozen(kw_only=True)
class RunHistory:
    """One run of a batch: when it *began* and *ended*, as Unix time, and what it has done over time.

    *ended* is when something was last recorded. *ended_by* is how it ended: `done`, the reason of a `batch.Stopped`,
    or None if the journal was not closed: the run was killed, or still sends. The *buckets* are *width* seconds wide;
    empty ones are left out. *answers* counts the answers by duration, see `slot_bound`. The *notable* rows come the
    slowest first. The run with the number 0 is that of a fleet.
    """

    number: int
    began: float
    ended: float
    width: float
    ended_by: str | None = None
    buckets: tuple[Bucket, ...] = ()
    answers: tuple[int, ...] = ()
    notable: tuple[NotableRow, ...] = ()


def slot_bound(slot: int) -> float:
    """Return the upper bound in seconds of the durations that are counted in *slot*: 1 ms, then 1.4 times as much."""
    return 0.001 * 2 ** (slot / 2)


def slot_of(seconds: float) -> int:
    """Return the slot in which a duration is counted."""
    if seconds < 0.001:  # noqa: PLR2004 - the bound of the first slot
        return 0
    return min(SLOTS - 1, 1 + int(2 * log2(1000 * seconds)))


@final
@define(eq=False, repr=False)
class _Counts:
    rows: list[int] = field(factory=lambda: [0] * len(_COUNTED))
    spend: Decimal = _ZERO
    waits: list[float] = field(factory=lambda: [0.0] * len(CAUSES))

    def add(self, other: "_Counts") -> None:
        self.rows = [one + two for one, two in zip(self.rows, other.rows, strict=True)]
        self.waits = [one + two for one, two in zip(self.waits, other.waits, strict=True)]
        self.spend += other.spend


@final
@define(eq=False, repr=False)
class Timeline:
    """Records the run with this *number* while it takes place; *time* returns the Unix time.

    A clock that is set back does not reorder anything: what happens then counts in the latest bucket.
    """

    number: int
    time: Callable[[], float]
    ended_by: str | None = None
    _began: float = field(init=False)
    _last: float = field(init=False)
    _width: float = field(default=LEAST_WIDTH, init=False)
    _until: float = field(init=False)
    _current: _Counts = field(factory=_Counts, init=False)
    _buckets: dict[int, _Counts] = field(init=False)
    _changed: set[int] = field(factory=set, init=False)
    _at: int = field(default=0, init=False)
    _anew: bool = field(default=True, init=False)  # all buckets are to be written
    _notable_changed: bool = field(default=False, init=False)
    _pending: bool = field(default=True, init=False)
    _covered: list[float] = field(init=False)  # until when the waits are recorded, by cause
    _answers: list[int] = field(factory=lambda: [0] * SLOTS, init=False)
    _slow: dict[str, NotableRow] = field(factory=dict, init=False)
    _least: float = field(default=-1.0, init=False)  # a row must be slower than this to be among the slowest
    _samples: dict[tuple[str, str], list[NotableRow]] = field(factory=dict, init=False)
    _by_id: dict[str, NotableRow] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        """Begin now."""
        self._began = self._last = self.time()
        self._until = self._began + self._width
        self._buckets = {0: self._current}
        self._covered = [self._began] * len(CAUSES)

    @property
    def is_pending(self) -> bool:
        """Whether something was recorded that `take` has not returned."""
        return self._pending

    @property
    def last(self) -> float:
        """The Unix time at which something was last recorded."""
        return self._last

    def add(self, row: str, state: State, result: Result[object]) -> None:
        """Record that the row with this id has ended in *state* with *result*."""
        now = self.time()
        if now >= self._until:
            self._advance(now)
        self._last = max(self._last, now)
        self._pending = True
        self._changed.add(self._at)
        self._current.rows[_PLACES[state]] += 1
        meta = result.meta
        if isinstance(result, Ok):
            self._current.spend += cost_of(result.value)
        else:
            self._add_sample(row, result, now)
        if meta.attempts:
            self._answers[slot_of(meta.elapsed)] += 1
            if meta.elapsed > self._least:
                self._add_slow(_notable(row, result, now))

    def add_wait(self, cause: Cause, seconds: float) -> None:
        """Record that rows have waited because of *cause* for the *seconds* until now.

        A time that was recorded for this cause before does not count twice.
        """
        now = self.time()
        place = CAUSES.index(cause)
        since = max(self._covered[place], now - seconds)
        if since >= now:
            return
        self._covered[place] = self._last = now
        if now >= self._until:
            self._advance(now)
        self._pending = True
        for number in range(self._number_of(since), self._at + 1):
            counts = self._buckets.setdefault(number, _Counts())
            begin, end = self._began + number * self._width, self._began + (number + 1) * self._width
            counts.waits[place] += max(0.0, min(end, now) - max(begin, since))
            self._changed.add(number)

    def locate(self, row: str, number: int, line: int) -> None:
        """Store where the row with this id is in the input, if it is one of the rows that are kept."""
        found = self._by_id.get(row)
        if found is not None and found.number is None:
            found.number, found.line = number, line
            self._notable_changed = self._pending = True

    def end(self, reason: str) -> None:
        """Record how the run ended: only the first *reason* counts."""
        if self.ended_by is None:
            self.ended_by, self._pending = reason, True

    def take(self) -> list[Statement]:
        """Return what is to be written now, as statements with their values."""
        if not self._pending:
            return []
        run, taken = self.number, list[Statement]()
        if self._anew:
            taken.append((_CLEAR["buckets"], [(run,)]))
        numbers = sorted(self._buckets if self._anew else self._changed)
        taken.append((_BUCKET, [self._row(number) for number in numbers]))
        if self._notable_changed:
            taken.append((_CLEAR["notable"], [(run,)]))
            taken.append((_NOTABLE, [_stored(run, row, is_slow=row.id in self._slow) for row in self._by_id.values()]))
        taken.append(
            (_RUN, [(run, self._began, self._last, self._width, self.ended_by, " ".join(map(str, self._answers)))])
        )
        self._changed, self._anew, self._notable_changed, self._pending = set(), False, False, False
        return taken

    def put_back(self) -> None:
        """Have the next `take` return everything: what the last one has returned could not be written."""
        self._anew = self._pending = True
        self._notable_changed = bool(self._by_id)

    def _row(self, number: int) -> tuple[object, ...]:
        counts = self._buckets[number]
        return self.number, number, *counts.rows, f"{counts.spend}", *counts.waits

    def _number_of(self, at: float) -> int:
        return max(0, int((at - self._began) / self._width))

    def _advance(self, now: float) -> None:
        while (number := self._number_of(now)) >= MOST_BUCKETS:
            merged: dict[int, _Counts] = {}
            for at, counts in sorted(self._buckets.items()):
                merged.setdefault(at // 2, _Counts()).add(counts)
            self._buckets, self._anew = merged, True
            self._width *= 2
        self._at = number
        self._current = self._buckets.setdefault(number, _Counts())
        self._until = self._began + (number + 1) * self._width

    def _add_slow(self, row: NotableRow) -> None:
        self._slow[row.id] = row
        self._keep(row)
        if len(self._slow) > MOST_SLOW:
            fastest = min(self._slow.values(), key=lambda one: one.elapsed)
            del self._slow[fastest.id]
            self._drop(fastest)
        if len(self._slow) == MOST_SLOW:
            self._least = min(one.elapsed for one in self._slow.values())

    def _add_sample(self, row: str, error: ApiError, now: float) -> None:
        samples = self._samples.get(group := (type(error).__name__, error.code))
        if samples is None:
            if len(self._samples) >= _MOST_GROUPS:
                return
            samples = self._samples[group] = []
        if len(samples) < MOST_SAMPLES:
            samples.append(sample := _notable(row, error, now))
            self._keep(sample)

    def _keep(self, row: NotableRow) -> None:
        before = self._by_id.get(row.id)
        if before is not None:
            row.number, row.line = before.number, before.line
        self._by_id[row.id] = row
        self._notable_changed = True

    def _drop(self, row: NotableRow) -> None:
        if not any(row.id == one.id for samples in self._samples.values() for one in samples):
            del self._by_id[row.id]


def _notable(row: str, result: Result[object], now: float) -> NotableRow:
    kind, code = kind_and_code(result)
    return NotableRow(id=row, at=now, elapsed=result.meta.elapsed, attempts=result.meta.attempts, kind=kind, code=code)


def _stored(run: int, row: NotableRow, *, is_slow: bool) -> tuple[object, ...]:
    where = row.number, row.line
    return run, row.id, int(is_slow), row.at, row.elapsed, row.attempts, row.kind, row.code, *where


def kind_and_code(result: Result[object]) -> tuple[str, str]:
    """Return the kind of *result* as it is stored, and its code; the code of an accepted row is empty."""
    return ("Accepted", "") if isinstance(result, Ok) else (type(result).__name__, result.code)


def cost_of(value: object) -> Decimal:
    """Return the cost of an accepted message in EUR: its price, or its hold if it has none; 0 if it has neither."""
    billing = getattr(value, "billing", None)
    price, hold = getattr(billing, "message_price", None), getattr(billing, "hold_amount", None)
    cost = hold if price is None else price
    return cost if isinstance(cost, Decimal) else _ZERO


def begin_timeline(file: JournalFile, time: Callable[[], float]) -> Timeline:
    """Return the timeline of the run that has just begun. What is kept of the oldest runs is deleted."""
    number = file.run
    with file.transaction():
        _create_tables(file)
        for forget in _FORGET:
            _ = file.execute(forget, number - _MOST_RUNS)
    return Timeline(number, time)


def _create_tables(file: JournalFile) -> None:
    for table in _TABLES.split(";"):
        _ = file.execute(table)


def write_history(file: JournalFile, history: RunHistory) -> None:
    """Write a whole run, in place of one with its number."""
    run = history.number
    with file.transaction():
        _create_tables(file)
        for clear in _CLEAR.values():
            _ = file.execute(clear, run)
        answers = " ".join(map(str, history.answers))
        _ = file.execute(_RUN, run, history.began, history.ended, history.width, history.ended_by, answers)
        for one in history.buckets:
            counts = (getattr(one, name) for name in _NUMBERS)
            _ = file.execute(_BUCKET, run, one.number, *counts, f"{one.spend}", *one.waits)
        for row in history.notable:
            _ = file.execute(_NOTABLE, *_stored(run, row, is_slow=row.is_slow))


def read_histories(file: JournalFile) -> tuple[RunHistory, ...]:
    """Return the runs of *file*, in the order in which they began; none if an earlier version has written it."""
    ((tables,),) = file.select(_HAS_TABLES)
    if tables != len(_NAMES):
        return ()
    return tuple(_read_run(file, row) for row in list(file.select(_READ_RUNS)))


def _read_run(file: JournalFile, row: Sequence[Any]) -> RunHistory:
    path = file.path
    run, began, ended, width, ended_by, answers = row
    _check_numbers(path, (began, ended, width), float)
    counts = str(answers).split()
    if not isinstance(run, int) or width < LEAST_WIDTH or not all(map(str.isdecimal, counts)):
        raise damaged(path)
    buckets = tuple(_read_bucket(path, one) for one in file.select(_READ_BUCKETS, run))
    notable = tuple(_read_notable(path, one) for one in file.select(_READ_NOTABLE, run))
    return RunHistory(
        number=run,
        began=began,
        ended=ended,
        width=width,
        ended_by=read_text(path, ended_by),
        buckets=buckets,
        answers=tuple(map(int, counts[:SLOTS])),
        notable=notable,
    )


def _read_bucket(path: str, row: Sequence[Any]) -> Bucket:
    at = 1 + len(_NUMBERS)
    _check_numbers(path, row[:at], int)
    _check_numbers(path, row[at + 1 :], float)
    spend = read_amount(path, row[at]) or _ZERO
    counts = dict(zip(_NUMBERS, row[1:at], strict=True))
    return Bucket(number=row[0], spend=spend, waits=tuple(row[at + 1 :]), **counts)


def _read_notable(path: str, row: Sequence[Any]) -> NotableRow:
    name, slow, at, elapsed, attempts, kind, code, number, line = row
    _check_numbers(path, (at, elapsed), float)
    _check_numbers(path, (slow, attempts, number or 0, line or 0), int)
    if not all(isinstance(one, str) for one in (name, kind, code)):
        raise damaged(path)
    found = NotableRow(id=name, at=at, elapsed=elapsed, attempts=attempts, kind=kind, code=code, is_slow=bool(slow))
    return evolve(found, number=number, line=line)


def _check_numbers(path: str, values: Iterable[object], kind: type[int | float]) -> None:
    # A number that is not of its type, is not finite or is negative was not written by a journal.
    for value in values:
        if not isinstance(value, kind) or not isfinite(value) or value < 0:
            raise damaged(path)
