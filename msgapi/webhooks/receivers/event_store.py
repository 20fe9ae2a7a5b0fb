"""Event stores: record which events were handled, since the service may deliver an event more than once.

"Each event once" holds as far as the store reaches. `MemoryEventStore` reaches one process: with several worker
processes, or after a restart, an event that is delivered again can be handled again.
"""

from collections import OrderedDict
from typing import Literal, Protocol, TypeAlias, final

from attrs import define, field
from attrs.validators import ge

EventState: TypeAlias = Literal["new", "busy", "done"]
"""The answer of `EventStore.claim`."""


class EventStore(Protocol):
    """A store of event ids. Implement these three methods over a database that all worker processes share.

    A `claim` that returned `new` is followed by `complete` or `release`, unless the process dies. A store
    that outlives the process must therefore let a `busy` id become `new` again after some time, longer than
    the minute that a handler may take. If a method raises, the delivery is answered 500 and comes again.
    """

    async def claim(self, event_id: str) -> EventState:
        """Return `new` if the caller is to handle the event, `busy` if it is being handled, `done` if it was."""
        ...  # pragma: no cover

    async def complete(self, event_id: str) -> None:
        """Record that a claimed event was handled."""
        ...  # pragma: no cover

    async def release(self, event_id: str) -> None:
        """Give up the claim: the event was not handled, and the next `claim` returns `new`."""
        ...  # pragma: no cover


@final
@define(eq=False)
class MemoryEventStore:
    """The ids of the last *max_events* handled events, in the memory of one process.

    *max_events* is 10,000 by default and at least 1. If there are more, the id that was delivered least
    recently is forgotten, and its event would be handled again.
    """

    max_events: int = field(default=10_000, validator=ge(1))
    _done: "OrderedDict[str, None]" = field(factory=OrderedDict, init=False, repr=False)
    _busy: set[str] = field(factory=set, init=False, repr=False)

    async def claim(self, event_id: str) -> EventState:
        """Return `new`, `busy` or `done`; `new` claims the event."""
        if event_id in self._done:
            self._done.move_to_end(event_id)
            return "done"
        if event_id in self._busy:
            return "busy"
        self._busy.add(event_id)
        return "new"

    async def complete(self, event_id: str) -> None:
        """Record that the event was handled."""
        self._busy.discard(event_id)
        self._done[event_id] = None
        if len(self._done) > self.max_events:
            _ = self._done.popitem(last=False)

    async def release(self, event_id: str) -> None:
        """Give up the claim."""
        self._busy.discard(event_id)
