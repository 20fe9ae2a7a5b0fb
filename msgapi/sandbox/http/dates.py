"""Dates: days and months in UTC as a query has them, and the spans of time that they are."""

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, final

from attrs import frozen

from ...rules import month as month_rule
from .intake import Wrong

MOMENT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.,][0-9]{1,9})?)?(Z|[+-][0-9]{2}:[0-9]{2})?)?"
)
"""A date, or a time; one without a zone is UTC."""
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


@final
@frozen
class Span:
    """A span of time under its *name*, from *start* up to *end* in Unix seconds."""

    name: str
    start: float
    end: float


def day(text: str) -> Span:
    """Read a day such as `2026-05-04`."""
    said = "must be a date such as 2026-05-04"
    if not _DAY.fullmatch(text):
        raise Wrong(said)
    try:
        start = datetime.combine(date.fromisoformat(text), time(), UTC)
        return Span(text, start.timestamp(), (start + timedelta(days=1)).timestamp())
    except (ValueError, OverflowError):
        raise Wrong(said) from None


def month(text: str) -> Span:
    """Read a month such as `2026-05`."""
    said = "must be a month such as 2026-05"
    if month_rule(text) is not None:
        raise Wrong(said)
    try:
        start = datetime.combine(date.fromisoformat(f"{text}-01"), time(), UTC)
        end = (start + timedelta(days=31)).replace(day=1)
        return Span(text, start.timestamp(), end.timestamp())
    except (ValueError, OverflowError):
        raise Wrong(said) from None
