"""Posting: webhooks on their way over real HTTP, signed, at the moments that the couriers and the clock give."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, final

import anyio
from attrs import define, field

from .. import events
from ..clock import Clock
from ..http import Request, Response
from ..transports import Transport
from .couriers import Delivery
from .lifecycle import advance
from .state import State

PATIENCE: Final = 5.0  # seconds in which an endpoint has to answer
_AT_ONCE: Final = 64  # deliveries on their way


@final
@define(eq=False)
class Post:
    """Brings what is due, until it is cancelled; `ring` tells it that there may be something new."""

    state: State
    clock: Clock
    transport: Transport
    _bell: anyio.Event = field(factory=anyio.Event, init=False)

    def ring(self) -> None:
        """Look again."""
        self._bell.set()

    async def run(self) -> None:
        """Bring what is due, and wait for what will be."""
        room = anyio.CapacityLimiter(_AT_ONCE)
        async with anyio.create_task_group() as tasks:
            while True:
                self._bell = anyio.Event()
                now = self.clock.time()
                self._gather(now)
                while (delivery := self.state.couriers.take(now)) is not None:
                    _ = tasks.start_soon(self._bring, delivery, room)
                await self._wait(self._next_at(), now)

    def _gather(self, now: float) -> None:
        advance(self.state, now)
        for endpoint_id, happening in self.state.endpoints.take_tests():
            self.state.couriers.bring(happening, [endpoint_id], now)

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
            endpoint = self.state.endpoints.find(delivery.webhook_id)
            if endpoint is None:
                return  # it was deleted since, so nothing more goes there
            body = delivery.event.body()
            headers = {
                "Content-Type": "application/json",
                "User-Agent": "msgapi-sandbox",
                events.HEADER: events.sign(body, secret=endpoint.secret),
            }
            answer = await self.transport(Request("POST", endpoint.url, headers, body))
        status, reason = (answer.status, "") if isinstance(answer, Response) else (None, answer.reason)
        _ = self.state.couriers.settle(delivery, self.clock.time(), status=status, reason=reason)
        self.ring()


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
