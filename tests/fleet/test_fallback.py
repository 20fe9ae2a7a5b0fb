"""A fleet with fallbacks: a chunk carries all legs, and its record says at which one a row is before that leaves."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.lowlevel
import pytest
from attrs import define, evolve, field
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule, run_state_machine_as_test

from msgapi import Call, Forbidden, Meta, NotFound, NotSent, Ok, Pace, Result, Unprocessable, VirtualClock, journal
from msgapi import fallback as fallbacks
from msgapi.codec import Problems
from msgapi.fallback import Fallback, leg_key
from msgapi.fleet import (
    Chunk,
    ChunkRecord,
    ChunkRow,
    InvalidChunk,
    Manifest,
    MemoryRecordStore,
    Revision,
    RowRecord,
    Unreachable,
    collect,
    make_row,
    send_chunk,
)
from msgapi.fleet.batches import begin_batch
from msgapi.fleet.chunk import ChunkDocument, load_chunk, load_record, merge_row
from msgapi.fleet.chunk_journal import EarlierRows, begin_chunk
from msgapi.journal import State, key_of
from msgapi.messages import Accepted
from tests.batch.test_fallback import both, is_mail, mail
from tests.batch.test_fallback_states import ADDRESSES, FallbackRow, Reach
from tests.fleet.test_states import SCHEDULES, Fleets
from tests.support.batch_calls import BACKENDS
from tests.support.fleet_chunks import record_of
from tests.support.journals import PRICE, message

T = TypeVar("T")
pytestmark = pytest.mark.anyio
ALONE = Pace()
NO_RCS = NotFound(code="not_rcs_capable", meta=Meta(status=404, attempts=1))


def row(number: int) -> ChunkRow:
    return evolve(make_row(f"{number}", both(number)), key=None)


def chunk(count: int = 1) -> Chunk:
    return Chunk(batch="b", id="000001", rows=tuple(map(row, range(count))))


@define
class Service:
    """An api that answers RCS with 404 and accepts email; *before* is awaited before each answer."""

    before: Callable[[Call[Any]], Awaitable[None]] | None = None
    rcs: Result[Any] = NO_RCS
    email: Result[Any] = field(factory=lambda: Ok(Accepted(message_id="msg_1", billing=PRICE)))
    calls: list[Call[Any]] = field(factory=list)

    async def __call__(self, call: Call[T], /) -> Result[T]:
        await anyio.lowlevel.checkpoint()
        if call.invalid is not None:
            return call.invalid
        self.calls.append(call)
        if self.before is not None:
            await self.before(call)
        result: Result[T] = self.email if is_mail(call) else self.rcs
        return result

    @property
    def channels(self) -> str:
        return "".join("m" if is_mail(call) else "r" for call in self.calls)


def legs(record: ChunkRecord) -> list[tuple[State, int]]:
    return [(State(found.state), found.leg) for found in record.rows]


def test_a_row_is_byte_for_byte_the_same_fallback_after_transport() -> None:
    value = fallbacks.chain(message(1), mail(1), mail(2), when=(Unprocessable, NotFound))
    made = make_row("1", value)
    loaded = load_chunk(Chunk(batch="b", id="1", rows=(made,)).dump())
    assert isinstance(loaded, Chunk)
    found = loaded.rows[0].call
    assert isinstance(found, Fallback)
    assert found.legs == value.legs
    assert found.when == (NotFound, Unprocessable)
    assert made.size == sum(len(leg.body or b"") for leg in value.legs) + 1


def test_an_invalid_leg_makes_an_invalid_row() -> None:
    made = make_row("1", fallbacks.chain(message(1), mail(1), message(1, "")))
    assert made.invalid is not None
    assert [detail.field for detail in made.invalid.details] == ["fallback[2].content.text"]
    assert not isinstance(made.call, Fallback)


def test_what_a_chunk_cannot_carry_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="a chunk cannot carry a function"):
        _ = make_row("1", both(1, when=lambda error: error.code == "x"))
    with pytest.raises(ValueError, match="a chunk holds calls that send messages"):
        _ = make_row("1", fallbacks.chain(message(1), Call("GET", "/v1/messages", Accepted)))


@pytest.mark.parametrize(
    "change",
    [
        lambda row: evolve(row, when=()),
        lambda row: evolve(row, others=()),
        lambda row: evolve(row, others=("",)),
        lambda row: evolve(row, when=("Conflict",)),
    ],
)
def test_a_row_with_a_malformed_fallback_makes_the_chunk_invalid(change: Callable[[ChunkRow], ChunkRow]) -> None:
    assert isinstance(load_chunk(evolve(chunk(), rows=(change(row(1)),)).dump()), InvalidChunk)


async def test_the_next_leg_is_on_record_before_it_leaves() -> None:
    records, seen = MemoryRecordStore(), list[list[tuple[State, int]]]()

    async def look(_: Call[Any]) -> None:
        seen.append(legs(await record_of(records)))

    api = Service(look)
    sent = await send_chunk(chunk(), api, ALONE, records=records, clock=VirtualClock())
    assert sent.done
    assert seen == [[(State.STARTED, 1)], [(State.STARTED, 2)]]
    assert legs(await record_of(records)) == [(State.ACCEPTED, 2)]
    assert [call.idempotency_key for call in api.calls] == [key_of("b", "0"), leg_key(key_of("b", "0"), 2)]
    again = await send_chunk(chunk(), api, ALONE, records=records, clock=VirtualClock())
    assert (again.done, api.channels) == (True, "rm")


async def test_rows_that_advance_at_once_share_a_write() -> None:
    @define
    class Counting:
        store: MemoryRecordStore = field(factory=MemoryRecordStore)
        writes: int = 0

        async def read(self, batch: str, name: str) -> tuple[bytes | None, Revision]:
            return await self.store.read(batch, name)

        async def write(self, batch: str, name: str, value: bytes, revision: Revision) -> bool:
            self.writes += 1
            await anyio.lowlevel.checkpoint()
            return await self.store.write(batch, name, value, revision)

        def scan(self, batch: str) -> Any:  # noqa: ANN401
            return self.store.scan(batch)

    records = Counting()
    sent = await send_chunk(chunk(60), Service(), ALONE, records=records, concurrency=60, clock=VirtualClock())
    assert sent.done
    assert records.writes < 30


async def test_a_worker_sends_no_further_leg_of_a_chunk_that_another_has_begun() -> None:
    records, clock = MemoryRecordStore(), VirtualClock()
    other = Service()

    async def overtake(_: Call[Any]) -> None:
        api.before = None
        assert (await send_chunk(chunk(), other, ALONE, records=records, clock=clock)).done

    api = Service(overtake)
    sent = await send_chunk(chunk(), api, ALONE, records=records, clock=clock)
    assert (api.channels, other.channels) == ("r", "rm")
    assert (sent.done, sent.stopped is not None and sent.stopped.reason) == (True, "asked")
    assert legs(await record_of(records)) == [(State.ACCEPTED, 2)]


async def test_a_worker_that_is_overtaken_while_the_other_sends_leaves_the_row_to_it() -> None:
    records, clock = MemoryRecordStore(), VirtualClock()

    async def overtake(_: Call[Any]) -> None:
        document = ChunkDocument("b", "000001", records)
        assert not isinstance(
            await begin_chunk(chunk(), document, clock.time(), earlier=EarlierRows(accepted=False)), InvalidChunk
        )

    api = Service(overtake)
    sent = await send_chunk(chunk(), api, ALONE, records=records, clock=clock)
    assert (api.channels, sent.done, sent.rows_left) == ("r", False, 1)
    assert legs(await record_of(records)) == [(State.STARTED, 1)]


async def test_a_record_that_cannot_be_read_any_more_lets_no_further_leg_out() -> None:
    records = MemoryRecordStore()

    async def damage(__: Call[Any]) -> None:
        _, revision = await records.read("b", "000001")
        assert await records.write("b", "000001", b"?", revision)

    api = Service(damage)
    sent = await send_chunk(chunk(), api, ALONE, records=records, clock=VirtualClock())
    assert (api.channels, sent.done) == ("r", False)


@define
class Failing:
    """A store whose write of the second leg has *failures*: other revisions, or errors."""

    failures: list[bool | Exception]
    store: MemoryRecordStore = field(factory=MemoryRecordStore)

    async def read(self, batch: str, name: str) -> tuple[bytes | None, Revision]:
        return await self.store.read(batch, name)

    async def write(self, batch: str, name: str, value: bytes, revision: Revision) -> bool:
        record = load_record(value)
        rows = () if isinstance(record, Problems) else record.rows  # another document has none
        if self.failures and any(found.leg == 2 and found.state == State.STARTED for found in rows):
            failure = self.failures.pop(0)
            if isinstance(failure, Exception):
                raise failure
            return failure
        return await self.store.write(batch, name, value, revision)

    def scan(self, batch: str) -> Any:  # noqa: ANN401
        return self.store.scan(batch)


async def test_a_record_that_has_changed_is_written_again() -> None:
    records, api = Failing([False, False]), Service()
    sent = await send_chunk(chunk(), api, ALONE, records=records, clock=VirtualClock())
    assert (sent.done, api.channels, records.failures) == (True, "rm", [])


async def test_without_a_record_the_next_leg_stays() -> None:
    records, api = Failing([Unreachable("no store")]), Service()
    with pytest.raises(Unreachable):
        _ = await send_chunk(chunk(2), api, ALONE, records=records, concurrency=1, clock=VirtualClock())
    assert api.channels == "r"
    sent = await send_chunk(chunk(2), api, ALONE, records=records, concurrency=1, clock=VirtualClock())
    assert (sent.done, api.channels.count("m")) == (True, 2)


async def test_a_stop_between_the_legs_is_continued_with_the_next_leg() -> None:
    records, clock, api = MemoryRecordStore(), VirtualClock(), Service()
    sent = await send_chunk(chunk(), api, ALONE, records=records, clock=clock, only_while=lambda: not api.calls)
    assert (sent.done, sent.rows_left, api.channels) == (False, 1, "r")
    assert legs(await record_of(records)) == [(State.NOT_SENT, 2)]
    api.rcs = Ok(Accepted(message_id="msg_9", billing=PRICE))
    sent = await send_chunk(chunk(), api, ALONE, records=records, clock=clock)
    assert (sent.done, api.channels) == (True, "rm")


async def test_a_collected_journal_continues_with_the_leg_of_the_record(tmp_path: Path) -> None:
    records, clock, path = MemoryRecordStore(), VirtualClock(), str(tmp_path / "run.db")
    _ = await begin_batch(records, Manifest(batch="b", source="s", rows=1), clock.time())
    api = Service(email=NotSent("refused"))
    _ = await send_chunk(chunk(), api, ALONE, records=records, outage_timeout=0, clock=clock)
    assert await collect(records, "b", path, clock=clock) is not None
    with journal.open_readonly(path) as read:
        assert [(found.state, found.leg) for found in read.rows()] == [(State.NOT_SENT, 2)]
    async with journal.open(path, batch="b", clock=clock) as record:
        (verdict,) = await record.begin([("0", both(0))])
    assert isinstance(verdict, journal.Send)
    assert (verdict.leg, verdict.key, verdict.maybe_sent) == (2, key_of("b", "0"), False)


async def test_of_two_records_an_acceptance_stays_and_then_the_later_leg(tmp_path: Path) -> None:
    first = RowRecord(id="1", request_hash="00", started=1.0, state=State.UNKNOWN)
    refused = evolve(first, state=State.REFUSED)
    second = evolve(first, leg=2, started=2.0)
    accepted = evolve(first, state=State.ACCEPTED)
    for more, less in ((second, first), (second, refused), (accepted, second), (refused, first)):
        assert merge_row(None, more, less, alone=False) == more
        assert merge_row(None, less, more, alone=False) == more
    for number, (one, other) in enumerate([(first, second), (second, first)]):
        path = str(tmp_path / f"{number}.db")
        for found in (one, other):
            with journal.merge(path, batch="b", about={}, clock=VirtualClock()) as collected:
                facts: dict[str, Any] = dict.fromkeys(journal.JournalRow.__annotations__)
                known = {"id": "1", "state": State(found.state), "started": found.started, "leg": found.leg}
                line = journal.JournalRow(**facts | known | {"in_file": True})
                collected.add([(b"0", line)])
        with journal.open_readonly(path) as read:
            assert [(found.leg, found.started) for found in read.rows()] == [(2, 2.0)]


def test_a_record_with_a_leg_that_cannot_be_is_damaged() -> None:
    record = ChunkRecord(id="1", rows=(RowRecord(id="1", request_hash="00", leg=0),))
    assert isinstance(load_record(record.dump()), Problems)


async def test_a_row_that_was_refused_at_the_last_leg_is_settled() -> None:
    records, api = MemoryRecordStore(), Service(email=Forbidden(meta=Meta(status=403, attempts=1)))
    sent = await send_chunk(chunk(), api, ALONE, records=records, clock=VirtualClock())
    assert (sent.done, legs(await record_of(records))) == (True, [(State.REFUSED, 2)])


def fleet_row(found: ChunkRow, number: int) -> ChunkRow:
    if found.invalid is not None:
        return found
    to = found.body.split('"to":"')[1].split('"')[0]
    address = ADDRESSES[number // 2 % 4] if number % 2 == 0 else f"row{number}@example.org"
    call = FallbackRow(found.id, to, "Hi", address).call()
    return make_row(found.id, call.under(key_of("b", found.id)))


class FallbackFleets(Fleets):
    """One batch of fallbacks on a fleet whose workers come and go, and whose recipients can be reached or not."""

    @property
    def reach(self) -> Reach:
        world: Any = self.world
        found: Reach = world.box
        return found

    async def _put(self) -> None:
        world: Any = self.world
        rows = [found for one in self.chunks for found in one.rows]
        made = {found.id: fleet_row(found, number) for number, found in enumerate(rows)}
        self.chunks = [evolve(one, rows=tuple(made[found.id] for found in one.rows)) for one in self.chunks]
        self.names |= {leg_key(key, 2): name for key, name in self.names.items()}
        world.box = Reach(world.box, {f"+49151{at:08}" for at in range(0, len(rows), 2)})
        await super()._put()

    @precondition(lambda self: hasattr(self, "world"))
    @rule(number=st.integers(0, 20))
    def change_reach(self, number: int) -> None:
        self.world.arrive()
        self.reach.lost ^= {f"+49151{number:08}"}

    def _check_row(self, found: RowRecord, entries: Any) -> None:  # noqa: ANN401 - as the base class
        super()._check_row(found, entries)
        assert found.state != State.REFUSED or found.leg == 2 or found.status != 404
        if entries and found.message_id:
            assert (entries[0].channel == "EMAIL") == (found.leg == 2)


@BACKENDS
def test_whatever_happens_to_its_workers_each_person_gets_one_message(backend: str) -> None:
    machine = type("Machine", (FallbackFleets,), {"backend": backend})
    few = settings(max_examples=SCHEDULES, stateful_step_count=6, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(machine, settings=few)
