"""What is shown of a batch: its progress, the summary at its end, and the report of its journal.

The progress is shown on standard error: one line that is updated on a terminal, otherwise a new line every few seconds.
The summary has the outcomes of the rows, their cost, and what to do next. The report of a journal can be an export of
its rows.
"""

import csv
import sys
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from shlex import quote
from typing import TYPE_CHECKING, Any, Final, Protocol, assert_never, final

import orjson
from attrs import asdict, frozen

from ...batch import Stopped
from ...clock import SYSTEM_CLOCK, Clock
from ...fallback import leg_key
from ...journal import JournalReader, JournalRow, State, key_of
from ...ratelimit import Pace
from ...results import NotFound
from ..advice import advise_row, explain
from ..output import CliError, Exit, RowOutcome, counted, csv_cell, emit, emit_json, escaped, note, write_if_open
from ..output import line as one_line
from .counts import (
    BATCH_ADVICE,
    Counts,
    RestAdvice,
    cost_line,
    group_of,
    outcome_table,
    plain_counts,
    plain_shares,
    recorded_kind,
)
from .journal import BatchJournal, reading, row_count
from .runner import LANE, STOPPING, BatchRun, ProgressReporter, Waiting, duration
from .spending import missing, shortage

if TYPE_CHECKING:
    from rich.progress import Progress

_WINDOW: Final = 5.0  # seconds over which the rate is measured
_WIDE: Final = 60  # columns: a narrower line has no bar
_SHORTEST_BAR: Final = 11  # columns, with the space after it
_LONGEST_BAR: Final = 31
_PERCENTAGE: Final = 5  # columns, with the space after it
_SEPARATOR: Final = " · "
STATES: Final[Mapping[str, tuple[State, ...]]] = {
    RowOutcome.ACCEPTED.choice: (State.ACCEPTED,),
    RowOutcome.REFUSED.choice: (State.REFUSED, State.INVALID),
    RowOutcome.NOT_SENT_YET.choice: (State.NOT_SENT,),
    RowOutcome.UNKNOWN.choice: (State.STARTED, State.UNKNOWN),
    RowOutcome.CHANGED.choice: (State.CHANGED,),
}
_WORDS: Final[Mapping[State, RowOutcome]] = {
    State.STARTED: RowOutcome.UNKNOWN,
    State.ACCEPTED: RowOutcome.ACCEPTED,
    State.REFUSED: RowOutcome.REFUSED,
    State.NOT_SENT: RowOutcome.NOT_SENT_YET,
    State.UNKNOWN: RowOutcome.UNKNOWN,
    State.INVALID: RowOutcome.INVALID,
    State.CHANGED: RowOutcome.CHANGED,
}
_COLUMNS: Final = tuple(JournalRow.__annotations__)


@final
class SpeedMeter:
    """Measures rows per second over the last few seconds."""

    def __init__(self, clock: Clock) -> None:
        """Begin at the current time of *clock*."""
        self._clock = clock
        self._marks: deque[tuple[float, int]] = deque([(clock.now(), 0)])

    def measure(self, ended: int) -> float:
        """Record that *ended* rows have ended by now, and return rows per second."""
        now = self._clock.now()
        self._marks.append((now, ended))
        while len(self._marks) > 2 and now - self._marks[0][0] > _WINDOW:  # noqa: PLR2004 - the first and the last
            _ = self._marks.popleft()
        since, before = self._marks[0]
        return (ended - before) / (now - since) if now > since else 0.0


def outcome_parts(counts: Counts) -> list[str]:
    """Return the parts for the rows with a result, the problems first; those without rows are left out."""
    return [
        f"{rows:,} {outcome.words}"
        for rows, outcome in (
            (counts.refused, RowOutcome.REFUSED),
            (counts.unknown, RowOutcome.UNKNOWN),
            (counts.not_carried_out, RowOutcome.NOT_SENT_YET),
            (counts.accepted, RowOutcome.ACCEPTED),
        )
        if rows or outcome is RowOutcome.ACCEPTED
    ]


