"""Waiting for a top-up after a 402."""

from typing import Final

from ..calls import Caller
from ..clock import SYSTEM_CLOCK, Clock
from ..results import ApiError, InsufficientBalance, Ok, Unauthorized
from .calls import balance

INTERVAL: Final = 15.0  # seconds between two requests for the balance


async def wait_for_top_up(
    api: Caller,
    error: ApiError | None,
    *,
    clock: Clock = SYSTEM_CLOCK,
    interval: float = INTERVAL,
    polls: int | None = None,
) -> bool:
    """Poll the balance until it covers what *error*, a 402, lacked; return True then.

    The balance covers it if it is higher than at the 402, or than at any poll since, and at least the
    `required_amount`; what the 402 does not state is not required. A failed poll is repeated.

    Args:
        api: The client.
        error: The error of the 402, if there is one.
        clock: The clock.
        interval: Seconds between two polls.
        polls: Return False after this many polls; None for no limit.

    Return False at once if the service refuses the API key (401).
    """
    refused = error if isinstance(error, InsufficientBalance) else InsufficientBalance()
    lowest, needed = None if refused.balance is None else refused.balance.free, refused.required_amount
    while True:
        result = await api(balance())
        if isinstance(result, Unauthorized) and result.scope == "account":
            return False
        free = result.value.free if isinstance(result, Ok) else None
        if free is not None:
            if (lowest is None or free > lowest) and (needed is None or free >= needed):
                return True
            lowest = free if lowest is None else min(lowest, free)
        if polls is not None:
            polls -= 1
            if polls <= 0:
                return False
        await clock.sleep(interval)
