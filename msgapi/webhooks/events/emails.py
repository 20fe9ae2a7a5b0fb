"""Email events: delivered, bounced, opened, clicked, complained, unsubscribed."""

from collections.abc import Mapping
from datetime import datetime
from typing import final

from attrs import field

from ...models import frozen
from ...redact import hidden


@final
@frozen(kw_only=True)
class EmailDelivered:
    """An email was delivered.

    Docs: /api/webhooks/email-delivered.
    """

    id: str
    timestamp: datetime | None = None
    message_id: str
    channel_id: str | None = None
    to: str | None = field(default=None, repr=hidden)
    subject: str | None = field(default=None, repr=hidden)
    delivered_at: datetime | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=hidden, hash=False)


@final
@frozen(kw_only=True)
class EmailBounced:
    """An email was not delivered.

    *bounce_type* is `hard`, after which the service sends no more email to the contact, or `soft`.

    Docs: /api/webhooks/email-bounced.
    """

    id: str
    timestamp: datetime | None = None
    message_id: str
    channel_id: str | None = None
    to: str | None = field(default=None, repr=hidden)
    bounce_type: str | None = None
    bounce_code: str | None = None
    bounce_message: str | None = field(default=None, repr=hidden)
    bounced_at: datetime | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=hidden, hash=False)


@final
@frozen(kw_only=True)
class EmailOpened:
    """An email was opened.

    Docs: /api/webhooks/email-opened.
    """

    id: str
    timestamp: datetime | None = None
    message_id: str
    channel_id: str | None = None
    to: str | None = field(default=None, repr=hidden)
    opened_at: datetime | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=hidden, hash=False)


@final
@frozen(kw_only=True)
class EmailClicked:
    """A link in an email was clicked; *url* is its target.

    Docs: /api/webhooks/email-clicked.
    """

    id: str
    timestamp: datetime | None = None
    message_id: str
    channel_id: str | None = None
    to: str | None = field(default=None, repr=hidden)
    url: str | None = field(default=None, repr=hidden)
    clicked_at: datetime | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=hidden, hash=False)


@final
@frozen(kw_only=True)
class EmailComplained:
    """The recipient reported an email as spam; the service sends them no more newsletters.

    Docs: /api/webhooks/email-complained.
    """

    id: str
    timestamp: datetime | None = None
    message_id: str
    channel_id: str | None = None
    to: str | None = field(default=None, repr=hidden)
    complained_at: datetime | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=hidden, hash=False)


@final
@frozen(kw_only=True)
class EmailUnsubscribed:
    """The recipient unsubscribed; the service revokes their consent to email newsletters.

    Docs: /api/webhooks/email-unsubscribed.
    """

    id: str
    timestamp: datetime | None = None
    message_id: str
    channel_id: str | None = None
    to: str | None = field(default=None, repr=hidden)
    unsubscribed_at: datetime | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=hidden, hash=False)
