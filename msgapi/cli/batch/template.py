"""Options and template files: what is read from them, and where each field of a message is taken from.

Rules:
- An option takes precedence over a template file, and both over a column of the same name.
- `@FILE` in the place of a text, and the file of --message, are read once, before anything is sent. The digest of a
  file is part of the recipe of a batch, its path is not.
- A template file is one JSON object with the fields of the API's message, but for the recipient and the key, which
  each row has.
- With a column for the fallback, the first message is RCS and the second an email to the address in that column. Each
  is made only of the fields of its channel. A row without an address has no fallback.
"""

import json
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Final, final

from attrs import evolve, field, frozen

from ...messages import check
from ...results import Invalid
from ..files.json_rows import is_too_deep
from ..files.rows import EMAIL_OPTION, find_column, require_column
from ..output import CliError, cannot_read
from . import placeholders
from .builder import EMAIL_ONLY, RCS_ONLY, TEXTS, ColumnValue, FieldSource, MessageBuilder, compose
from .content import CONTENT, DATA, Json, merge_content, parse_tree, type_name
from .placeholders import TextSource, TextTemplate, parse
from .values import RecipientReader, RegionOptions, Unfilled

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
_OF_ROWS: Final = {"to": "the recipient is that of each row (--to-column)", "idempotency_key": "each row has its own"}
_FIELDS: Final = (*OPTIONS, DATA, *CONTENT)
_IN_CONTENT: Final = ("text", "html")
_LONGEST: Final = 4 << 20
_FIRST_FIELDS: Final = frozenset({"to", "agent_id", "message_type", "text", *RCS_ONLY})
_FALLBACK_FIELDS: Final = frozenset({"to", "channel_id", "message_type", *EMAIL_ONLY})


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

    @property
    def senders(self) -> dict[str, str]:
        """The fields that are the same for all messages, such as the agent, as far as they are known."""
        return {**({} if self.file is None else self.file.fields), **self.values}


def load(values: Mapping[str, str]) -> LoadedOptions:
    """Return the message options *values* with their files read. Raise CliError if a file cannot be used."""
    loaded: dict[str, str] = {}
    digests: dict[str, str] = {}
    file = None
    for name, value in values.items():
        path = file_of(name, value)
        if path is None:
            loaded[name] = value[1:] if name in TEXTS and value.startswith("@@") else value
            continue
        option = "--message" if name == MESSAGE else OPTIONS[name]
        text, digests[name] = _read(path, option)
        if name == MESSAGE:
            file = _parse_file(path, text)
        else:
            loaded[name] = text
    return LoadedOptions(values=loaded, file=file, digests=digests)


def file_of(name: str, value: str) -> str | None:
    """Return the path of the file that the *value* of a message option names; None if it is the value itself."""
    if name == MESSAGE:
        return value
    return value[1:] if name in TEXTS and value.startswith("@") and not value.startswith("@@") else None


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


def _parse_file(path: str, text: str) -> MessageFile:
    try:
        value = json.loads(text, object_pairs_hook=_without_repeated, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        raise CliError(
            f"{path} (--message) is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from None
    except (ValueError, RecursionError) as error:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else f"{error}"
        raise CliError(f"{path} (--message) is not JSON: {why}") from None
    if is_too_deep(text, value):
        raise CliError(f"{path} (--message) is nested too deeply")
    if not isinstance(value, dict):
        raise CliError(f'{path} (--message) is not a JSON object such as {{"content": {{"text": "Hi {{name}}"}}}}')
    return _split_fields(path, {name: part for name, part in value.items() if part is not None})


def _without_repeated(pairs: list[tuple[str, object]]) -> Json:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)} is given twice")
    return found


def _no_number(name: str) -> object:
    raise ValueError(f"{name} is not a number of JSON")


def _split_fields(path: str, value: Json) -> MessageFile:
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
            raise CliError(f"{path}: {name} must be a string, not {type_name(part)}")
    data = value.get(DATA)
    if data is not None and not isinstance(data, dict):
        raise CliError(f"{path}: {DATA} must be an object, not {type_name(data)}")
    return MessageFile(path=path, fields=fields, content=content or None, data=data)


def check_options(given: Mapping[str, str]) -> None:
    """Raise CliError if options, *given* by the name of their field, exclude each other."""
    if "agent_id" in given and "channel_id" in given:
        raise CliError("--agent is for RCS and --channel for email: give one of them")
    sender, excluded = ("--agent", EMAIL_ONLY) if "agent_id" in given else ("--channel", RCS_ONLY)
    if "agent_id" in given or "channel_id" in given:
        for name in excluded:
            if name in given:
                raise CliError(f"{OPTIONS[name]} cannot be used with {sender}")


