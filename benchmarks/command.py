"""The whole command `msgapi batch`, as a ratio to a loop over `csv.DictReader` and aiohttp without its features.

Both send the same file to the same server, a process that gives every request the same answer, with the same number
of requests in flight. The command has its defaults: it reads and checks the whole file first, keeps a journal,
normalises recipients, fills in the text, looks for duplicates, follows the rate in the headers of the answers, retries,
shows its progress and reports.
The loop reads a row, writes the body and the headers, and asserts the status and the id of the answer.

The variants are measured in turn, in each round, each in a process of its own. CPU is the time of the whole process
with its threads and its start (`os.wait4`), and wall is its duration. The modules are compiled by a run before, as
those of an installed package are. `--before DIRECTORY` adds the command of another checkout.
"""

import argparse
import asyncio
import cProfile
import csv
import importlib.util
import os
import pstats
import statistics
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

HERE = Path(__file__).parents[1]
OPTIONS = ["--agent", "ag_live_demo", "--traffic", "TRANSACTION", "--text", "Hi {name}, your order {id} is here."]
ASYNCIO, FAST = "asyncio", "fast"  # without the extra `fast`, and with it
LOOP, COMMAND, BEFORE = "loop by hand", "msgapi batch", "before"


def write_rows(path: Path, count: int) -> None:
    """Write a file of *count* rows."""
    with path.open("w") as file:
        _ = file.write("id,to,name\n")
        file.writelines(f"{at},+49151{at:08},Ann Other {at % 977}\n" for at in range(count))


def without_fast() -> None:
    """Have the packages of the extra `fast` look as if they were not installed."""
    sys.modules |= dict.fromkeys(("uvloop", "httptools"))  # type: ignore[arg-type]  # None: it cannot be imported


async def send_by_hand(url: str, path: str, concurrency: int) -> None:
    """Send each row of the file, as a careful engineer writes it by hand."""
    import aiohttp
    import orjson

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=concurrency)) as session:
        with Path(path).open(newline="") as file:  # noqa: ASYNC230 - it does not block for long, and the command does too
            rows = csv.DictReader(file)

            async def work() -> None:
                for row in rows:
                    body = {
                        "agent_id": "ag_live_demo",
                        "to": row["to"],
                        "message_type": "MESSAGE",
                        "traffic_type": "TRANSACTION",
                        "content": {"text": f"Hi {row['name']}, your order {row['id']} is here."},
                    }
                    headers = {
                        "Authorization": "Bearer sk_bench",
                        "Content-Type": "application/json",
                        "Idempotency-Key": str(uuid4()),
                    }
                    async with session.post(f"{url}/v1/messages", data=orjson.dumps(body), headers=headers) as response:
                        assert response.status == 200
                        assert orjson.loads(await response.read())["message_id"]

            _ = await asyncio.gather(*(work() for _ in range(concurrency)))


def run_command(url: str, path: str, concurrency: int) -> None:
    """Run `msgapi batch` in this process."""
    from msgapi.cli import main as command

    os.environ |= {"MSGAPI_API_KEY": "sk_bench", "MSGAPI_BASE_URL": url}
    sys.argv = ["msgapi", "batch", path, *OPTIONS, "--concurrency", f"{concurrency}"]
    command()


def alone(way: str, url: str, path: str, concurrency: int) -> None:
    """Send the file in one way, in this process."""
    if way == LOOP:
        run = asyncio.run if sys.modules.get("uvloop", ...) is None else importlib.import_module("uvloop").run
        run(send_by_hand(url, path, concurrency))
    else:
        run_command(url, path, concurrency)


def function_calls(way: str, url: str, path: str, concurrency: int, rows: int) -> None:
    """Print the function calls of a row by module, as cProfile sees them in the main thread."""
    profile = cProfile.Profile()
    profile.enable()
    try:
        alone(way, url, path, concurrency)
    except SystemExit as end:
        if end.code:
            raise
    finally:
        profile.disable()
    counts = Counter[str]()
    for (file, _, _), (_, calls, *_) in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
        parts = Path(file).parts
        own = parts[parts.index("msgapi") :] if "msgapi" in parts else parts[-2:]
        counts["/".join(own) if file != "~" else "C functions"] += calls
    print(f"{sum(counts.values()) / rows:.1f} function calls a row in the main thread")
    for name, calls in counts.most_common(40):
        print(f"{calls / rows:8.2f}  {name}")


