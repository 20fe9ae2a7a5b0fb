"""Progress on standard error: one live line on a terminal, a plain line every few seconds otherwise."""

import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol, final

from ..clock import SYSTEM_CLOCK, Clock
from ..ratelimit import Pace
from .output import note
from .run import Progress
from .tally import Tally

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live as RichLive

_LANE: Final = "POST messages"
_MEMORY: Final = 5.0  # seconds over which the rate is measured
_SHORTEST_BAR: Final = 8


@final
class Speed:
    """Rows a second over the last few seconds, and how long the rest will take at that."""

    def __init__(self, clock: Clock) -> None:
        """Begin now."""
        self._clock = clock
        self._marks: deque[tuple[float, int]] = deque([(clock.now(), 0)])

    def measure(self, settled: int) -> float:
        """Take in that *settled* rows have ended by now, and give rows a second."""
        now = self._clock.now()
        self._marks.append((now, settled))
        while len(self._marks) > 2 and now - self._marks[0][0] > _MEMORY:  # noqa: PLR2004 - the first and the last
            _ = self._marks.popleft()
        since, before = self._marks[0]
        return (settled - before) / (now - since) if now > since else 0.0


def parts(tally: Tally, in_flight: int, rate: float, pace: float | None) -> list[str]:
    """Say how far a batch is, the most important first."""
    left = tally.total - tally.settled
    said = [f"{tally.settled:,}/{tally.total:,}", f"{tally.accepted:,} accepted", f"{tally.refused:,} refused"]
    if rate >= 1 and left:
        said += [f"{rate:,.0f}/s", f"{_minutes(left / rate)} left"]
    said.append(f"{in_flight} in flight")
    if tally.duplicates:
        said.append(f"{tally.duplicates:,} duplicates")
    if pace is not None:
        said.append(f"pace {pace:,.0f}/s")
    return said


def _minutes(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def fitted(said: list[str], done: float | None, width: int) -> str:
    """Put *said* into one line of *width* columns, with a bar if there is room; the last parts go first.

    *done* is the share of all that is done; where nobody knows that, there is no bar.
    """
    while len(said) > 1 and len(" · ".join(said)) + 5 > width:
        said = said[:-1]
    text = " · ".join(said)
    if done is None:
        return text
    room = min(width - len(text) - 7, 30)
    bar = ""
    if room >= _SHORTEST_BAR:
        full = int(done * room)
        bar = "━" * full + "╌" * (room - full) + " "
    return f"{done:4.0%} {bar}{text}"


class Screen(Protocol):
    """Where progress is shown, *every* so many seconds; an *eager* one shows also that nothing has happened yet."""

    every: float
    eager: bool

    def draw(self, said: list[str], done: float | None, *, fine: bool) -> None:
        """Show *said*; *fine* if all is well."""
        ...  # pragma: no cover

    def say(self, line: str) -> None:
        """Show a line that stays."""
        ...  # pragma: no cover


@final
class Plain:
    """A line on standard error every few seconds."""

    every: float = 5.0
    eager: bool = False

    def draw(self, said: list[str], done: float | None, *, fine: bool) -> None:  # noqa: ARG002 - of the protocol
        """Write a line."""
        note(", ".join(said))

    def say(self, line: str) -> None:
        """Write *line*."""
        note(line)


@final
class Live:
    """One line on the terminal that is written anew."""

    every: float = 0.125
    eager: bool = True

    def __init__(self, console: "Console", live: "RichLive") -> None:
        """Begin with nothing."""
        self._console = console
        self._live = live

    def draw(self, said: list[str], done: float | None, *, fine: bool) -> None:
        """Write the line anew."""
        from rich.text import Text

        line = fitted(said, done, self._console.width - 1)
        self._live.update(Text(line, style="green" if fine else "", no_wrap=True), refresh=True)

    def say(self, line: str) -> None:
        """Write *line* above."""
        self._console.print(f"msgapi: {line}", highlight=False, markup=False, soft_wrap=True)


@final
class Shown:
    """The progress of one batch."""

    def __init__(self, screen: Screen, pace: Pace, clock: Clock) -> None:
        """Begin now."""
        self.every: float = screen.every
        self._screen = screen
        self._pace = pace
        self._speed = Speed(clock)

    def update(self, tally: Tally, in_flight: int) -> None:
        """Show *tally* as it is now."""
        rate = self._speed.measure(tally.settled)
        if tally.settled or self._screen.eager:
            said = parts(tally, in_flight, rate, self._pace.lane(_LANE).rate)
            self._screen.draw(said, tally.settled / tally.total, fine=not tally.refused)

    def say(self, line: str) -> None:
        """Show a line that stays."""
        self._screen.say(line)


@contextmanager
def shown(pace: Pace, clock: Clock | None = None) -> Iterator[Progress]:
    """Show the progress in the way that fits standard error, at the *pace* that is being kept."""
    with screen() as there:
        yield Shown(there, pace, clock or SYSTEM_CLOCK)


@contextmanager
def screen() -> Iterator[Screen]:
    """Make the screen that fits standard error."""
    if not sys.stderr.isatty():
        yield Plain()
        return
    from rich.console import Console
    from rich.live import Live as RichLive

    console = Console(stderr=True)
    with RichLive(console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False) as live:
        yield Live(console, live)
