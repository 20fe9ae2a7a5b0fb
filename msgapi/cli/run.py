"""Running a batch: the rows of a file go out, and every one of them is accounted for.

Rules:
- Every row ends as exactly one of: an outcome, never sent, or cut off by a second Ctrl-C.
- The first Ctrl-C sends no more and lets what is in flight settle; the second cuts it off.
- With a journal, a row that is settled since an earlier run is passed over, and its outcome read there.
"""

import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Final, Protocol, final

import anyio
from attrs import define, field

from ..batch import Outcome, Outcomes, SpendLimit, Stopped, send
from ..billing import Estimate
from ..calls import Call, Caller
from ..journal import JournalReader, Unusable
from ..messages import Accepted
from .calls import Calls, Keys
from .diary import Diary
from .exits import Exit, Halt, unreadable
from .funds import Till, shortage
from .ledger import Ledger
from .rows import Row, Table
from .tally import Tally

if TYPE_CHECKING:
    from signal import Signals

_MANY: Final = 500  # rows that are looked up together


class Progress(Protocol):
    """Shows how far a batch is, every so many seconds."""

    every: float

    def update(self, tally: Tally, in_flight: int) -> None:
        """Show *tally* as it is now."""
        ...  # pragma: no cover

    def say(self, line: str) -> None:
        """Show a line that stays."""
        ...  # pragma: no cover


