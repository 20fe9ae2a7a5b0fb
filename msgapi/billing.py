"""Billing: the prepaid balance, and by which unit a message is billed."""

from .calls import Call
from .messages.units import Unit, unit
from .results import Balance

__all__ = ["Balance", "Unit", "balance", "unit"]


def balance() -> Call[Balance]:
    """Ask for the balance, in EUR (docs: /api/billing). It may be repeated."""
    return Call("GET", "/v1/billing/balance", Balance)
