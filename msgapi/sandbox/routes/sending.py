"""Sending: `POST /v1/messages`, from the body to the queue."""

from typing import assert_never

from attrs import evolve

from ... import messages
from ...codec import Problems
from ...messages.models import Carousel, Email, Message, RichCard, Text
from ..http.responses import Reply, fit, invalid, iso, refuse, say
from ..model import faults as luck
from ..model.email_channels import Agent
from ..model.endings import seconds
from ..model.messages import Entry
from ..model.sessions import month_of
from ..model.state import Ask, State
from ..rules.acceptance import barred, sender_of
from ..rules.billing import Charge, capped, charge, list_price, short
from ..rules.lifecycle import queue
from ..rules.reloads import hold


def send(state: State, ask: Ask) -> Reply:
    """Validate, classify, hold, and queue (docs: /api/messages/overview)."""
    message = messages.read(ask.value)
    if isinstance(message, Problems):
        return invalid(message.details)
    details = messages.check(message)
    if details:
        return invalid(details)
    sender = sender_of(state, message)
    if isinstance(sender, Reply):
        return sender
    if not isinstance(message, Email) and isinstance(sender, Agent) and sender.agent_id != message.agent_id:
        message = evolve(message, agent_id=sender.agent_id)
    fate = luck.fate_of(message.to)
    refused = (_struck(state, message, ask, fate) if fate else None) or barred(state, message)
    cost = refused or charge(state, message, ask.now)
    if isinstance(cost, Reply):
        return cost
    reply = accept(state, ask, message, cost, channel_id=sender.channel_id)
    return evolve(reply, lost=fate == "lost", delay=state.slow if fate == "slow" else 0.0) if fate else reply


def _struck(state: State, message: Message, ask: Ask, fate: luck.Fate) -> Reply | None:
    if fate.endswith("-once") and not state.chance.first(f"{fate} {message.to} {ask.key}".encode()):
        return None
    match fate:
        case "402":
            reserved = float(state.purse.reserved)
            return short({"free": 0.0, "reserved": reserved, "total": reserved}, list_price(state, message).price)
        case "404" if not isinstance(message, Email):
            return refuse(404, "not_rcs_capable", "The recipient's device cannot receive RCS.")
        case "430":
            return capped(ask.now)
        case _:
            return luck.strike(fate)


def accept(state: State, ask: Ask, message: Message, cost: Charge, *, channel_id: str) -> Reply:
    """Hold the *cost* of a message that nothing is wrong with, enter it into the log and let its life begin."""
    now, entry = ask.now, _entry(state, ask, message, cost, channel_id=channel_id)
    pair = (entry.sender, entry.to)
    hold(state, entry.id, cost.price, now)
    queue(state, entry, None if isinstance(message, Email) else seconds(message.ttl))
    if entry.message_type == "CONVERSATION":
        state.sessions.pay(pair, entry.id)
    if entry.channel == "RCS" and entry.message_type == "NEWSLETTER":
        state.newsletters.count(pair, entry.id, now)
    billing = {
        "channel": cost.channel,
        "message_type": cost.unit,
        "hold_amount": float(cost.price),
        "message_price": float(cost.price),
        "balance": state.purse.figures(),
        "tier": state.tier(cost.channel, month_of(now), more=int(cost.counts)),
        **cost.more,
    }
    return say({"message_id": entry.id, "status": "queued", "created_at": iso(now), "billing": billing})


def _entry(state: State, ask: Ask, message: Message, cost: Charge, *, channel_id: str) -> Entry:
    return Entry(
        id=state.new_id("msg_"),
        to=message.to,
        sender=message.channel_id if isinstance(message, Email) else message.agent_id,
        channel=cost.channel,
        channel_id=channel_id,
        contact_id=state.contact_of(message.to),
        message_type=message.message_type,
        content_type=_content_type(message),
        unit=cost.unit,
        hold=cost.price,
        created_at=ask.now,
        idempotency_key=ask.key,
        body=fit(ask.body),
        events=(("queued", ask.now),),
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
