"""Tally: what a batch has come to so far, in numbers."""

from collections import Counter
from decimal import Decimal
from typing import Final, final

from attrs import define, field

from .. import results
from ..journal import CHANGED, OUTDATED, UNKNOWN, Count, State, Summary
from ..messages import Accepted
from ..results import ApiError, InsufficientBalance, Invalid, Ok, Result
from .rows import Row

_MOST_KINDS: Final = 40
_OTHERS: Final = "(others)"
_MOST_SHOWN: Final = 10
_BEFORE: Final = {CHANGED, OUTDATED, UNKNOWN}
_MAYBE: Final = {State.UNKNOWN, State.ACCEPTED}
DUPLICATE: Final = "duplicate_row"


def kind_of(result: Result[object]) -> str:
    """Name the kind of a result; a row that repeats an earlier one is a kind of its own."""
    if isinstance(result, Ok):
        return "Accepted"
    return "Duplicate" if result.code == DUPLICATE else type(result).__name__


def sample(kind: str, code: str) -> ApiError:
    """Make an error of a *kind* that a journal names, to be advised on."""
    made: ApiError = Invalid(code=code) if kind == "Duplicate" else getattr(results, kind)(**_needed(kind), code=code)
    return made


def _needed(kind: str) -> dict[str, str]:
    return {"reason": "an earlier run"} if kind in {"NotSent", "Unanswered"} else {}


@final
@define(eq=False)
class Tally:
    """Counts the outcomes of a batch of *total* rows, and adds up what they cost in EUR."""

    total: int
    accepted: int = 0
    refused: int = 0
    duplicates: int = 0
    before: int = 0
    unsent: int = 0
    lost: int = 0
    again: int = 0
    doubtful: int = 0
    spend: Decimal = Decimal(0)
    held: Decimal = Decimal(0)
    errors: Counter[tuple[str, str]] = field(factory=Counter)
    samples: dict[tuple[str, str], ApiError] = field(factory=dict)
    first: list[tuple[Row, ApiError]] = field(factory=list)

    @property
    def settled(self) -> int:
        """How many rows have an outcome."""
        return self.accepted + self.refused + self.duplicates + self.before

    @property
    def unpaid(self) -> int:
        """How many rows are still to be paid for: those without an outcome, and those that there was no money for."""
        broke = sum(rows for (kind, _), rows in self.errors.items() if kind == InsufficientBalance.__name__)
        return self.total - self.settled + broke

    def fill(self, summary: Summary) -> None:
        """Count every row that a journal knows of, in place of those of this run alone.

        What it does not tell of a row, that it is not the row that was sent or may have been, stays counted.
        """
        samples, refused = self.samples, [(named, rows) for named, rows in self.errors.items() if named[1] in _BEFORE]
        self.accepted = self.refused = self.duplicates = self.doubtful = self.lost = self.before = 0
        self.errors, self.samples = Counter(), {}
        for count in summary.counts:
            self._add(count, samples)
        self.spend, self.held = summary.price, summary.hold
        self.again = summary.rows(State.STARTED, State.NOT_SENT, State.UNKNOWN)
        self.unsent = max(0, self.total - summary.rows())
        for named, rows in refused:
            self._add_refused(named, rows, samples)

    def _add_refused(self, named: tuple[str, str], rows: int, samples: "dict[tuple[str, str], ApiError]") -> None:
        self.errors[named] += rows
        self.samples[named] = samples[named]
        if named[1] == UNKNOWN:  # the journal has those as begun, or as in doubt
            rows = min(rows, self.lost)
            self.lost -= rows
            self.doubtful += rows
        if named[1] == OUTDATED:  # the journal does not have those, but for what was held up
            self.doubtful += rows
            rows = min(rows, self.unsent)
            self.unsent -= rows
        self.refused += rows

    def _add(self, count: Count, samples: "dict[tuple[str, str], ApiError]") -> None:
        kind, code = count.kind, count.code or ""
        if count.state is State.STARTED or kind is None:
            self.lost += count.rows
            return
        if kind == "Accepted":
            self.accepted += count.rows
            return
        if code == DUPLICATE:
            kind = "Duplicate"
            self.duplicates += count.rows
        else:
            self.refused += count.rows
            self.doubtful += count.rows if count.state in _MAYBE else 0
        self.errors[kind, code] += count.rows
        self.samples[kind, code] = samples.get((kind, code)) or sample(kind, code)

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
            named = (kind, _OTHERS)
        self.errors[named] += 1
        _ = self.samples.setdefault(named, result)

    def take_back(self, result: ApiError) -> None:
        """Count an outcome no more: its row has another one since."""
        kind = kind_of(result)
        if kind == "Duplicate":
            self.duplicates -= 1
        else:
            self.refused -= 1
            self.doubtful -= result.may_have_happened
        named = (kind, result.code) if (kind, result.code) in self.errors else (kind, _OTHERS)
        self.errors[named] -= 1
        if not self.errors[named]:
            del self.errors[named]
