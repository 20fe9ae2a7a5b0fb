"""Figures: the bodies with which the sandbox answers where the docs show none, and the client keeps what comes."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal, TypeAlias, final

from attrs import frozen

from ...messages import Tier
from ...results import Balance

Currency: TypeAlias = Literal["EUR"]
ChannelName: TypeAlias = Literal["RCS", "EMAIL"]


@final
@frozen(kw_only=True)
class ChannelUsage:
    """What the messages of one month on one channel came to, and how many there were of each unit."""

    channel: ChannelName
    messages: int
    amount: float
    reserved: float
    units: Mapping[str, int]
    tier: Tier


@final
@frozen(kw_only=True)
class Usage:
    """What the messages of one month came to."""

    month: str
    currency: Currency
    messages: int
    amount: float
    reserved: float
    channels: tuple[ChannelUsage, ...]


@final
@frozen(kw_only=True)
class UsageRow:
    """What the messages of one group came to; the group stands under its own name."""

    messages: int
    amount: float
    reserved: float
    day: str = ""
    channel: str = ""
    message_type: str = ""
    unit: str = ""


@final
@frozen(kw_only=True)
class DetailedUsage:
    """What the messages of some days came to, in groups."""

    currency: Currency
    group_by: Literal["day", "channel", "message_type", "unit"]
    rows: tuple[UsageRow, ...]


@final
@frozen(kw_only=True)
class TierStanding:
    """The price tier of one channel."""

    channel: ChannelName
    current: str
    volume_used: int
    qualification_source: str
    months_below: int


@final
@frozen(kw_only=True)
class Tiers:
    """The price tiers of all channels."""

    tiers: tuple[TierStanding, ...]


@final
@frozen(kw_only=True)
class ToppedUp:
    """A top-up that succeeded."""

    id: str
    status: str
    amount: float
    currency: Currency
    payment_method_id: str | None
    balance: Balance
    created_at: datetime


@final
@frozen(kw_only=True)
class AddedMethod:
    """A payment method."""

    id: str
    type: Literal["credit_card", "sepa"]
    created_at: datetime


@final
@frozen(kw_only=True)
class AddedMethods:
    """All payment methods."""

    payment_methods: tuple[AddedMethod, ...]


@final
@frozen(kw_only=True)
class SavedReload:
    """How the balance is topped up by itself."""

    enabled: bool
    trigger_threshold: float | None
    reload_amount: float | None


@final
@frozen(kw_only=True)
class SavedAlert:
    """When a low balance is told."""

    low_balance_threshold: float


@final
@frozen(kw_only=True)
class LedgerEntry:
    """One transaction."""

    id: str
    type: Literal["charge", "topup", "release", "credit"]
    amount: float
    currency: Currency
    message_id: str | None
    created_at: datetime


@final
@frozen(kw_only=True)
class LedgerPage:
    """One page of transactions."""

    transactions: tuple[LedgerEntry, ...]
    next_cursor: str | None


@final
@frozen(kw_only=True)
class MonthlyInvoice:
    """What one month came to."""

    id: str
    month: str
    amount: float
    currency: Currency
    status: Literal["open", "paid"]
    pdf_url: str | None


@final
@frozen(kw_only=True)
class MonthlyInvoices:
    """All invoices."""

    invoices: tuple[MonthlyInvoice, ...]


@final
@frozen(kw_only=True)
class Executions:
    """How many executions a run has, and how many of them are how far."""

    total: int
    completed: int
    pending: int
    failed: int


@final
@frozen(kw_only=True)
class CampaignStanding:
    """How far a campaign is; *run_id* is None before its first run."""

    campaign_id: str
    status: str
    run_id: str | None
    executions: Executions


@final
@frozen(kw_only=True)
class CodeSent:
    """A code went to this number."""

    phone: str
    status: Literal["code_sent"]


@final
@frozen(kw_only=True)
class TrialStanding:
    """How it stands with the test agent."""

    agent_id: str
    phone: str | None
    verified: bool
    sends_used: int
    sends_remaining: int


@final
@frozen(kw_only=True)
class Success:
    """It was done."""

    success: bool


@final
@frozen(kw_only=True)
class Tested:
    """A made-up event is on its way."""

    success: bool
    event_id: str
    event: str
