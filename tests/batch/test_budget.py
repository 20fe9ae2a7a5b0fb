"""batch: money that is not there, or must not be spent, is not spent."""

from decimal import Decimal
from typing import Any, TypeVar

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msgapi import Balance, Call, Forbidden, InsufficientBalance, Ok, Result, Unanswered, Unreadable, batch
from msgapi.batch import SpendLimit
from msgapi.billing import Estimate
from msgapi.messages import Accepted, Billing
from tests.support.batch_calls import BACKENDS
from tests.support.journals import message

T = TypeVar("T")
pytestmark = pytest.mark.anyio
EACH = Decimal("0.10")


def accepted(hold: str | None, price: str | None = None) -> Result[Any]:
    figures = [None if amount is None else Decimal(amount) for amount in (price, hold)]
    return Ok(Accepted(message_id="msg_1", billing=Billing(message_price=figures[0], hold_amount=figures[1])))


class Service:
    """An api that answers what *answers* has, the last of them for ever, and counts what is under way."""

    def __init__(self, *answers: Result[Any]) -> None:
        self.answers, self.asked, self.now, self.most = answers, 0, 0, 0

    async def __call__(self, call: Call[T], /) -> Result[T]:
        if call.invalid is not None:
            return call.invalid
        self.asked += 1
        answer = self.answers[min(self.asked, len(self.answers)) - 1]
        self.now += 1
        self.most = max(self.most, self.now)
        for _ in range(3):
            await anyio.lowlevel.checkpoint()
        self.now -= 1
        if isinstance(answer, Exception):
            raise answer
        return answer


async def sent(api: Service, limit: str, count: int = 100, **options: Any) -> batch.Outcomes[Accepted]:  # noqa: ANN401 - those of `sending`
    calls = map(message, range(count))
    most = SpendLimit(total=Decimal(limit), per_message=EACH, **options)
    async with batch.send(api, calls, concurrency=8, max_spend=most, outage_timeout=0) as outcomes:
        _ = [outcome async for outcome in outcomes]
    return outcomes


@pytest.mark.parametrize(("limit", "rows"), [("0", 0), ("0.09", 0), ("0.10", 1), ("2.55", 25), ("9.99", 99)])
async def test_it_stops_before_the_row_that_could_exceed_the_limit(limit: str, rows: int) -> None:
    api = Service(accepted("0.10"))
    outcomes = await sent(api, limit)
    assert (api.asked, outcomes.stopped) == (rows, batch.Stopped("spend"))


async def test_a_limit_that_is_just_enough_stops_nothing() -> None:
    outcomes = await sent(Service(accepted("0.10")), "10.00")
    assert (outcomes.started, outcomes.stopped) == (100, None)


async def test_what_is_cheaper_than_it_could_be_leaves_more_to_spend() -> None:
    api = Service(accepted("0.05", "0.04"))
    outcomes = await sent(api, "1.00")
    assert outcomes.stopped == batch.Stopped("spend")
    assert api.asked == 19  # 0.95 spent, and the next could cost 0.10


async def test_what_was_refused_costs_nothing_and_what_may_have_happened_does() -> None:
    assert (await sent(Service(Forbidden()), "0.10", 24)).settled == 24
    assert (await sent(Service(Unanswered("cut")), "1.00", 24)).started == 10
    assert (await sent(Service(Unreadable()), "1.00", 24)).started == 10
    assert (await sent(Service(accepted(None)), "1.00", 24)).settled == 10


async def test_what_earlier_runs_have_cost_counts() -> None:
    assert (await sent(Service(accepted("0.10")), "1.00", spent=Decimal("0.75"))).settled == 2


async def test_the_first_goes_alone_and_a_price_above_the_expected_ends_it() -> None:
    api = Service(accepted("0.50"))
    outcomes = await sent(api, "50.00")
    assert (api.asked, outcomes.stopped) == (1, batch.Stopped("spend"))
    api = Service(accepted("0.10"))
    _ = await sent(api, "50.00")
    assert api.most == 8


async def test_what_the_api_raises_stays_set_aside() -> None:
    broken: Any = RuntimeError("mine")
    api = Service(accepted("0.10"), broken)
    with pytest.raises(RuntimeError, match="mine"):
        _ = await sent(api, "1.00")


@pytest.mark.parametrize(
    ("balance", "missing"),
    [(Balance(free=Decimal("0.05")), Decimal("8.95")), (Balance(), None), (None, None), (Balance(free=EACH * 99), 0)],
)
async def test_a_402_tells_what_is_missing_for_the_rest(balance: Balance | None, missing: Decimal | None) -> None:
    broke = InsufficientBalance(balance=balance, topup_url="https://app.arowana.app/billing")
    api = Service(*[accepted("0.10")] * 10, broke)
    estimate = Estimate(messages=100, amount=Decimal("10.00"))
    async with batch.send(api, map(message, range(100)), concurrency=1, estimate=estimate) as outcomes:
        _ = [outcome async for outcome in outcomes]
    assert outcomes.stopped == batch.Stopped("balance", broke, missing)


@BACKENDS
@settings(max_examples=60, deadline=None)
@given(
    holds=st.lists(st.one_of(st.none(), st.integers(0, 10)), min_size=1, max_size=60),
    limit=st.integers(0, 300),
    concurrency=st.integers(1, 20),
)
def test_whatever_it_costs_the_limit_is_never_exceeded(
    backend: str, holds: list[int | None], limit: int, concurrency: int
) -> None:
    spent = Decimal(0)

    async def api(call: Call[T]) -> Result[T]:
        nonlocal spent
        hold = holds[int(call.idempotency_key or 0) % len(holds)]
        if hold is not None:
            spent += Decimal(hold) / 100  # held while it is under way
        for _ in range(hold or 0):
            await anyio.lowlevel.checkpoint()
        return Forbidden() if hold is None else accepted(str(Decimal(hold) / 100))

    async def scenario() -> None:
        most = SpendLimit(total=Decimal(limit) / 100, per_message=EACH)
        calls = (message(at).under(str(at)) for at in range(len(holds)))
        async with batch.send(api, calls, concurrency=concurrency, max_spend=most, breaker=None) as outcomes:
            async for _ in outcomes:
                assert spent <= most.total
        assert outcomes.stopped is None or spent > most.total - EACH

    anyio.run(scenario, backend=backend)
    assert spent <= Decimal(limit) / 100
