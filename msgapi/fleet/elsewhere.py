"""Elsewhere: since when the rows of a batch may have been sent by others than its workers.

Rules:
- A local batch goes on with the journal that was collected, and nobody tells the fleet what that one sends.
- It sends under the same keys. So for as long as the service surely remembers those, it does no harm that a worker
  sends the row as well; after that it is for the user to decide.
"""

from typing import Final

from ..journal import REMEMBERED
from .chunk import Chunk
from .records import Records

NAME: Final = "journal"
"""The record that tells when a journal of the batch was first collected."""


async def noted(records: Records, batch: str, now: float) -> None:
    """Write down that a journal of *batch* is collected at the Unix time *now*, unless one was before."""
    _ = await records.write(batch, NAME, f"{now}".encode(), 0)


async def since(records: Records, chunk: Chunk, now: float) -> float | None:
    """Tell the Unix time from which on others may have sent the rows of *chunk*; None if their keys are known still."""
    if now - chunk.at <= REMEMBERED:
        return None
    value, _ = await records.read(chunk.batch, NAME)
    at = now if value is None else float(value)
    return at if now - at > REMEMBERED else None
