"""Rows: a CSV or JSONL file read as a stream, each row with the line that it stands on.

Rules:
- A file is read twice: once to the end before anything is sent, so that what is wrong with it as a
  whole stops the program first, and once while sending. Memory does not grow with its length.
- What is wrong with one row alone is that row's `problem`; it stays a row, and is never lost.
"""

import csv
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO, Final, Literal, TypeAlias, final

import orjson
from attrs import evolve, field, frozen

from .exits import Halt, unreadable

Shape: TypeAlias = Literal["csv", "jsonl"]
_LONGEST_LINE: Final = 4 << 20
_MOST_COLUMNS: Final = 1_000
_BOM: Final = b"\xef\xbb\xbf"
_SHAPES: Final[dict[str, Shape]] = {".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}


@final
@frozen(eq=False, repr=False)
class Row:
    """One row: its *number* from 1, the *line* that it begins on, and its values by column.

    A row with a *problem* has no values; *cells* holds it as it was read.
    """

    number: int
    line: int
    values: Mapping[str, object] = field(factory=dict)
    problem: str | None = None
    cells: tuple[str, ...] = ()


@final
@frozen(eq=False, repr=False)
class Table:
    """A file of rows that was read once: its columns are known, and how many rows it has."""

    name: str
    shape: Shape
    delimiter: str
    columns: tuple[str, ...]
    count: int
    _file: BinaryIO

    def rows(self) -> Iterator[Row]:
        """Read the rows from the beginning."""
        return _csv_rows(self._file, self) if self.shape == "csv" else _jsonl_rows(self._file, self.name)

    def digest(self) -> str:
        """Hash the whole file: another digest is another file."""
        _ = self._file.seek(0)
        mark = blake2b(digest_size=16)
        while some := self._file.read(_LONGEST_LINE):
            mark.update(some)
        return mark.hexdigest()

    def is_file(self, there: os.stat_result) -> bool:
        """Tell whether *there* is the very file that the rows are read from."""
        return os.path.samestat(os.fstat(self._file.fileno()), there)


def shape_of(path: str) -> Shape | None:
    """Tell the shape of a file by the end of its name; None if that does not tell."""
    return _SHAPES.get(Path(path).suffix.lower())


@contextmanager
def opened(path: str, *, shape: Shape | None = None, delimiter: str | None = None) -> Iterator[Table]:
    """Open the file at *path*, or standard input for `-`, and read it once to its end.

    What cannot be read twice is copied into a temporary file without a name first.
    """
    name = "standard input" if path == "-" else path
    with ExitStack() as stack:
        try:
            file: BinaryIO = sys.stdin.buffer if path == "-" else stack.enter_context(Path(path).open("rb"))
            if path == "-" or not file.seekable():
                copy = stack.enter_context(TemporaryFile())
                shutil.copyfileobj(file, copy)
                file = copy
            table = _examined(file, name, shape or shape_of(path), delimiter)
        except OSError as error:
            raise unreadable(name, error) from None
        yield table


def _examined(file: BinaryIO, name: str, shape: Shape | None, delimiter: str | None) -> Table:
    lines = (line for _, line in _lines(file, name) if line.strip())
    head = next(lines, "").lstrip()
    if not head:
        raise Halt(f"{name} is empty: there is nothing to send")
    if shape != "csv" and head.startswith("["):
        raise Halt(f"{name} is one JSON array: write one object a line, as `jq -c '.[]'` does")
    shape = shape or ("jsonl" if head.startswith("{") else "csv")
    if shape == "jsonl":
        table = Table(name, shape, ",", (), 0, file)
    else:
        delimiter = delimiter or max(",;\t", key=_unquoted(head).count)
        header = next(_records(file, name, delimiter))[1]
        table = Table(name, shape, delimiter, _checked_header(header, name), 0, file)
    return _counted(table)


def _counted(table: Table) -> Table:
    found = dict.fromkeys(table.columns)
    count = 0
    for row in table.rows():
        count += 1
        if table.shape == "jsonl" and len(found) < _MOST_COLUMNS:
            found.update(dict.fromkeys(row.values))
    if not count:
        raise Halt(f"{table.name} has a header and no rows: there is nothing to send")
    return evolve(table, columns=tuple(found), count=count)


def _checked_header(cells: list[str], name: str) -> tuple[str, ...]:
    columns = tuple(cell.strip() for cell in cells)
    for column in columns:
        if not column or columns.count(column) > 1:
            what = f"the column {column} twice" if column else "a column without a name"
            raise Halt(f"{name}: its first line must name the columns, but has {what}")
    return columns


def _unquoted(head: str) -> str:
    return "".join(head.split('"')[::2])


def _csv_rows(file: BinaryIO, table: Table) -> Iterator[Row]:
    records = _records(file, table.name, table.delimiter)
    _ = next(records)
    columns, width = table.columns, len(table.columns)
    for number, (line, cells) in enumerate(records, 1):
        if len(cells) == width:
            yield Row(number, line, dict(zip(columns, cells, strict=True)))
        else:
            problem = f"has {len(cells)} cells where the header has {width}: is a delimiter not quoted?"
            yield Row(number, line, problem=problem, cells=tuple(cells))


def _records(file: BinaryIO, name: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader((line for _, line in _lines(file, name)), delimiter=delimiter, strict=True)
    line = 1
    try:
        for cells in reader:
            if cells:
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise Halt(f"{name}: line {line} is not CSV ({error}): is a quote not closed?") from None


def _jsonl_rows(file: BinaryIO, name: str) -> Iterator[Row]:
    number = 0
    for line, text in _lines(file, name):
        raw = text.strip()
        if not raw:
            continue
        number += 1
        try:
            value = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            yield Row(number, line, problem=f"is not JSON: {error.msg} at character {error.pos + 1}", cells=(raw,))
            continue
        if isinstance(value, dict):
            yield Row(number, line, value)
        else:
            yield Row(number, line, problem='is not a JSON object such as {"to": "..."}', cells=(raw,))


def _lines(file: BinaryIO, name: str) -> Iterator[tuple[int, str]]:
    _ = file.seek(0)
    number = 0
    while raw := file.readline(_LONGEST_LINE):
        number += 1
        if len(raw) == _LONGEST_LINE:
            raise Halt(f"{name}: line {number} is longer than {_LONGEST_LINE >> 20} MB: is it CSV or JSONL?")
        try:
            yield number, (raw.removeprefix(_BOM) if number == 1 else raw).decode()
        except UnicodeDecodeError as error:
            raise Halt(f"{name}: line {number} is not UTF-8 ({error.reason}): save the file as UTF-8") from None
