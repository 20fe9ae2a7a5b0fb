"""The queue and record protocols on every backend: in memory, streaq on Valkey, FastStream on NATS JetStream."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeAlias
from uuid import uuid4

import anyio
import pytest
from streaq.types import StreamMessage

from msgapi.fleet import Lease, Unreachable
from msgapi.fleet.backends import redis_connection as connection
from msgapi.fleet.backends.nats_storage import FastStreamChunkQueue, NatsRecordStore
from msgapi.fleet.backends.redis_storage import StreaqWorker, open_queue
from tests.support.brokers import Broker
from tests.support.fleet_backends import LEASE, Engine, in_memory, on_nats, on_redis

pytestmark = pytest.mark.anyio
SOON = 5 * LEASE  # seconds in which anything that is to come has come
ENGINES: dict[str, Any] = {
    "memory": (None, in_memory),
    "streaq": ("valkey_broker", on_redis),
    "faststream": ("nats_broker", on_nats),
}
Opened: TypeAlias = Callable[[], AbstractAsyncContextManager[Engine]]


ON_REDIS = pytest.mark.parametrize("pair", [("asyncio", "streaq"), ("trio", "streaq")], indirect=True)
ON_NATS = pytest.mark.parametrize("pair", [("asyncio", "faststream")], indirect=True)
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
    lease = await engine.queue.lease(SOON)
    assert lease is not None
    return lease


async def test_a_chunk_is_delivered_as_it_was_put_and_removed_by_ack(opened: Opened) -> None:
    body = '{"a": "ü\\u0000"}'.encode()
    async with opened() as engine:
        await engine.queue.put("b/1", body)
        lease = await leased(engine)
        assert (lease.id, lease.body, lease.delivery) == ("b/1", body, 1)
        assert await engine.queue.size() == 1
        await engine.queue.ack(lease)
        assert (await engine.queue.size(), await engine.queue.lease(0.1)) == (0, None)


async def test_a_chunk_that_is_queued_or_leased_is_not_replaced(opened: Opened) -> None:
    async with opened() as engine:
        await engine.queue.put("b/1", b"{}")
        await engine.queue.put("b/1", b"[]")
        lease = await leased(engine)
        await engine.queue.put("b/1", b"[]")
        assert (lease.body, await engine.queue.size()) == (b"{}", 1)
        await engine.queue.ack(lease)
        assert await engine.queue.lease(0.1) is None


@pytest.mark.parametrize("name", ["b/1", "b.c/000042", ".b-_./1", "ü */>", "b/1/2"])
async def test_a_chunk_keeps_its_id_whatever_is_in_it(opened: Opened, name: str) -> None:
    async with opened() as engine:
        await engine.queue.put(name, b"{}")
        lease = await leased(engine)
        assert lease.id == name
        await engine.queue.ack(lease)
        assert await engine.queue.size() == 0


async def test_a_chunk_that_is_done_can_be_queued_again(opened: Opened) -> None:
    async with opened() as engine:
        for _ in range(2):
            await engine.queue.put("b/1", b"{}")
            lease = await leased(engine)
            assert lease.delivery == 1
            await engine.queue.ack(lease)
        assert await engine.queue.size() == 0


async def test_a_buried_chunk_is_not_delivered_again(opened: Opened) -> None:
    async with opened() as engine:
        await engine.queue.put("b/1", b"{}")
        await engine.queue.bury(await leased(engine))
        assert (await engine.queue.size(), await engine.queue.lease(0.1)) == (0, None)


async def test_no_chunk_is_leased_by_two_workers_at_once(opened: Opened) -> None:
    names = {f"b/{number}" for number in range(8)}
    async with opened() as engine:
        for name in names:
            await engine.queue.put(name, b"{}")
        seen = list[str]()

        async def work() -> None:
            while (lease := await engine.queue.lease(LEASE / 2)) is not None:
                seen.append(lease.id)
                await engine.clock.sleep(0.01)
                await engine.queue.ack(lease)

        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                _ = tasks.start_soon(work)
        assert (sorted(seen), await engine.queue.size()) == (sorted(names), 0)


async def test_a_waiting_worker_gets_a_chunk_when_it_is_put(opened: Opened) -> None:
    async with opened() as engine, anyio.create_task_group() as tasks:

        async def put() -> None:
            await engine.clock.sleep(0.3)
            await engine.queue.put("b/1", b"{}")

        _ = tasks.start_soon(put)
        with anyio.fail_after(0.3 + LEASE / 2):
            await engine.queue.ack(await leased(engine))


async def test_a_renewed_lease_does_not_expire(opened: Opened) -> None:
    async with opened() as engine, opened() as other:
        await engine.queue.put("b/1", b"{}")
        lease = await leased(engine)
        for _ in range(8):
            await engine.clock.sleep(LEASE / 3)
            assert await engine.queue.renew(lease)
            assert await other.queue.lease(0.01) is None
        await engine.queue.ack(lease)
        assert await engine.queue.size() == 0


async def test_a_lease_that_is_not_renewed_expires_and_the_chunk_is_delivered_again(opened: Opened) -> None:
    async with opened() as engine:
        await engine.queue.put("b/1", b"{}")
        first = await leased(engine)
        second = await leased(engine)
        assert (second.id, second.body, second.delivery) == ("b/1", b"{}", 2)
        assert await engine.queue.renew(second)
        assert not await engine.queue.renew(first)
        await engine.queue.release(first, 0)
        assert await engine.queue.renew(second)
        await engine.queue.ack(second)
        await engine.queue.ack(first)
        assert (await engine.queue.size(), await engine.queue.renew(second)) == (0, False)


async def test_a_released_chunk_is_delivered_after_the_delay_and_not_counted(opened: Opened) -> None:
    async with opened() as engine:
        await engine.queue.put("b/1", b"{}")
        for _ in range(3):
            lease = await leased(engine)
            assert lease.delivery == 1
            await engine.queue.release(lease, 0)
        lease, now = await leased(engine), engine.clock.now()
        await engine.queue.release(lease, 1.2)
        assert await engine.queue.size() == 1
        again = await leased(engine)
        assert 1.1 < engine.clock.now() - now < SOON
        assert again.delivery == 1
        await engine.queue.ack(again)


async def test_of_two_writers_of_one_document_one_succeeds(opened: Opened) -> None:
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


async def test_a_scan_yields_all_documents_of_one_batch_only(opened: Opened) -> None:
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


async def test_a_chunk_that_is_not_taken_or_still_leased_at_the_end_goes_to_another_worker(
    opened: Opened, pair: tuple[str, str]
) -> None:
    async with opened() as one, opened() as other:
        assert await one.queue.lease(0.1) is None
        await one.queue.put("b/1", b"{}")
        await one.clock.sleep(LEASE / 2)
        lease = await leased(other)
        # The request of NATS that has just ended may still be open at the server, and what it delivers there is lost.
        assert lease.delivery in ({1, 2} if pair[1] == "faststream" else {1})
        await other.queue.ack(lease)


async def test_closing_the_queue_releases_its_chunks(opened: Opened, pair: tuple[str, str]) -> None:
    if pair[1] == "memory":
        return
    async with opened() as other:
        async with opened() as one:
            await one.queue.put("b/1", b"{}")
            _ = await leased(one)
        lease = await leased(other)
        assert lease.delivery == 1
        await other.queue.ack(lease)


@ON_REDIS
async def test_a_redis_scan_continues_until_all_documents_are_read(valkey_broker: Broker) -> None:
    async with on_redis(valkey_broker.url, "many") as engine, connection.connect(valkey_broker.url) as client:
        _ = await client.hset("msgapi:many:records:b", {f"{number}": f"1 {number}" for number in range(700)})
        assert len([one async for one in engine.records.scan("b")]) == 700


@ON_REDIS
async def test_a_streaq_worker_notices_that_another_worker_has_finished_its_chunk(valkey_broker: Broker) -> None:
    async with on_redis(valkey_broker.url, "done") as one, on_redis(valkey_broker.url, "done") as other:
        await one.queue.put("b/1", b"{}")
        lease = await leased(one)
        await other.queue.ack(lease)
        assert not await one.queue.renew(lease)


@ON_REDIS
async def test_streaq_does_not_run_a_task_that_is_leased_already() -> None:
    worker = StreaqWorker(redis_pool=connection.Address("redis://127.0.0.1").create_pool(decode=True))
    worker.is_leased = lambda _: True
    await worker.run_task(StreamMessage("1-0", "b/1", "normal", 0))
    assert worker.counters == {}


@ON_REDIS
async def test_a_redis_user_without_the_rights_for_streaq_gets_an_error(valkey_broker: Broker) -> None:
    async with connection.connect(valkey_broker.url) as client:
        _ = await client.acl_setuser("limited", "on", ">pw", "~*", "&*", "+@all", "-function")
    address = valkey_broker.url.replace("//", "//limited:pw@")
    with pytest.raises(Unreachable, match=r"^Redis: .*permissions"):
        async with open_queue(address, fleet="f"):
            pass


@ON_NATS
async def test_a_message_that_nats_rejects_is_a_one_line_error(opened: Opened) -> None:
    async with opened() as engine:
        with pytest.raises(Unreachable, match="max_payload"):
            await engine.queue.put("b/1", b" " * (2 << 20))
        chunks = engine.queue
        assert isinstance(chunks, FastStreamChunkQueue)
        config = (await chunks._stream.stream_info(chunks._name)).config
        config.max_msg_size = 10
        _ = await chunks._stream.update_stream(config)
        with pytest.raises(Unreachable, match=r"^NATS: message size exceeds"):
            await chunks.put("b/1", b" " * 100)


@ON_NATS
async def test_a_document_that_was_removed_is_none(opened: Opened) -> None:
    async with opened() as engine:
        records = engine.records
        assert isinstance(records, NatsRecordStore)
        assert await records.write("b", "1", b"x", 0)
        _ = await records.bucket.purge("b.1")
        assert [one async for one in records.scan("b")] == []
