import io
import os
import sys
import threading
from pathlib import Path

import pytest

from msgapi.cli.batch import input as batch_input
from msgapi.cli.output import CliError


def read(path: Path, content: bytes, **options: str) -> tuple[tuple[str, ...], list[batch_input.InputRow]]:
    _ = path.write_bytes(content)
    with batch_input.open_input(str(path), **options) as table:  # type: ignore[arg-type]
        found = list(table.rows())
        assert table.count == len(found)
        assert [row.number for row in found] == list(range(1, len(found) + 1))
        return table.columns, found


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
def test_a_csv_is_read_whatever_its_delimiter_and_with_or_without_a_mark(
    tmp_path: Path, delimiter: str, bom: bytes
) -> None:
    text = f'to{delimiter} name \r\n+49{delimiter}"Ann, {delimiter}\r\nB"\r\n\r\n+48{delimiter}Bö\r\n'
    columns, found = read(tmp_path / "a.csv", bom + text.encode())
    assert columns == ("to", "name")
    assert [dict(row.values) for row in found] == [
        {"to": "+49", "name": f"Ann, {delimiter}\r\nB"},
        {"to": "+48", "name": "Bö"},
    ]
    assert [row.line for row in found] == [2, 5]


def test_delimiters_inside_quotes_of_the_header_do_not_count(tmp_path: Path) -> None:
    assert read(tmp_path / "a.csv", b'to;"a,b,c,d"\n1;2\n')[0] == ("to", "a,b,c,d")


def test_a_given_delimiter_is_used(tmp_path: Path) -> None:
    assert read(tmp_path / "a.csv", b"to|a,b\n1|2\n", delimiter="|")[0] == ("to", "a,b")


def test_jsonl_has_the_columns_of_all_its_rows(tmp_path: Path) -> None:
    columns, found = read(tmp_path / "a", b'\n{"to":"+49"}\n\n{"to":"+48","n":[1]}\n')
    assert columns == ("to", "n")
    assert [(row.line, dict(row.values)) for row in found] == [(2, {"to": "+49"}), (4, {"to": "+48", "n": [1]})]


def test_a_ragged_row_is_a_row_with_a_problem(tmp_path: Path) -> None:
    _, found = read(tmp_path / "a.csv", b"to,a\n1,2,3\n1,2\n1\n")
    assert [row.problem is None for row in found] == [False, True, False]
    assert found[0].cells == ("1", "2", "3")
    assert "has 3 cells where the header has 2" in (found[0].problem or "")


@pytest.mark.parametrize("line", [b"[1]", b"nonsense", b"3", b'{"to":', b"null"])
def test_a_bad_json_line_is_a_row_with_a_problem(tmp_path: Path, line: bytes) -> None:
    _, found = read(tmp_path / "a.jsonl", b'{"to":"1"}\n' + line + b"\n")
    assert found[1].cells == (line.decode(),)
    assert "JSON" in (found[1].problem or "")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf\r\n\n", "is empty"),
        (b"to,name\n", "a header and no rows"),
        (b"to,to\n1,2\n", "the column to twice"),
        (b"to,\n1,2\n", "a column without a name"),
        (b"to\n1\n\xfc\n", "line 3 is not UTF-8"),
        (b"\xff\xfet\x00o\x00", "line 1 is not UTF-8"),
        (b'to,a\n1,"open\n2,3\n', "line 2 is not CSV"),
        (b'to,a\n1,"x"y\n', "line 2 is not CSV"),
        (b"[\n", "is one JSON array"),
        (b"to\n" + b"x" * (4 << 20), "line 2 is longer than 4 MB"),
    ],
)
def test_what_is_wrong_with_the_file_as_a_whole_is_said_with_its_line(
    tmp_path: Path, content: bytes, said: str
) -> None:
    with pytest.raises(CliError, match=said):
        _ = read(tmp_path / "a.txt", content)


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with (
        pytest.raises(CliError, match=r"cannot read .*none.csv: No such file"),
        batch_input.open_input(str(tmp_path / "none.csv")),
    ):
        pass


def test_the_format_can_be_given(tmp_path: Path) -> None:
    assert read(tmp_path / "a", b"[x]\n1\n", file_format="csv")[0] == ("[x]",)


def test_columns_of_jsonl_are_only_gathered_up_to_a_thousand(tmp_path: Path) -> None:
    content = b"".join(b'{"c%d":1}\n' % at for at in range(1100))
    assert len(read(tmp_path / "a.jsonl", content)[0]) == 1000


def test_standard_input_is_copied_and_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"to\n1\n")))
    with batch_input.open_input("-") as table:
        assert (table.name, table.count) == ("standard input", 1)


def test_a_pipe_with_a_name_is_copied_and_read(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(b"to\n1\n",))
    writer.start()
    with batch_input.open_input(str(pipe)) as table:
        assert table.count == 1
    writer.join()
