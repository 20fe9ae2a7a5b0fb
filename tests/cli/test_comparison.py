"""batch over a file that was edited between two runs: whom a row is sent to, and what the user is asked."""

import re
from collections import Counter
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from time import time
from typing import Any

import orjson
import pytest

from msgapi import journal
from msgapi.cli import main
from msgapi.cli.batch.journal import read_journal, store_path
from msgapi.cli.output import CliError
from msgapi.journal import State
from msgapi.journal.opening import open_existing
from msgapi.sandbox import Sandbox
from tests.cli.test_journal import RCS, poor, reached
from tests.support.cli_files import lines
from tests.support.journals import edited

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    return reached(monkeypatch, poor(100))


class File:
    """A file of rows, and the command that sends it."""

    def __init__(self, directory: Path, capsys: Captured, head: str = "to,name") -> None:
        self.path, self.capsys, self.head = directory / "people.csv", capsys, head

    @property
    def journal(self) -> str:
        return f"{self.path}.journal"

    def write(self, *rows: str) -> None:
        _ = self.path.write_text("\n".join([self.head, *rows]) + "\n")

    def send(self, *options: str) -> tuple[int, dict[str, Any], str]:
        _ = self.capsys.readouterr()
        status = main(["batch", str(self.path), *RCS, "--json", *options])
        told = self.capsys.readouterr()
        return status, orjson.loads(told.out) if told.out else {}, told.err

    def states(self) -> dict[str, int]:
        with journal.open_readonly(self.journal) as record:
            return dict(Counter(row.state.name for row in record.rows()))


@pytest.fixture
def file(tmp_path: Path, capsys: Captured) -> File:
    return File(tmp_path, capsys)


def person(number: int, name: str = "Ann") -> str:
    return f"+49151{number:08},{name}"


def texts(box: Sandbox) -> list[tuple[str, str]]:
    return sorted((one.to[-2:], orjson.loads(one.body)["content"]["text"]) for one in box.messages)


def recipients(box: Sandbox) -> list[int]:
    return sorted(int(message.to[-8:]) for message in box.messages)


def test_a_file_that_is_sorted_and_has_new_rows_is_continued(file: File, monkeypatch: pytest.MonkeyPatch) -> None:
    box = reached(monkeypatch, poor(3))
    file.write(*(person(at) for at in range(6)))
    assert file.send("--concurrency", "1")[0] == 3
    box.top_up(Decimal(10))
    file.write(person(9), *(person(at) for at in reversed(range(6))), person(7))
    status, facts, said = file.send()
    assert (status, recipients(box)) == (0, [0, 1, 2, 3, 4, 5, 7, 9])
    assert (facts["rows"], facts["accepted"], facts["sent_earlier"], facts["not_in_the_file"]) == (8, 8, 3, 0)
    before = facts["sent_before"]
    assert (before["rows"], before["of"], before["first"]) == (3, 8, before["last"])
    assert f"3 of 8 rows were sent on {before['first']}, and are not sent again" in said


def test_rows_that_are_not_in_the_file_any_more_are_counted_apart(file: File, box: Sandbox, capsys: Captured) -> None:
    file.write(*(person(at) for at in range(4)))
    assert file.send()[0] == 0
    file.write(person(8), person(9))
    status, facts, said = file.send()
    assert (status, len(box.messages)) == (0, 6)
    assert (facts["accepted"], facts["not_in_the_file"], facts["sent_earlier"]) == (2, 4, 0)
    assert (facts["price"], facts["price_not_in_the_file"], facts["sent_before"]) == ("0.14", "0.28", None)
    assert "were sent on" not in said
    _ = capsys.readouterr()
    assert main(["batch", "report", file.journal]) == 0
    told = capsys.readouterr().out
    assert "2 of 2 rows accepted, 0.14 EUR" in told
    assert re.search(r"Not in the file +4 +Nothing: rows of earlier runs, 0.28 EUR", told)
    assert main(["batch", "report", file.journal, "--export", "jsonl"]) == 0
    assert Counter(orjson.loads(one)["in_file"] for one in capsys.readouterr().out.splitlines()) == {True: 2, False: 4}


