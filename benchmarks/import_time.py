"""How long `import msgapi` takes, as a ratio to `import aiohttp`, and `msgapi --help`, to the import of its libraries.

Each runs in fresh interpreters, interleaved. A program is measured as a whole, with the start of the interpreter.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

SUBJECTS = ("aiohttp", "msgapi", "msgapi.results", "msgapi.client", "msgapi.messages", "anyio", "cattrs.preconf.orjson")
PROGRAM = """
import time
wall, cpu = time.perf_counter(), time.process_time()
import {module}
print(time.process_time() - cpu, time.perf_counter() - wall)
"""
PROGRAMS = {
    "import click, rich": ("-c", "import click, rich"),
    "msgapi --help": ("-m", "msgapi", "--help"),
    "pass": ("-c", "pass"),
}


def timed(module: str) -> tuple[float, float]:
    """Import *module* once in a fresh interpreter: seconds of CPU, and of wall time."""
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", PROGRAM.format(module=module)], capture_output=True, text=True, check=True
    )
    cpu, wall = done.stdout.split()
    return float(cpu), float(wall)


def timed_program(name: str) -> tuple[float, float]:
    """Run one of PROGRAMS: seconds of CPU, and of wall time."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    _ = subprocess.run([sys.executable, *PROGRAMS[name]], stdout=subprocess.DEVNULL, check=True)  # noqa: S603 - our own
    after, ended = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, ended - began


def compare(title: str, run: Callable[[str], tuple[float, float]], names: list[str], rounds: int) -> None:
    """Print a line for each of *names*: medians, and the median ratio to the first in the same round."""
    for name in names:
        _ = run(name)  # compiles what is not compiled yet
    runs = [{name: run(name) for name in names} for _ in range(rounds)]
    print(f"{title:24}{'CPU ms':>8}{'wall ms':>9}{'CPU ratio':>11}{'wall ratio':>12}")
    for name in names:
        cpu, wall = (statistics.median(run[name][figure] for run in runs) for figure in (0, 1))
        shares = [statistics.median(run[name][figure] / run[names[0]][figure] for run in runs) for figure in (0, 1)]
        print(f"{name:24}{cpu * 1000:8.1f}{wall * 1000:9.1f}{shares[0]:11.2f}{shares[1]:12.2f}")


def main() -> None:
    """Print a table of imports, and one of programs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=21)
    rounds = parser.parse_args().rounds
    _ = os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # modules are compiled, as those of an installed package are
    compare("import", timed, [*SUBJECTS], rounds)
    compare("program", timed_program, [*PROGRAMS], rounds)


if __name__ == "__main__":
    main()
