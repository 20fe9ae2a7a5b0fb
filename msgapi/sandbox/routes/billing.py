"""Top-ups: the routes that bring money in, or say when it is to come by itself (docs: /api/billing)."""

from typing import Literal, TypeAlias, final

from attrs import frozen

from ...billing import Alert, AutoReload
from ...billing.models import ALERT, AUTO_RELOAD, TOP_UP, NewTopUp
from ...codec import plain
from ...forms import Form
from ...results import Detail
from ...rules import one_of
from ..http.intake import take
from ..http.responses import Reply, invalid, iso, made, refuse, say, written
from ..model.billing import FAILURES, Method
from ..model.state import Ask, State
from ..rules.reloads import MOST, fits, reload

Type: TypeAlias = Literal["credit_card", "sepa"]


@final
@frozen(kw_only=True)
class NewMethod:
    """A payment method that is added; of what else is said of it nothing counts."""

    type: Type


_METHOD = Form(NewMethod, {"type": one_of(Type)})


def top_up(state: State, ask: Ask) -> Reply:
    """Add to the balance, up to 5,000 EUR."""
    given = take(TOP_UP, NewTopUp, ask.value)
    if isinstance(given, Reply):
        return given
    method = state.payments.methods.get(given.payment_method_id or "")
    if method is None and given.payment_method_id is not None:
        return refuse(404, "not_found", "There is no such payment method.")
    if method is not None and method.fails is not None:
        return refuse(422, "payment_failed", "The payment failed.", details=[], failure_reason=method.fails)
    if not fits(state, given.amount):
        details = written([Detail("amount", f"would bring the balance above {MOST}")])
        return refuse(422, "balance_limit_exceeded", "The balance cannot be as high.", details=details)
    state.purse.add(given.amount, ask.now, "topup")
    said = {
        "id": state.new_id("top_"),
        "status": "succeeded",
        "amount": float(given.amount),
        "currency": given.currency,
        "payment_method_id": given.payment_method_id,
        "balance": state.purse.figures(),
        "created_at": iso(ask.now),
    }
    return say(said)


def list_methods(state: State, _: Ask) -> Reply:
    """List the payment methods, the oldest first."""
    return say({"payment_methods": [one.figures() for one in state.payments.methods.values()]})


def add_method(state: State, ask: Ask) -> Reply:
    """Add a card or a SEPA mandate. Of what is given only the type counts, and a token that brings bad luck."""
    given = take(_METHOD, NewMethod, {name: part for name, part in ask.value.items() if name == "type"})
    if isinstance(given, Reply):
        return given
    token = ask.value.get("token")
    fails = next((one for one in FAILURES if one == token), None)
    method = Method(id=state.new_id("pm_"), type=given.type, created_at=ask.now, fails=fails)
    state.payments.methods[method.id] = method
    state.payments.forgive()
    return made(method.figures(), "/v1/billing/payment-methods")


def show_reload(state: State, _: Ask) -> Reply:
    """Show how the balance is topped up by itself."""
    return say(_written(state.payments.reload))


def set_reload(state: State, ask: Ask) -> Reply:
    """Set how the balance is topped up by itself; if it is that low already, it is topped up at once."""
    given = take(AUTO_RELOAD, AutoReload, ask.value)
    if isinstance(given, Reply):
        return given
    needed = ("trigger_threshold", "reload_amount") if given.enabled else ()
    missing = [Detail(name, "is required") for name in needed if getattr(given, name) is None]
    if missing:
        return invalid(missing)
    state.payments.reload = given
    state.payments.forgive()
    reload(state, ask.now)
    return say(_written(given))


def _written(setting: AutoReload) -> dict[str, object]:
    return {"trigger_threshold": None, "reload_amount": None, **plain(setting)}


def set_alert(state: State, ask: Ask) -> Reply:
    """Set when a low balance is told."""
    given = take(ALERT, Alert, ask.value)
    if isinstance(given, Reply):
        return given
    state.payments.threshold = given.low_balance_threshold
    return say({"low_balance_threshold": float(given.low_balance_threshold)})
