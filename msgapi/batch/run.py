"""Running a batch: `send`, and the outcomes that it yields while the batch runs."""

from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar, final, overload

import anyio.lowlevel
from anyio.abc import TaskGroup
from attrs import define, field

from ..calls import Call, Caller
from ..client import Client
from ..clock import SYSTEM_CLOCK, Clock, steady
from ..concurrency import task_group
from ..fallback import AnyCall
from ..observe import Observer, combine
from .queue import JournalledQueue, JournalProtocol, Outcome, PlainQueue, RowQueue, Source
from .stops import Breaker, Outage, OutageState, SpendLimit, SpendTracker, Stopped
from .workers import PoolOptions, WorkerPool

if TYPE_CHECKING:
    from ..billing import Estimate

T = TypeVar("T")
Items: TypeAlias = Iterable[Any] | AsyncIterable[Any]


@overload
def send(
    client: Caller,
    calls: Iterable[AnyCall[T]] | AsyncIterable[AnyCall[T]],
    *,
    concurrency: int = 64,
    breaker: int | None = 25,
    outage_timeout: float = 900.0,
    max_spend: SpendLimit | None = None,
    estimate: "Estimate | None" = None,
    clock: Clock = SYSTEM_CLOCK,
    observer: Observer | None = None,
    only_while: Callable[[], bool] | None = None,
) -> AbstractAsyncContextManager["Outcomes[T]"]: ...


@overload
def send(
    client: Caller,
    calls: Iterable[tuple[str, AnyCall[T]] | AnyCall[T]] | AsyncIterable[tuple[str, AnyCall[T]] | AnyCall[T]],
    *,
    journal: JournalProtocol,
    on_skip: Callable[[int, str], None] | None = None,
    concurrency: int = 64,
    breaker: int | None = 25,
    outage_timeout: float = 900.0,
    max_spend: SpendLimit | None = None,
    estimate: "Estimate | None" = None,
    clock: Clock = SYSTEM_CLOCK,
    observer: Observer | None = None,
    only_while: Callable[[], bool] | None = None,
) -> AbstractAsyncContextManager["Outcomes[T]"]: ...