@final
@define(eq=False, repr=False)
class Run:
    """One batch: what is to be sent, where it is written down, and what has come of it."""

    table: Table
    calls: Calls
    ledger: Ledger
    concurrency: int = field(default=64, kw_only=True)
    outage_timeout: float = field(default=900.0, kw_only=True)
    diary: Diary | None = field(default=None, kw_only=True)
    resend: bool = field(default=False, kw_only=True)
    max_spend: SpendLimit | None = field(default=None, kw_only=True)
    estimate: Estimate | None = field(default=None, kw_only=True)
    till: Till = field(factory=lambda: Till(wait=False), kw_only=True)
    tally: Tally = field(init=False)
    stopped: Stopped | None = field(default=None, init=False)
    sent: int = field(default=0, init=False)
    interrupted: int = field(default=0, init=False)
    trouble: str | None = field(default=None, init=False)
    _told: bytearray = field(init=False)
    _key: Keys | None = field(default=None, init=False)
    _waiting: anyio.CancelScope | None = field(default=None, init=False)
    _under_way: dict[int, tuple[Row, Call[Accepted]]] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        """Begin with nothing told of any row."""
        self._told = bytearray(self.table.count // 8 + 1)
        self.tally = Tally(self.table.count)

    @property
    def status(self) -> Exit:
        """Tell what to exit with."""
        left = self.tally.unsent + self.tally.lost
        if self.stopped is not None and self.stopped.reason == "unauthorized":
            return Exit.CONFIGURATION
        if self.interrupted and left:
            return Exit.INTERRUPTED
        if self.trouble or left or (self.stopped is not None and self.stopped.reason != "asked"):
            return Exit.STOPPED
        return Exit.REFUSED if self.tally.refused else Exit.ACCEPTED

    async def go(self, api: Caller, progress: Progress) -> None:
        """Send every row through *api*; what became of them stands in `tally`, `stopped` and `status`."""
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals, anyio.CancelScope() as scope:
            async with AsyncExitStack() as stack:
                batch = await self._sending(api, stack)
                tasks = await stack.enter_async_context(anyio.create_task_group())
                outcomes = await stack.enter_async_context(batch)
                _ = tasks.start_soon(self._listen, signals, outcomes, scope, progress)
                _ = tasks.start_soon(self._show, outcomes, progress)
                await self._drain(api, outcomes, progress)
                self.stopped = outcomes.stopped
                tasks.cancel_scope.cancel()
        self._account_for_the_rest()
        progress.update(self.tally, 0)

    async def _sending(self, api: Caller, stack: AsyncExitStack) -> AbstractAsyncContextManager[Outcomes[Accepted]]:
        send_ = partial(
            send,
            api,
            concurrency=self.concurrency,
            outage_timeout=self.outage_timeout,
            max_spend=self.max_spend,
            estimate=self.estimate,
        )
        calls = self._calls()
        if self.diary is None:
            return send_((call for _, call in calls))
        journal = await stack.enter_async_context(self.diary.opened(resend=self.resend))
        self._key = journal.key
        return send_(calls, journal=journal, on_skip=self._pass_over)

    async def _drain(self, api: Caller, outcomes: Outcomes[Accepted], progress: Progress) -> None:
        while True:
            try:
                await self._take_all(outcomes)
            except Unusable as error:
                self.trouble = f"{error}"
            stopped = outcomes.stopped
            if stopped is None or not self.till.waits(stopped) or self.interrupted:
                break
            progress.say(f"the balance is used up{shortage(stopped, self.tally)}: waiting for a top-up; Ctrl-C ends it")
            if not await self._refilled(api, stopped):
                break
            outcomes.resume(*self.till.taken())
        for outcome in self.till.taken():
            self._take(outcome)

    async def _take_all(self, outcomes: Outcomes[Accepted]) -> None:
        async for outcome in outcomes:
            if not self.till.keeps(outcome):
                self._take(outcome)
            if self.ledger.failure is not None:
                outcomes.stop()

    async def _refilled(self, api: Caller, stopped: Stopped) -> bool:
        refilled = False
        self._waiting = anyio.CancelScope()
        with self._waiting:
            refilled = await self.till.refilled(api, stopped)
        return refilled and not self.interrupted

    def _calls(self) -> Iterator[tuple[str, Call[Accepted]]]:
        made = self.calls.over(self._read(), self.table.count, self._key)
        for index, (row, name, call) in enumerate(made):
            self._under_way[index] = row, call
            yield name, call

    def _read(self) -> Iterator[Row]:
        # The file was read before without trouble; what goes wrong now ends the batch, not the program.
        try:
            yield from self.table.rows()
        except OSError as error:
            self.trouble = str(unreadable(self.table.name, error))
        except Halt as error:
            self.trouble = f"{error} (the file has changed meanwhile)"

    def _take(self, outcome: Outcome[Accepted]) -> None:
        row, call = self._under_way.pop(outcome.index)
        self._mark(row)
        self.sent += outcome.result.meta.attempts > 0
        self.tally.count(row, outcome.result)
        self.ledger.settle(row, call.idempotency_key, outcome.result)

    def _pass_over(self, index: int, _: str) -> None:
        del self._under_way[index]
        self.tally.before += 1

    def _mark(self, row: Row) -> None:
        at, bit = divmod(row.number - 1, 8)
        self._told[at] |= 1 << bit

    def _is_told(self, row: Row) -> bool:
        at, bit = divmod(row.number - 1, 8)
        return bool(self._told[at] >> bit & 1)

    def _account_for_the_rest(self) -> None:
        for row, call in self._under_way.values():
            self._mark(row)
            self.tally.lost += 1
            self.ledger.lose(row, call.idempotency_key)
        if self.diary is None:
            self._recall(None)
            self.tally.unsent = self.tally.total - self.tally.settled - self.tally.lost
        else:
            with self.diary.read() as record:
                self._recall(record)
                self.tally.fill(record.summary())
        self.trouble = self.ledger.failure or self.trouble

    def _recall(self, record: JournalReader | None) -> None:
        # What the files say of the rows that this run did not tell of: an earlier one did, or nobody.
        if not self.ledger.wanted:
            return
        named = self.calls.naming.over(self._read(), self.table.count)
        untold = ((row, name) for row, name, _ in named if not self._is_told(row))
        while some := list(islice(untold, _MANY)):
            known = {} if record is None else record.rows_by_id([name for _, name in some])
            for row, name in some:
                line = known.get(name)
                if line is None or self.diary is None:
                    self.ledger.skip(row)
                else:
                    self.ledger.recall(row, line, self.diary.key(line))

    async def _listen(
        self,
        signals: "AsyncIterator[Signals]",
        outcomes: Outcomes[Accepted],
        scope: anyio.CancelScope,
        progress: Progress,
    ) -> None:
        async for _ in signals:
            self.interrupted += 1
            if self.interrupted > 1:
                progress.say(f"stopped at once: {outcomes.in_flight} in flight are cut off, and may have been sent")
                scope.cancel()
                return
            outcomes.stop()
            if self._waiting is not None:
                self._waiting.cancel()
            waiting = f"waiting for the {outcomes.in_flight} in flight"
            progress.say(f"stopping: no more is sent, {waiting}; Ctrl-C again stops at once")

    async def _show(self, outcomes: Outcomes[Accepted], progress: Progress) -> None:
        while True:
            progress.update(self.tally, outcomes.in_flight)
            await anyio.sleep(progress.every)
