"""pace: against a simulated server, in simulated time, and each rule by itself."""

import heapq
from collections.abc import Callable
from math import floor, inf

import pytest
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st

from msgapi import Pace, RateLimit
from msgapi.ratelimit import Lane


@define
class Server:
    """A fixed window, as a service would count it; *told* says which figures its answers carry."""

    limit: float
    length: float = 1.0
    told: bool = False
    clock_error: float = 0.0
    window: int = -1
    used: int = 0
    other: float = 0.0  # share of the limit that somebody else uses up

    def answer(self, now: float) -> tuple[bool, float, RateLimit | None]:
        if int(now / self.length) != self.window:
            self.window, self.used = int(now / self.length), int(self.limit * self.other)
        end = (self.window + 1) * self.length
        allowed = self.used < self.limit
        self.used += allowed
        remaining = int(self.limit - self.used)
        figures = RateLimit(limit=int(self.limit), remaining=remaining, reset=end + self.clock_error)
        return allowed, end - now, figures if self.told else None


@define
class Run:
    """What became of a storm: every send is repeated until it is let through."""

    refused: int = 0
    wall: float = 0.0
    departures: list[float] = field(factory=list)


def test_a_lane_shows_for_how_long_no_request_may_leave_without_changing() -> None:
    lane = Pace().lane("POST messages")
    assert lane.blocked(0.0) == 0.0
    lane.record_sent(0.0)
    assert lane.blocked(0.0) == 0.0
    lane.record_throttled(0.0, 0.0, 30.0)
    assert (lane.blocked(10.0), lane.blocked(10.0), lane.blocked(31.0)) == (20.0, 20.0, 0.0)
    lane = Pace().lane("POST messages")
    for at in range(3):
        lane.record_sent(at)
    lane.record_response(3.0, 3.0, figures=RateLimit(limit=10, remaining=2, reset=13.0), server_time=None)
    assert lane.blocked(3.0) == 7.0 + 3.0
    assert lane.blocked(13.0) == 0.0
    paced = Pace(0.1).lane("POST messages")
    paced.record_sent(0.0)
    assert paced.blocked(4.0) == pytest.approx(6.0, abs=0.05)


def storm(
    lane: Lane,
    server: Server,
    *,
    sends: int = 600,
    concurrency: int = 100,
    latency: float = 0.002,
    change: Callable[[float, Server], None] = lambda _now, _server: None,
) -> Run:
    run, now, waiting, done = Run(), 0.0, sends, 0
    flying: list[tuple[float, int, float, bool, float, RateLimit | None]] = []
    while done < sends:
        change(now, server)
        while waiting and len(flying) < concurrency and lane.wait(now) <= 0:
            lane.record_sent(now)
            waiting -= 1
            run.departures.append(now)
            allowed, until, figures = server.answer(now + latency / 2)
            heapq.heappush(flying, (now + latency, len(run.departures), now, allowed, until, figures))
        wake = now + lane.wait(now) if waiting and len(flying) < concurrency else inf
        if flying and flying[0][0] <= wake:
            now, _, left_at, allowed, until, figures = heapq.heappop(flying)
            if allowed:
                lane.record_response(now, now, figures=figures, server_time=floor(now + server.clock_error))
                done += 1
            else:
                lane.record_throttled(now, left_at, until)
                run.refused += 1
                waiting += 1
        else:
            now = max(now, wake)
        assert now < 1000, "the storm does not end"
    run.wall = now
    return run


def test_an_unknown_limit_is_found_with_few_429s_and_little_time_lost() -> None:
    run = storm(Lane(), Server(50))
    assert run.refused <= 24
    assert run.wall <= 12 * 1.3


def test_a_limit_from_headers_is_kept_without_any_429() -> None:
    run = storm(Lane(), Server(50, told=True))
    assert run.refused == 0
    assert run.wall <= 12 * 1.15


@pytest.mark.parametrize("error", [3600.0, 3600.7, 1.3, -1.3, -3600.0, -3600.4])
def test_resets_are_read_by_the_clock_of_the_server(error: float) -> None:
    run = storm(Lane(), Server(50, told=True, clock_error=error))
    assert run.refused == 0
    assert run.wall <= 12 * 1.05


def test_a_server_clock_that_was_set_is_measured_again() -> None:
    def put_right(now: float, server: Server) -> None:
        server.clock_error = 3600 if now < 5 else 0

    run = storm(Lane(), Server(50, told=True), change=put_right)
    assert run.refused <= 50
    assert run.wall <= 12 * 1.15


def test_room_that_others_leave_is_used() -> None:
    def leave(now: float, server: Server) -> None:
        server.other = 0.5 if now < 6 else 0.0

    run = storm(Lane(), Server(50, told=True, other=0.5), change=leave)
    assert run.refused <= 40
    assert run.wall <= (6 + (600 - 6 * 25) / 50) * 1.15


