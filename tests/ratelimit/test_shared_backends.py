"""The implementations of SharedRate: one suite for all of them, and what is specific to each."""

import contextlib
import gc
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeAlias, cast

import anyio
import coredis
import nats as nats_client
import orjson
import pytest
from attrs import asdict, define
from hypothesis import given, settings
from hypothesis import strategies as st
from nats.js.errors import KeyNotFoundError, KeyWrongLastSequenceError

from msgapi import Clock, SystemClock, VirtualClock
from msgapi.fleet.backends import nats_connection as on_nats_server
from msgapi.fleet.backends import redis_connection as connection
from msgapi.fleet.backends import redis_connection as on_redis_server
from msgapi.fleet.backends.nats_connection import NatsSharedRate
from msgapi.fleet.backends.redis_connection import RedisSharedRate
from msgapi.fleet.opening import hash_key
from msgapi.ratelimit import Grant, LocalSharedRate, RateState, SharedRate
from tests.support.brokers import Broker, nats, nats_broker, valkey, valkey_broker

pytestmark = pytest.mark.anyio
__all__ = ["nats_broker", "valkey_broker"]
SEND_CLASS = "POST messages"
KEY = "sk_test_secret"
_numbers = count()
"""Opens a quota as another worker would: each has a connection of its own, and all have the same key."""
Opening: TypeAlias = Callable[[], AbstractAsyncContextManager[SharedRate]]


@contextlib.asynccontextmanager
async def on_redis(url: str, key: str = KEY) -> AsyncIterator[RedisSharedRate]:
    async with connection.connect(url) as client:
        yield on_redis_server.open_shared_rate(client, key=key)


@contextlib.asynccontextmanager
async def on_nats(url: str, key: str = KEY, clock: Clock | None = None) -> AsyncIterator[NatsSharedRate]:
    async def say_nothing(_: Exception) -> None: ...

    client = await nats_client.connect(url, max_reconnect_attempts=-1, reconnect_time_wait=0.05, error_cb=say_nothing)
    try:
        yield on_nats_server.open_shared_rate(client, key=key, clock=clock or SystemClock())
    finally:
        await client.close()


@pytest.fixture(params=["local", "redis", "nats"])
def opening(request: pytest.FixtureRequest, anyio_backend: str) -> Opening:
    if (request.param, anyio_backend) == ("nats", "trio"):
        pytest.skip("nats-py is for asyncio alone")
    key = f"{KEY}{next(_numbers)}"
    if request.param == "local":
        shared = LocalSharedRate(SystemClock())
        return lambda: contextlib.nullcontext(shared)
    broker: Broker = request.getfixturevalue("valkey_broker" if request.param == "redis" else "nats_broker")
    return lambda: (on_redis if request.param == "redis" else on_nats)(broker.url, key)


async def hangs(quota: SharedRate, broker: Broker) -> None:
    """Have a server hang that is there, and go on."""
    await quota.set_limit(SEND_CLASS, 100)
    broker.freeze()
    with anyio.fail_after(5):
        assert (await quota.reserve(SEND_CLASS, 1)).slots == 0
    broker.thaw()
    with anyio.fail_after(10):
        await granted(quota)


async def comes_back(quota: SharedRate, broker: Broker) -> None:
    """Start a server that is away, and that was paused before."""
    with anyio.move_on_after(0.3) as scope:
        await quota.resume()
    assert scope.cancelled_caught
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(quota.paused)
        await anyio.sleep(0.1)
        broker.start()
    assert await quota.paused() == b"why"
    await granted(quota)


async def granted(quota: SharedRate) -> None:
    for _ in range(50):
        grant = await quota.reserve(SEND_CLASS, 1)
        if grant.slots:
            return
        await anyio.sleep(grant.after)
    raise AssertionError(grant)


async def test_workers_get_slots_one_after_the_other(opening: Opening) -> None:
    async with opening() as one, opening() as other:
        await one.set_limit(SEND_CLASS, 100)
        first, second = await one.reserve(SEND_CLASS, 2), await other.reserve(SEND_CLASS, 2)
    assert (first.slots, second.slots) == (2, 2)
    assert first.spacing == second.spacing == pytest.approx(1 / 93)
    assert -0.05 < first.after <= 0
    assert second.after - first.after < 2 / 93  # time has gone by


