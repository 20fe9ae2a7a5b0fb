"""Rows of CSV, JSONL and JSON as people have them."""

import csv
import io
import os
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from msgapi.cli.files import blocks, formats, tables
from msgapi.cli.files.rows import FirstPass, InputRow, ReadingOptions
from msgapi.cli.files.tables import InputFile, open_input
from msgapi.cli.output import CliError
from tests.support.cli_files import scanned
from tests.support.workbooks import workbook


def read(path: Path, content: bytes, **options: Any) -> tuple[tuple[str, ...], list[InputRow]]:  # noqa: ANN401 - options
    _ = path.write_bytes(content)
    with scanned(str(path), **options) as table:
        found = list(table.rows())
        assert table.count == len(found)
        assert [row.number for row in found] == list(range(1, len(found) + 1))
        return table.columns, found


def values(path: Path, content: bytes, **options: Any) -> list[dict[str, object]]:  # noqa: ANN401 - options
    return [dict(row.values) for row in read(path, content, **options)[1]]


def scan(path: Path, content: bytes, *used: str) -> InputFile:
    _ = path.write_bytes(content)
    with open_input(str(path)) as source:
        return source.scan(FirstPass(used=frozenset(used)))


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("marks", [0, 1, 3])
def test_a_csv_is_read_whatever_its_delimiter_and_with_any_number_of_marks(
    tmp_path: Path, delimiter: str, marks: int
) -> None:
    text = f'to{delimiter} name \r\n+49{delimiter}"Ann, {delimiter}\r\nB"\r\n\r\n+48{delimiter}Bö\r\n'
    columns, found = read(tmp_path / "a.csv", b"\xef\xbb\xbf" * marks + text.encode())
    assert columns == ("to", "name")
    assert [dict(row.values) for row in found] == [
        {"to": "+49", "name": f"Ann, {delimiter}\r\nB"},
        {"to": "+48", "name": "Bö"},
    ]
    assert [row.line for row in found] == [2, 5]


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
@pytest.mark.parametrize("other", ["\n", "\r", "\r\n"])
def test_lines_end_in_any_way_also_mixed_and_inside_quotes(tmp_path: Path, end: str, other: str) -> None:
    text = f'to,name{end}1,A{other}2,"B{other}C"{end}{end}3,D'
    _, found = read(tmp_path / "a.csv", text.encode())
    assert [dict(row.values) for row in found] == [
        {"to": "1", "name": "A"},
        {"to": "2", "name": f"B{other}C"},
        {"to": "3", "name": "D"},
    ]
    assert [row.line for row in found] == [2, 3, 6]


def test_a_mark_before_a_row_of_joined_files_is_left_out(tmp_path: Path) -> None:
    found = values(tmp_path / "a.csv", b'\xef\xbb\xbfto,name\n1,A\n\xef\xbb\xbf"2","B, C"\n')
    assert found == [{"to": "1", "name": "A"}, {"to": "2", "name": "B, C"}]


def test_delimiters_inside_quotes_of_the_header_do_not_count(tmp_path: Path) -> None:
    assert read(tmp_path / "a.csv", b'to;"a,b,c,d"\n1;2\n')[0] == ("to", "a,b,c,d")


@pytest.mark.parametrize(
    ("name", "header", "row", "delimiter"),
    [
        ("a.csv", "to\tname\tnote, other, more", "1\tA\tx", "\t"),
        ("a.csv", "to;name;amount, EUR", "1;A, B;2,50", ";"),
        ("a.csv", "to|name, first|note; more", "1|A|x;y", "|"),
        ("a.csv", "to,name;nick", "1,A;B", ","),
        ("a.csv", "name;nick,to", "A;B,1", ","),
        ("a.tsv", "to, really\tname", "1\tA", "\t"),
        ("a.TAB", "to", "1", "\t"),
        ("a.csv", "to", "1", ","),
        ("a.csv", 'to;"open', "1;A", ","),
    ],
)
def test_the_delimiter_is_that_by_which_the_rows_fit_the_header(
    tmp_path: Path, name: str, header: str, row: str, delimiter: str
) -> None:
    path = tmp_path / name
    _ = path.write_text(f"{header}\n{row}\n{row}\n" if '"' not in header else f'{header}"\n')
    with open_input(str(path), ReadingOptions(expected="To")) as source:
        assert source._table.delimiter == (delimiter if '"' not in header else ";")


