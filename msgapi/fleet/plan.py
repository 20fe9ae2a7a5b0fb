"""Plans: which rows of a chunk may leave, under which keys, by what its record says of them."""

from collections.abc import Mapping
from typing import Any, Final, final

from attrs import evolve, frozen

from ..journal import REMEMBERED, Send, State, Verdict, key_of
from ..journal.keys import request_digest
from ..journal.verdicts import COLUMNS, MAYBE_SENT, Entry, ResumeRules, stored_result
from ..results import Invalid, Result
from .chunk import Chunk, Row
from .entry import ChunkRecord, Found

_NEVER_SENT: Final = frozenset({State.NOT_SENT.value, State.INVALID.value})
_TERMS: Final = ResumeRules(REMEMBERED, resend=False)


@final
@frozen(eq=False, repr=False)
class Plan:
    """What becomes of each row, as found at the Unix time *now*; *started* are those that may leave."""

    now: float
    prior: Mapping[str, Found]
    verdicts: Mapping[str, Verdict]
    started: Mapping[str, Found]
    invalid: Mapping[str, Found]

    @property
    def rows(self) -> tuple[Found, ...]:
        """What the record is to say before the first row leaves."""
        return tuple({**self.prior, **self.invalid, **self.started}.values())


def planned(chunk: Chunk, record: ChunkRecord, now: float, *, elsewhere: float | None = None) -> Plan:
    """Tell what becomes of the rows of *chunk*, of which *record* is known.

    From the Unix time *elsewhere* on, others may have sent what is not settled.
    """
    prior = {found.id: found for found in record.rows}
    sendable = {row.id: row for row in reversed(chunk.rows) if row.invalid is None}  # of two, the first
    if elsewhere is not None:
        prior |= {name: _doubted(chunk.batch, row, prior.get(name), elsewhere) for name, row in sendable.items()}
    verdicts = {name: _judged(chunk.batch, row, prior.get(name), now) for name, row in reversed(sendable.items())}
    started = {
        name: _started(chunk.batch, sendable[name], verdict)
        for name, verdict in verdicts.items()
        if isinstance(verdict, Send)
    }
    invalid = {
        row.id: _invalid(row, row.invalid, prior.get(row.id), now)
        for row in chunk.rows
        if row.invalid is not None and _open(prior.get(row.id))
    }
    return Plan(now, prior, verdicts, started, invalid)


def _open(known: Found | None) -> bool:
    # What was begun under an id stays known.
    return known is None or known.state == State.INVALID.value


def _judged(batch: str, row: Row, known: Found | None, now: float) -> Verdict:
    call = row.call.under(row.key or key_of(batch, row.id))
    new = Send(call.idempotency_key, maybe_sent=False, started=now)
    if known is None:
        return new
    entry = Entry(bytes.fromhex(known.mark), State(known.state), known.started, known.key)
    return _TERMS.judge(entry, new, request_digest(call), repeatable=call.repeatable)


def _doubted(batch: str, row: Row, known: Found | None, since: float) -> Found:
    if known is None or known.state in _NEVER_SENT:
        return _started(batch, row, Send(row.key or key_of(batch, row.id), maybe_sent=True, started=since))
    return evolve(known, started=min(known.started, since)) if known.state in MAYBE_SENT else known


def _started(batch: str, row: Row, go: Send) -> Found:
    own = None if go.key == key_of(batch, row.id) else go.key
    return Found(id=row.id, mark=request_digest(row.call).hex(), started=go.started, key=own)


def _invalid(row: Row, why: Invalid, known: Found | None, now: float) -> Found:
    since = now if known is None else known.started
    return Found(id=row.id, mark=request_digest(row.call).hex(), state=State.INVALID.value, started=since, **facts(why))


def facts(result: Result[Any]) -> dict[str, Any]:
    """Take from *result* what a record keeps of it."""
    return dict(zip(COLUMNS, stored_result(result), strict=True))
