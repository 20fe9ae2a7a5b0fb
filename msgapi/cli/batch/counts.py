"""The numbers of a batch: rows by outcome and their cost, as a table and as JSON."""

from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from typing import Final, final

from attrs import define, evolve, field, frozen

from ...journal import CHANGED, OUTDATED, UNKNOWN, Count, State, Summary
from ...journal.resumption import state_of
from ...journal.sqlite import API_ERRORS
from ...messages import Accepted
from ...results import ApiError, Invalid, Meta, Ok, Result
from ..advice import advise_row
from ..files.rows import InputRow
from ..output import Exit, RowOutcome, TextTable, counted, table_of

_MOST_KINDS: Final = 40
_OTHERS: Final = "(others)"
_MOST_SHOWN: Final = 10
_NOT_IN_SUMMARY: Final = {OUTDATED, UNKNOWN}
_ACCEPTED: Final = RowOutcome.ACCEPTED.kind
_REPEATED: Final = RowOutcome.DUPLICATE.kind
_STATUS: Final = "http_"  # begins the code of an answer that is not the service's
_OUTCOMES: Final = {
    State.STARTED: RowOutcome.UNKNOWN,
    State.ACCEPTED: RowOutcome.UNKNOWN,  # of an error: accepted, but its result could not be read
    State.REFUSED: RowOutcome.REFUSED,
    State.NOT_SENT: RowOutcome.NOT_SENT_YET,
    State.UNKNOWN: RowOutcome.UNKNOWN,
    State.INVALID: RowOutcome.REFUSED,
    State.CHANGED: RowOutcome.CHANGED,
}
DUPLICATE: Final = "duplicate_row"
_BY_CODE: Final = {DUPLICATE: RowOutcome.DUPLICATE, CHANGED: RowOutcome.CHANGED}


def kind_of(result: Result[object]) -> str:
    """Return the kind of a result: `Accepted`, `Duplicate`, `Changed`, or the class of the error."""
    if isinstance(result, Ok):
        return _ACCEPTED
    return recorded_kind(type(result).__name__, result.code) or ""


def recorded_kind(kind: str | None, code: str | None) -> str | None:
    """Return the kind of a result that a journal has stored with this *kind* and *code*."""
    outcome = _BY_CODE.get(code or "")
    return kind if outcome is None else outcome.kind


def outcome_of(error: ApiError) -> RowOutcome:
    """Return the outcome of a row that ended in *error*: refused, or without a verdict of the service."""
    return _BY_CODE.get(error.code) or _OUTCOMES[state_of(error, maybe_sent=False)]


@final
@frozen
class ErrorGroup:
    """The rows with one *outcome*, and errors of one *kind* and *code*."""

    outcome: RowOutcome
    kind: str
    code: str

    @property
    def title(self) -> str:
        """The first cell of a table: the kind, after the outcome if the service has given no verdict."""
        without_verdict = self.outcome in {RowOutcome.UNKNOWN, RowOutcome.NOT_SENT_YET}
        return f"{self.outcome.title}: {self.kind}" if without_verdict else self.kind


def group_of(error: ApiError) -> ErrorGroup:
    """Return the group of rows that ended like one with *error*."""
    return ErrorGroup(outcome_of(error), kind_of(error), error.code)


def sample_error(kind: str, code: str, state: State) -> ApiError:
    """Return an error of a *kind* and *code* read from a journal, of a row in *state*, to look up the advice for it."""
    if code in _BY_CODE:
        return Invalid(code=code)
    number = code.removeprefix(_STATUS) if code.startswith(_STATUS) else ""
    foreign = number.isdecimal() or (kind == "Unreadable" and state is not State.ACCEPTED)
    facts: dict[str, object] = {"reason": "an earlier run"} if kind in {"NotSent", "Unanswered"} else {}
    if foreign:
        facts |= {"meta": Meta(status=int(number or 200)), "from_service": False}
    if state is State.UNKNOWN:  # an earlier attempt may have been carried out, whatever the last one says
        facts["may_have_happened"] = True
    made: ApiError = API_ERRORS[kind](**facts, code=code)
    return made


