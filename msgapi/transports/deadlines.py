"""Deadlines: any number of them, all equally long, over one timer of asyncio's.

Rules, which are those of `asyncio.timeout`:
- What a deadline cancels comes out as TimeoutError; a cancellation by anyone else goes on.
- A deadline that is over leaves no cancellation behind in its task.
"""

import asyncio
from types import TracebackType
from typing import final

from attrs import define, field


@final
@define(eq=False)
class Deadlines:
    """Deadlines of *seconds* each: `with deadlines.start()` around what must end in time.

    A timer for each would cost a twentieth of a request. As all are equally long, the first to
    start is the first to be over, and one timer that waits for it is enough.
    """

    seconds: float
    _loop: asyncio.AbstractEventLoop = field(factory=asyncio.get_running_loop, init=False, repr=False)
    _running: "dict[Deadline, None]" = field(factory=dict, init=False, repr=False)
    _timer: asyncio.TimerHandle | None = field(default=None, init=False, repr=False)

    def start(self) -> "Deadline":
        """Start one for the current task; it runs until its `with` ends."""
        task = asyncio.current_task(self._loop)
        assert task is not None, "a coroutine of asyncio's runs in a task"  # noqa: S101 - for the type checker
        deadline = Deadline(task, self._loop.time() + self.seconds, task.cancelling(), self._running)
        self._running[deadline] = None
        if self._timer is None:
            self._timer = self._loop.call_at(deadline.at, self._fire)
        return deadline

    def __len__(self) -> int:
        """Tell how many run."""
        return len(self._running)

    def close(self) -> None:
        """Stop the timer; whatever still runs has no deadline any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _fire(self) -> None:
        now = self._loop.time()
        for deadline in list(self._running):
            if deadline.at > now:
                self._timer = self._loop.call_at(deadline.at, self._fire)
                return
            deadline.over = True
            del self._running[deadline]
            _ = deadline.task.cancel()
        self._timer = None


@final
@define(eq=False)
class Deadline:
    """One deadline, *at* a time of the loop's clock, for a *task* that was cancelled *before* so many times."""

    task: "asyncio.Task[object]"
    at: float
    before: int
    running: "dict[Deadline, None]"
    over: bool = False

    @property
    def called_off(self) -> bool:
        """Whether the task is being cancelled since this began, by this or by anyone else."""
        return self.task.cancelling() > self.before

    def __enter__(self) -> "Deadline":
        """Begin."""
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        """End; TimeoutError if this deadline was why the task was cancelled."""
        if not self.over:
            del self.running[self]
        elif self.task.uncancel() <= self.before and kind is asyncio.CancelledError:
            raise TimeoutError


def deadlines_of(seconds: float) -> Deadlines:
    """Make the deadlines of a transport on asyncio; raise RuntimeError on any other event loop."""
    try:
        return Deadlines(seconds)
    except RuntimeError:
        raise RuntimeError("this transport runs on asyncio only: on trio, use msgapi.transports.httpx2") from None
