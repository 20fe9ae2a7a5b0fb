"""batch with a journal: run the same command again to continue, and says what there is to know."""

import csv
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import orjson
import pytest

from msgapi import Balance, Client, InsufficientBalance, Pace, Request, Response, Retry, journal
from msgapi.batch import Stopped
from msgapi.cli import main
from msgapi.cli.batch import command as batch_command
from msgapi.cli.batch import spending
from msgapi.cli.batch.counts import Counts
from msgapi.journal import State
from msgapi.sandbox import Sandbox
from msgapi.transports import Answer
from tests.support.cli_files import lines, people, text
from tests.support.journals import edited

Captured = pytest.CaptureFixture[str]
RCS = ["--agent", "ag_live_demo", "--traffic", "TRANSACTION", "--text", "Hi {name}"]


def reached(monkeypatch: pytest.MonkeyPatch, box: Sandbox) -> Sandbox:
    @asynccontextmanager
    async def reach(_: object = None, *, pace: Pace | None = None) -> AsyncIterator[Client]:
        options: dict[str, Any] = {"api_key": box.api_key, "base_url": "http://127.0.0.1", "transport": box}
        async with Client(**options, retry=Retry(attempts=8), pace=pace) as api:
            yield api

    monkeypatch.setattr(batch_command, "open_client", reach)
    return box


def poor(rows: int) -> Sandbox:
    return Sandbox(balance=Decimal("0.07") * rows, rate_limit=100_000)


@pytest.mark.parametrize(
    ("accepted", "free", "missing"), [(10, "0.05", "1.35"), (10, None, None), (0, "0.05", None), (10, "5", "0.00")]
)
def test_what_is_missing_for_the_rest_is_told_by_what_the_rows_before_it_cost(
    accepted: int, free: str | None, missing: str | None
) -> None:
    balance = None if free is None else Balance(free=Decimal(free))
    tally = Counts(32, accepted=accepted, refused=2, held=Decimal("0.07") * accepted)
    tally.not_carried_out = 1
    stopped = Stopped("balance", InsufficientBalance(balance=balance))
    found = spending.missing(stopped, tally)
    assert found == (None if missing is None else Decimal(missing))
    assert ("the rest needs about" in spending.shortage(stopped, tally)) is bool(found)
    assert spending.missing(None, tally) is None


def test_a_batch_that_is_stopped_goes_on_by_the_same_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    path, box = people(tmp_path, 50, more="51,bad,Ann\n52,+4915100000001,Ann\n"), poor(30)
    files = ["--results", str(tmp_path / "r.jsonl"), "--failed", str(tmp_path / "f.csv")]
    command = ["batch", path, *RCS, *files, "--concurrency", "4"]
    assert main(reached(monkeypatch, box) and command) == 3
    told = capsys.readouterr()
    assert "the balance is used up" in told.err
    assert "; the rest needs about 1." in told.err
    assert "EUR more; top up at https://" in told.err
    assert f"msgapi batch --resume {path}.journal" in told.err
    assert len(box.messages) == 30
    assert len(lines(tmp_path / "r.jsonl")) == 52
    box.top_up(Decimal(10))
    assert main(command) == 1
    told = capsys.readouterr()
    assert "50 of 52 rows accepted, 3.50 EUR" in told.out
    results = {one["row"]: one for one in lines(tmp_path / "r.jsonl")}
    assert sorted(results) == list(range(1, 53))
    assert {one["kind"] for row, one in results.items() if row <= 50} == {"Accepted"}
    assert {one["message_id"] for row, one in results.items() if row <= 50} == {one.id for one in box.messages}
    assert (results[51]["kind"], results[52]["kind"]) == ("Invalid", "Duplicate")
    assert [line.split(",")[0] for line in text(tmp_path / "f.csv").splitlines()] == ["id", "51"]
    assert main(command) == 1
    assert "nothing was sent: all rows were settled earlier" in capsys.readouterr().err
    assert len(box.messages) == 50


