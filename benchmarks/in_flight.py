"""CPU per call by the number of calls in flight, for each transport: it should not grow with that number.

Every call is one POST and its answer over loopback, by the transport alone. The server is another process. A ratio is
to httptools on asyncio in the same round. Each transport is measured with its default limit of connections, and with
one for each call in flight. Function calls are those of one call, as cProfile counts them: a figure without noise.
"""

import argparse
import cProfile
import pstats
import resource
import statistics
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import NamedTuple

import anyio
import httpx2 as library
import orjson
from spending import BODY, KEY

from msgapi import Request, Response
from msgapi.transports import Transport, aiohttp, httptools, httpx2

TIMEOUT = 300.0  # seconds of an exchange: with 2,000 in flight on a busy machine it can take more than 30
MOST_OVER_CLIENT = 100  # connections of a client of httpx2: each adds 28 function calls to each call


class Way(NamedTuple):
    """A transport, and the event loop on which it runs."""

    opened: Callable[[int], AbstractAsyncContextManager[Transport]]
    loop: str = "asyncio"
    most: int | None = None  # connections


@asynccontextmanager
async def over_client(limit: int) -> AsyncIterator[Transport]:
    """Open a transport over a client of httpx2, with its own pool."""
    limits = library.Limits(max_connections=limit, max_keepalive_connections=limit)
    async with (
        library.AsyncClient(trust_env=False, limits=limits) as client,
        httpx2.open(client=client, max_connections=limit, timeout=TIMEOUT) as transport,
    ):
        yield transport


def sockets(limit: int) -> AbstractAsyncContextManager[Transport]:
    """Return the transport over httpx2's parser."""
    return httpx2.open(max_connections=limit, timeout=TIMEOUT)


WAYS = {
    "httptools": Way(lambda limit: httptools.open(max_connections=limit, timeout=TIMEOUT)),
    "aiohttp": Way(lambda limit: aiohttp.open(max_connections=limit, timeout=TIMEOUT)),
    "httpx2": Way(sockets),
    "httpx2, trio": Way(sockets, "trio"),
    "client of httpx2": Way(over_client, most=MOST_OVER_CLIENT),
    "client of httpx2, trio": Way(over_client, "trio", MOST_OVER_CLIENT),
}


def measure(request: Request, counts: list[int], rounds: int, calls: int) -> None:
    """Print the cost per call of each transport at each number of calls in flight."""
    print(f"{'in flight':>10}{'limit':>7}  {'transport':24}{'µs CPU':>8}{'ratio':>8}{'calls':>8}")
    for count in counts:
        for limit in sorted({100, count}):
            ways = {name: way for name, way in WAYS.items() if way.most is None or limit <= way.most}
            number = max(calls, 2 * count)
            spent: dict[str, list[float]] = {name: [] for name in ways}
            for _ in range(rounds):
                for name, way in ways.items():
                    spent[name].append(run(partial(way.opened, limit), way.loop, request, (number, count)))
            for name, seconds in spent.items():
                ratio = statistics.median(a / b for a, b in zip(seconds, spent["httptools"], strict=True))
                profile = cProfile.Profile()
                way = ways[name]
                _ = run(partial(way.opened, limit), way.loop, request, (number, count), profile)
                total: int = pstats.Stats(profile).total_calls  # type: ignore[attr-defined]
                print(
                    f"{count:10}{limit:7}  {name:24}{statistics.median(seconds) * 1e6:8.0f}{ratio:8.2f}"
                    f"{total / number:8.0f}"
                )


def run(
    opened: Callable[[], AbstractAsyncContextManager[Transport]],
    loop: str,
    request: Request,
    load: tuple[int, int],
    profile: cProfile.Profile | None = None,
) -> float:
    """Return the seconds of CPU per call, at a *load* of so many calls, so many in flight.

    As many calls as are in flight open the connections first.
    """
    calls, count = load

    async def make_calls(send: Transport, left: Iterator[int]) -> None:
        for _ in left:
            assert isinstance(await send(request), Response)

    async def make_all(send: Transport, number: int) -> float:
        before, left = resource.getrusage(resource.RUSAGE_SELF), iter(range(number))
        async with anyio.create_task_group() as group:
            for _ in range(count):
                group.start_soon(make_calls, send, left)
        after = resource.getrusage(resource.RUSAGE_SELF)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    async def measured() -> float:
        async with opened() as send:
            _ = await make_all(send, count)
            with profile or nullcontext():
                return await make_all(send, calls) / calls

    return anyio.run(measured, backend=loop)


def main() -> None:
    """Run against a server process of our own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--calls", type=int, default=4000)
    parser.add_argument("--in-flight", type=int, nargs="+", default=[64, 250, 2000])
    chosen = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    server = subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, str(Path(__file__).with_name("server.py"))], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        url = f"http://127.0.0.1:{int(server.stdout.readline())}"
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json", "Idempotency-Key": "k"}
        request = Request("POST", f"{url}/v1/messages", headers, orjson.dumps(BODY))
        measure(request, chosen.in_flight, chosen.rounds, chosen.calls)
    finally:
        server.kill()
        server.wait()


if __name__ == "__main__":
    main()
