"""Message events: the state of an RCS message, conversations with users, and the state of an email."""

from collections.abc import Mapping
from datetime import datetime
from typing import final

from attrs import field

from ..models import frozen
from ..redact import hidden


@final
@frozen(kw_only=True)
class UserMessage:
    """What a user wrote or tapped.

    *type* is `text` or `suggested_reply`; the service may add more. *postback_data* is decoded from base64 to
    plain text, as in `messages.Reply`; if that is not text without control characters, it is what was received.

    The docs show plain postback data too, and some plain text is base64 by chance: `MENU` is decoded to `0CT`.
    *raw_postback_data* is always what was received: compare with it what you have not sent by `messages.Reply`.
    *extra* holds the fields that this class does not have.
    """

    type: str | None = None
    text: str | None = field(default=None, repr=hidden)
    postback_data: str | None = field(default=None, repr=hidden)
    raw_postback_data: str | None = field(default=None, repr=hidden)
    extra: Mapping[str, object] = field(factory=dict, repr=hidden, hash=False)


@final
@frozen(kw_only=True)
class MessageQueued:
    """The service accepted a message.

    Docs: /api/webhooks/message-queued.
    """

    id: str
    timestamp: datetime | None = None
    message_id: str
    agent_id: str | None = None
    to: str | None = field(default=None, repr=hidden)
    status: str | None = None
    queued_at: datetime | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=hidden, hash=False)


@final
@frozen(kw_only=True)
class MessageDelivered:
    """A message was delivered to the device.

    Docs: /api/webhooks/message-delivered.
    """

    id: str
    timestamp: datetime | None = None
    message_id: str
    agent_id: str | None = None
    to: str | None = field(default=None, repr=hidden)
    status: str | None = None
    delivered_at: datetime | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=hidden, hash=False)


@final
@frozen(kw_only=True)
class MessageRead:
    """A message was read. Not every device reports that.

    Docs: /api/webhooks/message-read.
    """

    id: str
    timestamp: datetime | None = None
    message_id: str
    agent_id: str | None = None
    to: str | None = field(default=None, repr=hidden)
    status: str | None = None
    read_at: datetime | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=hidden, hash=False)


@final
@frozen(kw_only=True)
class MessageFailed:
    """A message cannot be delivered.

    *failure_reason* is a code such as `UNKNOWN_RCS_USER`; the service may add more.

    Docs: /api/webhooks/message-failed.
    """

    id: str
    timestamp: datetime | None = None
    message_id: str
    agent_id: str | None = None
    to: str | None = field(default=None, repr=hidden)
    status: str | None = None
    failed_at: datetime | None = None
    failure_reason: str | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=hidden, hash=False)


@final
@frozen(kw_only=True)
class MessageExpired:
    """A message was not delivered within its time to live.

    Docs: /api/webhooks/message-expired.
    """

    id: str
    timestamp: datetime | None = None
    message_id: str
    agent_id: str | None = None
    to: str | None = field(default=None, repr=hidden)
    status: str | None = None
    expired_at: datetime | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=hidden, hash=False)


@final
@frozen(kw_only=True)
class MessageRevoked:
    """A message was revoked before it was delivered.

    Docs: /api/webhooks/message-revoked.
    """

    id: str
    timestamp: datetime | None = None
    message_id: str
    agent_id: str | None = None
    revoked_at: datetime | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=hidden, hash=False)


@final
@frozen(kw_only=True)
class ConversationStarted:
    """A user sent a message. The service sends this event for every reply, not only the first.

    *user* is the phone number (`from` on the wire). The session ends at *session_expires_at*.

    Docs: /api/webhooks/conversation-started.
    """

    id: str
    timestamp: datetime | None = None
    agent_id: str
    user: str | None = field(default=None, repr=hidden)
    session_expires_at: datetime | None = None
    user_message: UserMessage | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=hidden, hash=False)


@final
@frozen(kw_only=True)
class ConversationEnded:
    """A session with a user ended.

    *user* is the phone number (`with` on the wire). *reason* is a code such as `ttl_expired`.

    Docs: /api/webhooks/conversation-ended.
    """

    id: str
    timestamp: datetime | None = None
    agent_id: str
    user: str | None = field(default=None, repr=hidden)
    ended_at: datetime | None = None
    reason: str | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=hidden, hash=False)


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
