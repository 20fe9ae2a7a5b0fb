import pytest

from msgapi.cli.batch.values import (
    BROKEN_LETTERS,
    FORMULA,
    HTML_ENTITY,
    MOST_LINES,
    NULL_WORD,
    RowWarnings,
    Unfilled,
)


def warned(value: str) -> list[object]:
    warnings = RowWarnings(line=2)
    assert warnings.read("name", value) == value.strip()
    return [one["warning"] for one in warnings.facts()]


@pytest.mark.parametrize("value", ["Jo\0e", "\x07", "a\x1b[31m", "\x7f", "a\x80b", "a\x0b1"])
def test_a_control_character_is_refused_by_its_code(value: str) -> None:
    with pytest.raises(Unfilled, match=r"the column name has a control character \(U\+00"):
        _ = RowWarnings().read("name", value)


@pytest.mark.parametrize("value", ["a\tb", "a\nb", "a\r\nb"])
def test_tabs_and_line_breaks_are_kept(value: str) -> None:
    assert RowWarnings().read("name", value) == value


@pytest.mark.parametrize("value", ["J\ufffdrg", "\ufffe", "A\ud800"])
def test_a_damaged_character_is_refused(value: str) -> None:
    with pytest.raises(Unfilled, match=r"the column name has a damaged character .* right encoding"):
        _ = RowWarnings().read("name", value)


@pytest.mark.parametrize(
    "value", ["#N/A", "#ref!", " #NAME? ", "#VALUE!", "#DIV/0!", "#NULL!", "#NUM!", "#NV", "#\u00dcBERLAUF!", "#####"]
)
def test_the_error_of_a_spreadsheet_is_refused(value: str) -> None:
    with pytest.raises(Unfilled, match="the column name has the error of a spreadsheet"):
        _ = RowWarnings().read("name", value)


@pytest.mark.parametrize("value", ["#1", "#2 of 3", "##", "#NAMES", "#"])
def test_a_number_sign_is_no_error(value: str) -> None:
    assert warned(value) == []


@pytest.mark.parametrize("value", ["", " ", "\u200b", "\ufeff\u00a0", "\u3164", "\u2060\ufe0f", "\u00ad\u200e"])
def test_a_value_without_a_visible_character_is_empty(value: str) -> None:
    assert RowWarnings().read("name", value) == ""


def test_invisible_characters_are_removed_around_a_value_and_kept_inside() -> None:
    family = "\U0001f468\u200d\U0001f469"
    assert RowWarnings().read("name", f"\u200b \ufeff{family}\ufe0f\u00a0") == f"{family}\ufe0f"


@pytest.mark.parametrize("value", ["NULL", "None", "nan", "undefined", "-", "N/A", "n.a.", "\\N", "<null>"])
def test_a_word_for_no_value_is_sent_and_counted(value: str) -> None:
    assert warned(value) == [NULL_WORD]


@pytest.mark.parametrize(
    "name", ["J\u00f6rg", "\u017b\u00f3\u0142\u0107", "\u041e\u043b\u044c\u0433\u0430", "\u00dcnal", "\u65e5\u6587"]
)
def test_utf8_that_was_read_as_windows_1252_is_sent_and_counted(name: str) -> None:
    assert warned(name.encode().decode("cp1252")) == [BROKEN_LETTERS]


@pytest.mark.parametrize(
    "value",
    [
        "J\u00c3\u00b6rg",
        "It\u00e2\u20ac\u2122s",
        "J\u221a\u2202rg",
        "J\u251c\u2562rg",
        "J?rg",
        "\u00f0\u0178\u02dc\u20ac",
        "\u0410?\u0430",
    ],
)
def test_broken_letters_are_sent_and_counted(value: str) -> None:
    assert warned(value) == [BROKEN_LETTERS]


@pytest.mark.parametrize(
    "value",
    [
        "J\u00f6rg",
        "H\u00c4\u00c4\u2026",
        "\u00abGru\u00df\u00bb",
        "CAF\u00c9\u2122",
        "S\u00c3O PAULO",
        "\u00c5ngstr\u00f6m",
        "na\u00efve \u2013 caf\u00e9\u2026",
        "ESPA\u00d1A",
        "https://example.org/?a=b",
        "Why? Because",
        "\u221a2",
    ],
)
def test_good_letters_are_not_counted(value: str) -> None:
    assert warned(value) == []


@pytest.mark.parametrize("value", ["Ben &amp; Jerry", "O&#39;Brien", "M&uuml;ller", "J\u00f6rg&nbsp;A"])
def test_an_html_entity_is_sent_and_counted(value: str) -> None:
    assert warned(value) == [HTML_ENTITY]


@pytest.mark.parametrize("value", ["A & B;", "&unknown;", "AT&T"])
def test_an_ampersand_is_no_entity(value: str) -> None:
    assert warned(value) == []


@pytest.mark.parametrize("value", ["=A1&B1", '="00123"', "=SUM(A1:A9)", "= -B2", "=\u00c4rzte"])
def test_a_formula_is_sent_and_counted(value: str) -> None:
    assert FORMULA in warned(value)


@pytest.mark.parametrize("value", ["=)", "==", "=", "a=b", "=>"])
def test_a_sign_of_equality_is_no_formula(value: str) -> None:
    assert warned(value) == []


def test_a_value_is_judged_without_the_invisible_characters_around_it() -> None:
    warnings = RowWarnings(line=2)
    assert warnings.read("name", "\u200bNULL\u200b") == "NULL"
    assert [one["warning"] for one in warnings.facts()] == [NULL_WORD]
    with pytest.raises(Unfilled, match="the error of a spreadsheet"):
        _ = warnings.read("name", "\u200b#N/A")


def test_rows_are_counted_once_for_each_column_and_kind_and_named_by_line() -> None:
    warnings = RowWarnings()
    for line in range(2, 2 + MOST_LINES + 5):
        warnings.line = line
        for _ in range(2):
            _ = warnings.read("name", "NULL")
    _ = warnings.read("city", "K\u00c3\u00b6ln")
    first, second = warnings.texts()
    assert "check 15 rows: the column name is a word that programs write" in first
    assert first.endswith("(line 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, ...)")
    assert "check 1 row: the column city may have broken letters" in second
    assert second.endswith("(line 16)")
    assert warnings.facts()[1] == {"column": "city", "warning": BROKEN_LETTERS, "rows": 1, "lines": [16]}
    warnings.clear()
    assert warnings.facts() == []
