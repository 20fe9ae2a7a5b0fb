"""The cost of a send to the sandbox, as ratios to the smallest program that answers it: in memory, and over HTTP.

In memory: the CPU time of a call through a client whose transport is a sandbox, and of the same call answered by a
transport double of three lines. It is measured twice: while the messages stay queued, and while the clock of the
sandbox advances by one second for every 1,000 messages, so that as many are sent, delivered and read as are accepted.

Over HTTP: the requests per second and the CPU time of a served sandbox, and of two bare handlers of aiohttp.web that
read and write JSON of the same size: one with `request.json()` and `json_response()`, one with orjson. The servers are
processes of their own, and one client uses each in turn: for the first messages, which are not delivered yet, and then
at some shares of `--total`, for example 200,000. There the changes of the status of earlier messages are part of the
time, so compare these with each other. The client polls its connections and never sleeps. Otherwise most responses of a
server that is slower than the client wake it up, which on a virtual machine costs the server 30 µs.

The ways take turns, round by round, and the figures are medians. On a machine that is busy, compare the CPU times.
"""

import argparse
import asyncio
import gc
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import cast
from uuid import uuid4

import orjson
from aiohttp import web
from attrs import define, field

import msgapi
from msgapi import Ok, Request, Response, messages
from msgapi.clock import SYSTEM_CLOCK
from msgapi.sandbox import Sandbox, Timing, serve
from msgapi.transports import Answer

SHARES = (0.0, 0.2, 0.6, 1.0)  # of the total: where the servers are compared
PER_SECOND = 1_000  # messages, by the clock of the sandbox in memory
ANSWER = {
    "message_id": "msg_0123456789abcdef",
    "status": "queued",
    "created_at": "2026-05-04T07:30:00.123Z",
    "billing": {
        "channel": "RCS",
        "message_type": "basic_message",
        "hold_amount": 0.07,
        "message_price": 0.07,
        "balance": {"free": 99_999_123.45, "reserved": 123.45, "total": 99_999_246.9},
        "tier": {"channel": "RCS", "current": "tier_1", "volume_used": 12345},
    },
}
ANSWERED = orjson.dumps(ANSWER)
BODY = {
    "agent_id": "ag_live_demo",
    "message_type": "MESSAGE",
    "traffic_type": "TRANSACTION",
    "content": {"text": "Your parcel is here"},
}
HEAD = (
    "POST /v1/messages HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer sk_sandbox\r\n"
    "User-Agent: sandbox_speed\r\nAccept: application/json\r\nContent-Type: application/json\r\n"
    "Idempotency-Key: %s\r\nContent-Length: %d\r\n\r\n"
)
CONNECTIONS = 32
BARE = "bare aiohttp.web handler"
BARE_ORJSON = "the same with orjson"


@define
class Clock:
    """A clock that advances with each message."""

    last: float = field(default=1_777_852_800.0, init=False)

    def time(self) -> float:
        """Return the time, a thousandth of a second after the last one."""
        self.last += 1 / PER_SECOND
        return self.last

    def now(self) -> float:
        """Return the time of the last message."""
        return self.last

    async def sleep(self, seconds: float) -> None:
        """Wait for real."""
        await asyncio.sleep(seconds)


def new_sandbox(clock: Clock | None = None, timing: Timing | None = None) -> Sandbox:
    """Return a sandbox whose balance and rate limit are never reached."""
    return Sandbox(balance=Decimal(10**8), rate_limit=10**9, clock=clock or SYSTEM_CLOCK, timing=timing)


# In memory.


async def double(_: Request) -> Answer:
    """Answer every request with the same response."""
    return Response(200, {"content-type": "application/json"}, ANSWERED)


