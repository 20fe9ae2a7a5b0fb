"""The command `msgapi balance`."""

import click

from ... import billing
from ...results import Balance
from ..connection import run_call
from ..options import json_option, sandbox_option


@click.command
@json_option
@sandbox_option
def balance(*, json: bool, sandbox: bool) -> int:
    """Show the prepaid balance."""
    return run_call(billing.balance(), _lines, json=json, sandbox=sandbox)


def _lines(found: Balance) -> str:
    amounts = (("free", found.free), ("reserved", found.reserved), ("total", found.total))
    return "\n".join(f"{name:9}{'unknown' if amount is None else f'{amount} EUR'}" for name, amount in amounts)
