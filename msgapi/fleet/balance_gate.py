"""Whether a worker may send: the workers of an API key are paused while the balance does not cover a message."""

from collections.abc import Callable
from typing import final

import anyio
from attrs import define, field

from .. import billing
from ..batch import Stopped
from ..billing.calls import INTERVAL
from ..calls import Caller
from ..clock import Clock
from ..ratelimit import SharedRate
from ..ratelimit.queue import sleep_while
from ..results import InsufficientBalance
from .events import Event, Paused, Resumed
from .sending import stop_for_balance, with_timeout


@final
@define(eq=False, repr=False)
class StopState:
    """Whether a worker is to stop, and the *reason*; setting *stop_event* stops it."""

    stop_event: anyio.Event | None
    reason: Stopped | None = field(default=None, init=False)
    _stopped: bool = field(default=False, init=False)

    def stop(self, reason: Stopped | None) -> None:
        """Stop for this *reason*, unless the worker is stopped already."""
        if not self._stopped:
            self._stopped, self.reason = True, reason

    def is_running(self) -> bool:
        """Return whether the worker continues."""
        if self.stop_event is not None and self.stop_event.is_set():
            self.stop(Stopped("asked"))
        return not self._stopped


@final
@define(eq=False, repr=False)
class BalanceGate:
    """Lets a worker send while the workers of its key are not paused for lack of balance.

    While they are paused, the worker polls the balance if *wait* is set, and stops otherwise.
    """

    client: Caller
    shared: SharedRate
    clock: Clock
    wait: bool
    stop_state: StopState
    on_event: Callable[[Event], object]
    _first: bool = field(default=True, init=False)
    _paused: bool = field(default=False, init=False)

    async def is_open(self) -> bool:
        """Return whether the worker may send. If it may not, poll the balance, and wait before returning False.

        Raise `Unreachable` if the store of the shared rate does not answer.
        """
        pause = await with_timeout(self.clock, self.shared.paused)
        first, self._first = self._first, False
        if pause is None:
            if self._paused:
                self._paused = False
                _ = self.on_event(Resumed())
            return True
        stopped = stop_for_balance(pause)
        if not self._paused and self.wait:
            self._paused = True
            _ = self.on_event(Paused(stopped))
        if self.wait and not first and _states_no_amount(stopped):
            await sleep_while(self.clock, INTERVAL, self.stop_state.is_running)
        if (first or self.wait) and await billing.wait_for_top_up(self.client, stopped.error, polls=1):
            await with_timeout(self.clock, self.shared.resume)
        elif self.wait:
            await sleep_while(self.clock, INTERVAL, self.stop_state.is_running)
        else:
            self.stop_state.stop(stopped)
        return False


def _states_no_amount(stopped: Stopped) -> bool:
    # After a 402 without amounts any balance may be too low, and the next response the same.
    error = stopped.error
    return isinstance(error, InsufficientBalance) and error.balance is None and error.required_amount is None
