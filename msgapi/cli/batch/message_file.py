"""Files of message options: `@FILE` in the place of a text, and the template file of --message.

Rules:
- A file is read once, before anything is sent. Its digest is part of the recipe of a batch, its path is not.
- A template file is one JSON object with the fields of the API's message, but for the recipient and the key, which
  each row has. All strings in it may have placeholders, at any depth.
- Content may be given as the API has it, in `content`, or with `text`, `html`, `rich_card`, `carousel` and
  `suggestions` as fields of their own.
- `postback_data` is base64, as in the API. With placeholders it is text, and is encoded after they are filled.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, TypeAlias, final

from attrs import field, frozen

from ...messages.wire import encode_postback
from ..output import CliError, cannot_read
from .placeholders import ReadValue, TextSource, TextTemplate, notes, parse
from .values import Unfilled

MESSAGE: Final = "message"
"""The name of the option --message among the values of the message options."""

OPTIONS: Final[Mapping[str, str]] = {
    "to": "--to",
    "agent_id": "--agent",
    "traffic_type": "--traffic",
    "message_type": "--message-type",
    "ttl": "--ttl",
    "channel_id": "--channel",
    "text": "--text",
    "subject": "--subject",
    "html": "--html",
    "template_id": "--template",
    "template_version": "--template-version",
}
DATA: Final = "template_data"
CONTENT: Final = ("content", "rich_card", "carousel", "suggestions")
"""The structured fields of a message. The last three are parts of `content` that may stand beside it."""

_FROM_FILES: Final = frozenset({"text", "subject", "html"})
_OF_ROWS: Final = {"to": "the recipient is that of each row (--to-column)", "idempotency_key": "each row has its own"}
_FIELDS: Final = (*OPTIONS, DATA, *CONTENT)
_IN_CONTENT: Final = ("text", "html")
_LONGEST: Final = 4 << 20
_NUMBERS: Final = frozenset({"latitude", "longitude"})
Json: TypeAlias = dict[str, Any]


@final
@frozen(kw_only=True)
class MessageFile:
    """A template file: its *fields* that are text, the structured rest of its *content*, and its template *data*."""

    path: str
    fields: Mapping[str, str] = field(repr=False)
    content: Json | None = field(default=None, repr=False)
    data: Json | None = field(default=None, repr=False)

    @property
    def has_content(self) -> bool:
        """Whether the file says what the messages contain."""
        return self.content is not None or any(name in self.fields for name in (*_IN_CONTENT, "template_id"))


@final
@frozen(kw_only=True)
class LoadedOptions:
    """The message options with their files read: the text for each field, and the template *file* of --message.

    *digests* are those of the files, by the name of the option.
    """

    values: Mapping[str, str] = field(repr=False)
    file: MessageFile | None = None
    digests: Mapping[str, str] = field(factory=dict)


def load(values: Mapping[str, str]) -> LoadedOptions:
    """Return the message options *values* with their files read. Raise CliError if a file cannot be used."""
    loaded: dict[str, str] = {}
    digests: dict[str, str] = {}
    file = None
    for name, value in values.items():
        path = file_of(name, value)
        if path is None:
            loaded[name] = value[1:] if name in _FROM_FILES and value.startswith("@@") else value
            continue
        option = "--message" if name == MESSAGE else OPTIONS[name]
        text, digests[name] = _read(path, option)
        if name == MESSAGE:
            file = _parse(path, text)
        else:
            loaded[name] = text
    return LoadedOptions(values=loaded, file=file, digests=digests)


def file_of(name: str, value: str) -> str | None:
    """Return the path of the file that the *value* of a message option names; None if it is the value itself."""
    if name == MESSAGE:
        return value
    return value[1:] if name in _FROM_FILES and value.startswith("@") and not value.startswith("@@") else None


def absolute(values: Mapping[str, str]) -> dict[str, str]:
    """Return the message options *values* with absolute paths of files."""
    found = {}
    for name, value in values.items():
        path = file_of(name, value)
        found[name] = value if path is None else f"{'' if name == MESSAGE else '@'}{Path(path).absolute()}"
    return found


def _read(path: str, option: str) -> tuple[str, str]:
    # Returns the text of a file and its digest.
    hint = "" if option == "--message" else f" ({option} @FILE reads a file; for a text that begins with @, write @@)"
    try:
        with Path(path).open("rb") as file:
            stored = file.read(_LONGEST + 1)
    except OSError as error:
        raise CliError(f"{cannot_read(path, error)}{hint}") from None
    except ValueError:  # a NUL in the path
        raise CliError(f"{option} names no file{hint}") from None
    if len(stored) > _LONGEST:
        raise CliError(f"{path} ({option}) is longer than {_LONGEST >> 20} MB")
    try:
        text = stored.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CliError(f"{path} ({option}) is not UTF-8 (byte {error.start + 1}): save it as UTF-8") from None
    text = text.replace("\r\n", "\n").rstrip("\n")  # an editor writes the line end of the last line
    if not text.strip():
        raise CliError(f"{path} ({option}) is empty")
    return text, blake2b(stored, digest_size=16).hexdigest()


def _parse(path: str, text: str) -> MessageFile:
    try:
        value = json.loads(text, object_pairs_hook=_without_repeated, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        raise CliError(
            f"{path} (--message) is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from None
    except (ValueError, RecursionError) as error:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else f"{error}"
        raise CliError(f"{path} (--message) is not JSON: {why}") from None
    if not isinstance(value, dict):
        raise CliError(f'{path} (--message) is not a JSON object such as {{"content": {{"text": "Hi {{name}}"}}}}')
    return _split(path, {name: part for name, part in value.items() if part is not None})


def _without_repeated(pairs: list[tuple[str, object]]) -> Json:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)} is given twice")
    return found


def _no_number(name: str) -> object:
    raise ValueError(f"{name} is not a number of JSON")


def _split(path: str, value: Json) -> MessageFile:
    for name in value:
        if name in _OF_ROWS:
            raise CliError(f"{path}: {name} must be left out: {_OF_ROWS[name]}")
        if name not in _FIELDS:
            raise CliError(f"{path}: {name} is not a field of a message; the fields are: {', '.join(_FIELDS[1:])}")
    try:
        content = merge_content(value)
    except Unfilled as error:
        raise CliError(f"{path}: {error}") from None
    for name in _IN_CONTENT:
        if name in content and name in value:
            raise CliError(f"{path}: {name} is given twice, once in content")
    fields = {name: value[name] for name in OPTIONS if name in value}
    fields |= {name: content.pop(name) for name in _IN_CONTENT if content.get(name) is not None}
    for name, part in fields.items():
        if not isinstance(part, str):
            raise CliError(f"{path}: {name} must be a string, not {_type_name(part)}")
    data = value.get(DATA)
    if data is not None and not isinstance(data, dict):
        raise CliError(f"{path}: {DATA} must be an object, not {_type_name(data)}")
    return MessageFile(path=path, fields=fields, content=content or None, data=data)


def _type_name(value: object) -> str:
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


def merge_content(fields: Mapping[str, object]) -> Json:
    """Return `content` as the API has it, of the structured *fields* of a row or a template file.

    Raise Unfilled if parts of it are given twice, or `content` is not an object.
    """
    whole = fields.get("content")
    if whole is None:
        whole = {}
    if not isinstance(whole, dict):
        raise Unfilled(f"content must be an object, not {_type_name(whole)}")
    content = dict(whole)
    for name in ("rich_card", "suggestions"):
        if fields.get(name) is not None:
            _add(content, name, fields[name], name)
    carousel = fields.get("carousel")
    if carousel is not None:
        card = content.get("rich_card")
        if not isinstance(card, dict | None):
            raise Unfilled(f"rich_card must be an object, not {_type_name(card)}")
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


# Trees: parsed JSON in which the strings with placeholders are replaced by templates.


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
            return float(text)
        except ValueError:
            raise Unfilled(f"{self.name} is not a number (the column {self.template.columns[0]})") from None


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
