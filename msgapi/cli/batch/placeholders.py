"""Texts with placeholders for the columns of a file, and the placeholders of other tools.

Rules:
- `{column}` is replaced by the value of the column, whole: there are no formats, attributes, indexes or conversions.
  `{column|text}` is *text* if the value is empty; `{column|}` is nothing then. In the name of a column, `|` is doubled.
- `{{` and `}}` stand for braces.
- In HTML, values and defaults are escaped. <style> and <script> are sent as they are: CSS has braces of its own.
- A placeholder of another tool that names a column is refused: it would be sent to everybody as it is. A form that
  could be ordinary text, such as `[1]` or `100%`, counts only if it names a column.
- `${column}` is an amount in dollars if the value begins with a digit, and otherwise a placeholder of another tool.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Final, TypeAlias, final

from attrs import Factory, field, frozen

from ..files.rows import check_header, find_column, fold, list_columns
from ..output import CliError
from .values import Unfilled, damage

ReadValue: TypeAlias = Callable[[str, object], str]
"""Returns the value of a column as text, or raises Unfilled."""

_PART: Final = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_VERBATIM: Final = re.compile(r"<(style|script)\b[^>]*>.*?</\1\s*>", re.IGNORECASE | re.DOTALL)
_BRACED: Final = re.compile(r"\{([^{}]*)\}")
_LITERAL: Final = re.compile(r"\{\s*([^\W\d][\w .-]{0,60}?)\s*\}")
_AMOUNT: Final = re.compile(r"[-+(]?\s?[.,]?\d")
_PREFIX: Final = re.compile(r"^[#/^&!@$=*~]*\s*(?:(?:if|unless|each|with)\s+)?")
_SUFFIX: Final = re.compile(r"\|.*|\s+or\s+[\"'].*|,\s*[\"'].*", re.DOTALL)


@final
@frozen
class _Form:
    # A form of placeholders of other tools; the group of the pattern that matches is what stands inside.
    pattern: re.Pattern[str]
    exact: bool = False  # the column must be named exactly
    plain: bool = False  # in plain text only, as it means something else in HTML
    strong: bool = False  # is worth a warning even if no column has the name


_FORMS: Final = (
    _Form(re.compile(r"(?<!\{)\{\{\{([^{}]+)\}\}\}(?!\})|(?<!\{)\{\{([^{}]+)\}\}(?!\})")),
    _Form(re.compile(r"<%[=-]?([^%<>]+?)-?%>"), strong=True),
    _Form(re.compile(r"\[\[([^\[\]]+)\]\]"), strong=True),
    _Form(re.compile(r"<<([^<>\n]+)>>"), strong=True),
    _Form(re.compile(r"%%([^%\s](?:[^%\n]*[^%\s])?)%%"), strong=True),
    _Form(re.compile(r"(?<!%)%([^%\s](?:[^%\n]*[^%\s])?)%(?!%)")),
    _Form(re.compile(r"(?<![\d}%])%\{([^{}\n]+)\}|%\(([^()\n]+)\)s")),
    _Form(re.compile(r"(?<![\w\]\[])\[([^\[\]\n]+)\](?![\[(\]])")),
    _Form(re.compile(r"##([^#\s](?:[^#\n]*[^#\s])?)##|@@([^@\s](?:[^@\n]*[^@\s])?)@@|(?<!#)#([^#\s]+)#(?!#)")),
    _Form(re.compile(r"(?<!\w)__([^\W_](?:\w*?[^\W_])?)__(?!\w)")),
    _Form(re.compile(r"(?<!\$)\$([^\W\d]\w*)"), exact=True),
    _Form(re.compile("\u00ab([^\u00ab\u00bb\n]+)\u00bb"), exact=True),
    _Form(re.compile(r"(?<!<)<([^<>/\s](?:[^<>/\n]*[^<>/\s])?)>(?!>)"), exact=True, plain=True),
)
_MERGE_TAG: Final = re.compile(r"\*\|([^|\n]{1,100})\|\*")


@final
@frozen
class TextTemplate:
    """A text with placeholders: *pieces* are alternately literal text and the name of a column.

    *defaults* are the texts for empty values, one for each placeholder; None if there is none.
    """

    pieces: tuple[str, ...]
    defaults: tuple[str | None, ...] = ()
    # For each placeholder: its place in the pieces, its column, its default, and whether `$` stands before it.
    _slots: tuple[tuple[int, str, str | None, bool], ...] = field(
        init=False, default=Factory(lambda self: self._find_slots(), takes_self=True), repr=False, eq=False
    )

    def _find_slots(self) -> tuple[tuple[int, str, str | None, bool], ...]:
        return tuple(
            (at, self.pieces[at], default, self.pieces[at - 1].endswith("$"))
            for at, default in zip(range(1, len(self.pieces), 2), self.defaults, strict=True)
        )

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the placeholders, in order."""
        return self.pieces[1::2]

    def fill(
        self,
        row: Mapping[str, object],
        read: ReadValue,
        *,
        empty: bool = False,
        escape: Callable[[str], str] | None = None,
    ) -> str:
        """Return the text with the values of *row* as *read* returns them, each passed through *escape*.

        Raise Unfilled if a value is empty and has no default, unless *empty* is true.
        """
        parts = list(self.pieces)
        for at, column, default, is_amount in self._slots:
            text = read(column, row.get(column))
            if not text:
                if default is None and not empty:
                    raise Unfilled(f"the column {column} is empty")
                text = default or ""
            elif is_amount and not _AMOUNT.match(text):
                raise Unfilled(
                    f"the template has ${{{column}}}, and the column {column} is not an amount: write {{{column}}}"
                )
            parts[at] = text if escape is None else escape(text)
        return "".join(parts)


