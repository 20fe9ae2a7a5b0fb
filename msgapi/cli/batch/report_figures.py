"""The figures of a report: what a journal says about the outcomes of a batch, its runs over time, and its rows.

Rules:
- Outcomes are the current ones of the rows. What happened over time is about results: a row that was sent in two runs
  has one in each.
- What is not in the journal is None or empty, and `missing` says so; nothing is estimated in its place.
- Ids are masked as texts of the service are, since a column of ids can hold recipients.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from itertools import groupby
from math import ceil
from shlex import quote
from typing import Final, TypeAlias, final

from attrs import evolve, field, frozen

from ...journal import Count, JournalReader, JournalRow, State, Summary
from ...journal.timeline import CAUSES, Bucket, NotableRow, RunHistory, slot_bound
from ...redact import mask
from ..advice import advise_row
from ..output import RowOutcome
from .counts import BATCH_ADVICE, Counts, RestAdvice, recorded_kind, sample_error
from .journal import row_count
from .summary import count_rows

MOST_SLOW: Final = 10
_MOST_LINES: Final = 5  # of the rows of one group
_ORDER: Final = (
    RowOutcome.ACCEPTED,
    RowOutcome.REFUSED,
    RowOutcome.INVALID,
    RowOutcome.DUPLICATE,
    RowOutcome.CHANGED,
    RowOutcome.UNKNOWN,
    RowOutcome.NOT_SENT_YET,
)
_BY_STATE: Final = {
    State.STARTED: RowOutcome.UNKNOWN,
    State.ACCEPTED: RowOutcome.UNKNOWN,  # of an error: accepted, but its result could not be read
    State.REFUSED: RowOutcome.REFUSED,
    State.NOT_SENT: RowOutcome.NOT_SENT_YET,
    State.UNKNOWN: RowOutcome.UNKNOWN,
    State.INVALID: RowOutcome.INVALID,
    State.CHANGED: RowOutcome.CHANGED,
}
_ADVICE: Final[Mapping[RowOutcome, Callable[[RestAdvice], str]]] = {
    RowOutcome.ACCEPTED: lambda _: "Nothing: queued for delivery.",
    RowOutcome.UNKNOWN: lambda advice: advice.unknown,
    RowOutcome.NOT_SENT_YET: lambda advice: advice.not_sent_yet,
}
_BY_KIND: Final = {one.kind: one for one in (RowOutcome.ACCEPTED, RowOutcome.DUPLICATE, RowOutcome.CHANGED)}
_HASH: Final = 32  # hexadecimal digits of a hash of the content
_ZERO: Final = Decimal(0)
_NO_WAITS: Final = (0.0,) * len(CAUSES)
_Key: TypeAlias = tuple[RowOutcome, str, str]  # outcome, kind and code


@final
@frozen(kw_only=True)
class OutcomeGroup:
    """The rows with one *outcome*, and of errors with one *kind* and *code*.

    *first* are some of its rows, *reason* is what the service has said about one of them, *advice* what to do.
    """

    outcome: RowOutcome
    rows: int
    kind: str = ""
    code: str = ""
    reason: str = ""
    advice: str = ""
    first: tuple[NotableRow, ...] = ()


@final
@frozen(kw_only=True)
class Interval:
    """What happened from *begin* to *end*, in Unix time; the fields are those of `Bucket`, added up."""

    begin: float
    end: float
    total: Bucket

    @property
    def seconds(self) -> float:
        """The length of the interval."""
        return self.end - self.begin

    def per_second(self, rows: int) -> float:
        """Return *rows* of the interval as rows per second."""
        return rows / self.seconds if self.seconds > 0 else 0.0


@final
@frozen(kw_only=True)
class ReportFigures:
    """All figures of a report; *command* is the command that shows it as text.

    - *counts*, *groups*: rows by outcome; *parts*: rows that are among the accepted ones, or not in the file.
    - *runs*: what is recorded of the runs over time, *numbers* how many runs there were.
    - *slowest*: rows by the duration of their last call.
    - *is_running*: whether a program writes to the journal; *is_incomplete*: whether its newest rows are lost.
    - *missing*: what the journal does not have, as sentences.
    """

    journal: str
    command: str
    counts: Counts
    groups: tuple[OutcomeGroup, ...]
    parts: Mapping[RowOutcome, int]
    runs: tuple[RunHistory, ...]
    numbers: int
    slowest: tuple[NotableRow, ...] = ()
    is_running: bool = False
    is_incomplete: bool = False
    missing: tuple[str, ...] = ()
    advice: RestAdvice = field(default=BATCH_ADVICE)

    @property
    def sending(self) -> float:
        """The seconds for which the runs have lasted together."""
        return sum(run.ended - run.began for run in self.runs)

    @property
    def accepted_over_time(self) -> int:
        """The accepted rows of the recorded runs."""
        return sum(bucket.accepted for run in self.runs for bucket in run.buckets)

    @property
    def waits(self) -> tuple[float, ...]:
        """The seconds for which rows waited, in the order of `CAUSES`."""
        return add_waits(bucket.waits for run in self.runs for bucket in run.buckets)

    @property
    def answers(self) -> tuple[int, ...]:
        """The answers of all runs by duration; see `timeline.slot_bound`."""
        return tuple(map(sum, zip(*(run.answers for run in self.runs if run.answers), strict=False)))

    @property
    def rate(self) -> float | None:
        """The accepted rows per second while the runs lasted; None if that is not known."""
        return self.accepted_over_time / self.sending if self.sending > 0 else None

    def rows_of(self, *outcomes: RowOutcome) -> int:
        """Return the number of rows with *outcomes*."""
        return sum(group.rows for group in self.groups if group.outcome in outcomes)


def add_waits(waits: Iterable[Sequence[float]]) -> tuple[float, ...]:
    """Return the sums of *waits* by cause."""
    return tuple(map(sum, zip(_NO_WAITS, *waits, strict=True)))


def percentile(answers: Sequence[int], share: float) -> float | None:
    """Return about the duration in seconds that a *share* of the *answers* did not exceed; None without answers."""
    wanted, seen = share * sum(answers), 0
    for slot, number in enumerate(answers):
        seen += number
        if number and seen >= wanted:
            return slot_bound(slot)
    return None


def intervals(run: RunHistory, most: int) -> list[Interval]:
    """Return what happened in *run* as at most *most* intervals of one length, the last one perhaps shorter."""
    number = max(1, ceil((run.ended - run.began) / run.width))
    width = ceil(number / max(1, most))
    found: list[Interval] = []
    by_interval = {key: [*some] for key, some in groupby(run.buckets, lambda one: one.number // width)}
    for at in range(ceil(number / width)):
        begin = run.began + at * width * run.width
        end = min(run.began + (at + 1) * width * run.width, max(run.ended, begin))
        found.append(Interval(begin=begin, end=end, total=_sum(at, by_interval.get(at, []))))
    return found


def _sum(number: int, buckets: Sequence[Bucket]) -> Bucket:
    return Bucket(
        number=number,
        accepted=sum(one.accepted for one in buckets),
        refused=sum(one.refused for one in buckets),
        invalid=sum(one.invalid for one in buckets),
        unknown=sum(one.unknown for one in buckets),
        not_sent=sum(one.not_sent for one in buckets),
        spend=sum((one.spend for one in buckets), _ZERO),
        waits=add_waits(one.waits for one in buckets),
    )


def read_figures(
    record: JournalReader, path: str, command: str | None = None, advice: RestAdvice = BATCH_ADVICE
) -> ReportFigures:
    """Return the figures of the journal at *path*.

    *command* shows the report as text, if it is not `msgapi batch report`; *advice* is for rows without a verdict.
    """
    summary, runs = record.summary(), record.runs()
    counts, notable = count_rows(record, summary), _current(record, runs)
    return ReportFigures(
        journal=path,
        command=f"msgapi batch report {quote(path)}" if command is None else command,
        counts=counts,
        groups=_groups(record, summary, counts.total, notable, advice),
        parts={
            RowOutcome.BY_EMAIL: counts.accepted_by_fallback,
            RowOutcome.SENT_EARLIER: counts.sent_earlier,
            RowOutcome.NOT_IN_THE_FILE: summary.not_in_file.rows(),
        },
        runs=runs,
        numbers=record.run_count,
        slowest=tuple(one for one, _ in notable if one.is_slow)[:MOST_SLOW],
        is_running=record.is_in_use,
        is_incomplete=record.lost_since is not None,
        missing=tuple(_missing(record, runs)),
        advice=advice,
    )


def _missing(record: JournalReader, runs: Sequence[RunHistory]) -> Iterable[str]:
    local = sum(run.number > 0 for run in runs)
    if local < len(runs):
        yield "The workers of a fleet record neither what they wait for nor the lines of the rows."
    if not runs:
        yield (
            "This journal has no figures over time: an earlier version of msgapi-sdk has written it, or nothing was "
            "sent. So there are no charts, no durations and no waits."
        )
    elif local < record.run_count:
        before = record.run_count - local
        yield f"{before:,} earlier run{'s have' if before > 1 else ' has'} no figures over time in this journal."
    if row_count(record.about) is None:
        yield (
            "The journal was not written by `msgapi batch`: the number of rows of the input is not known, and the "
            "lines of its rows are not recorded."
        )


def _current(record: JournalReader, runs: Sequence[RunHistory]) -> list[tuple[NotableRow, JournalRow]]:
    # The notable rows that still have this result, each once, with what the journal has of them; the slowest first.
    found: dict[str, NotableRow] = {}
    for run in runs:
        for one in run.notable:
            before = found.get(one.id)
            slow = one.is_slow or (before is not None and before.is_slow)
            found[one.id] = evolve(one, is_slow=slow)
    known = record.rows_by_id(list(found))
    rows = [(one, known[one.id]) for one in found.values() if one.id in known]
    current = [(one, row) for one, row in rows if row.in_file and (row.kind, row.code or "") == (one.kind, one.code)]
    return sorted(current, key=lambda pair: (-pair[0].elapsed, pair[0].id))


def _groups(
    record: JournalReader,
    summary: Summary,
    total: int,
    notable: Sequence[tuple[NotableRow, JournalRow]],
    advice: RestAdvice,
) -> tuple[OutcomeGroup, ...]:
    found: dict[_Key, list[Count]] = {}
    for count in summary.in_file.counts:
        found.setdefault(_key(count.state, count.kind, count.code), []).append(count)
    lacking = total - sum(count.rows for some in found.values() for count in some)
    if lacking > 0:
        never_begun = Count(state=State.NOT_SENT, rows=lacking)
        found.setdefault((RowOutcome.NOT_SENT_YET, "", ""), []).append(never_begun)
    groups = [_group(record, key, some, notable, advice) for key, some in found.items()]
    return tuple(sorted(groups, key=lambda group: (_ORDER.index(group.outcome), -group.rows, group.kind, group.code)))


def _group(
    record: JournalReader,
    key: _Key,
    counts: Sequence[Count],
    notable: Sequence[tuple[NotableRow, JournalRow]],
    advice: RestAdvice,
) -> OutcomeGroup:
    outcome, kind, code = key
    group = OutcomeGroup(outcome=outcome, kind=kind, code=code, rows=sum(count.rows for count in counts))
    if not kind:
        return evolve(group, advice=_ADVICE[outcome](advice))
    first, reasons = [one for one, row in notable if _key(row.state, row.kind, row.code) == key], list[str | None]()
    first.sort(key=lambda one: (one.number is None, one.number or 0, one.id))
    for row in record.samples(counts[0].state, counts[0].kind, counts[0].code, _MOST_LINES):
        reasons.append(row.message)
        if not notable:  # an earlier version, or a fleet
            first.append(NotableRow(id=row.id, at=row.started, elapsed=0.0, attempts=0, kind=kind, code=code))
    return evolve(
        group,
        advice=advise_row(sample_error(kind, code, counts[0].state)),
        first=tuple(first[:_MOST_LINES]),
        reason=next(filter(None, reasons), ""),
    )


def _key(state: State, kind: str | None, code: str | None) -> _Key:
    shown = None if state is State.STARTED else recorded_kind(kind, code)
    outcome = _BY_KIND.get(shown or "") or _BY_STATE[state]
    return (outcome, "", "") if shown is None or outcome is RowOutcome.ACCEPTED else (outcome, shown, code or "")


def shown_id(row: str) -> str:
    """Return the id of a row as it is shown: masked, and empty if it is a hash of its content."""
    name, _, number = row.rpartition("#")
    is_hash = number.isdecimal() and len(name) == _HASH and set(name) <= set("0123456789abcdef")
    return "" if is_hash or row.startswith("row ") else mask(row)
