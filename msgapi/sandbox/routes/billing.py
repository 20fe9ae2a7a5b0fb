"""The routes of the balance, its top-ups and its transactions (docs: /api/billing)."""

from datetime import datetime
from typing import Final, final

from attrs import frozen

from ...billing import Alert, AutoReload
from ...billing.models import ALERT, AUTO_RELOAD, TOP_UP, NewTopUp
from ...results import Balance, Detail
from ...schema.requests import Schema
from ...schema.validators import one_of
from ..http.requests import (
    MAX_PAGE_SIZE,
    PAGE_SIZE,
    RouteRequest,
    format_cursor,
    parse_body,
    parse_cursor,
    parse_day,
    parse_integer,
    parse_query,
)
from ..http.responses import (
    SimulatedResponse,
    created,
    details_to_json,
    error_response,
    invalid_request,
    json_response,
    not_found,
    to_datetime,
)
from ..model.billing import (
    PAYMENT_FAILURES,
    Currency,
    LedgerTransaction,
    PaymentType,
    StoredPaymentMethod,
    TransactionType,
)
from ..model.state import AccountState
from ..rules.account import MAX_BALANCE, fits_balance, reload_if_low


@final
@frozen(kw_only=True)
class NewPaymentMethod:
    """A payment method that is added. Its other fields are ignored."""

    type: PaymentType


@final
@frozen(kw_only=True)
class TopUpResponse:
    """A successful top-up."""

    id: str
    status: str
    amount: float
    currency: Currency
    payment_method_id: str | None
    balance: Balance
    created_at: datetime


@final
@frozen(kw_only=True)
class PaymentMethodResponse:
    """A payment method."""

    id: str
    type: PaymentType
    created_at: datetime


@final
@frozen(kw_only=True)
class PaymentMethodsResponse:
    """All payment methods."""

    payment_methods: tuple[PaymentMethodResponse, ...]


@final
@frozen(kw_only=True)
class AutoReloadResponse:
    """The setting of the automatic reload."""

    enabled: bool
    trigger_threshold: float | None
    reload_amount: float | None


@final
@frozen(kw_only=True)
class AlertResponse:
    """The threshold of the event for a low balance."""

    low_balance_threshold: float


@final
@frozen(kw_only=True)
class TransactionResponse:
    """One transaction."""

    id: str
    type: TransactionType
    amount: float
    currency: Currency
    message_id: str | None
    created_at: datetime


@final
@frozen(kw_only=True)
class TransactionsResponse:
    """One page of transactions."""

    transactions: tuple[TransactionResponse, ...]
    next_cursor: str | None


_METHOD: Final = Schema(NewPaymentMethod, {"type": one_of(PaymentType)})


def show_balance(state: AccountState, _: RouteRequest) -> SimulatedResponse:
    """Return the balance."""
    return json_response(state.wallet.balance)


def top_up(state: AccountState, request: RouteRequest) -> SimulatedResponse:
    """Add to the balance, up to 5,000 EUR."""
    given = parse_body(TOP_UP, NewTopUp, request.fields)
    if isinstance(given, SimulatedResponse):
        return given
    method = state.payments.methods.get(given.payment_method_id or "")
    if method is None and given.payment_method_id is not None:
        return not_found("payment method")
    if method is not None and method.failure is not None:
        message = "The payment failed."
        return error_response(422, "payment_failed", message, details=[], failure_reason=method.failure)
    if not fits_balance(state, given.amount):
        details = details_to_json([Detail("amount", f"would bring the balance above {MAX_BALANCE}")])
        return error_response(422, "balance_limit_exceeded", "The balance cannot be as high.", details=details)
    state.wallet.add(given.amount, request.now, "topup")
    body = TopUpResponse(
        id=state.new_id("top_"),
        status="succeeded",
        amount=float(given.amount),
        currency="EUR",
        payment_method_id=given.payment_method_id,
        balance=state.wallet.balance,
        created_at=to_datetime(request.now),
    )
    return json_response(body)


