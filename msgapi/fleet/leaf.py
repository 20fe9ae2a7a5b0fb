"""Leaf: the record of one chunk, as the book that a batch keeps while the rows of the chunk are sent.

Rules:
- What is to be sent is written down as started, all of it at once, before the first row leaves.
- What became of it is written at the end, over what the record says by then: another may have had the chunk
  as well. What that one found is not lost, and what it may still be sending stays in doubt.
- A chunk that was begun again and again and never came to an end is not begun once more.
"""

from collections.abc import Sequence
from typing import Final, TypeVar, final

import anyio
from attrs import define, evolve, field, frozen

from ..batch import Stopped
from ..calls import Call
from ..codec import Problems
from ..journal import Send, State, Verdict
from ..journal.verdicts import REPEATED_ROW, state_of
from ..results import Result
from .chunk import Chunk, Unfit
from .elsewhere import since
from .entry import ChunkRecord, Found, load_record, settled
from .plan import Plan, facts, planned
from .records import Records, Revision

T = TypeVar("T")
TRIES: Final = 5
"""So often a chunk is begun without coming to an end; after that it is for somebody to look at."""

_UNSETTLED: Final = frozenset({State.STARTED.value, State.NOT_SENT.value, State.UNKNOWN.value})
_UNREADABLE: Final = Unfit("its record cannot be read: it is damaged, or of a later version of msgapi-sdk")
_ENDLESS: Final = Unfit(f"it was begun {TRIES} times and never finished: it ends its workers, or rows never settle")


@final
@frozen(eq=False, repr=False)
class Place:
    """Where the record of one chunk is kept."""

    batch: str
    id: str
    records: Records

    async def read(self) -> tuple[ChunkRecord | Problems, Revision]:
        """Read the record, and its revision; one that was never written is empty."""
        value, revision = await self.records.read(self.batch, self.id)
        return ChunkRecord(id=self.id) if value is None else load_record(value), revision

    async def write(self, record: ChunkRecord, revision: Revision) -> bool:
        """Write *record* over what is of this *revision*; False if another has written meanwhile."""
        return await self.records.write(self.batch, self.id, record.dump(), revision)

    async def bury(self, why: str) -> None:
        """Write down *why* nobody can send the chunk; its rows stay as they are, and so does what cannot be read."""
        while True:
            record, revision = await self.read()
            if isinstance(record, Problems) or record.stage != "begun":
                return
            if await self.write(evolve(record, stage="buried", why=why), revision):
                return


@final
@define(eq=False, repr=False)
class Leaf:
    """Made by `begun`, once it is written down what is about to be sent; `close` writes what became of it."""

    _place: Place
    _plan: Plan
    _epoch: int
    _asked: set[str] = field(factory=set, init=False)
    _out: set[str] = field(factory=set, init=False)
    _after: dict[str, Found] = field(factory=dict, init=False)

    @property
    def at(self) -> float:
        """The Unix time at which it was begun."""
        return self._plan.now

    async def begin(self, rows: Sequence[tuple[str, Call[T]]]) -> list[Verdict]:
        """Tell for each of *rows* what becomes of it: it is written down already."""
        return [self._verdict(row) for row, _ in rows]

    def settle(self, row: str, result: Result[object]) -> None:
        """Take down how a row that was begun has ended."""
        self._out.discard(row)
        started, go = self._plan.started[row], self._plan.verdicts[row]
        state = state_of(result, maybe_sent=isinstance(go, Send) and go.maybe_sent)
        self._after[row] = evolve(started, state=state.value, **facts(result))

    def note(self, row: str, call: Call[object], result: Result[object]) -> None:
        """Write nothing more: what is not fit to be sent is written down already."""

    def release(self, row: str) -> None:
        """Take back that a row was begun: it was not sent."""
        self._out.discard(row)

    async def keep(self) -> None:
        """Write nothing meanwhile."""
        await anyio.sleep_forever()

    async def close(self, stopped: Stopped | None) -> tuple[ChunkRecord, int]:
        """Write what became of the chunk; gives its record, and how many of its rows are not settled."""
        while True:
            record, revision = await self._place.read()
            if isinstance(record, Problems):  # a later version has taken over
                return ChunkRecord(id=self._place.id), len(self._plan.started)
            closed, left = self._closed(record, stopped)
            if closed == record or await self._place.write(closed, revision):
                return closed, left

    def _verdict(self, row: str) -> Verdict:
        if row in self._asked:
            return REPEATED_ROW
        self._asked.add(row)
        if row in self._plan.started:
            self._out.add(row)
        return self._plan.verdicts[row]

    def _closed(self, record: ChunkRecord, stopped: Stopped | None) -> tuple[ChunkRecord, int]:
        alone, current = record.begun == self._epoch, {found.id: found for found in record.rows}
        for row, before in self._plan.started.items():
            after = self._after.get(row, before if row in self._out else self._plan.prior.get(row))
            found = settled(before, after, current.pop(row, None), alone=alone)
            if found is not None:
                current[row] = found
        left = sum(row not in current or current[row].state in _UNSETTLED for row in self._plan.started)
        done = record.stage == "begun" and not left
        return evolve(
            record,
            stage="done" if done else record.stage,
            rows=tuple(current.values()),
            excused=record.excused + bool(left and stopped),
        ), left


async def begun(chunk: Chunk, place: Place, now: float) -> Leaf | Unfit:
    """Write down that *chunk* is about to be sent, at the Unix time *now*, as far as its record lets it."""
    others = await since(place.records, chunk, now)
    while True:
        record, revision = await place.read()
        if isinstance(record, Problems):
            return _UNREADABLE
        if record.stage == "buried":
            return Unfit(record.why or "it was buried")
        plan = planned(chunk, record, now, elsewhere=others)
        if plan.started and record.begun - record.excused >= TRIES:
            return _ENDLESS
        epoch = record.begun + bool(plan.started)
        stage = "begun" if plan.started else record.stage
        wanted = evolve(record, stage=stage, rows=plan.rows, begun=epoch)
        if wanted == record or await place.write(wanted, revision):
            return Leaf(place, plan, epoch)
