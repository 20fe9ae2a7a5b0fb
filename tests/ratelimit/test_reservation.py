"""ratelimit.reservation: the slots that a worker reserves, and the queue and the client that use them."""

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import TypeAlias

import anyio
import pytest
from attrs import define, field

import msgapi
from msgapi import Call, NotSent, Ok, Pace, RateLimit, Request, Response, Result, Throttled, VirtualClock
from msgapi.ratelimit import Grant, Lane, LocalSharedRate, SharedRate
from msgapi.ratelimit.pace import ReservedSlots
from msgapi.transports import Answer

pytestmark = pytest.mark.anyio
SEND_CLASS = "POST messages"
SEND = Call("POST", "/v1/messages", int, body=b"{}", idempotency_key="k")
OK = Response(200, {}, b"1")


@define
class Asked:
    """A quota that grants by a script, its last line for ever, and remembers what it was asked."""

    grants: list[Grant]
    wanted: list[int] = field(factory=list)
    told: list[float] = field(factory=list)
    penalties: list[float] = field(factory=list)

    async def reserve(self, endpoint_class: str, slots: int, at_most: float | None = None) -> Grant:
        assert (endpoint_class, at_most) == (SEND_CLASS, None)
        self.wanted.append(slots)
        return self.grants[min(len(self.wanted), len(self.grants)) - 1]

    async def throttle(self, endpoint_class: str, seconds: float) -> None:
        assert endpoint_class == SEND_CLASS
        self.penalties.append(seconds)

    async def set_limit(self, endpoint_class: str, per_second: float) -> None:
        assert endpoint_class == SEND_CLASS
        self.told.append(per_second)

    async def pause(self, why: bytes) -> None: ...

    async def paused(self) -> bytes | None: ...

    async def resume(self) -> None: ...


def slots(*grants: Grant) -> tuple[ReservedSlots, Asked, VirtualClock]:
    clock, quota = VirtualClock(), Asked(list(grants))
    return ReservedSlots(quota, SEND_CLASS, Lane(), clock), quota, clock


async def test_a_slot_is_used_at_its_time_and_once() -> None:
    mine, _, clock = slots(Grant(2, 0.01, 0.02))
    assert not mine.take(clock.now())
    await mine.reserve(1)
    assert (mine.take(0.0), mine.wait(0.0)) == (False, 0.01)
    assert (mine.take(0.01), mine.take(0.01)) == (True, False)
    assert mine.wait(0.01) == pytest.approx(0.02)
    assert (mine.take(0.03), mine.take(0.03), mine.wait(0.03)) == (True, False, 0.0)


async def test_a_slot_that_is_not_used_in_its_time_is_lost() -> None:
    mine, _, _ = slots(Grant(10, 0.0, 0.02))
    await mine.reserve(1)
    assert sum(mine.take(0.1) for _ in range(10)) == 3  # those of 0.06, 0.08 and 0.1
    await mine.reserve(1)
    assert not mine.take(5.0)
    assert mine.wait(5.0) == 0


async def test_slots_of_a_slow_response_are_as_old_as_they_may_be() -> None:
    @define
    class Slow(Asked):
        clock: VirtualClock = field(factory=VirtualClock)

        async def reserve(self, endpoint_class: str, slots: int, at_most: float | None = None) -> Grant:
            grant = await super().reserve(endpoint_class, slots, at_most)
            self.clock.advance(1.0)
            return grant

    quota = Slow([Grant(5, 0.0, 0.001), Grant(5, 0.72, 0.001)])
    mine = ReservedSlots(quota, SEND_CLASS, Lane(), quota.clock)
    await mine.reserve(1)
    assert not mine.take(1.0)
    await mine.reserve(1)
    assert mine.take(2.0)


async def test_after_an_empty_grant_no_reservation_is_made_before_its_time() -> None:
    mine, _, _ = slots(Grant(0, 3.0, 0.1))
    await mine.reserve(1)
    assert (mine.wait(1.0), mine.wait(3.5), mine.take(3.5)) == (2.0, 0.0, False)


async def test_as_many_slots_are_reserved_as_requests_wait_or_one_more_than_were_used() -> None:
    mine, quota, clock = slots(Grant(5, 0.0, 0.0))
    await mine.reserve(3)
    for _ in range(4):
        assert mine.take(0.0)
    await mine.reserve(1)
    await mine.reserve(1)
    clock.advance(1.0)
    await mine.reserve(1)
    assert quota.wanted == [3, 5, 1, 1]


