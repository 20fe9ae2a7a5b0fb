"""Entries: what became of the rows of one chunk, as one document that workers write and reports read.

Rules:
- It is written before the first row leaves, with the time, and again when they have settled. So a worker that
  dies leaves behind that its rows are in doubt, and since when.
- Two workers may have had the chunk: of two findings about one row the weightier stays, and doubt is
  taken back only by whoever had it.
- Which row goes out again, and which does not, is decided as the journal of a local batch decides.
"""

from typing import Literal, TypeAlias, final

from attrs import astuple, evolve, frozen

from ..codec import Problems, dump, load
from ..journal import State
from ..journal.verdicts import PRECEDENCE
from ..results import Detail

Stage: TypeAlias = Literal["begun", "done", "buried"]


@final
@frozen(kw_only=True)
class Found:
    """What became of the row of this *id*, with the facts that a journal keeps; *mark* is the hash of its request.

    *mark* is in hex, *state* the number of a `journal.State`, *started* Unix time; *key* is there only if it is not the
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
    """What became of a chunk, row by row; *why* tells why it was buried, if it was.

    *begun* is how often a worker has begun it, *excused* how often one has handed it back for a reason
    that was not the chunk's own.
    """

    id: str
    stage: Stage = "begun"
    rows: tuple[Found, ...] = ()
    why: str | None = None
    begun: int = 0
    excused: int = 0

    @property
    def revived(self) -> "ChunkRecord":
        """The same, with nothing held against the chunk: for one that was buried and is to be tried again."""
        return evolve(self, stage="begun", why=None, excused=self.begun)

    def dump(self) -> bytes:
        """Write it as JSON."""
        return dump(self)


def load_record(body: bytes) -> ChunkRecord | Problems:
    """Read what `ChunkRecord.dump` has written."""
    record = load(body, ChunkRecord)
    if isinstance(record, Problems) or all(_sound(found) for found in record.rows):
        return record
    return Problems((Detail("rows", "must have a state and a mark that are known"),))


def _sound(found: Found) -> bool:
    try:
        return bool(bytes.fromhex(found.mark)) and State(found.state) in State
    except ValueError:
        return False


def settled(before: Found | None, after: Found | None, current: Found | None, *, alone: bool) -> Found | None:
    """Tell what a record says of a row that it had as *current*, when it went from *before* to *after* with us.

    *alone* is whether nobody else has begun the chunk since: else another may be sending the row, and what
    we know of no doubt about says nothing of that one's.
    """
    if current is None or (alone and current == before):
        return after
    return current if after is None else weightier(after, current)


def weightier(one: Found, other: Found) -> Found:
    """Of two findings about one row, take the one that says more; of two in doubt, the one with the older key."""
    return max(one, other, key=_weight)


def _weight(found: Found) -> tuple[int, float, str]:
    return PRECEDENCE.index(State(found.state)), -found.started, repr(astuple(found))