def test_an_edited_row_sends_nothing_until_the_user_decides(file: File, box: Sandbox) -> None:
    file.write(person(1), person(2))
    assert file.send()[0] == 0
    file.write(person(1), person(3), person(2, "Bob"))
    before = Path(file.journal).read_bytes()
    for _ in range(2):  # the file that was refused is not taken for the last one
        status, _, said = file.send()
        assert status == 2
        assert "1 row of" in said
        assert "differs from rows that were sent before (line 4): nothing was sent; --changed skip" in said
    assert Path(file.journal).read_bytes() == before
    assert [one.name for one in file.path.parent.iterdir() if one.name.endswith(".compared")] == []
    assert recipients(box) == [1, 2]


def test_changed_rows_can_be_skipped_and_stay_skipped(file: File, box: Sandbox, capsys: Captured) -> None:
    file.write(person(1), person(2))
    assert file.send()[0] == 0
    file.write(person(1), person(3), person(2, "Bob"))
    results = str(file.path.parent / "r.jsonl")
    status, facts, _ = file.send("--changed", "skip", "--results", results)
    assert (status, recipients(box)) == (0, [1, 2, 3])
    assert (facts["accepted"], facts["changed"], facts["not_in_the_file"], facts["refused"]) == (2, 1, 1, 0)
    assert {line["line"]: line["kind"] for line in lines(results)} == {2: "Accepted", 3: "Accepted", 4: "Changed"}
    assert {line["line"]: line.get("sent_earlier") for line in lines(results)}[2] is True
    assert file.send()[1]["changed"] == 1  # the same file
    file.write(person(1), person(3), person(2, "Bob"), person(4))
    assert main(["batch", str(file.path), *RCS, "--results", results, "--overwrite"]) == 0
    assert "changed rows, not sent: line 4" in capsys.readouterr().out
    assert recipients(box) == [1, 2, 3, 4]
    file.write(person(1), person(2))  # as it was
    assert file.send()[1]["changed"] == 0
    assert file.states() == {"ACCEPTED": 4}


def test_changed_rows_can_be_sent(file: File, box: Sandbox) -> None:
    file.write(person(1), person(2))
    assert file.send()[0] == 0
    file.write(person(1), person(2, "Bob"))
    assert file.send("--changed", "skip")[0] == 0
    status, facts, _ = file.send("--changed", "send")
    assert (status, recipients(box)) == (0, [1, 2, 2])
    assert (facts["accepted"], facts["changed"], facts["not_in_the_file"]) == (2, 0, 1)
    assert file.send()[0] == 0
    assert len(box.messages) == 3


def test_all_new_rows_of_a_recipient_whose_row_is_gone_are_listed(file: File, box: Sandbox) -> None:
    file.write(person(1, "A"), person(1, "B"), person(2))
    assert file.send()[0] == 0
    file.write(person(1, "A"), person(1, "C"), person(1, "D"), person(2))
    status, _, said = file.send()
    assert status == 2
    assert "2 rows of" in said
    assert "(line 3, 4)" in said
    assert file.send("--changed", "skip")[1]["changed"] == 2
    assert len(box.messages) == 3


def unknown(file: File, hours: float) -> None:
    """Have the outcome of the last row be unknown since so many *hours*."""
    with edited(file.journal) as there:
        values = (hours * 3600,)
        _ = there.execute(
            "UPDATE rows SET state = 0, kind = NULL, price = NULL, hold = NULL, started = started - ?"
            " WHERE message_id = (SELECT max(message_id) FROM rows)",
            values,
        )


