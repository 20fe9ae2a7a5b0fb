"""Couriers: which event is to be brought to which endpoint, and when again if that does not go well. Arithmetic only.

Rules:
- An attempt is made at once, and after it failed 1 minute, 5 minutes, 1 hour and 24 hours later; then never again.
- A pause counts from when the attempt before was due, so a clock that jumps leaves none out.
- What was taken and not settled is not lost: it can be called back.
- Where an endpoint is, its secret, and whether it is there at all is looked up at each attempt, by whoever makes it.
- What makes deliveries late, repeated or out of order is drawn from the seed and the event.
"""

import heapq
from collections import deque
from collections.abc import Iterable
from hashlib import blake2b
from itertools import count
from typing import Final, final

from attrs import define, evolve, field, frozen
from attrs.validators import and_, ge, le

from .outbox import Happening

SCHEDULE: Final = (0.0, 60.0, 300.0, 3600.0, 86_400.0)
"""The seconds before each attempt, counted from the one before (docs: /api/webhooks/retries)."""
KEPT = 100_000  # attempts, and deliveries that are still to be made; beyond it the oldest go
_GOOD: Final = range(200, 300)


@final
@frozen(kw_only=True)
class Mischief:
    """What happens to deliveries on their way, as shares of the events: the docs warn of all three.

    A *late* one comes *late_by* seconds later, a *repeated* one twice, a *reordered* one after those of
    the next few seconds.
    """

    late: float = field(default=0.0, validator=and_(ge(0), le(1)))
    late_by: float = field(default=30.0, validator=ge(0))
    repeated: float = field(default=0.0, validator=and_(ge(0), le(1)))
    reordered: float = field(default=0.0, validator=and_(ge(0), le(1)))
    seed: int = 1

    def delays(self, event_id: str) -> tuple[float, ...]:
        """Tell after how many seconds the event is brought, once for each time."""
        late, repeated, reordered, by = self._draw(event_id)
        delay = (self.late_by if late < self.late else 0.0) + (5 * by if reordered < self.reordered else 0.0)
        return (delay, delay + by) if repeated < self.repeated else (delay,)

    def _draw(self, event_id: str) -> tuple[float, float, float, float]:
        drawn = blake2b(event_id.encode(), digest_size=32, key=str(self.seed).encode()[:64]).digest()
        one, two, three, four = (int.from_bytes(drawn[at : at + 8], "big") / 2**64 for at in (0, 8, 16, 24))
        return one, two, three, four


@final
@frozen(kw_only=True)
class Delivery:
    """An event on its way to the endpoint with this id, *due* in Unix seconds; *attempt* counts from 1.

    No two have the same *number*.
    """

    event: Happening
    webhook_id: str
    due: float
    number: int
    attempt: int = 1


@final
@frozen(kw_only=True)
class Attempt:
    """One attempt that was made: what the endpoint answered, or None with the *reason* why there was no answer."""

    event_id: str
    event: str
    webhook_id: str
    attempt: int
    at: float
    status: int | None = None
    reason: str = ""

    @property
    def good(self) -> bool:
        """True if the endpoint took it: 2xx."""
        return self.status in _GOOD


@final
@define(eq=False, repr=False)
class Couriers:
    """All deliveries that are still to be made, and the attempts that were."""

    mischief: Mischief = field(factory=Mischief)
    _due: list[tuple[float, int, Delivery]] = field(factory=list, init=False)
    _under_way: dict[int, Delivery] = field(factory=dict, init=False)
    _made: deque[Attempt] = field(factory=lambda: deque(maxlen=KEPT), init=False)
    _order: "count[int]" = field(factory=count, init=False)

    @property
    def made(self) -> tuple[Attempt, ...]:
        """The attempts that were made, the oldest first."""
        return tuple(self._made)

    def next_at(self) -> float | None:
        """Tell when the next attempt is due, in Unix seconds."""
        return self._due[0][0] if self._due else None

    def bring(self, event: Happening, webhook_ids: Iterable[str], now: float) -> None:
        """Let *event* be brought to each of the endpoints with these ids."""
        for webhook_id in webhook_ids:
            for delay in self.mischief.delays(f"{event.id} {webhook_id}"):
                number = next(self._order)
                self._push(Delivery(event=event, webhook_id=webhook_id, due=now + delay, number=number))

    def take(self, now: float) -> Delivery | None:
        """Take a delivery that is due by *now*."""
        if not self._due or self._due[0][0] > now:
            return None
        delivery = heapq.heappop(self._due)[2]
        self._under_way[delivery.number] = delivery
        return delivery

    def recall(self, deliveries: Iterable[Delivery]) -> None:
        """Let those that were taken, and are not settled, be due again."""
        for delivery in deliveries:
            if self._under_way.pop(delivery.number, None) is not None:
                self._push(delivery)

    def drop(self, webhook_id: str) -> None:
        """Forget what is still to be brought to an endpoint, and don't try again what is under way."""
        self._due = [one for one in self._due if one[2].webhook_id != webhook_id]
        heapq.heapify(self._due)
        self._under_way = {name: one for name, one in self._under_way.items() if one.webhook_id != webhook_id}

    def settle(self, delivery: Delivery, now: float, *, status: int | None, reason: str = "") -> Attempt:
        """Note how an attempt went that was due *now*; one that failed is made again by the schedule, four times."""
        attempt = Attempt(
            event_id=delivery.event.id,
            event=delivery.event.event,
            webhook_id=delivery.webhook_id,
            attempt=delivery.attempt,
            at=now,
            status=status,
            reason=reason,
        )
        self._made.append(attempt)
        wanted = self._under_way.pop(delivery.number, None) is not None
        if wanted and not attempt.good and delivery.attempt < len(SCHEDULE):
            due = now + SCHEDULE[delivery.attempt]
            self._push(evolve(delivery, due=due, number=next(self._order), attempt=delivery.attempt + 1))
        return attempt

    def _push(self, delivery: Delivery) -> None:
        heapq.heappush(self._due, (delivery.due, delivery.number, delivery))
        if len(self._due) > KEPT:
            _ = heapq.heappop(self._due)
