"""Workers for tests that may die, be cancelled or freeze at any moment: what stays is the world outside them.

A worker touches the world before and after each thing that it asks of the engine, of the records or of the
service. At any such moment it may be killed, and then reaches none of them any more; or be cancelled; or stand
still, for longer than its leases last, and go on as if nothing had been.
"""

from collections.abc import AsyncIterator
from typing import Literal, TypeAlias, final

import anyio
import anyio.lowlevel
from attrs import define, field

from msgapi import Request
from msgapi.fleet import Lease, MemoryChunkQueue, MemoryRecordStore, Revision
from msgapi.ratelimit import LocalSharedRate
from msgapi.transports import Answer
from tests.support.simulated_crash import Service, Weather

Death: TypeAlias = Literal["killed", "cancelled", "frozen"]


class Killed(BaseException):
    """The worker is dead: no `except Exception` of its own sees it."""


@define(eq=False)
class World(Service):
    """What outlives the workers."""

    queue: MemoryChunkQueue
    records: MemoryRecordStore
    shared_rate: LocalSharedRate


@final
@define(eq=False)
class Mortal:
    """One worker, whose requests meet *weather* and which meets *death* at its n-th moment, *at*."""

    world: World
    weather: Weather = field(factory=list)
    death: Death | None = None
    at: int = 0
    frozen: float = 0.0
    """Seconds for which it stands still, if that is its death."""
    moments: int = 0
    dead: bool = False
    until: float = 0.0
    scope: anyio.CancelScope = field(factory=anyio.CancelScope)

    async def touch(self) -> None:
        self.moments += 1
        if self.moments == self.at:
            self.dead = self.death == "killed"
            if self.death == "cancelled":
                self.scope.cancel()
            if self.death == "frozen":
                self.until = self.world.clock.now() + self.frozen
        if self.dead:
            raise Killed
        if (left := self.until - self.world.clock.now()) > 0:
            await self.world.clock.sleep(left)

    async def transport(self, request: Request, /) -> Answer:
        """Send *request* through the weather."""
        await self.touch()
        answer = await self.world.meet(self.weather, request, self._wire)
        await self.touch()
        return answer

    async def _wire(self, request: Request, /) -> Answer:
        await self.touch()
        return await self.world.box(request)


@final
@define(eq=False)
class MortalChunks:
    """The engine, as a mortal worker reaches it."""

    who: Mortal

    @property
    def lease_seconds(self) -> float:
        return self.who.world.queue.lease_seconds

    @lease_seconds.setter
    def lease_seconds(self, seconds: float) -> None:
        raise NotImplementedError

    async def put(self, id: str, body: bytes) -> None:  # noqa: A002 - it is one
        raise NotImplementedError

    async def lease(self, wait: float) -> Lease | None:
        await self.who.touch()
        lease = await self.who.world.queue.lease(wait)
        await self.who.touch()
        return lease

    async def renew(self, lease: Lease) -> bool:
        await self.who.touch()
        return await self.who.world.queue.renew(lease)

    async def ack(self, lease: Lease) -> None:
        await self.who.touch()
        await self.who.world.queue.ack(lease)
        await self.who.touch()

    async def release(self, lease: Lease, after: float) -> None:
        await self.who.touch()
        await self.who.world.queue.release(lease, after)
        await self.who.touch()

    async def bury(self, lease: Lease) -> None:
        await self.who.touch()
        await self.who.world.queue.bury(lease)
        await self.who.touch()

    async def size(self) -> int:
        await self.who.touch()
        return await self.who.world.queue.size()


@final
@define(eq=False)
class MortalRecords:
    """The records, as a mortal worker reaches them."""

    who: Mortal

    async def read(self, batch: str, name: str) -> tuple[bytes | None, Revision]:
        await self.who.touch()
        found = await self.who.world.records.read(batch, name)
        await self.who.touch()
        return found

    async def write(self, batch: str, name: str, value: bytes, revision: Revision) -> bool:
        await self.who.touch()
        written = await self.who.world.records.write(batch, name, value, revision)
        await self.who.touch()
        return written

    async def scan(self, batch: str) -> AsyncIterator[tuple[str, bytes]]:
        await self.who.touch()
        for found in [found async for found in self.who.world.records.scan(batch)]:
            yield found
            await self.who.touch()