def test_a_changed_row_of_an_unknown_outcome_needs_both_options(file: File, box: Sandbox) -> None:
    file.write(person(1))
    assert file.send()[0] == 0
    unknown(file, 1)
    file.write(person(1, "Bob"))
    assert file.send()[0] == 2
    status, _, said = file.send("--changed", "send")
    assert status == 2
    assert "use --resend-unknown as well, or --changed skip" in said
    assert len(box.messages) == 1
    assert file.send("--changed", "send", "--resend-unknown")[0] == 0
    assert len(box.messages) == 2


def test_a_known_id_with_another_request_is_a_changed_row(tmp_path: Path, box: Sandbox, capsys: Captured) -> None:
    file, by_id = File(tmp_path, capsys, "to,name,id"), ["--id-column", "id"]
    file.write(person(1, "Ann,a"), person(2, "Ann,b"))
    assert file.send(*by_id)[0] == 0
    file.write(person(1, "Bob,a"), person(2, "Ann,b"), person(2, "Eve,c"))
    assert "(line 2)" in file.send(*by_id)[2]  # a new id of a recipient whose row is there is a new row
    status, facts, _ = file.send(*by_id, "--changed", "skip")
    assert (status, facts["changed"], facts["accepted"], facts["not_in_the_file"]) == (0, 1, 2, 1)
    results = str(tmp_path / "r.jsonl")
    assert file.send(*by_id, "--results", results)[1]["changed"] == 1
    assert [line["kind"] for line in lines(results)] == ["Changed", "Accepted", "Accepted"]
    status, facts, _ = file.send(*by_id, "--changed", "send")
    assert (status, facts["changed"], facts["accepted"], facts["not_in_the_file"]) == (0, 0, 3, 1)
    assert [text for to, text in texts(box) if to == "01"] == ["Hi Ann", "Hi Bob"]
    with journal.open_readonly(file.journal) as record:
        (row,) = [row for row in record.rows() if row.id == "a"]
        assert record.summary().price == Decimal("0.28")
    assert row.key is not None
    assert row.key != journal.key_of(record_batch(file), "a")
    assert file.send(*by_id)[0] == 0
    assert len(box.messages) == 4


def record_batch(file: File) -> str:
    with journal.open_readonly(file.journal) as record:
        return record.about["batch"]


def test_a_changed_row_that_waits_to_be_sent_again_is_not_sent_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    box = reached(monkeypatch, poor(2))
    file, by_id = File(tmp_path, capsys, "to,name,id"), ["--id-column", "id", "--concurrency", "1"]
    file.write(person(1, "Ann,a"), person(2, "Ann,b"))
    assert file.send(*by_id)[0] == 0
    file.write(person(3, "Ann,c"), person(1, "Bob,a"), person(2, "Ann,b"))
    results = str(tmp_path / "r.jsonl")
    status, facts, _ = file.send(*by_id, "--changed", "send", "--results", results)
    assert (status, facts["not_sent_yet"], facts["not_in_the_file"], facts["unknown"]) == (3, 2, 1, 0)
    assert {line["line"]: line["kind"] for line in lines(results)}[3] == "NotSentYet"
    box.top_up(Decimal(10))
    assert file.send(*by_id)[1]["accepted"] == 3  # what was decided is not asked again
    assert len(box.messages) == 4


def test_another_message_under_an_own_key_is_refused(tmp_path: Path, box: Sandbox, capsys: Captured) -> None:
    file = File(tmp_path, capsys, "to,name,idempotency_key")
    file.write(person(1, "Ann,k1"), person(2, "Ann,k2"))
    assert file.send()[0] == 0
    file.write(person(1, "Bob,k1"), person(2, "Ann,k2"))
    assert file.send()[0] == 2
    status, _, said = file.send("--changed", "send")
    assert status == 2
    assert (
        "under an idempotency_key that was used before (line 2): nothing was sent; give each of them a new key" in said
    )
    file.write(person(1, "Bob,k3"), person(2, "Ann,k2"))
    assert file.send()[0] == 2
    assert file.send("--changed", "send")[0] == 0
    assert [text for to, text in texts(box) if to == "01"] == ["Hi Ann", "Hi Bob"]


