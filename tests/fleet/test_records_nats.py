"""fleet.backends.nats_storage: all names of the documents of a batch are listed."""

from typing import Any, cast

import orjson
import pytest
from attrs import define, field, frozen

from msgapi.fleet import Unreachable
from msgapi.fleet.backends import nats_connection as connection
from msgapi.fleet.backends.nats_storage import NatsRecordStore, open_records
from tests.support.brokers import Broker

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]


async def test_a_scan_leaves_nothing_behind_on_the_server(nats_broker: Broker) -> None:
    async with connection.connect(nats_broker.url) as client:
        records = await open_records(client, fleet="scanned")
        assert await records.write("b", "000001", b"x", 0)
        for _ in range(5):
            assert [one async for one in records.scan("b")] == [("000001", b"x")]
        info = await client.jetstream().stream_info("KV_msgapi-scanned-records")
        assert info.state.consumer_count == 0


@frozen
class Told:
    data: bytes


@define
class Paging:
    """A server that tells of *most* subjects at a time."""

    names: list[str]
    most: int = 2
    asked: list[dict[str, Any]] = field(factory=list)

    async def request(self, _: str, wanted: bytes, *, timeout: float) -> Told:  # noqa: ASYNC109 - as nats-py has it
        assert timeout
        self.asked.append(orjson.loads(wanted))
        at = self.asked[-1]["offset"]
        subjects = {f"$KV.r.b.{name}": 1 for name in self.names[at : at + self.most]}
        return Told(orjson.dumps({"total": len(self.names), "state": {"subjects": subjects or None}}))


@pytest.mark.parametrize("count", [0, 1, 2, 5])
async def test_names_are_listed_a_page_at_a_time(count: int) -> None:
    server = Paging([f"{number:06}" for number in range(count)])
    records = NatsRecordStore(cast("Any", server), "r", cast("Any", None))
    assert await records._names("b") == server.names
    assert server.asked[-1]["subjects_filter"] == "$KV.r.b.>"


async def test_what_the_server_refuses_is_a_one_line_error() -> None:
    class Refusing:
        async def request(self, _: str, __: bytes, **___: object) -> Told:
            return Told(b'{"error":{"code":503,"description":"JetStream system temporarily unavailable"}}')

    records = NatsRecordStore(cast("Any", Refusing()), "r", cast("Any", None))
    with pytest.raises(Unreachable, match="NATS: JetStream system temporarily unavailable"):
        _ = [one async for one in records.scan("b")]
