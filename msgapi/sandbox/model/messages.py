"""The message log: every message that was accepted or received, and its status; the email channels and templates."""

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from functools import lru_cache, partial
from typing import Any, Final, Literal, NamedTuple, TypeAlias, cast, final, get_args

import orjson
from attrs import define, field, frozen, setters
from attrs.validators import ge

from ...redact import hidden
from ..http.responses import format_time
from .agents import TEST_AGENT
from .billing import DAY
from .changes import ChangeFeed


@final
@frozen(kw_only=True)
class EmailChannel:
    """An email channel, and the message types that it may send; it is verified by default."""

    channel_id: str
    verified: bool = True
    message_types: tuple[str, ...] = ("MESSAGE", "NEWSLETTER")


@final
@frozen(kw_only=True)
class EmailTemplate:
    """An email template: its published *versions*, oldest first, and whether it has a subject."""

    template_id: str
    versions: tuple[str, ...]
    has_subject: bool = True


CHANNELS: Final = (
    EmailChannel(channel_id="ch_demo"),
    EmailChannel(channel_id="ch_receipts", message_types=("MESSAGE",)),
    EmailChannel(channel_id="ch_unverified", verified=False),
)
"""The email channels of a new sandbox."""

TEMPLATES: Final = (
    EmailTemplate(template_id="tpl_welcome", versions=("1", "2", "3", "4")),
    EmailTemplate(template_id="tpl_bare", versions=("1",), has_subject=False),
    EmailTemplate(template_id="tpl_draft", versions=()),
)
"""The email templates of a new sandbox."""


ChannelName: TypeAlias = Literal["RCS", "EMAIL"]
MessageStatus: TypeAlias = Literal[
    "QUEUED",
    "SENT",
    "DELIVERED",
    "READ",
    "CLICKED",
    "COMPLAINED",
    "UNSUBSCRIBED",
    "BOUNCED",
    "FAILED",
    "EXPIRED",
    "REVOKED",
]
EVENT_NAMES: Final[Mapping[str, str]] = {one: one.lower() for one in get_args(MessageStatus)}
"""The name of each status in the events of a message."""
NOT_DELIVERED: Final = frozenset({"REVOKED", "FAILED", "BOUNCED", "EXPIRED"})
"""The final statuses of a message that was not delivered, which costs nothing."""
QUERY_STATUSES: Final = ("QUEUED", "SENT", "DELIVERED", "READ", "CLICKED", "BOUNCED", "FAILED", "UNSUBSCRIBED")
"""The statuses by which the log can be queried."""


