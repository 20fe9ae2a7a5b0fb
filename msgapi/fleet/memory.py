"""Memory: chunks and records of a fleet inside this process, for tests and for trying things out.

They keep the promises of a real engine: a lease that is not renewed runs out, and the chunk is handed out again.
"""

import heapq
from collections.abc import AsyncIterator
from typing import Final, final

import anyio
import anyio.lowlevel
from attrs import define, field

from ..clock import SYSTEM_CLOCK, Clock
from .chunks import Lease, Unreachable
from .records import Revision

_AWAY: Final = "the engine in memory is away: its `away` is set"


@define(eq=False)
class _Held:
    body: bytes
    due: float
    token: int = 0
    delivery: int = 0


@final
@define(eq=False, repr=False)
class MemoryChunks:
    """A queue of chunks in memory. While *away* is set it cannot be reached."""

    clock: Clock = field(default=SYSTEM_CLOCK)
    lease_seconds: float = 30.0
    away: bool = False
    buried: list[str] = field(factory=list, init=False)
    _chunks: dict[str, _Held] = field(factory=dict, init=False)
    _due: list[tuple[float, int, str]] = field(factory=list, init=False)
    _count: int = field(default=0, init=False)
    _waiting: set[anyio.Event] = field(factory=set, init=False)

    async def put(self, id: str, body: bytes) -> None:  # noqa: A002 - it is one
        """Queue a chunk; one that is queued or with a worker under this *id* stays as it is."""
        await self._reach()
        if id not in self._chunks:
            self._chunks[id] = _Held(body, 0.0)
            self._plan(id, self.clock.now())

    async def lease(self, wait: float) -> Lease | None:
        """Take the next chunk, and wait for one for up to *wait* seconds; None if there was none."""
        until = self.clock.now() + wait
        while True:
            await self._reach()
            if (lease := self._next()) is not None:
                return lease
            left = until - self.clock.now()
            if left <= 0:
                return None
            await self._change(min(left, self._due[0][0] - self.clock.now()) if self._due else left)

    async def renew(self, lease: Lease) -> bool:
        """Keep a chunk for another `lease_seconds`; False if it is ours no more."""
        await self._reach()
        held = self._ours(lease)
        if held is not None:
            held.due = self.clock.now() + self.lease_seconds
            heapq.heappush(self._due, (held.due, held.token, lease.id))
        return held is not None

    async def ack(self, lease: Lease) -> None:
        """Tell that the chunk is done."""
        await self._reach()
        _ = self._chunks.pop(lease.id, None)

    async def release(self, lease: Lease, after: float) -> None:
        """Give the chunk back, to be handed out again *after* so many seconds."""
        await self._reach()
        if (held := self._ours(lease)) is not None:
            held.delivery -= 1
            self._plan(lease.id, self.clock.now() + after)

    async def bury(self, lease: Lease) -> None:
        """Take the chunk out of the queue for good, and note its id in `buried`."""
        await self._reach()
        if self._chunks.pop(lease.id, None) is not None:
            self.buried.append(lease.id)

    async def left(self) -> int:
        """Tell how many chunks are queued or with a worker."""
        await self._reach()
        return len(self._chunks)

    async def _reach(self) -> None:
        await anyio.lowlevel.checkpoint()
        if self.away:
            raise Unreachable(_AWAY)

    def _ours(self, lease: Lease) -> _Held | None:
        held = self._chunks.get(lease.id)
        return held if held is not None and held.token == lease.token else None

    def _plan(self, name: str, due: float) -> None:
        # The token changes with each hand-over, so that what an earlier holder does later is not heard.
        held = self._chunks[name]
        self._count += 1
        held.token, held.due = self._count, due
        heapq.heappush(self._due, (due, held.token, name))
        for waiting in self._waiting:
            waiting.set()

    def _next(self) -> Lease | None:
        while self._due and self._due[0][0] <= self.clock.now():
            due, token, name = heapq.heappop(self._due)
            held = self._chunks.get(name)
            if held is not None and (held.due, held.token) == (due, token):
                held.delivery += 1
                self._plan(name, self.clock.now() + self.lease_seconds)
                return Lease(name, held.body, held.delivery, held.token)
        return None

    async def _change(self, most: float) -> None:
        changed = anyio.Event()
        self._waiting.add(changed)
        try:
            async with anyio.create_task_group() as tasks:
                _ = tasks.start_soon(self._sleep, most, tasks.cancel_scope)
                await changed.wait()
                tasks.cancel_scope.cancel()
        finally:
            self._waiting.remove(changed)

    async def _sleep(self, seconds: float, scope: anyio.CancelScope) -> None:
        await self.clock.sleep(seconds)
        scope.cancel()


@final
@define(eq=False, repr=False)
class MemoryRecords:
    """Records in memory. While *away* is set they cannot be reached."""

    away: bool = False
    _documents: dict[tuple[str, str], tuple[bytes, Revision]] = field(factory=dict, init=False)
    _count: int = field(default=0, init=False)

    async def read(self, batch: str, name: str) -> tuple[bytes | None, Revision]:
        """Read the document of a *batch* with this *name*, and its revision; None and 0 if there is none."""
        await self._reach()
        return self._documents.get((batch, name), (None, 0))

    async def write(self, batch: str, name: str, value: bytes, revision: Revision) -> bool:
        """Write *value* if the document still is of this *revision*; False if another has written meanwhile."""
        await self._reach()
        if self._documents.get((batch, name), (None, 0))[1] != revision:
            return False
        self._count += 1
        self._documents[batch, name] = value, self._count
        return True

    async def scan(self, batch: str) -> AsyncIterator[tuple[str, bytes]]:
        """Read all documents of a *batch*."""
        await self._reach()
        for (owner, name), (value, _) in list(self._documents.items()):
            if owner == batch:
                yield name, value

    async def _reach(self) -> None:
        await anyio.lowlevel.checkpoint()
        if self.away:
            raise Unreachable(_AWAY)