@pytest.mark.parametrize(("given", "content"), [("|", b"to|a,b\n1|2\n"), ("pipe", b"to|a,b\n1|2\n")])
def test_a_given_delimiter_is_used(tmp_path: Path, given: str, content: bytes) -> None:
    assert read(tmp_path / "a.csv", content, delimiter=given)[0] == ("to", "a,b")


@pytest.mark.parametrize("given", ["tab", "\\t", "\t", "TAB"])
def test_a_tab_can_be_given_by_its_name(tmp_path: Path, given: str) -> None:
    assert read(tmp_path / "a.csv", b"to\ta,b,c\n1\t2\n", delimiter=given)[0] == ("to", "a,b,c")


@pytest.mark.parametrize("given", ["", "||", '"', "\n", "tabs"])
def test_what_is_no_delimiter_is_refused(tmp_path: Path, given: str) -> None:
    with pytest.raises(CliError, match="--delimiter is one character, or tab"):
        _ = read(tmp_path / "a.csv", b"to\n1\n", delimiter=given)


@pytest.mark.parametrize("line", ["sep=;", '"sep=;"', "SEP=;", "sep=;;;"])
def test_the_sep_line_of_a_spreadsheet_is_the_delimiter_and_no_header(tmp_path: Path, line: str) -> None:
    columns, found = read(tmp_path / "a.csv", f"\ufeff{line}\r\nto;a, b\r\n1;2\r\n".encode())
    assert columns == ("to", "a, b")
    assert [(row.line, dict(row.values)) for row in found] == [(3, {"to": "1", "a, b": "2"})]
    assert read(tmp_path / "b.csv", b"sep=;\nto|a\n1|2\n", delimiter="|")[0] == ("to", "a")


def test_rows_without_text_are_no_rows(tmp_path: Path) -> None:
    _, found = read(tmp_path / "a.csv", b'\n,,\nto,a,\n,,\n1,2,\n   \n\t\n" ","",\n3,4,\n,,\n')
    assert [(row.line, row.values["to"]) for row in found] == [(5, "1"), (9, "3")]


def test_a_row_whose_first_cell_is_blank_is_a_row(tmp_path: Path) -> None:
    assert values(tmp_path / "a.csv", b"a,to\n,1\n  ,2\n") == [{"a": "", "to": "1"}, {"a": "  ", "to": "2"}]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (b"1,A", None),
        (b"1,A,x,", None),
        (b"1,A,x,,, ,", None),
        (b"1,A,x,y", "has 4 cells where the header has 3: is a delimiter not quoted?"),
        (b"1", "has 1 cell where the header has 3: the column name is missing"),
    ],
)
def test_a_row_is_complete_if_it_has_the_cells_that_are_used_and_no_more_with_text(
    tmp_path: Path, row: bytes, problem: str | None
) -> None:
    path = tmp_path / "a.csv"
    _ = path.write_bytes(b"to,name,note\n" + row + b"\n")
    with open_input(str(path)) as source:
        (found,) = source.scan(FirstPass(used=frozenset({"to", "name"}))).rows()
    assert found.problem == problem
    if problem is None:
        assert (found.values["to"], found.values["name"]) == ("1", "A")
    else:
        assert not found.values
        assert found.cells == tuple(row.decode().split(","))


def test_columns_that_are_not_used_may_lack_names_and_have_one_name(tmp_path: Path) -> None:
    columns, found = read(tmp_path / "a.csv", b"to,,x,x,,\n1,a,b,c,,\n")
    assert columns == ("to", "", "x", "x", "", "")
    assert found[0].values["to"] == "1"
    assert found[0].cells == ("1", "a", "b", "c", "", "")


