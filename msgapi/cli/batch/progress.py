"""The progress of a batch on standard error: a line that is updated on a terminal, else a line every few seconds."""

import sys
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol, TypeVar, final

from ...clock import SYSTEM_CLOCK, Clock
from ...ratelimit import Pace
from ..output import RowOutcome, note
from ..output import line as one_line
from .counts import Counts
from .runner import LANE, STOPPING, ProgressReporter, Waiting, duration

if TYPE_CHECKING:
    from rich.progress import Progress

T = TypeVar("T")
_WINDOW: Final = 5.0  # seconds over which the rate is measured
_WIDE: Final = 60  # columns: a narrower line has no bar
_SHORTEST_BAR: Final = 11  # columns, with the space after it
_LONGEST_BAR: Final = 31
_PERCENTAGE: Final = 5  # columns, with the space after it
_SEPARATOR: Final = " · "


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


_ROWS_BETWEEN: Final = 1_000  # rows that are read before the clock is


def reported(rows: Iterable[T], total: int, what: str, clock: Clock = SYSTEM_CLOCK) -> Iterator[T]:
    """Yield *rows*, of which there are *total*, and show on a terminal how many were read, and *what* is done."""
    if not sys.stderr.isatty():
        yield from rows
        return
    with open_display() as display:
        last = clock.now()
        for number, row in enumerate(rows):
            if number % _ROWS_BETWEEN == 0 and clock.now() - last >= display.interval:
                last = clock.now()
                display.draw([f"{what}: {number:,}/{total:,}"], number / total, fine=True)
            yield row


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
