"""Takeover: since when the rows of a batch may have been sent by a local batch instead of the workers.

Rules:
- A local batch can be resumed with the collected journal, and what it sends is not recorded on the fleet.
- It sends under the same keys. While the service surely remembers those, it is harmless that a worker sends a row as
  well. After that the outcome of the row is unknown, and the user decides.
"""

from typing import Final

from ...journal import REMEMBERED
from ..backend import RecordStore
from ..chunk import Chunk

NAME: Final = "journal"
"""The name of the document that holds the time of the first collection."""


async def record_takeover(records: RecordStore, batch: str, now: float) -> None:
    """Record that a journal of *batch* is collected at the Unix time *now*; do nothing if one was collected before."""
    _ = await records.write(batch, NAME, f"{now}".encode(), 0)


async def takeover_time(records: RecordStore, chunk: Chunk, now: float) -> float | None:
    """Return the Unix time from which a local batch may have sent the rows of *chunk*.

    Return None if there was no takeover, or if at the Unix time *now* the service still remembers the keys.
    """
    if now - chunk.created_at <= REMEMBERED:
        return None
    value, _ = await records.read(chunk.batch, NAME)
    at = now if value is None else float(value)
    return at if now - at > REMEMBERED else None
