"""ratelimit.shared: the arithmetic of a shared rate, and many workers that use it, in simulated time."""

import heapq
from bisect import bisect_left
from math import ceil, floor
from typing import Any

import pytest
from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st

from msgapi import VirtualClock
from msgapi.ratelimit import Grant, LocalSharedRate, RateState

SEND_CLASS = "POST messages"


def near(value: float) -> Any:  # noqa: ANN401 - stands where a number does
    return pytest.approx(value, abs=1e-6)


def told(per_second: float) -> RateState:
    return RateState().set_limit(per_second)


def test_slots_of_a_known_limit_are_spaced_a_little_wider_than_it() -> None:
    _, grant = told(100).reserve(50.0, 3)
    assert grant == Grant(3, near(-0.03), near(1 / 93))


def test_one_block_is_at_most_fifty_milliseconds_of_the_rate_and_at_least_one_slot() -> None:
    assert told(1500).reserve(50.0, 1000)[1].slots == 75
    assert told(3).reserve(50.0, 1000)[1].slots == 1


def test_slots_of_different_workers_follow_each_other() -> None:
    meter, first = told(100).reserve(50.0, 2)
    meter, second = meter.reserve(50.0, 2)
    assert second.after == near(first.after + 2 / 93)


def test_a_late_reservation_makes_up_for_a_moment_only() -> None:
    meter, _ = told(100).reserve(50.0, 5)
    _, later = meter.reserve(90.0, 5)
    assert later.after == near(-0.03)


def test_slots_further_off_than_a_block_are_not_reserved_yet() -> None:
    meter, _ = told(2).reserve(50.0, 1)
    same, grant = meter.reserve(50.0, 1)
    assert grant == Grant(0, near(1 / 1.86 - 0.03), near(1 / 1.86))
    assert same is meter
    assert meter.reserve(50.0 + grant.after, 1)[1] == Grant(1, near(0), near(1 / 1.86))


def test_an_unknown_rate_grants_a_few_at_a_time_without_spacing() -> None:
    assert RateState().reserve(50.0, 100)[1] == Grant(8, 0.0, 0.0)
    assert RateState().reserve(50.0, 2)[1] == Grant(2, 0.0, 0.0)


@pytest.mark.parametrize("known", [RateState(), RateState(limit=500.0), RateState(rate=500.0)])
def test_the_limit_of_the_user_is_never_exceeded(known: RateState) -> None:
    assert known.reserve(50.0, 5, 100.0)[1].spacing == near(1 / 93)


def test_a_lower_known_limit_takes_precedence_over_that_of_the_user() -> None:
    assert told(50).reserve(50.0, 5, 100.0)[1].spacing == near(1 / 46.5)


def test_a_throttle_grants_nothing_for_its_seconds_and_slots_begin_at_its_end() -> None:
    meter = told(100).throttle(50.0, 3.0)
    assert meter.reserve(50.0, 5)[1].slots == 0
    assert meter.reserve(50.0, 5)[1].after == near(3.0)
    assert meter.reserve(53.0, 5)[1].after == near(0.0)


def test_a_shorter_throttle_does_not_shorten_a_longer_one() -> None:
    assert told(100).throttle(50.0, 3.0).throttle(50.0, 1.0).closed_until == 53.0


def test_a_limit_from_headers_is_not_lowered() -> None:
    assert told(100).throttle(50.0, 1.0).reserve(51.0, 1)[1].spacing == near(1 / 93)


def test_a_429_sets_an_unknown_rate_to_what_was_accepted() -> None:
    meter = RateState()
    for _ in range(5):
        meter, _ = meter.reserve(50.0, 8)
    for _ in range(20):
        meter = meter.throttle(50.1, 0.9)
    assert meter.rate == near(20)  # 40 granted, 20 refused, in a second
    assert meter.reserve(50.5, 8)[1].after == near(0.5)


def test_a_429_to_the_first_request_leaves_one_request_a_second() -> None:
    assert RateState().throttle(50.0, 1.0).rate == 1.0


def test_a_throttled_unknown_rate_is_waited_for() -> None:
    assert RateState(closed_until=51.0).reserve(50.0, 8)[1] == Grant(0, 1.0, 0.0)


def test_429s_of_one_wave_lower_a_rate_once_and_those_of_the_next_again() -> None:
    first = RateState(rate=100.0, granted=1000, granted_since=40.0).throttle(50.0, 0.01)
    assert first.rate == near(90)
    second = first.throttle(50.005, 0.005).throttle(50.05, 0.01)
    assert second.rate == near(90)
    third = second.throttle(51.0, 0.01)
    assert 45 <= third.rate <= 81


