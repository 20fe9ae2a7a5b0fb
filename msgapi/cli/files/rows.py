"""Rows and the conditions that they have to meet; names of columns, found as people write them.

Rules:
- A name is matched as it is written in the file, else regardless of case, spaces, hyphens, underscores and invisible
  characters. If several columns match, the name is refused: none of them is guessed.
- A usual name of a column of recipients is proposed, and never assumed.
- The first line of a file without a header is data: it is neither used nor printed.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from shlex import quote
from typing import Final, Literal, TypeAlias, final

from attrs import define, field, frozen

from ...codegen import constructor
from ...recipients import RecipientKind
from ...redact import HIDDEN
from ..output import CliError, counted

_MOST_SHOWN: Final = 40  # columns that an error lists
_LONGEST_NAME: Final = 80  # characters of a name that it shows
_IGNORED: Final = {"Zs", "Zl", "Zp", "Cc", "Cf", "Pd", "Pc"}  # spaces, controls, invisible characters, hyphens, _
_USUAL_WORDS: Final = re.compile(
    r"phone|mobil|telefon|handy|msisdn|rufnummer|cellular|celular|téléphone|telefono|teléfono|movil|móvil|e?mailadd?ress"
    r"|mailadresse|whatsapp|e164"
)
_USUAL_NAMES: Final = re.compile(
    r"to|recipients?|number|numero|número|nummer|cell(no|number)?|tel(no|nr)?|(primary)?e?mail(id|1value)?|sms(number)?|an|empfänger"
    r"|destinataires?|destinatarios?|portable|gsm"
)
_NOISE: Final = re.compile(r"[\s()./\u2010-\u2015-]|[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_PHONE: Final = re.compile(r"(?:tel:)?['\"=]*(?:\+|00)[0-9]{7,15}['\"]*|0[0-9]{6,13}|[0-9]{8,15}")
_EMAIL: Final = re.compile(r"(?:mailto:|[^<>]*<)?[^\s@<>]+@[^\s@<>]+\.[^\s@<>]+>?")
_DATE: Final = re.compile(r"\d{1,4}([./-])\d{1,2}\1\d{1,4}\D*")
_DATA: Final = re.compile(r"\+?[\d\s().,/:'-]+")
_NUMBER_INSIDE: Final = re.compile(r"(?:\+|\b00)[ (]*[1-9](?:[ ()./-]*\d){6,14}")  # with its country code
_DIGITS_INSIDE: Final = re.compile(r"\d(?:[ ()./-]{0,2}\d){6,}")
_FEWEST_DIGITS: Final = 4  # a shorter number may be the name of a column
EMAIL_OPTION: Final = "--fallback-email"


def fold(name: str) -> str:
    """Return *name* as it is compared: without case, spaces, hyphens, underscores and invisible characters."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return "".join(one for one in folded if unicodedata.category(one) not in _IGNORED)


def is_recipient(text: str) -> bool:
    """Return whether *text* looks like one phone number or e-mail address, however it is written."""
    text = text.strip()
    if "@" in text:
        return _EMAIL.fullmatch(text) is not None
    return _PHONE.fullmatch(_NOISE.sub("", text)) is not None and _DATE.fullmatch(text) is None


def is_data(name: str) -> bool:
    """Return whether *name* looks like a value rather than the name of a column."""
    if is_recipient(name) or ("@" in name and "." in name) or _NUMBER_INSIDE.search(name):
        return True
    return _DATA.fullmatch(name) is not None and sum(map(str.isdigit, name)) >= _FEWEST_DIGITS


def list_columns(columns: Iterable[str]) -> str:
    """Return the names of *columns* for a message. What may be, or contain, a value is hidden; a long name is cut."""
    names = [_shown(name) for name in columns if name]
    more = len(names) - _MOST_SHOWN
    return ", ".join([*names[:_MOST_SHOWN], *([f"and {more:,} more"] if more > 0 else [])])


