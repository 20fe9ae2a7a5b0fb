"""The ratios as a bar chart in SVG, on a logarithmic scale, for light and dark pages."""

from html import escape
from math import log
from textwrap import wrap

from peer_table import Row

WIDTH, LEFT, RIGHT, TOP, STEP, BAR = 860, 300, 70, 100, 28, 18
CHARACTERS = 120  # of a note that fit into a line
TICKS = (0.25, 0.5, 1, 2, 5, 10, 20)
STYLE = """
text { font: 14px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328 }
.title { font-size: 18px; font-weight: 600 } .note { font-size: 12px; fill: #59636e } .mid { text-anchor: middle }
.end { text-anchor: end } .ours { fill: #0969da } .peer { fill: #818b98 } .strong { font-weight: 600 }
.grid { stroke: #d1d9e0 } .one { stroke: #1f2328; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc } .note { fill: #9198a1 } .ours { fill: #4493f8 } .peer { fill: #656c76 }
.grid { stroke: #3d444d } .one { stroke: #f0f6fc } }
"""


class Scale:
    """The position of a ratio on a logarithmic scale around 1."""

    def __init__(self, table: list[Row]) -> None:
        """Fit the scale to what is shown."""
        self.least = min(TICKS[0], *(one.ratio for one in table)) / 1.15
        self.most = max(TICKS[-1], *(one.ratio for one in table)) * 1.1

    def at(self, ratio: float) -> float:
        """Place a ratio."""
        share = log(ratio / self.least) / log(self.most / self.least)
        return LEFT + share * (WIDTH - LEFT - RIGHT)


def bar(one: Row, scale: Scale, top: float) -> str:
    """Draw a client's line: its name, its bar from 1 to its ratio, and the ratio beside it."""
    ends = sorted((scale.at(1), scale.at(one.ratio)))
    kind, middle = "ours" if one.ours else "peer", top + BAR / 2 + 5
    named = ' class="strong"' if one.ours else ""
    beside = f'x="{ends[1] + 7:.1f}"' if one.ratio >= 1 else f'x="{ends[0] - 7:.1f}"'
    aligned = "" if one.ratio >= 1 else " end"
    return (
        f'<text x="16" y="{middle:.1f}"{named}>{escape(one.name)}</text>\n'
        f'<rect class="{kind}" x="{ends[0]:.1f}" y="{top:.1f}" width="{max(ends[1] - ends[0], 2):.1f}" '
        f'height="{BAR}" rx="2"/>\n'
        f'<text class="strong{aligned}" {beside} y="{middle:.1f}">{one.ratio:.2f}</text>\n'
    )


def tick(ratio: float, scale: Scale, bottom: float) -> str:
    """Draw a line of the grid and what it stands for."""
    x, kind = scale.at(ratio), "one" if ratio == 1 else "grid"
    return (
        f'<line class="{kind}" x1="{x:.1f}" y1="{TOP - 6}" x2="{x:.1f}" y2="{bottom:.1f}"/>\n'
        f'<text class="note mid" x="{x:.1f}" y="{TOP - 12}">{ratio:g}</text>\n'
    )


def svg(table: list[Row], subtitle: str, notes: list[str]) -> str:
    """Draw the chart."""
    scale, bottom = Scale(table), TOP + STEP * len(table)
    height = bottom + 16 + 18 * len(notes)
    said = escape(", ".join(f"{one.name} {one.ratio:.2f}" for one in table))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{said}">\n',
        f"<style>{STYLE}</style>\n",
        '<text class="title" x="16" y="30">CPU of one call, as a ratio to raw aiohttp: less is better</text>\n',
        *(
            f'<text class="note" x="16" y="{50 + 16 * at}">{escape(line)}</text>\n'
            for at, line in enumerate(wrap(subtitle, CHARACTERS))
        ),
        *(tick(ratio, scale, bottom) for ratio in TICKS),
        *(bar(one, scale, TOP + STEP * at + (STEP - BAR) / 2) for at, one in enumerate(table)),
        *(
            f'<text class="note" x="16" y="{bottom + 20 + 18 * at:.0f}">{escape(note)}</text>\n'
            for at, note in enumerate(notes)
        ),
    ]
    return "".join(parts) + "</svg>\n"
