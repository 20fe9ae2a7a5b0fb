"""What a backend does when its server or a worker is lost: no chunk is lost, and no call blocks forever."""

import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from msgapi.fleet import Lease, Unreachable
from msgapi.fleet.backends.redis_storage import StreaqWorker
from tests.support.brokers import Broker, nats, valkey
from tests.support.fleet_backends import LEASE, OPENS, Engine

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("unmeasured_processes")]
SOON = 8 * LEASE
PATIENCE = 20.0  # seconds: the engines give up after 3 to 7, and the machine may be busy
SERVERS = {"streaq": valkey, "faststream": nats}
LOOPS = [("asyncio", "streaq"), ("trio", "streaq"), ("asyncio", "faststream")]
everywhere = pytest.mark.parametrize(("anyio_backend", "name"), LOOPS, ids=["-".join(pair) for pair in LOOPS])
on_asyncio = pytest.mark.parametrize(("anyio_backend", "name"), [LOOPS[0], LOOPS[2]], ids=["streaq", "faststream"])


@pytest.fixture
def server(name: str, tmp_path: Path) -> Iterator[Broker]:
    """One that may be killed."""
    with SERVERS[name](tmp_path) as broker:
        yield broker


@contextmanager
def working(name: str, url: str, fleet: str) -> Iterator["subprocess.Popen[str]"]:
    """Run a worker that takes one chunk and keeps it."""
    program = [sys.executable, "-m", "tests.support.lease_program", name, url, fleet]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as worker:  # noqa: S603 - ours
        try:
            yield worker
        finally:
            worker.kill()


async def line(worker: "subprocess.Popen[str]") -> str:
    assert worker.stdout
    with anyio.fail_after(20):
        said = await anyio.to_thread.run_sync(worker.stdout.readline, abandon_on_cancel=True)
    return str(said).strip()


async def leased(engine: Engine) -> Lease:
    lease = await engine.queue.lease(SOON)
    assert lease is not None
    return lease


async def insisted(ask: Callable[[], Awaitable[object]]) -> object:
    """Ask until the server is there."""
    with anyio.fail_after(SOON):
        while True:
            try:
                return await ask()
            except Unreachable:
                await anyio.sleep(0.1)


@everywhere
async def test_queued_chunks_and_records_survive_a_restart_of_the_server(server: Broker, name: str) -> None:
    async with OPENS[name](server.url, "f") as engine:
        await engine.queue.put("b/1", b"{}")
        assert await engine.records.write("b", "1", b"known", 0)
        server.restart()
        assert await insisted(engine.queue.size) == 1
        assert (await engine.records.read("b", "1"))[0] == b"known"
        lease = await insisted(lambda: leased(engine))
        assert isinstance(lease, Lease)
        assert (lease.id, lease.delivery) == ("b/1", 1)
        await engine.queue.ack(lease)
        await engine.queue.put("b/2", b"{}")
        assert await engine.queue.size() == 1


@everywhere
async def test_a_lease_survives_a_restart_of_the_server(server: Broker, name: str) -> None:
    async with OPENS[name](server.url, "f", 10 * LEASE) as engine:
        await engine.queue.put("b/1", b"{}")
        lease = await leased(engine)
        server.restart()
        assert await insisted(lambda: engine.queue.renew(lease)) is True
        await engine.queue.ack(lease)
        await engine.queue.ack(lease)
        assert await engine.queue.size() == 0


@everywhere
async def test_a_backend_can_be_closed_while_its_server_is_unreachable(server: Broker, name: str) -> None:
    with anyio.fail_after(4 * PATIENCE):
        async with OPENS[name](server.url, "f", 10 * LEASE) as engine:
            await engine.queue.put("b/1", b"{}")
            _ = await leased(engine)
            server.kill()
            await unreachable(engine.queue.size)


@everywhere
async def test_an_unreachable_server_blocks_no_call_and_is_reconnected(server: Broker, name: str) -> None:
    async with OPENS[name](server.url, "f", 10 * LEASE) as engine:
        chunks, records = engine.queue, engine.records
        await chunks.put("b/1", b"{}")
        await chunks.put("b/2", b"{}")
        one, other = await leased(engine), await leased(engine)
        server.kill()
        asks: list[Callable[[], Awaitable[object]]] = [
            lambda: chunks.put("b/3", b"{}"),
            lambda: chunks.lease(0.5),
            lambda: chunks.ack(one),
            lambda: chunks.bury(one),
            chunks.size,
            lambda: records.read("b", "1"),
            lambda: records.write("b", "1", b"x", 0),
            lambda: anext(aiter(records.scan("b"))),
        ]
        async with anyio.create_task_group() as tasks:
            for ask in asks:
                _ = tasks.start_soon(unreachable, ask)
        server.start()
        assert await insisted(lambda: chunks.put("b/3", b"{}")) is None
        await insisted(lambda: chunks.ack(one))
        await insisted(lambda: chunks.ack(other))
        last = await insisted(lambda: leased(engine))
        assert isinstance(last, Lease)
        assert last.id == "b/3"
        await chunks.ack(last)
        assert await chunks.size() == 0


