"""Files of rows: opened, unpacked and read as CSV, a sheet of a workbook, JSONL or JSON.

Rules:
- A file is read twice: once to its end before anything is sent, so that an error of the file as a whole ends the
  program first, and once while sending. Memory does not grow with its length.
- The rows of a later pass are those of the first one. If the file has changed, the pass ends with a CliError before a
  changed row (see `blocks`).
- An error of one row is the `problem` of that row; the row is kept.
- The content decides about the format, and the name of the file only where the content does not.
"""

import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import PurePath
from typing import Final, final

import orjson
from attrs import evolve, field, frozen

from ..output import CliError, cannot_read, counted
from .blocks import CONTINUE, FileBlocks
from .cells import CellRows, open_csv, open_sheet, parse_delimiter
from .formats import HEAD, Encoding, check_kind, detect_encoding, read_lines, read_text
from .rows import (
    KEY,
    MOST_COLUMNS,
    Conditions,
    FileFormat,
    FirstPass,
    InputRow,
    LineBreaks,
    ReadingOptions,
    find_column,
    is_recipient,
)
from .unpacking import Content, copy_json, open_content, open_stored

_FORMATS: Final[dict[str, FileFormat]] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".tab": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
}
_TABS: Final = {".tsv", ".tab"}
_LINE: Final = re.compile(r"[^\r\n]+")
_LINE_END: Final = re.compile(r"[\r\n]")
_KEY_BEGINS: Final = re.compile(r"\{\s*\"[^\"]*\"\s*:")
_LOOKED_AT: Final = 5  # lines of which one is JSON, if the name says so


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
            raise CliError(f"{name} has no row with {conditions}, and {left} left out: there is nothing to send")
        if not count:
            raise CliError(f"{name} has a header and no rows: there is nothing to send")
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
    content = stack.enter_context(open_content(stored, path, options.sheet))
    if content.sheet:
        return _source(stored, open_sheet(content.blocks), options)
    blocks = content.blocks
    head = blocks.head(HEAD)
    check_kind(blocks.name, head)
    encoding = detect_encoding(blocks.name, head, options.encoding)
    start = head.decode(encoding.codec, "replace").lstrip("\ufeff \t\r\n")
    if not start:
        _ = next((line for line in read_lines(blocks, encoding) if line.strip()), None)
        raise CliError(f"{blocks.name} is empty: there is nothing to send")
    if options.file_format == "csv" and _KEY_BEGINS.match(start):
        raise CliError(f"{blocks.name} is JSON, not CSV: leave --format csv out")
    if _is_json(content, start, options.file_format):
        return _source(stored, _open_json(blocks, encoding, start, stack), options, encoding)
    tabs = PurePath(content.name).suffix.lower() in _TABS
    rows = open_csv(blocks, encoding, delimiter=options.delimiter, tabs=tabs, expected=options.expected)
    return _source(stored, rows, options, encoding)


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


def _first_lines(start: str) -> list[str]:
    found = (line[0].strip() for line in _LINE.finditer(start))
    return list(islice(filter(None, found), _LOOKED_AT))


def _is_json(content: Content, start: str, file_format: FileFormat | None) -> bool:
    if file_format is not None:
        return file_format == "jsonl"
    if format_of(content.name) == "jsonl":
        return any(line.startswith(("{", "[")) for line in _first_lines(start))
    if start.startswith("["):
        return start[1:].lstrip()[:1] in {"{", "]", ""}
    return start.startswith("{") and (_end_of_value(start) > 0 or _KEY_BEGINS.match(start) is not None)


def _end_of_value(start: str) -> int:
    # The length of the JSON value at the beginning; 0 if there is none that is complete.
    try:
        return json.JSONDecoder().raw_decode(start)[1]
    except (json.JSONDecodeError, RecursionError):
        return 0


