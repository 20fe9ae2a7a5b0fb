"""Ledger: the two files that account for every row, written as rows end.

Rules:
- The files are made before anything is sent, readable by their owner only, and never over the input.
- Each row is flushed as it ends. A file that cannot be written any more is said once, in `failure`.
- Results name no recipient unless asked to. A failed row is whole, so that it can be sent again; the
  key under which it went out makes that the same operation.
"""

import csv
import io
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import BinaryIO, Final, final

import orjson
from attrs import define, field

from .. import codec
from ..journal import JournalRow, State
from ..messages import Accepted
from ..redact import mask
from ..results import Invalid, Ok, Result, Unprocessable
from .draft import KEY, own_key
from .exits import Halt, unwritable
from .rows import Row, Shape, Table, shape_of
from .tally import DUPLICATE, kind_of

_OWNER_ONLY: Final = 0o600


@final
@define(eq=False, repr=False)
class Ledger:
    """Writes what became of each row of *table*; either file may be missing."""

    table: Table
    to_column: str
    with_recipients: bool = False
    failure: str | None = None
    _results: "_File | None" = field(default=None, kw_only=True, alias="results")
    _failed: "_File | None" = field(default=None, kw_only=True, alias="failed")

    def begin(self) -> None:
        """Write the header of the failed rows; a file that can't be written ends the program here."""
        if self._failed is not None and self._failed.shape == "csv":
            self._write(self._failed, self._failed.header(self.table))
        if self.failure is not None:
            raise Halt(self.failure)

    def settle(self, row: Row, key: str | None, result: Result[Accepted]) -> None:
        """Write the outcome of *row*, which went out under *key* unless it was never sent."""
        key = None if result.meta.attempts == 0 else key
        line = self._facts(row, kind_of(result), key) | _findings(result, self.with_recipients)
        self._write(self._results, orjson.dumps(line))
        if not isinstance(result, Ok) and line["kind"] != "Duplicate":
            self._keep(row, key)

    def lose(self, row: Row, key: str | None) -> None:
        """Write that *row* may have been sent under *key*: it was cut off before its answer."""
        self._write(self._results, orjson.dumps(self._facts(row, "Interrupted", key)))
        self._keep(row, key)

    def skip(self, row: Row) -> None:
        """Write that *row* was never sent."""
        self._write(self._results, orjson.dumps(self._facts(row, "Unsent", None)))
        self._keep(row, None)

    @property
    def wanted(self) -> bool:
        """Whether either file is asked for."""
        return self._results is not None or self._failed is not None

    def recall(self, row: Row, line: JournalRow, key: str) -> None:
        """Write what a journal's *line* says became of *row*, which goes out under *key*."""
        kind = "Interrupted" if line.kind is None else "Duplicate" if line.code == DUPLICATE else line.kind
        found: dict[str, object] = {"status": line.status}
        if kind == "Accepted":
            found |= {"message_id": line.message_id, "unit": line.unit, "price": _number(line.price)}
            found["hold"] = _number(line.hold)
        else:
            found |= {"code": line.code, "message": line.message}
            found["may_have_happened"] = line.state in {State.STARTED, State.UNKNOWN, State.ACCEPTED}
        under = None if line.state is State.INVALID else key
        self._write(self._results, orjson.dumps(self._facts(row, kind, under) | found))
        if kind not in {"Accepted", "Duplicate"}:
            self._keep(row, under)

    def _facts(self, row: Row, kind: str, key: str | None) -> dict[str, object]:
        facts: dict[str, object] = {"row": row.number, "line": row.line}
        if "id" in row.values:
            facts["id"] = row.values["id"]
        if self.with_recipients:
            facts["to"] = row.values.get(self.to_column)
        return facts | {"kind": kind, KEY: key}

    def _keep(self, row: Row, key: str | None) -> None:
        if self._failed is not None:
            self._write(self._failed, self._failed.row(row, self.table, key or own_key(row) or ""))

    def _write(self, file: "_File | None", line: bytes) -> None:
        if file is not None and self.failure is None:
            try:
                file.write(line)
            except OSError as error:
                self.failure = unwritable(file.name, error)


