"""The charts of a report as inline SVG.

Rules:
- Horizontal places are percentages, so a chart is as wide as its page and its text is never scaled.
- A chart says in its title and description what it shows, has a legend, and patterns where it has more than one colour.
"""

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from itertools import pairwise
from math import ceil, floor, log10
from typing import Final, final

from attrs import frozen

from ...journal.timeline import CAUSES, RunHistory, slot_bound
from .report_figures import Interval, ReportFigures, add_waits, intervals, percentile
from .report_markup import Html, LocalTime, element, span

BARS: Final = 120  # of a chart over time
_MOST_DRAWN: Final = 20  # runs
_GAP: Final = 0.05  # share of the axis that a gap between two runs has at most
_ALL_GAPS: Final = 0.3
_LEAST_BARS: Final = 8  # of a short run
_LEAST_RUN: Final = 0.015  # share of the axis that a run has at least
_LEAST_LABEL: Final = 11.0  # per cent of the axis between two labels of times on a wide page
_WIDE_LABEL: Final = 22.0  # the same on a phone, where the labels that are closer are hidden
_WIDE_NAME: Final = 16.0  # per cent of the axis from which the name of a run is shown on a phone as well
_TOUCHING: Final = 0.02  # per cent of the axis between two waits that are drawn as one
_HEIGHT: Final = 150  # pixels of the bars
_TOP: Final = 36  # pixels above them, for the names of the runs and the unit
_AXIS: Final = 20  # pixels below them, for the times
_LANE: Final = 34  # pixels of one cause of waits: a line of text and a bar
_DAY: Final = 86_400.0
_WAITS: Final = ("for the rate limit", "during an outage", "for a top-up of the balance", "for the disk")


@final
@frozen
class _Segment:
    # The part of the axis of one run, in per cent.
    run: RunHistory
    left: float
    width: float

    def place(self, time: float) -> float:
        length = self.run.ended - self.run.began
        return self.left + self.width * ((time - self.run.began) / length if length else 0.0)


def most_bars(run: RunHistory) -> int:
    """Return how many intervals show *run* best: one a second, as the service limits the requests of a second."""
    return max(_LEAST_BARS, floor(run.ended - run.began))


@final
@frozen
class TimeAxis:
    """The runs of a batch side by side. A gap between two of them is cut short, and shown as a gap."""

    segments: tuple[_Segment, ...]

    @classmethod
    def of(cls, runs: Sequence[RunHistory]) -> "TimeAxis":
        """Return the axis of the last of *runs*."""
        drawn = runs[-_MOST_DRAWN:]
        lengths = [run.ended - run.began for run in drawn]
        total = sum(lengths) or 1.0
        lengths = [max(length, _LEAST_RUN * total) for length in lengths]
        longest = min(_GAP, _ALL_GAPS / max(1, len(drawn) - 1)) * total
        gaps = [min(longest, max(0.0, two.began - one.ended)) for one, two in pairwise(drawn)]
        scale, at = 100 / (sum(lengths) + sum(gaps)), 0.0
        segments: list[_Segment] = []
        for run, length, gap in zip(drawn, lengths, [*gaps, 0.0], strict=True):
            segments.append(_Segment(run, at * scale, length * scale))
            at += length + gap
        return cls(tuple(segments))

    def split(self) -> list[tuple[_Segment, list[Interval]]]:
        """Return the intervals of each run, about `BARS` of them in all, and none shorter than about a second."""
        return [
            (one, intervals(one.run, min(round(BARS * one.width / 100), most_bars(one.run)))) for one in self.segments
        ]


def _percent(value: float) -> str:
    return f"{max(0.0, value):.3f}%"


def _rectangle(left: float, width: float, top: float, height: float, class_: str, *title: Html) -> Html:
    places = {"x": _percent(left), "width": _percent(width), "y": f"{top:.2f}", "height": f"{max(0.0, height):.2f}"}
    return element("rect", *title, class_=class_, **places)