def test_a_batch_is_gone_on_with_by_its_journal_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    path, box, where = people(tmp_path, 20), reached(monkeypatch, poor(5)), str(tmp_path / "run.db")
    assert main(["batch", path, *RCS, "--journal", where, "--failed", str(tmp_path / "f.jsonl")]) == 3
    assert text(tmp_path / "f.jsonl") == ""  # rows that were not sent are sent by the journal
    box.top_up(Decimal(10))
    monkeypatch.chdir(tmp_path)
    _ = capsys.readouterr()
    assert main(["batch", "--resume", where, "--json"]) == 0
    facts = orjson.loads(capsys.readouterr().out)
    assert (facts["accepted"], facts["journal"], facts["price"]) == (20, where, "1.40")
    assert len(box.messages) == 20
    assert text(tmp_path / "f.jsonl") == ""
    assert not list(tmp_path.glob("*.journal"))


def test_other_options_are_another_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    path, box = people(tmp_path, 3), reached(monkeypatch, poor(9))
    assert main(["batch", path, *RCS]) == 0
    assert main(["batch", path, *RCS[:-1], "Hello {name}"]) == 2
    assert "was made with a different --text" in capsys.readouterr().err
    assert main(["batch", path, *RCS, "--allow-duplicates"]) == 2
    assert "different --allow-duplicates" in capsys.readouterr().err
    assert main(["batch", path, *RCS, "--journal", str(tmp_path / "other.db")]) == 0
    assert len(box.messages) == 6


def test_rows_are_known_by_a_column_when_one_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    path, box = people(tmp_path, 3), reached(monkeypatch, poor(9))
    command = ["batch", path, *RCS, "--id-column", "id"]
    assert main(command) == 0
    head, *rest = text(path).splitlines()
    _ = Path(path).write_text("\n".join([head, "9,+4915100000009,Ann", *reversed(rest)]))
    assert main(command) == 0
    assert len(box.messages) == 4
    _ = Path(path).write_text("\n".join([head, *rest, "3,+4915100000008,Ann"]))
    assert main(command) == 1
    assert "row_repeated" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("rows", "codes"),
    [
        ("2,{b},Ann\n1,{a},Bob\n3,{a},Bob\n", {"duplicate_row"}),
        ("1,{b},Ann\n1,{a},Bob\n3,{a},Bob\n", {"row_repeated"}),
        ("1,{b},Bob\n1,{b},Bob\n3,{a},Bob\n", {"row_repeated"}),
        ("1,bad,Bob\n1,{b},Bob\n3,{a},Bob\n", {"row_repeated"}),
    ],
)
def test_a_message_came_before_only_if_the_row_that_has_it_goes_out(
    rows: str, codes: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    numbers = {"a": "+4915100000001", "b": "+4915100000002"}
    path, box = tmp_path / "people.csv", reached(monkeypatch, poor(9))
    _ = path.write_text("id,to,name\n" + rows.format(**numbers))
    for _again in range(2):
        assert main(["batch", f"{path}", *RCS, "--id-column", "id", "--json"]) == (codes != {"duplicate_row"})
        facts = orjson.loads(capsys.readouterr().out)
        assert {one["code"] for one in facts["outcomes"]} == codes
        assert facts["accepted"] + facts["refused"] + facts["duplicate"] == facts["rows"]
        wanted = numbers.values() if codes == {"duplicate_row"} else [numbers["a"]]  # a row with that id is not sent
        assert sorted(message.to for message in box.messages) == sorted(wanted)
    assert main(["batch", "report", f"{path}.journal"]) == (codes != {"duplicate_row"})


def test_a_row_whose_id_came_before_is_not_taken_for_that_one_in_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, box = people(tmp_path, 20, more="1,+4915100000099,Ann\n"), reached(monkeypatch, poor(1))
    results = str(tmp_path / "r.jsonl")
    assert main(["batch", path, *RCS, "--id-column", "id", "--concurrency", "1", "--results", results]) == 3
    assert len(box.messages) == 1
    assert {line["row"]: line["kind"] for line in lines(results)}[21] == "NotSentYet"


def test_without_a_journal_none_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, box = people(tmp_path, 3), reached(monkeypatch, poor(9))
    assert [main(["batch", path, *RCS, "--no-journal"]) for _ in range(2)] == [0, 0]
    assert main(["batch", path, *RCS, "--sandbox"]) == 0
    assert len(box.messages) == 9
    assert [file.name for file in tmp_path.iterdir()] == ["people.csv"]


def test_without_a_journal_the_refused_rows_are_corrected_in_a_file_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    path, failed = people(tmp_path, 3, more="9,bad,Ann\n"), str(tmp_path / "failed.csv")
    _ = reached(monkeypatch, poor(9))
    assert main(["batch", path, *RCS, "--no-journal", "--failed", failed]) == 1
    assert f"1 row was refused, see {failed}: correct them there and send that file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{path}", "--resume", "x.db"], "leave them out"),
        (["--resume", "x.db", "--text", "Hi"], "leave them out"),
        (["--resume", "x.db"], "cannot open the journal x.db: No such file"),
        (["--resume", "{path}"], "is not a journal: name another file"),
        (["--resume", "x.db", "--journal", "y.db"], "names the journal: leave"),
        (["{path}", "--no-journal", "--journal", "y.db"], "cannot be used with --journal or --resume"),
        (["{path}", *RCS, "--journal", "none/y.db"], "cannot write the journal none/y.db"),
        (["{path}", *RCS, "--journal", "{path}"], "is not a journal: name another file"),
        (["{path}", *RCS, "--max-spend", "1"], "--max-spend needs the prices of the messages"),
        (["{path}", *RCS, "--max-spend", "much"], "is not an amount in EUR"),
        (["{path}", *RCS, "--id-column", "number"], "there is no column number"),
        (["report", "{path}"], "is not a journal: name another file"),
        (["report", "{path}", "--only", "refused"], "--only needs --export"),
    ],
)
def test_a_mistake_is_one_line(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    path, box = people(tmp_path, 3), reached(monkeypatch, poor(9))
    monkeypatch.chdir(tmp_path)
    assert main(["batch", *(one.format(path=path, name="{name}") for one in arguments)]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told
    assert not box.messages


def test_a_journal_of_a_program_is_left_to_it(tmp_path: Path, capsys: Captured) -> None:
    import anyio

    async def begin() -> None:
        async with journal.open(str(tmp_path / "own.db"), batch="mine"):
            pass

    anyio.run(begin)
    assert main(["batch", "--resume", str(tmp_path / "own.db")]) == 2
    assert "was not written by `msgapi batch`" in capsys.readouterr().err
    assert main(["batch", "report", str(tmp_path / "own.db")]) == 0
    assert "0 of 0 rows accepted" in capsys.readouterr().out


def test_a_batch_from_standard_input_is_recorded_when_asked_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    import io
    from types import SimpleNamespace

    box, given = reached(monkeypatch, poor(9)), Path(people(tmp_path, 3)).read_bytes()
    where = str(tmp_path / "run.db")

    def stdin() -> None:
        monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(given)))

    stdin()
    assert main(["batch", "-", *RCS, "--journal", where]) == 0
    stdin()
    assert main(["batch", "-", *RCS, "--journal", where]) == 0
    assert len(box.messages) == 3
    assert main(["batch", "--resume", where]) == 2
    assert "from standard input" in capsys.readouterr().err
    stdin()
    assert main(["batch", "-", *RCS]) == 0
    assert len(box.messages) == 6


