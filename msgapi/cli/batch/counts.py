"""The numbers of a batch: rows by outcome, and their cost."""

from collections import Counter
from decimal import Decimal
from typing import Final, final

from attrs import define, field

from ... import results
from ...journal import CHANGED, OUTDATED, UNKNOWN, Count, State, Summary
from ...messages import Accepted
from ...results import ApiError, InsufficientBalance, Invalid, Ok, Result
from ..outcomes import RowOutcome
from .input import InputRow

_MOST_KINDS: Final = 40
_OTHERS: Final = "(others)"
_MOST_SHOWN: Final = 10
_NOT_IN_SUMMARY: Final = {OUTDATED, UNKNOWN}
_MAY_HAVE_BEEN_SENT: Final = {State.UNKNOWN, State.ACCEPTED}
_ACCEPTED: Final = RowOutcome.ACCEPTED.kind
_REPEATED: Final = RowOutcome.DUPLICATE.kind
_CHANGED: Final = RowOutcome.CHANGED.kind
DUPLICATE: Final = "duplicate_row"
_KINDS: Final = {DUPLICATE: _REPEATED, CHANGED: _CHANGED}
_CODES: Final = {kind: code for code, kind in _KINDS.items()}


def kind_of(result: Result[object]) -> str:
    """Return the kind of a result: `Accepted`, `Duplicate`, `Changed`, or the class of the error."""
    return _ACCEPTED if isinstance(result, Ok) else _KINDS.get(result.code) or type(result).__name__


def recorded_kind(kind: str | None, code: str | None) -> str | None:
    """Return the kind of a result that a journal has stored with this *kind* and *code*."""
    return _KINDS.get(code or "", kind)


def sample_error(kind: str, code: str) -> ApiError:
    """Return an error of a *kind* and *code* read from a journal, to look up the advice for it."""
    if kind in _CODES:
        return Invalid(code=code)
    made: ApiError = getattr(results, kind)(**_required(kind), code=code)
    return made


def _required(kind: str) -> dict[str, str]:
    return {"reason": "an earlier run"} if kind in {"NotSent", "Unanswered"} else {}


