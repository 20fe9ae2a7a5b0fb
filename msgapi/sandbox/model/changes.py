"""The feed of changes: which parts of the account have changed, for the page and for requests that wait for a message.

Rules:
- A change costs one append to a bounded queue, and one comparison if there is no waiter.
- Each reader has its own position and never delays the account. A reader that is too far behind starts anew.
- The feed names the parts that have changed, not their new values, which readers read from the account.
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from secrets import token_hex
from typing import Final, Literal, TypeAlias, final

from attrs import define, field, frozen

Topic: TypeAlias = Literal[
    "messages", "requests", "account", "webhooks", "agents", "contacts", "campaigns", "clock", "faults"
]
"""A part of the account that changes."""
MAX_CHANGES: Final = 10_000  # that are kept; a reader that is further behind reads everything again
MAX_IDS: Final = 200
"""The number of messages that an event names; if more have changed, it names none."""
_WITH_ACCOUNT: Final[frozenset[Topic]] = frozenset({"messages", "requests", "contacts"})  # change its numbers, too


@final
@frozen
class ChangeSummary:
    """What has changed up to *position*: the *topics*, and the ids of the *messages*."""

    position: int
    topics: frozenset[Topic]
    messages: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        """Return the data of the event for a page: the parts to read again."""
        data: dict[str, object] = dict.fromkeys(sorted(self.topics), True)
        if 0 < len(self.messages) <= MAX_IDS:
            data["messages"] = self.messages
        return data


@final
@define(eq=False, repr=False)
class ChangeFeed:
    """The last changes, in their order. *count* is the number of all changes, and the position after the last one.

    When the state of the account is replaced, the new state has its own feed, and `end` must be called on this one, so
    that its readers notice. *instance* is a random name of this feed: a position is one of this feed only.
    """

    count: int = field(default=0, init=False)
    ended: bool = field(default=False, init=False)
    instance: str = field(factory=lambda: token_hex(6), init=False)
    _last: deque[tuple[Topic, str]] = field(factory=lambda: deque(maxlen=MAX_CHANGES), init=False)
    _waiting: list[Callable[[], None]] = field(factory=list, init=False)

    def add(self, topic: Topic, name: str = "") -> None:
        """Note that a part of the account has changed; *name* is the id of the message, for messages."""
        self.count += 1
        self._last.append((topic, name))
        if self._waiting:
            self._wake()

    def end(self) -> None:
        """End the feed: the account that it belongs to is replaced."""
        self.ended = True
        self._wake()

    def since(self, position: int) -> ChangeSummary | None:
        """Return what has changed since *position*; None if that is too long ago, or not a position of this feed."""
        behind = self.count - position
        if self.ended or not 0 <= behind <= len(self._last):
            return None
        topics: set[Topic] = set()
        ids: dict[str, None] = {}
        for topic, name in islice(self._last, len(self._last) - behind, None):
            topics.add(topic)
            if name:
                ids[name] = None
        if topics & _WITH_ACCOUNT:
            topics.add("account")
        return ChangeSummary(self.count, frozenset(topics), tuple(ids))

    @contextmanager
    def notifying(self, wake: Callable[[], None]) -> Iterator[None]:
        """Call *wake* once, at the next change or at the end, if that is inside the `with`."""
        self._waiting.append(wake)
        try:
            yield
        finally:
            if wake in self._waiting:
                self._waiting.remove(wake)

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for wake in waiting:
            wake()