@final
@define(eq=False)
class Counts:
    """The outcomes of a batch of *total* rows, and their cost in EUR.

    - *accepted_by_fallback*: accepted rows that were sent by email, because the service has refused the RCS message.
    - *refused*: rows that were refused, by the service or before they were sent; *duplicate*: rows that repeat one.
    - *unknown*: rows with an error that may have been sent; *not_carried_out*: rows with an error that the next run
      sends. Neither has a verdict of the service, except for the *unreadable* ones among the unknown: the service has
      accepted them, and its response could not be read.
    - *changed*: rows that differ from rows that were sent, and were left out; *changed_lines*: the first of them.
    - *sent_earlier*: accepted rows that an earlier run has sent; *not_in_file*: rows that the file does not have any
      more, and *spend_not_in_file* their cost.
    - *settled_before*: rows that an earlier run has settled.
    - *interrupted*: rows without a result that may have been sent; *not_sent_yet*: rows that were not sent.
    - *spend*, *held*: price and hold of the accepted messages.
    - *errors*, *samples*: rows by group, and one error of each; *first*: the first errors with their rows.
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
    unknown: int = 0
    not_carried_out: int = 0
    spend: Decimal = Decimal(0)
    held: Decimal = Decimal(0)
    spend_not_in_file: Decimal = Decimal(0)
    errors: Counter[ErrorGroup] = field(factory=Counter)
    samples: dict[ErrorGroup, ApiError] = field(factory=dict)
    first: list[tuple[InputRow, ApiError]] = field(factory=list)
    changed_lines: list[int] = field(factory=list)
    accepted_by_fallback: int = 0
    unreadable: int = 0

    @property
    def ended(self) -> int:
        """The number of rows with a result, settled or not."""
        return self.accepted + self.failed + self.duplicate + self.changed + self.settled_before

    @property
    def settled(self) -> int:
        """The number of rows that need no further run: all but those `without_verdict`."""
        return self.total - self.without_verdict

    @property
    def status(self) -> Exit:
        """The exit status for these numbers: while rows are without a verdict, the batch is not finished."""
        if self.without_verdict:
            return Exit.STOPPED
        return Exit.REFUSED if self.failed else Exit.ACCEPTED

    @property
    def failed(self) -> int:
        """The number of rows with an error that is not that of a duplicate or of a changed row."""
        return self.refused + self.unknown + self.not_carried_out

    @property
    def with_verdict(self) -> int:
        """The number of rows that are done with: those with an outcome, except unknown ones and those not sent yet."""
        return self.ended - self.unknown + self.unreadable - self.not_carried_out

    @property
    def without_verdict(self) -> int:
        """The number of rows for which there is no verdict of the service: those not sent yet, and the unknown ones."""
        return self.not_sent_yet + self.not_carried_out + self.interrupted + self.unknown - self.unreadable

    @property
    def on_request(self) -> dict[ErrorGroup, int]:
        """The numbers of rows that are sent again only on request, since the service may have forgotten their keys."""
        return {group: rows for group, rows in self.errors.items() if group.code in _NOT_IN_SUMMARY}

    @property
    def by_outcome(self) -> dict[RowOutcome, int]:
        """The number of rows with each outcome. After the end of a batch, they add up to *total*."""
        return {
            RowOutcome.ACCEPTED: self.accepted,
            RowOutcome.REFUSED: self.refused,
            RowOutcome.DUPLICATE: self.duplicate,
            RowOutcome.CHANGED: self.changed,
            RowOutcome.UNKNOWN: self.unknown + self.interrupted,
            RowOutcome.NOT_SENT_YET: self.not_sent_yet + self.not_carried_out,
        }

    @property
    def unpaid(self) -> int:
        """The number of rows to be paid for: those without an outcome, and those that were not carried out."""
        return self.total - self.ended + self.not_carried_out

    def add_result(self, row: InputRow, result: Result[Accepted]) -> None:
        """Count the *result* of *row*."""
        if isinstance(result, Ok):
            self.accepted += 1
            self.accepted_by_fallback += result.meta.leg > 1
            billing = result.value.billing
            self.held += billing.hold_amount or 0
            self.spend += billing.message_price if billing.message_price is not None else billing.hold_amount or 0
            return
        group = group_of(result)
        self._add(group.outcome, 1)
        self.unreadable += state_of(result, maybe_sent=False) is State.ACCEPTED
        if group.outcome is RowOutcome.CHANGED:
            if len(self.changed_lines) < _MOST_SHOWN:
                self.changed_lines.append(row.line)
        elif group.outcome is not RowOutcome.DUPLICATE and len(self.first) < _MOST_SHOWN:
            self.first.append((row, result))
        if group not in self.errors and len(self.errors) >= _MOST_KINDS:
            group = evolve(group, code=_OTHERS)
        self.errors[group] += 1
        _ = self.samples.setdefault(group, result)

    def remove_error(self, result: ApiError) -> None:
        """Remove an earlier *result* of a row that has a new one."""
        group = group_of(result)
        self._add(group.outcome, -1)
        self.unreadable -= state_of(result, maybe_sent=False) is State.ACCEPTED
        if group not in self.errors:
            group = evolve(group, code=_OTHERS)
        self.errors[group] -= 1
        if not self.errors[group]:
            del self.errors[group]

    def load(self, summary: Summary) -> None:
        """Replace the counts of this run by those of the whole journal.

        Errors that a journal does not store are kept: an outdated journal, an unknown outcome. Rows that are not in the
        file any more are counted apart.
        """
        samples = self.samples
        kept = [(group, rows) for group, rows in self.errors.items() if group.code in _NOT_IN_SUMMARY]
        here, gone = summary.in_file, summary.not_in_file
        self.accepted = self.accepted_by_fallback = self.unreadable = 0
        self.refused = self.duplicate = self.changed = self.not_carried_out = 0
        self.unknown = self.interrupted = self.settled_before = self.not_sent_yet = 0
        self.errors, self.samples = Counter(), {}
        for count in here.counts:
            self._add_count(count, samples)
        self.spend, self.held = here.price, here.hold
        self.sent_earlier = here.earlier.rows(State.ACCEPTED)
        self.not_in_file, self.spend_not_in_file = gone.rows(), gone.price
        self.not_sent_yet += max(0, self.total - here.rows())
        for group, rows in kept:
            self._add_kept(group, rows, samples)

    def _add_kept(self, group: ErrorGroup, rows: int, samples: "dict[ErrorGroup, ApiError]") -> None:
        self.errors[group] += rows
        self.samples[group] = samples[group]
        if group.code == UNKNOWN:  # the journal has these rows as started, or as unknown
            rows = min(rows, self.interrupted)
            self.interrupted -= rows
        if group.code == OUTDATED:  # the journal lacks these rows, except those that were not sent
            lacking = min(rows, self.not_sent_yet)
            self.not_sent_yet -= lacking
            self.not_carried_out -= min(rows - lacking, self.not_carried_out)
        self._add(group.outcome, rows)

    def _add_count(self, count: Count, samples: "dict[ErrorGroup, ApiError]") -> None:
        kind, code = recorded_kind(count.kind, count.code), count.code or ""
        if count.state is State.NOT_SENT and kind is None:  # to be sent again, with another request
            self.not_sent_yet += count.rows
            return
        if count.state is State.STARTED or kind is None:
            self.interrupted += count.rows
            return
        if kind == _ACCEPTED:
            self.accepted += count.rows
            self.accepted_by_fallback += count.rows if count.leg > 1 else 0
            return
        group = ErrorGroup(_BY_CODE.get(code) or _OUTCOMES[count.state], kind, code)
        self._add(group.outcome, count.rows)
        self.unreadable += count.rows if count.state is State.ACCEPTED else 0
        self.errors[group] += count.rows
        self.samples[group] = samples.get(group) or sample_error(kind, code, count.state)

    def _add(self, outcome: RowOutcome, rows: int) -> None:
        match outcome:
            case RowOutcome.DUPLICATE:
                self.duplicate += rows
            case RowOutcome.CHANGED:
                self.changed += rows
            case RowOutcome.UNKNOWN:
                self.unknown += rows
            case RowOutcome.NOT_SENT_YET:
                self.not_carried_out += rows
            case _:
                self.refused += rows


@final
@frozen
class RunShare:
    """What one run of a batch has done: how many rows it has *sent*, their *outcomes*, *price* and *hold*.

    A row that an earlier run has left unknown, and that this run has not sent again, is not included.
    """

    sent: int = 0
    outcomes: Mapping[RowOutcome, int] = field(factory=dict)
    price: Decimal = Decimal(0)
    hold: Decimal = Decimal(0)

    @classmethod
    def of(cls, counts: Counts, *, sent: int, cut_off: int) -> "RunShare":
        """Return what a run with these *counts* has done; it has *sent* rows, and *cut_off* have no answer."""
        left = sum(rows for group, rows in counts.errors.items() if group.code in _NOT_IN_SUMMARY)
        outcomes = counts.by_outcome | {RowOutcome.UNKNOWN: counts.unknown + cut_off - left}
        return cls(sent + cut_off, outcomes, counts.spend, counts.held)


def plain_shares(share: RunShare, counts: Counts) -> dict[str, object]:
    """Return as plain JSON what a run has done, and what was done before it, by the *counts* of all runs.

    For each outcome the two add up to that of `plain_counts`. Rows that are not sent yet belong to neither.
    """
    parts = [one for one in counts.by_outcome if one is not RowOutcome.NOT_SENT_YET]
    now = {one.value: share.outcomes.get(one, 0) for one in parts}
    return {
        "this_run": {"sent": share.sent, **now, "price": str(share.price), "hold": str(share.hold)},
        "before": {one.value: counts.by_outcome[one] - now[one.value] for one in parts}
        | {"price": str(counts.spend - share.price), "hold": str(counts.held - share.hold)},
    }


def plain_counts(counts: Counts) -> dict[str, object]:
    """Return the counts as plain JSON.

    `rows` is the sum of `accepted`, `refused`, `duplicate`, `changed`, `unknown` and `not_sent_yet`. `unknown` is all
    rows that may have been sent, and `interrupted` the part of them whose request was cut off. `not_sent_yet` is all
    rows that the next run sends, whether they were tried or not. `sent_by_email` and `sent_earlier` are parts of
    `accepted`; `not_in_the_file` is no part of `rows`.
    """
    return {
        "rows": counts.total,
        **{outcome.value: rows for outcome, rows in counts.by_outcome.items()},
        RowOutcome.BY_EMAIL.value: counts.accepted_by_fallback,
        RowOutcome.SENT_EARLIER.value: counts.sent_earlier,
        RowOutcome.NOT_IN_THE_FILE.value: counts.not_in_file,
        "interrupted": counts.interrupted,
        "price": str(counts.spend),
        "hold": str(counts.held),
        "price_not_in_the_file": str(counts.spend_not_in_file),
        "outcomes": [
            {
                "outcome": group.outcome.value,
                "kind": group.kind,
                "code": group.code,
                "count": count,
                "advice": advise_row(counts.samples[group]),
            }
            for group, count in counts.errors.most_common()
        ],
    }


@final
@frozen
class RestAdvice:
    """What to do about rows without a result: those that may have been sent, and those that were not.

    *finish* says how the batch is finished; `{journal}` stands for its journal.
    """

    unknown: str = "May have been sent: send them again with the same idempotency keys."
    not_sent_yet: str = "Run the same command to send them."
    finish: str = "run the same command again to continue, or `msgapi batch --resume {journal}`"


BATCH_ADVICE: Final = RestAdvice()


def outcome_table(counts: Counts, advice: RestAdvice = BATCH_ADVICE) -> TextTable:
    """Return the table of outcomes, with what to do about each."""
    table = table_of("outcome", "#rows", "code", "what to do")
    table.add_row(RowOutcome.ACCEPTED.title, f"{counts.accepted:,}", "", "Nothing: queued for delivery.", style="green")
    if counts.accepted_by_fallback:
        why = "Nothing: they are among the accepted ones, and could not be reached by RCS."
        table.add_row(RowOutcome.BY_EMAIL.title, f"{counts.accepted_by_fallback:,}", "", why)
    if counts.sent_earlier:
        earlier = "Nothing: they are among the accepted ones."
        table.add_row(RowOutcome.SENT_EARLIER.title, f"{counts.sent_earlier:,}", "", earlier)
    for group, count in counts.errors.most_common():
        table.add_row(group.title, f"{count:,}", group.code, advise_row(counts.samples[group]))
    if counts.interrupted:
        table.add_row(RowOutcome.UNKNOWN.title, f"{counts.interrupted:,}", "", advice.unknown, style="red")
    if counts.not_sent_yet:
        table.add_row(RowOutcome.NOT_SENT_YET.title, f"{counts.not_sent_yet:,}", "", advice.not_sent_yet)
    if counts.not_in_file:
        gone = f"Nothing: rows of earlier runs, {counts.spend_not_in_file} EUR."
        table.add_row(RowOutcome.NOT_IN_THE_FILE.title, f"{counts.not_in_file:,}", "", gone)
    return table


def cost_line(counts: Counts) -> str:
    """Return the line with the number of accepted rows and their cost."""
    held = "" if counts.held == counts.spend else f" (held: {counts.held} EUR)"
    return f"{counts.accepted:,} of {counted(counts.total)} accepted, {counts.spend} EUR{held}"
