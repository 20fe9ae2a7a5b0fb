"""What is shown of a batch: its progress, and the summary at its end.

The progress is shown on standard error: one line that is updated on a terminal, otherwise a new line every few seconds.
The summary has the outcomes of the rows, their cost, and what to do next.
"""

import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from shlex import quote
from typing import TYPE_CHECKING, Final, Protocol, assert_never, final

from attrs import asdict, frozen

from ...batch import Stopped
from ...clock import SYSTEM_CLOCK, Clock
from ...ratelimit import Pace
from ...results import NotFound
from ..advice import advise_row, explain
from ..output import Exit, RowOutcome, TextTable, counted, emit, emit_json, note, table_of
from ..output import line as one_line
from .counts import Counts, group_of
from .journal import BatchJournal
from .runner import BatchRun, ProgressReporter
from .spending import missing, shortage

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live as RichLive

_LANE: Final = "POST messages"
_WINDOW: Final = 5.0  # seconds over which the rate is measured
_SHORTEST_BAR: Final = 8


@final
class SpeedMeter:
    """Measures rows per second over the last few seconds."""

    def __init__(self, clock: Clock) -> None:
        """Begin at the current time of *clock*."""
        self._clock = clock
        self._marks: deque[tuple[float, int]] = deque([(clock.now(), 0)])

    def measure(self, settled: int) -> float:
        """Record that *settled* rows have ended by now, and return rows per second."""
        now = self._clock.now()
        self._marks.append((now, settled))
        while len(self._marks) > 2 and now - self._marks[0][0] > _WINDOW:  # noqa: PLR2004 - the first and the last
            _ = self._marks.popleft()
        since, before = self._marks[0]
        return (settled - before) / (now - since) if now > since else 0.0


def outcome_parts(counts: Counts) -> list[str]:
    """Return the parts for the rows with a result; rows without a verdict are shown if there are any."""
    parts = [f"{counts.accepted:,} {RowOutcome.ACCEPTED.words}", f"{counts.refused:,} {RowOutcome.REFUSED.words}"]
    if counts.unknown:
        parts.append(f"{counts.unknown:,} {RowOutcome.UNKNOWN.words}")
    if counts.not_carried_out:
        parts.append(f"{counts.not_carried_out:,} {RowOutcome.NOT_SENT_YET.words}")
    return parts


def progress_parts(counts: Counts, in_flight: int, rate: float, pace: float | None) -> list[str]:
    """Return the parts of the progress line, the most important first."""
    left = counts.total - counts.settled
    parts = [f"{counts.settled:,}/{counts.total:,}", *outcome_parts(counts)]
    if rate >= 1 and left:
        parts += [f"{rate:,.0f}/s", f"{_minutes(left / rate)} left"]
    parts.append(f"{in_flight} in flight")
    if counts.duplicate:
        parts.append(f"{counts.duplicate:,} {RowOutcome.DUPLICATE.words}")
    if pace is not None:
        parts.append(f"limit {pace:,.0f}/s")
    return parts


