"""The commands `msgapi balance` and `msgapi billing`: usage, transactions, invoices, top-ups, reloads and the alert.

Rules:
- What lets money be charged asks for a confirmation. A top-up that is repeated with its key is charged once.
- A list that may not be whole ends with an error and a status other than 0.
"""

from collections.abc import Callable, Iterator
from contextlib import aclosing
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from shlex import quote
from typing import Any, Final, TypeAlias, final

import click
import orjson
from attrs import define, field

from ... import billing, codec
from ...billing import Alert, AutoReload, Invoice, Invoices, PaymentMethods, Transaction, Transactions, UsageReport
from ...calls import Call, Caller
from ...codec.converter import format_time
from ...codec.json import to_plain
from ...results import ApiError, Balance, Ok
from ...schema.cursor_pages import follow_pages, odd_rows
from ..advice import facts
from ..connection import check_call, open_service, report_failure, run_async, run_call
from ..options import (
    amount_callback,
    cursor_option,
    json_option,
    key_option,
    page_size_option,
    sandbox_option,
    since_option,
    until_option,
    yes_option,
)
from ..output import (
    CliError,
    Exit,
    OutputClosed,
    TextTable,
    confirm,
    counted,
    csv_cell,
    csv_line,
    emit,
    emit_json,
    note,
    outline,
    table_of,
    write,
)

Row: TypeAlias = Transaction | Invoice
Page: TypeAlias = Transactions | Invoices

_all_option: Final = click.option("--all", "whole", is_flag=True, help="List all pages.")
_csv_option: Final = click.option("--csv", is_flag=True, help="Print all pages as CSV.")
_threshold_option: Final = click.option(
    "--threshold", callback=amount_callback, metavar="EUR", help="Top up if the balance falls below this."
)
_DEFAULT_METHOD: Final = "the default payment method"


@final
@define(eq=False, kw_only=True)
class Listing:
    """A list of billing: the *name* of the array in each page, the call of one page, and the columns of a row.

    A row of the table has the attributes *columns*; one of the CSV file has the *extra* fields as JSON too. *odd* are
    the rows that cannot be read.
    """

    name: str
    call: Callable[[str | None], Call[Any]]
    columns: tuple[str, ...]
    rows: list[Row] = field(factory=list, init=False)
    odd: list[object] = field(factory=list, init=False)
    pages: int = field(default=0, init=False)
    next_cursor: str | None = field(default=None, init=False)

    def add(self, page: Page) -> None:
        """Add the rows of *page*, also those that cannot be read."""
        self.pages, self.next_cursor = self.pages + 1, page.next_cursor
        self.rows.extend(getattr(page, self.name))
        self.odd.extend(odd_rows(page.extra, self.name))

    def table(self) -> str | TextTable:
        """Return the rows as a table."""
        if not self.rows:
            return f"no {self.name}"
        table = table_of(*(f"#{name}" if name == "amount" else name for name in self.columns))
        for row in self.rows:
            table.add_row(*(_cell(getattr(row, name)) for name in self.columns))
        return table

    def plain(self) -> dict[str, Any]:
        """Return the rows as JSON."""
        rows = [codec.to_dict(row) for row in self.rows] + self.odd
        return {self.name: rows, "next_cursor": self.next_cursor}

    def take_csv(self) -> Iterator[str]:
        """Yield the rows as lines of a CSV file, and remove them. The first page begins with the header."""
        if self.pages == 1:
            yield csv_line([*self.columns, "extra"])
        for row in self.rows:
            extra = {name: value for name, value in row.extra.items() if value is not None}
            cells = [_csv_value(getattr(row, name)) for name in self.columns]
            yield csv_line([*cells, csv_cell(orjson.dumps(to_plain(extra)).decode()) if extra else ""])
        self.rows.clear()


@click.command
@json_option
@sandbox_option
def balance(*, json: bool, sandbox: bool) -> int:
    """Show the prepaid balance."""
    return run_call(billing.balance(), _amounts, json=json, sandbox=sandbox)


def _amounts(found: Balance) -> str:
    amounts = (("free", found.free), ("reserved", found.reserved), ("total", found.total))
    return "\n".join(f"{name:9}{'unknown' if amount is None else f'{amount} EUR'}" for name, amount in amounts)


