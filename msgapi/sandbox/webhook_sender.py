"""Posting: webhooks on their way over real HTTP, signed, at the moments that the couriers and the clock give."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, final
from weakref import WeakValueDictionary

import anyio
from attrs import define, field

from .. import webhooks
from ..clock import Clock
from ..http import Request, Response
from ..transports import Answer, Transport
from .model.state import State
from .model.webhooks import Delivery
from .rules.lifecycle import advance

PATIENCE: Final = 5.0  # seconds in which an endpoint has to answer
_AT_ONCE: Final = 64  # deliveries on their way to one endpoint


@final
@define(eq=False)
class Post:
    """Brings what is due, until it is cancelled; `ring` tells it that there may be something new.

    An attempt is made when it is due, or when the posting begins if that is later.
    """

    state: State
    clock: Clock
    transport: Transport
    _bell: anyio.Event = field(factory=anyio.Event, init=False)
    _begun: float = field(default=0.0, init=False)
    _taken: dict[int, Delivery] = field(factory=dict, init=False)
    _rooms: WeakValueDictionary[str, anyio.CapacityLimiter] = field(factory=WeakValueDictionary, init=False)

    def ring(self) -> None:
        """Look again."""
        self._bell.set()

    async def run(self) -> None:
        """Bring what is due, and wait for what will be; what is under way at the end will be due again."""
        self._begun = self.clock.time()
        try:
            async with anyio.create_task_group() as tasks:
                while True:
                    self._bell = anyio.Event()
                    now = self.clock.time()
                    advance(self.state, now)
                    while (delivery := self.state.couriers.take(now)) is not None:
                        self._taken[delivery.number] = delivery
                        _ = tasks.start_soon(self._bring, delivery, self._room(delivery.webhook_id))
                    await self._wait(self._next_at(), now)
        finally:
            self.state.couriers.recall(self._taken.values())

    def _room(self, webhook_id: str) -> anyio.CapacityLimiter:
        # One for each endpoint, so that one that hangs holds up no other; it is there while a delivery has it.
        return self._rooms.setdefault(webhook_id, anyio.CapacityLimiter(_AT_ONCE))

    def _next_at(self) -> float | None:
        moments = (self.state.couriers.next_at(), self.state.deliveries.next_at())
        return min((one for one in moments if one is not None), default=None)

    async def _wait(self, until: float | None, now: float) -> None:
        async with anyio.create_task_group() as tasks:
            if until is not None:
                _ = tasks.start_soon(self._ring_after, until - now)
            await self._bell.wait()
            tasks.cancel_scope.cancel()

    async def _ring_after(self, seconds: float) -> None:
        await self.clock.sleep(seconds)
        self._bell.set()

    async def _bring(self, delivery: Delivery, room: anyio.CapacityLimiter) -> None:
        async with room:
            answer = await self._attempt(delivery)
        del self._taken[delivery.number]
        if answer is None:
            return
        status, reason = (answer.status, "") if isinstance(answer, Response) else (None, answer.reason)
        at = max(delivery.due, self._begun)
        _ = self.state.couriers.settle(delivery, at, status=status, reason=reason)
        self.ring()

    async def _attempt(self, delivery: Delivery) -> Answer | None:
        endpoint = self.state.endpoints.find(delivery.webhook_id)
        if endpoint is None:
            return None  # it was deleted since, so nothing more goes there
        body = delivery.event.body()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "msgapi-sandbox",
            webhooks.SIGNATURE_HEADER: webhooks.sign(body, secret=endpoint.secret),
        }
        return await self.transport(Request("POST", endpoint.url, headers, body))


@asynccontextmanager
async def posting(state: State, clock: Clock, transport: Transport) -> AsyncIterator[Callable[[], None]]:
    """Let webhooks go out over *transport* for the time of an `async with`; gives what tells of something new."""
    post = Post(state, clock, transport)
    failure: Exception | None = None
    async with anyio.create_task_group() as tasks:
        _ = tasks.start_soon(post.run)
        try:
            yield post.ring
        except Exception as error:  # noqa: BLE001 - raised again below, as itself and not in a group
            failure = error
        finally:
            tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure
