"""CPU and time of a call through `BlockingClient`, as ratios to `Client` in the same run.

The same calls are made by 8 threads and by 8 tasks, over loopback; then as a batch, 64 in flight. The variants are
measured in turn, in each round. CPU is the time of this process (getrusage); the server is another process. The
context switches per call are nearly the same on a busy machine.
"""

import argparse
import asyncio
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from anyio.from_thread import start_blocking_portal
from spending import KEY, spend

import msgapi
from msgapi import Call, Ok, batch, messages
from msgapi.messages import Accepted

AT_ONCE = 8
TEXT = messages.Text(
    agent_id="ag_live_demo", to="+4915112345678", traffic_type="TRANSACTION", text="Your parcel is here"
)


def calls_of(count: int) -> Iterator[Call[Accepted]]:
    """Make *count* calls."""
    return (messages.send(TEXT) for _ in range(count))


async def by_tasks(url: str, count: int) -> None:
    """Make *count* calls by 8 tasks."""
    async with msgapi.Client(api_key=KEY, base_url=url) as client:

        async def once() -> None:
            assert isinstance(await client(messages.send(TEXT)), Ok)

        _ = await spend(once, count, AT_ONCE)


async def by_async_batch(url: str, count: int) -> None:
    """Make *count* calls by an async batch."""
    async with msgapi.Client(api_key=KEY, base_url=url) as client, batch.send(client, calls_of(count)) as outcomes:
        async for outcome in outcomes:
            assert isinstance(outcome.result, Ok)


def by_threads(url: str, count: int) -> None:
    """Make *count* calls by 8 threads."""

    def work(_: int) -> None:
        for call in calls_of(count // AT_ONCE):
            assert isinstance(client(call), Ok)

    with msgapi.BlockingClient(api_key=KEY, base_url=url) as client, ThreadPoolExecutor(AT_ONCE) as threads:
        _ = [*threads.map(work, range(AT_ONCE))]


def by_portal(url: str, count: int) -> None:
    """Make *count* calls by 8 threads over a blocking portal of anyio, without `BlockingClient`."""

    def work(_: int) -> None:
        for call in calls_of(count // AT_ONCE):
            assert isinstance(portal.call(client, call), Ok)

    client = msgapi.Client(api_key=KEY, base_url=url)
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(client),
        ThreadPoolExecutor(AT_ONCE) as threads,
    ):
        _ = [*threads.map(work, range(AT_ONCE))]


def by_batch(url: str, count: int) -> None:
    """Make *count* calls by a blocking batch."""
    with msgapi.BlockingClient(api_key=KEY, base_url=url) as client:
        for outcome in client.batch(calls_of(count)):
            assert isinstance(outcome.result, Ok)


GROUPS: tuple[dict[str, Callable[[str, int], None]], ...] = (
    {
        "Client, 8 tasks": lambda url, count: asyncio.run(by_tasks(url, count)),
        "BlockingClient, 8 threads": by_threads,
        "a portal of anyio, 8 threads": by_portal,
    },
    {
        "batch.send": lambda url, count: asyncio.run(by_async_batch(url, count)),
        "BlockingClient.batch": by_batch,
    },
)


def cost(way: Callable[[str, int], None], url: str, count: int) -> tuple[float, float, float]:
    """Return the seconds of CPU and of wall time of *count* calls, and the voluntary context switches of one."""
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    way(url, count)
    after, ended = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, ended - began, (after.ru_nvcsw - before.ru_nvcsw) / count


def measure(url: str, rounds: int, count: int) -> None:
    """Let the ways take turns, and print the table."""
    print(f"{'ratio to the first of each group':36}{'CPU':>8}{'time':>8}{'switches':>10}")
    for ways in GROUPS:
        for way in ways.values():
            way(url, count // 4)  # warm-up
        runs = [{name: cost(way, url, count) for name, way in ways.items()} for _ in range(rounds)]
        base = next(iter(ways))
        for name in ways:
            cpu, wall = (statistics.median(run[name][at] / run[base][at] for run in runs) for at in (0, 1))
            switches = statistics.median(run[name][2] for run in runs)
            print(f"{name:36}{cpu:8.2f}{wall:8.2f}{switches:10.2f}")


def main() -> None:
    """Run against a server process of our own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--calls", type=int, default=2000)
    chosen = parser.parse_args()
    server = subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, str(Path(__file__).with_name("server.py"))], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        measure(f"http://127.0.0.1:{int(server.stdout.readline())}", chosen.rounds, chosen.calls)
    finally:
        server.kill()
        _ = server.wait()


if __name__ == "__main__":
    main()
