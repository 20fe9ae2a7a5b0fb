"""The message log: what was accepted, and what has become of it."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Final, Literal, TypeAlias, final

import orjson
from attrs import define, evolve, field, frozen

from ...privacy import hidden
from ..http.responses import iso

Status: TypeAlias = Literal[
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
FREE: Final = frozenset({"REVOKED", "FAILED", "BOUNCED", "EXPIRED"})
STATUSES: Final = ("QUEUED", "SENT", "DELIVERED", "READ", "CLICKED", "BOUNCED", "FAILED", "UNSUBSCRIBED")


@final
@frozen(kw_only=True)
class Entry:
    """One message that was accepted. Moments are in Unix seconds, amounts in EUR.

    *sender* is the id of the agent or the email channel, *hold* what is or was reserved for it,
    *body* the request as it came, and *events* what happened to it, the first being `queued`.
    """

    id: str
    to: str = field(repr=hidden)
    sender: str
    channel: str
    channel_id: str
    contact_id: str
    message_type: str
    content_type: str
    unit: str
    hold: Decimal
    created_at: float
    idempotency_key: str | None = field(default=None, repr=hidden)
    body: bytes = field(default=b"", repr=hidden)
    status: Status = "QUEUED"
    events: tuple[tuple[str, float], ...] = ()
    error_code: str | None = None
    direction: str = "OUTBOUND"
    campaign_id: str | None = None

    @property
    def revocable(self) -> bool:
        """Whether it can be taken back: an email only until it is sent, as the remote server has it then."""
        return self.status == "QUEUED" or (self.status, self.channel) == ("SENT", "RCS")

    @property
    def received(self) -> bool:
        """Whether it was sent to its recipient, who may have it by now."""
        return self.direction == "OUTBOUND" and self.status not in {"QUEUED", *FREE}

    def moment(self, event: str) -> str | None:
        """Tell when *event* happened, as ISO 8601."""
        return next((iso(at) for name, at in self.events if name == event), None)

    @property
    def cost(self) -> str | None:
        """What it costs, in EUR with four places: nothing where it was never delivered, None for an inbound one."""
        if self.direction == "INBOUND":
            return None
        return f"{Decimal(0) if self.status in FREE else self.hold:.4f}"

    def summary(self) -> dict[str, object]:
        """Write the entry as an item of the list (docs: /api/messages/list-messages)."""
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
            "sent_at": self.moment("sent"),
            "delivered_at": self.moment("delivered"),
            "read_at": self.moment("read"),
            "created_at": iso(self.created_at),
        }

    def whole(self) -> dict[str, object]:
        """Write the entry as it is got alone (docs: /api/messages/get-message)."""
        sent = orjson.loads(self.body)
        template = {name: sent[name] for name in ("template_id", "template_version") if sent.get(name) is not None}
        return {
            **self.summary(),
            "content": template or sent["content"],
            "error_code": self.error_code,
            "error_message": None if self.error_code is None else "The message could not be delivered.",
            "events": [{"type": name, "at": iso(at)} for name, at in self.events],
        }


@final
@define(eq=False, repr=False)
class Log:
    """All messages, in the order in which they were accepted."""

    _entries: dict[str, Entry] = field(factory=dict, init=False)

    def __len__(self) -> int:
        """Count the messages."""
        return len(self._entries)

    def entries(self) -> tuple[Entry, ...]:
        """All messages, the oldest first."""
        return tuple(self._entries.values())

    def newest(self) -> Iterator[Entry]:
        """Go through the messages from the newest on."""
        return reversed(self._entries.values())

    def add(self, entry: Entry) -> None:
        """Enter a new message."""
        self._entries[entry.id] = entry

    def find(self, message_id: str) -> Entry | None:
        """Find a message by its id."""
        return self._entries.get(message_id)

    def move(self, entry: Entry, status: Status, now: float, *, error_code: str | None = None) -> Entry:
        """Bring *entry* into *status*, and note the event."""
        events = (*entry.events, (status.lower(), now))
        moved = evolve(entry, status=status, events=events, error_code=error_code)
        self._entries[entry.id] = moved
        return moved
