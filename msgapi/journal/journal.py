"""Journal: which rows of a batch were started, and how each ended.

Rules:
- A row is recorded as started before its request is sent: `begin` returns when that is on the disk.
- Its result is written within 50 ms, or with the next rows that begin. If a crash loses a result, the row is sent
  again under its previous key, which the service knows.
- A row that was begun and never sent is released; it is then as if it had never been begun.
- The next leg of a fallback is recorded before it leaves: `advance` returns when that is on the disk. A row that has a
  later leg on record is never sent from an earlier one.
"""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Final, Literal, TypeVar, final

import anyio
import anyio.to_thread
from attrs import define, evolve, field, frozen

from ..clock import SYSTEM_CLOCK, Clock, sleep_unobserved
from ..fallback import AnyCall
from ..results import Result
from ..version import VERSION
from .mainfile import Unusable, damaged
from .opening import check_batch, check_complete, create, open_existing, open_in_place, open_to_read_copy
from .report import Count, JournalRow, Summary, count_result, read_rows, read_rows_by_id, read_samples, summarise
from .resumption import (
    REPEATED_ROW,
    SETTLED,
    UNKNOWN,
    Entry,
    ResumeRules,
    RowRequest,
    Send,
    State,
    Verdict,
    changed_key,
    content_id,
    key_of,
    new_send,
    recipient_hashes,
    request_digest,
    state_of,
    stored_result,
)
from .sqlite import LOST_SINCE, MERGED_AT, AdvancedRow, JournalFile, RowResults, SettledRow, StartedRow, read_time
from .timeline import Cause, RunHistory, Timeline, begin_timeline, read_histories

T = TypeVar("T")
_DELAY: Final = 0.05  # seconds for which results are gathered before they are written
_IDLE: Final = 5.0  # seconds after which waits are written although no row ends


