"""Costs: the prices that were given for a batch, and whether the free balance covers it before it starts."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final, TypeAlias

from .. import billing
from ..billing import Estimate, Unsure
from ..calls import Caller
from ..messages import Email, Message
from ..results import Ok
from .advice import facts
from .asking import advice, named, status_of
from .exits import Exit, Halt
from .options import amount

_NAMES: Final[Mapping[str, str]] = {
    "basic": "basic_message",
    "single": "single_message",
    "conversation": "conversation",
    "mau": "mau",
    "email": "email",
}
Prices: TypeAlias = Mapping[str, Decimal]
"""What was given: the price of a unit in EUR, by its name; `email` is that of a message by email."""


def prices(given: tuple[str, ...]) -> Prices | None:
    """Read prices such as `basic=0.07`; None if there are none."""
    found: dict[str, Decimal] = {}
    for one in given:
        name, _, text = one.partition("=")
        price = amount(text)
        if name not in _NAMES or price is None:
            raise Halt(f"--price takes a unit and EUR such as basic=0.07 ({', '.join(_NAMES)}), not {one!r}")
        found[_NAMES[name]] = price
    return found or None


def price(message: Message, known: Prices) -> Decimal:
    """Tell the price of *message*; one that was not given ends the program."""
    unit = "email" if isinstance(message, Email) else billing.unit(message)
    found = known.get(unit)
    if found is None:
        name = next(short for short, whole in _NAMES.items() if whole == unit)
        raise Halt(f"the file has messages that are billed as {unit}: give their price too, as --price {name}=0.07")
    return found


async def check(api: Caller, estimate: Estimate) -> None:
    """End the program unless it is certain that the free balance covers *estimate*."""
    call = billing.balance()
    result = await api(call)
    if not isinstance(result, Ok):
        said = f"the balance cannot be read, so nothing was sent: {named(result)}; {advice(result, call)}"
        raise Halt(said, status_of(result), told=facts(result))
    short = billing.shortage(estimate, result.value)
    if isinstance(short, Unsure):
        raise Halt(
            "the service does not say how much is free, so nothing was sent: "
            "check MSGAPI_BASE_URL, or send it without --price until the balance is used up",
            Exit.REFUSED,
        )
    if short is not None:
        raise Halt(
            f"the batch can cost {estimate.amount} EUR and {short.free} EUR is free: {short.missing} EUR is missing "
            f"after about {short.covered:,} of {estimate.messages:,} messages; nothing was sent: "
            "top up, or send it without --price until the balance is used up",
            Exit.STOPPED,
            told={"missing": str(short.missing)},
        )
