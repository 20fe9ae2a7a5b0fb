"""The journal of one chunk: implements the batch journal protocol on a fleet record.

Rules:
- All rows that are about to be sent are recorded as started before the first one leaves.
- The results are written at the end, merged into what the record says by then: another worker may have had the chunk as
  well. Its results are kept, and rows that it may still be sending keep an unknown outcome.
- The next leg of a fallback is recorded before it leaves. Once another worker has begun the chunk, no further leg of it
  is sent by this one: the other may have the first leg accepted.
- A chunk that was begun again and again without ever being finished is not begun once more. An attempt that ended
  because of answers that are not the service's is excused; the tenth in a row stops the chunk.
- A local batch can be resumed with the collected journal, and what it sends is not recorded on the fleet. It sends
  under the same keys. While the service surely remembers those, it is harmless that a worker sends a row as well. After
  that the outcome of the row is unknown, and the user decides.
"""

from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final, TypeVar, cast, final

import anyio
from attrs import define, evolve, field, frozen

from ..batch import Stopped
from ..batch.stops import FOREIGN_LIMIT
from ..clock import SYSTEM_CLOCK, Clock
from ..codec import Problems
from ..fallback import AnyCall
from ..journal import REMEMBERED, Send, State, Verdict, key_of
from ..journal.resumption import (
    COLUMNS,
    MAYBE_SENT,
    REPEATED_ROW,
    Entry,
    ResumeRules,
    RowRequest,
    changed_key,
    content_id,
    request_digest,
    state_of,
    stored_result,
)
from ..results import ApiError, Invalid, Ok, Result
from .backend import RecordStore
from .chunk import (
    Chunk,
    ChunkDocument,
    ChunkRecord,
    ChunkRow,
    ChunkTiming,
    InvalidChunk,
    RowRecord,
    load_record,
    merge_row,
)
from .timings import AttemptTimer

NAME: Final = "journal"
"""The name of the document that holds the time of the first collection."""

ACCEPTED: Final = "accepted"
"""The name of the document that exists once a row of the batch was accepted."""


async def record_takeover(records: RecordStore, batch: str, now: float) -> None:
    """Record that a journal of *batch* is collected at the Unix time *now*; do nothing if one was collected before."""
    _ = await records.write(batch, NAME, f"{now}".encode(), 0)


async def takeover_time(records: RecordStore, chunk: Chunk, now: float) -> float | None:
    """Return the Unix time from which a local batch may have sent the rows of *chunk*.

    Return None if there was no takeover, or if at the Unix time *now* the service still remembers the keys.
    """
    if now - chunk.created_at <= REMEMBERED:
        return None
    value, _ = await records.read(chunk.batch, NAME)
    at = now if value is None else float(value)
    return at if now - at > REMEMBERED else None


@final
@frozen(kw_only=True)
class EarlierRows:
    """What is recorded of a batch: whether a row was *accepted*, and if not, the *refusals* by type and code."""

    accepted: bool
    refusals: Mapping[tuple[str, str], int] = field(factory=dict)


async def read_earlier_rows(records: RecordStore, batch: str) -> EarlierRows:
    """Return what is recorded of *batch*. All records are read as long as no row was accepted, and else one."""
    value, _ = await records.read(batch, ACCEPTED)
    if value is not None:
        return EarlierRows(accepted=True)
    refusals = Counter[tuple[str, str]]()
    async with aclosing(cast("AsyncGenerator[tuple[str, bytes]]", records.scan(batch))) as documents:
        async for _, document in documents:
            record = load_record(document)
            if not isinstance(record, Problems):  # other documents are no records
                if any(row.state == State.ACCEPTED.value for row in record.rows):
                    await record_accepted(records, batch)
                    return EarlierRows(accepted=True)
                refused = (row for row in record.rows if row.state == State.REFUSED.value)
                refusals.update((row.kind or "", row.code or "") for row in refused)
    return EarlierRows(accepted=False, refusals=refusals)


async def record_accepted(records: RecordStore, batch: str) -> None:
    """Record that a row of *batch* was accepted. May be repeated."""
    _ = await records.write(batch, ACCEPTED, b"1", 0)


T = TypeVar("T")
MAX_ATTEMPTS: Final = 5
"""How often a chunk is begun without being finished, excused attempts not counted; then it is buried."""

