"""fleet, over real servers: the whole way of a file, and one line for each way in which there is no server."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias, TypeVar
from uuid import uuid4

import anyio
import anyio.lowlevel
import orjson
import pytest

from msgapi import Call, Forbidden, Pace, Result, fleet, journal
from msgapi.cli import main
from msgapi.cli.commands.fleet import connection
from msgapi.cli.commands.fleet.connection import FleetAddress
from msgapi.cli.output import CliError, Exit
from msgapi.fleet.chunk_journal import MAX_ATTEMPTS
from msgapi.sandbox import Sandbox
from tests.support.brokers import Broker
from tests.support.cli_files import people, through
from tests.support.cli_fleets import REPORT, enqueue
from tests.support.raw_servers import free_port

T = TypeVar("T")
Captured = pytest.CaptureFixture[str]
Spoil: TypeAlias = Callable[[fleet.Fleet], Awaitable[None]] | None
POISON = "may/000001"


@pytest.fixture(params=["valkey_broker", "nats_broker"])
def broker(request: pytest.FixtureRequest) -> Broker:
    found: Broker = request.getfixturevalue(request.param)
    return found


def test_a_file_goes_through_a_fleet_and_the_report_adds_up(
    tmp_path: Path, broker: Broker, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    box, where = Sandbox(), str(tmp_path / "may.journal")
    through(monkeypatch, box)
    monkeypatch.setenv("MSGAPI_FLEET_URL", broker.url)
    here = ["--fleet", "whole"]
    path = people(tmp_path, 250, more="251,bad,Ann\n252,+4915100000001,Ann\n")
    assert main([*enqueue(path), *here]) == 0
    assert main([*enqueue(path), *here]) == 0
    assert "nothing was queued: all 252 rows of the batch may are queued already" in capsys.readouterr().out
    assert main([*REPORT, *here]) == 3
    assert "0 of 3 chunks are done, 0 are begun, 3 are waiting" in capsys.readouterr().err
    assert main(["fleet", "work", "--until-empty", *here]) == 1
    assert "250 rows accepted by this worker, 17.50 EUR, 3 chunks done" in capsys.readouterr().out
    assert main([*REPORT, *here, "--json", "--journal", where]) == 1
    facts = orjson.loads(capsys.readouterr().out)
    assert (facts["rows"], facts["accepted"], facts["refused"], facts["duplicate"]) == (252, 250, 1, 1)
    assert (facts["chunks"]["done"], facts["chunks"]["left"], facts["price"]) == (3, 0, "17.50")
    with journal.open_readonly(where) as record:
        assert {line.message_id for line in record.rows(journal.State.ACCEPTED)} == {one.id for one in box.messages}
    assert main(["fleet", "report", "--batch", "june", *here]) == 2
    assert "there is no batch june on the fleet whole" in capsys.readouterr().err


async def _spoilt(there: fleet.Fleet) -> None:
    await there.queue.put(POISON, b"{")  # what is queued under this name stays as it is


async def _lost(there: fleet.Fleet) -> None:
    """Have workers take the chunk and never say anything of it again; the last one gives it back."""
    times = 0
    while times < MAX_ATTEMPTS + 1:
        lease = await there.queue.lease(10)
        assert lease is not None
        if lease.id == POISON:
            times = lease.delivery
        else:
            await there.queue.ack(lease)


async def _raising(there: fleet.Fleet) -> None:
    """Have workers break over a row of the chunk."""

    async def api(call: Call[T], /) -> Result[T]:
        await anyio.lowlevel.checkpoint()
        if b"+4915100000101" in (call.body or b""):
            raise LookupError("a row that no worker can deal with")
        return Forbidden()

    for _ in range(MAX_ATTEMPTS):
        with pytest.raises(LookupError):
            _ = await fleet.work(there.queue, api, Pace(), records=there.records, breaker=None)


@pytest.mark.parametrize(
    "poison",
    [
        (_spoilt, None, "it is not JSON"),
        (None, _lost, "5 workers have had it and were lost with it: it may be what ends them"),
        (None, _raising, "it was begun 5 times and never finished: it ends its workers, or rows never settle"),
    ],
    ids=["spoilt", "lost", "raising"],
)
def test_a_chunk_that_can_never_succeed_is_buried_and_the_report_names_it(
    poison: tuple[Spoil, Spoil, str], tmp_path: Path, broker: Broker, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, after, why = poison
    lease = 0.25 if after is _lost else 3.0  # on NATS the first to come sets it
    name, path = uuid4().hex, people(tmp_path, 150)

    async def done(what: Spoil) -> None:
        async with fleet.open(broker.url, fleet=name, api_key="", lease_seconds=lease, concurrent_chunks=1) as there:
            if what is not None:
                await what(there)

    through(monkeypatch, Sandbox())
    monkeypatch.setenv("MSGAPI_FLEET_URL", broker.url)
    anyio.run(done, before)
    assert main([*enqueue(path), "--fleet", name]) == 0
    anyio.run(done, after)
    assert main(["fleet", "work", "--until-empty", "--fleet", name]) == 0
    assert f"msgapi: the chunk {POISON} was abandoned: {why}\n" in capsys.readouterr().err
    assert main([*REPORT, "--fleet", name]) == 3
    assert f"msgapi: chunk 000001 was abandoned: {why}\n" in capsys.readouterr().err
    assert main([*REPORT, "--fleet", name, "--json"]) == 3
    chunks = orjson.loads(capsys.readouterr().out)["chunks"]
    assert (chunks["buried"], chunks["left"]) == ({"000001": why}, 0)


@pytest.mark.parametrize("command", [["report", "--batch", "may"], ["work"]])
@pytest.mark.parametrize("scheme", ["redis", "nats"])
def test_a_server_that_is_not_there_is_one_line(
    scheme: str, command: list[str], capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MSGAPI_API_KEY", "sk_x")
    assert main(["fleet", *command, "--fleet-url", f"{scheme}://me:s3cret@127.0.0.1:{free_port()}"]) == 4
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("msgapi: ")
    assert "s3cret" not in line


def test_an_address_that_is_none_is_one_line(capsys: Captured) -> None:
    assert main([*REPORT, "--fleet-url", "http://127.0.0.1"]) == 4
    assert capsys.readouterr().err.startswith("msgapi: the address of a fleet is one of redis://")


@pytest.mark.anyio
async def test_a_fleet_is_reached_with_all_its_parts(valkey_broker: Broker) -> None:
    async with connection.open_fleet(FleetAddress(url=valkey_broker.url, fleet="parts")) as there:
        assert await there.queue.size() == 0
        assert await there.records.read("may", "manifest") == (None, 0)
        assert await there.shared_rate.paused() is None


@pytest.mark.anyio
async def test_an_error_inside_comes_out_as_itself(valkey_broker: Broker) -> None:
    with pytest.raises(ValueError, match="mine"):
        async with connection.open_fleet(FleetAddress(url=valkey_broker.url, fleet="parts")):
            raise ValueError("mine")


@pytest.mark.anyio
async def test_a_fleet_that_cannot_be_reached_ends_the_program() -> None:
    with pytest.raises(CliError, match="Redis") as told:
        async with connection.open_fleet(FleetAddress(url=f"redis://127.0.0.1:{free_port()}")):
            pass
    assert told.value.status is Exit.CONFIGURATION
