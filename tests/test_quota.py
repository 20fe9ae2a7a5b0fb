"""quota: the arithmetic of a shared rate, step by step, and many workers of it in simulated time."""

import heapq
from bisect import bisect_left
from math import ceil, floor
from typing import Any

import pytest
from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st

from msgapi import VirtualClock
from msgapi.quota import Grant, Local, Meter

BAND = "POST messages"


def near(value: float) -> Any:  # noqa: ANN401 - stands where a number does
    return pytest.approx(value, abs=1e-6)


def told(per_second: float) -> Meter:
    return Meter().tell(per_second)


def test_slots_of_a_told_limit_are_spaced_a_little_wider_than_it() -> None:
    _, grant = told(100).reserve(50.0, 3)
    assert grant == Grant(3, near(-0.03), near(1 / 93))


def test_one_block_is_fifty_thousandths_of_a_second_of_the_rate_at_the_most_and_one_slot_at_least() -> None:
    assert told(1500).reserve(50.0, 1000)[1].slots == 75
    assert told(3).reserve(50.0, 1000)[1].slots == 1


def test_slots_follow_each_other_whoever_reserves_them() -> None:
    meter, first = told(100).reserve(50.0, 2)
    meter, second = meter.reserve(50.0, 2)
    assert second.after == near(first.after + 2 / 93)


def test_who_asks_late_has_no_more_made_good_than_a_moment() -> None:
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
    assert Meter().reserve(50.0, 100)[1] == Grant(8, 0.0, 0.0)
    assert Meter().reserve(50.0, 2)[1] == Grant(2, 0.0, 0.0)


@pytest.mark.parametrize("known", [Meter(), Meter(told=500.0), Meter(rate=500.0)])
def test_what_the_user_allows_is_never_gone_beyond(known: Meter) -> None:
    assert known.reserve(50.0, 5, 100.0)[1].spacing == near(1 / 93)


def test_a_lower_limit_holds_whatever_the_user_allows() -> None:
    assert told(50).reserve(50.0, 5, 100.0)[1].spacing == near(1 / 46.5)


def test_a_penalty_closes_for_as_long_as_it_says_and_slots_begin_at_its_end() -> None:
    meter = told(100).penalise(50.0, 3.0)
    assert meter.reserve(50.0, 5)[1].slots == 0
    assert meter.reserve(50.0, 5)[1].after == near(3.0)
    assert meter.reserve(53.0, 5)[1].after == near(0.0)


def test_a_shorter_penalty_does_not_shorten_a_longer_one() -> None:
    assert told(100).penalise(50.0, 3.0).penalise(50.0, 1.0).closed_until == 53.0


def test_a_limit_that_headers_told_is_not_lowered() -> None:
    assert told(100).penalise(50.0, 1.0).reserve(51.0, 1)[1].spacing == near(1 / 93)


def test_a_refusal_sets_the_rate_to_what_was_let_through_while_none_was_known() -> None:
    meter = Meter()
    for _ in range(5):
        meter, _ = meter.reserve(50.0, 8)
    for _ in range(20):
        meter = meter.penalise(50.1, 0.9)
    assert meter.rate == near(20)  # 40 granted, 20 refused, in a second
    assert meter.reserve(50.5, 8)[1].after == near(0.5)


def test_a_refusal_of_the_first_request_leaves_one_a_second() -> None:
    assert Meter().penalise(50.0, 1.0).rate == 1.0


def test_an_unknown_rate_that_is_closed_is_waited_for() -> None:
    assert Meter(closed_until=51.0).reserve(50.0, 8)[1] == Grant(0, 1.0, 0.0)


def test_refusals_of_one_wave_lower_a_rate_once_and_those_of_the_next_again() -> None:
    first = Meter(rate=100.0, granted=1000, since=40.0).penalise(50.0, 0.01)
    assert first.rate == near(90)
    second = first.penalise(50.005, 0.005).penalise(50.05, 0.01)
    assert second.rate == near(90)
    third = second.penalise(51.0, 0.01)
    assert 45 <= third.rate <= 81


def test_a_rate_is_raised_quickly_up_to_what_was_let_through_and_slowly_beyond() -> None:
    quick, _ = Meter(rate=100.0, goal=200.0).reserve(50.0, 5)
    slow, _ = Meter(rate=300.0, goal=200.0).reserve(50.0, 5)
    assert quick.rate == near(103.5)
    assert slow.rate == near(300.1)


def test_a_told_limit_takes_the_place_of_a_found_rate_and_of_another_one() -> None:
    assert Meter(rate=10.0, goal=3.0).tell(100).reserve(50.0, 1)[1].spacing == near(1 / 93)
    assert told(100).tell(10).reserve(50.0, 1)[1].spacing == near(1 / 9.3)


def test_a_slot_that_is_hours_away_is_that_of_a_clock_that_was_set_back() -> None:
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
def test_in_no_second_more_slots_are_used_than_the_limit_allows_whoever_asks_when(
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


def play(service: Service, meter: Meter, until: float, workers: int = 3) -> None:
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
            meter = meter.penalise(now, wait_for)


@pytest.mark.parametrize("limit", [10, 50, 400])
def test_workers_that_are_told_nothing_find_the_limit_by_what_is_refused(limit: int) -> None:
    service = Service(limit)
    play(service, Meter(), until=20)
    assert service.accepted >= 0.75 * 20 * limit
    assert service.refused <= 0.1 * service.accepted + 3 * limit


def test_workers_that_were_told_the_limit_are_never_refused_and_lose_little() -> None:
    service = Service(400)
    play(service, told(400), until=20, workers=4)
    assert service.refused == 0
    assert service.accepted >= 0.92 * 20 * 400


@pytest.mark.anyio
async def test_a_quota_in_memory_goes_by_the_clock_that_it_is_given() -> None:
    clock = VirtualClock()
    quota = Local(clock)
    await quota.tell(BAND, 100)
    first, second = await quota.reserve(BAND, 5), await quota.reserve(BAND, 5)
    clock.advance(10)
    third = await quota.reserve(BAND, 5)
    assert (first.slots, first.after) == (5, 0.0)
    assert (second.slots, second.after) == (0, near(5 / 93))
    assert (third.slots, third.after) == (5, near(-0.03))
