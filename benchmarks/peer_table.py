"""The figures of each client, as a table in text and in Markdown."""

import statistics
from dataclasses import dataclass, field

from peer_list import BASE, OURS, Peer


@dataclass(frozen=True)
class Run:
    """What one run cost: seconds of the client's CPU, of the server's, and of wall time."""

    cpu: float
    server: float
    wall: float


@dataclass
class Figures:
    """All that was found out about one client."""

    peer: Peer
    version: str
    over: str
    runs: list[Run] = field(default_factory=list)
    function_calls: float = 0


@dataclass(frozen=True)
class Row:
    """A line of the table: medians over the rounds, ratios to the reference in the same round."""

    name: str
    ours: bool
    over: str
    retries: int
    micros: float
    ratio: float
    least: float
    most: float
    throughput: float
    function_calls: float
    busy: float
    server: float


def row(found: Figures, base: Figures, calls: int) -> Row:
    """Sum one client up."""
    pairs = list(zip(found.runs, base.runs, strict=True))
    ratios = [run.cpu / reference.cpu for run, reference in pairs]
    return Row(
        name=labelled(found),
        ours=found.peer.environment == OURS,
        over=f"{found.peer.over} {found.over}",
        retries=found.peer.retries,
        micros=statistics.median(run.cpu for run in found.runs) / calls * 1e6,
        ratio=statistics.median(ratios),
        least=min(ratios),
        most=max(ratios),
        throughput=statistics.median(reference.wall / run.wall for run, reference in pairs),
        function_calls=found.function_calls,
        busy=statistics.median(run.cpu / run.wall for run in found.runs),
        server=statistics.median(run.server / run.wall for run in found.runs),
    )


def labelled(found: Figures) -> str:
    """Name a client with its version: that of the reference is aiohttp's, and stands in its own column."""
    if found.peer.environment == BASE.environment:
        return found.peer.name
    head, comma, rest = found.peer.name.partition(",")
    return f"{head} {found.version}{comma}{rest}"


def rows(everyone: list[Figures], calls: int) -> list[Row]:
    """Sum everyone up, the cheapest first; the reference is the first of *everyone*."""
    return sorted((row(found, everyone[0], calls) for found in everyone), key=lambda one: one.ratio)


HEADINGS = (
    "client",
    "over",
    "retries",
    "CPU µs",
    "CPU ratio",
    "least to most",
    "calls/s ratio",
    "function calls",
    "client busy",
    "server busy",
)


def cells(one: Row) -> tuple[str, ...]:
    """Write a line's figures."""
    return (
        one.name,
        one.over,
        f"{one.retries}",
        f"{one.micros:.0f}",
        f"{one.ratio:.2f}",
        f"{one.least:.2f} to {one.most:.2f}",
        f"{one.throughput:.2f}",
        f"{one.function_calls:,.0f}",
        f"{one.busy:.0%}",
        f"{one.server:.0%}",
    )


def text(table: list[Row]) -> str:
    """Write the table for a terminal."""
    lines = [HEADINGS, *map(cells, table)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(HEADINGS))]
    sides = ["<", "<", *">" * (len(HEADINGS) - 2)]
    return "\n".join("  ".join(map(padded, line, sides, widths)).rstrip() for line in lines)


def padded(cell: str, side: str, width: int) -> str:
    """Fill a cell up."""
    return f"{cell:{side}{width}}"


def markdown(table: list[Row], notes: list[str]) -> str:
    """Write the table as Markdown, with the notes under it; this client is bold."""
    lines = [HEADINGS, ("---", "---", *["---:"] * (len(HEADINGS) - 2))]
    for one in table:
        name, *rest = cells(one)
        lines.append((f"**{name}**" if one.ours else name, *rest))
    written = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{written}\n\n" + "\n\n".join(notes) + "\n"