def test_the_column_of_the_keys_has_its_name_in_the_rows(tmp_path: Path) -> None:
    assert values(tmp_path / "a.csv", b"to,Idempotency-Key\n1,k\n") == [{"to": "1", "idempotency_key": "k"}]
    found = values(tmp_path / "a.jsonl", b'{"to":"1","Idempotency Key":"k"}\n{"to":"2"}\n')
    assert found == [{"to": "1", "idempotency_key": "k"}, {"to": "2"}]


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b'to,name\n1,"J\n+4915100000002,Ann"\n', "2 to 3"),
        (b'name,to\n"J,+4915100000001\nAnn",+4915100000002\n', "2 to 3"),
        (b'to,name\r1,"J\rx\r+4915100000002,Ann"\r', "2 to 4"),
        (b'to;name\n1;"J\n0151 000 00002;Ann"\n', "2 to 3"),
        (b'to,name\n1,"J\nann@example.org,Ann"\n', "2 to 3"),
        (b'\n\nto,name\n9,x\n1,"J\n4915100000002,Ann"\n', "5 to 6"),
        (b'to,name\n1,"J\n612 345 678,Ann"\n', "2 to 3"),
        (b'to,name\n1,"J\n12 34 56 78,Ann"\n', "2 to 3"),
    ],
)
def test_a_used_cell_that_has_swallowed_a_row_ends_the_program(tmp_path: Path, content: bytes, lines: str) -> None:
    with pytest.raises(
        CliError, match=rf"lines {lines} are read as one row, and its column name .* is a quote missing"
    ):
        _ = scan(tmp_path / "a.csv", content, "to", "name")


