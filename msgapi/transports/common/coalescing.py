"""Coalescing: requests that are made in one iteration of the event loop are written one right after the other.

This matters for a peer on the same machine, such as a sidecar proxy: waking it for each write costs more than the
write, and it stays awake between writes that follow each other closely.

Rules:
- If few requests are in flight, each is written at once.
- No request waits for longer than one iteration of the loop, nor for more than `_BATCH` others.
"""

import asyncio
from collections.abc import Callable
from typing import Final, final

from attrs import define, field

from .deadlines import Deadlines

_BATCH: Final = 8


@final
@define(eq=False)
class RequestCoalescer:
    """Requests that are about to be written; the length of *deadlines* is the number of requests in flight."""

    deadlines: Deadlines
    _loop: asyncio.AbstractEventLoop = field(factory=asyncio.get_running_loop, init=False, repr=False)
    _pending: list[Callable[[], object]] = field(factory=list, init=False, repr=False)

    def add(self, write: Callable[[], object]) -> None:
        """Call *write* in this iteration of the loop or the next. It writes one request, and must not raise."""
        if len(self.deadlines) < _BATCH:
            _ = write()
            return
        self._pending.append(write)
        if len(self._pending) == 1:
            _ = self._loop.call_soon(self._flush)
        elif len(self._pending) == _BATCH:
            self._flush()

    def _flush(self) -> None:
        pending, self._pending = self._pending, []
        for write in pending:
            _ = write()
