"""Rows, the conditions that they have to meet, and what the first pass over them finds."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal, TypeAlias, final

from attrs import define, field, frozen

from ..outcomes import CliError
from .columns import check_header, find_column, list_columns

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
    """Rows with a cell that has a line break: how many have it in a cell that is *used*, and the *lines* of the first.

    *doubtful*: the first and last lines of rows with such a cell that is not used, and looks like another row.
    """

    used: int = 0
    lines: list[int] = field(factory=list)
    doubtful: list[tuple[int, int]] = field(factory=list)

    def add_used(self, line: int) -> None:
        """Count a row that begins on *line*."""
        self.used += 1
        if len(self.lines) < _MOST_LINES:
            self.lines.append(line)

    def add_doubtful(self, line: int, end: int) -> None:
        """Keep the lines of a row, if it is one of the first."""
        if len(self.doubtful) < _MOST_LINES:
            self.doubtful.append((line, end))


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
