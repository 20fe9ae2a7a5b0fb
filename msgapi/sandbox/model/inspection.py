"""What the sandbox shows of itself: the log of the requests, the conversations, and the filter of the messages.

Rules:
- The request log never has an API key: of the headers, it keeps the idempotency key alone.
- The conversations are derived from the message log when they are read, so that a send does not pay for them.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, NamedTuple, Protocol, TypedDict, final, get_args

import orjson
from attrs import define, field, frozen
from attrs.validators import in_, optional

from ...http import Request
from ...redact import hidden
from ..http.requests import split_url
from ..http.responses import SimulatedResponse
from .changes import ChangeFeed
from .messages import ChannelName, LogEntry, MessageLog, MessageStatus

MAX_REQUESTS: Final = 1_000
STATUSES: Final[tuple[str, ...]] = get_args(MessageStatus)
DIRECTIONS: Final = ("OUTBOUND", "INBOUND")
CHANNEL_NAMES: Final[tuple[str, ...]] = get_args(ChannelName)
MAX_REQUEST_BYTES: Final = 32 * 2**20  # of the bodies of all requests and responses in the log together


@final
class LoggedRequest(NamedTuple):
    """One request, and the response to it. *key* is the Idempotency-Key header; *number* counts from 1."""

    number: int
    at: float
    method: str
    url: str
    body: bytes
    key: str | None
    answer: SimulatedResponse

    @property
    def path(self) -> str:
        """The path of its URL."""
        return split_url(self.url)[0]

    @property
    def query(self) -> str:
        """The query of its URL."""
        return split_url(self.url)[1]


@final
@define(eq=False, repr=False)
class RequestLog:
    """The last requests, in their order: at most MAX_REQUESTS, and as many as fit into MAX_REQUEST_BYTES."""

    changes: ChangeFeed = field(factory=ChangeFeed)
    count: int = field(default=0, init=False)
    _last: deque[tuple[int, LoggedRequest]] = field(factory=deque, init=False)  # each with its size
    _size: int = field(default=0, init=False)

    def add(self, at: float, request: Request, key: str | None, answer: SimulatedResponse) -> None:
        """Add a request; drop the oldest ones beyond the bounds."""
        self.count += 1
        body, last = request.body or b"", self._last
        size = len(body) + len(answer.response.body)
        last.append((size, LoggedRequest(self.count, at, request.method, request.url, body, key, answer)))
        self._size += size
        while len(last) > MAX_REQUESTS or (self._size > MAX_REQUEST_BYTES and len(last) > 1):
            self._size -= last.popleft()[0]
        self.changes.add("requests")

    def newest_first(self) -> Iterator[LoggedRequest]:
        """Iterate over the requests, newest first."""
        return (one for _, one in reversed(self._last))


@final
@frozen
class RateLimitView:
    """The rate limit of one endpoint class: *limit* requests in each *window* of seconds, which ends at *reset*."""

    endpoint_class: str
    limit: int
    remaining: int
    reset: float
    window: float


class AccountView(Protocol):
    """What a route reads of the account beside its state."""

    @property
    def role(self) -> str:
        """The role of the key."""
        ...  # pragma: no cover

    @property
    def requests(self) -> int:
        """The number of requests, without those below `/_sandbox`."""
        ...  # pragma: no cover

    def rate_limits(self, now: float) -> tuple[RateLimitView, ...]:
        """Return the rate limit of every endpoint class at *now*."""
        ...  # pragma: no cover


class MessageFilters(TypedDict, total=False):
    """The fields of a `MessageFilter`, as keyword arguments."""

    to: str
    sender: str
    status: MessageStatus
    direction: Literal["OUTBOUND", "INBOUND"]
    channel: ChannelName
    contains: str
    idempotency_key: str
    after: int
    before: int


@final
@frozen(kw_only=True)
class MessageFilter:
    """Which messages are wanted: those that match every field that is not None.

    *to* is the user of a message or of a reply, and *contains* a part of its content or subject; both are compared
    without regard to case. *after* and *before* are message numbers, which do not match themselves.
    """

    to: str | None = field(default=None, repr=hidden)
    sender: str | None = None
    status: str | None = field(default=None, validator=optional(in_(STATUSES)))
    direction: str | None = field(default=None, validator=optional(in_(DIRECTIONS)))
    channel: str | None = field(default=None, validator=optional(in_(CHANNEL_NAMES)))
    contains: str | None = field(default=None, repr=hidden)
    idempotency_key: str | None = field(default=None, repr=hidden)
    after: int | None = None
    before: int | None = None

    def matches(self, entry: LogEntry) -> bool:
        """Return whether a message is wanted."""
        if (self.after is not None and entry.number <= self.after) or (
            self.before is not None and entry.number >= self.before
        ):
            return False
        for name in ("sender", "status", "direction", "channel", "idempotency_key"):
            wanted = getattr(self, name)
            if wanted is not None and wanted != getattr(entry, name):
                return False
        if self.to is not None and self.to.casefold() != entry.to.casefold():
            return False
        return self.contains is None or _contains(entry.body, self.contains.casefold())


def sent_fields(entry: LogEntry) -> Mapping[str, Any]:
    """Return the fields of a message as they were sent."""
    found: Mapping[str, Any] = orjson.loads(entry.body)
    return found


def _contains(body: bytes, wanted: str) -> bool:
    # A body without a backslash has no escapes: if the text is not in it, no string of it has the text.
    if b"\\" not in body and wanted not in body.decode(errors="replace").casefold():
        return False
    sent = orjson.loads(body)
    return any(wanted in text.casefold() for text in _strings([sent.get("content"), sent.get("subject")]))


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _strings(part)


@final
@define(eq=False, repr=False)
class Conversation:
    """The messages with one recipient, by their ids, oldest first; and the *senders*, each with its channel."""

    messages: list[str] = field(factory=list)
    senders: dict[str, str] = field(factory=dict)


@final
@define(eq=False, repr=False)
class Conversations:
    """The conversations, in the order of their newest messages. They are brought up to date when they are read."""

    log: MessageLog
    _all: dict[str, Conversation] = field(factory=dict, init=False)
    _next: int = field(default=0, init=False)  # the number of the first message that is not in them
    _size: int = field(default=0, init=False)  # how many messages are in them, dropped ones too

    def newest_first(self) -> Iterator[tuple[LogEntry, Conversation]]:
        """Yield each conversation with its newest message that is kept."""
        self._update()
        for one in reversed(self._all.values()):
            entry = self._newest(one)
            if entry is not None:
                yield entry, one

    def find(self, recipient: str) -> tuple[LogEntry, Conversation] | None:
        """Return a conversation with its newest message; None if there is none."""
        self._update()
        one = self._all.get(recipient.casefold())
        entry = None if one is None else self._newest(one)
        return None if one is None or entry is None else (entry, one)

    def entries(self, recipient: str, *, newest_first: bool) -> Iterator[LogEntry]:
        """Yield the messages of a conversation."""
        self._update()
        one = self._all.get(recipient.casefold(), Conversation())
        ids = reversed(one.messages) if newest_first else iter(one.messages)
        return (entry for name in ids if (entry := self.log.find(name)) is not None)

    def _newest(self, one: Conversation) -> LogEntry | None:
        return next((entry for name in reversed(one.messages) if (entry := self.log.find(name)) is not None), None)

    def _update(self) -> None:
        if self._size > 2 * len(self.log) + MAX_REQUESTS:  # most of them were dropped from the log
            self._all, self._next, self._size = {}, 0, 0
        new = []
        for entry in self.log.newest_first():
            if entry.number < self._next:
                break
            new.append(entry)
        for entry in reversed(new):
            name = entry.to.casefold()
            one = self._all.pop(name, None) or Conversation()
            self._all[name] = one
            one.messages.append(entry.id)
            one.senders[entry.sender] = entry.channel
        self._next, self._size = self.log.accepted, self._size + len(new)


def find_messages(
    log: MessageLog, conversations: Conversations, wanted: MessageFilter, *, newest_first: bool = True
) -> Iterator[LogEntry]:
    """Yield the messages that are *wanted*."""
    if wanted.to is not None:
        entries = conversations.entries(wanted.to, newest_first=newest_first)
    else:
        entries = log.newest_first() if newest_first else iter(log.entries())
    for entry in entries:
        if newest_first and wanted.after is not None and entry.number <= wanted.after:
            return
        if wanted.matches(entry):
            yield entry


def find_awaited(log: MessageLog, conversations: Conversations, wanted: MessageFilter) -> LogEntry | None:
    """Return the message that is waited for: the first one after `wanted.after`, without it the newest of all."""
    return next(find_messages(log, conversations, wanted, newest_first=wanted.after is None), None)
