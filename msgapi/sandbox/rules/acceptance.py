"""Whether a message may be sent, what it costs, and what its acceptance changes: hold, log, tier and schedule.

The 24 h session of a conversation and the daily cap of newsletters are checked with the price, which depends on both.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final, assert_never, final

from attrs import evolve, frozen

from ...codegen import constructor
from ...messages import USE_CASES, unit
from ...messages.models import Carousel, Email, Message, Rcs, RichCard, Text
from ...results import Detail
from ..http.requests import RouteRequest
from ..http.responses import (
    SimulatedResponse,
    compact,
    details_to_json,
    error_response,
    format_time,
    json_response,
    not_found,
)
from ..model.agents import SandboxAgent
from ..model.billing import month_of, next_midnight
from ..model.faults import parse_ttl
from ..model.messages import ChannelName, EmailChannel, LogEntry
from ..model.state import CURRENT_TIER, AccountState
from .account import hold, reload_if_low
from .lifecycle import queue

TOPUP_URL: Final = "https://app.arowana.app/billing"
_QUEUED: Final = ("queued",)
FREE: Final = Decimal(0)


@final
@frozen
class Charge:
    """What a message costs: its *unit*, its *price*, and *more* fields of `billing`.

    The price is 0 if the session or the month is paid for. If *counts* is True, the message adds to the month's tier.
    """

    channel: ChannelName
    unit: str
    price: Decimal
    more: Mapping[str, bool]
    counts: bool = True


_new_charge: Final = constructor(Charge)


def find_sender(state: AccountState, message: Message) -> SandboxAgent | EmailChannel | SimulatedResponse:
    """Return the agent or the email channel of *message*, or the error response if it may not send it."""
    return _find_channel(state, message) if isinstance(message, Email) else _find_agent(state, message)


def check_recipient(state: AccountState, message: Message) -> SimulatedResponse | None:
    """Return the error response for a suppressed recipient, or for a newsletter without consent; else None."""
    contacts = state.contacts.find_by_recipient(message.to)
    if any(one.is_suppressed for one in contacts):
        return error_response(422, "recipient_suppressed", "The recipient is suppressed.", details=[])
    if message.message_type != "NEWSLETTER":
        return None
    channel = "EMAIL" if isinstance(message, Email) else "RCS"
    if any(one.consents_to(channel, "NEWSLETTER") for one in contacts):
        return None
    text = "The recipient has not consented to newsletters by this channel."
    return error_response(422, "consent_missing", text, details=[])


def charge_for(state: AccountState, message: Message, now: float) -> Charge | SimulatedResponse:
    """Return what *message* costs, or an error response: no session, newsletter already sent today, or no money.

    If the balance is too low, a reload is tried first.
    """
    found = price_of(state, message, now)
    if isinstance(found, Charge) and found.price > state.wallet.free:
        reload_if_low(state, now)
        if found.price > state.wallet.free:
            return insufficient_balance(state.wallet.to_json(), found.price)
    return found


def price_of(state: AccountState, message: Message, now: float) -> Charge | SimulatedResponse:
    """Return what *message* costs whatever the balance is, or an error response."""
    full = list_price(state, message)
    if isinstance(message, Email) or message.message_type == "MESSAGE":
        return full
    pair = (message.agent_id, message.to)
    if message.message_type == "CONVERSATION":
        session = state.sessions.find(pair, now)
        if session is None:
            return error_response(422, "no_active_session", "The recipient has no open session.", details=[])
        return evolve(full, price=FREE if session.paid_by else full.price, more={"in_session": True})
    if state.newsletters.sent_today(pair, now):
        return newsletter_cap_reached(now)
    paid = state.newsletters.is_paid(pair, now)
    counts = not state.newsletters.is_counted(pair, now)
    return evolve(full, price=FREE if paid else full.price, more={"mau_charged": not paid}, counts=counts)


def list_price(state: AccountState, message: Message) -> Charge:
    """Return what *message* costs if nothing is paid for yet."""
    channel: ChannelName = "EMAIL" if isinstance(message, Email) else "RCS"
    name = unit(message)
    return _new_charge(channel, name, state.prices.price_of(channel, name), {})


def insufficient_balance(balance: Mapping[str, float], required: Decimal) -> SimulatedResponse:
    """Return a 402 response: the *balance* does not cover the *required* amount."""
    message = "The free balance does not cover this message."
    fields = {"details": [], "balance": balance, "required_amount": float(required), "topup_url": TOPUP_URL}
    return error_response(402, "insufficient_balance", message, **fields)


def newsletter_cap_reached(now: float) -> SimulatedResponse:
    """Return a 429 response: the recipient has received a newsletter of this agent today."""
    message = "The recipient had a newsletter of this agent today."
    return error_response(429, "newsletter_daily_cap", message, retry_after=round(next_midnight(now) - now, 3))


def accept(
    state: AccountState, request: RouteRequest, message: Message, charge: Charge, *, channel_id: str
) -> SimulatedResponse:
    """Accept a valid message: hold its price, add it to the log, and schedule its delivery."""
    now, entry = request.now, _create_entry(state, request, message, charge, channel_id=channel_id)
    pair = (entry.sender, entry.to)
    hold(state, entry.id, charge.price, now)
    queue(state, entry, None if isinstance(message, Email) else parse_ttl(message.ttl))
    if entry.message_type == "CONVERSATION":
        state.sessions.pay(pair, entry.id)
    if entry.channel == "RCS" and entry.message_type == "NEWSLETTER":
        state.newsletters.count(pair, entry.id, now)
    if charge.counts:
        state.count_volume(charge.channel, month_of(now))
    billing = {
        "channel": charge.channel,
        "message_type": charge.unit,
        "hold_amount": float(charge.price),
        "message_price": float(charge.price),
        "balance": state.wallet.to_json(),
        "tier": {
            "channel": charge.channel,
            "current": CURRENT_TIER,
            "volume_used": state.volume(charge.channel, month_of(now)),
        },
        **charge.more,
    }
    created_at = format_time(now)
    return json_response({"message_id": entry.id, "status": "queued", "created_at": created_at, "billing": billing})


def _find_agent(state: AccountState, message: Rcs) -> SandboxAgent | SimulatedResponse:
    agent = state.agents.sender(message.agent_id)
    if agent is None:
        return not_found("agent")
    if agent.status != "APPROVED":
        return error_response(403, "agent_not_approved", "The agent is not approved.", agent_status=agent.status)
    if not agent.launched:
        return error_response(403, "agent_not_launched", "The agent is not launched on any carrier.")
    allowed = USE_CASES[agent.use_case]
    for name, value, values in (
        ("message_type", message.message_type, allowed.message_types),
        ("traffic_type", message.traffic_type, allowed.traffic_types),
    ):
        if value not in values:
            return _not_allowed(name, f"is not allowed for the use case {agent.use_case}")
    if message.message_type == "NEWSLETTER" and not agent.newsletter_enabled:
        return error_response(403, "newsletter_not_enabled", "The agent was created without newsletters.")
    return agent


def _find_channel(state: AccountState, message: Email) -> EmailChannel | SimulatedResponse:
    channel = state.channels.get(message.channel_id)
    if channel is None:
        return not_found("email channel")
    if not channel.verified:
        return error_response(403, "sender_not_verified", "The email channel is not verified.")
    if message.message_type not in channel.message_types:
        return _not_allowed("message_type", "is not allowed on this channel")
    return _check_template(state, message) or channel


def _check_template(state: AccountState, message: Email) -> SimulatedResponse | None:
    if message.template_id is None:
        return None
    template = state.templates.get(message.template_id)
    if template is None:
        return error_response(404, "template_not_found", "There is no such template.")
    if not template.versions:
        return error_response(422, "template_not_published", "The template has no published version.", details=[])
    if message.template_version is not None and message.template_version not in template.versions:
        return error_response(404, "template_not_found", "The template has no such version.")
    if message.subject is None and not template.has_subject:
        return error_response(422, "subject_missing", "Neither message nor template has a subject.", details=[])
    return None


def _not_allowed(field: str, problem: str) -> SimulatedResponse:
    details = details_to_json([Detail(field, problem)])
    return error_response(422, f"{field}_not_allowed", "The sender may not send this.", details=details)


def _create_entry(
    state: AccountState, request: RouteRequest, message: Message, charge: Charge, *, channel_id: str
) -> LogEntry:
    return LogEntry(
        id=state.new_id("msg_"),
        to=message.to,
        sender=message.channel_id if isinstance(message, Email) else message.agent_id,
        channel=charge.channel,
        channel_id=channel_id,
        contact_id=state.contact_id_of(message.to),
        message_type=message.message_type,
        content_type=_content_type(message),
        unit=charge.unit,
        hold=charge.price,
        created_at=request.now,
        idempotency_key=request.key,
        body=compact(request.body),
        event_names=_QUEUED,
        event_times=(request.now,),
        number=state.log.accepted,
    )


def _content_type(message: Message) -> str:
    match message:
        case Email():
            return "TEXT" if message.template_id is None else "TEMPLATE"
        case Text():
            return "INTERACTIVE" if message.suggestions else "TEXT"
        case RichCard():
            return "MEDIA" if message.card.media else "INTERACTIVE"
        case Carousel():
            return "MEDIA" if any(card.media for card in message.cards) else "INTERACTIVE"
        case _:
            assert_never(message)