async def test_a_rate_is_kept_over_many_reservations(opening: Opening) -> None:
    seconds, slots = 1.5, 0

    async def work(quota: SharedRate) -> None:
        nonlocal slots
        while anyio.current_time() < began + seconds:
            grant = await quota.reserve(SEND_CLASS, 20)
            slots += grant.slots
            await anyio.sleep(max(0.0, grant.after + grant.slots * grant.spacing))

    async with opening() as one, opening() as two, opening() as three:
        await one.set_limit(SEND_CLASS, 400)
        for quota in (two, three):
            assert await quota.paused() is None  # it is connected: what comes now is the rate's alone
        began = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            for quota in (one, two, three):
                tasks.start_soon(work, quota)
        took = anyio.current_time() - began
    assert 0.6 * 380 * seconds <= slots <= 380 * (took + 0.2)


async def test_slots_of_an_unknown_limit_have_no_spacing(opening: Opening) -> None:
    async with opening() as quota:
        assert await quota.reserve(SEND_CLASS, 100) == Grant(8, 0.0, 0.0)


async def test_the_limit_of_the_user_is_an_upper_bound(opening: Opening) -> None:
    async with opening() as quota:
        assert (await quota.reserve(SEND_CLASS, 1, 50.0)).spacing == pytest.approx(1 / 46.5)


async def test_a_throttle_is_for_all_workers_and_one_endpoint_class(opening: Opening) -> None:
    async with opening() as one, opening() as other:
        await one.throttle(SEND_CLASS, 30)
        closed, open_ = await other.reserve(SEND_CLASS, 1), await other.reserve("GET billing", 1)
    assert closed.slots == 0
    assert 28 < closed.after <= 30
    assert open_.slots == 1


async def test_a_pause_is_for_all_workers_until_one_ends_it(opening: Opening) -> None:
    async with opening() as one, opening() as other:
        assert await other.paused() is None
        await one.pause(b'{"code":"insufficient_balance"}')
        assert await other.paused() == b'{"code":"insufficient_balance"}'
        await other.resume()
        assert await one.paused() is None
        await one.resume()


async def test_no_key_on_redis_contains_the_api_key(valkey_broker: Broker) -> None:
    async with on_redis(valkey_broker.url) as quota, coredis.Redis.from_url(valkey_broker.url) as client:
        await quota.set_limit(SEND_CLASS, 1)
        await quota.pause(b"x")
        names = await client.keys("*")
        await quota.resume()
    assert len(names) >= 2
    assert not any(KEY.encode() in name for name in names)


async def test_a_redis_client_that_decodes_responses_works_too(valkey_broker: Broker) -> None:
    async with coredis.Redis.from_url(valkey_broker.url, decode_responses=True) as client:
        quota = on_redis_server.open_shared_rate(client, key="sk_decoding")
        await quota.set_limit(SEND_CLASS, 100)
        assert (await quota.reserve(SEND_CLASS, 1)).slots == 1
        await quota.pause("Geld ist alle, schön".encode())
        assert await quota.paused() == "Geld ist alle, schön".encode()


@pytest.fixture
def nats_url(anyio_backend: str, nats_broker: Broker) -> str:
    if anyio_backend == "trio":
        pytest.skip("nats-py is for asyncio alone")
    return nats_broker.url


async def test_no_key_on_nats_contains_the_api_key(nats_url: str) -> None:
    async with on_nats(nats_url) as quota:
        await quota.set_limit("POST mäßig/*>. x", 1)
        await quota.pause(b"x")
        bucket = await quota._client.jetstream().key_value("msgapi-quota")
        names = await bucket.keys()
        await quota.resume()
    assert any("POST=20=m=e4==df=ig=2f==2a==3e==2e==20=x" in name for name in names)
    assert not any(KEY in name for name in names)