@final
@define(eq=False, repr=False)
class Journal:
    """The record of the rows of a batch. Made by `journal.open`, and usable only inside its `async with`.

    *has_accepted* is whether a row was accepted in an earlier run.
    """

    batch: str
    path: str
    _file: JournalFile
    _clock: Clock
    _rules: ResumeRules
    _own_keys: bool
    _timeline: Timeline
    has_accepted: bool = False
    _in_flight: dict[str, bool] = field(factory=dict, init=False)
    _renewed: set[str] = field(factory=set, init=False)
    _legs: dict[str, int] = field(factory=dict, init=False)
    _advanced: dict[str, AdvancedRow] = field(factory=dict, init=False)
    _settled: list[SettledRow] = field(factory=list, init=False)
    _invalid: list[tuple[object, ...]] = field(factory=list, init=False)
    _released: list[tuple[str]] = field(factory=list, init=False)
    _kept: list[tuple[str]] = field(factory=list, init=False)
    _about: list[tuple[str, str]] = field(factory=list, init=False)
    _lock: anyio.Lock = field(factory=lambda: anyio.Lock(fast_acquire=True), init=False)
    _due: anyio.Event = field(factory=anyio.Event, init=False)
    _write_began: float | None = field(default=None, init=False)
    _waits_written: float = field(default=0.0, init=False)

    @property
    def writing_for(self) -> float:
        """The seconds that the write under way has taken so far; 0.0 if there is none. Rows wait for it."""
        return 0.0 if self._write_began is None else self._clock.now() - self._write_began

    @property
    def is_complete(self) -> bool:
        """Whether a row or leg that the journal lacks was certainly not sent; see *incomplete* of `open`."""
        return self._rules.is_complete

    @property
    def earlier_refusals(self) -> Mapping[tuple[str, str], int]:
        """No refusals: those of an earlier run do not count, since their reason may be gone."""
        return {}

    def __repr__(self) -> str:
        """Show the path and the batch."""
        return f"Journal({self.path}, batch={self.batch})"

    def key(self, row: str) -> str:
        """Return the idempotency key of the row with this id: a UUID that is always the same."""
        return key_of(self.batch, row)

    def row_id(self, call: AnyCall[T]) -> str:
        """Return the id of a *call* that was given none: its own key, if calls keep theirs, else from its content.

        From then on a row that is begun twice while the journal is open is repeated, also if it was settled meanwhile.
        """
        self._rules = evolve(self._rules, run=self._timeline.number)
        own = call.idempotency_key if self._own_keys else None
        return content_id(request_digest(*call.legs)) if own is None else own

    async def begin(self, rows: Sequence[tuple[str, AnyCall[T]]]) -> list[Verdict]:
        """Record that *rows*, pairs of id and call, are about to be sent; return a verdict for each.

        The record is on the disk when this returns. If it cannot be written, `Unusable` is raised and none of *rows*
        is begun.
        """
        async with self._lock:
            now = self._clock.time()
            fresh = {row: call for row, call in reversed(rows) if row not in self._in_flight}  # the first of each id
            starts = [self._start(row, call, now) for row, call in fresh.items()]
            judged: dict[str, Verdict] = {
                row: new_send(self._key(row, call), maybe_sent=False, started=now) for row, call in fresh.items()
            }
            unsure = self._rules.is_outdated(now) or not self._rules.is_complete
            if not await self._write(() if unsure else starts) or unsure:
                judged = await self._judge_again(starts, fresh, now)
            verdicts: list[Verdict] = []
            for row, call in rows:
                first = fresh.get(row) is call
                verdict = judged.pop(row, REPEATED_ROW) if first else REPEATED_ROW
                if isinstance(verdict, Send):
                    self._in_flight[row] = verdict.maybe_sent
                    if verdict.leg > 1:
                        self._legs[row] = verdict.leg
                verdicts.append(verdict)
            return verdicts

    async def advance(self, row: str, leg: int) -> bool:
        """Record that the service has refused the legs of *row* before *leg*, and that this one is about to be sent.

        Return True once the record is on the disk. If it cannot be written, `Unusable` is raised, and the leg must not
        be sent.
        """
        self._in_flight[row] = not self.is_complete
        self._legs[row] = leg
        self._advanced[row] = AdvancedRow(leg, self._rules.leg_since(self._clock.time()), row)
        async with self._lock:
            was_written = row not in self._advanced  # with another row that has just advanced
            return was_written or await self._write(())

    def settle(self, row: str, result: Result[object]) -> None:
        """Record the result of a row that was begun."""
        maybe_sent = self._in_flight.pop(row)
        self._renewed.discard(row)
        leg, state = self._legs.pop(row, 1), state_of(result, maybe_sent=maybe_sent)
        self._settled.append((leg, state, *stored_result(result), row))
        self._timeline.add(row, state, result)
        self._due.set()

    def describe(self, name: str, value: str) -> None:
        """Store *value* under *name* in the `about` of the journal: before the next row that begins is sent."""
        self._about.append((name, value))

    def add_wait(self, cause: Cause, seconds: float) -> None:
        """Record for reports that rows have waited because of *cause* for the *seconds* until now.

        Times that overlap for one cause count once, so it may be called for each row that has waited.
        """
        self._timeline.add_wait(cause, seconds)
        if (now := self._clock.now()) - self._waits_written >= _IDLE:
            self._waits_written = now
            self._due.set()

    def locate(self, row: str, number: int, line: int) -> None:
        """Store the *number* of a row with a result and its *line* in the input, if reports name the row."""
        self._timeline.locate(row, number, line)

    def end_run(self, reason: str) -> None:
        """Record for reports how this run ends: `done`, or the reason of a `batch.Stopped`. Only the first counts."""
        self._timeline.end(reason)

    def note(self, row: str, call: AnyCall[object], result: Result[object]) -> None:
        """Record that a row is invalid and was not sent; once corrected, it counts as a new row."""
        if row not in self._in_flight:
            self._invalid.append((row, request_digest(*call.legs), self._clock.time(), *stored_result(result)))
            self._timeline.add(row, State.INVALID, result)
            self._due.set()

    def unwritten(self) -> tuple[Count, ...]:
        """Return the results of begun rows that could not be written, counted; these rows are sent again."""
        return tuple(count_result(*settled) for settled in self._settled)

    def release(self, row: str) -> None:
        """Record that a row that was begun has not been sent.

        If it has a key for a changed request, it keeps it; if an earlier leg was refused, it stays at its leg.
        """
        keeps = (row in self._renewed) | (self._legs.pop(row, 1) > 1)
        if not self._in_flight.pop(row):
            (self._kept if keeps else self._released).append((row,))
        self._renewed.discard(row)

    async def keep(self) -> None:
        """Write what was recorded, shortly after it was; run until cancelled."""
        while True:
            await self._due.wait()
            await sleep_unobserved(self._clock, _DELAY)
            await self.flush()

    async def mark_finished(self) -> None:
        """Record that the source has ended, and all of its rows were settled; see `JournalReader.finished`."""
        await self.flush()
        async with self._lock:
            await anyio.to_thread.run_sync(self._file.mark_finished, self._clock.time())

    async def flush(self) -> None:
        """Write what was recorded; it is on the disk when this returns."""
        async with self._lock:
            self._due = anyio.Event()
            _ = await self._write(())

    async def confirm_complete(self) -> None:
        """Record that every row of the input has begun in this run: a row that the journal lacks was never sent.

        Call it at the end of the input. It matters after a run whose records were lost (*incomplete* of `open`).
        """
        await self.flush()
        if not self._rules.is_complete:
            await anyio.to_thread.run_sync(self._file.clear_about, LOST_SINCE)
            self._rules = evolve(self._rules, lost_since=None)

    async def _write(self, starts: Sequence[StartedRow]) -> bool:
        advanced, self._advanced = self._advanced, {}
        settled, self._settled = self._settled, []
        invalid, self._invalid = self._invalid, []
        released, self._released = self._released, []
        kept, self._kept = self._kept, []
        about, self._about = self._about, []
        if not (starts or advanced or settled or invalid or released or kept or about or self._timeline.is_pending):
            return True
        more = self._timeline.take()
        results = RowResults(settled, invalid, released, kept, [*advanced.values()], about, more)
        self._write_began = self._clock.now()
        try:
            return await anyio.to_thread.run_sync(self._file.write, starts, results)
        except BaseException:  # not written, so it still has to be
            self._advanced = advanced | self._advanced
            self._settled[:0], self._invalid[:0] = settled, invalid
            self._released[:0], self._kept[:0], self._about[:0] = released, kept, about
            self._timeline.put_back()
            raise
        finally:
            self._write_began = None

    async def _judge_again(
        self, starts: Sequence[StartedRow], calls: Mapping[str, AnyCall[T]], now: float
    ) -> dict[str, Verdict]:
        found = await anyio.to_thread.run_sync(self._file.find, [start.id for start in starts])
        verdicts: dict[str, Verdict] = {}
        again: list[StartedRow] = []
        for start in starts:
            row, call = start.id, calls[start.id]
            new = Send(self._key(row, call), maybe_sent=False, started=now)
            changed = changed_key(self.batch, row, start.digest)
            request = RowRequest(start.digest, call.repeatable, start.key, changed if new.key is not None else None)
            verdict = self._rules.judge(self._known(row, found.get(row)), new, request)
            if isinstance(verdict, Send):
                if verdict.leg > len(call.legs):  # the digest of these legs is that of the row
                    raise damaged(self.path)
                own = None if verdict.key == self.key(row) else verdict.key
                if verdict.key == changed:
                    self._renewed.add(row)
                again.append(start._replace(started=verdict.started, key=own, leg=verdict.leg))
            elif row not in found and verdict is not SETTLED and verdict.code == UNKNOWN:
                again.append(start._replace(started=self._rules.lost_since or now))
            verdicts[row] = verdict
        await anyio.to_thread.run_sync(self._file.restart, again)
        return verdicts

    def _start(self, row: str, call: AnyCall[T], now: float) -> StartedRow:
        recipients = recipient_hashes(self.batch, *call.legs)
        return StartedRow(row, request_digest(*call.legs), now, self._own(row, call), recipients, self._timeline.number)

    def _known(self, row: str, entry: Entry | None) -> Entry | None:
        if entry is None or self._own_keys:
            return None if entry is None else with_own_key(self.batch, row, entry)
        return evolve(entry, own_key=None)

    def _key(self, row: str, call: AnyCall[T]) -> str | None:
        own = call.idempotency_key
        return own if own is None or self._own_keys else self.key(row)

    def _own(self, row: str, call: AnyCall[T]) -> str | None:
        return call.idempotency_key if self._own_keys and call.idempotency_key != self.key(row) else None