def _text(left: float, top: float, text: str, class_: str = "tick", anchor: str = "start") -> Html:
    return element("text", text, x=_percent(left), y=f"{top:.0f}", class_=class_, text_anchor=anchor)


def _rule(top: float) -> Html:
    return element("line", x1="0", x2="100%", y1=f"{top:.1f}", y2=f"{top:.1f}", class_="rule")


def _chart(name: str, texts: tuple[str, str], height: float, parts: Iterable[Html], class_: str = "chart axes") -> Html:
    # *texts* are title and description.
    title, description = texts
    return element(
        "svg",
        element("title", title, id=f"{name}-title"),
        element("desc", description, id=f"{name}-desc"),
        *parts,
        role="img",
        aria_labelledby=f"{name}-title {name}-desc",
        width="100%",
        height=f"{height:.0f}",
        class_=class_,
    )


def nice_top(value: float) -> float:
    """Return a round number that is at least *value*, for the top of an axis."""
    if value <= 0:
        return 1.0
    size = 10.0 ** floor(log10(value))
    return next(step * size for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10, 15) if step * size >= value * 0.999)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == round(value) else f"{value:.2g}"  # noqa: PLR2004 - two digits


def _rules(top_value: float, unit: str, number: Callable[[float], str] = _number) -> list[Html]:
    # The horizontal lines, with their labels in the margin to the left of the chart.
    found = [element("text", unit, x="-8", y=f"{_TOP - 14}", class_="tick", text_anchor="end")]
    for share in (1.0, 0.5, 0.0):
        at = _TOP + _HEIGHT * (1 - share)
        label = number(top_value * share)
        found += [_rule(at), element("text", label, x="-8", y=f"{at + 4:.0f}", class_="tick", text_anchor="end")]
    return found


def _frame(axis: TimeAxis, times: LocalTime) -> list[Html]:
    # The gaps between the runs, their names, and the times below them.
    parts: list[Html] = []
    bottom, last_label = _TOP + _HEIGHT + 15, -_WIDE_LABEL
    first, last = axis.segments[0], axis.segments[-1]
    before: _Segment | None = None
    for one in axis.segments:
        if before is not None:
            left, stop = before.left + before.width, span(max(0.0, one.run.began - before.run.ended))
            label = element("title", f"Nothing was sent for {stop}")
            parts.append(_rectangle(left, one.left - left, _TOP, _HEIGHT, "gap", label))
        if len(axis.segments) > 1 and one.width >= _LEAST_LABEL:
            name = f"run {one.run.number}" if one.run.number else "fleet"
            parts.append(_text(one.left, 12, name, "run" if one.width >= _WIDE_NAME else "run minor"))
        distance = min(one.left - last_label, 100 - _LEAST_LABEL - one.left)
        if distance >= _LEAST_LABEL:
            class_ = "tick" if distance >= _WIDE_LABEL else "tick minor"
            parts.append(_text(one.left, bottom, _time_label(one.run.began, axis, times), class_))
            last_label = one.left
        before = one
    if last.run.ended > first.run.began:
        parts.append(_text(100, bottom, _time_label(last.run.ended, axis, times), anchor="end"))
    return parts


def _time_label(time: float, axis: TimeAxis, times: LocalTime) -> str:
    whole = axis.segments[-1].run.ended - axis.segments[0].run.began
    same_day = times.at(axis.segments[0].run.began).date() == times.at(axis.segments[-1].run.ended).date()
    if same_day:
        return times.clock(time)
    found = times.at(time)
    return f"{found.day} {found:%b}" + (f" {found:%H:%M}" if whole < 30 * _DAY else "")


def _interval_title(interval: Interval, times: LocalTime) -> Html:
    total, waits = interval.total, []
    for cause, seconds in zip(_WAITS, interval.total.waits, strict=True):
        if seconds > 0:
            waits.append(f", {span(seconds)} of waiting {cause}")
    counts = ", ".join(
        f"{number:,} {word}"
        for number, word in (
            (total.accepted, "accepted"),
            (total.refused, "refused"),
            (total.invalid, "invalid"),
            (total.unknown, "unknown"),
            (total.not_sent, "not sent"),
        )
        if number or word == "accepted"
    )
    return element("title", f"{times.clock(interval.begin)} to {times.clock(interval.end)}: {counts}{''.join(waits)}")


