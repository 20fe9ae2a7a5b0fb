"""Entries: what became of the rows of one chunk, as one document that workers write and reports read.

Rules:
- It is written before the first row leaves, with the time, and again when they have settled. So a worker that
  dies leaves behind that its rows are in doubt, and since when.
- Two workers may have had the chunk: of two findings about one row the weightier stays, and doubt is
  taken back only by whoever had it.
- Which row goes out again, and which does not, is decided as the journal of a local batch decides.
"""

from typing import Literal, TypeAlias, final

from attrs import astuple, frozen

from ..codec import Problems, dump, load
from ..journal import State
from ..journal.entries import WEIGHTS

Stage: TypeAlias = Literal["begun", "done", "buried"]


@final
@frozen(kw_only=True)
class Found:
    """What became of the row of this *id*, with the facts that a journal keeps; *mark* is the hash of its request.

    *state* is the number of a `journal.State`, *started* Unix time; *key* is there only if it is not the
    one that derives from the batch and the row.
    """

    id: str
    mark: str
    state: int = State.STARTED.value
    started: float = 0.0
    key: str | None = None
    kind: str | None = None
    code: str | None = None
    status: int | None = None
    message: str | None = None
    message_id: str | None = None
    unit: str | None = None
    price: str | None = None
    hold: str | None = None


@final
@frozen(kw_only=True)
class ChunkRecord:
    """What became of a chunk, row by row; *why* tells why it was buried, if it was."""

    id: str
    stage: Stage = "begun"
    rows: tuple[Found, ...] = ()
    why: str | None = None

    def dump(self) -> bytes:
        """Write it as JSON."""
        return dump(self)


def load_record(body: bytes) -> ChunkRecord | Problems:
    """Read what `ChunkRecord.dump` has written."""
    return load(body, ChunkRecord)


def settled(before: Found, after: Found, current: Found) -> Found:
    """Tell what a record says of a row that it had as *current*, when it went from *before* to *after* with us."""
    return after if current == before else weightier(after, current)


def weightier(one: Found, other: Found) -> Found:
    """Of two findings about one row, take the one that says more; of two in doubt, the one with the older key."""
    return max(one, other, key=_weight)


def _weight(found: Found) -> tuple[int, float, str]:
    return WEIGHTS.index(State(found.state)), -found.started, repr(astuple(found))
