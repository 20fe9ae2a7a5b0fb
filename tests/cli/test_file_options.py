"""`msgapi batch` over files as people have them: what is said, sent and stored."""

import gzip
import io
import os
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from msgapi import VirtualClock
from msgapi.cli import main
from msgapi.cli.batch import progress
from msgapi.cli.batch.journal import read_journal
from msgapi.sandbox import Sandbox
from tests.cli.test_journal import RCS, poor, reached
from tests.cli.test_progress import Terminal
from tests.support.cli_files import lines
from tests.support.cli_fleets import Fleet, enqueue, placed
from tests.support.workbooks import Cell, workbook

Captured = pytest.CaptureFixture[str]
A, B, C = "+4915100000001", "+4915100000002", "+4915100000003"
__all__ = ["placed"]


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    return reached(monkeypatch, poor(100))


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> Fleet:
    return placed(monkeypatch)


def sent(box: Sandbox) -> list[tuple[str, Any]]:
    bodies = [orjson.loads(message.body) for message in box.messages]
    return sorted((body["to"], body["content"]["text"]) for body in bodies)


def dry(capsys: Captured, path: Path, *options: str, status: int = 2) -> str:
    _ = capsys.readouterr()
    assert main(["batch", str(path), *RCS, *options, "--dry-run"]) == status
    told = capsys.readouterr()
    return f"{told.out}\n{told.err}"


@pytest.mark.parametrize("content", [f"{A},Joanna\n{B},Ann\n", f"{A}\n{B}\n", f"4711,Joanna,{A}\n", "joanna@a.org\n"])
@pytest.mark.parametrize("options", [[], ["--to-column", "phone"], ["--where", "consent=yes"]])
def test_a_file_without_a_header_is_said_to_lack_one_and_no_recipient_is_printed(
    tmp_path: Path, capsys: Captured, content: str, options: list[str]
) -> None:
    path = tmp_path / "people.csv"
    _ = path.write_text(content)
    said = dry(capsys, path, *options)
    assert "must be a header with the names of the columns" in said
    assert not any(one in said.replace(str(path), "") for one in ("15100000001", "Joanna", "joanna", "4711"))


