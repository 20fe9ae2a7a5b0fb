"""billing.wait_for_top_up: when the balance covers what a 402 was short of."""

from decimal import Decimal
from typing import Any

import pytest

from msgapi import (
    ApiError,
    Balance,
    Call,
    InsufficientBalance,
    Ok,
    Result,
    ServerFault,
    Unauthorized,
    VirtualClock,
    billing,
)

pytestmark = pytest.mark.anyio


def free(amount: str) -> Balance:
    return Balance(free=Decimal(amount))


SHORT = InsufficientBalance(balance=free("0.05"), required_amount=Decimal("0.07"))


class Balances:
    """Answers calls for the balance with these results, on a clock that jumps."""

    def __init__(self, *results: Result[Balance]) -> None:
        self.results: list[Result[Any]] = list(results)
        self.clock = VirtualClock()

    async def __call__(self, call: Call[Any], /) -> Result[Any]:
        assert call == billing.balance()
        return self.results.pop(0)

    async def wait(self, error: ApiError | None, polls: int | None = None) -> bool:
        async with self.clock.autojump():
            return await billing.wait_for_top_up(self, error, clock=self.clock, polls=polls)


async def test_it_ends_when_the_balance_is_higher_and_covers_the_required_amount() -> None:
    api = Balances(Ok(free("0.05")), ServerFault(), Ok(Balance()), Ok(free("0.06")), Ok(free("0.07")))
    assert await api.wait(SHORT)
    assert api.results == []
    assert api.clock.now() == 60.0


async def test_a_balance_as_high_as_required_is_no_top_up_if_it_has_not_grown() -> None:
    refused = InsufficientBalance(balance=free("0.09"), required_amount=Decimal("0.07"))
    assert not await Balances(Ok(free("0.09"))).wait(refused, polls=1)
    assert await Balances(Ok(free("0.10"))).wait(refused, polls=1)


async def test_a_balance_that_has_fallen_is_compared_with_its_lowest_figure() -> None:
    api = Balances(Ok(free("0.03")), Ok(free("0.02")), Ok(free("0.03")))
    assert await api.wait(InsufficientBalance(balance=free("0.05")))
    assert api.results == []


@pytest.mark.parametrize("error", [None, ServerFault(), InsufficientBalance()])
async def test_without_figures_any_balance_is_a_top_up(error: ApiError | None) -> None:
    api = Balances(ServerFault(), Ok(free("0")))
    assert await api.wait(error)
    assert api.clock.now() == 15.0


async def test_it_gives_up_at_once_if_the_key_is_refused() -> None:
    api = Balances(Unauthorized())
    assert not await api.wait(SHORT)
    assert api.clock.now() == 0


async def test_it_gives_up_after_so_many_looks_without_waiting_for_another() -> None:
    api = Balances(Ok(free("0.01")), Ok(free("0.01")))
    assert not await api.wait(SHORT, polls=2)
    assert api.clock.now() == 15.0
