"""The memory of a row of `msgapi batch`, and its CPU time before the first send, by the length of the file.

Each figure is from a process of its own, in which the batch is answered in memory. The bytes per row are
the difference to the peak of the shortest file, by `ru_maxrss` (exact to about 1 MB, so meaningful for long files) and,
for the files of --traced rows, by tracemalloc.
"""

import argparse
import asyncio
import io
import resource
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from contextlib import redirect_stderr
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import anyio.lowlevel

from msgapi import Call, Ok, Pace, Result
from msgapi.cli.batch import dry_run
from msgapi.cli.batch.command import BatchConfig, open_rows, run_batch
from msgapi.cli.batch.journal import find_or_begin, store_command
from msgapi.messages import Accepted

T = TypeVar("T")
OPTIONS = {"agent_id": "ag_live_demo", "traffic_type": "TRANSACTION", "text": "Hi {name}, your order {id} is here."}
COUNTS = (1_000, 100_000, 1_000_000)


def write_rows(path: Path, count: int) -> None:
    """Write a file of *count* rows."""
    with path.open("w") as file:
        _ = file.write("id,to,name\n")
        file.writelines(f"{at},+49151{at:08},Ann Other {at % 977}\n" for at in range(count))


async def answer(call: Call[T]) -> Result[T]:
    """Accept everything, in memory."""
    if call.invalid is not None:
        return call.invalid
    await anyio.lowlevel.checkpoint()
    return Ok(Accepted(message_id="msg_0123456789abcdef"))  # type: ignore[arg-type]


def first_pass(config: BatchConfig) -> None:
    """Read the file once, as before the first send."""
    with open_rows(config):
        pass


def examine(config: BatchConfig) -> None:
    """Read the file once, and examine each row, as `--dry-run` does."""
    with open_rows(config) as (table, calls):
        found = dry_run.examine(table, calls)
    assert (found.invalid, found.duplicate) == (0, 0)


def send_rows(config: BatchConfig) -> None:
    """Send the file to a double in memory."""
    with open_rows(config) as (table, calls), redirect_stderr(io.StringIO()):
        about = store_command(config.stored, table.count, table.digest())
        journal = find_or_begin(f"{config.path}.journal", about) if config.use_journal else None
        run = asyncio.run(run_batch(config, table, calls, api=answer, pace=Pace(), journal=journal))
    assert run.counts.accepted == table.count, run.failure


WAYS: dict[str, tuple[Callable[[BatchConfig], None], bool, str | None]] = {
    "first pass": (first_pass, False, None),
    "first pass, --id-column": (first_pass, False, "id"),
    "dry run": (examine, False, None),
    "dry run, --id-column": (examine, False, "id"),
    "batch": (send_rows, False, None),
    "batch, journal": (send_rows, True, None),
    "batch, journal, --id-column": (send_rows, True, "id"),
}


def alone(name: str, path: str, *, traced: bool) -> None:
    """Do *name* over the file at *path*, and print the CPU in seconds and the peak in bytes."""
    way, use_journal, column = WAYS[name]
    config = BatchConfig(path=path, message_values=OPTIONS, use_journal=use_journal, id_column=column)
    if traced:
        tracemalloc.start()
    before = time.process_time()
    way(config)
    cpu = time.process_time() - before
    peak = tracemalloc.get_traced_memory()[1] if traced else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(cpu, peak)


def measure(name: str, count: int, *, traced: bool) -> tuple[float, float]:
    """Return CPU in seconds and peak in bytes of *name* over *count* rows."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "people.csv"
        write_rows(path, count)
        program = [sys.executable, __file__, "--alone", name, "--file", str(path), *(["--trace"] if traced else [])]
        done = subprocess.run(program, capture_output=True, text=True, check=True)  # noqa: S603 - this file
    cpu, peak = done.stdout.split()
    return float(cpu), float(peak)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=COUNTS)
    parser.add_argument("--traced", type=int, default=100_000, help="measure files up to this long by tracemalloc")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--alone", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--file", help=argparse.SUPPRESS)
    parser.add_argument("--trace", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.alone:
        alone(chosen.alone, chosen.file, traced=chosen.trace)
        return
    print(f"{'':28}{'rows':>10}{'CPU µs a row':>14}{'peak MB':>10}{'bytes a row':>13}{'traced':>9}")
    short, *longer = sorted(chosen.rows)
    for name in chosen.ways:
        _, base = measure(name, short, traced=False)
        _, traced_base = measure(name, short, traced=True)
        print(f"{name:28}{short:>10,}{'':14}{base / 2**20:10.1f}{'':13}{'':9}")
        for count in longer:
            cpu, peak = measure(name, count, traced=False)
            line = f"{name:28}{count:>10,}{cpu / count * 1e6:14.1f}{peak / 2**20:10.1f}"
            line += f"{(peak - base) / (count - short):13.1f}"
            if count <= chosen.traced:
                _, traced = measure(name, count, traced=True)
                line += f"{(traced - traced_base) / (count - short):9.1f}"
            print(line, flush=True)


if __name__ == "__main__":
    main()