@everywhere
async def test_a_hanging_server_blocks_no_call(server: Broker, name: str) -> None:
    async with OPENS[name](server.url, "f", 10 * LEASE) as engine:
        chunks, records = engine.queue, engine.records
        await chunks.put("b/1", b"{}")
        lease = await leased(engine)
        server.freeze()
        try:
            async with anyio.create_task_group() as tasks:
                for ask in (lambda: chunks.put("b/2", b"{}"), chunks.size, lambda: records.read("b", "1")):
                    _ = tasks.start_soon(unreachable, ask)
                _ = tasks.start_soon(unreachable, lambda: chunks.lease(0.5))
                _ = tasks.start_soon(unreachable, lambda: chunks.ack(lease))
        finally:
            server.thaw()
        assert (await insisted(lambda: records.read("b", "1"))) == (None, 0)
        await insisted(lambda: chunks.ack(lease))
        assert await insisted(chunks.size) in {0, 1}  # what was put while it hung may have arrived


async def unreachable(ask: Callable[[], Awaitable[object]]) -> None:
    with anyio.fail_after(PATIENCE), pytest.raises(Unreachable) as caught:
        _ = await ask()
    assert "\n" not in str(caught.value)


@on_asyncio
async def test_a_worker_that_is_killed_loses_no_chunk(name: str, request: pytest.FixtureRequest) -> None:
    url, fleet = shared(request, name), f"t-{uuid4().hex[:8]}"
    async with OPENS[name](url, fleet) as engine:
        await engine.queue.put("b/1", b"{}")
        with working(name, url, fleet) as worker:
            assert await line(worker) == "leased b/1 1"
            assert await engine.queue.lease(2 * LEASE) is None
            worker.kill()
            again = await leased(engine)
            assert (again.id, again.delivery) == ("b/1", 2)
            await engine.queue.ack(again)
            assert await engine.queue.size() == 0


@on_asyncio
async def test_a_hanging_worker_loses_its_chunk_to_another_and_notices_it(
    name: str, request: pytest.FixtureRequest
) -> None:
    url, fleet = shared(request, name), f"t-{uuid4().hex[:8]}"
    async with OPENS[name](url, fleet) as engine:
        await engine.queue.put("b/1", b"{}")
        with working(name, url, fleet) as worker:
            assert await line(worker) == "leased b/1 1"
            worker.send_signal(signal.SIGSTOP)
            again = await leased(engine)
            assert (again.id, again.delivery) == ("b/1", 2)
            worker.send_signal(signal.SIGCONT)
            assert await line(worker) == "lost"
            await engine.queue.ack(again)
            assert await engine.queue.size() == 0


def shared(request: pytest.FixtureRequest, name: str) -> str:
    broker = request.getfixturevalue({"streaq": "valkey_broker", "faststream": "nats_broker"}[name])
    assert isinstance(broker, Broker)
    return broker.url


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_a_streaq_worker_that_fails_while_closing_breaks_nothing_else(
    valkey_broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = anyio.Event()

    async def breaks() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise OSError("lost")

    async def run_async(worker: StreaqWorker) -> None:
        del worker
        async with anyio.create_task_group() as tasks:
            _ = tasks.start_soon(anyio.sleep_forever)
            _ = tasks.start_soon(breaks)
            await anyio.lowlevel.checkpoint()
            running.set()
            await anyio.sleep_forever()

    monkeypatch.setattr(StreaqWorker, "run_async", run_async)
    async with OPENS["streaq"](valkey_broker.url, "broken") as engine:
        assert await engine.queue.lease(0.1) is None
        await running.wait()


@pytest.mark.parametrize(("anyio_backend", "name"), LOOPS[:2], ids=["asyncio", "trio"])
async def test_a_chunk_that_waited_in_a_worker_while_the_server_was_unreachable_is_delivered_again(
    server: Broker, name: str
) -> None:
    async with OPENS[name](server.url, "f") as engine:
        assert await engine.queue.lease(0.1) is None
        await engine.queue.put("b/1", b"{}")
        await anyio.sleep(LEASE / 2)
        server.kill()
        await anyio.sleep(1.5 * LEASE)
        server.start()
        lease = await insisted(lambda: leased(engine))
        assert isinstance(lease, Lease)
        await engine.queue.ack(lease)
        assert await engine.queue.size() == 0