@click.command
@click.option("--month", metavar="YYYY-MM", help="Show this month (default: the current one).")
@since_option
@until_option
@click.option("--group-by", metavar="NAME", help="With --since and --until: how the service groups the usage.")
@json_option
@sandbox_option
def usage(
    *, month: str | None, since: date | None, until: date | None, group_by: str | None, json: bool, sandbox: bool
) -> int:
    """Show the usage of a month, or of a span of days.

    \b
      msgapi billing usage --month 2026-05
      msgapi billing usage --since 2026-05-01 --until 2026-05-07 --group-by day
    """  # noqa: D301 - \b is click's own
    if since is None and until is None and group_by is None:
        return run_call(billing.usage(month), _usage_lines, json=json, sandbox=sandbox)
    if month is not None or since is None or until is None:
        raise CliError("give --month alone, or --since and --until, with or without --group-by")
    call = billing.detailed_usage(since=since, until=until, group_by=group_by)
    return run_call(call, _usage_lines, json=json, sandbox=sandbox)


@click.command
@click.option("--channel", metavar="NAME", help="Show only this channel, such as RCS.")
@json_option
@sandbox_option
def tier(*, channel: str | None, json: bool, sandbox: bool) -> int:
    """Show the price tier of each channel."""
    return run_call(billing.tier(channel), _usage_lines, json=json, sandbox=sandbox)


@click.command
@since_option
@until_option
@cursor_option
@page_size_option
@_all_option
@_csv_option
@json_option
@sandbox_option
def transactions(*, since: date | None, until: date | None, limit: int | None, **options: Any) -> int:  # noqa: ANN401 - _show
    """List charges, top-ups, releases and credits.

    \b
      msgapi billing transactions --since 2026-05-01 --csv > charges.csv

    In CSV, a cell that a spreadsheet would run as a formula begins with '. The column extra has fields of the service
    that have no column, as JSON.
    """  # noqa: D301 - \b is click's own

    def page(cursor: str | None) -> Call[Transactions]:
        return billing.transactions(cursor=cursor, limit=limit, since=since, until=until)

    columns = ("created_at", "id", "type", "amount", "currency")
    return _show(Listing(name="transactions", call=page, columns=columns), **options)


@click.command
@cursor_option
@page_size_option
@_all_option
@_csv_option
@json_option
@sandbox_option
def invoices(*, limit: int | None, **options: Any) -> int:  # noqa: ANN401 - those of _show
    """List the monthly invoices with the URLs of their PDFs."""

    def page(cursor: str | None) -> Call[Invoices]:
        return billing.invoices(cursor=cursor, limit=limit)

    return _show(Listing(name="invoices", call=page, columns=("month", "id", "amount", "pdf_url")), **options)


@click.command
@json_option
@sandbox_option
def payment_methods(*, json: bool, sandbox: bool) -> int:
    """List the payment methods.

    Add one in the dashboard.
    """
    return run_call(billing.payment_methods(), _method_table, json=json, sandbox=sandbox)


@click.command
@click.argument("amount", callback=amount_callback, metavar="EUR")
@click.option("--payment-method-id", metavar="ID", help="The payment method (default: the service's choice).")
@key_option
@yes_option
@json_option
@sandbox_option
def top_up(
    *,
    amount: Decimal,
    payment_method_id: str | None,
    idempotency_key: str | None,
    yes: bool,
    json: bool,
    sandbox: bool,
) -> int:
    """Add money to the balance: this charges a payment method.

    EUR is the amount, at least 10, such as 50 or 12.50. The command asks for a confirmation. If it is interrupted,
    repeat it with the --idempotency-key that it has printed: the amount is charged once.
    """
    call = billing.top_up(amount, payment_method_id=payment_method_id, idempotency_key=idempotency_key)
    check_call(call)
    confirm(f"Charge {amount:.2f} EUR to {payment_method_id or _DEFAULT_METHOD}?", yes=yes)
    given = {"balance": "100"}  # a sandbox, too, has a limit of the balance
    return run_call(call, lambda _: f"added {amount:.2f} EUR", json=json, sandbox=sandbox, given=given)


