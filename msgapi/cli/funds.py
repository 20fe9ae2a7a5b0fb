"""Funds: what a batch may cost, and waiting for a top-up where the balance does not cover it."""

from collections.abc import Mapping
from decimal import ROUND_UP, Decimal
from typing import final

from attrs import define, field

from .. import billing
from ..batch import Outcome, SpendLimit, Stopped
from ..calls import Caller
from ..clock import SYSTEM_CLOCK, Clock
from ..messages import Accepted
from ..results import InsufficientBalance
from .exits import Halt
from .tally import Tally


def limit(most: Decimal | None, prices: Mapping[str, Decimal] | None, spent: Decimal) -> SpendLimit | None:
    """Make the limit of a batch that may cost *most* EUR, of which *spent* is gone; None if it may cost anything."""
    if most is None:
        return None
    each = max((prices or {}).values(), default=Decimal(0))
    if not each:
        raise Halt("--max-spend needs to know what a message costs at most: give --price too, such as basic=0.07")
    return SpendLimit(total=most, per_message=each, spent=spent)


@final
@define(eq=False)
class Till:
    """Keeps the rows that there was no money for, and waits until there is, if it is to *wait*."""

    wait: bool
    clock: Clock = field(default=SYSTEM_CLOCK)
    kept: list[Outcome[Accepted]] = field(factory=list, init=False)

    def keeps(self, outcome: Outcome[Accepted]) -> bool:
        """Keep the row of *outcome* for later, if it was refused for want of money."""
        keep = self.wait and isinstance(outcome.result, InsufficientBalance)
        if keep:
            self.kept.append(outcome)
        return keep

    def waits(self, stopped: Stopped | None) -> bool:
        """Tell whether this stop is to be waited out."""
        return self.wait and stopped is not None and stopped.reason == "balance"

    async def refilled(self, api: Caller, stopped: Stopped) -> bool:
        """Wait until the balance covers what was refused at the stop; False if the key is refused."""
        return await billing.wait_for_top_up(api, stopped.error, clock=self.clock)

    def taken(self) -> list[Outcome[Accepted]]:
        """Give up the rows that are kept."""
        kept, self.kept = self.kept, []
        return kept


def missing(stopped: Stopped | None, tally: Tally) -> Decimal | None:
    """Tell how many EUR are missing for the rest after a stop for want of money; None if nobody can tell.

    Where the prices were not given the rest is taken to cost what the rows before it did.
    """
    if stopped is None or stopped.missing is not None or not isinstance(stopped.error, InsufficientBalance):
        return None if stopped is None else stopped.missing
    balance = stopped.error.balance
    if not tally.accepted or balance is None or balance.free is None:
        return None
    rest = tally.held / tally.accepted * tally.unpaid - balance.free
    return max(Decimal(0), rest).quantize(Decimal("0.01"), ROUND_UP)


def shortage(stopped: Stopped, tally: Tally) -> str:
    """Say what is missing after a stop for want of money, and where to top up."""
    amount = missing(stopped, tally)
    about = "" if stopped.missing is not None else "about "
    url = stopped.error.topup_url if isinstance(stopped.error, InsufficientBalance) else None
    return f"{f'; the rest needs {about}{amount} EUR more' if amount else ''}{f'; top up at {url}' if url else ''}"
