"""What the sandbox shows of itself: the log of the requests, the conversations, and the filter of the messages.

Rules:
- The request log never has an API key: of the headers, it keeps the idempotency key alone.
- The conversations are derived from the message log when they are read, so that a send does not pay for them.
"""

from array import array
from collections import deque
from collections.abc import Iterator, Mapping
from itertools import takewhile
from typing import Any, Final, NamedTuple, Protocol, TypeAlias, TypedDict, final, get_args

import orjson
from attrs import Factory, define, field, frozen
from attrs.validators import in_, optional

from ...http import Request, new_response
from ...messages import Direction
from ...redact import hidden
from ..http.requests import split_url
from ..http.responses import SimulatedResponse
from .changes import ChangeFeed
from .messages import ChannelName, LogEntry, MessageLog, MessageStatus

MAX_REQUESTS: Final = 1_000
STATUSES: Final[tuple[str, ...]] = get_args(MessageStatus)
DIRECTIONS: Final[tuple[str, ...]] = get_args(Direction)
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


RequestRow: TypeAlias = tuple[
    int, float, str, str, bytes, str | None, int, Mapping[str, str], bytes, float, bool, str | None, bool
]
"""The fields of a LoggedRequest, and of its answer. Such tuples cost the garbage collector nothing."""


@final
@define(eq=False, repr=False)
class RequestLog:
    """The last requests, in their order: at most MAX_REQUESTS, and as many as fit into MAX_REQUEST_BYTES."""

    changes: ChangeFeed = field(factory=ChangeFeed)
    count: int = field(default=0, init=False)
    _last: deque[RequestRow] = field(factory=deque, init=False)
    _size: int = field(default=0, init=False)

    def add(self, at: float, request: Request, key: str | None, answer: SimulatedResponse) -> None:
        """Add a request; drop the oldest ones beyond the bounds."""
        self.count += 1
        body, last, response = request.body or b"", self._last, answer.response
        answered = (response.status, response.headers, response.body)
        effects = (answer.delay, answer.lost, answer.fault, answer.replayed)
        last.append((self.count, at, request.method, request.url, body, key, *answered, *effects))
        self._size += len(body) + len(response.body)
        while len(last) > MAX_REQUESTS or (self._size > MAX_REQUEST_BYTES and len(last) > 1):
            dropped = last.popleft()
            self._size -= len(dropped[4]) + len(dropped[8])
        self.changes.add("requests")

    def newest_first(self) -> Iterator[LoggedRequest]:
        """Iterate over the requests, newest first."""
        return map(_request_of, reversed(self._last))


def _request_of(row: RequestRow) -> LoggedRequest:
    number, at, method, url, body, key, status, headers, answered, delay, lost, fault, replayed = row
    answer = SimulatedResponse(new_response(status, headers, answered), delay, lost, fault, replayed)
    return LoggedRequest(number, at, method, url, body, key, answer)


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
    direction: Direction
    channel: ChannelName
    contains: str
    idempotency_key: str
    after: int
    before: int


def _find_exact(wanted: "MessageFilter") -> tuple[tuple[str, str], ...]:
    names = ("sender", "status", "direction", "channel", "idempotency_key")
    return tuple((name, value) for name in names if (value := getattr(wanted, name)) is not None)


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
    _exact: tuple[tuple[str, str], ...] = field(default=Factory(_find_exact, takes_self=True), init=False, repr=False)

    def matches(self, entry: LogEntry) -> bool:
        """Return whether a message is wanted."""
        if (self.after is not None and entry.number <= self.after) or (
            self.before is not None and entry.number >= self.before
        ):
            return False
        for name, value in self._exact:
            if value != getattr(entry, name):
                return False
        if self.to is not None and self.to.casefold() != entry.to.casefold():
            return False
        return self.contains is None or has_text(entry, self.contains.casefold())


def sent_fields(entry: LogEntry) -> Mapping[str, Any]:
    """Return the fields of a message as they were sent."""
    found: Mapping[str, Any] = orjson.loads(entry.body)
    return found


def has_text(entry: LogEntry, wanted: str) -> bool:
    """Return whether the content or the subject of a message contains *wanted*, which is case-folded."""
    # A body without a backslash has no escapes: if the text is not in it, no string of it has the text.
    body = entry.body
    if b"\\" not in body:
        folded = body.lower() if body.isascii() else body.decode(errors="replace").casefold().encode()
        if wanted.encode(errors="replace") not in folded:
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
class Conversations:
    """The messages of each recipient, those with the newest one last. They are brought up to date when they are read.

    The address of a recipient is compared without regard to case.
    """

    log: MessageLog
    _ids: list[str] = field(factory=list, init=False)  # of the messages, oldest first
    _before: "array[int]" = field(factory=lambda: array("q"), init=False)  # where the message before that one is; or -1
    _last: dict[str, int] = field(factory=dict, init=False)  # where the newest message of each recipient is
    _next: int = field(default=0, init=False)  # the number of the first message that is not in them

    def newest_first(self) -> Iterator[LogEntry]:
        """Yield the newest message of each conversation that has one in the log, the newest of all first."""
        self._update()
        found = (next(self._entries(at), None) for at in reversed(self._last.values()))
        return (entry for entry in found if entry is not None)

    def entries(self, recipient: str, *, newest_first: bool) -> Iterator[LogEntry]:
        """Yield the messages of a conversation."""
        self._update()
        found = self._entries(self._last.get(recipient.casefold(), -1))
        return found if newest_first else reversed([*found])

    def _entries(self, at: int) -> Iterator[LogEntry]:
        while at >= 0:
            entry = self.log.find(self._ids[at])
            if entry is not None:
                yield entry
            at = self._before[at]

    def _update(self) -> None:
        if len(self._ids) > 2 * len(self.log) + MAX_REQUESTS:  # most of them were dropped from the log
            self._ids, self._before, self._last, self._next = [], array("q"), {}, 0
        new = list(takewhile(lambda entry: entry.number >= self._next, self.log.newest_first()))
        for entry in reversed(new):
            name = entry.to.casefold()
            self._before.append(self._last.pop(name, -1))
            self._last[name] = len(self._ids)
            self._ids.append(entry.id)
        self._next = self.log.accepted


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
