"""What every engine of a fleet promises: the one in memory, streaq on Valkey, FastStream on NATS JetStream."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeAlias
from uuid import uuid4

import anyio
import pytest
from engines import LEASE, Engine, in_memory, on_nats, on_redis

from msgapi.fleet import Lease

pytestmark = pytest.mark.anyio
SOON = 5 * LEASE  # seconds in which anything that is to come has come
ENGINES: dict[str, Any] = {
    "memory": (None, in_memory),
    "streaq": ("valkey_broker", on_redis),
    "faststream": ("nats_broker", on_nats),
}
Opened: TypeAlias = Callable[[], AbstractAsyncContextManager[Engine]]


PAIRS = [(loop, name) for loop in ("asyncio", "trio") for name in ENGINES if (loop, name) != ("trio", "faststream")]


@pytest.fixture(params=PAIRS, ids="-".join)
def pair(request: pytest.FixtureRequest) -> tuple[str, str]:
    loop, name = request.param
    return loop, name


@pytest.fixture
def anyio_backend(pair: tuple[str, str]) -> str:
    return pair[0]


@pytest.fixture
def opened(request: pytest.FixtureRequest, pair: tuple[str, str]) -> Opened:
    """Open the engine in a name space of this test's own; twice is another worker."""
    broker, opens = ENGINES[pair[1]]
    url = request.getfixturevalue(broker).url if broker else ""
    fleet = f"t-{uuid4().hex[:8]}"
    return lambda: opens(url, fleet)


async def leased(engine: Engine) -> Lease:
    lease = await engine.chunks.lease(SOON)
    assert lease is not None
    return lease


async def test_a_chunk_is_handed_out_as_it_was_put_and_is_gone_when_it_is_done(opened: Opened) -> None:
    body = '{"a": "ü\\u0000"}'.encode()
    async with opened() as engine:
        await engine.chunks.put("b/1", body)
        lease = await leased(engine)
        assert (lease.id, lease.body, lease.delivery) == ("b/1", body, 1)
        assert await engine.chunks.left() == 1
        await engine.chunks.ack(lease)
        assert (await engine.chunks.left(), await engine.chunks.lease(0.1)) == (0, None)


async def test_a_chunk_that_is_queued_or_with_a_worker_stays_as_it_is(opened: Opened) -> None:
    async with opened() as engine:
        await engine.chunks.put("b/1", b"{}")
        await engine.chunks.put("b/1", b"[]")
        lease = await leased(engine)
        await engine.chunks.put("b/1", b"[]")
        assert (lease.body, await engine.chunks.left()) == (b"{}", 1)
        await engine.chunks.ack(lease)
        assert await engine.chunks.lease(0.1) is None


@pytest.mark.parametrize("name", ["b/1", "b.c/000042", ".b-_./1", "ü */>", "b/1/2"])
async def test_a_chunk_keeps_its_id_whatever_is_in_it(opened: Opened, name: str) -> None:
    async with opened() as engine:
        await engine.chunks.put(name, b"{}")
        lease = await leased(engine)
        assert lease.id == name
        await engine.chunks.ack(lease)
        assert await engine.chunks.left() == 0


async def test_a_chunk_that_is_done_can_be_queued_again(opened: Opened) -> None:
    async with opened() as engine:
        for _ in range(2):
            await engine.chunks.put("b/1", b"{}")
            lease = await leased(engine)
            assert lease.delivery == 1
            await engine.chunks.ack(lease)
        assert await engine.chunks.left() == 0


async def test_a_chunk_is_buried_for_good(opened: Opened) -> None:
    async with opened() as engine:
        await engine.chunks.put("b/1", b"{}")
        await engine.chunks.bury(await leased(engine))
        assert (await engine.chunks.left(), await engine.chunks.lease(0.1)) == (0, None)