def _number(amount: str | None) -> object:
    return None if amount is None else codec.to_plain(Decimal(amount))


def _findings(result: Result[Accepted], with_recipients: bool) -> dict[str, object]:  # noqa: FBT001 - private
    shown = str if with_recipients else mask
    found: dict[str, object] = {"status": result.meta.status, "attempts": result.meta.attempts}
    if isinstance(result, Ok):
        billing = result.value.billing
        return found | {
            "message_id": result.value.message_id,
            "unit": billing.message_type,
            "price": codec.to_plain(billing.message_price),
            "hold": codec.to_plain(billing.hold_amount),
        }
    found |= {"code": result.code, "message": shown(result.message), "may_have_happened": result.may_have_happened}
    if isinstance(result, Invalid | Unprocessable):
        found["details"] = [{"field": one.field, "message": shown(one.message)} for one in result.details]
    return found


@final
@define(eq=False, repr=False)
class _File:
    name: str
    shape: Shape
    _file: BinaryIO
    _delimiter: str = ","
    _text: io.StringIO = field(factory=io.StringIO)

    def write(self, line: bytes) -> None:
        _ = self._file.write(line + b"\n")
        self._file.flush()

    def header(self, table: Table) -> bytes:
        return self._cells((*(name for name in table.columns if name != KEY), KEY))

    def row(self, row: Row, table: Table, key: str) -> bytes:
        # A row that could not be read is written so that it cannot be read the next time either:
        # with a cell too many or too few, or as JSON that is no object.
        if self.shape == "csv":
            if row.problem is not None:
                return self._cells(row.cells if table.shape == "jsonl" else (*row.cells, ""))
            values = (row.values.get(name) for name in table.columns if name != KEY)
            return self._cells((*(_cell(value) for value in values), key))
        if row.problem is not None:
            return row.cells[0].encode() if table.shape == "jsonl" else orjson.dumps(row.cells)
        return orjson.dumps({**row.values, KEY: key} if key else _without_key(row.values))

    def _cells(self, cells: tuple[str, ...]) -> bytes:
        _ = self._text.seek(0)
        _ = self._text.truncate()
        _ = csv.writer(self._text, delimiter=self._delimiter).writerow(cells)
        return self._text.getvalue().removesuffix("\r\n").encode()


def _without_key(values: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in values.items() if name != KEY}


def _cell(value: object) -> str:
    return value if isinstance(value, str) else "" if value is None else orjson.dumps(value).decode()


@contextmanager
def opened(
    table: Table, to_column: str, *, results: str | None, failed: str | None, overwrite: bool, with_recipients: bool
) -> Iterator[Ledger]:
    """Make the files for as long as the batch runs; one that cannot be made ends the program."""
    if results and failed and Path(results).absolute() == Path(failed).absolute():
        raise Halt(f"--results and --failed are both {results}: give each a file of its own")
    told = kept = None
    with ExitStack() as stack:
        if results:
            told = _File(results, "jsonl", stack.enter_context(_made(results, table, overwrite)))
        if failed:
            delimiter = "\t" if failed.lower().endswith(".tsv") else table.delimiter
            file = stack.enter_context(_made(failed, table, overwrite))
            kept = _File(failed, shape_of(failed) or table.shape, file, delimiter)
        ledger = Ledger(table, to_column, with_recipients, results=told, failed=kept)
        ledger.begin()
        yield ledger


@contextmanager
def _made(path: str, table: Table, overwrite: bool) -> Iterator[BinaryIO]:  # noqa: FBT001 - private
    try:
        there = Path(path).stat() if Path(path).exists() else None
        if there is not None and table.is_file(there):
            raise Halt(f"{path} is the input: it would be overwritten")
        if there is not None and stat.S_ISREG(there.st_mode) and there.st_size and not overwrite:
            raise Halt(f"{path} exists and is not empty: move it away, or give --overwrite")
        file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _OWNER_ONLY), "wb")
    except OSError as error:
        raise Halt(unwritable(path, error)) from None
    try:
        yield file
    finally:
        with suppress(OSError):  # what could not be flushed was said when the row was written
            file.close()