def _minutes(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def fit_line(parts: list[str], done: float | None, width: int) -> str:
    """Return one line of at most *width* columns from *parts*, with a bar if there is room.

    If there is not enough room, the last parts are left out. *done* is the fraction that is done; if it is None,
    there is no bar.
    """
    while len(parts) > 1 and len(" · ".join(parts)) + 5 > width:
        parts = parts[:-1]
    text = " · ".join(parts)
    if done is None:
        return text
    room = min(width - len(text) - 7, 30)
    bar = ""
    if room >= _SHORTEST_BAR:
        full = int(done * room)
        bar = "━" * full + "╌" * (room - full) + " "
    return f"{done:4.0%} {bar}{text}"


class Display(Protocol):
    """Shows progress every *interval* seconds; if *eager*, also before the first row has ended."""

    interval: float
    eager: bool

    def draw(self, parts: list[str], done: float | None, *, fine: bool) -> None:
        """Show *parts*; *fine* is true if no row has an error."""
        ...  # pragma: no cover

    def print_line(self, line: str) -> None:
        """Print a line that is not overwritten."""
        ...  # pragma: no cover


@final
class PlainDisplay:
    """Prints a line on standard error every few seconds."""

    interval: float = 5.0
    eager: bool = False

    def draw(self, parts: list[str], done: float | None, *, fine: bool) -> None:  # noqa: ARG002 - of the protocol
        """Print a line of *parts*."""
        note(", ".join(parts))

    def print_line(self, line: str) -> None:
        """Print *line*."""
        note(line)


@final
class LiveDisplay:
    """Updates one line on the terminal."""

    interval: float = 0.125
    eager: bool = True

    def __init__(self, console: "Console", live: "RichLive") -> None:
        """Create a display that updates *live* on *console*."""
        self._console = console
        self._live = live

    def draw(self, parts: list[str], done: float | None, *, fine: bool) -> None:
        """Update the line."""
        from rich.text import Text

        line = fit_line(parts, done, self._console.width - 1)
        self._live.update(Text(one_line(line), style="green" if fine else "", no_wrap=True), refresh=True)

    def print_line(self, line: str) -> None:
        """Print *line* above the updated line."""
        self._console.print(f"msgapi: {one_line(line)}", highlight=False, markup=False, soft_wrap=True)


@final
class BatchProgress:
    """Shows the progress of one batch."""

    def __init__(self, display: Display, pace: Pace, clock: Clock) -> None:
        """Begin at the current time of *clock*."""
        self.interval: float = display.interval
        self._display = display
        self._pace = pace
        self._speed = SpeedMeter(clock)

    def update(self, counts: Counts, in_flight: int) -> None:
        """Show the current *counts*."""
        rate = self._speed.measure(counts.settled)
        if counts.settled or self._display.eager:
            parts = progress_parts(counts, in_flight, rate, self._pace.lane(_LANE).rate)
            self._display.draw(parts, counts.settled / counts.total, fine=not counts.failed)

    def print_line(self, line: str) -> None:
        """Print a line that is not overwritten."""
        self._display.print_line(line)


@contextmanager
def open_progress(pace: Pace, clock: Clock | None = None) -> Iterator[ProgressReporter]:
    """Show the progress of a batch that is limited by *pace*."""
    with open_display() as display:
        yield BatchProgress(display, pace, clock or SYSTEM_CLOCK)


@contextmanager
def open_display() -> Iterator[Display]:
    """Return the display for standard error: updated on a terminal, plain otherwise."""
    if not sys.stderr.isatty():
        yield PlainDisplay()
        return
    from rich.console import Console
    from rich.live import Live as RichLive

    console = Console(stderr=True)
    with RichLive(console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False) as live:
        yield LiveDisplay(console, live)


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
    return plain_counts(run.counts) | {
        "stopped": run.stopped.reason if run.stopped is not None else None,
        "sent_before": None if run.journal is None else _sent_before(run.journal),
        "missing": None if (amount := missing(run.stopped, run.counts)) is None else str(amount),
        "failure": run.failure,
        "journal": None if run.journal is None else run.journal.path,
        "exit": int(run.status),
    }


def _sent_before(found: BatchJournal) -> dict[str, object] | None:
    return None if found.sent_before is None else asdict(found.sent_before)


def plain_counts(counts: Counts) -> dict[str, object]:
    """Return the counts as plain JSON.

    `unknown` is all rows that may have been sent, `interrupted` ones included, and `not_sent_yet` all rows that the
    next run sends, whether they were tried or not. `sent_by_email` and `sent_earlier` are parts of `accepted`;
    `not_in_the_file` is no part of `rows`.
    """
    return {
        "rows": counts.total,
        RowOutcome.ACCEPTED.value: counts.accepted,
        RowOutcome.BY_EMAIL.value: counts.accepted_by_fallback,
        RowOutcome.REFUSED.value: counts.refused,
        RowOutcome.DUPLICATE.value: counts.duplicate,
        RowOutcome.CHANGED.value: counts.changed,
        RowOutcome.SENT_EARLIER.value: counts.sent_earlier,
        RowOutcome.NOT_IN_THE_FILE.value: counts.not_in_file,
        "interrupted": counts.interrupted,
        RowOutcome.NOT_SENT_YET.value: counts.not_sent_yet + counts.not_carried_out,
        RowOutcome.UNKNOWN.value: counts.unknown + counts.interrupted,
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
    """What to do about rows without a result: those that may have been sent, and those that were not."""

    unknown: str = "May have been sent: send them again with the same idempotency keys."
    not_sent_yet: str = "Run the same command to send them."


_BATCH_ADVICE: Final = RestAdvice()


def outcome_table(counts: Counts, advice: RestAdvice = _BATCH_ADVICE) -> TextTable:
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


def _first(run: BatchRun) -> Iterator[str]:
    more = run.counts.failed - len(run.counts.first)
    yield f"{'first ' if more else ''}rows that were not accepted (all of them: --results FILE.jsonl):"
    for row, error in run.counts.first:
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
            f"interrupted: {counted(counts.total - counts.without_verdict)} settled, "
            f"{unknown:,} {RowOutcome.UNKNOWN.words}, {not_sent_yet:,} {RowOutcome.NOT_SENT_YET.words}"
        )
    files = run.files
    failed = failed if files is not None and files.failure is None else None
    if run.journal is not None:
        if not run.attempted and not counts.not_sent_yet and not run.failure and run.journal.before is not None:
            yield "nothing was sent: all rows were settled earlier; to send all of them again, use --new-batch"
        yield from _journal_notices(run.journal.path, counts, failed if files is not None and files.refused else None)
        return
    refused, left = counts.refused, counts.without_verdict
    if refused and failed:
        yield f"{counted(refused, verb='were')} refused, see {failed}: correct what is wrong and send that file"
    elif refused:
        yield f"{counted(refused, verb='were')} refused: --failed FILE.jsonl writes a file with them to send again"
    if left:
        yield (
            f"{counted(left, verb='were')} not sent or may have been: --results FILE.jsonl shows which; "
            "with a journal, the same command sends the rest"
        )


def _journal_notices(path: str, counts: Counts, failed: str | None) -> Iterator[str]:
    if counts.resumable or counts.not_sent_yet:
        yield f"run the same command again to continue, or `msgapi batch --resume {quote(path)}`"
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