def test_a_value_in_a_header_is_hidden_in_the_list_of_columns(tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "people.csv"
    _ = path.write_text(f"to,{A}\n{A},x\n")
    assert "must be a header" in dry(capsys, path, "--text", "{x}")


@pytest.mark.parametrize(
    ("column", "options", "said"),
    [
        (
            "Mail",
            ["--channel", "ch_1", "--subject", "S", "--text", "T"],
            "Mail must be an e-mail address, and has no @",
        ),
        ("Phone Number", [*RCS[:-2], "--text", "T"], "line 2: Phone Number has letters: it must be a phone number"),
    ],
)
def test_an_error_names_the_column_of_the_file_and_shows_its_example(
    tmp_path: Path, capsys: Captured, column: str, options: list[str], said: str
) -> None:
    path, results = tmp_path / "people.csv", tmp_path / "r.jsonl"
    _ = path.write_text(f"{column},name\nnobody,Jo\n")
    command = ["batch", str(path), *options, "--to-column", column.lower()]
    assert main([*command, "--dry-run"]) == 1
    assert said in capsys.readouterr().out
    assert main([*command, "--sandbox", "--results", str(results)]) == 1
    (line,) = lines(results)
    assert line["details"][0]["field"] == column
    assert "***" not in line["message"]


def test_a_pipe_needs_a_place_for_its_journal(
    tmp_path: Path, capsys: Captured, box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = f"to,name\n{A},Ann\n".encode()

    def pipe() -> str:
        read_end, write_end = os.pipe()
        _ = os.write(write_end, content)
        os.close(write_end)
        return f"/dev/fd/{read_end}"

    path = pipe()
    assert main(["batch", path, *RCS]) == 2
    said = capsys.readouterr().err
    assert all(option in said for option in ("--journal", "--no-journal", " - "))
    assert main(["batch", path, *RCS, "--no-journal"]) == 0
    assert sent(box) == [(A, "Hi Ann")]
    journal = str(tmp_path / "j")
    assert main(["batch", pipe(), *RCS, "--journal", journal]) == 0
    assert main(["batch", "--resume", journal]) == 2
    assert "the rows came from standard input, or from a pipe" in capsys.readouterr().err
    assert main(["batch", pipe(), *RCS, "--dry-run"]) == 0
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert main(["batch", "-", *RCS]) == 0


def test_the_options_of_reading_are_stored_and_another_one_is_another_file(
    tmp_path: Path, box: Sandbox, capsys: Captured
) -> None:
    path = tmp_path / "people.csv"
    _ = path.write_bytes(f"to|name|Consent\n{A}|Jörg|yes\n{B}|Bo|no\n{C}|Cy|YES\n".encode("cp1252"))
    reading = ["--encoding", "cp1252", "--delimiter", "|", "--format", "csv"]
    assert main(["batch", str(path), *RCS, *reading, "--where", "consent=yes"]) == 0
    assert "1 row was left out by --where" in capsys.readouterr().err
    assert sent(box) == [(A, "Hi Jörg"), (C, "Hi Cy")]
    stored = read_journal(f"{path}.journal").command
    assert {name: stored[name] for name in ("encoding", "delimiter", "file_format", "where", "sheet")} == {
        "encoding": "cp1252",
        "delimiter": "|",
        "file_format": "csv",
        "where": ["consent=yes"],
        "sheet": None,
    }
    assert main(["batch", "--resume", f"{path}.journal"]) == 0
    assert len(sent(box)) == 2
    # Saved as UTF-8 with commas, and read without the options: the same rows.
    _ = path.write_text(f"to,name,Consent\n{A},Jörg,yes\n{B},Bo,no\n{C},Cy,YES\n{'+4915100000004'},Di,yes\n")
    _ = capsys.readouterr()
    assert main(["batch", str(path), *RCS, "--where", "consent=yes"]) == 0
    assert "2 of 3 rows were sent on" in capsys.readouterr().err
    assert len(sent(box)) == 3
    assert main(["batch", str(path), *RCS]) == 2
    assert "was made with a different --where" in capsys.readouterr().err
    assert len(sent(box)) == 3


def test_a_workbook_is_sent_and_resumed(tmp_path: Path, box: Sandbox) -> None:
    path = tmp_path / "people.xlsx"
    table: list[list[Cell]] = [["Phone", "Name"], [4915100000001.0, "Jörg"], ["+4915100000002", "Ann"]]
    _ = path.write_bytes(workbook({"Old": [["x"], ["y"]], "May": table}))
    options = [
        *RCS[:-2],
        "--text",
        "Hi {name}",
        "--to-column",
        "phone",
        "--sheet",
        "may",
        "--failed",
        str(tmp_path / "f.csv"),
    ]
    assert main(["batch", str(path), *options, "--overwrite"]) in {0, 1}
    assert (B, "Hi Ann") in sent(box)
    assert main(["batch", "--resume", f"{path}.journal", "--overwrite"]) in {0, 1}
    assert len(sent(box)) == len(set(sent(box)))


def test_what_was_left_out_and_spans_lines_is_shown(tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "people.csv"
    note = f'"x\n{C},Cy,yes,"'
    rows = [f'{A},"Ann\nMary",yes,', f'{B},"Bo\nX",yes,{note}', f"{C},Di,no,"]
    _ = path.write_text("\n".join(["to,name,ok,note", *rows]) + "\n")
    said = dry(capsys, path, "--where", "ok=yes", status=0)
    assert "left out by --where" in said
    assert "2 rows have a line break in a cell that is used" in said
    assert "(line 2, 4)" in said
    assert "line 4: the row continues to line 6, and a column that is not used contains" in said
    facts = orjson.loads(dry(capsys, path, "--where", "ok=yes", "--json", status=0))
    assert (facts["rows"], facts["left_out"], facts["rows_with_line_breaks"]) == (2, 1, 2)
    assert main(["batch", str(path), *RCS, "--where", "ok=yes", "--sandbox", "--json"]) == 0
    told = capsys.readouterr()
    assert orjson.loads(told.out)["left_out"] == 1
    assert "is a quote missing" in told.err
    _ = path.write_text(f'to,name\n{A},"Ann\nMary"\n' + "".join(f'{B[:-2]}{at},"Bo\nX"\n' for at in range(10, 30)))
    assert ", ...)" in dry(capsys, path, status=0)
    _ = path.write_text(f'to,name\n{A},"Ann\nMary"\n')
    assert "1 row has a line break" in dry(capsys, path, status=0)


def test_a_swallowed_row_ends_the_program_before_anything_is_sent(
    tmp_path: Path, box: Sandbox, capsys: Captured
) -> None:
    path = tmp_path / "people.csv"
    _ = path.write_text(f'to,name\n{A},"Jörg\n{B},Ann"\n{C},Bo\n')
    assert main(["batch", str(path), *RCS]) == 2
    assert "lines 2 to 3 are read as one row" in capsys.readouterr().err
    assert not box.messages


def test_a_fleet_is_told_what_was_left_out_and_reads_the_same_way(
    tmp_path: Path, there: Fleet, capsys: Captured
) -> None:
    path = tmp_path / "people.csv"
    _ = path.write_text(f'to;name;ok\n{A};"Ann\nMary";yes\n{B};Bo;no\n')
    command = enqueue(str(path), "--where", "ok=yes")
    assert main(command) == 0
    told = capsys.readouterr().err
    assert "1 row was left out by --where" in told
    assert "1 row has a line break" in told
    assert [len(chunk.rows) for chunk in there.queued()] == [1]
    assert main([*command, "--delimiter", ";"]) == 2
    assert "was queued with a different --delimiter" in capsys.readouterr().err


def test_failed_rows_are_as_bad_in_their_file_as_they_were(tmp_path: Path, box: Sandbox, capsys: Captured) -> None:
    path, failed = tmp_path / "people.csv", tmp_path / "failed.csv"
    head = "Idempotency Key,to,x,x,name,note"
    rows = [
        f"k1,{A},1,2,Ann",
        "k2,bad,1,2,Bo,n",
        f"k3,{B}",
        f"k4,{C},1,2,Cy,n,{A}",
        f"k5,{C},1,2,Di,n,",
        "k6,worse,1,2,Ed",
    ]
    _ = path.write_text("\n".join([head, *rows]))
    assert main(["batch", str(path), *RCS, "--failed", str(failed)]) == 1
    assert sent(box) == [(A, "Hi Ann"), (C, "Hi Di")]
    assert failed.read_text().splitlines() == [
        "to,x,x,name,note,idempotency_key",
        "bad,1,2,Bo,n,k2",
        B,
        f"{C},1,2,Cy,n,,{A}",
        "worse,1,2,Ed,,k6",
    ]
    _ = capsys.readouterr()
    assert main(["batch", str(failed), *RCS, "--dry-run", "--json"]) == 1
    assert orjson.loads(capsys.readouterr().out)["invalid"] == 4


def test_failed_rows_of_json_are_as_bad_in_a_csv(tmp_path: Path, box: Sandbox) -> None:
    path, failed = tmp_path / "people.jsonl", tmp_path / "failed.csv"
    _ = path.write_text(f'{{"to":"bad","name":"A"}}\n"{A}"\n{{"to":"{B}","name":"B"}}\n')
    assert main(["batch", str(path), *RCS, "--failed", str(failed)]) == 1
    assert failed.read_text().splitlines() == ["to,name,idempotency_key", "bad,A,", f',,,"""{A}"""']
    assert main(["batch", str(failed), *RCS]) == 1
    assert sent(box) == [(B, "Hi B")]


def test_a_journal_is_next_to_a_packed_file_and_a_change_of_it_ends_the_run(
    tmp_path: Path, box: Sandbox, capsys: Captured
) -> None:
    path = tmp_path / "people.csv.gz"
    _ = path.write_bytes(gzip.compress(f"to,name\n{A},Ann\n".encode()))
    assert main(["batch", str(path), *RCS]) == 0
    _ = path.write_bytes(gzip.compress(f"to,name\n{A},Ann\n{B},Bo\n".encode()))
    assert main(["batch", str(path), *RCS]) == 0
    assert sent(box) == [(A, "Hi Ann"), (B, "Hi Bo")]
    assert "1 of 2 rows were sent on" in capsys.readouterr().err


def test_a_pass_over_all_rows_is_shown_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    clock = VirtualClock()

    def read() -> list[int]:
        found = []
        for number in progress.reported(range(5_000), 5_000, "checking a.csv", clock):
            found.append(number)
            clock.advance(0.001)
        return found

    assert read() == list(range(5_000))
    assert capsys.readouterr().err == ""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    assert read() == list(range(5_000))
    assert "checking a.csv: 4,000/5,000" in terminal.getvalue()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--where", "name=Bo"], "--where"),
        (["--to-column", "name"], "--to-column"),
        (["--region", "DE"], "--region"),
        (["--format", "jsonl"], "--format"),
        (["--allow-duplicates"], "--allow-duplicates"),
        (["--encoding", "latin-1"], "--encoding"),
    ],
)
def test_resume_takes_no_other_options_of_the_messages_than_those_of_the_journal(
    tmp_path: Path, box: Sandbox, capsys: Captured, options: list[str], said: str
) -> None:
    path = tmp_path / "people.csv"
    _ = path.write_text(f"to,name\n{A},Ann\n{B},Bo\n")
    assert main(["batch", str(path), *RCS, "--where", "name=Ann", "--encoding", "utf-8"]) == 0
    resume = ["batch", "--resume", f"{path}.journal"]
    assert main([*resume, *options]) == 2
    assert f"--resume reads {said} from the journal, which has another value" in capsys.readouterr().err
    assert main([*resume, "--where", "name=Ann", "--encoding", "utf-8"]) == 0
    assert sent(box) == [(A, "Hi Ann")]


def test_results_and_failed_rows_never_overwrite_the_journal_or_a_file_of_the_options(
    tmp_path: Path, box: Sandbox, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path, said = tmp_path / "people.csv", tmp_path / "text.txt"
    _ = path.write_text(f"to,name\n{A},Ann\n")
    _ = said.write_text("Hi {name}")
    command = ["batch", str(path), *RCS[:-1], "@text.txt", "--overwrite"]
    assert main(command) == 0
    (tmp_path / "link").symlink_to(f"{path}.journal")
    for option, name, what in (
        ("--results", f"{path}.journal", "the journal"),
        ("--failed", "link", "the journal"),
        ("--results", str(said), "the file of --text"),
    ):
        assert main([*command, option, name]) == 2
        assert f"{option} {name} is {what}, which would be overwritten" in capsys.readouterr().err
    assert main([*command, "--results", "r.jsonl"]) == 0
    assert main([*command, "--no-journal", "--failed", "text.txt"]) == 2
    assert main([*command, "--no-journal", "--results", "-"]) == 2
    assert "--results - is not the name of a file" in capsys.readouterr().err
    assert sent(box) == [(A, "Hi Ann")]


@pytest.mark.parametrize("form", ["{}\n{}\n{}\n", "[{},\n{},\n{}]"])
def test_json_without_keys_and_ids_is_sent_by_a_condition(tmp_path: Path, box: Sandbox, form: str) -> None:
    path = tmp_path / "people.json"
    rows = [{"to": A, "name": "Ann", "ok": True}, {"to": B, "name": "Bo", "ok": False}, {"to": C, "name": "Cy"}]
    _ = path.write_text(form.format(*(orjson.dumps(row).decode() for row in rows)))
    assert main(["batch", str(path), *RCS, "--where", "OK=True"]) == 0
    assert sent(box) == [(A, "Hi Ann")]


def test_a_very_long_name_is_cut_in_the_list_of_columns(tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "page.css"
    _ = path.write_text(f"body{'{color:red}' * 5_000}\nx\n")
    said = dry(capsys, path)
    assert "there is no column to" in said
    assert len(said) < 500
