"""Spending: what a batch has cost, may cost, and must not exceed.

Rules:
- Before a row leaves, what it can cost at most is set aside; the sum never exceeds the limit.
- What may have happened stays set aside.
- Until one answer has shown a real price, one row is under way at a time.
"""

from decimal import Decimal
from typing import Final, final

from attrs import define, field, frozen
from attrs.validators import ge, gt

from ..results import Ok, Result

_ZERO: Final = Decimal(0)


@final
@frozen(kw_only=True)
class Limit:
    """The most that a batch may spend: *amount* EUR, of which one message costs *each* at most.

    *spent* is what earlier runs of it have cost. A message that turns out to cost more than *each*
    ends the batch; the first goes alone, so that a wrong price is found out by it.
    """

    amount: Decimal = field(validator=ge(_ZERO))
    each: Decimal = field(validator=gt(_ZERO))
    spent: Decimal = field(default=_ZERO, validator=ge(_ZERO))


@final
@define(eq=False)
class Spending:
    """Adds up what the answers say, in EUR."""

    limit: Limit | None
    held: Decimal = field(default=_ZERO, init=False)
    exceeded: bool = field(default=False, init=False)
    _aside: Decimal = field(default=_ZERO, init=False)
    under_way: int = field(default=0, init=False)
    _shown: bool = field(default=False, init=False)

    def admits(self) -> bool:
        """Tell whether one more row may leave now."""
        if self.limit is None:
            return True
        if self.exceeded or (self.under_way and not self._shown):
            return False
        reserved = self._aside + (self.under_way + 1) * self.limit.each
        return self.limit.spent + self.held + reserved <= self.limit.amount

    def leave(self) -> None:
        """Set aside what a row can cost."""
        self.under_way += 1

    def settle(self, result: Result[object]) -> None:
        """Take in what the row of *result* has cost."""
        self.under_way -= 1
        if not isinstance(result, Ok):
            if result.may_have_happened and self.limit is not None:
                self._aside += self.limit.each
            return
        cost = cost_of(result.value)
        if cost is None:
            self._aside += _ZERO if self.limit is None else self.limit.each
            return
        self.held += cost
        self._shown = True
        if self.limit is not None and cost > self.limit.each:
            self.exceeded = True

    def lose(self) -> None:
        """Take in that nothing is known of a row."""
        self.under_way -= 1
        self._aside += _ZERO if self.limit is None else self.limit.each


def cost_of(value: object) -> Decimal | None:
    """Tell what an accepted message takes from the balance, the larger of its hold and its price; None if unsaid."""
    billing = getattr(value, "billing", None)
    price, hold = getattr(billing, "message_price", None), getattr(billing, "hold_amount", None)
    known = [amount for amount in (price, hold) if isinstance(amount, Decimal)]
    return max(known) if known else None