def list_payment_methods(state: AccountState, _: RouteRequest) -> SimulatedResponse:
    """List the payment methods, oldest first."""
    methods = tuple(_method_response(one) for one in state.payments.methods.values())
    return json_response(PaymentMethodsResponse(payment_methods=methods))


def add_payment_method(state: AccountState, request: RouteRequest) -> SimulatedResponse:
    """Add a card or a SEPA mandate. Only its type counts, and a token that lets its payments fail."""
    given = parse_body(
        _METHOD, NewPaymentMethod, {name: part for name, part in request.fields.items() if name == "type"}
    )
    if isinstance(given, SimulatedResponse):
        return given
    token = request.fields.get("token")
    failure = next((one for one in PAYMENT_FAILURES if one == token), None)
    method = StoredPaymentMethod(id=state.new_id("pm_"), type=given.type, created_at=request.now, failure=failure)
    state.payments.methods[method.id] = method
    state.payments.reset_failures()
    return created(_method_response(method), "/v1/billing/payment-methods")


def show_auto_reload(state: AccountState, _: RouteRequest) -> SimulatedResponse:
    """Return the setting of the automatic reload."""
    return json_response(_auto_reload_response(state.payments.auto_reload))


def set_auto_reload(state: AccountState, request: RouteRequest) -> SimulatedResponse:
    """Set the automatic reload; if the balance is below the trigger already, it is reloaded at once."""
    given = parse_body(AUTO_RELOAD, AutoReload, request.fields)
    if isinstance(given, SimulatedResponse):
        return given
    required = ("trigger_threshold", "reload_amount") if given.enabled else ()
    missing = [Detail(name, "is required") for name in required if getattr(given, name) is None]
    if missing:
        return invalid_request(missing)
    state.payments.auto_reload = given
    state.payments.reset_failures()
    reload_if_low(state, request.now)
    return json_response(_auto_reload_response(given))


def set_alert(state: AccountState, request: RouteRequest) -> SimulatedResponse:
    """Set the threshold of the event for a low balance."""
    given = parse_body(ALERT, Alert, request.fields)
    if isinstance(given, SimulatedResponse):
        return given
    state.payments.low_balance_threshold = given.low_balance_threshold
    return json_response(AlertResponse(low_balance_threshold=float(given.low_balance_threshold)))


def list_transactions(state: AccountState, request: RouteRequest) -> SimulatedResponse:
    """List one page of transactions, newest first."""
    query = parse_query(
        request.query,
        {
            "cursor": parse_cursor,
            "limit": parse_integer(1, MAX_PAGE_SIZE, digits=3),
            "from": parse_day,
            "to": parse_day,
        },
    )
    if isinstance(query, SimulatedResponse):
        return query
    page: list[LedgerTransaction] = []
    more = False
    for one in state.wallet.ledger.newest_first(before=query.get("cursor")):
        if ("from" in query and one.at < query["from"].start) or ("to" in query and one.at >= query["to"].end):
            continue
        if len(page) == query.get("limit", PAGE_SIZE):
            more = True
            break
        page.append(one)
    body = TransactionsResponse(
        transactions=tuple(_transaction_response(state, one) for one in page),
        next_cursor=format_cursor(page[-1].number) if more else None,
    )
    return json_response(body)


def _method_response(method: StoredPaymentMethod) -> PaymentMethodResponse:
    return PaymentMethodResponse(id=method.id, type=method.type, created_at=to_datetime(method.created_at))


def _auto_reload_response(setting: AutoReload) -> AutoReloadResponse:
    trigger, amount = setting.trigger_threshold, setting.reload_amount
    return AutoReloadResponse(
        enabled=setting.enabled,
        trigger_threshold=None if trigger is None else float(trigger),
        reload_amount=None if amount is None else float(amount),
    )


def _transaction_response(state: AccountState, transaction: LedgerTransaction) -> TransactionResponse:
    return TransactionResponse(
        id=state.derive_id("txn_", f"{transaction.number}"),
        type=transaction.type,
        amount=float(transaction.amount),
        currency="EUR",
        message_id=transaction.message_id,
        created_at=to_datetime(transaction.at),
    )
