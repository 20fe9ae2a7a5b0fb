"""fleet.batches: what is queued on a fleet, and the journal that is collected from it."""

from collections.abc import AsyncIterator, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from attrs import define, evolve, field

from msgapi import VirtualClock, journal
from msgapi.fleet import (
    ChunkRecord,
    ChunkRow,
    FleetConflict,
    Manifest,
    MemoryChunkQueue,
    MemoryRecordStore,
    RowRecord,
    Unreachable,
    collect,
    enqueue,
    make_row,
)
from msgapi.fleet.batches import is_valid_name, read_manifest, record_progress, split_rows
from msgapi.fleet.chunk import Chunk, load_chunk
from msgapi.journal import State, Unusable
from msgapi.journal.resumption import request_digest
from tests.support.journals import Service, message, opened, sent

pytestmark = pytest.mark.anyio
MANY = Manifest(batch="may", source="abc", rows=1_000, about={"rows": "1000"}, rows_per_chunk=10)


def rows(count: int) -> Iterator[ChunkRow]:
    return (make_row(f"{at}", message(at)) for at in range(count))


@define
class Put:
    """A queue that only takes chunks, and is away from the n-th on."""

    away_from: int = 10**9
    lease_seconds: float = 30.0
    taken: dict[str, bytes] = field(factory=dict)
    calls: int = 0

    async def put(self, id: str, body: bytes) -> None:  # noqa: A002 - it is one
        self.calls += 1
        if self.calls > self.away_from:
            raise Unreachable("it is away")
        _ = self.taken.setdefault(id, body)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - what a queue has besides
        raise AssertionError(name)

    def rows(self) -> list[str]:
        chunks = [load_chunk(body) for _, body in sorted(self.taken.items())]
        assert all(isinstance(chunk, Chunk) for chunk in chunks)
        return [row.id for chunk in chunks if isinstance(chunk, Chunk) for row in chunk.rows]


@pytest.mark.parametrize(
    ("name", "fits"),
    [
        ("may", True),
        ("2026-05.all_A", True),
        ("x" * 64, True),
        ("x" * 65, False),
        ("", False),
        (".x", False),
        ("-x", False),
        ("a/b", False),
        ("a b", False),
        ("ü", False),
        ("a\n", False),
    ],
)
def test_a_valid_name_has_characters_that_every_backend_accepts(name: str, fits: bool) -> None:
    assert is_valid_name(name) is fits


async def test_each_row_is_in_one_chunk_and_the_manifest_counts_all_chunks() -> None:
    queue, records, told = Put(), MemoryRecordStore(), list[int]()
    done = await enqueue(
        rows(1_000),
        MANY,
        queue=queue,
        records=records,
        on_progress=lambda manifest: told.append(manifest.chunks_queued),
    )
    assert queue.rows() == [f"{at}" for at in range(1_000)]
    assert sorted(queue.taken)[:2] == ["may/000000", "may/000001"]
    assert (done.chunks_queued, done.chunks_total, told) == (100, 100, [32, 64, 96, 100])
    assert await read_manifest(records, "may") == done


async def test_a_later_run_resumes_where_the_queue_was_unreachable() -> None:
    queue, records = Put(away_from=40), MemoryRecordStore()
    with pytest.raises(Unreachable, match="it is away"):
        _ = await enqueue(rows(1_000), MANY, queue=queue, records=records)
    half = await read_manifest(records, "may")
    assert half is not None
    assert (half.chunks_queued, half.chunks_total) == (32, None)
    queue.away_from, queue.calls = 10**9, 0
    done = await enqueue(rows(1_000), MANY, queue=queue, records=records)
    assert queue.calls == 100 - 32
    assert queue.rows() == [f"{at}" for at in range(1_000)]
    assert (done.chunks_queued, done.chunks_total) == (100, 100)
    queue.calls = 0
    assert await enqueue(rows(1_000), MANY, queue=queue, records=records) == done
    assert queue.calls == 0


async def test_a_run_that_was_killed_between_two_writes_can_be_resumed() -> None:
    queue, records = Put(), MemoryRecordStore()
    done = await enqueue(rows(640), MANY, queue=queue, records=records)
    value, revision = await records.read("may", "manifest")
    assert value is not None
    assert await records.write("may", "manifest", value.replace(b'"chunks":64', b'"chunks":null'), revision)
    assert await enqueue(rows(640), MANY, queue=queue, records=records) == done


async def test_other_rows_under_the_same_name_are_refused() -> None:
    records = MemoryRecordStore()
    _ = await enqueue(rows(5), MANY, queue=Put(), records=records)
    queue = Put()
    with pytest.raises(FleetConflict, match="the batch may is of other rows"):
        _ = await enqueue(rows(5), evolve(MANY, source="other"), queue=queue, records=records)
    assert not queue.taken
    with pytest.raises(ValueError, match="a batch is named by"):
        _ = await enqueue(rows(5), evolve(MANY, batch="a/b"), queue=queue, records=records)


