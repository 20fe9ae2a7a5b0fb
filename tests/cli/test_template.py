import re
from html import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msgapi.cli.batch.placeholders import TextSource, notes, parse, written
from msgapi.cli.batch.values import RowWarnings, Unfilled
from msgapi.cli.output import CliError

COLUMNS = ("to", "name", "First Name", "FNAME", "amount", "n", "x y", "v", "a|b")


def source(*columns: str, html: bool = False) -> TextSource:
    return TextSource("--text", columns or COLUMNS, html)


def fill(text: str, row: dict[str, object], *, empty: bool = False, html: bool = False) -> str:
    where = source(html=html)
    return parse(text, where).fill(row, RowWarnings().read, empty=empty, escape=escape if html else None)


def noted(text: str, *, html: bool = False) -> list[str]:
    return list(notes(text, parse(text, source(html=html)), source(html=html)))


def test_placeholders_are_filled_from_the_columns_and_double_braces_are_braces() -> None:
    assert fill("{{Hi}} {name}, {n}{x y}{ n }", {"name": "Ann", "n": 3, "x y": "!"}) == "{Hi} Ann, 3!3"


@pytest.mark.parametrize("text", ["{", "a } b", "{}", "{a{b}}", "{{{", "{|x}", "{ }"])
def test_a_stray_brace_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(CliError, match=r"--text has .* at character \d"):
        _ = parse(text, source())


def test_the_place_of_a_brace_counts_what_is_verbatim() -> None:
    with pytest.raises(CliError, match=r"a lone \{ at character 24"):
        _ = parse("<style>a{}</style>12345{", source(html=True))


@pytest.mark.parametrize("name", ["name.__class__", "name[0]", "name!r", "name:>100", "0", "names", "name|"])
def test_a_placeholder_is_a_whole_column_name_and_nothing_else(name: str) -> None:
    with pytest.raises(CliError, match=r"an unknown column.*the columns are: to, nam"):
        _ = parse("{" + name + "}", source("to", "nam"))


def test_a_placeholder_gets_the_name_that_the_column_has_in_the_file() -> None:
    assert parse("{to} { First Name }", source("to", "first_name")).columns == ("to", "first_name")


@pytest.mark.parametrize(
    ("value", "said"),
    [("", "is empty"), (" ", "is empty"), (None, "is empty"), ([], "is a list"), ({}, "is an object")],
)
def test_what_is_no_text_is_unfilled_and_named_by_its_column(value: object, said: str) -> None:
    with pytest.raises(Unfilled, match=f"the column name {said}"):
        _ = fill("{name}", {"name": value})


@pytest.mark.parametrize(("value", "text"), [(True, "true"), (False, "false"), (1.5, "1.5"), (7, "7"), ("", "")])
def test_numbers_and_booleans_are_written_as_json_writes_them(value: object, text: str) -> None:
    assert fill("{v}", {"v": value}, empty=True) == text


@pytest.mark.parametrize(
    ("text", "value", "filled"),
    [
        ("Hi {name|there}!", "", "Hi there!"),
        ("Hi {name|there}!", " \u200b", "Hi there!"),
        ("Hi {name|there}!", None, "Hi there!"),
        ("Hi {name|there}!", "Ann", "Hi Ann!"),
        ("Hi{name|}!", "", "Hi!"),
        ("Hi {name| a|b }!", "", "Hi  a|b !"),
        ("Hi {name|a||b}!", "", "Hi a||b!"),
        ("Hi { name |you}!", "", "Hi you!"),
    ],
)
def test_a_default_stands_for_an_empty_value(text: str, value: object, filled: str) -> None:
    assert fill(text, {"name": value}) == filled


def test_a_bar_in_the_name_of_a_column_is_doubled() -> None:
    assert fill("{a||b} {a||b|none}", {"a|b": "x"}) == "x x"
    assert fill("{a||b|none}", {}) == "none"
    assert written("a|b") == "{a||b}"


