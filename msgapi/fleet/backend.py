"""What a fleet needs of a backend: a queue of chunks and a store of records; and the backend in memory.

The backend in memory is for tests and for trying things out. It behaves as a server does: a lease that is not renewed
expires, and the chunk is delivered again.
"""

import heapq
from collections.abc import AsyncIterator
from typing import Final, Protocol, TypeAlias, final

import anyio
import anyio.lowlevel
from attrs import define, field, frozen

from ..clock import SYSTEM_CLOCK, Clock

Revision: TypeAlias = int
"""The version of a stored document; 0 for one that was never written."""
_UNREACHABLE: Final = "the backend in memory is unreachable: its `unreachable` is set"


class Unreachable(Exception):
    """The backend does not answer, or refuses what is asked of it; the message says what to do."""


@final
@frozen
class Lease:
    """A chunk that this worker may send for now: its *id*, its JSON, and its *delivery* number, from 1.

    A delivery that ended in `release` is not counted, so *delivery* - 1 workers had the chunk and were lost with it.
    *token* belongs to the queue.
    """

    id: str
    body: bytes
    delivery: int
    token: object = None


class ChunkSink(Protocol):
    """A destination for chunks: the only part of a queue that `enqueue` needs."""

    async def put(self, id: str, body: bytes) -> None:  # noqa: A002 - it is an id
        """Queue a chunk durably; do nothing if one is queued under this *id* already.

        *id* is the `name` of the chunk, `BATCH/ID`. May be repeated. Raise `Unreachable` if the backend fails.
        """
        ...  # pragma: no cover


class ChunkQueue(ChunkSink, Protocol):
    """A queue that gives each chunk to one worker at a time, and to another one if the first is lost.

    A worker must renew its lease within *lease_seconds*; otherwise another worker gets the chunk as well. That is
    harmless: both send its rows under the same idempotency keys. Every method raises `Unreachable` if the backend
    fails.
    """

    lease_seconds: float

    async def lease(self, wait: float) -> Lease | None:
        """Take the next chunk, waiting up to *wait* seconds; return None if there is none."""
        ...  # pragma: no cover

    async def renew(self, lease: Lease) -> bool:
        """Extend *lease* by `lease_seconds` from now; return False if it has expired."""
        ...  # pragma: no cover

    async def ack(self, lease: Lease) -> None:
        """Remove the chunk from the queue because it is done. May be repeated."""
        ...  # pragma: no cover

    async def release(self, lease: Lease, after: float) -> None:
        """Return the chunk to the queue, to be delivered again *after* so many seconds; this delivery is not counted.

        Do nothing if *lease* has expired.
        """
        ...  # pragma: no cover

    async def bury(self, lease: Lease) -> None:
        """Remove the chunk from the queue because it can never succeed; its record says why. May be repeated."""
        ...  # pragma: no cover

    async def size(self) -> int:
        """Return the number of chunks that are queued or leased."""
        ...  # pragma: no cover


class RecordStore(Protocol):
    """Small documents by batch and name, each written only over the revision that was read.

    Every method raises `Unreachable` if the backend fails; a `write` that raises may have taken place. A write that
    returned True survives a restart of the backend.
    """

    async def read(self, batch: str, name: str) -> tuple[bytes | None, Revision]:
        """Return the document *name* of *batch* and its revision; None and 0 if there is none."""
        ...  # pragma: no cover

    async def write(self, batch: str, name: str, value: bytes, revision: Revision) -> bool:
        """Write *value* if the document still has this *revision*; return False if it has another one."""
        ...  # pragma: no cover

    def scan(self, batch: str) -> AsyncIterator[tuple[str, bytes]]:
        """Yield the name and the value of every document of *batch*, in no order.

        A document that is written meanwhile is yielded once, with its old or its new value.
        """
        ...  # pragma: no cover


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
