"""Score: what one worker of a fleet has done, and the line that shows it.

Rules:
- A chunk may come to the worker again, and tell anew of each of its rows that is not settled. Such a row counts
  once, by how it ended at last; one that was accepted is, even if that could not be written down and it goes out again.
"""

from collections import Counter
from typing import assert_never, final

from attrs import define, field

from ..batch import Stopped
from ..clock import Clock
from ..fleet.events import BackendUnreachable, ChunkFinished, ChunkLeased, Event, Paused, Resumed, RowFinished
from ..results import ApiError, InsufficientBalance, Ok
from .progress import Screen, Speed
from .rows import Row
from .tally import Tally


@final
@define(eq=False)
class Score:
    """Counts the rows and the chunks of one worker, and shows them on *screen*."""

    screen: Screen
    clock: Clock
    tally: Tally = field(factory=lambda: Tally(0), init=False)
    chunks: Counter[str] = field(factory=Counter, init=False)
    held: set[str] = field(factory=set, init=False)
    left: int | None = field(default=None, init=False)
    _speed: Speed = field(init=False)
    _away: str | None = field(default=None, init=False)
    _open: dict[str, dict[int, ApiError | None]] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        """Begin now."""
        self._speed = Speed(self.clock)

    def take(self, event: Event) -> None:
        """Take in what has happened, and say what is not of every day."""
        match event:
            case BackendUnreachable(reason=reason):
                self._wait(reason)
            case ChunkLeased(chunk=chunk):
                if self._away is not None:
                    self.screen.say("it answers again: going on")
                self._away = None
                self.held.add(chunk)
            case RowFinished():
                self._count(event)
            case ChunkFinished():
                self._give(event)
            case Paused(stopped=stopped):
                self.screen.say(f"the balance is used up{where(stopped)}: waiting for a top-up; Ctrl-C ends it")
            case Resumed():
                self.screen.say("there is money again: going on")
            case _:
                assert_never(event)

    def _wait(self, why: str) -> None:
        if self._away != why:
            self.screen.say(f"{why}; waiting for it")
        self._away = why

    def _count(self, event: RowFinished) -> None:
        before, outcome = self._open.setdefault(event.chunk, {}), event.outcome
        told = outcome.index in before
        last = before.get(outcome.index)
        if told and last is None:
            return
        self.tally.count(Row(outcome.index + 1, 0), outcome.result)
        if last is None:
            self.tally.total += 1
        else:
            self.tally.take_back(last)
        before[outcome.index] = None if isinstance(outcome.result, Ok) else outcome.result

    def _give(self, event: ChunkFinished) -> None:
        self.held.discard(event.chunk)
        if event.disposition in {"done", "buried"}:
            _ = self._open.pop(event.chunk, None)
        self.chunks[event.disposition] += 1
        if event.disposition == "buried" and event.result.invalid is not None:
            self.screen.say(f"the chunk {event.chunk} was given up: {event.result.invalid.reason}")

    def show(self) -> None:
        """Show how far it is."""
        tally, rate = self.tally, self._speed.measure(self.tally.settled)
        if not tally.settled and not self.screen.eager:
            return
        said = [f"{tally.accepted:,} accepted", f"{tally.refused:,} refused"]
        if rate >= 1:
            said.append(f"{rate:,.0f}/s")
        said.append(f"{len(self.held)} chunks in hand")
        if self.left is not None:
            said.append(f"{self.left:,} left")
        self.screen.draw(said, None, fine=not tally.refused)


def where(stopped: Stopped) -> str:
    """Say where to top up after a stop for want of money."""
    url = stopped.error.topup_url if isinstance(stopped.error, InsufficientBalance) else None
    return f"; top up at {url}" if url else ""
