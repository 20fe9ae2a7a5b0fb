"""What a message costs, the hold for it, and what a falling balance causes: an event, and an automatic reload."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final, final

from attrs import evolve, frozen

from ...messages import unit
from ...messages.models import Email, Message
from ..http.responses import SimulatedResponse, error_response, format_time
from ..model.billing import next_midnight
from ..model.messages import ChannelName
from ..model.state import AccountState, ReloadRetry

MAX_BALANCE: Final = Decimal(5000)
"""The highest balance in EUR that a top-up may reach."""
TOPUP_URL: Final = "https://app.arowana.app/billing"
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
    return Charge(channel, name, state.prices.price_of(channel, name), {})


def insufficient_balance(balance: Mapping[str, float], required: Decimal) -> SimulatedResponse:
    """Return a 402 response: the *balance* does not cover the *required* amount."""
    message = "The free balance does not cover this message."
    fields = {"details": [], "balance": balance, "required_amount": float(required), "topup_url": TOPUP_URL}
    return error_response(402, "insufficient_balance", message, **fields)


def newsletter_cap_reached(now: float) -> SimulatedResponse:
    """Return a 429 response: the recipient has received a newsletter of this agent today."""
    message = "The recipient had a newsletter of this agent today."
    return error_response(429, "newsletter_daily_cap", message, retry_after=round(next_midnight(now) - now, 3))


def hold(state: AccountState, message_id: str, amount: Decimal, now: float) -> None:
    """Reserve *amount*, which must be free, for a message; emit `billing.balance_low` and reload if needed."""
    before = state.wallet.free
    state.wallet.hold(message_id, amount)
    threshold = state.payments.low_balance_threshold
    if threshold is not None and state.wallet.free < threshold <= before:
        data = {"balance": state.wallet.to_json(), "threshold": float(threshold), "currency": "EUR"}
        state.emit_event("billing.balance_low", now, data)
    reload_if_low(state, now)


def fits_balance(state: AccountState, amount: Decimal) -> bool:
    """Return whether the balance stays within its maximum if *amount* is added."""
    return state.wallet.total + amount <= MAX_BALANCE


def reload_if_low(state: AccountState, now: float) -> None:
    """Top up the balance if this is enabled and the balance is below the trigger (docs: /api/billing)."""
    payments, wallet = state.payments, state.wallet
    trigger, amount = payments.auto_reload.trigger_threshold, payments.auto_reload.reload_amount
    if trigger is None or amount is None or not payments.auto_reload.enabled or wallet.free >= trigger:
        return
    if not payments.may_reload(now) or not fits_balance(state, amount):
        return
    method = payments.reload_method()
    reason = "payment_method_missing" if method is None else method.failure
    payments.count_reload(now, failed=reason is not None)
    if method is None or reason is not None:
        failed = {"attempted_amount": float(amount), "currency": "EUR", "failure_reason": reason}
        times = {"balance": wallet.to_json(), "failed_at": format_time(now)}
        state.emit_event("billing.auto_reload_failed", now, {**failed, **times})
        if payments.retry_at is not None:
            state.schedule.add(ReloadRetry(), payments.retry_at)
        return
    wallet.add(amount, now, "topup")
    added = {"amount_added": float(amount), "currency": "EUR", "payment_method": method.type}
    times = {"balance": wallet.to_json(), "reloaded_at": format_time(now)}
    state.emit_event("billing.auto_reload_success", now, {**added, **times})


def retry_reload(state: AccountState, now: float) -> None:
    """Retry a failed reload, unless its failure was reset or it has failed again since."""
    retry_at = state.payments.retry_at
    if retry_at is not None and retry_at <= now:
        reload_if_low(state, now)
