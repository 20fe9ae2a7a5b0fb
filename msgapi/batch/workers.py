"""Workers: they send the rows of a batch.

Invariants:
- There are at most `concurrency` workers, each with at most one call in flight; a probe in an outage counts too.
- A worker that finds nothing to send ends. A worker is started when there may be something to send: by the consumer
  before every wait, and by each worker before it sends.
- Every call that was started ends as one outcome, unless the client raised an exception or the batch was left.
- The next leg of a fallback is sent by the worker that has sent the leg before it, after the queue has recorded it and
  within the same reservation of money. A refusal that leads to it is no result: the breaker does not count it.
- At most `2 * concurrency` outcomes wait for the consumer, and as many again in the run that it is taking.
"""

from collections import deque
from collections.abc import Callable, Iterable
from decimal import Decimal
from functools import partial
from typing import Final, Generic, TypeVar, final

import anyio
from anyio.abc import TaskGroup
from attrs import define, evolve, field, frozen

from ..calls import Call, Caller
from ..client import Client
from ..clock import Clock
from ..concurrency import unrequested_cancellation
from ..fallback import with_legs
from ..journal.resumption import is_settled
from ..observe import BatchWatch
from ..results import CALLED_OFF, ApiError, InsufficientBalance, NotSent, Ok, Result
from .queue import END, Outcome, PendingRow, RowQueue, new_outcome
from .stops import Breaker, Outage, SpendTracker, Stopped, is_healthy

T = TypeVar("T")
_ZERO: Final = Decimal(0)


@final
@frozen(kw_only=True, eq=False)
class PoolOptions(Generic[T]):
    """How a batch is sent; *expected* is the estimated cost of the whole batch in EUR, if there is an estimate."""

    concurrency: int
    breaker: Breaker
    outage: Outage[T]
    spending: SpendTracker | None
    clock: Clock
    expected: Decimal | None = None
    only_while: Callable[[], bool] | None = None


