"""What a message costs, the hold for it, and what a falling balance causes: an event, and an automatic reload."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final, final

from attrs import frozen

from ...messages import unit
from ...messages.models import Email, Message
from ..http.responses import SimulatedResponse, error_response, format_time
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
