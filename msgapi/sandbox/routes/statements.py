"""Bills: the routes that tell what was spent: usage, tiers, transactions and invoices (docs: /api/billing)."""

import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Final, final

from attrs import define

from ...results import Detail
from ..http.dates import Span, day, month
from ..http.intake import Reader, Wrong, parameters
from ..http.responses import Reply, invalid, iso, say
from ..model.ledger import Transaction
from ..model.messages import FREE, Entry
from ..model.sessions import month_of
from ..model.state import Ask, State
from ..model.trial import TEST_AGENT

_CHANNELS: Final = ("RCS", "EMAIL")
_GROUPS: Final[Mapping[str, Callable[[Entry], str]]] = {
    "day": lambda entry: iso(entry.created_at)[:10],
    "channel": lambda entry: entry.channel,
    "message_type": lambda entry: entry.message_type,
    "unit": lambda entry: entry.unit,
}
_LIMIT: Final = 50
_MOST: Final = 200
_NUMBER: Final = re.compile(r"\d{1,3}", re.ASCII)
_CURSOR: Final = re.compile(r"cur_[0-9a-f]{16}")


@final
@define
class _Sum:
    """What messages came to: those that were not given up, what was charged for them, and what is still held."""

    messages: int = 0
    amount: Decimal = Decimal(0)
    reserved: Decimal = Decimal(0)

    def count(self, entry: Entry) -> None:
        paid = entry.moment("delivered") is not None
        self.messages += 1
        self.amount += entry.hold if paid else 0
        self.reserved += 0 if paid else entry.hold

    def figures(self) -> dict[str, object]:
        return {"messages": self.messages, "amount": float(self.amount), "reserved": float(self.reserved)}


def balance(state: State, _: Ask) -> Reply:
    """Tell the balance."""
    return say(state.purse.figures())


def usage(state: State, ask: Ask) -> Reply:
    """Tell what the messages of one month came to, and how far each channel is in its tier."""
    asked = parameters(ask.query, {"month": month})
    if isinstance(asked, Reply):
        return asked
    span = asked.get("month") or month(month_of(ask.now))
    total, channels = _Sum(), {name: (_Sum(), dict[str, int]()) for name in _CHANNELS}
    for entry in _counted(state, span.start, span.end):
        channel, units = channels[entry.channel]
        total.count(entry)
        channel.count(entry)
        units[entry.unit] = units.get(entry.unit, 0) + 1
    listed = [
        {"channel": name, **one.figures(), "units": units, "tier": state.tier(name, span.name)}
        for name, (one, units) in channels.items()
    ]
    return say({"month": span.name, "currency": "EUR", **total.figures(), "channels": listed})


def detailed(state: State, ask: Ask) -> Reply:
    """Tell what the messages of some days came to, in groups."""
    asked = parameters(ask.query, {"from": day, "to": day, "group_by": _choice(*_GROUPS)})
    if isinstance(asked, Reply):
        return asked
    first = asked.get("from") or day(f"{month_of(ask.now)}-01")
    last = asked.get("to") or Span("", first.start, max(ask.now, first.end))
    if last.end <= first.start:
        return invalid([Detail("to", "must not be before from")])
    group = asked.get("group_by", "day")
    sums: dict[str, _Sum] = {}
    for entry in _counted(state, first.start, last.end):
        sums.setdefault(_GROUPS[group](entry), _Sum()).count(entry)
    rows = [{group: name, **one.figures()} for name, one in sums.items()]
    return say({"currency": "EUR", "group_by": group, "rows": rows})


def tier(state: State, ask: Ask) -> Reply:
    """Tell the price tier of one channel, or of all."""
    asked = parameters(ask.query, {"channel": _choice(*_CHANNELS)})
    if isinstance(asked, Reply):
        return asked
    tiers = [
        {**state.tier(name, month_of(ask.now)), "qualification_source": "volume", "months_below": 0}
        for name in _CHANNELS
    ]
    return say(next((one for one in tiers if one["channel"] == asked.get("channel")), {"tiers": tiers}))


def transactions(state: State, ask: Ask) -> Reply:
    """List one page of transactions, the newest first."""
    readers: Mapping[str, Reader] = {"cursor": _cursor, "limit": _limit, "from": day, "to": day}
    asked = parameters(ask.query, readers)
    if isinstance(asked, Reply):
        return asked
    page: list[Transaction] = []
    more = False
    for entry in _before(state, asked.get("cursor")):
        if ("from" in asked and entry.at < asked["from"].start) or ("to" in asked and entry.at >= asked["to"].end):
            continue
        if len(page) == asked.get("limit", _LIMIT):
            more = True
            break
        page.append(entry)
    cursor = f"cur_{page[-1].number:016x}" if more else None
    rows = [one.figures(state.made_up("txn_", f"{one.number}")) for one in page]
    return say({"transactions": rows, "next_cursor": cursor})


def invoices(state: State, ask: Ask) -> Reply:
    """List one invoice for each month that had charges, the newest first; the current month's is open."""
    current = month_of(ask.now)
    rows = [
        {
            "id": f"inv_{name}",
            "month": name,
            "amount": float(amount),
            "currency": "EUR",
            "status": "open" if name == current else "paid",
            "pdf_url": None,
        }
        for name, amount in sorted(state.purse.ledger.charged.items(), reverse=True)
    ]
    return say({"invoices": rows})


def _counted(state: State, start: float, end: float) -> Iterator[Entry]:
    for entry in state.log.entries():
        sent = entry.direction == "OUTBOUND" and entry.sender != TEST_AGENT.agent_id and entry.status not in FREE
        if sent and start <= entry.created_at < end:
            yield entry


def _before(state: State, number: int | None) -> Iterator[Transaction]:
    ledger = state.purse.ledger
    end = len(ledger) if number is None else min(number, len(ledger))
    return (ledger[at] for at in range(end - 1, -1, -1))


def _choice(*values: str) -> Reader:
    def read(text: str) -> str:
        if text not in values:
            raise Wrong(f"must be one of {', '.join(values)}")
        return text

    return read


def _limit(text: str) -> int:
    if not _NUMBER.fullmatch(text) or not 1 <= int(text) <= _MOST:
        raise Wrong(f"must be a whole number from 1 to {_MOST}")
    return int(text)


def _cursor(text: str) -> int:
    if not _CURSOR.fullmatch(text):
        raise Wrong("must be the next_cursor of a page before")
    return int(text[4:], 16)
