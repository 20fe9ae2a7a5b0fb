"""Estimates: what messages will cost by the billing units, before any of them is sent. Arithmetic only.

Rules:
- An estimate is never less than what the service will hold: what may be free is counted at its price.
- What depends on the past of a recipient, an open session or a month that is paid already, is not known here.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final, final

from attrs import Attribute, Factory, field, frozen

from ..messages import Email, Message, unit
from ..messages.units import Unit
from ..results import Balance

_NOTHING: Final = Decimal(0)
_TOO_MUCH: Final = Decimal(10**9)


def _sane(_: object, attribute: "Attribute[Any]", value: object) -> None:
    if type(value) is not Decimal or not value.is_finite() or not 0 <= value < _TOO_MUCH:
        raise ValueError(f"{attribute.name} must be a Decimal of EUR, from 0 to below {_TOO_MUCH:,}")


@final
@frozen(kw_only=True)
class Prices:
    """The price of each unit in EUR, as the dashboard shows it for the workspace's tier; the API has no price list.

    *email* is that of a basic message by email.
    """

    basic_message: Decimal = field(validator=_sane)
    single_message: Decimal = field(validator=_sane)
    conversation: Decimal = field(validator=_sane)
    mau: Decimal = field(validator=_sane)
    email: Decimal = field(validator=_sane)

    def price(self, message: Message) -> Decimal:
        """Tell the price of the unit by which *message* is billed."""
        if isinstance(message, Email):
            return self.email
        price: Decimal = getattr(self, unit(message))
        return price


@final
@frozen(kw_only=True)
class Estimate:
    """What messages will cost at most: how many there are, how many of each unit are billed, and the sum in EUR."""

    messages: int = 0
    units: Mapping[Unit, int] = Factory(dict)
    amount: Decimal = _NOTHING


@final
@frozen(kw_only=True)
class Shortage:
    """The free balance is not enough: *missing* EUR, after about *covered* messages."""

    estimate: Estimate
    free: Decimal
    missing: Decimal
    covered: int


@final
@frozen(kw_only=True)
class Unsure:
    """Nobody can tell whether the estimate is covered: the service did not say how much is free."""

    estimate: Estimate


def estimate(messages: Iterable[Message], prices: Prices) -> Estimate:
    """Add up what *messages* will cost (docs: /learn/billing-units).

    A conversation is counted once for each pair of agent and recipient, and a newsletter by RCS once
    for each pair (the month's MAU), as the service bills them; so this holds one entry for each pair.
    Raises nothing for messages that will be refused: they are counted as if they were not, one by one where
    agent and recipient are no text.
    """
    counted: dict[Unit, int] = {}
    pairs: set[tuple[Unit, str, str]] = set()
    number, amount = 0, _NOTHING
    for message in messages:
        number += 1
        kind = unit(message)
        if not isinstance(message, Email) and kind in {"conversation", "mau"}:
            pair = (kind, message.agent_id, message.to)
            if all(isinstance(part, str) for part in pair):
                if pair in pairs:
                    continue
                pairs.add(pair)
        counted[kind] = counted.get(kind, 0) + 1
        amount += prices.price(message)
    return Estimate(messages=number, units=counted, amount=amount)


def shortage(found: Estimate, balance: Balance) -> Shortage | Unsure | None:
    """Tell what is missing for an estimate; None if the free balance covers it, `Unsure` if that is not known."""
    free = balance.free
    if found.amount <= max(free or _NOTHING, _NOTHING):
        return None
    if free is None:
        return Unsure(estimate=found)
    covered = int(found.messages * max(free, _NOTHING) / found.amount)
    return Shortage(estimate=found, free=free, missing=found.amount - free, covered=covered)
