"""Held: a chunk that a worker has, kept for as long as it is at it, and then given out of its hands.

Rules:
- An engine that is away is asked again for a while. What it then has not heard does no harm: the chunk is
  handed out again, and its record says what became of it.
"""

from collections.abc import Awaitable, Callable
from typing import Final, final

from attrs import define, field

from ..clock import Clock
from .chunks import Chunks, Lease, Unreachable

_SHARE: Final = 1 / 3  # of a lease after which it is renewed: two may fail
_PERSIST: Final = 60.0  # seconds for which an engine is asked again
_FIRST_PAUSE: Final = 0.25  # seconds; it doubles
_LONGEST_PAUSE: Final = 5.0


@final
@define(eq=False, repr=False)
class Held:
    """A chunk in the hands of a worker; *ours* until another has it."""

    chunks: Chunks
    lease: Lease
    clock: Clock
    away: Callable[[Unreachable], None]
    ours: bool = field(default=True, init=False)

    async def keep(self) -> None:
        """Renew the lease in time, until it is ours no more."""
        while self.ours:
            await self.clock.sleep(self.chunks.lease_seconds * _SHARE)
            try:
                self.ours = await self.chunks.renew(self.lease)
            except Unreachable as error:
                self.away(error)

    async def ack(self) -> None:
        """Tell the engine that the chunk is done."""
        await self._persist(lambda: self.chunks.ack(self.lease))

    async def bury(self) -> None:
        """Take it out of the queue for good."""
        await self._persist(lambda: self.chunks.bury(self.lease))

    async def release(self, after: float) -> None:
        """Give it back, to be handed out again *after* so many seconds."""
        if self.ours:
            await self._persist(lambda: self.chunks.release(self.lease, after))

    async def _persist(self, ask: Callable[[], Awaitable[None]]) -> None:
        until, pause = self.clock.now() + _PERSIST, _FIRST_PAUSE
        while self.clock.now() < until:
            try:
                await ask()
            except Unreachable as error:
                self.away(error)
                await self.clock.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                return