@final
@define(eq=False, repr=False)
class WorkerPool(Generic[T]):
    """Sends the rows of *queue* through *api*; *wake* is called when something has changed for the consumer."""

    api: Caller
    queue: RowQueue[T]
    options: PoolOptions[T]
    tasks: TaskGroup
    watch: BatchWatch | None = None
    wake: Callable[[], None] = field(default=lambda: None, init=False)
    started: int = field(default=0, init=False)
    settled: int = field(default=0, init=False)
    _in_flight: dict[int, PendingRow[T]] = field(factory=dict, init=False)
    _raised: dict[int, PendingRow[T]] = field(factory=dict, init=False)
    stopped: Stopped | None = field(default=None, init=False)
    failure: Exception | None = field(default=None, init=False)
    ended: deque[Outcome[T]] = field(factory=deque, init=False)
    _workers: int = field(default=0, init=False)
    _starting: bool = field(default=False, init=False)
    _cancelled: bool = field(default=False, init=False)
    _probing: bool = field(default=False, init=False)
    _round: int = field(default=0, init=False)
    _unfinished: int = field(default=0, init=False)
    _again: deque[PendingRow[T]] = field(factory=deque, init=False)
    _send_now: Caller = field(init=False)
    _send_probe: Caller = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Have a client check before each request that the batch has not stopped."""
        api = self._send_now = self._send_probe = self.api
        if isinstance(api, Client):
            self._send_now = partial(api, only_while=self._may_send)
            self._send_probe = partial(api, only_while=self._is_running)

    @property
    def outage(self) -> Outage[T]:
        """The rows that wait for the service to respond again."""
        return self.options.outage

    @property
    def in_flight(self) -> int:
        """The number of calls in flight, including those that wait to be sent again."""
        return len(self._in_flight)

    @property
    def unsettled(self) -> dict[int, Call[T]]:
        """The calls that were given to the client and have no result, by position; of a fallback the current leg."""
        return {index: row.call for index, row in (self._in_flight | self._raised).items()}

    @property
    def exhausted(self) -> bool:
        """Whether nothing is left to start."""
        return self.queue.exhausted and not self._again

    @property
    def may_send_more(self) -> bool:
        """Whether a call may still be sent: a row, one that waits for the service, or the next leg of one in flight."""
        return not self.exhausted or bool(self.outage.waiting) or self._unfinished > 0

    def is_done(self) -> bool:
        """Return whether no more calls will end."""
        return self.in_flight == 0 and (self.stopped is not None or self.exhausted)

    def start_worker(self) -> None:
        """Start one more worker if there may be something for it to send."""
        spending = self.options.spending
        if spending is not None and self.stopped is None and self._lacks_budget() and not spending.in_flight:
            self.stop(Stopped("spend"))
        if self.options.outage.waiting and not self._probing and self.stopped is None:
            self._probing = True
            _ = self.tasks.start_soon(self._probe)
        if not self._starting and self._workers < self.options.concurrency and self._has_work():
            self._starting = True
            self._workers += 1
            _ = self.tasks.start_soon(self._work)

    def stop(self, stopped: Stopped) -> None:
        """Send no more; rows that wait to be sent again end with their last error."""
        if self.stopped is None:
            self.stopped = stopped
            if self.watch is not None:
                self.watch.stopped(stopped.reason, stopped.error)
        failed = [(row, row.last) for row in (*self.outage.waiting, *self._again) if row.last is not None]
        self.outage.waiting.clear()
        self._again = deque(row for row in self._again if row.last is None)
        for row, error in failed:
            self._settle(row, error)
        self.wake()

    def resume(self, again: Iterable[Outcome[T]]) -> None:
        """Continue after a stop, starting with *again*."""
        for outcome in again:
            self.queue.repeat(outcome)
        if self.watch is not None and self.stopped is not None and self.failure is None:
            self.watch.resumed()
        self.stopped = None if self.failure is None else Stopped("exception")
        self._round += 1
        self.options.breaker.reset()
        _ = self.outage.recover()
        self.wake()

    def release_unsent(self) -> None:
        """Release the rows that were pulled but never sent; the batch is at its end."""
        for row in [row for row in self._again if row.last is None]:
            self.queue.release(row)

    def end(self, _: object, error: BaseException | None, __: object) -> None:
        """Report the end of the batch, and the *error* that leaves it, to the observer. Called once."""
        watch, self.watch = self.watch, None
        if watch is not None:
            if error is not None:
                watch.broken(error)
            watch.ended()

    def fail(self, error: Exception) -> None:
        """Stop because of *error*, which leaves the iteration."""
        if self.failure is None:
            self.failure = error
            self.stop(Stopped("exception"))
        elif self.failure is not error:
            self.failure.add_note(f"msgapi: not the only one, {type(error).__name__} was raised as well")

    def _is_running(self) -> bool:
        only_while = self.options.only_while
        if only_while is not None and self.stopped is None and not only_while():
            self.stop(Stopped("asked"))
        return self.stopped is None

    def _may_send(self) -> bool:
        options = self.options
        return self.stopped is None and not options.outage.closed and (options.only_while is None or self._is_running())

    def _has_work(self) -> bool:
        options = self.options
        return (
            self.stopped is None
            and not self._cancelled
            and not options.outage.closed
            and not self.exhausted
            and len(self.ended) < options.concurrency
            and (options.spending is None or not self._lacks_budget())
            and (options.only_while is None or self._is_running())
        )

    def _lacks_budget(self) -> bool:
        # A row waits that may cost more than may be spent, as far as is known now.
        spending = self.options.spending
        return spending is not None and bool(self._again) and not spending.admits()

    async def _work(self) -> None:
        self._starting = False
        spending = self.options.spending
        try:
            while self._has_work():
                row = self._again.popleft() if self._again else await self.queue.pull(self._has_work)
                if row is END:
                    break
                if spending is not None and not spending.admits():
                    self._again.appendleft(row)  # another worker has taken what was left
                    break
                self.start_worker()
                await self._send(row, self._send_now)
        except Exception as error:  # noqa: BLE001 - raised to the consumer
            self.fail(error)
        except anyio.get_cancelled_exc_class() as error:
            self._cancelled = True  # a worker started now would send, and start the next, before it is cancelled too
            self.fail(unrequested_cancellation(error, "the source or the api"))
            self._cancelled = False
        finally:
            self._workers -= 1
            self.wake()

    async def _send(self, row: PendingRow[T], api: Caller) -> None:
        if row.last is None:
            self.started += 1
        self._in_flight[row.index] = row
        try:
            await self._send_started(row, api)
        except BaseException as error:
            self._raised |= dict.fromkeys(self._in_flight.keys() & {row.index}, row)
            _ = self._in_flight.pop(row.index, None)
            if isinstance(error, Exception):
                error.add_note(f"msgapi: raised for call {row.index} of the batch, which therefore has no outcome")
            raise

    async def _send_started(self, row: PendingRow[T], api: Caller) -> None:
        if row.verdict is not None or row.invalid is not None:
            self._settle(row, row.verdict or await api(evolve(row.call, invalid=row.invalid)))
            return
        before = self._round
        result = await self._call(row, api)
        if _was_called_off(result):
            self._put_back(row)
            return
        result = _with_earlier_attempts(row, result)
        if is_healthy(result) and (again := self.options.outage.recover()):
            self._again.extend(again)
        # A call from before `resume` says nothing new.
        stopped = self._judge(row, result) if before == self._round else None
        now, running = self.options.clock.now(), stopped is None and self.stopped is None
        if running and not isinstance(result, Ok) and self.outage.keep(row, result, now):
            self.wake()
            return
        self._settle(row, result)
        if stopped is not None:
            self.stop(self._with_missing_amount(stopped))

    def _judge(self, row: PendingRow[T], result: Result[T]) -> Stopped | None:
        breaker = self.options.breaker
        if not isinstance(result, Ok) and self.outage.waits_out(result, row.call):
            return breaker.judge_source(result)  # failures of the service are the outage's
        return breaker.judge(result)

    async def _call(self, row: PendingRow[T], api: Caller) -> Result[T]:
        spending = self.options.spending
        if spending is not None:
            spending.reserve()
        try:
            if row.fallback is None:
                result = await api(row.call)
                _check_result(row, result)
            else:
                result = await self._send_legs(row, api)
        except BaseException:
            if spending is not None:
                spending.keep_reserved()
            raise
        if spending is not None:
            spending.settle(result)
        return result

    async def _send_legs(self, row: PendingRow[T], api: Caller) -> Result[T]:
        self._unfinished += 1
        try:
            return await self._send_each_leg(row, api)
        finally:
            self._unfinished -= 1

    async def _send_each_leg(self, row: PendingRow[T], api: Caller) -> Result[T]:
        while True:
            result = await api(row.call)
            _check_result(row, result)
            error = _with_earlier_attempts(row, result)
            if isinstance(error, Ok) or (following := row.after(error)) is None:
                return result
            _ = self.options.breaker.judge_source(error)
            self._again.extend(self.outage.recover())
            if await self.queue.advance(row, following.leg):
                row.advance(following, error)
            else:
                self.stop(Stopped("asked"))
            if not self._is_running():
                return NotSent("the batch was stopped before it was sent", code=CALLED_OFF)

    def _with_missing_amount(self, stopped: Stopped) -> Stopped:
        error, spending, expected = stopped.error, self.options.spending, self.options.expected
        if not isinstance(error, InsufficientBalance) or expected is None or spending is None:
            return stopped
        free = None if error.balance is None else error.balance.free
        missing = None if free is None else max(_ZERO, expected - spending.spent - free)
        return Stopped(stopped.reason, error, missing)

    def _put_back(self, row: PendingRow[T]) -> None:
        if row.last is not None and self.stopped is not None:
            self._settle(row, row.last)
            return
        if row.last is None:
            self.started -= 1
            _ = self._in_flight.pop(row.index, None)
        self._again.append(row)

    def _settle(self, row: PendingRow[T], result: Result[T]) -> None:
        if row.fallback is not None:
            result = with_legs(result, row.fallback.leg, row.refused)
        reported = self.queue.settle(row, result)
        _ = self._in_flight.pop(row.index, None)
        _ = self._raised.pop(row.index, None)
        self.settled += is_settled(reported)
        self.ended.append(new_outcome(row.index, row.call, reported, row.id, row.fallback))
        if self.watch is not None:
            self.watch.outcome(row.call, reported)
        self.wake()

    async def _probe(self) -> None:
        # Sends one row at a time for as long as the service does not respond.
        try:
            while self.outage.waiting and self.stopped is None:
                pause = self.outage.pause(self.options.clock.now())
                if pause is None:
                    self.stop(self.outage.give_up())
                    break
                await self.options.clock.sleep(pause)
                if self.outage.waiting and self._is_running() and self._workers < self.options.concurrency:
                    await self._send(self.outage.waiting.popleft(), self._send_probe)
        except Exception as error:  # noqa: BLE001 - raised to the consumer
            self.fail(error)
        except anyio.get_cancelled_exc_class() as error:
            self.fail(unrequested_cancellation(error, "the api"))
        finally:
            self._probing = False
            self.wake()


def _check_result(row: PendingRow[T], result: object) -> None:
    if not isinstance(result, Ok | ApiError):
        raise TypeError(f"the client returned {type(result).__name__} for call {row.index}, not a result")


def _with_earlier_attempts(row: PendingRow[T], result: Result[T]) -> Result[T]:
    # A refusal says nothing about an earlier attempt, so the outcome stays unknown.
    if row.last is not None and row.last.may_have_happened and not isinstance(result, Ok):
        return evolve(result, may_have_happened=True)
    return result


def _was_called_off(result: Result[object]) -> bool:
    return isinstance(result, NotSent) and result.code == CALLED_OFF and result.meta.attempts == 0
