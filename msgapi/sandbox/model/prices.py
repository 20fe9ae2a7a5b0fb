"""Prices: what one unit costs on one channel. Illustrative; the real ones stand in the dashboard."""

from decimal import Decimal
from typing import Any, Final, final

from attrs import Attribute, field, frozen

STEP: Final = Decimal("0.0001")  # amounts have at most four places, as in the message log
MOST: Final = Decimal(10**9)  # and are below this


def check_amount(_: object, attribute: "Attribute[Any]", value: Decimal) -> None:
    """Refuse what is no amount of money: negative, huge, not finite, or finer than a hundredth of a cent."""
    # In this order, as only an amount that is bounded can be rounded.
    if type(value) is not Decimal or not value.is_finite() or not 0 <= value < MOST or value.quantize(STEP) != value:
        said = f"{attribute.name} must be a Decimal of EUR: from 0 to below 10**9, with at most 4 decimal places"
        raise ValueError(said)


@final
@frozen(kw_only=True)
class Prices:
    """Prices in EUR: the four units of RCS, and *email*, whose every message is a basic one."""

    basic_message: Decimal = field(default=Decimal("0.07"), validator=check_amount)
    single_message: Decimal = field(default=Decimal("0.11"), validator=check_amount)
    conversation: Decimal = field(default=Decimal("0.16"), validator=check_amount)
    mau: Decimal = field(default=Decimal("0.35"), validator=check_amount)
    email: Decimal = field(default=Decimal("0.005"), validator=check_amount)

    def of(self, channel: str, unit: str) -> Decimal:
        """Tell the price of one *unit*, such as `single_message`, on a *channel*, `RCS` or `EMAIL`."""
        price: Decimal = self.email if channel == "EMAIL" else getattr(self, unit)
        return price
