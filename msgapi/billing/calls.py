"""The calls of billing (docs: /api/billing).

Reads may be repeated. For input of a wrong type or out of range, each function returns a call whose result is
`Invalid` and which is not sent.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from datetime import date
from decimal import Decimal
from typing import Final

from ..calls import Call, Caller, new_key
from ..clock import SYSTEM_CLOCK, Clock
from ..results import ApiError, Balance, Detail, InsufficientBalance, Ok, Result, Unauthorized
from ..schema.cursor_pages import PAGE_SIZE, follow_pages, iterate_rows
from ..schema.free_json import json_object, plain_json
from ..schema.requests import build_call, make_invalid
from ..schema.validators import UNCHECKABLE, date_only, non_empty, problems_of
from ..schema.validators import month as month_rule
from .models import (
    ALERT,
    AUTO_RELOAD,
    TOP_UP,
    Alert,
    AutoReload,
    AutoReloadSettings,
    Invoice,
    Invoices,
    NewTopUp,
    PaymentMethod,
    PaymentMethods,
    SettingSaved,
    TopUp,
    Transaction,
    Transactions,
    UsageReport,
)

_ROUTE: Final = "/v1/billing"


def balance() -> Call[Balance]:
    """Return the call that reads the balance, in EUR (docs: /api/billing). It may be repeated."""
    return build_call("GET", f"{_ROUTE}/balance", Balance)


def usage(month: str | None = None) -> Call[UsageReport]:
    """Return the call that reads the totals of a *month* such as `2026-05`; None stands for the current month.

    Docs: /api/billing. It may be repeated.
    """
    return build_call("GET", f"{_ROUTE}/usage", UsageReport, query={"month": (month_rule, month)})


def detailed_usage(*, since: date, until: date, group_by: str | None = None) -> Call[UsageReport]:
    """Return the call that reads the usage from *since* to *until* (docs: /api/billing).

    The documentation does not list the values of *group_by*. It may be repeated.
    """
    query = {"from": (date_only, since), "to": (date_only, until), "group_by": (non_empty, group_by)}
    return build_call("GET", f"{_ROUTE}/usage/detailed", UsageReport, query=query)


def tier(channel: str | None = None) -> Call[UsageReport]:
    """Return the call that reads the price tier of *channel*, or of all channels if it is None.

    Docs: /api/billing. It may be repeated.
    """
    return build_call("GET", f"{_ROUTE}/tier", UsageReport, query={"channel": (non_empty, channel)})


def transactions(
    *, cursor: str | None = None, limit: int | None = None, since: date | None = None, until: date | None = None
) -> Call[Transactions]:
    """Return the call that reads one page of charges, top-ups, releases and credits (docs: /api/billing).

    *cursor* is the `next_cursor` of the previous page, or None for the first one. The documentation states no bounds
    of *limit*. *since* and *until* are inclusive; None is no bound. It may be repeated.
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
) -> AsyncGenerator[Result[Transactions], None]:
    """Yield the pages of transactions, up to the last one (docs: /api/billing).

    *limit*, *since* and *until* are those of `transactions`.
    An error is yielded once and ends the iteration. If the list may not be whole, the last result is an `Unreadable`
    with the code `incomplete_list`.
    """
    results = follow_pages(
        api, lambda at: transactions(cursor=at, limit=limit, since=since, until=until), "transactions"
    )
    async with aclosing(results):
        async for page in results:
            yield page


async def iterate(
    api: Caller, *, limit: int | None = None, since: date | None = None, until: date | None = None
) -> AsyncGenerator[Transaction | ApiError, None]:
    """Yield the transactions one by one: `async for item in billing.iterate(client)`.

    *limit*, *since* and *until* are those of `transactions`.

    The item is one of these:

    - A `Transaction`.
    - An `Unreadable` with the code `unreadable_row`: one row could not be read, and its fields are in *extra*. The
      iteration continues.
    - Any other error. It is the last item: the list was not read to its end, or may not be whole (`incomplete_list`).
    """
    pages_read = pages(api, limit=limit, since=since, until=until)
    rows = iterate_rows(pages_read, lambda page: page.transactions, "transactions")
    async with aclosing(rows):
        async for row in rows:
            yield row


def invoices(*, cursor: str | None = None, limit: int | None = None) -> Call[Invoices]:
    """Return the call that reads one page of monthly invoices (docs: /api/billing). It may be repeated.

    The documentation does not describe paging here: *cursor* and *limit* are assumed to work as in `transactions`.
    """
    query = {"cursor": (non_empty, cursor), "limit": (PAGE_SIZE, limit)}
    return build_call("GET", f"{_ROUTE}/invoices", Invoices, query=query)


async def invoice_pages(api: Caller, *, limit: int | None = None) -> AsyncGenerator[Result[Invoices], None]:
    """Yield the pages of invoices, up to the last one. *limit* and errors are as in `pages`."""
    results = follow_pages(api, lambda at: invoices(cursor=at, limit=limit), "invoices")
    async with aclosing(results):
        async for page in results:
            yield page


