"""From options, template files and the values of a row to one message.

Rules:
- An option takes precedence over a template file, and both over a column of the same name.
- Placeholders are filled in options and in template files. The text of a row is sent as it is; if it has a placeholder
  for a column, the row is refused.
- In HTML the inserted text is escaped.
- Spaces around values are removed.
- The structured fields of a row and of a template file are read through the codec, and none of them is left out.
- With a column for the fallback, the first message is RCS and the second an email to the address in that column. Each
  is made only of the fields of its channel. A row without an address has no fallback.
"""

import html
import re
from collections.abc import Mapping
from typing import Final, TypeAlias, TypeGuard, cast, final

import orjson
from attrs import Factory, evolve, field, frozen

from ...codec import Problems
from ...messages import Email, Message, Text, check, read
from ...messages.models import MessageType, TrafficType
from ...results import Detail, Invalid
from ..output import CliError
from . import placeholders
from .cells import UNFILLED, RowWarnings, Unfilled, as_text, damage
from .input import InputRow
from .message_file import (
    CONTENT,
    DATA,
    OPTIONS,
    Json,
    MessageFile,
    Tree,
    merge_content,
    parse_tree,
    strings,
    with_defaults,
)
from .placeholders import TextSource, TextTemplate, find_foreign, find_own, parse

KEY: Final = "idempotency_key"
_TEMPLATED: Final = frozenset({"text", "subject", "html"})
_RCS_ONLY: Final = ("traffic_type", "ttl")
_EMAIL_ONLY: Final = ("subject", "html", "template_id", "template_version")
_FIRST_FIELDS: Final = frozenset({"to", "agent_id", "message_type", "text", *_RCS_ONLY})
_FALLBACK_FIELDS: Final = frozenset({"to", "channel_id", "message_type", *_EMAIL_ONLY})
_MISPLACED: Final = ("standalone", "card", "cards", "media")
_MAYBE_PLACEHOLDER: Final = re.compile(r"[{%\[<*$#@_\u00ab]")


@final
@frozen
class ColumnValue:
    """The value of a column as a field of the message."""

    column: str


FieldSource: TypeAlias = TextTemplate | ColumnValue


def check_options(given: Mapping[str, str]) -> None:
    """Raise CliError if options, *given* by the name of their field, exclude each other."""
    if "agent_id" in given and "channel_id" in given:
        raise CliError("--agent is for RCS and --channel for email: give one of them")
    sender, excluded = ("--agent", _EMAIL_ONLY) if "agent_id" in given else ("--channel", _RCS_ONLY)
    if "agent_id" in given or "channel_id" in given:
        for name in excluded:
            if name in given:
                raise CliError(f"{OPTIONS[name]} cannot be used with {sender}")


def compose(given: Mapping[str, str], data: Json | None = None, content: Json | None = None) -> Message | Invalid:
    """Return the message with the fields *given*: an email if there is a channel, else RCS.

    *content* is the structured content; its text and HTML are replaced by those *given*.
    """
    kind = cast("MessageType", given.get("message_type") or "MESSAGE")
    senders = [name for name in ("agent_id", "channel_id") if given.get(name)]
    if len(senders) != 1:
        problem = (
            "is missing: RCS needs agent_id, email needs channel_id" if not senders else "and channel_id: give one"
        )
        return _invalid(Detail("agent_id", problem))
    is_email = senders == ["channel_id"]
    required = ("to",) if is_email else ("to", "traffic_type", *(("text",) if content is None else ()))
    missing = [Detail(name, "is missing") for name in required if not given.get(name)]
    if missing:
        return _invalid(*missing)
    if content is not None:
        return _read({**given, "message_type": kind}, data if is_email else None, content, is_email=is_email)
    if is_email:
        parts = {name: given[name] for name in (*_EMAIL_ONLY, "text") if given.get(name)}
        return Email(channel_id=given["channel_id"], to=given["to"], message_type=kind, template_data=data, **parts)
    return Text(
        agent_id=given["agent_id"],
        to=given["to"],
        traffic_type=cast("TrafficType", given["traffic_type"]),
        text=given["text"],
        message_type=kind,
        ttl=given.get("ttl") or None,
    )


