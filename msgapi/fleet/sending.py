"""Sending a chunk: what any worker does with one, from its JSON to the results in its record.

Rules:
- It may be called for one chunk any number of times, by several workers at once: a row that is settled is skipped, and
  one with an unknown outcome is sent under the key that it had.
- A chunk that is not done stays in the queue, to be delivered again; nothing of it is lost or carried out twice.
"""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from functools import partial
from typing import Final, TypeAlias, TypeVar, final

import anyio
from attrs import define, field, frozen

from ..batch import Outcome, Outcomes, Stopped, send
from ..calls import Caller
from ..clock import SYSTEM_CLOCK, Clock, sleep_unobserved, steady
from ..codec import Problems, to_json
from ..codec.json import error_from_json
from ..concurrency import background
from ..messages import Accepted
from ..ratelimit import Pace, SharedRate
from ..results import InsufficientBalance
from .backend import RecordStore, Unreachable
from .chunk import Chunk, ChunkDocument, ChunkRecord, InvalidChunk, RowRecord, load_chunk
from .chunk_journal import ChunkJournal, EarlierRows, begin_chunk, read_earlier_rows, record_accepted


@final
@define
class Backoff:
    """Pauses in seconds that grow by a factor from *first* to *longest*."""

    first: float
    longest: float
    growth: float = 2.0
    _pause: float = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Start with the first pause."""
        self.reset()

    def next(self) -> float:
        """Return the seconds to wait now; the next pause is longer."""
        pause = self._pause
        self._pause = min(self.longest, pause * self.growth)
        return pause

    def reset(self) -> None:
        """Start again with the first pause, after an answer."""
        self._pause = self.first


T = TypeVar("T")
_CHECK_INTERVAL: Final = 1.0  # seconds between two checks whether the rows are still to be sent
_LONGEST: Final = 1800.0  # seconds after which sending stops, so that the record is read again
_WRITE_TIMEOUT: Final = 60.0  # seconds for which writing the results is tried again
_FIRST_PAUSE: Final = 0.25  # seconds between two tries; it doubles
_LONGEST_PAUSE: Final = 5.0
_CANCEL_TIMEOUT: Final = 5.0  # seconds to write the results in after a cancellation or an exception
_PAUSE_TIMEOUT: Final = 5.0  # seconds that the shared rate may take to read or to set the pause


OnOutcome: TypeAlias = Callable[[Outcome[Accepted]], object]


@final
@frozen(kw_only=True)
class ChunkResult:
    """The result of sending a chunk.

    If *done*, each row is settled and the chunk may be removed from the queue. If *invalid* is set, no worker can send
    the chunk, and its record says why. Otherwise *rows_left* rows are not settled and the chunk is to be delivered
    again. *stopped* is why sending stopped, if it did; what stops a batch would stop the other chunks too. *rows* are
    those of the record now.
    """

    batch: str = ""
    id: str = ""
    done: bool = False
    invalid: InvalidChunk | None = None
    stopped: Stopped | None = None
    rows_left: int = 0
    rows: tuple[RowRecord, ...] = field(default=(), repr=False)


@final
@frozen(kw_only=True)
class ChunkOptions:
    """The options of `send_chunk`. *accepted* are the batches of which a row is known to be accepted; it grows."""

    concurrency: int = 64
    breaker: int | None = 25
    outage_timeout: float = 900.0
    only_while: Callable[[], bool] | None = None
    on_outcome: OnOutcome | None = None
    clock: Clock = SYSTEM_CLOCK
    accepted: set[str] = field(factory=set)


async def send_chunk(
    chunk: bytes | Chunk,
    client: Caller,
    pace: Pace,
    *,
    records: RecordStore,
    concurrency: int = 64,
    breaker: int | None = 25,
    outage_timeout: float = 900.0,
    only_while: Callable[[], bool] | None = None,
    on_outcome: OnOutcome | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> ChunkResult:
    """Send the rows of *chunk*, given as JSON or parsed, and write their results into *records*.

    *pace* is the one that *client* was made with. A 402 pauses all clients that share its rate; if the shared rate is
    unreachable, the next 402 does. While they are paused, nothing is sent. *concurrency*, *breaker* and
    *outage_timeout* (in seconds) are those of `batch.send`; identical refusals, and answers that are not the service's,
    count over all chunks of the batch and all attempts of the chunk, as far as they are in *records*. *only_while* is
    called before each row leaves and once a second: once it returns False, sending stops. *on_outcome* is called with
    each row that ends.

    May be repeated for the same chunk after any end, and called by several workers at once. JSON that is not a chunk
    is a `ChunkResult` with *invalid*. Raise `Unreachable` if the backend fails: only writing the results is tried
    again, for a minute. Whatever *client* or *on_outcome* raises is raised, not in a group, and the rows in flight have
    an unknown outcome. Raise ValueError if *concurrency*, *breaker* or *outage_timeout* is out of range.
    """
    options = ChunkOptions(
        concurrency=concurrency,
        breaker=breaker,
        outage_timeout=outage_timeout,
        only_while=only_while,
        on_outcome=on_outcome,
        clock=steady(clock),
    )
    return await send_with_options(chunk, client, pace.shared, records, options)


async def send_with_options(
    chunk: bytes | Chunk, client: Caller, shared: SharedRate | None, records: RecordStore, options: ChunkOptions
) -> ChunkResult:
    """Send the rows of *chunk* as `send_chunk` does, by *options* and the *shared* rate of its pace."""
    loaded = load_chunk(chunk) if isinstance(chunk, bytes) else chunk
    if isinstance(loaded, InvalidChunk):
        return ChunkResult(invalid=loaded)
    error = None if shared is None else await with_timeout(options.clock, shared.paused)
    if error is not None:
        return ChunkResult(
            batch=loaded.batch, id=loaded.id, stopped=stop_for_balance(error), rows_left=len(loaded.rows)
        )
    document = ChunkDocument(loaded.batch, loaded.id, records)
    known = loaded.batch in options.accepted or options.breaker is None
    earlier = EarlierRows(accepted=True) if known else await read_earlier_rows(records, loaded.batch)
    journal = await begin_chunk(loaded, document, options.clock.time(), earlier=earlier, clock=options.clock)
    if isinstance(journal, InvalidChunk):
        await document.bury(journal.reason)
        return ChunkResult(batch=loaded.batch, id=loaded.id, invalid=journal)
    run = _ChunkRun(journal, shared, options)
    batch = send(
        client,
        ((row.id, row.call) for row in loaded.rows),
        journal=journal,
        concurrency=options.concurrency,
        breaker=options.breaker,
        outage_timeout=options.outage_timeout,
        clock=options.clock,
        only_while=run.is_wanted,
    )
    stopped, record, left = await run.send(batch)
    if journal.accepted and not earlier.accepted:
        await record_accepted(records, loaded.batch)
    if journal.accepted or earlier.accepted:
        options.accepted.add(loaded.batch)
    return ChunkResult(
        batch=loaded.batch, id=loaded.id, done=not left, stopped=stopped, rows_left=left, rows=record.rows
    )


@final
@define(eq=False, repr=False)
class _ChunkRun:
    # One chunk while its rows are sent.
    journal: ChunkJournal
    shared: SharedRate | None
    options: ChunkOptions
    paused: Stopped | None = field(default=None, init=False)

    @property
    def clock(self) -> Clock:
        return self.options.clock

    def is_wanted(self) -> bool:
        fresh = self.clock.time() - self.journal.started_at < _LONGEST
        only_while = self.options.only_while
        return self.paused is None and fresh and (only_while is None or only_while())

    async def send(
        self, batch: AbstractAsyncContextManager[Outcomes[Accepted]]
    ) -> tuple[Stopped | None, ChunkRecord, int]:
        stopped: Stopped | None = None
        try:
            async with batch as outcomes, background(partial(self._watch, outcomes)):
                async for outcome in outcomes:
                    if self.options.on_outcome is not None:
                        _ = self.options.on_outcome(outcome)
                stopped = outcomes.stopped
            if self.shared is not None and stopped is not None and stopped.reason == "balance":
                with suppress(Unreachable):  # the next client that sends gets a 402 as well, and sets the pause
                    await with_timeout(self.clock, partial(self.shared.pause, to_json(stopped.error)))
            if stopped is not None and stopped.reason == "asked":
                stopped = self.paused or stopped
            stopped = stopped or self.journal.foreign_stop
            return stopped, *await self._write_results(stopped)
        except BaseException as error:
            await self._write_after(error)
            raise

    async def _watch(self, outcomes: Outcomes[Accepted]) -> None:
        while True:
            await sleep_unobserved(self.clock, _CHECK_INTERVAL)
            error = None if self.shared is None else await self.shared.paused()
            if error is not None:
                self.paused = stop_for_balance(error)
            if outcomes.stopped is None and not self.is_wanted():
                outcomes.stop()

    async def _write_results(self, stopped: Stopped | None) -> tuple[ChunkRecord, int]:
        until, backoff = self.clock.now() + _WRITE_TIMEOUT, Backoff(_FIRST_PAUSE, _LONGEST_PAUSE)
        while True:
            pause = backoff.next()
            try:
                return await self.journal.close(stopped)
            except Unreachable:
                if self.clock.now() + pause > until:
                    raise
            await self.clock.sleep(pause)

    async def _write_after(self, error: BaseException) -> None:
        # A cancelled worker is not counted against the chunk; one that raises may be.
        cancelled = isinstance(error, anyio.get_cancelled_exc_class())
        with anyio.move_on_after(_CANCEL_TIMEOUT, shield=True):
            try:
                _ = await self.journal.close(Stopped("asked") if cancelled else None)
            except Unreachable as lost:  # no row is lost: they are sent again under their keys
                error.add_note(f"msgapi: the last outcomes are not in the record: {lost}")


async def with_timeout(clock: Clock, operation: Callable[[], Awaitable[T]]) -> T:
    """Await an *operation* on the pause of a shared rate; raise `Unreachable` if it takes more than 5 seconds.

    The operation itself waits for as long as its store is unreachable, also when the worker is asked to stop.
    """

    async def cancel_later() -> None:
        await sleep_unobserved(clock, _PAUSE_TIMEOUT)
        scope.cancel()

    with anyio.CancelScope() as scope:
        async with background(cancel_later):
            return await operation()
    raise Unreachable(f"the shared rate did not answer within {_PAUSE_TIMEOUT:g} seconds")


def stop_for_balance(error: bytes) -> Stopped:
    """Return the stop for the *error* that a shared rate is paused for, as JSON; a default if it is unreadable."""
    loaded = error_from_json(error)
    if isinstance(loaded, Problems):
        loaded = InsufficientBalance(message="all clients that use this API key are paused")
    return Stopped("balance", loaded)
