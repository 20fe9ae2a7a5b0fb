"""The run of a batch: the rows of a file are sent, and each of them is accounted for.

Rules:
- Each row ends as exactly one of: a result, not sent yet, or interrupted by a second Ctrl-C.
- The first Ctrl-C, SIGTERM or SIGHUP stops sending and waits for the requests in flight. A second Ctrl-C or SIGTERM
  cancels them. A terminal that is closed may send SIGHUP twice, so that counts once.
- With a journal, a row that an earlier run has settled is skipped, and its outcome is read from the journal. The
  state of a row that this run has begun and not recorded is read from it, too, so that files and report agree.
- If the service does not answer for a while, that is printed, and when it answers again.
- What the progress line says about a wait comes from the batch itself: its outcomes, its journal and its pace.
"""

import signal
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from functools import partial
from itertools import islice
from math import ceil, inf
from typing import TYPE_CHECKING, Final, Protocol, final

import anyio
from attrs import define, field, frozen

from ...batch import OutageState, Outcome, Outcomes, SpendLimit, Stopped, send
from ...batch.stops import NEVER_REACHED
from ...billing import Estimate
from ...calls import Call, Caller
from ...client import Client
from ...clock import SYSTEM_CLOCK, Clock
from ...fallback import AnyCall
from ...journal import Journal, JournalReader, Unusable
from ...journal.resumption import changed_id, request_digest
from ...journal.timeline import Cause
from ...messages import Accepted
from ...observe import Observer, Watch, combine
from ...ratelimit import Pace
from ...results import ApiError, Ok, Result, Throttled
from ..advice import describe
from ..connection import open_signals, stop_signals
from ..files.rows import InputRow
from ..files.tables import InputFile
from ..output import CliError, Exit, RowOutcome, cannot_read, counted
from .calls import KeyFunction, RowCall, RowCalls
from .counts import Counts, RunShare
from .journal import METADATA, BatchJournal
from .result_files import ResultFiles
from .spending import TopUpWaiter, missing, shortage

if TYPE_CHECKING:
    from signal import Signals

LANE: Final = "POST messages"
"""The endpoint class whose rate limit a batch waits for."""

RATE_LIMIT: Final = "rate limit"
_OUTAGE: Final = "outage"
_TOP_UP: Final = "waiting for top-up"
_DISK: Final = "disk"
_CAUSES: Final[Mapping[str, Cause]] = {
    RATE_LIMIT: "rate_limit",
    _OUTAGE: "outage",
    _TOP_UP: "balance",
    _DISK: "disk",
}
STOPPING: Final = "stopping"
"""The `reason` of `Waiting` for the calls in flight, after which the batch ends."""

_CHUNK: Final = 500  # rows that are looked up in the journal together
_SLOW_WRITE: Final = 2.0  # seconds after which a write of the journal is shown
_SHORT_WAIT: Final = 1.0  # seconds: shorter waits for the rate limit are the pace of the batch


@final
@frozen
class Waiting:
    """What a batch waits for: the *reason*, and the *parts* that say when it continues, the most important first.

    *seconds* is how long the wait is known to last at least.
    """

    reason: str
    parts: tuple[str, ...] = ()
    seconds: float = inf


class ProgressReporter(Protocol):
    """Shows the progress of a batch; `update` is called every *interval* seconds."""

    interval: float

    def update(self, counts: Counts, in_flight: int, waiting: Waiting | None = None) -> None:
        """Show the current *counts*, and what the batch is *waiting* for."""
        ...  # pragma: no cover

    def finish(self, counts: Counts, ended: str) -> None:
        """Show the final *counts*; *ended* is how the batch ended: `done`, `stopped` or `interrupted`."""
        ...  # pragma: no cover

    def print_line(self, line: str) -> None:
        """Print a line that is not overwritten."""
        ...  # pragma: no cover