def _read(given: Mapping[str, str], data: Json | None, content: Json, *, is_email: bool) -> Message | Invalid:
    # The message as the API has it is read through the codec, which finds unknown fields and wrong types.
    names = ("channel_id", "subject", "template_id", "template_version") if is_email else ("agent_id", *_RCS_ONLY)
    body: Json = {name: given[name] for name in ("to", "message_type", *names) if given.get(name)}
    inner = with_defaults(content)
    inner |= {name: given[name] for name in (("text", "html") if is_email else ("text",)) if given.get(name)}
    if data is not None:
        body[DATA] = data
    message = read(body | {"content": inner})
    return _invalid(*message.details) if isinstance(message, Problems) else message


def own_key(row: InputRow) -> str | None:
    """Return the idempotency key in the column of that name; None if there is none."""
    value = row.values.get(KEY)
    return str(value).strip() or None if isinstance(value, str | int) else None


@final
@frozen(kw_only=True)
class MessageTemplate:
    """What the options say about every message of a batch: *given* is the text for each field.

    *file* is the template file of --message, if there is one. *fallback_column* is the column of the email addresses to
    which a second message is sent if the service refuses the first. *fields* are the fields that are used; None for all
    of them. With *single* the options have no placeholders, and columns only fill those of the file.
    """

    given: Mapping[str, str] = field(repr=False)
    file: MessageFile | None = None
    to_column: str = "to"
    data_columns: tuple[str, ...] = ()
    allow_empty: bool = False
    fallback_column: str | None = None
    fields: frozenset[str] | None = None
    single: bool = False

    def bind(self, columns: tuple[str, ...], *, typed: bool = False) -> "MessageBuilder":
        """Return the builder for a file with these *columns*. Raise CliError if one is missing.

        With *typed* the values have types, as in JSON: a text in place of a structured field is refused.
        """
        if self.fallback_column is not None:
            return self._bind_both(self.fallback_column, columns, typed=typed)
        check_options({**(self.file.fields if self.file is not None else {}), **self.given})
        return self._bind_one(columns, typed=typed)

    def _bind_one(self, columns: tuple[str, ...], *, typed: bool) -> "MessageBuilder":
        notes: list[str] = []
        sources = self._sources(columns, notes)
        file, content, data = self.file, None, None
        if file is not None and file.content is not None:
            content = parse_tree(file.content, "content", file.path, columns)
            notes += content.notes
        if file is not None and file.data is not None:
            data = parse_tree(file.data, DATA, file.path, columns)
            notes += data.notes
        content_columns = () if self._ignores_content else tuple(name for name in CONTENT if name in columns)
        builder = MessageBuilder(
            template=self,
            sources=sources,
            columns=columns,
            content=content,
            data=data,
            content_columns=content_columns,
            typed=typed,
            notes=tuple(notes),
        )
        _check_complete(sources, structured=content is not None or bool(content_columns))
        if file is not None:
            _check_file(builder, file)
        return builder

    @property
    def _ignores_content(self) -> bool:
        # Whether the content of a message is not made of the columns of the file.
        return self.single or (self.file is not None and self.file.has_content)

    def _bind_both(self, column: str, columns: tuple[str, ...], *, typed: bool) -> "MessageBuilder":
        self._check_file_of_fallback()
        first, second = self._only(_FIRST_FIELDS), self._only(_FALLBACK_FIELDS)
        second = evolve(second, to_column=column, data_columns=self.data_columns, file=None)
        if "agent_id" not in first._sources(columns, []):  # noqa: SLF001 - of this class
            raise CliError("--fallback-email is for RCS messages: give --agent, or a column agent_id")
        bound = first._bind_one(columns, typed=typed)  # noqa: SLF001 - of this class
        notes: list[str] = []
        others = second._sources(columns, notes, "--fallback-email")  # noqa: SLF001 - of this class
        if "channel_id" not in others:
            raise CliError("--fallback-email needs an email channel: give --channel, or a column channel_id")
        for name, example in (("subject", "'Hi {name}'"), ("html", "'<p>Hi {name}</p>'")):
            if name not in others and "template_id" not in others:
                raise CliError(f"--fallback-email needs {OPTIONS[name]} {example}, or a column {name}, or --template")
        fallback = MessageBuilder(
            template=second, sources=others, columns=columns, typed=typed, warnings=bound.warnings, has_data=True
        )
        return evolve(bound, fallback=fallback, notes=(*bound.notes, *notes), has_data=False)

    def _check_file_of_fallback(self) -> None:
        file = self.file
        if file is None:
            return
        for name in ("channel_id", *_EMAIL_ONLY, DATA):
            if name in file.fields or (name == DATA and file.data is not None):
                raise CliError(
                    f"{file.path}: with --fallback-email, --message describes the RCS message: leave {name} out, and "
                    "describe the email by --channel, --subject and --html"
                )

    def _only(self, fields: frozenset[str]) -> "MessageTemplate":
        given = {name: text for name, text in self.given.items() if name in fields}
        return evolve(self, given=given, data_columns=(), fallback_column=None, fields=fields)

    def _sources(
        self, columns: tuple[str, ...], notes: list[str], to_option: str = "--to-column"
    ) -> dict[str, FieldSource]:
        # Adds to *notes* what the texts may not mean.
        for option, name in [(to_option, self.to_column), *(("--data", name) for name in self.data_columns)]:
            if name not in columns:
                hint = "" if option == "--data" else f" for the recipients: name it with {option}"
                raise CliError(f"there is no column {name}{hint}; the columns are: {', '.join(columns)}")
        sources: dict[str, FieldSource] = {"to": ColumnValue(self.to_column)}
        of_file = {} if self.file is None else self.file.fields
        other = {"agent_id": "channel_id", "channel_id": "agent_id"}
        excluded = {other[name] for name in other if name in self.given or name in of_file}
        if self._ignores_content:
            excluded |= {"text", "html"}
        for name, option in OPTIONS.items():
            if self.fields is not None and name not in self.fields:
                continue
            if name in self.given and name in _TEMPLATED and not self.single:
                sources[name] = _parse(self.given[name], TextSource(option, columns, name == "html"), notes)
            elif name in self.given:
                sources[name] = TextTemplate((self.given[name],))
            elif self.file is not None and name in of_file:
                source = TextSource(f"{self.file.path}: {name}", columns, name == "html")
                sources[name] = _parse(of_file[name], source, notes)
            elif name in columns and name not in sources and name not in excluded and not self.single:
                sources[name] = ColumnValue(name)
        return sources