@final
class LogEntry(NamedTuple):
    """One message in the log.

    *sender* is the id of the agent or the email channel, *hold* the amount that is or was reserved for it, *body*
    the request as it was received, and `events` the name and the time of each change, the first being `queued`.
    *number* counts the messages from 0, in the order in which they were accepted.
    """

    id: str
    to: str
    sender: str
    channel: ChannelName
    channel_id: str
    contact_id: str
    message_type: str
    content_type: str
    unit: str
    hold: Decimal
    created_at: float
    idempotency_key: str | None = None
    body: bytes = b""
    direction: str = "OUTBOUND"
    campaign_id: str | None = None
    number: int = 0
    status: MessageStatus = "QUEUED"  # this field and those after it change
    event_names: tuple[str, ...] = ()
    event_times: tuple[float, ...] = ()
    error_code: str | None = None

    def __repr__(self) -> str:
        """Return the entry without what is personal: the recipient, the key and the content."""
        parts = self._asdict().items()
        return f"LogEntry({', '.join(f'{name}={(hidden if name in _PERSONAL else repr)(one)}' for name, one in parts)})"

    @property
    def events(self) -> tuple[tuple[str, float], ...]:
        """The name and the time, in Unix seconds, of each change, oldest first."""
        return tuple(zip(self.event_names, self.event_times, strict=True))

    @property
    def is_used(self) -> bool:
        """Whether it counts as usage: it was sent, not by the test agent, and has not failed."""
        sent = self.direction == "OUTBOUND" and self.sender != TEST_AGENT.agent_id
        return sent and self.status not in NOT_DELIVERED

    @property
    def is_revocable(self) -> bool:
        """Whether it can be revoked: an email only until it is sent, because the remote server has it then."""
        return self.status == "QUEUED" or (self.status, self.channel) == ("SENT", "RCS")

    @property
    def was_sent(self) -> bool:
        """Whether it was sent to its recipient and has not failed."""
        return self.direction == "OUTBOUND" and self.status not in {"QUEUED", *NOT_DELIVERED}

    def time_of(self, event: str) -> str | None:
        """Return when *event* happened, as ISO 8601; None if it has not."""
        return next((format_time(at) for name, at in self.events if name == event), None)

    @property
    def cost(self) -> str | None:
        """The cost in EUR with four decimal places: 0 if it was not delivered, None if it is inbound."""
        if self.direction == "INBOUND":
            return None
        return f"{Decimal(0) if self.status in NOT_DELIVERED else self.hold:.4f}"

    @property
    def error_message(self) -> str | None:
        """Why it failed, in words; None if it has not."""
        return None if self.error_code is None else "The message could not be delivered."

    def summary(self) -> dict[str, object]:
        """Return the message as an item of the list (docs: /api/messages/list-messages)."""
        return {
            "id": self.id,
            "direction": self.direction,
            "channel_id": self.channel_id,
            "contact_id": self.contact_id,
            "campaign_id": self.campaign_id,
            "message_type": self.message_type,
            "content_type": self.content_type,
            "status": self.status,
            "cost": self.cost,
            "sent_at": self.time_of("sent"),
            "delivered_at": self.time_of("delivered"),
            "read_at": self.time_of("read"),
            "created_at": format_time(self.created_at),
        }

    def to_json(self) -> dict[str, object]:
        """Return the message with its content and events (docs: /api/messages/get-message)."""
        sent = orjson.loads(self.body)
        return {
            **self.summary(),
            "content": template_of(sent) or sent["content"],
            "error_code": self.error_code,
            "error_message": self.error_message,
            "events": [{"type": name, "at": format_time(at)} for name, at in self.events],
        }


