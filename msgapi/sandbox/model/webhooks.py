"""Webhooks: the endpoints, the emitted events, and the queue of deliveries. Arithmetic only, no input or output.

Rules:
- An attempt is made at once; after a failure it is repeated 1 minute, 5 minutes, 1 hour and 24 hours later.
- A pause counts from when the previous attempt was due, so a clock that jumps skips no attempt.
- A delivery that was taken and not recorded is not lost: it can be returned to the queue.
- The URL, the secret and the existence of an endpoint are looked up by the sender at each attempt.
- Delayed, repeated and reordered deliveries depend on the seed and the event.
"""

import heapq
from collections import deque
from collections.abc import Container, Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import Any, Final, TypeAlias, final

import orjson
from attrs import define, evolve, field, frozen
from attrs.validators import and_, ge, le

from ...redact import hidden
from ...webhooks import sign
from ..http.responses import format_time
from .changes import ChangeFeed

RETRY_DELAYS: Final = (0.0, 60.0, 300.0, 3600.0, 86_400.0)
"""The seconds before each attempt, counted from the one before (docs: /api/webhooks/retries)."""
MAX_KEPT: Final = 100_000  # events, attempts and pending deliveries; beyond it the oldest are dropped
MAX_RECORDS: Final = 10_000  # deliveries that are shown with their attempts
_SUCCESS: Final = range(200, 300)


def _check_secret(_: object, __: object, value: str) -> None:
    _ = sign(b"", secret=value)  # an endpoint from a snapshot may have one that cannot sign


@final
@frozen(kw_only=True)
class Endpoint:
    """A webhook endpoint and the *events* that it subscribes to. *secret* signs the deliveries, and is never shown."""

    id: str
    url: str = field(repr=hidden)
    events: tuple[str, ...]
    secret: str = field(repr=hidden, validator=_check_secret)
    created_at: float

    def to_json(self) -> dict[str, object]:
        """Return the endpoint as the API shows it (docs: /api/webhooks/overview)."""
        return {"id": self.id, "url": self.url, "events": self.events, "created_at": format_time(self.created_at)}


@final
@define(eq=False, repr=False)
class Endpoints:
    """All endpoints, by id."""

    changes: ChangeFeed = field(factory=ChangeFeed)
    _by_id: dict[str, Endpoint] = field(factory=dict, init=False)

    def __iter__(self) -> Iterator[Endpoint]:
        """Iterate over the endpoints, oldest first."""
        return iter(tuple(self._by_id.values()))

    def find(self, endpoint_id: str) -> Endpoint | None:
        """Return an endpoint by its id."""
        return self._by_id.get(endpoint_id)

    def put(self, endpoint: Endpoint) -> None:
        """Add an endpoint, or replace the one with its id."""
        self._by_id[endpoint.id] = endpoint
        self.changes.add("webhooks")

    def remove(self, endpoint_id: str) -> bool:
        """Remove an endpoint; return False if there is none."""
        removed = self._by_id.pop(endpoint_id, None) is not None
        if removed:
            self.changes.add("webhooks")
        return removed

    def subscribed_to(self, event: str) -> tuple[Endpoint, ...]:
        """Return the endpoints that subscribe to *event*."""
        return tuple(one for one in self._by_id.values() if event in one.events) if self._by_id else ()


@final
@frozen(kw_only=True)
class EmittedEvent:
    """One event: *at* is in Unix seconds, *data* has the fields that the docs show for the *event*."""

    id: str
    event: str
    at: float
    data: dict[str, object] = field(repr=hidden, hash=False)

    def body(self) -> bytes:
        """Return the event as JSON (docs: /api/webhooks/overview)."""
        return orjson.dumps({"id": self.id, "event": self.event, "timestamp": format_time(self.at), "data": self.data})


EventData: TypeAlias = Mapping[str, object] | tuple[Any, ...]
"""The data of an event; as a tuple, the names of its fields, and the values of all but the last: the event's time."""
EventRow: TypeAlias = tuple[Any, ...]
"""The id, the name and the time of an event, the names of its fields, and the values of all but the last.

Without names, the next item is the data. Tuples of text and numbers cost the garbage collector nothing.
"""


@final
@define(eq=False, repr=False)
class EventLog:
    """The last emitted events, in their order."""

    _events: deque[EventRow] = field(factory=lambda: deque(maxlen=MAX_KEPT), init=False)

    def add(self, event_id: str, event: str, now: float, data: EventData) -> EventRow:
        """Add an event."""
        row: EventRow = (event_id, event, now, *(data if isinstance(data, tuple) else (None, dict(data))))
        self._events.append(row)
        return row

    def __iter__(self) -> Iterator[EmittedEvent]:
        """Iterate over the events, oldest first."""
        return map(event_of, self._events)

    def __len__(self) -> int:
        """Return the number of events."""
        return len(self._events)


def event_of(row: EventRow) -> EmittedEvent:
    """Return the event of a *row*."""
    event_id, event, at, names, *values = row
    data = values[0] if names is None else dict(zip(names, (*values, format_time(at)), strict=True))
    return EmittedEvent(id=event_id, event=event, at=at, data=dict(data))


