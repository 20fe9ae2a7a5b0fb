"""Budget: what a batch has cost, what it may still cost, and the limit that it must not exceed.

Rules:
- Before a row is sent, its highest possible cost is reserved. Spent and reserved together never exceed the limit.
- The cost of a row whose outcome is unknown stays reserved.
- Until one response has stated a price, one row is in flight at a time.
"""

from decimal import Decimal
from typing import Final, final

from attrs import define, field, frozen
from attrs.validators import ge, gt

from ..results import Ok, Result

_ZERO: Final = Decimal(0)


@final
@frozen(kw_only=True)
class SpendLimit:
    """The most that a batch may spend: *total* EUR, with a cost of at most *per_message* EUR for one message.

    *spent* is what earlier runs of the batch have cost. A message that costs more than *per_message* ends the batch.
    The first message is sent alone, so that it shows a price that is too low. A negative amount, or a *per_message*
    that is not above 0, is a ValueError.
    """

    total: Decimal = field(validator=ge(_ZERO))
    per_message: Decimal = field(validator=gt(_ZERO))
    spent: Decimal = field(default=_ZERO, validator=ge(_ZERO))


@final
@define(eq=False)
class SpendTracker:
    """Adds up the costs that the responses state, in EUR."""

    limit: SpendLimit | None
    spent: Decimal = field(default=_ZERO, init=False)
    in_flight: int = field(default=0, init=False)
    _exceeded: bool = field(default=False, init=False)
    _reserved: Decimal = field(default=_ZERO, init=False)
    _price_known: bool = field(default=False, init=False)

    def admits(self) -> bool:
        """Return whether one more row may be sent now."""
        if self.limit is None:
            return True
        if self._exceeded or (self.in_flight and not self._price_known):
            return False
        reserved = self._reserved + (self.in_flight + 1) * self.limit.per_message
        return self.limit.spent + self.spent + reserved <= self.limit.total

    def reserve(self) -> None:
        """Reserve the cost of a row that is about to be sent."""
        self.in_flight += 1

    def settle(self, result: Result[object]) -> None:
        """Record the cost of a row that ended in *result*."""
        if not isinstance(result, Ok):
            if result.may_have_happened:
                self.keep_reserved()
            else:
                self.in_flight -= 1
            return
        cost = cost_of(result.value)
        if cost is None:
            self.keep_reserved()
            return
        self.in_flight -= 1
        self.spent += cost
        self._price_known = True
        if self.limit is not None and cost > self.limit.per_message:
            self._exceeded = True

    def keep_reserved(self) -> None:
        """Record that the cost of a row is unknown: it stays reserved."""
        self.in_flight -= 1
        self._reserved += _ZERO if self.limit is None else self.limit.per_message


def cost_of(value: object) -> Decimal | None:
    """Return what an accepted message takes from the balance: the larger of its hold and its price, or None."""
    billing = getattr(value, "billing", None)
    price, hold = getattr(billing, "message_price", None), getattr(billing, "hold_amount", None)
    known = [amount for amount in (price, hold) if isinstance(amount, Decimal)]
    return max(known) if known else None
