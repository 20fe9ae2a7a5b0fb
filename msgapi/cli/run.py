"""Running a batch: the rows of a file go out, and every one of them is accounted for.

Rules:
- Every row ends as exactly one of: an outcome, never sent, or cut off by a second Ctrl-C.
- The first Ctrl-C sends no more and lets what is in flight settle; the second cuts it off.
"""

import signal
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Final, Protocol, final

import anyio
from attrs import define, field

from ..batch import Outcome, Outcomes, Stopped, sending
from ..calls import Api, Call
from ..messages import Accepted, send
from ..results import Invalid
from .draft import Plan, own_key, same
from .exits import Exit, Halt, unreadable
from .ledger import Ledger
from .rows import Row, Table
from .seen import Seen
from .tally import DUPLICATE, Tally

if TYPE_CHECKING:
    from signal import Signals

_REPEATED: Final = Invalid(
    code=DUPLICATE, message="the same message to the same recipient as an earlier row: not sent a second time"
)


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
    plan: Plan
    ledger: Ledger
    at_once: int = field(default=64, kw_only=True)
    patience: float = field(default=900.0, kw_only=True)
    allow_duplicates: bool = field(default=False, kw_only=True)
    tally: Tally = field(init=False)
    stopped: Stopped | None = field(default=None, init=False)
    interrupted: int = field(default=0, init=False)
    trouble: str | None = field(default=None, init=False)
    _rows: Iterator[Row] = field(init=False)
    _under_way: dict[int, tuple[Row, Call[Accepted]]] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        """Begin at the first row."""
        self._rows = self.table.rows()
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

    async def go(self, api: Api, progress: Progress) -> None:
        """Send every row through *api*; what became of them stands in `tally`, `stopped` and `status`."""
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals, anyio.CancelScope() as scope:
            async with (
                anyio.create_task_group() as tasks,
                sending(api, self._calls(), at_once=self.at_once, patience=self.patience) as outcomes,
            ):
                _ = tasks.start_soon(self._listen, signals, outcomes, scope, progress)
                _ = tasks.start_soon(self._show, outcomes, progress)
                async for outcome in outcomes:
                    self._take(outcome)
                    if self.ledger.failure is not None:
                        outcomes.stop()
                self.stopped = outcomes.stopped
                tasks.cancel_scope.cancel()
        self._account_for_the_rest()
        progress.update(self.tally, 0)

    def _calls(self) -> Iterator[Call[Accepted]]:
        seen = Seen(self.table.count)
        for row in self._read():
            call = self._call(row, seen)
            self._under_way[id(call)] = row, call
            yield call

    def _read(self) -> Iterator[Row]:
        # The file was read before without trouble; what goes wrong now ends the batch, not the program.
        try:
            for row in self._rows:  # noqa: UP028 - `yield from` would close the rows along with the calls
                yield row
        except OSError as error:
            self.trouble = str(unreadable(self.table.name, error))
        except Halt as error:
            self.trouble = f"{error} (the file has changed meanwhile)"

    def _call(self, row: Row, seen: Seen) -> Call[Accepted]:
        message = self.plan.message(row)
        if isinstance(message, Invalid):
            return refused(message)
        call = send(message, idempotency_key=own_key(row))
        if call.invalid is None and not self.allow_duplicates and seen.again(same(message)):
            return refused(_REPEATED)
        return call

    def _take(self, outcome: Outcome[Accepted]) -> None:
        row, call = self._under_way.pop(id(outcome.call))
        self.tally.count(row, outcome.result)
        self.ledger.settle(row, call.idempotency_key, outcome.result)

    def _account_for_the_rest(self) -> None:
        for row, call in self._under_way.values():
            self.tally.lost += 1
            self.ledger.lose(row, call.idempotency_key)
        for row in self._read():
            self.ledger.skip(row)
        self.tally.unsent = self.tally.total - self.tally.settled - self.tally.lost
        self.trouble = self.ledger.failure or self.trouble

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
            waiting = f"waiting for the {outcomes.in_flight} in flight"
            progress.say(f"stopping: no more is sent, {waiting}; Ctrl-C again stops at once")

    async def _show(self, outcomes: Outcomes[Accepted], progress: Progress) -> None:
        while True:
            progress.update(self.tally, outcomes.in_flight)
            await anyio.sleep(progress.every)


def refused(why: Invalid) -> Call[Accepted]:
    """Make a call that is never sent, and comes to *why*."""
    return Call("POST", "/v1/messages", Accepted, invalid=why)
