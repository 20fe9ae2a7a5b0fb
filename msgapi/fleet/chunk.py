"""Chunks: about a hundred rows of a batch, as a queue carries them, and the record of their results.

A chunk has the idempotency keys of its rows. Its record is one document, which workers write and reports read.

Rules of the chunk:
- The body of each request is fixed here to the byte, so that every worker sends the same request under the same key.
- A row that is invalid before it is sent is part of its chunk, with its error: each row ends in one record.
- A row with a fallback has the bodies of all its legs, and names the errors that lead from one leg to the next: a
  function would not reach another process.

Rules of the record:
- It is written before the first row leaves, with the time, and again when the rows are settled. So a worker that dies
  leaves on record that the outcome of its rows is unknown, and since when.
- Two workers may have had the chunk: of two results of one row the more certain one is kept, and an unknown outcome is
  withdrawn only by the worker that recorded it.
- The next leg of a fallback is recorded before it leaves, and only by the worker that has begun the chunk last.
- Whether a row is sent again follows the rules of the journal of a local batch.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final, Literal, TypeAlias, final

import orjson
from attrs import astuple, evolve, field, frozen

from .. import fallback
from ..calls import Call
from ..codec import Problems, from_dict, from_json, to_json
from ..fallback import AnyCall
from ..journal import State
from ..journal.resumption import PRECEDENCE
from ..messages import Accepted
from ..messages.calls import ROUTE
from ..redact import hidden
from ..results import ApiError, Detail, Forbidden, Invalid, NotFound, Throttled, Unprocessable
from .backend import RecordStore, Revision

DEFAULT_CHUNK_ROWS: Final = 100
"""Rows in a chunk: a lost worker leaves this many to send again, and two writes of a record serve this many."""

Stage: TypeAlias = Literal["begun", "done", "buried"]
"""How far a chunk is; a buried one can never succeed."""

Condition: TypeAlias = Literal["Forbidden", "Invalid", "NotFound", "Throttled", "Unprocessable"]
"""The name of a class of errors that can lead to the next leg of a fallback."""

_CONDITIONS: Final[Mapping[Condition, type[ApiError]]] = {
    "Forbidden": Forbidden,
    "Invalid": Invalid,
    "NotFound": NotFound,
    "Throttled": Throttled,
    "Unprocessable": Unprocessable,
}
_VERSION: Final = 1


@final
@frozen(kw_only=True)
class ChunkRow:
    """One row: its *id* in the batch, the JSON *body* that is sent and its idempotency key; or why it is *invalid*.

    A *key* of None is the one that `journal.key_of` derives from the batch and the id. With a fallback, *others* are
    the bodies of the legs after the first, and *when* names the errors that lead from one leg to the next.
    """

    id: str
    key: str | None = field(default=None, repr=hidden)
    body: str = field(default="", repr=hidden)
    invalid: Invalid | None = None
    others: tuple[str, ...] = field(default=(), repr=hidden)
    when: tuple[Condition, ...] = ()

    @property
    def call(self) -> AnyCall[Accepted]:
        """The call that sends the row, or the fallback; that of an invalid row returns its error and is never sent."""
        if self.invalid is not None:
            return Call("POST", ROUTE, Accepted, (), None, self.key, invalid=self.invalid)
        first, *others = (Call("POST", ROUTE, Accepted, (), body.encode(), self.key) for body in self._bodies)
        if not others:
            return first
        return fallback.chain(first, *others, when=tuple(_CONDITIONS[name] for name in self.when))

    @property
    def size(self) -> int:
        """The number of bytes of the row, without its key."""
        return sum(len(text.encode()) for text in (self.id, *self._bodies))

    @property
    def _bodies(self) -> tuple[str, ...]:
        return (self.body, *self.others)


@final
@frozen(kw_only=True)
class Chunk:
    """Rows of one *batch*, which was begun at the Unix time *created_at*.

    *id* names the chunk in its batch, and is the same each time it is queued.
    """

    batch: str
    id: str
    rows: tuple[ChunkRow, ...]
    created_at: float = 0.0
    version: int = _VERSION

    @property
    def name(self) -> str:
        """The id of the chunk in a queue, which may hold several batches: `BATCH/ID`."""
        return f"{self.batch}/{self.id}"

    def dump(self) -> bytes:
        """Return the chunk as JSON, as a queue carries it; `load_chunk` reads it."""
        return to_json(self)


@final
@frozen
class InvalidChunk:
    """A chunk that no worker can send; *reason* is one line that quotes nothing of it."""

    reason: str


def make_row(id: str, call: AnyCall[Accepted]) -> ChunkRow:  # noqa: A002 - it is an id
    """Return the row with this *id* that sends *call*, which `messages.send` made, or a fallback of such calls.

    Raise ValueError for another call, and for a fallback whose *when* is a function.
    """
    if call.invalid is not None:
        return ChunkRow(id=id, key=call.idempotency_key, invalid=call.invalid)
    body, *others = map(_body_of, call.legs)
    when = () if isinstance(call, Call) else _names_of(call.when)
    return ChunkRow(id=id, key=call.idempotency_key, body=body, others=tuple(others), when=when)


def _body_of(call: Call[Accepted]) -> str:
    if (call.method, call.target) != ("POST", ROUTE) or call.body is None:
        raise ValueError(f"a chunk holds calls that send messages, not {call!r}")
    return call.body.decode()


def _names_of(when: object) -> tuple[Condition, ...]:
    kinds = when if isinstance(when, tuple) else (when,)
    names: tuple[Condition, ...] = tuple(name for name, kind in _CONDITIONS.items() if kind in kinds)
    if not names:
        raise ValueError("a chunk cannot carry a function: give the fallback classes of errors as `when`")
    return names


def load_chunk(body: bytes) -> Chunk | InvalidChunk:
    """Read a chunk from a queue; return `InvalidChunk` if it is malformed or of another version."""
    try:
        value: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        return InvalidChunk("it is not JSON")
    version = value.get("version", _VERSION) if isinstance(value, dict) else _VERSION
    if version != _VERSION:
        return InvalidChunk("it is of another version of msgapi-sdk")
    chunk = from_dict(value, Chunk)
    if isinstance(chunk, Problems):
        return InvalidChunk(f"{chunk}")
    if not chunk.batch or not chunk.id or not all(map(_is_complete, chunk.rows)):
        return InvalidChunk("a name or a body is missing")
    return chunk


def _is_complete(row: ChunkRow) -> bool:
    bodies = bool(row.body) and all(row.others) and bool(row.others) == bool(row.when)
    bodies = bodies and _CONDITIONS.keys() >= set(row.when)
    return bool(row.id) and (row.invalid is not None or bodies)


@final
@frozen(kw_only=True)
class RowRecord:
    """The result of the row with this *id*, with the fields that a journal keeps.

    *request_hash* is the hash of its request in hexadecimal, *state* the number of a `journal.State`, *started* Unix
    time. *key* is None if it is the one that derives from the batch and the id. *leg* is the number of the leg of a
    fallback that all of this is about.
    """

    id: str
    request_hash: str
    state: int = State.STARTED.value
    started: float = 0.0
    key: str | None = None
    kind: str | None = None
    code: str | None = None
    status: int | None = None
    message: str | None = None
    message_id: str | None = None
    unit: str | None = None
    price: str | None = None
    hold: str | None = None
    leg: int = 1


@final
@frozen(kw_only=True)
class SlowRow:
    """One of the slowest rows of an attempt: its *id*, when it ended *at* in Unix time, and the seconds that it took.

    *elapsed* has the waits of its last call, and *attempts* counts its requests. *kind* and *code* are of its result.
    """

    id: str
    at: float
    elapsed: float
    attempts: int = 0
    kind: str = ""
    code: str = ""


@final
@frozen(kw_only=True)
class ChunkTiming:
    """One *attempt* at a chunk, for reports: from *began* to *ended*, in Unix time, with its rows by result.

    *spend* is the cost of the accepted ones in EUR, *answers* the number of answers by duration, see
    `journal.timeline.slot_bound`, and *slowest* are a few rows.
    """

    attempt: int
    began: float
    ended: float
    accepted: int = 0
    refused: int = 0
    unknown: int = 0
    not_sent: int = 0
    spend: Decimal = Decimal(0)
    answers: tuple[int, ...] = ()
    slowest: tuple[SlowRow, ...] = ()


@final
@frozen(kw_only=True)
class ChunkRecord:
    """The results of a chunk, row by row; *reason* says why it was buried, if it was.

    *attempts* counts how often a worker has begun it; *excused_attempts* counts those that ended unfinished for a
    reason that was not the chunk's own, such as a stop. *foreign_answers* is the number of the last answers in a row
    that were not the service's. *timings* are those of the last attempts that ended.
    """

    id: str
    stage: Stage = "begun"
    rows: tuple[RowRecord, ...] = ()
    reason: str | None = None
    attempts: int = 0
    excused_attempts: int = 0
    foreign_answers: int = 0
    timings: tuple[ChunkTiming, ...] = ()

    @property
    def revived(self) -> "ChunkRecord":
        """A copy with all attempts excused, for a buried chunk that is to be tried again."""
        return evolve(self, stage="begun", reason=None, excused_attempts=self.attempts, foreign_answers=0)

    def dump(self) -> bytes:
        """Return the record as JSON; `load_record` reads it."""
        return to_json(self)


@final
@frozen(eq=False, repr=False)
class ChunkDocument:
    """The document in which the record of one chunk is stored; every method raises `Unreachable`."""

    batch: str
    id: str
    records: RecordStore

    async def read(self) -> tuple[ChunkRecord | Problems, Revision]:
        """Return the record and its revision; an empty record and 0 if it was never written."""
        value, revision = await self.records.read(self.batch, self.id)
        return ChunkRecord(id=self.id) if value is None else load_record(value), revision

    async def write(self, record: ChunkRecord, revision: Revision) -> bool:
        """Write *record* if the document still has this *revision*; return False if it has another one."""
        return await self.records.write(self.batch, self.id, record.dump(), revision)

    async def bury(self, reason: str) -> None:
        """Record the *reason* why no worker can send the chunk, and keep its rows.

        Do nothing if the record is done, buried or unreadable. May be repeated.
        """
        while True:
            record, revision = await self.read()
            if isinstance(record, Problems) or record.stage != "begun":
                return
            if await self.write(evolve(record, stage="buried", reason=reason), revision):
                return


def load_record(body: bytes) -> ChunkRecord | Problems:
    """Parse what `ChunkRecord.dump` returned; return the problems if it is damaged or of a later version."""
    record = from_json(body, ChunkRecord)
    if isinstance(record, Problems) or all(_is_valid(row) for row in record.rows):
        return record
    return Problems((Detail("rows", "must have a known state and a request hash"),))


def _is_valid(row: RowRecord) -> bool:
    try:
        return bool(bytes.fromhex(row.request_hash)) and State(row.state) in State and row.leg >= 1
    except ValueError:
        return False


def merge_row(
    before: RowRecord | None, after: RowRecord | None, current: RowRecord | None, *, alone: bool
) -> RowRecord | None:
    """Return what to store for a row that this worker has taken from *before* to *after*; None for no record.

    *current* is what is stored now. *alone* says that no other worker has begun the chunk since: otherwise another may
    be sending the row, and this worker cannot withdraw that its outcome is unknown.
    """
    if current is None or (alone and current == before):
        return after
    return current if after is None else max(after, current, key=_certainty)


def _certainty(row: RowRecord) -> tuple[bool, int, int, float, str]:
    # The legs before that of a record were refused. Of two unknown outcomes the one with the older key is kept.
    accepted, rank = row.state == State.ACCEPTED.value, PRECEDENCE.index(State(row.state))
    return accepted, row.leg, rank, -row.started, repr(astuple(row))
