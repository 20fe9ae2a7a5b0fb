"""What the program prints and how it ends: the words for outcomes, the exit statuses, the output, the entry point.

Data is printed on standard output, everything else on standard error. A closed pipe is not an error. The entry point
runs a command, and turns an error into one line and an exit status.

Rules:
- Text from the service or a file is never interpreted: no markup, and control characters are escaped, also those that
  change the direction of text, because they can make a line read as another one.
- A cell of a CSV file is text to a spreadsheet, not a formula (CWE-1236).
- Characters that the encoding of standard output lacks are escaped.
- An error of the program itself is shown by its kind and its place. Its text could contain a recipient or the key, so
  it is shown only on request, and masked.
"""

import csv
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from enum import Enum, IntEnum
from io import StringIO
from itertools import takewhile
from textwrap import wrap
from traceback import format_exception, walk_tb
from typing import Any, Final, TextIO, final

from ..version import VERSION

_STREAMS: Final = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))
_PIPED_WIDTH: Final = 120
_WORD: Final = re.compile(r"(?:`[^`]*`|[^\s`]|`(?!.*`))+")
_NARROW: Final = 60  # columns of a terminal below which a table is printed as lines
_BIDI: Final = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_UNPRINTABLE: Final = (*range(32), *range(127, 160), 0x2028, 0x2029, *range(0xD800, 0xE000), *_BIDI)
_CONTROLS: Final = {code: f"\\u{code:04x}" for code in _UNPRINTABLE}
_SECRETS: Final = (
    "MSGAPI_API_KEY",
    "MSGAPI_FLEET_URL",
    "MSGAPI_FORWARD_SECRET",
    "MSGAPI_PROXY",
    "MSGAPI_WEBHOOK_SECRET",
)  # variables of the environment
_TOKEN: Final = re.compile(r"\b(?:sk|whsec)_\w+")
_SINGULAR: Final = {"are": "is", "have": "has", "were": "was"}
_FORMULA: Final = frozenset("=+-@＝＋－＠")  # noqa: RUF001 - a spreadsheet takes the full-width ones, too
_IN_LINES: Final = {code: text for code, text in _CONTROLS.items() if chr(code) not in "\n\t"}


@final
class RowOutcome(Enum):
    """The outcomes of a row. The value is the JSON key.

    - ACCEPTED: the service has queued the message for delivery.
    - REFUSED: the service has refused the row.
    - INVALID: the row was refused before anything was sent.
    - DUPLICATE: the row repeats an earlier one and was not sent.
    - UNKNOWN: the row may have been sent, but there is no verdict of the service.
    - NOT_SENT_YET: the row was not sent, or was not carried out; the next run sends it.
    - CHANGED: the row differs from one that was sent, and was not sent.
    - BY_EMAIL: the row was accepted as an email, since the service has refused the RCS message.
    - SENT_EARLIER: the row was accepted in an earlier run.
    - NOT_IN_THE_FILE: the row is one of an earlier run, and the file does not have it any more.
    """

    ACCEPTED = "accepted"
    REFUSED = "refused"
    INVALID = "invalid"
    DUPLICATE = "duplicate"
    UNKNOWN = "unknown"
    NOT_SENT_YET = "not_sent_yet"
    CHANGED = "changed"
    BY_EMAIL = "sent_by_email"
    SENT_EARLIER = "sent_earlier"
    NOT_IN_THE_FILE = "not_in_the_file"

    @property
    def words(self) -> str:
        """The outcome in lower case, for a sentence: `not sent yet`."""
        return self.value.replace("_", " ")

    @property
    def title(self) -> str:
        """The outcome as the first cell of a table: `Not sent yet`."""
        return self.words.capitalize()

    @property
    def kind(self) -> str:
        """The outcome as the `kind` in a file of results, where errors stand under their class: `NotSentYet`."""
        return self.words.title().replace(" ", "")

    @property
    def choice(self) -> str:
        """The outcome as the value of an option: `not-sent-yet`."""
        return self.value.replace("_", "-")