def _parse(text: str, source: TextSource, notes: list[str]) -> TextTemplate:
    template = parse(text, source)
    notes.extend(placeholders.notes(text, template, source))
    return template


def _check_complete(sources: Mapping[str, FieldSource], *, structured: bool) -> None:
    if "agent_id" not in sources and "channel_id" not in sources:
        raise CliError("no sender: give --agent (RCS) or --channel (email), or a column agent_id or channel_id")
    if "channel_id" in sources:
        if not structured and not sources.keys() & {"text", "html", "template_id"}:
            raise CliError("no content: give --text, --html or --template, or a column text, html or template_id")
        return
    for name, example in (("text", "'Hi {name}'"), ("traffic_type", "TRANSACTION")):
        if name not in sources and not (structured and name == "text"):
            file = ", or --message FILE.json" if name == "text" else ""
            raise CliError(f"no {name}: give {OPTIONS[name]} {example}{file}, or a column {name}")


_SAMPLE: Final = "1"


def _check_file(builder: "MessageBuilder", file: MessageFile) -> None:
    """Raise CliError if the template *file* has an unknown field, a wrong type, or a value that no row makes valid."""
    sources = builder.sources
    is_email = "agent_id" not in sources or ("channel_id" in sources and builder.content is None)
    given = {"to": "ann@example.org" if is_email else "+4915112345678", "traffic_type": "TRANSACTION"}
    unsure = set() if builder.content is None else set(builder.content.paths)
    for name, source in sources.items():
        if isinstance(source, TextTemplate) and not source.columns:
            given[name] = source.pieces[0]
        elif name not in {"to", "traffic_type", "message_type"}:
            given[name] = _SAMPLE
            unsure.add(f"content.{name}" if name in {"text", "html"} else name)
    _ = given.pop("agent_id" if is_email else "channel_id", None)
    content = None if builder.content is None else builder.content.fill({}, _sample)
    data = None if builder.data is None else builder.data.fill({}, _sample)
    message = compose(given, data, content)
    checked = {"content", DATA, *file.fields}
    wrong = [
        f"{one.field} {one.message}"
        for one in (message.details if isinstance(message, Invalid) else check(message))
        if one.field not in unsure and one.field.split(".")[0] in checked
    ]
    if wrong:
        raise CliError(f"{file.path}: {'; '.join(wrong)}")


