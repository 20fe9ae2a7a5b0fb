"""Journal: which rows of a batch were started and how each ended, on the disk before it matters.

Rules:
- A row is written down as started before its request leaves: `begin` returns when that is on the disk.
- How it ended is written within 50 ms, or with the next rows that begin. What is lost of that in a
  crash is only that the row is sent again, under its old key, which the service knows.
- A row that was begun and never sent is released, and is then as though it had never been begun.
"""

from collections.abc import Mapping, Sequence
from typing import Final, TypeVar, final

import anyio
import anyio.to_thread
from attrs import define, field

from ..calls import Call
from ..clock import Clock
from ..results import Result
from .entries import REPEATED_ROW, Go, Terms, Verdict, finding_of, state_of
from .keys import key_of, mark_of
from .store import Settled, Start, Store

T = TypeVar("T")
_DELAY: Final = 0.05  # seconds for which outcomes are gathered before they are written


@final
@define(eq=False, repr=False)
class Journal:
    """A batch's own record of its rows. Made by `journal.opened`, and usable only inside it."""

    batch: str
    path: str
    _store: Store
    _clock: Clock
    _terms: Terms
    _own_keys: bool
    _under_way: dict[str, bool] = field(factory=dict, init=False)
    _settled: list[Settled] = field(factory=list, init=False)
    _invalid: list[tuple[object, ...]] = field(factory=list, init=False)
    _released: list[tuple[str]] = field(factory=list, init=False)
    _turn: anyio.Lock = field(factory=lambda: anyio.Lock(fast_acquire=True), init=False)
    _due: anyio.Event = field(factory=anyio.Event, init=False)

    def __repr__(self) -> str:
        """Show where it is, and of which batch."""
        return f"Journal({self.path}, batch={self.batch})"

    def key(self, row: str) -> str:
        """Tell the idempotency key of the row with this id: a UUID that is the same each time."""
        return key_of(self.batch, row)

    async def begin(self, rows: Sequence[tuple[str, Call[T]]]) -> list[Verdict]:
        """Write down that *rows* are about to be sent, and tell for each what becomes of it.

        On the disk when it returns; a disk that does not take it is `Unusable`, and then nothing
        of *rows* is begun.
        """
        async with self._turn:
            now = self._clock.time()
            fresh = {row: call for row, call in reversed(rows) if row not in self._under_way}  # of two, the first
            starts = [Start(row, mark_of(call), now, self._own(row, call)) for row, call in fresh.items()]
            going: dict[str, Verdict] = {
                row: Go(self._key(row, call), doubtful=False, started=now) for row, call in fresh.items()
            }
            doubted = self._terms.doubts(now)
            if not await self._write(() if doubted else starts) or doubted:
                going = await self._again(starts, fresh, now)
            verdicts: list[Verdict] = []
            for row, call in rows:
                first = fresh.get(row) is call
                verdict = going.pop(row, REPEATED_ROW) if first else REPEATED_ROW
                if isinstance(verdict, Go):
                    self._under_way[row] = verdict.doubtful
                verdicts.append(verdict)
            return verdicts

    def settle(self, row: str, result: Result[object]) -> None:
        """Take down how a row that was begun has ended."""
        doubtful = self._under_way.pop(row)
        self._settled.append((state_of(result, doubtful=doubtful), *finding_of(result), row))
        self._due.set()

    def note(self, row: str, call: Call[object], result: Result[object]) -> None:
        """Take down that a row is not fit to be sent; it may be mended, and then it is new."""
        if row not in self._under_way:
            self._invalid.append((row, mark_of(call), self._clock.time(), *finding_of(result)))
            self._due.set()

    def release(self, row: str) -> None:
        """Take back that a row was begun: it was not sent."""
        if not self._under_way.pop(row):
            self._released.append((row,))

    async def keep(self) -> None:
        """Write what is taken down, soon after it was; runs until it is cancelled."""
        while True:
            await self._due.wait()
            await self._clock.sleep(_DELAY)
            await self.flush()

    async def flush(self) -> None:
        """Write what was taken down; on the disk when it returns."""
        async with self._turn:
            self._due = anyio.Event()
            _ = await self._write(())

    async def _write(self, starts: Sequence[Start]) -> bool:
        settled, self._settled = self._settled, []
        invalid, self._invalid = self._invalid, []
        released, self._released = self._released, []
        if not (starts or settled or invalid or released):
            return True
        try:
            return await anyio.to_thread.run_sync(self._store.write, starts, settled, invalid, released)
        except BaseException:  # not written: it is still to be
            self._settled[:0], self._invalid[:0], self._released[:0] = settled, invalid, released
            raise

    async def _again(self, starts: Sequence[Start], calls: Mapping[str, Call[T]], now: float) -> dict[str, Verdict]:
        found = await anyio.to_thread.run_sync(self._store.find, [start.id for start in starts])
        verdicts: dict[str, Verdict] = {}
        going: list[Start] = []
        for start in starts:
            row, call = start.id, calls[start.id]
            new = Go(self._key(row, call), doubtful=False, started=now)
            verdict = self._terms.judge(found.get(row), new, start.mark, repeatable=call.repeatable)
            if isinstance(verdict, Go):
                own = None if verdict.key == self.key(row) else verdict.key
                going.append(start._replace(started=verdict.started, key=own))
            verdicts[row] = verdict
        await anyio.to_thread.run_sync(self._store.restart, going)
        return verdicts

    def _key(self, row: str, call: Call[T]) -> str | None:
        own = call.idempotency_key
        return own if own is None or self._own_keys else self.key(row)

    def _own(self, row: str, call: Call[T]) -> str | None:
        return call.idempotency_key if self._own_keys and call.idempotency_key != self.key(row) else None