def refused(number: int) -> str:
    from msgapi.sandbox import MAGIC_RECIPIENTS

    (phone,) = [one.phone for one in MAGIC_RECIPIENTS if one.fault == "404"]
    return f"{phone},Ann,{number}"


def test_a_refused_row_is_sent_with_another_request_under_another_key(
    tmp_path: Path, box: Sandbox, capsys: Captured
) -> None:
    file, by_id = File(tmp_path, capsys, "to,name,id"), ["--id-column", "id"]
    file.write(refused(1), person(2, "Ann,2"))
    assert file.send(*by_id)[0] == 1
    file.write(person(1, "Ann,1"), person(2, "Ann,2"))
    status, facts, _ = file.send(*by_id)
    assert (status, facts["accepted"], recipients(box)) == (0, 2, [1, 2])
    with journal.open_readonly(file.journal) as record:
        (row,) = [row for row in record.rows() if row.id == "1"]
    assert row.key not in {None, journal.key_of(record_batch(file), "1")}


def test_a_refused_row_with_another_message_under_its_own_key_is_refused(
    tmp_path: Path, box: Sandbox, capsys: Captured
) -> None:
    file = File(tmp_path, capsys, "to,name,idempotency_key")
    file.write(refused(1), person(2, "Ann,2"))
    assert file.send()[0] == 1
    file.write(person(1, "Ann,1"), person(2, "Ann,2"))
    assert "(line 2)" in file.send()[2]
    status, facts, _ = file.send("--changed", "skip")
    assert (status, facts["accepted"], facts["changed"], facts["not_in_the_file"]) == (0, 1, 1, 1)
    assert recipients(box) == [2]


def test_an_invalid_row_is_judged_anew(file: File, box: Sandbox) -> None:
    file.write("bad,Ann", person(2))
    assert file.send()[0] == 1
    file.write(person(2))
    status, facts, _ = file.send()
    assert (status, facts["refused"], facts["rows"], facts["not_in_the_file"]) == (0, 0, 1, 0)
    assert len(box.messages) == 1


def test_equal_rows_are_counted_where_duplicates_are_allowed(file: File, box: Sandbox) -> None:
    file.write(*[person(1)] * 5, person(2))
    assert file.send("--allow-duplicates")[0] == 0
    with journal.open_readonly(file.journal) as record:
        assert sorted(row.id[-2:] for row in record.rows()) == ["#1", "#1", "#2", "#3", "#4", "#5"]
    file.write(person(2), *[person(1)] * 7)
    assert file.send("--allow-duplicates")[0] == 0
    assert recipients(box) == [1, 1, 1, 1, 1, 1, 1, 2]


def test_other_options_need_a_decision_if_rows_were_sent(file: File, box: Sandbox) -> None:
    file.write(person(1), person(2))
    assert file.send()[0] == 0
    file.write(person(1), person(2), person(3))
    other = ["--text", "Hello {name}"]
    status, _, said = file.send(*other)
    assert status == 2
    assert "was made with a different --text: nothing was sent" in said
    status, facts, _ = file.send(*other, "--changed", "skip")
    assert (status, facts["changed"], facts["accepted"]) == (0, 2, 1)
    assert [text for to, text in texts(box) if to == "03"] == ["Hello Ann"]
    assert file.send(*other)[0] == 0
    assert "different --text" in file.send()[2]


def test_a_column_of_ids_cannot_be_changed_once_rows_were_sent(tmp_path: Path, box: Sandbox, capsys: Captured) -> None:
    file = File(tmp_path, capsys, "to,name,id")
    file.write(person(1, "Ann,1"))
    assert file.send()[0] == 0
    status, _, said = file.send("--id-column", "id", "--changed", "send")
    assert status == 2
    assert "was made with a different --id-column" in said
    with edited(file.journal) as there:
        _ = there.execute("UPDATE about SET value = '0' WHERE name = 'rule'")
    _, _, said = file.send("--changed", "skip")
    assert "was made with a different rule of msgapi-sdk for the ids of rows" in said
    assert len(box.messages) == 1


