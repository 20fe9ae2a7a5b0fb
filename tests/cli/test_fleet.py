"""fleet: a file goes into the queue of a fleet, and its report is that of a batch."""

from pathlib import Path
from typing import Any

import anyio
import orjson
import pytest
from attrs import evolve

from msgapi import Balance, InsufficientBalance, codec, journal
from msgapi.cli import main
from msgapi.cli.commands.fleet import batches
from msgapi.cli.commands.fleet.connection import FleetAddress
from msgapi.cli.files.tables import InputFile
from msgapi.clock import VirtualClock
from msgapi.fleet import ChunkRecord, Manifest, MemoryRecordStore, Revision, RowRecord
from msgapi.fleet.chunk import Chunk
from msgapi.journal import State
from msgapi.journal.resumption import content_id, request_digest
from tests.support.cli_files import people, text
from tests.support.cli_fleets import RCS, REPORT, Fleet, enqueue, placed

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> Fleet:
    return placed(monkeypatch)


def ended(chunk: Chunk, **facts: Any) -> ChunkRecord:  # noqa: ANN401 - the fields of what was found
    found = RowRecord(
        id="",
        request_hash="",
        state=State.ACCEPTED,
        started=1.8e9,
        kind="Accepted",
        status=202,
        price="0.07",
        hold="0.07",
    )
    rows = (evolve(found, id=row.id, request_hash=request_digest(*row.call.legs).hex(), **facts) for row in chunk.rows)
    return ChunkRecord(id=chunk.id, stage="done", rows=tuple(rows))


async def _recorded(there: Fleet, *records: ChunkRecord) -> None:
    for record in records:
        _, revision = await there.records.read("may", record.id)
        assert await there.records.write("may", record.id, record.dump(), revision)
        lease = await there.queue.lease(0)
        assert lease is not None
        await there.queue.ack(lease)


def recorded(there: Fleet, *records: ChunkRecord) -> None:
    anyio.run(_recorded, there, *records)


def test_each_row_of_a_file_is_queued_under_its_name_and_key(tmp_path: Path, there: Fleet, capsys: Captured) -> None:
    path = people(tmp_path, 250, more="251,bad,Ann\n252,+4915100000001,Ann\n")
    assert main(enqueue(path)) == 0
    told = capsys.readouterr()
    assert told.out == "252 rows are queued as the batch may, in 3 chunks\n"
    assert "1 row is invalid and not sent" in told.err
    assert "1 row is not sent, because an earlier row has the same message" in told.err
    assert "`msgapi fleet report --batch may` shows their outcomes" in told.err
    rows = [row for chunk in there.queued() for row in chunk.rows]
    ids = [content_id(request_digest(*row.call.legs)) for row in rows[:250]]
    assert [row.id for row in rows] == [*ids, "row 251", "row 252"]
    assert len(set(ids)) == 250
    assert {row.key for row in rows[:250]} == {journal.key_of("may", row.id) for row in rows[:250]}
    assert "+4915100000007" in rows[6].body
    assert [row.invalid.code for row in rows[250:] if row.invalid is not None] == ["validation_error", "duplicate_row"]
    assert there.places == [FleetAddress(url="redis://127.0.0.1:1")]


@pytest.mark.parametrize("json", [[], ["--json"]])
def test_a_file_without_a_good_row_is_not_queued_and_its_lines_are_named(
    tmp_path: Path, there: Fleet, capsys: Captured, json: list[str]
) -> None:
    path = people(tmp_path, 0, more="1,bad,Ann\n2,,Ann\n")
    assert main(enqueue(path, *json)) == 2
    said = capsys.readouterr()
    assert f"msgapi: no row of {path} can be sent, and nothing was queued: line 2: to " in said.err
    assert "; line 3: to " in said.err
    assert "..." not in said.err
    assert bool(said.out) is bool(json)
    _ = people(tmp_path, 0, more="1,bad,Ann\n" * 5)
    assert main(enqueue(path)) == 2
    said = capsys.readouterr()
    assert "line 4: " in said.err
    assert "line 5: " not in said.err
    assert said.err.endswith("; ...\n")
    assert there.queued() == []
    assert there.places == []  # the server was not even opened


