"""client: a call whose condition no longer holds does not leave, wherever it waits."""

from collections.abc import Callable

import anyio
import pytest

from msgapi import Call, Client, NotSent, Ok, Pace, Request, Response, Result, ServerFault, Throttled, VirtualClock
from msgapi.ratelimit import Lane
from msgapi.ratelimit.pace import Cancelled, TooLate, Turn, TurnQueue
from msgapi.results import CALLED_OFF
from msgapi.transports import Answer

pytestmark = pytest.mark.anyio
READ = Call("GET", "/v1/rows/1", int)
OK = Response(200, {}, b"1")


async def asked(
    answer: Callable[[float], Answer], *, until: float, calls: int = 1, pace: Pace | None = None
) -> tuple[list[Result[int]], list[float], float]:
    """Make calls one after the other until it is called off; gives results, when requests left, and the time."""
    clock, left = VirtualClock(), list[float]()

    async def transport(_: Request, /) -> Answer:
        left.append(clock.now())
        return answer(clock.now())

    async with clock.autojump(), Client(api_key="k", transport=transport, clock=clock, pace=pace) as api:
        results = [await api(READ, only_while=lambda: clock.now() < until) for _ in range(calls)]
    return results, left, clock.now()


async def test_a_call_whose_only_while_is_false_is_not_sent() -> None:
    (result,), left, _ = await asked(lambda _: OK, until=0)
    assert isinstance(result, NotSent)
    assert (result.code, result.may_have_happened, result.meta.attempts) == (CALLED_OFF, False, 0)
    assert left == []


async def test_only_while_that_stays_true_changes_nothing() -> None:
    results, left, _ = await asked(lambda _: OK, until=100, calls=5, pace=Pace(1))
    assert all(isinstance(result, Ok) for result in results)
    assert left == pytest.approx([0, 1, 2, 3, 4], abs=0.1)


async def test_a_wait_for_a_turn_ends_soon_after_only_while_is_false() -> None:
    (first, second), left, now = await asked(lambda _: OK, until=5, calls=2, pace=Pace(1 / 50))
    assert isinstance(first, Ok)
    assert isinstance(second, NotSent)
    assert second.code == CALLED_OFF
    assert len(left) == 1
    assert now == pytest.approx(5, abs=0.3)


async def test_a_wait_for_the_next_attempt_ends_as_the_last_one_did() -> None:
    limited = Response(429, {}, b'{"error":"rate_limit_exceeded","message":"m","retry_after":50}')
    (result,), left, now = await asked(lambda _: limited, until=5)
    assert isinstance(result, Throttled)
    assert (result.retry_after, len(left)) == (50, 1)
    assert now == pytest.approx(5, abs=0.3)


async def test_a_possible_effect_of_earlier_attempts_is_kept() -> None:
    (result,), left, _ = await asked(lambda _: Response(500, {}, b""), until=0.01)
    assert isinstance(result, ServerFault)
    assert result.may_have_happened
    assert len(left) <= 2


async def test_waiting_for_a_turn_in_a_cancelled_scope_raises_the_cancellation() -> None:
    gate = TurnQueue(Lane(), VirtualClock(), 60.0)
    async with anyio.create_task_group() as tasks:
        await gate._turn.acquire()
        _ = tasks.start_soon(gate.enter)
        await anyio.wait_all_tasks_blocked()
        assert not gate.enter_at_once(0.0)
        with anyio.CancelScope() as scope:
            scope.cancel()
            _ = await gate.enter()
        assert scope.cancelled_caught
        tasks.cancel_scope.cancel()


async def test_a_wait_in_the_queue_ends_with_a_turn_or_too_late_or_cancelled() -> None:
    queue = TurnQueue(Lane(per_second=0.01), VirtualClock(), 60.0)
    assert await queue.enter(lambda: False) == Cancelled()
    assert queue.lane.in_flight == 0
    assert await queue.enter() == Turn()
    late = await queue.enter()
    assert isinstance(late, TooLate)
    assert late.seconds == pytest.approx(100 - 0.02)  # less what a late departure makes up for
    assert queue.lane.in_flight == 1
