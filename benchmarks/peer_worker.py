"""One client in a process of its own, which keeps its connections and runs commands: `NAME URL AT_ONCE`.

The first line that it prints is JSON, with the versions that it uses. After that each line of its input is a command
and a number of calls, and each is answered by a line of JSON. Between commands its event loop does not run.
"""

import asyncio
import json
import platform
import sys
from collections.abc import Awaitable, Callable
from importlib.metadata import version

import peer_ways
from peer_list import PEERS, Peer
from spending import Once, function_calls, spend

Report = dict[str, float | str]


async def warm(once: Once, calls: int, concurrency: int) -> Report:
    """Make calls that are not measured."""
    await spend(once, calls, concurrency)
    return {}


async def run(once: Once, calls: int, concurrency: int) -> Report:
    """Make calls and return their cost, in seconds."""
    cpu, wall = await spend(once, calls, concurrency)
    return {"cpu": cpu, "wall": wall}


async def profile(once: Once, calls: int, _: int) -> Report:
    """Make calls under the profiler."""
    return {"function_calls": await function_calls(once, calls)}


COMMANDS: dict[str, Callable[[Once, int, int], Awaitable[Report]]] = {"warm": warm, "run": run, "profile": profile}


def send_report(report: Report) -> None:
    """Print a line for the driver."""
    print(json.dumps(report), flush=True)


async def run_commands(peer: Peer, url: str, concurrency: int) -> None:
    """Carry out commands until the input ends; a run that fails is reported with its reason, and is the last."""
    async with getattr(peer_ways, peer.way)(url) as once:
        loop = type(asyncio.get_running_loop()).__module__.partition(".")[0]
        assert loop == peer.loop
        about: Report = {"version": version(peer.installed), "over": version(peer.over)}
        send_report(about | {"python": platform.python_version()})
        for line in sys.stdin:
            command, calls = line.split()
            try:
                send_report({"failures": 0} | await COMMANDS[command](once, int(calls), concurrency))
            except Exception as problem:  # noqa: BLE001 - whatever a client raises is for the driver to report
                send_report({"failures": 1, "problem": repr(problem)})
                return


def main() -> None:
    """Run the client that the first argument names, on its loop."""
    name, url, concurrency = sys.argv[1:]
    peer = next(one for one in PEERS if one.name == name)
    if peer.loop == "asyncio":
        asyncio.run(run_commands(peer, url, int(concurrency)))
        return
    try:
        import uvloop
    except ImportError as problem:  # not made for every system
        send_report({"missing": str(problem)})
        return
    uvloop.run(run_commands(peer, url, int(concurrency)))


if __name__ == "__main__":
    main()