def progress_parts(counts: Counts, in_flight: int, rate: float, waiting: Waiting | None = None) -> list[str]:
    """Return the parts of the progress line, the most important first.

    *rate* is in rows per second. What the batch is *waiting* for comes first. Only if it does not wait, the rate and
    the time left are shown.
    """
    left, done = counts.total - counts.ended, f"{counts.with_verdict:,}/{counts.total:,}"
    *problems, accepted = outcome_parts(counts)
    if waiting is None:
        parts = [done, *problems]
        if rate >= 1 and left:
            parts += [f"{duration(left / rate)} left", f"{rate:,.0f}/s"]
        parts += [accepted, f"{in_flight:,} in flight"]
    else:
        parts = [waiting.reason, *waiting.parts[:1], done, *waiting.parts[1:], *problems, accepted]
        if in_flight and waiting.reason != STOPPING:
            parts.append(f"{in_flight:,} waiting")
    if counts.duplicate:
        parts.append(f"{counts.duplicate:,} {RowOutcome.DUPLICATE.words}")
    return parts


def fit_line(parts: list[str], width: int, separator: str = _SEPARATOR) -> str:
    """Return one line of *parts*. The last ones are left out where it would have more than *width* columns."""
    while len(parts) > 1 and len(separator.join(parts)) > width:
        parts = parts[:-1]
    return separator.join(parts)


class Display(Protocol):
    """Shows progress every *interval* seconds.

    A change of what is shown is looked for every *poll* seconds. If *eager* is true, progress is shown before the
    first row has ended. Waits for the rate limit that last less than *shortest_wait* seconds are not worth a line.
    """

    interval: float
    poll: float
    eager: bool
    shortest_wait: float

    def draw(self, parts: list[str], done: float | None, *, fine: bool) -> None:
        """Show *parts*, and a bar for the fraction *done* if it is known; *fine* is true if no row has an error."""
        ...  # pragma: no cover

    def print_line(self, line: str) -> None:
        """Print a line that is not overwritten."""
        ...  # pragma: no cover


@final
class PlainDisplay:
    """Prints a line on standard error every few seconds: for a file, a pipe, or a terminal without cursor control."""

    interval: float = 5.0
    poll: float = 0.5
    eager: bool = False
    shortest_wait: float = 5.0

    def draw(self, parts: list[str], done: float | None, *, fine: bool) -> None:  # noqa: ARG002 - of the protocol
        """Print a line of *parts*."""
        note(", ".join(parts))

    def print_line(self, line: str) -> None:
        """Print *line*."""
        note(line)


@final
class LiveDisplay:
    """Updates one line on the terminal. A line of 60 columns or more has the bar and the percentage of rich."""

    interval: float = 0.5  # a draw takes about 0.4 ms of CPU
    poll: float = 0.5
    eager: bool = True
    shortest_wait: float = 0.0

    def __init__(self, progress: "Progress") -> None:
        """Create a display that updates *progress*, which has no task and no column yet."""
        self._progress = progress
        self._console = progress.console
        self._task = progress.add_task("", total=1.0, line="")
        self._separator = _SEPARATOR if self._console.encoding.startswith("utf") else ", "

    def draw(self, parts: list[str], done: float | None, *, fine: bool) -> None:
        """Update the line."""
        from rich.progress import BarColumn, ProgressColumn, TaskProgressColumn, TextColumn

        width = self._console.width - 1  # a full line would wrap on some terminals
        bar = done is not None and width >= _WIDE
        text_width = width - _SHORTEST_BAR - _PERCENTAGE if bar else width
        line = one_line(fit_line(parts, text_width, self._separator))[:text_width]
        columns: list[ProgressColumn] = []
        if bar:
            room = min(width - len(line) - _PERCENTAGE, _LONGEST_BAR)
            columns += [BarColumn(bar_width=room - 1), TaskProgressColumn("{task.percentage:>3.0f}%")]
        columns.append(TextColumn("{task.fields[line]}", style="green" if fine else "none", markup=False))
        self._progress.columns = tuple(columns)
        self._progress.update(self._task, total=1.0, completed=done or 0.0, line=line)
        self._progress.refresh()

    def print_line(self, line: str) -> None:
        """Print *line* above the updated line."""
        self._console.print(f"msgapi: {one_line(line)}", highlight=False, markup=False, soft_wrap=True)