@final
@frozen(kw_only=True)
class WebhookFaults:
    """Which shares of the deliveries, from 0 to 1, are delayed, repeated or reordered: the docs warn of all three.

    A *late* delivery comes *late_by* seconds later (30 by default), a *repeated* one twice, a *reordered* one after
    those of the next few seconds. All shares are 0 by default; *seed* (1 by default) determines which deliveries.
    """

    late: float = field(default=0.0, validator=and_(ge(0), le(1)))
    late_by: float = field(default=30.0, validator=ge(0))
    repeated: float = field(default=0.0, validator=and_(ge(0), le(1)))
    reordered: float = field(default=0.0, validator=and_(ge(0), le(1)))
    seed: int = 1

    def delays(self, name: str) -> tuple[float, ...]:
        """Return the delay in seconds of each delivery of the event and endpoint called *name*."""
        late, repeated, reordered, by = self._draw(name)
        delay = (self.late_by if late < self.late else 0.0) + (5 * by if reordered < self.reordered else 0.0)
        return (delay, delay + by) if repeated < self.repeated else (delay,)

    def _draw(self, name: str) -> tuple[float, float, float, float]:
        drawn = blake2b(name.encode(), digest_size=32, key=str(self.seed).encode()[:64]).digest()
        one, two, three, four = (int.from_bytes(drawn[at : at + 8], "big") / 2**64 for at in (0, 8, 16, 24))
        return one, two, three, four


@final
@frozen(kw_only=True)
class PendingDelivery:
    """A delivery of an event to an endpoint, *due* in Unix seconds. *attempt* counts from 1; *number* is unique."""

    event: EmittedEvent
    webhook_id: str
    due: float
    number: int
    attempt: int = 1


@final
@frozen(kw_only=True)
class Attempt:
    """One attempt to deliver an event: the *status* of the response, or None and the *reason* why there was none."""

    event_id: str
    event: str
    webhook_id: str
    attempt: int
    at: float
    status: int | None = None
    reason: str = ""

    @property
    def succeeded(self) -> bool:
        """Whether the endpoint responded with 2xx."""
        return self.status in _SUCCESS


@final
@define(eq=False, repr=False)
class DeliveryRecord:
    """The delivery of an *event* to an endpoint, and the *attempts* that were made. *number* orders the records."""

    event: EmittedEvent
    webhook_id: str
    number: int
    attempts: list[Attempt] = field(factory=list, init=False)

    @property
    def id(self) -> str:
        """The id of the delivery."""
        return delivery_id(self.event, self.webhook_id)


def delivery_id(event: EmittedEvent, webhook_id: str) -> str:
    """Return the id of the delivery of an event to an endpoint."""
    return f"{event.id}.{webhook_id}"


