"""CPU per call of a typed call through `Client`, as a ratio to raw aiohttp with orjson in the same run.

64 calls are in flight over loopback; each is one POST of a text message and its answer. The variants are measured in
turn, in each round. CPU is the time of this process (getrusage); the server is another process.

Three variants show where the time of a call goes: a protocol that writes the same bytes each time and reads to the end
of the response, which is the least for an `asyncio.Protocol`; the transports alone, which make a Response of a Request;
and a typed call that is answered in memory.
"""

import argparse
import asyncio
import statistics
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TypeAlias, cast
from uuid import uuid4

import orjson
from raw import raw
from server import body
from spending import BODY, KEY, Once, function_calls, spend

import msgapi
from msgapi import Ok, Request, Response, messages
from msgapi.transports import Transport
from msgapi.transports import aiohttp as over_aiohttp
from msgapi.transports import httptools as over_httptools

Opened: TypeAlias = Callable[[], AbstractAsyncContextManager[Transport]]
TEXT = messages.Text(
    agent_id="ag_live_demo", to="+4915112345678", traffic_type="TRANSACTION", text="Your parcel is here"
)


HEADERS = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json", "Idempotency-Key": str(uuid4())}


class Exchange(asyncio.Protocol):
    """Writes one request, and reads one response."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast("asyncio.Transport", transport)
        self.received = b""

    def start(self, request: bytes) -> asyncio.Future[None]:
        """Write *request*; return the future of the end of its response."""
        self.transport.write(request)
        self.done = asyncio.get_running_loop().create_future()
        return self.done

    def data_received(self, data: bytes) -> None:
        """Look for the end of the response, which is JSON."""
        self.received += data
        if self.received.endswith(b"}"):
            self.received = b""
            self.done.set_result(None)


@asynccontextmanager
async def bare(url: str) -> AsyncIterator[Once]:
    """Send the same bytes each time, over connections that are kept."""
    body, port = orjson.dumps(BODY), int(url.rpartition(":")[2])
    lines = "".join(f"{name}: {value}\r\n" for name, value in {"Host": "127.0.0.1", **HEADERS}.items())
    request = f"POST /v1/messages HTTP/1.1\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body
    idle, loop = list[Exchange](), asyncio.get_running_loop()

    async def once() -> None:
        one = idle.pop() if idle else (await loop.create_connection(Exchange, "127.0.0.1", port))[1]
        await one.start(request)
        idle.append(one)

    yield once
    for one in idle:
        one.transport.close()


async def double(_: Request) -> Response:
    """Answer every request with the same response."""
    return ANSWERED


ANSWERED = Response(200, {"content-type": "application/json", "content-length": f"{len(body(0))}"}, body(0))


@asynccontextmanager
async def in_memory(_: str) -> AsyncIterator[Once]:
    """Make typed calls that are answered without a socket."""
    async with msgapi.Client(api_key=KEY, transport=double) as api:

        async def once() -> None:
            assert isinstance(await api(messages.send(TEXT)), Ok)

        yield once


@asynccontextmanager
async def transport(opened: Opened, url: str) -> AsyncIterator[Once]:
    """Send by a transport of this client only: a Request becomes a Response."""
    request = Request("POST", f"{url}/v1/messages", HEADERS, orjson.dumps(BODY))
    async with opened() as send:

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


WAYS: dict[str, Callable[[str], AbstractAsyncContextManager[Once]]] = {
    "raw aiohttp + orjson": raw,
    "a bare protocol": bare,
    "msgapi, in memory": in_memory,
    "msgapi, transport alone": partial(transport, over_aiohttp.open),
    "msgapi, typed call": typed,
    "msgapi, transport alone, fast": partial(transport, over_httptools.open),
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
    print(f"{'way':30}{'µs CPU':>8}{'ratio':>8}{'busy':>7}{'function calls':>16}")
    for name in ways:
        cpu = statistics.median(run[name][0] for run in runs) / calls
        ratio = statistics.median(run[name][0] / run[base][0] for run in runs)
        busy = statistics.median(run[name][0] / run[name][1] for run in runs)
        print(f"{name:30}{cpu * 1e6:8.0f}{ratio:8.2f}{busy:7.0%}{counts[name]:16.0f}")


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
