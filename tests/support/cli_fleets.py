"""A fleet in memory, for the tests of the command line."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel
import pytest
from attrs import define, field

from msgapi.cli.commands.fleet import connection
from msgapi.cli.commands.fleet.connection import FleetAddress
from msgapi.clock import SystemClock
from msgapi.fleet import MemoryChunkQueue, MemoryRecordStore
from msgapi.fleet.chunk import Chunk, load_chunk
from msgapi.ratelimit import LocalSharedRate

RCS = ["--agent", "ag_live_demo", "--traffic", "TRANSACTION", "--text", "Hi {name}"]
REPORT = ["fleet", "report", "--batch", "may"]


@define
class Hasty:
    """A clock on which every wait is over at once."""

    at: float = 0.0

    def now(self) -> float:
        return self.at

    def time(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        await anyio.lowlevel.checkpoint()
        self.at += seconds


@define
class Fleet:
    """A fleet in memory, and the places that it was asked for at."""

    queue: MemoryChunkQueue = field(factory=lambda: MemoryChunkQueue(Hasty(), lease_seconds=1e9))
    records: MemoryRecordStore = field(factory=MemoryRecordStore)
    shared_rate: LocalSharedRate = field(factory=lambda: LocalSharedRate(SystemClock()))
    places: list[FleetAddress] = field(factory=list)

    def queued(self, batch: str = "may") -> list[Chunk]:
        found = [load_chunk(held.body) for name, held in self.queue._chunks.items() if name.startswith(f"{batch}/")]
        assert all(isinstance(chunk, Chunk) for chunk in found)
        return [chunk for chunk in found if isinstance(chunk, Chunk)]


def placed(monkeypatch: pytest.MonkeyPatch) -> Fleet:
    """Let the commands find a fleet in memory."""
    fleet = Fleet()

    @asynccontextmanager
    async def reach(place: FleetAddress, concurrent_chunks: int = 1) -> AsyncIterator[Fleet]:
        assert concurrent_chunks
        fleet.places.append(place)
        yield fleet

    monkeypatch.setattr(connection, "open_fleet", reach)
    monkeypatch.setenv("MSGAPI_FLEET_URL", "redis://127.0.0.1:1")
    return fleet


def enqueue(path: str, *more: str, batch: str = "may") -> list[str]:
    return ["fleet", "enqueue", path, "--batch", batch, *RCS, *more]
