"""The worker: takes chunks from a queue and sends them until there are none left, or until it has to stop.

The events are what it reports of its chunks and rows meanwhile.

Rules:
- What stops a local batch stops the worker: its chunks are returned to the queue at once, for other workers.
- While the workers of the key are paused because the balance is used up, it takes no chunk.
- It waits for a queue or a store that is unreachable.
- A queue that is unreachable when a chunk is given up is asked again for a minute. After that the lease expires, the
  chunk is delivered again, and its record says which rows are settled.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, Literal, TypeAlias, final

import anyio
from attrs import define, evolve, field, frozen

from .. import billing
from ..batch import Outcome, Stopped
from ..batch.stops import Breaker, is_healthy
from ..billing.calls import INTERVAL
from ..calls import Caller
from ..clock import SYSTEM_CLOCK, Clock, sleep_unobserved, steady
from ..concurrency import background, run_all
from ..messages import Accepted
from ..ratelimit import LocalSharedRate, Pace, SharedRate
from ..ratelimit.pace import sleep_while
from ..results import InsufficientBalance
from .backend import ChunkQueue, Lease, RecordStore, Unreachable
from .chunk import ChunkDocument, InvalidChunk
from .chunk_journal import MAX_ATTEMPTS
from .sending import Backoff, ChunkOptions, ChunkResult, send_with_options, stop_for_balance, with_timeout

Disposition: TypeAlias = Literal["done", "released", "buried", "lost"]
"""How a worker gives up a chunk.

