"""CPU per call of a typed call through `Client`, as a ratio to raw aiohttp with orjson in the same run.

64 calls are in flight over loopback; each is one POST of a text message and its answer. The variants are measured in
turn, in each round. CPU is the time of this process (getrusage); the server is another process.
"""

import argparse
import asyncio
import statistics
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from uuid import uuid4

import orjson
from raw import raw
from spending import BODY, KEY, Once, function_calls, spend

import msgapi
from msgapi import Ok, Request, Response, messages
from msgapi.transports import aiohttp as over_aiohttp
from msgapi.transports import httptools as over_httptools

TEXT = messages.Text(
    agent_id="ag_live_demo", to="+4915112345678", traffic_type="TRANSACTION", text="Your parcel is here"
)


@asynccontextmanager
async def transport(url: str) -> AsyncIterator[Once]:
    """Send by the transport of this client only: a Request becomes a Response."""
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json", "Idempotency-Key": str(uuid4())}
    request = Request("POST", f"{url}/v1/messages", headers, orjson.dumps(BODY))
    async with over_aiohttp.open() as send:

        async def once() -> None:
            assert isinstance(await send(request), Response)

        yield once


@asynccontextmanager
async def typed(url: str) -> AsyncIterator[Once]:
    """Send by this client: a model, a call, checks, a key, the pace, retries, decoding."""
    async with msgapi.Client(api_key=KEY, base_url=url) as api:

        async def once() -> None:
            result = await api(messages.send(TEXT))
            assert isinstance(result, Ok)
            assert result.value.message_id

        yield once


@asynccontextmanager
async def fast(url: str) -> AsyncIterator[Once]:
    """Send by this client, over the transport of the extra `fast`."""
    async with (
        over_httptools.open() as transport,
        msgapi.Client(api_key=KEY, base_url=url, transport=transport) as api,
    ):

        async def once() -> None:
            result = await api(messages.send(TEXT))
            assert isinstance(result, Ok)
            assert result.value.message_id

        yield once


WAYS = {
    "raw aiohttp + orjson": raw,
    "msgapi, transport alone": transport,
    "msgapi, typed call": typed,
    "msgapi, typed, fast": fast,
}


async def measure(url: str, rounds: int, calls: int, concurrency: int) -> None:
    """Let the ways take turns, and print the table."""
    async with AsyncExitStack() as stack:
        ways = {name: await stack.enter_async_context(way(url)) for name, way in WAYS.items()}
        for once in ways.values():
            await spend(once, calls, concurrency)  # warm-up: connections, caches, slow start
        runs = [{name: await spend(once, calls, concurrency) for name, once in ways.items()} for _ in range(rounds)]
        counts = {name: await function_calls(once, 500) for name, once in ways.items()}
    base = next(iter(ways))
    print(f"{'way':28}{'µs CPU':>8}{'ratio':>8}{'busy':>7}{'function calls':>16}")
    for name in ways:
        cpu = statistics.median(run[name][0] for run in runs) / calls
        ratio = statistics.median(run[name][0] / run[base][0] for run in runs)
        busy = statistics.median(run[name][0] / run[name][1] for run in runs)
        print(f"{name:28}{cpu * 1e6:8.0f}{ratio:8.2f}{busy:7.0%}{counts[name]:16.0f}")


def main() -> None:
    """Run against a server process of our own, on asyncio, then under uvloop where it is installed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--calls", type=int, default=1500)
    parser.add_argument("--concurrency", type=int, default=64)
    chosen = parser.parse_args()
    server = subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, str(Path(__file__).with_name("server.py"))], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        url = f"http://127.0.0.1:{int(server.stdout.readline())}"
        how = (url, chosen.rounds, chosen.calls, chosen.concurrency)
        print(f"asyncio, {chosen.concurrency} in flight, medians of {chosen.rounds} rounds of {chosen.calls} calls")
        asyncio.run(measure(*how))
        try:
            import uvloop
        except ImportError:
            return
        print("\nthe same under uvloop; busy is CPU to wall: near 100%, the server is not the bottleneck")
        uvloop.run(measure(*how))
    finally:
        server.kill()
        server.wait()


if __name__ == "__main__":
    main()