_MOST_TIMINGS: Final = 5  # attempts of a chunk whose timings are kept
_UNSETTLED: Final = frozenset({State.STARTED.value, State.NOT_SENT.value, State.UNKNOWN.value})
_NEVER_SENT: Final = frozenset({State.NOT_SENT.value, State.INVALID.value})
_TERMS: Final = ResumeRules(REMEMBERED, resend=False)
_UNREADABLE: Final = InvalidChunk("its record cannot be read: it is damaged, or of a later version of msgapi-sdk")
_ENDLESS: Final = InvalidChunk(
    f"it was begun {MAX_ATTEMPTS} times and never finished: it ends its workers, or rows never settle"
)


@final
@frozen(eq=False, repr=False)
class ChunkPlan:
    """What is to happen to each row of a chunk, by its id, as decided at the Unix time *now*.

    *prior* is what the record says of the rows, *verdicts* the decision for each row that can be sent, *started* the
    new record of each row that may be sent now, and *invalid* that of each row that is invalid.
    """

    now: float
    prior: Mapping[str, RowRecord]
    verdicts: Mapping[str, Verdict]
    started: Mapping[str, RowRecord]
    invalid: Mapping[str, RowRecord]

    @property
    def rows(self) -> tuple[RowRecord, ...]:
        """The rows of the record as written before the first row leaves."""
        return tuple({**self.prior, **self.invalid, **self.started}.values())


def plan_chunk(chunk: Chunk, record: ChunkRecord, now: float, *, takeover: float | None = None) -> ChunkPlan:
    """Decide what is to happen to the rows of *chunk*, by its *record*, at the Unix time *now*.

    From the Unix time *takeover* on, a local batch may have sent the rows that are not settled.
    """
    prior = {row.id: row for row in record.rows}
    sendable = {row.id: row for row in reversed(chunk.rows) if row.invalid is None}  # of two with one id, the first
    if takeover is not None:
        prior |= {name: _taken_over(chunk.batch, row, prior.get(name), takeover) for name, row in sendable.items()}
    verdicts = {name: _judge(chunk.batch, row, prior.get(name), now) for name, row in reversed(sendable.items())}
    started = {
        name: _started(chunk.batch, sendable[name], verdict)
        for name, verdict in verdicts.items()
        if isinstance(verdict, Send)
    }
    invalid = {
        row.id: _invalid(row, row.invalid, prior.get(row.id), now)
        for row in chunk.rows
        if row.invalid is not None and _never_begun(prior.get(row.id))
    }
    return ChunkPlan(now, prior, verdicts, started, invalid)


def _never_begun(prior: RowRecord | None) -> bool:
    # Once a row was begun under an id, its record is kept.
    return prior is None or prior.state == State.INVALID.value


def _judge(batch: str, row: ChunkRow, prior: RowRecord | None, now: float) -> Verdict:
    call = row.call.under(row.key or key_of(batch, row.id))
    new = Send(call.idempotency_key, maybe_sent=False, started=now)
    if prior is None:
        return new
    entry = Entry(bytes.fromhex(prior.request_hash), State(prior.state), prior.started, prior.key, prior.key)
    entry = evolve(entry, leg=prior.leg)
    digest = request_digest(*call.legs)
    own_key = None if row.key == key_of(batch, row.id) else row.key
    request = RowRequest(digest, call.repeatable, own_key, changed_key(batch, row.id, digest))
    return _TERMS.judge(entry, new, request)


def _taken_over(batch: str, row: ChunkRow, prior: RowRecord | None, since: float) -> RowRecord:
    if prior is None or prior.state in _NEVER_SENT:
        leg = 1 if prior is None else prior.leg
        return _started(batch, row, Send(row.key or key_of(batch, row.id), maybe_sent=True, started=since, leg=leg))
    return evolve(prior, started=min(prior.started, since)) if prior.state in MAYBE_SENT else prior


def _started(batch: str, row: ChunkRow, go: Send) -> RowRecord:
    own_key = None if go.key == key_of(batch, row.id) else go.key
    request_hash = request_digest(*row.call.legs).hex()
    return RowRecord(id=row.id, request_hash=request_hash, started=go.started, key=own_key, leg=go.leg)


