import pytest
from hypothesis import given
from hypothesis import strategies as st

from msgapi.cli.batch import template
from msgapi.cli.outcomes import CliError


def fill(text: str, row: dict[str, object], *, empty: bool = False) -> str:
    return template.parse(text, "--text").fill(row, empty=empty)


def test_placeholders_are_filled_from_the_columns_and_double_braces_are_braces() -> None:
    assert fill("{{Hi}} {name}, {n}{x y}", {"name": "Ann", "n": 3, "x y": "!"}) == "{Hi} Ann, 3!"


@pytest.mark.parametrize("text", ["{", "a } b", "{}", "{a{b}}", "{{{"])
def test_a_stray_brace_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(CliError, match=r"--text has .* at character \d"):
        _ = template.parse(text, "--text")


@pytest.mark.parametrize("name", ["name.__class__", "name[0]", "name!r", "name:>100", "0", "nam e s"])
def test_a_placeholder_is_a_whole_column_name_and_nothing_else(name: str) -> None:
    with pytest.raises(CliError, match=r"an unknown column.*the columns are: to, name"):
        template.find_columns(template.parse("{" + name + "}", "--text"), "--text", ["to", "name"])


def test_a_placeholder_gets_the_name_that_the_column_has_in_the_file() -> None:
    found = template.find_columns(template.parse("{to} {First Name}", "--text"), "--text", ["to", "first_name"])
    assert found.columns == ("to", "first_name")


@pytest.mark.parametrize(
    ("value", "said"),
    [("", "is empty"), (" ", "is empty"), (None, "is empty"), ([], "is a list"), ({}, "is an object")],
)
def test_what_is_no_text_is_unfilled_and_named_by_its_column(value: object, said: str) -> None:
    with pytest.raises(template.Unfilled, match=f"the column name {said}"):
        _ = fill("{name}", {"name": value})


@pytest.mark.parametrize(("value", "written"), [(True, "true"), (False, "false"), (1.5, "1.5"), (7, "7"), ("", "")])
def test_numbers_and_booleans_are_written_as_json_writes_them(value: object, written: str) -> None:
    assert fill("{v}", {"v": value}, empty=True) == written


@given(st.text())
def test_text_with_its_braces_doubled_comes_out_as_it_was(text: str) -> None:
    assert fill(text.replace("{", "{{").replace("}", "}}"), {}) == text


@given(st.text(min_size=1).filter(str.strip))
def test_what_is_filled_in_is_not_read_as_a_template_again(value: str) -> None:
    assert fill("a{x}b", {"x": value}) == f"a{value}b"
