"""Chunk: about a hundred rows of a batch with their keys, as they travel.

Rules:
- What goes out is fixed here to the byte, so that every worker sends the same request under the same key.
- A row that was refused before it was sent travels too, with what is wrong: each row ends in one record.
"""

from typing import Final, final

import orjson
from attrs import field, frozen

from ..calls import Call
from ..codec import Problems, dump, read
from ..messages import Accepted
from ..messages.calls import ROUTE
from ..redact import hidden
from ..results import Invalid

SIZE: Final = 100
"""Rows in a chunk: a worker that dies has so many to send again, and two writings of a record pay for so many."""

_VERSION: Final = 1


@final
@frozen(kw_only=True)
class Row:
    """One row: its *id* in the batch, the JSON that is sent, under which key; or what is wrong with it."""

    id: str
    key: str | None = field(default=None, repr=hidden)
    body: str = field(default="", repr=hidden)
    invalid: Invalid | None = None

    @property
    def call(self) -> Call[Accepted]:
        """The call that sends it; one that is *invalid* comes to that and is never sent."""
        body = None if self.invalid is not None else self.body.encode()
        return Call("POST", ROUTE, Accepted, (), body, self.key, invalid=self.invalid)


@final
@frozen(kw_only=True)
class Chunk:
    """Rows of one *batch*, begun *at* this Unix time; *id* names the chunk in it, the same each time it is queued."""

    batch: str
    id: str
    rows: tuple[Row, ...]
    at: float = 0.0
    version: int = _VERSION

    @property
    def name(self) -> str:
        """What the chunk is called in the engine, where there may be other batches: `BATCH/ID`."""
        return f"{self.batch}/{self.id}"

    def dump(self) -> bytes:
        """Write it as JSON, as the engine carries it."""
        return dump(self)


@final
@frozen
class Unfit:
    """A chunk that nobody can send: *why*, in one line that quotes nothing of it."""

    why: str


def row_of(name: str, call: Call[Accepted]) -> Row:
    """Make a row of a *call* to `messages.send`."""
    if call.invalid is not None:
        return Row(id=name, key=call.idempotency_key, invalid=call.invalid)
    if (call.method, call.target) != ("POST", ROUTE) or call.body is None:
        raise ValueError(f"a chunk holds calls that send messages, not {call!r}")
    return Row(id=name, key=call.idempotency_key, body=call.body.decode())


def load(body: bytes) -> Chunk | Unfit:
    """Read a chunk that came from an engine; what is none, or is of a later version, is `Unfit`."""
    try:
        value: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        return Unfit("it is not JSON")
    version = value.get("version", _VERSION) if isinstance(value, dict) else _VERSION
    if version != _VERSION:
        return Unfit("it is of another version of msgapi-sdk")
    chunk = read(value, Chunk)
    if isinstance(chunk, Problems):
        return Unfit(f"{chunk}")
    if not chunk.batch or not chunk.id or not all(row.id and (row.invalid or row.body) for row in chunk.rows):
        return Unfit("a name or a body is missing")
    return chunk
