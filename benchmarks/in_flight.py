"""CPU per call by the number of calls in flight, for each transport: it should not grow with that number.

Every call is one POST and its answer over loopback, by the transport alone. The server is another process. A ratio is
to httptools in the same round. Each transport is measured with its default limit of connections, and with one for each
call in flight.
"""

import argparse
import asyncio
import resource
import statistics
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx2 as library
import orjson
from spending import BODY, KEY, spend

from msgapi import Request, Response
from msgapi.transports import Transport, aiohttp, httptools, httpx2

Opened = Callable[[int], AbstractAsyncContextManager[Transport]]


@asynccontextmanager
async def over_client(limit: int) -> AsyncIterator[Transport]:
    """Open a transport over a client of httpx2, with its own pool."""
    limits = library.Limits(max_connections=limit, max_keepalive_connections=limit)
    async with (
        library.AsyncClient(trust_env=False, limits=limits) as client,
        httpx2.open(client=client, max_connections=limit) as transport,
    ):
        yield transport


WAYS: dict[str, Opened] = {
    "httptools": lambda limit: httptools.open(max_connections=limit),
    "aiohttp": lambda limit: aiohttp.open(max_connections=limit),
    "httpx2": lambda limit: httpx2.open(max_connections=limit),
    "a client of httpx2": over_client,
}


async def measure(url: str, counts: list[int], rounds: int, calls: int) -> None:
    """Print the CPU per call of each transport at each number of calls in flight."""
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json", "Idempotency-Key": "k"}
    request = Request("POST", f"{url}/v1/messages", headers, orjson.dumps(BODY))
    print(f"{'in flight':>10}{'limit':>7}  {'transport':22}{'µs CPU':>8}{'ratio':>8}")
    for count in counts:
        for limit in sorted({100, count}):
            spent: dict[str, list[float]] = {name: [] for name in WAYS}
            for _ in range(rounds):
                for name, opened in WAYS.items():
                    spent[name].append(await one(opened(limit), request, calls, count))
            for name, seconds in spent.items():
                ratio = statistics.median(a / b for a, b in zip(seconds, spent["httptools"], strict=True))
                print(f"{count:10}{limit:7}  {name:22}{statistics.median(seconds) * 1e6:8.0f}{ratio:8.2f}")


async def one(opened: AbstractAsyncContextManager[Transport], request: Request, calls: int, count: int) -> float:
    """Return the seconds of CPU per call, after as many calls that open the connections."""
    async with AsyncExitStack() as stack:
        send = await stack.enter_async_context(opened)

        async def once() -> None:
            assert isinstance(await send(request), Response)

        _ = await spend(once, count, count)
        cpu, _ = await spend(once, calls, count)
        return cpu / calls


def main() -> None:
    """Run against a server process of our own, on asyncio."""
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
        asyncio.run(measure(url, chosen.in_flight, chosen.rounds, chosen.calls))
    finally:
        server.kill()
        server.wait()


if __name__ == "__main__":
    main()