def template_of(sent: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a message as it was *sent* that name its template; empty without one."""
    return {name: sent[name] for name in ("template_id", "template_version") if sent.get(name) is not None}


_PERSONAL: Final = frozenset({"to", "idempotency_key", "body"})
_CHANGING: Final = LogEntry._fields.index("status")
_entry_of: Final = cast("Callable[[tuple[Any, ...]], LogEntry]", partial(tuple.__new__, LogEntry))


@final
class KeptMessages(tuple[LogEntry, ...]):  # noqa: SLOT001 - a tuple can have no further slots
    """The messages in the log, oldest first; *dropped* is how many final ones it no longer holds."""

    dropped: int

    def __new__(cls, entries: Iterable[LogEntry], *, dropped: int) -> "KeptMessages":
        """Return a tuple of *entries*."""
        made = super().__new__(cls, entries)
        made.dropped = dropped
        return made


@final
class UsageKey(NamedTuple):
    """What the usage of messages is counted by; *day* is its midnight in UTC, in Unix seconds."""

    day: float
    channel: ChannelName
    message_type: str
    unit: str


@final
@frozen
class Usage:
    """The number of messages, what was charged for them, and what is still held for them."""

    messages: int = 0
    charged: Decimal = Decimal(0)
    held: Decimal = Decimal(0)

    def __add__(self, other: "Usage") -> "Usage":
        """Return the sum of two usages."""
        return Usage(self.messages + other.messages, self.charged + other.charged, self.held + other.held)


@final
@define(eq=False, repr=False, on_setattr=setters.NO_OP)
class MessageLog:
    """The messages, in the order in which they were accepted.

    Of those in a final state, the last *keep* are kept. The usage of the others stays counted.

    The entries are stored as plain tuples of text and numbers, which cost the garbage collector nothing.
    """

    keep: int = field(validator=ge(0))
    changes: ChangeFeed = field(factory=ChangeFeed)
    accepted: int = field(default=0, init=False)
    dropped: int = field(default=0, init=False)
    _entries: dict[str, LogEntry] = field(factory=dict, init=False)  # as plain tuples
    _final: list[tuple[int, str]] = field(factory=list, init=False)  # a heap: the oldest message is the first
    _final_ids: set[str] = field(factory=set, init=False)
    _usage: dict[UsageKey, Usage] = field(factory=dict, init=False)

    def __len__(self) -> int:
        """Return the number of messages that are kept."""
        return len(self._entries)

    def entries(self) -> KeptMessages:
        """Return the messages that are kept, oldest first."""
        return KeptMessages(map(_entry_of, self._entries.values()), dropped=self.dropped)

    def usage(self) -> Mapping[UsageKey, Usage]:
        """Return the usage of all messages, also of those that are not kept."""
        found = dict(self._usage)
        for entry in map(_entry_of, self._entries.values()):
            if entry.is_used:
                _count(found, entry)
        return found

    def newest_first(self) -> Iterator[LogEntry]:
        """Yield the messages, newest first."""
        return map(_entry_of, reversed(self._entries.values()))

    def add(self, entry: LogEntry) -> None:
        """Add a new message, whose number is that of the messages accepted before."""
        self._store(entry)
        self.accepted += 1
        self.changes.add("messages", entry.id)

    def finish(self, entry: LogEntry) -> None:
        """Note that the state of a message is final, and drop the oldest final messages beyond those to keep."""
        if entry.id in self._final_ids:
            return
        self._final_ids.add(entry.id)
        heapq.heappush(self._final, (entry.number, entry.id))
        while len(self._final) > self.keep:
            self._drop(heapq.heappop(self._final)[1])

    def index(self) -> None:
        """Derive the ids of the final messages, which were set from a snapshot.

        Raise KeyError if one is not there, and ValueError if a message has another id or an event without a time.
        """
        for message_id, entry in self._entries.items():
            if message_id != entry.id:
                raise ValueError("a message has another id")
            if len(entry.event_names) != len(entry.event_times):
                raise ValueError("an event has no time")
            self._store(entry)
        heapq.heapify(self._final)
        self._final_ids = {_entry_of(self._entries[name]).id for _, name in self._final}

    def _drop(self, message_id: str) -> None:
        self._final_ids.remove(message_id)
        entry = _entry_of(self._entries.pop(message_id))
        self.dropped += 1
        if entry.is_used:
            _count(self._usage, entry)

    def find(self, message_id: str) -> LogEntry | None:
        """Return a message by its id."""
        found = self._entries.get(message_id)
        return None if found is None else _entry_of(found)

    def set_status(
        self, entry: LogEntry, status: MessageStatus, now: float, *, error_code: str | None = None
    ) -> LogEntry:
        """Set the status of a message, add the event, and return the changed entry."""
        names, times = _with_event(entry.event_names, status), (*entry.event_times, now)
        changed = _entry_of((*entry[:_CHANGING], status, names, times, error_code))
        self._store(changed)
        self.changes.add("messages", entry.id)
        return changed

    def _store(self, entry: LogEntry) -> None:
        self._entries[entry.id] = cast("LogEntry", tuple(entry))


@lru_cache(maxsize=1024)
def _with_event(names: tuple[str, ...], status: MessageStatus) -> tuple[str, ...]:
    # The same tuple for each message with these events, which saves memory.
    return (*names, EVENT_NAMES[status])


def _count(usage: dict[UsageKey, Usage], entry: LogEntry) -> None:
    key = UsageKey(entry.created_at // DAY * DAY, entry.channel, entry.message_type, entry.unit)
    delivered = "delivered" in entry.event_names
    one = Usage(1, entry.hold, Decimal(0)) if delivered else Usage(1, Decimal(0), entry.hold)
    usage[key] = usage.get(key, Usage()) + one
