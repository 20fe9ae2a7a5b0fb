"""Billing: the price list, the prepaid balance with its holds, the transactions, and how the balance is topped up.

Rules:
- Amounts are Decimal and never rounded.
- `reserved` is the sum of the holds. Neither it nor `free` is ever negative.
- What moves money for good, or returns it, is a transaction; a hold is not.
"""

from array import array
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final, Literal, TypeAlias, final

from attrs import Attribute, define, field, fields, frozen, setters

from ...billing import AutoReload
from ...results import Balance
from .changes import ChangeFeed

DAY: Final = 86_400.0
PAYMENT_FAILURES: Final = ("card_declined", "insufficient_funds", "payment_method_expired")
"""Why payments fail. A payment method that was added with one of these as its token fails for this reason."""
Currency: TypeAlias = Literal["EUR"]
TransactionType: TypeAlias = Literal["charge", "topup", "release", "credit"]
PaymentType: TypeAlias = Literal["credit_card", "sepa"]
Pair: TypeAlias = tuple[str, str]
"""The id of an agent, and a recipient."""
_TRANSACTION_TYPES: Final[tuple[TransactionType, ...]] = ("charge", "topup", "release", "credit")
_NOTHING: Final = Decimal(0)
_SMALLEST_STEP: Final = Decimal("0.0001")  # amounts have at most four decimal places, as in the message log
AMOUNT_BOUND: Final = Decimal(10**9)
"""Every amount in EUR is below this."""
_MAX_RELOADS_A_DAY: Final = 3
_ID_SIZE: Final = 20  # characters: `msg_` and 16 hex digits


