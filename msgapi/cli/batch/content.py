"""The structured parts of messages: `content` and template data, in rows and in template files.

Rules:
- Content may be given as the API has it, in `content`, or with `text`, `html`, `rich_card`, `carousel` and
  `suggestions` as fields of their own.
- All strings of a template file may have placeholders, at any depth.
- `postback_data` is base64, as in the API. With placeholders it is text, and is encoded after they are filled.
"""

from collections.abc import Iterable, Iterator, Mapping
from math import isfinite, nan
from typing import Any, Final, TypeAlias, final

from attrs import frozen

from ...messages.wire import encode_postback
from .placeholders import ReadValue, TextSource, TextTemplate, notes, parse
from .values import Unfilled

DATA: Final = "template_data"
CONTENT: Final = ("content", "rich_card", "carousel", "suggestions")
"""The structured fields of a message. The last three are parts of `content` that may stand beside it."""

_NUMBERS: Final = frozenset({"latitude", "longitude"})
Json: TypeAlias = dict[str, Any]


def merge_content(fields: Mapping[str, object]) -> Json:
    """Return `content` as the API has it, of the structured *fields* of a row or a template file.

    Raise Unfilled if parts of it are given twice, or `content` is not an object.
    """
    whole = fields.get("content")
    if whole is None:
        whole = {}
    if not isinstance(whole, dict):
        raise Unfilled(f"content must be an object, not {type_name(whole)}")
    content = dict(whole)
    for name in ("rich_card", "suggestions"):
        if fields.get(name) is not None:
            _add(content, name, fields[name], name)
    carousel = fields.get("carousel")
    if carousel is not None:
        card = content.get("rich_card")
        if not isinstance(card, dict | None):
            raise Unfilled(f"rich_card must be an object, not {type_name(card)}")
        content["rich_card"] = dict(card or {})
        _add(content["rich_card"], "carousel", carousel, "carousel")
    return content


def _add(content: Json, name: str, value: object, field_name: str) -> None:
    if content.get(name) is not None:
        raise Unfilled(f"{field_name} is given twice")
    content[name] = value


def with_defaults(content: Json) -> Json:
    """Return *content* with the defaults of the fields that the API requires and the models make optional."""
    card = content.get("rich_card")
    if not isinstance(card, dict):
        return content
    card = dict(card)
    for kind, name, default in (("standalone", "orientation", "VERTICAL"), ("carousel", "card_width", "MEDIUM")):
        if isinstance(card.get(kind), dict):
            card[kind] = {name: default} | card[kind]
    return content | {"rich_card": card}


def type_name(value: object) -> str:
    """Return what *value* is in JSON, for a message."""
    match value:
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case list():
            return "an array"
        case str():
            return "a string"
        case _:
            return "an object"


@final
@frozen
class _Leaf:
    template: TextTemplate
    name: str

    def fill(self, row: Mapping[str, object], read: ReadValue, *, empty: bool) -> object:
        text = self.template.fill(row, read, empty=empty)
        if self.name == "postback_data":
            return encode_postback(text)
        if self.name not in _NUMBERS:
            return text
        try:
            number = float(text)
        except ValueError:
            number = nan
        if not isfinite(number):  # JSON has no such number
            raise Unfilled(f"{self.name} is not a number (the column {self.template.columns[0]})")
        return number


@final
@frozen
class Tree:
    """Parsed JSON with placeholders in its strings. *paths* are those of the strings that have some for *columns*."""

    value: object
    paths: frozenset[str]
    columns: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()

    def fill(self, row: Mapping[str, object], read: ReadValue, *, empty: bool = False) -> Any:  # noqa: ANN401 - JSON
        """Return the value with its placeholders filled. Raise Unfilled if that is not possible."""
        return _fill(self.value, row, read, empty)


def parse_tree(value: object, path: str, file: str, columns: tuple[str, ...]) -> Tree:
    """Return *value*, the part of the template *file* at *path*, as a tree. Raise CliError for a wrong placeholder."""
    paths, used = set[str](), set[str]()
    found: list[str] = []

    def walk(node: object, path: str, name: str) -> object:
        match node:
            case dict():
                return {key: walk(part, f"{path}.{key}", key) for key, part in node.items()}
            case list():
                return [walk(part, f"{path}[{at}]", name) for at, part in enumerate(node)]
            case str():
                source = TextSource(f"{file}: {path}", columns)
                template = parse(node, source)
                found.extend(notes(node, template, source))
                if not template.columns:
                    return template.pieces[0]
                paths.add(path)
                used.update(template.columns)
                return _Leaf(template, name)
            case _:
                return node

    tree = walk(value, path, path)
    return Tree(tree, frozenset(paths), frozenset(used), tuple(found))


def _fill(node: object, row: Mapping[str, object], read: ReadValue, empty: bool) -> object:  # noqa: FBT001 - private
    match node:
        case _Leaf():
            return node.fill(row, read, empty=empty)
        case dict():
            return {key: _fill(part, row, read, empty) for key, part in node.items()}
        case list():
            return [_fill(part, row, read, empty) for part in node]
        case _:
            return node


def strings(value: object, path: str) -> Iterator[tuple[str, str]]:
    """Yield the path of each string in *value*, parsed JSON, and the string."""
    parts: Iterable[tuple[object, str]] = ()
    match value:
        case str():
            yield path, value
        case dict():
            parts = ((part, f"{path}.{key}") for key, part in value.items())
        case list():
            parts = ((part, f"{path}[{at}]") for at, part in enumerate(value))
        case _:
            pass
    for part, at in parts:
        yield from strings(part, at)