def send(
    client: Caller,
    calls: Iterable[Any] | AsyncIterable[Any],
    *,
    journal: JournalProtocol | None = None,
    on_skip: Callable[[int, str], None] | None = None,
    concurrency: int = 64,
    breaker: int | None = 25,
    outage_timeout: float = 900.0,
    max_spend: SpendLimit | None = None,
    estimate: "Estimate | None" = None,
    clock: Clock = SYSTEM_CLOCK,
    observer: Observer | None = None,
    only_while: Callable[[], bool] | None = None,
) -> AbstractAsyncContextManager["Outcomes[Any]"]:
    """Send *calls* through *client* and yield their outcomes in the order in which they end.

    Use it as `async with batch.send(client, calls) as outcomes: async for outcome in outcomes: ...`. Sending starts
    with the iteration and follows its pace: *calls* is pulled only as fast as its calls are sent and their outcomes
    are taken, so memory does not grow with its length. A plain iterable is pulled in the event loop and must not
    block. A source that waits, such as a slow file, must be an async iterable; one task at a time pulls it, and an
    async generator is closed at the end.

    Args:
        client: A `Client`, or any async function from a call to its result.
        calls: The calls; with a *journal*, pairs of the id of a row and its call, or calls alone. A fallback
            (`fallback.chain`) is sent like a call and has one outcome, which says which leg it is about. With a
            *journal* the next leg is recorded before it leaves, so that a batch that was killed between two legs
            continues with the right one.
        journal: A journal (`journal.open`). Each call is sent under the idempotency key that the journal has for its
            row, so the same batch can be sent again after any end. Settled rows are skipped (`Outcomes.skipped`);
            the others are sent under their previous keys. A call without an id is identified by its content, so equal
            calls are one row: the second is `Invalid` with the code `row_repeated`. If the journal was opened with
            `keys="own"`, a call without an id is identified by its key, so give each call a key that is the same in
            each run. The calls are not compared with those of earlier runs as a whole: an edited call without an id is
            a new row, and is sent.
        on_skip: Called with position and id of each skipped row.
        concurrency: The highest number of calls in flight. The default transport of a `Client` gets at least as many
            connections.
        breaker: Stop after so many identical refusals in a row that do not concern one recipient, and after so many
            identical refusals of any kind while no row has been accepted, in this run or by the *journal*; None for
            never. A refusal that leads to the next leg of a fallback does not count. The first 401 or 402 always stops
            the batch, and so do 10 answers in a row that are not the service's (`from_service`; a 5xx, 408 or 429 does
            not count). See `Outcomes.stopped`.
        outage_timeout: How many seconds an outage of the service may last. During an outage (5xx, no response, no
            connection, 408) nothing new is sent and one row at a time is sent as a probe; failed calls that may be
            repeated are sent again afterwards. If the service has never responded, the limit is 10 seconds. 0 reports
            every failure as it comes. A rate limit that lets no row through for so long stops the batch too.
        max_spend: A limit that is not exceeded as long as no message costs more than its *per_message*; calls in
            flight and unknown outcomes are included, and what earlier runs have cost as *spent*.
        estimate: The estimated cost of the whole batch. With it, a stop after a 402 says how much is missing.
        clock: The clock for pauses.
        observer: An observer; by default that of *client*, if it is a `Client`.
        only_while: Called before each row is sent. Once it returns False the batch stops with the reason `asked`.

    With a `Client` no request leaves after a stop, including those that wait for the rate limit. An exception of
    *calls* or *client* leaves the iteration, and one of the loop body leaves the `async with`, as itself and never in
    a group. So does `journal.Unusable`, if the disk refuses what must be written before a row is sent. Leaving early
    cancels the calls in flight; `Outcomes.stop` lets them end.

    Raises:
        ValueError: *concurrency* or *breaker* is below 1, *outage_timeout* is negative, or *concurrency* is above the
            `max_connections` of a transport that was passed to *client*.
    """
    if concurrency < 1:
        raise ValueError(f"concurrency must be at least 1, not {concurrency}")
    if breaker is not None and breaker < 1:
        raise ValueError(f"breaker must be at least 1, or None for no breaker, not {breaker}")
    if outage_timeout < 0:
        raise ValueError(f"outage_timeout must be a number of seconds that is not negative, not {outage_timeout}")
    if isinstance(client, Client):
        client.allow_connections(concurrency)
    options: PoolOptions[Any] = PoolOptions(
        concurrency=concurrency,
        breaker=Breaker(breaker)
        if journal is None
        else Breaker(breaker, lambda: journal.has_accepted, journal.earlier_refusals),
        outage=Outage(outage_timeout),
        spending=None if max_spend is None and estimate is None else SpendTracker(max_spend),
        clock=steady(clock),
        expected=None if estimate is None else estimate.amount,
        only_while=only_while,
    )

    def open_queue(tasks: TaskGroup) -> RowQueue[Any]:
        if journal is None:
            return PlainQueue(calls)
        return JournalledQueue(Source(calls), journal, tasks, 2 * concurrency, on_skip)

    return _run(client, open_queue, journal, options, _observer(client, observer))


@asynccontextmanager
async def _run(
    client: Caller,
    open_queue: Callable[[TaskGroup], RowQueue[Any]],
    journal: JournalProtocol | None,
    options: PoolOptions[Any],
    observer: Observer | None,
) -> AsyncIterator["Outcomes[Any]"]:
    async with AsyncExitStack() as stack, task_group() as tasks:
        watch = None if observer is None else observer.batch()
        pool = WorkerPool(client, open_queue(tasks), options, tasks, watch)
        _ = stack.push(pool.end)
        _ = stack.push_async_callback(_close, pool)
        if journal is not None:
            _ = tasks.start_soon(_keep, journal, pool)
        yield Outcomes(pool)


def _observer(client: Caller, given: Observer | None) -> Observer | None:
    if given is not None:
        return combine(given)
    return client.observer if isinstance(client, Client) else None


async def _close(pool: WorkerPool[Any]) -> None:
    pool.release_unsent()
    await pool.queue.close()


async def _keep(journal: JournalProtocol, pool: WorkerPool[Any]) -> None:
    try:
        await journal.keep()
    except Exception as error:  # noqa: BLE001 - raised to the consumer
        pool.fail(error)


