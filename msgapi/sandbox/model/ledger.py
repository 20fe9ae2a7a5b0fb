"""The ledger: charges, top-ups, releases and credits, in the order in which they happened."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final, Literal, TypeAlias, final

from attrs import define, field, frozen

from ..http.responses import iso
from .sessions import month_of

Kind: TypeAlias = Literal["charge", "topup", "release", "credit"]
_NOTHING: Final = Decimal(0)


@final
@frozen(kw_only=True)
class Transaction:
    """One movement of money in EUR, never negative: *kind* tells its direction. *number* counts from 0."""

    number: int
    kind: Kind
    amount: Decimal
    at: float
    message_id: str | None

    def figures(self, name: str) -> dict[str, object]:
        """Write the transaction as the API shows it, under the id *name* (docs: /api/billing)."""
        return {
            "id": name,
            "type": self.kind,
            "amount": float(self.amount),
            "currency": "EUR",
            "message_id": self.message_id,
            "created_at": iso(self.at),
        }


@final
@define(eq=False, repr=False)
class Ledger:
    """All transactions, and what was charged in each month."""

    _transactions: list[Transaction] = field(factory=list, init=False)
    _months: dict[str, Decimal] = field(factory=dict, init=False)

    def __len__(self) -> int:
        """Count the transactions."""
        return len(self._transactions)

    def __getitem__(self, number: int) -> Transaction:
        """Give one transaction by its number."""
        return self._transactions[number]

    @property
    def charged(self) -> Mapping[str, Decimal]:
        """What was charged in each month, such as `2026-05`, that had charges."""
        return self._months

    def enter(self, kind: Kind, amount: Decimal, now: float, message_id: str | None = None) -> None:
        """Enter a transaction of *amount*; one of nothing is none."""
        if not amount:
            return
        number = len(self._transactions)
        entry = Transaction(number=number, kind=kind, amount=amount, at=now, message_id=message_id)
        self._transactions.append(entry)
        if kind == "charge":
            month = month_of(now)
            self._months[month] = self._months.get(month, _NOTHING) + amount