def _shown(name: str) -> str:
    if is_data(name) or _DIGITS_INSIDE.search(name):
        return HIDDEN
    return name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}..."


def matching_columns(columns: Sequence[str], name: str) -> list[str]:
    """Return those of *columns* that *name* means: of exactly that name, else of one that is equal when compared.

    A column that is there several times is returned as often.
    """
    if name in columns:
        return [name] * columns.count(name)
    wanted = fold(name)
    return [one for one in columns if wanted and fold(one) == wanted]


def find_column(columns: Sequence[str], name: str) -> str | None:
    """Return the one of *columns* that *name* means; None if there is none. Raise CliError if there are several."""
    found = matching_columns(columns, name)
    different = list(dict.fromkeys(found))
    if len(different) > 1:
        raise CliError(f"{name} may be the column {' or '.join(map(repr, different))}: write it exactly as in the file")
    if len(found) > 1:
        raise CliError(f"the column {found[0]} is there twice: give each column that is used a name of its own")
    return found[0] if found else None


def require_column(columns: Sequence[str], name: str, option: str, purpose: str = "") -> str:
    """Return the one of *columns* that *name* means, *option* being where it was named.

    Raise CliError if there is none. If *purpose* is given, columns for recipients are proposed.
    """
    found = find_column(columns, name)
    if found is not None:
        return found
    check_header(columns)
    likely = recipient_columns(columns, "email" if option == EMAIL_OPTION else None) if purpose else []
    if likely:
        hint = f"{purpose}: try {' or '.join(f'`{option} {quote(one)}`' for one in likely)}"
    else:
        hint = f"{purpose}: name it with {option}" if purpose else f" ({option})"
        if sum(map(bool, columns)) == 1:
            hint += (
                ", unless the header is on another line, --delimiter is missing, or each line is in quotes as a whole"
            )
    raise CliError(f"there is no column {name}{hint}; the columns are: {list_columns(columns)}")


def recipient_columns(columns: Iterable[str], kind: RecipientKind | None = None, *, most: int = 3) -> list[str]:
    """Return up to *most* of *columns* whose names are usual for recipients: of any kind, or only of *kind*."""
    folded = ((name, fold(name).replace(".", "")) for name in columns if not is_data(name))
    likely = ((name, text) for name, text in folded if _USUAL_NAMES.fullmatch(text) or _USUAL_WORDS.search(text))
    return [name for name, text in likely if kind is None or ("mail" in text) is (kind == "email")][:most]


def check_header(columns: Iterable[str]) -> None:
    """Raise CliError if *columns*, one of which was not found, look like a row: the file has no header."""
    if any(is_data(name) for name in columns):
        raise CliError(
            "the first line must be a header with the names of the columns, such as to,name, but it looks like a row: "
            "add the header as the first line"
        )


FileFormat: TypeAlias = Literal["csv", "jsonl"]
KEY: Final = "idempotency_key"
"""The column of the idempotency keys. A column that matches this name has it in the rows."""

MOST_COLUMNS: Final = 1_000
"""Of JSON, as many columns are gathered."""

_MOST_LINES: Final = 10  # line numbers that are kept


@final
@frozen(kw_only=True)
class ReadingOptions:
    """How a file is read. What is None is found by the content.

    - *delimiter*: one character, or a name such as `tab`; *encoding*: the name of a codec; *sheet*: of a workbook.
    - *where*: conditions `COLUMN=VALUE` that a row has to meet; other rows are left out.
    - *expected*: a column that the file probably has, by which the delimiter is found.
    """

    file_format: FileFormat | None = None
    delimiter: str | None = None
    encoding: str | None = None
    sheet: str | None = None
    where: tuple[str, ...] = ()
    expected: str | None = None


