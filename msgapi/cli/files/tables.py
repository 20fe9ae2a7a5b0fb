"""Files of rows: opened, and read as CSV, a sheet of a workbook, or JSON (see `json_rows`).

Rules:
- A file is read twice: once to its end before anything is sent, so that an error of the file as a whole ends the
  program first, and once while sending. Memory does not grow with its length.
- The rows of a later pass are those of the first one. If the file has changed, the pass ends with a CliError before a
  changed row (see `blocks`).
- An error of one row is the `problem` of that row; the row is kept.
- The content decides about the format, and the name of the file only where the content does not.
- Of CSV and sheets, the first row that has any text is the header. Columns that are not used may have no name, or one
  name for several. Rows without any text are no rows.
- Another row with the names of the header, as in files that were joined, is a row with a problem. If its columns are
  others, the file is refused: what follows would be read by the wrong names.
- A short row is complete if it has the cells that are used; a long one if the cells that are too many are empty.
  Another row has a problem.
- If two quotes are missing, a cell can swallow the rest of its row and the beginning of another. Such a cell, if it is
  used, is an error of the file: one person would get the number of another.
"""

import csv
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import PurePath
from typing import Final, TypeAlias, final

import orjson
from attrs import evolve, field, frozen

from ..output import CliError, cannot_read, counted
from .blocks import CONTINUE, Content, FileBlocks, open_stored
from .formats import (
    HEAD,
    Dialect,
    Encoding,
    check_kind,
    detect_dialect,
    detect_encoding,
    is_packed,
    parse_delimiter,
    read_lines,
)
from .json_rows import JsonRows, end_of_value, first_lines, open_json
from .rows import (
    KEY,
    Conditions,
    FileFormat,
    FirstPass,
    InputRow,
    LineBreaks,
    ReadingOptions,
    comparable,
    find_column,
    fold,
    is_data,
    is_recipient,
    matching_columns,
    new_row,
)

_FORMATS: Final[dict[str, FileFormat]] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".tab": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
}
_TABS: Final = {".tsv", ".tab"}
_KEY_BEGINS: Final = re.compile(r"\{\s*\"[^\"]*\"\s*:")
_LONGEST_CELL: Final = 4 << 20
_SHEET: Final = ""  # the delimiter of a sheet: it has none
_IN_SHEETS: Final = re.compile(r"[,;\t|]")  # what may have been one before a file became a sheet
_LINE_END: Final = re.compile(r"\r\n|\r|\n")
_FIRST_RECORDS: Final = 10  # rows among which the header is looked for, for a message

Record: TypeAlias = tuple[int, int, list[str]]
"""The first and the last line of a row, and its cells."""


def format_of(path: str) -> FileFormat | None:
    """Return the format of a file by its extension; None if the extension is unknown."""
    return _FORMATS.get(PurePath(path).suffix.lower())


@final
@frozen(eq=False, repr=False, kw_only=True)
class InputFile:
    """A file of rows that was read once, with its columns and the number of its rows.

    *left_out* is the number of rows that do not meet the conditions. *line_breaks* are those in cells. *mark* says
    whether the file has a byte order mark.
    """

    name: str
    file_format: FileFormat
    delimiter: str = ","
    columns: tuple[str, ...]
    count: int = 0
    left_out: int = 0
    line_breaks: LineBreaks = field(factory=LineBreaks)
    mark: bool = False
    _stored: FileBlocks = field(alias="stored")
    _read: Callable[[], Iterator[InputRow]] = field(alias="read")

    def rows(self) -> Iterator[InputRow]:
        """Yield the rows from the beginning."""
        return self._read()

    def left_out_lines(self) -> Iterator[str]:
        """Yield a line for the rows that --where leaves out, if there are any."""
        if self.left_out:
            yield f"{counted(self.left_out, verb='were')} left out by --where"

    def digest(self) -> str:
        """Return a hash of the whole file as it is stored."""
        return self._stored.digest()

    def check(self) -> None:
        """Raise CliError if the file has changed since it was first read."""
        self._stored.check()

    def is_same_file(self, other: os.stat_result) -> bool:
        """Return whether *other* is the file from which the rows are read."""
        return self._stored.is_same_file(other)


