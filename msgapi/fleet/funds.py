"""Funds: whether the workers of a key may send, or are paused for want of money, and when there is some again."""

from collections.abc import Callable
from typing import Final, final

import anyio
from attrs import define, field

from .. import billing
from ..batch import Stopped
from ..calls import Caller
from ..clock import Clock
from ..gate import rest
from ..quota import Quota
from ..results import InsufficientBalance, Ok
from .events import Event, Paused, Resumed
from .sending import in_time, short_of_money

_EVERY: Final = 15.0  # seconds between two looks at the balance


@final
@define(eq=False, repr=False)
class End:
    """Whether a worker is at its end, and *why*; it is when *asked* is set."""

    asked: anyio.Event | None
    why: Stopped | None = field(default=None, init=False)
    _over: bool = field(default=False, init=False)

    def come(self, why: Stopped | None) -> None:
        """End for this reason, if there was none before."""
        if not self._over:
            self._over, self.why = True, why

    def going(self) -> bool:
        """Tell whether it goes on."""
        if self.asked is not None and self.asked.is_set():
            self.come(Stopped("asked"))
        return not self._over


@final
@define(eq=False, repr=False)
class Till:
    """Whether there is money: if there is none a worker waits for some, or ends if it is not to *wait*."""

    api: Caller
    quota: Quota
    clock: Clock
    wait: bool
    end: End
    tell: Callable[[Event], object]
    _new: bool = field(default=True, init=False)
    _paused: bool = field(default=False, init=False)

    async def open(self) -> bool:
        """Tell whether one may send; looks at the balance if not, and waits a while before it says no.

        A quota that is away is `Unreachable`.
        """
        why = await in_time(self.clock, self.quota.paused)
        new, self._new = self._new, False
        if why is None:
            if self._paused:
                self._paused = False
                _ = self.tell(Resumed())
            return True
        stopped = short_of_money(why)
        if not self._paused and self.wait:
            self._paused = True
            _ = self.tell(Paused(stopped))
        if self.wait and not new and _blind(stopped):
            await rest(self.clock, _EVERY, self.end.going)
        if (new or self.wait) and await _refilled(self.api, stopped):
            await in_time(self.clock, self.quota.resume)
        elif self.wait:
            await rest(self.clock, _EVERY, self.end.going)
        else:
            self.end.come(stopped)
        return False


def _blind(stopped: Stopped) -> bool:
    # A 402 without figures: any balance may be too little, and the next answer the same.
    error = stopped.error
    return isinstance(error, InsufficientBalance) and error.balance is None and error.required_amount is None


async def _refilled(api: Caller, stopped: Stopped) -> bool:
    # More free money than at the stop, and as much as was wanted then.
    error = stopped.error
    balance = error.balance if isinstance(error, InsufficientBalance) else None
    before = None if balance is None else balance.free
    needed = error.required_amount if isinstance(error, InsufficientBalance) else None
    result = await api(billing.balance())
    free = result.value.free if isinstance(result, Ok) else None
    return free is not None and (before is None or free > before) and (needed is None or free >= needed)