def test_a_limit_that_halves_is_followed() -> None:
    def halve(now: float, server: Server) -> None:
        server.limit = 50 if now < 5 else 25

    run = storm(Lane(), Server(50), change=halve)
    assert run.refused <= 80
    assert run.wall <= 19 * 1.4


@pytest.mark.parametrize("told", [True, False])
def test_two_clients_on_one_key_still_get_through(told: bool) -> None:
    run = storm(Lane(), Server(50, told=told, other=0.5))
    assert run.refused <= 60
    assert run.wall <= 24 * 1.5


def test_a_high_limit_is_reached() -> None:
    run = storm(Lane(), Server(2000), sends=20_000, concurrency=200)
    assert run.refused <= 400
    assert run.wall <= 10 * 1.5


def test_without_any_limit_a_batch_is_not_slowed_for_long() -> None:
    run = storm(Lane(), Server(10**9), sends=10_000, concurrency=100, latency=0.05)
    assert run.refused == 0
    assert run.wall <= 10_000 / 100 * 0.05 * 1.2


@given(
    per_second=st.floats(0.5, 500),
    concurrency=st.integers(1, 50),
    latency=st.floats(0.001, 0.5),
    told=st.booleans(),
    limit=st.integers(1, 100),
)
def test_its_own_limit_is_never_exceeded(
    per_second: float, concurrency: int, latency: float, told: bool, limit: int
) -> None:
    lane = Pace(per_second=per_second).lane("POST messages")
    run = storm(lane, Server(limit, told=told), sends=30, concurrency=concurrency, latency=latency)
    for i, first in enumerate(run.departures):
        within = sum(first <= other < first + 1 for other in run.departures[i:])
        assert within <= per_second * 1.02 + 2


@given(retry_after=st.floats(0, 100), others=st.lists(st.floats(0, 100), max_size=5))
def test_a_lane_is_blocked_for_the_longest_retry_after(retry_after: float, others: list[float]) -> None:
    lane = Lane()
    for each in (*others, retry_after):
        lane.record_sent(0)
        lane.record_throttled(0, 0, each)
    assert lane.wait(0) >= max([*others, retry_after]) - 1e-9


def test_after_a_wait_requests_leave_spaced_and_not_all_at_once() -> None:
    lane = Lane()
    for _ in range(20):
        lane.record_sent(0)
        lane.record_response(0.1, 0, figures=None, server_time=None)
    lane.record_sent(0.1)
    lane.record_throttled(0.1, 0.1, 0.9)
    assert lane.wait(0.1) == pytest.approx(0.9)
    assert lane.rate == pytest.approx(20)
    lane.record_sent(1.0)
    assert lane.wait(1.0) == pytest.approx(0.05)
    assert lane.wait(1.0, ahead=2) == pytest.approx(0.15)


def windows(lane: Lane, first: int, *remaining: int) -> list[float | None]:
    """Let windows of a second with 100 requests go by, at whose ends so many remain; gives the rate in each."""
    rates = []
    for second, left in enumerate(remaining, first):
        assert lane.wait(second) <= 0
        lane.record_sent(second)
        figures = RateLimit(limit=100, remaining=left, reset=second + 1.0)
        lane.record_response(second + 0.1, second + 0.1, figures=figures, server_time=None)
        rates.append(lane.rate)
    return rates


def test_a_lowered_rate_is_raised_by_the_room_that_windows_have_left() -> None:
    lane = Lane()
    _ = windows(lane, 0, 99, 99)
    lane.record_sent(1.2)
    lane.record_throttled(1.3, 1.2, 0.1, RateLimit(limit=100, remaining=0, reset=2.0))
    first, second, third, fourth = windows(lane, 3, 5, 60, 90, 0)
    assert first is not None
    assert second is not None
    assert third is not None
    assert second - first < 5  # five of a hundred is no room
    assert third - second > 25
    assert fourth is None  # the limit is kept to by what remains, as it was before


def test_while_the_limit_is_unknown_a_long_queue_means_no_long_wait() -> None:
    lane = Lane()
    while lane.wait(0) <= 0:
        lane.record_sent(0)
    assert 0 < lane.wait(0, ahead=10_000) < 0.1


def test_a_429_without_retry_after_blocks_the_lane_for_a_second() -> None:
    lane = Lane()
    lane.record_sent(0)
    lane.record_throttled(0, 0, None)
    assert lane.wait(0) == pytest.approx(1)


def test_429s_of_one_wave_lower_the_rate_once() -> None:
    lane = Lane()
    for _ in range(5):
        lane.record_sent(0)
    rates = []
    for _ in range(5):
        lane.record_throttled(0.1, 0, 1)
        rates.append(lane.rate)
    assert len(set(rates)) == 1