def throughput_chart(figures: ReportFigures, times: LocalTime) -> Html:
    """Return the rows per second over time, by result, and when the rows waited for what."""
    axis = TimeAxis.of(figures.runs)
    split = axis.split()
    every = [one for _, some in split for one in some]
    peak = max(one.per_second(_ended(one)) for one in every)
    top = nice_top(peak)
    parts = _frame(axis, times)
    for segment, some in split:
        for one in some:
            parts += _bar(segment, one, top, times)
    parts += _rules(top, "rows/s")
    at = float(_TOP + _HEIGHT + _AXIS)
    waited = add_waits(one.total.waits for one in every)
    for place, (cause, words) in enumerate(zip(CAUSES, _WAITS, strict=True)):
        if waited[place]:
            parts += _lane(split, place, at, f"waited {words}: {span(waited[place])}", cause)
            at += _LANE
    waits = [f"{span(seconds)} {words}" for seconds, words in zip(waited, _WAITS, strict=True) if seconds]
    description = (
        f"Highest: {_number(peak)} rows per second. {len(axis.segments)} runs drawn. "
        f"Rows waited {', '.join(waits) or 'for nothing that is recorded'}."
    )
    return _chart("throughput", ("Rows per second over time, by result", description), at, parts)


def _ended(interval: Interval) -> int:
    total = interval.total
    return total.accepted + total.refused + total.invalid + total.unknown + total.not_sent


def _bar(segment: _Segment, one: Interval, top: float, times: LocalTime) -> list[Html]:
    total, floor_at, drawn = one.total, float(_TOP + _HEIGHT), list[Html]()
    left = segment.place(one.begin)
    width = segment.place(one.end) - left
    for rows, class_ in (
        (total.accepted, "accepted"),
        (total.refused + total.invalid, "refused"),
        (total.unknown, "unknown"),
        (total.not_sent, "notsent"),
    ):
        if rows:
            height = _HEIGHT * min(1.0, one.per_second(rows) / top)
            floor_at -= height
            drawn.append(_rectangle(left, width, floor_at, height, f"bar {class_}"))
    return [element("g", _interval_title(one, times), *drawn)] if drawn else []


def _lane(
    split: Sequence[tuple[_Segment, list[Interval]]], place: int, at: float, label: str, class_: str
) -> list[Html]:
    parts = [_text(0, at + 13, label, "lane-label"), _rectangle(0, 100, at + 18, 9, "lane")]
    left = right = 0.0
    for segment, some in split:
        for one in some:
            if one.total.waits[place] <= 0 or one.seconds <= 0:
                continue
            begin = segment.place(one.begin)
            width = (segment.place(one.end) - begin) * min(1.0, one.total.waits[place] / one.seconds)
            if begin - right > _TOUCHING:
                parts.append(_rectangle(left, right - left, at + 18, 9, f"wait {class_}"))
                left = begin
            right = begin + width
    return [*parts, _rectangle(left, right - left, at + 18, 9, f"wait {class_}")]