@final
@frozen
class TextSource:
    """Where a text with placeholders is from: the *option* or the field of a file, and the *columns* of the rows."""

    option: str
    columns: Sequence[str]
    is_html: bool = False


def parse(text: str, source: TextSource) -> TextTemplate:
    """Return *text* as a template. Raise CliError if a placeholder is wrong, or names no column."""
    problem = damage(text)
    if problem is not None:
        raise CliError(f"{source.option} {problem}")
    check_foreign(text, source)
    pieces: list[str] = []
    defaults: list[str | None] = []
    literal = ""
    for part, offset in _parts(text, source):
        if isinstance(part, str):
            literal += part
            continue
        if part[0] in {"{{", "}}"}:
            literal += part[0][0]
            continue
        name, default = _split(part[1] or "")
        if not name.strip():
            what = "an empty {}" if part[1] is not None else f"a lone {part[0]}"
            raise CliError(
                f"{source.option} has {what} at character {offset + part.start() + 1}: "
                "write {column}, or {{ for a brace"
            )
        column = find_column(source.columns, name)
        if column is None:
            check_header(source.columns)
            raise CliError(
                f"{source.option} names an unknown column: {part[0]}; the columns are: {list_columns(source.columns)}"
            )
        pieces += [literal, column]
        defaults.append(default)
        literal = ""
    return TextTemplate((*pieces, literal), defaults=tuple(defaults))


def _parts(text: str, source: TextSource) -> Iterator[tuple[str | re.Match[str], int]]:
    # The literal parts and the braces. What is verbatim is one literal part.
    end = 0
    for area in [*(_VERBATIM.finditer(text) if source.is_html else ()), None]:
        start = len(text) if area is None else area.start()
        at = end
        for found in _PART.finditer(text, end, start):
            yield text[at : found.start()], 0
            yield found, 0
            at = found.end()
        yield text[at:start], 0
        if area is not None:
            _check_verbatim(area, source)
            yield area[0], 0
            end = area.end()