def measure(arguments: list[str], checkout: Path) -> tuple[float, float]:
    """Run this file in a process of its own; return its CPU and its wall time in seconds."""
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    _ = environment.pop("PYTHONDONTWRITEBYTECODE", None)
    program = [sys.executable, __file__, *arguments]
    with Path(os.devnull).open("w") as null:
        began = time.perf_counter()
        process = subprocess.Popen(program, env=environment, stdout=null, stderr=null)  # noqa: S603 - this file
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, arguments
    return usage.ru_utime + usage.ru_stime, wall


def compare(url: str, chosen: argparse.Namespace, directory: Path) -> None:
    """Print the ways side by side."""
    ways = [(LOOP, ASYNCIO), (LOOP, FAST), (COMMAND, ASYNCIO), (COMMAND, FAST)]
    ways += [(BEFORE, ASYNCIO), (BEFORE, FAST)] if chosen.before else []
    ways = [(way, kind) for way, kind in ways if kind in chosen.kinds or (way, kind) == ways[0]]
    found: dict[tuple[str, str], list[tuple[float, float]]] = {way: [] for way in ways}
    for number in range(chosen.rounds + 1):
        for way, kind in ways:
            path = directory / f"{number}-{way}-{kind}.csv".replace(" ", "-")
            write_rows(path, chosen.rows if number else 100)
            program = ["--alone", LOOP if way == LOOP else COMMAND, "--kind", kind, "--url", url, "--file", str(path)]
            checkout = Path(chosen.before) if way == BEFORE else HERE
            cost = measure([*program, "--concurrency", f"{chosen.concurrency}"], checkout)
            if number:
                found[way, kind].append(cost)
            for one in directory.iterdir():
                one.unlink()
    print(f"{chosen.rows:,} rows, {chosen.concurrency} in flight, medians of {chosen.rounds} rounds")
    print(f"{'':24}{'CPU µs a row':>14}{'ratio':>8}{'wall':>10}{'ratio':>8}{'to the loop of its kind':>26}")
    for (way, kind), costs in found.items():
        pairs = zip(costs, found[LOOP, ASYNCIO], found.get((LOOP, kind), costs), strict=True)
        cpu, wall = (statistics.median(one[at] for one in costs) / chosen.rows * 1e6 for at in (0, 1))
        ratios = [[one[0] / base[0], one[1] / base[1], one[0] / same[0]] for one, base, same in pairs]
        to_cpu, to_wall, to_same = map(statistics.median, zip(*ratios, strict=True))
        print(f"{f'{way}, {kind}':24}{cpu:14.1f}{to_cpu:8.2f}{wall:10.1f}{to_wall:8.2f}{to_same:26.2f}")
    if chosen.before:
        for kind in chosen.kinds:
            both = zip(found[COMMAND, kind], found[BEFORE, kind], strict=True)
            print(f"to the command before, {kind}: {statistics.median(now[0] / then[0] for now, then in both):.3f}")


def main() -> None:
    """Compare, and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--kinds", nargs="+", choices=(ASYNCIO, FAST), default=[ASYNCIO, FAST])
    parser.add_argument("--before", metavar="DIRECTORY", help="a checkout of the commit to compare with")
    parser.add_argument("--calls", action="store_true", help="print the function calls of a row by module instead")
    parser.add_argument("--alone", choices=(LOOP, COMMAND), help=argparse.SUPPRESS)
    parser.add_argument("--kind", choices=(ASYNCIO, FAST), default=ASYNCIO, help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    parser.add_argument("--file", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.kind == ASYNCIO and (chosen.alone or chosen.calls):
        without_fast()
    if chosen.alone:
        alone(chosen.alone, chosen.url, chosen.file, chosen.concurrency)
        return
    program = [sys.executable, str(Path(__file__).with_name("server.py"))]
    server = subprocess.Popen(program, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own program
    try:
        assert server.stdout is not None
        url = f"http://127.0.0.1:{int(server.stdout.readline())}"
        with TemporaryDirectory() as made:
            if chosen.calls:
                path = Path(made) / "people.csv"
                write_rows(path, chosen.rows)
                function_calls(COMMAND, url, str(path), chosen.concurrency, chosen.rows)
                return
            compare(url, chosen, Path(made))
    finally:
        server.kill()
        _ = server.wait()


if __name__ == "__main__":
    main()
