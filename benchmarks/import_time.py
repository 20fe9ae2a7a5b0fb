"""How long `import msgapi` takes, as a ratio to `import aiohttp`, each in fresh interpreters, interleaved."""

import argparse
import statistics
import subprocess
import sys

SUBJECTS = ("aiohttp", "msgapi", "msgapi.client", "msgapi.messages", "anyio", "cattrs.preconf.orjson")
PROGRAM = """
import time
wall, cpu = time.perf_counter(), time.process_time()
import {module}
print(time.process_time() - cpu, time.perf_counter() - wall)
"""


def timed(module: str) -> tuple[float, float]:
    """Import *module* once in a fresh interpreter: seconds of CPU, and of wall time."""
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", PROGRAM.format(module=module)], capture_output=True, text=True, check=True
    )
    cpu, wall = done.stdout.split()
    return float(cpu), float(wall)


def main() -> None:
    """Print a line for each subject: medians, and the median ratio to aiohttp in the same round."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=21)
    rounds = parser.parse_args().rounds
    for module in SUBJECTS:
        timed(module)  # compiles what is not compiled yet
    runs = [{module: timed(module) for module in SUBJECTS} for _ in range(rounds)]
    print(f"import time, medians of {rounds} rounds")
    print(f"{'module':24}{'CPU ms':>8}{'wall ms':>9}{'CPU ratio':>11}{'wall ratio':>12}")
    for module in SUBJECTS:
        cpu, wall = (statistics.median(run[module][figure] for run in runs) for figure in (0, 1))
        shares = [statistics.median(run[module][figure] / run["aiohttp"][figure] for run in runs) for figure in (0, 1)]
        print(f"{module:24}{cpu * 1000:8.1f}{wall * 1000:9.1f}{shares[0]:11.2f}{shares[1]:12.2f}")


if __name__ == "__main__":
    main()