def test_each_endpoint_class_has_a_lane_of_its_own() -> None:
    pace = Pace()
    sends, reads = pace.lane("POST messages"), pace.lane("GET billing")
    sends.record_sent(0)
    sends.record_throttled(0, 0, 30)
    assert sends.wait(0) == 30
    assert reads.wait(0) == 0
    assert pace.lane("POST messages") is sends


def test_a_lost_request_is_no_longer_in_flight() -> None:
    lane = Lane()
    lane.record_sent(0)
    assert lane.in_flight == 1
    lane.record_unanswered()
    assert lane.in_flight == 0
    assert lane.rate is None


@pytest.mark.parametrize(
    "figures",
    [
        None,
        RateLimit(),
        RateLimit(limit=0, remaining=0, reset=10.0),
        RateLimit(limit=5, remaining=0),
        RateLimit(limit=5, reset=10.0),
        RateLimit(limit=5, remaining=0, reset=-50.0),
        RateLimit(limit=5, remaining=0, reset=1e9),
    ],
)
def test_implausible_figures_are_ignored(figures: RateLimit | None) -> None:
    lane = Lane()
    lane.record_sent(0)
    lane.record_response(0, 0, figures=figures, server_time=None)
    assert lane.wait(0) == 0


@pytest.mark.parametrize(
    ("ahead", "server_time", "expected"),
    [(300.0, None, 300.0), (301.0, None, 0.0), (3600.0, None, 0.0), (3600.0, 0.0, 3600.0), (90_000.0, 0.0, 0.0)],
)
def test_a_distant_reset_is_believed_only_of_a_server_that_shows_its_clock(
    ahead: float, server_time: float | None, expected: float
) -> None:
    lane = Lane()
    lane.record_sent(0)
    lane.record_response(0, 0, figures=RateLimit(limit=5, remaining=0, reset=ahead), server_time=server_time)
    assert lane.wait(0) == pytest.approx(expected)


def test_a_response_of_an_earlier_window_changes_nothing() -> None:
    lane = Lane()
    for _ in range(2):
        lane.record_sent(0)
    lane.record_response(0, 0, figures=RateLimit(limit=9, remaining=7, reset=5.0), server_time=None)
    lane.record_response(0, 0, figures=RateLimit(limit=9, remaining=0, reset=1.0), server_time=None)
    assert lane.wait(0) == 0


def test_a_pace_of_zero_or_less_is_refused() -> None:
    with pytest.raises(ValueError, match="must be"):
        Pace(per_second=0)


def test_a_429_with_requests_remaining_blocks_the_lane_and_lowers_no_rate() -> None:
    lane = Lane()
    lane.record_sent(0)
    lane.record_throttled(0, 0, 0.05, RateLimit(limit=800, remaining=600, reset=1.0))
    assert lane.wait(0) == pytest.approx(0.05)
    assert lane.rate is None


def test_a_window_whose_length_is_known_is_spaced_a_little_faster_than_it_lasts() -> None:
    lane = Pace().lane("POST messages")
    for now in (0, 10):
        lane.record_sent(now)
        lane.record_response(now, now, figures=RateLimit(limit=100, remaining=99, reset=now + 10.0), server_time=None)
    assert lane.rate == pytest.approx(12.5)


def crowd(lanes: list[Lane], server: Server, *, seconds: float, concurrency: int = 32, latency: float = 0.01) -> Run:
    """Let lanes of several processes send on one key, as much as they may; each begins 0.2 s after the other."""
    run = Run()
    due: list[tuple[float, int, int, float, bool, float, RateLimit | None]] = [
        (0.2 * number, -1, number, 0.0, True, 0.0, None) for number in range(len(lanes))
    ]
    while (event := heapq.heappop(due))[0] < seconds:
        now, order, number, left_at, allowed, until, figures = event
        lane = lanes[number]
        if order >= 0 and allowed:
            lane.record_response(now, now, figures=figures, server_time=floor(now))
        elif order >= 0:
            lane.record_throttled(now, left_at, until)
            run.refused += 1
        while lane.in_flight < concurrency and lane.wait(now) <= 0:
            lane.record_sent(now)
            run.departures.append(now)
            order = len(run.departures)
            heapq.heappush(due, (now + latency, order, number, now, *server.answer(now + latency / 2)))
        if lane.in_flight < concurrency:
            heapq.heappush(due, (now + max(lane.wait(now), 1e-4), -1, number, 0.0, True, 0.0, None))
    return run


@pytest.mark.parametrize("told", [True, False])
def test_processes_that_share_only_the_key_come_near_its_limit(told: bool) -> None:
    run = crowd([Lane() for _ in range(4)], Server(100, told=told), seconds=8)
    assert len(run.departures) - run.refused >= 0.85 * 100 * 8
    assert run.refused <= 0.1 * len(run.departures)