@final
@frozen(eq=False, repr=False)
class JsonRows:
    """The rows of JSONL, or of JSON documents, read by *lines*: each with its line number.

    *columns* are those of all rows, up to a number. *key* is the name that the column of the keys has in the file. The
    rows that do not meet *conditions* are left out.
    """

    lines: Callable[[], Iterator[tuple[int, str]]]
    columns: tuple[str, ...] = ()
    count: int = 0
    key: str | None = None
    conditions: Conditions = field(factory=Conditions)
    first: FirstPass = field(factory=FirstPass)

    def scan(self, _: LineBreaks) -> tuple[int, int]:
        """Read the rows once more, if that is needed; return their number, and that of the rows left out."""
        if not self.conditions.values and not self.first.ids:
            return self.count, 0
        count = 0
        for row in self.rows():
            count += 1
            if row.problem is None and self.first.ids:
                self.first.visit([row.values.get(name) for name in self.first.ids])
        return count, self.count - count

    def rows(self) -> Iterator[InputRow]:
        """Yield the rows from the beginning."""
        conditions = self.conditions if self.conditions.values else None
        number = 0
        for line, text in self.lines():
            raw = text.strip()
            if not raw:
                continue
            row = self._row(number + 1, line, raw)
            if conditions is None or row.problem is not None or conditions.met_by(row.values):
                number += 1
                yield row

    def _row(self, number: int, line: int, raw: str) -> InputRow:
        try:
            value = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            return InputRow(
                number, line, problem=f"is not JSON: {error.msg} at character {error.pos + 1}", cells=(raw,)
            )
        if not isinstance(value, dict):
            return InputRow(number, line, problem='is not a JSON object such as {"to": "..."}', cells=(raw,))
        if self.key is not None and self.key in value:
            value[KEY] = value.pop(self.key)
        return InputRow(number, line, value)


def _open_json(blocks: FileBlocks, encoding: Encoding, start: str, stack: ExitStack) -> JsonRows:
    if _has_line_each(start):
        rows = JsonRows(lambda: enumerate(read_lines(blocks, encoding), 1))
    else:
        copy = copy_json(blocks, read_text(blocks, encoding), stack)
        rows = JsonRows(lambda: _copied_lines(copy))
    rows = _with_columns(rows)
    if not rows.count:
        raise CliError(f"{blocks.name} has no rows: there is nothing to send")
    if not rows.columns:
        first = next(rows.rows())
        raise CliError(f"{blocks.name} has no row with values: line {first.line} {first.problem or 'is empty'}")
    _check_wrapped(blocks.name, rows)
    key = find_column(rows.columns, KEY)
    if key in {None, KEY}:
        return rows
    return evolve(rows, columns=tuple(KEY if one == key else one for one in rows.columns), key=key)


def _has_line_each(start: str) -> bool:
    # One document over several lines is no JSONL; nor is one array on one line.
    if start.startswith("["):
        return False
    end = _end_of_value(start)
    return _LINE_END.search(start, 0, end) is None if end else _first_lines(start)[0] != "{"


def _copied_lines(copy: FileBlocks) -> Iterator[tuple[int, str]]:
    with copy.open() as file:
        for raw in file:
            line, _, value = raw[1:-2].partition(b",")
            yield int(line), value.decode()


def _with_columns(rows: JsonRows) -> JsonRows:
    found: dict[str, None] = {}
    count = 0
    for row in rows.rows():
        count += 1
        if not row.values.keys() <= found.keys() and len(found) < MOST_COLUMNS:
            found.update(dict.fromkeys(row.values))
    return evolve(rows, columns=tuple(found), count=count)


def _check_wrapped(name: str, rows: JsonRows) -> None:
    # An export of an API is often one object around the list.
    if rows.count > 1:
        return
    (row,) = rows.rows()
    if any(isinstance(one, str) and is_recipient(one) for one in row.values.values()):
        return
    for key, value in row.values.items():
        if isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
            raise CliError(
                f"{name} is one JSON object around the list {key}: write one object per line, for example with "
                f"`jq -c '.{key}[]'`"
            )
