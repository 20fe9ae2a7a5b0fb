"""Records: the one place where it is written down what became of a batch, chunk by chunk."""

from collections.abc import AsyncIterator
from typing import Protocol, TypeAlias

Revision: TypeAlias = int
"""Of which writing a value is; 0 is that of a name that was never written."""


class Records(Protocol):
    """Small documents by name, `BATCH/ID`, each written only over the revision that was read.

    What the store cannot do raises `chunks.Unreachable`. What `write` has said True to outlives the store's restart.
    """

    async def read(self, batch: str, name: str) -> tuple[bytes | None, Revision]:
        """Read the document of a *batch* with this *name*, and its revision; None and 0 if there is none."""
        ...  # pragma: no cover

    async def write(self, batch: str, name: str, value: bytes, revision: Revision) -> bool:
        """Write *value* if the document still is of this *revision*; False if another has written meanwhile."""
        ...  # pragma: no cover

    def scan(self, batch: str) -> AsyncIterator[tuple[str, bytes]]:
        """Read all documents of a *batch*, in no order; one that is written meanwhile comes old or new."""
        ...  # pragma: no cover
