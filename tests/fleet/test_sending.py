"""fleet.send_chunk: each row of a chunk is sent once, and its result is recorded."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.lowlevel
import pytest
from attrs import define, evolve, field

from msgapi import (
    Call,
    Detail,
    Forbidden,
    InsufficientBalance,
    Invalid,
    NotFound,
    NotSent,
    Ok,
    Pace,
    Result,
    Unanswered,
    Unauthorized,
    Unavailable,
)
from msgapi.batch import Outcome, Stopped
from msgapi.clock import VirtualClock
from msgapi.codec import to_json
from msgapi.fleet import (
    Chunk,
    Manifest,
    MemoryChunkQueue,
    MemoryRecordStore,
    Revision,
    Unreachable,
    collect,
    enqueue,
    send_chunk,
)
from msgapi.fleet.chunk import ChunkDocument, ChunkRecord, RowRecord, load_record, merge_row
from msgapi.fleet.chunk_journal import MAX_ATTEMPTS, ChunkJournal, EarlierRows, begin_chunk
from msgapi.journal import CHANGED, REPEATED, UNKNOWN, State, key_of
from msgapi.messages import Accepted
from msgapi.ratelimit import LocalSharedRate
from msgapi.results import ApiError, Meta, Unreadable
from tests.support.fleet_chunks import UNFIT, Counted, all_of, chunk, record_of, row, states
from tests.support.journals import HOUR

T = TypeVar("T")
pytestmark = pytest.mark.anyio
ALONE = Pace()


async def began(records: MemoryRecordStore, times: int, **changes: Any) -> None:  # noqa: ANN401 - those of ChunkRecord
    """Have *times* workers begin the chunk and die of it."""

    async def api(call: Call[T], /) -> Result[T]:
        raise KeyError(call.path)

    for _ in range(times):
        with pytest.raises(KeyError):
            _ = await send_chunk(chunk(), api, ALONE, records=records)
    record = await record_of(records)
    _, revision = await records.read("b", "000001")
    assert await records.write("b", "000001", evolve(record, **changes).dump(), revision)


async def test_a_chunk_is_sent_under_derived_keys_and_its_results_are_recorded() -> None:
    api, records, clock = Counted(), MemoryRecordStore(), VirtualClock()
    told: list[Outcome[Accepted]] = []
    sent = await send_chunk(
        chunk(10, "000001", UNFIT).dump(), api, ALONE, records=records, on_outcome=told.append, clock=clock
    )
    assert (sent.batch, sent.id, sent.done, sent.rows_left, sent.stopped, sent.invalid) == (
        "b",
        "000001",
        True,
        0,
        None,
        None,
    )
    assert api.keys == {key_of("b", f"{number}"): 1 for number in range(10)}
    record = await record_of(records)
    assert (record.stage, sent.rows, len(told)) == ("done", record.rows, 11)
    assert states(record) == all_of(State.ACCEPTED, range(10)) | {"unfit": State.INVALID}
    found = next(found for found in record.rows if found.id == "3")
    assert (found.started, found.key, found.price, found.message_id) == (
        clock.time(), None, "0.07", f"msg_{key_of('b', '3')}",
    )  # fmt: skip


async def test_a_chunk_that_is_delivered_again_is_not_sent_again() -> None:
    api, records = Counted(), MemoryRecordStore()
    for _ in range(3):
        sent = await send_chunk(chunk(10, "000001", UNFIT), api, ALONE, records=records)
        assert (sent.done, api.asked, len(sent.rows)) == (True, 10, 11)
    record = await record_of(records)
    assert (record.attempts, record.stage) == (1, "done")


async def test_a_row_with_a_key_of_its_own_is_sent_under_it() -> None:
    api, records = Counted(), MemoryRecordStore()
    one = Chunk(batch="b", id="000001", rows=(row(1, key="own"),))
    _ = await send_chunk(one, api, ALONE, records=records)
    assert api.keys == {"own": 1}
    assert [found.key for found in (await record_of(records)).rows] == ["own"]


async def test_a_row_is_recorded_before_it_leaves() -> None:
    records, clock = MemoryRecordStore(), VirtualClock()

    async def api(call: Call[T], /) -> Result[T]:
        record = await record_of(records)
        assert call.idempotency_key in {key_of("b", found.id) for found in record.rows}
        assert {(found.state, found.started) for found in record.rows} == {(State.STARTED, clock.time())}
        assert (record.stage, record.attempts) == ("begun", 1)
        return NotFound()

    sent = await send_chunk(chunk(), api, ALONE, records=records, clock=clock, concurrency=3)
    assert sent.done
    assert states(await record_of(records)) == all_of(State.REFUSED, range(10))


async def test_a_malformed_chunk_is_invalid_and_nothing_is_written() -> None:
    sent = await send_chunk(b"{}", Counted(), ALONE, records=MemoryRecordStore(unreachable=True))
    assert (sent.done, sent.batch) == (False, "")
    assert sent.invalid


async def test_a_402_pauses_all_workers_and_rows_not_sent_are_not_recorded() -> None:
    broke = InsufficientBalance(code="insufficient_balance")
    api, records, quota = Counted({4: broke}), MemoryRecordStore(), LocalSharedRate(VirtualClock())
    pace = Pace(shared=quota)
    sent = await send_chunk(chunk(), api, pace, records=records, concurrency=1)
    assert (sent.done, sent.stopped, sent.rows_left) == (False, Stopped("balance", broke), 7)
    assert await quota.paused() == to_json(broke)
    record = await record_of(records)
    assert (record.stage, record.attempts, record.excused_attempts) == ("begun", 1, 1)
    assert states(record) == all_of(State.ACCEPTED, range(3)) | {"3": State.NOT_SENT}
    again = await send_chunk(chunk(), api, pace, records=records)
    assert (again.stopped, again.rows_left, api.asked) == (Stopped("balance", broke), 10, 4)
    await quota.resume()
    assert (await send_chunk(chunk(), api, pace, records=records)).done
    assert api.keys == {key_of("b", f"{number}"): 1 for number in range(10)}


@define
class Slow:
    """An api that takes ten seconds for each row."""

    clock: VirtualClock
    inner: Counted = field(factory=Counted)

    async def __call__(self, call: Call[T], /) -> Result[T]:
        await self.clock.sleep(10)
        return await self.inner(call)


async def test_a_pause_by_another_worker_stops_sending() -> None:
    clock, records = VirtualClock(), MemoryRecordStore()
    quota = LocalSharedRate(clock)
    api = Slow(clock)

    async def pauses() -> None:
        await clock.sleep(15)
        await quota.pause(b"not an error")

    async with clock.autojump(), anyio.create_task_group() as tasks:
        _ = tasks.start_soon(pauses)
        sent = await send_chunk(chunk(), api, Pace(shared=quota), records=records, concurrency=1, clock=clock)
    assert (sent.rows_left, api.inner.asked, await quota.paused()) == (8, 2, b"not an error")
    assert sent.stopped == Stopped(
        "balance", InsufficientBalance(message="all clients that use this API key are paused")
    )


async def test_sending_stops_once_only_while_is_false() -> None:
    clock, records = VirtualClock(), MemoryRecordStore()
    api = Slow(clock)
    async with clock.autojump():
        sent = await send_chunk(
            chunk(), api, ALONE, records=records, concurrency=1, only_while=lambda: clock.now() < 15, clock=clock
        )
    assert (sent.done, sent.stopped, sent.rows_left, api.inner.asked) == (False, Stopped("asked"), 8, 2)
    assert (await record_of(records)).excused_attempts == 1


async def test_rows_that_wait_out_an_outage_are_given_up_once_only_while_is_false() -> None:
    clock, records = VirtualClock(), MemoryRecordStore()

    async def api(call: Call[T], /) -> Result[T]:
        await clock.sleep(0.1)
        return NotSent(call.path)

    async with clock.autojump():
        sent = await send_chunk(chunk(2), api, ALONE, records=records, only_while=lambda: clock.now() < 2, clock=clock)
    assert (sent.stopped, sent.rows_left) == (Stopped("asked"), 2)
    assert clock.now() < 4
    assert states(await record_of(records)) == all_of(State.NOT_SENT, range(2))


async def test_sending_of_a_chunk_stops_after_half_an_hour() -> None:
    clock, records = VirtualClock(), MemoryRecordStore()

    async def api(call: Call[T], /) -> Result[T]:
        await clock.sleep(1000)
        return await Counted()(call)

    async with clock.autojump():
        sent = await send_chunk(chunk(), api, ALONE, records=records, concurrency=1, clock=clock)
    assert (sent.stopped, sent.rows_left) == (Stopped("asked"), 8)


@pytest.mark.parametrize(
    ("error", "reason", "asked"),
    [
        (Unauthorized(), "unauthorized", 1),
        (Forbidden(code="agent_not_approved"), "refusals", 3),
        (NotSent("no way there"), "outage", 20),
    ],
)
async def test_what_stops_a_batch_stops_a_chunk_and_excuses_the_attempt(
    error: ApiError, reason: str, asked: int
) -> None:
    clock, records, seen = VirtualClock(), MemoryRecordStore(), 0

    async def api(call: Call[T], /) -> Result[T]:
        nonlocal seen
        await anyio.lowlevel.checkpoint()
        seen += call.path != ""
        return error

    async with clock.autojump():
        sent = await send_chunk(
            chunk(), api, ALONE, records=records, concurrency=1, breaker=3, outage_timeout=30, clock=clock
        )
    assert sent.stopped
    assert (sent.done, sent.stopped.reason, sent.stopped.error) == (False, reason, error)
    assert seen <= asked
    assert ((await record_of(records)).excused_attempts, (await record_of(records)).attempts) == (1, 1)


async def test_a_row_of_unknown_outcome_is_sent_again_for_a_day_and_then_reported() -> None:
    api, records, clock = Counted({1: Unanswered("cut")}), MemoryRecordStore(), VirtualClock()
    sent = await send_chunk(chunk(1), api, ALONE, records=records, outage_timeout=0, clock=clock)
    assert (sent.done, sent.stopped, sent.rows_left) == (False, None, 1)
    clock.advance(22 * HOUR)
    api.instead[2] = Unanswered("cut")
    assert (await send_chunk(chunk(1), api, ALONE, records=records, outage_timeout=0, clock=clock)).rows_left == 1
    clock.advance(2 * HOUR)
    told: list[Outcome[Accepted]] = []
    sent = await send_chunk(chunk(1), api, ALONE, records=records, clock=clock, on_outcome=told.append)
    assert (sent.done, api.asked) == (True, 2)
    assert [outcome.result.code for outcome in told if not isinstance(outcome.result, Ok)] == [UNKNOWN]
    assert states(await record_of(records)) == {"0": State.UNKNOWN}


async def collected(records: MemoryRecordStore, clock: VirtualClock, path: Path, **options: Any) -> None:  # noqa: ANN401 - those of `collect`
    manifest = Manifest(batch="b", source="s", rows=10)
    _ = await enqueue([], manifest, queue=MemoryChunkQueue(), records=records, clock=clock)
    assert await collect(records, "b", str(path), clock=clock, **options) is not None


@pytest.mark.parametrize("hours", [22, 24])
async def test_after_a_takeover_rows_are_sent_only_while_their_keys_are_remembered(tmp_path: Path, hours: int) -> None:
    broke = InsufficientBalance()
    api, records, clock = Counted({2: Unanswered("cut"), 3: broke}), MemoryRecordStore(), VirtualClock()
    clock.advance(50 * HOUR)
    first = await send_chunk(chunk(4), api, ALONE, records=records, concurrency=1, outage_timeout=0, clock=clock)
    assert (first.rows_left, api.asked) == (3, 3)
    for _ in range(2):  # that it is collected again makes nothing younger
        await collected(records, clock, tmp_path / "j")
        clock.advance(hours / 2 * HOUR)
    told: list[Outcome[Accepted]] = []
    for _ in range(2):
        last = await send_chunk(chunk(4), api, ALONE, records=records, clock=clock, on_outcome=told.append)
        assert last.done
    found = states(await record_of(records))
    if hours == 22:
        assert (api.asked, found) == (6, all_of(State.ACCEPTED, range(4)))
        return
    doubtful = {"1": State.UNKNOWN, "2": State.STARTED, "3": State.STARTED}
    assert (api.asked, found) == (3, {"0": State.ACCEPTED} | doubtful)
    assert [getattr(outcome.result, "code", None) for outcome in told] == [UNKNOWN] * 6


async def test_a_row_of_unknown_outcome_is_as_old_as_the_takeover(tmp_path: Path) -> None:
    api, records, clock = Counted({1: Unanswered("cut")}), MemoryRecordStore(), VirtualClock()
    await collected(records, clock, tmp_path / "j")
    clock.advance(22 * HOUR)
    assert (await send_chunk(chunk(1), api, ALONE, records=records, outage_timeout=0, clock=clock)).rows_left == 1
    clock.advance(2 * HOUR)
    assert (await send_chunk(chunk(1), api, ALONE, records=records, clock=clock)).done
    assert (api.asked, states(await record_of(records))) == (1, {"0": State.UNKNOWN})


async def test_a_batch_that_was_only_read_or_is_young_is_not_taken_over(tmp_path: Path) -> None:
    api, records, clock = Counted(), MemoryRecordStore(), VirtualClock()
    await collected(records, clock, tmp_path / "j", only_read=True)
    clock.advance(1_000 * HOUR)
    assert (await send_chunk(chunk(4), api, ALONE, records=records, clock=clock)).done
    assert api.asked == 4
    records, queue = MemoryRecordStore(), MemoryChunkQueue(clock)
    await enqueued(records, queue, clock)
    lease = await queue.lease(0)
    assert lease is not None
    reads: list[str] = []

    class Watched:
        def __getattr__(self, name: str) -> object:
            return getattr(records, name)

        async def read(self, batch: str, name: str) -> tuple[bytes | None, Revision]:
            reads.append(name)
            return await records.read(batch, name)

    watched: Any = Watched()
    clock.advance(22 * HOUR)
    assert (await send_chunk(lease.body, api, ALONE, records=watched, clock=clock)).done
    assert set(reads) == {"000000", "accepted"}


async def enqueued(records: MemoryRecordStore, queue: MemoryChunkQueue, clock: VirtualClock) -> None:
    manifest = Manifest(batch="may", source="s", rows=4)
    _ = await enqueue(map(row, range(4)), manifest, queue=queue, records=records, clock=clock)


async def test_what_is_queued_later_is_as_old_as_its_batch(tmp_path: Path) -> None:
    api, records, clock, queue = Counted(), MemoryRecordStore(), VirtualClock(), MemoryChunkQueue()
    queue.unreachable = True
    with pytest.raises(Unreachable):
        await enqueued(records, queue, clock)
    assert await collect(records, "may", str(tmp_path / "j"), clock=clock) is not None
    clock.advance(24 * HOUR)
    queue.unreachable = False
    await enqueued(records, queue, clock)
    lease = await queue.lease(0)
    assert lease is not None
    assert (await send_chunk(lease.body, api, ALONE, records=records, clock=clock)).done
    assert api.asked == 0


async def test_a_row_of_unknown_outcome_stays_unknown_after_a_401() -> None:
    api, records = Counted({1: Unanswered("cut"), 2: Unauthorized()}), MemoryRecordStore()
    for _ in range(2):
        _ = await send_chunk(chunk(1), api, ALONE, records=records, outage_timeout=0)
    assert states(await record_of(records)) == {"0": State.UNKNOWN}


async def test_a_changed_row_and_a_repeated_id_are_refused() -> None:
    api, records = Counted(), MemoryRecordStore()
    _ = await send_chunk(chunk(2), api, ALONE, records=records)
    told: list[Outcome[Accepted]] = []
    other = Chunk(batch="b", id="000001", rows=(row(0, "Ho"), row(1), row(2), row(2, "Ho")))
    sent = await send_chunk(other, api, ALONE, records=records, on_outcome=told.append)
    codes = {outcome.id: outcome.result.code for outcome in told if not isinstance(outcome.result, Ok)}
    assert (sent.done, api.asked, codes) == (True, 3, {"0": CHANGED, "2": REPEATED})
    assert states(await record_of(records)) == all_of(State.ACCEPTED, range(3))


async def test_an_invalid_row_that_is_corrected_is_new() -> None:
    api, records = Counted(), MemoryRecordStore()
    mended = evolve(row(1), id="unfit")
    _ = await send_chunk(Chunk(batch="b", id="000001", rows=(UNFIT,)), api, ALONE, records=records)
    _ = await send_chunk(Chunk(batch="b", id="000001", rows=(mended,)), api, ALONE, records=records)
    assert states(await record_of(records)) == {"unfit": State.ACCEPTED}
    _ = await send_chunk(Chunk(batch="b", id="000001", rows=(UNFIT,)), api, ALONE, records=records)
    assert states(await record_of(records)) == {"unfit": State.ACCEPTED}


async def test_a_chunk_that_is_never_finished_is_buried_and_can_be_revived() -> None:
    api, records = Counted(), MemoryRecordStore()
    await began(records, MAX_ATTEMPTS)
    sent = await send_chunk(chunk(), api, ALONE, records=records)
    assert sent.invalid
    assert ("begun 5 times" in sent.invalid.reason, sent.done, api.asked) == (True, False, 0)
    record = await record_of(records)
    assert (record.stage, record.reason, states(record)["0"]) == ("buried", sent.invalid.reason, State.STARTED)
    assert (await send_chunk(chunk(), api, ALONE, records=records)).invalid == sent.invalid
    _, revision = await records.read("b", "000001")
    assert await records.write("b", "000001", record.revived.dump(), revision)
    assert (await send_chunk(chunk(), api, ALONE, records=records)).done


async def test_a_chunk_whose_workers_are_cancelled_is_not_buried() -> None:
    api, records = Counted(), MemoryRecordStore()

    async def hangs(call: Call[T], /) -> Result[T]:
        await anyio.sleep_forever()
        raise KeyError(call.path)

    for _ in range(MAX_ATTEMPTS + 1):
        async with anyio.create_task_group() as tasks:
            _ = tasks.start_soon(lambda: send_chunk(chunk(), hangs, ALONE, records=records, concurrency=4))
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
    record = await record_of(records)
    assert (record.attempts, record.excused_attempts) == (MAX_ATTEMPTS + 1, MAX_ATTEMPTS + 1)
    assert states(record) == all_of(State.STARTED, range(4))
    assert (await send_chunk(chunk(), api, ALONE, records=records)).done


async def test_an_exception_of_the_client_is_raised_and_earlier_results_are_kept() -> None:
    api, records = Counted(), MemoryRecordStore()

    async def raises(call: Call[T], /) -> Result[T]:
        if api.asked == 3:
            raise KeyError(call.path)
        return await api(call)

    with pytest.raises(KeyError):
        _ = await send_chunk(chunk(), raises, ALONE, records=records, concurrency=1)
    record = await record_of(records)
    assert states(record) == all_of(State.ACCEPTED, range(3)) | {"3": State.STARTED}
    assert (record.attempts, record.excused_attempts) == (1, 0)


async def test_a_number_out_of_range_is_refused() -> None:
    records = MemoryRecordStore()
    with pytest.raises(ValueError, match="concurrency"):
        _ = await send_chunk(chunk(), Counted(), ALONE, records=records, concurrency=0)


async def test_an_unreadable_record_is_not_changed() -> None:
    api, records = Counted(), MemoryRecordStore()
    for broken in (b"?", ChunkRecord(id="1", rows=(RowRecord(id="0", request_hash="??"),)).dump(),
                   ChunkRecord(id="1", rows=(RowRecord(id="0", request_hash="00", state=99),)).dump()):  # fmt: skip
        _, revision = await records.read("b", "000001")
        assert await records.write("b", "000001", broken, revision)
        sent = await send_chunk(chunk(), api, ALONE, records=records)
        assert sent.invalid
        assert "record cannot be read" in sent.invalid.reason
        assert ((await records.read("b", "000001"))[0], api.asked) == (broken, 0)


@define
class Meddled:
    """Records in which something happens before a write."""

    inner: MemoryRecordStore
    before: Any
    writes: int = 0

    async def read(self, batch: str, name: str) -> tuple[bytes | None, Revision]:
        return await self.inner.read(batch, name)

    async def write(self, batch: str, name: str, value: bytes, revision: Revision) -> bool:
        self.writes += 1
        await self.before(self.writes)
        return await self.inner.write(batch, name, value, revision)

    def scan(self, batch: str) -> AsyncIterator[tuple[str, bytes]]:
        return self.inner.scan(batch)


async def test_two_workers_with_one_chunk_keep_each_others_results() -> None:
    api, records = Counted({1: NotFound()}), MemoryRecordStore()

    async def meanwhile(write: int) -> None:
        if write in {1, 3}:
            _ = await send_chunk(chunk(write), Counted({2: Unauthorized()}), ALONE, records=records, concurrency=1)

    sent = await send_chunk(chunk(4), api, ALONE, records=Meddled(records, meanwhile), concurrency=1)
    assert sent.done
    assert states(await record_of(records)) == all_of(State.ACCEPTED, range(4))


async def test_a_row_that_another_worker_may_still_send_has_an_unknown_outcome() -> None:
    records = MemoryRecordStore()

    async def dies(call: Call[T], /) -> Result[T]:
        raise KeyError(call.path)

    async def api(call: Call[T], /) -> Result[T]:
        assert call.path
        with pytest.raises(KeyError):
            _ = await send_chunk(chunk(2), dies, ALONE, records=records, concurrency=1)
        return Unauthorized()

    sent = await send_chunk(chunk(2), api, ALONE, records=records, concurrency=1)
    assert (sent.rows_left, states(await record_of(records))) == (2, all_of(State.STARTED, range(2)))


async def test_a_chunk_is_buried_although_another_worker_writes_meanwhile() -> None:
    records = MemoryRecordStore()
    await began(records, MAX_ATTEMPTS)

    async def meanwhile(write: int) -> None:
        if write == 1:
            await began(records, 0, reason="?")

    assert (await send_chunk(chunk(), Counted(), ALONE, records=Meddled(records, meanwhile))).invalid
    assert (await record_of(records)).stage == "buried"


async def test_a_record_that_a_later_version_has_written_is_not_changed() -> None:
    records = MemoryRecordStore()

    async def api(call: Call[T], /) -> Result[T]:
        _, revision = await records.read("b", "000001")
        assert await records.write("b", "000001", b"later", revision)
        return await Counted()(call)

    sent = await send_chunk(chunk(1), api, ALONE, records=records)
    assert (sent.rows_left, sent.done, (await records.read("b", "000001"))[0]) == (1, False, b"later")


async def test_a_store_that_is_unreachable_at_the_end_is_waited_for() -> None:
    clock, records = VirtualClock(), MemoryRecordStore()

    async def api(call: Call[T], /) -> Result[T]:
        records.unreachable = True
        return await Counted()(call)

    async def comes_back() -> None:
        await clock.sleep(20)
        records.unreachable = False

    async with clock.autojump(), anyio.create_task_group() as tasks:
        _ = tasks.start_soon(comes_back)
        sent = await send_chunk(chunk(), api, ALONE, records=records, clock=clock)
    assert sent.done
    assert states(await record_of(records)) == all_of(State.ACCEPTED, range(10))


async def test_a_store_that_stays_unreachable_raises_and_the_outcomes_are_unknown() -> None:
    clock, records = VirtualClock(), MemoryRecordStore(unreachable=True)
    with pytest.raises(Unreachable):
        _ = await send_chunk(chunk(), Counted(), ALONE, records=records, clock=clock)
    records.unreachable = False

    async def api(call: Call[T], /) -> Result[T]:
        records.unreachable = True
        return await Counted()(call)

    async with clock.autojump():
        with pytest.raises(Unreachable) as raised:
            _ = await send_chunk(chunk(), api, ALONE, records=records, clock=clock)
    assert "not in the record" in raised.value.__notes__[0]
    assert 50 < clock.now() < 70
    records.unreachable = False
    assert states(await record_of(records)) == all_of(State.STARTED, range(10))


async def test_an_unknown_outcome_is_withdrawn_only_by_the_worker_that_was_alone() -> None:
    started, held = RowRecord(id="1", request_hash="00"), RowRecord(id="1", request_hash="00", state=State.NOT_SENT)
    assert merge_row(started, None, started, alone=True) is None
    assert merge_row(started, None, started, alone=False) == started
    assert merge_row(started, held, started, alone=True) == held
    assert merge_row(started, held, started, alone=False) == started
    assert merge_row(started, held, None, alone=False) == held
    assert not isinstance(load_record(ChunkRecord(id="1", rows=(held,)).dump()), Unavailable)


PAGE = NotFound(code="http_404", meta=Meta(status=404), from_service=False)
LOGIN = Unreadable(meta=Meta(status=200), from_service=False)
NO_RCS = NotFound(code="not_rcs_capable", meta=Meta(status=404))


@pytest.mark.parametrize(("page", "state"), [(PAGE, State.NOT_SENT), (LOGIN, State.UNKNOWN)])
async def test_answers_that_are_not_the_services_stop_a_chunk_and_settle_no_row(page: ApiError, state: State) -> None:
    clock, records, api = VirtualClock(), MemoryRecordStore(), Counted(dict.fromkeys(range(1, 11), page))
    first = await send_chunk(chunk(30), api, ALONE, records=records, concurrency=1, clock=clock)
    assert (first.done, first.stopped, first.rows_left) == (False, Stopped("foreign", page), 30)
    found = await record_of(records)
    assert (found.excused_attempts, set(states(found).values())) == (1, {state})
    second = await send_chunk(chunk(30), api, ALONE, records=records, clock=clock)
    assert (second.done, second.stopped) == (True, None)
    assert (set(api.keys.values()), len(api.keys)) == ({1}, 30)


async def test_one_refusal_of_every_row_stops_a_chunk_of_which_nothing_was_accepted() -> None:
    records, refused = MemoryRecordStore(), Counted(dict.fromkeys(range(1, 100), NO_RCS))
    sent = await send_chunk(chunk(60), refused, ALONE, records=records, concurrency=1, clock=VirtualClock())
    assert (sent.stopped, sent.rows_left) == (Stopped("refusals", NO_RCS), 35)


async def test_a_row_that_was_accepted_earlier_shows_that_a_chunk_is_not_refused_as_a_whole() -> None:
    records, clock = MemoryRecordStore(), VirtualClock()
    some = Counted(dict.fromkeys(range(2, 100), NotSent("no route")))
    _ = await send_chunk(chunk(60), some, ALONE, records=records, concurrency=1, outage_timeout=0, clock=clock)
    refused = Counted(dict.fromkeys(range(1, 100), NO_RCS))
    sent = await send_chunk(chunk(60), refused, ALONE, records=records, concurrency=1, clock=clock)
    assert (sent.done, sent.stopped) == (True, None)
    assert refused.asked == 59


async def test_a_call_without_an_id_is_known_by_its_content_in_a_chunk_too() -> None:
    loaded, records = chunk(2), MemoryRecordStore()
    document = ChunkDocument(loaded.batch, loaded.id, records)
    found = await begin_chunk(loaded, document, 0.0, earlier=EarlierRows(accepted=False))
    assert isinstance(found, ChunkJournal)
    first, second = (one.call for one in loaded.rows)
    assert found.row_id(first) == found.row_id(first.under("another"))
    assert found.row_id(first) != found.row_id(second)


async def test_refusals_count_over_the_chunks_of_a_batch_however_small_they_are() -> None:
    records, refused, clock = MemoryRecordStore(), Counted(dict.fromkeys(range(1, 1000), NO_RCS)), VirtualClock()
    stops = list[Stopped | None]()
    for number in range(12):
        made = chunk(4, f"{number:06}")
        sent = await send_chunk(made, refused, ALONE, records=records, concurrency=1, clock=clock)
        stops.append(sent.stopped)
    assert stops == [None] * 6 + [Stopped("refusals", NO_RCS)] * 6
    assert refused.asked == 6 * 4 + 6  # from then on one row of each chunk shows whether it is still so
    accepted = Counted({})
    assert (await send_chunk(made, accepted, ALONE, records=records, clock=clock)).done
    later = await send_chunk(chunk(40, "000020"), refused, ALONE, records=records, concurrency=1, clock=clock)
    assert (later.done, later.stopped) == (True, None)


async def test_a_row_that_another_worker_had_accepted_keeps_refusals_from_stopping_a_chunk() -> None:
    records, refused, clock = MemoryRecordStore(), Counted(dict.fromkeys(range(1, 1000), NO_RCS)), VirtualClock()
    _ = await send_chunk(chunk(1, "000000"), Counted({}), ALONE, records=records, breaker=None, clock=clock)
    assert await records.read(chunk(1).batch, "accepted") == (None, 0)  # without a breaker it is not looked for
    sent = await send_chunk(chunk(40, "000001"), refused, ALONE, records=records, concurrency=1, clock=clock)
    assert (sent.done, sent.stopped) == (True, None)
    assert (await records.read(chunk(1).batch, "accepted"))[0] == b"1"


async def test_invalid_rows_with_different_details_do_not_count_together() -> None:
    records, clock = MemoryRecordStore(), VirtualClock()
    wrong = Invalid(details=(Detail("content", "is wrong"),), meta=Meta(status=400))
    refused = Counted(dict.fromkeys(range(1, 1000), wrong))
    for number in range(20):
        sent = await send_chunk(chunk(2, f"{number:06}"), refused, ALONE, records=records, concurrency=1, clock=clock)
        assert (sent.done, sent.stopped) == (True, None)


async def test_a_lone_chunk_stops_at_the_tenth_foreign_answer_and_is_never_buried_for_them() -> None:
    records, clock = MemoryRecordStore(), VirtualClock()
    api, made = Counted(dict.fromkeys(range(1, 13), PAGE)), chunk(1)
    sent = [await send_chunk(made, api, ALONE, records=records, clock=clock) for _ in range(12)]
    assert [one.stopped for one in sent] == [None] * 9 + [Stopped("foreign", PAGE)] * 3
    assert all(one.invalid is None for one in sent)
    assert (await send_chunk(made, api, ALONE, records=records, clock=clock)).done
    assert (await record_of(records)).foreign_answers == 0
