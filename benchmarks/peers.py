"""This client, raw aiohttp and the clients of other services: the cost of one call, as ratios in the same round.

Every client has an environment and processes of its own, all on one core; the server has another. The clients are
measured in turn, in each round: one POST and the decoding of its answer, 64 in flight. CPU is the time of the process
of the client (getrusage). The server counts requests, so that a call that makes another number of them is found.
"""

import argparse
import platform
import sys
from contextlib import ExitStack
from pathlib import Path

import peer_chart
import peer_table
from peer_bench import Bench, Failed
from peer_environments import ROOT, NotInstalled
from peer_table import Row


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--processes", type=int, default=6, help="processes of each client, one after the other")
    parser.add_argument("--calls", type=int, default=1000, help="calls of each client in each round")
    parser.add_argument("--profiled", type=int, default=500, help="calls of each client under the profiler")
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--environments", type=Path, default=ROOT / ".nox" / "peers", help="where they are kept")
    parser.add_argument("--svg", type=Path, default=Path(__file__).with_name("peers.svg"), help="where to draw")
    parser.add_argument("--markdown", type=Path, help="where to write the table")
    return parser.parse_args()


def about(chosen: argparse.Namespace) -> str:
    """Return one sentence about what was run."""
    return (
        f"One POST and its decoded answer over loopback, {chosen.concurrency} in flight; medians of {chosen.rounds} "
        f"interleaved rounds of {chosen.calls} calls in {chosen.processes} processes each; "
        f"Python {platform.python_version()}."
    )


def transports(table: list[Row]) -> str:
    """Name what the clients send through."""
    return f"Over {', '.join(sorted({one.over for one in table}))}. Retries at each client's own default."


def bottleneck(table: list[Row], *, pinned: bool) -> list[str]:
    """Return a sentence on whether the server was the bottleneck."""
    if not pinned:
        return ["Client and server shared their cores: throughput says little here."]
    most = max(table, key=lambda one: one.server)
    said = [f"The server was busy {most.server:.0%} of the time at most, beside {most.name}."]
    waited = [f"{one.name} ({one.busy:.0%} busy)" for one in table if one.busy < 0.95]
    if waited:
        said.append(f"Waited for more than their own CPU (their own pace, or the server): {', '.join(waited)}.")
    else:
        said.append("Every client was busy for 95% of the time or more: it was its own limit, not the server.")
    return said


def main() -> None:
    """Measure, print the table, and draw it."""
    chosen = options()
    with ExitStack() as stack:
        try:
            bench = Bench(stack, chosen.environments, chosen.concurrency)
            bench.measure(chosen.rounds, chosen.processes, chosen.calls, chosen.profiled)
        except (Failed, NotInstalled) as reason:
            sys.exit(f"peers: {reason}")
        pinned = bench.clients is not None
    table = peer_table.rows([one.figures for one in bench.entrants], chosen.calls)
    missing = [f"LEFT OUT: {name}: {reason}" for name, reason in bench.left_out.items()]
    notes = [transports(table), *bottleneck(table, pinned=pinned), *missing]
    print(about(chosen), peer_table.text(table), *notes, sep="\n")
    if chosen.markdown:
        _ = chosen.markdown.write_text(f"{about(chosen)}\n\n{peer_table.markdown(table, notes)}")
    drawn = [f"Logarithmic. {transports(table)}", *(f"Left out: {name}." for name in bench.left_out)]
    _ = chosen.svg.write_text(peer_chart.svg(table, about(chosen), drawn))


if __name__ == "__main__":
    main()
