"""The spending limit of a batch, and the wait for a top-up when the balance is used up."""

from collections.abc import Mapping
from decimal import ROUND_UP, Decimal
from typing import Final, final

from attrs import define, field

from ... import billing
from ...batch import Outcome, SpendLimit, Stopped
from ...calls import Caller
from ...clock import Clock, SystemClock
from ...messages import Accepted
from ...results import InsufficientBalance, Ok, Unauthorized
from ..exits import CliError
from .counts import Counts

_EVERY: Final = 15.0  # seconds between two looks at the balance


def limit(most: Decimal | None, prices: Mapping[str, Decimal] | None, spent: Decimal) -> SpendLimit | None:
    """Return the limit of a batch that may cost *most* EUR, *spent* of it in earlier runs; None if *most* is None."""
    if most is None:
        return None
    each = max((prices or {}).values(), default=Decimal(0))
    if not each:
        raise CliError("--max-spend needs the prices of the messages: give --price, too, such as basic=0.07")
    return SpendLimit(total=most, per_message=each, spent=spent)


@final
@define(eq=False)
class Till:
    """Keeps the rows that there was no money for, and waits until there is, if it is to *wait*."""

    wait: bool
    clock: Clock = field(factory=SystemClock)
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
        """Wait for more free money than there was at the stop; False where nobody can tell."""
        error = stopped.error
        balance = error.balance if isinstance(error, InsufficientBalance) else None
        before = None if balance is None else balance.free
        needed = error.required_amount if isinstance(error, InsufficientBalance) else None
        while True:
            result = await api(billing.balance())
            if isinstance(result, Unauthorized):
                return False
            free = result.value.free if isinstance(result, Ok) else None
            if free is not None:
                if (before is None or free > before) and (needed is None or free >= needed):
                    return True
                before = free if before is None else min(before, free)
            await self.clock.sleep(_EVERY)

    def taken(self) -> list[Outcome[Accepted]]:
        """Give up the rows that are kept."""
        kept, self.kept = self.kept, []
        return kept


def missing(stopped: Stopped | None, counts: Counts) -> Decimal | None:
    """Return the EUR missing for the rest after the balance was used up; None if that is not known.

    Without --price, the rest is assumed to cost as much per row as the rows before it.
    """
    if stopped is None or stopped.missing is not None or not isinstance(stopped.error, InsufficientBalance):
        return None if stopped is None else stopped.missing
    balance = stopped.error.balance
    if not counts.accepted or balance is None or balance.free is None:
        return None
    rest = counts.held / counts.accepted * counts.unpaid - balance.free
    return max(Decimal(0), rest).quantize(Decimal("0.01"), ROUND_UP)


def shortage(stopped: Stopped, counts: Counts) -> str:
    """Return how much is missing after the balance was used up, and where to top up."""
    amount = missing(stopped, counts)
    about = "" if stopped.missing is not None else "about "
    url = stopped.error.topup_url if isinstance(stopped.error, InsufficientBalance) else None
    return f"{f'; the rest needs {about}{amount} EUR more' if amount else ''}{f'; top up at {url}' if url else ''}"