@define
class Sender:
    """Sends one message after the other."""

    api: msgapi.Client
    sent: int = field(default=0, init=False)

    async def spend(self, count: int) -> float:
        """Send *count* messages; return the CPU time of each in seconds."""
        begun = time.process_time()
        for _ in range(count):
            self.sent += 1
            text = messages.Text(
                agent_id="ag_live_demo",
                to=f"+49151{self.sent:08}",
                traffic_type="TRANSACTION",
                text="Your parcel is here",
            )
            assert isinstance(await self.api(messages.send(text)), Ok)
        return (time.process_time() - begun) / count


async def compare_in_memory(rounds: int, calls: int) -> None:
    """Let two sandboxes and the double take turns, and print their CPU times."""
    queued, living = new_sandbox(), new_sandbox(Clock(), Timing())
    async with (
        msgapi.Client(transport=double, api_key="sk_double") as answered,
        msgapi.Client(transport=queued, api_key=queued.api_key) as accepting,
        msgapi.Client(transport=living, api_key=living.api_key) as delivering,
    ):
        ways = {
            "transport double": Sender(answered),
            "sandbox, queued": Sender(accepting),
            "sandbox, until read": Sender(delivering),
        }
        for one in ways.values():
            _ = await one.spend(calls)
        _ = await ways["sandbox, until read"].spend(14 * PER_SECOND)  # after 12 s, messages are read
        runs = [{name: await one.spend(calls) for name, one in ways.items()} for _ in range(rounds)]
    print(f"in memory, medians of {rounds} rounds of {calls} calls")
    print(f"{'transport':28}{'µs CPU':>8}{'ratio':>8}")
    for name in ways:
        cpu = statistics.median(run[name] for run in runs) * 1e6
        print(f"{name:28}{cpu:8.1f}{statistics.median(run[name] / run['transport double'] for run in runs):8.2f}")


# Over HTTP. The servers: each prints its port, and runs until it is killed.


async def handle_json(request: web.Request) -> web.Response:
    """Read and write JSON as aiohttp's documentation shows it."""
    value = await request.json()
    assert value["to"]
    return web.json_response(ANSWER)


async def handle_orjson(request: web.Request) -> web.Response:
    """Read and write JSON with orjson, as the sandbox does."""
    value = orjson.loads(await request.read())
    assert value["to"]
    return web.Response(body=orjson.dumps(ANSWER), content_type="application/json")


@asynccontextmanager
async def serve_handler(handle: Callable[[web.Request], Awaitable[web.Response]]) -> AsyncIterator[str]:
    """Serve a handler that does nothing else."""
    app = web.Application()
    app.router.add_post("/v1/messages", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


SERVERS: dict[str, Callable[[], AbstractAsyncContextManager[str]]] = {
    BARE: lambda: serve_handler(handle_json),
    BARE_ORJSON: lambda: serve_handler(handle_orjson),
    "sandbox": lambda: serve(new_sandbox(timing=Timing())),
}


async def run_server(name: str) -> None:
    """Serve; print the port, and after each line of input the CPU time that was used so far."""
    async with SERVERS[name]() as url:
        gc.freeze()  # as the command `msgapi sandbox` does
        print(url.rpartition(":")[2], flush=True)
        while await asyncio.to_thread(sys.stdin.readline):
            print(time.process_time(), flush=True)


class Connection(asyncio.Protocol):
    """Sends one request after the other, and reads just enough of the responses to see where they end."""

    def __init__(self, next_body: Callable[[], bytes | None]) -> None:
        """Send what *next_body* returns, until it returns None."""
        self._next_body = next_body
        self._received = b""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        self._transport = cast("asyncio.Transport", transport)

    def send(self) -> None:
        """Send the next request."""
        request = self._next_body()
        if request is None:
            self.done.set_result(None)
        else:
            self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Send the next request once the response is complete."""
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(body) == length:
            assert head.startswith(b"HTTP/1.1 200"), self._received
            self._received = b""
            self.send()

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail if a response is missing."""
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("the server closed the connection"))


