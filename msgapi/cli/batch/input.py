"""The input file: CSV or JSONL, read as a stream of rows with their line numbers.

Rules:
- A file is read twice: once to its end before anything is sent, so that an error of the file as a whole ends
  the program first, and once while sending. Memory does not grow with its length.
- The rows of a later pass are those of the first one. If the file has changed, the pass ends with a CliError before
  a changed row (see `FileBlocks`).
- Input that is no regular file is copied first, into a file without a name that only its owner can read.
- An error of one row is the `problem` of that row; the row is kept.

The stored bytes of the file (`FileBlocks`), with a digest of each block:
- The first pass stores 8 bytes of digest for each MB, and the length at which it found the end of the file.
- A later pass yields no byte of a block before the whole block has the digest of the first pass. It ends at the
  length of the first pass.
- Each pass ends with a check of the whole file: its length, its blocks, and whether it is still the file at its path.
  A last line without a line end is complete only after this check, so it is not yielded if the file has grown.
"""

import csv
import io
import os
import shutil
import stat
import sys
from array import array
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, BinaryIO, Final, Literal, TypeAlias, final

import orjson
from attrs import define, evolve, field, frozen

from ..output import CliError, Exit, cannot_read

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

FileFormat: TypeAlias = Literal["csv", "jsonl"]
_LONGEST_LINE: Final = 4 << 20
MOST_COLUMNS: Final = 1_000
_BOM: Final = b"\xef\xbb\xbf"
_FORMATS: Final[dict[str, FileFormat]] = {".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
BLOCK: Final = 1 << 20
_BUFFER: Final = 64 << 10
CONTINUE: Final = "run the same command again to continue with it"
_KEPT: Final = 8  # bytes of the digest of a block that are kept


@final
@define(eq=False, repr=False)
class FileBlocks:
    """The blocks of *file*, which is open and not buffered.

    *path* is None for a copy that no other process can open; *remedy* is what the user can do if the file has changed.

    The methods raise CliError with the status STOPPED if the file is not as the first pass read it.
    """

    name: str
    file: IO[bytes]
    path: str | None = None
    remedy: str = CONTINUE
    _digests: "array[int]" = field(factory=lambda: array("Q"), init=False)
    _whole: blake2b = field(factory=lambda: blake2b(digest_size=16), init=False)
    _length: int | None = field(default=None, init=False)

    def open(self) -> BinaryIO:
        """Return a reader of the file from its beginning. The first one that reaches the end sets the length."""
        return io.BufferedReader(_Reader(self), _BUFFER)

    def digest(self) -> str:
        """Return a hash of the whole file as the first pass read it."""
        return self._whole.hexdigest()

    def is_same_file(self, other: os.stat_result) -> bool:
        """Return whether *other* is this file."""
        return os.path.samestat(self._stat(), other)

    def read(self, number: int) -> bytes:
        """Return the block *number*, counted from 0. It is empty after the last one, if the whole file is as it was."""
        if self._length is None and number == len(self._digests):
            return self._read_first(number)
        if number < len(self._digests):
            return self._read_again(number)
        self.check()
        return b""

    def check(self) -> None:
        """Check the whole file against what the first pass read."""
        cause = self._moved() or self._resized()
        if cause is not None:
            raise self._changed(cause)
        for number in range(len(self._digests)):
            _ = self._read_again(number)

    def _read_first(self, number: int) -> bytes:
        block = self._stored(number, BLOCK)
        if len(block) < BLOCK:
            self._length = number * BLOCK + len(block)
        if not block:
            self.check()
            return block
        digest = _digest(block)
        self._whole.update(digest)
        self._digests.append(int.from_bytes(digest[:_KEPT]))
        return block

    def _read_again(self, number: int) -> bytes:
        cause = self._moved()
        if cause is not None:
            raise self._changed(cause)
        block = self._stored(number, BLOCK if self._length is None else min(BLOCK, self._length - number * BLOCK))
        if int.from_bytes(_digest(block)[:_KEPT]) != self._digests[number]:
            raise self._changed(self._resized() or "its content is different")
        return block

    def _stored(self, number: int, size: int) -> bytes:
        _ = self.file.seek(number * BLOCK)
        parts = []
        while size and (part := self.file.read(size)):
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def _moved(self) -> str | None:
        try:
            if self.path is None or self.is_same_file(Path(self.path).stat()):
                return None
        except (FileNotFoundError, NotADirectoryError):
            return "it was moved or deleted"
        return "another file has its name"

    def _resized(self) -> str | None:
        size = self._stat().st_size
        if self._length is None or size == self._length:
            return None
        return "it is longer" if size > self._length else "it is shorter"

    def _stat(self) -> os.stat_result:
        return os.fstat(self.file.fileno())

    def _changed(self, cause: str) -> CliError:
        return CliError(f"{self.name} has changed since it was first read ({cause}): {self.remedy}", Exit.STOPPED)


@final
class _Reader(io.RawIOBase):
    """Reads the blocks of a file in order."""

    def __init__(self, blocks: FileBlocks) -> None:
        self._blocks = blocks
        self._number = 0
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        if not self._rest:
            self._rest = memoryview(b"")  # releases the block before the next one is read
            self._rest = memoryview(self._blocks.read(self._number))
            self._number += 1
        view = memoryview(buffer).cast("B")
        count = min(len(view), len(self._rest))
        view[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def _digest(block: bytes) -> bytes:
    return blake2b(block, digest_size=16).digest()


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
    _blocks: FileBlocks

    def rows(self) -> Iterator[InputRow]:
        """Yield the rows from the beginning."""
        return _csv_rows(self._blocks, self) if self.file_format == "csv" else _jsonl_rows(self._blocks)

    def digest(self) -> str:
        """Return a hash of the whole file as it is stored."""
        return self._blocks.digest()

    @property
    def has_mark(self) -> bool:
        """Whether the file begins with a byte order mark, as files that are written for a spreadsheet do."""
        return self._blocks.read(0).startswith(_BOM)

    def check(self) -> None:
        """Raise CliError if the file has changed since it was first read."""
        self._blocks.check()

    def is_same_file(self, other: os.stat_result) -> bool:
        """Return whether *other* is the file from which the rows are read."""
        return self._blocks.is_same_file(other)


def format_of(path: str) -> FileFormat | None:
    """Return the format of a file by its extension; None if the extension is unknown."""
    return _FORMATS.get(Path(path).suffix.lower())


@contextmanager
def open_input(
    path: str, *, file_format: FileFormat | None = None, delimiter: str | None = None, remedy: str = CONTINUE
) -> Iterator[InputFile]:
    """Open the file at *path*, or standard input for `-`, and read it once to its end.

    *remedy* is what the user can do if the file changes after that.
    Input that is not a regular file is first copied into an unnamed temporary file.
    """
    name = "standard input" if path == "-" else path
    with ExitStack() as stack:
        try:
            blocks = stack.enter_context(_open_blocks(path, name, remedy))
            table = _inspect(blocks, file_format or format_of(path), delimiter)
        except OSError as error:
            raise cannot_read(name, error) from None
        yield table


@contextmanager
def _open_blocks(path: str, name: str, remedy: str) -> Iterator[FileBlocks]:
    if path == "-":
        with _copy(sys.stdin.buffer) as copy:
            yield FileBlocks(name, copy)
        return
    with Path(path).open("rb", buffering=0) as file:
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            yield FileBlocks(name, file, path, remedy)
            return
        with _copy(file) as copy:
            yield FileBlocks(name, copy)


@contextmanager
def _copy(source: IO[bytes]) -> Iterator[IO[bytes]]:
    with TemporaryFile(buffering=0) as copy:
        shutil.copyfileobj(source, copy, BLOCK)
        yield copy


def _inspect(blocks: FileBlocks, file_format: FileFormat | None, delimiter: str | None) -> InputFile:
    name = blocks.name
    lines = (line for _, line in _lines(blocks) if line.strip())
    head = next(lines, "").lstrip()
    if not head:
        raise CliError(f"{name} is empty: there is nothing to send")
    if file_format != "csv" and head.startswith("["):
        raise CliError(f"{name} is one JSON array: write one object per line, for example with `jq -c '.[]'`")
    file_format = file_format or ("jsonl" if head.startswith("{") else "csv")
    if file_format == "jsonl":
        table = InputFile(name, file_format, ",", (), 0, blocks)
    else:
        delimiter = delimiter or max(",;\t", key=_without_quoted(head).count)
        header = next(_records(blocks, delimiter))[1]
        table = InputFile(name, file_format, delimiter, _parse_header(header, name), 0, blocks)
    return _count_rows(table)


def _count_rows(table: InputFile) -> InputFile:
    found = dict.fromkeys(table.columns)
    count = 0
    for row in table.rows():
        count += 1
        if table.file_format == "jsonl" and len(found) < MOST_COLUMNS:
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


def _csv_rows(blocks: FileBlocks, table: InputFile) -> Iterator[InputRow]:
    records = _records(blocks, table.delimiter)
    _ = next(records)
    columns, width = table.columns, len(table.columns)
    for number, (line, cells) in enumerate(records, 1):
        if len(cells) == width:
            yield InputRow(number, line, dict(zip(columns, cells, strict=True)))
        else:
            problem = f"has {len(cells)} cells where the header has {width}: is a delimiter not quoted?"
            yield InputRow(number, line, problem=problem, cells=tuple(cells))


def _records(blocks: FileBlocks, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader((line for _, line in _lines(blocks)), delimiter=delimiter, strict=True)
    line = 1
    try:
        for cells in reader:
            if cells:
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise CliError(f"{blocks.name}: line {line} is not CSV ({error}): is a quote not closed?") from None


def _jsonl_rows(blocks: FileBlocks) -> Iterator[InputRow]:
    number = 0
    for line, text in _lines(blocks):
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


def _lines(blocks: FileBlocks) -> Iterator[tuple[int, str]]:
    name, file = blocks.name, blocks.open()
    number = 0
    while raw := file.readline(_LONGEST_LINE):
        number += 1
        if len(raw) == _LONGEST_LINE:
            raise CliError(f"{name}: line {number} is longer than {_LONGEST_LINE >> 20} MB: is it CSV or JSONL?")
        try:
            yield number, (raw.removeprefix(_BOM) if number == 1 else raw).decode()
        except UnicodeDecodeError as error:
            raise CliError(f"{name}: line {number} is not UTF-8 ({error.reason}): save the file as UTF-8") from None
