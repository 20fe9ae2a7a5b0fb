"""Deadlines: the time-outs of the exchanges of one transport.

Deadlines have equal length, with one asyncio timer for all of them; only a request with limits of its own has a timer
of its own. Rules, the same as those of `asyncio.timeout`:
- If a deadline cancels its task, the block raises TimeoutError. Any other cancellation propagates.
- A deadline that has ended leaves no cancellation pending in its task.
"""

import asyncio
from asyncio import current_task
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol, final

from attrs import define, field


class StartsDeadlines(Protocol):
    """What the transport needs of `Deadlines`, on any event loop."""

    def start(self) -> AbstractContextManager[object]:
        """Start a deadline for the current task, which raises TimeoutError at the end of its `with` block."""
        ...  # pragma: no cover

    def start_within(self, seconds: float) -> AbstractContextManager[object]:
        """Start a deadline of another length."""
        ...  # pragma: no cover

    @property
    def seconds(self) -> float:
        """The seconds of each deadline."""
        ...  # pragma: no cover

    def close(self) -> None:
        """Let every running deadline expire now."""
        ...  # pragma: no cover


@final
@define(eq=False)
class Deadlines:
    """Deadlines of *seconds* each: use `with deadlines.start():` around the code that must end in time.

    A timer for each deadline would cost a twentieth of a request. As all are equally long, the first to start is the
    first to expire, so one timer that waits for that one is enough.
    """

    seconds: float
    _loop: asyncio.AbstractEventLoop = field(factory=asyncio.get_running_loop, init=False, repr=False)
    running: "dict[Deadline, None]" = field(factory=dict, init=False, repr=False)  # those of the requests in flight
    _others: "dict[Deadline, None]" = field(factory=dict, init=False, repr=False)  # those of another length
    _timer: asyncio.TimerHandle | None = field(default=None, init=False, repr=False)

    def start(self) -> "Deadline":
        """Start a deadline for the current task; it runs until its `with` block ends."""
        task = current_task(self._loop)
        assert task is not None, "a coroutine of asyncio's runs in a task"  # noqa: S101 - for the type checker
        deadline = Deadline(task, self._loop.time() + self.seconds, task.cancelling(), self.running)
        self.running[deadline] = None
        if self._timer is None:
            self._timer = self._loop.call_at(deadline.at, self._fire)
        return deadline

    def start_within(self, seconds: float) -> "Deadline":
        """Start a deadline of another length, which has a timer of its own."""
        task = current_task(self._loop)
        assert task is not None, "a coroutine of asyncio's runs in a task"  # noqa: S101 - for the type checker
        deadline = Deadline(task, self._loop.time() + seconds, task.cancelling(), self._others)
        self._others[deadline] = None
        deadline.timer = self._loop.call_at(deadline.at, deadline.expire)
        return deadline

    def close(self) -> None:
        """Stop the timer, and let every running deadline expire now."""
        if self._timer is not None:
            self._timer.cancel()
        for deadline in list(self._others):
            deadline.expire()
        running, self.running = self.running, {}
        for deadline in running:
            deadline.expired = True
            _ = deadline.task.cancel()

    def _fire(self) -> None:
        now = self._loop.time()
        for deadline in list(self.running):
            if deadline.at > now:
                self._timer = self._loop.call_at(deadline.at, self._fire)
                return
            deadline.expired = True
            del self.running[deadline]
            _ = deadline.task.cancel()
        self._timer = None


@final
@define(eq=False)
class Deadline:
    """One deadline of *task*, which expires *at* a time of the loop's clock.

    *cancelling_before* is the value of `task.cancelling()` when the deadline started.
    """

    task: "asyncio.Task[object]"
    at: float
    cancelling_before: int
    running: "dict[Deadline, None]"
    expired: bool = False
    timer: asyncio.TimerHandle | None = None  # its own, if it is not one of equal length

    def expire(self) -> None:
        """Cancel the task now."""
        del self.running[self]
        self.expired = True
        _ = self.task.cancel()

    def __enter__(self) -> "Deadline":
        """Return the deadline, which is running already."""
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        """End the deadline; raise TimeoutError if it is the reason why the task was cancelled."""
        if self.timer is not None:
            self.timer.cancel()
        if not self.expired:
            del self.running[self]
        elif self.task.uncancel() <= self.cancelling_before and kind is asyncio.CancelledError:
            raise TimeoutError


def make_deadlines(seconds: float) -> Deadlines:
    """Return the deadlines of a transport on asyncio; raise RuntimeError on any other event loop."""
    try:
        return Deadlines(seconds)
    except RuntimeError:
        raise RuntimeError("this transport runs on asyncio only: on trio, use msgapi.transports.httpx2") from None
