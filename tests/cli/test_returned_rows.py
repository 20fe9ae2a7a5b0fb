"""batch over a file whose rows leave it and come back: a row is not sent in addition to one that was sent in its place.

Each test is about one state in which the journal has a row, or about one state of the other rows of its recipient.
"""

from decimal import Decimal
from pathlib import Path

import orjson
import pytest

from msgapi import journal
from msgapi.cli import main
from msgapi.sandbox import Sandbox
from tests.cli.test_comparison import Captured, File, person, recipients, record_batch, refused, texts, unknown
from tests.cli.test_journal import RCS, poor, reached
from tests.support.cli_files import lines
from tests.support.journals import edited

PRICE = Decimal("0.07")
ONE_BY_ONE = ["--concurrency", "1"]


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    return reached(monkeypatch, poor(0))


@pytest.fixture
def file(tmp_path: Path, capsys: Captured) -> File:
    return File(tmp_path, capsys)


def replace_unsent(file: File, box: Sandbox) -> None:
    """Have the row of Ann not sent, that of Bob sent in its place, and that of Ann in the file again."""
    file.write(person(1, "Ann"))
    assert file.send()[0] == 3
    file.write(person(1, "Bob"))
    box.top_up(PRICE)
    assert file.send()[0] == 0
    file.write(person(1, "Ann"))
    box.top_up(Decimal(1))


def test_a_row_that_was_not_sent_and_comes_back_after_another_was_sent_in_its_place_is_changed(
    file: File, box: Sandbox
) -> None:
    replace_unsent(file, box)
    before = Path(file.journal).read_bytes()
    status, _, said = file.send()
    assert status == 2
    assert "1 row of" in said
    assert "(line 2): nothing was sent; --changed skip" in said
    assert (Path(file.journal).read_bytes(), texts(box)) == (before, [("01", "Hi Bob")])


def test_a_row_that_comes_back_can_be_left_out_and_stays_left_out(file: File, box: Sandbox) -> None:
    replace_unsent(file, box)
    status, facts, _ = file.send("--changed", "skip")
    assert (status, facts["changed"], facts["accepted"], facts["not_in_the_file"]) == (0, 1, 0, 1)
    file.write(person(1, "Ann"), person(2))
    results = str(file.path.parent / "r.jsonl")
    assert file.send("--results", results)[0] == 0
    assert [line["kind"] for line in lines(results)] == ["Changed", "Accepted"]
    assert texts(box) == [("01", "Hi Bob"), ("02", "Hi Ann")]
    file.write(person(1, "Bob"), person(2))  # without it, nothing of it stays
    assert file.send()[0] == 0
    assert file.states() == {"ACCEPTED": 2}


def test_a_row_that_comes_back_can_be_sent(file: File, box: Sandbox) -> None:
    replace_unsent(file, box)
    assert file.send("--changed", "skip")[0] == 0
    status, facts, _ = file.send("--changed", "send")
    assert (status, facts["changed"], facts["accepted"], facts["not_in_the_file"]) == (0, 0, 1, 1)
    assert texts(box) == [("01", "Hi Ann"), ("01", "Hi Bob")]


def test_a_row_that_comes_back_is_sent_without_a_question_if_no_other_was_sent(file: File, box: Sandbox) -> None:
    for rows in ([person(1), person(2)], [person(2)], [person(1), person(2)]):
        file.write(*rows)
        assert file.send()[0] == 3
    box.top_up(PRICE)
    status, facts, _ = file.send(*ONE_BY_ONE)
    assert (status, facts["accepted"], facts["not_sent_yet"], facts["not_in_the_file"]) == (3, 1, 1, 0)
    box.top_up(PRICE)
    assert file.send()[0] == 0
    assert recipients(box) == [1, 2]


def test_a_row_of_the_last_file_is_sent_although_another_row_of_its_recipient_is_gone(file: File, box: Sandbox) -> None:
    file.write(person(1, "Ann"), person(1, "Bob"))  # both were to be sent
    box.top_up(PRICE)
    assert file.send(*ONE_BY_ONE)[0] == 3
    assert file.states() == {"ACCEPTED": 1, "NOT_SENT": 1}
    file.write(person(1, "Bob"))
    box.top_up(PRICE)
    assert file.send()[0] == 0
    assert texts(box) == [("01", "Hi Ann"), ("01", "Hi Bob")]


