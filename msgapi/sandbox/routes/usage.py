"""The routes of what was sent and charged in a span of time: usage, price tiers and invoices (docs: /api/billing)."""

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Final, Literal, TypeAlias, final

from attrs import define, frozen

from ...messages import Tier
from ...results import Detail
from ..http.requests import (
    RouteRequest,
    TimeSpan,
    parse_choice,
    parse_day,
    parse_month,
    parse_query,
)
from ..http.responses import SimulatedResponse, format_time, invalid_request, json_response
from ..model.agents import TEST_AGENT
from ..model.billing import Currency, month_of
from ..model.messages import NOT_DELIVERED, ChannelName, LogEntry
from ..model.state import CURRENT_TIER, AccountState

GroupName: TypeAlias = Literal["day", "channel", "message_type", "unit"]
_CHANNELS: Final[tuple[ChannelName, ...]] = ("RCS", "EMAIL")
_GROUPS: Final[Mapping[GroupName, Callable[[LogEntry], str]]] = {
    "day": lambda entry: format_time(entry.created_at)[:10],
    "channel": lambda entry: entry.channel,
    "message_type": lambda entry: entry.message_type,
    "unit": lambda entry: entry.unit,
}


@final
@frozen(kw_only=True)
class ChannelUsage:
    """The usage of one channel in a month, and the number of messages of each unit."""

    channel: ChannelName
    messages: int
    amount: float
    reserved: float
    units: Mapping[str, int]
    tier: Tier


@final
@frozen(kw_only=True)
class UsageResponse:
    """The usage of a month: the messages, what was charged for them, and what is still reserved."""

    month: str
    currency: Currency
    messages: int
    amount: float
    reserved: float
    channels: tuple[ChannelUsage, ...]


@final
@frozen(kw_only=True)
class UsageGroup:
    """The usage of one group, with the field by which it is grouped."""

    day: str = ""
    channel: str = ""
    message_type: str = ""
    unit: str = ""
    messages: int
    amount: float
    reserved: float


@final
@frozen(kw_only=True)
class DetailedUsageResponse:
    """The usage of a span of days, in groups."""

    currency: Currency
    group_by: GroupName
    rows: tuple[UsageGroup, ...]


@final
@frozen(kw_only=True)
class TierResponse:
    """The price tier of one channel."""

    channel: ChannelName
    current: str
    volume_used: int
    qualification_source: str
    months_below: int


@final
@frozen(kw_only=True)
class TiersResponse:
    """The price tiers of all channels."""

    tiers: tuple[TierResponse, ...]


@final
@frozen(kw_only=True)
class InvoiceResponse:
    """The charges of one month."""

    id: str
    month: str
    amount: float
    currency: Currency
    status: Literal["open", "paid"]
    pdf_url: str | None


@final
@frozen(kw_only=True)
class InvoicesResponse:
    """All invoices."""

    invoices: tuple[InvoiceResponse, ...]


@final
@define
class _Usage:
    """The sum over messages that have not failed: what was charged for them, and what is still reserved."""

    messages: int = 0
    charged: Decimal = Decimal(0)
    held: Decimal = Decimal(0)

    def add(self, entry: LogEntry) -> None:
        delivered = entry.time_of("delivered") is not None
        self.messages += 1
        self.charged += entry.hold if delivered else 0
        self.held += 0 if delivered else entry.hold

    @property
    def amount(self) -> float:
        return float(self.charged)

    @property
    def reserved(self) -> float:
        return float(self.held)


def show_usage(state: AccountState, request: RouteRequest) -> SimulatedResponse:
    """Return the usage of one month, and the tier of each channel."""
    query = parse_query(request.query, {"month": parse_month})
    if isinstance(query, SimulatedResponse):
        return query
    span = query.get("month") or parse_month(month_of(request.now))
    total = _Usage()
    channels: dict[ChannelName, tuple[_Usage, dict[str, int]]] = {name: (_Usage(), {}) for name in _CHANNELS}
    for entry in _counted(state, span.start, span.end):
        channel, units = channels[entry.channel]
        total.add(entry)
        channel.add(entry)
        units[entry.unit] = units.get(entry.unit, 0) + 1
    listed = tuple(
        ChannelUsage(
            channel=name,
            messages=one.messages,
            amount=one.amount,
            reserved=one.reserved,
            units=units,
            tier=state.tier(name, span.name),
        )
        for name, (one, units) in channels.items()
    )
    body = UsageResponse(
        month=span.name,
        currency="EUR",
        messages=total.messages,
        amount=total.amount,
        reserved=total.reserved,
        channels=listed,
    )
    return json_response(body)


def show_detailed_usage(state: AccountState, request: RouteRequest) -> SimulatedResponse:
    """Return the usage of a span of days, in groups."""
    query = parse_query(request.query, {"from": parse_day, "to": parse_day, "group_by": parse_choice(*_GROUPS)})
    if isinstance(query, SimulatedResponse):
        return query
    first = query.get("from") or parse_day(f"{month_of(request.now)}-01")
    last = query.get("to") or TimeSpan("", first.start, max(request.now, first.end))
    if last.end <= first.start:
        return invalid_request([Detail("to", "must not be before from")])
    group: GroupName = query.get("group_by", "day")
    sums: dict[str, _Usage] = {}
    for entry in _counted(state, first.start, last.end):
        sums.setdefault(_GROUPS[group](entry), _Usage()).add(entry)
    rows = tuple(
        UsageGroup(messages=one.messages, amount=one.amount, reserved=one.reserved, **{group: name})
        for name, one in sums.items()
    )
    return json_response(DetailedUsageResponse(currency="EUR", group_by=group, rows=rows))


def show_tiers(state: AccountState, request: RouteRequest) -> SimulatedResponse:
    """Return the price tier of one channel, or of all channels."""
    query = parse_query(request.query, {"channel": parse_choice(*_CHANNELS)})
    if isinstance(query, SimulatedResponse):
        return query
    month = month_of(request.now)
    found = tuple(
        TierResponse(
            channel=name,
            current=CURRENT_TIER,
            volume_used=state.volume(name, month),
            qualification_source="volume",
            months_below=0,
        )
        for name in _CHANNELS
    )
    wanted = next((one for one in found if one.channel == query.get("channel")), None)
    return json_response(wanted or TiersResponse(tiers=found))


def list_invoices(state: AccountState, request: RouteRequest) -> SimulatedResponse:
    """List one invoice for each month with charges, newest first; that of the current month is open."""
    current = month_of(request.now)
    invoices = tuple(
        InvoiceResponse(
            id=f"inv_{month}",
            month=month,
            amount=float(amount),
            currency="EUR",
            status="open" if month == current else "paid",
            pdf_url=None,
        )
        for month, amount in sorted(state.wallet.ledger.charged_by_month.items(), reverse=True)
    )
    return json_response(InvoicesResponse(invoices=invoices))


def _counted(state: AccountState, start: float, end: float) -> Iterator[LogEntry]:
    for entry in state.log.entries():
        sent = entry.direction == "OUTBOUND" and entry.sender != TEST_AGENT.agent_id
        if sent and entry.status not in NOT_DELIVERED and start <= entry.created_at < end:
            yield entry