def learn(lane: Lane, now: float, *, limit: int = 100, length: float = 1.0) -> None:
    lane.record_sent(now)
    reset = (now // length + 1) * length
    lane.record_response(now, now, figures=RateLimit(limit=limit, remaining=limit - 1, reset=reset), server_time=None)


async def test_a_limit_is_reported_once_and_again_when_it_changes() -> None:
    mine, quota, _ = slots(Grant(1, 0.0, 1 / 93))
    for second in range(4):
        learn(mine.lane, second)
    await mine.reserve(1)
    await mine.reserve(1)
    learn(mine.lane, 4, limit=50)
    await mine.reserve(1)
    assert quota.told == [100, 50]


async def test_a_limit_that_the_store_has_lost_is_reported_again() -> None:
    mine, quota, _ = slots(Grant(1, 0.0, 0.0))
    for second in range(4):
        learn(mine.lane, second)
    await mine.reserve(1)
    await mine.reserve(1)
    assert quota.told == [100, 100]


async def test_an_upper_bound_is_reported_until_the_length_of_the_window_is_known() -> None:
    unknown, first, _ = slots(Grant(1, 0.0, 0.0))
    learn(unknown.lane, 10, limit=600, length=60)
    await unknown.reserve(1)
    assert first.told == [pytest.approx(600 / (50 - 1.25))]
    known, second, _ = slots(Grant(1, 0.0, 1 / 9.3))
    await known.reserve(1)
    learn(known.lane, 10, limit=600, length=60)
    await known.reserve(1)
    assert second.told == []


def test_a_window_without_a_response_does_not_make_a_limit_smaller() -> None:
    lane = Lane()
    for second in (0, 5, 6, 7):
        learn(lane, second)
        assert lane.header_rate in (None, 100)
    assert lane.header_rate == 100


Opened: TypeAlias = tuple[list[msgapi.Client], list[float], VirtualClock, list[Answer]]


@contextlib.asynccontextmanager
async def clients(number: int, quota: Callable[[VirtualClock], SharedRate], **how: object) -> AsyncIterator[Opened]:
    """So many clients that share nothing but the quota; when their requests left; what is answered next."""
    clock, left, answers = VirtualClock(), list[float](), list[Answer]()

    async def transport(_: Request, /) -> Answer:
        left.append(clock.now())
        await clock.sleep(0.01)
        return answers.pop(0) if answers else OK

    shared = quota(clock)
    async with clock.autojump(), contextlib.AsyncExitStack() as stack:
        opened = [
            await stack.enter_async_context(
                msgapi.Client(api_key="k", transport=transport, clock=clock, pace=Pace(shared=shared, **how))  # type: ignore[arg-type]
            )
            for _ in range(number)
        ]
        yield opened, left, clock, answers


async def send(apis: list[msgapi.Client], each: int) -> list[Result[int]]:
    results: list[Result[int]] = []

    async def one(api: msgapi.Client) -> None:
        results.append(await api(SEND))

    async with anyio.create_task_group() as tasks:
        for api in apis:
            for _ in range(each):
                tasks.start_soon(one, api)
    return results


def most_in_a_second(left: list[float]) -> int:
    return max(sum(first <= other < first + 1 - 1e-6 for other in left[i:]) for i, first in enumerate(left))


async def test_clients_with_one_shared_rate_stay_below_its_limit_together() -> None:
    async with clients(3, LocalSharedRate) as (apis, left, clock, _):
        assert apis[0]._sender.pace.shared is not None
        await apis[0]._sender.pace.shared.set_limit(SEND_CLASS, 100)
        results = await send(apis, 80)
    assert all(isinstance(result, Ok) for result in results)
    assert most_in_a_second(left) <= 100
    assert clock.now() <= 240 / 93 * 1.1


async def test_the_limit_of_the_user_is_for_all_clients_together() -> None:
    async with clients(3, LocalSharedRate, per_second=50) as (apis, left, clock, _):
        await send(apis, 40)
    assert most_in_a_second(left) <= 50
    assert clock.now() <= 120 / 46.5 * 1.1


async def test_one_429_throttles_every_client() -> None:
    async with clients(2, LocalSharedRate) as (apis, left, clock, answers):
        answers.append(Response(429, {}, b'{"error":"rate_limit_exceeded","message":"m","retry_after":20}'))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(apis[0], SEND)
            await clock.sleep(1)
            assert isinstance(await apis[1](SEND), Ok)
    assert left[0] == 0
    assert min(left[1:]) >= 20


async def test_a_cap_on_one_recipient_throttles_no_client() -> None:
    async with clients(2, LocalSharedRate) as (apis, left, _, answers):
        answers.append(Response(429, {}, b'{"error":"newsletter_daily_cap","message":"m","retry_after":20}'))
        assert isinstance(await apis[0](SEND), Throttled)
        assert isinstance(await apis[1](SEND), Ok)
    assert left[1] < 1


async def test_a_429_without_retry_after_throttles_for_a_second() -> None:
    quota = Asked([Grant(1, 0.0, 0.0)])
    async with clients(1, lambda _: quota) as (apis, _, _, answers):
        answers.append(Response(429, {}, b'{"error":"rate_limit_exceeded","message":"m"}'))
        assert isinstance(await apis[0](SEND), Ok)
    assert quota.penalties == [1.0]


async def test_a_wait_for_slots_above_longest_wait_is_returned_at_once_without_asking_each_time() -> None:
    quota = Asked([Grant(0, 100.0, 0.1)])
    async with clients(1, lambda _: quota) as (apis, left, clock, _):
        for _ in range(3):
            result = await apis[0](SEND)
            assert isinstance(result, Throttled)
            assert result.retry_after == pytest.approx(100)
        assert clock.now() == 0
    assert (left, len(quota.wanted)) == ([], 1)


async def test_a_wait_for_slots_beyond_the_deadline_is_returned_at_once() -> None:
    quota = Asked([Grant(0, 30.0, 0.1)])
    async with clients(1, lambda _: quota) as (apis, _, clock, _):
        for _ in range(2):
            with anyio.fail_after(20):
                assert isinstance(await apis[0](SEND), Throttled)
        assert clock.now() == 0


async def test_a_call_that_would_wait_beyond_its_deadline_does_not_join_the_queue() -> None:
    async def transport(_: Request, /) -> Answer:
        raise AssertionError  # pragma: no cover

    pace, clock = Pace(shared=Asked([Grant(0, 30.0, 0.1)])), VirtualClock()  # stands still
    async with (
        msgapi.Client(api_key="k", transport=transport, clock=clock, pace=pace) as api,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(api, SEND)
        await anyio.wait_all_tasks_blocked()
        with anyio.fail_after(20):
            assert isinstance(await api(SEND), Throttled)
        tasks.cancel_scope.cancel()


async def test_reservations_are_repeated_until_only_while_is_false() -> None:
    quota = Asked([Grant(0, 0.5, 0.0)])
    async with clients(1, lambda _: quota) as (apis, left, clock, _):
        result = await apis[0](SEND, only_while=lambda: clock.now() < 5)
    assert isinstance(result, NotSent)
    assert left == []
    assert 8 <= len(quota.wanted) <= 12


async def test_a_cancellation_during_a_wait_for_slots_leaves_the_queue_intact() -> None:
    quota = Asked([Grant(0, 0.5, 0.0)])
    async with clients(1, lambda _: quota) as (apis, left, clock, _):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(apis[0], SEND)
            await clock.sleep(2)
            tasks.cancel_scope.cancel()
        quota.grants[:] = [Grant(1, 0.0, 0.0)]
        assert isinstance(await apis[0](SEND), Ok)
    assert len(left) == 1


async def test_each_endpoint_class_has_slots_of_its_own() -> None:
    async with clients(1, LocalSharedRate) as (apis, left, _, _):
        shared = apis[0]._sender.pace.shared
        assert shared is not None
        await shared.throttle(SEND_CLASS, 30)
        assert isinstance(await apis[0](Call("GET", "/v1/rows/1", int)), Ok)
    assert len(left) == 1


async def test_a_request_needs_a_turn_of_its_lane_as_well_as_a_slot() -> None:
    quota = Asked([Grant(8, 0.0, 0.0)])
    async with clients(1, lambda _: quota) as (apis, left, _, _):
        apis[0]._sender.pace.lane(SEND_CLASS)._next_at = 5.0
        assert isinstance(await apis[0](SEND), Ok)
    assert left == pytest.approx([5.0])
    assert len(quota.wanted) == 1


async def test_a_call_in_a_cancelled_scope_raises_the_cancellation_and_returns_nothing() -> None:
    async def transport(request: Request, /) -> Answer:
        raise AssertionError(request)

    pace, results = Pace(shared=Asked([Grant(8, 0.0, 0.0)])), list[object]()
    async with msgapi.Client(api_key="k", transport=transport, pace=pace, clock=VirtualClock()) as api:
        with anyio.CancelScope() as scope:
            scope.cancel()
            results.append(await api(SEND))
    assert (scope.cancelled_caught, results) == (True, [])
