"""Charges: which unit a message is, what it costs now, and whether its rules allow it."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final, final

from attrs import evolve, frozen

from ...messages import unit
from ...messages.models import Email, Message
from ..http.responses import Reply, refuse
from ..model.sessions import next_day
from ..model.state import State
from .reloads import reload

FREE: Final = Decimal(0)
TOPUP_URL: Final = "https://app.arowana.app/billing"


@final
@frozen
class Charge:
    """What a message costs: its *unit*, its *price*, and *more* to say about it in `billing`.

    The hold is the price, or nothing if the session or the month is paid for. What *counts* is one more
    message in the month's tier.
    """

    channel: str
    unit: str
    price: Decimal
    more: Mapping[str, bool]
    counts: bool = True


def charge(state: State, message: Message, now: float) -> Charge | Reply:
    """Tell what *message* costs at *now*, or refuse it for want of a session, for the day cap or for money.

    Before it is refused for want of money, a reload is tried.
    """
    found = price(state, message, now)
    if isinstance(found, Charge) and found.price > state.purse.free:
        reload(state, now)
        if found.price > state.purse.free:
            return short(state.purse.figures(), found.price)
    return found


def short(balance: Mapping[str, float], required: Decimal) -> Reply:
    """Refuse a message that needs a hold of *required* where the *balance* does not give it."""
    said = "The free balance does not cover this message."
    more = {"details": [], "balance": balance, "required_amount": float(required), "topup_url": TOPUP_URL}
    return refuse(402, "insufficient_balance", said, **more)


def list_price(state: State, message: Message) -> Charge:
    """Tell what *message* costs where nothing is paid for yet."""
    channel, name = "EMAIL" if isinstance(message, Email) else "RCS", unit(message)
    return Charge(channel, name, state.prices.of(channel, name), {})


def price(state: State, message: Message, now: float) -> Charge | Reply:
    """Tell what *message* costs at *now*, whatever there is, or refuse it for want of a session or for the day cap."""
    full = list_price(state, message)
    if isinstance(message, Email) or message.message_type == "MESSAGE":
        return full
    pair = (message.agent_id, message.to)
    if message.message_type == "CONVERSATION":
        session = state.sessions.find(pair, now)
        if session is None:
            return refuse(422, "no_active_session", "The recipient has no open session.", details=[])
        return evolve(full, price=FREE if session.paid_by else full.price, more={"in_session": True})
    if state.newsletters.capped(pair, now):
        return capped(now)
    paid = state.newsletters.paid(pair, now)
    counts = not state.newsletters.counted(pair, now)
    return evolve(full, price=FREE if paid else full.price, more={"mau_charged": not paid}, counts=counts)


def capped(now: float) -> Reply:
    """Refuse a second newsletter to the same recipient on the same day."""
    said = "The recipient had a newsletter of this agent today."
    return refuse(429, "newsletter_daily_cap", said, retry_after=round(next_day(now) - now, 3))
