"""What a fleet needs of a backend: a queue of chunks and a store of records."""

from collections.abc import AsyncIterator
from typing import Protocol, TypeAlias, final

from attrs import frozen

Revision: TypeAlias = int
"""The version of a stored document; 0 for one that was never written."""


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
