"""Chunks: about a hundred rows of a batch with their idempotency keys, as a queue carries them.

Rules:
- The body of each request is fixed here to the byte, so that every worker sends the same request under the same key.
- A row that is invalid before it is sent is part of its chunk, with its error: each row ends in one record.
"""

from typing import Final, final

import orjson
from attrs import field, frozen

from ..calls import Call
from ..codec import Problems, dump, from_plain
from ..messages import Accepted
from ..messages.calls import ROUTE
from ..redact import hidden
from ..results import Invalid

DEFAULT_CHUNK_ROWS: Final = 100
"""Rows in a chunk: a lost worker leaves this many to send again, and two writes of a record serve this many."""

_VERSION: Final = 1


@final
@frozen(kw_only=True)
class ChunkRow:
    """One row: its *id* in the batch, the JSON *body* that is sent and its idempotency key; or why it is *invalid*.

    A *key* of None is the one that `journal.key_of` derives from the batch and the id.
    """

    id: str
    key: str | None = field(default=None, repr=hidden)
    body: str = field(default="", repr=hidden)
    invalid: Invalid | None = None

    @property
    def call(self) -> Call[Accepted]:
        """The call that sends the row; that of an invalid row returns its error and is never sent."""
        body = None if self.invalid is not None else self.body.encode()
        return Call("POST", ROUTE, Accepted, (), body, self.key, invalid=self.invalid)


@final
@frozen(kw_only=True)
class Chunk:
    """Rows of one *batch*, which was begun at the Unix time *created_at*.

    *id* names the chunk in its batch, and is the same each time it is queued.
    """

    batch: str
    id: str
    rows: tuple[ChunkRow, ...]
    created_at: float = 0.0
    version: int = _VERSION

    @property
    def name(self) -> str:
        """The id of the chunk in a queue, which may hold several batches: `BATCH/ID`."""
        return f"{self.batch}/{self.id}"

    def dump(self) -> bytes:
        """Return the chunk as JSON, as a queue carries it; `load_chunk` reads it."""
        return dump(self)


@final
@frozen
class InvalidChunk:
    """A chunk that no worker can send; *reason* is one line that quotes nothing of it."""

    reason: str


def make_row(id: str, call: Call[Accepted]) -> ChunkRow:  # noqa: A002 - it is an id
    """Return the row with this *id* that sends *call*, which `messages.send` made; else raise ValueError."""
    if call.invalid is not None:
        return ChunkRow(id=id, key=call.idempotency_key, invalid=call.invalid)
    if (call.method, call.target) != ("POST", ROUTE) or call.body is None:
        raise ValueError(f"a chunk holds calls that send messages, not {call!r}")
    return ChunkRow(id=id, key=call.idempotency_key, body=call.body.decode())


def load_chunk(body: bytes) -> Chunk | InvalidChunk:
    """Read a chunk from a queue; return `InvalidChunk` if it is malformed or of another version."""
    try:
        value: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        return InvalidChunk("it is not JSON")
    version = value.get("version", _VERSION) if isinstance(value, dict) else _VERSION
    if version != _VERSION:
        return InvalidChunk("it is of another version of msgapi-sdk")
    chunk = from_plain(value, Chunk)
    if isinstance(chunk, Problems):
        return InvalidChunk(f"{chunk}")
    if not chunk.batch or not chunk.id or not all(row.id and (row.invalid or row.body) for row in chunk.rows):
        return InvalidChunk("a name or a body is missing")
    return chunk
