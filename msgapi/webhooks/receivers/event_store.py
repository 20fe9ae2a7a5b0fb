"""Event stores: record which events were handled, since the service may deliver an event more than once.

Rules:
- "Each event once" holds as far as the store reaches: `MemoryEventStore` one process, `SqliteEventStore` one machine,
  `RedisEventStore` all machines that use the same server.
- A claim ends after its lease, unless its owner claims the event again. So the event of a process that was killed is
  given to a later delivery, and the event of a handler that still runs is not, however long the handler takes.
- A claim belongs to its owner. An owner whose lease has expired cannot release the claim of the next one.
- An event that was handled is never handled again within the retention, even if the owner had lost its claim.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Literal, Protocol, TypeAlias, TypeVar, final

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar
from attrs import define, field
from attrs.validators import ge, gt

from ...clock import SYSTEM_CLOCK, Clock

T = TypeVar("T")
EventState: TypeAlias = Literal["new", "busy", "done"]
"""The answer of `EventStore.claim`."""
REDELIVERY_WINDOW: Final = 26 * 3600.0
"""Seconds within which the service repeats a delivery: its fifth attempt comes about 25 hours after the first."""
DEFAULT_LEASE: Final = 30.0
"""Seconds. Shorter than the minute after which the service delivers again, so that the second delivery is handled."""
DEFAULT_RETENTION: Final = 7 * 86400.0
"""Seconds. Longer than `REDELIVERY_WINDOW`, since deliveries can also be repeated by hand in the dashboard."""
_THREADS: Final = 8  # of one event loop, for the stores whose client blocks
_limiter: Final[RunVar[anyio.CapacityLimiter]] = RunVar("msgapi_event_store_threads")


class EventStoreError(Exception):
    """An event store cannot be used. The delivery is answered 500, and the service repeats it."""


class EventStore(Protocol):
    """A store of event ids. Implement this over a database that all worker processes share.

    An *owner* is a string that is unique for each claim. If a method raises, the delivery is answered 500, and the
    service repeats it. Each method may be called again with the same arguments.
    """

    @property
    def lease(self) -> float:
        """Seconds after which a claim ends, unless its owner claims the event again, as a receiver does in time."""
        ...  # pragma: no cover

    async def claim(self, event_id: str, owner: str) -> EventState:
        """Return `new` if *owner* is to handle the event, `busy` if another one does, and `done` if it was handled.

        `new` claims the event for the time of the lease. This must be atomic: of several owners, one gets `new`. An
        owner that claims its event again gets `new` again, and another lease.
        """
        ...  # pragma: no cover

    async def complete(self, event_id: str, owner: str) -> None:
        """Record that the event was handled, also if *owner* does not have the claim any more."""
        ...  # pragma: no cover

    async def release(self, event_id: str, owner: str) -> None:
        """Give up the claim of *owner*, if there is one: the event was not handled, and the next `claim` gets `new`."""
        ...  # pragma: no cover


def check_retention(_: object, __: object, seconds: float) -> None:
    """Raise ValueError if *seconds* is less than the time for which a delivery is repeated. A validator of attrs."""
    if not seconds >= REDELIVERY_WINDOW:
        raise ValueError(
            f"retention must be at least {REDELIVERY_WINDOW:g} seconds, not {seconds!r}: the service repeats a "
            "delivery up to 25 hours after the first"
        )


async def run_blocking(function: Callable[[], T]) -> T:
    """Run a *function* that blocks in a thread of the event stores, so that slow handlers cannot use up the threads.

    A cancellation waits until the function has returned, so that its result is known.
    """
    limiter = _limiter.get(None)
    if limiter is None:
        limiter = anyio.CapacityLimiter(_THREADS)
        _ = _limiter.set(limiter)
    return await anyio.to_thread.run_sync(function, limiter=limiter)


@final
@define(eq=False, kw_only=True)
class MemoryEventStore:
    """The ids of handled events in the memory of one process.

    "Once" holds for this process only, until it ends: with several worker processes each of them handles an event that
    is delivered to it, and after a restart an event that is delivered again is handled again. Use `SqliteEventStore`
    or `RedisEventStore` there.

    An id is kept for *retention* seconds, 7 days by default and at least 26 hours. If more than *max_events* (100,000
    by default, at least 1) are kept, the id that was delivered least recently is forgotten before. *lease* is in
    seconds, 30 by default. *clock* is for tests. Event loops in several threads can share a store. Raise ValueError if
    a number is too small.
    """

    max_events: int = field(default=100_000, validator=ge(1))
    lease: float = field(default=DEFAULT_LEASE, validator=gt(0))
    retention: float = field(default=DEFAULT_RETENTION, validator=check_retention)
    clock: Clock = SYSTEM_CLOCK
    # In the order of the times at which they end.
    _done: "OrderedDict[str, tuple[str, float]]" = field(factory=OrderedDict, init=False, repr=False)
    _busy: "OrderedDict[str, tuple[str, float]]" = field(factory=OrderedDict, init=False, repr=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False, repr=False)

    async def claim(self, event_id: str, owner: str) -> EventState:
        """Return `new`, `busy` or `done`; `new` claims the event."""
        with self._lock:
            self._forget(self._done)
            self._forget(self._busy)
            if event_id in self._done:
                self._keep(self._done, event_id, owner, self.retention)
                return "done"
            if self._busy.get(event_id, (owner, 0.0))[0] != owner:
                return "busy"
            self._keep(self._busy, event_id, owner, self.lease)
            return "new"

    async def complete(self, event_id: str, owner: str) -> None:
        """Record that the event was handled."""
        with self._lock:
            _ = self._busy.pop(event_id, None)
            self._keep(self._done, event_id, owner, self.retention)
            if len(self._done) > self.max_events:
                _ = self._done.popitem(last=False)

    async def release(self, event_id: str, owner: str) -> None:
        """Give up the claim of *owner*."""
        with self._lock:
            if self._busy.get(event_id, ("", 0.0))[0] == owner:
                del self._busy[event_id]

    def _keep(self, events: "OrderedDict[str, tuple[str, float]]", event_id: str, owner: str, seconds: float) -> None:
        events[event_id] = (owner, self.clock.now() + seconds)
        events.move_to_end(event_id)

    def _forget(self, events: "OrderedDict[str, tuple[str, float]]") -> None:
        now = self.clock.now()
        while events and next(iter(events.values()))[1] <= now:
            _ = events.popitem(last=False)
