"""What a batch may cost: the prices of --price, the balance check, the spending limit, and the wait for a top-up."""

from collections.abc import Mapping
from decimal import ROUND_UP, Decimal
from typing import Final, TypeAlias, final

from attrs import define, field

from ... import billing
from ...batch import Outcome, SpendLimit, Stopped
from ...billing import BalanceUnknown, Estimate
from ...calls import Caller
from ...clock import SYSTEM_CLOCK, Clock
from ...messages import Accepted, Email, Message
from ...results import InsufficientBalance, Ok
from ..advice import BASE_URL, advise_call, describe, facts, status_of
from ..options import parse_amount
from ..output import CliError, Exit
from .counts import Counts

_NAMES: Final[Mapping[str, str]] = {
    "basic": "basic_message",
    "single": "single_message",
    "conversation": "conversation",
    "mau": "mau",
    "email": "email",
}
UnitPrices: TypeAlias = Mapping[str, Decimal]
"""The price of each unit in EUR; `email` is the price of an email message."""


def parse_prices(given: tuple[str, ...]) -> UnitPrices:
    """Parse prices such as `basic=0.07`."""
    found: dict[str, Decimal] = {}
    for one in given:
        name, _, text = one.partition("=")
        price = parse_amount(text)
        if name not in _NAMES or price is None:
            raise CliError(f"--price takes a unit and EUR such as basic=0.07 ({', '.join(_NAMES)}), not {one!r}")
        found[_NAMES[name]] = price
    return found


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
    if isinstance(short, BalanceUnknown):
        raise CliError(
            "the service does not say how much is free, so nothing was sent: "
            f"check {BASE_URL}, or leave --price out to send until the balance is used up",
            Exit.REFUSED,
        )
    if short is not None:
        raise CliError(
            f"the batch can cost {estimate.amount} EUR, and {short.free} EUR is free: {short.missing} EUR is missing, "
            f"and the balance covers about {short.covered:,} of {estimate.messages:,} messages; nothing was sent: "
            "top up, or leave --price out to send until the balance is used up",
            Exit.STOPPED,
            facts={"missing": str(short.missing)},
        )


def limit(most: Decimal, each: Decimal, spent: Decimal) -> SpendLimit:
    """Return the limit of a batch that may cost *most* EUR, *spent* of it in earlier runs, and *each* for a message."""
    if not each:
        raise CliError("--max-spend needs the prices of the messages: give --price, too, such as basic=0.07")
    return SpendLimit(total=most, per_message=each, spent=spent)


@final
@define(eq=False)
class TopUpWaiter:
    """Keeps the rows that the balance did not cover, and waits for a top-up."""

    clock: Clock = field(default=SYSTEM_CLOCK)
    _kept: list[Outcome[Accepted]] = field(factory=list, init=False)

    def keep(self, outcome: Outcome[Accepted]) -> bool:
        """Keep the row of *outcome* for later if the balance did not cover it; return whether it was kept."""
        result = outcome.result
        keep = isinstance(result, InsufficientBalance) and result.scope == "account"
        if keep:
            self._kept.append(outcome)
        return keep

    async def wait(self, client: Caller, stopped: Stopped) -> bool:
        """Wait until the balance is topped up and return True; return False if the API key is refused."""
        return await billing.wait_for_top_up(client, stopped.error, clock=self.clock)

    def take_kept(self) -> list[Outcome[Accepted]]:
        """Return the kept rows and forget them."""
        kept, self._kept = self._kept, []
        return kept


def missing(stopped: Stopped | None, counts: Counts) -> Decimal | None:
    """Return the EUR missing for the rest after the balance was used up; None if that is not known.

    Without --price, the rest is assumed to cost as much per row as the rows before it.
    """
    if stopped is None or stopped.missing is not None or not isinstance(stopped.error, InsufficientBalance):
        return None if stopped is None else stopped.missing
    balance = stopped.error.balance
    if not counts.accepted or balance is None or balance.free is None:
        return None
    rest = counts.held / counts.accepted * counts.unpaid - balance.free
    return max(Decimal(0), rest).quantize(Decimal("0.01"), ROUND_UP)


def shortage(stopped: Stopped, counts: Counts) -> str:
    """Return how much is missing after the balance was used up, and where to top up."""
    amount = missing(stopped, counts)
    about = "" if stopped.missing is not None else "about "
    url = stopped.error.topup_url if isinstance(stopped.error, InsufficientBalance) else None
    return f"{f'; the rest needs {about}{amount} EUR more' if amount else ''}{f'; top up at {url}' if url else ''}"
