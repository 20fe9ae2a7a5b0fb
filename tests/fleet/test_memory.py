"""fleet.backend: the backend in memory behaves as a server does."""

import anyio
import pytest

from msgapi.clock import VirtualClock
from msgapi.fleet import ChunkQueue, MemoryChunkQueue, MemoryRecordStore, RecordStore, Unreachable

pytestmark = pytest.mark.anyio


def chunks(clock: VirtualClock) -> MemoryChunkQueue:
    engine = MemoryChunkQueue(clock, lease_seconds=10.0)
    _: ChunkQueue = engine
    return engine


async def test_a_chunk_is_delivered_once_until_ack() -> None:
    engine = chunks(VirtualClock())
    await engine.put("b/1", b"one")
    await engine.put("b/1", b"other")
    await engine.put("b/2", b"two")
    first, second = await engine.lease(0), await engine.lease(0)
    assert first
    assert second
    assert [(first.id, first.body, first.delivery), (second.id, second.body)] == [("b/1", b"one", 1), ("b/2", b"two")]
    assert await engine.lease(0) is None
    assert await engine.size() == 2
    await engine.ack(first)
    await engine.ack(first)
    await engine.bury(second)
    await engine.bury(second)
    assert (await engine.size(), engine.buried) == (0, ["b/2"])


async def test_an_expired_lease_cannot_be_renewed() -> None:
    clock = VirtualClock()
    engine = chunks(clock)
    await engine.put("b/1", b"one")
    mine = await engine.lease(0)
    assert mine
    clock.advance(9)
    assert await engine.renew(mine)
    clock.advance(9)
    assert await engine.lease(0) is None
    clock.advance(1)
    theirs = await engine.lease(0)
    assert theirs
    assert (theirs.delivery, await engine.renew(mine), await engine.renew(theirs)) == (2, False, True)
    await engine.release(mine, 0)
    assert await engine.lease(0) is None


async def test_a_released_chunk_is_delivered_after_the_delay() -> None:
    clock = VirtualClock()
    engine = chunks(clock)
    await engine.put("b/1", b"one")
    lease = await engine.lease(0)
    assert lease
    await engine.release(lease, 3)
    async with clock.autojump():
        assert await engine.lease(2) is None
        again = await engine.lease(2)
    assert again
    assert (again.id, again.delivery, clock.now()) == ("b/1", 1, 3)


async def test_a_chunk_that_is_put_ends_a_wait() -> None:
    engine = MemoryChunkQueue()
    got: list[str] = []

    async def wait() -> None:
        lease = await engine.lease(5)
        assert lease
        got.append(lease.id)

    async with anyio.create_task_group() as tasks:
        _ = tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        await engine.put("b/1", b"one")
    assert got == ["b/1"]


async def test_of_two_writes_over_one_revision_one_succeeds() -> None:
    records = MemoryRecordStore()
    _: RecordStore = records
    assert await records.read("b", "1") == (None, 0)
    assert await records.write("b", "1", b"x", 0)
    assert not await records.write("b", "1", b"y", 0)
    value, revision = await records.read("b", "1")
    assert value == b"x"
    assert await records.write("b", "1", b"z", revision)
    assert await records.write("c", "1", b"-", 0)
    assert [found async for found in records.scan("b")] == [("1", b"z")]


async def test_an_unreachable_memory_backend_raises() -> None:
    engine, records = MemoryChunkQueue(unreachable=True), MemoryRecordStore(unreachable=True)
    with pytest.raises(Unreachable, match="unreachable"):
        _ = await engine.lease(1)
    with pytest.raises(Unreachable, match="unreachable"):
        _ = await records.read("b", "1")
