"""batch: a service that fails is waited for, and the rows that failed with it go again."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, TypeVar

import anyio.lowlevel
import pytest
from attrs import evolve

from msgapi import (
    ApiError,
    Call,
    Client,
    Forbidden,
    InsufficientBalance,
    Meta,
    NotFound,
    NotSent,
    Ok,
    Pace,
    Result,
    Retry,
    ServerFault,
    Throttled,
    Unanswered,
    Unavailable,
    batch,
)
from msgapi.clock import VirtualClock
from msgapi.http import Request, Response
from msgapi.messages import Accepted
from msgapi.results import CALLED_OFF
from tests.support.batch_calls import number, rows

T = TypeVar("T")
pytestmark = pytest.mark.anyio
FAILURES: list[ApiError] = [
    Unavailable(),
    ServerFault(),
    NotSent("no route"),
    Unanswered("cut"),
    Throttled(code="rate_limit_exceeded", retry_after=20),
]


class Service:
    """An api that fails as a function of the row and the time says."""

    def __init__(self, clock: VirtualClock, fails: Callable[[int, float], ApiError | None]) -> None:
        self.clock, self.fails = clock, fails
        self.asked: list[tuple[float, int]] = []

    async def __call__(self, call: Call[T], /) -> Result[T]:
        self.asked.append((self.clock.now(), number(call)))
        await self.clock.sleep(0.1)
        return self.fails(number(call), self.clock.now()) or Ok(call.returns())


async def sent(api: Service, count: int, **options: Any) -> tuple[list[batch.Outcome[int]], batch.Outcomes[int]]:  # noqa: ANN401 - those of `sending`
    async with (
        api.clock.autojump(),
        batch.send(api, rows(count), clock=api.clock, **{"concurrency": 4, **options}) as outcomes,
    ):
        return [outcome async for outcome in outcomes], outcomes


@pytest.mark.parametrize("error", FAILURES, ids=lambda error: type(error).__name__)
async def test_an_outage_costs_a_few_probes_and_no_outcome(error: ApiError) -> None:
    clock = VirtualClock()
    api = Service(clock, lambda _, now: error if 2 <= now < 60 else None)
    taken, outcomes = await sent(api, 200)
    assert sorted(outcome.index for outcome in taken) == list(range(200))
    assert all(isinstance(outcome.result, Ok) for outcome in taken)
    assert outcomes.stopped is None
    assert 200 < len(api.asked) <= 220
    assert 60 <= clock.now() < 110


async def test_an_outage_shows_its_next_probe_and_its_time_left() -> None:
    clock = VirtualClock()
    api = Service(clock, lambda _, now: Unavailable(code="down") if 2 <= now < 60 else None)
    seen: list[batch.OutageState | None] = []
    async with (
        clock.autojump(),
        batch.send(api, rows(100), clock=clock, concurrency=4, outage_timeout=100.0) as outcomes,
    ):

        async def look() -> None:
            while True:
                seen.append(outcomes.outage)
                await clock.sleep(1.0)

        async with anyio.create_task_group() as tasks:
            _ = tasks.start_soon(look)
            taken = [outcome.index async for outcome in outcomes]
            tasks.cancel_scope.cancel()
        assert outcomes.outage is None
    assert len(taken) == 100
    assert seen[0] is None
    during = [one for one in seen if one is not None]
    assert 55 <= len(during) <= 95
    assert all(isinstance(one.error, Unavailable) for one in during)
    assert all(one.lasted + one.time_left == pytest.approx(100.0) for one in during)
    assert [one.lasted for one in during] == sorted(one.lasted for one in during)
    assert 10 < max(one.next_probe for one in during) <= 30
    assert min(one.next_probe for one in during) < 1


async def test_a_batch_that_has_stopped_is_in_no_outage() -> None:
    clock = VirtualClock()
    taken, outcomes = await sent(Service(clock, lambda _, __: Unavailable()), 20, outage_timeout=30.0)
    assert outcomes.stopped is not None
    assert outcomes.outage is None
    assert len(taken) < 20


async def test_while_it_lasts_nothing_new_is_sent_and_one_row_probes_ever_more_rarely() -> None:
    clock = VirtualClock()
    api = Service(clock, lambda _, now: Unavailable() if 2 <= now < 300 else None)
    _ = await sent(api, 200)
    probes = [at for at, _ in api.asked if 3 < at < 300]
    between = [after - before for before, after in pairwise(probes)]
    assert len(probes) <= 20
    assert 20 < max(between) <= 31
    new = {row for at, row in api.asked if 3 < at < 300}
    assert len(new) <= 5 + 4


@pytest.mark.parametrize("error", FAILURES, ids=lambda error: type(error).__name__)
async def test_a_service_that_comes_and_goes_stops_no_batch_and_costs_few_outcomes(error: ApiError) -> None:
    clock = VirtualClock()
    api = Service(clock, lambda _, now: error if now % 2 > 1 else None)
    taken, outcomes = await sent(api, 2000, concurrency=40)
    assert outcomes.stopped is None
    assert len(taken) == 2000
    assert sum(not isinstance(outcome.result, Ok) for outcome in taken) <= 60


@pytest.mark.parametrize("concurrency", [1, 4])
async def test_a_row_that_fails_alone_is_tried_again_and_then_is_an_outcome(concurrency: int) -> None:
    api = Service(VirtualClock(), lambda row, _: ServerFault() if row == 7 else None)
    taken, outcomes = await sent(api, 30, concurrency=concurrency)
    assert {outcome.index: type(outcome.result) for outcome in taken if not isinstance(outcome.result, Ok)} == {
        7: ServerFault
    }
    assert len(taken) == 30
    assert sum(row == 7 for _, row in api.asked) == 2
    assert outcomes.stopped is None


async def test_the_last_row_alone_is_tried_again_too() -> None:
    clock = VirtualClock()
    api = Service(clock, lambda row, now: Unanswered("cut") if row == 9 and now < 0.35 else None)
    taken, _ = await sent(api, 10)
    assert all(isinstance(outcome.result, Ok) for outcome in taken)


async def test_what_may_not_be_sent_twice_is_not() -> None:
    calls = [Call("POST", f"/v1/rows/{at}", int) for at in range(10)]
    clock = VirtualClock()
    api = Service(clock, lambda row, _: Unanswered("cut") if row == 3 else None)
    async with clock.autojump(), batch.send(api, calls, clock=clock) as outcomes:
        taken = [outcome async for outcome in outcomes]
    assert len(api.asked) == len(taken) == 10


async def test_when_the_patience_is_at_its_end_it_stops_and_tells_what_was_kept() -> None:
    clock = VirtualClock()
    api = Service(clock, lambda _, now: Unavailable(code="down") if now > 2 else None)
    taken, outcomes = await sent(api, 500, outage_timeout=300)
    assert outcomes.stopped == batch.Stopped("outage", Unavailable(code="down"))
    assert len(taken) == outcomes.started < 150
    assert 200 < clock.now() < 310
    assert outcomes.in_flight == 0


async def test_a_service_that_never_answered_is_not_waited_for_that_long() -> None:
    clock = VirtualClock()
    taken, outcomes = await sent(Service(clock, lambda *_: NotSent("no route")), 500)
    assert outcomes.stopped == batch.Stopped("outage", NotSent("no route"))
    assert clock.now() < 12
    assert len(taken) == outcomes.started < 15


async def test_asked_to_stop_in_an_outage_it_ends_and_can_go_on() -> None:
    clock = VirtualClock()
    api = Service(clock, lambda _, now: Unavailable() if 2 <= now < 100 else None)
    async with clock.autojump(), batch.send(api, rows(200), clock=clock, concurrency=4) as outcomes:

        async def stop() -> None:
            await clock.sleep(50)
            assert outcomes.in_outage
            outcomes.stop()

        async with anyio.create_task_group() as tasks:
            _ = tasks.start_soon(stop)
            first = [outcome async for outcome in outcomes]
        assert outcomes.stopped == batch.Stopped("asked")
        failed = [outcome for outcome in first if not isinstance(outcome.result, Ok)]
        assert failed
        await clock.sleep(100)
        outcomes.resume(*failed)
        second = [outcome async for outcome in outcomes]
    accepted = [one.index for one in (*first, *second) if isinstance(one.result, Ok)]
    assert sorted(accepted) == list(range(200))


async def test_a_402_in_an_outage_stops_it_and_tells_what_was_kept() -> None:
    clock = VirtualClock()
    broke = InsufficientBalance()
    api = Service(clock, lambda row, now: (broke if row == 12 else Unavailable()) if now > 0.25 else None)
    taken, outcomes = await sent(api, 200, concurrency=1, outage_timeout=100)
    assert outcomes.stopped == batch.Stopped("outage", Unavailable())
    api = Service(VirtualClock(), lambda row, _: broke if row == 3 else Unavailable() if row in {1, 2} else None)
    taken, outcomes = await sent(api, 200, concurrency=1)
    assert outcomes.stopped == batch.Stopped("balance", broke)
    assert sorted(outcome.index for outcome in taken) == [0, 1, 2, 3]


async def test_what_a_probe_raises_comes_out() -> None:
    clock = VirtualClock()

    def fails(_: int, now: float) -> ApiError:
        if now > 1:
            raise ValueError("mine")
        return Unavailable()

    with pytest.raises(ValueError, match="mine"):
        _ = await sent(Service(clock, fails), 50)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_probe_that_is_cancelled_from_within_is_an_error_and_no_hang() -> None:
    import asyncio

    clock = VirtualClock()

    async def api(_: Call[T]) -> Result[T]:
        await clock.sleep(0.1)
        if clock.now() > 1:
            future = asyncio.get_running_loop().create_future()
            assert future.cancel()
            await future
        return Unavailable()

    with pytest.raises(RuntimeError, match="the api was cancelled from within"):
        async with clock.autojump(), batch.send(api, rows(50), clock=clock, concurrency=2) as outcomes:
            _ = [outcome async for outcome in outcomes]


@pytest.mark.parametrize("stopping", [False, True])
async def test_a_row_that_is_called_off_on_its_second_way_keeps_what_it_came_to(*, stopping: bool) -> None:
    clock = VirtualClock()
    tries: list[int] = []

    async def api(call: Call[T]) -> Result[T]:
        await clock.sleep(0.1)
        if number(call) != 1:
            return Ok(call.returns())
        tries.append(1)
        if len(tries) == 1:
            return Unavailable()
        if len(tries) == 2:
            if stopping:
                outcomes.stop()
            return NotSent("called off", code=CALLED_OFF)
        return Ok(call.returns())

    async with clock.autojump(), batch.send(api, rows(30), clock=clock, concurrency=2) as outcomes:
        found = {outcome.index: outcome.result async for outcome in outcomes}
    assert found[1] == (Unavailable() if stopping else Ok(0))
    assert len(found) == outcomes.started


def test_a_patience_below_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="outage_timeout"):
        _ = batch.send(Service(VirtualClock(), lambda *_: None), rows(1), outage_timeout=-1)


@pytest.mark.parametrize("stopping", ["balance", "outage"])
async def test_nothing_leaves_a_client_after_the_stop_not_even_what_waits_for_its_turn(stopping: str) -> None:
    clock = VirtualClock()
    left: list[float] = []

    async def transport(_: Request, /) -> Response:
        left.append(clock.now())
        await clock.sleep(0.01)
        if len(left) <= 20:
            return Response(200, {}, b"1")
        return Response(402 if stopping == "balance" else 503, {}, b'{"error":"code","message":"m"}')

    async with (
        clock.autojump(),
        Client(api_key="k", transport=transport, clock=clock, pace=Pace(50), retry=Retry(budget=0)) as api,
        batch.send(api, rows(500), clock=clock, concurrency=64, outage_timeout=30) as outcomes,
    ):
        taken = [outcome async for outcome in outcomes]
    assert outcomes.stopped is not None
    assert outcomes.stopped.reason == stopping
    assert sum(isinstance(outcome.result, Ok) for outcome in taken) == 20
    assert len(left) <= (22 if stopping == "balance" else 36)
    assert len(taken) == outcomes.started
    assert all(outcome.result.code != "called_off" for outcome in taken if not isinstance(outcome.result, Ok))


@pytest.mark.parametrize("refusal", [Throttled(code="rate_limit_exceeded"), Forbidden()], ids=["429", "403"])
async def test_a_row_that_may_have_gone_out_stays_in_doubt_though_it_is_refused_later(refusal: ApiError) -> None:
    answers: list[Result[Any]] = [Unanswered("no answer in time"), refusal, refusal, refusal]

    async def api(_: Call[Any], /) -> Result[Any]:
        await anyio.lowlevel.checkpoint()
        return answers.pop(0) if len(answers) > 1 else answers[0]

    clock = VirtualClock()
    call = Call("POST", "/v1/messages", Accepted, body=b"{}", idempotency_key="k")
    async with clock.autojump(), batch.send(api, [call], outage_timeout=5, clock=clock) as outcomes:
        found = [outcome.result async for outcome in outcomes]
    assert [(type(result), not isinstance(result, Ok) and result.may_have_happened) for result in found] == [
        (type(refusal), True)
    ]


async def test_a_batch_that_is_no_longer_wanted_probes_no_more() -> None:
    clock = VirtualClock()
    api = Service(clock, lambda _row, _now: Unavailable())
    found, outcomes = await sent(api, 10, only_while=lambda: clock.now() < 3)
    assert {outcome.result for outcome in found} == {Unavailable()}
    assert (len(found), outcomes.stopped) == (outcomes.started, batch.Stopped("asked"))
    assert max(asked for asked, _ in api.asked) < 3


async def test_with_a_client_nothing_that_waits_for_its_turn_leaves_once_it_is_no_longer_wanted() -> None:
    clock, left = VirtualClock(), []

    async def transport(_: Request, /) -> Response:
        left.append(clock.now())
        await clock.sleep(0.01)
        return Response(200, {}, b"1")

    async with (
        clock.autojump(),
        Client(api_key="k", transport=transport, clock=clock, pace=Pace(per_second=1)) as api,
        batch.send(api, rows(10), clock=clock, only_while=lambda: clock.now() < 2.5) as outcomes,
    ):
        found = [outcome.index async for outcome in outcomes]
    assert (len(found), len(left), outcomes.stopped) == (3, 3, batch.Stopped("asked"))


FOREIGN = NotFound(code="http_404", meta=Meta(status=404), from_service=False)


async def test_answers_that_are_not_the_services_are_no_outage() -> None:
    clock = VirtualClock()
    api = Service(clock, lambda row, _: FOREIGN if row % 10 else None)
    taken, outcomes = await sent(api, 200, concurrency=1)
    assert ([outcome.result for outcome in taken].count(FOREIGN), outcomes.stopped) == (180, None)
    assert len(api.asked) == 200


async def test_during_an_outage_an_answer_that_is_not_the_services_costs_no_row_and_ends_nothing() -> None:
    clock = VirtualClock()
    probes: Iterator[ApiError] = iter([FOREIGN, Unavailable(), FOREIGN])

    def fails(_: int, now: float) -> ApiError | None:
        return Unavailable() if 2 <= now < 3 else next(probes, None) if now >= 3 else None

    taken, outcomes = await sent(Service(clock, fails), 200)
    assert (len(taken), outcomes.stopped) == (200, None)
    assert all(isinstance(outcome.result, Ok) for outcome in taken)


async def test_ten_such_answers_during_an_outage_stop_the_batch() -> None:
    clock, seen = VirtualClock(), list[float]()

    def fails(_: int, now: float) -> ApiError | None:
        if now < 3:
            return None if now < 2 else Unavailable()
        seen.append(now)
        return FOREIGN

    _, outcomes = await sent(Service(clock, fails), 200)
    assert outcomes.stopped == batch.Stopped("foreign", evolve(FOREIGN, may_have_happened=True))  # after the 503
    assert len(seen) == 10


async def test_an_outage_that_no_row_is_left_to_probe_does_not_hang_the_batch() -> None:
    clock = VirtualClock()
    calls = [Call("POST", f"/v1/rows/{row}", int) for row in range(20)]  # without a key: not repeated after a 503
    asked: list[int] = []

    async def api(call: Call[T]) -> Result[T]:
        again = number(call) in asked
        asked.append(number(call))
        await clock.sleep(0.1)
        if number(call) == 0:
            return Ok(call.returns())
        return Unavailable(code=f"{number(call)}") if again else NotSent(f"{number(call)}")

    async with (
        clock.autojump(),
        batch.send(api, calls, clock=clock, concurrency=4, breaker=None, outage_timeout=9_000) as outcomes,
    ):
        taken = [outcome async for outcome in outcomes]
    assert sorted(outcome.index for outcome in taken) == list(range(20))
    assert outcomes.stopped is None


async def test_a_batch_that_the_rate_limit_let_nothing_through_says_so() -> None:
    clock = VirtualClock()
    limited = Throttled(code="rate_limit_exceeded", retry_after=1000)
    _, outcomes = await sent(Service(clock, lambda _, now: limited if now > 2 else None), 200)
    assert outcomes.stopped == batch.Stopped("rate_limit", limited)


@pytest.mark.parametrize("retry_after", [86_401.0, 1.8e9])
async def test_a_retry_after_of_more_than_a_day_does_not_stop_a_batch_that_gets_through(retry_after: float) -> None:
    clock, far = VirtualClock(), Throttled(code="rate_limit_exceeded", retry_after=retry_after)
    taken, outcomes = await sent(Service(clock, lambda _, now: far if 2 < now < 2.2 else None), 200)
    assert (len(taken), outcomes.stopped) == (200, None)
    assert all(isinstance(outcome.result, Ok) for outcome in taken)
