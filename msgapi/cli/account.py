"""The account: the command `balance`."""

from functools import partial

from .. import billing, codec
from ..results import Balance, Ok, Result, Unauthorized
from .advice import advise, explain, facts
from .connection import launch, private, reach
from .exits import Exit
from .output import emit, emit_json, note


def start(*, json: bool, sandbox: bool) -> int:
    """Show the balance; gives the exit status."""
    result = launch(partial(_asked, sandbox=sandbox))
    if isinstance(result, Ok):
        balance = result.value
        if json:
            emit_json(codec.plain(balance))
        else:
            amounts = (("free", balance.free), ("reserved", balance.reserved), ("total", balance.total))
            emit("\n".join(f"{name:9}{'unknown' if amount is None else f'{amount} EUR'}" for name, amount in amounts))
        return Exit.ACCEPTED
    if json:
        emit_json(facts(result))
    note(f"{type(result).__name__} {result.code}: {explain(result)}")
    note(advise(result))
    return Exit.CONFIGURATION if isinstance(result, Unauthorized) else Exit.REFUSED


async def _asked(*, sandbox: bool) -> Result[Balance]:
    async with reach(private({}) if sandbox else None) as api:
        return await api(billing.balance())
