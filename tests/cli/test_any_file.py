"""Property: whatever a file contains, each of its rows is accounted for, and dry run, summary and results agree."""

import csv
import gzip
import io
import json
import os
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import orjson
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from msgapi.cli import main

RCS: Final = ("--agent", "ag_live_demo", "--traffic", "TRANSACTION", "--text", "Hi {name}")
PERSON: Final = "15123456"  # stands in each number that is generated
LEFT: Final = ("changed", "interrupted", "not_sent_yet", "unknown")
IMPORTED: Final = ("valid", "refused", "before_start_line", "duplicates", "empty")

Table = list[list[str]]

numbers = st.sampled_from(
    [
        f"+49{PERSON}01",
        f"+49 {PERSON}02",
        f"0049{PERSON}03",
        f"0{PERSON}04",
        f"'+49{PERSON}05",
        f"+49{PERSON}06, +49{PERSON}07",
        f"+49{PERSON}01",
        "",
        "n/a",
        "4.9151E+12",
    ]
)
names = st.one_of(
    st.sampled_from(
        ["Ann", "Jörg", " Bo ", "", "A, B", "A; B", 'A "B" C', "A\nB", "A\tB", "#N/A", "NULL", "\u200b", "{name}"]
    ),
    st.text(max_size=6),
)
ids = st.sampled_from(["1", "1", "2", "3", "", "\x01", "yes"])
tables = st.lists(st.tuples(numbers, names, ids).map(list), min_size=1, max_size=6)
headers = st.sampled_from(
    [["to", "name", "id"]] * 4
    + [["To", " NAME ", "Id"], ["to", "name", "idempotency_key"], ["name", "to", "id"]]
    + [["to", "name", "id", "", ""], ["to", "name", "name"], [f"+49{PERSON}01", "Ann", "1"]]
)
options = st.sampled_from(
    [(), ("--region", "DE"), ("--id-column", "id"), ("--where", "id=1"), ("--allow-empty",), ("--allow-duplicates",)]
    * 3
    + [("--delimiter", ";"), ("--encoding", "cp1252"), ("--format", "jsonl"), ("--region-column", "id")]
)
suffixes = st.sampled_from([".csv", ".tsv", ".txt", ".jsonl", ".json", ".xlsx", ".gz"])


def as_csv(header: list[str], rows: Table, delimiter: str, end: str, quoting: int) -> str:
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=delimiter, lineterminator=end, quoting=quoting, escapechar="\\")  # type: ignore[arg-type]
    writer.writerows([header, *rows])
    return file.getvalue()


def as_json(header: list[str], rows: Table, *, lines: bool) -> str:
    values = [dict(zip(header, row, strict=False)) for row in rows]
    if not lines:
        return orjson.dumps(values, option=orjson.OPT_INDENT_2).decode()
    return "".join(orjson.dumps(one).decode() + "\n" for one in values)


def encoded(text: str, encoding: str) -> bytes:
    return text.encode(encoding, "replace")


texts = st.one_of(
    st.builds(
        as_csv,
        headers,
        tables,
        st.sampled_from([",", ";", "\t", "|"]),
        st.sampled_from(["\n", "\r\n", "\r"]),
        st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_MINIMAL, csv.QUOTE_NONE]),
    ),
    st.builds(as_json, headers, tables, lines=st.booleans()),
)
tidy = st.builds(
    encoded, texts, st.sampled_from(["utf-8"] * 6 + ["utf-8-sig", "utf-16", "utf-16-le", "cp1252", "mac_roman"])
)
edits = st.lists(
    st.tuples(
        st.sampled_from(["cut", "insert", "double", "swap"]),
        st.integers(0, 300),
        st.integers(1, 40),
        st.sampled_from([b'"', b"\n", b",", b";", b"\x00", b"\xff", b"[", b"}", b"\xef\xbb\xbf", b"0", b'\n"x']),
    ),
    max_size=2,
)


def edited(content: bytes, steps: list[tuple[str, int, int, bytes]]) -> bytes:
    for kind, place, size, part in steps:
        at = place % (len(content) + 1)
        before, found, after = content[:at], content[at : at + size], content[at + size :]
        match kind:
            case "cut":
                content = before + after
            case "insert":
                content = before + part + found + after
            case "double":
                content = before + found + found + after
            case _:
                content = before + found[::-1] + after
    return content


contents = st.one_of(
    tidy,
    tidy,
    st.builds(edited, tidy, edits),
    st.builds(edited, tidy, edits).map(lambda content: gzip.compress(content, mtime=0)),
    st.binary(max_size=60),
    st.binary(max_size=30).map(lambda content: b"to,name\n" + content),
)