async def iterate_invoices(api: Caller, *, limit: int | None = None) -> AsyncGenerator[Invoice | ApiError, None]:
    """Yield the invoices one by one. *limit* and errors are as in `iterate`."""
    rows = iterate_rows(invoice_pages(api, limit=limit), lambda page: page.invoices, "invoices")
    async with aclosing(rows):
        async for row in rows:
            yield row


def payment_methods() -> Call[PaymentMethods]:
    """Return the call that lists the payment methods (docs: /api/billing). It may be repeated."""
    return build_call("GET", f"{_ROUTE}/payment-methods", PaymentMethods)


def add_payment_method(given: Mapping[str, object]) -> Call[PaymentMethod]:
    """Return the call that adds a card or a SEPA mandate (docs: /api/billing). The client does not repeat it.

    The documentation does not describe the body: *given* is sent unchanged, as a JSON object. A Decimal in it is sent
    as text that keeps its zeros.
    """
    path, details = f"{_ROUTE}/payment-methods", problems_of("", json_object, given)
    body: object = None
    try:
        body = None if details else plain_json(given)
    except Exception:  # noqa: BLE001 - the mapping was another one when it was read again
        details = [Detail("", UNCHECKABLE)]
    if details:
        return Call("POST", path, PaymentMethod, invalid=make_invalid(tuple(details)))
    return build_call("POST", path, PaymentMethod, body=body)


def top_up(
    amount: Decimal,
    *,
    payment_method_id: str | None = None,
    idempotency_key: str | None = None,
    strict: bool = True,
) -> Call[TopUp]:
    """Return the call that adds *amount* EUR to the balance (docs: /api/billing).

    *amount* is at least 10, in whole cents if *strict*; the service accepts a balance of up to 5,000. If
    *payment_method_id* is None, the service chooses the payment method; if *idempotency_key* is None, a new UUID is
    used. The call may be repeated: it is the same top-up each time.
    """
    body = NewTopUp(amount=amount, payment_method_id=payment_method_id)
    key = new_key() if idempotency_key is None else idempotency_key
    return build_call("POST", f"{_ROUTE}/topup", TopUp, body=body, schema=TOP_UP, strict=strict, idempotency_key=key)


def auto_reload() -> Call[AutoReloadSettings]:
    """Return the call that reads the settings of automatic top-ups (docs: /api/billing). It may be repeated."""
    return build_call("GET", f"{_ROUTE}/auto-reload", AutoReloadSettings)


def set_auto_reload(setting: AutoReload, *, strict: bool = True) -> Call[SettingSaved]:
    """Return the call that sets automatic top-ups (docs: /api/billing).

    It has no idempotency key, so it is not repeated automatically once a byte may have been sent.

    Amounts are in whole cents if *strict*.
    """
    return build_call("PUT", f"{_ROUTE}/auto-reload", SettingSaved, body=setting, schema=AUTO_RELOAD, strict=strict)


def set_alert(setting: Alert, *, strict: bool = True) -> Call[SettingSaved]:
    """Return the call that sets the low-balance alert (docs: /api/billing).

    It has no idempotency key, so it is not repeated automatically once a byte may have been sent.

    The threshold is in whole cents if *strict*.
    """
    return build_call("PUT", f"{_ROUTE}/alerts", SettingSaved, body=setting, schema=ALERT, strict=strict)


INTERVAL: Final = 15.0  # seconds between two requests for the balance


async def wait_for_top_up(
    api: Caller,
    error: ApiError | None,
    *,
    clock: Clock = SYSTEM_CLOCK,
    interval: float = INTERVAL,
    polls: int | None = None,
) -> bool:
    """Poll the balance until it covers what *error*, a 402, lacked; return True then.

    The balance covers it if it is higher than at the 402, or than at any poll since, and at least the
    `required_amount`; what the 402 does not state is not required. A failed poll is repeated.

    Args:
        api: The client.
        error: The error of the 402, if there is one.
        clock: The clock.
        interval: Seconds between two polls.
        polls: Return False after this many polls; None for no limit.

    Return False at once if the service refuses the API key (401).
    """
    refused = error if isinstance(error, InsufficientBalance) else InsufficientBalance()
    lowest, needed = None if refused.balance is None else refused.balance.free, refused.required_amount
    while True:
        result = await api(balance())
        if isinstance(result, Unauthorized) and result.scope == "account":
            return False
        free = result.value.free if isinstance(result, Ok) else None
        if free is not None:
            if (lowest is None or free > lowest) and (needed is None or free >= needed):
                return True
            lowest = free if lowest is None else min(lowest, free)
        if polls is not None:
            polls -= 1
            if polls <= 0:
                return False
        await clock.sleep(interval)
