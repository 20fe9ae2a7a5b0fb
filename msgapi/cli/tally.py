"""Tally: what a batch has come to so far, in numbers."""

from collections import Counter
from decimal import Decimal
from typing import Final, final

from attrs import define, field

from ..messages import Accepted
from ..results import ApiError, Ok, Result
from .rows import Row

_MOST_KINDS: Final = 40
_MOST_SHOWN: Final = 10
DUPLICATE: Final = "duplicate_row"


def kind_of(result: Result[Accepted]) -> str:
    """Name the kind of a result; a row that repeats an earlier one is a kind of its own."""
    if isinstance(result, Ok):
        return "Accepted"
    return "Duplicate" if result.code == DUPLICATE else type(result).__name__


@final
@define(eq=False)
class Tally:
    """Counts the outcomes of a batch of *total* rows, and adds up what they cost in EUR."""

    total: int
    accepted: int = 0
    refused: int = 0
    duplicates: int = 0
    unsent: int = 0
    lost: int = 0
    doubtful: int = 0
    spend: Decimal = Decimal(0)
    held: Decimal = Decimal(0)
    errors: Counter[tuple[str, str]] = field(factory=Counter)
    samples: dict[tuple[str, str], ApiError] = field(factory=dict)
    first: list[tuple[Row, ApiError]] = field(factory=list)

    @property
    def settled(self) -> int:
        """How many rows have an outcome."""
        return self.accepted + self.refused + self.duplicates

    def count(self, row: Row, result: Result[Accepted]) -> None:
        """Take in the outcome of *row*."""
        if isinstance(result, Ok):
            self.accepted += 1
            billing = result.value.billing
            self.held += billing.hold_amount or 0
            self.spend += billing.message_price if billing.message_price is not None else billing.hold_amount or 0
            return
        kind = kind_of(result)
        if kind == "Duplicate":
            self.duplicates += 1
        else:
            self.refused += 1
            self.doubtful += result.may_have_happened
            if len(self.first) < _MOST_SHOWN:
                self.first.append((row, result))
        named = (kind, result.code)
        if named not in self.errors and len(self.errors) >= _MOST_KINDS:
            named = (kind, "(others)")
        self.errors[named] += 1
        _ = self.samples.setdefault(named, result)
