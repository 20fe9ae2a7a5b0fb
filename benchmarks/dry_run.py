"""The CPU time of a row of a dry run: with recipients as they are sent, and with recipients to normalise.

It is the CPU time of the pass over the rows (`dry_run.examine`), in processes of their own that are run in turn.
`--before DIRECTORY` is a checkout of the commit to compare with. It is run with the same files, except those with
recipients to normalise and national numbers.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

RCS = {"agent_id": "ag_live_demo", "traffic_type": "TRANSACTION", "text": "Hi {name}"}
EMAIL = {"channel_id": "ch_demo", "subject": "Hi", "text": "Hi {name}"}
FILES: dict[str, tuple[str, dict[str, str], dict[str, str]]] = {
    "numbers in E.164": ("+49151{:08}", RCS, {}),
    "e-mail addresses": ("ann.lee{}@example.org", EMAIL, {}),
    "numbers with spaces": ("+49 151 {:08}", RCS, {}),
    "national numbers": ("0151 {:08}", RCS, {"region": "DE"}),
}
COMPARED = 2  # files that an earlier commit can read


def cost(name: str, rows: int) -> float:
    """Return the CPU of a dry run of a file, in µs a row."""
    command: Any = import_module("msgapi.cli.batch.command")
    dry_run: Any = import_module("msgapi.cli.batch.dry_run")
    recipient, values, options = FILES[name]
    with TemporaryDirectory() as made:
        path = Path(made) / "people.csv"
        _ = path.write_text("to,name\n" + "".join(f"{recipient.format(at)},Ann {at}\n" for at in range(rows)))
        config = command.BatchConfig(path=str(path), message_values=values, **options)
        with command.open_rows(config) as (table, calls):
            before = time.process_time()
            found = dry_run.examine(table, calls)
            spent = time.process_time() - before
        assert sum(found.units.values()) == rows
    return spent / rows * 1e6


def measured(name: str, rows: int, checkout: str) -> float:
    """Return the same from a process of its own, with the package of *checkout*."""
    program = [sys.executable, __file__, "--alone", name, "--rows", str(rows)]
    environment = {**os.environ, "PYTHONPATH": checkout}
    done = subprocess.run(program, capture_output=True, text=True, check=True, env=environment)  # noqa: S603 - this file
    return float(done.stdout)


def main() -> None:
    """Print the cost of each file, and the ratio to the other checkout."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--before", metavar="DIRECTORY", help="a checkout of the commit to compare with")
    parser.add_argument("--alone", choices=FILES, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.alone:
        print(min(cost(chosen.alone, chosen.rows) for _ in range(2)))
        return
    here = str(Path(__file__).parents[1])
    print(f"{'':24}{'CPU µs a row':>14}{'before':>10}{'ratio':>8}")
    for at, name in enumerate(FILES):
        pairs = list[tuple[float, float]]()
        compared = chosen.before if at < COMPARED else None
        for _ in range(chosen.rounds):
            now = measured(name, chosen.rows, here)
            pairs.append((now, measured(name, chosen.rows, compared) if compared else now))
        now, before = (statistics.median(one[side] for one in pairs) for side in (0, 1))
        ratio = statistics.median(one / other for one, other in pairs)
        print(f"{name:24}{now:14.1f}" + (f"{before:10.1f}{ratio:8.2f}" if compared else ""))


if __name__ == "__main__":
    main()