def test_a_cell_that_is_not_used_and_has_swallowed_a_row_is_kept_by_its_lines(tmp_path: Path) -> None:
    rows = b'1,A,"x\n+4915100000002,Ann"\n' * 12
    table = scan(tmp_path / "a.csv", b"to,name,note\n" + rows, "to", "name")
    assert (table.count, table.line_breaks.used) == (12, 0)
    assert table.line_breaks.suspect == [(2 * at, 2 * at + 1) for at in range(1, 11)]
    assert list(table.line_breaks.describe())[-1] == "so do 2 more rows"
    rows = rows[: len(rows) // 12 * 11]
    assert list(scan(tmp_path / "a.csv", b"to,name,note\n" + rows, "to").line_breaks.describe())[-1] == (
        "so does 1 more row"
    )


def test_a_cell_of_a_sheet_can_have_swallowed_a_row_too(tmp_path: Path) -> None:
    sheet = workbook({"A": [["to", "name", "note"], ["1", "Ann", "a\nb"], ["1", "J\n+4915100000002;Ann", ""]]})
    with pytest.raises(CliError, match=r"line 3: its column name contains .* is a quote missing in the CSV"):
        _ = scan(tmp_path / "a.xlsx", sheet, "to", "name")
    table = scan(tmp_path / "a.xlsx", sheet, "to", "note")
    assert (table.line_breaks.used, table.line_breaks.suspect_rows) == (1, 1)
    assert (table.delimiter, table.file_format) == (",", "csv")


@pytest.mark.parametrize(
    "content",
    [
        b'to, name, x\n1, "Lee, Ann", y\n',
        b'"to", "name", "x"\n"1", "Lee, Ann", "y"\n',
        b'to; name; x\n1; "Lee, Ann"; y\n',
        b'to, name, x\n1,   "Lee, Ann", "y"',
    ],
)
def test_quotes_after_a_space_are_quotes(tmp_path: Path, content: bytes) -> None:
    (row,) = values(tmp_path / "a.csv", content)
    assert {name: f"{text}".strip() for name, text in row.items()} == {"to": "1", "name": "Lee, Ann", "x": "y"}


def test_a_quote_after_a_space_inside_a_cell_is_text(tmp_path: Path) -> None:
    assert values(tmp_path / "a.csv", b'to,name\n1, "Bee" Lee\n') == [{"to": "1", "name": ' "Bee" Lee'}]


def test_conditions_on_json_need_no_ids(tmp_path: Path) -> None:
    _ = (tmp_path / "a.jsonl").write_bytes(b'{"to": "1", "ok": true}\n{"to": "2"}\n')
    visited: list[object] = []
    with open_input(str(tmp_path / "a.jsonl"), ReadingOptions(where=("ok=true",))) as source:
        table = source.scan(FirstPass(visit=visited.append))
    assert (table.count, table.left_out, visited) == (1, 1, [])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'[["to"], ["1"]]', "line 1 is not a JSON object"),
        (b'["+4915100000001"]', "line 1 is not a JSON object"),
        (b'{"to": "1", "x": NaN}\n', "line 1 is not JSON: unexpected character"),
        (b'{"to": "1"} {"to": "2"}\n', "line 1 is not JSON: unexpected content"),
        (b"\n{}\n", "line 2 is empty"),
    ],
)
def test_json_without_any_value_is_refused_with_its_first_line(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(CliError, match=f"a.jsonl has no row with values: {said}") as caught:
        _ = read(tmp_path / "a.jsonl", content)
    assert "4915" not in f"{caught.value}"


@pytest.mark.parametrize("first", ["[]", '["+4915100000001", "Ann"]', "[1]"])
def test_an_array_on_the_first_line_of_jsonl_is_a_row_with_a_problem(tmp_path: Path, first: str) -> None:
    _, found = read(tmp_path / "a.jsonl", f'{first}\n{{"to": "1"}}\n'.encode())
    assert [(row.line, row.problem is None) for row in found] == [(1, False), (2, True)]


@pytest.mark.parametrize(
    "content",
    [
        b'{"to": ["+4915100000001", "+4915100000002"], "name": ["Ann", "Bob"]}',
        b'{"0": {"to": "+4915100000001"}, "1": {"to": "+4915100000002"}}',
        b'{"columns": ["to"], "index": [0, 1], "data": [["+4915100000001"], ["+4915100000002"]]}',
    ],
)
def test_a_table_in_one_json_object_is_refused_with_the_form_to_write(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(CliError, match="with all rows of a table: write one object per row"):
        _ = read(tmp_path / "a.json", content)


def test_a_number_of_json_is_used_as_it_is_written(tmp_path: Path) -> None:
    content = b'{"to": 4.91511e12, "a": 1.10, "b": 123456789012345678901234567890, "c": 7, "d": {"e": 1.5}}'
    assert values(tmp_path / "a.jsonl", content) == [
        {"to": "4.91511e12", "a": "1.10", "b": "123456789012345678901234567890", "c": 7, "d": {"e": 1.5}}
    ]


def test_rows_of_json_that_share_a_line_are_named_by_their_number_too(tmp_path: Path) -> None:
    _, found = read(tmp_path / "a.json", b'[{"to": "1"}, {"to": "2"},\n{"to": "3"}, {"to": "4"}]')
    assert [row.place for row in found] == ["line 1", "line 1 (row 2)", "line 2 (row 3)", "line 2 (row 4)"]
    _, found = read(tmp_path / "a.csv", b"to\n1\n2\n")
    assert [row.place for row in found] == ["line 2", "line 3"]


def test_a_comma_after_an_object_is_named(tmp_path: Path) -> None:
    _, (first, second) = read(tmp_path / "a.jsonl", b'{"to": "1"},\n{"to": "2"}\n')
    assert first.problem is not None
    assert first.problem.startswith("ends with a comma: write one object per line")
    assert second.values == {"to": "2"}


@pytest.mark.parametrize("again", ["to,name,size", "\ufeffto,NAME,Si ze,", '"to", name,"size"'])
def test_the_header_of_a_joined_file_is_a_row_with_a_problem(tmp_path: Path, again: str) -> None:
    content = f"to,name,size\n1,A,S\n{again}\n2,B,M\n".encode()
    _, found = read(tmp_path / "a.csv", content)
    assert [row.problem for row in found] == [None, "is the header again: delete it", None]
    assert [row.values.get("to") for row in (found[0], found[2])] == ["1", "2"]


def test_a_header_that_is_there_again_is_no_id(tmp_path: Path) -> None:
    seen: list[object] = []
    path = tmp_path / "a.csv"
    _ = path.write_bytes(b"to,id\n1,a\nto,id\n2,b\nto,id\n")
    with open_input(str(path)) as source:
        table = source.scan(FirstPass(ids=("id",), visit=seen.append))
    assert (table.count, seen) == (4, [["a"], ["b"]])


@pytest.mark.parametrize("other", ["to,size,name", "name,to,size", "to,name,town", "to,Name", "size,x,name"])
def test_another_header_in_a_file_ends_the_program(tmp_path: Path, other: str) -> None:
    content = f"to,name,size\n1,A,S\n{other}\n2,M,B\n".encode()
    with pytest.raises(CliError, match="line 3 is another header, with other columns than the first one"):
        _ = scan(tmp_path / "a.csv", content, "to", "name")


@pytest.mark.parametrize("row", ["to,name,+4915100000001", "name,x,y", "to,a@example.org,name", ",,name"])
def test_values_that_are_names_of_columns_are_values(tmp_path: Path, row: str) -> None:
    _, found = read(tmp_path / "a.csv", f"to,name,size\n{row}\n".encode())
    assert [found[0].problem, *found[0].values.values()] == [None, *row.split(",")]


@pytest.mark.parametrize("title", ["People of November\n\n", "Contact,,Order\n", "Report,\nfor,us\n"])
def test_a_header_below_a_title_is_refused_with_its_line(tmp_path: Path, title: str) -> None:
    content = f"{title}to,name,nr\n+4915100000001,Ann,5\n".encode()
    line = title.count("\n") + 1
    with pytest.raises(CliError, match=f"header with the column to is on line {line}: delete what is above it"):
        _ = read(tmp_path / "a.csv", content, expected="to")


def test_a_value_that_is_the_expected_column_is_no_header(tmp_path: Path) -> None:
    columns, _ = read(tmp_path / "a.csv", b"phone,name\n+4915100000001,to\n+4915100000002,x\n", expected="to")
    assert columns == ("phone", "name")


def test_a_list_that_is_named_by_a_number_is_not_named(tmp_path: Path) -> None:
    with pytest.raises(CliError, match=r"around the list \*\*\*: write"):
        _ = read(tmp_path / "a.json", b'{"+4915100000001": [{"name": "Ann"}]}')


def test_json_given_as_csv_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CliError, match="a is JSON, not CSV: leave --format csv out"):
        _ = read(tmp_path / "a", b'{"to": "+4915100000001"}\n', file_format="csv")


def test_cells_that_only_span_lines_are_counted(tmp_path: Path) -> None:
    text = b'1,"Dear A,\n\nyour order, of 2026-11-30, is here.\nCall +49 151 00000001, or write."\n'
    table = scan(tmp_path / "a.csv", b"to,text\n" + text * 11, "to", "text")
    assert (table.line_breaks.used, table.line_breaks.lines) == (11, [2 + 4 * at for at in range(10)])
    assert table.line_breaks.suspect == []


def test_all_columns_count_as_used_unless_it_is_said(tmp_path: Path) -> None:
    _ = (tmp_path / "a.csv").write_bytes(b'to,name\n1,"A\nB"\n')
    with scanned(str(tmp_path / "a.csv")) as table:
        assert table.line_breaks.used == 1


@pytest.mark.parametrize("name", ["a", "a.jsonl", "a.csv"])
def test_jsonl_has_the_columns_of_all_its_rows(tmp_path: Path, name: str) -> None:
    columns, found = read(tmp_path / name, b'\n{"to":"+49"}\n\n{"to":"+48","n":[1]}\r\n\xef\xbb\xbf{"to":"1"}')
    assert columns == ("to", "n")
    assert [(row.line, dict(row.values)) for row in found] == [
        (2, {"to": "+49"}),
        (4, {"to": "+48", "n": [1]}),
        (5, {"to": "1"}),
    ]


@pytest.mark.parametrize("line", [b"[1]", b"nonsense", b"3", b'{"to":', b"null"])
def test_a_bad_json_line_is_a_row_with_a_problem(tmp_path: Path, line: bytes) -> None:
    _, found = read(tmp_path / "a.jsonl", b'{"to":"1"}\n' + line + b"\n")
    assert found[1].cells == (line.decode(),)
    assert "JSON" in (found[1].problem or "")


@pytest.mark.parametrize("name", ["a", "a.json", "a.jsonl", "a.csv"])
@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b'[{"to": "1"}, {"to": "2"}]', [1, 1]),
        (b'[\n  {\n    "to": "1"\n  },\n  {"to":\r\n "2"}\n]\n', [2, 5]),
        (b'[\n{"to": "1"},\n{"to": "2"}\n]', [2, 3]),
        (b'{\n"to": "1"\n}\n\n{\n  "to": "2"\n}\n', [1, 5]),
    ],
)
def test_json_over_several_lines_is_read(tmp_path: Path, name: str, content: bytes, lines: list[int]) -> None:
    columns, found = read(tmp_path / name, content)
    assert columns == ("to",)
    assert [(row.line, row.values["to"]) for row in found] == list(zip(lines, ["1", "2"], strict=True))