def test_values_and_defaults_are_escaped_in_html() -> None:
    assert fill("<b>{name|<you>}</b>", {"name": "A&B"}, html=True) == "<b>A&amp;B</b>"
    assert fill("<b>{name|<you>}</b>", {}, html=True) == "<b>&lt;you&gt;</b>"


@pytest.mark.parametrize(
    ("found", "column"),
    [
        ("{{name}}", "name"),
        ("{{ name }}", "name"),
        ("{{{name}}}", "name"),
        ("{{Name}}", "name"),
        ("{{contact.name}}", "name"),
        ("{{ contact.FIRST_NAME }}", "First Name"),
        ("{{ name | upcase }}", "name"),
        ('{{ name or "you" }}', "name"),
        ("{{#if name}}", "name"),
        ("*|FNAME|*", "FNAME"),
        ("*|NAME|*", "name"),
        ("%name%", "name"),
        ("%First Name%", "First Name"),
        ("%recipient.name%", "name"),
        ("%%first_name%%", "First Name"),
        ("%{name}", "name"),
        ("%(name)s", "name"),
        ("[[name]]", "name"),
        ("[[ first-name ]]", "First Name"),
        ("[name]", "name"),
        ("[First Name]", "First Name"),
        ("$name", "name"),
        ("<%= name %>", "name"),
        ("<%name%>", "name"),
        ("<<name>>", "name"),
        ("<name>", "name"),
        ("\u00abname\u00bb", "name"),
        ("\u00ab First Name \u00bb", "First Name"),
        ("##name##", "name"),
        ("@@name@@", "name"),
        ("#name#", "name"),
        ("__name__", "name"),
        ("%a||b%", None),
        ("[a|b]", "a|b"),
    ],
)
def test_a_placeholder_of_another_tool_is_refused_with_the_right_form(found: str, column: str | None) -> None:
    text = f"Hi {found}, 100%."
    if column is None:
        assert parse(text, source()).columns == ()
        return
    with pytest.raises(CliError) as refused:
        _ = parse(text, source())
    assert f"{found}, a placeholder of another tool: write {written(column)} instead" in str(refused.value)


def test_a_merge_tag_that_names_no_column_is_refused_too() -> None:
    with pytest.raises(CliError, match=re.escape("has *|LNAME|*, a placeholder of another tool: write {column} with")):
        _ = parse("Hi *|LNAME|*", source())


@pytest.mark.parametrize(
    "text",
    [
        "100%",
        "50% off, 20% more",
        "50%name",
        "see [1] and [2]",
        "[the name of the game]",
        "[name](https://example.org)",
        "list[name]",
        "a < name > b",
        "x << 3 >> y",
        "{{name: 5}}",
        '{{"name": "x"}}',
        "{{other}}",
        "{{{{name}}}}",
        "US$ 5, $names",
        "#names #name",
        "snake__name__case",
        "1 * 2 | 3 * 4",
        "\u00abthe name\u00bb",
        "50 % name 10 %",
    ],
)
def test_ordinary_text_is_not_taken_for_a_placeholder(text: str) -> None:
    filled = text.replace("{{", "{").replace("}}", "}")
    assert fill(text, {}) == filled


@pytest.mark.parametrize(
    "area",
    [
        "<style>a[name]{color:red}@media x{.b{top:0}}</style>",
        "<STYLE type='text/css'>p { margin: 0 }\n</STYLE >",
        '<script type="application/ld+json">{"a": {"name": "b"}}</script>',
    ],
)
def test_style_and_script_of_html_are_sent_as_they_are(area: str) -> None:
    assert fill(f"{area}<p>{{name}}</p>{area}", {"name": "A"}, html=True) == f"{area}<p>A</p>{area}"


def test_a_placeholder_in_a_style_is_refused() -> None:
    with pytest.raises(CliError, match=r"has \{name\} inside <style>, where placeholders are not filled"):
        _ = parse("<style>a{color:red} {name}</style>", source(html=True))


def test_a_tag_of_html_is_no_placeholder() -> None:
    assert fill("<name>", {}, html=True) == "<name>"


