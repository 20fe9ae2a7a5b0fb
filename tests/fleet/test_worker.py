"""fleet.work: a worker takes chunks, sends them and gives them up, whatever fails meanwhile."""

from collections import Counter
from decimal import Decimal
from functools import partial
from math import inf
from typing import Any, TypeVar

import anyio
import anyio.lowlevel
import pytest
from attrs import define, field

from msgapi import Call, InsufficientBalance, NotFound, NotSent, Ok, Pace, Result, Throttled, Unauthorized, billing
from msgapi.batch import Stopped
from msgapi.clock import VirtualClock
from msgapi.codec import to_json
from msgapi.concurrency import background
from msgapi.fleet import (
    BackendUnreachable,
    ChunkFinished,
    ChunkLeased,
    Event,
    Lease,
    MemoryChunkQueue,
    MemoryRecordStore,
    Paused,
    Resumed,
    RowFinished,
    work,
)
from msgapi.fleet.chunk_journal import MAX_ATTEMPTS
from msgapi.fleet.worker import LeasedChunk
from msgapi.journal import State
from msgapi.ratelimit import LocalSharedRate
from msgapi.results import Balance, Meta
from tests.support.fleet_chunks import Counted, all_of, chunk, record_of, states

T = TypeVar("T")
pytestmark = pytest.mark.anyio
SEEN = Meta(status=202)
BROKE = InsufficientBalance(balance=Balance(free=Decimal("0.01")), required_amount=Decimal("0.07"))


@define
class Fleet:
    """Chunks and records in memory, a quota, a service and what one worker told."""

    api: Any = field(factory=Counted)
    clock: VirtualClock = field(factory=VirtualClock)
    records: MemoryRecordStore = field(factory=MemoryRecordStore)
    told: list[Event] = field(factory=list)
    queue: MemoryChunkQueue = field(init=False)
    shared_rate: LocalSharedRate = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.queue = MemoryChunkQueue(self.clock, lease_seconds=30.0)
        self.shared_rate = LocalSharedRate(self.clock)

    async def put(self, count: int, rows: int = 10) -> None:
        for number in range(count):
            made = chunk(rows, f"{number:06}")
            await self.queue.put(made.name, made.dump())

    async def work(self, **options: Any) -> Stopped | None:  # noqa: ANN401 - those of `work`
        given = {"pace": Pace(shared=self.shared_rate), "until_empty": True, "on_event": self.told.append, **options}
        return await work(self.queue, self.api, records=self.records, clock=self.clock, **given)

    async def worked(self, **options: Any) -> Stopped | None:  # noqa: ANN401 - those of `work`
        async with self.clock.autojump():
            return await self.work(**options)

    async def worked_for(self, seconds: float, **options: Any) -> Stopped | None:  # noqa: ANN401 - those of `work`
        """Work, and be asked to stop after so many *seconds*."""
        stopping = anyio.Event()

        async def later() -> None:
            await self.clock.sleep(seconds)
            stopping.set()

        async with self.clock.autojump(), background(later):
            return await self.work(stop_event=stopping, **options)

    async def away(self, store: MemoryChunkQueue | MemoryRecordStore, after: float, seconds: float) -> None:
        """Have *store* go away after a while, and come back."""
        await self.clock.sleep(after)
        store.unreachable = True
        await self.clock.sleep(seconds)
        store.unreachable = False

    def fates(self) -> list[str]:
        return [event.disposition for event in self.told if isinstance(event, ChunkFinished)]

    async def stages(self, count: int) -> list[str]:
        return [(await record_of(self.records, f"{number:06}")).stage for number in range(count)]


@define
class Till:
    """An api with so much *free* money, of which each message takes 0.07."""

    free: Decimal
    sent: int = 0
    looks: int = 0

    async def __call__(self, call: Call[T], /) -> Result[T]:
        await anyio.lowlevel.checkpoint()
        if call.path == billing.balance().path:
            self.looks += 1
            value: Any = Balance(free=self.free)
            return Ok(value)
        if self.free < Decimal("0.07"):
            return InsufficientBalance(balance=Balance(free=self.free), required_amount=Decimal("0.07"))
        self.free -= Decimal("0.07")
        self.sent += 1
        return await Counted()(call)


