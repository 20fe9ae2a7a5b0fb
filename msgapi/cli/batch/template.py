"""From options and the columns of a row to one message.

Rules:
- An option takes precedence over a column of the same name.
- A placeholder `{column}` is replaced by the text of the column, whole; there are no formats, attributes, indexes
  or conversions. In HTML the inserted text is escaped.
- Spaces around ids and recipients are removed.
- With a column for the fallback, the first message is RCS and the second an email to the address in that column. Each
  is made only of the fields of its channel. A row without an address has no fallback.
"""

import html
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal, TypeGuard, cast, final

import orjson
from attrs import evolve, field, frozen

from ...messages import Email, Message, Text
from ...messages.models import MessageType, TrafficType
from ...results import Detail, Invalid
from ..files.rows import EMAIL_OPTION, KEY, InputRow, check_header, find_column, list_columns, require_column
from ..outcomes import CliError

Channel = Literal["rcs", "email"]
DATA: Final = "template_data"
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
_PART: Final = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_TEMPLATED: Final = frozenset({"text", "subject", "html"})
_FALLBACK_PATH: Final = "fallback."
_RCS_ONLY: Final = ("traffic_type", "ttl")
_EMAIL_ONLY: Final = ("subject", "html", "template_id", "template_version")
_FIRST_FIELDS: Final = frozenset({"to", "agent_id", "message_type", "text", *_RCS_ONLY})
_FALLBACK_FIELDS: Final = frozenset({"to", "channel_id", "message_type", *_EMAIL_ONLY})


class Unfilled(ValueError):
    """A row has no text for a column. The message names the column, never the value."""


