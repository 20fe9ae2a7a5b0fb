"""Crew: the workers of a batch, who send what is due.

Invariants:
- At most `at_once` workers, each with at most one call in flight; a probe in an outage counts too.
- A worker that finds nothing to send ends. One is hired when there may be something to send: by
  whoever iterates, before every wait, and by each worker for the next one, before it sends.
- Every call that was started ends as one outcome, unless the api raised or the batch was left.
- Outcomes that wait to be taken: at most `2 * at_once`, and as many again in the run being taken.
"""

from collections import deque
from collections.abc import Callable, Iterable
from decimal import Decimal
from functools import partial
from typing import Final, Generic, TypeVar, final

import anyio
from anyio.abc import TaskGroup
from attrs import define, evolve, field

from ..calls import Caller
from ..client import Client
from ..clock import Clock
from ..observe import BatchWatch
from ..results import CALLED_OFF, InsufficientBalance, NotSent, Ok, Result
from .breaker import Breaker
from .lone import explained
from .outage import Outage, well
from .outcome import Due, Outcome, Stopped
from .source import END, Queue
from .spending import Spending

T = TypeVar("T")
_ZERO: Final = Decimal(0)


@final
@define(eq=False, repr=False)
class Crew(Generic[T]):
    """Sends what is in *queue* through *api*; *wake* tells whoever waits that something has changed."""

    api: Caller
    queue: Queue[T]
    breaker: Breaker
    outage: Outage[T]
    spending: Spending | None
    clock: Clock
    tasks: TaskGroup
    at_once: int
    expected: Decimal | None = None
    watch: BatchWatch | None = None
    only_while: Callable[[], bool] | None = None
    wake: Callable[[], None] = field(default=lambda: None, init=False)
    started: int = field(default=0, init=False)
    settled: int = field(default=0, init=False)
    raised: int = field(default=0, init=False)
    stopped: Stopped | None = field(default=None, init=False)
    failure: Exception | None = field(default=None, init=False)
    ended: deque[Outcome[T]] = field(factory=deque, init=False)
    _workers: int = field(default=0, init=False)
    _hiring: bool = field(default=False, init=False)
    _cut_off: bool = field(default=False, init=False)
    _probing: bool = field(default=False, init=False)
    _round: int = field(default=0, init=False)
    _again: deque[Due[T]] = field(factory=deque, init=False)
    _send_now: Caller = field(init=False)
    _send_probe: Caller = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Take from a client the promise that nothing leaves after a stop."""
        api = self._send_now = self._send_probe = self.api
        if isinstance(api, Client):
            self._send_now = partial(api, only_while=self._open)
            self._send_probe = partial(api, only_while=self._going)

    @property
    def in_flight(self) -> int:
        """How many calls are under way, those that are kept to go again included."""
        return self.started - self.settled - self.raised

    @property
    def exhausted(self) -> bool:
        """Whether nothing is left to start."""
        return self.queue.exhausted and not self._again

    def over(self) -> bool:
        """Tell whether nothing more will end."""
        return self.in_flight == 0 and (self.stopped is not None or self.exhausted)

    def hire(self) -> None:
        """Have one more worker, if there may be something for it to do."""
        if self.stopped is None and self._short() and self.spending is not None and not self.spending.under_way:
            self.stop(Stopped("spend"))
        if self.outage.suspects and not self._probing and self.stopped is None:
            self._probing = True
            _ = self.tasks.start_soon(self._wait_out)
        if not self._hiring and self._workers < self.at_once and self._wanted():
            self._hiring = True
            self._workers += 1
            _ = self.tasks.start_soon(self._work)

    def stop(self, stopped: Stopped) -> None:
        """Send no more; what was kept to go again ends as it stands."""
        if self.stopped is None:
            self.stopped = stopped
            if self.watch is not None:
                self.watch.stopped(stopped.reason, stopped.error)
        for due in (*self.outage.suspects, *self._again):
            if due.last is not None:
                self._settle(due, due.last)
        self.outage.suspects.clear()
        self._again = deque(due for due in self._again if due.last is None)
        self.wake()

    def go_on(self, again: Iterable[Outcome[T]]) -> None:
        """Send on after a stop, and begin with *again*."""
        for outcome in again:
            self.queue.repeat(outcome)
        if self.watch is not None and self.stopped is not None and self.failure is None:
            self.watch.resumed()
        self.stopped = None if self.failure is None else Stopped("exception")
        self._round += 1
        self.breaker.reset()
        _ = self.outage.heal()
        self.wake()

    def _going(self) -> bool:
        if self.only_while is not None and self.stopped is None and not self.only_while():
            self.stop(Stopped("asked"))
        return self.stopped is None

    def _open(self) -> bool:
        return self.stopped is None and not self.outage.closed and (self.only_while is None or self._going())

    def _wanted(self) -> bool:
        return (
            self.stopped is None
            and not self._cut_off
            and not self.outage.closed
            and not self.exhausted
            and len(self.ended) < self.at_once
            and not self._short()
            and (self.only_while is None or self._going())
        )

    def _short(self) -> bool:
        # A row waits that may cost more than may be spent, as far as is known now.
        return self.spending is not None and bool(self._again) and not self.spending.admits()

    async def _work(self) -> None:
        self._hiring = False
        try:
            while self._wanted():
                due = self._again.popleft() if self._again else await self.queue.pull(self._wanted)
                if due is END:
                    break
                if self.spending is not None and not self.spending.admits():
                    self._again.appendleft(due)  # another has taken what was left
                    break
                self.hire()
                await self._send(due, self._send_now)
        except Exception as error:  # noqa: BLE001 - goes to whoever iterates
            self.fail(error)
        except anyio.get_cancelled_exc_class() as error:
            self._cut_off = True  # who is hired now sends, and hires the next, before it is cancelled as well
            self.fail(explained(error, "the source or the api"))
            self._cut_off = False
        finally:
            self._workers -= 1
            self.wake()

    async def _send(self, due: Due[T], api: Caller) -> None:
        if due.last is None:
            self.started += 1
        if due.verdict is not None or due.call.invalid is not None:
            self._settle(due, due.verdict or await api(due.call))
            return
        before = self._round
        result = await self._carried(due, api)
        if _called_off(result):
            self._put_back(due)
            return
        if due.last is not None and due.last.may_have_happened and not isinstance(result, Ok):
            result = evolve(result, may_have_happened=True)  # that it is refused now says nothing of before
        if well(result):
            self._again.extend(self.outage.heal())
        if self.stopped is None and not isinstance(result, Ok) and self.outage.keep(due, result, self.clock.now()):
            self.wake()
            return
        self._settle(due, result)
        if before != self._round or (not isinstance(result, Ok) and self.outage.minds(result, due.call)):
            return  # what left before a resume says nothing new, and the service's failures are not for the breaker
        if (stopped := self.breaker.judge(result)) is not None:
            self.stop(self._explain(stopped))

    async def _carried(self, due: Due[T], api: Caller) -> Result[T]:
        if self.spending is not None:
            self.spending.leave()
        try:
            result = await api(due.call)
        except BaseException as error:
            self.raised += 1
            if self.spending is not None:
                self.spending.lose()
            if isinstance(error, Exception):
                error.add_note(f"msgapi: raised for call {due.index} of the batch, which therefore has no outcome")
            raise
        if self.spending is not None:
            self.spending.settle(result)
        return result

    def _explain(self, stopped: Stopped) -> Stopped:
        error, spending = stopped.error, self.spending
        if not isinstance(error, InsufficientBalance) or self.expected is None or spending is None:
            return stopped
        free = None if error.balance is None else error.balance.free
        missing = None if free is None else max(_ZERO, self.expected - spending.held - free)
        return Stopped(stopped.reason, error, missing)

    def _put_back(self, due: Due[T]) -> None:
        if due.last is not None and self.stopped is not None:
            self._settle(due, due.last)
            return
        if due.last is None:
            self.started -= 1
        self._again.append(due)

    def _settle(self, due: Due[T], result: Result[T]) -> None:
        told = self.queue.settle(due, result)
        self.settled += 1
        self.ended.append(Outcome(due.index, due.call, told, due.id))
        if self.watch is not None:
            self.watch.outcome(due.call, told)
        self.wake()

    async def _wait_out(self) -> None:
        # One row at a time goes as a probe, for as long as the service does not answer.
        try:
            while self.outage.suspects and self.stopped is None:
                pause = self.outage.pause(self.clock.now())
                if pause is None:
                    self.stop(Stopped("outage", self.outage.suspects[-1].last))
                    break
                await self.clock.sleep(pause)
                if self.outage.suspects and self._going() and self._workers < self.at_once:
                    await self._send(self.outage.suspects.popleft(), self._send_probe)
        except Exception as error:  # noqa: BLE001 - goes to whoever iterates
            self.fail(error)
        except anyio.get_cancelled_exc_class() as error:
            self.fail(explained(error, "the api"))
        finally:
            self._probing = False
            self.wake()

    def leave(self) -> None:
        """Take back what was pulled and never sent: the batch is at its end."""
        for due in [due for due in self._again if due.last is None]:
            self.queue.release(due)

    def end(self, _: object, error: BaseException | None, __: object) -> None:
        """Tell that the batch was left, and what comes out of it; of what is done to it later nothing is told."""
        watch, self.watch = self.watch, None
        if watch is not None:
            if error is not None:
                watch.broken(error)
            watch.ended()

    def fail(self, error: Exception) -> None:
        """Stop at *error*, which comes out of the iteration."""
        if self.failure is None:
            self.failure = error
            self.stop(Stopped("exception"))
        elif self.failure is not error:
            self.failure.add_note(f"msgapi: not the only one, {type(error).__name__} was raised as well")


def _called_off(result: Result[object]) -> bool:
    return isinstance(result, NotSent) and result.code == CALLED_OFF and result.meta.attempts == 0
