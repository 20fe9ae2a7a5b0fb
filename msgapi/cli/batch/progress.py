"""Progress on standard error: one line that is updated on a terminal, otherwise a new line every few seconds."""

import sys
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol, TypeVar, final

from ...clock import SYSTEM_CLOCK, Clock
from ...ratelimit import Pace
from ..outcomes import RowOutcome
from ..output import line as one_line
from ..output import note
from .counts import Counts
from .runner import ProgressReporter

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live as RichLive

T = TypeVar("T")
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
    from rich.live import Live as RichLive

    console = Console(stderr=True)
    with RichLive(console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False) as live:
        yield LiveDisplay(console, live)