async def test_a_worker_sends_all_chunks_and_ends_when_none_is_left() -> None:
    fleet = Fleet()
    await fleet.put(20)
    assert await fleet.worked() is None
    assert (fleet.api.asked, await fleet.queue.size(), await fleet.stages(20)) == (200, 0, ["done"] * 20)
    kinds = [type(event) for event in fleet.told]
    assert (kinds.count(ChunkLeased), kinds.count(RowFinished), kinds.count(ChunkFinished)) == (20, 200, 20)
    assert fleet.fates() == ["done"] * 20
    assert isinstance(fleet.told[0], ChunkLeased)
    assert fleet.told[0].delivery == 1


async def test_workers_share_the_chunks() -> None:
    fleet = Fleet()
    await fleet.put(20)
    async with fleet.clock.autojump(), anyio.create_task_group() as tasks:
        for _ in range(2):
            _ = tasks.start_soon(partial(fleet.work, pace=Pace(), on_event=None))
    assert (fleet.api.asked, max(fleet.api.keys.values())) == (200, 1 + 19)  # ids repeat from chunk to chunk


async def test_without_until_empty_a_worker_waits_for_chunks_until_the_stop_event() -> None:
    fleet, stopping = Fleet(), anyio.Event()

    async def later() -> None:
        await fleet.clock.sleep(100)
        await fleet.put(1)
        await fleet.clock.sleep(100)
        stopping.set()

    async with fleet.clock.autojump(), anyio.create_task_group() as tasks:
        _ = tasks.start_soon(later)
        assert await fleet.work(until_empty=False, stop_event=stopping) == Stopped("asked")
    assert (fleet.fates(), fleet.clock.now() < 203) == (["done"], True)


@define
class Slow:
    """An api that takes *seconds* for each row."""

    clock: VirtualClock
    seconds: float
    inner: Counted = field(factory=Counted)

    async def __call__(self, call: Call[T], /) -> Result[T]:
        await self.clock.sleep(self.seconds)
        return await self.inner(call)


async def test_a_stopping_worker_lets_requests_in_flight_settle_and_releases_the_rest() -> None:
    fleet = Fleet()
    fleet.api = Slow(fleet.clock, 10.0)
    await fleet.put(6)
    assert await fleet.worked_for(15, concurrency=2) == Stopped("asked")
    assert fleet.clock.now() < 23
    assert (fleet.api.inner.asked, fleet.fates(), await fleet.queue.size()) == (16, ["released"] * 4, 6)
    assert sorted(states(await record_of(fleet.records, "000000")).values()) == [State.ACCEPTED] * 4
    lease = await fleet.queue.lease(0)
    assert lease
    assert lease.delivery == 1


async def test_a_lease_is_renewed_for_as_long_as_its_chunk_is_sent() -> None:
    fleet = Fleet()
    fleet.api = Slow(fleet.clock, 100.0)
    await fleet.put(1, rows=3)
    async with fleet.clock.autojump(), anyio.create_task_group() as tasks:
        for _ in range(2):
            _ = tasks.start_soon(partial(fleet.work, concurrency=1))
    assert (fleet.api.inner.asked, fleet.fates()) == (3, ["done"])


async def test_a_chunk_that_another_worker_has_leased_is_left_to_it() -> None:
    fleet = Fleet()
    fleet.api = Slow(fleet.clock, 11.0)
    await fleet.put(1)
    theirs: list[Lease | None] = []

    async def frozen() -> None:
        await fleet.clock.sleep(5)
        fleet.queue.lease_seconds = 0.0  # those who come now have it no longer than that
        for held in fleet.queue._chunks.values():
            held.due = fleet.clock.now()
            fleet.queue._due[:] = [(held.due, held.token, "b/000000")]
        theirs.append(await fleet.queue.lease(0))
        fleet.queue.lease_seconds = 30.0

    async with fleet.clock.autojump(), anyio.create_task_group() as tasks:
        _ = tasks.start_soon(frozen)
        stopping = anyio.Event()
        _ = tasks.start_soon(partial(fleet.work, concurrency=1, stop_event=stopping))
        await fleet.clock.sleep(30)
        stopping.set()
    assert theirs[0]
    assert fleet.fates()[0] == "lost"


