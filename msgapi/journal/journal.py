"""Journal: which rows of a batch were started, and how each ended.

Rules:
- A row is recorded as started before its request is sent: `begin` returns when that is on the disk.
- Its result is written within 50 ms, or with the next rows that begin. If a crash loses a result, the row is sent
  again under its previous key, which the service knows.
- A row that was begun and never sent is released; it is then as if it had never been begun.
"""

from collections.abc import Mapping, Sequence
from typing import Final, TypeVar, final

import anyio
import anyio.to_thread
from attrs import define, field

from ..calls import Call
from ..clock import Clock
from ..results import Result
from .keys import key_of, request_digest
from .sqlite import JournalFile, SettledRow, StartedRow
from .verdicts import REPEATED_ROW, ResumeRules, Send, Verdict, state_of, stored_result

T = TypeVar("T")
_DELAY: Final = 0.05  # seconds for which results are gathered before they are written


@final
@define(eq=False, repr=False)
class Journal:
    """The record of the rows of a batch. Made by `journal.open`, and usable only inside its `async with`."""

    batch: str
    path: str
    _file: JournalFile
    _clock: Clock
    _rules: ResumeRules
    _own_keys: bool
    _in_flight: dict[str, bool] = field(factory=dict, init=False)
    _settled: list[SettledRow] = field(factory=list, init=False)
    _invalid: list[tuple[object, ...]] = field(factory=list, init=False)
    _released: list[tuple[str]] = field(factory=list, init=False)
    _lock: anyio.Lock = field(factory=lambda: anyio.Lock(fast_acquire=True), init=False)
    _due: anyio.Event = field(factory=anyio.Event, init=False)

    def __repr__(self) -> str:
        """Show the path and the batch."""
        return f"Journal({self.path}, batch={self.batch})"

    def key(self, row: str) -> str:
        """Return the idempotency key of the row with this id: a UUID that is always the same."""
        return key_of(self.batch, row)

    async def begin(self, rows: Sequence[tuple[str, Call[T]]]) -> list[Verdict]:
        """Record that *rows*, pairs of id and call, are about to be sent; return a verdict for each.

        The record is on the disk when this returns. If it cannot be written, `Unusable` is raised and none of *rows*
        is begun.
        """
        async with self._lock:
            now = self._clock.time()
            fresh = {row: call for row, call in reversed(rows) if row not in self._in_flight}  # the first of each id
            starts = [StartedRow(row, request_digest(call), now, self._own(row, call)) for row, call in fresh.items()]
            judged: dict[str, Verdict] = {
                row: Send(self._key(row, call), maybe_sent=False, started=now) for row, call in fresh.items()
            }
            outdated = self._rules.is_outdated(now)
            if not await self._write(() if outdated else starts) or outdated:
                judged = await self._judge_again(starts, fresh, now)
            verdicts: list[Verdict] = []
            for row, call in rows:
                first = fresh.get(row) is call
                verdict = judged.pop(row, REPEATED_ROW) if first else REPEATED_ROW
                if isinstance(verdict, Send):
                    self._in_flight[row] = verdict.maybe_sent
                verdicts.append(verdict)
            return verdicts

    def settle(self, row: str, result: Result[object]) -> None:
        """Record the result of a row that was begun."""
        maybe_sent = self._in_flight.pop(row)
        self._settled.append((state_of(result, maybe_sent=maybe_sent), *stored_result(result), row))
        self._due.set()

    def note(self, row: str, call: Call[object], result: Result[object]) -> None:
        """Record that a row is invalid and was not sent; once corrected, it counts as a new row."""
        if row not in self._in_flight:
            self._invalid.append((row, request_digest(call), self._clock.time(), *stored_result(result)))
            self._due.set()

    def release(self, row: str) -> None:
        """Record that a row that was begun has not been sent."""
        if not self._in_flight.pop(row):
            self._released.append((row,))

    async def keep(self) -> None:
        """Write what was recorded, shortly after it was; run until cancelled."""
        while True:
            await self._due.wait()
            await self._clock.sleep(_DELAY)
            await self.flush()

    async def flush(self) -> None:
        """Write what was recorded; it is on the disk when this returns."""
        async with self._lock:
            self._due = anyio.Event()
            _ = await self._write(())

    async def _write(self, starts: Sequence[StartedRow]) -> bool:
        settled, self._settled = self._settled, []
        invalid, self._invalid = self._invalid, []
        released, self._released = self._released, []
        if not (starts or settled or invalid or released):
            return True
        try:
            return await anyio.to_thread.run_sync(self._file.write, starts, settled, invalid, released)
        except BaseException:  # not written, so it still has to be
            self._settled[:0], self._invalid[:0], self._released[:0] = settled, invalid, released
            raise

    async def _judge_again(
        self, starts: Sequence[StartedRow], calls: Mapping[str, Call[T]], now: float
    ) -> dict[str, Verdict]:
        found = await anyio.to_thread.run_sync(self._file.find, [start.id for start in starts])
        verdicts: dict[str, Verdict] = {}
        again: list[StartedRow] = []
        for start in starts:
            row, call = start.id, calls[start.id]
            new = Send(self._key(row, call), maybe_sent=False, started=now)
            verdict = self._rules.judge(found.get(row), new, start.digest, repeatable=call.repeatable)
            if isinstance(verdict, Send):
                own = None if verdict.key == self.key(row) else verdict.key
                again.append(start._replace(started=verdict.started, key=own))
            verdicts[row] = verdict
        await anyio.to_thread.run_sync(self._file.restart, again)
        return verdicts

    def _key(self, row: str, call: Call[T]) -> str | None:
        own = call.idempotency_key
        return own if own is None or self._own_keys else self.key(row)

    def _own(self, row: str, call: Call[T]) -> str | None:
        return call.idempotency_key if self._own_keys and call.idempotency_key != self.key(row) else None