@pytest.mark.parametrize("value", [b"{}", b"x", b'{"batch":"may","source":"abc","rows":1,"version":2}'])
async def test_a_manifest_of_another_version_is_a_conflict(value: bytes) -> None:
    records = MemoryRecordStore()
    assert await records.write("may", "manifest", value, 0)
    with pytest.raises(FleetConflict, match="another version"):
        _ = await read_manifest(records, "may")


async def test_chunks_are_cut_by_rows_and_bytes_and_the_same_each_time() -> None:
    manifest = evolve(MANY, rows_per_chunk=10, bytes_per_chunk=1_000)
    long = [
        evolve(row, body="x" * length) for row, length in zip(rows(8), [10, 990, 10, 5_000, 1, 1, 1, 1], strict=True)
    ]
    found = [[row.id for row in chunk.rows] for chunk in split_rows(long, manifest)]
    assert found == [["0"], ["1"], ["2"], ["3"], ["4", "5", "6", "7"]]
    assert [chunk.id for chunk in split_rows(rows(25), evolve(MANY, rows_per_chunk=10))] == [
        "000000",
        "000001",
        "000002",
    ]
    assert not list(split_rows([], manifest))


@define
class Racing:
    """Records in which another writes before every second writing."""

    records: MemoryRecordStore
    turn: int = 0

    async def read(self, batch: str, name: str) -> tuple[bytes | None, int]:
        return await self.records.read(batch, name)

    async def write(self, batch: str, name: str, value: bytes, revision: int) -> bool:
        self.turn += 1
        if self.turn % 2:
            there, now = await self.records.read(batch, name)
            _ = await self.records.write(batch, name, there or value, now)
        return await self.records.write(batch, name, value, revision)

    def scan(self, batch: str) -> AsyncIterator[tuple[str, bytes]]:
        return self.records.scan(batch)


async def test_two_producers_of_one_batch_keep_each_others_progress() -> None:
    records = Racing(MemoryRecordStore())
    queue = Put()
    done = await enqueue(rows(1_000), MANY, queue=queue, records=records)
    assert (done.chunks_queued, done.chunks_total) == (100, 100)
    assert await record_progress(records, evolve(MANY, chunks_queued=3)) == done


async def test_a_deleted_manifest_is_written_again() -> None:
    records = MemoryRecordStore()
    assert await record_progress(records, evolve(MANY, chunks_queued=3)) == evolve(MANY, chunks_queued=3)


def finding(at: int, state: State, **facts: Any) -> RowRecord:  # noqa: ANN401 - the fields of what was found
    return RowRecord(
        id=f"{at}", request_hash=request_digest(message(at)).hex(), state=int(state), started=1_800_000_000.0, **facts
    )


async def recorded(records: MemoryRecordStore, *documents: ChunkRecord) -> None:
    for document in documents:
        assert await records.write("may", document.id, document.dump(), 0)


ACCEPTED: dict[str, Any] = {"kind": "Accepted", "status": 202, "message_id": "msg_1", "price": "0.07", "hold": "0.08"}
FORBIDDEN: dict[str, Any] = {"kind": "Forbidden", "status": 403, "code": "forbidden", "message": "no"}


async def test_the_records_are_collected_as_a_journal(tmp_path: Path) -> None:
    records, path = MemoryRecordStore(), str(tmp_path / "may.journal")
    manifest = evolve(MANY, rows_per_chunk=2, about={"rows": "7"})
    _ = await enqueue(rows(7), manifest, queue=Put(), records=records)
    await recorded(
        records,
        ChunkRecord(
            id="000000",
            stage="done",
            rows=(finding(0, State.ACCEPTED, **ACCEPTED), finding(1, State.REFUSED, **FORBIDDEN)),
        ),
        ChunkRecord(id="000001", rows=(finding(2, State.STARTED), finding(3, State.STARTED))),
        ChunkRecord(id="000002", stage="buried", reason="it was handed out 6 times", rows=(finding(4, State.STARTED),)),
    )
    found = await collect(records, "may", path)
    assert found is not None
    assert (found.done, found.begun, found.buried) == (1, 1, {"000002": "it was handed out 6 times"})
    assert (found.manifest.chunks_total, found.unreadable) == (4, [])
    with journal.open_readonly(path) as record:
        assert dict(record.about).items() >= {"batch": "may", "rows": "7"}.items()
        states = {line.id: line.state for line in record.rows()}
        assert f"{record.summary().price} {record.summary().hold}" == "0.07 0.08"
    started = dict.fromkeys(["2", "3", "4"], State.STARTED)
    assert states == {"0": State.ACCEPTED, "1": State.REFUSED} | started