def month_of(moment: float) -> str:
    """Return the calendar month in UTC of a *moment*, as `2026-05`."""
    return _month_of_day(moment // DAY)


@lru_cache(maxsize=8)
def _month_of_day(day: float) -> str:
    return datetime.fromtimestamp(day * DAY, UTC).strftime("%Y-%m")


def next_midnight(moment: float) -> float:
    """Return the next midnight in UTC after a *moment*."""
    return (moment // DAY + 1) * DAY


def amount_problem(value: object) -> str | None:
    """Return why *value* is not an amount, such as negative, or finer than a hundredth of a cent; None if it is one."""
    if type(value) is not Decimal:
        return "must be a Decimal of EUR"
    # In this order, because only a bounded amount can be quantized.
    if value.is_finite() and 0 <= value < AMOUNT_BOUND and value.quantize(_SMALLEST_STEP) == value:
        return None
    return "must be from 0 to below 10**9 EUR, with at most 4 decimal places"


def check_amount(_: object, attribute: "Attribute[Any]", value: Decimal) -> None:
    """Raise ValueError if *value* is not an amount."""
    problem = amount_problem(value)
    if problem is not None:
        raise ValueError(f"{attribute.name} {problem}")


@final
@frozen(kw_only=True)
class PriceList:
    """Illustrative prices in EUR: those of the four RCS units, and that of an email.

    The defaults are 0.07 for a basic message, 0.11 for a single message, 0.16 for a conversation, 0.35 for a
    monthly active user (*mau*), and 0.005 for an email.
    """

    basic_message: Decimal = field(default=Decimal("0.07"), validator=check_amount)
    single_message: Decimal = field(default=Decimal("0.11"), validator=check_amount)
    conversation: Decimal = field(default=Decimal("0.16"), validator=check_amount)
    mau: Decimal = field(default=Decimal("0.35"), validator=check_amount)
    email: Decimal = field(default=Decimal("0.005"), validator=check_amount)

    def price_of(self, channel: str, unit: str) -> Decimal:
        """Return the price of one *unit*, such as `single_message`, on a *channel*, `RCS` or `EMAIL`."""
        price: Decimal = self.email if channel == "EMAIL" else getattr(self, unit)
        return price


@final
@frozen(kw_only=True)
class LedgerTransaction:
    """One movement of money. *amount* is never negative: *type* is its direction. *number* counts from 0."""

    number: int
    type: TransactionType
    amount: Decimal
    at: float
    message_id: str | None


@final
@define(eq=False, repr=False)
class TransactionLedger:
    """All transactions in their order, and the sum of the charges of each month.

    Transactions are stored for ever, one or more for each message. So they are columns, which take little memory.
    """

    _types: bytearray = field(factory=bytearray, init=False)
    _amounts: list[Decimal] = field(factory=list, init=False)
    _times: "array[float]" = field(factory=lambda: array("d"), init=False)
    _message_ids: bytearray = field(factory=bytearray, init=False)
    _months: dict[str, Decimal] = field(factory=dict, init=False)

    def __len__(self) -> int:
        """Return the number of transactions."""
        return len(self._types)

    def __getitem__(self, number: int) -> LedgerTransaction:
        """Return a transaction by its number."""
        return LedgerTransaction(
            number=number,
            type=_TRANSACTION_TYPES[self._types[number]],
            amount=self._amounts[number],
            at=self._times[number],
            message_id=self._message_ids[number * _ID_SIZE : (number + 1) * _ID_SIZE].decode().rstrip() or None,
        )

    def newest_first(self, *, before: int | None = None) -> Iterator[LedgerTransaction]:
        """Yield the transactions, newest first; those with numbers below *before* if that is not None."""
        end = len(self) if before is None else min(before, len(self))
        return (self[number] for number in range(end - 1, -1, -1))

    @property
    def charged_by_month(self) -> Mapping[str, Decimal]:
        """The sum of the charges of each month that has any; a month is written as `2026-05`."""
        return self._months

    def add(self, type_: TransactionType, amount: Decimal, now: float, message_id: str | None = None) -> None:
        """Add a transaction; an *amount* of 0 adds none."""
        if not amount:
            return
        self._types.append(_TRANSACTION_TYPES.index(type_))
        self._amounts.append(amount)
        self._times.append(now)
        self._message_ids += (message_id or "").encode().ljust(_ID_SIZE)
        if type_ == "charge":
            month = month_of(now)
            self._months[month] = self._months.get(month, _NOTHING) + amount


@final
@define(eq=False, on_setattr=setters.NO_OP)
class Wallet:
    """The prepaid balance: the money that is *free*, and the money *reserved* by the holds of queued messages.

    What changes it checks the amounts: attrs would check `free` at each hold.
    """

    free: Decimal = field(validator=check_amount)
    changes: ChangeFeed = field(factory=ChangeFeed)
    reserved: Decimal = field(default=_NOTHING, init=False)
    ledger: TransactionLedger = field(factory=TransactionLedger, init=False)
    _holds: dict[str, Decimal] = field(factory=dict, init=False)

    @property
    def total(self) -> Decimal:
        """The free and the reserved money together."""
        return self.free + self.reserved

    @property
    def balance(self) -> Balance:
        """The balance as the client receives it."""
        return Balance(free=self.free, reserved=self.reserved, total=self.total)

    @property
    def holds(self) -> Mapping[str, Decimal]:
        """The amount that is reserved for each message that has one."""
        return self._holds

    def to_json(self) -> dict[str, float]:
        """Return the balance in JSON numbers."""
        return {"free": float(self.free), "reserved": float(self.reserved), "total": float(self.total)}

    def index(self) -> None:
        """Derive the reserved money from the holds, which were set from a snapshot."""
        self.reserved = sum(self._holds.values(), _NOTHING)

    def hold(self, message_id: str, amount: Decimal) -> None:
        """Reserve *amount* for a message. The caller has checked that it is free."""
        if amount:
            self.free -= amount
            self.reserved += amount
            self._holds[message_id] = amount

    def release(self, message_id: str, now: float) -> None:
        """Return the hold of a message to the free balance, if it has one."""
        amount = self._remove_hold(message_id)
        self.free += amount
        self.ledger.add("release", amount, now, message_id)

    def charge(self, message_id: str, now: float) -> None:
        """Debit the hold of a delivered message, if it has one."""
        self.ledger.add("charge", self._remove_hold(message_id), now, message_id)

    def _remove_hold(self, message_id: str) -> Decimal:
        amount = self._holds.pop(message_id, _NOTHING)
        self.reserved -= amount
        return amount

    def add(self, amount: Decimal, now: float, type_: TransactionType = "credit") -> None:
        """Add *amount* to the free balance. Raises ValueError if it is not a valid amount."""
        check_amount(self, fields(Wallet).free, amount)
        check_amount(self, fields(Wallet).free, self.free + amount)
        self.free += amount
        self.ledger.add(type_, amount, now)
        self.changes.add("account")


@final
@frozen(kw_only=True)
class StoredPaymentMethod:
    """A card or a SEPA mandate. If *failure* is not None, every payment with it fails for this reason."""

    id: str
    type: PaymentType
    created_at: float
    failure: str | None


@final
@define(eq=False, repr=False)
class PaymentSettings:
    """The payment methods, the automatic reload, and the *low_balance_threshold* below which an event is emitted."""

    methods: dict[str, StoredPaymentMethod] = field(factory=dict, init=False)
    auto_reload: AutoReload = field(default=AutoReload(enabled=False), init=False)
    low_balance_threshold: Decimal | None = field(default=None, init=False)
    _day: float = field(default=-1.0, init=False)
    _reloads: int = field(default=0, init=False)
    _failures: int = field(default=0, init=False)
    _failed_at: float = field(default=0.0, init=False)

    def reload_method(self) -> StoredPaymentMethod | None:
        """Return the payment method of a reload: the one that was added last."""
        return next(reversed(self.methods.values()), None)

    @property
    def retry_at(self) -> float | None:
        """When a failed reload is retried; None if none has failed, or if the retry was made."""
        return self._failed_at + DAY if self._failures == 1 else None

    def may_reload(self, now: float) -> bool:
        """Return whether a reload may be tried: three times a day in UTC; after a failure once, a day later."""
        if self._failures:
            return self.retry_at is not None and self.retry_at <= now
        return self._day != now // DAY or self._reloads < _MAX_RELOADS_A_DAY

    def count_reload(self, now: float, *, failed: bool) -> None:
        """Count a reload that was tried at *now*."""
        if failed:
            self._failures, self._failed_at = self._failures + 1, now
            return
        self._failures = 0
        self._reloads = self._reloads + 1 if self._day == now // DAY else 1
        self._day = now // DAY

    def reset_failures(self) -> None:
        """Forget failed reloads, because the payment method or the setting has changed."""
        self._failures = 0