def test_a_refused_row_that_comes_back_is_settled_and_asks_nothing(file: File, box: Sandbox) -> None:
    file.write(person(1, "Ann"))
    assert file.send()[0] == 3
    with edited(file.journal) as there:
        _ = there.execute("UPDATE rows SET state = 2, kind = 'Invalid', code = 'invalid_request'")
    box.top_up(Decimal(1))
    file.write(person(1, "Bob"))
    assert file.send()[0] == 0
    file.write(person(1, "Ann"))
    status, facts, _ = file.send()
    assert (status, facts["refused"], facts["changed"], facts["not_in_the_file"]) == (1, 1, 0, 1)
    assert texts(box) == [("01", "Hi Bob")]


def replace_unknown(file: File, box: Sandbox, hours: float) -> None:
    """Have the outcome of the row of Ann unknown, that of Bob sent in its place, and that of Ann in the file again."""
    box.top_up(Decimal(1))
    file.write(person(1, "Ann"))
    assert file.send()[0] == 0
    unknown(file, hours)
    file.write(person(1, "Bob"))
    assert file.send("--changed", "send", "--resend-unknown")[0] == 0
    file.write(person(1, "Ann"))


def test_an_unknown_row_that_comes_back_after_another_was_sent_in_its_place_is_changed(
    file: File, box: Sandbox
) -> None:
    replace_unknown(file, box, 1)
    assert "(line 2)" in file.send()[2]
    assert file.send("--changed", "send")[0] == 0  # under its previous key, which the service knows
    assert texts(box) == [("01", "Hi Ann"), ("01", "Hi Bob")]


def test_an_unknown_row_that_is_left_out_when_it_comes_back_stays_unknown(file: File, box: Sandbox) -> None:
    replace_unknown(file, box, 30)
    status, facts, _ = file.send("--changed", "skip")
    assert (status, facts["changed"], facts["unknown"], facts["not_in_the_file"]) == (0, 1, 0, 2)
    assert file.states() == {"ACCEPTED": 1, "CHANGED": 1, "STARTED": 1}
    status, _, said = file.send("--changed", "send")
    assert status == 2
    assert "use --resend-unknown as well" in said
    assert len(box.messages) == 2
    file.write(person(1, "Bob"), person(1, "Eve"))  # instead of Ann, who may have a message
    assert "(line 3)" in file.send()[2]


@pytest.fixture
def file_of_ids(tmp_path: Path, capsys: Captured) -> File:
    return File(tmp_path, capsys, "to,name,id")


BY_ID = ["--id-column", "id", *ONE_BY_ONE]


def test_a_refused_row_is_not_corrected_to_a_recipient_whose_row_is_gone(file_of_ids: File, box: Sandbox) -> None:
    file = file_of_ids
    box.top_up(Decimal(1))
    file.write(refused(1), person(2, "Ann,2"))
    assert file.send(*BY_ID)[0] == 1
    file.write(person(2, "Ann,1"))
    assert "(line 2)" in file.send(*BY_ID)[2]
    status, facts, _ = file.send(*BY_ID, "--changed", "skip")
    assert (status, facts["changed"], facts["not_in_the_file"]) == (0, 1, 1)
    status, facts, _ = file.send(*BY_ID, "--changed", "send")
    assert (status, facts["accepted"], recipients(box)) == (0, 1, [2, 2])
    with journal.open_readonly(file.journal) as record:
        (row,) = record.rows_by_id(["1"]).values()
    assert row.key not in {None, journal.key_of(record_batch(file), "1")}  # that was used for the refused request


def test_a_row_that_waits_under_the_key_of_a_changed_request_keeps_it(file_of_ids: File, box: Sandbox) -> None:
    file = file_of_ids
    box.top_up(PRICE * 2)
    file.write(person(1, "Ann,a"), person(2, "Ann,b"))
    assert file.send(*BY_ID)[0] == 0
    bob = [person(1, "Bob,a"), person(2, "Ann,b")]
    file.write(*bob)
    assert file.send(*BY_ID, "--changed", "send")[0] == 3
    file.write(bob[1])
    assert file.send(*BY_ID)[0] == 0
    file.write(*bob)
    assert "(line 2)" in file.send(*BY_ID)[2]  # the message to Ann is gone
    assert file.send(*BY_ID, "--changed", "skip")[1]["changed"] == 1
    file.write(bob[1])
    assert file.send(*BY_ID)[0] == 0
    assert file.states() == {"ACCEPTED": 2, "NOT_SENT": 1}
    file.write(*bob)
    assert file.send(*BY_ID, "--changed", "skip")[1]["changed"] == 1
    file.write(person(3, "Ann,c"), *bob)  # the first row stops the run
    status, facts, _ = file.send(*BY_ID, "--changed", "send")
    assert (status, facts["not_sent_yet"], facts["not_in_the_file"]) == (3, 2, 1)
    box.top_up(PRICE * 2)
    status, facts, _ = file.send(*BY_ID)  # what was decided is not asked again
    assert (status, facts["accepted"], facts["not_in_the_file"]) == (0, 3, 1)
    assert texts(box) == [("01", "Hi Ann"), ("01", "Hi Bob"), ("02", "Hi Ann"), ("03", "Hi Ann")]