def with_own_key(batch: str, row: str, entry: Entry) -> Entry:
    """Return the *entry* of a row without an own key if its key was derived for a changed request."""
    derived = entry.key is not None and entry.key == changed_key(batch, row, entry.digest)
    return evolve(entry, own_key=None) if derived else entry


REMEMBERED: Final = 23 * 3600.0
"""How many seconds the service is assumed to remember a key; it documents 24 hours, and nothing for messages."""


@asynccontextmanager
async def open(  # noqa: A001 - read as `journal.open`
    path: str,
    *,
    batch: str,
    about: Mapping[str, str] | None = None,
    remembered: float = REMEMBERED,
    unknown: Literal["report", "resend"] = "report",
    incomplete: Literal["continue", "refuse"] = "continue",
    keys: Literal["derived", "own"] = "derived",
    clock: Clock = SYSTEM_CLOCK,
) -> AsyncIterator[Journal]:
    """Open the journal of one *batch* at *path*, or create it there; for `batch.send(journal=...)`.

    Args:
        path: The file. One that is not the journal of this batch, is empty, damaged, or in use by another program, is
            `Unusable`; so is a name that SQLite does not keep, such as `:memory:`.
        batch: The name of the batch, the same in each run. With the id of a row it makes the idempotency key, so two
            batches with one name would be taken for one.
        about: Stored in the journal, for its readers.
        remembered: How many seconds after a row was first sent its key is relied on. A row that was begun and whose
            outcome is unknown is sent again under its key within this time. The service does not document how long it
            remembers the key of a message (docs: /api/conventions); it documents 24 hours elsewhere (/api/campaigns).
        unknown: What happens to such a row later: `report` yields an `Unanswered` with the code `outcome_unknown`;
            `resend` sends it, for users who have checked and decided.
        incomplete: What happens if the last program did not close the journal, and the `-wal` file next to it is
            missing or of another journal, so that rows may have been sent that the journal lacks: `continue` treats
            every row that is not settled as one with an unknown outcome, first sent when the journal was last opened,
            until `Journal.confirm_complete`; `refuse` raises `Unusable`. Give `refuse` if the input may have changed.
        keys: `derived` makes the key of each row from the names of batch and row; `own` keeps the key of each call,
            which then must be the same in each run.
        clock: The clock.

    A journal that was merged from a fleet is relied on for the same time, since the workers may have sent more
    afterwards. Later, rows that are not settled in it have the code `journal_outdated`; merging again starts the time
    anew.

    A journal holds the ids of the rows and what the service responded. Of each recipient it holds 8 bytes of a hash,
    keyed by the name of the batch: a pseudonym. Only its owner can read it.
    """
    opening = partial(_open_file, path, batch, dict(about or {}), clock, refuse=incomplete == "refuse")
    file, merged, accepted, timeline = await anyio.to_thread.run_sync(opening)
    rules = ResumeRules(remembered, unknown == "resend", merged, file.lost_since)
    journal = Journal(batch, path, file, clock, rules, keys == "own", timeline, accepted)
    try:
        yield journal
    except BaseException as error:
        if not file.is_inherited:
            await _end(journal, file, error)
        raise
    if not file.is_inherited:  # a forked child has no worker threads, and leaves the file alone
        await _end(journal, file, None)


