"""Templates: a text with `{column}` placeholders that can do nothing but fill in columns."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final, final

from attrs import frozen

from .exits import Halt

_PART: Final = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


class Unfilled(ValueError):
    """A row has nothing, or nothing that is text, for a column; the text says which, never the value."""


def as_text(column: str, value: object) -> str:
    """Write one value of a row as text; what is no text, number or boolean is `Unfilled`."""
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


@final
@frozen
class Template:
    """A text in pieces: *pieces* are alternately literal text and the name of a column.

    A name is only ever looked up whole: there are no formats, attributes, indexes or conversions.
    """

    pieces: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are filled in, in their order."""
        return self.pieces[1::2]

    def fill(self, row: Mapping[str, object], *, empty: bool, escape: Callable[[str], str] = str) -> str:
        """Put the values of *row* in, each through *escape*; an empty one is `Unfilled` unless *empty*."""
        parts = list(self.pieces)
        for at in range(1, len(parts), 2):
            column = parts[at]
            filled = as_text(column, row.get(column))
            if not empty and not filled.strip():
                raise Unfilled(f"the column {column} is empty")
            parts[at] = escape(filled)
        return "".join(parts)


def parse(text: str, option: str) -> Template:
    """Read the template that was given as *option*; `{{` and `}}` stand for braces."""
    pieces, literal, end = [], "", 0
    for found in _PART.finditer(text):
        literal += text[end : found.start()]
        end = found.end()
        if found[0] in {"{{", "}}"}:
            literal += found[0][0]
        elif not found[1]:
            what = "an empty {}" if found[0] == "{}" else f"a lone {found[0]}"
            raise Halt(f"{option} has {what} at character {found.start() + 1}: write {{column}}, or {{{{ for a brace")
        else:
            pieces += [literal, found[1]]
            literal = ""
    return Template((*pieces, literal + text[end:]))


def check(template: Template, option: str, columns: Iterable[str]) -> None:
    """Refuse a *template* that names a column which is not among *columns*."""
    there = list(columns)
    unknown = [name for name in template.columns if name not in there]
    if unknown:
        raise Halt(f"{option} names a column that is not there: {{{unknown[0]}}}; the columns are: {', '.join(there)}")
