"""Timings: what the workers of a fleet have done over time, from the records of the chunks, as the history of one run.

Rules:
- A chunk has one timing for each attempt: its rows count evenly over the time of the attempt, which is a few seconds.
- The history has no waits: a worker sends several chunks at a time, and does not record what they wait for.
- What is kept while the records are read grows with the number of chunks, by a few numbers each.
"""

from collections.abc import Iterable
from decimal import Decimal
from heapq import nlargest
from typing import Any, Final, final

from attrs import asdict, define, evolve, field

from ..journal import State
from ..journal.timeline import (
    LEAST_WIDTH,
    MOST_BUCKETS,
    MOST_SLOW,
    SLOTS,
    Bucket,
    NotableRow,
    RunHistory,
    cost_of,
    kind_and_code,
    slot_of,
)
from ..results import Ok, Result
from .chunk import ChunkTiming, SlowRow

_SLOWEST: Final = 3  # rows of one attempt
_FIELDS: Final = {
    State.ACCEPTED: "accepted",
    State.REFUSED: "refused",
    State.UNKNOWN: "unknown",
    State.NOT_SENT: "not_sent",
}


@final
@define(eq=False)
class AttemptTimer:
    """Adds up the rows of one *attempt* at a chunk, which *began* at a Unix time."""

    attempt: int
    began: float
    _ended: float = field(init=False)
    _rows: dict[State, int] = field(factory=lambda: dict.fromkeys(_FIELDS, 0), init=False)
    _spend: Decimal = field(default=Decimal(0), init=False)
    _answers: list[int] = field(factory=lambda: [0] * SLOTS, init=False)
    _slowest: list[SlowRow] = field(factory=list, init=False)
    _least: float = field(default=-1.0, init=False)  # a row must be slower than this to be among the slowest

    def __attrs_post_init__(self) -> None:
        """Begin with no row."""
        self._ended = self.began

    def add(self, row: str, state: State, result: Result[object], now: float) -> None:
        """Add the row with this id, which has ended at the Unix time *now* in *state* with *result*."""
        self._rows[state] += 1
        self._ended = max(self._ended, now)
        meta = result.meta
        if isinstance(result, Ok):
            self._spend += cost_of(result.value)
        if meta.attempts:
            self._answers[slot_of(meta.elapsed)] += 1
            if meta.elapsed > self._least:
                self._add_slow(row, result, now)

    def timing(self) -> ChunkTiming | None:
        """Return the timing so far; None if no row has ended."""
        if not any(self._rows.values()):
            return None
        return ChunkTiming(
            attempt=self.attempt,
            began=self.began,
            ended=self._ended,
            spend=self._spend,
            answers=tuple(self._answers) if any(self._answers) else (),
            slowest=tuple(self._slowest),
            **{name: self._rows[state] for state, name in _FIELDS.items()},
        )

    def _add_slow(self, row: str, result: Result[object], now: float) -> None:
        kind, code = kind_and_code(result)
        elapsed, attempts = result.meta.elapsed, result.meta.attempts
        slow = SlowRow(id=row, at=now, elapsed=elapsed, attempts=attempts, kind=kind, code=code)
        self._slowest = nlargest(_SLOWEST, (*self._slowest, slow), key=_elapsed)
        if len(self._slowest) == _SLOWEST:
            self._least = self._slowest[-1].elapsed


def _elapsed(row: SlowRow) -> float:
    return row.elapsed


@final
@define(eq=False)
class FleetHistory:
    """Collects the timings of all chunks."""

    _timings: list[ChunkTiming] = field(factory=list, init=False)
    _answers: list[int] = field(factory=lambda: [0] * SLOTS, init=False)
    _slowest: list[SlowRow] = field(factory=list, init=False)

    def add(self, timings: Iterable[ChunkTiming]) -> None:
        """Add the *timings* of one chunk."""
        for one in timings:
            self._slowest = nlargest(MOST_SLOW, (*self._slowest, *one.slowest), key=_elapsed)
            for slot, number in enumerate(one.answers[:SLOTS]):
                self._answers[slot] += number
            self._timings.append(evolve(one, answers=(), slowest=()))

    def history(self) -> RunHistory | None:
        """Return the history, as that of run 0; None if no chunk has a timing."""
        if not self._timings:
            return None
        began, ended = min(one.began for one in self._timings), max(one.ended for one in self._timings)
        width = LEAST_WIDTH
        while (ended - began) / width >= MOST_BUCKETS:
            width *= 2
        buckets: dict[int, Bucket] = {}
        for one in self._timings:
            _spread(buckets, one, began, width)
        slowest = {row.id: row for row in reversed(self._slowest)}
        notable = tuple(NotableRow(**asdict(row), is_slow=True) for row in slowest.values())
        return RunHistory(
            number=0,
            began=began,
            ended=ended,
            width=width,
            buckets=tuple(bucket for _, bucket in sorted(buckets.items())),
            answers=tuple(self._answers),
            notable=notable,
        )


def _spread(buckets: dict[int, Bucket], timing: ChunkTiming, began: float, width: float) -> None:
    # Each bucket gets the rows up to its end, less those that earlier ones got, so that none is lost by rounding.
    first, last = int((timing.began - began) / width), int((timing.ended - began) / width)
    length = timing.ended - timing.began
    counted = dict.fromkeys(_FIELDS.values(), 0)
    spent = Decimal(0)
    for number in range(first, last + 1):
        end = began + (number + 1) * width
        share = 1.0 if number == last else (end - timing.began) / length
        bucket = buckets.get(number) or Bucket(number=number)
        changes: dict[str, Any] = {}
        for name, before in counted.items():
            counted[name] = int(getattr(timing, name) * share)
            changes[name] = getattr(bucket, name) + counted[name] - before
        until = timing.spend if number == last else (timing.spend * Decimal(share)).quantize(Decimal("0.0001"))
        buckets[number] = evolve(bucket, spend=bucket.spend + until - spent, **changes)
        spent = until
