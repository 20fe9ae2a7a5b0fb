"""fleet.open: which server an address names, and one line for each error."""

import sys
from math import inf, nan
from typing import Any

import anyio
import pytest

from msgapi import Ok, messages
from msgapi.fleet import FleetConflict, MemoryRecordStore, Revision, Unreachable, disclaim
from msgapi.fleet.opening import claim
from msgapi.fleet.opening import open as open_fleet
from msgapi.sandbox import Sandbox, serve
from tests.docs.pages import EXAMPLES
from tests.support.brokers import Broker
from tests.support.raw_servers import free_port

pytestmark = pytest.mark.anyio
asyncio_only = pytest.mark.parametrize("anyio_backend", ["asyncio"])


async def works(url: str) -> bool:
    async with open_fleet(url, fleet="opening", api_key="key") as fleet:
        await fleet.queue.put("b/1", b"{}")
        lease = await fleet.queue.lease(5)
        assert lease is not None
        await fleet.queue.ack(lease)
        value, revision = await fleet.records.read("b", "1")
        assert await fleet.records.write("b", "1", b"x", revision)
        assert await fleet.records.read("b", "1") != (value, revision)
        assert await fleet.shared_rate.paused() is None
        return (await fleet.shared_rate.reserve("POST messages", 1)).slots == 1


@pytest.mark.parametrize("scheme", ["redis", "valkey"])
async def test_a_fleet_on_redis_has_a_queue_records_and_a_shared_rate(valkey_broker: Broker, scheme: str) -> None:
    assert await works(f"{scheme}://127.0.0.1:{valkey_broker.port}/0")


@asyncio_only
async def test_a_fleet_on_nats_has_a_queue_records_and_a_shared_rate(nats_broker: Broker) -> None:
    assert await works(nats_broker.url)


@asyncio_only
async def test_the_web_server_of_the_page_on_rate_limits_shares_its_rate(
    valkey_broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = messages.Text(agent_id="ag_live_demo", to="+4915112345678", traffic_type="TRANSACTION", text="Hi")
    sandbox = Sandbox(api_key="sk_shared_by_web_servers", rate_limit=50)
    async with serve(sandbox) as url:
        monkeypatch.setenv("MSGAPI_FLEET_URL", valkey_broker.url)
        monkeypatch.setenv("MSGAPI_API_KEY", sandbox.api_key)
        monkeypatch.setenv("MSGAPI_BASE_URL", url)
        scope: dict[str, Any] = {}
        exec(EXAMPLES["docs/how-to/rate-limits.md", "Rate limits", 1], scope)  # noqa: S102 - the page's own
        app = scope["app"]
        async with (
            open_fleet(valkey_broker.url, api_key=sandbox.api_key, read_only=True) as another,
            app.router.lifespan_context(app),
        ):
            assert (await another.shared_rate.reserve("POST messages", 1)).spacing == 0  # no limit is known
            for _ in range(2):
                assert isinstance(await app.state.messaging(messages.send(text)), Ok)
            assert (await another.shared_rate.reserve("POST messages", 1)).spacing > 0  # as the responses state it


@pytest.mark.parametrize("engine", ["valkey_broker", "nats_broker"])
@asyncio_only
async def test_a_fleet_sends_with_one_key_and_may_be_read_with_any(request: pytest.FixtureRequest, engine: str) -> None:
    url = request.getfixturevalue(engine).url
    async with (
        open_fleet(url, fleet="owned", api_key="", read_only=True),
        open_fleet(url, fleet="owned", api_key="key"),
    ):
        pass
    async with (
        open_fleet(url, fleet="owned", api_key="key"),
        open_fleet(url, fleet="owned", api_key="other", read_only=True),
    ):
        with pytest.raises(FleetConflict, match="the fleet owned sends with another API key"):
            async with open_fleet(url, fleet="owned", api_key="other"):
                pass
    async with open_fleet(url, fleet="owned", api_key="other", read_only=True) as fleet:
        await disclaim(fleet.records, "other")  # says nothing of a fleet that is not its own
        with pytest.raises(FleetConflict):
            async with open_fleet(url, fleet="owned", api_key="other"):
                pass
        await disclaim(fleet.records, "key")
    async with open_fleet(url, fleet="owned", api_key="other"):
        pass


@pytest.mark.parametrize("engine", ["valkey_broker", "nats_broker"])
@asyncio_only
async def test_a_producer_claims_nothing_but_conflicts_with_another_key(
    request: pytest.FixtureRequest, engine: str
) -> None:
    url = request.getfixturevalue(engine).url
    async with open_fleet(url, fleet="queued", api_key="mistyped", claim_key=False):
        pass
    async with (
        open_fleet(url, fleet="queued", api_key="key"),
        open_fleet(url, fleet="queued", api_key="key", claim_key=False),
    ):
        pass
    with pytest.raises(FleetConflict, match="the fleet queued sends with another API key"):
        async with open_fleet(url, fleet="queued", api_key="mistyped", claim_key=False):
            pass
    async with open_fleet(url, fleet="queued", api_key="", claim_key=False):  # whoever queues needs no key
        pass


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1",
        "http://:s3cret@127.0.0.1",
        "redis://",
        "nats://:s3cret@",
        "redis://:s3cret@h:port",
        "nats://[s3cret",
    ],
)
async def test_an_invalid_address_is_refused_without_quoting_it(url: str) -> None:
    with pytest.raises(ValueError, match=r"^the address of a fleet is one of redis://") as caught:
        async with open_fleet(url, api_key="key"):
            pass
    assert "s3cret" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("rest", ["?db=s3cret", "/s3cret", "/-1", "/1/2", "?decode_responses=s3cret", "/0?db=1"])
