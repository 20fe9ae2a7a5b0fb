"""From the values of a row to its message.

Rules:
- Placeholders are filled in options and in template files. The text of a row is sent as it is; if it has a placeholder
  for a column, the row is refused.
- In HTML the inserted text is escaped.
- Spaces around values are removed. Recipients are normalised.
- The structured fields of a row and of a template file are read through the codec, and none of them is left out.
"""

import html
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, TypeAlias, TypeGuard, cast, final

import orjson
from attrs import Factory, evolve, field, frozen

from ...codec import Problems
from ...codegen import constructor
from ...messages import Email, Message, Text, read
from ...messages.models import MessageType, TrafficType
from ...recipients.country_codes import is_possible
from ...recipients.email import is_usual
from ...results import Detail, Invalid
from ..files.json_rows import is_too_deep
from ..files.rows import KEY, InputRow
from .content import DATA, Json, Tree, merge_content, strings, with_defaults
from .placeholders import TextSource, TextTemplate, find_foreign, find_own
from .values import UNFILLED, RecipientReader, RefusedCell, RowWarnings, Unfilled, as_text, damage

if TYPE_CHECKING:
    from .template import MessageTemplate

_FALLBACK_PATH: Final = "fallback."
TEXTS: Final = frozenset({"text", "subject", "html"})
RCS_ONLY: Final = ("traffic_type", "ttl")
EMAIL_ONLY: Final = ("subject", "html", "template_id", "template_version")
_MISPLACED: Final = ("standalone", "card", "cards", "media")
_MAYBE_PLACEHOLDER: Final = re.compile(r"[{%\[<*$#@_\u00ab]")


@final
@frozen
class ColumnValue:
    """The value of a column as a field of the message."""

    column: str


FieldSource: TypeAlias = TextTemplate | ColumnValue
_new_text: Final = constructor(Text)
_new_email: Final = constructor(Email)


def compose(given: Mapping[str, str], data: Json | None = None, content: Json | None = None) -> Message | Invalid:
    """Return the message with the fields *given*: an email if there is a channel, else RCS.

    *content* is the structured content; its text and HTML are replaced by those *given*.
    """
    kind = cast("MessageType", given.get("message_type") or "MESSAGE")
    is_email = bool(given.get("channel_id"))
    if is_email is bool(given.get("agent_id")):
        problem = "and channel_id: give one" if is_email else "is missing: RCS needs agent_id, email needs channel_id"
        return _invalid(Detail("agent_id", problem))
    required = ("to",) if is_email else ("to", "traffic_type", "text") if content is None else ("to", "traffic_type")
    for name in required:
        if not given.get(name, "").strip():
            return _missing(given, required)
    if content is not None:
        return _read({**given, "message_type": kind}, data if is_email else None, content, is_email=is_email)
    if is_email:
        parts = {name: given[name] for name in (*EMAIL_ONLY, "text") if given.get(name)}
        return _new_email(
            channel_id=given["channel_id"], to=given["to"], message_type=kind, template_data=data, **parts
        )
    return _new_text(
        agent_id=given["agent_id"],
        to=given["to"],
        traffic_type=cast("TrafficType", given["traffic_type"]),
        text=given["text"],
        message_type=kind,
        ttl=given.get("ttl") or None,
    )


def _missing(given: Mapping[str, str], required: tuple[str, ...]) -> Invalid:
    return _invalid(*(Detail(name, "is missing") for name in required if not given.get(name, "").strip()))


def _read(given: Mapping[str, str], data: Json | None, content: Json, *, is_email: bool) -> Message | Invalid:
    # The message as the API has it is read through the codec, which finds unknown fields and wrong types.
    names = ("channel_id", "subject", "template_id", "template_version") if is_email else ("agent_id", *RCS_ONLY)
    body: Json = {name: given[name] for name in ("to", "message_type", *names) if given.get(name)}
    inner = with_defaults(content)
    inner |= {name: given[name] for name in (("text", "html") if is_email else ("text",)) if given.get(name)}
    if data is not None:
        body[DATA] = data
    message = read(body | {"content": inner})
    return _invalid(*message.details) if isinstance(message, Problems) else message


def own_key(row: InputRow) -> str | None:
    """Return the idempotency key in the column of that name; None if there is none."""
    return key_text(row.values.get(KEY))


def key_text(value: object) -> str | None:
    """Return the idempotency key that is the *value* of its column; None if there is none."""
    return str(value).strip() or None if isinstance(value, str | int) else None


