"""The recipients of a file: normalised, and counted for the dry run and the summary.

Rules:
- An error names the column of the file, never the recipient.
- The counts are those of the last pass over the file.
"""

from array import array
from collections import Counter
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Final, final

from attrs import define, evolve, field, frozen

from ...recipients import CHANGES, RecipientChange, RecipientKind, RefusedRecipient, normalize
from ...results import Detail
from ..files.rows import require_column
from ..output import CliError, counted

_MOST_SHOWN: Final = 10
_STORED: Final = (1 << 32) - 1  # the bits of a hash that are stored
_LIBRARIES: Final = ("phonenumbers", "email_validator")


class RefusedCell(ValueError):
    """The recipient of a row is refused; *detail* names the column and says why."""

    def __init__(self, detail: Detail) -> None:
        """Create the error."""
        super().__init__(detail)
        self.detail = detail


@final
@frozen(kw_only=True)
class RegionOptions:
    """Where national numbers are from: the *region* of all of them, or that in the *column* of a row.

    An empty cell of the column means *region*.
    """

    region: str | None = None
    column: str | None = None

    def bind(self, columns: tuple[str, ...]) -> "RegionOptions":
        """Return the options for a file with these *columns*. Raise CliError if it lacks the column.

        Raise CliError if a library is not installed, too.
        """
        for library in _LIBRARIES:
            if find_spec(library) is None:
                raise CliError('recipients are checked by a library of an extra: pip install "msgapi-sdk[cli]"')
        if self.column is None:
            return self
        return evolve(self, column=require_column(columns, self.column, "--region-column"))

    def of(self, values: Mapping[str, object]) -> str | None:
        """Return the region of the row with these *values*; None if there is none."""
        given = "" if self.column is None else values.get(self.column)
        return given.strip() or self.region if isinstance(given, str) else self.region


@final
@define(eq=False, repr=False)
class RecipientReport:
    """What was found about the recipients of a file.

    - *normalized*: rows whose recipient was changed; *changes*: the same, by kind of change.
    - *metadata*: the version of phonenumberslite, if it has completed a number.
    - *shared*: rows with the recipient of an earlier row and another message; *shared_lines*: the first of them.
    """

    normalized: int = 0
    changes: Counter[RecipientChange] = field(factory=Counter)
    metadata: str | None = None
    shared: int = 0
    shared_lines: list[int] = field(factory=list)

    def lines(self) -> list[str]:
        """Return the lines for people; none if there is nothing to report."""
        found = []
        if self.normalized:
            kinds = "; ".join(f"{text}: {self.changes[one]:,}" for one, text in CHANGES.items() if self.changes[one])
            found.append(f"recipients normalised in {counted(self.normalized)} ({kinds})")
        if self.shared:
            more = ", ..." if self.shared > len(self.shared_lines) else ""
            where = ", ".join(map(str, self.shared_lines))
            found.append(
                f"the same recipient as an earlier row, with another message: {self.shared:,} (line {where}{more})"
            )
        return found

    def facts(self) -> dict[str, object]:
        """Return the report as plain JSON."""
        return {
            "normalized": self.normalized,
            "normalized_by": {one: self.changes[one] for one in CHANGES if self.changes[one]},
            "same_recipient": self.shared,
            "same_recipient_lines": self.shared_lines,
        }


@final
@define(eq=False, repr=False)
class RecipientReader:
    """Reads the recipients of the rows of one file.

    *report* is about the pass that `begin` has begun last. *on_metadata* is called with the version of phonenumberslite
    when that completes the first number of a pass.
    """

    options: RegionOptions = field(factory=RegionOptions)
    report: RecipientReport = field(factory=RecipientReport, init=False)
    on_metadata: Callable[[str], None] | None = field(default=None, init=False)
    _row: object = field(default=None, init=False)
    _slots: "array[int]" = field(factory=lambda: array("I"), init=False)

    def begin(self, rows: int) -> None:
        """Begin a pass over the file, of up to so many *rows*."""
        self.report = RecipientReport()
        self._row = None
        self._slots = array("I", bytes(4 * (rows + rows // 2 + 1)))

    def read(self, text: str, kind: RecipientKind, column: str, values: Mapping[str, object]) -> str:
        """Return the normalised recipient *text* of a *column* of the row *values*; raise RefusedCell if it is none."""
        region = None if kind == "email" else self.options.of(values)
        found = normalize(text, region, kind=kind)
        if isinstance(found, RefusedRecipient):
            raise RefusedCell(Detail(column, self._explain(found)))
        if found.changes:
            self._count(found.changes, values)
            if found.metadata is not None and self.report.metadata is None:
                self.report.metadata = found.metadata
                if self.on_metadata is not None:
                    self.on_metadata(found.metadata)
        return found.text

    def _count(self, changes: tuple[RecipientChange, ...], values: object) -> None:
        if values is not self._row:  # a row with a fallback has two recipients
            self.report.normalized += 1
            self._row = values
        self.report.changes.update(changes)

    def _explain(self, found: RefusedRecipient) -> str:
        match found.reason:
            case "no_country" if self.options.region is None:
                column = "--region-column COLUMN" if self.options.column is None else f"fill {self.options.column}"
                return (
                    "has no country code: write it with + and the country code, or give its country by --region DE or "
                    f"{column}"
                )
            case "unknown_region":
                return (
                    f"has no country code, and {self.options.column} is not a country that is known: use a code of two "
                    "letters, such as DE"
                )
            case _:
                return found.message

    def add(self, recipient: str, line: int) -> None:
        """Add the *recipient* of a row that may be sent and is not a duplicate, to find others with the same one.

        Two recipients are taken for the same with a probability of 1 in 2,000 for a million rows.
        """
        slots, digest = self._slots, hash(recipient)
        stored, at = digest & _STORED or 1, (digest >> 32) % len(slots)
        while (found := slots[at]) and found != stored:
            at -= 1  # goes on at the end, since a third of the slots is free
        if not found:
            slots[at] = stored
            return
        self.report.shared += 1
        if len(self.report.shared_lines) < _MOST_SHOWN:
            self.report.shared_lines.append(line)