def test_what_is_no_object_in_an_array_is_a_row_with_a_problem(tmp_path: Path) -> None:
    _, found = read(tmp_path / "a.json", b'[\n{"to": "1"},\nNaN,\n{"to": NaN}, [2],\n{"to": "3"}]')
    assert [(row.line, row.problem is None) for row in found] == [
        (2, True),
        (3, False),
        (4, False),
        (4, False),
        (5, True),
    ]


def test_an_array_that_is_longer_than_a_line_may_be_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "LONGEST_LINE", 100)
    monkeypatch.setattr(formats, "_PIECE", 7)
    found = values(tmp_path / "a.json", b"[" + b", ".join(b'{"to": "%d"}' % at for at in range(50)) + b"]")
    assert [one["to"] for one in found] == [f"{at}" for at in range(50)]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'[{"to": "1"},\n{"to": 1 2}]', r"begins on line 2 is not valid \(line 2: .*jq -c"),
        (b'[{"to": "1"},\n{"to":\n"2', r"begins on line 2 is not valid \(line 3: "),
        (b'[{"to": "1"}', "is not closed: is the file cut off"),
        (b'[{"to": "1"}]\n\nx', "line 3 has text after the end"),
        (b"[{}, " + b"[" * 200_000, "begins on line 1 is nested too deeply|is not valid"),
        (b"[]", "has no rows"),
        (b'{"meta": 1, "contacts": [{"to": "1"}]}', r"around the list contacts: .*jq -c '\.contacts\[\]'"),
        (b'{\n"data": [\n{"to": "1"}, {"to": "2"}]}', r"around the list data"),
    ],
)
def test_what_is_wrong_with_a_json_document_is_said_with_its_line(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(CliError, match=said):
        _ = read(tmp_path / "a.json", content)


def test_a_row_with_a_list_of_objects_is_a_row_if_it_has_a_recipient(tmp_path: Path) -> None:
    (found,) = values(tmp_path / "a.json", b'{"to": "+4915100000001", "items": [{"n": 1}, {"n": 2}]}')
    assert found["items"] == [{"n": 1}, {"n": 2}]
    assert values(tmp_path / "b.json", b'{"id": 1, "items": [], "more": [1]}') == [{"id": 1, "items": [], "more": [1]}]


@pytest.mark.parametrize(
    ("name", "content", "columns"),
    [
        ("a.json", b"to,name\n1,A\n", ("to", "name")),
        ("a.csv", b"{name},to\nA,1\n", ("{name}", "to")),
        ("a.csv", b"[name],to\nA,1\n", ("[name]", "to")),
        ("a.jsonl", b'# a comment\n{"to": "1"}\n', ("to",)),
    ],
)
def test_the_content_decides_about_the_format(
    tmp_path: Path, name: str, content: bytes, columns: tuple[str, ...]
) -> None:
    assert read(tmp_path / name, content)[0] == columns


def test_the_format_can_be_given(tmp_path: Path) -> None:
    assert read(tmp_path / "a", b"[x]\n1\n", file_format="csv")[0] == ("[x]",)
    assert read(tmp_path / "a", b'x\n{"to": "1"}\n', file_format="jsonl")[0] == ("to",)
    assert read(tmp_path / "a", b'{"a": "1"\n{"to": "1"}\n')[0] == ("to",)
    assert read(tmp_path / "a", b"{\na\n", file_format="csv")[0] == ("{",)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf\r\n\n", "is empty"),
        (b",,\n , \n", "is empty"),
        (b" \n" * 50_000, "is empty"),
        (b"to,name\n", "a header and no rows"),
        (b"to\n1\n\xfc\n", "line 3 is not UTF-8"),
        (b'to,a\n1,"open\n2,3\n', "line 2 is not CSV"),
        (b'to,a\n1,"x"y\n', "line 2 is not CSV"),
        (b"to\n" + b"x" * (4 << 20), "line 2 is longer than 4 MB"),
        (b"to,Idempotency Key,idempotency-key\n1,2,3\n", "may be the column 'Idempotency Key' or 'idempotency-key'"),
    ],
)
def test_what_is_wrong_with_the_file_as_a_whole_is_said_with_its_line(
    tmp_path: Path, content: bytes, said: str
) -> None:
    with pytest.raises(CliError, match=said):
        _ = read(tmp_path / "a.txt", content)


