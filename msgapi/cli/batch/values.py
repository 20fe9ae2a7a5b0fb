"""The values of the rows of a file: texts and recipients, checked and counted.

Rules:
- Spaces and invisible characters around a value are removed. A value of nothing else is empty.
- Control characters, damaged characters and the errors of spreadsheets are refused: no message contains them on
  purpose. What a person could be called, such as Null, is counted and sent.
- No text of this module quotes a value or a recipient: it names the column.
- The counts are those of the last pass over the file.
"""

import re
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from html.entities import html5
from importlib.util import find_spec
from typing import Final, final

from attrs import define, evolve, field, frozen

from ...recipients import CHANGES, RecipientChange, RecipientKind, RefusedRecipient, normalize
from ...results import Detail
from ..files.rows import require_column
from ..output import CliError, counted

MOST_LINES: Final = 10
_STORED: Final = (1 << 32) - 1  # the bits of a hash that are stored
_LIBRARIES: Final = ("phonenumbers", "email_validator")
_QUOTED: Final = (
    "is between apostrophes, as the other cells may be: export the file with double quotes, or without quotes"
)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_BLANK: Final = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0"
)
_ALL_BLANK: Final = re.compile(rf"[\s{_BLANK}]*")
# Characters that join their neighbours or set the direction of text are left where they are.
_AROUND: Final = "\u00ad\u180e\u200b\u2060\u2800\u3164\ufeff\uffa0"
_EDGES: Final = re.compile(rf"\A[\s{_AROUND}]+|[\s{_AROUND}]+\Z")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_DAMAGED: Final = re.compile("[\ufffd\ufffe\uffff\ud800-\udfff]")
_SPREADSHEET_ERRORS: Final = _words(
    """
    #N/A #REF! #NAME? #VALUE! #DIV/0! #NULL! #NUM! #SPILL! #CALC! #FIELD! #BLOCKED! #CONNECT! #BUSY! #UNKNOWN!
    #GETTING_DATA #PYTHON! #EXTERNAL! #ERROR! #NV #BEZUG! #WERT! #ZAHL! #ÜBERLAUF! #NOM? #VALEUR! #NOMBRE! #NUL!
    #¡REF! #¿NOMBRE? #¡VALOR! #¡DIV/0! #¡NULO! #¡NUM! #N/D #NOME? #VALOR! #NULO! #NÚM! #RIF! #VALORE! #VERW! #WAARDE!
    #DEEL/0! #GETAL! #NAAM? #NB #LEEG! #ADR! #ARG! #LICZBA! #NAZWA? #ZERO! #BRAK
    """
)
_NULL_WORDS: Final = _words(
    r"null (null) <null> [null] none nil nan <na> n/a #null undefined unknown n.a. \n - -- --- ?"
)
_LONGEST_NULL_WORD: Final = max(map(len, _NULL_WORDS))
_ENTITY: Final = re.compile(r"&(?:#\d{2,6}|#[xX][0-9a-fA-F]{2,5}|([A-Za-z]{2,8}));")

# UTF-8 that was read as Windows-1252 (or Latin-1): the characters that stand for the second byte of a letter.
_NEXT: Final = (
    "\u0080-\u00bf\u20ac\u201a\u0192\u201e\u2026\u2020\u2021\u02c6\u2030\u0160\u2039\u0152\u017d\u2018\u2019\u201c"
    "\u201d\u2022\u2013\u2014\u02dc\u2122\u0161\u203a\u0153\u017e\u0178"
)
_SIGNS: Final = "\u2026\u2018\u2019\u201c\u201d\u2013\u2014\u2022\u203a\u00bb\u00ab\u2122"  # may follow a word
_MOJIBAKE: Final = re.compile(
    rf"(?:(?<![^\W\d_a-z\u00df-\u00ff])[\u00c2-\u00c5][{_NEXT}]|[\u00c2-\u00c5](?![{_SIGNS}])[{_NEXT}]"
    rf"|\u00e2[{_NEXT}][{_NEXT}]|\u00f0[{_NEXT}]{{3}}"
    rf"|(?:[\u00c2\u00c3\u00ce-\u00d1\u00d7\u00d8][{_NEXT}]){{2}}|(?:[\u00e0-\u00ef][{_NEXT}]{{2}}){{2}}"
    r"|[\u221a\u251c\u252c][^\x00-\x7f\s\u00b2\u00b3\u03c0])"  # as Mac Roman, or as a console of Windows
)
# Each value is searched for this first: what it does not find is in no other pattern.
_UNUSUAL: Final = re.compile(
    rf"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffd\ufffe\uffff\ud800-\udfff{_BLANK}\u221a\u251c\u252c&?#]"
    rf"|[\u00c2-\u00f0][{_NEXT}]"
)
_LOST_LETTER: Final = re.compile(r"[^\W\d_]\?[^\W\d_]")
_FORMULA: Final = re.compile(r'=\s*["\w$+(-]')
_NO_NAME: Final = re.compile(r"[/=&]")

BROKEN_LETTERS: Final = "broken_letters"
NULL_WORD: Final = "null_word"
HTML_ENTITY: Final = "html_entity"
UNFILLED: Final = "unfilled_placeholder"
FORMULA: Final = "formula"
_MEANINGS: Final = {
    BROKEN_LETTERS: "may have broken letters, such as those of a file that was read in a wrong encoding",
    NULL_WORD: "is a word that programs write for no value, such as NULL, None, nan or -",
    FORMULA: "begins with = like a formula of a spreadsheet: export the value, and not the formula",
    HTML_ENTITY: "has HTML entities such as &amp;, which a text shows as they are",
    UNFILLED: "has braces that are sent as they are: placeholders are filled in options and template files only",
}


