"""What the billing routes take and give.

The docs show the body of the balance and no other: the fields here are those that the text names or
implies, only what was asked for is required, and whatever else comes is kept in `extra`.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Literal, TypeAlias, final

from attrs import field, frozen

from ..redact import hidden
from ..schema.mapping import map_fields_by_name
from ..schema.requests import Schema
from ..schema.undocumented import read_leniently
from ..schema.validators import amount, boolean, non_empty, one_of, optional

Currency: TypeAlias = Literal["EUR"]
LEAST_TOP_UP = Decimal(10)
"""The least that can be topped up, in EUR."""


@final
@frozen(kw_only=True)
class Statement:
    """What the service told of usage or tiers, in *extra*; *month* or *channel* if it said which."""

    month: str | None = None
    channel: str | None = None
    extra: Mapping[str, object] = field(factory=dict, hash=False)


@final
@frozen(kw_only=True)
class Transaction:
    """One charge, top-up, release or credit; *amount* in EUR."""

    id: str | None = None
    type: str | None = None
    amount: Decimal | None = None
    currency: str | None = None
    created_at: datetime | None = None
    extra: Mapping[str, object] = field(factory=dict, hash=False)


@final
@frozen(kw_only=True)
class Transactions:
    """One page of transactions; *next_cursor* leads to the next one, None if this was the last.

    The docs name neither the array nor the cursor of the answer: the only array there is is taken for it.
    """

    transactions: tuple[Transaction, ...]
    next_cursor: str | None = None
    extra: Mapping[str, object] = field(factory=dict, hash=False)


@final
@frozen(kw_only=True)
class Invoice:
    """One month's invoice, with the URL of its PDF when there is one."""

    id: str | None = None
    month: str | None = None
    amount: Decimal | None = None
    pdf_url: str | None = field(default=None, repr=hidden)
    extra: Mapping[str, object] = field(factory=dict, hash=False)


@final
@frozen(kw_only=True)
class Invoices:
    """One page of invoices; *next_cursor* leads to the next one. The docs don't say how they are paged."""

    invoices: tuple[Invoice, ...]
    next_cursor: str | None = None
    extra: Mapping[str, object] = field(factory=dict, hash=False)


@final
@frozen(kw_only=True)
class PaymentMethod:
    """A card or a SEPA mandate."""

    id: str | None = None
    type: str | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=hidden, hash=False)


@final
@frozen(kw_only=True)
class PaymentMethods:
    """The payment methods of the workspace."""

    payment_methods: tuple[PaymentMethod, ...]
    extra: Mapping[str, object] = field(factory=dict, hash=False)


@final
@frozen(kw_only=True)
class NewTopUp:
    """The body of a top-up."""

    amount: Decimal
    currency: Currency = "EUR"
    payment_method_id: str | None = None


@final
@frozen(kw_only=True)
class TopUp:
    """A top-up, as far as the service tells of it."""

    id: str | None = None
    status: str | None = None
    amount: Decimal | None = None
    currency: str | None = None
    extra: Mapping[str, object] = field(factory=dict, hash=False)


@final
@frozen(kw_only=True)
class AutoReload:
    """Top-ups by themselves: when the balance falls below *trigger_threshold*, *reload_amount* is added (EUR).

    At most three a day; after a payment that failed there is one more try, 24 hours later.
    """

    enabled: bool
    trigger_threshold: Decimal | None = None
    reload_amount: Decimal | None = None


@final
@frozen(kw_only=True)
class Reloading:
    """How the balance is topped up by itself, as `AutoReload` says, as far as the service tells of it."""

    enabled: bool | None = None
    trigger_threshold: Decimal | None = None
    reload_amount: Decimal | None = None
    extra: Mapping[str, object] = field(factory=dict, hash=False)


@final
@frozen(kw_only=True)
class Alert:
    """A notice is sent when the balance falls below *low_balance_threshold*, in EUR."""

    low_balance_threshold: Decimal


@final
@frozen(kw_only=True)
class Saved:
    """It was saved; what the service said of it is in *extra*."""

    extra: Mapping[str, object] = field(factory=dict, repr=False, hash=False)


TOP_UP = Schema(
    NewTopUp,
    {"amount": amount(LEAST_TOP_UP), "currency": one_of(Currency), "payment_method_id": optional(non_empty)},
)
AUTO_RELOAD = Schema(
    AutoReload,
    {"enabled": boolean, "trigger_threshold": optional(amount()), "reload_amount": optional(amount(LEAST_TOP_UP))},
)
ALERT = Schema(Alert, {"low_balance_threshold": amount()})

map_fields_by_name(NewTopUp)
read_leniently(Statement)
read_leniently(Transaction, aliases={"transaction_id": "id"})
read_leniently(Transactions, array="transactions")
read_leniently(Invoice, aliases={"invoice_id": "id", "url": "pdf_url"})
read_leniently(Invoices, array="invoices")
read_leniently(PaymentMethod, aliases={"payment_method_id": "id"})
read_leniently(PaymentMethods, array="payment_methods")
read_leniently(Saved)
read_leniently(Reloading)
read_leniently(TopUp, aliases={"topup_id": "id"})
