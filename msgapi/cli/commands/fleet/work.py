"""The command `msgapi fleet work`: one worker of a fleet, until Ctrl-C or until the queue is empty.

Rules:
- A worker claims the fleet for its key after the service has accepted the key, and before it sends the first row.
- The first Ctrl-C stops sending, waits for the requests in flight and returns the other rows; the second cancels them.
- A worker may get a chunk again, with a new outcome for each of its unsettled rows. Such a row counts once, with its
  last outcome; a row that was accepted stays accepted, even if that could not be recorded and it is sent again.
"""

import signal
from collections import Counter
from collections.abc import AsyncIterator
from functools import partial
from typing import TYPE_CHECKING, Any, Final, assert_never, final

import anyio
import click
from attrs import define, evolve, field, frozen

from .... import billing
from ....batch import Stopped
from ....calls import Caller
from ....clock import SYSTEM_CLOCK, Clock
from ....concurrency import background
from ....config import Misconfigured, key_problem
from ....fleet import FleetConflict, Unreachable, disclaim
from ....fleet.opening import claim
from ....fleet.worker import BackendUnreachable, ChunkFinished, ChunkLeased, Event, Paused, Resumed, RowFinished
from ....fleet.worker import work as run_worker
from ....ratelimit import Pace
from ....results import ApiError, Balance, InsufficientBalance, Ok, Result, Unauthorized
from ... import connection as clients
from ...batch.counts import Counts, outcome_table, plain_counts
from ...batch.progress import Display, SpeedMeter, open_display, outcome_parts
from ...batch.summary import stop_reason
from ...connection import open_signals, run_async
from ...files.rows import InputRow
from ...options import (
    GroupedCommand,
    json_option,
    option_group,
    outage_timeout_option,
    profile_options,
    rate_option,
    wait_option,
)
from ...output import CliError, Exit, counted, emit, emit_json, note
from . import connection
from .connection import FleetAddress, OpenFleet, engine_errors, fleet_option, lease_option, url_option

if TYPE_CHECKING:
    from signal import Signals


@final
@define(eq=False)
class WorkerCounts:
    """Counts the rows and chunks of one worker, and shows them on *display*.

    *held* are the chunks of the worker; *left* is the number of chunks in the queue, None if it is not known.
    """

    display: Display
    clock: Clock
    counts: Counts = field(factory=lambda: Counts(0), init=False)
    chunks: Counter[str] = field(factory=Counter, init=False)
    held: set[str] = field(factory=set, init=False)
    left: int | None = field(default=None, init=False)
    _speed: SpeedMeter = field(init=False)
    _away: str | None = field(default=None, init=False)
    _open: dict[str, dict[int, ApiError | None]] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        """Begin to measure the speed."""
        self._speed = SpeedMeter(self.clock)

    def handle(self, event: Event) -> None:
        """Count *event*, and print a line if it is not a regular one."""
        match event:
            case BackendUnreachable(reason=reason):
                self._report_away(reason)
            case ChunkLeased(chunk=chunk):
                if self._away is not None:
                    self.display.print_line("the server answers again: continuing")
                self._away = None
                self.held.add(chunk)
            case RowFinished():
                self._count(event)
            case ChunkFinished():
                self._release(event)
            case Paused(stopped=stopped):
                self.display.print_line(
                    f"the balance is used up{top_up_hint(stopped)}: waiting for a top-up; Ctrl-C stops"
                )
            case Resumed():
                self.display.print_line("the balance was topped up: continuing")
            case _:
                assert_never(event)

    def _report_away(self, why: str) -> None:
        if self._away != why:
            self.display.print_line(f"{why}; waiting for it")
        self._away = why

    def _count(self, event: RowFinished) -> None:
        before, outcome = self._open.setdefault(event.chunk, {}), event.outcome
        repeated = outcome.index in before
        last = before.get(outcome.index)
        if repeated and last is None:
            return
        self.counts.add_result(InputRow(outcome.index + 1, 0), outcome.result)
        if last is None:
            self.counts.total += 1
        else:
            self.counts.remove_error(last)
        before[outcome.index] = None if isinstance(outcome.result, Ok) else outcome.result

    def _release(self, event: ChunkFinished) -> None:
        self.held.discard(event.chunk)
        if event.disposition in {"done", "buried"}:
            _ = self._open.pop(event.chunk, None)
        self.chunks[event.disposition] += 1
        if event.disposition == "buried" and event.result.invalid is not None:
            self.display.print_line(f"the chunk {event.chunk} was abandoned: {event.result.invalid.reason}")

    def show(self) -> None:
        """Show the progress."""
        counts, rate = self.counts, self._speed.measure(self.counts.ended)
        if not counts.ended and not self.display.eager:
            return
        parts = outcome_parts(counts)
        if rate >= 1:
            parts.append(f"{rate:,.0f}/s")
        parts.append(f"{len(self.held)} chunks held")
        if self.left is not None:
            parts.append(f"{self.left:,} chunks left")
        self.display.draw(parts, None, fine=not counts.failed)


