"""What the transports with connections of their own share: deadlines of exchanges, and coalesced writes.

Deadlines have equal length, with one asyncio timer for all of them. Rules, the same as those of `asyncio.timeout`:
- If a deadline cancels its task, the block raises TimeoutError. Any other cancellation propagates.
- A deadline that has ended leaves no cancellation pending in its task.

Coalescing: requests that are made in one iteration of the event loop are written one right after the other. This
matters for a peer on the same machine, such as a sidecar proxy: waking it for each write costs more than the write,
and it stays awake between writes that follow each other closely. Rules:
- If few requests are in flight, each is written at once.
- No request waits for longer than one iteration of the loop, nor for more than `_BATCH` others.
"""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Final, final

from attrs import define, field

_BATCH: Final = 8


@final
@define(eq=False)
class Deadlines:
    """Deadlines of *seconds* each: use `with deadlines.start():` around the code that must end in time.

    A timer for each deadline would cost a twentieth of a request. As all are equally long, the first to start is the
    first to expire, so one timer that waits for that one is enough.
    """

    seconds: float
    _loop: asyncio.AbstractEventLoop = field(factory=asyncio.get_running_loop, init=False, repr=False)
    _running: "dict[Deadline, None]" = field(factory=dict, init=False, repr=False)
    _timer: asyncio.TimerHandle | None = field(default=None, init=False, repr=False)

    def start(self) -> "Deadline":
        """Start a deadline for the current task; it runs until its `with` block ends."""
        task = asyncio.current_task(self._loop)
        assert task is not None, "a coroutine of asyncio's runs in a task"  # noqa: S101 - for the type checker
        deadline = Deadline(task, self._loop.time() + self.seconds, task.cancelling(), self._running)
        self._running[deadline] = None
        if self._timer is None:
            self._timer = self._loop.call_at(deadline.at, self._fire)
        return deadline

    def __len__(self) -> int:
        """Return the number of deadlines that are running, which is the number of requests in flight."""
        return len(self._running)

    def close(self) -> None:
        """Stop the timer; code that still runs has no deadline any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _fire(self) -> None:
        now = self._loop.time()
        for deadline in list(self._running):
            if deadline.at > now:
                self._timer = self._loop.call_at(deadline.at, self._fire)
                return
            deadline.expired = True
            del self._running[deadline]
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

    @property
    def cancelled(self) -> bool:
        """Whether the task was cancelled since the start, by this deadline or by other code."""
        return self.task.cancelling() > self.cancelling_before

    def __enter__(self) -> "Deadline":
        """Return the deadline, which is running already."""
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        """End the deadline; raise TimeoutError if it is the reason why the task was cancelled."""
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


@final
@define(eq=False)
class RequestCoalescer:
    """Requests that are about to be written; the length of *deadlines* is the number of requests in flight."""

    deadlines: Deadlines
    _loop: asyncio.AbstractEventLoop = field(factory=asyncio.get_running_loop, init=False, repr=False)
    _pending: list[Callable[[], object]] = field(factory=list, init=False, repr=False)

    def add(self, write: Callable[[], object]) -> None:
        """Call *write* in this iteration of the loop or the next. It writes one request, and must not raise."""
        if len(self.deadlines) < _BATCH:
            _ = write()
            return
        self._pending.append(write)
        if len(self._pending) == 1:
            _ = self._loop.call_soon(self._flush)
        elif len(self._pending) == _BATCH:
            self._flush()

    def _flush(self) -> None:
        pending, self._pending = self._pending, []
        for write in pending:
            _ = write()
