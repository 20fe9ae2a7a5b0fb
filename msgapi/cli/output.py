"""Output: data on standard output, everything else on standard error; a closed pipe is no error.

Rules:
- What comes from elsewhere is shown and not carried out: no markup, no control characters.
- What the encoding of standard output lacks is escaped.
"""

import os
import sys
from io import StringIO
from typing import Final, TextIO, final

import orjson
from attrs import define, field

from .exits import Halt, unwritable

_PIPED_WIDTH: Final = 120
_UNPRINTABLE: Final = (*range(32), *range(127, 160), 0x2028, 0x2029, *range(0xD800, 0xE000))
_CONTROLS: Final = {code: f"\\u{code:04x}" for code in _UNPRINTABLE}
_IN_LINES: Final = {code: shown for code, shown in _CONTROLS.items() if chr(code) not in "\n\t"}


@final
class Closed(Exception):
    """Whoever read standard output has gone."""


@final
@define(eq=False)
class Table:
    """A plain table; a column whose name begins with `#` holds numbers."""

    columns: tuple[str, ...]
    rows: list[tuple[tuple[str, ...], str]] = field(factory=list)

    def add_row(self, *cells: str, style: str = "") -> None:
        """Add a row of text, in a *style* if it is shown in one."""
        self.rows.append((cells, style))


def table_of(*columns: str) -> Table:
    """Make a table with no rows."""
    return Table(columns)


def emit(what: str | Table) -> None:
    """Print *what* on standard output."""
    put(shown(what) if isinstance(what, str) else _drawn(what))


def emit_json(value: object) -> None:
    """Print *value* as one JSON document."""
    emit(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())


def note(said: str) -> None:
    """Say it in one line on standard error, if that takes it."""
    try:
        print(f"msgapi: {line(said)}", file=sys.stderr, flush=True)  # noqa: T201 - it is what this is for
    except OSError:  # there is nobody left to be told, and what is being done is not to end for that
        silence(sys.stderr)


def line(text: str) -> str:
    """Write *text* so that it keeps to its line and does nothing to a terminal."""
    return text.translate(_CONTROLS)


def shown(text: str) -> str:
    """Write the lines of *text*, and an end of line, so that they do nothing to a terminal; JSON stays the same."""
    return f"{text.translate(_IN_LINES)}\n"


def put(text: str) -> None:
    """Write *text* on standard output as it is, if anybody still reads it."""
    try:
        write(text)
    except Closed:
        return


def write(text: str) -> None:
    """Write *text* on standard output as it is; `Closed` if nobody reads it any more."""
    encoding = _encoding()
    try:
        _ = sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
        _ = sys.stdout.flush()
    except BrokenPipeError:
        silence(sys.stdout)
        raise Closed from None
    except OSError as error:
        silence(sys.stdout)
        raise Halt(unwritable("standard output", error)) from None


def _encoding() -> str:
    return sys.stdout.encoding or "utf-8"


def silence(stream: TextIO) -> None:
    """Lead *stream* nowhere: Python flushes once more at exit, which must not complain."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    _ = os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _drawn(table: Table) -> str:
    # On paper first: rich itself writes where an error of writing can't be told from others.
    from rich.box import ASCII, SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table as Drawing
    from rich.text import Text

    terminal, paper = sys.stdout.isatty(), StringIO()
    box = SIMPLE_HEAD if _encoding().lower().startswith("utf") else ASCII
    drawing = Drawing(box=box, pad_edge=False, show_edge=False)
    for column in table.columns:
        numbers = column.startswith("#")
        name = Text(line(column.removeprefix("#")))
        drawing.add_column(name, justify="right" if numbers else "left", no_wrap=numbers)
    for cells, style in table.rows:
        drawing.add_row(*(Text(line(cell)) for cell in cells), style=style)
    console = Console(file=paper, force_terminal=terminal, width=None if terminal else _PIPED_WIDTH)
    console.print(drawing)
    return "\n".join(one.rstrip() for one in paper.getvalue().splitlines()) + "\n"
