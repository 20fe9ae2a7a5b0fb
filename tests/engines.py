"""The engines of a fleet as tests open them, each over a real server of its own or over none.

The engine in memory runs on a virtual clock, so its leases expire without a real wait; a server has a real clock.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache
from typing import TypeAlias

from attrs import frozen

from msgapi import VirtualClock
from msgapi.clock import SYSTEM_CLOCK, Clock
from msgapi.fleet import Chunks, MemoryChunks, MemoryRecords, Records

LEASE = 1.0  # seconds, in tests that wait for one to run out


@frozen
class Engine:
    """One engine, opened: its queue, its records, and the clock that its leases go by."""

    chunks: Chunks
    records: Records
    clock: Clock = SYSTEM_CLOCK


Open: TypeAlias = Callable[..., AbstractAsyncContextManager[Engine]]


@asynccontextmanager
async def in_memory(url: str, fleet: str, lease: float = LEASE) -> AsyncIterator[Engine]:
    del url, lease
    engine, clock = _memories(fleet)
    async with clock.autojump():
        yield engine


@asynccontextmanager
async def on_redis(url: str, fleet: str, lease: float = LEASE) -> AsyncIterator[Engine]:
    from msgapi.fleet import chunks_streaq, redis
    from msgapi.fleet.records_redis import RedisRecords

    async with (
        redis.connected(url) as client,
        chunks_streaq.opened(url, fleet=fleet, lease_seconds=lease) as chunks,
    ):
        yield Engine(chunks, RedisRecords(client, fleet))


@asynccontextmanager
async def on_nats(url: str, fleet: str, lease: float = LEASE) -> AsyncIterator[Engine]:
    from msgapi.fleet import chunks_faststream, nats, records_nats

    async with (
        nats.connected(url) as client,
        chunks_faststream.opened(url, fleet=fleet, lease_seconds=lease) as chunks,
    ):
        yield Engine(chunks, await records_nats.opened(client, fleet=fleet))


@cache
def _memories(fleet: str) -> tuple[Engine, VirtualClock]:
    del fleet
    clock = VirtualClock()
    return Engine(MemoryChunks(clock, lease_seconds=LEASE), MemoryRecords(), clock), clock


OPENS: dict[str, Open] = {"memory": in_memory, "streaq": on_redis, "faststream": on_nats}