def _check_verbatim(area: re.Match[str], source: TextSource) -> None:
    for found in _BRACED.finditer(area[0]):
        if _split(found[1])[0].strip() in source.columns:
            raise CliError(
                f"{source.option} has {found[0]} inside <{area[1].lower()}>, where placeholders are not filled: "
                "move it out of there"
            )


def _split(content: str) -> tuple[str, str | None]:
    # A text of a template has no NUL, so that it can stand for a doubled bar.
    name, bar, default = content.replace("||", "\0").partition("|")
    return name.replace("\0", "|"), default.replace("\0", "||") if bar else None


def written(column: str) -> str:
    """Return the placeholder for *column*."""
    return f"{{{column.replace('|', '||')}}}"


def check_foreign(text: str, source: TextSource) -> None:
    """Raise CliError if *text* has a placeholder of another tool that names a column, or a merge tag of Mailchimp."""
    for found, column in find_foreign(text, source):
        if column is None:
            raise CliError(
                f"{source.option} has {found}, a placeholder of another tool: write {{column}} with one of the "
                f"columns: {list_columns(source.columns)}"
            )
        raise CliError(f"{source.option} has {found}, a placeholder of another tool: write {written(column)} instead")


def find_foreign(text: str, source: TextSource) -> Iterator[tuple[str, str | None]]:
    """Yield each placeholder of another tool in *text*, and the column that it names.

    Only a merge tag of Mailchimp, `*|NAME|*`, is found if it names no column.
    """
    for found in _MERGE_TAG.finditer(text):
        yield found[0], _meant(found[1], source.columns, exact=False)
    for form in _FORMS:
        if not (form.plain and source.is_html):
            for found in form.pattern.finditer(_searched(text, source)):
                column = _meant(_inside(found), source.columns, exact=form.exact)
                if column is not None:
                    yield found[0], column


def find_own(text: str, columns: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """Yield each `{name}` in *text* that looks like a placeholder, and the column that it names, if there is one."""
    for found in _LITERAL.finditer(text):
        yield found[0], _by_name(tuple(columns)).get(fold(found[1]))


def notes(text: str, template: TextTemplate, source: TextSource) -> Iterator[str]:
    """Yield what *template*, parsed from *text*, may not mean, one line each."""
    for found in dict.fromkeys(one for piece in template.pieces[::2] for one in _literal_names(piece, source)):
        yield f"{source.option} sends the text {found} as it is: double braces stand for braces, {{column}} for a value"
    for form in _FORMS:
        if form.strong:
            for found in dict.fromkeys(one[0] for one in form.pattern.finditer(_searched(text, source))):
                yield f"{source.option} sends {found} as it is: no column has this name; a placeholder is {{column}}"
    if "\\n" in text:
        yield rf"{source.option} sends \n as it is: for a line break, put the text into a file and name it by @FILE"


def _literal_names(piece: str, source: TextSource) -> Iterator[str]:
    for found in _LITERAL.finditer(_searched(piece, source)):
        yield found[0]


def _searched(text: str, source: TextSource) -> str:
    # CSS and JavaScript use brackets and percent signs for other things.
    return _VERBATIM.sub(" ", text) if source.is_html else text


def _inside(found: re.Match[str]) -> str:
    return next(group for group in found.groups() if group is not None)


def _meant(content: str, columns: Sequence[str], *, exact: bool) -> str | None:
    # The column that is meant by `name`, `contact.name`, `name | upper`, `name or "you"` or `#if name`.
    whole = content.strip()
    if exact:
        return whole if whole in columns else None
    by_name = _by_name(tuple(columns))
    head = _PREFIX.sub("", _SUFFIX.sub("", whole)).strip()
    for candidate in (whole, head, head.rsplit(".", 1)[-1]):
        column = by_name.get(fold(candidate))
        if column is not None:
            return column
    return None


@lru_cache(maxsize=4)  # a text with many brackets asks for the same columns each time
def _by_name(columns: tuple[str, ...]) -> dict[str, str]:
    return {name: column for column in reversed(columns) if (name := fold(column))}
