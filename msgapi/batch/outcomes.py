"""Outcomes: a batch while it runs, for whoever iterates over what has ended."""

from collections import deque
from typing import Generic, TypeVar, final

import anyio.lowlevel
from attrs import define, field

from .crew import Crew
from .outcome import Outcome, Stopped
from .recorded import Recorded

T = TypeVar("T")


@final
@define(eq=False, repr=False)
class Outcomes(Generic[T]):
    """The outcomes of a batch, in the order in which they end. Made by `sending`.

    One task iterates, once or several times over; each outcome comes once. The iteration ends when
    every call has one, or when the batch has stopped and what was in flight has settled.
    """

    _crew: Crew[T]
    _run: deque[Outcome[T]] = field(factory=deque, init=False)
    _waiting: anyio.Event | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        """Be told when something ends."""
        self._crew.wake = self._wake

    @property
    def started(self) -> int:
        """How many calls were given to the api."""
        return self._crew.started

    @property
    def settled(self) -> int:
        """How many of them have a result, whether or not it was taken yet."""
        return self._crew.settled

    @property
    def in_flight(self) -> int:
        """How many of them are under way, or wait for the service to be well again."""
        return self._crew.in_flight

    @property
    def waiting_out(self) -> bool:
        """Whether the service seems to be down, and nothing new is sent until it answers again."""
        return self._crew.outage.closed

    @property
    def skipped(self) -> int:
        """How many rows the journal has as settled since an earlier run; they have no outcome in this one."""
        queue = self._crew.queue
        return queue.skipped if isinstance(queue, Recorded) else 0

    @property
    def stopped(self) -> Stopped | None:
        """Why no more is sent; None while sending, and after a source that came to its end."""
        return self._crew.stopped

    def __repr__(self) -> str:
        """Show how far it is."""
        return f"Outcomes(started={self.started}, settled={self.settled}, stopped={self.stopped})"

    def stop(self) -> None:
        """Send no more. What is in flight settles, is still delivered, and the iteration ends.

        To be called from any task of the same event loop. It replaces the reason of an earlier stop,
        and does nothing once the source is at its end.
        """
        if not self._crew.exhausted or self._crew.outage.suspects:
            self._crew.stopped = None
            self._crew.stop(Stopped("asked"))

    def resume(self, *again: Outcome[T]) -> None:
        """Send on after a stop, say after a top-up: inside the loop, or iterate again after its end.

        It begins with *again*, outcomes whose calls are to be made once more, as after a 402; with a
        key that is the same operation. Then comes the first call that was never started. Refusals of
        calls that left before do not stop it a second time; an exception that is still to come out
        does. Look at `stopped` first, if anyone else may have called `stop` in the meantime.
        """
        self._crew.go_on(again)

    def __aiter__(self) -> "Outcomes[T]":
        """Iterate over the outcomes."""
        return self

    async def __anext__(self) -> Outcome[T]:
        """Take the next outcome, and wait for it where necessary."""
        if not self._run:
            await self._take()
        return self._run.popleft()

    async def _take(self) -> None:
        crew = self._crew
        if crew.tasks.cancel_scope.cancel_called:
            raise RuntimeError("this batch was left: iterate inside its `async with batch.sending(...)`")
        if self._waiting is not None:
            raise RuntimeError("another task iterates over this batch already: let one do it")
        crew.hire()
        while not crew.ended:
            if crew.over():
                await anyio.lowlevel.checkpoint_if_cancelled()  # what was cut off is no end
                failure, crew.failure = crew.failure, None
                raise failure or StopAsyncIteration
            self._waiting = anyio.Event()
            try:
                await self._waiting.wait()
            finally:
                self._waiting = None
            crew.hire()
        self._run, crew.ended = crew.ended, self._run
        crew.hire()

    def _wake(self) -> None:
        if self._waiting is not None:
            self._waiting.set()