@final
@frozen(eq=False, repr=False)
class InputSource:
    """A file whose columns are known, before its rows are read."""

    _table: InputFile
    _rows: "CellRows | JsonRows"
    _where: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns. They may be empty, or occur twice."""
        return self._table.columns

    @property
    def name(self) -> str:
        """The name of the file for messages."""
        return self._table.name

    @property
    def file_format(self) -> FileFormat:
        """The format of the rows."""
        return self._table.file_format

    def scan(self, first: FirstPass | None = None) -> InputFile:
        """Read the file to its end, and return it. Raise CliError for an error of the file as a whole."""
        name, breaks = self._table.name, LineBreaks()
        conditions = Conditions.parse(self._where, self.columns)
        rows = evolve(self._rows, conditions=conditions, first=first or FirstPass())
        try:
            count, left_out = rows.scan(breaks)
        except OSError as error:
            raise cannot_read(name, error) from None
        if left_out and not count:
            left = counted(left_out, verb="are")
            raise CliError(f"{name} has no row with {conditions}, and {left} left out")
        if not count:
            raise CliError(f"{name} has a header and no rows")
        return evolve(self._table, count=count, left_out=left_out, line_breaks=breaks, read=rows.rows)


@contextmanager
def open_input(path: str, options: ReadingOptions | None = None, *, remedy: str = CONTINUE) -> Iterator[InputSource]:
    """Open the file at *path*, or standard input for `-`, and find its columns.

    *remedy* is what the user can do if the file changes after that.
    Input that is not a regular file, and what is packed, is first copied into an unnamed temporary file.
    """
    name = "standard input" if path == "-" else path
    options = options or ReadingOptions()
    if options.delimiter is not None:
        options = evolve(options, delimiter=parse_delimiter(options.delimiter))
    with ExitStack() as stack:
        try:
            stored = stack.enter_context(open_stored(path, remedy))
            source = _open_source(stored, path, options, stack)
        except OSError as error:
            raise cannot_read(name, error) from None
        yield source


def _open_source(stored: FileBlocks, path: str, options: ReadingOptions, stack: ExitStack) -> InputSource:
    content, head = Content(stored, path), stored.head(HEAD)
    if is_packed(head):
        from .unpacking import unpack

        content = unpack(content, head, options.sheet, stack)
        if content.sheet:
            return _source(stored, _open_sheet(content.blocks, options.expected), options)
        head = content.blocks.head(HEAD)
    if options.sheet is not None:
        raise CliError(f"{stored.name} is not an Excel workbook (.xlsx): leave --sheet out")
    blocks = content.blocks
    check_kind(blocks.name, head)
    encoding = detect_encoding(blocks.name, head, options.encoding)
    start = head.decode(encoding.codec, "replace").lstrip("\ufeff \t\r\n")
    if not start:
        _ = next((line for line in read_lines(blocks, encoding) if line.strip()), None)
        raise CliError(f"{blocks.name} is empty: it has no rows")
    if options.file_format == "csv" and _KEY_BEGINS.match(start):
        raise CliError(f"{blocks.name} is JSON, not CSV: leave --format csv out")
    if _is_json(content, start, options.file_format):
        return _source(stored, open_json(blocks, encoding, start, stack), options, encoding)
    tabs = PurePath(content.name).suffix.lower() in _TABS
    lines = read_lines(blocks, encoding)
    dialect = detect_dialect(lines, given=options.delimiter, tabs=tabs, expected=options.expected)
    return _source(stored, _open_csv(blocks, encoding, dialect, options.expected), options, encoding)


def _source(
    stored: FileBlocks, rows: "CellRows | JsonRows", options: ReadingOptions, encoding: Encoding | None = None
) -> InputSource:
    delimiter = rows.delimiter if isinstance(rows, CellRows) else None
    table = InputFile(
        name=stored.name,
        file_format="jsonl" if delimiter is None else "csv",
        delimiter=delimiter or ",",
        columns=rows.columns,
        mark=encoding is not None and encoding.mark,
        stored=stored,
        read=rows.rows,
    )
    return InputSource(table, rows, options.where)


def _is_json(content: Content, start: str, file_format: FileFormat | None) -> bool:
    if file_format is not None:
        return file_format == "jsonl"
    if format_of(content.name) == "jsonl":
        return any(line.startswith(("{", "[")) for line in first_lines(start))
    if start.startswith("["):
        return start[1:].lstrip()[:1] in {"{", "]", ""}
    return start.startswith("{") and (end_of_value(start) > 0 or _KEY_BEGINS.match(start) is not None)


@final
@frozen(eq=False, repr=False)
class CellRows:
    """The rows of a CSV file or a sheet, read by *records*: those that have any text, the header among them.

    *columns* are the names in the header. The rows that do not meet *conditions* are left out.
    """

    name: str
    delimiter: str
    columns: tuple[str, ...]
    records: Callable[[], Iterator[Record]]
    conditions: Conditions = field(factory=Conditions)
    first: FirstPass = field(factory=FirstPass)

    def scan(self, breaks: LineBreaks) -> tuple[int, int]:
        """Read the rows once; return their number, and that of the rows left out. Add line breaks to *breaks*."""
        columns, width, needed, conditions = self.columns, len(self.columns), self._needed(), self._conditions()
        ids, visit = [columns.index(one) for one in self.first.ids if one in columns], self.first.visit
        names = self._names()
        count = left_out = 0
        records = self.records()
        _ = next(records)
        for line, end, cells in records:
            if end > line or (self.delimiter == _SHEET and any("\n" in cell for cell in cells)):
                self._check_lines(line, end, cells, breaks)
            complete = needed <= len(cells) <= width or self._problem(cells) is None
            is_header = (cells[0] in names or cells[-1] in names) and self._is_header(line, cells)
            if conditions and complete and not _meets(cells, conditions):
                left_out += 1
                continue
            count += 1
            if ids and complete and not is_header:
                visit([cells[at] if at < len(cells) else "" for at in ids])
        return count, left_out

    def rows(self) -> Iterator[InputRow]:
        """Yield the rows from the beginning."""
        columns, width, needed, conditions = self.columns, len(self.columns), self._needed(), self._conditions()
        names = self._names()
        number = 0
        records = self.records()
        _ = next(records)
        for line, _, cells in records:
            problem = None if needed <= len(cells) <= width else self._problem(cells)
            if problem is not None:
                number += 1
                yield InputRow(number, line, problem=problem, cells=tuple(cells))
            elif not conditions or _meets(cells, conditions):
                number += 1
                if (cells[0] in names or cells[-1] in names) and self._is_header(line, cells):
                    yield InputRow(number, line, problem="is the header again: delete it", cells=tuple(cells))
                else:
                    yield new_row(number, line, dict(zip(columns, cells, strict=False)), None, tuple(cells))

    def _names(self) -> frozenset[str]:
        return frozenset(self.columns) - {""}

    def _is_header(self, line: int, cells: Sequence[str]) -> bool:
        given, header = _folded(cells), _folded(self.columns)
        if given == header:
            return True
        filled = [one for one in given if one]
        known = sum(one in header for one in filled)
        if known < 2 or known * 2 < len(filled) or any(map(is_data, cells)):  # noqa: PLR2004 - one may be a value
            return False
        raise CliError(
            f"{self.name}: line {line} is another header, with other columns than the first one, so that the rows "
            "below it would be read by the wrong names: split the file there"
        )

    def _needed(self) -> int:
        used = self.columns if self.first.used is None else self.first.used
        names = {*used, *(name for name, _ in self.conditions.values)}
        return max((at + 1 for at, name in enumerate(self.columns) if name in names), default=0)

    def _conditions(self) -> list[tuple[int, str]]:
        return [(self.columns.index(column), value) for column, value in self.conditions.values]

    def _problem(self, cells: Sequence[str]) -> str | None:
        width, needed, count = len(self.columns), self._needed(), len(cells)
        found = f"has {count} {'cell' if count == 1 else 'cells'} where the header has {width}"
        if count < needed:
            return f"{found}: the column {self.columns[needed - 1]} is missing"
        if any(cell.strip() for cell in cells[width:]):
            return f"{found}: is a delimiter not quoted?"
        return None

    def _check_lines(self, line: int, end: int, cells: Sequence[str], breaks: LineBreaks) -> None:
        used = False
        for name, cell in zip(self.columns, cells, strict=False):
            if not _LINE_END.search(cell):
                continue
            is_used = self.first.used is None or name in self.first.used
            used |= is_used
            if self._has_row(cell) and is_used:
                where = f"lines {line} to {end} are read as one row, and its" if end > line else f"line {line}: its"
                raise CliError(
                    f"{self.name}: {where} column {name} contains what looks like another row: is a quote missing "
                    f"{f'on line {line}' if end > line else 'in the CSV that it was made from'}?"
                )
            if self._has_row(cell):
                breaks.add_suspect(line, end)
        if used:
            breaks.add_used(line)

    def _has_row(self, cell: str) -> bool:
        between = _IN_SHEETS if self.delimiter == _SHEET else re.compile(re.escape(self.delimiter))
        lines = (between.split(one) for one in _LINE_END.split(cell))
        return any(is_recipient(part) for parts in lines if len(parts) > 1 for part in parts)


def _folded(cells: Sequence[str]) -> list[str]:
    names = [fold(cell) for cell in cells]
    while names and not names[-1]:
        _ = names.pop()
    return names


def _meets(cells: Sequence[str], conditions: Sequence[tuple[int, str]]) -> bool:
    return all(comparable(cells[at]) == value for at, value in conditions)


def _open_csv(blocks: FileBlocks, encoding: Encoding, dialect: Dialect, expected: str | None) -> CellRows:
    """Return the rows of a CSV file."""

    def records() -> Iterator[Record]:
        return _csv_records(blocks.name, read_lines(blocks, encoding), dialect)

    return _with_header(blocks.name, dialect.delimiter, records, expected)


def _open_sheet(blocks: FileBlocks, expected: str | None) -> CellRows:
    """Return the rows of the copy of a sheet."""

    def records() -> Iterator[Record]:
        with blocks.open() as file:
            for number, raw in enumerate(file, 1):
                if raw != b"\n":
                    yield number, number, orjson.loads(raw)

    return _with_header(blocks.name, _SHEET, records, expected)


def _with_header(name: str, delimiter: str, records: Callable[[], Iterator[Record]], expected: str | None) -> CellRows:
    first = list(islice(records(), _FIRST_RECORDS))
    if not first:
        raise CliError(f"{name} is empty: it has no rows")
    columns = tuple(cell.strip() for cell in first[0][2])
    _check_titles(name, first, expected)
    key = find_column(columns, KEY)
    return CellRows(name, delimiter, tuple(KEY if one == key else one for one in columns), records)


def _check_titles(name: str, first: Sequence[Record], expected: str | None) -> None:
    # Reports have a title or groups of columns above the header.
    if expected is None or matching_columns([*map(str.strip, first[0][2])], expected):
        return
    for line, _, cells in first[1:]:
        if matching_columns([*map(str.strip, cells)], expected) and not any(map(is_data, cells)):
            raise CliError(f"{name}: the header with the column {expected} is on line {line}: delete what is above it")


def _csv_records(name: str, lines: Iterator[str], dialect: Dialect) -> Iterator[Record]:
    _ = csv.field_size_limit(_LONGEST_CELL)
    for _ in range(dialect.skipped):
        _ = next(lines)
    reader = csv.reader(lines, delimiter=dialect.delimiter, skipinitialspace=dialect.spaced, strict=True)
    line = 1 + dialect.skipped
    try:
        for cells in reader:
            end = reader.line_num + dialect.skipped
            if cells and ((cells[0] and not cells[0].isspace()) or any(map(str.strip, cells))):
                yield line, end, cells
            line = end + 1
    except csv.Error as error:
        raise CliError(
            f"{name}: line {line} is not CSV ({error}): is a quote not closed, or one inside a cell not doubled?"
        ) from None
