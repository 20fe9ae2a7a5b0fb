"""Outcomes: a batch while it runs. Workers send, whoever iterates takes what has ended.

Invariants:
- At most `at_once` workers, each with at most one call in flight.
- A worker that finds nothing to send ends. One is hired when there may be something to send: by
  whoever iterates, before every wait, and by each worker for the next one, before it sends.
- Every call that was started ends as one outcome, unless the api raised or the batch was left.
- Outcomes that wait to be taken: at most `2 * at_once`, and as many again in the run being taken.
"""

import math
from collections import deque
from typing import Generic, TypeVar, final

import anyio
from anyio.abc import TaskGroup
from attrs import define, field, frozen

from ..calls import Api, Call
from ..results import Result
from .breaker import Breaker, Stopped
from .source import END, Source

T = TypeVar("T")


@final
@frozen
class Outcome(Generic[T]):
    """What became of one call: *index* is its position in the source, from 0."""

    index: int
    call: Call[T]
    result: Result[T]


@final
@define(eq=False, repr=False)
class Outcomes(Generic[T]):
    """The outcomes of a batch, in the order in which they end. Made by `sending`.

    One task iterates, once or several times over; each outcome comes once. The iteration ends when
    every call has one, or when the batch has stopped and what was in flight has settled.
    """

    _api: Api
    _source: Source[T]
    _breaker: Breaker
    _tasks: TaskGroup
    _at_once: int
    _workers: int = field(default=0, init=False)
    _hiring: bool = field(default=False, init=False)
    _started: int = field(default=0, init=False)
    _settled: int = field(default=0, init=False)
    _raised: int = field(default=0, init=False)
    _resumed_at: int = field(default=0, init=False)
    _stopped: Stopped | None = field(default=None, init=False)
    _failure: Exception | None = field(default=None, init=False)
    _run: deque[Outcome[T]] = field(factory=deque, init=False)
    _ended: deque[Outcome[T]] = field(factory=deque, init=False)
    _waiting: anyio.Event | None = field(default=None, init=False)

    @property
    def started(self) -> int:
        """How many calls were given to the api."""
        return self._started

    @property
    def settled(self) -> int:
        """How many of them have a result, whether or not it was taken yet."""
        return self._settled

    @property
    def in_flight(self) -> int:
        """How many of them are under way."""
        return self._started - self._settled - self._raised

    @property
    def stopped(self) -> Stopped | None:
        """Why no more is sent; None while sending, and after a source that came to its end."""
        return self._stopped

    def __repr__(self) -> str:
        """Show how far it is."""
        return f"Outcomes(started={self.started}, settled={self.settled}, stopped={self.stopped})"

    def stop(self) -> None:
        """Send no more. What is in flight settles, is still delivered, and the iteration ends.

        To be called from any task of the same event loop. It replaces the reason of an earlier stop,
        and does nothing once the source is at its end.
        """
        if not self._source.exhausted:
            self._stopped = Stopped("asked")
            self._wake()

    def resume(self) -> None:
        """Send on after a stop, say after a top-up: inside the loop, or iterate again after its end.

        It begins with the first call that was never started. What has an outcome is not sent again,
        nor is the refused row: sending that anew is up to the caller. Refusals of calls that left
        before do not stop it a second time; an exception that is still to come out does. Look at
        `stopped` first, if anyone else may have called `stop` in the meantime.
        """
        self._stopped = None if self._failure is None else Stopped("exception")
        self._resumed_at = self._started
        self._breaker.reset()
        self._wake()

    def __aiter__(self) -> "Outcomes[T]":
        """Iterate over the outcomes."""
        return self

    async def __anext__(self) -> Outcome[T]:
        """Take the next outcome, and wait for it where necessary."""
        if not self._run:
            await self._take()
        return self._run.popleft()

    async def _take(self) -> None:
        if self._tasks.cancel_scope.cancel_called:
            raise RuntimeError("this batch was left: iterate inside its `async with batch.sending(...)`")
        if self._waiting is not None:
            raise RuntimeError("another task iterates over this batch already: let one do it")
        self._hire()
        while not self._ended:
            if self._over():
                failure, self._failure = self._failure, None
                raise failure or StopAsyncIteration
            self._waiting = anyio.Event()
            try:
                await self._waiting.wait()
            finally:
                self._waiting = None
            self._hire()
        self._run, self._ended = self._ended, self._run
        self._hire()

    def _over(self) -> bool:
        return self.in_flight == 0 and (self._stopped is not None or self._source.exhausted)

    def _wanted(self) -> bool:
        return self._stopped is None and not self._source.exhausted and len(self._ended) < self._at_once

    def _hire(self) -> None:
        if not self._hiring and self._workers < self._at_once and self._wanted():
            self._hiring = True
            self._workers += 1
            _ = self._tasks.start_soon(self._work)

    async def _work(self) -> None:
        self._hiring = False
        try:
            while self._wanted() and (call := await self._source.pull(self._wanted)) is not END:
                self._hire()
                await self._send(call)
        except Exception as error:  # noqa: BLE001 - goes to whoever iterates
            self._fail(error)
        except anyio.get_cancelled_exc_class() as error:
            if anyio.current_effective_deadline() == -math.inf:
                raise
            lone = RuntimeError("the source or the api was cancelled from within: nobody cancelled the batch")
            lone.__cause__ = error
            self._fail(lone)
        finally:
            self._workers -= 1
            self._wake()

    async def _send(self, call: Call[T]) -> None:
        index = self._started
        self._started += 1
        try:
            result = await self._api(call)
        except BaseException as error:
            self._raised += 1
            if isinstance(error, Exception):
                error.add_note(f"msgapi: raised for call {index} of the batch, which therefore has no outcome")
            raise
        self._settled += 1
        self._ended.append(Outcome(index, call, result))
        # What never left says nothing about the service, what left before `resume` nothing new.
        if call.invalid is None and index >= self._resumed_at and (stopped := self._breaker.judge(result)):
            self._stop(stopped)
        self._wake()

    def _fail(self, error: Exception) -> None:
        if self._failure is None:
            self._failure = error
            self._stop(Stopped("exception"))
        elif self._failure is not error:
            self._failure.add_note(f"msgapi: not the only one, {type(error).__name__} was raised as well")

    def _stop(self, stopped: Stopped) -> None:
        if self._stopped is None:
            self._stopped = stopped
        self._wake()

    def _wake(self) -> None:
        if self._waiting is not None:
            self._waiting.set()