def spend_chart(figures: ReportFigures, times: LocalTime) -> Html:
    """Return the sum of the cost of the accepted rows over time."""
    axis = TimeAxis.of(figures.runs)
    drawn = {segment.run.number for segment in axis.segments}
    earlier = (one.spend for run in figures.runs if run.number not in drawn for one in run.buckets)
    total = sum(earlier, Decimal(0))
    points = [(0.0, total)]
    for segment, some in axis.split():
        points.append((segment.left, total))
        for one in some:
            total += one.total.spend
            points.append((segment.place(one.end), total))
    points.append((100.0, total))
    top = nice_top(float(total))
    steps = " ".join(f"{left * 10:.2f},{100 - 100 * float(spent) / top:.2f}" for left, spent in points)
    curve = element(
        "svg",
        element("polygon", points=f"0,100 {steps} 1000,100", class_="area"),
        element("polyline", points=steps, class_="curve", vector_effect="non-scaling-stroke"),
        x="0",
        y=_TOP,
        width="100%",
        height=_HEIGHT,
        viewBox="0 0 1000 100",
        preserveAspectRatio="none",
    )
    rules = _rules(top, "EUR", lambda value: f"{value:,.2f}".removesuffix(".00"))
    parts = [*_frame(axis, times), curve, *rules]
    description = f"The sum rises to {total} EUR, in {len(axis.segments)} runs."
    return _chart("spend", ("Sum of the cost over time, in EUR", description), _TOP + _HEIGHT + _AXIS, parts)


def duration_chart(answers: Sequence[int]) -> Html:
    """Return the number of rows by the duration of their last call."""
    used = [slot for slot, number in enumerate(answers) if number]
    first, last = used[0], used[-1]
    width = 100 / (last - first + 1)
    top = nice_top(max(answers))
    parts = list[Html]()
    for slot in range(first, last + 1):
        if answers[slot]:
            height = _HEIGHT * answers[slot] / top
            between = f"{_slot_begin(slot)} to {span(slot_bound(slot))}"
            title = element("title", f"{answers[slot]:,} rows in {between}")
            left = (slot - first) * width
            parts.append(_rectangle(left, width * 0.92, _TOP + _HEIGHT - height, height, "bar accepted", title))
    parts += _rules(top, "rows")
    step = ceil((last - first + 1) / 6)
    bottom = _TOP + _HEIGHT + 15
    for slot in range(first, last + 1, step):
        if (slot - first) * width <= 100 - _LEAST_LABEL:
            class_ = "tick minor" if (slot - first) // step % 2 else "tick"
            parts.append(_text((slot - first) * width, bottom, _slot_begin(slot), class_))
    half, most = percentile(answers, 0.5) or 0.0, percentile(answers, 0.95) or 0.0
    description = f"Half of the rows took at most about {span(half)}, and 95 of 100 at most about {span(most)}."
    return _chart("durations", ("Rows by duration", description), _TOP + _HEIGHT + _AXIS, parts)


def _slot_begin(slot: int) -> str:
    return "0 s" if slot == 0 else span(slot_bound(slot - 1))


def outcome_bar(parts: Sequence[tuple[str, str, int]], total: int) -> Html:
    """Return the outcomes as one bar; *parts* are class, words and number of each of them."""
    at, drawn = 0.0, list[Html]()
    for class_, words, rows in parts:
        width = 100 * rows / total
        drawn.append(_rectangle(at, width, 0, 22, f"bar {class_}", element("title", f"{rows:,} {words}")))
        at += width
    described = ", ".join(f"{rows:,} {words}" for _, words, rows in parts)
    return _chart("outcomes", ("Rows by outcome", f"Of {total:,} rows: {described}."), 22, drawn, "chart")


def patterns() -> Html:
    """Return the patterns that the charts use beside colours, once for the page."""
    hatch = element("path", d="M-1,1 l2,-2 M0,6 l6,-6 M5,7 l2,-2", class_="stroke")
    stripes = element("path", d="M0,2 l4,0", class_="stroke")
    dots = element("circle", cx="2", cy="2", r="1.1", class_="dot")
    cross = element("path", d="M0,0 l5,5 M5,0 l-5,5", class_="stroke")
    made = [
        element(
            "pattern",
            element("rect", width=size, height=size, class_=f"ground-{name}"),
            drawing,
            id=f"pattern-{name}",
            width=size,
            height=size,
            patternUnits="userSpaceOnUse",
        )
        for name, size, drawing in (
            ("refused", 6, hatch),
            ("invalid", 4, stripes),
            ("unknown", 5, cross),
            ("gap", 4, dots),
        )
    ]
    return element("svg", element("defs", *made), width="0", height="0", aria_hidden="true", class_="patterns")
