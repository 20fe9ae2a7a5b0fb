"""The outbox: what has happened, as the events that webhooks carry, and which endpoints ask for them."""

from collections import deque
from collections.abc import Iterator
from typing import Final, final

import orjson
from attrs import define, field, frozen

from ...privacy import hidden
from ..http.responses import iso

_KEPT: Final = 100_000  # events; beyond it the oldest go


@final
@frozen(kw_only=True)
class Happening:
    """One event: its *at* is in Unix seconds, its *data* the fields that the docs show for it."""

    id: str
    event: str
    at: float
    data: dict[str, object] = field(repr=hidden, hash=False)

    def body(self) -> bytes:
        """Write the event as it goes over the wire (docs: /api/webhooks/overview)."""
        return orjson.dumps({"id": self.id, "event": self.event, "timestamp": iso(self.at), "data": self.data})


@final
@define(eq=False, repr=False)
class Outbox:
    """All events, in the order in which they happened."""

    _events: deque[Happening] = field(factory=lambda: deque(maxlen=_KEPT), init=False)

    def add(self, event_id: str, event: str, now: float, data: dict[str, object]) -> Happening:
        """Note an event."""
        happening = Happening(id=event_id, event=event, at=now, data=data)
        self._events.append(happening)
        return happening

    def __iter__(self) -> Iterator[Happening]:
        """Go through the events, the oldest first."""
        return iter(self._events)

    def __len__(self) -> int:
        """Count the events."""
        return len(self._events)
