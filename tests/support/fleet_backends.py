"""The backends of a fleet as tests open them, each on a server of its own or in memory.

The backend in memory runs on a virtual clock, so its leases expire without a real wait; a server has a real clock.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache
from typing import TypeAlias

from attrs import frozen

from msgapi import VirtualClock
from msgapi.clock import SYSTEM_CLOCK, Clock
from msgapi.fleet import ChunkQueue, MemoryChunkQueue, MemoryRecordStore, RecordStore

LEASE = 1.0  # seconds, in tests that wait for one to run out


@frozen
class Engine:
    """One engine, opened: its queue, its records, and the clock that its leases go by."""

    queue: ChunkQueue
    records: RecordStore
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
    from msgapi.fleet.backends import redis_connection as connection
    from msgapi.fleet.backends import redis_storage as storage
    from msgapi.fleet.backends.redis_storage import RedisRecordStore

    async with (
        connection.connect(url) as client,
        storage.open_queue(url, fleet=fleet, lease_seconds=lease) as chunks,
    ):
        yield Engine(chunks, RedisRecordStore(client, fleet))


@asynccontextmanager
async def on_nats(url: str, fleet: str, lease: float = LEASE) -> AsyncIterator[Engine]:
    from msgapi.fleet.backends import nats_connection as connection
    from msgapi.fleet.backends import nats_storage as storage

    async with (
        connection.connect(url) as client,
        storage.open_queue(url, fleet=fleet, lease_seconds=lease) as chunks,
    ):
        yield Engine(chunks, await storage.open_records(client, fleet=fleet))


@cache
def _memories(fleet: str) -> tuple[Engine, VirtualClock]:
    del fleet
    clock = VirtualClock()
    return Engine(MemoryChunkQueue(clock, lease_seconds=LEASE), MemoryRecordStore(), clock), clock


OPENS: dict[str, Open] = {"memory": in_memory, "streaq": on_redis, "faststream": on_nats}
