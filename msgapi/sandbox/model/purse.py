"""Purse: the prepaid balance and the holds on it.

Rules:
- Decimal only; nothing is rounded.
- `reserved` is the sum of the holds, and neither it nor `free` is ever negative.
- What moves money for good, or gives it back, stands in the ledger; a hold does not.
"""

from decimal import Decimal
from typing import final

from attrs import define, field, fields

from ...results import Balance
from .ledger import Kind, Ledger
from .prices import check_amount


@final
@define(eq=False)
class Purse:
    """Money in EUR: what is free, and what is held for messages that are under way."""

    free: Decimal = field(validator=check_amount)
    reserved: Decimal = field(default=Decimal(0), init=False)
    ledger: Ledger = field(factory=Ledger, init=False)
    _holds: dict[str, Decimal] = field(factory=dict, init=False)

    @property
    def balance(self) -> Balance:
        """The balance as the API tells it."""
        return Balance(free=self.free, reserved=self.reserved, total=self.free + self.reserved)

    def figures(self) -> dict[str, float]:
        """Tell the balance in JSON numbers."""
        return {"free": float(self.free), "reserved": float(self.reserved), "total": float(self.free + self.reserved)}

    def hold(self, name: str, amount: Decimal) -> None:
        """Reserve *amount* for the message *name*; the caller has seen that it is free."""
        if amount:
            self.free -= amount
            self.reserved += amount
            self._holds[name] = amount

    def release(self, name: str, now: float) -> None:
        """Give the hold for *name* back, if there is one."""
        amount = self._lift(name)
        self.free += amount
        self.ledger.enter("release", amount, now, name)

    def settle(self, name: str, now: float) -> None:
        """Debit the hold for *name*, if there is one: the message was delivered."""
        self.ledger.enter("charge", self._lift(name), now, name)

    def _lift(self, name: str) -> Decimal:
        amount = self._holds.pop(name, Decimal(0))
        self.reserved -= amount
        return amount

    def add(self, amount: Decimal, now: float, kind: Kind = "credit") -> None:
        """Add *amount*; one that is no money raises ValueError."""
        check_amount(self, fields(Purse).free, amount)
        self.free += amount
        self.ledger.enter(kind, amount, now)