@final
@define(eq=False, repr=False)
class Outcomes(Generic[T]):
    """An async iterator over the outcomes of a batch, in the order in which they end. Made by `send`.

    Only one task at a time may iterate, once or several times over; each outcome is yielded once. The iteration ends
    when every call has an outcome, or when the batch has stopped and the calls in flight have ended.
    """

    _pool: WorkerPool[T]
    _taken: deque[Outcome[T]] = field(factory=deque, init=False)
    _waiting: anyio.Event | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        """Have the workers wake the consumer."""
        self._pool.wake = self._wake

    @property
    def started(self) -> int:
        """The number of calls that were given to the client."""
        return self._pool.started

    @property
    def settled(self) -> int:
        """The number of calls that the service has carried out or refused for certain, and of invalid ones.

        A call with an unknown outcome is not settled, and neither is one that was not carried out, for example because
        of a 402 or an outage.
        """
        return self._pool.settled

    @property
    def in_flight(self) -> int:
        """The number of calls that are in flight, or wait for the service to respond again."""
        return self._pool.in_flight

    @property
    def in_outage(self) -> bool:
        """Whether the service seems to be down; nothing new is sent until it responds again."""
        return self._pool.outage.closed

    @property
    def outage(self) -> OutageState | None:
        """The ongoing outage, with the time of the next probe and the time left; None if rows do not wait."""
        return None if self.stopped is not None else self._pool.outage.state(self._pool.options.clock.now())

    @property
    def failure(self) -> Exception | None:
        """The exception that ends the batch, once the calls in flight have ended and it leaves the iteration."""
        return self._pool.failure

    @property
    def skipped(self) -> int:
        """The number of rows that an earlier run has settled; they have no outcome in this one."""
        queue = self._pool.queue
        return queue.skipped if isinstance(queue, JournalledQueue) else 0

    @property
    def unsettled(self) -> frozenset[int]:
        """The positions of the calls that were given to the client and have no result: they may have been sent.

        Most useful after the batch was left early or an exception was raised; until then they are mostly in flight.
        """
        return frozenset(self._pool.unsettled)

    @property
    def unsettled_calls(self) -> Mapping[int, Call[T]]:
        """The calls of `unsettled`, by position: of a fallback the leg that was sent last, whose key it has.

        With a journal they have the keys that the journal has for their rows.
        """
        return self._pool.unsettled

    @property
    def stopped(self) -> Stopped | None:
        """Why no more calls are sent; None while the batch runs, and after the end of the source."""
        return self._pool.stopped

    def __repr__(self) -> str:
        """Show the progress."""
        return f"Outcomes(started={self.started}, settled={self.settled}, stopped={self.stopped})"

    def stop(self) -> None:
        """Send no more calls and no further legs. Calls in flight end and are yielded, then the iteration ends.

        Any task of the same event loop may call it. It replaces the reason of an earlier stop, and does nothing after
        the end of the source.
        """
        if self._pool.may_send_more:
            self._pool.stopped = None
            self._pool.stop(Stopped("asked"))

    def resume(self, *again: Outcome[T]) -> None:
        """Continue after a stop, for example after a top-up: inside the loop, or before iterating again.

        It starts with *again*, outcomes whose calls are to be sent once more, as after a 402; a call with an
        idempotency key is then the same operation. The first call that was never started comes next. Refusals of
        calls that were sent before do not stop the batch a second time; an exception that has not left the iteration
        yet does. Check `stopped` first if another task may have called `stop` in the meantime.
        """
        self._pool.resume(again)

    def take_ended(self) -> list[Outcome[T]]:
        """Return the outcomes that were not yielded yet. It can be called after the batch was left, too."""
        taken = [*self._taken, *self._pool.ended]
        self._taken.clear()
        self._pool.ended.clear()
        return taken

    def __aiter__(self) -> "Outcomes[T]":
        """Iterate over the outcomes."""
        return self

    async def __anext__(self) -> Outcome[T]:
        """Return the next outcome, and wait for it if necessary."""
        if not self._taken:
            await self._take()
        return self._taken.popleft()

    async def _take(self) -> None:
        pool = self._pool
        if pool.tasks.cancel_scope.cancel_called:
            raise RuntimeError("this batch has ended: iterate inside its `async with batch.send(...)`")
        if self._waiting is not None:
            raise RuntimeError("another task iterates over this batch already: only one may")
        pool.start_worker()
        while not pool.ended:
            if pool.is_done():
                await anyio.lowlevel.checkpoint_if_cancelled()  # a cancelled batch has not come to its end
                failure, pool.failure = pool.failure, None
                raise failure or StopAsyncIteration
            self._waiting = anyio.Event()
            try:
                await self._waiting.wait()
            finally:
                self._waiting = None
            pool.start_worker()
        self._taken, pool.ended = pool.ended, self._taken
        pool.start_worker()

    def _wake(self) -> None:
        if self._waiting is not None:
            self._waiting.set()
