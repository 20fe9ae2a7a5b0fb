"""Outbox: requests that are made in one turn of the loop leave together.

A write wakes whoever reads at the other end. Where that is a process on this machine, such as a proxy, to wake it
costs more than to write; it does not fall asleep between requests that leave one right after the other.

Rules:
- Where few are in flight, each leaves at once.
- None waits for longer than a turn of the loop, nor for more than a few others.
"""

import asyncio
from collections.abc import Callable
from typing import Final, final

from attrs import define, field

from .deadlines import Deadlines

_FEW: Final = 8


@final
@define(eq=False)
class Outbox:
    """What is about to leave; *deadlines* tell how many are in flight."""

    deadlines: Deadlines
    _loop: asyncio.AbstractEventLoop = field(factory=asyncio.get_running_loop, init=False, repr=False)
    _waiting: list[Callable[[], object]] = field(factory=list, init=False, repr=False)

    def put(self, leave: Callable[[], object]) -> None:
        """Have *leave* called in this turn of the loop or the next: it writes a request, and must not raise."""
        if len(self.deadlines) < _FEW:
            _ = leave()
            return
        self._waiting.append(leave)
        if len(self._waiting) == 1:
            _ = self._loop.call_soon(self._empty)
        elif len(self._waiting) == _FEW:
            self._empty()

    def _empty(self) -> None:
        waiting, self._waiting = self._waiting, []
        for leave in waiting:
            _ = leave()
