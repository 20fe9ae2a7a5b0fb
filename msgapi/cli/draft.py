"""Drafts: from options and the columns of a row to one message.

An option wins over a column of the same name. A placeholder is filled with text and nothing else;
in HTML what it is filled with is escaped. Spaces around ids and recipients are dropped.
"""

import html
from collections.abc import Callable, Mapping
from typing import Final, Literal, cast, final

import orjson
from attrs import asdict, field, frozen

from ..messages import Email, Message, Text
from ..messages.models import MessageType, TrafficType
from ..results import Detail, Invalid
from . import template
from .exits import Halt
from .rows import Row
from .template import Template, Unfilled

Channel = Literal["rcs", "email"]
KEY: Final = "idempotency_key"
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
_WRITTEN: Final = frozenset({"text", "subject", "html"})
_RCS_ONLY: Final = ("traffic_type", "ttl")
_EMAIL_ONLY: Final = ("subject", "html", "template_id", "template_version")


def checked(given: Mapping[str, str]) -> None:
    """Refuse options, by their field, that do not go together."""
    if "agent_id" in given and "channel_id" in given:
        raise Halt("--agent is for RCS and --channel for email: give one of them")
    sender, strangers = ("--agent", _EMAIL_ONLY) if "agent_id" in given else ("--channel", _RCS_ONLY)
    if "agent_id" in given or "channel_id" in given:
        for name in strangers:
            if name in given:
                raise Halt(f"{OPTIONS[name]} does not go with {sender}")


def compose(given: Mapping[str, str], data: Mapping[str, object] | None = None) -> Message | Invalid:
    """Make the message of what is *given* for each field: an email if it has a channel, else RCS."""
    kind = cast("MessageType", given.get("message_type") or "MESSAGE")
    senders = [name for name in ("agent_id", "channel_id") if given.get(name)]
    if len(senders) != 1:
        said = "is missing: RCS needs agent_id, an email channel_id" if not senders else "and channel_id: give one"
        return _invalid(Detail("agent_id", said))
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


def same(message: Message) -> str:
    """Write *message* so that two of the same content to the same recipient are the same text."""
    return repr(asdict(message, recurse=False) | {"to": message.to.casefold()})


def own_key(row: Row) -> str | None:
    """Tell the idempotency key that *row* itself brings, if any."""
    value = row.values.get(KEY)
    return str(value).strip() or None if isinstance(value, str | int) else None


@final
@frozen(kw_only=True)
class Draft:
    """What the options say about every message of a batch: *given* is the text for each field."""

    given: Mapping[str, str] = field(repr=False)
    to_column: str = "to"
    data_columns: tuple[str, ...] = ()
    empty: bool = False

    def over(self, columns: tuple[str, ...]) -> "Plan":
        """Fit the draft to a file with these *columns*, or say what is missing there."""
        checked(self.given)
        for option, name in [("--to-column", self.to_column), *(("--data", name) for name in self.data_columns)]:
            if name not in columns:
                hint = "" if option == "--data" else f" to hold the recipients: name it by {option}"
                raise Halt(f"there is no column {name}{hint}; the columns are: {', '.join(columns)}")
        sources = {"to": _column(self.to_column)}
        other = {"agent_id": "channel_id", "channel_id": "agent_id"}
        overruled = {other[name] for name in other if name in self.given}
        for name, option in OPTIONS.items():
            if name in self.given and name in _WRITTEN:
                sources[name] = template.parse(self.given[name], option)
                template.check(sources[name], option, columns)
            elif name in self.given:
                sources[name] = Template((self.given[name],))
            elif name in columns and name not in sources and name not in overruled:
                sources[name] = _column(name)
        _complete(sources)
        return Plan(draft=self, sources=sources, has_data=DATA in columns)


def _column(name: str) -> Template:
    return Template(("", name, ""))


def _complete(sources: Mapping[str, Template]) -> None:
    if "agent_id" not in sources and "channel_id" not in sources:
        raise Halt("who sends? give --agent (RCS) or --channel (email), or a column agent_id or channel_id")
    if "channel_id" in sources:
        if not sources.keys() & {"text", "html", "template_id"}:
            raise Halt("what to send? give --text, --html or --template, or a column text, html or template_id")
        return
    for name, example in (("text", "'Hi {name}'"), ("traffic_type", "TRANSACTION")):
        if name not in sources:
            raise Halt(f"no {name}: give {OPTIONS[name]} {example}, or a column {name}")


@final
@frozen(kw_only=True)
class Plan:
    """How each row of one file becomes a message."""

    draft: Draft
    sources: Mapping[str, Template]
    has_data: bool

    def message(self, row: Row) -> Message | Invalid:
        """Write the message of *row*; what is wrong with the row comes back as `Invalid`."""
        if row.problem is not None:
            return _invalid(Detail("", f"the row {row.problem}"))
        given: dict[str, str] = {}
        try:
            for name, source in self.sources.items():
                given[name] = self._fill(name, source, row)
            return compose(given, self._data(row))
        except Unfilled as error:
            return _invalid(Detail("", str(error)))

    def _fill(self, name: str, source: Template, row: Row) -> str:
        if name not in _WRITTEN:
            return source.fill(row.values, empty=True).strip()
        if name not in self.draft.given:
            return source.fill(row.values, empty=True)
        escape: Callable[[str], str] = html.escape if name == "html" else str
        return source.fill(row.values, empty=self.draft.empty, escape=escape)

    def _data(self, row: Row) -> Mapping[str, object] | None:
        data = {name: row.values.get(name) for name in self.draft.data_columns}
        whole = row.values.get(DATA) if self.has_data else None
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


def _invalid(*details: Detail) -> Invalid:
    said = "; ".join(f"{detail.field} {detail.message}".strip() for detail in details)
    return Invalid(message=said, details=details)
