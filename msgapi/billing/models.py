"""Models: the request and response bodies of billing (docs: /api/billing), and cost estimates. Nothing here does I/O.

The documentation shows the body of the balance only. The fields here are those that its text names or implies. In
responses only the requested array is required; unknown fields are kept in `extra`.

Rules:
- An estimate is never less than the amount that the service holds. Messages that may be free count at full price.
- Open sessions and months that are already paid are not known to an estimate.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Literal, TypeAlias, final

from attrs import Attribute, Factory, field

from ..messages import Email, Message, unit
from ..messages.models import Unit
from ..models import frozen
from ..redact import hidden
from ..results import Balance
from ..schema.mapping import map_answer, map_fields_by_name
from ..schema.requests import Schema
from ..schema.validators import amount, boolean, non_empty, one_of, optional

Currency: TypeAlias = Literal["EUR"]
LEAST_TOP_UP = Decimal(10)
"""The smallest top-up, in EUR."""
_NOTHING: Final = Decimal(0)
_TOO_MUCH: Final = Decimal(10**9)


@final
@frozen(kw_only=True)
class UsageReport:
    """A response about usage or tiers, in *extra*. *month* and *channel* are None if the response lacks them."""

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
    """One page of transactions; *next_cursor* selects the next one, and is None on the last.

    The documentation does not name the array. The only array of the response is used.
    """

    transactions: tuple[Transaction, ...]
    next_cursor: str | None = None
    extra: Mapping[str, object] = field(factory=dict, hash=False)


@final
@frozen(kw_only=True)
class Invoice:
    """The invoice of one month; *amount* in EUR. *pdf_url* is None if there is no PDF yet."""

    id: str | None = None
    month: str | None = None
    amount: Decimal | None = None
    pdf_url: str | None = field(default=None, repr=hidden)
    extra: Mapping[str, object] = field(factory=dict, hash=False)


@final
@frozen(kw_only=True)
class Invoices:
    """One page of invoices; *next_cursor* selects the next one, and is None on the last."""

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
    """A top-up; *amount* in EUR. A field that the response lacks is None."""

    id: str | None = None
    status: str | None = None
    amount: Decimal | None = None
    currency: str | None = None
    extra: Mapping[str, object] = field(factory=dict, hash=False)


@final
@frozen(kw_only=True)
class AutoReload:
    """Automatic top-ups: if the balance falls below *trigger_threshold* EUR, *reload_amount* EUR are added.

    There are at most three a day. A failed payment is tried once more, 24 hours later.
    """

    enabled: bool
    trigger_threshold: Decimal | None = None
    reload_amount: Decimal | None = None


@final
@frozen(kw_only=True)
class AutoReloadSettings:
    """The settings of automatic top-ups, as in `AutoReload`. A field that the response lacks is None."""

    enabled: bool | None = None
    trigger_threshold: Decimal | None = None
    reload_amount: Decimal | None = None
    extra: Mapping[str, object] = field(factory=dict, hash=False)


@final
@frozen(kw_only=True)
class Alert:
    """The low-balance alert: it is sent when the balance falls below *low_balance_threshold* EUR."""

    low_balance_threshold: Decimal


@final
@frozen(kw_only=True)
class SettingSaved:
    """The setting was saved. The fields of the response are in *extra*."""

    extra: Mapping[str, object] = field(factory=dict, repr=False, hash=False)


_any_amount = amount(whole_cents=False)
_any_top_up = amount(LEAST_TOP_UP, whole_cents=False)
TOP_UP = Schema(
    NewTopUp,
    {"amount": amount(LEAST_TOP_UP), "currency": one_of(Currency), "payment_method_id": optional(non_empty)},
    documented={"amount": _any_top_up},
)
AUTO_RELOAD = Schema(
    AutoReload,
    {"enabled": boolean, "trigger_threshold": optional(amount()), "reload_amount": optional(amount(LEAST_TOP_UP))},
    documented={"trigger_threshold": optional(_any_amount), "reload_amount": optional(_any_top_up)},
)
ALERT = Schema(Alert, {"low_balance_threshold": amount()}, documented={"low_balance_threshold": _any_amount})

map_fields_by_name(NewTopUp)
map_answer(UsageReport)
map_answer(Transaction, aliases={"transaction_id": "id"})
map_answer(Transactions, array="transactions")
map_answer(Invoice, aliases={"invoice_id": "id", "url": "pdf_url"})
map_answer(Invoices, array="invoices")
map_answer(PaymentMethod, aliases={"payment_method_id": "id"})
map_answer(PaymentMethods, array="payment_methods")
map_answer(SettingSaved)
map_answer(AutoReloadSettings)
map_answer(TopUp, aliases={"topup_id": "id"})


# Estimates: the cost of messages by billing units, before any of them is sent.


def _check_price(_: object, attribute: "Attribute[Any]", value: object) -> None:
    if type(value) is not Decimal or not value.is_finite() or not 0 <= value < _TOO_MUCH:
        raise ValueError(f"{attribute.name} must be a Decimal of EUR, from 0 to below {_TOO_MUCH:,}")


@final
@frozen(kw_only=True)
class Prices:
    """The price of each billing unit in EUR. The dashboard shows them for the workspace; the API has no price list.

    *email* is the price of a basic message by email. Raise ValueError unless each price is a Decimal from 0 to below
    1,000,000,000.
    """

    basic_message: Decimal = field(validator=_check_price)
    single_message: Decimal = field(validator=_check_price)
    conversation: Decimal = field(validator=_check_price)
    mau: Decimal = field(validator=_check_price)
    email: Decimal = field(validator=_check_price)

    def price(self, message: Message) -> Decimal:
        """Return the price in EUR of the unit by which *message* is billed."""
        if type(message) is Email:
            return self.email
        price: Decimal = getattr(self, unit(message))
        return price


@final
@frozen(kw_only=True)
class Estimate:
    """The highest cost of *messages*: the billed *units* of each kind, and their total *amount* in EUR."""

    messages: int = 0
    units: Mapping[Unit, int] = Factory(dict)
    amount: Decimal = _NOTHING


@final
@frozen(kw_only=True)
class Shortage:
    """The *free* balance does not cover the estimate: *missing* EUR. It covers about *covered* messages."""

    estimate: Estimate
    free: Decimal
    missing: Decimal
    covered: int


@final
@frozen(kw_only=True)
class BalanceUnknown:
    """It is unknown whether the balance covers the estimate: the response had no free balance."""

    estimate: Estimate


def estimate(messages: Iterable[Message], prices: Prices) -> Estimate:
    """Return the highest cost of *messages* (docs: /learn/billing-units).

    A conversation is counted once for each pair of agent and recipient, and a newsletter by RCS once
    for each pair (the month's MAU), as the service bills them. Memory use grows with the number of pairs.
    Invalid messages do not raise: they are counted like valid ones, and one by one if the agent or the recipient is
    not a string.
    """
    counted: dict[Unit, int] = {}
    pairs: set[tuple[Unit, str, str]] = set()
    number, amount = 0, _NOTHING
    for message in messages:
        number += 1
        kind = unit(message)
        if type(message) is not Email and kind in {"conversation", "mau"}:
            pair = (kind, message.agent_id, message.to)
            if all(type(part) is str for part in pair):
                if pair in pairs:
                    continue
                pairs.add(pair)
        counted[kind] = counted.get(kind, 0) + 1
        amount += prices.price(message)
    return Estimate(messages=number, units=counted, amount=amount)


def shortage(found: Estimate, balance: Balance) -> Shortage | BalanceUnknown | None:
    """Return what *balance* lacks for an estimate: None if nothing, `BalanceUnknown` if its free part is unknown."""
    free = balance.free
    if found.amount <= max(free or _NOTHING, _NOTHING):
        return None
    if free is None:
        return BalanceUnknown(estimate=found)
    covered = int(found.messages * max(free, _NOTHING) / found.amount)
    return Shortage(estimate=found, free=free, missing=found.amount - free, covered=covered)