@final
@frozen(eq=False, repr=False)
class InputRow:
    """One row: its *number* from 1, the *line* on which it begins, and its values by column.

    A row with a *problem* has no values. *cells* is the text of the cells of a CSV or a sheet as read; of JSON, that of
    a line with a problem.
    """

    number: int
    line: int
    values: Mapping[str, object] = field(factory=dict)
    problem: str | None = None
    cells: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """Where the row is, for a message. Rows of JSON that share a line have their number, too."""
        return f"line {self.line}" if self.line >= self.number else f"line {self.line} (row {self.number})"


new_row: Final = constructor(InputRow)
"""Return an `InputRow` with these values: a faster constructor, for rows without a problem."""


@final
@frozen(kw_only=True)
class FirstPass:
    """What the first pass over the rows has to know.

    - *used*: the columns that are used; None: all of them.
    - *ids*: columns whose values *visit* gets, for each row that has no problem.
    """

    used: frozenset[str] | None = None
    ids: tuple[str, ...] = ()
    visit: Callable[[Sequence[object]], None] = field(default=lambda _: None)


@final
@define(eq=False)
class LineBreaks:
    """Rows with a cell that has a line break.

    *used* is the number of rows that have it in a cell that is used, and *lines* are the lines of the first of them.
    *suspect_rows* is the number of rows with such a cell that is not used, and looks like another row; *suspect* are
    the first and last lines of the first of them.
    """

    used: int = 0
    lines: list[int] = field(factory=list)
    suspect: list[tuple[int, int]] = field(factory=list)
    suspect_rows: int = 0

    def add_used(self, line: int) -> None:
        """Count a row that begins on *line*."""
        self.used += 1
        if len(self.lines) < _MOST_LINES:
            self.lines.append(line)

    def describe(self) -> Iterator[str]:
        """Yield a line for the cells that are used, and one for each row that may have another one in it."""
        if self.used:
            lines = ", ".join(map(str, self.lines)) + (", ..." if self.used > len(self.lines) else "")
            rows = f"{counted(self.used)} {'has' if self.used == 1 else 'have'}"
            yield f"{rows} a line break in a cell that is used: is it meant, or is a quote missing? (line {lines})"
        for first, last in self.suspect:
            yield (
                f"line {first}: the row continues to line {last}, and a column that is not used contains what looks "
                "like another row, which is not sent: is a quote missing?"
            )
        more = self.suspect_rows - len(self.suspect)
        if more:
            yield f"so {'does' if more == 1 else 'do'} {counted(more, 'more row')}"

    def add_suspect(self, line: int, end: int) -> None:
        """Count a row, and keep its lines if it is one of the first."""
        self.suspect_rows += 1
        if len(self.suspect) < _MOST_LINES:
            self.suspect.append((line, end))


@final
@frozen
class Conditions:
    """The *values* that columns must have, for a row to be sent. They are compared without case and outer spaces."""

    values: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, given: Sequence[str], columns: Sequence[str]) -> "Conditions":
        """Return the conditions *given* as `COLUMN=VALUE`. Raise CliError if there is no such column."""
        return cls(tuple(_parse(one, columns) for one in given))

    def __str__(self) -> str:
        """Return the conditions as they are given."""
        return " and ".join(f"{column}={value}" for column, value in self.values)

    def met_by(self, values: Mapping[str, object]) -> bool:
        """Return whether a row with these *values* meets all conditions."""
        return all(comparable(_as_text(values.get(column))) == value for column, value in self.values)


def comparable(text: str) -> str:
    """Return *text* as it is compared with the value of a condition."""
    return text.strip().casefold()


def _as_text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _parse(given: str, columns: Sequence[str]) -> tuple[str, str]:
    at = given.find("=")
    if at < 0:
        raise CliError(f"--where {given} is not COLUMN=VALUE: write, for example, --where consent=yes")
    while at >= 0:  # the name of a column may contain the sign
        column = find_column(columns, given[:at].strip())
        if column is not None:
            return column, comparable(given[at + 1 :])
        at = given.find("=", at + 1)
    check_header(columns)
    name = given.partition("=")[0].strip()
    raise CliError(f"there is no column {name} (--where); the columns are: {list_columns(columns)}")
