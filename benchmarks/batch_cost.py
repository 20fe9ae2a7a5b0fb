"""The CPU time of a row of a batch: with a journal as a ratio to without one, and in a long batch to in a short one.

64 calls are in flight over loopback, through `Client`. The variants are measured in turn, in each round. CPU is the
time of this process with its threads (getrusage); the server is another process. The long batch, of a million rows with
a journal, and the short one are answered in memory, each in a process of its own, whose peak memory is printed.
"""

import argparse
import asyncio
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import anyio.lowlevel

import msgapi
from msgapi import Call, Client, Ok, Pace, Result, batch, journal, messages
from msgapi.messages import Accepted

T = TypeVar("T")
Way = Callable[[Client, int, str], Awaitable[None]]


def rows(count: int) -> Iterator[tuple[str, Call[Accepted]]]:
    """Make so many rows."""
    for at in range(count):
        text = messages.Text(agent_id="ag_live_demo", to=f"+49151{at:08}", traffic_type="TRANSACTION", text="Hello")
        yield str(at), messages.send(text)


async def drained(outcomes: batch.Outcomes[Accepted]) -> None:
    """Take every outcome."""
    async for outcome in outcomes:
        assert isinstance(outcome.result, Ok)


async def without(api: Client, count: int, _: str) -> None:
    """Send a batch."""
    async with batch.send(api, (call for _, call in rows(count))) as outcomes:
        await drained(outcomes)


async def journalled(api: Client, count: int, path: str) -> None:
    """Send a batch that is written down."""
    async with (
        journal.open(path, batch="bench") as record,
        batch.send(api, rows(count), journal=record) as outcomes,
    ):
        await drained(outcomes)


async def cost(way: Way, url: str, count: int, directory: Path) -> tuple[float, float]:
    """Run *way* once. Return the CPU and the wall time of a row in µs."""
    async with msgapi.Client(api_key="sk_bench", base_url=url, pace=Pace()) as api:
        before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        await way(api, count, str(directory / f"{time.monotonic_ns()}.db"))
        wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu / count * 1e6, wall / count * 1e6


async def compare(url: str, rounds: int, count: int, directory: Path) -> None:
    """Print the ways side by side."""
    ways: dict[str, tuple[Way, int]] = {
        "batch": (without, count),
        "batch with a journal": (journalled, count),
        "batch ten times as long": (without, 10 * count),
    }
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for way, rows_ in ways.values():
        _ = await cost(way, url, rows_ // 10, directory)
    for _ in range(rounds):
        for name, (way, rows_) in ways.items():
            found[name].append(await cost(way, url, rows_, directory))
    print(f"{'':28}{'CPU µs a row':>14}{'ratio':>8}{'wall':>10}{'ratio':>8}")
    for name, costs in found.items():
        own, clock = (statistics.median(one[at] for one in costs) for at in (0, 1))
        pairs = list(zip(costs, found["batch"], strict=True))
        ratios = [statistics.median(one[at] / other[at] for one, other in pairs) for at in (0, 1)]
        print(f"{name:28}{own:14.1f}{ratios[0]:8.2f}{clock:10.1f}{ratios[1]:8.2f}")


async def answer(call: Call[T]) -> Result[T]:
    """Accept everything, in memory."""
    await anyio.lowlevel.checkpoint()
    value: Any = Accepted(message_id=f"msg_{call.idempotency_key}")
    return Ok(value)


async def alone(count: int) -> None:
    """Send a journalled batch of *count* rows, and print the CPU in µs a row and the process's peak in kB."""
    with TemporaryDirectory() as made:
        before = time.process_time()
        path = str(Path(made) / "b.db")
        async with (
            journal.open(path, batch="b") as record,
            batch.send(answer, rows(count), journal=record) as outcomes,
        ):
            await drained(outcomes)
        print((time.process_time() - before) / count * 1e6, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def lengths(long: int, rounds: int) -> None:
    """Print the peak memory and the CPU of a row of a *long* batch beside those of one of 10,000 rows."""
    short, found = 10_000, list[list[tuple[float, float]]]()
    for _ in range(rounds):
        found.append([])
        for count in (short, long):
            program = [sys.executable, __file__, "--alone", str(count)]
            said = subprocess.run(program, capture_output=True, text=True, check=True).stdout  # noqa: S603 - this file
            cpu, peak = said.split()
            found[-1].append((float(cpu), float(peak)))
    ratios = [statistics.median(one[1][at] / one[0][at] for one in found) for at in (0, 1)]
    peaks = [statistics.median(one[at][1] for one in found) / 1024 for at in (0, 1)]
    print(
        f"\n{short:,} rows with a journal, in memory: peak {peaks[0]:.1f} MB; {long:,} rows: {peaks[1]:.1f} MB, ",
        end="",
    )
    print(f"ratio {ratios[1]:.2f}; CPU of a row {ratios[0]:.2f}")


def served() -> "subprocess.Popen[str]":
    """Start the server."""
    program = [sys.executable, str(Path(__file__).with_name("server.py"))]
    return subprocess.Popen(program, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own program


def main() -> None:
    """Compare, and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--long", type=int, default=1_000_000, help="rows of the long batch")
    parser.add_argument("--alone", type=int, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.alone:
        asyncio.run(alone(chosen.alone))
        return
    server = served()
    try:
        assert server.stdout is not None
        url = f"http://127.0.0.1:{int(server.stdout.readline())}"
        with TemporaryDirectory() as made:
            asyncio.run(compare(url, chosen.rounds, chosen.rows, Path(made)))
    finally:
        server.kill()
        _ = server.wait()
    lengths(chosen.long, 1 + chosen.rounds // 4)


if __name__ == "__main__":
    main()