async def test_concurrent_reservations_on_nats_are_all_counted(nats_url: str) -> None:
    grants: list[Grant] = []
    async with on_nats(nats_url, "sk_many") as quota:

        async def work() -> None:
            grants.append(await quota.reserve(SEND_CLASS, 1))

        async with anyio.create_task_group() as tasks:
            for _ in range(8):
                tasks.start_soon(work)
        bucket = await quota._client.jetstream().key_value("msgapi-quota")
        kept = await bucket.get(f"{hash_key('sk_many')}.rate.POST=20=messages")
    assert kept.value is not None
    assert orjson.loads(kept.value)["granted"] == sum(grant.slots for grant in grants) == 8


async def test_a_worker_on_nats_goes_by_the_servers_time_and_asks_for_it_once_a_minute(nats_url: str) -> None:
    async with on_nats(nats_url, "sk_time", clock := VirtualClock()) as quota, on_nats(nats_url, "sk_time") as other:
        await other.throttle(SEND_CLASS, 30)
        assert 28 < (await quota.reserve(SEND_CLASS, 1)).after <= 30
        clock.advance(25)  # a clock that is too fast
        assert 3 < (await quota.reserve(SEND_CLASS, 1)).after <= 5
        clock.advance(36)
        assert 28 < (await quota.reserve(SEND_CLASS, 1)).after <= 30


async def test_a_bucket_that_others_damaged_or_deleted_is_recovered(nats_url: str) -> None:
    async with on_nats(nats_url, "sk_bucket") as quota:
        await quota.set_limit(SEND_CLASS, 100)
        stream = quota._client.jetstream()
        bucket = await stream.key_value("msgapi-quota")
        for name in await bucket.keys():
            await bucket.delete(name)
        assert (await quota.reserve(SEND_CLASS, 9)).spacing == 0
        for name in await bucket.keys():
            await bucket.put(name, b"{")
        assert (await quota.reserve(SEND_CLASS, 9)).slots == 8
        await stream.delete_key_value("msgapi-quota")
        await granted(quota)


@define
class Outrun:
    """A bucket into which somebody else has always just written."""

    bucket: Any
    tries: int = 0

    async def get(self, name: str) -> object:
        return await self.bucket.get(name)

    async def update(self, name: str, value: bytes, last: int) -> None:
        self.tries += 1
        await self.bucket.put(name, value)
        await self.bucket.update(name, value, last=last)


async def test_a_worker_whose_every_write_fails_is_granted_nothing(nats_url: str) -> None:
    async with on_nats(nats_url, "sk_outrun", clock := VirtualClock()) as quota:
        await quota.set_limit(SEND_CLASS, 100)
        quota._bucket = outrun = Outrun(quota._bucket)  # type: ignore[assignment]
        async with clock.autojump():
            assert (await quota.reserve(SEND_CLASS, 1)).slots == 0
        assert 1 < outrun.tries < 100