def test_the_same_command_goes_on_and_queues_nothing_twice(tmp_path: Path, there: Fleet, capsys: Captured) -> None:
    path = people(tmp_path, 250)
    assert main(enqueue(path)) == main(enqueue(path)) == 0
    assert "nothing was queued: all 250 rows of the batch may are queued already" in capsys.readouterr().out
    assert main(enqueue(path, "--json")) == 0
    assert orjson.loads(capsys.readouterr().out) == {
        "batch": "may",
        "rows": 250,
        "chunks": 3,
        "invalid": 0,
        "duplicate": 0,
        "left_out": 0,
        "queued": False,
        "exit": 0,
    }
    assert len(there.queued()) == 3


def test_other_rows_or_options_under_the_same_name_are_refused(tmp_path: Path, there: Fleet, capsys: Captured) -> None:
    path = people(tmp_path, 3)
    assert main(enqueue(path)) == 0
    assert main(enqueue(path, "--allow-duplicates")) == 2
    assert (
        "msgapi: the batch may was queued with a different --allow-duplicates: finish that batch"
        in capsys.readouterr().err
    )
    _ = people(tmp_path, 4)
    assert main(enqueue(path)) == 2
    assert "msgapi: the batch may is of other rows: finish it by its own file" in capsys.readouterr().err
    assert main(enqueue(path, batch="june")) == 0
    assert (len(there.queued()), len(there.queued("june"))) == (1, 1)


