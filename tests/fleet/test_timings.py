"""The timings of chunks: what workers record of an attempt, and the history that is made of them."""

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msgapi import Forbidden, Meta, Ok, Pace, VirtualClock, journal
from msgapi.fleet import ChunkRecord, MemoryRecordStore, collect, enqueue, send_chunk
from msgapi.fleet.chunk import ChunkDocument, ChunkTiming, InvalidChunk, SlowRow, load_record
from msgapi.fleet.chunk_journal import EarlierRows, begin_chunk
from msgapi.fleet.timings import AttemptTimer, FleetHistory
from msgapi.journal import State
from msgapi.journal.timeline import MOST_BUCKETS, SLOTS, RunHistory
from msgapi.messages import Accepted
from tests.fleet.test_batches import MANY, Put, rows
from tests.support.fleet_chunks import Counted, chunk, record_of
from tests.support.journals import PRICE

BEGAN = 1_000_000.0


def accepted(elapsed: float = 0.1, attempts: int = 1) -> Ok[Accepted]:
    return Ok(Accepted(message_id="msg_1", billing=PRICE), meta=Meta(attempts=attempts, elapsed=elapsed))


def test_an_attempt_adds_up_its_rows_and_keeps_the_slowest() -> None:
    timer = AttemptTimer(2, BEGAN)
    assert timer.timing() is None
    for number in range(9):
        timer.add(f"{number}", State.ACCEPTED, accepted(elapsed=1 + number % 5), BEGAN + number)
    timer.add("r", State.REFUSED, Forbidden(code="no", meta=Meta(attempts=2, elapsed=9.0)), BEGAN + 3)
    timer.add("u", State.NOT_SENT, Forbidden(code="x"), BEGAN - 5)
    timing = timer.timing()
    assert timing is not None
    assert (timing.attempt, timing.began, timing.ended) == (2, BEGAN, BEGAN + 8)
    assert (timing.accepted, timing.refused, timing.unknown, timing.not_sent) == (9, 1, 0, 1)
    assert timing.spend == 9 * Decimal("0.07")
    assert sum(timing.answers) == 10
    slowest = [(one.id, one.elapsed, one.attempts, one.kind, one.code) for one in timing.slowest]
    assert slowest == [("r", 9.0, 2, "Forbidden", "no"), ("4", 5.0, 1, "Accepted", ""), ("3", 4.0, 1, "Accepted", "")]


def test_rows_without_an_answer_have_no_duration() -> None:
    timer = AttemptTimer(1, BEGAN)
    timer.add("1", State.NOT_SENT, Forbidden(code="x"), BEGAN)
    timing = timer.timing()
    assert timing is not None
    assert (timing.answers, timing.slowest) == ((), ())


def history_of(*timings: ChunkTiming) -> RunHistory:
    collected = FleetHistory()
    for one in timings:
        collected.add([one])
    history = collected.history()
    assert history is not None
    return history


def test_a_fleet_without_timings_has_no_history() -> None:
    assert FleetHistory().history() is None


def test_the_rows_of_a_chunk_count_evenly_over_its_attempt() -> None:
    slow = tuple(SlowRow(id=f"{number}", at=BEGAN, elapsed=float(number), kind="Accepted") for number in range(3))
    one = ChunkTiming(attempt=1, began=BEGAN, ended=BEGAN + 1, accepted=10, refused=1, spend=Decimal("0.70"))
    two = ChunkTiming(attempt=1, began=BEGAN + 0.5, ended=BEGAN + 0.5, unknown=3, answers=(0, 3), slowest=slow)
    history = history_of(one, two)
    assert (history.number, history.began, history.ended, history.width) == (0, BEGAN, BEGAN + 1, 0.25)
    assert [(b.number, b.accepted, b.refused, b.unknown) for b in history.buckets] == [
        (0, 2, 0, 0),
        (1, 3, 0, 0),
        (2, 2, 0, 3),
        (3, 3, 1, 0),
        (4, 0, 0, 0),
    ]
    assert sum((b.spend for b in history.buckets), Decimal(0)) == Decimal("0.70")
    assert (sum(history.answers), len(history.answers)) == (3, SLOTS)
    assert [(row.id, row.is_slow) for row in history.notable] == [("0", True), ("1", True), ("2", True)]


@given(
    st.lists(
        st.tuples(st.floats(0, 1e6), st.floats(0, 1e4), st.integers(0, 200), st.integers(0, 20)),
        min_size=1,
        max_size=20,
    )
)
@settings(max_examples=50, deadline=None)
def test_no_row_is_lost_and_the_buckets_are_bounded(chunks: list[tuple[float, float, int, int]]) -> None:
    timings = [
        ChunkTiming(
            attempt=1, began=BEGAN + at, ended=BEGAN + at + length, accepted=one, refused=two, spend=Decimal(one)
        )
        for at, length, one, two in chunks
    ]
    history = history_of(*timings)
    assert sum(bucket.accepted for bucket in history.buckets) == sum(one.accepted for one in timings)
    assert sum(bucket.refused for bucket in history.buckets) == sum(one.refused for one in timings)
    assert sum(bucket.spend for bucket in history.buckets) == sum(one.spend for one in timings)
    assert all(0 <= bucket.number < MOST_BUCKETS for bucket in history.buckets)
    assert all(min(bucket.accepted, bucket.refused) >= 0 for bucket in history.buckets)


@pytest.mark.anyio
async def test_a_worker_records_the_timing_of_each_attempt() -> None:
    records, clock = MemoryRecordStore(), VirtualClock(BEGAN)
    service = Counted({4: Forbidden(code="no", meta=Meta(status=403))})
    assert (await send_chunk(chunk(10), service, Pace(), records=records, clock=clock)).done
    record = await record_of(records)
    (timing,) = record.timings
    assert (timing.attempt, timing.accepted, timing.refused) == (1, 9, 1)
    assert load_record(record.dump()) == record


@pytest.mark.anyio
async def test_closing_a_chunk_twice_records_its_timing_once() -> None:
    records, clock = MemoryRecordStore(), VirtualClock(BEGAN)
    document = ChunkDocument("b", "000001", records)
    book = await begin_chunk(chunk(2), document, BEGAN, earlier=EarlierRows(accepted=False), clock=clock)
    assert not isinstance(book, InvalidChunk)
    _ = await book.begin([("0", chunk(1).rows[0].call)])
    clock.advance(2)
    book.settle("0", accepted())
    first, _ = await book.close(None)
    second, _ = await book.close(None)
    assert first == second
    assert [(one.began, one.ended, one.accepted) for one in second.timings] == [(BEGAN, BEGAN + 2, 1)]


@pytest.mark.anyio
async def test_the_collected_journal_has_what_the_workers_have_done(tmp_path: Path) -> None:
    records, path = MemoryRecordStore(), str(tmp_path / "may.journal")
    _ = await enqueue(rows(4), MANY, queue=Put(), records=records)
    timing = ChunkTiming(attempt=1, began=BEGAN, ended=BEGAN + 1, accepted=4)
    document = ChunkRecord(id="000000", stage="done", timings=(timing,))
    assert await records.write("may", document.id, document.dump(), 0)
    for _ in range(2):
        assert await collect(records, "may", path) is not None
    with journal.open_readonly(path) as record:
        (history,) = record.runs()
        assert record.run_count == 0
    assert (history.number, sum(bucket.accepted for bucket in history.buckets)) == (0, 4)
