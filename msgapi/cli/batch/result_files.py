"""The files of --results and --failed, written as rows end.

Rules:
- The files are created before anything is sent, readable by their owner only, and never over the input.
- Each row is flushed as it ends. If a file cannot be written any more, `failure` says so.
- Results contain no recipients unless --with-recipients is given.
- Only rows that were refused or are invalid are failed rows: they can be corrected and sent as a file of their own.
  Rows that were not sent, or may have been, are sent by the same command, which knows their keys.
- Failed rows in CSV have the delimiter and the byte order mark of the input, so that the same program opens both.
- The journal is not older than the failed rows of its batch. If it is, they were edited, and are not written over.
- A failed row is complete. It has no idempotency key but the one that the input has for it, since another content is
  another operation.
"""

import csv
import io
import os
import stat
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import BinaryIO, Final, final

import orjson
from attrs import define, field

from ...codec.json import to_plain
from ...journal import JournalRow, State
from ...journal.resumption import state_of
from ...messages import Accepted
from ...redact import mask
from ...results import Invalid, Ok, Result, Unprocessable
from ..files.rows import KEY, FileFormat, InputRow
from ..files.tables import InputFile, format_of
from ..output import CliError, RowOutcome, cannot_write
from .builder import own_key
from .counts import kind_of, recorded_kind

CHANNELS: Final = ("rcs", "email")
"""The channels of the legs of a row, if there is a fallback."""

_OWNER_ONLY: Final = 0o600
_SAME_TIME: Final = 2.0  # seconds; some file systems have no finer time stamps
_ACCEPTED: Final = RowOutcome.ACCEPTED.kind
_REPEATED: Final = RowOutcome.DUPLICATE.kind
_UNKNOWN: Final = RowOutcome.UNKNOWN.kind
_NOT_SENT: Final = RowOutcome.NOT_SENT_YET.kind
_EARLIER: Final = RowOutcome.SENT_EARLIER.value
_NOT_FAILED: Final = {_ACCEPTED, _REPEATED, RowOutcome.CHANGED.kind}
_FAILED: Final = {State.REFUSED, State.INVALID}
_NEVER_SENT: Final = {State.INVALID, State.CHANGED}


@final
@define(eq=False, repr=False)
class ResultFiles:
    """Writes the outcome of each row of *table*. One file may be missing; *refused* counts the failed rows.

    With *shows_channels* the results say over which channel a row was sent, or refused.
    """

    table: InputFile
    to_column: str
    with_recipients: bool = False
    shows_channels: bool = field(default=False, init=False)
    failure: str | None = None
    refused: int = field(default=0, init=False)
    _results: "_File | None" = field(default=None, kw_only=True, alias="results")
    _failed: "_File | None" = field(default=None, kw_only=True, alias="failed")

    def begin(self) -> None:
        """Write the header of the failed rows. Raise CliError if that fails."""
        if self._failed is not None and self._failed.file_format == "csv":
            self._write(self._failed, self._failed.header(self.table))
        if self.failure is not None:
            raise CliError(self.failure)

    def write_result(self, row: InputRow, key: str | None, result: Result[Accepted]) -> None:
        """Write the *result* of *row* and, if it was sent, its idempotency *key*."""
        key = None if result.meta.attempts == 0 else key
        line = self._facts(row, kind_of(result), key) | _result_facts(result, self.with_recipients)
        line |= self._channel(result.meta.leg) if result.meta.attempts else {}
        self._write(self._results, orjson.dumps(line))
        if line["kind"] not in _NOT_FAILED and state_of(result, maybe_sent=False) is State.REFUSED:
            self._write_failed(row)

    def write_interrupted(self, row: InputRow, key: str | None) -> None:
        """Write that *row* may have been sent with *key*: its request was canceled before the answer."""
        self._write(self._results, orjson.dumps(self._facts(row, _UNKNOWN, key)))

    def write_not_sent(self, row: InputRow) -> None:
        """Write that *row* was not sent yet."""
        self._write(self._results, orjson.dumps(self._facts(row, _NOT_SENT, None)))

    def write_recorded(self, row: InputRow, line: JournalRow, key: str) -> None:
        """Write the outcome of *row* from a *line* of a journal; *key* is its idempotency key."""
        if line.kind is None and line.state is State.NOT_SENT:  # to be sent again, with another request
            self.write_not_sent(row)
            return
        kind = recorded_kind(line.kind, line.code) or _UNKNOWN
        found: dict[str, object] = {"status": line.status}
        if kind == _ACCEPTED:
            found[_EARLIER] = True
            found |= {"message_id": line.message_id, "unit": line.unit, "price": _number(line.price)}
            found["hold"] = _number(line.hold)
        else:
            found |= {"code": line.code, "message": line.message}
            found["may_have_happened"] = line.state in {State.STARTED, State.UNKNOWN, State.ACCEPTED}
        found |= {} if line.state in _NEVER_SENT else self._channel(line.leg)
        sent_key = None if line.state in _NEVER_SENT else key
        self._write(self._results, orjson.dumps(self._facts(row, kind, sent_key) | found))
        if kind != _REPEATED and line.state in _FAILED:
            self._write_failed(row)

    def _facts(self, row: InputRow, kind: str, key: str | None) -> dict[str, object]:
        facts: dict[str, object] = {"row": row.number, "line": row.line}
        if "id" in row.values:
            facts["id"] = row.values["id"]
        if self.with_recipients:
            facts["to"] = row.values.get(self.to_column)
        return facts | {"kind": kind, KEY: key}

    def _channel(self, leg: int) -> dict[str, object]:
        return {"channel": CHANNELS[leg - 1]} if self.shows_channels else {}

    def _write_failed(self, row: InputRow) -> None:
        self.refused += 1
        if self._failed is not None:
            self._write(self._failed, self._failed.row(row, self.table, own_key(row) or ""))

    def _write(self, file: "_File | None", line: bytes) -> None:
        if file is not None and self.failure is None:
            try:
                file.write(line)
            except OSError as error:
                self.failure = cannot_write(file.name, error)