def run(*arguments: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = main(arguments)
    return status, out.getvalue(), err.getvalue()


class Checked:
    """The dry run and the run of a file, and its results."""

    def __init__(self, directory: str, content: bytes, suffix: str, given_options: tuple[str, ...]) -> None:
        self.directory = Path(directory)
        self.path = f"{self.directory / 'people'}{suffix}"
        _ = Path(self.path).write_bytes(content)
        self.options = given_options

    def batch(self, *more: str) -> tuple[int, dict[str, Any]]:
        status, out, err = run("batch", self.path, *RCS, *self.options, "--json", *more)
        assert PERSON not in err
        assert status in {0, 1, 2, 3}
        facts = orjson.loads(out)
        if status == 2:
            assert PERSON not in out
            assert facts["message"]
        return status, facts

    def lines(self, name: str) -> list[bytes]:
        return (self.directory / name).read_bytes().split(b"\n")[:-1]

    def check(self) -> int:
        status, plan = self.batch("--dry-run")
        again, done = self.batch(
            "--sandbox", "--results", f"{self.directory}/r.jsonl", "--failed", f"{self.directory}/f.jsonl"
        )
        assert again == status
        self._check_import()
        if status == 2:
            return status
        sent, rows = sum(plan["units"].values()), plan["rows"]
        not_sent = 0 if "--allow-duplicates" in self.options else plan["duplicate"]
        assert sent + plan["invalid"] + not_sent == rows == done["rows"]
        assert (done["accepted"], done["refused"], done["duplicate"]) == (sent, plan["invalid"], not_sent)
        assert [done[name] for name in LEFT] == [0, 0, 0, 0]
        assert done["left_out"] == plan["left_out"]
        assert status == (1 if plan["invalid"] else 0)
        results = sorted(map(orjson.loads, self.lines("r.jsonl")), key=lambda line: int(line["row"]))
        assert [line["row"] for line in results] == list(range(1, rows + 1))
        assert (
            PERSON not in f"{[{**line, 'id': None} for line in results]}"
        )  # the id is what the file has in that column
        invalid = [(line["row"], line["line"]) for line in results if line["kind"] == "Invalid"]
        assert len(invalid) == plan["invalid"] == len(self.lines("f.jsonl"))
        assert invalid[:10] == [(one["row"], one["line"]) for one in plan["invalid_rows"]]
        assert sum(line["kind"] == "Accepted" for line in results) == sent
        duplicates = [line["line"] for line in results if line["kind"] == "Duplicate"]
        assert duplicates == plan["duplicate_lines"][: len(duplicates)]
        return status

    def _check_import(self) -> None:
        options_of_both = [one for one in self.options if self.options[0] not in {"--id-column", "--region-column"}]
        if self.options[:1] in {("--allow-empty",), ("--allow-duplicates",)}:
            options_of_both = []
        columns = ("--phone-column", "to", "--first-name-column", "name")
        status, out, err = run("contacts", "import", self.path, *columns, *options_of_both, "--dry-run", "--json")
        assert PERSON not in err
        assert status in {0, 1, 2}
        if status != 2:
            facts = orjson.loads(out)
            assert PERSON not in out
            assert sum(facts[name] for name in IMPORTED) == facts["rows"]
            assert status == (1 if facts["refused"] else 0)


def test_a_file_whose_name_is_not_utf8_is_named_in_an_error_as_json(tmp_path: Path) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/J\xf6rg.csv")
    _ = Path(path).write_bytes(b"")
    status, out, _ = run("batch", path, *RCS, "--dry-run", "--json")
    assert status == 2
    assert f"{path} is empty" in json.loads(out)["message"]


@settings(max_examples=120, deadline=None)
@given(contents, suffixes, options)
@example(b'{"to": "+491512345601", "name": "Ann", "id": 1}\n{"to": "x"}\n', ".jsonl", ("--where", "id=1"))
@example(b'{"to": "+491512345601"}\n', ".jsonl", ("--format", "csv"))
@example(b"+491512345601^Ann\n+491512345602^Bo\n", ".csv", ())
@example(b'to,name\n+491512345601,"Ann\n+491512345602,Bo"\n', ".csv", ())
def test_each_row_of_any_file_is_accounted_for(content: bytes, suffix: str, given_options: tuple[str, ...]) -> None:
    with TemporaryDirectory() as directory:
        event(f"status {Checked(directory, content, suffix, given_options).check()}")