def test_a_journal_without_rows_that_were_sent_takes_other_options(
    tmp_path: Path, box: Sandbox, capsys: Captured
) -> None:
    file = File(tmp_path, capsys, "to,name,id")
    file.write(refused(1))
    assert file.send()[0] == 1
    file.write(person(1, "Ann,1"))
    assert file.send("--id-column", "id", "--text", "Ho {name}")[0] == 0
    assert texts(box) == [("01", "Ho Ann")]


def test_a_finished_file_is_sent_again_only_as_a_new_batch(file: File, box: Sandbox) -> None:
    file.write(person(1), person(2))
    assert file.send("--new-batch")[0] == 0  # there is none yet
    status, facts, said = file.send()
    assert (status, facts["accepted"]) == (0, 2)
    assert "nothing was sent: all rows were settled earlier; to send all of them again, use --new-batch" in said
    assert len(box.messages) == 2
    status, _, said = file.send("--new-batch")
    assert status == 0
    assert f"the journal of the finished one is {file.journal}.1 now" in said
    assert file.send("--new-batch")[0] == 0
    assert recipients(box) == [1, 1, 1, 2, 2, 2]
    assert sorted(one.name for one in file.path.parent.iterdir()) == [
        "people.csv",
        *(f"people.csv.journal{suffix}" for suffix in ("", ".1", ".2")),
    ]


def test_a_new_batch_waits_until_the_old_one_is_finished(file: File, monkeypatch: pytest.MonkeyPatch) -> None:
    box = reached(monkeypatch, poor(1))
    file.write(person(1), person(2))
    assert file.send("--concurrency", "1")[0] == 3
    status, _, said = file.send("--new-batch")
    assert status == 2
    assert "is not finished: run the command without --new-batch to finish it, or name another --journal" in said
    box.top_up(Decimal(1))
    assert file.send()[0] == file.send("--new-batch")[0] == 0
    assert recipients(box) == [1, 1, 2, 2]


def test_a_new_batch_that_ends_before_it_sends_leaves_the_journal_of_the_finished_one(file: File, box: Sandbox) -> None:
    file.write(person(1))
    assert file.send()[0] == 0
    failed = file.path.parent / "failed.csv"
    _ = failed.write_text("in the way")
    assert file.send("--new-batch", "--failed", str(failed))[0] == 2
    assert file.send("--new-batch", "--price", "basic=1000")[0] == 3
    assert (file.send()[0], recipients(box)) == (0, [1])
    assert not Path(f"{file.journal}.1").exists()
    status, _, said = file.send("--new-batch")
    assert (status, recipients(box)) == (0, [1, 1])
    assert f"a new batch begins; the journal of the finished one is {file.journal}.1 now" in said


def test_a_file_with_a_row_of_an_unknown_outcome_is_not_finished(file: File, box: Sandbox) -> None:
    file.write(person(1), person(2))
    assert file.send()[0] == 0
    unknown(file, 30)
    status, facts, _ = file.send()
    assert (status, facts["unknown"]) == (3, 1)
    assert file.send("--new-batch")[0] == 2
    assert len(box.messages) == 2


@pytest.mark.parametrize("option", [["--no-journal"], ["--resume", "x.db"]])
def test_a_new_batch_has_a_journal_of_its_own(option: list[str], file: File) -> None:
    file.write(person(1))
    status, _, said = file.send("--new-batch", *option)
    assert status == 2
    assert "--new-batch cannot be used with --no-journal or --resume" in said


