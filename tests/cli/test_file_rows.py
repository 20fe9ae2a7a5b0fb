"""How names of columns are matched, proposed and hidden."""

import pytest

from msgapi.cli.files.rows import (
    check_header,
    find_column,
    is_data,
    is_recipient,
    list_columns,
    recipient_columns,
    require_column,
)
from msgapi.cli.output import CliError


@pytest.mark.parametrize(
    "column",
    [
        "First Name",
        "first_name",
        "FIRST-NAME",
        " firstname ",
        "First\u00a0Name",
        "\ufeffFirst name",
        "first\u200bname",
        "First\u2011Name",
        "\uff46\uff49rstname",
        "first\u00adname",
    ],
)
@pytest.mark.parametrize("name", ["First Name", "first name", "FirstName", "first_name"])
def test_a_column_is_found_regardless_of_case_spaces_hyphens_and_invisible_characters(column: str, name: str) -> None:
    assert find_column(("to", column, ""), name) == column


@pytest.mark.parametrize(
    ("columns", "name", "found"),
    [
        (("Name", "name"), "name", "name"),
        (("Name", "NAME", "name"), "NAME", "NAME"),
        (("Straße",), "STRASSE", "Straße"),
        (("Zoe\u0308",), "Zoë", "Zoe\u0308"),
        (("name",), "surname", None),
        (("", "-"), "-", "-"),
        (("", " "), "_", None),
        ((), "to", None),
    ],
)
def test_the_name_as_it_is_written_comes_first(columns: tuple[str, ...], name: str, found: str | None) -> None:
    assert find_column(columns, name) == found


def test_a_name_that_several_columns_have_is_refused() -> None:
    with pytest.raises(CliError, match="name may be the column 'Name' or 'NA ME'"):
        _ = find_column(("Name", "NA ME"), "name")
    for name in ("name", "NAME"):
        with pytest.raises(CliError, match="the column name is there twice"):
            _ = find_column(("name", "name"), name)


@pytest.mark.parametrize(
    "name",
    "phone Phone mobile Mobile_Phone PhoneNumber Telefon Telefonnummer Handy Handynummer Mobil cell MSISDN e-mail "
    "E-Mail-Adresse email_address Mail Rufnummer Tel. WhatsApp téléphone celular recipient To PrimaryEmail "
    "E-mail1-Value Phone1-Value".split(),
)
def test_the_usual_names_of_recipients_are_proposed(name: str) -> None:
    assert recipient_columns(["id", name, "note"]) == [name]


def test_usual_names_are_separated_by_the_kind_of_recipient() -> None:
    columns = ["Mobile", "Primary E-Mail", "name", "Tel."]
    assert recipient_columns(columns, "email") == ["Primary E-Mail"]
    assert recipient_columns(columns, "phone") == ["Mobile", "Tel."]
    assert recipient_columns(columns) == ["Mobile", "Primary E-Mail", "Tel."]


def test_a_proposal_can_be_pasted_into_a_shell() -> None:
    with pytest.raises(CliError, match=r"try `--to-column 'Phone Number'` or `--to-column E-Mail`; the"):
        _ = require_column(["Phone Number", "E-Mail", "Mailing Street", "name"], "to", "--to-column", " for them")
    with pytest.raises(CliError, match=r"try `--fallback-email E-Mail`"):
        _ = require_column(["Phone Number", "E-Mail"], "x", "--fallback-email", " for them")
    with pytest.raises(CliError, match="no column to for them: name it with --to-column; the columns are: a, b"):
        _ = require_column(["a", "b"], "to", "--to-column", " for them")
    assert require_column(["A"], "a", "--data") == "A"


@pytest.mark.parametrize(
    "text",
    [
        "+4915100000001",
        "004915100000001",
        "0151 0000 0001",
        "+49 (151) 000-00001",
        "4915100000001",
        "tel:+49-151-00000001",
        "612 34 56 78",
        "12 34 56 78",
        "'+4915100000001",
        "\u200e+49\u00a0151\u00a000000001",
        "ann@example.org",
        " mailto:ann@example.org ",
        "Ann <ann@example.org>",
    ],
)
def test_a_recipient_is_recognized_however_it_is_written(text: str) -> None:
    assert is_recipient(text)
    assert is_data(text)


@pytest.mark.parametrize("text", ["", "Ann", "2026-11-30", "01.12.2026", "12345", "a@b", "Call +49 151 00000001", "@"])
def test_other_text_is_no_recipient(text: str) -> None:
    assert not is_recipient(text)


@pytest.mark.parametrize("name", ["1990-05-12", "4711", "1,234.50", "Ann <ann@example.org>"])
def test_a_header_that_looks_like_a_row_is_said_to_be_missing_without_its_values(name: str) -> None:
    with pytest.raises(CliError, match="the first line must be a header") as caught:
        _ = require_column([name, "Joanna"], "to", "--to-column", " for the recipients")
    assert name not in f"{caught.value}"
    assert "Joanna" not in f"{caught.value}"
    assert list_columns(["to", name]) == "to, ***"


@pytest.mark.parametrize("name", ["name", "202", "", "Q1", "phone 2", "no", "7"])
def test_a_name_is_no_data(name: str) -> None:
    check_header([name])
    assert not is_data(name)


@pytest.mark.parametrize(
    "name",
    [
        "+4915100000001^Joanna",
        "Call 0049 151 00000001",
        '{"to": "+4915100000001"}',
        "Joanna (+49) 151-000 00001",
        "x\t+4915100000001",
    ],
)
def test_a_number_inside_a_name_is_data(name: str) -> None:
    with pytest.raises(CliError, match="the first line must be a header") as caught:
        _ = require_column([name, "Joanna"], "to", "--to-column", " for the recipients")
    assert "0000" not in f"{caught.value}"


@pytest.mark.parametrize("name", ["0151 0000 0001^Joanna", "Joanna 151/00000001", "J 4915100000001"])
def test_a_name_that_may_contain_a_number_is_not_shown(name: str) -> None:
    assert list_columns(["a", name]) == "a, ***"


def test_a_single_column_that_is_another_one_may_be_a_title_or_all_columns() -> None:
    for columns in (["to^name"], ["Customers of May", "", ""]):
        with pytest.raises(CliError, match="unless the header is on another line, --delimiter is missing, or each"):
            _ = require_column(columns, "to", "--to-column", " for the recipients")


def test_many_columns_are_not_all_listed() -> None:
    assert list_columns([f"c{at}" for at in range(1_045)]).endswith(", c39, and 1,005 more")
    assert list_columns(["a", "", "b"]) == "a, b"
