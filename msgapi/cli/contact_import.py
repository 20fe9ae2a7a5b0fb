"""The import of contacts from a file, in calls of up to 10,000 rows.

Rules:
- One bad row costs one row. It is named by its line and by the column of the file, and no value is shown.
- The counts of all outcomes add up to the rows of the file, however the import ends.
- The service does not create an email twice, but the docs do not say that of a phone. So nothing is repeated
  automatically that may have been done, and the outcome of such a call is reported as unknown.
"""

import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from signal import Signals
from typing import Final, final

import anyio
from attrs import define, field, frozen

from .. import contacts
from ..calls import Caller
from ..concurrency import background
from ..contacts import IMPORT_ROW, MAX_IMPORT_ROWS, ImportRow
from ..recipients import RecipientKind, RefusedRecipient, normalize
from ..redact import mask
from ..results import ApiError, Invalid, Ok, Unprocessable
from .advice import NO_COUNTRY, describe, status_of
from .batch.calls import SeenHashes
from .batch.values import RowWarnings, Unfilled, as_text
from .connection import open_signals, stop_signals
from .files.rows import FirstPass, InputRow, ReadingOptions, is_data, list_columns, matching_columns, recipient_columns
from .files.tables import InputFile, InputSource, open_input
from .output import CliError, Exit, counted, note

FIELDS: Final = ("email", "phone", "first_name", "last_name")
"""The fields of a contact that an import takes."""
_RECIPIENTS: Final[tuple[RecipientKind, ...]] = ("email", "phone")
MAX_SHOWN: Final = 1_000  # refused rows that are kept for the report
_MAX_COLUMNS: Final = 10  # that are named
_SECOND_TRIES: Final = 20  # of one call, each without the rows that the service has named
_ROW: Final = re.compile(r"(?:\$\.)?contacts\[([0-9]{1,6})\](?:\.(\w+))?")


@final
@frozen(kw_only=True)
class RefusedRow:
    """A row that is not imported: its *line* in the file, and why."""

    line: int
    message: str


@final
@frozen(kw_only=True)
class ImportOptions:
    """How a file is imported.

    *columns* has the column of each field; None for one that has the name of the field. *region* is the country of
    phone numbers without a country code, *start_line* the first line whose row is imported, *chunk* the rows of one
    call.
    """

    columns: Mapping[str, str | None]
    region: str | None = None
    start_line: int = 1
    chunk: int = MAX_IMPORT_ROWS