async def test_no_chunk_is_with_two_workers_at_once(opened: Opened) -> None:
    names = {f"b/{number}" for number in range(8)}
    async with opened() as engine:
        for name in names:
            await engine.chunks.put(name, b"{}")
        seen = list[str]()

        async def work() -> None:
            while (lease := await engine.chunks.lease(LEASE / 2)) is not None:
                seen.append(lease.id)
                await anyio.sleep(0.01)
                await engine.chunks.ack(lease)

        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                _ = tasks.start_soon(work)
        assert (sorted(seen), await engine.chunks.left()) == (sorted(names), 0)


async def test_who_waits_for_a_chunk_gets_it_when_it_is_put(opened: Opened) -> None:
    async with opened() as engine, anyio.create_task_group() as tasks:

        async def put() -> None:
            await anyio.sleep(0.3)
            await engine.chunks.put("b/1", b"{}")

        _ = tasks.start_soon(put)
        with anyio.fail_after(0.3 + LEASE / 2):
            await engine.chunks.ack(await leased(engine))


async def test_a_lease_that_is_renewed_lasts(opened: Opened) -> None:
    async with opened() as engine, opened() as other:
        await engine.chunks.put("b/1", b"{}")
        lease = await leased(engine)
        for _ in range(8):
            await anyio.sleep(LEASE / 3)
            assert await engine.chunks.renew(lease)
            assert await other.chunks.lease(0.01) is None
        await engine.chunks.ack(lease)
        assert await engine.chunks.left() == 0


async def test_a_lease_that_is_not_renewed_runs_out_and_the_chunk_is_handed_out_again(opened: Opened) -> None:
    async with opened() as engine:
        await engine.chunks.put("b/1", b"{}")
        first = await leased(engine)
        second = await leased(engine)
        assert (second.id, second.body, second.delivery) == ("b/1", b"{}", 2)
        assert await engine.chunks.renew(second)
        assert not await engine.chunks.renew(first)
        await engine.chunks.release(first, 0)
        assert await engine.chunks.renew(second)
        await engine.chunks.ack(second)
        await engine.chunks.ack(first)
        assert (await engine.chunks.left(), await engine.chunks.renew(second)) == (0, False)


async def test_a_chunk_that_is_given_back_comes_again_after_its_time_and_has_not_counted(opened: Opened) -> None:
    async with opened() as engine:
        await engine.chunks.put("b/1", b"{}")
        for _ in range(3):
            lease = await leased(engine)
            assert lease.delivery == 1
            await engine.chunks.release(lease, 0)
        lease, now = await leased(engine), anyio.current_time()
        await engine.chunks.release(lease, 1.2)
        assert await engine.chunks.left() == 1
        again = await leased(engine)
        assert 1.1 < anyio.current_time() - now < SOON
        assert again.delivery == 1
        await engine.chunks.ack(again)


async def test_of_two_writers_of_one_document_one_wins(opened: Opened) -> None:
    async with opened() as one, opened() as other:
        records = one.records
        assert await records.read("b", "1") == (None, 0)
        assert await records.write("b", "1", b"\x00first", 0)
        assert not await other.records.write("b", "1", b"second", 0)
        value, revision = await records.read("b", "1")
        assert value == b"\x00first"
        assert await records.write("b", "1", b"third", revision)
        assert not await other.records.write("b", "1", b"fourth", revision)
        assert (await records.read("b", "1"))[0] == b"third"


async def test_a_scan_reads_all_documents_of_its_batch_alone(opened: Opened) -> None:
    async with opened() as engine:
        records, wanted = engine.records, {f"{number:06}": b"%d" % number for number in range(120)}
        for batch in ("b", "b.c", "bb"):
            assert [one async for one in records.scan(batch)] == []
            assert await records.write(batch, "manifest", batch.encode(), 0)
        for name, value in wanted.items():
            assert await records.write("b.c", name, value, 0)
        found = [one async for one in records.scan("b.c")]
        assert len(found) == 121
        assert dict(found) == {**wanted, "manifest": b"b.c"}
        assert [one async for one in records.scan("b")] == [("manifest", b"b")]
