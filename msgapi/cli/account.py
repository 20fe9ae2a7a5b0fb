"""The account: the command `balance`."""

from .. import billing
from ..results import Balance
from .asking import answer


def start(*, json: bool, sandbox: bool) -> int:
    """Show the balance; gives the exit status."""
    return answer(billing.balance(), _lines, json=json, sandbox=sandbox)


def _lines(balance: Balance) -> str:
    amounts = (("free", balance.free), ("reserved", balance.reserved), ("total", balance.total))
    return "\n".join(f"{name:9}{'unknown' if amount is None else f'{amount} EUR'}" for name, amount in amounts)
