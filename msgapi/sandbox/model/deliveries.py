"""Deliveries: what is due to happen by itself as time passes: steps of messages, ends of sessions, reloads."""

import heapq
from itertools import count
from typing import TypeAlias, final

from attrs import define, field, frozen

from .endings import Plan, Timing
from .sessions import Pair


@final
@frozen
class Next:
    """The next of the *steps* of a message."""

    message_id: str
    steps: Plan


@final
@frozen
class Again:
    """A reload that failed is tried once more."""


Due: TypeAlias = Next | Again | Pair
"""A step of a message, a reload, or the pair whose session may be over."""


@final
@define(eq=False, repr=False)
class Deliveries:
    """What is due, and when. Without a *timing* messages stay queued until somebody moves them."""

    timing: Timing | None
    _heap: list[tuple[float, int, Due]] = field(factory=list, init=False)
    _order: "count[int]" = field(factory=count, init=False)

    def next_at(self) -> float | None:
        """Tell when something is due next, in Unix seconds."""
        return self._heap[0][0] if self._heap else None

    def follow(self, message_id: str, steps: Plan, now: float) -> None:
        """Let the first of *steps* be due after its time, counted from *now*, and the others after it."""
        if steps:
            heapq.heappush(self._heap, (now + steps[0].after, next(self._order), Next(message_id, steps)))

    def end(self, pair: Pair, at: float) -> None:
        """Let the session of *pair* be looked at at *at*."""
        heapq.heappush(self._heap, (at, next(self._order), pair))

    def retry(self, at: float) -> None:
        """Let a reload that failed be tried once more at *at*."""
        heapq.heappush(self._heap, (at, next(self._order), Again()))

    def take(self, now: float) -> tuple[float, Due] | None:
        """Take the earliest that is due by *now*, with the moment at which it was."""
        if not self._heap or self._heap[0][0] > now:
            return None
        at, _, due = heapq.heappop(self._heap)
        return at, due