def test_a_new_row_of_a_recipient_whose_changed_row_keeps_its_id_is_new(file_of_ids: File, box: Sandbox) -> None:
    file = file_of_ids
    box.top_up(Decimal(1))
    file.write(person(1, "Ann,a"))
    assert file.send(*BY_ID)[0] == 0
    file.write(person(1, "Bob,a"), person(1, "Eve,c"))
    assert "(line 2)" in file.send(*BY_ID)[2]
    status, facts, _ = file.send(*BY_ID, "--changed", "skip")
    assert (status, facts["changed"], facts["accepted"]) == (0, 1, 1)
    assert texts(box) == [("01", "Hi Ann"), ("01", "Hi Eve")]


def test_rows_whose_ids_have_moved_to_other_recipients_are_all_changed(file_of_ids: File, box: Sandbox) -> None:
    file = file_of_ids
    box.top_up(Decimal(1))
    file.write(person(1, "Ann,1"), person(2, "Ann,2"))
    assert file.send(*BY_ID)[0] == 0
    file.write(person(9, "Ann,1"), person(1, "Ann,2"), person(2, "Ann,3"), person(3, "Ann,4"))  # a row at the top
    assert "(line 2, 3, 4)" in file.send(*BY_ID)[2]
    assert file.send(*BY_ID, "--changed", "skip")[1]["changed"] == 3
    assert recipients(box) == [1, 2, 3]


def test_a_changed_row_that_gets_the_recipient_of_an_unknown_one_needs_both_options(
    file_of_ids: File, box: Sandbox
) -> None:
    file = file_of_ids
    box.top_up(Decimal(1))
    file.write(person(1, "Ann,1"), person(2, "Ann,2"))
    assert file.send(*BY_ID)[0] == 0
    unknown(file, 1)
    file.write(person(2, "Ann,1"))
    status, _, said = file.send(*BY_ID, "--changed", "send")
    assert status == 2
    assert "use --resend-unknown as well" in said
    assert recipients(box) == [1, 2]


def test_each_recipient_of_a_fallback_counts_and_a_row_that_comes_back_keeps_its_leg(
    tmp_path: Path, box: Sandbox, capsys: Captured
) -> None:
    phone = refused(0).split(",")[0]
    path = tmp_path / "people.csv"
    email = ["--fallback-email", "mail", "--channel", "ch_demo", "--subject", "Hi", "--html", "<p>{name}</p>"]

    def send(to: str, name: str, *options: str) -> int:
        _ = path.write_text(f"to,name,mail\n{to},{name},ann@example.org\n")
        _ = capsys.readouterr()
        return main(["batch", str(path), *RCS, *email, "--json", *options])

    assert send(phone, "Ann") == 3
    with journal.open_readonly(f"{path}.journal") as record:
        assert [row.leg for row in record.rows()] == [2]  # the email, for which the balance was used up
    box.top_up(Decimal(1))
    assert send("+4915100000001", "Bob") == 0
    assert send(phone, "Ann") == 2
    assert send(phone, "Ann", "--changed", "skip") == 0
    assert orjson.loads(capsys.readouterr().out)["changed"] == 1
    with journal.open_readonly(f"{path}.journal") as record:
        assert sorted((row.state.name, row.leg) for row in record.rows()) == [("ACCEPTED", 1), ("CHANGED", 2)]
    assert send("+4915100000001", "Bob") == 0
    with journal.open_readonly(f"{path}.journal") as record:
        assert sorted((row.state.name, row.leg) for row in record.rows()) == [("ACCEPTED", 1), ("NOT_SENT", 2)]
    assert send(phone, "Ann", "--changed", "skip") == 0
    _ = capsys.readouterr()
    before = len(box.messages)
    assert send(phone, "Ann", "--changed", "send") == 0
    assert [one.to for one in box.messages][before:] == ["ann@example.org"]
    assert orjson.loads(capsys.readouterr().out)["sent_by_email"] == 1