@final
@define(eq=False)
class ContactImport:
    """One import: the outcomes of the rows of *table* so far.

    - *imported*: new contacts. *existing*: the service skipped them, since their email exists.
    - *refused*: not valid, or refused by the service; the first of them are *rows*.
    - *duplicates*: the same email, or the same phone without an email, as an earlier row; not sent.
    - *empty*: rows without any value. *before*: rows before the start line.
    - *warnings*: rows whose names may be damaged.
    - *unknown*: the rows of a call whose outcome is unknown, on *unknown_lines*; *phones* of them have no email.

    *interrupted* is True if a signal has ended it: not if the rows were all done by then.
    """

    table: InputFile
    options: ImportOptions
    columns: Mapping[str, str]
    imported: int = 0
    existing: int = 0
    refused: int = 0
    duplicates: int = 0
    empty: int = 0
    before: int = 0
    valid: int = 0
    unknown: int = 0
    phones: int = 0
    unknown_lines: tuple[int, int] | None = None
    next_line: int | None = None
    error: ApiError | None = None
    interrupted: bool = False
    _stopping: bool = field(default=False, init=False)
    rows: list[RefusedRow] = field(factory=list)
    warnings: RowWarnings = field(factory=RowWarnings)

    @property
    def not_imported(self) -> int:
        """The number of rows that were not sent, since the import ended before."""
        done = self.imported + self.existing + self.refused + self.duplicates + self.empty + self.before + self.unknown
        return self.table.count - done

    def notices(self) -> Iterator[str]:
        """Yield which columns and rows of the file are used."""
        yield _describe_columns(self.table, self.columns)
        yield from self.table.left_out_lines()

    def check(self) -> None:
        """Check all rows, and send nothing."""
        self.valid = sum(len(chunk) for chunk in self._chunks())

    async def send(self, api: Caller) -> None:
        """Import the rows. A first signal ends the import after the call in flight, a second one at once."""
        with open_signals(*stop_signals()) as signals, anyio.CancelScope() as scope:
            async with background(partial(self._listen, signals, scope)):
                await self._send(api)

    async def _listen(self, signals: AsyncIterator[Signals], scope: anyio.CancelScope) -> None:
        _ = await anext(signals)
        self._stopping = True
        note("stopping after the call in flight; press Ctrl-C again to stop at once")
        _ = await anext(signals)
        self.interrupted = True
        scope.cancel()

    async def _send(self, api: Caller) -> None:
        for chunk in self._chunks():
            first, last = chunk[0][0], chunk[-1][0]
            if self._stopping:
                self.interrupted, self.next_line = True, first
                return
            # The outcome is unknown until the answer is read, also if this is cancelled.
            self.unknown, self.unknown_lines = len(chunk), (first, last)
            self.phones = sum(row.email is None for _, row in chunk)
            error = await self._send_chunk(api, chunk)
            if error is not None:
                self.error = error
                if not error.may_have_happened:
                    self._settle()
                    self.next_line = first
                return
            self._settle()
            note(f"{_span(first, last)} done: {counted(self.imported, 'contact')} imported so far")

    def _settle(self) -> None:
        self.unknown, self.phones, self.unknown_lines = 0, 0, None

    async def _send_chunk(self, api: Caller, chunk: list[tuple[int, ImportRow]]) -> ApiError | None:
        """Import one *chunk*. Return the error after which the import cannot continue."""
        reason = ""
        for _ in range(_SECOND_TRIES):
            (call,) = contacts.import_contacts([row for _, row in chunk])
            result = await api(call)
            if isinstance(result, Ok):
                imported = max(0, min(result.value.imported, len(chunk)))
                self.imported += imported
                self.existing += len(chunk) - imported
                return None
            if not isinstance(result, Invalid | Unprocessable) or result.scope == "foreign" or result.may_have_happened:
                return result
            named = self._named(result, len(chunk))
            for at, message in named.items():
                self._refuse(chunk[at][0], message)
            left = [row for at, row in enumerate(chunk) if at not in named]
            self.unknown, chunk = len(left), left
            if not chunk:
                return None
            reason = describe(result)
            if not named:
                break
        for line, _ in chunk:
            self._refuse(line, f"its call was refused: {reason}")
        return None

    def _named(self, error: Invalid | Unprocessable, size: int) -> dict[int, str]:
        # The service names a row by its place in the call.
        named: dict[int, str] = {}
        for detail in error.details:
            found = _ROW.fullmatch(detail.field)
            if found and int(found[1]) < size:
                column = self.columns.get(found[2] or "", found[2] or "")
                _ = named.setdefault(int(found[1]), mask(f"{column} {detail.message}".strip()))
        return named

    def _chunks(self) -> Iterator[list[tuple[int, ImportRow]]]:
        seen, chunk = SeenHashes(self.table.count), list[tuple[int, ImportRow]]()
        for row in self.table.rows():
            read = self._read(row)
            repeated = isinstance(read, ImportRow) and seen.add(
                f"p{read.phone}" if read.email is None else f"e{read.email.casefold()}"
            )
            if row.line < self.options.start_line:
                self.before += 1
            elif read is None:
                self.empty += 1
            elif isinstance(read, str):
                self._refuse(row.line, read)
            elif repeated:
                self.duplicates += 1
            else:
                chunk.append((row.line, read))
            if len(chunk) == self.options.chunk:
                yield chunk
                chunk = []
        if chunk:
            yield chunk

    def _read(self, row: InputRow) -> ImportRow | str | None:
        """Return the contact of *row*, or what is wrong with it, or None if it is empty."""
        if row.problem is not None:
            return row.problem
        columns, values = self.columns, dict[str, str | None]()
        self.warnings.line = row.line
        for name, column in columns.items():
            try:
                found = self._value(name, column, row.values.get(column))
            except Unfilled as error:
                return str(error)
            if isinstance(found, RefusedRecipient):
                return f"{column} {NO_COUNTRY if found.reason == 'no_country' else found.message}"
            values[name] = found
        if not any(values.values()) and not any(map(_has_value, row.values.values())):
            return None
        read = ImportRow(**values)
        details = IMPORT_ROW.check(read)
        said = [f"{columns.get(one.field, one.field)} {one.message}".strip() for one in details]
        return "; ".join(said) if said else read

    def _value(self, name: str, column: str, value: object) -> str | RefusedRecipient | None:
        # Returns a value as it is imported into the field of this name; None if it is empty.
        if name not in _RECIPIENTS:
            return self.warnings.read(column, value) or None
        text = as_text(column, value).strip()
        if not text:
            return None
        found = normalize(text, self.options.region, kind="email" if name == "email" else "phone")
        return found if isinstance(found, RefusedRecipient) else found.text

    def _refuse(self, line: int, message: str) -> None:
        self.refused += 1
        if len(self.rows) < MAX_SHOWN:
            self.rows.append(RefusedRow(line=line, message=message))