def _sample(_column: str, _value: object) -> str:
    return _SAMPLE


@final
@frozen(kw_only=True)
class MessageBuilder:
    """Builds a message from each row of one file; *sources* are the texts of its fields.

    *content* and *data* are those of a template file, and *content_columns* the columns of structured fields. *notes*
    are what the options may not mean, one line each; *warnings* counts rows. *fallback* builds the message that is sent
    if the service refuses the first, if there is one.
    """

    template: MessageTemplate
    sources: Mapping[str, FieldSource]
    columns: tuple[str, ...]
    content: Tree | None = None
    data: Tree | None = None
    content_columns: tuple[str, ...] = ()
    typed: bool = False
    has_data: bool = True
    notes: tuple[str, ...] = ()
    warnings: RowWarnings = field(factory=RowWarnings)
    fallback: "MessageBuilder | None" = None
    _fixed: Mapping[str, str] = field(
        init=False, default=Factory(lambda self: self._find_fixed(), takes_self=True), repr=False
    )
    _varying: tuple[tuple[str, FieldSource], ...] = field(
        init=False, default=Factory(lambda self: self._find_varying(), takes_self=True)
    )
    _used: frozenset[str] = field(init=False, default=Factory(lambda self: self._find_used(), takes_self=True))
    _misplaced: tuple[str, ...] = field(
        init=False, default=Factory(lambda self: self._find_misplaced(), takes_self=True)
    )
    _is_plain: bool = field(init=False, default=Factory(lambda self: self._find_plain(), takes_self=True))

    def _find_fixed(self) -> Mapping[str, str]:
        fixed = {
            name: source.pieces[0]
            for name, source in self.sources.items()
            if isinstance(source, TextTemplate) and not source.columns
        }
        return {name: text if name in _TEMPLATED else text.strip() for name, text in fixed.items()}

    def _find_varying(self) -> tuple[tuple[str, FieldSource], ...]:
        return tuple((name, source) for name, source in self.sources.items() if name not in self._fixed)

    def _find_used(self) -> frozenset[str]:
        used = {self.template.to_column, *self.template.data_columns}
        for source in self.sources.values():
            used.update(source.columns if isinstance(source, TextTemplate) else (source.column,))
        return frozenset(used)

    def _find_misplaced(self) -> tuple[str, ...]:
        # Parts of a message that stand beside it, in rows whose values have types.
        return tuple(name for name in _MISPLACED if self.typed and name in self.columns and name not in self._used)

    def _find_plain(self) -> bool:
        # Whether a message is made of its texts only.
        has_data = self.template.data_columns or self.data is not None or DATA in self.columns
        return not (has_data or self.content is not None or self.content_columns or self._misplaced)

    def build(self, row: InputRow) -> Message | Invalid:
        """Return the message of *row*, or the problems of the row as Invalid."""
        if row.problem is not None:
            return _invalid(Detail("", f"the row {row.problem}"))
        self.warnings.line = row.line
        given = {**self._fixed}
        try:
            for name, source in self._varying:
                given[name] = self._fill(name, source, row)
            if self._is_plain:
                return compose(given)
            return compose(given, self._data(row), self._content(row, given))
        except Unfilled as error:
            return _invalid(Detail("", str(error)))

    def build_fallback(self, row: InputRow) -> Message | Invalid | None:
        """Return the second message of *row*, or its problems as Invalid; None if the row has no address for it."""
        if self.fallback is None:
            return None
        column = self.fallback.template.to_column
        try:
            if not as_text(column, row.values.get(column)).strip():
                return None
        except Unfilled as error:
            return _invalid(Detail("to", str(error)))
        message = self.fallback.build(row)
        # A reply in a conversation is a message of its own by email.
        return evolve(message, message_type="MESSAGE") if _is_conversation(message) else message

    def _fill(self, name: str, source: FieldSource, row: InputRow) -> str:
        if isinstance(source, ColumnValue):
            column, value = source.column, row.values.get(source.column)
            return self._text_of(column, value) if name in _TEMPLATED else as_text(column, value).strip()
        if name in _TEMPLATED:
            escape = html.escape if name == "html" else None
            return source.fill(row.values, self.warnings.read, empty=self.template.allow_empty, escape=escape)
        return source.fill(row.values, self.warnings.read, empty=True).strip()

    def _text_of(self, column: str, value: object) -> str:
        text = self.warnings.read(column, value)
        self._check_placeholders(column, text)
        return text

    def _check_placeholders(self, column: str, text: str) -> None:
        if _MAYBE_PLACEHOLDER.search(text) is None:
            return
        found = next((one for one, named in find_own(text, self.columns) if named is not None), None)
        foreign, named = next(find_foreign(text, TextSource(column, self.columns, column == "html")), ("", None))
        if found or foreign:
            foreign = foreign if named or not foreign else "*|...|*"
            raise Unfilled(
                f"the column {column} has the placeholder {foreign or found}, which is not filled: placeholders are "
                "filled in options such as --text and in the file of --message"
            )
        if any(True for _ in find_own(text, ())):
            self.warnings.add(UNFILLED, column)

    def _content(self, row: InputRow, given: Mapping[str, str]) -> Json | None:
        for name in self._misplaced:
            if isinstance(row.values.get(name), dict | list):
                raise Unfilled(f"{name} is not a field of a row: it belongs into rich_card, carousel or content")
        if self.content is not None:
            filled: Json = self.content.fill(row.values, self.warnings.read, empty=self.template.allow_empty)
            return filled
        if not self.content_columns:
            return None
        fields = {name: self._structured(name, row.values.get(name)) for name in self.content_columns}
        if all(value is None for value in fields.values()):
            return None
        content = merge_content(fields)
        for name in ("text", "html"):
            if content.get(name) is not None and given.get(name) and isinstance(self.sources.get(name), ColumnValue):
                raise Unfilled(f"{name} is given twice, once in content")
        for path, text in strings(content, "content"):
            _check_damage(path, text)
            self._check_placeholders(path, text)
        return content

    def _structured(self, name: str, value: object) -> object:
        if not isinstance(value, str):
            return value
        text = value.strip()
        if _LIKE_JSON[name].match(text):
            return _parse_json(name, text)
        if text and self.typed and name not in self._used:
            raise Unfilled(f"{name} must be {'an array' if name == 'suggestions' else 'an object'}, not a string")
        return None  # a column of another meaning

    def _data(self, row: InputRow) -> Json | None:
        data = {name: self._datum(name, row.values.get(name)) for name in self.template.data_columns}
        if self.data is not None:
            whole: Json = self.data.fill(row.values, self.warnings.read, empty=self.template.allow_empty)
            return whole | data
        given = row.values.get(DATA) if self.has_data and not self.template.single else None
        if isinstance(given, str) and given.strip():
            given = _parse_json(DATA, given)
        if isinstance(given, dict):
            for path, text in strings(given, DATA):
                _check_damage(path, text)
            return given | data
        if given:
            raise Unfilled(f"the column {DATA} is not a JSON object")
        return data or None

    def _datum(self, name: str, value: object) -> object:
        if isinstance(value, str):
            return self.warnings.read(name, value)
        for path, text in strings(value, name):
            _check_damage(path, text)
        return value


_LIKE_JSON: Final = {
    "content": re.compile(r"\{"),
    "suggestions": re.compile(r"\[\s*[{\]]"),
    "rich_card": re.compile(r"."),
    "carousel": re.compile(r"."),
}


def _parse_json(column: str, text: str) -> object:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        raise Unfilled(f"the column {column} is not JSON") from None


def _check_damage(path: str, text: str) -> None:
    problem = damage(text)
    if problem is not None:
        raise Unfilled(f"{path} {problem}")


def _is_conversation(message: Message | Invalid) -> TypeGuard[Email]:
    return isinstance(message, Email) and message.message_type == "CONVERSATION"


def _invalid(*details: Detail) -> Invalid:
    text = "; ".join(f"{detail.field} {detail.message}".strip() for detail in details)
    return Invalid(message=text, details=details, own_words=True)
