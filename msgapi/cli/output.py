"""Output: data on standard output, everything else on standard error. A closed pipe is not an error.

Rules:
- Text from the service or a file is never interpreted: no markup, and control characters are escaped, also those that
  change the direction of text, because they can make a line read as another one.
- A cell of a CSV file is text to a spreadsheet, not a formula (CWE-1236).
- Characters that the encoding of standard output lacks are escaped.
"""

import csv
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from io import StringIO
from typing import Any, Final, TextIO, final

import orjson
from attrs import define, field

from .outcomes import CliError, Exit, cannot_write

_PIPED_WIDTH: Final = 120
_BIDI: Final = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_UNPRINTABLE: Final = (*range(32), *range(127, 160), 0x2028, 0x2029, *range(0xD800, 0xE000), *_BIDI)
_CONTROLS: Final = {code: f"\\u{code:04x}" for code in _UNPRINTABLE}
_SINGULAR: Final = {"are": "is", "have": "has", "were": "was"}
_FORMULA: Final = frozenset("=+-@＝＋－＠")  # noqa: RUF001 - a spreadsheet takes the full-width ones, too
_IN_LINES: Final = {code: text for code, text in _CONTROLS.items() if chr(code) not in "\n\t"}


@final
class OutputClosed(Exception):
    """The reader of standard output has closed it."""


@final
@define(eq=False)
class TextTable:
    """A table of text. A column whose name begins with `#` holds numbers."""

    columns: tuple[str, ...]
    rows: list[tuple[tuple[str, ...], str]] = field(factory=list)

    def add_row(self, *cells: str, style: str = "") -> None:
        """Add a row of *cells*, with a *style* of rich."""
        self.rows.append((cells, style))


def table_of(*columns: str) -> TextTable:
    """Return a table with no rows."""
    return TextTable(columns)


def emit(what: str | TextTable) -> None:
    """Print a text or a table on standard output."""
    write_if_open(escaped(what) if isinstance(what, str) else _render(what))


def emit_json(value: object) -> None:
    """Print *value* as one JSON document."""
    emit(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())


def note(text: str) -> None:
    """Print *text* as one line on standard error. Ignore a failure to write."""
    try:
        print(f"msgapi: {line(text)}", file=sys.stderr, flush=True)  # noqa: T201 - it is what this is for
    except OSError:  # nothing can be reported any more, and the command continues
        redirect_to_null(sys.stderr)


def line(text: str) -> str:
    """Return *text* with line breaks and other control characters escaped."""
    return text.translate(_CONTROLS)


def escaped(text: str) -> str:
    """Return *text* and a line break, with other control characters but tabs escaped. JSON is unchanged."""
    return f"{text.translate(_IN_LINES)}\n"


def counted(number: int, noun: str = "row", verb: str = "") -> str:
    """Return *number* with *noun* and *verb*, which are given as for several: `1 row was`, `2,000 rows were`."""
    plural = number != 1
    words = [f"{number:,}", f"{noun}s" if plural else noun]
    return " ".join([*words, *([verb if plural else _SINGULAR[verb]] if verb else [])])


def csv_cell(text: str) -> str:
    """Return *text* for a cell of a CSV file, as one line. A cell that a spreadsheet would run begins with `'`."""
    first = next((sign for sign in text if sign.isprintable() and sign != " "), "")
    return f"'{line(text)}" if first in _FORMULA else line(text)


def csv_line(cells: Iterable[str]) -> str:
    """Return *cells* as one line of a CSV file. A cell that is not a number must have passed `csv_cell`."""
    written = StringIO()
    _ = csv.writer(written, lineterminator="\n").writerow(cells)
    return written.getvalue()


def outline(plain: Mapping[str, Any], indent: str = "") -> str:
    """Return a JSON object as lines of names and values. What is null or empty is left out; *indent* begins each line.

    The fields of an `extra` stand beside the others.
    """
    fields = {**plain, **plain["extra"]} if isinstance(plain.get("extra"), Mapping) else plain
    return "\n".join(_outline(fields, indent))


def _outline(fields: Mapping[str, Any], indent: str) -> Iterator[str]:
    shown = {line(name): value for name, value in fields.items() if name != "extra" and value not in (None, "", [], {})}
    width = max((len(name) for name in shown), default=0)
    for name, value in shown.items():
        parts = value if isinstance(value, list) else [value]
        if not any(isinstance(part, Mapping) for part in parts):
            yield f"{indent}{name:{width}}  {', '.join(map(_scalar, parts))}"
            continue
        for part in parts:
            nested = part if isinstance(part, Mapping) else {"": part}
            yield f"{indent}{name}"
            yield from filter(None, outline(nested, f"{indent}  ").split("\n"))


def _scalar(value: object) -> str:
    return line(value if isinstance(value, str) else orjson.dumps(value).decode())


def confirm(question: str, *, yes: bool) -> None:
    """Ask *question* on standard error, unless *yes*. Raise CliError if the answer is no.

    Without a terminal, raise CliError with the advice to add --yes.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise CliError("this needs a confirmation: add --yes, or run it in a terminal")
    from click import confirm as ask

    if not ask(f"msgapi: {line(question)}", err=True):
        raise CliError("cancelled: nothing was sent", Exit.INTERRUPTED)


def write_if_open(text: str) -> None:
    """Write *text* on standard output unchanged. Do nothing if the reader has closed it."""
    try:
        write(text)
    except OutputClosed:
        return


def write(text: str) -> None:
    """Write *text* on standard output unchanged. Raise OutputClosed if the reader has closed it."""
    encoding = _encoding()
    try:
        _ = sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
        _ = sys.stdout.flush()
    except BrokenPipeError:
        redirect_to_null(sys.stdout)
        raise OutputClosed from None
    except OSError as error:
        redirect_to_null(sys.stdout)
        raise CliError(cannot_write("standard output", error)) from None


def _encoding() -> str:
    return sys.stdout.encoding or "utf-8"


def redirect_to_null(stream: TextIO) -> None:
    """Redirect *stream* to the null device: Python flushes it once more at exit, which must not fail."""
    null = os.open(os.devnull, os.O_WRONLY)
    _ = os.dup2(null, stream.fileno())
    os.close(null)


def _render(table: TextTable) -> str:
    # Render to a string first: if rich writes by itself, an error of writing cannot be distinguished from others.
    from rich.box import ASCII, SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table as Drawing
    from rich.text import Text

    terminal, rendered = sys.stdout.isatty(), StringIO()
    box = SIMPLE_HEAD if _encoding().lower().startswith("utf") else ASCII
    drawing = Drawing(box=box, pad_edge=False, show_edge=False)
    for column in table.columns:
        numbers = column.startswith("#")
        name = Text(line(column.removeprefix("#")))
        drawing.add_column(name, justify="right" if numbers else "left", no_wrap=numbers)
    for cells, style in table.rows:
        drawing.add_row(*(Text(line(cell)) for cell in cells), style=style)
    console = Console(file=rendered, force_terminal=terminal, width=None if terminal else _PIPED_WIDTH)
    console.print(drawing)
    return "\n".join(one.rstrip() for one in rendered.getvalue().splitlines()) + "\n"
