"""The counts of one worker of a fleet, and its progress line.

Rules:
- A worker may get a chunk again, with a new outcome for each of its unsettled rows. Such a row counts once, with its
  last outcome; a row that was accepted stays accepted, even if that could not be recorded and it is sent again.
"""

from collections import Counter
from typing import assert_never, final

from attrs import define, field

from ....batch import Stopped
from ....clock import Clock
from ....fleet.events import BackendUnreachable, ChunkFinished, ChunkLeased, Event, Paused, Resumed, RowFinished
from ....results import ApiError, InsufficientBalance, Ok
from ...batch.counts import Counts
from ...batch.input import InputRow
from ...batch.progress import Display, SpeedMeter
from ...outcomes import RowOutcome


@final
@define(eq=False)
class WorkerCounts:
    """Counts the rows and chunks of one worker, and shows them on *display*.

    *held* are the chunks of the worker; *left* is the number of chunks in the queue, None if it is not known.
    """

    display: Display
    clock: Clock
    counts: Counts = field(factory=lambda: Counts(0), init=False)
    chunks: Counter[str] = field(factory=Counter, init=False)
    held: set[str] = field(factory=set, init=False)
    left: int | None = field(default=None, init=False)
    _speed: SpeedMeter = field(init=False)
    _away: str | None = field(default=None, init=False)
    _open: dict[str, dict[int, ApiError | None]] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        """Begin to measure the speed."""
        self._speed = SpeedMeter(self.clock)

    def handle(self, event: Event) -> None:
        """Count *event*, and print a line if it is not a regular one."""
        match event:
            case BackendUnreachable(reason=reason):
                self._report_away(reason)
            case ChunkLeased(chunk=chunk):
                if self._away is not None:
                    self.display.print_line("the server answers again: continuing")
                self._away = None
                self.held.add(chunk)
            case RowFinished():
                self._count(event)
            case ChunkFinished():
                self._release(event)
            case Paused(stopped=stopped):
                self.display.print_line(
                    f"the balance is used up{top_up_hint(stopped)}: waiting for a top-up; Ctrl-C stops"
                )
            case Resumed():
                self.display.print_line("the balance was topped up: continuing")
            case _:
                assert_never(event)

    def _report_away(self, why: str) -> None:
        if self._away != why:
            self.display.print_line(f"{why}; waiting for it")
        self._away = why

    def _count(self, event: RowFinished) -> None:
        before, outcome = self._open.setdefault(event.chunk, {}), event.outcome
        repeated = outcome.index in before
        last = before.get(outcome.index)
        if repeated and last is None:
            return
        self.counts.add_result(InputRow(outcome.index + 1, 0), outcome.result)
        if last is None:
            self.counts.total += 1
        else:
            self.counts.remove_error(last)
        before[outcome.index] = None if isinstance(outcome.result, Ok) else outcome.result

    def _release(self, event: ChunkFinished) -> None:
        self.held.discard(event.chunk)
        if event.disposition in {"done", "buried"}:
            _ = self._open.pop(event.chunk, None)
        self.chunks[event.disposition] += 1
        if event.disposition == "buried" and event.result.invalid is not None:
            self.display.print_line(f"the chunk {event.chunk} was abandoned: {event.result.invalid.reason}")

    def show(self) -> None:
        """Show the progress."""
        counts, rate = self.counts, self._speed.measure(self.counts.settled)
        if not counts.settled and not self.display.eager:
            return
        parts = [f"{counts.accepted:,} {RowOutcome.ACCEPTED.words}", f"{counts.refused:,} {RowOutcome.REFUSED.words}"]
        if rate >= 1:
            parts.append(f"{rate:,.0f}/s")
        parts.append(f"{len(self.held)} chunks held")
        if self.left is not None:
            parts.append(f"{self.left:,} chunks left")
        self.display.draw(parts, None, fine=not counts.refused)


def top_up_hint(stopped: Stopped) -> str:
    """Return where to top up after the balance was used up."""
    url = stopped.error.topup_url if isinstance(stopped.error, InsufficientBalance) else None
    return f"; top up at {url}" if url else ""
