"""The account: its numbers and settings, its transactions, agents, campaigns and contacts."""

from datetime import datetime
from itertools import islice
from typing import Final, Literal, final

from attrs import fields, frozen

from ....results import Balance
from ....version import VERSION
from ...http.requests import RouteRequest
from ...http.responses import to_datetime
from ...model.agents import CARRIERS, AgentRecord, CarrierState
from ...model.billing import LedgerTransaction, PriceList, TransactionType
from ...model.campaigns import Campaign
from ...model.contacts import ConsentRecord, ContactRecord
from ...model.faults import DELIVERY_OUTCOMES, FAIL_REASONS, MAGIC_RECIPIENTS
from ...model.state import AccountState, ClockState
from ...rules import controls
from ..state import ClockResponse, clock_response, faults_to_json
from .listing import Query, counted_page, page

_MAX_HOLDS: Final = 200


@final
@frozen(kw_only=True)
class HealthView:
    """The sandbox is running; *time* is that of its clock."""

    status: Literal["ok"]
    version: str
    time: datetime


@final
@frozen(kw_only=True)
class CountsView:
    """How many there are; *dropped* are the messages that the log no longer has."""

    messages: int
    dropped: int
    requests: int
    events: int
    contacts: int


@final
@frozen(kw_only=True)
class RateLimitWindowView:
    """The rate limit of one endpoint class: *limit* requests in *window* seconds, until *reset*."""

    endpoint_class: str
    limit: int
    remaining: int
    reset: datetime
    window: float


@final
@frozen(kw_only=True)
class HoldView:
    """The amount in EUR that is reserved for a message."""

    message_id: str
    amount: float


@final
@frozen(kw_only=True)
class FixedRecipientView:
    """A recipient with a fixed *effect*; it has no phone number or no email address if that is empty."""

    phone: str
    email: str
    effect: str


@final
@frozen(kw_only=True)
class AccountOverview:
    """The account in numbers, its settings, and what a message can be sent to, to see an effect."""

    balance: Balance
    prices: dict[str, float]
    role: str
    counts: CountsView
    rate_limits: tuple[RateLimitWindowView, ...]
    clock: ClockResponse
    faults: dict[str, object]
    holds: tuple[HoldView, ...]
    magic_recipients: tuple[FixedRecipientView, ...]
    delivery_outcomes: tuple[FixedRecipientView, ...]
    fail_reasons: tuple[str, ...]


@final
@frozen(kw_only=True)
class TransactionView:
    """One movement of money, in EUR."""

    number: int
    type: TransactionType
    amount: float
    at: datetime
    message_id: str | None


@final
@frozen(kw_only=True)
class TransactionViews:
    """One page of transactions."""

    data: tuple[TransactionView, ...]
    next_cursor: str | None


@final
@frozen(kw_only=True)
class CarrierView:
    """The launch of an agent on one carrier."""

    carrier: str
    status: str
    reason: str | None
    launched_at: datetime | None


@final
@frozen(kw_only=True)
class AgentView:
    """An agent with its review and its launch; it is *launched* if it is on any carrier."""

    agent_id: str
    channel_id: str
    display_name: str
    status: str
    region: str
    use_case: str
    billing_category: str
    newsletter_enabled: bool
    rejection_reason: str | None
    launched: bool
    carriers: tuple[CarrierView, ...]


@final
@frozen(kw_only=True)
class AgentViews:
    """One page of agents."""

    data: tuple[AgentView, ...]
    next_cursor: str | None


@final
@frozen(kw_only=True)
class CampaignView:
    """A campaign and the progress of its last run: *done* of *total* executions, of which *failed* have failed."""

    campaign_id: str
    status: str
    total: int
    done: int
    failed: int
    by_api: bool
    price: float


@final
@frozen(kw_only=True)
class CampaignViews:
    """One page of campaigns."""

    data: tuple[CampaignView, ...]
    next_cursor: str | None


@final
@frozen(kw_only=True)
class ConsentView:
    """A consent record of a contact."""

    id: str
    channel: str
    message_type: str
    status: str
    source: str
    doi_status: str | None
    granted_at: datetime | None
    revoked_at: datetime | None
    created_at: datetime


@final
@frozen(kw_only=True)
class ContactView:
    """A contact with its consent records; no message may be sent to it if it is *suppressed*."""

    id: str
    external_id: str | None
    email: str | None
    phone: str | None
    first_name: str | None
    last_name: str | None
    status: str
    source: str
    tags: tuple[str, ...]
    custom_fields: dict[str, object]
    created_at: datetime
    updated_at: datetime
    consents: tuple[ConsentView, ...]
    suppressed: bool


@final
@frozen(kw_only=True)
class ContactViews:
    """One page of contacts."""

    data: tuple[ContactView, ...]
    next_cursor: str | None


def health(_: AccountState, request: RouteRequest, __: Query) -> HealthView:
    """Return that the sandbox is running. It needs no key, and has no rate limit."""
    return HealthView(status="ok", version=VERSION, time=to_datetime(request.now))


