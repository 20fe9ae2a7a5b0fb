"""The webhook sender: signs the deliveries and sends them over a transport when they are due on the clock."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, final
from weakref import WeakValueDictionary

import anyio
from attrs import define, field

from .. import webhooks
from ..clock import Clock
from ..concurrency import background
from ..http import Request, Response
from ..transports import Answer, Transport
from .model.state import AccountState
from .model.webhooks import PendingDelivery
from .rules.lifecycle import advance

ENDPOINT_TIMEOUT: Final = 5.0  # seconds in which an endpoint has to respond
_MAX_CONCURRENT: Final = 64  # deliveries to one endpoint


@final
@define(eq=False)
class WebhookSender:
    """Sends what is due, until it is cancelled; `wake` makes it look for new deliveries.

    An attempt is made when it is due, or when the sender starts if that is later.
    """

    state: AccountState
    clock: Clock
    transport: Transport
    _woken: anyio.Event = field(factory=anyio.Event, init=False)
    _started: float = field(default=0.0, init=False)
    _taken: dict[int, PendingDelivery] = field(factory=dict, init=False)
    _limiters: WeakValueDictionary[str, anyio.CapacityLimiter] = field(factory=WeakValueDictionary, init=False)

    def wake(self) -> None:
        """Look for deliveries that are due."""
        self._woken.set()

    async def run(self) -> None:
        """Send the deliveries when they are due; those that are cancelled return to the queue."""
        self._started = self.clock.time()
        try:
            async with anyio.create_task_group() as tasks:
                while True:
                    self._woken = anyio.Event()
                    now = self.clock.time()
                    advance(self.state, now)
                    while (delivery := self.state.webhook_queue.take(now)) is not None:
                        self._taken[delivery.number] = delivery
                        _ = tasks.start_soon(self._send, delivery, self._limiter(delivery.webhook_id))
                    await self._wait(self._next_at(), now)
        finally:
            self.state.webhook_queue.put_back(self._taken.values())

    def _limiter(self, webhook_id: str) -> anyio.CapacityLimiter:
        # One for each endpoint, so that a slow endpoint does not delay the others. It exists while it is in use.
        return self._limiters.setdefault(webhook_id, anyio.CapacityLimiter(_MAX_CONCURRENT))

    def _next_at(self) -> float | None:
        times = (self.state.webhook_queue.next_at(), self.state.schedule.next_at())
        return min((one for one in times if one is not None), default=None)

    async def _wait(self, until: float | None, now: float) -> None:
        async with anyio.create_task_group() as tasks:
            if until is not None:
                _ = tasks.start_soon(self._wake_after, until - now)
            await self._woken.wait()
            tasks.cancel_scope.cancel()

    async def _wake_after(self, seconds: float) -> None:
        await self.clock.sleep(seconds)
        self._woken.set()

    async def _send(self, delivery: PendingDelivery, limiter: anyio.CapacityLimiter) -> None:
        async with limiter:
            answer = await self._attempt(delivery)
        del self._taken[delivery.number]
        if answer is None:
            return
        status, reason = (answer.status, "") if isinstance(answer, Response) else (None, answer.reason)
        at = max(delivery.due, self._started)
        _ = self.state.webhook_queue.record_attempt(delivery, at, status=status, reason=reason)
        self.wake()

    async def _attempt(self, delivery: PendingDelivery) -> Answer | None:
        endpoint = self.state.endpoints.find(delivery.webhook_id)
        if endpoint is None:
            return None  # deleted since, so nothing more is sent to it
        body = delivery.event.body()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "msgapi-sandbox",
            webhooks.SIGNATURE_HEADER: webhooks.sign(body, secret=endpoint.secret),
        }
        return await self.transport(Request("POST", endpoint.url, headers, body))


@asynccontextmanager
async def deliver_webhooks(
    state: AccountState, clock: Clock, transport: Transport
) -> AsyncIterator[Callable[[], None]]:
    """Send webhooks over *transport* for the duration of an `async with`; yields the sender's `wake`."""
    sender = WebhookSender(state, clock, transport)
    async with background(sender.run):
        yield sender.wake