def test_a_long_cell_is_read(tmp_path: Path) -> None:
    assert values(tmp_path / "a.csv", b"to,note\n1," + b"x" * 300_000 + b"\n")[0]["note"] == "x" * 300_000


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with (
        pytest.raises(CliError, match=r"cannot read .*none.csv: No such file"),
        open_input(str(tmp_path / "none.csv")),
    ):
        pass


def test_a_file_that_cannot_be_read_to_its_end_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.csv"
    _ = path.write_bytes(b"to\n1\n")

    def broken(*_: object) -> None:
        raise OSError(5, "Input/output error")

    with open_input(str(path)) as source:
        monkeypatch.setattr(tables.CellRows, "scan", broken)
        with pytest.raises(CliError, match=r"cannot read .*a.csv: Input/output error"):
            _ = source.scan()


def test_columns_of_jsonl_are_only_gathered_up_to_a_thousand(tmp_path: Path) -> None:
    content = b"".join(b'{"c%d":1}\n' % at for at in range(1100))
    assert len(read(tmp_path / "a.jsonl", content)[0]) == 1000


@pytest.mark.parametrize(
    ("where", "names"),
    [
        (("consent=yes",), ["A", "B"]),
        (("Consent = YES ",), ["A", "B"]),
        (("consent=yes", "a=b=c"), ["B"]),
        (("consent=",), ["C"]),
    ],
)
@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_rows_that_do_not_meet_the_conditions_are_left_out(
    tmp_path: Path, where: tuple[str, ...], names: list[str], name: str
) -> None:
    path = tmp_path / name
    rows = [("A", "yes", "x"), ("B", " Yes", "C"), ("C", " ", "c"), ("D", "no", "c")]
    if name == "a.csv":
        lines = ["name,consent,a=b,to", *(",".join((*row, "1")) for row in rows)]
    else:
        lines = [f'{{"name":"{row[0]}","consent":"{row[1]}","a=b":"{row[2]}"}}' for row in rows]
    _ = path.write_text("\n".join(lines))
    with scanned(str(path), where=where) as table:
        assert [row.values["name"] for row in table.rows()] == names
        assert (table.count, table.left_out) == (len(names), 4 - len(names))
        assert [row.number for row in table.rows()] == list(range(1, len(names) + 1))