def account(state: AccountState, request: RouteRequest, _: Query) -> AccountOverview:
    """Return the account in numbers, its settings, and the recipients with a fixed effect."""
    log, now = state.log, request.now
    limits = state.account.rate_limits(now)
    return AccountOverview(
        balance=state.wallet.balance,
        prices={one.name: float(getattr(state.prices, one.name)) for one in fields(PriceList)},
        role=state.account.role,
        counts=CountsView(
            messages=log.accepted,
            dropped=log.dropped,
            requests=state.account.requests,
            events=len(state.events),
            contacts=len(state.contacts),
        ),
        rate_limits=tuple(
            RateLimitWindowView(
                endpoint_class=one.endpoint_class,
                limit=one.limit,
                remaining=one.remaining,
                reset=to_datetime(one.reset),
                window=one.window,
            )
            for one in limits
        ),
        clock=clock_response(ClockState(time=now) if state.owner is None else state.owner.clock_state),
        faults=faults_to_json(controls.faults(state)),
        holds=tuple(
            HoldView(message_id=name, amount=float(amount))
            for name, amount in islice(state.wallet.holds.items(), _MAX_HOLDS)
        ),
        magic_recipients=tuple(
            FixedRecipientView(phone=one.phone, email=one.email, effect=one.effect) for one in MAGIC_RECIPIENTS
        ),
        delivery_outcomes=tuple(
            FixedRecipientView(phone=one.phone, email=one.email, effect=one.effect) for one in DELIVERY_OUTCOMES
        ),
        fail_reasons=FAIL_REASONS,
    )


def transactions(state: AccountState, _: RouteRequest, query: Query) -> TransactionViews:
    """List the transactions, newest first."""
    found = state.wallet.ledger.newest_first(before=query.get("cursor"))
    data, following = page(found, query, _transaction_view)
    return TransactionViews(data=data, next_cursor=following)


def agents(state: AccountState, _: RouteRequest, query: Query) -> AgentViews:
    """List the agents."""
    data, following = counted_page(state.agents, query, _agent_view)
    return AgentViews(data=data, next_cursor=following)


def campaigns(state: AccountState, request: RouteRequest, query: Query) -> CampaignViews:
    """List the campaigns."""
    found = state.campaigns.values()
    data, following = counted_page(found, query, lambda one: _campaign_view(state, one, request.now))
    return CampaignViews(data=data, next_cursor=following)


def contacts(state: AccountState, _: RouteRequest, query: Query) -> ContactViews:
    """List the contacts, oldest first; `search` is a part of a name, an address, an id or a tag."""
    wanted = query.get("search", "").casefold()
    found = (one for one in state.contacts if not wanted or wanted in _searched(one))
    data, following = counted_page(found, query, _contact_view)
    return ContactViews(data=data, next_cursor=following)


def _transaction_view(one: LedgerTransaction) -> TransactionView:
    return TransactionView(
        number=one.number,
        type=one.type,
        amount=float(one.amount),
        at=to_datetime(one.at),
        message_id=one.message_id,
    )


def _agent_view(record: AgentRecord) -> AgentView:
    agent = record.agent
    return AgentView(
        agent_id=agent.agent_id,
        channel_id=agent.channel_id,
        display_name=record.display_name,
        status=agent.status,
        region=record.region,
        use_case=agent.use_case,
        billing_category=record.billing_category,
        newsletter_enabled=agent.newsletter_enabled,
        rejection_reason=record.rejection_reason,
        launched=agent.launched,
        carriers=tuple(_carrier_view(one, record.launches.get(one, CarrierState())) for one in CARRIERS),
    )


def _carrier_view(carrier: str, launch: CarrierState) -> CarrierView:
    at = None if launch.at is None else to_datetime(launch.at)
    return CarrierView(carrier=carrier, status=launch.status, reason=launch.reason, launched_at=at)


def _campaign_view(state: AccountState, campaign: Campaign, now: float) -> CampaignView:
    run = state.run_of(campaign.campaign_id, now)
    return CampaignView(
        campaign_id=campaign.campaign_id,
        status=campaign.status if run is None else run.status,
        total=campaign.executions,
        done=0 if run is None else run.done,
        failed=0 if run is None else run.failed,
        by_api=campaign.by_api,
        price=float(campaign.price),
    )


def _searched(contact: ContactRecord) -> str:
    found = (contact.email, contact.phone, contact.first_name, contact.last_name, contact.external_id, contact.id)
    return "\n".join(one for one in (*found, *contact.tags) if one is not None).casefold()


def _contact_view(contact: ContactRecord) -> ContactView:
    own = {"created_at", "updated_at", "custom_fields", "consents", "suppressed"}
    return ContactView(
        **{one.name: getattr(contact, one.name) for one in fields(ContactView) if one.name not in own},
        custom_fields=dict(contact.custom_fields),
        created_at=to_datetime(contact.created_at),
        updated_at=to_datetime(contact.updated_at),
        consents=tuple(_consent_view(one) for one in contact.consents),
        suppressed=contact.is_suppressed,
    )


def _consent_view(one: ConsentRecord) -> ConsentView:
    return ConsentView(
        id=one.id,
        channel=one.channel_type,
        message_type=one.message_type,
        status=one.status,
        source=one.source,
        doi_status=one.doi_status,
        granted_at=None if one.granted_at is None else to_datetime(one.granted_at),
        revoked_at=None if one.revoked_at is None else to_datetime(one.revoked_at),
        created_at=to_datetime(one.created_at),
    )
