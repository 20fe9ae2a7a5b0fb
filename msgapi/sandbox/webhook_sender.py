"""The sender of webhooks: it signs the deliveries of a sandbox, and sends them over a transport when they are due.

Rules:
- An attempt is made when it is due, or when the sender starts or the state is replaced if that is later.
- A delivery that was taken belongs to the state that it was taken from. If that is replaced meanwhile, the attempt is
  made and recorded there, so it changes nothing in the new state.
- The sender does not sleep while the clock is paused. Every change of the clock wakes it.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from math import inf
from typing import Final, final
from weakref import WeakValueDictionary

import anyio
from attrs import define, field

from .. import webhooks
from ..concurrency import background
from ..http import Request, Response
from ..transports import Answer, Transport
from .clock import SandboxClock
from .model.state import AccountState
from .model.webhooks import PendingDelivery
from .rules.lifecycle import advance

ENDPOINT_TIMEOUT: Final = 5.0  # seconds in which an endpoint has to respond
_MAX_CONCURRENT: Final = 64  # deliveries to one endpoint


@final
@define(eq=False)
class DeliveryInFlight:
    """A delivery that was taken, and the state that it was taken from."""

    state: AccountState
    delivery: PendingDelivery


@final
@define(eq=False)
class WebhookSender:
    """Sends what is due in the current *state*, until it is cancelled; `wake` makes it look for new deliveries.

    `notify` wakes it only if something is due before what it waits for. That is enough after a request, and much
    cheaper, but not after a change of the clock or of the state.
    """

    state: Callable[[], AccountState]
    clock: SandboxClock
    transport: Transport
    _woken: anyio.Event = field(factory=anyio.Event, init=False)
    _started: float = field(default=0.0, init=False)
    _current: AccountState | None = field(default=None, init=False)
    _waits_for: float = field(default=inf, init=False)  # the time until which it sleeps
    _in_flight: set[DeliveryInFlight] = field(factory=set, init=False)
    _limiters: WeakValueDictionary[str, anyio.CapacityLimiter] = field(factory=WeakValueDictionary, init=False)

    def wake(self) -> None:
        """Look for deliveries that are due."""
        self._woken.set()

    def notify(self) -> None:
        """Look for deliveries that are due, unless nothing is due before what the sender waits for."""
        at = _next_at(self.state())
        if at is not None and at < self._waits_for:
            self._woken.set()

    async def run(self) -> None:
        """Send the deliveries when they are due; those that are cancelled return to the queue."""
        try:
            async with anyio.create_task_group() as tasks:
                while True:
                    self._woken = anyio.Event()
                    state, now = self.state(), self.clock.time()
                    if state is not self._current:
                        self._current, self._started = state, now
                    advance(state, now)
                    while (delivery := state.webhook_queue.take(now)) is not None:
                        taken = DeliveryInFlight(state, delivery)
                        self._in_flight.add(taken)
                        _ = tasks.start_soon(self._send, taken, self._started, self._limiter(delivery.webhook_id))
                    await self._wait(None if self.clock.paused else _next_at(state), now)
        finally:
            for one in self._in_flight:
                one.state.webhook_queue.put_back([one.delivery])

    def _limiter(self, webhook_id: str) -> anyio.CapacityLimiter:
        # One for each endpoint, so that a slow endpoint does not delay the others. It exists while it is in use.
        return self._limiters.setdefault(webhook_id, anyio.CapacityLimiter(_MAX_CONCURRENT))

    async def _wait(self, until: float | None, now: float) -> None:
        self._waits_for = inf if until is None else until
        async with anyio.create_task_group() as tasks:
            if until is not None:
                _ = tasks.start_soon(self._wake_after, until - now)
            await self._woken.wait()
            tasks.cancel_scope.cancel()

    async def _wake_after(self, seconds: float) -> None:
        await self.clock.given.sleep(seconds)
        self._woken.set()

    async def _send(self, taken: DeliveryInFlight, started: float, limiter: anyio.CapacityLimiter) -> None:
        async with limiter:
            answer = await self._attempt(taken)
        self._in_flight.remove(taken)
        if answer is None:
            return
        status, reason = (answer.status, "") if isinstance(answer, Response) else (None, answer.reason)
        at = max(taken.delivery.due, started)
        _ = taken.state.webhook_queue.record_attempt(taken.delivery, at, status=status, reason=reason)
        self.wake()

    async def _attempt(self, taken: DeliveryInFlight) -> Answer | None:
        endpoint = taken.state.endpoints.find(taken.delivery.webhook_id)
        if endpoint is None:
            return None  # deleted since, so nothing more is sent to it
        body = taken.delivery.event.body()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "msgapi-sandbox",
            webhooks.SIGNATURE_HEADER: webhooks.sign(body, secret=endpoint.secret),
        }
        return await self.transport(Request("POST", endpoint.url, headers, body))


def _next_at(state: AccountState) -> float | None:
    delivery, step = state.webhook_queue.next_at(), state.schedule.next_at()
    return step if delivery is None else delivery if step is None else min(delivery, step)


@asynccontextmanager
async def send_webhooks(
    state: Callable[[], AccountState], clock: SandboxClock, transport: Transport
) -> AsyncIterator[WebhookSender]:
    """Send webhooks over *transport* for the duration of an `async with`; yields the sender."""
    sender = WebhookSender(state, clock, transport)
    async with background(sender.run):
        yield sender