def test_a_file_that_is_gone_cannot_be_resumed_but_continued_from_another_path(
    file: File, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    box = reached(monkeypatch, poor(1))
    file.write(person(1), person(2))
    assert file.send("--concurrency", "1")[0] == 3
    moved, where = file.path.parent / "moved.csv", file.journal
    _ = file.path.rename(moved)
    box.top_up(Decimal(1))
    assert main(["batch", "--resume", where]) == 2
    told = capsys.readouterr().err
    assert f"{file.path} is missing, and the journal {where} does not have the messages: nothing was sent" in told
    assert f"--journal {where}" in told
    assert main(["batch", str(moved), *RCS, "--journal", where]) == 0
    assert recipients(box) == [1, 2]


def test_a_file_that_was_continued_from_another_path_is_resumed_from_there(
    file: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = reached(monkeypatch, poor(1))
    file.write(person(1), person(2), person(3))
    assert file.send("--concurrency", "1")[0] == 3
    moved = file.path.rename(file.path.parent / "moved.csv")
    box.top_up(Decimal("0.07"))
    assert main(["batch", str(moved), *RCS, "--journal", file.journal, "--concurrency", "1"]) == 3
    box.top_up(Decimal(1))
    assert main(["batch", "--resume", file.journal]) == 0
    assert recipients(box) == [1, 2, 3]


def test_the_path_of_a_journal_that_is_in_use_is_not_replaced(file: File, box: Sandbox) -> None:
    file.write(person(1))
    assert file.send()[0] == 0
    moved = file.path.rename(file.path.parent / "moved.csv")
    found = read_journal(file.journal)
    with closing(open_existing(file.journal)), pytest.raises(CliError, match="is in use by another program"):
        store_path(found, str(moved), 0.0)
    assert read_journal(file.journal).command["path"] == str(file.path)
    assert len(box.messages) == 1


def test_a_folder_that_cannot_be_written_is_named(file: File, box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write(person(1))
    assert file.send()[0] == 0
    file.write(person(2))

    def full(*_: object) -> tuple[int, str]:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("msgapi.journal.comparison.mkstemp", full)
    status, _, said = file.send()
    assert status == 3
    assert f"cannot write in {file.path.parent}: No space left on device" in said
    assert len(box.messages) == 1


def test_the_states_of_a_report_can_be_chosen(file: File, box: Sandbox, capsys: Captured) -> None:
    file.write(person(1))
    assert file.send()[0] == 0
    file.write(person(1, "Bob"))
    assert file.send("--changed", "skip")[0] == 0
    assert file.states() == {"ACCEPTED": 1, State.CHANGED.name: 1}
    assert main(["batch", "report", file.journal, "--export", "jsonl", "--only", "changed"]) == 0
    (row,) = map(orjson.loads, capsys.readouterr().out.splitlines()[-1:])
    assert (row["state"], row["kind"], row["in_file"]) == ("changed", "Changed", True)
    assert len(box.messages) == 1


def test_a_journal_that_lost_its_rows_takes_no_other_file_and_no_new_batch(file: File, box: Sandbox) -> None:
    file.write(person(1), person(2))
    assert file.send()[0] == 0
    with edited(file.journal) as there:
        _ = there.execute("INSERT INTO about VALUES ('lost_since', ?)", (f"{time()!r}",))
    assert main(["batch", "report", file.journal, "--json"]) == 0
    told = file.capsys.readouterr()
    assert "the -wal file of" in told.err
    assert orjson.loads(told.out)["incomplete"] is True
    status, _, said = file.send("--new-batch")
    assert status == 2
    assert "a new batch could send them again" in said
    file.write(person(1), person(3))
    status, _, said = file.send()
    assert status == 2
    assert "rows may have been sent that it lacks" in said
    assert recipients(box) == [1, 2]
    file.write(person(1), person(2))
    assert file.send()[0] == 0


@pytest.mark.parametrize("reason", ["foreign", "in use"])
def test_a_journal_that_cannot_be_renamed_is_left(
    reason: str, file: File, box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write(person(1))
    if reason == "foreign":
        _ = Path(file.journal).write_text("id,to\n" * 500)
        assert file.send("--new-batch")[0] == 2
        return
    assert file.send()[0] == 0

    def rename(path: str, _: str) -> None:
        raise journal.Unusable("in use", f"the journal {path} is in use by another program: let that one finish")

    monkeypatch.setattr("msgapi.journal.opening.rename", rename)
    status, _, said = file.send("--new-batch")
    assert status == 2
    assert "is in use by another program" in said
    assert len(box.messages) == 1


def test_a_row_that_others_have_sent_may_be_any_new_row(tmp_path: Path, box: Sandbox, capsys: Captured) -> None:
    file = File(tmp_path, capsys)
    file.write(person(1), person(2))
    assert file.send()[0] == 0
    with edited(file.journal) as there:
        _ = there.execute("UPDATE rows SET recipients = NULL")
    file.write(person(1), person(3))
    status, _, said = file.send()
    assert status == 2
    assert "1 row of" in said
    assert "(line 3)" in said
    assert len(box.messages) == 2


def test_a_long_comparison_shows_its_progress(file: File, box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    from msgapi.cli.batch import comparison

    file.write(*(person(at) for at in range(10)))
    assert file.send()[0] == 0
    file.write(*(person(at) for at in range(9)))
    monkeypatch.setattr(comparison, "_INTERVAL", 0.0)
    monkeypatch.setattr(comparison, "_CHUNK", 4)
    said = file.send()[2]
    for done in (4, 8, 9):
        assert f"comparing {file.path} with the journal: {done}/9 rows" in said
    assert len(box.messages) == 10


def test_what_a_file_can_cost_is_counted_without_rows_that_it_does_not_have(
    file: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = reached(monkeypatch, poor(4))
    price = ["--price", "basic=0.07"]
    file.write(person(1), person(2))
    assert file.send(*price)[0] == 0
    file.write(person(3), person(4), person(5))
    status, _, said = file.send(*price)
    assert status == 3
    assert "the batch can cost 0.21 EUR, and 0.14 EUR is free" in said
    assert recipients(box) == [1, 2]


def test_more_than_a_few_changed_rows_are_cut_short(file: File, box: Sandbox) -> None:
    file.write(*(person(at) for at in range(12)))
    assert file.send()[0] == 0
    file.write(*(person(at, "Bob") for at in range(12)))
    assert "12 rows of" in (said := file.send()[2])
    assert "(line 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, ...)" in said
    assert main(["batch", str(file.path), *RCS, "--changed", "skip"]) == 0
    assert "changed rows, not sent: line 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, ..." in file.capsys.readouterr().out
    assert len(box.messages) == 12


def test_an_unknown_row_with_its_address_in_another_letter_case_stays_unknown(
    tmp_path: Path, box: Sandbox, capsys: Captured
) -> None:
    path, failed = tmp_path / "people.csv", tmp_path / "failed.csv"
    command = ["batch", str(path), "--channel", "ch_demo", "--subject", "Hi", "--text", "Hi {name}"]
    _ = path.write_text("to,name\nann@example.com,Ann\n")
    assert main(command) == 0
    with edited(f"{path}.journal") as connection:
        _ = connection.execute("UPDATE rows SET state = 0")
    _ = path.write_text("to,name\nAnn@example.com,Ann\n")
    _ = capsys.readouterr()
    assert main([*command, "--failed", str(failed), "--json"]) != 0
    facts = orjson.loads(capsys.readouterr().out)
    assert (facts["refused"], facts["unknown"]) == (0, 1)
    assert facts["outcomes"][0]["code"] == "idempotency_conflict"
    assert "Ann" not in failed.read_text()
    _ = path.write_text("to,name\nann@example.com,Ann\n")
    assert main(command) == 0
    assert len(box.messages) == 1