@final
@define(eq=False, repr=False)
class WebhookQueue:
    """The pending deliveries, and the attempts that were made."""

    faults: WebhookFaults = field(factory=WebhookFaults)
    changes: ChangeFeed = field(factory=ChangeFeed)
    _due: list[tuple[float, int, PendingDelivery]] = field(factory=list, init=False)
    _taken: dict[int, PendingDelivery] = field(factory=dict, init=False)
    _attempts: deque[Attempt] = field(factory=lambda: deque(maxlen=MAX_KEPT), init=False)
    _numbers: int = field(default=0, init=False)  # how many deliveries were numbered
    _records: dict[str, DeliveryRecord] = field(factory=dict, init=False)

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """The attempts that were made, oldest first."""
        return tuple(self._attempts)

    @property
    def pending(self) -> list[PendingDelivery]:
        """The deliveries that have no recorded attempt, also those that were taken, in the order of their numbers."""
        return sorted([*self._taken.values(), *(one[2] for one in self._due)], key=lambda one: one.number)

    def add_pending(self, deliveries: Iterable[PendingDelivery]) -> None:
        """Add deliveries of a snapshot, with their numbers."""
        for one in deliveries:
            self._push(one)

    def index(self, events: Iterable[EmittedEvent]) -> None:
        """Derive the records from the attempts and the pending deliveries, which were set from a snapshot.

        An event that is neither pending nor one of *events* has no record, such as one that tested an endpoint.
        """
        known = {one.id: one for one in (*events, *(one.event for one in self.pending))}
        for attempt in self._attempts:
            if attempt.event_id in known:
                self._record(known[attempt.event_id], attempt.webhook_id).attempts.append(attempt)
        for one in self.pending:
            _ = self._record(one.event, one.webhook_id)

    def deliveries(self) -> Iterator[DeliveryRecord]:
        """Iterate over the last deliveries, newest first."""
        return reversed(self._records.values())

    def find(self, delivery_id: str) -> DeliveryRecord | None:
        """Return a delivery by its id."""
        return self._records.get(delivery_id)

    def before(self, record: DeliveryRecord) -> DeliveryRecord | None:
        """Return the delivery to the same endpoint before that of *record*."""
        same = (one for one in self.deliveries() if one.webhook_id == record.webhook_id and one.number < record.number)
        return next(same, None)

    def due_times(self, ids: Container[str]) -> dict[str, float]:
        """Return when the next attempt is due of those deliveries with these *ids* that are pending."""
        found: dict[str, float] = {}
        for one in (*self._taken.values(), *(one[2] for one in self._due)):
            name = delivery_id(one.event, one.webhook_id)
            if name in ids:
                found[name] = min(one.due, found.get(name, one.due))
        return found

    def next_at(self) -> float | None:
        """Return when the next attempt is due, in Unix seconds."""
        return self._due[0][0] if self._due else None

    def schedule(self, event: EmittedEvent, webhook_ids: Iterable[str], now: float) -> None:
        """Schedule the delivery of *event* to each of the endpoints with these ids."""
        for webhook_id in webhook_ids:
            record = self._record(event, webhook_id)
            for delay in self.faults.delays(f"{event.id} {webhook_id}"):
                _ = self.add(record, now + delay)

    def add(self, record: DeliveryRecord, due: float) -> float:
        """Schedule one more delivery, from its first attempt; return when it is due."""
        number = self._next_number()
        self._push(PendingDelivery(event=record.event, webhook_id=record.webhook_id, due=due, number=number))
        return due

    def due_of(self, record: DeliveryRecord) -> float | None:
        """Return when the next attempt of a delivery is due; None if none is scheduled."""
        at = self._find_due(record)
        return None if at is None else self._due[at][0]

    def move_or_add(self, record: DeliveryRecord, due: float) -> float:
        """Let the next attempt of a delivery be due at *due*, or schedule one; return when it is due."""
        at = self._find_due(record)
        if at is None:
            return self.add(record, due)
        _, number, delivery = self._due[at]
        self._due[at] = (due, number, evolve(delivery, due=due))
        heapq.heapify(self._due)
        self.changes.add("webhooks")
        return due

    def _find_due(self, record: DeliveryRecord) -> int | None:
        name = (record.event.id, record.webhook_id)
        found = ((one[:2], at) for at, one in enumerate(self._due) if (one[2].event.id, one[2].webhook_id) == name)
        return min(found, default=(None, None))[1]

    def take(self, now: float) -> PendingDelivery | None:
        """Return a delivery that is due by *now*, or None; it is no longer pending."""
        if not self._due or self._due[0][0] > now:
            return None
        delivery = heapq.heappop(self._due)[2]
        self._taken[delivery.number] = delivery
        return delivery

    def put_back(self, deliveries: Iterable[PendingDelivery]) -> None:
        """Return deliveries to the queue that were taken and have no recorded attempt."""
        for delivery in deliveries:
            if self._taken.pop(delivery.number, None) is not None:
                self._push(delivery)

    def remove_endpoint(self, webhook_id: str) -> None:
        """Remove the deliveries to an endpoint, and do not repeat those that were taken."""
        self._due = [one for one in self._due if one[2].webhook_id != webhook_id]
        heapq.heapify(self._due)
        self._taken = {name: one for name, one in self._taken.items() if one.webhook_id != webhook_id}
        self.changes.add("webhooks")

    def record_attempt(self, delivery: PendingDelivery, now: float, *, status: int | None, reason: str = "") -> Attempt:
        """Record an attempt that was due at *now*; schedule the next one if it failed, up to four times."""
        attempt = Attempt(
            event_id=delivery.event.id,
            event=delivery.event.event,
            webhook_id=delivery.webhook_id,
            attempt=delivery.attempt,
            at=now,
            status=status,
            reason=reason,
        )
        self._attempts.append(attempt)
        self._record(delivery.event, delivery.webhook_id).attempts.append(attempt)
        self.changes.add("webhooks")
        wanted = self._taken.pop(delivery.number, None) is not None
        if wanted and not attempt.succeeded and delivery.attempt < len(RETRY_DELAYS):
            due = now + RETRY_DELAYS[delivery.attempt]
            self._push(evolve(delivery, due=due, number=self._next_number(), attempt=delivery.attempt + 1))
        return attempt

    def _record(self, event: EmittedEvent, webhook_id: str) -> DeliveryRecord:
        # Of the deliveries themselves, so that a repeated event has one record for each endpoint.
        name = delivery_id(event, webhook_id)
        found = self._records.get(name)
        if found is None:
            number = next(reversed(self._records.values())).number + 1 if self._records else 0
            found = self._records[name] = DeliveryRecord(event, webhook_id, number)
            if len(self._records) > MAX_RECORDS:
                del self._records[next(iter(self._records))]
        return found

    def _next_number(self) -> int:
        self._numbers += 1
        return self._numbers - 1

    def _push(self, delivery: PendingDelivery) -> None:
        heapq.heappush(self._due, (delivery.due, delivery.number, delivery))
        self.changes.add("webhooks")
        if len(self._due) > MAX_KEPT:
            _ = heapq.heappop(self._due)
