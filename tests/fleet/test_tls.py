"""A fleet over TLS: certificates are checked, and a CA of your own is trusted if it is named."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import pytest
import trustme
from anyio.abc import ByteStream
from attrs import frozen

from msgapi.fleet import Unreachable
from msgapi.fleet.opening import open as open_fleet
from tests.fleet.test_opening import works
from tests.support.brokers import Broker, nats
from tests.support.raw_servers import GONE, Wire, serving

pytestmark = pytest.mark.anyio
HERE = ("127.0.0.1", "localhost")


@frozen
class Authority:
    """One that nobody knows: what it certifies is *certificate*, and *bundle* holds its own."""

    certificate: Path
    bundle: Path


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = trustme.CA()
    found = Authority(tmp_path / "server.pem", tmp_path / "authority.pem")
    made.issue_cert(*HERE).private_key_and_cert_chain_pem.write_to_path(found.certificate)
    made.cert_pem.write_to_path(found.bundle)
    return found


@asynccontextmanager
async def over_tls(broker: Broker, authority: Authority) -> AsyncIterator[str]:
    """Stand before *broker*, as something that speaks TLS; gives where, as `HOST:PORT`."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(authority.certificate)

    async def pump(source: ByteStream, sink: ByteStream, over: anyio.CancelScope) -> None:
        with suppress(*GONE):
            async for some in source:
                await sink.send(some)
        over.cancel()

    async def serve(wire: Wire) -> None:
        async with await anyio.connect_tcp(HERE[0], broker.port) as behind, anyio.create_task_group() as tasks:
            tasks.start_soon(pump, wire.stream, behind, tasks.cancel_scope)
            tasks.start_soon(pump, behind, wire.stream, tasks.cancel_scope)

    async with serving(serve, tls=context) as url:
        yield url.removeprefix("https://")


async def refused(url: str) -> None:
    with pytest.raises(Unreachable, match="certificate verify failed") as caught:
        async with open_fleet(url, api_key="key"):
            pass
    assert "s3cret" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["rediss", "valkeys"])
async def test_a_fleet_on_redis_connects_over_tls_if_the_ca_is_trusted(
    valkey_broker: Broker, authority: Authority, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with over_tls(valkey_broker, authority) as place:
        await refused(f"{scheme}://:s3cret@{place}")
        monkeypatch.setenv("SSL_CERT_FILE", f"{authority.bundle}")
        assert await works(f"{scheme}://{place}")


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_fleet_on_nats_connects_over_tls_if_the_ca_is_trusted(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with nats(tmp_path / "nats", authority.certificate) as broker:
        await refused(broker.url.replace("://", "://me:s3cret@"))
        monkeypatch.setenv("SSL_CERT_FILE", f"{authority.bundle}")
        assert await works(broker.url)
        assert await works(broker.url.replace("tls:", "nats:"))