@final
class Exit(IntEnum):
    """The exit statuses of the program."""

    ACCEPTED = 0
    REFUSED = 1
    USAGE = 2
    STOPPED = 3
    CONFIGURATION = 4
    CRASH = 70
    OUTPUT = 74
    NO_COMMAND = 127
    INTERRUPTED = 130


@final
class CliError(Exception):
    """Ends the program with one line on standard error.

    *text* says what is wrong and how to fix it. *facts* are added to the document that --json prints.
    """

    def __init__(self, text: str, status: Exit = Exit.USAGE, *, facts: Mapping[str, object] | None = None) -> None:
        """Create an error with *text*, an exit *status* and *facts*."""
        super().__init__(text)
        self.status = status
        self.facts: Mapping[str, object] = facts or {}


def cannot_read(name: str, error: OSError) -> CliError:
    """Return the error for a file *name* that cannot be read."""
    return CliError(f"cannot read {name}: {error.strerror or error}")


def cannot_write(name: str, error: OSError) -> str:
    """Return the message for a file *name* that cannot be written."""
    return f"cannot write {name}: {error.strerror or error}"


@final
class OutputClosed(Exception):
    """The reader of standard output has closed it."""


@final
class TextTable:
    """A table of text. A column whose name begins with `#` holds numbers."""

    def __init__(self, columns: tuple[str, ...]) -> None:
        """Create a table of *columns* with no rows."""
        self.columns: Final = columns
        self.rows: list[tuple[tuple[str, ...], str]] = []

    def add_row(self, *cells: str, style: str = "") -> None:
        """Add a row of *cells*, with a *style* of rich."""
        self.rows.append((cells, style))


def table_of(*columns: str) -> TextTable:
    """Return a table with no rows."""
    return TextTable(columns)


def emit(what: str | TextTable) -> None:
    """Print a text or a table on standard output."""
    write_if_open(escaped(what) if isinstance(what, str) else _render(what))


def emit_prose(text: str) -> None:
    """Print lines of *text* on standard output. On a terminal, lines that are too long are broken between words."""
    emit("\n".join(_fitted(one, sys.stdout) for one in text.split("\n")))


def _fitted(text: str, stream: TextIO) -> str:
    # A terminal breaks lines inside words. What is in backquotes is one word, so that it can be copied as a whole.
    try:
        width = os.get_terminal_size(stream.fileno()).columns if stream.isatty() else 0
    except (OSError, ValueError):
        width = 0
    if not 0 < width < len(text):
        return text
    indent = " " * (len(text) - len(text.lstrip()))
    lines = [indent]
    for word in _WORD.findall(text):
        if lines[-1].strip() and len(lines[-1]) + 1 + len(word) > width:
            lines.append(f"{indent}  {word}")
        else:
            lines[-1] += f" {word}" if lines[-1].strip() else word
    return "\n".join(lines)


def emit_json(value: object) -> None:
    """Print *value* as one JSON document."""
    import json  # here, because --help does not need them

    import orjson

    try:
        emit(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())
    except orjson.JSONEncodeError:  # the name of a file that is not UTF-8
        emit(json.dumps(value, indent=2))


def note(text: str) -> None:
    """Print *text* as one line on standard error. Ignore a failure to write."""
    try:
        print(_fitted(f"msgapi: {line(text)}", sys.stderr), file=sys.stderr, flush=True)  # noqa: T201 - it is for this
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
    import orjson

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
        raise CliError(cannot_write("standard output", error), Exit.OUTPUT) from None


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
    console = Console(file=rendered, force_terminal=terminal, width=None if terminal else _PIPED_WIDTH)
    if console.width < _NARROW:
        return _render_narrow(table, console.width)
    box = SIMPLE_HEAD if _encoding().lower().startswith("utf") else ASCII
    drawing = Drawing(box=box, pad_edge=False, show_edge=False)
    for column in table.columns:
        numbers = column.startswith("#")
        name = Text(line(column.removeprefix("#")))
        drawing.add_column(name, justify="right" if numbers else "left", no_wrap=numbers)
    for cells, style in table.rows:
        drawing.add_row(*(Text(line(cell)) for cell in cells), style=style)
    console.print(drawing)
    return "\n".join(one.rstrip() for one in rendered.getvalue().splitlines()) + "\n"