def test_a_row_whose_cell_for_a_condition_is_missing_is_refused_and_not_left_out(tmp_path: Path) -> None:
    table_rows = read(tmp_path / "a.csv", b"to,consent\n1\n2,yes\n", where=("consent=yes",))[1]
    assert [row.problem is None for row in table_rows] == [False, True]
    assert [
        row.problem is None for row in read(tmp_path / "a.jsonl", b'{"c":true}\n{"c":null}\n{', where=("c=true",))[1]
    ]


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("consent", "--where consent is not COLUMN=VALUE"),
        ("optin=yes", r"no column optin \(--where\); the columns are: to, consent"),
        ("consent=maybe", "has no row with consent=maybe, and 1 row is left out"),
    ],
)
def test_a_condition_that_no_row_can_meet_is_an_error(tmp_path: Path, where: str, said: str) -> None:
    with pytest.raises(CliError, match=said):
        _ = read(tmp_path / "a.csv", b"to,consent\n1,yes\n", where=(where,))


def test_a_pipe_with_a_name_is_copied_and_read(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(b"to\n1\n",))
    writer.start()
    assert blocks.is_stream(str(pipe))
    with scanned(str(pipe)) as table:
        assert table.count == 1
    writer.join()


cell = st.text(st.sampled_from('aé"\n\r,;|\t 1+@.\ufeff'), max_size=5)


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(st.lists(cell, min_size=1, max_size=4), min_size=1, max_size=6),
    delimiter=st.sampled_from(",;\t|"),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
    piece=st.sampled_from([1, 2, 3, 7, 1 << 14]),
)
@example(rows=[["a"]], delimiter=",", end="\r\n", encoding="utf-16", piece=1)
def test_every_row_that_csv_writes_is_read_or_is_a_row_with_a_problem(
    rows: list[list[str]], delimiter: str, end: str, encoding: str, piece: int
) -> None:
    header = ["to", "name", "more"]
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL).writerows([header, *rows])
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(formats, "_PIECE", piece)
        path = Path(folder) / "a.csv"
        _ = path.write_bytes(text.getvalue().encode(encoding))
        expected = [[one.replace("\ufeff", "") for one in row] for row in rows]
        expected = [row for row in expected if any(map(str.strip, row))]
        with open_input(str(path), ReadingOptions(delimiter=delimiter)) as source:
            try:
                table = source.scan(FirstPass(used=frozenset()))
            except CliError:
                assert not expected
                return
            found = [list(row.cells) for row in table.rows()]
            assert [row.problem is None for row in table.rows()] == [
                not any(map(str.strip, row[3:])) for row in expected
            ]
    assert found == expected