def as_text(column: str, value: object) -> str:
    """Return one value of a row as text. Raise Unfilled if it is not a string, number, boolean or null."""
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
class TextTemplate:
    """A text with placeholders: *pieces* are alternately literal text and the name of a column."""

    pieces: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the placeholders, in order."""
        return self.pieces[1::2]

    def fill(self, row: Mapping[str, object], *, empty: bool, escape: Callable[[str], str] = str) -> str:
        """Return the text with the values of *row*, each passed through *escape*.

        Raise Unfilled if a value is empty, unless *empty* is true.
        """
        parts = list(self.pieces)
        for at in range(1, len(parts), 2):
            column = parts[at]
            filled = as_text(column, row.get(column))
            if not empty and not filled.strip():
                raise Unfilled(f"the column {column} is empty")
            parts[at] = escape(filled)
        return "".join(parts)


def parse(text: str, option: str) -> TextTemplate:
    """Parse the value of *option*; `{{` and `}}` stand for braces."""
    pieces, literal, end = [], "", 0
    for found in _PART.finditer(text):
        literal += text[end : found.start()]
        end = found.end()
        if found[0] in {"{{", "}}"}:
            literal += found[0][0]
        elif not found[1]:
            what = "an empty {}" if found[0] == "{}" else f"a lone {found[0]}"
            raise CliError(
                f"{option} has {what} at character {found.start() + 1}: write {{column}}, or {{{{ for a brace"
            )
        else:
            pieces += [literal, found[1]]
            literal = ""
    return TextTemplate((*pieces, literal + text[end:]))


def find_columns(template: TextTemplate, option: str, columns: Sequence[str]) -> TextTemplate:
    """Return *template* with the names that its columns have in *columns*. Raise CliError if one is not there."""
    pieces = list(template.pieces)
    for at in range(1, len(pieces), 2):
        found = find_column(columns, pieces[at])
        if found is None:
            check_header(columns)
            raise CliError(
                f"{option} names an unknown column: {{{pieces[at]}}}; the columns are: {list_columns(columns)}"
            )
        pieces[at] = found
    return TextTemplate(tuple(pieces))


def check_options(given: Mapping[str, str]) -> None:
    """Raise CliError if options, *given* by the name of their field, exclude each other."""
    if "agent_id" in given and "channel_id" in given:
        raise CliError("--agent is for RCS and --channel for email: give one of them")
    sender, excluded = ("--agent", _EMAIL_ONLY) if "agent_id" in given else ("--channel", _RCS_ONLY)
    if "agent_id" in given or "channel_id" in given:
        for name in excluded:
            if name in given:
                raise CliError(f"{OPTIONS[name]} cannot be used with {sender}")


def compose(given: Mapping[str, str], data: Mapping[str, object] | None = None) -> Message | Invalid:
    """Return the message with the fields *given*: an email if there is a channel, else RCS."""
    kind = cast("MessageType", given.get("message_type") or "MESSAGE")
    senders = [name for name in ("agent_id", "channel_id") if given.get(name)]
    if len(senders) != 1:
        problem = (
            "is missing: RCS needs agent_id, email needs channel_id" if not senders else "and channel_id: give one"
        )
        return _invalid(Detail("agent_id", problem))
    required = ("to",) if senders == ["channel_id"] else ("to", "traffic_type", "text")
    missing = [Detail(name, "is missing") for name in required if not given.get(name)]
    if missing:
        return _invalid(*missing)
    if senders == ["channel_id"]:
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


def own_key(row: InputRow) -> str | None:
    """Return the idempotency key in the column of that name; None if there is none."""
    return key_text(row.values.get(KEY))


def key_text(value: object) -> str | None:
    """Return the idempotency key that is the *value* of its column; None if there is none."""
    return str(value).strip() or None if isinstance(value, str | int) else None


@final
@frozen(kw_only=True)
class MessageTemplate:
    """What the options say about every message of a batch: *given* is the text for each field.

    *fallback_column* is the column of the email addresses to which a second message is sent if the service refuses the
    first. *fields* are the fields that are used; None for all of them.
    """

    given: Mapping[str, str] = field(repr=False)
    to_column: str = "to"
    data_columns: tuple[str, ...] = ()
    allow_empty: bool = False
    fallback_column: str | None = None
    fields: frozenset[str] | None = None

    def bind(self, columns: tuple[str, ...]) -> "MessageBuilder":
        """Return the builder for a file with these *columns*. Raise CliError if one is missing."""
        if self.fallback_column is not None:
            return self._bind_both(self.fallback_column, columns)
        check_options(self.given)
        sources = self._sources(columns)
        _check_complete(sources)
        return MessageBuilder(
            template=self, sources=sources, variables=self._variables(columns), data=find_column(columns, DATA)
        )

    def _bind_both(self, column: str, columns: tuple[str, ...]) -> "MessageBuilder":
        first, second = self._only(_FIRST_FIELDS), self._only(_FALLBACK_FIELDS)
        second = evolve(second, to_column=column, data_columns=self.data_columns)
        sources = first._sources(columns)  # noqa: SLF001 - of this class
        if "agent_id" not in sources:
            raise CliError("--fallback-email is for RCS messages: give --agent, or a column agent_id")
        _check_complete(sources)
        others = second._sources(columns, EMAIL_OPTION)  # noqa: SLF001 - of this class
        if "channel_id" not in others:
            raise CliError("--fallback-email needs an email channel: give --channel, or a column channel_id")
        for name, example in (("subject", "'Hi {name}'"), ("html", "'<p>Hi {name}</p>'")):
            if name not in others and "template_id" not in others:
                raise CliError(f"--fallback-email needs {OPTIONS[name]} {example}, or a column {name}, or --template")
        fallback = MessageBuilder(
            template=second, sources=others, variables=self._variables(columns), data=find_column(columns, DATA)
        )
        return MessageBuilder(template=first, sources=sources, fallback=fallback)

    def _variables(self, columns: tuple[str, ...]) -> dict[str, str]:
        return {name: require_column(columns, name, "--data") for name in self.data_columns}

    def _only(self, fields: frozenset[str]) -> "MessageTemplate":
        given = {name: text for name, text in self.given.items() if name in fields}
        return MessageTemplate(given=given, to_column=self.to_column, allow_empty=self.allow_empty, fields=fields)

    def _sources(self, columns: tuple[str, ...], to_option: str = "--to-column") -> dict[str, TextTemplate]:
        sources = {"to": _column(require_column(columns, self.to_column, to_option, " for the recipients"))}
        other = {"agent_id": "channel_id", "channel_id": "agent_id"}
        excluded = {other[name] for name in other if name in self.given}
        excluded |= set(_EMAIL_ONLY if "agent_id" in self.given else _RCS_ONLY if "channel_id" in self.given else ())
        for name, option in OPTIONS.items():
            if self.fields is not None and name not in self.fields:
                continue
            if name in self.given and name in _TEMPLATED:
                sources[name] = find_columns(parse(self.given[name], option), option, columns)
            elif name in self.given:
                sources[name] = TextTemplate((self.given[name],))
            elif name not in sources and name not in excluded and (found := find_column(columns, name)) is not None:
                sources[name] = _column(found)
        return sources


def _column(name: str) -> TextTemplate:
    return TextTemplate(("", name, ""))


def _check_complete(sources: Mapping[str, TextTemplate]) -> None:
    if "agent_id" not in sources and "channel_id" not in sources:
        raise CliError("no sender: give --agent (RCS) or --channel (email), or a column agent_id or channel_id")
    if "channel_id" in sources:
        if not sources.keys() & {"text", "html", "template_id"}:
            raise CliError("no content: give --text, --html or --template, or a column text, html or template_id")
        return
    for name, example in (("text", "'Hi {name}'"), ("traffic_type", "TRANSACTION")):
        if name not in sources:
            raise CliError(f"no {name}: give {OPTIONS[name]} {example}, or a column {name}")


@final
@frozen(kw_only=True)
class MessageBuilder:
    """Builds a message from each row of one file; *sources* are the templates of its fields.

    *variables* are the columns of the variables for a template of the service, *data* is that of all its values.
    *fallback* builds the message that is sent if the service refuses the first, if there is one.
    """

    template: MessageTemplate
    sources: Mapping[str, TextTemplate]
    variables: Mapping[str, str] = field(factory=dict)
    data: str | None = None
    fallback: "MessageBuilder | None" = None

    @property
    def columns(self) -> frozenset[str]:
        """The columns that are used in the messages."""
        names = {name for source in self.sources.values() for name in source.columns} | {*self.variables.values()}
        names |= {*(() if self.data is None else (self.data,))}
        return frozenset(names) | (frozenset() if self.fallback is None else self.fallback.columns)

    def name_columns(self, error: Invalid) -> Invalid:
        """Return *error* with the name of the column in place of each field that is the value of one column."""
        details = tuple(evolve(one, field=self._column_of(one.field)) for one in error.details)
        return error if details == error.details else _invalid(*details)

    def _column_of(self, path: str) -> str:
        if path.startswith(_FALLBACK_PATH) and self.fallback is not None:
            return self.fallback._column_of(path.removeprefix(_FALLBACK_PATH))  # noqa: SLF001 - of this class
        source = self.sources.get(path.rpartition(".")[2])
        return path if source is None or source.pieces[::2] != ("", "") else source.pieces[1]

    def build(self, row: InputRow) -> Message | Invalid:
        """Return the message of *row*, or the problems of the row as Invalid."""
        if row.problem is not None:
            return _invalid(Detail("", f"the row {row.problem}"))
        given: dict[str, str] = {}
        try:
            for name, source in self.sources.items():
                given[name] = self._fill(name, source, row)
            return compose(given, self._data(row))
        except Unfilled as error:
            return _invalid(Detail("", str(error)))

    def build_fallback(self, row: InputRow) -> Message | Invalid | None:
        """Return the second message of *row*, or its problems as Invalid; None if the row has no address for it."""
        if self.fallback is None:
            return None
        try:
            if not self.fallback.sources["to"].fill(row.values, empty=True).strip():
                return None
        except Unfilled as error:
            return _invalid(Detail("to", str(error)))
        message = self.fallback.build(row)
        # A reply in a conversation is a message of its own by email.
        return evolve(message, message_type="MESSAGE") if _is_conversation(message) else message

    def _fill(self, name: str, source: TextTemplate, row: InputRow) -> str:
        if name not in _TEMPLATED:
            return source.fill(row.values, empty=True).strip()
        if name not in self.template.given:
            return source.fill(row.values, empty=True)
        escape: Callable[[str], str] = html.escape if name == "html" else str
        return source.fill(row.values, empty=self.template.allow_empty, escape=escape)

    def _data(self, row: InputRow) -> Mapping[str, object] | None:
        data = {name: row.values.get(column) for name, column in self.variables.items()}
        whole = None if self.data is None else row.values.get(self.data)
        if isinstance(whole, str) and whole.strip():
            try:
                whole = orjson.loads(whole)
            except orjson.JSONDecodeError:
                raise Unfilled(f"the column {DATA} is not JSON") from None
        if isinstance(whole, dict):
            return whole | data
        if whole:
            raise Unfilled(f"the column {DATA} is not a JSON object")
        return data or None


def _is_conversation(message: Message | Invalid) -> TypeGuard[Email]:
    return isinstance(message, Email) and message.message_type == "CONVERSATION"


def _invalid(*details: Detail) -> Invalid:
    text = "; ".join(f"{detail.field} {detail.message}".strip() for detail in details)
    return Invalid(message=text, details=details, own_words=True)
