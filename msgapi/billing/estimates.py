"""Estimates: the cost of messages by billing units, before any of them is sent. Nothing here does I/O.

Rules:
- An estimate is never less than the amount that the service holds. Messages that may be free count at full price.
- Open sessions and months that are already paid are not known here.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final, final

from attrs import Attribute, Factory, field, frozen

from ..messages import Email, Message, unit
from ..messages.models import Unit
from ..results import Balance

_NOTHING: Final = Decimal(0)
_TOO_MUCH: Final = Decimal(10**9)


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