@contextmanager
def open_import(path: str, reading: ReadingOptions, options: ImportOptions) -> Iterator[ContactImport]:
    """Open the file at *path* and return its import. Raise CliError if it cannot be read, or lacks a column."""
    with open_input(path, reading) as source:
        columns = find_columns(source, options.columns)
        table = source.scan(FirstPass(used=frozenset(columns.values())))
        yield ContactImport(table, options, columns)


def _has_value(value: object) -> bool:
    return value is not None and (not isinstance(value, str) or bool(value.strip()))


def find_columns(table: InputFile | InputSource, given: Mapping[str, str | None]) -> dict[str, str]:
    """Return the column of each field: the *given* one, or the one that has the name of the field.

    Names are matched by `matching_columns`. Raise CliError if a given column does not exist, or if there is no column
    of emails or phones.
    """
    found: dict[str, str] = {}
    for name in FIELDS:
        wanted, option = given.get(name), f"--{name.replace('_', '-')}-column"
        columns = matching_columns(table.columns, name if wanted is None else wanted)
        if wanted is not None and not columns:
            raise CliError(f"{table.name} has no column {wanted} ({option}). {_shown(table)}")
        if len(set(columns)) < len(columns):
            raise CliError(f"{table.name} has the column {columns[0]} twice: give each column a name of its own")
        if len(columns) > 1:
            raise CliError(f"{table.name} has the columns {' and '.join(columns)}: name one with {option}")
        if columns:
            found[name] = columns[0]
    if not found.keys() & set(_RECIPIENTS):
        raise CliError(f"{table.name} has no column email or phone. {_proposal(table, found) or _shown(table)}")
    return found


def _describe_columns(table: InputFile, columns: Mapping[str, str]) -> str:
    used = ", ".join(f"{column} as {name}" for name, column in columns.items())
    left = [column for column in table.columns if column and column not in columns.values()]
    shown = ", ".join(left[:_MAX_COLUMNS]) + (", ..." if len(left) > _MAX_COLUMNS else "")
    proposal = _proposal(table, columns)
    return mask(f"imports {used}" + (f"; leaves out {shown}" if left else "") + (f". {proposal}" if proposal else ""))


def _span(first: int, last: int) -> str:
    return f"line {first:,}" if first == last else f"lines {first:,} to {last:,}"


def _proposal(table: InputFile | InputSource, known: Mapping[str, str]) -> str:
    # The options for fields that are not *known*, though columns have usual names of theirs.
    left = [column for column in table.columns if column not in known.values()]
    found = [(name, column) for name in _RECIPIENTS if name not in known for column in recipient_columns(left, name)]
    options = ", ".join(f"--{name}-column {column!r}" for name, column in found)
    return f"If these columns hold them: {options}" if options else ""


def _shown(table: InputFile | InputSource) -> str:
    if any(is_data(column) or mask(column) != column for column in table.columns):
        return "Its first line looks like a contact: the line that names the columns is missing"
    return f"Its columns: {list_columns(table.columns)}"


def exit_status(done: ContactImport) -> Exit:
    """Return the exit status: 0 if every row was taken, 1 if some were refused, 3 if the import can be continued."""
    if done.interrupted:
        return Exit.INTERRUPTED
    if done.error is not None:
        return Exit.CONFIGURATION if status_of(done.error) is Exit.CONFIGURATION else Exit.STOPPED
    return Exit.REFUSED if done.refused else Exit.ACCEPTED


def continuation(done: ContactImport) -> list[str]:
    """Return sentences about what is unknown and how to continue; empty if every row has an outcome."""
    said = []
    if done.error is not None:
        said.append(f"stopped by {describe(done.error)}")
    if done.unknown_lines is not None:
        first, last = done.unknown_lines
        said.append(f"{_span(first, last)} may have been imported: there is no answer that says so")
        said.append(
            f"{counted(done.phones, 'row', 'have')} no email and may be there twice if you repeat these lines: look "
            f"for the contact first, or continue after them with --start-line {last + 1}"
            if done.phones
            else f"to repeat them and continue: --start-line {first}; a contact with an email is not created twice"
        )
    elif done.next_line is not None:
        said.append(f"to continue: --start-line {done.next_line}")
    return said
