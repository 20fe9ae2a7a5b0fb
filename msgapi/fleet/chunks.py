"""Chunks: the queue of an engine that exists already, as `send_chunk` needs it."""

from typing import Protocol, final

from attrs import frozen


@final
@frozen
class Lease:
    """A chunk that is ours for now: its *id*, its JSON, and the how many-eth time it is handed out, from 1.

    A time that ended in its `release` is not counted, so *delivery* - 1 workers have had the chunk and were lost
    with it. *token* is the engine's own.
    """

    id: str
    body: bytes
    delivery: int
    token: object = None


class Sink(Protocol):
    """Where chunks are put: all that `enqueue` needs of a queue."""

    async def put(self, id: str, body: bytes) -> None:  # noqa: A002 - it is one
        """Queue a chunk, for good when this returns; one that is queued under this *id* already stays as it is.

        *id* is the chunk's `name`, `BATCH/ID`.
        """
        ...  # pragma: no cover


class Chunks(Sink, Protocol):
    """A queue that hands each chunk to one worker at a time, and hands it out again if that one is lost.

    Whoever has a lease must renew it within `lease_seconds`, or another gets the chunk as well. That does no
    harm: its rows go out under the same keys. What the engine cannot do raises `Unreachable`.
    """

    lease_seconds: float

    async def lease(self, wait: float) -> Lease | None:
        """Take the next chunk, and wait for one for up to *wait* seconds; None if there was none."""
        ...  # pragma: no cover

    async def renew(self, lease: Lease) -> bool:
        """Keep a chunk for another `lease_seconds`; False if it is ours no more."""
        ...  # pragma: no cover

    async def ack(self, lease: Lease) -> None:
        """Tell that the chunk is done."""
        ...  # pragma: no cover

    async def release(self, lease: Lease, after: float) -> None:
        """Give the chunk back, to be handed out again *after* so many seconds, as if we had never had it."""
        ...  # pragma: no cover

    async def bury(self, lease: Lease) -> None:
        """Take the chunk out of the queue for good: it can never succeed. Its record tells of it."""
        ...  # pragma: no cover

    async def left(self) -> int:
        """Tell how many chunks are queued or with a worker."""
        ...  # pragma: no cover


class Unreachable(Exception):
    """The engine does not answer or refuses what is asked: the text says what to do."""