def test_a_dollar_sign_before_an_amount_is_kept_and_before_a_word_is_refused() -> None:
    assert fill("You owe ${amount}", {"amount": "12.50"}) == "You owe $12.50"
    assert fill("${amount|0}", {}) == "$0"
    with pytest.raises(Unfilled, match=re.escape("has ${name}, and the column name is not an amount: write {name}")):
        _ = fill("Hi ${name}", {"name": "Ann"})


def test_what_is_sent_as_it_is_and_may_not_be_meant_is_noted() -> None:
    (note,) = noted("Hi {{vorname}} {{vorname}} {{a: 1}}")
    assert "sends the text {vorname} as it is" in note
    (note,) = noted("Hi [[vorname]]")
    assert "sends [[vorname]] as it is: no column has this name" in note
    (note,) = noted(r"Hi\nyou")
    assert r"sends \n as it is" in note
    assert noted("Hi {name}, 100% [1]") == []
    assert noted("<style>[[a]] {b}</style><p>", html=True) == []


def test_a_control_character_in_a_text_is_refused() -> None:
    with pytest.raises(CliError, match=r"--text has a control character \(U\+001B\)"):
        _ = parse("a\x1b[31m", source())


LOOK_EMPTY = "\u2800\u3164\uffa0"
SAFE = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cn", "Cf", "Mn"), exclude_characters="\ufffd")
)


@given(SAFE)
def test_text_with_its_braces_doubled_comes_out_as_it_was(text: str) -> None:
    where = source("no such column")
    if "*|" not in text:
        assert parse(text.replace("{", "{{").replace("}", "}}"), where).pieces == (text,)


def outcome(text: str, row: dict[str, object], *, empty: bool = False, html: bool = False) -> tuple[bool, str]:
    """The filled text, or why it was refused."""
    try:
        return True, fill(text, row, empty=empty, html=html)
    except (CliError, Unfilled) as error:
        return False, str(error)


@given(SAFE.filter(str.strip))
def test_what_is_filled_in_is_not_read_as_a_template_again(value: str) -> None:
    filled, text = outcome("a{v}b", {"v": value})
    if not filled:
        assert "spreadsheet" in text or "is empty" in text  # or only characters that look empty
    else:
        assert text == f"a{value.strip().strip(LOOK_EMPTY).strip()}b" or any(one in value for one in LOOK_EMPTY)


def simple(text: str, row: dict[str, str]) -> str:
    """Fill *text* as the documentation says, one character at a time."""
    out, at = "", 0
    while at < len(text):
        if text[at : at + 2] in {"{{", "}}"}:
            out, at = out + text[at], at + 2
        elif text[at] == "{":
            end = text.index("}", at)
            name, bar, default = text[at + 1 : end].partition("|")
            value = row[name.strip()].strip()
            out, at = out + (value or default if bar else value), end + 1
        else:
            out, at = out + text[at], at + 1
    return out


PIECES = st.sampled_from(["{n}", "{v|you}", "{v|}", "{{", "}}", "a", " ", "100%", "\n", "\u00fc", "[1]", "$ "])
VALUES = st.sampled_from(["", " ", "Ann", " Bo ", "{n}", "%s", "3", "J\u00f6rg", "<b>"])


@given(st.lists(PIECES, max_size=8).map("".join), VALUES, VALUES)
def test_what_is_sent_is_what_a_simple_reading_of_the_rules_sends(text: str, n: str, v: str) -> None:
    filled, found = outcome(text, {"n": n, "v": v}, empty=True)
    # Two pieces may join to a form of another tool, or to a lone brace.
    assert found == simple(text, {"n": n, "v": v}) if filled else re.search(r"at character|another tool|amount", found)


@given(st.text(max_size=40), st.text(max_size=20), st.booleans())
def test_no_text_and_no_value_raises_anything_but_a_refusal(text: str, value: str, html: bool) -> None:
    for one in (text, text + "{v}", "{v|" + text + "}"):
        filled, found = outcome(one, {"v": value}, html=html)
        assert filled or found.startswith(("--text ", "the column v ", "the template "))