@final
class BatchProgress:
    """Shows the progress of one batch."""

    def __init__(self, display: Display, pace: Pace, clock: Clock) -> None:
        """Begin at the current time of *clock*."""
        self.interval: float = display.poll
        self._display = display
        self._pace = pace
        self._clock = clock
        self._speed = SpeedMeter(clock)
        self._began = self._drawn = clock.now()
        self._shown: str | None = None  # what the batch waited for when the line was drawn last

    def update(self, counts: Counts, in_flight: int, waiting: Waiting | None = None) -> None:
        """Show the current *counts*, and what the batch is *waiting* for, unless that was shown a moment ago."""
        rate, now = self._speed.measure(counts.ended), self._clock.now()
        if waiting is not None and waiting.seconds < self._display.shortest_wait:
            waiting = None
        reason = None if waiting is None else waiting.reason
        is_due = now - self._drawn >= self._display.interval and (counts.ended or reason)
        if self._display.eager or is_due or reason != self._shown:
            self._shown, self._drawn = reason, now
            limit = self._pace.lane(LANE).rate
            more = () if limit is None else (f"limit {limit:,.0f}/s",)
            self._draw([*progress_parts(counts, in_flight, rate, waiting), *more], counts)

    def finish(self, counts: Counts, ended: str) -> None:
        """Show the final *counts*, and how the batch *ended*."""
        took = duration(self._clock.now() - self._began)
        *problems, accepted = outcome_parts(counts)
        parts = [f"{ended} {'in' if ended == 'done' else 'after'} {took}", f"{counts.with_verdict:,}/{counts.total:,}"]
        self._draw([*parts, *problems, accepted], counts)

    def print_line(self, line: str) -> None:
        """Print a line that is not overwritten."""
        self._display.print_line(line)

    def _draw(self, parts: list[str], counts: Counts) -> None:
        self._display.draw(parts, counts.with_verdict / counts.total, fine=not counts.failed)


@contextmanager
def open_progress(pace: Pace, clock: Clock = SYSTEM_CLOCK) -> Iterator[ProgressReporter]:
    """Show the progress of a batch that is limited by *pace*."""
    with open_display() as display:
        yield BatchProgress(display, pace, clock)


@contextmanager
def open_display() -> Iterator[Display]:
    """Return the display for standard error: updated on a terminal, plain otherwise."""
    if not sys.stderr.isatty():
        yield PlainDisplay()
        return
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    if console.is_dumb_terminal:
        yield PlainDisplay()
        return
    with Progress("", console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False) as progress:
        yield LiveDisplay(progress)


def report(run: BatchRun, *, json: bool, results: str | None, failed: str | None) -> Exit:
    """Print the summary on standard output and what to do next on standard error. Return the exit status."""
    if json:
        emit_json(summary(run))
    else:
        emit(outcome_table(run.counts))
        emit(cost_line(run.counts))
        if not results and run.counts.first:
            emit("\n".join(_first(run)))
        if run.counts.changed_lines:
            emit(_changed(run.counts))
    for line in _notices(run, failed):
        note(line)
    return run.status


def summary(run: BatchRun) -> dict[str, object]:
    """Return the summary as plain JSON. Amounts are decimal strings in EUR."""
    return (
        plain_counts(run.counts)
        | plain_shares(run.share, run.counts)
        | {
            "stopped": run.stopped.reason if run.stopped is not None else None,
            "sent_before": None if run.journal is None else _sent_before(run.journal),
            "missing": None if (amount := missing(run.stopped, run.counts)) is None else str(amount),
            "failure": run.failure,
            "next": next_step(run.counts, None if run.journal is None else run.journal.path),
            "journal": None if run.journal is None else run.journal.path,
            "exit": int(run.status),
        }
    )


