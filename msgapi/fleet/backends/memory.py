"""The backend of a fleet in memory, for tests and for trying things out.

It behaves as a server does: a lease that is not renewed expires, and the chunk is delivered again.
"""

import heapq
from collections.abc import AsyncIterator
from typing import Final, final

import anyio
import anyio.lowlevel
from attrs import define, field

from ...clock import SYSTEM_CLOCK, Clock
from ..backend import Lease, Revision, Unreachable

_UNREACHABLE: Final = "the backend in memory is unreachable: its `unreachable` is set"


@define(eq=False)
class _QueuedChunk:
    body: bytes
    due: float  # when it is delivered next, if its lease is not renewed
    token: int = 0
    delivery: int = 0


@final
@define(eq=False, repr=False)
class MemoryChunkQueue:
    """A `ChunkQueue` in memory; *buried* lists the ids of buried chunks. If *unreachable* is set, every call fails."""

    clock: Clock = field(default=SYSTEM_CLOCK)
    lease_seconds: float = 30.0
    unreachable: bool = False
    buried: list[str] = field(factory=list, init=False)
    _chunks: dict[str, _QueuedChunk] = field(factory=dict, init=False)
    _due: list[tuple[float, int, str]] = field(factory=list, init=False)
    _count: int = field(default=0, init=False)
    _waiting: set[anyio.Event] = field(factory=set, init=False)

    async def put(self, id: str, body: bytes) -> None:  # noqa: A002 - it is an id
        """Queue a chunk; do nothing if one is queued or leased under this *id*."""
        await self._check()
        if id not in self._chunks:
            self._chunks[id] = _QueuedChunk(body, 0.0)
            self._schedule(id, self.clock.now())

    async def lease(self, wait: float) -> Lease | None:
        """Take the next chunk, waiting up to *wait* seconds; return None if there is none."""
        until = self.clock.now() + wait
        while True:
            await self._check()
            if (lease := self._next()) is not None:
                return lease
            left = until - self.clock.now()
            if left <= 0:
                return None
            await self._wait_for_change(min(left, self._due[0][0] - self.clock.now()) if self._due else left)

    async def renew(self, lease: Lease) -> bool:
        """Extend *lease* by `lease_seconds` from now; return False if it has expired."""
        await self._check()
        chunk = self._leased(lease)
        if chunk is not None:
            chunk.due = self.clock.now() + self.lease_seconds
            heapq.heappush(self._due, (chunk.due, chunk.token, lease.id))
        return chunk is not None

    async def ack(self, lease: Lease) -> None:
        """Remove the chunk from the queue because it is done."""
        await self._check()
        _ = self._chunks.pop(lease.id, None)

    async def release(self, lease: Lease, after: float) -> None:
        """Return the chunk to the queue, to be delivered again *after* so many seconds."""
        await self._check()
        if (chunk := self._leased(lease)) is not None:
            chunk.delivery -= 1
            self._schedule(lease.id, self.clock.now() + after)

    async def bury(self, lease: Lease) -> None:
        """Remove the chunk from the queue and add its id to `buried`."""
        await self._check()
        if self._chunks.pop(lease.id, None) is not None:
            self.buried.append(lease.id)

    async def size(self) -> int:
        """Return the number of chunks that are queued or leased."""
        await self._check()
        return len(self._chunks)

    async def _check(self) -> None:
        await anyio.lowlevel.checkpoint()
        if self.unreachable:
            raise Unreachable(_UNREACHABLE)

    def _leased(self, lease: Lease) -> _QueuedChunk | None:
        chunk = self._chunks.get(lease.id)
        return chunk if chunk is not None and chunk.token == lease.token else None

    def _schedule(self, name: str, due: float) -> None:
        # The token changes with each delivery, so that what an earlier worker does later has no effect.
        chunk = self._chunks[name]
        self._count += 1
        chunk.token, chunk.due = self._count, due
        heapq.heappush(self._due, (due, chunk.token, name))
        for waiting in self._waiting:
            waiting.set()

    def _next(self) -> Lease | None:
        while self._due and self._due[0][0] <= self.clock.now():
            due, token, name = heapq.heappop(self._due)
            chunk = self._chunks.get(name)
            if chunk is not None and (chunk.due, chunk.token) == (due, token):
                chunk.delivery += 1
                self._schedule(name, self.clock.now() + self.lease_seconds)
                return Lease(name, chunk.body, chunk.delivery, chunk.token)
        return None

    async def _wait_for_change(self, seconds: float) -> None:
        changed = anyio.Event()
        self._waiting.add(changed)
        try:
            async with anyio.create_task_group() as tasks:
                _ = tasks.start_soon(self._cancel_after, seconds, tasks.cancel_scope)
                await changed.wait()
                tasks.cancel_scope.cancel()
        finally:
            self._waiting.remove(changed)

    async def _cancel_after(self, seconds: float, scope: anyio.CancelScope) -> None:
        await self.clock.sleep(seconds)
        scope.cancel()


@final
@define(eq=False, repr=False)
class MemoryRecordStore:
    """A `RecordStore` in memory. While *unreachable* is set, every call fails."""

    unreachable: bool = False
    _documents: dict[tuple[str, str], tuple[bytes, Revision]] = field(factory=dict, init=False)
    _count: int = field(default=0, init=False)

    async def read(self, batch: str, name: str) -> tuple[bytes | None, Revision]:
        """Return the document *name* of *batch* and its revision; None and 0 if there is none."""
        await self._check()
        return self._documents.get((batch, name), (None, 0))

    async def write(self, batch: str, name: str, value: bytes, revision: Revision) -> bool:
        """Write *value* if the document still has this *revision*; return False if it has another one."""
        await self._check()
        if self._documents.get((batch, name), (None, 0))[1] != revision:
            return False
        self._count += 1
        self._documents[batch, name] = value, self._count
        return True

    async def scan(self, batch: str) -> AsyncIterator[tuple[str, bytes]]:
        """Yield the name and the value of every document of *batch*."""
        await self._check()
        for (of_batch, name), (value, _) in list(self._documents.items()):
            if of_batch == batch:
                yield name, value

    async def _check(self) -> None:
        await anyio.lowlevel.checkpoint()
        if self.unreachable:
            raise Unreachable(_UNREACHABLE)
