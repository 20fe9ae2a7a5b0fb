"""Rows of JSON: an object on each line (JSONL), or documents, which are first copied with a line for each.

Rules:
- Documents are one array of objects, or objects one after another, over as many lines as they need.
- The line of a row is that on which its object begins.
- The columns are those of all rows, up to a number.
- A number that is no integer of 64 bits is the text of the file: a float would lose digits.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from itertools import chain, islice
from typing import Final, final

import orjson
from attrs import evolve, field, frozen

from ...redact import HIDDEN
from ..output import CliError
from .blocks import FileBlocks, open_copy
from .formats import LONGEST_LINE, Encoding, count_lines, read_lines, read_text
from .rows import (
    KEY,
    MOST_COLUMNS,
    Conditions,
    FirstPass,
    InputRow,
    LineBreaks,
    find_column,
    is_data,
    is_recipient,
)

_LINE: Final = re.compile(r"[^\r\n]+")
_LINE_END: Final = re.compile(r"[\r\n]")
_LOOKED_AT: Final = 5  # lines of which one is JSON, if the name says so
_BETWEEN: Final = re.compile(r"[\s,]*")
_DEEPEST: Final = 100  # levels; a message has fewer than 20
_DECODER: Final = json.JSONDecoder(parse_int=str)  # only the end is used, and an int has a limit of digits


@final
@frozen(eq=False, repr=False)
class JsonRows:
    """The rows of JSONL, or of JSON documents, read by *lines*: each with its line number.

    *columns* are those of all rows, up to a number. *key* is the name that the column of the keys has in the file. The
    rows that do not meet *conditions* are left out.
    """

    lines: Callable[[], Iterator[tuple[int, str]]]
    columns: tuple[str, ...] = ()
    count: int = 0
    key: str | None = None
    conditions: Conditions = field(factory=Conditions)
    first: FirstPass = field(factory=FirstPass)

    def scan(self, _: LineBreaks) -> tuple[int, int]:
        """Read the rows once more, if that is needed; return their number, and that of the rows left out."""
        if not self.conditions.values and not self.first.ids:
            return self.count, 0
        count = 0
        for row in self.rows():
            count += 1
            if self.first.ids and row.problem is None:
                self.first.visit([row.values.get(name) for name in self.first.ids])
        return count, self.count - count

    def rows(self) -> Iterator[InputRow]:
        """Yield the rows from the beginning."""
        conditions = self.conditions if self.conditions.values else None
        number = 0
        for line, text in self.lines():
            raw = text.strip()
            if not raw:
                continue
            row = self._row(number + 1, line, raw)
            if conditions is None or row.problem is not None or conditions.met_by(row.values):
                number += 1
                yield row

    def _row(self, number: int, line: int, raw: str) -> InputRow:
        try:
            value = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            return InputRow(number, line, problem=_problem(raw, error), cells=(raw,))
        if not isinstance(value, dict):
            return InputRow(number, line, problem='is not a JSON object such as {"to": "..."}', cells=(raw,))
        if is_too_deep(raw, value):
            return InputRow(number, line, problem=f"is nested more than {_DEEPEST} levels deep", cells=(raw,))
        if any(isinstance(one, float) for one in value.values()):
            _keep_as_written(value, raw)
        if self.key is not None and self.key in value:
            value[KEY] = value.pop(self.key)
        return InputRow(number, line, value)


def _problem(raw: str, error: json.JSONDecodeError) -> str:
    if raw.endswith(","):
        return "ends with a comma: write one object per line, without commas between them, or an array in [ and ]"
    return f"is not JSON: {error.msg} at character {error.pos + 1}"


def _keep_as_written(row: dict[str, object], raw: str) -> None:
    written = json.loads(raw, parse_float=str, parse_int=str)
    row.update({name: written[name] for name, value in row.items() if isinstance(value, float)})


def is_too_deep(text: str, value: object) -> bool:
    """Return whether *value*, the JSON that was read from *text*, has more levels than can be handled."""
    if text.count("{") + text.count("[") <= _DEEPEST:  # most texts need only this
        return False
    level = [value]
    for _ in range(_DEEPEST):
        level = [part for one in level for part in _parts(one)]
    return any(isinstance(one, dict | list) for one in level)


def _parts(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def open_json(blocks: FileBlocks, encoding: Encoding, start: str, stack: ExitStack) -> JsonRows:
    """Return the rows of JSON that begins with *start*. A copy of documents is closed with *stack*."""
    if _has_line_each(start):
        rows = JsonRows(lambda: enumerate(read_lines(blocks, encoding), 1))
    else:
        copy = _copy_json(blocks, read_text(blocks, encoding), stack)
        rows = JsonRows(lambda: _copied_lines(copy))
    rows = _with_columns(rows)
    if not rows.count:
        raise CliError(f"{blocks.name} has no rows")
    if not rows.columns:
        first = next(rows.rows())
        raise CliError(f"{blocks.name} has no row with values: line {first.line} {first.problem or 'is empty'}")
    _check_wrapped(blocks.name, rows)
    key = find_column(rows.columns, KEY)
    if key in {None, KEY}:
        return rows
    return evolve(rows, columns=tuple(KEY if one == key else one for one in rows.columns), key=key)


def _has_line_each(start: str) -> bool:
    # One document over several lines is no JSONL; nor is an array on one line, unless it has no object and is followed.
    end = end_of_value(start)
    if start.startswith("["):
        has_object = start[1:].lstrip().startswith("{")
        return end > 0 and not has_object and bool(start[end:].strip()) and not _LINE_END.search(start, 0, end)
    return _LINE_END.search(start, 0, end) is None if end else first_lines(start)[0] != "{"


def _copied_lines(copy: FileBlocks) -> Iterator[tuple[int, str]]:
    with copy.open() as file:
        for raw in file:
            line, _, value = raw[1:-2].partition(b",")
            yield int(line), value.decode()


def _with_columns(rows: JsonRows) -> JsonRows:
    found: dict[str, None] = {}
    count = 0
    for row in rows.rows():
        count += 1
        if not row.values.keys() <= found.keys() and len(found) < MOST_COLUMNS:
            found.update(dict.fromkeys(row.values))
    return evolve(rows, columns=tuple(found), count=count)


def _check_wrapped(name: str, rows: JsonRows) -> None:
    # An export of an API is often one object around the list.
    if rows.count > 1:
        return
    (row,) = rows.rows()
    if any(isinstance(one, str) and is_recipient(one) for one in row.values.values()):
        return
    for key, value in row.values.items():
        if isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
            shown = HIDDEN if is_data(key) else key
            raise CliError(
                f"{name} is one JSON object around the list {shown}: write one object per line, for example with "
                f"`jq -c '.{shown}[]'`"
            )
    parts = row.values.values()
    if len(parts) > 1 and any(all(isinstance(one, kind) for one in parts) for kind in (dict, list)):
        raise CliError(
            f"{name} is one JSON object with all rows of a table: write one object per row, for example with "
            "`to_json(FILE, orient='records', lines=True)` of pandas"
        )


def first_lines(start: str) -> list[str]:
    """Return the first lines that are not empty of the text *start*."""
    found = (line[0].strip() for line in _LINE.finditer(start))
    return list(islice(filter(None, found), _LOOKED_AT))


def end_of_value(start: str) -> int:
    """Return the length of the JSON value at the beginning of *start*; 0 if there is none that is complete."""
    try:
        return _DECODER.raw_decode(start)[1]
    except (json.JSONDecodeError, RecursionError):
        return 0


def _copy_json(blocks: FileBlocks, pieces: Iterable[str], stack: ExitStack) -> FileBlocks:
    # Returns a copy of JSON documents with a line for each value: an array of the line of its beginning, and itself.
    lines = (b"[%d,%s]\n" % (line, _one_line(text)) for line, text in _split_json(blocks.name, pieces))
    return FileBlocks(blocks.name, stack.enter_context(open_copy(blocks.name, lines)), source=blocks)


def _one_line(text: str) -> bytes:
    # Line ends are white space in JSON: a string has none.
    return text.replace("\n", " ").replace("\r", " ").encode()


def _split_json(name: str, pieces: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Yield the text of each value of one JSON array, or of values one after another, with the line on which it begins.

    Raise CliError if the text is not JSON. *name* is that of the file.
    """
    text, line, end_sign = "", 1, None
    for piece in chain(pieces, [None]):
        text, at = text + (piece or ""), 0
        while True:
            start = _skip(text, at)
            line, at = line + count_lines(text[at:start]), start
            if at == len(text):
                break
            if end_sign == "":
                raise CliError(f"{name}: line {line} has text after the end of the JSON array")
            if text[at] == "[" and end_sign is None:
                end_sign, at = "]", at + 1
                continue
            if text[at] == end_sign:
                end_sign, at = "", at + 1
                continue
            end_sign = end_sign or "none"
            try:
                _, end = _DECODER.raw_decode(text, at)
            except (json.JSONDecodeError, RecursionError) as error:
                if piece is not None and len(text) - at < LONGEST_LINE:
                    break  # the value may continue in the next piece
                raise CliError(_not_json(name, line, error)) from None
            yield line, text[at:end]
            line, at = line + count_lines(text[at:end]), end
        text = text[at:]
    if end_sign == "]":
        raise CliError(f"{name}: the JSON array is not closed: is the file cut off?")


def _skip(text: str, at: int) -> int:
    found = _BETWEEN.match(text, at)
    return at if found is None else found.end()


def _not_json(name: str, line: int, error: Exception) -> str:
    what = f"{name}: the JSON value that begins on line {line}"
    if isinstance(error, json.JSONDecodeError):
        what += f" is not valid (line {line + error.lineno - 1}: {error.msg})"
    else:
        what += " is nested too deeply"
    return f"{what}: correct it, or write one object per line, for example with `jq -c '.[]'`"
