"""Shared by the tests of fleets: chunks, a service that counts requests, and their records."""

from collections import Counter
from collections.abc import Iterable
from typing import Any, TypeVar

import anyio.lowlevel
from attrs import define, field

from msgapi import Call, Invalid, Ok, Result
from msgapi.codec import Problems
from msgapi.fleet import Chunk, ChunkRecord, ChunkRow, MemoryRecordStore, make_row
from msgapi.fleet.chunk import load_record
from msgapi.journal import State
from msgapi.messages import Accepted
from tests.support.journals import PRICE, message

T = TypeVar("T")
UNFIT = ChunkRow(id="unfit", invalid=Invalid(message="no such number"))


def row(number: int, text: str = "Hi", key: str | None = None) -> ChunkRow:
    made = make_row(f"{number}", message(number, text))
    return ChunkRow(id=made.id, key=key, body=made.body)


def chunk(count: int = 10, name: str = "000001", *more: ChunkRow) -> Chunk:
    return Chunk(batch="b", id=name, rows=(*map(row, range(count)), *more))


@define
class Counted:
    """An api that accepts each key once and replays it; *instead* has other answers by their turn, from 1."""

    instead: dict[int, Result[Any]] = field(factory=dict)
    asked: int = 0
    keys: Counter[str | None] = field(factory=Counter)

    async def __call__(self, call: Call[T], /) -> Result[T]:
        await anyio.lowlevel.checkpoint()
        if call.invalid is not None:
            return call.invalid
        self.asked += 1
        instead = self.instead.get(self.asked)
        if instead is not None:
            return instead
        self.keys[call.idempotency_key] += 1
        value: Any = Accepted(message_id=f"msg_{call.idempotency_key}", billing=PRICE)
        return Ok(value)


async def record_of(records: MemoryRecordStore, name: str = "000001") -> ChunkRecord:
    value, _ = await records.read("b", name)
    assert value is not None
    record = load_record(value)
    assert not isinstance(record, Problems)
    return record


def states(record: ChunkRecord) -> dict[str, State]:
    return {found.id: State(found.state) for found in record.rows}


def all_of(state: State, names: Iterable[object]) -> dict[str, State]:
    return {f"{name}": state for name in names}
