"""Models: the messages that can be sent, and what the service returns about them."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Final, Literal, TypeAlias, final

from attrs import field

from ..models import frozen
from ..redact import hidden
from ..results import Balance

MessageType: TypeAlias = Literal["MESSAGE", "CONVERSATION", "NEWSLETTER"]
TrafficType: TypeAlias = Literal["AUTHENTICATION", "TRANSACTION", "PROMOTION", "SERVICEREQUEST", "ACKNOWLEDGEMENT"]
Orientation: TypeAlias = Literal["VERTICAL", "HORIZONTAL"]
CardWidth: TypeAlias = Literal["SMALL", "MEDIUM"]
MediaHeight: TypeAlias = Literal["SHORT", "MEDIUM", "TALL"]
Direction: TypeAlias = Literal["OUTBOUND", "INBOUND"]
Status: TypeAlias = Literal["QUEUED", "SENT", "DELIVERED", "READ", "CLICKED", "BOUNCED", "FAILED", "UNSUBSCRIBED"]
"""The statuses by which the log can be filtered; a message can have others."""


@final
@frozen(kw_only=True)
class Reply:
    """A suggestion that replies with *text* (at most 25 characters).

    *postback_data* is plain text, and is returned with the reply. On the wire it is base64 of at most 2,048
    characters.
    """

    text: str = field(repr=hidden)
    postback_data: str | None = field(default=None, repr=hidden)


@final
@frozen(kw_only=True)
class OpenUrl:
    """A suggestion that opens *url* (http or https) in the browser."""

    text: str = field(repr=hidden)
    url: str = field(repr=hidden)
    fallback_url: str | None = field(default=None, repr=hidden)


@final
@frozen(kw_only=True)
class OpenUrlInWebview:
    """A suggestion that opens *url* (http or https) inside the messaging app."""

    text: str = field(repr=hidden)
    url: str = field(repr=hidden)
    fallback_url: str | None = field(default=None, repr=hidden)


@final
@frozen(kw_only=True)
class Dial:
    """A suggestion that dials *phone_number* (E.164). The docs name the action, but not its inner field."""

    text: str = field(repr=hidden)
    phone_number: str = field(repr=hidden)
    fallback_url: str | None = field(default=None, repr=hidden)


@final
@frozen(kw_only=True)
class ViewLocation:
    """A suggestion that shows a location on the map, in degrees. The docs name the action, but not its inner fields."""

    text: str = field(repr=hidden)
    latitude: float = field(repr=hidden)
    longitude: float = field(repr=hidden)
    label: str | None = field(default=None, repr=hidden)
    fallback_url: str | None = field(default=None, repr=hidden)


@final
@frozen(kw_only=True)
class ShareLocation:
    """A suggestion that asks for the location of the recipient."""

    text: str = field(repr=hidden)
    fallback_url: str | None = field(default=None, repr=hidden)


@final
@frozen(kw_only=True)
class CreateCalendarEvent:
    """A suggestion that creates a calendar event. The docs name the action, but not its inner fields."""

    text: str = field(repr=hidden)
    title: str = field(repr=hidden)
    start_time: datetime = field(repr=hidden)
    end_time: datetime = field(repr=hidden)
    description: str | None = field(default=None, repr=hidden)
    fallback_url: str | None = field(default=None, repr=hidden)


Suggestion: TypeAlias = Reply | OpenUrl | OpenUrlInWebview | Dial | ViewLocation | ShareLocation | CreateCalendarEvent
"""A suggestion under a message or a card: a reply, or one of the six actions."""


@final
@frozen(kw_only=True)
class Media:
    """An image, a video or a GIF at a public HTTPS URL, which the service fetches when the message is submitted.

    The docs advise at most 100 MB for *url* and 100 kB for *thumbnail_url*. Redirects are not followed.
    """

    url: str = field(repr=hidden)
    thumbnail_url: str | None = field(default=None, repr=hidden)
    height: MediaHeight | None = None


@final
@frozen(kw_only=True)
class Card:
    """A card: title (at most 200 characters), description (at most 2,000), media, and up to 4 suggestions.

    At least one of them is required.
    """

    title: str | None = field(default=None, repr=hidden)
    description: str | None = field(default=None, repr=hidden)
    media: Media | None = None
    suggestions: tuple[Suggestion, ...] = ()


@final
@frozen(kw_only=True)
class Text:
    """An RCS text of at most 3,072 characters with up to 11 suggestions (docs: /api/messages/rcs-text).

    *to* is a phone number in E.164. *ttl* is a duration such as `"900s"`, after which an undelivered message is
    revoked; by default it is not. A `CONVERSATION` requires an open session with the recipient, a `NEWSLETTER` a
    subscribed recipient.
    """

    agent_id: str
    to: str = field(repr=hidden)
    traffic_type: TrafficType
    text: str = field(repr=hidden)
    suggestions: tuple[Suggestion, ...] = ()
    message_type: MessageType = "MESSAGE"
    ttl: str | None = None


@final
@frozen(kw_only=True)
class RichCard:
    """A single RCS card (docs: /api/messages/rcs-rich-card). The other fields are those of `Text`."""

    agent_id: str
    to: str = field(repr=hidden)
    traffic_type: TrafficType
    card: Card
    orientation: Orientation = "VERTICAL"
    message_type: MessageType = "MESSAGE"
    ttl: str | None = None


@final
@frozen(kw_only=True)
class Carousel:
    """A row of 2 to 10 RCS cards (docs: /api/messages/rcs-carousel). The other fields are those of `Text`.

    *card_width* is `SMALL` (120 dp) or `MEDIUM` (232 dp).
    """

    agent_id: str
    to: str = field(repr=hidden)
    traffic_type: TrafficType
    cards: tuple[Card, ...]
    card_width: CardWidth = "MEDIUM"
    message_type: MessageType = "MESSAGE"
    ttl: str | None = None


@final
@frozen(kw_only=True)
class Email:
    """An email: inline content (*html*, *text* or both, with a *subject*), or a published template.

    *message_type* is `MESSAGE` (docs: /api/messages/email-action-based) or `NEWSLETTER`
    (docs: /api/messages/email-subscription). *template_version* is text such as `"4"`, and defaults to the latest.
    A Decimal in *template_data* is sent as text that keeps its zeros, `Decimal("10.50")` as `"10.50"`; a datetime in
    UTC.
    """

    channel_id: str
    to: str = field(repr=hidden)
    subject: str | None = field(default=None, repr=hidden)
    html: str | None = field(default=None, repr=hidden)
    text: str | None = field(default=None, repr=hidden)
    template_id: str | None = None
    template_version: str | None = None
    template_data: Mapping[str, object] | None = field(default=None, repr=hidden, hash=False)
    message_type: MessageType = "MESSAGE"


Rcs: TypeAlias = Text | RichCard | Carousel
"""Any message that is sent over RCS."""
Message: TypeAlias = Text | RichCard | Carousel | Email
"""Any message that `send` accepts."""


@final
@frozen(kw_only=True)
class Tier:
    """The price tier of a channel. *volume_used* is the number of messages this month, counted toward the next tier."""

    channel: str | None = None
    current: str | None = None
    volume_used: int | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=False, hash=False)


@final
@frozen(kw_only=True)
class Billing:
    """The cost of a message in EUR: *hold_amount* is reserved now, *message_price* is the expected cost.

    *message_type* is the billing unit. Only a conversation has *in_session*, only a newsletter has *mau_charged*.
    A field that the answer omits is None.
    """

    channel: str | None = None
    message_type: str | None = None
    hold_amount: Decimal | None = None
    message_price: Decimal | None = None
    balance: Balance | None = None
    tier: Tier | None = None
    in_session: bool | None = None
    mau_charged: bool | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=False, hash=False)


@final
@frozen(kw_only=True)
class Accepted:
    """A queued message: accepted, with its cost on hold, but not delivered yet."""

    message_id: str
    status: str = "queued"
    created_at: datetime | None = None
    billing: Billing = field(factory=Billing)
    extra: Mapping[str, object] = field(factory=dict, repr=False, hash=False)


@final
@frozen(kw_only=True)
class MessageEvent:
    """One event in the log of a message. *type* is such as `queued` or `delivered`."""

    type: str
    at: datetime | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=False, hash=False)


@final
@frozen(kw_only=True)
class MessageRecord:
    """One message of the log, outbound or inbound. Only `get` returns *content*, *events* and the error.

    *status* is always in upper case, such as `QUEUED`, `SENT`, `DELIVERED`, `READ`, `FAILED` or `REVOKED`; the
    service may add more. *cost* is in EUR, and None for an inbound message.
    """

    id: str
    status: str | None = None
    direction: str | None = None
    channel_id: str | None = None
    contact_id: str | None = None
    campaign_id: str | None = None
    message_type: str | None = None
    content_type: str | None = None
    cost: Decimal | None = None
    sent_at: datetime | None = None
    delivered_at: datetime | None = None
    read_at: datetime | None = None
    created_at: datetime | None = None
    content: Mapping[str, object] | None = field(default=None, repr=hidden, hash=False)
    error_code: str | None = None
    error_message: str | None = field(default=None, repr=hidden)
    events: tuple[MessageEvent, ...] = ()
    extra: Mapping[str, object] = field(factory=dict, repr=False, hash=False)


@final
@frozen(kw_only=True)
class Page:
    """One page of the message log, in the order of the service. Other fields, such as a total, are in *extra*."""

    messages: tuple[MessageRecord, ...]
    extra: Mapping[str, object] = field(factory=dict, repr=False, hash=False)


@final
@frozen(kw_only=True)
class Revoked:
    """A message that was revoked before delivery. Its hold is released."""

    id: str
    status: str = "REVOKED"
    revoked_at: datetime | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=False, hash=False)


Unit: TypeAlias = Literal["basic_message", "single_message", "conversation", "mau"]
BASIC_MAX_LENGTH: Final = 160


def unit(message: Message) -> Unit:
    """Return the billing unit of *message* (docs: /learn/billing-units).

    A text without suggestions is `basic_message` up to 160 characters. The docs do not define a character; here it is
    a Unicode code point. The unit that the service bills is in `billing.message_type` of the answer. Never raise: a
    value that is not a message, or has fields of a wrong type, is `single_message`.
    """
    kind = type(message)
    if kind is Email:
        return "basic_message"
    if kind not in _RCS:
        return "single_message"
    try:
        if message.message_type == "CONVERSATION":
            return "conversation"
        if message.message_type == "NEWSLETTER":
            return "mau"
        return "basic_message" if isinstance(message, Text) and _is_short(message) else "single_message"
    except Exception:  # noqa: BLE001 - a method of a field raised
        return "single_message"


def _is_short(message: Text) -> bool:
    text: object = message.text
    return isinstance(text, str) and len(text) <= BASIC_MAX_LENGTH and message.suggestions == ()


_RCS: Final = frozenset({Text, RichCard, Carousel})