`done`: each row is settled, and the chunk is removed from the queue. `released`: it is returned to the queue, to be
delivered again. `buried`: it can never succeed, and is removed from the queue. `lost`: the lease expired, and another
worker may have the chunk.
"""


@final
@frozen
class ChunkLeased:
    """The worker has taken a *chunk*; *delivery* is the number of the delivery, from 1."""

    chunk: str
    delivery: int


@final
@frozen
class RowFinished:
    """A row of a *chunk* has an *outcome*."""

    chunk: str
    outcome: Outcome[Accepted]


@final
@frozen
class ChunkFinished:
    """The worker has given up a *chunk*, with this *result*."""

    chunk: str
    disposition: Disposition
    result: ChunkResult


@final
@frozen
class BackendUnreachable:
    """The backend or the shared rate does not answer, and the worker waits for it; *reason* is one line."""

    reason: str


@final
@frozen
class Paused:
    """All workers of the key are paused because the balance is used up, and this one waits for a top-up."""

    stopped: Stopped


@final
@frozen
class Resumed:
    """The balance was topped up, and the workers send again."""


Event: TypeAlias = ChunkLeased | RowFinished | ChunkFinished | BackendUnreachable | Paused | Resumed
"""What `work` passes to *on_event*."""


@final
@define(eq=False, repr=False)
class StopState:
    """Whether a worker is to stop, and the *reason*; setting *stop_event* stops it."""

    stop_event: anyio.Event | None
    reason: Stopped | None = field(default=None, init=False)
    _stopped: bool = field(default=False, init=False)

    def stop(self, reason: Stopped | None) -> None:
        """Stop for this *reason*, unless the worker is stopped already."""
        if not self._stopped:
            self._stopped, self.reason = True, reason

    def is_running(self) -> bool:
        """Return whether the worker continues."""
        if self.stop_event is not None and self.stop_event.is_set():
            self.stop(Stopped("asked"))
        return not self._stopped


@final
@define(eq=False, repr=False)
class BalanceGate:
    """Lets a worker send while the workers of its key are not paused for lack of balance.

    While they are paused, the worker polls the balance if *wait* is set, and stops otherwise.
    """

    client: Caller
    shared: SharedRate
    clock: Clock
    wait: bool
    stop_state: StopState
    on_event: Callable[[Event], object]
    _first: bool = field(default=True, init=False)
    _paused: bool = field(default=False, init=False)

    async def is_open(self) -> bool:
        """Return whether the worker may send. If it may not, poll the balance, and wait before returning False.

        Raise `Unreachable` if the store of the shared rate does not answer.
        """
        pause = await with_timeout(self.clock, self.shared.paused)
        first, self._first = self._first, False
        if pause is None:
            if self._paused:
                self._paused = False
                _ = self.on_event(Resumed())
            return True
        stopped = stop_for_balance(pause)
        if not self._paused and self.wait:
            self._paused = True
            _ = self.on_event(Paused(stopped))
        if self.wait and not first and _states_no_amount(stopped):
            await sleep_while(self.clock, INTERVAL, self.stop_state.is_running)
        if (first or self.wait) and await billing.wait_for_top_up(self.client, stopped.error, polls=1):
            await with_timeout(self.clock, self.shared.resume)
        elif self.wait:
            await sleep_while(self.clock, INTERVAL, self.stop_state.is_running)
        else:
            self.stop_state.stop(stopped)
        return False


def _states_no_amount(stopped: Stopped) -> bool:
    # After a 402 without amounts any balance may be too low, and the next response the same.
    error = stopped.error
    return isinstance(error, InsufficientBalance) and error.balance is None and error.required_amount is None


_LEASE_WAIT: Final = 1.0  # seconds to wait for a chunk before it is checked whether to stop
_REDELIVERY: Final = 5.0  # seconds until a chunk with rows that are not settled is delivered again
_FIRST_PAUSE: Final = 0.25  # seconds until an unreachable backend is asked again; it doubles
_LONGEST_PAUSE: Final = 15.0
_CANCEL_TIMEOUT: Final = 5.0  # seconds to return a chunk in after a cancellation or an exception
_RENEWAL: Final = 1 / 3  # share of the lease after which it is renewed: two renewals may fail
_GIVE_UP_TIMEOUT: Final = 60.0  # seconds for which giving up a chunk is tried again
_LONGEST_GIVE_UP_PAUSE: Final = 5.0
_LOST: Final = InvalidChunk(f"{MAX_ATTEMPTS} workers have had it and were lost with it: it may be what ends them")


@final
@frozen(kw_only=True)
class WorkerOptions:
    """The options of `work`; *send* are those of each chunk."""

    send: ChunkOptions
    concurrent_chunks: int
    until_empty: bool
    wait_for_balance: bool
    stop_event: anyio.Event | None
    on_event: Callable[[Event], object]


async def work(
    queue: ChunkQueue,
    client: Caller,
    pace: Pace,
    *,
    records: RecordStore,
    concurrent_chunks: int = 4,
    concurrency: int = 64,
    breaker: int | None = 25,
    outage_timeout: float = 900.0,
    until_empty: bool = False,
    wait_for_balance: bool = False,
    stop_event: anyio.Event | None = None,
    on_event: Callable[[Event], object] | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> Stopped | None:
    """Send chunks of *queue* as they come, up to *concurrent_chunks* at a time; return why it stopped.

    Each chunk is sent as by `send_chunk`, with *concurrency* requests in flight. The worker stops at a 401, at a run of
    *breaker* identical refusals or that many of any kind while no row was accepted, at a run of answers that are not
    the service's, and when the service has not answered for *outage_timeout* seconds. It stops with the reason `asked`
    once *stop_event* is set and what is in flight has settled. With *until_empty* it returns None when no chunk is
    queued or leased by any worker.

    It stops at a 402 of its own or of another worker, unless *wait_for_balance* is set: then it checks the balance
    every 15 seconds, and lets all workers of the key send again after a top-up. A worker that starts during such a
    pause checks the balance once.

    A backend that is unreachable is waited for, and reported to *on_event*. Whatever *client* or *on_event* raises is
    raised, not in a group. When it is cancelled, the worker returns its chunks to the queue. Raise ValueError if a
    number is out of range.
    """
    if concurrent_chunks < 1:
        raise ValueError(f"concurrent_chunks must be at least 1, not {concurrent_chunks}")
    clock = steady(clock)
    send = ChunkOptions(concurrency=concurrency, breaker=breaker, outage_timeout=outage_timeout, clock=clock)
    options = WorkerOptions(
        send=send,
        concurrent_chunks=concurrent_chunks,
        until_empty=until_empty,
        wait_for_balance=wait_for_balance,
        stop_event=stop_event,
        on_event=on_event or _ignore,
    )
    shared = LocalSharedRate(clock) if pace.shared is None else pace.shared  # the chunks of this worker share one
    worker = _Worker(queue, client, shared, records, options)
    await run_all([worker.send_chunks] * concurrent_chunks)
    return worker.stop_state.reason


def _ignore(event: Event) -> None:
    """Ignore *event*."""


@final
@define(eq=False, repr=False)
class LeasedChunk:
    """A chunk that a worker has leased: the lease is renewed while it is sent, and given up at the end.

    *on_unreachable* is called each time the queue does not answer. *valid* is False once the lease has expired.
    """

    queue: ChunkQueue
    lease: Lease
    clock: Clock
    on_unreachable: Callable[[Unreachable], None]
    valid: bool = field(default=True, init=False)

    async def renew_forever(self) -> None:
        """Renew the lease in time, until it is no longer valid."""
        while self.valid:
            await sleep_unobserved(self.clock, self.queue.lease_seconds * _RENEWAL)
            try:
                self.valid = await self.queue.renew(self.lease)
            except Unreachable as error:
                self.on_unreachable(error)

    async def ack(self) -> None:
        """Remove the chunk from the queue because it is done."""
        await self._retry(lambda: self.queue.ack(self.lease))

    async def bury(self) -> None:
        """Remove the chunk from the queue because it can never succeed."""
        await self._retry(lambda: self.queue.bury(self.lease))

    async def release(self, after: float) -> None:
        """Return the chunk to the queue, to be delivered again *after* so many seconds."""
        if self.valid:
            await self._retry(lambda: self.queue.release(self.lease, after))

    async def _retry(self, operation: Callable[[], Awaitable[None]]) -> None:
        until, backoff = self.clock.now() + _GIVE_UP_TIMEOUT, Backoff(_FIRST_PAUSE, _LONGEST_GIVE_UP_PAUSE)
        while self.clock.now() < until:
            try:
                await operation()
            except Unreachable as error:
                self.on_unreachable(error)
                await self.clock.sleep(backoff.next())
            else:
                return


@final
@define(eq=False, repr=False)
class _Worker:
    queue: ChunkQueue
    client: Caller
    shared: SharedRate
    records: RecordStore
    options: WorkerOptions
    answered_at: float | None = field(default=None, init=False)  # when the service last answered a row
    breaker: Breaker = field(init=False)  # counts over all chunks, which can be small
    stop_state: StopState = field(init=False)
    _balance: BalanceGate = field(init=False)
    _turn: anyio.Lock = field(factory=anyio.Lock, init=False)

    def __attrs_post_init__(self) -> None:
        options = self.options
        self.breaker = Breaker(options.send.breaker, lambda: bool(options.send.accepted))
        self.stop_state = StopState(options.stop_event)
        self._balance = BalanceGate(
            self.client, self.shared, self._clock, options.wait_for_balance, self.stop_state, options.on_event
        )

    @property
    def _clock(self) -> Clock:
        return self.options.send.clock

    async def send_chunks(self) -> None:
        # One of several tasks that send a chunk each; one at a time waits for the next chunk.
        while True:
            async with self._turn:
                lease = await self._next()
            if lease is None:
                return
            await self._handle(lease)

    async def _next(self) -> Lease | None:
        backoff = Backoff(_FIRST_PAUSE, _LONGEST_PAUSE)
        while self.stop_state.is_running():
            try:
                if await self._balance.is_open():
                    lease = await self.queue.lease(_LEASE_WAIT)
                    if lease is not None:
                        return lease
                    if self.options.until_empty and not await self.queue.size():
                        self.stop_state.stop(None)
                backoff.reset()
            except Unreachable as error:
                self._report(error)
                await sleep_while(self._clock, backoff.next(), self.stop_state.is_running)
        return None

    async def _handle(self, lease: Lease) -> None:
        _ = self.options.on_event(ChunkLeased(lease.id, lease.delivery))
        chunk = LeasedChunk(self.queue, lease, self._clock, self._report)
        async with background(chunk.renew_forever):
            try:
                result = await self._send(chunk)
                disposition = await self._give_up(chunk, result)
            except BaseException:
                with anyio.move_on_after(_CANCEL_TIMEOUT, shield=True):
                    await chunk.release(0)
                raise
        _ = self.options.on_event(ChunkFinished(lease.id, disposition, result))

    async def _send(self, chunk: LeasedChunk) -> ChunkResult:
        lease = chunk.lease
        if lease.delivery > MAX_ATTEMPTS:
            return ChunkResult(invalid=_LOST)
        options = evolve(
            self.options.send,
            only_while=lambda: chunk.valid and self.stop_state.is_running(),
            on_outcome=partial(self._report_row, lease.id),
        )
        try:
            return await send_with_options(lease.body, self.client, self.shared, self.records, options)
        except Unreachable as error:
            self._report(error)
            return ChunkResult()

    def _report_row(self, chunk: str, outcome: Outcome[Accepted]) -> None:
        result = outcome.result
        if result.meta.status is not None and is_healthy(result):
            self.answered_at = self._clock.now()
        judge = self.breaker.judge if is_healthy(result) else self.breaker.judge_source  # an outage is waited out
        if (stopped := judge(result)) is not None and self._stops_worker(stopped):
            self.stop_state.stop(stopped)
        _ = self.options.on_event(RowFinished(chunk, outcome))

    async def _give_up(self, chunk: LeasedChunk, result: ChunkResult) -> Disposition:
        stopped = result.stopped
        if stopped is not None and self._stops_worker(stopped):
            self.stop_state.stop(stopped)
        if result.invalid is not None and await self._record_burial(chunk.lease, result.invalid):
            await chunk.bury()
            return "buried"
        if result.done:
            await chunk.ack()
            return "done"
        if not chunk.valid:
            return "lost"
        waits = stopped is None or stopped.reason in {"outage", "rate_limit"}
        await chunk.release(_REDELIVERY if waits else 0)
        return "released"

    def _stops_worker(self, stopped: Stopped) -> bool:
        if stopped.reason in {"outage", "rate_limit"}:  # this chunk has seen no answer, but another one may have
            timeout = self.options.send.outage_timeout
            return self.answered_at is None or self._clock.now() - self.answered_at >= timeout
        return stopped.reason not in {"asked", "balance"}

    async def _record_burial(self, lease: Lease, invalid: InvalidChunk) -> bool:
        batch, _, name = lease.id.partition("/")
        try:
            await ChunkDocument(batch, name, self.records).bury(invalid.reason)
        except Unreachable as error:
            self._report(error)
            return False
        return True

    def _report(self, error: Unreachable) -> None:
        _ = self.options.on_event(BackendUnreachable(f"{error}"))
