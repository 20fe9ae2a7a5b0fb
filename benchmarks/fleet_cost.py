"""The CPU time of a row on a fleet, as a ratio to the same batch on one machine, and its bytes in the engine.

64 calls are in flight over loopback, through `Client`. Queue, records and rate are in memory, so that only the work of
the worker is measured. The variants are measured in turn, in each round. CPU is the time of this process (getrusage).
The bytes of a queued and of a recorded row are printed, too, and how often a worker calls the engine.
"""

import argparse
import asyncio
import resource
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

from batch_cost import drained, served

import msgapi
from msgapi import Call, Pace, batch, fleet, journal, messages
from msgapi.clock import Clock, SystemClock
from msgapi.fleet import Lease, Manifest, MemoryChunkQueue, MemoryRecordStore, Revision, make_row
from msgapi.messages import Accepted
from msgapi.ratelimit import Grant, LocalSharedRate

Way = Callable[[str, int], Awaitable[None]]
ASKED = dict.fromkeys(("lease", "renew", "ack", "read", "write", "reserve", "other"), 0)
BYTES = {"queued": 0, "recorded": 0}


def rows(count: int) -> Iterator[tuple[str, Call[Accepted]]]:
    """Make so many rows, under the keys of a batch."""
    for at in range(count):
        text = messages.Text(
            agent_id="ag_live_demo",
            to=f"+49151{at:08}",
            traffic_type="TRANSACTION",
            text=f"Hello, your parcel {at} is on its way and will be with you tomorrow between 9 and 11.",
        )
        yield str(at), messages.send(text, idempotency_key=journal.key_of("bench", str(at)))


class Counted:
    """A queue, records and a rate in memory, which count their calls."""

    lease_seconds = 3.0

    def __init__(self, clock: Clock) -> None:
        """Begin empty."""
        self.queue, self.records, self.quota = MemoryChunkQueue(clock), MemoryRecordStore(), LocalSharedRate(clock)

    async def put(self, id: str, body: bytes) -> None:  # noqa: A002 - as the protocol has it
        """Queue a chunk."""
        BYTES["queued"] += len(body)
        await self.queue.put(id, body)

    async def lease(self, wait: float) -> Lease | None:
        """Take a chunk."""
        ASKED["lease"] += 1
        return await self.queue.lease(wait)

    async def renew(self, lease: Lease) -> bool:
        """Keep a chunk."""
        ASKED["renew"] += 1
        return await self.queue.renew(lease)

    async def ack(self, lease: Lease) -> None:
        """Be done with a chunk."""
        ASKED["ack"] += 1
        await self.queue.ack(lease)

    async def release(self, lease: Lease, after: float) -> None:
        """Give a chunk back."""
        ASKED["other"] += 1
        await self.queue.release(lease, after)

    async def bury(self, lease: Lease) -> None:
        """Give a chunk up."""
        ASKED["other"] += 1
        await self.queue.bury(lease)

    async def size(self) -> int:
        """Count chunks."""
        ASKED["other"] += 1
        return await self.queue.size()

    async def read(self, batch: str, name: str) -> tuple[bytes | None, Revision]:
        """Read a record."""
        ASKED["read"] += 1
        return await self.records.read(batch, name)

    async def write(self, batch: str, name: str, value: bytes, revision: Revision) -> bool:
        """Write a record."""
        ASKED["write"] += 1
        return await self.records.write(batch, name, value, revision)

    def scan(self, batch: str) -> AsyncIterator[tuple[str, bytes]]:
        """Read all records."""
        return self.records.scan(batch)

    async def reserve(self, endpoint_class: str, slots: int, at_most: float | None = None) -> Grant:
        """Reserve slots."""
        ASKED["reserve"] += 1
        return await self.quota.reserve(endpoint_class, slots, at_most)

    async def throttle(self, endpoint_class: str, seconds: float) -> None:
        """Throttle an endpoint class."""
        ASKED["other"] += 1
        await self.quota.throttle(endpoint_class, seconds)

    async def set_limit(self, endpoint_class: str, per_second: float) -> None:
        """Take down a limit."""
        ASKED["other"] += 1
        await self.quota.set_limit(endpoint_class, per_second)

    async def pause(self, why: bytes) -> None:
        """Pause all."""
        await self.quota.pause(why)

    async def paused(self) -> bytes | None:
        """Return why all are paused."""
        ASKED["other"] += 1
        return await self.quota.paused()

    async def resume(self) -> None:
        """Let all go on."""
        await self.quota.resume()


async def alone(url: str, count: int) -> None:
    """Send a batch from one machine, with nothing kept."""
    async with (
        msgapi.Client(api_key="sk_bench", base_url=url) as api,
        batch.send(api, (call for _, call in rows(count))) as outcomes,
    ):
        await drained(outcomes)


async def queued(url: str, count: int) -> None:
    """Queue a batch and work it off, as one worker of a fleet."""
    there = Counted(SystemClock())
    manifest = Manifest(batch="bench", source="", rows=count)
    _ = await fleet.enqueue((make_row(*row) for row in rows(count)), manifest, queue=there, records=there)
    pace = Pace(1e6, shared=there)
    async with msgapi.Client(api_key="sk_bench", base_url=url, pace=pace) as api:
        stopped = await fleet.work(
            there, api, pace, records=there, concurrent_chunks=2, concurrency=32, until_empty=True
        )
    assert stopped is None
    BYTES["recorded"] += sum([len(value) async for _, value in there.records.scan("bench")])


async def cost(way: Way, url: str, count: int) -> float:
    """Run *way* once. Return the CPU time of a row in µs."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    await way(url, count)
    after = resource.getrusage(resource.RUSAGE_SELF)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / count * 1e6


async def compare(url: str, rounds: int, count: int) -> None:
    """Print the ways side by side, and what was asked of the engine."""
    for way in (alone, queued):
        _ = await cost(way, url, count // 4)
    for counts in (ASKED, BYTES):
        counts.update(dict.fromkeys(counts, 0))
    began = time.perf_counter()
    found = [(await cost(alone, url, count), await cost(queued, url, count)) for _ in range(rounds)]
    one, other = (statistics.median(pair[at] for pair in found) for at in (0, 1))
    ratio = statistics.median(pair[1] / pair[0] for pair in found)
    print(f"batch on one machine {one:8.1f} CPU µs a row")
    print(f"on a fleet, queued and sent {other:8.1f} CPU µs a row, {ratio:.2f} of it")
    total = rounds * count
    print(*(f"{name}: {size / total:.0f} bytes a row" for name, size in BYTES.items()), sep=", ")
    print("asked of the engine, for 100 rows:", *(f"{name} {count / total * 100:.1f}" for name, count in ASKED.items()))
    print(f"in {time.perf_counter() - began:.0f} s")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--rows", type=int, default=4000)
    chosen = parser.parse_args()
    server = served()
    try:
        assert server.stdout is not None
        asyncio.run(compare(f"http://127.0.0.1:{int(server.stdout.readline())}", chosen.rounds, chosen.rows))
    finally:
        server.kill()
        _ = server.wait()


if __name__ == "__main__":
    main()