async def test_an_unreachable_nats_server_grants_nothing_until_it_is_back(
    tmp_path: Path, nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    del nats_url
    monkeypatch.setattr(on_nats_server, "_RATE_TIMEOUT", 0.5)
    with nats(tmp_path) as broker:
        async with on_nats(broker.url) as quota:
            await quota.set_limit(SEND_CLASS, 100)
            await quota.pause(b"why")
            broker.kill()
            pauses = [await quota.reserve(SEND_CLASS, 1) for _ in range(2)]
            assert [pause.slots for pause in pauses] == [0, 0]
            assert 0 < pauses[0].after < pauses[1].after
            await comes_back(quota, broker)


async def test_reading_the_pause_backs_off_while_nats_is_unreachable(nats_url: str) -> None:
    async with on_nats(nats_url, "sk_away", clock := VirtualClock()) as quota:
        await quota._client.close()
        with anyio.move_on_after(0.1) as scope:
            async with clock.autojump():
                await quota.paused()
    assert scope.cancelled_caught
    assert clock.now() >= 0.05 + 0.08


async def test_a_hanging_nats_server_grants_nothing_in_bounded_time(
    tmp_path: Path, nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    del nats_url
    monkeypatch.setattr(on_nats_server, "_RATE_TIMEOUT", 0.5)
    with nats(tmp_path) as broker:
        async with on_nats(broker.url) as quota:
            await hangs(quota, broker)


RESERVE = st.tuples(st.just("reserve"), st.integers(1, 100), st.sampled_from([0.0, 0.0, 0.0, 30.0, 700.0]))
THROTTLE = st.tuples(st.just("throttle"), st.floats(0, 3), st.just(0.0))
SET_LIMIT = st.tuples(st.just("set_limit"), st.floats(0.01, 3000), st.just(0.0))
LATER = st.floats(0, 0.05) | st.floats(0, 3)
UNTOLD = st.lists(st.tuples(LATER, RESERVE | THROTTLE), min_size=3, max_size=30)
TOLD = st.lists(st.tuples(LATER, RESERVE | THROTTLE | SET_LIMIT), min_size=1, max_size=30)


def test_the_script_returns_and_stores_the_same_as_the_arithmetic_at_each_step(valkey_broker: Broker) -> None:
    async def run(steps: list[tuple[float, tuple[str, float, float]]]) -> None:
        async with coredis.Redis.from_url(valkey_broker.url, decode_responses=True) as client:
            script: Any = client.register_script(on_redis_server.SCRIPT)
            meter, now, name = RateState(), 1_800_000_000.0, f"steps:{next(_numbers)}"
            for later, (what, one, other) in steps:
                now += later
                said = [float(part) for part in await script([name], [what, *map(repr, (one, other, now))])]
                meter, grant = step(meter, now, what, one, other)
                assert said == [grant.slots, grant.after, grant.spacing]
                kept = await client.hgetall(name)
                assert {figure: float(value) for figure, value in kept.items()} == asdict(meter)

    @settings(max_examples=100)
    @given(steps=UNTOLD | TOLD)
    def each(steps: list[tuple[float, tuple[str, float, float]]]) -> None:
        anyio.run(run, steps)

    each()


def step(meter: RateState, now: float, what: str, one: float, other: float) -> tuple[RateState, Grant]:
    nothing = Grant(0, 0.0, 0.0)
    match what:
        case "reserve":
            return meter.reserve(now, int(one), other)
        case "throttle":
            return meter.throttle(now, one), nothing
        case _:
            return meter.set_limit(one), nothing


# coredis leaves the channels of a connection that was lost to the collector
lossy = pytest.mark.filterwarnings("ignore:Unclosed <MemoryObject:ResourceWarning")


@lossy
async def test_an_unreachable_redis_grants_nothing_until_it_is_back(tmp_path: Path) -> None:
    with valkey(tmp_path) as broker:
        async with on_redis(broker.url) as quota:
            await quota.set_limit(SEND_CLASS, 100)
            await quota.pause(b"why")
            broker.kill()
            pauses = [await quota.reserve(SEND_CLASS, 1) for _ in range(3)]
            assert [pause.slots for pause in pauses] == [0, 0, 0]
            assert 0 < pauses[0].after < pauses[1].after < pauses[2].after
            await quota.throttle(SEND_CLASS, 1)
            await quota.set_limit(SEND_CLASS, 100)
            await comes_back(quota, broker)
    _ = gc.collect()


@lossy
async def test_a_hanging_redis_grants_nothing_in_bounded_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "COMMAND_TIMEOUT", 0.5)
    with valkey(tmp_path) as broker:
        async with on_redis(broker.url) as quota:
            await hangs(quota, broker)
    _ = gc.collect()


class ContendedBucket:
    """A bucket in which another worker always writes first."""

    def __init__(self) -> None:
        self.writes = 0

    async def get(self, name: str) -> object:
        del name
        raise KeyNotFoundError

    async def update(self, name: str, value: bytes, last: int) -> int:
        del name, value, last
        self.writes += 1
        raise KeyWrongLastSequenceError


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_state_that_others_always_write_first_is_given_up_and_nothing_is_granted() -> None:
    clock, bucket = VirtualClock(), ContendedBucket()
    client: Any = SimpleNamespace(request=None)
    shared = on_nats_server.open_shared_rate(client, key=KEY, clock=clock)
    shared._bucket, shared._measured_at = cast("Any", bucket), clock.now()
    async with clock.autojump():
        grant = await shared.reserve(SEND_CLASS, 4)
    assert (grant.slots, bucket.writes) == (0, on_nats_server._ATTEMPTS)
    assert grant.after > 0
