"""The CPU time that an observer adds to a typed call: one that does nothing, the log, and telemetry.

The calls are answered in memory, without a socket, so that only the client is measured. The variants are measured in
turn, in each round. CPU is the time of this process with its exporting threads. Telemetry is measured with the API of
OpenTelemetry alone, and with its SDK, which records every call and drops what it exports.
"""

import argparse
import asyncio
import statistics
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from recording import Recording
from server import body
from spending import KEY, Once, function_calls, spend

import msgapi
from msgapi import Call, Ok, Request, Response, messages, observe, telemetry
from msgapi.observe import Observer, Watch

TEXT = messages.Text(
    agent_id="ag_live_demo", to="+4915112345678", traffic_type="TRANSACTION", text="Your parcel is here"
)
ACCEPTED = Response(202, {}, body(0))


class Idle(Observer):
    """Does nothing, at each hook."""

    def call(self, call: Call[object], /) -> Watch:
        """Watch *call*, and do nothing."""
        del call
        return Watch()


async def accept(_: Request, /) -> Response:
    """Accept everything."""
    return ACCEPTED


@asynccontextmanager
async def sending(observer: Observer | None) -> AsyncIterator[Once]:
    """Send by a client that *observer* watches."""
    async with msgapi.Client(api_key=KEY, transport=accept, observer=observer) as api:

        async def once() -> None:
            result = await api(messages.send(TEXT))
            assert isinstance(result, Ok)

        yield once


def observers(recording: Recording) -> dict[str, Observer | None]:
    """Name the ways."""
    return {
        "without an observer": None,
        "one that does nothing": Idle(),
        "the log": observe.log(),
        "telemetry, no SDK": telemetry.observer(),
        "telemetry, SDK recording": recording.observer(),
    }


async def measure(rounds: int, calls: int, concurrency: int) -> None:
    """Let the ways take turns, and print the table."""
    recording = Recording()
    async with AsyncExitStack() as stack:
        ways = {name: await stack.enter_async_context(sending(one)) for name, one in observers(recording).items()}
        for once in ways.values():
            _ = await spend(once, calls, concurrency)  # warm-up
        runs = [
            {name: (await spend(once, calls, concurrency))[0] for name, once in ways.items()} for _ in range(rounds)
        ]
        counts = {name: await function_calls(once, 500) for name, once in ways.items()}
    base = next(iter(ways))
    print(f"{'':26}{'µs CPU':>8}{'ratio':>8}{'function calls':>16}")
    for name in ways:
        cpu = statistics.median(run[name] for run in runs) / calls
        ratio = statistics.median(run[name] / run[base] for run in runs)
        print(f"{name:26}{cpu * 1e6:8.1f}{ratio:8.2f}{counts[name]:16.1f}")
    made = 2 * (calls * (rounds + 1) + 500)
    print(f"{recording.exported() / made:.1%} of the spans came to the exporter")


def main() -> None:
    """Measure, in this process alone."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--concurrency", type=int, default=64)
    chosen = parser.parse_args()
    asyncio.run(measure(chosen.rounds, chosen.calls, chosen.concurrency))


if __name__ == "__main__":
    main()