def _invalid(row: ChunkRow, error: Invalid, prior: RowRecord | None, now: float) -> RowRecord:
    since = now if prior is None else prior.started
    return RowRecord(
        id=row.id,
        request_hash=request_digest(*row.call.legs).hex(),
        state=State.INVALID.value,
        started=since,
        **_result_fields(error),
    )


def _result_fields(result: Result[Any]) -> dict[str, Any]:
    return dict(zip(COLUMNS, stored_result(result), strict=True))


@final
@define(eq=False, repr=False)
class ChunkJournal:
    """A `batch.Book` for the rows of one chunk.

    `begin_chunk` makes it, after recording the rows that are about to be sent; `close` writes the results.
    """

    _document: ChunkDocument
    _plan: ChunkPlan
    _attempt: int
    _earlier: EarlierRows
    _foreign: int
    _clock: Clock = SYSTEM_CLOCK
    _timer: AttemptTimer = field(init=False)
    _started: dict[str, RowRecord] = field(init=False)
    _advancing: dict[str, int] = field(factory=dict, init=False)
    _advanced: set[str] = field(factory=set, init=False)
    _is_superseded: bool = field(default=False, init=False)
    _lock: anyio.Lock = field(factory=anyio.Lock, init=False)
    _foreign_error: ApiError | None = field(default=None, init=False)
    _accepted: bool = field(default=False, init=False)
    _seen: set[str] = field(factory=set, init=False)
    _in_flight: set[str] = field(factory=set, init=False)
    _results: dict[str, RowRecord] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        """Begin with the rows as they were recorded."""
        self._started = dict(self._plan.started)
        self._timer = AttemptTimer(self._attempt, self._plan.now)

    @property
    def has_accepted(self) -> bool:
        """Whether a row of the batch was accepted before."""
        return self._earlier.accepted

    @property
    def is_complete(self) -> bool:
        """True: a leg is in the record before it is sent."""
        return True

    @property
    def accepted(self) -> bool:
        """Whether a row of the chunk was accepted since it was begun."""
        return self._accepted

    @property
    def earlier_refusals(self) -> Mapping[tuple[str, str], int]:
        """The refusals of the batch before, by type and code, if no row was accepted."""
        return self._earlier.refusals

    @property
    def foreign_stop(self) -> Stopped | None:
        """Why the chunk stops if the last answers, those of earlier attempts included, are not the service's."""
        return Stopped("foreign", self._foreign_error) if self._foreign >= FOREIGN_LIMIT else None

    @property
    def started_at(self) -> float:
        """The Unix time at which the chunk was begun."""
        return self._plan.now

    def row_id(self, call: AnyCall[T]) -> str:
        """Return the id of a *call* that was given none; the rows of a chunk have ids."""
        return content_id(request_digest(*call.legs))

    async def begin(self, rows: Sequence[tuple[str, AnyCall[T]]]) -> list[Verdict]:
        """Return for each of *rows* whether it may be sent; nothing is written, as `begin_chunk` has done so."""
        return [self._verdict(row) for row, _ in rows]

    async def advance(self, row: str, leg: int) -> bool:
        """Record that the service has refused the legs of *row* before *leg*, and that this one is about to be sent.

        Return False if another worker has begun the chunk: then the leg must not be sent. Raise `Unreachable`.
        """
        self._advancing[row] = leg
        async with self._lock:
            if row in self._advancing:  # otherwise it was written with another row that has just advanced
                await self._write_legs()
        return not self._is_superseded

    def settle(self, row: str, result: Result[object]) -> None:
        """Keep the result of a row that was begun; `close` writes it."""
        self._in_flight.discard(row)
        self._accepted |= isinstance(result, Ok)
        if isinstance(result, Ok) or result.from_service:
            self._foreign, self._foreign_error = 0, None
        elif result.scope == "foreign":
            self._foreign, self._foreign_error = self._foreign + 1, result
        started, go = self._started[row], self._plan.verdicts[row]
        maybe_sent = isinstance(go, Send) and go.maybe_sent and row not in self._advanced
        state = state_of(result, maybe_sent=maybe_sent)
        self._results[row] = evolve(started, state=state.value, **_result_fields(result))
        self._timer.add(row, state, result, self._clock.time())

    def note(self, row: str, call: AnyCall[object], result: Result[object]) -> None:
        """Do nothing: `begin_chunk` has recorded the rows that are invalid."""

    def release(self, row: str) -> None:
        """Withdraw that a row was begun, because it was not sent. After a refusal it stays at its next leg."""
        self._in_flight.discard(row)
        if row in self._advanced:
            self._results[row] = evolve(self._started[row], state=State.NOT_SENT.value)

    async def keep(self) -> None:
        """Write nothing, until cancelled: `close` writes all results at once."""
        await anyio.sleep_forever()

    async def close(self, stopped: Stopped | None) -> tuple[ChunkRecord, int]:
        """Write the results of the chunk; return its record and the number of its rows that are not settled.

        *stopped* is why sending stopped, if it did: then this attempt is excused. Raise `Unreachable`; may be repeated.
        """
        while True:
            record, revision = await self._document.read()
            if isinstance(record, Problems):  # a later version has taken over
                return ChunkRecord(id=self._document.id), len(self._started)
            closed, left = self._closed(record, stopped)
            if closed == record or await self._document.write(closed, revision):
                return closed, left

    def _verdict(self, row: str) -> Verdict:
        if row in self._seen:
            return REPEATED_ROW
        self._seen.add(row)
        if row in self._plan.started:
            self._in_flight.add(row)
        return self._plan.verdicts[row]

    async def _write_legs(self) -> None:
        while True:
            record, revision = await self._document.read()
            if isinstance(record, Problems) or record.attempts != self._attempt:
                self._is_superseded = True
                self._advancing.clear()
                return
            legs, self._advancing = self._advancing, {}
            advanced = {row: evolve(self._started[row], leg=leg, started=self._plan.now) for row, leg in legs.items()}
            rows = {row.id: row for row in record.rows} | advanced
            written = False
            try:
                written = await self._document.write(evolve(record, rows=tuple(rows.values())), revision)
            finally:
                if not written:
                    self._advancing = legs | self._advancing
            if written:
                self._started |= advanced
                self._advanced |= advanced.keys()
                return

    def _closed(self, record: ChunkRecord, stopped: Stopped | None) -> tuple[ChunkRecord, int]:
        alone, current = record.attempts == self._attempt, {row.id: row for row in record.rows}
        for name, before in self._started.items():
            after = self._results.get(name, before if name in self._in_flight else self._plan.prior.get(name))
            merged = merge_row(before, after, current.pop(name, None), alone=alone)
            if merged is not None:
                current[name] = merged
        left = sum(name not in current or current[name].state in _UNSETTLED for name in self._started)
        done = record.stage == "begun" and not left
        return evolve(
            record,
            stage="done" if done else record.stage,
            rows=tuple(current.values()),
            excused_attempts=record.excused_attempts + bool(left and (stopped or self._foreign_error)),
            foreign_answers=self._foreign,
            timings=self._timings(record),
        ), left

    def _timings(self, record: ChunkRecord) -> tuple[ChunkTiming, ...]:
        # `close` may be repeated: an attempt has one timing.
        timing = self._timer.timing()
        others = tuple(one for one in record.timings if one.attempt != self._attempt)
        return record.timings if timing is None else (*others, timing)[-_MOST_TIMINGS:]


async def begin_chunk(
    chunk: Chunk, document: ChunkDocument, now: float, *, earlier: EarlierRows, clock: Clock = SYSTEM_CLOCK
) -> ChunkJournal | InvalidChunk:
    """Record that the rows of *chunk* are about to be sent, at the Unix time *now*, as far as its record allows.

    Return `InvalidChunk` if the record is unreadable or buried, or says that the chunk was begun too often. Raise
    `Unreachable`; may be repeated.
    """
    takeover = await takeover_time(document.records, chunk, now)
    while True:
        record, revision = await document.read()
        if isinstance(record, Problems):
            return _UNREADABLE
        if record.stage == "buried":
            return InvalidChunk(record.reason or "it was buried")
        plan = plan_chunk(chunk, record, now, takeover=takeover)
        if plan.started and record.attempts - record.excused_attempts >= MAX_ATTEMPTS:
            return _ENDLESS
        attempt = record.attempts + bool(plan.started)
        stage = "begun" if plan.started else record.stage
        begun = evolve(record, stage=stage, rows=plan.rows, attempts=attempt)
        if begun == record or await document.write(begun, revision):
            return ChunkJournal(document, plan, attempt, earlier, record.foreign_answers, clock)
