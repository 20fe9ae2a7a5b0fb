"""From options and template files to what builds the message of each row: where each of its fields is taken from.

Rules:
- An option takes precedence over a template file, and both over a column of the same name.
- With a column for the fallback, the first message is RCS and the second an email to the address in that column. Each
  is made only of the fields of its channel. A row without an address has no fallback.
"""

from collections.abc import Mapping
from typing import Final, final

from attrs import evolve, field, frozen

from ...messages import check
from ...results import Invalid
from ..files.rows import EMAIL_OPTION, find_column, require_column
from ..output import CliError
from . import placeholders
from .builder import EMAIL_ONLY, RCS_ONLY, TEXTS, ColumnValue, FieldSource, MessageBuilder, compose
from .message_file import CONTENT, DATA, OPTIONS, MessageFile, parse_tree
from .placeholders import TextSource, TextTemplate, parse
from .values import RecipientReader, RegionOptions

_FIRST_FIELDS: Final = frozenset({"to", "agent_id", "message_type", "text", *RCS_ONLY})
_FALLBACK_FIELDS: Final = frozenset({"to", "channel_id", "message_type", *EMAIL_ONLY})


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