def top_up_hint(stopped: Stopped) -> str:
    """Return where to top up after the balance was used up."""
    url = stopped.error.topup_url if isinstance(stopped.error, InsufficientBalance) else None
    return f"; top up at {url}" if url else ""


_KEY_TIMEOUT: Final = 5.0  # seconds to wait for the service to accept the key
_COUNT_INTERVAL: Final = 2.0  # seconds between two counts of the queue


@final
@frozen(kw_only=True)
class WorkerConfig:
    """The options of a worker.

    *concurrency* is for each chunk; *rate*, in requests per second, is for all workers of the fleet.
    *outage_timeout* is in seconds.
    """

    concurrency: int = 64
    concurrent_chunks: int = 4
    rate: float | None = None
    outage_timeout: float = 900.0
    wait_for_balance: bool = False
    until_empty: bool = False
    json: bool = False


@final
@define(eq=False)
class FleetWorker:
    """One worker: its options, its counts, and why it stopped."""

    config: WorkerConfig
    counts: WorkerCounts
    clock: Clock
    stopped: Stopped | None = field(default=None, init=False)
    interrupted: int = field(default=0, init=False)
    _stopping: anyio.Event = field(factory=anyio.Event, init=False)

    @property
    def status(self) -> Exit:
        """The exit status. A worker without --until-empty always ends by Ctrl-C, so that is not an error."""
        reason = None if self.stopped is None else self.stopped.reason
        if reason == "unauthorized":
            return Exit.CONFIGURATION
        if self.interrupted > 1 or (self.interrupted and self.config.until_empty):
            return Exit.INTERRUPTED
        if reason not in {None, "asked"}:
            return Exit.STOPPED
        return Exit.REFUSED if self.counts.counts.failed else Exit.ACCEPTED

    async def run(self, fleet: OpenFleet, api: Caller, pace: Pace) -> None:
        """Send the queued rows of *fleet* through *api*."""
        with open_signals(signal.SIGINT, signal.SIGTERM) as signals, anyio.CancelScope() as scope:
            listen, count = partial(self._listen, signals, scope), partial(self._count, fleet)
            async with background(listen), background(self._show), background(count):
                self.stopped = await run_worker(
                    fleet.queue,
                    api,
                    pace,
                    records=fleet.records,
                    concurrent_chunks=self.config.concurrent_chunks,
                    concurrency=self.config.concurrency,
                    outage_timeout=self.config.outage_timeout,
                    until_empty=self.config.until_empty,
                    wait_for_balance=self.config.wait_for_balance,
                    stop_event=self._stopping,
                    on_event=self.counts.handle,
                    clock=self.clock,
                )
        self.counts.left = None
        self.counts.show()

    async def _listen(self, signals: "AsyncIterator[Signals]", scope: anyio.CancelScope) -> None:
        async for _ in signals:
            self.interrupted += 1
            if self.interrupted > 1:
                self.counts.display.print_line("stopped at once: rows in flight may have been sent, and are sent again")
                scope.cancel()
                return
            self._stopping.set()
            chunks = counted(len(self.counts.held), "chunk")
            self.counts.display.print_line(
                f"stopping: no more rows are sent, waiting for requests in flight of {chunks}; "
                "Ctrl-C again stops at once"
            )

    async def _show(self) -> None:
        while True:
            self.counts.show()
            await self.clock.sleep(self.counts.display.interval)

    async def _count(self, fleet: OpenFleet) -> None:
        while True:
            try:
                self.counts.left = await fleet.queue.size()
            except Unreachable:  # the worker reports it
                self.counts.left = None
            await self.clock.sleep(_COUNT_INTERVAL)