def _number(amount: str | None) -> object:
    return None if amount is None else to_plain(Decimal(amount))


def _result_facts(result: Result[Accepted], with_recipients: bool) -> dict[str, object]:  # noqa: FBT001 - private
    shown = str if with_recipients or (isinstance(result, Invalid) and result.own_words) else mask
    found: dict[str, object] = {"status": result.meta.status, "attempts": result.meta.attempts}
    if isinstance(result, Ok):
        billing = result.value.billing
        return found | {
            "message_id": result.value.message_id,
            "unit": billing.message_type,
            "price": to_plain(billing.message_price),
            "hold": to_plain(billing.hold_amount),
        }
    found |= {"code": result.code, "message": shown(result.message), "may_have_happened": result.may_have_happened}
    if isinstance(result, Invalid | Unprocessable):
        found["details"] = [{"field": one.field, "message": shown(one.message)} for one in result.details]
    return found


@final
@define(eq=False, repr=False)
class _File:
    name: str
    file_format: FileFormat
    _file: BinaryIO
    _delimiter: str = ","
    _text: io.StringIO = field(factory=io.StringIO)

    def write(self, line: bytes) -> None:
        _ = self._file.write(line + b"\n")
        self._file.flush()

    def header(self, table: InputFile) -> bytes:
        cells = self._cells((*(name for name in table.columns if name != KEY), KEY))
        return BOM_UTF8 + cells if table.mark else cells

    def row(self, row: InputRow, table: InputFile, key: str) -> bytes:
        # A row that could not be read is written so that it cannot be read the next time either: with a wrong
        # number of cells, or as JSON that is not an object.
        if self.file_format == "csv" and table.file_format == "csv":
            return self._cells(_with_key(row, table.columns, key))
        if self.file_format == "csv":
            names = [name for name in table.columns if name != KEY]
            if row.problem is not None:
                return self._cells((*("" for _ in names), "", *row.cells))
            return self._cells((*(_cell(row.values.get(name)) for name in names), key))
        if row.problem is not None:
            return row.cells[0].encode() if table.file_format == "jsonl" else orjson.dumps(row.cells)
        return orjson.dumps({**row.values, KEY: key})

    def _cells(self, cells: tuple[str, ...]) -> bytes:
        _ = self._text.seek(0)
        _ = self._text.truncate()
        _ = csv.writer(self._text, delimiter=self._delimiter).writerow(cells)
        return self._text.getvalue().removesuffix("\r\n").encode()


