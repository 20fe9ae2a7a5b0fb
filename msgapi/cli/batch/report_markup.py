"""The markup of a report: elements, tables and legends, and how durations, shares and times are shown.

Rules:
- Every text and every value of an attribute is escaped where the markup is made: `element` takes plain text, and only
  what `element` has returned is markup. Control characters and those that change the direction of text are shown as
  escapes.
- A table is read on a phone as a list: each cell has the name of its column.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, tzinfo
from html import escape
from typing import Final, final

from attrs import frozen

from ..output import line

_VOID: Final = frozenset({"meta"})


class Html(str):
    """Markup, in contrast to text."""

    __slots__ = ()


def element(name: str, /, *parts: str, **attributes: object) -> Html:
    """Return an element with *parts*: text is escaped, and markup is not. An attribute that is None is left out.

    The name of an attribute is written with `_` for `-`; a `_` at its end is dropped.
    """
    given = "".join(
        f' {attribute.rstrip("_").replace("_", "-")}="{shown(f"{value}")}"'
        for attribute, value in attributes.items()
        if value is not None
    )
    return Html(f"<{name}{given}>" if name in _VOID else f"<{name}{given}>{join(parts)}</{name}>")


def join(parts: Iterable[str]) -> Html:
    """Return *parts* one after another: text is escaped, and markup is not."""
    return Html("".join(part if isinstance(part, Html) else shown(part) for part in parts))


def shown(text: str) -> str:
    """Return *text* escaped for HTML, in an element or in an attribute between double quotes."""
    return escape(line(text))


def span(seconds: float) -> str:
    """Return a duration for people: `84 ms`, `8.2 s`, `1 min 12 s`, `3 h 5 min`, `2 d 4 h`."""
    if seconds < 0.9995:  # noqa: PLR2004 - shown as 1.0 s from here on
        return f"{seconds * 1000:.0f} ms" if seconds else "0 s"
    if seconds < 9.95:  # noqa: PLR2004 - the same for 10 s
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for size, name, small, part in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // small
            return f"{whole // size} {name}{f' {rest} {part}' if rest else ''}"
    return f"{whole} s"


@final
@frozen(kw_only=True)
class LocalTime:
    """Shows times in a time *zone*; None is that of this machine."""

    zone: tzinfo | None = None

    def at(self, time: float) -> datetime:
        """Return the Unix *time* as a date and time of the zone; the year 1970 or 9999 for one that has no date."""
        try:
            return datetime.fromtimestamp(time, UTC).astimezone(self.zone)
        except (OverflowError, ValueError, OSError):
            return datetime(9999 if time > 0 else 1970, 1, 1, tzinfo=UTC)

    def clock(self, time: float) -> str:
        """Return the time of day, such as `09:05:30`."""
        return f"{self.at(time):%H:%M:%S}"

    def moment(self, time: float) -> str:
        """Return date, time and zone, such as `30 Nov 2026, 09:05:30 UTC`."""
        found = self.at(time)
        return f"{found.day} {found:%b %Y, %H:%M:%S} {found.tzname() or ''}".rstrip()


def section(name: str, title: str, *parts: Html) -> Html:
    """Return a section with a *title* as its heading."""
    return element("section", element("h2", title, id=name), *parts, aria_labelledby=name)


def percentage(part: float, total: float) -> str:
    """Return *part* of *total* in per cent; 0 % and 100 % only if it is none or all."""
    share = 100 * part / total
    if 0 < share < 0.1 or 99.9 < share < 100:  # noqa: PLR2004 - neither none nor all
        return "< 0.1 %" if share < 1 else "> 99.9 %"
    return f"{share:.0f} %" if share in {0, 100} else f"{share:.1f} %"


def cell(text: str, label: str) -> Html:
    """Return a cell with a number; *label* is the name of its column."""
    return element("td", text, class_="number", data_label=label)


def table_of_rows(caption: str, head: Sequence[str], rows: Sequence[Html]) -> Html:
    """Return a table; a column whose name begins with `#` holds numbers."""
    names = [
        element("th", name.removeprefix("#"), scope="col", class_="number" if name.startswith("#") else None)
        for name in head
    ]
    return element(
        "table",
        element("caption", caption),
        element("thead", element("tr", *names)),
        element("tbody", *rows),
        class_="stacked",
    )


def legend(entries: Sequence[tuple[str, str]]) -> Html:
    """Return a legend of pairs of a class of the style sheet and a text."""
    return element(
        "ul",
        *(
            element(
                "li",
                element(
                    "svg",
                    element("rect", width=14, height=14, class_=class_),
                    width=14,
                    height=14,
                    class_="key",
                    aria_hidden="true",
                ),
                element("span", text),
            )
            for class_, text in entries
        ),
        class_="legend",
    )


def with_code(text: str) -> Html:
    """Return *text* with the commands that stand between backticks as code."""
    parts = text.split("`")
    return join(element("code", part, class_="command") if at % 2 else part for at, part in enumerate(parts))