@click.command(cls=GroupedCommand)
@option_group(
    "Sending",
    click.option(
        "--concurrency",
        type=click.IntRange(1, 10_000),
        default=64,
        show_default=True,
        metavar="N",
        help="Keep up to N requests in flight for each chunk.",
    ),
    click.option(
        "--chunks-at-once",
        "concurrent_chunks",
        type=click.IntRange(1, 100),
        default=4,
        show_default=True,
        metavar="N",
        help="Send N chunks at a time. A chunk has up to 100 rows.",
    ),
    rate_option,
    outage_timeout_option,
    wait_option,
    click.option("--until-empty", is_flag=True, help="End when no chunk is left in the queue or with a worker."),
)
@option_group("The fleet", url_option, fleet_option, lease_option)
@profile_options
@json_option
def work(*, lease: float, url: str, fleet: str, **options: Any) -> int:  # noqa: ANN401 - the fields of WorkerConfig
    """Send queued rows until Ctrl-C.

    A worker sends the rows of all batches of the fleet. All workers share the rate limit of the API key, and --rate is
    for all of them together. A worker may be killed at any time. Its rows are sent again with their idempotency keys,
    so that none arrives twice.

    When the balance is used up, all workers stop sending. After a top-up, all of them continue if one of them has
    --wait-for-balance, or if another worker is started.

    Ctrl-C stops sending, waits for the requests in flight and returns the other rows. A second Ctrl-C stops at once.

    The exit status is 0 if every row that this worker has sent was accepted, 1 if some were not, 3 if it has stopped
    (balance, outage, repeated refusals), 4 for a wrong API key or configuration, and 130 if it was interrupted.
    """
    config, address = WorkerConfig(**options), FleetAddress(url=url, fleet=fleet, lease=lease)
    address.check()
    settings = clients.service_settings()
    if (problem := key_problem(settings.read_key())) is not None:  # before anything is sent
        raise CliError(f"{problem}", Exit.CONFIGURATION)
    address = evolve(address, api_key=settings.read_key())
    try:
        return run_async(partial(_work, config, address))
    except Misconfigured as error:
        raise CliError(f"{error}", Exit.CONFIGURATION) from None


async def _work(config: WorkerConfig, address: FleetAddress) -> int:
    async with connection.open_fleet(address, config.concurrent_chunks) as fleet:
        worker = await _run(config, fleet, address)
        await _disclaim(fleet, worker.status, address)
    return _report(worker)


async def _run(config: WorkerConfig, fleet: OpenFleet, address: FleetAddress) -> FleetWorker:
    pace, clock = Pace(config.rate, shared=fleet.shared_rate), SYSTEM_CLOCK
    async with clients.open_client(pace=pace) as api:
        with open_display() as display:
            worker = FleetWorker(config, WorkerCounts(display, clock), clock)
            if await _accepted(api, worker):
                await _claim(fleet, address)
                await worker.run(fleet, api, pace)
    return worker


async def _accepted(api: Caller, worker: FleetWorker) -> bool:
    # A key that the service does not know must not own the fleet. If the service is down, the first 401 shows it.
    result: Result[Balance] | None = None
    with anyio.move_on_after(_KEY_TIMEOUT):
        result = await api(billing.balance())
    if isinstance(result, Unauthorized) and result.scope == "account":
        worker.stopped = Stopped("unauthorized", result)
    return worker.stopped is None


async def _claim(fleet: OpenFleet, address: FleetAddress) -> None:
    try:
        await claim(fleet.records, address.fleet, address.api_key)
    except (FleetConflict, Unreachable) as error:
        raise CliError(f"{error}", Exit.CONFIGURATION) from None


async def _disclaim(fleet: OpenFleet, status: Exit, address: FleetAddress) -> None:
    # A refused key must not own the fleet.
    if status is Exit.CONFIGURATION:
        with engine_errors("the key was refused"):
            await disclaim(fleet.records, address.api_key)


def _report(worker: FleetWorker) -> int:
    counts, chunks, status = worker.counts.counts, worker.counts.chunks, worker.status
    reason = None if worker.stopped is None else worker.stopped.reason
    if worker.config.json:
        emit_json(plain_counts(counts) | {"chunks": dict(chunks), "stopped": reason, "exit": int(status)})
    else:
        emit(outcome_table(counts))
        done = counted(chunks["done"], "chunk")
        emit(f"{counted(counts.accepted)} accepted by this worker, {counts.spend} EUR, {done} done")
    reason_text = "" if worker.stopped is None else stop_reason(worker.stopped, top_up_hint(worker.stopped))
    if reason_text:
        note(reason_text)
    return status