def _sent_before(found: BatchJournal) -> dict[str, object] | None:
    return None if found.sent_before is None else asdict(found.sent_before)


def next_step(counts: Counts, journal: str | None, advice: RestAdvice = BATCH_ADVICE) -> str | None:
    """Return how to finish the batch; None if it is finished: each row is settled, or was left out by request.

    *journal* is its path; None if there is none.
    """
    left, on_request = counts.without_verdict, counts.on_request
    if not left:
        return None
    if journal is None:
        return (
            f"not finished, {counted(left, verb='are')} not sent yet or unknown: --results FILE.jsonl shows which; "
            "with a journal, the same command sends the rest"
        )
    steps = [advice.finish.format(journal=quote(journal))] if left > sum(on_request.values()) else []
    for group, rows in on_request.items():
        steps.append(f"{counted(rows)} with the code {group.code}: {advise_row(counts.samples[group]).rstrip('.')}")
    return f"not finished, {counted(left, verb='are')} left: {'; '.join(steps)}"


def _first(run: BatchRun) -> Iterator[str]:
    more = run.counts.failed - len(run.counts.first)
    yield f"{'first ' if more else ''}rows that were not accepted (all of them: --results FILE.jsonl):"
    for row, error in sorted(run.counts.first, key=lambda one: one[0].number):
        yield f"  line {row.line}: {group_of(error).title}, {explain(error)}"


def _changed(counts: Counts) -> str:
    more = ", ..." if counts.changed > len(counts.changed_lines) else ""
    return f"changed rows, not sent: line {', '.join(map(str, counts.changed_lines))}{more}"


def _notices(run: BatchRun, failed: str | None) -> Iterator[str]:
    counts = run.counts
    reason = "" if run.stopped is None else stop_reason(run.stopped, shortage(run.stopped, run.counts))
    if reason:
        yield reason
    if run.failure:
        yield f"stopped: {run.failure}"
    if run.interrupted:
        unknown, not_sent_yet = counts.unknown + counts.interrupted, counts.not_sent_yet + counts.not_carried_out
        yield (
            f"interrupted: {counted(counts.settled)} settled, "
            f"{unknown:,} {RowOutcome.UNKNOWN.words}, {not_sent_yet:,} {RowOutcome.NOT_SENT_YET.words}"
        )
    files = run.files
    failed = failed if files is not None and files.failure is None else None
    if run.journal is not None:
        if not run.attempted and not counts.not_sent_yet and not run.failure and run.journal.before is not None:
            yield "nothing was sent: all rows were settled earlier; to send all of them again, use --new-batch"
        yield from _journal_notices(run.journal.path, counts, failed if files is not None and files.refused else None)
        return
    refused = counts.refused
    if refused and failed:
        yield f"{counted(refused, verb='were')} refused, see {failed}: correct them there and send that file"
    elif refused:
        yield f"{counted(refused, verb='were')} refused: --failed FILE.jsonl writes a file with them to send again"
    if (step := next_step(counts, None)) is not None:
        yield step


def _journal_notices(path: str, counts: Counts, failed: str | None) -> Iterator[str]:
    if (step := next_step(counts, path)) is not None:
        yield step
    if failed:
        yield (
            f"the rows that were refused are in {failed}: correct them in the input and repeat the command, "
            "or correct them there and send that file, not both"
        )
    yield f"all rows are recorded in {path}: `msgapi batch report {quote(path)}` shows them"