async def test_a_401_stops_the_worker_and_releases_its_chunks() -> None:
    fleet = Fleet(Counted({3: Unauthorized()}))
    await fleet.put(5)
    assert await fleet.worked(concurrent_chunks=1, concurrency=1) == Stopped("unauthorized", Unauthorized())
    assert (fleet.fates(), await fleet.queue.size(), fleet.api.asked) == (["released"], 5, 3)


async def test_a_402_stops_a_worker_and_a_later_one_checks_the_balance_once() -> None:
    fleet = Fleet(Till(Decimal("0.20")))
    await fleet.put(2, rows=3)
    for looks in (0, 1):
        stopped = await fleet.worked(concurrency=1)
        assert stopped
        assert (stopped.reason, fleet.api.sent, fleet.api.looks) == ("balance", 2, looks)
    fleet.api.free = Decimal(10)
    assert await fleet.worked() is None
    assert (fleet.api.looks, await fleet.shared_rate.paused(), await fleet.stages(2)) == (2, None, ["done"] * 2)


@pytest.mark.parametrize("shared", [True, False])
async def test_a_402_is_waited_out_with_wait_for_balance(*, shared: bool) -> None:
    fleet = Fleet(Till(Decimal("0.50")))
    await fleet.put(2)

    async def tops_up() -> None:
        await fleet.clock.sleep(100)
        fleet.api.free += Decimal(10)

    pace = Pace(shared=fleet.shared_rate) if shared else Pace()
    async with fleet.clock.autojump(), anyio.create_task_group() as tasks:
        _ = tasks.start_soon(tops_up)
        assert await fleet.work(wait_for_balance=True, pace=pace) is None
    assert (fleet.api.sent, fleet.api.looks, await fleet.stages(2)) == (20, 8, ["done"] * 2)
    money = [event for event in fleet.told if isinstance(event, Paused | Resumed)]
    assert [type(event) for event in money] == [Paused, Resumed]


async def test_a_pause_without_a_balance_in_its_error_ends_when_there_is_a_balance() -> None:
    fleet = Fleet(Till(Decimal(10)))
    await fleet.put(1)
    await fleet.shared_rate.pause(to_json(Unauthorized()))
    assert await fleet.worked() is None
    await fleet.shared_rate.pause(to_json(BROKE))
    fleet.api = Counted({1: NotSent("no way there")})
    await fleet.put(1)
    assert await fleet.worked() == Stopped("balance", BROKE)


async def test_a_402_without_figures_is_tried_again_now_and_then() -> None:
    asked = Counter[str]()

    async def api(call: Call[T], /) -> Result[T]:
        await anyio.lowlevel.checkpoint()
        asked[call.path] += 1
        value: Any = Balance(free=Decimal("0.01"))
        return Ok(value) if call.path == billing.balance().path else InsufficientBalance()

    fleet = Fleet(api)
    await fleet.put(1)
    assert await fleet.worked_for(100, wait_for_balance=True, concurrency=1) == Stopped("asked")
    assert asked[billing.balance().path] <= asked["/v1/messages"] <= 10


async def test_a_service_that_never_answered_stops_the_worker_soon() -> None:
    async def api(call: Call[T], /) -> Result[T]:
        await anyio.lowlevel.checkpoint()
        return NotSent(call.path)

    fleet = Fleet(api)
    await fleet.put(2)
    stopped = await fleet.worked()
    assert stopped
    assert (stopped.reason, fleet.clock.now() < 20, set(fleet.fates())) == ("outage", True, {"released"})


async def test_an_outage_is_waited_out_across_chunks() -> None:
    fleet = Fleet()
    inner = Counted()

    async def api(call: Call[T], /) -> Result[T]:
        await fleet.clock.sleep(0.5)
        return NotSent(call.path) if 2.6 < fleet.clock.now() < 60 else await answered(call)

    async def answered(call: Call[T]) -> Result[T]:
        result = await inner(call)
        return Ok(result.value, meta=SEEN) if isinstance(result, Ok) else result

    fleet.api = api
    await fleet.put(10)
    assert await fleet.worked(concurrent_chunks=2, concurrency=2) is None
    assert (inner.asked, await fleet.stages(10)) == (100, ["done"] * 10)
    assert "released" in fleet.fates()