def test_of_two_that_begin_a_batch_at_once_with_other_options_the_second_is_told(
    tmp_path: Path, there: Fleet, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, write = people(tmp_path, 3), there.records.write
    assert main(enqueue(path, "--allow-duplicates")) == 0
    quicker = there.records._documents.pop(("may", "manifest"))[0]
    there.queue._chunks.clear()

    async def raced(batch: str, name: str, value: bytes, revision: Revision) -> bool:
        if ("may", "manifest") not in there.records._documents:
            assert await write(batch, name, quicker, 0)
        return await write(batch, name, value, revision)

    monkeypatch.setattr(MemoryRecordStore, "write", staticmethod(raced))
    assert main(enqueue(path)) == 2
    assert "the batch may was queued with a different --allow-duplicates: finish that batch" in capsys.readouterr().err
    assert not there.queued()
    assert main(enqueue(path, "--allow-duplicates")) == 0


def test_rows_with_one_id_are_rows_of_their_own_and_refused(tmp_path: Path, there: Fleet) -> None:
    path = people(tmp_path, 3, more="2,+4915199999999,Bob\n,+4915199999998,Bob\n")
    assert main(enqueue(path, "--id-column", "id")) == 0
    (chunk,) = there.queued()
    assert [row.id for row in chunk.rows] == [
        "1",
        "row 2",
        "3",
        "row 4",
        content_id(request_digest(*chunk.rows[4].call.legs)),
    ]
    assert [row.invalid.code for row in chunk.rows if row.invalid is not None] == ["row_repeated"] * 2


def test_a_message_is_queued_though_a_row_that_is_refused_for_its_id_says_the_same(
    tmp_path: Path, there: Fleet
) -> None:
    path = people(tmp_path, 1, more="1,+4915100000002,Ann\n3,+4915100000002,Ann\n4,+4915100000001,Ann\n")
    assert main(enqueue(path, "--id-column", "id")) == 0
    (chunk,) = there.queued()
    codes = {row.id: row.invalid and row.invalid.code for row in chunk.rows}
    assert codes == {"row 1": "row_repeated", "row 2": "row_repeated", "3": None, "4": None}


def test_a_key_that_a_row_brings_is_kept(tmp_path: Path, there: Fleet) -> None:
    path = tmp_path / "x.jsonl"
    _ = path.write_text('{"to":"+4915100000001","name":"Ann","idempotency_key":"mine"}\n')
    assert main(enqueue(str(path))) == 0
    assert [row.key for chunk in there.queued() for row in chunk.rows] == ["mine"]


def test_what_goes_wrong_while_queueing_is_one_line_and_the_same_command_goes_on(
    tmp_path: Path, there: Fleet, capsys: Captured
) -> None:
    path = people(tmp_path, 3)
    there.queue.unreachable = True
    assert main(enqueue(path)) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("; run the same command again to continue")
    there.queue.unreachable = False
    assert main(enqueue(path)) == 0
    assert len(there.queued()) == 1


@pytest.mark.parametrize(
    ("command", "status", "told"),
    [
        (["enqueue", "{}", "--batch", "a/b"], 2, "--batch takes up to 64 of"),
        (["enqueue", "{}", "--batch", "may", "--fleet", ""], 2, "--fleet takes up to 64 of"),
        (["enqueue", "{}", "--batch", "may", "--fleet-url", ""], 4, "no server: give --fleet-url or set"),
        (["enqueue", "{}", "--batch", "may", "--to-column", "x"], 2, "there is no column x"),
        (["enqueue", "{}", "--batch", "may", "--id-column", "x"], 2, "there is no column x"),
        (["enqueue", "{}.no", "--batch", "may"], 2, "cannot read"),
        (["enqueue", "{}", "--batch", "may", "--delimiter", "xx"], 2, "--delimiter is one character"),
        (["enqueue", "{}"], 2, "Missing option '--batch'"),
        (["report", "--batch", "june"], 2, "there is no batch june on the fleet msgapi"),
        (["report", "--batch", "may", "--only", "refused"], 2, "--only needs --export"),
        (["report", "--batch", ".x"], 2, "--batch takes up to 64 of"),
        (["report"], 2, "Missing option '--batch'"),
        ([], 2, "fleet needs a command: enqueue, "),
    ],
)
@pytest.mark.usefixtures("there")
def test_bad_input_is_one_line_and_a_status(
    command: list[str], status: int, told: str, tmp_path: Path, capsys: Captured
) -> None:
    path = people(tmp_path, 3)
    made = [one.format(path) for one in command]
    assert main(["fleet", *made, *(RCS if "enqueue" in made else [])]) == status
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line


def test_a_file_that_is_empty_is_one_line(tmp_path: Path, there: Fleet, capsys: Captured) -> None:
    path = tmp_path / "x.csv"
    path.touch()
    assert main(enqueue(str(path))) == 2
    assert "is empty: it has no rows" in capsys.readouterr().err
    assert not there.places


def test_a_file_that_changes_while_it_is_queued_ends_the_program(
    tmp_path: Path, there: Fleet, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = people(tmp_path, 3)
    digest = InputFile.digest

    def spoilt(table: InputFile) -> str:
        found = digest(table)
        _ = Path(path).write_bytes(b"id,to,name\n1,\xff\n")
        return found

    monkeypatch.setattr(InputFile, "digest", spoilt)
    assert main(enqueue(path)) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{path} has changed since it was first read (it is shorter): restore the file and run the same" in line
    assert not there.queued()


def test_a_disk_that_fails_while_a_file_is_queued_ends_the_program(
    tmp_path: Path, there: Fleet, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rows(_: object) -> None:
        raise OSError(5, "Input/output error")

    path = people(tmp_path, 3)
    monkeypatch.setattr(InputFile, "digest", lambda _: monkeypatch.setattr(InputFile, "rows", rows) or "abc")
    assert main(enqueue(path)) == 3
    assert f"cannot read {path}: Input/output error; run the same command again" in capsys.readouterr().err
    assert not there.queued()


def test_how_far_the_queueing_is_is_told_every_few_seconds(capsys: Captured) -> None:
    clock = VirtualClock()
    shown = batches._ProgressLine(clock)
    manifest = Manifest(batch="may", source="", rows=1_050, chunks_queued=5)
    shown.show(manifest)
    assert capsys.readouterr().err == ""
    clock.advance(5)
    shown.show(manifest)
    clock.advance(5)
    shown.show(evolve(manifest, chunks_queued=11))
    assert capsys.readouterr().err == "msgapi: queued: 500/1,050 rows\nmsgapi: queued: 1,050/1,050 rows\n"


def test_the_report_is_that_of_a_local_batch(tmp_path: Path, there: Fleet, capsys: Captured) -> None:
    path = people(tmp_path, 250)
    assert main(enqueue(path)) == 0
    first, second, third = there.queued()
    refused = {
        "state": State.REFUSED,
        "kind": "Forbidden",
        "code": "forbidden",
        "status": 403,
        "price": None,
        "hold": None,
    }
    recorded(there, ended(first), ended(second, **refused))
    _ = capsys.readouterr()
    assert main(REPORT) == 3
    told = capsys.readouterr()
    assert "100 of 250 rows accepted, 7.00 EUR" in told.out
    assert "Not sent yet" in told.out
    assert "msgapi: 2 of 3 chunks are done, 0 are begun, 1 are waiting; `msgapi fleet work` continues" in told.err
    recorded(there, ended(third))
    assert main([*REPORT, "--json"]) == 1
    facts = orjson.loads(capsys.readouterr().out)
    assert (facts["rows"], facts["accepted"], facts["refused"], facts["not_sent_yet"]) == (250, 150, 100, 0)
    assert facts["chunks"] == {
        "total": 3,
        "queued": 3,
        "begun": 0,
        "done": 3,
        "buried": {},
        "unreadable": [],
        "left": 0,
    }
    assert (facts["batch"], facts["journal"], facts["paused"]) == ("may", None, None)
    assert [one.name for one in tmp_path.iterdir()] == ["people.csv"]


def test_the_rows_of_a_fleet_come_as_a_file(tmp_path: Path, there: Fleet, capsys: Captured) -> None:
    assert main(enqueue(people(tmp_path, 3))) == 0
    (chunk,) = there.queued()
    recorded(there, ended(chunk))
    _ = capsys.readouterr()
    assert main([*REPORT, "--export", "jsonl", "--only", "accepted"]) == 0
    lines = [orjson.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {line["key"] for line in lines} == {journal.key_of("may", row.id) for row in chunk.rows}
    assert len(lines) == 3


def test_a_journal_that_was_collected_is_one_of_a_batch(tmp_path: Path, there: Fleet, capsys: Captured) -> None:
    path, where = people(tmp_path, 150), str(tmp_path / "may.journal")
    assert main(enqueue(path)) == 0
    recorded(there, ended(there.queued()[0]))
    assert main([*REPORT, "--journal", where]) == 3
    assert f"`msgapi batch report {where}` shows them" in capsys.readouterr().err
    assert main(["batch", "report", where]) == 3
    assert "100 of 150 rows accepted" in capsys.readouterr().out
    assert main(["batch", "--resume", where, "--dry-run"]) == 0
    assert main([*REPORT, "--journal", path]) == 2
    assert f"{path} is not a journal" in capsys.readouterr().err
    assert "id,to,name" in text(path)


def test_the_report_tells_what_is_in_the_way(tmp_path: Path, there: Fleet, capsys: Captured) -> None:
    assert main(enqueue(people(tmp_path, 150))) == 0
    first, _ = there.queued()
    error = InsufficientBalance(
        code="insufficient_balance", message="no money", balance=Balance(), topup_url="https://t.example"
    )
    anyio.run(there.shared_rate.pause, codec.to_json(error))
    recorded(
        there, evolve(ended(first, state=State.STARTED, kind=None), stage="buried", reason="it was handed out 6 times")
    )
    recorded(there, evolve(ended(first), id="000001", rows=(RowRecord(id="x", request_hash="?"),)))
    _ = capsys.readouterr()
    assert main(REPORT) == 3
    told = capsys.readouterr().err
    assert "msgapi: chunk 000000 was abandoned: it was handed out 6 times" in told
    assert "msgapi: these records cannot be read: 000001" in told
    assert "msgapi: sending is paused: no money. Top up at https://t.example" in told
    anyio.run(there.shared_rate.pause, b"nonsense")
    assert main([*REPORT, "--json"]) == 3
    facts = orjson.loads(capsys.readouterr().out)
    assert (facts["paused"], facts["chunks"]["buried"]) == (None, {"000000": "it was handed out 6 times"})


def test_a_batch_that_is_not_queued_whole_is_told(tmp_path: Path, there: Fleet, capsys: Captured) -> None:
    there.queue.unreachable = True
    assert main(enqueue(people(tmp_path, 150))) == 3
    there.queue.unreachable = False
    assert main(REPORT) == 3
    assert "not all rows are queued: run the same `msgapi fleet enqueue` again" in capsys.readouterr().err
    there.records.unreachable = True
    assert main(REPORT) == 3
    assert "not all records were read, so there is no report" in capsys.readouterr().err


def test_what_was_normalised_is_queued_and_reported(tmp_path: Path, there: Fleet, capsys: Captured) -> None:
    path = people(tmp_path, 0, more="1,0151 00000001,Ann\n2,+4915100000001,NULL\n")
    assert main([*enqueue(path), "--region", "DE"]) == 0
    printed, noted = capsys.readouterr()
    assert "line 3" in noted
    assert "recipients normalised in 1 row (spaces removed: 1; a national number completed" in printed
    assert "the same recipient as an earlier row, with another message: 1 (line 3)" in printed
    rows = [row for chunk in there.queued() for row in chunk.rows]
    assert [b"+4915100000001" in (leg.body or b"") for row in rows for leg in row.call.legs] == [True, True]
    assert main([*enqueue(path), "--region", "AT"]) == 2
    assert "was queued with a different --region" in capsys.readouterr().err
