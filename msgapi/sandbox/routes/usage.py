"""The routes of what was sent and charged in a span of time: usage, price tiers and invoices (docs: /api/billing)."""

from collections.abc import Callable, Mapping
from typing import Final, Literal, TypeAlias, final

from attrs import frozen

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
from ..model.billing import Currency, month_of, next_midnight
from ..model.messages import ChannelName, Usage, UsageKey
from ..model.state import CURRENT_TIER, AccountState

GroupName: TypeAlias = Literal["day", "channel", "message_type", "unit"]
_CHANNELS: Final[tuple[ChannelName, ...]] = ("RCS", "EMAIL")
_GROUPS: Final[Mapping[GroupName, Callable[[UsageKey], str]]] = {
    "day": lambda key: format_time(key.day)[:10],
    "channel": lambda key: key.channel,
    "message_type": lambda key: key.message_type,
    "unit": lambda key: key.unit,
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


def show_usage(state: AccountState, request: RouteRequest) -> SimulatedResponse:
    """Return the usage of one month, and the tier of each channel."""
    query = parse_query(request.query, {"month": parse_month})
    if isinstance(query, SimulatedResponse):
        return query
    span = query.get("month") or parse_month(month_of(request.now))
    used = _used_between(state, span.start, span.end)
    total = sum(used.values(), Usage())
    body = UsageResponse(
        month=span.name,
        currency="EUR",
        messages=total.messages,
        amount=float(total.charged),
        reserved=float(total.held),
        channels=tuple(_channel_usage(name, used, state.tier(name, span.name)) for name in _CHANNELS),
    )
    return json_response(body)


def show_detailed_usage(state: AccountState, request: RouteRequest) -> SimulatedResponse:
    """Return the usage of a span of days, in groups."""
    query = parse_query(request.query, {"from": parse_day, "to": parse_day, "group_by": parse_choice(*_GROUPS)})
    if isinstance(query, SimulatedResponse):
        return query
    first = query.get("from") or parse_day(f"{month_of(request.now)}-01")
    last = query.get("to") or TimeSpan("", first.start, max(next_midnight(request.now), first.end))
    if last.end <= first.start:
        return invalid_request([Detail("to", "must not be before from")])
    group: GroupName = query.get("group_by", "day")
    sums: dict[str, Usage] = {}
    for key, one in _used_between(state, first.start, last.end).items():
        name = _GROUPS[group](key)
        sums[name] = sums.get(name, Usage()) + one
    rows = tuple(
        UsageGroup(messages=one.messages, amount=float(one.charged), reserved=float(one.held), **{group: name})
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


def _used_between(state: AccountState, start: float, end: float) -> Mapping[UsageKey, Usage]:
    return {key: one for key, one in state.log.usage().items() if start <= key.day < end}


def _channel_usage(channel: ChannelName, used: Mapping[UsageKey, Usage], tier: Tier) -> ChannelUsage:
    found = {key: one for key, one in used.items() if key.channel == channel}
    total = sum(found.values(), Usage())
    units: dict[str, int] = {}
    for key, one in found.items():
        units[key.unit] = units.get(key.unit, 0) + one.messages
    return ChannelUsage(
        channel=channel,
        messages=total.messages,
        amount=float(total.charged),
        reserved=float(total.held),
        units=units,
        tier=tier,
    )