async def test_an_unreachable_backend_is_waited_for() -> None:
    fleet = Fleet()
    fleet.api = Slow(fleet.clock, 1.0)
    await fleet.put(10)

    async def away() -> None:
        for store in (fleet.queue, fleet.records, fleet.queue):
            await fleet.away(store, 7.5, 40)

    async with fleet.clock.autojump(), anyio.create_task_group() as tasks:
        _ = tasks.start_soon(away)
        assert await fleet.work(concurrency=2, concurrent_chunks=3) is None
    assert (fleet.api.inner.asked, await fleet.stages(10), await fleet.queue.size()) == (100, ["done"] * 10, 0)
    assert any(isinstance(event, BackendUnreachable) for event in fleet.told)


@pytest.mark.parametrize("leased", [False, True])
async def test_an_unreachable_shared_rate_is_reported_and_does_not_delay_a_stop(*, leased: bool) -> None:
    fleet = Fleet()
    await fleet.put(1)
    asked = 0

    class Gone:
        def __getattr__(self, name: str) -> object:
            return getattr(fleet.shared_rate, name)

        async def paused(self) -> bytes | None:
            nonlocal asked
            asked += 1
            if asked > leased:
                await anyio.sleep_forever()
            return None

    gone: Any = Gone()
    assert await fleet.worked_for(20, pace=Pace(shared=gone), concurrent_chunks=1) == Stopped("asked")
    assert fleet.clock.now() < 30
    assert BackendUnreachable("the shared rate did not answer within 5 seconds") in fleet.told
    assert (await fleet.queue.size(), fleet.fates()) == (1, ["released"] * leased)


class Deaf:
    """A pace whose store answers to all but these, for a while, to which it never comes back."""

    def __init__(self, quota: LocalSharedRate, *names: str, until: float = inf) -> None:
        self.shared_rate, self.names, self.until = quota, names, until

    def __getattr__(self, name: str) -> object:
        return (
            self.never
            if name in self.names and self.shared_rate.clock.now() < self.until
            else getattr(self.shared_rate, name)
        )

    async def never(self, *_: object) -> None:
        await anyio.sleep_forever()


async def test_a_402_that_cannot_be_shared_does_not_block_and_the_next_one_is_shared() -> None:
    fleet = Fleet(Till(Decimal("0.20")))
    await fleet.put(1)
    deaf: Any = Deaf(fleet.shared_rate, "pause", until=12)
    with anyio.fail_after(9):
        async with fleet.clock.autojump():
            stopped = await fleet.work(pace=Pace(shared=deaf), concurrency=1, concurrent_chunks=1)
    assert stopped
    assert (stopped.reason, fleet.api.sent, fleet.fates()) == ("balance", 2, ["released"] * 4)
    assert fleet.clock.now() < 20
    assert states(await record_of(fleet.records, "000000")) == all_of(State.ACCEPTED, range(2)) | {"2": State.NOT_SENT}
    assert await fleet.shared_rate.paused() is not None


async def test_a_top_up_ends_the_pause_once_the_shared_rate_is_reachable_again() -> None:
    fleet = Fleet(Till(Decimal(10)))
    await fleet.put(1)
    await fleet.shared_rate.pause(to_json(BROKE))
    deaf: Any = Deaf(fleet.shared_rate, "resume", until=12)
    with anyio.fail_after(9):
        async with fleet.clock.autojump():
            assert await fleet.work(pace=Pace(shared=deaf), wait_for_balance=True) is None
    assert (fleet.api.sent, fleet.clock.now() < 60) == (10, True)
    assert BackendUnreachable("the shared rate did not answer within 5 seconds") in fleet.told


async def test_records_that_are_unreachable_when_a_chunk_is_leased_are_waited_for() -> None:
    fleet = Fleet()
    await fleet.put(1)
    fleet.records.unreachable = True

    async def back() -> None:
        await fleet.clock.sleep(12)
        fleet.records.unreachable = False

    async with fleet.clock.autojump(), anyio.create_task_group() as tasks:
        _ = tasks.start_soon(back)
        assert await fleet.work() is None
    assert (fleet.api.asked, await fleet.stages(1)) == (10, ["done"])
    assert set(fleet.fates()) == {"released", "done"}