async def _end(journal: Journal, file: JournalFile, error: BaseException | None) -> None:
    with anyio.CancelScope(shield=True):
        journal.end_run("ended" if error is None else "exception")
        try:
            await journal.flush()
        except Unusable as lost:  # no harm: those rows are sent again under their keys
            if error is None:
                raise
            error.add_note(f"msgapi: the last outcomes are not in the journal: {lost}")
        finally:
            await anyio.to_thread.run_sync(file.close)


def _open_file(
    path: str, batch: str, about: dict[str, str], clock: Clock, *, refuse: bool
) -> tuple[JournalFile, float | None, bool, Timeline]:
    try:
        file = open_existing(path)
    except Unusable as error:
        if error.reason != "missing":
            raise
        create(path, {"batch": batch, "version": VERSION} | about)
        file = open_existing(path)
    try:
        check_batch(file, batch)
        if refuse:
            check_complete(path, file.lost_since)
        file.begin_opening(clock.time())
        stored = file.about()
        file.begin_run()
        timeline = begin_timeline(file, clock.time)
        return file, read_time(path, stored, MERGED_AT), file.has(State.ACCEPTED), timeline
    except BaseException:
        file.close()
        raise


@final
@frozen(eq=False)
class JournalReader:
    """A journal that is only read. Made by `open_readonly`.

    *is_in_use* is whether another program writes to the journal, so that the reader has a copy of it.
    """

    _file: JournalFile
    is_in_use: bool = False

    @property
    def about(self) -> Mapping[str, str]:
        """The name of its batch as `batch`, and the *about* that `open` was given."""
        return self._file.about()

    @property
    def merged_at(self) -> float | None:
        """The Unix time at which the journal was last merged from a fleet; None if never."""
        return read_time(self._file.path, self.about, MERGED_AT)

    @property
    def lost_since(self) -> float | None:
        """The Unix time since which rows may have been sent that the journal lacks; None if it has them all."""
        return self._file.lost_since

    @property
    def run_count(self) -> int:
        """The number of runs so far; 0 if the journal was only merged from a fleet."""
        return self._file.run

    def summary(self) -> Summary:
        """Return the numbers of rows and the costs, by result."""
        return summarise(self._file)

    def runs(self) -> tuple[RunHistory, ...]:
        """Return what the last 100 runs have done over time, the earliest first.

        A run of an earlier version of this package is missing. What the workers of a fleet have done is run 0.
        """
        return read_histories(self._file)

    def rows(self, state: State | None = None) -> Iterator[JournalRow]:
        """Yield the rows in the order of their ids; only those in *state*, if one is given."""
        return read_rows(self._file, state)

    def samples(self, state: State, kind: str | None, code: str | None, most: int = 5) -> list[JournalRow]:
        """Return at most *most* rows that the file of the batch has, in *state* and with this *kind* and *code*."""
        return read_samples(self._file, state, kind, code, most)

    def rows_by_id(self, ids: Sequence[str]) -> Mapping[str, JournalRow]:
        """Return the rows with these *ids*, by id; ids that were never begun are left out."""
        return read_rows_by_id(self._file, ids)


@contextmanager
def open_readonly(path: str, *, in_use: Literal["refuse", "copy"] = "refuse") -> Iterator[JournalReader]:
    """Open the journal at *path* for a report. If it is damaged, it is `Unusable`.

    While another program writes to it, it is `Unusable` too; with *in_use* `copy`, a copy of what is committed so far
    is read instead, and `JournalReader.is_in_use` is True. The copy is a file for temporary files, readable by its
    owner only, and is deleted at exit. Nothing is written to the journal, so it can be on a read-only disk.
    """
    with open_to_read_copy(path) if in_use == "copy" else open_in_place(path) as (file, copied):
        yield JournalReader(file, copied)
