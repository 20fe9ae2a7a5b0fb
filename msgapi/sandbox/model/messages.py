"""The message log: every message that was accepted or received, and its status; the email channels and templates."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Final, Literal, TypeAlias, final

import orjson
from attrs import define, evolve, field, frozen

from ...redact import hidden
from ..http.responses import format_time


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
NOT_DELIVERED: Final = frozenset({"REVOKED", "FAILED", "BOUNCED", "EXPIRED"})
"""The final statuses of a message that was not delivered, which costs nothing."""
QUERY_STATUSES: Final = ("QUEUED", "SENT", "DELIVERED", "READ", "CLICKED", "BOUNCED", "FAILED", "UNSUBSCRIBED")
"""The statuses by which the log can be queried."""


@final
@frozen(kw_only=True)
class LogEntry:
    """One message in the log.

    *sender* is the id of the agent or the email channel, *hold* the amount that is or was reserved for it, *body*
    the request as it was received, and *events* the name and the time of each change, the first being `queued`.
    """

    id: str
    to: str = field(repr=hidden)
    sender: str
    channel: ChannelName
    channel_id: str
    contact_id: str
    message_type: str
    content_type: str
    unit: str
    hold: Decimal
    created_at: float
    idempotency_key: str | None = field(default=None, repr=hidden)
    body: bytes = field(default=b"", repr=hidden)
    status: MessageStatus = "QUEUED"
    events: tuple[tuple[str, float], ...] = ()
    error_code: str | None = None
    direction: str = "OUTBOUND"
    campaign_id: str | None = None

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
        template = {name: sent[name] for name in ("template_id", "template_version") if sent.get(name) is not None}
        return {
            **self.summary(),
            "content": template or sent["content"],
            "error_code": self.error_code,
            "error_message": None if self.error_code is None else "The message could not be delivered.",
            "events": [{"type": name, "at": format_time(at)} for name, at in self.events],
        }


@final
@define(eq=False, repr=False)
class MessageLog:
    """All messages, in the order in which they were accepted."""

    _entries: dict[str, LogEntry] = field(factory=dict, init=False)

    def __len__(self) -> int:
        """Return the number of messages."""
        return len(self._entries)

    def entries(self) -> tuple[LogEntry, ...]:
        """Return all messages, oldest first."""
        return tuple(self._entries.values())

    def newest_first(self) -> Iterator[LogEntry]:
        """Yield the messages, newest first."""
        return reversed(self._entries.values())

    def add(self, entry: LogEntry) -> None:
        """Add a new message."""
        self._entries[entry.id] = entry

    def find(self, message_id: str) -> LogEntry | None:
        """Return a message by its id."""
        return self._entries.get(message_id)

    def set_status(
        self, entry: LogEntry, status: MessageStatus, now: float, *, error_code: str | None = None
    ) -> LogEntry:
        """Set the status of a message, add the event, and return the changed entry."""
        events = (*entry.events, (status.lower(), now))
        changed = evolve(entry, status=status, events=events, error_code=error_code)
        self._entries[entry.id] = changed
        return changed