@pytest.mark.parametrize("scheme", ["redis", "valkeys"])
async def test_the_address_on_redis_ends_in_nothing_but_a_database_number(scheme: str, rest: str) -> None:
    said = "the address of a fleet on Redis ends in HOST:PORT, or in HOST:PORT/NUMBER for another database than 0"
    with pytest.raises(ValueError, match=f"^{said}$"):
        async with open_fleet(f"{scheme}://127.0.0.1:{free_port()}{rest}", api_key="key"):
            pass


@pytest.mark.parametrize("rest", ["/", "/1", "?db=2"])
async def test_a_fleet_may_be_in_another_database(valkey_broker: Broker, rest: str) -> None:
    assert await works(f"{valkey_broker.url}{rest}")


async def test_the_name_of_a_fleet_is_valid_on_every_backend() -> None:
    with pytest.raises(ValueError, match=r"^a fleet is named by up to 64 of"):
        async with open_fleet("redis://127.0.0.1", fleet="a/b", api_key="key"):
            pass


@pytest.mark.parametrize(
    ("number", "said"),
    [
        ({"lease_seconds": 0}, "lease_seconds must be a number of seconds above 0, not 0"),
        ({"lease_seconds": -1.5}, "lease_seconds must be a number of seconds above 0, not -1.5"),
        ({"lease_seconds": nan}, "lease_seconds must be a number of seconds above 0, not nan"),
        ({"lease_seconds": inf}, "lease_seconds must be a number of seconds above 0, not inf"),
        ({"concurrent_chunks": 0}, "concurrent_chunks must be at least 1, not 0"),
    ],
)
@pytest.mark.parametrize(("anyio_backend", "scheme"), [("asyncio", "redis"), ("trio", "redis"), ("asyncio", "nats")])
async def test_a_number_out_of_range_is_refused_before_connecting(
    scheme: str, number: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=f"^{said}$"):
        async with open_fleet(f"{scheme}://127.0.0.1:{free_port()}", api_key="key", **number):
            pass


@pytest.mark.parametrize(("anyio_backend", "scheme"), [("asyncio", "redis"), ("trio", "redis"), ("asyncio", "nats")])
async def test_a_missing_server_is_a_one_line_error_at_once(scheme: str) -> None:
    with anyio.fail_after(3), pytest.raises(Unreachable) as caught:
        async with open_fleet(f"{scheme}://me:s3cret@127.0.0.1:{free_port()}", api_key="key"):
            pass
    assert "s3cret" not in str(caught.value)
    assert str(caught.value).startswith(scheme.replace("redis", "Redis").replace("nats", "NATS"))
    assert "\n" not in str(caught.value)


async def test_a_wrong_password_is_an_error_that_does_not_quote_it(valkey_broker: Broker) -> None:
    with pytest.raises(Unreachable, match=r"^Redis: ") as caught:
        async with open_fleet(f"redis://me:s3cret@127.0.0.1:{valkey_broker.port}", api_key="key"):
            pass
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("library", "extra", "url"), [("streaq", "redis", "redis://h"), ("faststream", "nats", "tls://h")]
)
async def test_an_extra_that_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, library: str, extra: str, url: str
) -> None:
    for name in ("msgapi.fleet.backends.redis_storage", "msgapi.fleet.backends.nats_storage"):
        monkeypatch.delitem(sys.modules, name, raising=False)
        monkeypatch.delattr(name, raising=False)
    for name in [library, *(name for name in sys.modules if name.startswith(f"{library}."))]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(Unreachable, match=rf"pip install 'msgapi-sdk\[{extra}\]'"):
        async with open_fleet(url, api_key="key"):
            pass


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_a_fleet_on_nats_says_that_it_needs_asyncio() -> None:
    with pytest.raises(ValueError, match="asyncio only"):
        async with open_fleet("nats://127.0.0.1", api_key="key"):
            pass


async def test_an_exception_in_the_block_is_raised_without_a_group(valkey_broker: Broker) -> None:
    with pytest.raises(LookupError, match="mine"):
        async with open_fleet(valkey_broker.url, api_key="key"):
            raise LookupError("mine")


async def test_a_cancelled_block_releases_its_chunks(valkey_broker: Broker) -> None:
    async with open_fleet(valkey_broker.url, fleet="cancelled", api_key="key") as other:
        await other.queue.put("b/1", b"{}")
        with anyio.CancelScope() as scope:
            async with open_fleet(valkey_broker.url, fleet="cancelled", api_key="key") as fleet:
                assert await fleet.queue.lease(5)
                scope.cancel()
                await anyio.sleep_forever()
        lease = await other.queue.lease(5)
        assert lease is not None
        assert lease.delivery == 1
        await other.queue.ack(lease)


class Hasty:
    """Records in which another with the same key is quicker, once."""

    def __init__(self) -> None:
        self.kept = MemoryRecordStore()
        self.read, self.scan = self.kept.read, self.kept.scan
        self.writes = 0

    async def write(self, batch: str, name: str, value: bytes, revision: Revision) -> bool:
        self.writes += 1
        if self.writes == 1:
            assert await self.kept.write(batch, name, value, revision)
        return await self.kept.write(batch, name, value, revision)


async def test_two_workers_with_one_key_can_claim_at_once() -> None:
    records = Hasty()
    await claim(records, "fleet", "key")
    assert records.writes == 1