@final
@define(eq=False, repr=False)
class BatchRun:
    """One run of a batch.

    *files* is None if neither results nor failed rows are written. *top_up* waits for a top-up when the balance is used
    up; if it is None, the run stops.

    *counts* are the rows of all runs, *share* is what this run has done. *stopped* says why sending stopped early,
    *attempted* counts the rows that were sent, *interrupted* the signals received, and *failure* is an error of a file
    or the journal.
    """

    table: InputFile
    calls: RowCalls
    files: ResultFiles | None
    concurrency: int = field(default=64, kw_only=True)
    outage_timeout: float = field(default=900.0, kw_only=True)
    journal: BatchJournal | None = field(default=None, kw_only=True)
    resend_unknown: bool = field(default=False, kw_only=True)
    max_spend: SpendLimit | None = field(default=None, kw_only=True)
    estimate: Estimate | None = field(default=None, kw_only=True)
    top_up: TopUpWaiter | None = field(default=None, kw_only=True)
    pace: Pace = field(factory=Pace, kw_only=True)
    counts: Counts = field(init=False)
    stopped: Stopped | None = field(default=None, init=False)
    attempted: int = field(default=0, init=False)
    interrupted: int = field(default=0, init=False)
    share: RunShare = field(factory=RunShare, init=False)
    failure: str | None = field(default=None, init=False)
    _recorded: bytearray = field(init=False)
    _key_of: KeyFunction | None = field(default=None, init=False)
    _top_up_wait: anyio.CancelScope | None = field(default=None, init=False)
    _in_flight: dict[int, InputRow] = field(factory=dict, init=False)
    _outcomes: Outcomes[Accepted] | None = field(default=None, init=False)
    _opened: Journal | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        """Begin with no row recorded."""
        self._recorded = bytearray(self.table.count // 8 + 1)
        self.counts = Counts(self.table.count)

    @property
    def status(self) -> Exit:
        """The exit status."""
        if self.stopped is not None and self.stopped.reason == "unauthorized":
            return Exit.CONFIGURATION
        if self.interrupted and self.counts.without_verdict:
            return Exit.INTERRUPTED
        if self.failure or (self.stopped is not None and self.stopped.reason != "asked"):
            return Exit.STOPPED
        return self.counts.status

    async def send_rows(self, api: Caller, progress: ProgressReporter) -> None:
        """Send each row through *api*. The result is in `counts`, `stopped` and `status`."""
        service = ServiceWatch(self.outage_timeout)
        if isinstance(api, Client):
            api.observer = service if api.observer is None else combine(api.observer, service)
        with open_signals(*stop_signals()) as signals, anyio.CancelScope() as scope:
            try:
                async with AsyncExitStack() as stack:
                    batch = await self._open_batch(api, stack)
                    service.on_wait = None if self._opened is None else self._opened.add_wait
                    tasks = await stack.enter_async_context(anyio.create_task_group())
                    self._outcomes = outcomes = await stack.enter_async_context(batch)
                    _ = tasks.start_soon(self._listen, signals, outcomes, scope, progress)
                    _ = tasks.start_soon(self._show, outcomes, progress, service)
                    await self._drain(api, outcomes, progress)
                    self.stopped = outcomes.stopped
                    if self._opened is not None:
                        failed = "done" if self.failure is None else "exception"
                        self._opened.end_run(failed if self.stopped is None else self.stopped.reason)
                    tasks.cancel_scope.cancel()
            except Unusable as error:  # when the journal was closed: rows were sent
                self.failure = f"{error}"
        self._account_for_rest()
        cut_short = self.failure is not None or self.stopped is not None
        progress.finish(self.counts, "interrupted" if self.interrupted else "stopped" if cut_short else "done")

    def report_rows(self) -> None:
        """Send nothing: take the results of all rows from the journal of a finished batch."""
        self._account_for_rest()

    async def _open_batch(self, api: Caller, stack: AsyncExitStack) -> AbstractAsyncContextManager[Outcomes[Accepted]]:
        open_ = partial(
            send,
            api,
            concurrency=self.concurrency,
            outage_timeout=self.outage_timeout,
            max_spend=self.max_spend,
            estimate=self.estimate,
        )
        calls = self._calls()
        if self.journal is None:
            return open_((call for _, call in calls))
        opened = await stack.enter_async_context(self.journal.open(resend=self.resend_unknown))
        self._key_of, self._opened = opened.key, opened
        self.calls.builder.recipients.on_metadata = partial(opened.describe, METADATA)
        return open_(calls, journal=opened, on_skip=self._skip)

    async def _drain(self, api: Caller, outcomes: Outcomes[Accepted], progress: ProgressReporter) -> None:
        while True:
            try:
                await self._collect(outcomes)
                if self._opened is not None and outcomes.stopped is None and self.failure is None:
                    await self._opened.confirm_complete()
                    if not self.counts.without_verdict:
                        await self._opened.mark_finished()
            except Unusable as error:
                self.failure = f"{error}"
            top_up, stopped = self.top_up, outcomes.stopped
            if top_up is None or stopped is None or stopped.reason != "balance" or self.interrupted:
                break
            progress.print_line(
                f"the balance is used up{shortage(stopped, self.counts)}: waiting for a top-up; Ctrl-C stops"
            )
            if not await self._wait_for_top_up(top_up, api, stopped):
                break
            outcomes.resume(*top_up.take_kept())

    async def _collect(self, outcomes: Outcomes[Accepted]) -> None:
        async for outcome in outcomes:
            if self.top_up is None or not self.top_up.keep(outcome):
                self._record(outcome)
            if self.files is not None and self.files.failure is not None:
                outcomes.stop()

    async def _wait_for_top_up(self, top_up: TopUpWaiter, api: Caller, stopped: Stopped) -> bool:
        topped_up = False
        self._top_up_wait = anyio.CancelScope()
        with self._top_up_wait:
            topped_up = await top_up.wait(api, stopped)
        self._top_up_wait = None
        return topped_up and not self.interrupted

    def _calls(self) -> Iterator[tuple[str, AnyCall[Accepted]]]:
        made = self.calls.make(self._read(), self.table.count, self._key_of)
        for index, (row, name, call) in enumerate(made):
            self._in_flight[index] = row
            yield name, call

    def _read(self) -> Iterator[InputRow]:
        # The file was read once without an error; an error now ends the batch, but not the program.
        try:
            yield from self.table.rows()
        except OSError as error:
            self.failure = str(cannot_read(self.table.name, error))
        except CliError as error:
            self.failure = f"{error}"

    def _record(self, outcome: Outcome[Accepted]) -> None:
        row = self._in_flight.pop(outcome.index)
        self._mark(row)
        if self._opened is not None:
            self._opened.locate(outcome.id, row.number, row.line)
        self.attempted += outcome.result.meta.attempts > 0
        self.counts.add_result(row, outcome.result)
        if self.files is not None:
            # The journal gives a changed row another key than the file does.
            self.files.write_result(row, outcome.call.idempotency_key, outcome.result)

    def _skip(self, index: int, _: str) -> None:
        del self._in_flight[index]
        self.counts.settled_before += 1

    def _mark(self, row: InputRow) -> None:
        at, bit = divmod(row.number - 1, 8)
        self._recorded[at] |= 1 << bit

    def _is_recorded(self, row: InputRow) -> bool:
        at, bit = divmod(row.number - 1, 8)
        return bool(self._recorded[at] >> bit & 1)

    def _account_for_rest(self) -> None:
        ended = [] if self._outcomes is None else self._outcomes.take_ended()
        kept = [] if self.top_up is None else self.top_up.take_kept()
        for outcome in (*kept, *ended):
            self._record(outcome)
        cut_off = 0 if self._outcomes is None else len(self._outcomes.unsettled)
        self.share = RunShare.of(self.counts, sent=self.attempted, cut_off=cut_off)
        if self.journal is None:
            self._account_alone()
        else:
            try:
                self._account_by_journal(self.journal)
            except CliError as error:
                self.failure = self.failure or f"{error}"
                self._account_alone()
        if self.files is not None:
            self.failure = self.files.failure or self.failure

    def _account_by_journal(self, journal: BatchJournal) -> None:
        with journal.read() as record:
            unwritten = () if self._opened is None else self._opened.unwritten()
            summary = record.summary().replace_started(unwritten)
            self._write_rest(record)
            self.counts.load(summary)
        self.counts.sent_earlier = self.counts.accepted - self.share.outcomes[RowOutcome.ACCEPTED]

    def _account_alone(self) -> None:
        unsettled: Mapping[int, Call[Accepted]] = {} if self._outcomes is None else self._outcomes.unsettled_calls
        for index, call in sorted(unsettled.items()):
            row = self._in_flight[index]
            self._mark(row)
            self.counts.interrupted += 1
            if self.files is not None:
                self.files.write_interrupted(row, call.idempotency_key)
        self._write_rest(None)
        self.counts.not_sent_yet = self.counts.total - self.counts.ended - self.counts.interrupted

    def _write_rest(self, record: JournalReader | None) -> None:
        # Rows that this run has not recorded: an earlier run has settled them, or they are not sent yet.
        if self.files is None:
            return
        made = self.calls.make_each(self._read(), self.table.count)
        rest = ((one.row, one.id, _changed_id(one)) for one in made if not self._is_recorded(one.row))
        while chunk := list(islice(rest, _CHUNK)):
            ids = [name for _, *names in chunk for name in names]
            known = {} if record is None else record.rows_by_id(ids)
            for row, name, changed in chunk:
                line = known.get(changed) or known.get(name)
                if line is None or self.journal is None:
                    self.files.write_not_sent(row)
                else:
                    self.files.write_recorded(row, line, self.journal.key(line))

    async def _listen(
        self,
        signals: "AsyncIterator[Signals]",
        outcomes: Outcomes[Accepted],
        scope: anyio.CancelScope,
        progress: ProgressReporter,
    ) -> None:
        async for number in signals:
            if self.interrupted and number not in {signal.SIGINT, signal.SIGTERM}:
                continue
            self.interrupted += 1
            if self._opened is not None:
                self._opened.end_run("interrupted")
            if self.interrupted > 1:
                cut_off = counted(outcomes.in_flight, "request")
                progress.print_line(f"stopped at once, with {cut_off} in flight that may have been received")
                scope.cancel()
                return
            outcomes.stop()
            if self._top_up_wait is not None:
                self._top_up_wait.cancel()
            waiting = f"waiting for {counted(outcomes.in_flight, 'request')} in flight"
            progress.print_line(f"stopping: no more rows are sent, {waiting}; Ctrl-C again stops at once")

    async def _show(self, outcomes: Outcomes[Accepted], progress: ProgressReporter, service: "ServiceWatch") -> None:
        since = service.clock.now()
        while True:
            waiting = self._waiting(outcomes, service)
            progress.update(self.counts, outcomes.in_flight, waiting)
            since = self._record_wait(waiting, since, service, in_outage=outcomes.in_outage)
            if (news := service.news()) is not None:
                progress.print_line(news)
            await anyio.sleep(progress.interval)

    def _record_wait(self, waiting: Waiting | None, since: float, service: "ServiceWatch", *, in_outage: bool) -> float:
        # A single failure is no outage, although the progress line shows it.
        now, cause = service.clock.now(), None if waiting is None else _CAUSES.get(waiting.reason)
        if cause is not None and self._opened is not None and (cause != "outage" or in_outage or service.is_down):
            self._opened.add_wait(cause, now - since)
        return now

    def _waiting(self, outcomes: Outcomes[Accepted], service: "ServiceWatch") -> Waiting | None:
        if self._top_up_wait is not None and outcomes.stopped is not None and not self.interrupted:
            amount = missing(outcomes.stopped, self.counts)
            return Waiting(_TOP_UP, () if amount is None else (f"{amount} EUR missing",))
        if outcomes.stopped is not None:
            return Waiting(STOPPING, (*_endings(outcomes, self.files), f"{outcomes.in_flight:,} in flight"))
        if (waiting := service.waiting(outcomes.outage)) is not None:
            return waiting
        if self._opened is not None and (seconds := self._opened.writing_for) >= _SLOW_WRITE:
            return Waiting(_DISK, (f"journal not written for {duration(seconds)}",))
        lane = self.pace.lane(LANE)
        seconds = lane.blocked(service.clock.now())
        if seconds >= _SHORT_WAIT and outcomes.in_flight > lane.in_flight:
            return Waiting(RATE_LIMIT, (f"wait {duration(seconds)}",), seconds)
        return None


def duration(seconds: float) -> str:
    """Return a duration for the progress line: `8 s`, `1:23` or `3:05:00`."""
    minutes, rest = divmod(ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02}:{rest:02}"
    return f"{minutes}:{rest:02}" if minutes else f"{rest} s"


def _retry(seconds: float) -> str:
    return f"retry in {duration(seconds)}" if seconds > 0 else "retrying now"


def _endings(outcomes: Outcomes[Accepted], files: ResultFiles | None) -> tuple[str, ...]:
    if isinstance(outcomes.failure, Unusable):
        return ("disk full" if outcomes.failure.reason == "full" else "journal cannot be written",)
    return ("results cannot be written",) if files is not None and files.failure is not None else ()


def _changed_id(made: RowCall) -> str:
    # The id under which the journal has the row if a changed row of its id was left out.
    return changed_id(made.id, request_digest(*made.call.legs))


_FAILURES: Final = 5  # in a row: fewer are retried without a word
_PATIENCE: Final = 2.0  # seconds for which every attempt must have failed


@final
@define(eq=False)
class ServiceWatch(Observer, Watch):
    """Notices that every attempt of every row fails because of the service, from the retries of the client.

    The batch itself sees a failure only after the last retry of a row, which can take minutes.
    """

    outage_timeout: float
    clock: Clock = SYSTEM_CLOCK
    on_wait: Callable[[Cause, float], object] | None = None
    _failures: int = field(default=0, init=False)
    _since: float = field(default=0.0, init=False)
    _error: ApiError | None = field(default=None, init=False)
    _announced: bool = field(default=False, init=False)
    _attempt_at: float = field(default=0.0, init=False)

    @property
    def is_down(self) -> bool:
        """Whether the service seems to be down: every attempt has failed for some time."""
        return self._failures >= _FAILURES and self.failing_for >= _PATIENCE

    @property
    def failing_for(self) -> float:
        """The seconds since the first of the failures; 0.0 if the last attempt did not fail."""
        return self.clock.now() - self._since if self._failures else 0.0

    def waiting(self, outage: OutageState | None) -> Waiting | None:
        """Return the wait for the service, by the *outage* of the batch if it has one; None if there is none."""
        if outage is not None:
            wait, stops = outage.next_probe, f"stops in {duration(outage.time_left)}"
            if isinstance(outage.error, Throttled):
                return Waiting(RATE_LIMIT, (f"wait {duration(wait)}", stops))
            since = f"for {duration(max(outage.lasted, self.failing_for))}"
            return Waiting(_OUTAGE, (_retry(wait), stops, since))
        if self.is_down:  # the client repeats its first calls, and the batch has not seen a failure yet
            return Waiting(_OUTAGE, (_retry(self._attempt_at - self.clock.now()), f"for {duration(self.failing_for)}"))
        return None

    def call(self, call: Call[object], /) -> Watch:  # noqa: ARG002 - one for all calls
        """Return the object itself."""
        return self

    def answer(self, result: Result[object], /) -> None:
        """Count a failure of the service; any other answer ends the count."""
        if isinstance(result, Ok) or result.scope != "service" or isinstance(result, Throttled):
            self._failures = 0
            return
        if not self._failures:
            self._since = self.clock.now()
        self._failures += 1
        self._error = result

    def wait(self, seconds: float, /) -> None:
        """Report a delay by the rate limit."""
        if self.on_wait is not None:
            _ = self.on_wait("rate_limit", seconds)

    def retry(self, error: ApiError, seconds: float, /) -> None:  # noqa: ARG002 - of the base class
        """Note when the row is sent again."""
        now = self.clock.now()
        at = now + seconds
        self._attempt_at = at if self._attempt_at <= now else min(self._attempt_at, at)

    def news(self) -> str | None:
        """Return the line to print now: the service does not answer, or answers again; None if there is no news."""
        if self.is_down and not self._announced and self._error is not None:
            self._announced = True
            return (
                f"the service is out of reach or down ({describe(self._error)}): the rows wait and are sent again, for "
                f"up to --outage-timeout {self.outage_timeout:g} s, or {NEVER_REACHED:g} s if the service has not "
                "answered at all; then the batch stops, and can be continued"
            )
        if self._announced and not self._failures:
            self._announced = False
            return "the service answers again: the batch continues"
        return None