@final
@frozen(kw_only=True)
class MessageBuilder:
    """Builds a message from each row of one file; *sources* are the texts of its fields.

    *content* and *data* are those of a template file, and *content_columns* the columns of structured fields.
    *variables* are the columns of the variables for a template of the service, *data_column* is that of all its values;
    *columns* are all columns of the file. *notes*
    are what the options may not mean, one line each; *warnings* counts rows. *fallback* builds the message that is sent
    if the service refuses the first, if there is one. *recipients* reads the recipients.
    """

    template: "MessageTemplate"
    sources: Mapping[str, FieldSource]
    columns: tuple[str, ...]
    recipients: RecipientReader
    content: Tree | None = None
    data: Tree | None = None
    content_columns: Mapping[str, str] = field(factory=dict)
    variables: Mapping[str, str] = field(factory=dict)
    data_column: str | None = None
    typed: bool = False
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
    _to: str = field(init=False, default=Factory(lambda self: self._find_to(), takes_self=True))
    _is_plain: bool = field(init=False, default=Factory(lambda self: self._find_plain(), takes_self=True))

    def _find_fixed(self) -> Mapping[str, str]:
        fixed = {
            name: source.pieces[0]
            for name, source in self.sources.items()
            if isinstance(source, TextTemplate) and not source.columns
        }
        return {name: text if name in TEXTS else text.strip() for name, text in fixed.items()}

    def _find_varying(self) -> tuple[tuple[str, FieldSource], ...]:
        return tuple((name, source) for name, source in self.sources.items() if name not in {"to", *self._fixed})

    def _find_used(self) -> frozenset[str]:
        used = {*self.variables.values()}
        for source in self.sources.values():
            used.update(source.columns if isinstance(source, TextTemplate) else (source.column,))
        return frozenset(used)

    @property
    def used_columns(self) -> frozenset[str]:
        """The columns that are used in the messages, or for their recipients."""
        more = {self.data_column, self.recipients.options.column} - {None}
        trees = [tree.columns for tree in (self.content, self.data) if tree is not None]
        second = frozenset[str]() if self.fallback is None else self.fallback.used_columns
        return self._used.union(self.content_columns.values(), cast("set[str]", more), second, *trees)

    def name_columns(self, error: Invalid) -> Invalid:
        """Return *error* with the name of the column in place of each field that is the value of one column."""
        details = tuple(evolve(one, field=self._column_of(one.field)) for one in error.details)
        return error if details == error.details else _invalid(*details)

    def _column_of(self, path: str) -> str:
        if path.startswith(_FALLBACK_PATH) and self.fallback is not None:
            return self.fallback._column_of(path.removeprefix(_FALLBACK_PATH))  # noqa: SLF001 - of this class
        source = self.sources.get(path.rpartition(".")[2])
        return source.column if isinstance(source, ColumnValue) else path

    def _find_misplaced(self) -> tuple[str, ...]:
        # Parts of a message that stand beside it, in rows whose values have types.
        return tuple(name for name in _MISPLACED if self.typed and name in self.columns and name not in self._used)

    def _find_to(self) -> str:
        return cast("ColumnValue", self.sources["to"]).column

    def _find_plain(self) -> bool:
        # Whether a message is made of its texts only.
        has_data = self.variables or self.data is not None or self.data_column is not None
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
            given["to"] = self._recipient(given, row)
            return compose(given) if self._is_plain else compose(given, self._data(row), self._content(row, given))
        except RefusedCell as error:
            return _invalid(error.detail)
        except Unfilled as error:
            return _invalid(Detail("", str(error)))

    def _recipient(self, given: Mapping[str, str], row: InputRow) -> str:
        column = self._to
        value = row.values.get(column)
        text = value if type(value) is str else as_text(column, value)
        if not text or text.isspace():
            return ""  # `compose` names what is missing
        if given.get("channel_id"):
            return text if is_usual(text) else self.recipients.read(text, "email", column, row.values)
        return text if is_possible(text) else self.recipients.read(text, "phone", column, row.values)

    def build_fallback(self, row: InputRow) -> Message | Invalid | None:
        """Return the second message of *row*, or its problems as Invalid; None if the row has no address for it."""
        if self.fallback is None:
            return None
        column = self.fallback._to  # noqa: SLF001 - of this class
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
            return self._text_of(column, value) if name in TEXTS else as_text(column, value).strip()
        if name in TEXTS:
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
        fields = {name: self._structured(name, row.values.get(column)) for name, column in self.content_columns.items()}
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
        if text and self.typed and self.content_columns[name] not in self._used:
            raise Unfilled(f"{name} must be {'an array' if name == 'suggestions' else 'an object'}, not a string")
        return None  # a column of another meaning

    def _data(self, row: InputRow) -> Json | None:
        data = {name: self._datum(name, row.values.get(column)) for name, column in self.variables.items()}
        if self.data is not None:
            whole: Json = self.data.fill(row.values, self.warnings.read, empty=self.template.allow_empty)
            return whole | data
        given = None if self.data_column is None else row.values.get(self.data_column)
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
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise Unfilled(f"the column {column} is not JSON") from None
    if is_too_deep(text, value):
        raise Unfilled(f"the column {column} is nested too deeply")
    return value


def _check_damage(path: str, text: str) -> None:
    problem = damage(text)
    if problem is not None:
        raise Unfilled(f"{path} {problem}")


def _is_conversation(message: Message | Invalid) -> TypeGuard[Email]:
    return isinstance(message, Email) and message.message_type == "CONVERSATION"


def _invalid(*details: Detail) -> Invalid:
    text = "; ".join(f"{detail.field} {detail.message}".strip() for detail in details)
    return Invalid(message=text, details=details, own_words=True)