async def test_a_local_batch_resumes_from_a_collected_journal(tmp_path: Path) -> None:
    records, path, api = MemoryRecordStore(), str(tmp_path / "run.db"), Service()
    _ = await enqueue(rows(4), evolve(MANY, batch="b1"), queue=Put(), records=records)
    rest = ChunkRecord(
        id="000000",
        stage="done",
        rows=(finding(0, State.ACCEPTED, **ACCEPTED), finding(1, State.STARTED), finding(2, State.NOT_SENT)),
    )
    assert await records.write("b1", "000000", rest.dump(), 0)
    assert await collect(records, "b1", path, clock=VirtualClock()) is not None
    async with opened(tmp_path) as record:
        _ = await sent(api, ((f"{at}", message(at)) for at in range(4)), record)
    assert set(api.keys) == {journal.key_of("b1", f"{at}") for at in (1, 2, 3)}


async def test_many_rows_are_collected_in_groups(tmp_path: Path) -> None:
    records = MemoryRecordStore()
    _ = await enqueue(rows(10), MANY, queue=Put(), records=records)
    all_rows = (finding(at, State.ACCEPTED, **ACCEPTED) for at in range(12_000))
    for number in range(3):
        await recorded(records, ChunkRecord(id=f"{number}", stage="done", rows=tuple(islice(all_rows, 4_000))))
    assert await collect(records, "may", str(tmp_path / "j")) is not None
    with journal.open_readonly(str(tmp_path / "j")) as record:
        assert record.summary().rows(State.ACCEPTED) == 12_000


async def test_an_unreadable_record_is_listed_and_the_others_are_counted(tmp_path: Path) -> None:
    records = MemoryRecordStore()
    _ = await enqueue(rows(4), MANY, queue=Put(), records=records)
    await recorded(
        records,
        ChunkRecord(id="a", rows=(evolve(finding(0, State.ACCEPTED), request_hash="xyz"),)),
        ChunkRecord(id="b", rows=(evolve(finding(1, State.ACCEPTED), state=77),)),
        ChunkRecord(id="d", stage="buried", rows=(finding(3, State.ACCEPTED, **ACCEPTED),)),
    )
    assert await records.write("may", "c", b"{", 0)
    found = await collect(records, "may", str(tmp_path / "j"))
    assert found is not None
    assert (sorted(found.unreadable), found.buried) == (["a", "b", "c"], {"d": "no reason is recorded"})
    with journal.open_readonly(str(tmp_path / "j")) as record:
        assert [line.id for line in record.rows()] == ["3"]


@define
class Listed:
    """Records that are listed by an iterator that is no generator."""

    records: MemoryRecordStore

    async def read(self, batch: str, name: str) -> tuple[bytes | None, int]:
        return await self.records.read(batch, name)

    async def write(self, batch: str, name: str, value: bytes, revision: int) -> bool:
        return await self.records.write(batch, name, value, revision)

    def scan(self, batch: str) -> AsyncIterator[tuple[str, bytes]]:
        return _Listing(self.records.scan(batch))


@define
class _Listing:
    inner: AsyncIterator[tuple[str, bytes]]

    def __aiter__(self) -> AsyncIterator[tuple[str, bytes]]:
        return self

    async def __anext__(self) -> tuple[str, bytes]:
        return await anext(self.inner)


async def test_a_scan_may_return_any_async_iterator(tmp_path: Path) -> None:
    records = Listed(MemoryRecordStore())
    _ = await enqueue(rows(4), MANY, queue=Put(), records=records)
    assert await collect(records, "may", str(tmp_path / "j")) is not None


async def test_collecting_an_unknown_batch_leaves_no_file(tmp_path: Path) -> None:
    assert await collect(MemoryRecordStore(), "june", str(tmp_path / "j")) is None
    assert not (tmp_path / "j").exists()


async def test_a_journal_of_another_batch_is_not_overwritten(tmp_path: Path) -> None:
    records = MemoryRecordStore()
    _ = await enqueue(rows(4), MANY, queue=MemoryChunkQueue(), records=records)
    async with opened(tmp_path):
        pass
    with pytest.raises(Unusable, match="is of the batch b1, not of may"):
        _ = await collect(records, "may", str(tmp_path / "run.db"))


async def test_the_size_of_a_chunk_is_in_bytes_and_not_in_characters() -> None:
    rows = [ChunkRow(id=f"{at}", body='{"text":"' + 2_600 * "\N{GRINNING FACE}" + '"}') for at in range(100)]
    sink, records = MemoryChunkQueue(), MemoryRecordStore()
    done = await enqueue(rows, Manifest(batch="b", source="s", rows=100), queue=sink, records=records)
    sizes = [len(lease.body) for _ in range(done.chunks_total or 0) if (lease := await sink.lease(0)) is not None]
    assert len(sizes) == done.chunks_total
    assert max(sizes) < 512 << 10
