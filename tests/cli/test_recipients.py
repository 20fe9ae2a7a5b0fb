"""batch over recipients as people write them: what is sent, what is refused and how that is reported."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest

from msgapi import journal
from msgapi.cli import main
from msgapi.cli.batch import journal as batch_journal
from msgapi.cli.batch import values
from msgapi.cli.batch.values import RecipientReader, RegionOptions
from msgapi.cli.output import CliError
from msgapi.recipients import national
from msgapi.sandbox import Sandbox
from tests.cli.test_journal import RCS, poor, reached

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    return reached(monkeypatch, poor(100))


class File:
    """A file of rows, and the command that sends it."""

    def __init__(self, directory: Path, capsys: Captured) -> None:
        self.path, self.capsys = directory / "people.csv", capsys

    def write(self, *rows: str, head: str = "phone,name") -> None:
        _ = self.path.write_text("\n".join([head, *rows]) + "\n")

    def run(self, *options: str) -> tuple[int, str, str]:
        _ = self.capsys.readouterr()
        column = [] if "--to-column" in options else ["--to-column", "phone"]
        status = main(["batch", str(self.path), *RCS, *column, *options])
        printed = self.capsys.readouterr()
        return status, printed.out, printed.err

    def facts(self, *options: str) -> tuple[int, dict[str, Any]]:
        status, out, _ = self.run("--json", *options)
        return status, orjson.loads(out)


@pytest.fixture
def file(tmp_path: Path, capsys: Captured) -> File:
    return File(tmp_path, capsys)


def sent(box: Sandbox) -> list[str]:
    return sorted(message.to for message in box.messages)


def test_what_was_normalised_is_sent_and_counted_by_kind(file: File, box: Sandbox) -> None:
    file.write("+49 151 0000 0001,Ann", "0049151/00000002,Bo", "+4915100000003,Cy")
    status, out, _ = file.run("--dry-run")
    assert status == 0
    assert (
        "recipients normalised in 2 rows (spaces removed: 1; dashes, dots, slashes or parentheses removed: 1; "
        "00 replaced by +: 1)" in out
    )
    counts = {"spaces": 1, "punctuation": 1, "double_zero": 1}
    _, planned = file.facts("--dry-run")
    assert (planned["normalized"], planned["normalized_by"]) == (2, counts)
    status, facts = file.facts()
    assert (status, facts["normalized"], facts["normalized_by"]) == (0, 2, counts)
    assert sent(box) == ["+4915100000001", "+4915100000002", "+4915100000003"]


def test_nothing_is_reported_about_recipients_that_are_sent_as_given(file: File) -> None:
    file.write("+4915100000001,Ann", "+4915100000002,Bo")
    _, out, _ = file.run("--dry-run")
    assert "recipient" not in out.partition("outcome")[2]


def test_a_national_number_is_refused_with_the_options_that_say_its_country(file: File) -> None:
    file.write("0151 00000001,Ann")
    status, out, _ = file.run("--dry-run")
    assert status == 1
    assert (
        "line 2: phone has no country code: write it with + and the country code, or give its country by --region DE "
        "or --region-column COLUMN" in out
    )


def test_a_region_for_the_file_completes_national_numbers(file: File, box: Sandbox) -> None:
    file.write("0151 00000001,Ann", "+44 7700 900123,Bo")
    assert file.run("--region", "germany")[0] == 0
    assert sent(box) == ["+447700900123", "+4915100000001"]


def test_a_column_of_countries_completes_national_numbers(file: File, box: Sandbox) -> None:
    rows = ("0151 00000001,Ann,Germany", "07700 900123,Bo, gb ", "0151 00000003,Cy,", "0151 00000004,Di,Atlantis")
    file.write(*rows, head="phone,name,country")
    status, out, _ = file.run("--region-column", "country", "--dry-run")
    assert status == 1
    assert "line 4: phone has no country code" in out
    assert "or give its country by --region DE or fill country" in out
    assert "line 5: phone has no country code, and country is not a country that is known" in out
    assert file.run("--region-column", "country", "--region", "DE")[0] == 1
    assert sent(box) == ["+447700900123", "+4915100000001", "+4915100000003"]


def test_a_country_that_is_no_text_is_none(file: File, box: Sandbox) -> None:
    rows = [{"phone": 4915100000001, "name": "Ann", "c": 1}, {"phone": "0151 00000002", "name": "Bo", "c": None}]
    file.path = file.path.with_suffix(".jsonl")
    _ = file.path.write_bytes(b"\n".join(map(orjson.dumps, rows)))
    assert file.run("--region-column", "c", "--region", "DE")[0] == 0
    assert sent(box) == ["+4915100000001", "+4915100000002"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--region", "Atlantis"], "Atlantis is not a country that is known: use its code, such as DE"),
        (["--region-column", "country"], "there is no column country (--region-column); the columns are: phone, name"),
    ],
)
def test_a_country_or_a_column_that_does_not_exist_is_a_usage_error(
    file: File, options: list[str], expected: str
) -> None:
    file.write("+4915100000001,Ann")
    status, _, err = file.run("--dry-run", *options)
    assert status == 2
    assert expected in err


def test_an_empty_recipient_has_the_name_of_its_column(file: File) -> None:
    file.write(" ,Ann")
    assert "line 2: phone is missing" in file.run("--dry-run")[1]


def test_a_row_with_two_senders_is_refused_for_that(file: File) -> None:
    file.write("ann@example.org,Ann,ch_1,ag_1", head="phone,name,channel_id,agent_id")
    _ = file.capsys.readouterr()
    given = ["--traffic", "TRANSACTION", "--text", "Hi", "--to-column", "phone", "--dry-run"]
    assert main(["batch", str(file.path), *given]) == 1
    assert "agent_id and channel_id: give one" in file.capsys.readouterr().out


def test_one_recipient_in_two_forms_is_a_duplicate(file: File, box: Sandbox) -> None:
    file.write("+4915100000001,Ann", "+49 151 0000 0001,Ann")
    status, out, _ = file.run("--dry-run")
    assert status == 0
    assert "duplicate: line 3" in out
    assert "same recipient" not in out
    _, facts = file.facts()
    assert (facts["accepted"], facts["duplicate"], facts["same_recipient"]) == (1, 1, 0)
    assert sent(box) == ["+4915100000001"]


@pytest.mark.usefixtures("box")
def test_recipients_with_several_messages_are_reported_by_line(file: File) -> None:
    many = [f"+4915100000001,N{at}" for at in range(12)]
    file.write("+4915100000002,Ann", *many)
    status, out, _ = file.run("--dry-run")
    assert status == 0
    lines = ", ".join(str(at) for at in range(4, 14))
    assert f"the same recipient as an earlier row, with another message: 11 (line {lines}, ...)" in out
    _, facts = file.facts()
    assert (facts["accepted"], facts["same_recipient"], facts["same_recipient_lines"]) == (13, 11, [*range(4, 14)])
    assert "+4915100000001" not in out.partition("outcome")[2]


def test_addresses_that_differ_in_case_are_one_recipient(file: File) -> None:
    file.write("Ann@example.org,Ann", "ann@example.org,Bo", "ann@example.org;,Cy", "ann@b\u00fccher.de,Di")
    _ = file.capsys.readouterr()
    email = ["--channel", "ch_demo", "--subject", "Hi {name}", "--html", "<p>Hi</p>", "--to-column", "phone"]
    assert main(["batch", str(file.path), *email, "--dry-run"]) == 0
    out = file.capsys.readouterr().out
    assert "with another message: 2 (line 3, 4)" in out
    assert "recipients normalised in 1 row (dashes, dots, slashes or parentheses removed: 1)" in out


def test_a_row_with_a_fallback_is_counted_once(file: File) -> None:
    file.write("+49 15100000001,Ann, ann@example.org ", head="phone,name,mail")
    email = ["--fallback-email", "mail", "--channel", "ch_demo", "--subject", "S", "--html", "<p>Hi</p>"]
    _, facts = file.facts("--dry-run", *email)
    assert (facts["normalized"], facts["normalized_by"]) == (1, {"spaces": 2})


def about(file: File) -> dict[str, str]:
    with journal.open_readonly(f"{file.path}.journal") as record:
        return dict(record.about)


def test_the_journal_has_the_version_of_the_library_once_that_has_completed_a_number(
    file: File, box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write("+4915100000001,Ann", "+49 (0)151 00000002,Bo")
    assert file.run("--region", "DE")[0] == 0
    assert "phonenumberslite" not in about(file)
    file.write("+4915100000001,Ann", "+49 (0)151 00000002,Bo", "0151 00000003,Cy")
    assert file.run("--region", "DE")[0] == 0
    assert about(file)["phonenumberslite"] == national.metadata_version()
    with monkeypatch.context() as patched:
        patched.setattr(batch_journal, "metadata_version", lambda: "9.99.0")
        patched.setattr("msgapi.cli.batch.comparison.metadata_version", lambda: "9.99.0")
        for more in ([], ["--changed", "send"]):
            status, _, err = file.run("--region", "DE", *more)
            assert status == 2
            assert "has numbers that phonenumberslite" in err
            assert "9.99.0 is installed" in err
    assert file.run("--region", "DE")[0] == 0
    assert len(box.messages) == 3


def test_another_version_of_the_library_does_not_matter_before_rows_were_sent(
    file: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = reached(monkeypatch, poor(0))
    file.write("0151 00000003,Cy")
    assert file.run("--region", "DE")[0] == 3
    assert about(file)["phonenumberslite"] == national.metadata_version()
    box.top_up(Decimal(1))
    for place in ("msgapi.cli.batch.comparison", "msgapi.cli.batch.journal", "msgapi.recipients.national"):
        monkeypatch.setattr(f"{place}.metadata_version", lambda: "9.99.0")
    assert file.run("--region", "DE")[0] == 0
    assert about(file)["phonenumberslite"] == "9.99.0"
    assert sent(box) == ["+4915100000003"]


@pytest.mark.parametrize("options", [["--region", "AT"], ["--region", "DE", "--region-column", "name"], []])
def test_another_region_is_refused_whatever_is_decided_about_changed_rows(
    file: File, box: Sandbox, options: list[str]
) -> None:
    file.write("0151 00000003,Cy")
    assert file.run("--region", "DE")[0] == 0
    status, _, err = file.run(*options, "--changed", "send", "--allow-empty")
    assert status == 2
    assert "was made with a different --region" in err
    assert len(box.messages) == 1


def test_a_resumed_batch_has_the_region_of_its_journal(file: File, monkeypatch: pytest.MonkeyPatch) -> None:
    box = reached(monkeypatch, poor(1))
    file.write("0151 00000001,Ann", "0151 00000002,Bo")
    assert file.run("--region", "DE", "--concurrency", "1")[0] == 3
    box.top_up(Decimal(1))
    assert main(["batch", "--resume", f"{file.path}.journal"]) == 0
    assert sent(box) == ["+4915100000001", "+4915100000002"]


@pytest.mark.parametrize("cell", ["'+4915100000001'", " '015100000001' "])
def test_a_file_that_is_quoted_by_apostrophes_is_refused_by_row(file: File, box: Sandbox, cell: str) -> None:
    file.write(f"{cell},'Ann'", "'+4915100000002,Bo")
    status, out, _ = file.run("--region", "DE")
    assert (status, sent(box)) == (1, ["+4915100000002"])
    assert "line 2: Invalid, phone is between apostrophes" in out


@pytest.mark.parametrize("library", ["phonenumbers", "email_validator"])
def test_a_library_that_is_not_installed_is_one_sentence(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(values, "find_spec", lambda name: None if name == library else object())
    with pytest.raises(CliError, match=r'^recipients are checked by .*: pip install "msgapi-sdk\[cli\]"$'):
        _ = RegionOptions().bind(("to",))


def test_two_hashes_at_one_place_are_two_recipients() -> None:
    class Same(str):
        __slots__ = ()

        def __hash__(self) -> int:
            return int(self) << 32 | int(self)

    reader = RecipientReader()
    reader.begin(4)
    for text in ("1", "8", "15", "1", "8"):  # all begin at one place of seven
        reader.add(Same(text), 2)
    assert reader.report.shared == 2
