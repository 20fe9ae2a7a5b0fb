"""More sends at once than the rate limit allows, and an outage, against a server that is not the sandbox.

There are 600 sends with 100 in flight; the limit is 50 a second, and the client does not know it. Each line is one
batch: how many requests were refused, and how long it took as a ratio to a client that knows the limit.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import Request, urlopen

import msgapi
from msgapi import Ok, Pace, batch, messages

SENDS, AT_ONCE, RATE = 600, 100, 50
STORM: dict[str, float] = {"rate": RATE}
SCENES: dict[str, tuple[dict[str, float], int, float]] = {
    # what the server does; clients; the ideal seconds
    "limit unknown, a bucket of 50": (STORM, 1, (SENDS - RATE) / RATE),
    "the same, 429 names its wait in a header": (STORM | {"in_header": 1}, 1, (SENDS - RATE) / RATE),
    "limit unknown, windows of a second": (STORM | {"windows": 1}, 1, SENDS / RATE - 1),
    "the same, 429 names the exact wait": (STORM | {"windows": 1, "exact": 1}, 1, SENDS / RATE - 1),
    "limit in X-RateLimit headers": (STORM | {"windows": 1, "exact": 1, "figures": 1}, 1, SENDS / RATE - 1),
    "the same, its clock an hour fast": (
        STORM | {"windows": 1, "exact": 1, "figures": 1, "clock_error": 3600},
        1,
        SENDS / RATE - 1,
    ),
    "limit halves after 5 s": (STORM | {"halves_after": 5}, 1, 5 + (SENDS - RATE * 6) / (RATE / 2)),
    "two clients on one key": (STORM, 2, (SENDS - RATE) / RATE),
    "two clients, limit in headers": (STORM | {"windows": 1, "exact": 1, "figures": 1}, 2, SENDS / RATE - 1),
}


def ask(url: str, path: str, options: dict[str, float] | None = None) -> dict[str, float]:
    """Ask the server for its counts, or have it begin anew with *options*."""
    body = None if options is None else json.dumps(options).encode()
    with urlopen(Request(f"{url}{path}", data=body), timeout=5) as answer:  # noqa: S310 - our own server, on loopback
        found: dict[str, float] = json.load(answer)
        return found


async def send(url: str, first: int, count: int, pace: Pace | None = None) -> int:
    """Send a batch of texts; return how many were accepted."""
    calls = (
        messages.send(
            messages.Text(agent_id="ag_live_demo", to=f"+49151{at:08}", traffic_type="TRANSACTION", text="Hello")
        )
        for at in range(first, first + count)
    )
    accepted = 0
    async with (
        msgapi.Client(api_key="sk_bench", base_url=url, pace=pace) as api,
        batch.send(api, calls, concurrency=AT_ONCE) as outcomes,
    ):
        async for outcome in outcomes:
            accepted += isinstance(outcome.result, Ok)
    return accepted


async def scene(url: str, clients: int, sends: int) -> tuple[int, float]:
    """Send *sends* messages by *clients* clients at once; gives how many were accepted, and the seconds."""
    began, each = time.perf_counter(), sends // clients
    done = await asyncio.gather(*(send(url, at * each, each) for at in range(clients)))
    return sum(done), time.perf_counter() - began


def storm(url: str, rounds: int, only: str) -> None:
    """Print a line for each scene."""
    print(f"{SENDS} sends, {AT_ONCE} in flight at most, {RATE}/s; a line a batch")
    print(f"{'':42}{'accepted':>9}{'lost':>6}{'twice':>6}{'429':>5}{'wall s':>8}{'ideal':>7}{'ratio':>7}")
    for name, (options, clients, ideal) in SCENES.items():
        if only not in name:
            continue
        for _ in range(rounds):
            ask(url, "/reset", options)
            accepted, wall = asyncio.run(scene(url, clients, SENDS))
            counts = ask(url, "/count")
            line = f"{accepted:9}{SENDS - accepted:6}{counts['twice']:6}{counts['requests'] - counts['keys']:5}"
            print(f"{name:42}{line}{wall:8.1f}{ideal:7.1f}{wall / ideal:7.2f}", flush=True)


def outage(url: str, seconds: float) -> None:
    """Print the requests of a batch during an outage, as a ratio to its sends."""
    sends = 3000
    ask(url, "/reset", {"down_from": 1, "down_until": 1 + seconds})
    began = time.perf_counter()
    accepted = asyncio.run(send(url, 0, sends, Pace(per_second=600)))
    counts, wall = ask(url, "/count"), time.perf_counter() - began
    extra = counts["requests"] / sends - 1
    print(
        f"\nall 503 for {seconds:.0f} s in a batch of {sends} at 600/s: {accepted} accepted, {counts['twice']} twice, ",
        end="",
    )
    print(f"{counts['requests']} requests ({extra:+.1%}), {wall:.1f} s in all")


def main() -> None:
    """Run every scene, one after the other, against a server process of our own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=1, help="batches of each scene")
    parser.add_argument("--only", default="", help="only the scenes whose names have this in them")
    parser.add_argument("--outage", type=float, default=30, help="seconds; 0 leaves it out")
    chosen = parser.parse_args()
    program = [sys.executable, str(Path(__file__).with_name("limited.py"))]
    server = subprocess.Popen(program, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own program
    try:
        assert server.stdout is not None
        url = f"http://127.0.0.1:{int(server.stdout.readline())}"
        storm(url, chosen.rounds, chosen.only)
        if chosen.outage:
            outage(url, chosen.outage)
    finally:
        server.kill()
        _ = server.wait()


if __name__ == "__main__":
    main()
