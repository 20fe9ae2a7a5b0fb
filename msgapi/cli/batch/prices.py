"""The prices of --price, and the check that the free balance covers a batch before it begins."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final, TypeAlias

from ... import billing
from ...billing import Estimate, Unsure
from ...calls import Caller
from ...messages import Email, Message
from ...results import Ok
from ..advice import advise_call, describe, facts, status_of
from ..exits import CliError, Exit
from ..options import parse_amount

_NAMES: Final[Mapping[str, str]] = {
    "basic": "basic_message",
    "single": "single_message",
    "conversation": "conversation",
    "mau": "mau",
    "email": "email",
}
UnitPrices: TypeAlias = Mapping[str, Decimal]
"""The price of each unit in EUR; `email` is the price of an email message."""


def parse_prices(given: tuple[str, ...]) -> UnitPrices | None:
    """Parse prices such as `basic=0.07`. Return None if there are none."""
    found: dict[str, Decimal] = {}
    for one in given:
        name, _, text = one.partition("=")
        price = parse_amount(text)
        if name not in _NAMES or price is None:
            raise CliError(f"--price takes a unit and EUR such as basic=0.07 ({', '.join(_NAMES)}), not {one!r}")
        found[_NAMES[name]] = price
    return found or None


def price_of(message: Message, known: UnitPrices) -> Decimal:
    """Return the price of *message*. Raise CliError if it is not known."""
    unit = "email" if isinstance(message, Email) else billing.unit(message)
    found = known.get(unit)
    if found is None:
        name = next(short for short, whole in _NAMES.items() if whole == unit)
        raise CliError(
            f"the file has messages that are billed as {unit}: give their price, too, such as --price {name}=0.07"
        )
    return found


async def check_balance(api: Caller, estimate: Estimate) -> None:
    """Raise CliError unless the free balance certainly covers *estimate*."""
    call = billing.balance()
    result = await api(call)
    if not isinstance(result, Ok):
        text = f"the balance cannot be read, so nothing was sent: {describe(result)}; {advise_call(result, call)}"
        raise CliError(text, status_of(result), facts=facts(result))
    short = billing.shortage(estimate, result.value)
    if isinstance(short, Unsure):
        raise CliError(
            "the service does not say how much is free, so nothing was sent: "
            "check MSGAPI_BASE_URL, or leave --price out to send until the balance is used up",
            Exit.REFUSED,
        )
    if short is not None:
        raise CliError(
            f"the batch can cost {estimate.amount} EUR and {short.free} EUR is free: {short.missing} EUR is missing "
            f"after about {short.covered:,} of {estimate.messages:,} messages; nothing was sent: "
            "top up, or leave --price out to send until the balance is used up",
            Exit.STOPPED,
            facts={"missing": str(short.missing)},
        )