@click.command
@click.option("--enable/--disable", "enabled", default=None, help="Turn automatic top-ups on or off.")
@_threshold_option
@click.option("--amount", callback=amount_callback, metavar="EUR", help="Top up by this much, at least 10.")
@yes_option
@json_option
@sandbox_option
def auto_reload(
    *, enabled: bool | None, threshold: Decimal | None, amount: Decimal | None, yes: bool, json: bool, sandbox: bool
) -> int:
    """Show or change automatic top-ups.

    \b
      msgapi billing auto-reload
      msgapi billing auto-reload --enable --threshold 20 --amount 50
      msgapi billing auto-reload --disable

    There are at most three automatic top-ups a day. --enable asks for a confirmation.
    """  # noqa: D301 - \b is click's own
    if enabled is None:
        if threshold is not None or amount is not None:
            raise CliError("--threshold and --amount need --enable")
        return run_call(billing.auto_reload(), _settings_lines, json=json, sandbox=sandbox)
    if enabled and (threshold is None or amount is None):
        raise CliError("--enable needs --threshold and --amount")
    setting = AutoReload(enabled=enabled, trigger_threshold=threshold, reload_amount=amount)
    call = billing.set_auto_reload(setting)
    check_call(call)
    if enabled:
        confirm(f"Charge {amount:.2f} EUR whenever the balance is below {threshold:.2f} EUR?", yes=yes)
    text = f"automatic top-ups are {'on' if enabled else 'off'}"
    return run_call(call, lambda _: text, json=json, sandbox=sandbox)


@click.command
@click.argument("threshold", callback=amount_callback, metavar="EUR")
@json_option
@sandbox_option
def set_alert(*, threshold: Decimal, json: bool, sandbox: bool) -> int:
    """Set the balance for a low-balance alert.

    The service sends the alert when the balance falls below EUR.
    """
    call = billing.set_alert(Alert(low_balance_threshold=threshold))
    text = f"the service sends an alert if the balance is below {threshold:.2f} EUR"
    return run_call(call, lambda _: text, json=json, sandbox=sandbox)


def _show(listing: Listing, *, cursor: str | None, whole: bool, csv: bool, json: bool, sandbox: bool) -> int:
    if csv and json:
        raise CliError("--csv and --json cannot be used together")
    check_call(listing.call(cursor))
    return run_async(partial(_list, listing, cursor, whole=whole, csv=csv, json=json, sandbox=sandbox))


async def _list(listing: Listing, cursor: str | None, *, whole: bool, csv: bool, json: bool, sandbox: bool) -> int:
    try:
        async with open_service(sandbox=sandbox) as api:
            error = await _read_pages(listing, api, cursor, whole=whole, csv=csv)
    except OutputClosed:
        return Exit.ACCEPTED
    if error is not None and json:
        emit_json(facts(error))
    elif json:
        emit_json(listing.plain())
        return Exit.ACCEPTED
    elif not csv and (error is None or listing.rows):
        emit(listing.table())
    return _end(listing, error, csv=csv)


def _end(listing: Listing, error: ApiError | None, *, csv: bool) -> int:
    if listing.odd:
        note(f"{counted(len(listing.odd), 'row', 'are')} unreadable and left out: --json shows what came")
    if error is not None:
        status = report_failure(error, listing.call(None))
        if listing.pages:
            note(f"the list of {listing.name} is not complete")
        return status
    if listing.next_cursor:
        note(f"there are more: show the next page with --cursor {quote(listing.next_cursor)}, or all with --all")
    return Exit.REFUSED if listing.odd and csv else Exit.ACCEPTED


async def _read_pages(listing: Listing, api: Caller, cursor: str | None, *, whole: bool, csv: bool) -> ApiError | None:
    """Read one page, or all of them; print each at once if *csv*. Return the error that ended it."""
    pages = follow_pages(api, lambda at: listing.call(at or cursor), listing.name)
    async with aclosing(pages):
        async for result in pages:
            if not isinstance(result, Ok):
                return result
            listing.add(result.value)
            if csv:
                write("".join(listing.take_csv()))
            elif not whole:
                break
    return None


def _csv_value(value: object) -> str:
    # A number begins with a minus sign and is no formula: csv_cell is for text only.
    if isinstance(value, Decimal):
        return f"{value:f}"
    return format_time(value) if isinstance(value, datetime) else csv_cell(_cell(value))


def _cell(value: object) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return "" if value is None else f"{value}"


def _usage_lines(found: UsageReport) -> str:
    return outline(codec.to_dict(found))


def _settings_lines(found: object) -> str:
    return outline(codec.to_dict(found)) or "the service returned no settings"


def _method_table(found: PaymentMethods) -> str | TextTable:
    if not found.payment_methods:
        return "no payment methods"
    table = table_of("id", "type")
    for one in found.payment_methods:
        table.add_row(one.id or "", one.type or "")
    return table