def test_a_report_counts_the_rows_and_exports_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    path, _ = people(tmp_path, 5, more="6,bad,Ann\n7,+4915100000001,Ann\n"), reached(monkeypatch, poor(3))
    assert main(["batch", path, *RCS, "--concurrency", "1"]) == 3
    _ = capsys.readouterr()
    where = f"{path}.journal"
    assert main(["batch", "report", where]) == 3
    told = capsys.readouterr().out
    assert "3 of 7 rows accepted, 0.21 EUR" in told
    assert "InsufficientBalance" in told
    assert "Not sent yet" in told
    assert main(["batch", "report", where, "--json"]) == 3
    facts = orjson.loads(capsys.readouterr().out)
    assert (facts["accepted"], facts["not_sent_yet"], facts["price"]) == (3, 4, "0.21")
    assert (facts["refused"], facts["unknown"]) == (0, 0)
    assert main(["batch", "report", where, "--export", "jsonl"]) == 3
    rows = [orjson.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert all(row["key"] for row in rows)
    assert sorted(row["state"] for row in rows) == ["accepted"] * 3 + ["not_sent_yet"]
    assert all(row["id"].endswith("#1") for row in rows)
    assert main(["batch", "report", where, "--export", "csv", "--only", "not-sent-yet"]) == 3
    head, row = capsys.readouterr().out.splitlines()
    assert (head.split(",")[0], row.split(",")[1], row.split(",")[4]) == ("id", "not_sent_yet", "InsufficientBalance")


def test_an_export_is_safe_in_a_spreadsheet_and_on_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    path, _ = people(tmp_path, 1), reached(monkeypatch, poor(3))
    assert main(["batch", path, *RCS]) == 0
    where, evil = f"{path}.journal", '=HYPERLINK("http://evil.example")\x1b]0;owned\x07\n\u202e\x9b'
    with edited(Path(where)) as there:
        _ = there.execute("UPDATE rows SET message = ?, code = '@x', message_id = '-1'", (evil,))
    _ = capsys.readouterr()
    assert main(["batch", "report", where, "--export", "csv"]) == 0
    shown = capsys.readouterr().out
    (row,) = csv.DictReader(StringIO(shown))
    assert (row["code"], row["message_id"], row["message"][:2]) == ("'@x", "'-1", "'=")
    assert not {*shown} & {"\x1b", "\x07", "\u202e", "\x9b"}
    assert len(shown.splitlines()) == 2
    assert main(["batch", "report", where, "--export", "jsonl"]) == 0
    shown = capsys.readouterr().out
    assert orjson.loads(shown)["message"] == evil
    assert not {*shown} & {"\x1b", "\x07", "\u202e", "\x9b"}


def test_a_row_whose_answer_was_never_seen_is_told_as_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    path, _ = people(tmp_path, 2), reached(monkeypatch, poor(3))
    command = ["batch", path, *RCS, "--results", str(tmp_path / "r.jsonl")]
    assert main(command) == 0
    with edited(f"{path}.journal") as there:
        _ = there.execute(
            "UPDATE rows SET state = 0, kind = NULL, started = started - 90000"
            " WHERE message_id = (SELECT max(message_id) FROM rows)"
        )
    _ = capsys.readouterr()
    assert main(["batch", "report", f"{path}.journal"]) == 3
    told = capsys.readouterr()
    assert "Unknown" in told.out
    assert "not finished, 1 row is left: run the same command again to continue" in told.err
    assert main(command) == 3
    told = capsys.readouterr()
    assert "--resend-unknown" in told.out
    assert "not finished, 1 row is left: 1 row with the code outcome_unknown: Look for these rows" in told.err
    assert "run the same command" not in told.err
    assert main([*command, "--resend-unknown"]) == 0


def test_more_than_max_spend_is_never_spent_by_all_runs_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    path, box = people(tmp_path, 20), reached(monkeypatch, poor(100))
    money = ["--price", "basic=0.07", "--max-spend", "0.71"]
    assert main(["batch", path, *RCS, *money]) == 3
    printed = capsys.readouterr()
    assert "could cost more than --max-spend leaves" in printed.err
    assert f"a higher --max-spend, or `msgapi batch --resume {path}.journal --max-spend EUR`" in printed.err
    assert "Run the same command with a higher --max-spend" in printed.out
    assert len(box.messages) == 10
    assert main(["batch", "--resume", f"{path}.journal"]) == 3
    assert len(box.messages) == 10
    assert main(["batch", "--resume", f"{path}.journal", "--max-spend", "1.40"]) == 0
    assert len(box.messages) == 20


def test_the_report_after_max_spend_advises_what_the_run_advised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    path, _ = people(tmp_path, 20), reached(monkeypatch, poor(100))
    assert main(["batch", path, *RCS, "--price", "basic=0.07", "--max-spend", "0.71", "--json"]) == 3
    advised = orjson.loads(capsys.readouterr().out)["next"]
    report = ["batch", "report", f"{path}.journal"]
    assert main([*report, "--json"]) == 3
    assert orjson.loads(capsys.readouterr().out)["next"] == advised
    assert main(report) == 3
    printed = capsys.readouterr()
    assert "Run the same command with a higher --max-spend to send them." in printed.out
    assert printed.err == f"msgapi: {advised}\n"
    assert main([*report, "--html", "-"]) == 3
    page = capsys.readouterr().out
    assert page.count("with a higher --max-spend") == 2  # of the rows, and of what to do next
    assert "run the same command again to continue" not in page


def collected_long_ago(path: str) -> None:
    """Have the journal of *path* say that it was."""
    with edited(f"{path}.journal") as there:
        _ = there.execute("INSERT INTO about VALUES ('merged_at', '1000.0')")


def test_what_workers_may_have_sent_long_ago_waits_for_its_user_and_counts_as_money(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    path, box = people(tmp_path, 20), reached(monkeypatch, poor(100))
    assert main(["batch", path, *RCS, "--price", "basic=0.07", "--max-spend", "0.71"]) == 3
    collected_long_ago(path)
    resume = ["batch", "--resume", f"{path}.journal", "--max-spend"]
    _ = capsys.readouterr()
    assert main([*resume, "100"]) == 3
    told = capsys.readouterr().out
    assert "journal_outdated" in told
    assert "msgapi fleet report --journal" in told
    assert "Not sent yet" not in told
    assert main([*resume, "1.46", "--resend-unknown"]) == 3  # 10 sent, 10 perhaps, and none of them again
    assert len(box.messages) == 10
    assert main([*resume, "2.10", "--resend-unknown"]) == 0
    assert len(box.messages) == 20


def test_what_was_held_up_counts_too_among_what_workers_may_have_sent_since(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    path, _ = people(tmp_path, 20), reached(monkeypatch, poor(10))
    assert main(["batch", path, *RCS]) == 3
    collected_long_ago(path)
    with journal.open_readonly(f"{path}.journal") as record:
        assert record.summary().rows(State.NOT_SENT) > 0
    _ = capsys.readouterr()
    assert main(["batch", "--resume", f"{path}.journal", "--json"]) == 3
    told = orjson.loads(capsys.readouterr().out)
    assert (told["accepted"], told["refused"], told["not_sent_yet"], told["unknown"]) == (10, 0, 0, 10)
    assert told["next"].startswith("not finished, 10 rows are left: 10 rows with the code journal_outdated: Write a")


def test_a_row_that_was_begun_after_workers_may_have_sent_it_counts_as_money_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, box = people(tmp_path, 20), reached(monkeypatch, poor(100))
    assert main(["batch", path, *RCS, "--price", "basic=0.07", "--max-spend", "0.71"]) == 3
    collected_long_ago(path)
    with edited(f"{path}.journal") as there:
        _ = there.execute(
            "UPDATE rows SET state = 0, kind = NULL, price = NULL, hold = NULL"
            " WHERE message_id = (SELECT min(message_id) FROM rows)"
        )
    resume = ["batch", "--resume", f"{path}.journal", "--resend-unknown", "--max-spend"]
    assert main([*resume, "1.46"]) == 3  # 9 sent, 11 perhaps, and none of them again
    with journal.open_readonly(f"{path}.journal") as record:
        assert record.summary().rows(State.ACCEPTED) == 9
    assert len(box.messages) == 10


def test_what_is_missing_for_the_rest_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    async def nothing(*_: object) -> None:
        return None

    path, _ = people(tmp_path, 20), reached(monkeypatch, poor(5))
    monkeypatch.setattr(batch_command, "check_balance", nothing)
    assert main(["batch", path, *RCS, "--price", "basic=0.07", "--json"]) == 3
    told = capsys.readouterr()
    assert orjson.loads(told.out)["missing"] == "1.05"
    assert "the rest needs 1.05 EUR more" in told.err


def test_a_top_up_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    path, box = people(tmp_path, 20), reached(monkeypatch, poor(5))
    looked: list[int] = []

    async def sleep(_: object, seconds: float) -> None:
        import anyio

        await anyio.lowlevel.checkpoint()
        if seconds < 1:
            return
        looked.append(int(seconds))
        if len(looked) == 3:
            box.top_up(Decimal(10))

    monkeypatch.setattr("msgapi.clock.SystemClock.sleep", sleep)
    command = ["batch", path, *RCS, "--wait-for-balance", "--price", "basic=0.07"]
    assert main(command) == 0
    told = capsys.readouterr()
    assert "the rest needs 1.05 EUR more; top up at https://" in told.err
    assert "20 of 20 rows accepted, 1.40 EUR" in told.out
    assert looked == [15, 15, 15]
    assert len(box.messages) == 20


def test_waiting_for_a_top_up_ends_with_ctrl_c(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    import os
    import signal

    import anyio

    path, box = people(tmp_path, 20), reached(monkeypatch, poor(5))

    async def sleep(_: object, seconds: float) -> None:
        if seconds >= 1:
            os.kill(os.getpid(), signal.SIGINT)
        await anyio.sleep(30 if seconds >= 1 else seconds)

    monkeypatch.setattr("msgapi.clock.SystemClock.sleep", sleep)
    command = ["batch", path, *RCS, "--wait-for-balance"]
    assert main(command) == 130
    assert "run the same command again to continue" in capsys.readouterr().err
    box.top_up(Decimal(10))
    assert main(command) == 0
    assert len(box.messages) == 20
    with journal.open_readonly(f"{path}.journal") as record:
        assert [run.ended_by for run in record.runs()] == ["interrupted", "done"]


def test_a_row_that_was_refused_in_an_earlier_run_is_told_of_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from msgapi.sandbox import MAGIC_RECIPIENTS

    (unknown,) = [magic.phone for magic in MAGIC_RECIPIENTS if magic.fault == "404"]
    path, box = people(tmp_path, 2, more=f"3,{unknown},Ann\n"), reached(monkeypatch, poor(9))
    command = ["batch", path, *RCS, "--results", str(tmp_path / "r.jsonl"), "--failed", str(tmp_path / "f.jsonl")]
    assert main(command) == 1
    results, failed = lines(tmp_path / "r.jsonl"), lines(tmp_path / "f.jsonl")
    assert main(command) == 1
    again = lines(tmp_path / "r.jsonl")
    assert len(box.messages) == 2
    for name in ("row", "kind", "code", "message", "may_have_happened", "price", "message_id", "idempotency_key"):
        assert [one.get(name) for one in again] == [
            one.get(name) for one in sorted(results, key=lambda one: one["row"])
        ]
    assert lines(tmp_path / "f.jsonl") == failed


def test_failed_rows_that_were_edited_are_not_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    path, box = people(tmp_path, 2, more="3,bad,Ann\n"), reached(monkeypatch, poor(9))
    failed, record = tmp_path / "f.csv", f"{path}.journal"
    command = ["batch", path, *RCS, "--failed", str(failed)]
    assert main(command) == 1
    os.utime(record, (1000, 1000))
    os.utime(failed, (1001, 1001))
    assert main(command) == 1, "written together, so it is not edited"
    assert Path(record).stat().st_mtime >= failed.stat().st_mtime - 1
    corrected = failed.read_text().replace("bad", "+4915100000003")
    _ = failed.write_text(corrected)
    later = Path(record).stat().st_mtime + 60
    os.utime(failed, (later, later))
    _ = capsys.readouterr()
    for again in (command, ["batch", "--resume", record]):
        assert main(again) == 2
        assert "was changed after the last run of this batch: if it has corrected rows" in capsys.readouterr().err
        assert failed.read_text() == corrected
    assert main([*command, "--overwrite"]) == 1
    assert "bad" in failed.read_text()
    failed.unlink()
    assert main(command) == 1
    assert len(box.messages) == 2


def test_a_journal_that_cannot_be_written_stops_the_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    from msgapi.journal.sqlite import JournalFile

    path, box = people(tmp_path, 20), reached(monkeypatch, poor(30))
    write, writes = JournalFile.write, []

    def full(store: JournalFile, *what: Any) -> bool:  # noqa: ANN401 - as the store has it
        writes.append(what)
        if 2 <= len(writes) <= 6:
            raise journal.Unusable("unwritable", "cannot write the journal: the disk is full")
        return write(store, *what)

    monkeypatch.setattr(JournalFile, "write", full)
    command = ["batch", path, *RCS, "--concurrency", "2"]
    assert main(command) != 0
    assert "the disk is full" in capsys.readouterr().err
    writes[:] = [()] * 10
    assert main(command) == 0
    assert len({message.to for message in box.messages}) == len(box.messages) == 20


def test_a_balance_that_cannot_be_read_is_asked_for_again() -> None:
    import anyio

    from msgapi import Balance, Call, Ok, Result, ServerFault, VirtualClock
    from msgapi.batch import Stopped
    from msgapi.cli.batch.spending import TopUpWaiter

    answers: list[Result[Any]] = [ServerFault(), Ok(Balance(free=Decimal(1))), Ok(Balance(free=Decimal(2)))]

    async def api(_: Call[Any], /) -> Result[Any]:
        return answers.pop(0)

    async def wait() -> bool:
        clock = VirtualClock()
        async with clock.autojump():
            refused = InsufficientBalance(balance=Balance(free=Decimal(1)), required_amount=Decimal("0.07"))
            return await TopUpWaiter(clock=clock).wait(api, Stopped("balance", refused))

    assert anyio.run(wait)
    assert not answers


def test_a_batch_whose_key_is_refused_while_it_waits_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    from msgapi.cli.batch.spending import TopUpWaiter

    async def refilled(*_: object) -> bool:
        return False

    path, _ = people(tmp_path, 20), reached(monkeypatch, poor(5))
    monkeypatch.setattr(TopUpWaiter, "wait", refilled)
    assert main(["batch", path, *RCS, "--wait-for-balance"]) == 3
    assert "5 of 20 rows accepted" in capsys.readouterr().out


def test_a_key_that_is_revoked_ends_the_waiting() -> None:
    import anyio

    from msgapi import Balance, Call, Result, Unauthorized
    from msgapi.batch import Stopped
    from msgapi.cli.batch.spending import TopUpWaiter

    async def api(call: Call[Any], /) -> Result[Any]:
        assert call.returns is Balance
        return Unauthorized()

    stopped = Stopped("balance", InsufficientBalance())
    assert anyio.run(TopUpWaiter().wait, api, stopped) is False


def test_a_journal_that_is_empty_or_cut_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    path, box = people(tmp_path, 2), reached(monkeypatch, poor(9))
    place = Path(f"{path}.journal")
    place.touch()
    assert main(["batch", path, *RCS]) == 2
    assert "is empty: delete it, or name a file that does not exist" in capsys.readouterr().err
    place.unlink()
    assert main(["batch", path, *RCS]) == 0
    _ = place.write_bytes(place.read_bytes()[:1])
    assert main(["batch", path, *RCS]) == 2
    assert "is damaged" in capsys.readouterr().err
    assert len(box.messages) == 2


@pytest.mark.parametrize("status", [200, 302, 401, 402, 404, 422])
def test_a_batch_behind_a_page_says_what_to_check_and_the_same_command_sends_every_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured, status: int
) -> None:
    path, page, box = people(tmp_path, 40), Response(status, {"Location": "/login"}, b"<html>"), Sandbox()
    well = False

    async def proxied(request: Request, /) -> Answer:
        return await box(request) if well else page

    @asynccontextmanager
    async def reach(_: object = None, *, pace: Pace | None = None) -> AsyncIterator[Client]:
        options: dict[str, Any] = {"api_key": box.api_key, "base_url": "http://127.0.0.1", "transport": proxied}
        async with Client(**options, retry=Retry(attempts=1), pace=pace) as api:
            yield api

    monkeypatch.setattr(batch_command, "open_client", reach)
    assert main(["batch", path, *RCS, "--concurrency", "4"]) == 3
    out, err = capsys.readouterr()
    assert "stopped: the answers are not the service's: HTTP " in err
    assert "check the base URL (MSGAPI_BASE_URL or the profile) and any proxy" in err
    assert "refused" not in (out + err).replace("0 refused", "")
    assert main(["batch", "report", f"{path}.journal", "--json"]) == 3
    facts = orjson.loads(capsys.readouterr().out)
    tried = sum(one["count"] for one in facts["outcomes"])
    assert (facts["accepted"], facts["refused"], facts["unknown"] + facts["not_sent_yet"]) == (0, 0, 40)
    assert facts["unknown"] == (tried if status == 200 else 0)
    assert all("Check the base URL" in one["advice"] for one in facts["outcomes"])
    well = True
    assert main(["batch", path, *RCS, "--json"]) == 0
    facts = orjson.loads(capsys.readouterr().out)
    assert (facts["accepted"], facts["refused"], facts["unknown"], facts["not_sent_yet"]) == (40, 0, 0, 0)
    assert len({message.to for message in box.messages}) == len(box.messages) == 40
