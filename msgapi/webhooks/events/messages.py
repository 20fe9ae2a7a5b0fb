"""Messages and conversations: what became of them."""

from collections.abc import Mapping
from datetime import datetime
from typing import final

from attrs import field, frozen

from ...privacy import hidden


@final
@frozen(kw_only=True)
class UserMessage:
    """What a user wrote or tapped; *type* is `text` or `suggested_reply`, more may come.

    *postback_data* is plain text, as in `messages.Reply`; what is no base64 of UTF-8 is kept as it came.
    """

    type: str | None = None
    text: str | None = field(default=None, repr=hidden)
    postback_data: str | None = field(default=None, repr=hidden)
    extra: Mapping[str, object] = field(factory=dict, repr=hidden, hash=False)


@final
@frozen(kw_only=True)
class MessageQueued:
    """A message was accepted.

    Docs: /api/webhooks/message-queued.
    """

    id: str
    timestamp: datetime
    message_id: str
    agent_id: str | None = None
    to: str | None = field(default=None, repr=hidden)
    status: str | None = None
    queued_at: datetime | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=hidden, hash=False)


@final
@frozen(kw_only=True)
class MessageDelivered:
    """A message arrived on the device.

    Docs: /api/webhooks/message-delivered.
    """

    id: str
    timestamp: datetime
    message_id: str
    agent_id: str | None = None
    to: str | None = field(default=None, repr=hidden)
    status: str | None = None
    delivered_at: datetime | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=hidden, hash=False)


@final
@frozen(kw_only=True)
class MessageRead:
    """A message was read; not every device tells.

    Docs: /api/webhooks/message-read.
    """

    id: str
    timestamp: datetime
    message_id: str
    agent_id: str | None = None
    to: str | None = field(default=None, repr=hidden)
    status: str | None = None
    read_at: datetime | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=hidden, hash=False)


@final
@frozen(kw_only=True)
class MessageFailed:
    """A message will not arrive; *failure_reason* is such as `UNKNOWN_RCS_USER`, more may come.

    Docs: /api/webhooks/message-failed.
    """

    id: str
    timestamp: datetime
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
    """A message was not delivered in its time to live.

    Docs: /api/webhooks/message-expired.
    """

    id: str
    timestamp: datetime
    message_id: str
    agent_id: str | None = None
    to: str | None = field(default=None, repr=hidden)
    status: str | None = None
    expired_at: datetime | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=hidden, hash=False)


@final
@frozen(kw_only=True)
class MessageRevoked:
    """A message was taken back.

    Docs: /api/webhooks/message-revoked.
    """

    id: str
    timestamp: datetime
    message_id: str
    agent_id: str | None = None
    revoked_at: datetime | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=hidden, hash=False)


@final
@frozen(kw_only=True)
class ConversationStarted:
    """A user has answered: this comes with every reply, not only the first.

    Docs: /api/webhooks/conversation-started.
    """

    id: str
    timestamp: datetime
    agent_id: str
    user: str | None = field(default=None, repr=hidden)
    session_expires_at: datetime | None = None
    user_message: UserMessage | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=hidden, hash=False)


@final
@frozen(kw_only=True)
class ConversationEnded:
    """A session is over; *reason* is such as `ttl_expired`.

    Docs: /api/webhooks/conversation-ended.
    """

    id: str
    timestamp: datetime
    agent_id: str
    user: str | None = field(default=None, repr=hidden)
    ended_at: datetime | None = None
    reason: str | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=hidden, hash=False)