@final
@frozen(kw_only=True)
class MessageTemplate:
    """What the options say about every message of a batch: *given* is the text for each field.

    *file* is the template file of --message, if there is one. *fallback_column* is the column of the email addresses to
    which a second message is sent if the service refuses the first. *fields* are the fields that are used; None for all
    of them. With *single* the options have no placeholders, and columns only fill those of the file. *regions* says
    where national numbers are from.
    """

    given: Mapping[str, str] = field(repr=False)
    file: MessageFile | None = None
    to_column: str = "to"
    data_columns: tuple[str, ...] = ()
    allow_empty: bool = False
    fallback_column: str | None = None
    fields: frozenset[str] | None = None
    regions: RegionOptions = field(factory=RegionOptions)
    single: bool = False

    def bind(self, columns: tuple[str, ...], *, typed: bool = False) -> MessageBuilder:
        """Return the builder for a file with these *columns*. Raise CliError if one is missing.

        With *typed* the values have types, as in JSON: a text in place of a structured field is refused.
        """
        if self.fallback_column is not None:
            return self._bind_both(self.fallback_column, columns, typed=typed)
        check_options({**(self.file.fields if self.file is not None else {}), **self.given})
        return self._bind_one(columns, typed=typed)

    def _bind_one(self, columns: tuple[str, ...], *, typed: bool) -> MessageBuilder:
        notes: list[str] = []
        sources = self._sources(columns, notes)
        file, content, data = self.file, None, None
        if file is not None and file.content is not None:
            content = parse_tree(file.content, "content", file.path, columns)
            notes += content.notes
        if file is not None and file.data is not None:
            data = parse_tree(file.data, DATA, file.path, columns)
            notes += data.notes
        structured = () if self._ignores_content else CONTENT
        content_columns = {name: found for name in structured if (found := find_column(columns, name)) is not None}
        builder = MessageBuilder(
            template=self,
            sources=sources,
            columns=columns,
            recipients=RecipientReader(self.regions.bind(columns)),
            variables=self._variables(columns),
            data_column=find_column(columns, DATA),
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

    def _bind_both(self, column: str, columns: tuple[str, ...], *, typed: bool) -> MessageBuilder:
        self._check_file_of_fallback()
        first, second = self._only(_FIRST_FIELDS), self._only(_FALLBACK_FIELDS)
        second = evolve(second, to_column=column, data_columns=self.data_columns, file=None)
        if "agent_id" not in first._sources(columns, []):  # noqa: SLF001 - of this class
            raise CliError("--fallback-email is for RCS messages: give --agent, or a column agent_id")
        bound = first._bind_one(columns, typed=typed)  # noqa: SLF001 - of this class
        notes: list[str] = []
        others = second._sources(columns, notes, EMAIL_OPTION)  # noqa: SLF001 - of this class
        if "channel_id" not in others:
            raise CliError("--fallback-email needs an email channel: give --channel, or a column channel_id")
        for name, example in (("subject", "'Hi {name}'"), ("html", "'<p>Hi {name}</p>'")):
            if name not in others and "template_id" not in others:
                raise CliError(f"--fallback-email needs {OPTIONS[name]} {example}, or a column {name}, or --template")
        fallback = MessageBuilder(
            template=second,
            sources=others,
            columns=columns,
            recipients=bound.recipients,
            variables=self._variables(columns),
            data_column=find_column(columns, DATA),
            typed=typed,
            warnings=bound.warnings,
        )
        return evolve(bound, fallback=fallback, notes=(*bound.notes, *notes), data_column=None)

    def _variables(self, columns: tuple[str, ...]) -> dict[str, str]:
        return {name: require_column(columns, name, "--data") for name in self.data_columns}

    def _check_file_of_fallback(self) -> None:
        file = self.file
        if file is None:
            return
        for name in ("channel_id", *EMAIL_ONLY, DATA):
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
        to = require_column(columns, self.to_column, to_option, " for the recipients")
        sources: dict[str, FieldSource] = {"to": ColumnValue(to)}
        of_file = {} if self.file is None else self.file.fields
        other = {"agent_id": "channel_id", "channel_id": "agent_id"}
        excluded = {other[name] for name in other if name in self.given or name in of_file}
        senders = {*self.given, *of_file}
        excluded |= {*(EMAIL_ONLY if "agent_id" in senders else RCS_ONLY if "channel_id" in senders else ())}
        if self._ignores_content:
            excluded |= {"text", "html"}
        for name, option in OPTIONS.items():
            if self.fields is not None and name not in self.fields:
                continue
            if name in self.given and name in TEXTS and not self.single:
                sources[name] = _parse(self.given[name], TextSource(option, columns, name == "html"), notes)
            elif name in self.given:
                sources[name] = TextTemplate((self.given[name],))
            elif self.file is not None and name in of_file:
                source = TextSource(f"{self.file.path}: {name}", columns, name == "html")
                sources[name] = _parse(of_file[name], source, notes)
            elif name not in sources and name not in excluded and not self.single:
                found = find_column(columns, name)
                if found is not None:
                    sources[name] = ColumnValue(found)
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


def _check_file(builder: MessageBuilder, file: MessageFile) -> None:
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