async def test_a_malformed_chunk_is_buried_and_the_others_are_sent() -> None:
    fleet = Fleet()
    await fleet.put(2)
    await fleet.queue.put("b/bad", b"?")
    assert await fleet.worked() is None
    record = await record_of(fleet.records, "bad")
    assert (record.stage, record.reason, fleet.queue.buried) == ("buried", "it is not JSON", ["b/bad"])
    assert sorted(fleet.fates()) == ["buried", "done", "done"]


async def test_a_chunk_is_buried_only_when_its_record_says_so() -> None:
    fleet = Fleet()
    await fleet.queue.put("b/bad", b"?")
    fleet.records.unreachable = True

    async def back() -> None:
        await fleet.clock.sleep(3)
        fleet.records.unreachable = False

    async with fleet.clock.autojump(), anyio.create_task_group() as tasks:
        _ = tasks.start_soon(back)
        assert await fleet.work() is None
    assert fleet.fates() == ["released", "buried"]


async def test_a_chunk_that_loses_its_workers_is_buried() -> None:
    fleet = Fleet()
    await fleet.put(1)
    for _ in range(MAX_ATTEMPTS):
        assert await fleet.queue.lease(0)
        fleet.clock.advance(31)
    assert await fleet.worked() is None
    record = await record_of(fleet.records, "000000")
    assert (record.stage, fleet.api.asked, fleet.queue.buried) == ("buried", 0, ["b/000000"])
    assert "5 workers" in f"{record.reason}"


async def test_a_chunk_with_a_row_that_never_settles_is_buried_in_the_end() -> None:
    async def api(call: Call[T], /) -> Result[T]:
        await anyio.lowlevel.checkpoint()
        return NotSent("no") if b"+4915100000003" in (call.body or b"") else await Counted()(call)

    fleet = Fleet(api)
    await fleet.put(1)
    assert await fleet.worked(outage_timeout=0) is None
    record = await record_of(fleet.records, "000000")
    assert fleet.fates() == ["released"] * MAX_ATTEMPTS + ["buried"]
    assert states(record) == all_of(State.ACCEPTED, range(10)) | {"3": State.NOT_SENT}


async def test_an_exception_of_the_client_is_raised_and_the_chunk_is_released_at_once() -> None:
    async def api(call: Call[T], /) -> Result[T]:
        await anyio.lowlevel.checkpoint()
        raise KeyError(call.path)

    fleet = Fleet(api)
    await fleet.put(5)
    with pytest.raises(KeyError):
        _ = await fleet.worked()
    for _ in range(5):
        lease = await fleet.queue.lease(0)
        assert lease
        assert lease.delivery == 1


async def test_an_exception_of_on_event_is_raised() -> None:
    fleet = Fleet()
    await fleet.put(1)

    def told(event: Event) -> None:
        if isinstance(event, ChunkFinished):
            raise KeyError(event.chunk)

    with pytest.raises(KeyError):
        _ = await fleet.worked(on_event=told)


async def test_a_cancelled_worker_releases_its_chunks() -> None:
    fleet = Fleet()
    fleet.api = Slow(fleet.clock, 1e9)
    await fleet.put(5)
    async with anyio.create_task_group() as tasks:
        _ = tasks.start_soon(fleet.work)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    assert await fleet.queue.size() == 5
    leases = [await fleet.queue.lease(0) for _ in range(5)]
    assert [lease.delivery for lease in leases if lease] == [1] * 5
    assert set(states(await record_of(fleet.records, "000000")).values()) == {State.STARTED}


async def test_a_failed_renewal_is_reported_and_tried_again() -> None:
    fleet = Fleet()
    fleet.api = Slow(fleet.clock, 25.0)
    await fleet.put(1, rows=1)

    async with fleet.clock.autojump(), anyio.create_task_group() as tasks:
        _ = tasks.start_soon(fleet.away, fleet.queue, 5, 7)
        assert await fleet.work(concurrent_chunks=1) is None
    assert [event.reason for event in fleet.told if isinstance(event, BackendUnreachable)]
    assert fleet.fates() == ["done"]


async def test_a_queue_that_stays_unreachable_at_the_end_of_a_chunk_delivers_it_again() -> None:
    fleet = Fleet()
    fleet.api = Slow(fleet.clock, 5.0)
    await fleet.put(1, rows=1)

    async with fleet.clock.autojump(), anyio.create_task_group() as tasks:
        _ = tasks.start_soon(fleet.away, fleet.queue, 3, 120)
        assert await fleet.work() is None
    assert (fleet.fates(), fleet.api.inner.asked) == (["done", "done"], 1)