def test_a_rate_is_raised_quickly_up_to_what_was_accepted_and_slowly_beyond() -> None:
    quick, _ = RateState(rate=100.0, goal=200.0).reserve(50.0, 5)
    slow, _ = RateState(rate=300.0, goal=200.0).reserve(50.0, 5)
    assert quick.rate == near(103.5)
    assert slow.rate == near(300.1)


def test_a_limit_from_headers_replaces_a_learned_rate_and_an_earlier_limit() -> None:
    assert RateState(rate=10.0, goal=3.0).set_limit(100).reserve(50.0, 1)[1].spacing == near(1 / 93)
    assert told(100).set_limit(10).reserve(50.0, 1)[1].spacing == near(1 / 9.3)


def test_a_slot_hours_ahead_is_ignored_because_a_clock_was_set_back() -> None:
    meter, _ = told(100).reserve(50_000.0, 5)
    _, grant = meter.reserve(50.0, 5)
    assert grant.slots == 0
    assert grant.after < 0.3


@define(order=True)
class Worker:
    """Asks as long as it has none, and uses each slot at its time, or up to 50 ms late."""

    asks_at: float
    number: int
    late: float = 0.0


STEPS = st.lists(st.tuples(st.floats(0, 0.08), st.integers(1, 200), st.floats(0, 0.05)), min_size=1, max_size=8)


@settings(max_examples=50)
@given(limit=st.integers(1, 2000), workers=st.lists(STEPS, min_size=1, max_size=5), start=st.floats(0, 2e9))
def test_in_no_second_are_more_slots_used_than_the_limit_allows(
    limit: int, workers: list[list[tuple[float, int, float]]], start: float
) -> None:
    meter, used = told(limit), []
    due = [Worker(start + number * 0.01, number) for number in range(len(workers))]
    turn = 0
    while due[0].asks_at < start + 2.5 and turn < 400:
        turn += 1
        worker = heapq.heappop(due)
        now = worker.asks_at
        idle, slots, late = workers[worker.number][turn % len(workers[worker.number])]
        meter, grant = meter.reserve(now, slots)
        used += [max(now, now + grant.after + i * grant.spacing + late) for i in range(grant.slots)]
        heapq.heappush(due, Worker((used[-1] if grant.slots else now + grant.after) + idle, worker.number))
    used.sort()
    for i, first in enumerate(used):
        assert bisect_left(used, first + 1 - 1e-6, lo=i) - i <= limit


@define
class Service:
    """A fixed window of a second; tells nothing but a 429."""

    limit: int
    window: int = -1
    used: int = 0
    accepted: int = 0
    refused: int = 0
    counts: dict[int, int] = field(factory=dict)

    def answer(self, now: float) -> float | None:
        if floor(now) != self.window:
            self.window, self.used = floor(now), 0
        if self.used >= self.limit:
            self.refused += 1
            return ceil((floor(now) + 1 - now) * 1000) / 1000
        self.used += 1
        self.accepted += 1
        return None


def play(service: Service, meter: RateState, until: float, workers: int = 3) -> None:
    due: list[tuple[float, int, str]] = [(0.001 * n, n, "ask") for n in range(workers)]
    while due[0][0] < until:
        now, number, what = heapq.heappop(due)
        if what == "ask":
            meter, grant = meter.reserve(now, 8)
            for i in range(grant.slots):
                heapq.heappush(due, (max(now, now + grant.after + i * grant.spacing), number, "send"))
            wait = max(grant.after + grant.slots * grant.spacing, 0.004 if grant.slots else 1e-4)
            heapq.heappush(due, (now + wait, number, "ask"))
        elif (wait_for := service.answer(now)) is not None:
            meter = meter.throttle(now, wait_for)


@pytest.mark.parametrize("limit", [10, 50, 400])
def test_workers_without_headers_find_the_limit_by_429s(limit: int) -> None:
    service = Service(limit)
    play(service, RateState(), until=20)
    assert service.accepted >= 0.75 * 20 * limit
    assert service.refused <= 0.1 * service.accepted + 3 * limit


def test_workers_with_a_known_limit_get_no_429_and_lose_little() -> None:
    service = Service(400)
    play(service, told(400), until=20, workers=4)
    assert service.refused == 0
    assert service.accepted >= 0.92 * 20 * 400


@pytest.mark.anyio
async def test_a_local_shared_rate_goes_by_the_given_clock() -> None:
    clock = VirtualClock()
    quota = LocalSharedRate(clock)
    await quota.set_limit(SEND_CLASS, 100)
    first, second = await quota.reserve(SEND_CLASS, 5), await quota.reserve(SEND_CLASS, 5)
    clock.advance(10)
    third = await quota.reserve(SEND_CLASS, 5)
    assert (first.slots, first.after) == (5, 0.0)
    assert (second.slots, second.after) == (0, near(5 / 93))
    assert (third.slots, third.after) == (5, near(-0.03))
