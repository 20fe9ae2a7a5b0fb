"""CPU per call of a typed call through `Client`, as a ratio to raw aiohttp with orjson in the same run.

64 in flight over loopback: one POST of a text message and its answer. Ways take turns, round by round;
CPU is this process's own (getrusage), the server is another process.
"""

import argparse
import asyncio
import cProfile
import pstats
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from uuid import uuid4

import aiohttp
import orjson

import msgapi
from msgapi import Ok, Request, Response, messages
from msgapi.transports import aiohttp as over_aiohttp
from msgapi.transports import httptools as over_httptools

KEY = "sk_bench"
BODY = {
    "agent_id": "ag_live_demo",
    "to": "+4915112345678",
    "message_type": "MESSAGE",
    "traffic_type": "TRANSACTION",
    "content": {"text": "Your parcel is here"},
}
TEXT = messages.Text(
    agent_id="ag_live_demo", to="+4915112345678", traffic_type="TRANSACTION", text="Your parcel is here"
)
Once = Callable[[], Awaitable[None]]


@asynccontextmanager
async def raw(url: str) -> AsyncIterator[Once]:
    """Send as a careful engineer writes it by hand: a default session, orjson, nothing typed, nothing repeated."""
    async with aiohttp.ClientSession() as session:

        async def once() -> None:
            headers = {
                "Authorization": f"Bearer {KEY}",
                "Content-Type": "application/json",
                "Idempotency-Key": str(uuid4()),
            }
            async with session.post(f"{url}/v1/messages", data=orjson.dumps(BODY), headers=headers) as response:
                assert response.status == 200
                assert orjson.loads(await response.read())["message_id"]

        yield once


@asynccontextmanager
async def transport(url: str) -> AsyncIterator[Once]:
    """Send by ours without the client: a Request becomes a Response."""
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json", "Idempotency-Key": str(uuid4())}
    request = Request("POST", f"{url}/v1/messages", headers, orjson.dumps(BODY))
    async with over_aiohttp.opened() as send:

        async def once() -> None:
            assert isinstance(await send(request), Response)

        yield once


@asynccontextmanager
async def typed(url: str) -> AsyncIterator[Once]:
    """Send by ours whole: a model, a call, checks, a key, the pace, retries, decoding."""
    async with msgapi.connect(api_key=KEY, base_url=url) as api:

        async def once() -> None:
            assert isinstance(await api(messages.send(TEXT)), Ok)

        yield once


@asynccontextmanager
async def fast(url: str) -> AsyncIterator[Once]:
    """Send by ours whole, over the transport of the extra `fast`."""
    async with (
        over_httptools.opened() as transport,
        msgapi.connect(api_key=KEY, base_url=url, transport=transport) as api,
    ):

        async def once() -> None:
            assert isinstance(await api(messages.send(TEXT)), Ok)

        yield once


WAYS = {
    "raw aiohttp + orjson": raw,
    "msgapi, transport alone": transport,
    "msgapi, typed call": typed,
    "msgapi, typed, fast": fast,
}


async def spend(once: Once, calls: int, at_once: int) -> tuple[float, float]:
    """Make *calls* calls by *at_once* workers: seconds of CPU, and of wall time."""
    left = iter(range(calls))

    async def work() -> None:
        for _ in left:
            await once()

    before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    await asyncio.gather(*(work() for _ in range(at_once)))
    after = resource.getrusage(resource.RUSAGE_SELF)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, time.perf_counter() - began


async def function_calls(once: Once, calls: int) -> float:
    """Count the function calls of one call, as cProfile sees them: a figure without noise."""
    profile = cProfile.Profile()
    profile.enable()
    await spend(once, calls, 64)
    profile.disable()
    total: int = pstats.Stats(profile).total_calls  # type: ignore[attr-defined]
    return total / calls


async def measure(url: str, rounds: int, calls: int, at_once: int) -> None:
    """Let the ways take turns, and print the table."""
    async with AsyncExitStack() as stack:
        ways = {name: await stack.enter_async_context(way(url)) for name, way in WAYS.items()}
        for once in ways.values():
            await spend(once, calls, at_once)  # warm-up: connections, caches, slow start
        runs = [{name: await spend(once, calls, at_once) for name, once in ways.items()} for _ in range(rounds)]
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
    parser.add_argument("--at-once", type=int, default=64)
    chosen = parser.parse_args()
    server = subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, str(Path(__file__).with_name("server.py"))], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        url = f"http://127.0.0.1:{int(server.stdout.readline())}"
        how = (url, chosen.rounds, chosen.calls, chosen.at_once)
        print(f"asyncio, {chosen.at_once} in flight, medians of {chosen.rounds} rounds of {chosen.calls} calls")
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