def stop_reason(stopped: Stopped, short: str) -> str:
    """Return why sending stopped, with *short* if the balance is used up; empty if another line says so."""
    cause = "" if stopped.error is None else f": {explain(stopped.error).rstrip('.')}"
    match stopped.reason:
        case "unauthorized":
            text = f"the API key was refused{cause}; check MSGAPI_API_KEY"
        case "balance":
            text = f"the balance is used up{cause}{short}"
        case "refusals":
            where = "; check MSGAPI_BASE_URL, too" if isinstance(stopped.error, NotFound) else ""
            text = f"the same refusal was repeated too often{cause}{where}"
        case "foreign":
            text = f"the answers are not the service's{cause}; check MSGAPI_BASE_URL and any proxy"
        case "outage":
            text = f"the service was down for longer than --outage-timeout{cause}"
        case "rate_limit":
            text = f"the rate limit let no row through for longer than --outage-timeout{cause}"
        case "spend":
            text = "the next message could cost more than --max-spend leaves"
        case "exception" | "asked":  # another line reports these
            return ""
        case _:
            assert_never(stopped.reason)
    return f"stopped: {text}"


@final
@frozen(kw_only=True)
class JournalReportOptions:
    """How a journal is shown: *export* is csv or jsonl, *only* the outcome to export."""

    export: str | None = None
    only: str | None = None
    json: bool = False

    def check(self) -> None:
        """Raise CliError if the options do not go together."""
        if self.only is not None and self.export is None:
            raise CliError("--only needs --export csv or --export jsonl")


def show_journal(
    path: str,
    options: JournalReportOptions,
    *,
    more: Mapping[str, object] | None = None,
    advice: RestAdvice = BATCH_ADVICE,
) -> int:
    """Print the summary of the journal at *path*, or export its rows. Return the exit status.

    *more* is added to the JSON; *advice* is for rows without a verdict.
    """
    options.check()
    with reading(path) as record:
        counts, incomplete = count_rows(record), record.lost_since is not None
        if incomplete:
            note(
                f"the -wal file of {path} is missing, with its newest rows: rows that are shown as not sent yet may "
                "have been sent. Put it back, or run the command of the batch again: it keeps their idempotency keys"
            )
        if options.export is not None:
            for line in _exported(record, options.export, options.only):
                write_if_open(line)
        elif options.json:
            step = next_step(counts, path, advice)
            facts = {"next": step, "journal": path, "incomplete": incomplete, "exit": int(counts.status)}
            emit_json(plain_counts(counts) | facts | dict(more or {}))
        else:
            emit(outcome_table(counts, advice))
            emit(cost_line(counts))
            if (step := next_step(counts, path, advice)) is not None:
                note(step)
    return counts.status


def count_rows(record: JournalReader) -> Counts:
    """Count the rows of a journal. Rows of the file that it lacks are not sent yet."""
    summary = record.summary()
    counts = Counts(max(row_count(record.about) or 0, summary.in_file.rows()))
    counts.load(summary)
    return counts


def _exported(record: JournalReader, export: str, only: str | None) -> Iterator[str]:
    batch = record.about["batch"]
    rows = (
        _plain(line) | {"key": leg_key(line.key or key_of(batch, line.id), line.leg)} for line in _lines(record, only)
    )
    if export == "jsonl":
        yield from (escaped(orjson.dumps(row).decode()) for row in rows)
        return
    writer = csv.DictWriter(_Echo(), _COLUMNS, lineterminator="\n")
    yield ",".join(_COLUMNS) + "\n"
    for row in rows:
        yield writer.writerow({name: csv_cell(part) if isinstance(part, str) else part for name, part in row.items()})


def _lines(record: JournalReader, only: str | None) -> Iterator[JournalRow]:
    if only is None:
        yield from record.rows()
        return
    for state in STATES[only]:
        yield from record.rows(state)


def _plain(line: JournalRow) -> dict[str, Any]:
    return asdict(line) | {"state": _WORDS[line.state].value, "kind": recorded_kind(line.kind, line.code)}


class _Echo:
    """Returns what is written, since `csv` can only write to a file."""

    def write(self, text: str) -> str:
        """Return *text*."""
        return text