class Unfilled(ValueError):
    """A row has no usable text for a column. The message names the column, never the value."""


def as_text(column: str, value: object) -> str:
    """Return one value of a row as text. Raise Unfilled if it is not a string, number, boolean or null."""
    match value:
        case str():
            return value
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case _:
            raise Unfilled(f"the column {column} is {'a list' if isinstance(value, list) else 'an object'}, not a text")


def damage(text: str) -> str | None:
    """Return what makes *text* impossible to send, for a sentence; None if nothing does."""
    found = _CONTROL.search(text)
    if found is not None:
        return f"has a control character (U+{ord(found[0]):04X})"
    found = _DAMAGED.search(text)
    if found is None:
        return None
    code = f"U+{ord(found[0]):04X}"
    return f"has a damaged character ({code}): save the data again in the right encoding, such as UTF-8"


@final
@define(eq=False)
class Warned:
    """The rows with one warning: how many, and the *lines* of the first ones."""

    count: int = 0
    lines: list[int] = field(factory=list)
    last: int = 0


@final
@define(eq=False)
class RowWarnings:
    """Reads the values of rows as text, and counts the rows whose values may be damaged.

    *line* is that of the row that is being read. A row counts once for each column and kind of warning.
    """

    line: int = 0
    _found: dict[tuple[str, str], Warned] = field(factory=dict, init=False)

    def clear(self) -> None:
        """Forget what was counted: the file is read anew from the beginning."""
        self._found.clear()

    def add(self, kind: str, column: str) -> None:
        """Count the row for a *kind* of warning about *column*."""
        found = self._found.setdefault((column, kind), Warned())
        if found.last != self.line:
            found.last = self.line
            found.count += 1
            if len(found.lines) < MOST_LINES:
                found.lines.append(self.line)

    def texts(self) -> Iterator[str]:
        """Yield one line for each column and kind of warning."""
        for (column, kind), found in self._found.items():
            lines = ", ".join(map(str, found.lines))
            more = ", ..." if found.count > len(found.lines) else ""
            yield f"check {counted(found.count)}: the column {column} {_MEANINGS[kind]} (line {lines}{more})"

    def facts(self) -> list[dict[str, object]]:
        """Return the warnings as plain JSON."""
        return [
            {"column": column, "warning": kind, "rows": found.count, "lines": list(found.lines)}
            for (column, kind), found in self._found.items()
        ]

    def read(self, column: str, value: object) -> str:
        """Return the *value* of *column* as text, without spaces around it; empty if it has no visible character.

        Raise Unfilled if it is damaged, or not a text.
        """
        text = (value if type(value) is str else as_text(column, value)).strip()
        if len(text) <= _LONGEST_NULL_WORD and text.lower() in _NULL_WORDS:
            self.add(NULL_WORD, column)
        elif _UNUSUAL.search(text) is not None:
            text = self._read_unusual(column, text)
        if text[:1] == "=" and _FORMULA.match(text):
            self.add(FORMULA, column)
        return text

    def _read_unusual(self, column: str, text: str) -> str:
        problem = damage(text)
        if problem is not None:
            raise Unfilled(f"the column {column} {problem}")
        if _ALL_BLANK.fullmatch(text):
            return ""
        text = _EDGES.sub("", text)
        if text[:1] == "#" and _is_spreadsheet_error(text):
            raise Unfilled(f"the column {column} has the error of a spreadsheet, such as #N/A")
        if text.lower() in _NULL_WORDS:  # it had invisible characters around it
            self.add(NULL_WORD, column)
        elif _MOJIBAKE.search(text):
            self.add(BROKEN_LETTERS, column)
        else:
            self._check_letters(column, text)
        return text

    def _check_letters(self, column: str, text: str) -> None:
        if any(found[1] is None or f"{found[1]};" in html5 for found in _ENTITY.finditer(text)):
            self.add(HTML_ENTITY, column)
        if _LOST_LETTER.search(text) and not _NO_NAME.search(text):
            self.add(BROKEN_LETTERS, column)


def _is_spreadsheet_error(text: str) -> bool:
    return text.upper() in _SPREADSHEET_ERRORS or (text.strip("#") == "" and len(text) > 2)  # noqa: PLR2004


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
        self._slots = array("I", bytes(4 * (rows + rows // 8 + 1)))

    def read(self, text: str, kind: RecipientKind, column: str, values: Mapping[str, object]) -> str:
        """Return the normalised recipient *text* of a *column* of the row *values*; raise RefusedCell if it is none."""
        bare = text.strip()
        if len(bare) > 1 and bare[0] == bare[-1] == "'":  # an apostrophe at the beginning alone is a spreadsheet's
            raise RefusedCell(Detail(column, _QUOTED))
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
        for one in changes:
            self.report.changes[one] += 1

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
            at -= 1  # -1 is the last slot; a ninth of the slots is free, so the search ends
        if not found:
            slots[at] = stored
            return
        self.report.shared += 1
        if len(self.report.shared_lines) < MOST_LINES:
            self.report.shared_lines.append(line)
