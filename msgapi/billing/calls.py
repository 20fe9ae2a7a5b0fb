"""Routes: the calls about money (docs: /api/billing)."""

from collections.abc import AsyncIterator, Mapping
from datetime import date
from decimal import Decimal
from typing import Final

from ..calls import Call, Caller, new_key
from ..results import Balance, Result
from ..schema.cursor_pages import PAGE_SIZE, follow_pages
from ..schema.requests import build_call, make_invalid
from ..schema.validators import date_only, json_object, non_empty, prefix_path
from ..schema.validators import month as month_rule
from .models import (
    ALERT,
    AUTO_RELOAD,
    TOP_UP,
    Alert,
    AutoReload,
    Invoices,
    NewTopUp,
    PaymentMethod,
    PaymentMethods,
    Reloading,
    Saved,
    Statement,
    TopUp,
    Transactions,
)

_ROUTE: Final = "/v1/billing"


def balance() -> Call[Balance]:
    """Make the call that reads the balance, in EUR (docs: /api/billing). It may be repeated."""
    return build_call("GET", f"{_ROUTE}/balance", Balance)


def usage(month: str | None = None) -> Call[Statement]:
    """Make the call that reads the sums of a *month* such as `2026-05`, the current one if none is given."""
    return build_call("GET", f"{_ROUTE}/usage", Statement, query={"month": (month_rule, month)})


def detailed_usage(*, since: date, until: date, group_by: str | None = None) -> Call[Statement]:
    """Make the call that reads the usage from *since* to *until*; the docs don't say what *group_by* can be."""
    query = {"from": (date_only, since), "to": (date_only, until), "group_by": (non_empty, group_by)}
    return build_call("GET", f"{_ROUTE}/usage/detailed", Statement, query=query)


def tier(channel: str | None = None) -> Call[Statement]:
    """Make the call that reads the price tier of one *channel*, or of all."""
    return build_call("GET", f"{_ROUTE}/tier", Statement, query={"channel": (non_empty, channel)})


def transactions(
    *, cursor: str | None = None, limit: int | None = None, since: date | None = None, until: date | None = None
) -> Call[Transactions]:
    """Make the call that reads one page of charges, top-ups, releases and credits.

    *cursor* comes from the page before; the docs give *limit* no bounds.
    """
    query = {
        "cursor": (non_empty, cursor),
        "limit": (PAGE_SIZE, limit),
        "from": (date_only, since),
        "to": (date_only, until),
    }
    return build_call("GET", f"{_ROUTE}/transactions", Transactions, query=query)


async def pages(
    api: Caller, *, limit: int | None = None, since: date | None = None, until: date | None = None
) -> AsyncIterator[Result[Transactions]]:
    """Read the transactions page by page to the last; an error is given once, and ends it.

    So does a cursor that leads back to where it came from.
    """
    async for page in follow_pages(api, lambda at: transactions(cursor=at, limit=limit, since=since, until=until)):
        yield page


def invoices(*, cursor: str | None = None, limit: int | None = None) -> Call[Invoices]:
    """Make the call that reads one page of invoices, month by month.

    That they come by *cursor* and *limit*, as transactions do, is how we read the docs, which don't say.
    """
    query = {"cursor": (non_empty, cursor), "limit": (PAGE_SIZE, limit)}
    return build_call("GET", f"{_ROUTE}/invoices", Invoices, query=query)


async def invoice_pages(api: Caller, *, limit: int | None = None) -> AsyncIterator[Result[Invoices]]:
    """Read the invoices page by page to the last, as `pages` does the transactions."""
    async for page in follow_pages(api, lambda at: invoices(cursor=at, limit=limit)):
        yield page


def payment_methods() -> Call[PaymentMethods]:
    """Make the call that lists the payment methods."""
    return build_call("GET", f"{_ROUTE}/payment-methods", PaymentMethods)


def add_payment_method(given: Mapping[str, object]) -> Call[PaymentMethod]:
    """Make the call that adds a card or a SEPA mandate; never repeated by itself.

    The docs name the route, but nothing of what it takes: *given* goes out as it is, as JSON.
    """
    path, details = f"{_ROUTE}/payment-methods", tuple(prefix_path("", json_object(given)))
    if details:
        return Call("POST", path, PaymentMethod, invalid=make_invalid(details))
    return build_call("POST", path, PaymentMethod, body=dict(given))


def top_up(amount: Decimal, *, payment_method_id: str | None = None, idempotency_key: str | None = None) -> Call[TopUp]:
    """Make the call that adds *amount* EUR to the balance, 10 or more, up to a balance of 5,000.

    The *idempotency_key*, a fresh UUID if none is given, is fixed here: awaiting the call again is the
    same top-up.
    """
    body = NewTopUp(amount=amount, payment_method_id=payment_method_id)
    name = new_key() if idempotency_key is None else idempotency_key
    return build_call("POST", f"{_ROUTE}/topup", TopUp, body=body, schema=TOP_UP, idempotency_key=name)


def auto_reload() -> Call[Reloading]:
    """Make the call that reads how the balance is topped up by itself."""
    return build_call("GET", f"{_ROUTE}/auto-reload", Reloading)


def set_auto_reload(setting: AutoReload) -> Call[Saved]:
    """Make the call that sets how the balance is topped up by itself. It may be repeated."""
    return build_call("PUT", f"{_ROUTE}/auto-reload", Saved, body=setting, schema=AUTO_RELOAD)


def set_alert(setting: Alert) -> Call[Saved]:
    """Make the call that sets when a low balance is told. It may be repeated."""
    return build_call("PUT", f"{_ROUTE}/alerts", Saved, body=setting, schema=ALERT)
