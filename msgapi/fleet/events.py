"""Events: what a worker reports of its chunks and rows while it works."""

from typing import Literal, TypeAlias, final

from attrs import frozen

from ..batch import Outcome, Stopped
from ..messages import Accepted
from .sending import ChunkResult

Disposition: TypeAlias = Literal["done", "released", "buried", "lost"]
"""How a worker gives up a chunk.

`done`: each row is settled, and the chunk is removed from the queue. `released`: it is returned to the queue, to be
delivered again. `buried`: it can never succeed, and is removed from the queue. `lost`: the lease expired, and another
worker may have the chunk.
"""


@final
@frozen
class ChunkLeased:
    """The worker has taken a *chunk*; *delivery* is the number of the delivery, from 1."""

    chunk: str
    delivery: int


@final
@frozen
class RowFinished:
    """A row of a *chunk* has an *outcome*."""

    chunk: str
    outcome: Outcome[Accepted]


@final
@frozen
class ChunkFinished:
    """The worker has given up a *chunk*, with this *result*."""

    chunk: str
    disposition: Disposition
    result: ChunkResult


@final
@frozen
class BackendUnreachable:
    """The backend or the shared rate does not answer, and the worker waits for it; *reason* is one line."""

    reason: str


@final
@frozen
class Paused:
    """All workers of the key are paused because the balance is used up, and this one waits for a top-up."""

    stopped: Stopped


@final
@frozen
class Resumed:
    """The balance was topped up, and the workers send again."""


Event: TypeAlias = ChunkLeased | RowFinished | ChunkFinished | BackendUnreachable | Paused | Resumed
"""What `work` passes to *on_event*."""
