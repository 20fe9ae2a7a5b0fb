"""The input file: CSV or JSONL, read as a stream of rows with their line numbers.

Rules:
- A file is read twice: once to its end before anything is sent, so that an error of the file as a whole ends
  the program first, and once while sending. Memory does not grow with its length.
- An error of one row is the `problem` of that row; the row is kept.
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

from ..exits import CliError, cannot_read

FileFormat: TypeAlias = Literal["csv", "jsonl"]
_LONGEST_LINE: Final = 4 << 20
_MOST_COLUMNS: Final = 1_000
_BOM: Final = b"\xef\xbb\xbf"
_FORMATS: Final[dict[str, FileFormat]] = {".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}


@final
@frozen(eq=False, repr=False)
class InputRow:
    """One row: its *number* from 1, the *line* on which it begins, and its values by column.

    A row with a *problem* has no values; *cells* holds its text as read.
    """

    number: int
    line: int
    values: Mapping[str, object] = field(factory=dict)
    problem: str | None = None
    cells: tuple[str, ...] = ()


@final
@frozen(eq=False, repr=False)
class InputFile:
    """A file of rows that was read once, with its columns and the number of its rows."""

    name: str
    file_format: FileFormat
    delimiter: str
    columns: tuple[str, ...]
    count: int
    _file: BinaryIO

    def rows(self) -> Iterator[InputRow]:
        """Yield the rows from the beginning."""
        return _csv_rows(self._file, self) if self.file_format == "csv" else _jsonl_rows(self._file, self.name)

    def digest(self) -> str:
        """Return a hash of the whole file."""
        _ = self._file.seek(0)
        digest = blake2b(digest_size=16)
        while block := self._file.read(_LONGEST_LINE):
            digest.update(block)
        return digest.hexdigest()

    def is_same_file(self, other: os.stat_result) -> bool:
        """Return whether *other* is the file from which the rows are read."""
        return os.path.samestat(os.fstat(self._file.fileno()), other)


def format_of(path: str) -> FileFormat | None:
    """Return the format of a file by its extension; None if the extension is unknown."""
    return _FORMATS.get(Path(path).suffix.lower())


@contextmanager
def open_input(
    path: str, *, file_format: FileFormat | None = None, delimiter: str | None = None
) -> Iterator[InputFile]:
    """Open the file at *path*, or standard input for `-`, and read it once to its end.

    A file that cannot be read twice is first copied into an unnamed temporary file.
    """
    name = "standard input" if path == "-" else path
    with ExitStack() as stack:
        try:
            file: BinaryIO = sys.stdin.buffer if path == "-" else stack.enter_context(Path(path).open("rb"))
            if path == "-" or not file.seekable():
                copy = stack.enter_context(TemporaryFile())
                shutil.copyfileobj(file, copy)
                file = copy
            table = _inspect(file, name, file_format or format_of(path), delimiter)
        except OSError as error:
            raise cannot_read(name, error) from None
        yield table


def _inspect(file: BinaryIO, name: str, file_format: FileFormat | None, delimiter: str | None) -> InputFile:
    lines = (line for _, line in _lines(file, name) if line.strip())
    head = next(lines, "").lstrip()
    if not head:
        raise CliError(f"{name} is empty: there is nothing to send")
    if file_format != "csv" and head.startswith("["):
        raise CliError(f"{name} is one JSON array: write one object per line, for example with `jq -c '.[]'`")
    file_format = file_format or ("jsonl" if head.startswith("{") else "csv")
    if file_format == "jsonl":
        table = InputFile(name, file_format, ",", (), 0, file)
    else:
        delimiter = delimiter or max(",;\t", key=_without_quoted(head).count)
        header = next(_records(file, name, delimiter))[1]
        table = InputFile(name, file_format, delimiter, _parse_header(header, name), 0, file)
    return _count_rows(table)


def _count_rows(table: InputFile) -> InputFile:
    found = dict.fromkeys(table.columns)
    count = 0
    for row in table.rows():
        count += 1
        if table.file_format == "jsonl" and len(found) < _MOST_COLUMNS:
            found.update(dict.fromkeys(row.values))
    if not count:
        raise CliError(f"{table.name} has a header and no rows: there is nothing to send")
    return evolve(table, columns=tuple(found), count=count)


def _parse_header(cells: list[str], name: str) -> tuple[str, ...]:
    columns = tuple(cell.strip() for cell in cells)
    for column in columns:
        if not column or columns.count(column) > 1:
            what = f"has the column {column} twice" if column else "has a column without a name"
            raise CliError(f"{name}: the first line must name the columns, but {what}")
    return columns


def _without_quoted(head: str) -> str:
    return "".join(head.split('"')[::2])


def _csv_rows(file: BinaryIO, table: InputFile) -> Iterator[InputRow]:
    records = _records(file, table.name, table.delimiter)
    _ = next(records)
    columns, width = table.columns, len(table.columns)
    for number, (line, cells) in enumerate(records, 1):
        if len(cells) == width:
            yield InputRow(number, line, dict(zip(columns, cells, strict=True)))
        else:
            problem = f"has {len(cells)} cells where the header has {width}: is a delimiter not quoted?"
            yield InputRow(number, line, problem=problem, cells=tuple(cells))


def _records(file: BinaryIO, name: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader((line for _, line in _lines(file, name)), delimiter=delimiter, strict=True)
    line = 1
    try:
        for cells in reader:
            if cells:
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise CliError(f"{name}: line {line} is not CSV ({error}): is a quote not closed?") from None


def _jsonl_rows(file: BinaryIO, name: str) -> Iterator[InputRow]:
    number = 0
    for line, text in _lines(file, name):
        raw = text.strip()
        if not raw:
            continue
        number += 1
        try:
            value = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            yield InputRow(number, line, problem=f"is not JSON: {error.msg} at character {error.pos + 1}", cells=(raw,))
            continue
        if isinstance(value, dict):
            yield InputRow(number, line, value)
        else:
            yield InputRow(number, line, problem='is not a JSON object such as {"to": "..."}', cells=(raw,))


def _lines(file: BinaryIO, name: str) -> Iterator[tuple[int, str]]:
    _ = file.seek(0)
    number = 0
    while raw := file.readline(_LONGEST_LINE):
        number += 1
        if len(raw) == _LONGEST_LINE:
            raise CliError(f"{name}: line {number} is longer than {_LONGEST_LINE >> 20} MB: is it CSV or JSONL?")
        try:
            yield number, (raw.removeprefix(_BOM) if number == 1 else raw).decode()
        except UnicodeDecodeError as error:
            raise CliError(f"{name}: line {number} is not UTF-8 ({error.reason}): save the file as UTF-8") from None