def _render_narrow(table: TextTable, width: int) -> str:
    # The columns would be a few characters wide: the last one goes below the others.
    lines: list[str] = []
    for cells, _ in table.rows:
        *first, last = map(line, cells)
        lines += wrap("  ".join(filter(None, first)), width)
        lines += wrap(last, width, initial_indent="  ", subsequent_indent="  ")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program with *arguments* and return the exit status; see `Exit`.

    If *arguments* is None, those of the process are used. An error is one line on standard error that says how to
    fix it; with --json it is a JSON document on standard output too. For an error of the program itself, the line says
    what to report, and MSGAPI_DEBUG=1 prints the traceback as well.
    """
    open_missing_streams()
    given = list(sys.argv[1:] if arguments is None else arguments)
    json = "--json" in takewhile(lambda one: one != "--", given)
    try:
        return _run(given)
    except CliError as error:
        return _report(error, json=json)
    except KeyboardInterrupt:
        return _report(CliError("interrupted", Exit.INTERRUPTED), json=False)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is a mistake of the program
        from ..config import Misconfigured  # here, because --help does not need it

        if isinstance(error, Misconfigured):
            return _report(CliError(f"{error} (not needed with --sandbox)", Exit.CONFIGURATION), json=json)
        if os.environ.get("MSGAPI_DEBUG", "") not in {"", "0"}:
            print(_traceback(error), end="", file=sys.stderr)  # noqa: T201 - what the user has asked for
        return _report(_crash(error), json=json)


def _run(given: list[str]) -> int:
    try:
        from .app import run
    except ModuleNotFoundError as error:
        if error.name not in {"click", "rich"}:
            raise
        raise CliError("the command line needs an extra: pip install 'msgapi-sdk[cli]'") from None
    return run(given)


def _crash(error: BaseException) -> CliError:
    # The text of the exception is left out: it can contain what was sent.
    from pathlib import Path  # here, because --help does not need it

    package = Path(__file__).parent.parent
    places = [*walk_tb(error.__traceback__)]
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
        places += walk_tb(error.__traceback__)
    missing = f"{error.name} is missing: " if isinstance(error, ImportError) else ""
    files = [(Path(frame.f_code.co_filename), line) for frame, line in places]
    ours = [(file.relative_to(package.parent), line) for file, line in files if file.is_relative_to(package)]
    file, line = ours[-1]
    python = ".".join(map(str, sys.version_info[:3]))
    place = f"{missing}{type(error).__name__} at {file.as_posix()}:{line}"
    return CliError(
        f"internal error, please report this line: {place} (msgapi-sdk {VERSION}, Python {python}, {sys.platform}); "
        "MSGAPI_DEBUG=1 shows the traceback",
        Exit.CRASH,
    )


def _traceback(error: BaseException) -> str:
    from ..redact import HIDDEN, mask  # here, because --help does not need them

    text = "".join(format_exception(error))
    for secret in filter(None, map(os.environ.get, _SECRETS)):
        text = text.replace(secret, HIDDEN)
    return escaped(mask(_TOKEN.sub(HIDDEN, text)).rstrip("\n"))


def _report(error: CliError, *, json: bool) -> int:
    note(str(error))
    if json:
        kind = error.status.name
        with suppress(CliError):  # if standard output cannot be written, the line above has said so
            emit_json(
                {"kind": kind.title(), "code": kind.lower(), "message": str(error), **error.facts, "exit": error.status}
            )
    return int(error.status)


def open_missing_streams() -> None:
    """Open the null device in place of each standard stream that is closed.

    The next file or socket would otherwise get its descriptor, and printed text would be written there.
    """
    for number, (name, mode) in enumerate(_STREAMS):
        try:
            _ = os.fstat(number)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)  # gets the lowest free descriptor, which is this one
            setattr(sys, name, os.fdopen(null, mode))
