"""Prices: what one unit costs on one channel. Illustrative; the real ones stand in the dashboard."""

from decimal import Decimal
from typing import Any, Final, final

from attrs import Attribute, field, frozen

STEP: Final = Decimal("0.0001")  # amounts have at most four places, as in the message log


def check_amount(_: object, attribute: "Attribute[Any]", value: Decimal) -> None:
    """Refuse what is no amount of money: negative, not finite, or finer than a hundredth of a cent."""
    if type(value) is not Decimal or not value.is_finite() or value < 0 or value % STEP or value >= 10**9:
        raise ValueError(f"{attribute.name} must be a Decimal of EUR: not negative, at most 4 decimal places")


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