async def test_fewer_than_one_chunk_at_once_is_refused() -> None:
    with pytest.raises(ValueError, match="concurrent_chunks"):
        _ = await Fleet().work(concurrent_chunks=0)


async def test_an_expired_lease_is_not_released() -> None:
    chunks = MemoryChunkQueue(VirtualClock())
    await chunks.put("b/1", b"{}")
    lease = await chunks.lease(0)
    assert lease is not None
    held = LeasedChunk(chunks, lease, VirtualClock(), lambda _: None)
    held.valid = False
    chunks.unreachable = True  # whoever asks it anything is told so, and asks again for a minute
    await held.release(0)
    chunks.unreachable = False
    assert await chunks.lease(0) is None


PAGE = NotFound(code="http_404", meta=Meta(status=404), from_service=False)
NO_RCS = NotFound(code="not_rcs_capable", meta=Meta(status=404))


async def test_answers_that_are_not_the_services_stop_the_worker_however_small_the_chunks() -> None:
    api = Counted(dict.fromkeys(range(3, 100), PAGE))
    fleet = Fleet(api)
    await fleet.put(12, rows=2)
    assert await fleet.worked(concurrent_chunks=1, concurrency=1) == Stopped("foreign", PAGE)
    assert (api.asked, await fleet.queue.size()) == (12, 11)
    api.instead.clear()
    assert await fleet.worked() is None
    assert api.keys.total() == 24
    assert await fleet.stages(12) == ["done"] * 12


async def test_a_chunk_whose_rows_are_all_refused_stops_no_worker_that_had_others_accepted() -> None:
    api = Counted(dict.fromkeys(range(3, 43), NO_RCS))
    fleet = Fleet(api)
    await fleet.put(1, rows=2)
    made = chunk(40, "000001")
    await fleet.queue.put(made.name, made.dump())
    assert await fleet.worked(concurrent_chunks=1) is None
    assert (api.asked, fleet.fates()) == (42, ["done", "done"])


async def test_a_chunk_whose_rows_are_all_refused_stops_a_worker_that_had_none_accepted() -> None:
    fleet = Fleet(Counted(dict.fromkeys(range(1, 100), NO_RCS)))
    await fleet.put(1, rows=40)
    assert await fleet.worked(concurrent_chunks=1, concurrency=1) == Stopped("refusals", NO_RCS)


@pytest.mark.parametrize("together", [1, 4])
async def test_refusals_stop_a_worker_that_had_none_accepted_however_small_the_chunks(together: int) -> None:
    api = Counted(dict.fromkeys(range(1, 1000), NO_RCS))
    fleet = Fleet(api)
    await fleet.put(40, rows=2)
    assert await fleet.worked(concurrent_chunks=together, concurrency=1) == Stopped("refusals", NO_RCS)
    assert 25 <= api.asked <= 25 + 2 * together
    assert await fleet.worked(concurrent_chunks=together, concurrency=1) == Stopped("refusals", NO_RCS)
    assert api.asked <= 25 + 4 * together


async def test_a_lone_row_is_not_buried_for_foreign_answers_and_stops_the_worker_at_the_tenth() -> None:
    api = Counted(dict.fromkeys(range(1, 100), PAGE))
    fleet = Fleet(api)
    await fleet.put(1, rows=1)
    assert await fleet.worked() == Stopped("foreign", PAGE)
    assert (api.asked, await fleet.queue.size()) == (10, 1)
    assert "buried" not in fleet.fates()
    api.instead.clear()
    assert await fleet.worked() is None
    assert await fleet.stages(1) == ["done"]


async def test_a_rate_limit_that_lets_nothing_through_stops_the_worker_by_its_name() -> None:
    limited = Throttled(code="rate_limit_exceeded", retry_after=2000.0)
    fleet = Fleet(Counted(dict.fromkeys(range(1, 10_000), limited)))
    await fleet.put(1)
    stopped = await fleet.worked(outage_timeout=60)
    assert stopped == Stopped("rate_limit", limited)
    assert fleet.fates() == ["released"]
