"""Output: data on standard output, everything else on standard error; a closed pipe is no error."""

import os
import sys
from typing import TYPE_CHECKING, Final, TextIO

import orjson

from .exits import Halt, unwritable

if TYPE_CHECKING:
    from rich.table import Table

_PIPED_WIDTH: Final = 120


def emit(what: "str | Table") -> None:
    """Print *what* on standard output."""
    if isinstance(what, str):
        put(what + "\n")
        return
    from rich.console import Console

    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else _PIPED_WIDTH)
    with console.capture() as drawn:
        console.print(what)
    put("\n".join(line.rstrip() for line in drawn.get().splitlines()) + "\n")


def emit_json(value: object) -> None:
    """Print *value* as one JSON document."""
    put(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode() + "\n")


def note(line: str) -> None:
    """Say *line* on standard error."""
    print(f"msgapi: {line}", file=sys.stderr, flush=True)  # noqa: T201 - it is what this is for


def table_of(*columns: str) -> "Table":
    """Make a plain table; a column whose name begins with `#` holds numbers."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        numbers = column.startswith("#")
        table.add_column(column.removeprefix("#"), justify="right" if numbers else "left", no_wrap=numbers)
    return table


def put(text: str) -> None:
    """Write *text* on standard output as it is."""
    try:
        _ = sys.stdout.write(text)
        _ = sys.stdout.flush()
    except BrokenPipeError:
        _silence(sys.stdout)
    except OSError as error:
        _silence(sys.stdout)
        raise Halt(unwritable("standard output", error)) from None


def _silence(stream: TextIO) -> None:
    # Whoever read it is gone; Python flushes once more at exit, which must not complain.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    _ = os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