@settings(max_examples=200, deadline=None)
@given(content=st.binary(max_size=60) | st.text(max_size=40).map(str.encode), name=st.sampled_from(["a.csv", "a.json"]))
def test_random_bytes_are_rows_or_one_line(content: bytes, name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        _ = path.write_bytes(content)
        try:
            with scanned(str(path)) as table:
                assert len(list(table.rows())) == table.count > 0
        except CliError as error:
            assert str(error).startswith(f"{path}")  # noqa: PT017 - any content may be fine


@pytest.mark.parametrize(
    ("start", "end"), [("", '\n{"to": "x"}\n'), ("[", ',{"to": "x"}]'), ("[\n", ',\n{"to": "x"}]')]
)
def test_a_number_of_many_digits_costs_its_row_only(tmp_path: Path, start: str, end: str) -> None:
    long = f'{start}{{"to": "+4915100000001", "n": {"1" * 5_000}}}{end}'
    _, rows = read(tmp_path / "a.json", long.encode())
    assert "is not JSON: number" in (rows[0].problem or "")


def test_a_row_of_json_that_is_nested_too_deeply_costs_itself_only(tmp_path: Path) -> None:
    deep = '{"to": "x", "n": ' + "[" * 100 + "]" * 100 + "}"
    wide = '{"to": "y", "n": [' + "[]," * 200 + '{"a": {}}]}'
    _, (first, second) = read(tmp_path / "a.jsonl", f"{deep}\n{wide}\n".encode())
    assert (first.problem, first.cells) == ("is nested more than 100 levels deep", (deep,))
    assert (second.problem, second.values["to"]) == (None, "y")