def _with_key(row: InputRow, columns: tuple[str, ...], key: str) -> tuple[str, ...]:
    # The cells of a row of CSV, in which the key is the last one. A row with a problem keeps it: cells that are missing
    # stay so, and those that are too many stay behind the last column.
    at = columns.index(KEY) if KEY in columns else len(columns)
    width = len(columns) - (at < len(columns))
    cells = row.cells[:at] + row.cells[at + 1 :] if at < len(columns) else row.cells
    if row.problem is None:
        return (*cells[:width], *("" for _ in range(width - len(cells))), key)
    return cells if len(cells) < width else (*cells[:width], "", *cells[width:])


def _cell(value: object) -> str:
    return value if isinstance(value, str) else "" if value is None else orjson.dumps(value).decode()


@contextmanager
def open_files(
    table: InputFile, to_column: str, *, results: str | None, failed: str | None, overwrite: bool, with_recipients: bool
) -> Iterator[ResultFiles]:
    """Create the files, and close them at exit. Raise CliError if one cannot be created."""
    if results and failed and Path(results).absolute() == Path(failed).absolute():
        raise CliError(f"--results and --failed are both {results}: give each a file of its own")
    if results and results.lower().endswith((".csv", ".tsv", ".xlsx")):
        raise CliError(
            f"--results writes JSONL, not {Path(results).suffix}: name its file .jsonl; "
            "`msgapi batch report JOURNAL --export csv` prints the rows as CSV"
        )
    results_file = failed_file = None
    with ExitStack() as stack:
        if results:
            results_file = _File(results, "jsonl", stack.enter_context(_create(results, table, overwrite)))
        if failed:
            delimiter = "\t" if failed.lower().endswith(".tsv") else table.delimiter
            file = stack.enter_context(_create(failed, table, overwrite))
            failed_file = _File(failed, format_of(failed) or table.file_format, file, delimiter)
        files = ResultFiles(table, to_column, with_recipients, results=results_file, failed=failed_file)
        files.begin()
        yield files


def is_newer(failed: str, journal: str) -> bool:
    """Return whether the file *failed* was written after the last run of the batch of *journal* had ended."""
    try:
        return Path(failed).stat().st_size > 0 and _written_at(failed) - _written_at(journal) > _SAME_TIME
    except OSError:  # there is only one of them
        return False


def mark_written(journal: str) -> None:
    """Set the time of *journal* to now: the files of its batch have been written. Ignore a failure."""
    with suppress(OSError):
        os.utime(journal)


def _written_at(path: str) -> float:
    # What is new in a journal is in a file beside it, until it is closed.
    wal = Path(f"{path}-wal")
    return max(Path(path).stat().st_mtime, wal.stat().st_mtime if wal.exists() else 0.0)


def create_file(path: str, *, overwrite: bool, source: str, is_source: Callable[[os.stat_result], bool]) -> BinaryIO:
    """Create the file *path* to write to, readable by its owner only.

    Raise CliError if there is a file that *is_source*, which *source* names, or, without *overwrite*, one that is not
    empty. Raise OSError if it cannot be created.
    """
    existing = Path(path).stat() if Path(path).exists() else None
    if existing is not None and is_source(existing):
        raise CliError(f"{path} is {source}: it would be overwritten")
    if existing is not None and stat.S_ISREG(existing.st_mode) and existing.st_size and not overwrite:
        raise CliError(f"{path} exists and is not empty: move it away, or use --overwrite")
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _OWNER_ONLY), "wb")


@contextmanager
def _create(path: str, table: InputFile, overwrite: bool) -> Iterator[BinaryIO]:  # noqa: FBT001 - private
    try:
        file = create_file(path, overwrite=overwrite, source="the input", is_source=table.is_same_file)
    except OSError as error:
        raise CliError(cannot_write(path, error)) from None
    try:
        yield file
    finally:
        with suppress(OSError):  # a failed flush was reported when the row was written
            file.close()
