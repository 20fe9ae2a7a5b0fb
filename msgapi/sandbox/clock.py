"""The clock of a sandbox: the time of the clock that it was given, which can be paused and moved forward.

Rules:
- The given clock is never changed. While it runs, the time of a sandbox is that of the given clock and an offset.
- `now` never decreases, also if a restored snapshot or a reset sets `time` back.
- A sleep takes its seconds of `now`: a pause makes it longer, and a move forward makes it shorter.
- An event of anyio belongs to one event loop, and a sandbox may be used in several, so each sleep has an event.
"""

from typing import final

import anyio
import anyio.lowlevel
from attrs import define, field, frozen

from ..clock import Clock
from ..concurrency import task_group
from .model.state import ClockState


@final
@frozen
class _Paused:
    time: float
    now: float


@final
@define(eq=False)
class SandboxClock:
    """A clock over the *given* one that can be paused, resumed and moved forward."""

    given: Clock
    _offset: float = field(default=0.0, init=False)  # of `time`
    _ahead: float = field(default=0.0, init=False)  # of `now`
    _paused: _Paused | None = field(default=None, init=False)
    _sleepers: set[anyio.Event] = field(factory=set, init=False)

    def time(self) -> float:
        """Return the Unix time of the sandbox in seconds."""
        return self.given.time() + self._offset if self._paused is None else self._paused.time

    def now(self) -> float:
        """Return the seconds since some fixed moment. The value never decreases."""
        return self.given.now() + self._ahead if self._paused is None else self._paused.now

    @property
    def paused(self) -> bool:
        """Whether the time stands still."""
        return self._paused is not None

    @property
    def state(self) -> ClockState:
        """The time, whether it stands still, and how far it is ahead of the given clock."""
        if self._paused is None:
            return ClockState(time=self.time(), offset=self._offset)
        return ClockState(time=self._paused.time, paused=True, offset=self._paused.time - self.given.time())

    def pause(self) -> None:
        """Let the time stand still until `resume` is called. If it stands still already, do nothing."""
        if self._paused is None:
            self._paused = _Paused(self.time(), self.now())
            self._wake_sleepers()

    def resume(self) -> None:
        """Let the time continue from where it stands still. If it runs already, do nothing."""
        if self._paused is not None:
            self._run_from(self._paused)

    def advance(self, seconds: float) -> None:
        """Move the time forward by *seconds*, whether it runs or not."""
        if self._paused is not None:
            self._paused = _Paused(self._paused.time + seconds, self._paused.now + seconds)
        else:
            self._offset += seconds
            self._ahead += seconds
        self._wake_sleepers()

    def restore(self, state: ClockState) -> None:
        """Set the time to that of *state* if it stands still there, and otherwise to its offset."""
        if state.paused:
            self._paused = _Paused(state.time, self.now())
        else:
            self.resume()
            self._offset = state.offset
        self._wake_sleepers()

    async def sleep(self, seconds: float) -> None:
        """Wait until *seconds* have passed on this clock."""
        until = self.now() + seconds
        await anyio.lowlevel.checkpoint()
        # A sleep that was not interrupted is over, also if rounding has left a small rest.
        while (left := until - self.now()) > 0 and not await self._sleep_until_changed(left):
            pass

    async def _sleep_until_changed(self, seconds: float) -> bool:
        # Return whether the seconds have passed; not if the clock was changed before.
        changed = anyio.Event()
        self._sleepers.add(changed)
        try:
            if self._paused is not None:
                await changed.wait()
                return False
            async with task_group() as tasks:

                async def cancel_when_changed() -> None:
                    await changed.wait()
                    tasks.cancel_scope.cancel()

                _ = tasks.start_soon(cancel_when_changed)
                await self.given.sleep(seconds)
            return not changed.is_set()
        finally:
            self._sleepers.discard(changed)

    def _run_from(self, paused: _Paused) -> None:
        self._offset = paused.time - self.given.time()
        self._ahead = paused.now - self.given.now()
        self._paused = None
        self._wake_sleepers()

    def _wake_sleepers(self) -> None:
        for one in self._sleepers:
            one.set()
