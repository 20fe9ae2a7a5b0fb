"""Reloads: what a balance that falls sets off, a notice and a top-up by itself."""

from decimal import Decimal
from typing import Final

from ..http.responses import iso
from ..model.state import State

MOST: Final = Decimal(5000)
"""The most that the balance may be topped up to, in EUR."""


def hold(state: State, name: str, amount: Decimal, now: float) -> None:
    """Reserve *amount* for the message *name*, which is free, and see what that sets off."""
    before = state.purse.free
    state.purse.hold(name, amount)
    threshold = state.payments.threshold
    if threshold is not None and state.purse.free < threshold <= before:
        data = {"balance": state.purse.figures(), "threshold": float(threshold), "currency": "EUR"}
        state.emit("billing.balance_low", now, data)
    reload(state, now)


def fits(state: State, amount: Decimal) -> bool:
    """Tell whether *amount* may be added to the balance."""
    return state.purse.free + state.purse.reserved + amount <= MOST


def reload(state: State, now: float) -> None:
    """Top the balance up if that is set, and if the balance has fallen low enough (docs: /api/billing)."""
    payments = state.payments
    trigger, amount = payments.reload.trigger_threshold, payments.reload.reload_amount
    if trigger is None or amount is None or not payments.reload.enabled or state.purse.free >= trigger:
        return
    if not payments.may_reload(now) or not fits(state, amount):
        return
    method = payments.method()
    reason = "payment_method_missing" if method is None else method.fails
    payments.count(now, failed=reason is not None)
    if method is None or reason is not None:
        data = {"attempted_amount": float(amount), "currency": "EUR", "failure_reason": reason}
        state.emit("billing.auto_reload_failed", now, {**data, "balance": state.purse.figures(), "failed_at": iso(now)})
        if payments.again_at is not None:
            state.deliveries.retry(payments.again_at)
        return
    state.purse.add(amount, now, "topup")
    data = {"amount_added": float(amount), "currency": "EUR", "payment_method": method.type}
    state.emit("billing.auto_reload_success", now, {**data, "balance": state.purse.figures(), "reloaded_at": iso(now)})


def retry(state: State, now: float) -> None:
    """Try a reload that failed once more, unless it was forgiven or has failed anew since."""
    again = state.payments.again_at
    if again is not None and again <= now:
        reload(state, now)