@final
@define(eq=False)
class Counts:
    """The outcomes of a batch of *total* rows, and their cost in EUR.

    - *refused*: rows with any error but a duplicate or a changed row; *unknown*: those of them that may have been sent.
    - *changed*: rows that differ from rows that were sent, and were left out; *changed_lines*: the first of them.
    - *sent_earlier*: accepted rows that an earlier run has sent; *not_in_file*: rows that the file does not have any
      more, and *spend_not_in_file* their cost.
    - *settled_before*: rows that an earlier run has settled.
    - *interrupted*: rows without a result that may have been sent; *not_sent_yet*: rows that were not sent.
    - *resumable*: rows of the journal that the next run sends again.
    - *spend*, *held*: price and hold of the accepted messages.
    - *errors*, *samples*: rows by kind and code, and one error of each; *first*: the first errors with their rows.
    """

    total: int
    accepted: int = 0
    refused: int = 0
    duplicate: int = 0
    changed: int = 0
    sent_earlier: int = 0
    not_in_file: int = 0
    settled_before: int = 0
    not_sent_yet: int = 0
    interrupted: int = 0
    resumable: int = 0
    unknown: int = 0
    spend: Decimal = Decimal(0)
    held: Decimal = Decimal(0)
    spend_not_in_file: Decimal = Decimal(0)
    errors: Counter[tuple[str, str]] = field(factory=Counter)
    samples: dict[tuple[str, str], ApiError] = field(factory=dict)
    first: list[tuple[InputRow, ApiError]] = field(factory=list)
    changed_lines: list[int] = field(factory=list)

    @property
    def settled(self) -> int:
        """The number of rows with an outcome."""
        return self.accepted + self.refused + self.duplicate + self.changed + self.settled_before

    @property
    def unpaid(self) -> int:
        """The number of rows to be paid for: those without an outcome, and those refused for lack of balance."""
        broke = sum(rows for (kind, _), rows in self.errors.items() if kind == InsufficientBalance.__name__)
        return self.total - self.settled + broke

    def add_result(self, row: InputRow, result: Result[Accepted]) -> None:
        """Count the *result* of *row*."""
        if isinstance(result, Ok):
            self.accepted += 1
            billing = result.value.billing
            self.held += billing.hold_amount or 0
            self.spend += billing.message_price if billing.message_price is not None else billing.hold_amount or 0
            return
        kind = kind_of(result)
        if kind == _REPEATED:
            self.duplicate += 1
        elif kind == _CHANGED:
            self.changed += 1
            if len(self.changed_lines) < _MOST_SHOWN:
                self.changed_lines.append(row.line)
        else:
            self.refused += 1
            self.unknown += result.may_have_happened
            if len(self.first) < _MOST_SHOWN:
                self.first.append((row, result))
        named = (kind, result.code)
        if named not in self.errors and len(self.errors) >= _MOST_KINDS:
            named = (kind, _OTHERS)
        self.errors[named] += 1
        _ = self.samples.setdefault(named, result)

    def remove_error(self, result: ApiError) -> None:
        """Remove an earlier *result* of a row that has a new one."""
        kind = kind_of(result)
        if kind == _REPEATED:
            self.duplicate -= 1
        else:
            self.refused -= 1
            self.unknown -= result.may_have_happened
        named = (kind, result.code) if (kind, result.code) in self.errors else (kind, _OTHERS)
        self.errors[named] -= 1
        if not self.errors[named]:
            del self.errors[named]

    def load(self, summary: Summary) -> None:
        """Replace the counts of this run by those of the whole journal.

        Errors that a journal does not store are kept: an outdated journal, an unknown outcome. Rows that are not in the
        file any more are counted apart.
        """
        samples = self.samples
        kept = [(named, rows) for named, rows in self.errors.items() if named[1] in _NOT_IN_SUMMARY]
        here, gone = summary.in_file, summary.not_in_file
        self.accepted = self.refused = self.duplicate = self.changed = 0
        self.unknown = self.interrupted = self.settled_before = self.not_sent_yet = 0
        self.errors, self.samples = Counter(), {}
        for count in here.counts:
            self._add_count(count, samples)
        self.spend, self.held = here.price, here.hold
        self.sent_earlier = here.earlier.rows(State.ACCEPTED)
        self.not_in_file, self.spend_not_in_file = gone.rows(), gone.price
        self.resumable = here.rows(State.STARTED, State.NOT_SENT, State.UNKNOWN)
        self.not_sent_yet += max(0, self.total - here.rows())
        for named, rows in kept:
            self._add_kept(named, rows, samples)

    def _add_kept(self, named: tuple[str, str], rows: int, samples: "dict[tuple[str, str], ApiError]") -> None:
        self.errors[named] += rows
        self.samples[named] = samples[named]
        if named[1] == UNKNOWN:  # the journal has these rows as started, or as unknown
            rows = min(rows, self.interrupted)
            self.interrupted -= rows
            self.unknown += rows
        if named[1] == OUTDATED:  # the journal lacks these rows, except those that were not sent
            self.unknown += rows
            rows = min(rows, self.not_sent_yet)
            self.not_sent_yet -= rows
        self.refused += rows

    def _add_count(self, count: Count, samples: "dict[tuple[str, str], ApiError]") -> None:
        kind, code = recorded_kind(count.kind, count.code), count.code or ""
        if count.state is State.NOT_SENT and kind is None:  # to be sent again, with another request
            self.not_sent_yet += count.rows
            return
        if count.state is State.STARTED or kind is None:
            self.interrupted += count.rows
            return
        if kind == _ACCEPTED:
            self.accepted += count.rows
            return
        if kind == _REPEATED:
            self.duplicate += count.rows
        elif kind == _CHANGED:
            self.changed += count.rows
        else:
            self.refused += count.rows
            self.unknown += count.rows if count.state in _MAY_HAVE_BEEN_SENT else 0
        self.errors[kind, code] += count.rows
        self.samples[kind, code] = samples.get((kind, code)) or sample_error(kind, code)