@define
class Load:
    """The requests to one server."""

    server: "subprocess.Popen[str]"
    port: int
    sent: int = field(default=0, init=False)
    connections: list[Connection] = field(factory=list, init=False)
    left: int = field(default=0, init=False)

    async def run(self, count: int) -> tuple[float, float]:
        """Send *count* requests over all connections; return the requests per second, and the CPU time of each."""
        loop = asyncio.get_running_loop()
        self.left = count
        if not self.connections:
            for _ in range(CONNECTIONS):
                made = await loop.create_connection(lambda: Connection(self.next_request), "127.0.0.1", self.port)
                self.connections.append(made[1])
        polling = loop.create_task(poll())
        before, begun = self.cpu(), time.perf_counter()
        for one in self.connections:
            one.done = loop.create_future()
            one.send()
        await asyncio.gather(*(one.done for one in self.connections))
        seconds = time.perf_counter() - begun
        _ = polling.cancel()
        return count / seconds, (self.cpu() - before) / count

    def next_request(self) -> bytes | None:
        """Return a request with a key and a recipient of its own."""
        if not self.left:
            return None
        self.left -= 1
        self.sent += 1
        body = orjson.dumps({**BODY, "to": f"+49151{self.sent:08}"})
        return (HEAD % (uuid4(), len(body))).encode() + body

    def cpu(self) -> float:
        """Return the CPU time that the server has used, in seconds."""
        assert self.server.stdin is not None
        assert self.server.stdout is not None
        self.server.stdin.write("\n")
        self.server.stdin.flush()
        return float(self.server.stdout.readline())


async def poll() -> None:
    """Keep the event loop from sleeping."""
    while True:  # noqa: ASYNC110 - that is what it is for
        await asyncio.sleep(0)


async def compare_over_http(rounds: int, calls: int, total: int) -> None:
    """Let the servers take turns, at some shares of *total* messages, and print what each does."""
    loads = {name: start(name) for name in SERVERS}
    try:
        for load in loads.values():
            _ = await load.run(calls)
        measured: dict[str, list[dict[str, tuple[float, float]]]] = {}
        for share in SHARES:
            while loads["sandbox"].sent + rounds * calls < total * share:
                _ = await loads["sandbox"].run(calls)
            runs = [{name: await load.run(calls) for name, load in loads.items()} for _ in range(rounds)]
            measured[f"up to {loads['sandbox'].sent:,} messages"] = runs
    finally:
        for load in loads.values():
            load.server.kill()
            _ = load.server.wait()
    print(f"\nover HTTP, {CONNECTIONS} connections, medians of {rounds} rounds of {calls} requests")
    print(f"{'server':28}{'requests/s':>12}{'ratio':>8}{'µs CPU':>8}{'ratio':>8}")
    for title, runs in measured.items():
        print(title)
        for name in loads:
            rate, cpu = (statistics.median(run[name][at] for run in runs) for at in (0, 1))
            rates, times = (statistics.median(run[name][at] / run[BARE][at] for run in runs) for at in (0, 1))
            print(f"  {name:26}{rate:12,.0f}{rates:8.2f}{cpu * 1e6:8.0f}{times:8.2f}")


def start(name: str) -> Load:
    """Start a server as a process of its own."""
    process = subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, str(Path(__file__)), "--serve", name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return Load(process, int(process.stdout.readline()))


def main() -> None:
    """Compare in memory, then over HTTP."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    _ = parser.add_argument("--rounds", type=int, default=10)
    _ = parser.add_argument("--calls", type=int, default=1000)
    _ = parser.add_argument("--total", type=int, default=40_000)
    _ = parser.add_argument("--serve", choices=SERVERS)
    given = parser.parse_args()
    if given.serve:
        asyncio.run(run_server(given.serve))
        return
    asyncio.run(compare_in_memory(given.rounds, given.calls))
    asyncio.run(compare_over_http(given.rounds, given.calls, given.total))


if __name__ == "__main__":
    main()
