"""batch: what stops the sending, and how it goes on."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.lowlevel
import pytest

from msgapi import (
    ApiError,
    Call,
    Caller,
    Conflict,
    Detail,
    Forbidden,
    InsufficientBalance,
    Invalid,
    Meta,
    NotFound,
    NotSent,
    Ok,
    Result,
    ServerFault,
    Throttled,
    Unanswered,
    Unauthorized,
    Unavailable,
    Unexpected,
    Unprocessable,
    Unreadable,
    VirtualClock,
    batch,
    journal,
)
from msgapi.batch.stops import Breaker
from tests.support.batch_calls import answer, call, drain, number, rows, rows_later

T = TypeVar("T")

SYSTEMIC: list[ApiError] = [
    Forbidden(code="agent_not_approved"),
    Conflict(code="duplicate"),
    ServerFault(code="internal"),
    Unavailable(code="down"),
    Unexpected(code="http_302"),
    Unreadable(),
    NotSent("refused"),
    Unanswered("reset"),
    Throttled(code="rate_limit_exceeded"),
    Invalid(details=(Detail("text", "too long"),)),
]
OF_THE_ROW: list[ApiError] = [
    NotFound(code="not_rcs_capable"),
    Unprocessable(code="no_active_session"),
    Throttled(code="newsletter_daily_cap"),
]


def refusing(refusal: Callable[[int], ApiError | None]) -> Caller:
    async def api(a_call: Call[T]) -> Result[T]:
        await anyio.lowlevel.checkpoint()
        if a_call.invalid is not None:
            return a_call.invalid
        return refusal(number(a_call)) or Ok(a_call.returns())

    return api


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("error", "reason"), [(Unauthorized(code="unauthorized"), "unauthorized"), (InsufficientBalance(), "balance")]
)
async def test_a_401_or_402_sends_no_more_and_delivers_what_was_in_flight(
    error: ApiError, reason: batch.Reason
) -> None:
    source = rows(1000)
    api = refusing(lambda row: error if row >= 10 else None)
    async with batch.send(api, source, concurrency=4) as outcomes:
        taken = await drain(outcomes)
        assert outcomes.stopped == batch.Stopped(reason, error)
        assert sorted(taken) == list(range(outcomes.started))
        assert 11 <= outcomes.started <= 10 + 4
        assert await drain(outcomes) == []
    assert len(list(source)) == 1000 - outcomes.started


@pytest.mark.anyio
@pytest.mark.parametrize("later", [False, True])
async def test_after_a_top_up_it_goes_on_where_it_stopped(*, later: bool) -> None:
    broke = True
    error = InsufficientBalance()
    api = refusing(lambda row: error if broke and row >= 10 else None)
    async with batch.send(api, rows_later(100) if later else rows(100), concurrency=4) as outcomes:
        first = await drain(outcomes)
        broke = False
        outcomes.resume()
        assert outcomes.stopped is None
        second = await drain(outcomes)
    assert sorted(first + second) == list(range(100))
    assert outcomes.stopped is None


@pytest.mark.anyio
async def test_resuming_inside_the_loop_goes_on_and_late_refusals_do_not_stop_it_again() -> None:
    topped_up, late = anyio.Event(), anyio.Event()
    error = InsufficientBalance()

    async def api(a_call: Call[T]) -> Result[T]:
        if (row := number(a_call)) in {1, 2}:  # left before the top-up, refused after it
            await late.wait()
            return error
        await anyio.lowlevel.checkpoint()
        return Ok(a_call.returns()) if topped_up.is_set() or row < 2 else error

    stops, seen, refused = [], set[int](), 0
    async with batch.send(api, rows(50), concurrency=4) as outcomes:
        async for outcome in outcomes:
            seen.add(outcome.index)
            refused += not isinstance(outcome.result, Ok)
            if outcomes.stopped is not None and not topped_up.is_set():
                stops.append(outcomes.stopped.reason)
                topped_up.set()
                outcomes.resume()
            if outcome.index == 40:
                late.set()
    assert stops == ["balance"]
    assert outcomes.stopped is None
    assert (seen, outcomes.settled) == (set(range(50)), 50 - refused)


@pytest.mark.anyio
async def test_a_new_refusal_after_a_resume_stops_it_again() -> None:
    api = refusing(lambda _: InsufficientBalance())
    async with batch.send(api, rows(50), concurrency=1) as outcomes:
        assert await drain(outcomes) == [0]
        outcomes.resume()
        assert await drain(outcomes) == [1]
        assert outcomes.stopped == batch.Stopped("balance", InsufficientBalance())


@pytest.mark.anyio
@pytest.mark.parametrize("error", SYSTEMIC, ids=lambda error: type(error).__name__)
async def test_a_run_of_the_same_refusal_trips_the_breaker(error: ApiError) -> None:
    async with batch.send(refusing(lambda _: error), rows(100), concurrency=1, outage_timeout=0) as outcomes:
        assert await drain(outcomes) == list(range(25))
        assert outcomes.stopped == batch.Stopped("refusals", error)
        outcomes.resume()
        assert await drain(outcomes) == list(range(25, 50))


@pytest.mark.anyio
@pytest.mark.parametrize("error", OF_THE_ROW, ids=lambda error: type(error).__name__)
async def test_refusals_that_belong_to_their_rows_never_trip_it_once_a_row_was_accepted(error: ApiError) -> None:
    api = refusing(lambda row: None if row == 24 else error)
    async with batch.send(api, rows(100), concurrency=1) as outcomes:
        assert len(await drain(outcomes)) == 100
    assert outcomes.stopped is None


@pytest.mark.anyio
@pytest.mark.parametrize("error", OF_THE_ROW, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(
    "between", [None, Unprocessable(code="other"), NotSent("refused"), Forbidden(code="x", meta=Meta(status=403))]
)
async def test_the_same_refusal_of_every_row_trips_it_in_a_row_or_not(
    error: ApiError, between: ApiError | None
) -> None:
    api = refusing(lambda row: error if row % 2 or between is None else between)
    async with batch.send(api, rows(200), concurrency=1, outage_timeout=0) as outcomes:
        taken = await drain(outcomes)
        assert outcomes.stopped is not None
        assert (outcomes.stopped.reason, len(taken)) == (
            "refusals",
            25 if between is None else 49 + (between.scope == "service"),
        )
        outcomes.resume()
        assert len(await drain(outcomes)) == len(taken)


@pytest.mark.anyio
async def test_refusals_that_differ_in_each_row_are_counted_in_bounded_memory() -> None:
    breaker = Breaker(25)
    for row in range(1000):
        assert breaker.judge(Unprocessable(code=f"code_{row}")) is None
    assert len(breaker._refusals) <= 100
    late = [breaker.judge(Unprocessable(code="late")) for _ in range(25)]
    assert late == [None] * 25
    early = [breaker.judge(Unprocessable(code="code_0")) for _ in range(24)]
    assert early == [None] * 23 + [batch.Stopped("refusals", Unprocessable(code="code_0"))]


@pytest.mark.anyio
@pytest.mark.parametrize("accepted", [False, True])
async def test_a_row_that_an_earlier_run_had_accepted_counts_as_accepted(tmp_path: Path, accepted: bool) -> None:
    file = str(tmp_path / "journal")
    calls = [(f"r{row}", call(row)) for row in range(60)]
    before = refusing(lambda _: None if accepted else NotFound(code="not_rcs_capable"))
    after = refusing(lambda _: NotFound(code="not_rcs_capable"))
    for api, some in ((before, calls[:1]), (after, calls)):
        async with (
            journal.open(file, batch="b") as record,
            batch.send(api, some, journal=record, concurrency=1) as outcomes,
        ):
            taken = await drain(outcomes)
    assert (len(taken), outcomes.stopped is None) == ((59, True) if accepted else (25, False))


FOREIGN: list[ApiError] = [
    Unreadable(meta=Meta(status=200), from_service=False),
    Unexpected(meta=Meta(status=302), from_service=False, may_have_happened=False),
    NotFound(meta=Meta(status=404), from_service=False),
    Unauthorized(meta=Meta(status=401), from_service=False),
    InsufficientBalance(meta=Meta(status=402), from_service=False),
    Forbidden(meta=Meta(status=403), from_service=False),
]


@pytest.mark.anyio
@pytest.mark.parametrize("breaker", [25, None])
@pytest.mark.parametrize("errors", [*([one] for one in FOREIGN), FOREIGN])
async def test_ten_answers_in_a_row_that_are_not_the_services_stop_it(
    errors: list[ApiError], breaker: int | None
) -> None:
    api = refusing(lambda row: errors[row % len(errors)] if row >= 3 else None)
    async with batch.send(api, rows(100), concurrency=1, breaker=breaker) as outcomes:
        assert len(await drain(outcomes)) == 13
        assert outcomes.stopped == batch.Stopped("foreign", errors[12 % len(errors)])
        outcomes.resume()
        assert len(await drain(outcomes)) == 10


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("between", "stops"),
    [
        (None, False),
        (NotFound(code="not_rcs_capable", meta=Meta(status=404)), False),
        (Throttled(code="newsletter_daily_cap", meta=Meta(status=429)), False),
        (Unavailable(code="down", meta=Meta(status=503)), False),
        (Unavailable(code="http_503", meta=Meta(status=503), from_service=False), True),
        (Unexpected(code="http_408", meta=Meta(status=408), from_service=False), True),
        (Throttled(code="http_429", meta=Meta(status=429), from_service=False), True),
        (NotSent("refused"), True),
        (Unanswered("reset"), True),
    ],
)
@pytest.mark.parametrize("outage_timeout", [0, 900])
async def test_only_an_answer_of_the_service_ends_a_run_of_those_that_are_not(
    between: ApiError | None, stops: bool, outage_timeout: float
) -> None:
    clock, asked = VirtualClock(), Counter[int]()

    async def api(a_call: Call[T]) -> Result[T]:
        row = number(a_call)
        asked[row] += 1
        await anyio.lowlevel.checkpoint()
        if row % 10 != 9:
            return FOREIGN[row % 6]
        return Ok(a_call.returns()) if between is None or asked[row] > 1 else between

    async with (
        clock.autojump(),
        batch.send(api, rows(30), concurrency=1, outage_timeout=outage_timeout, clock=clock) as outcomes,
    ):
        taken = await drain(outcomes)
    reason = None if outcomes.stopped is None else outcomes.stopped.reason
    assert (reason, len(taken)) == (("foreign", 11) if stops else (None, 30))


@pytest.mark.anyio
@pytest.mark.parametrize("between", [None, ServerFault(code="b"), Unavailable(code="a"), *OF_THE_ROW])
async def test_anything_else_in_between_begins_the_run_anew(between: ApiError | None) -> None:
    api = refusing(lambda row: None if row == 0 else between if row % 3 == 2 else ServerFault(code="a"))
    async with batch.send(api, rows(60), concurrency=1, breaker=3, outage_timeout=0) as outcomes:
        assert len(await drain(outcomes)) == 60


@pytest.mark.anyio
async def test_invalid_answers_with_other_details_are_not_the_same() -> None:
    api = refusing(lambda row: Invalid(details=(Detail("to", f"bad {row}"),)))
    async with batch.send(api, rows(60), breaker=2) as outcomes:
        assert len(await drain(outcomes)) == 60


@pytest.mark.anyio
async def test_a_row_that_never_left_neither_counts_nor_ends_a_run() -> None:
    bad = Call("POST", "/v1/rows/0", int, invalid=Invalid(details=(Detail("to", "missing"),)))
    async with batch.send(refusing(lambda _: None), [bad] * 60, breaker=2) as outcomes:
        assert len(await drain(outcomes)) == 60
    mixed = [call(1), bad, call(2), call(3)]
    async with batch.send(refusing(lambda _: Forbidden()), mixed, concurrency=1, breaker=2) as outcomes:
        assert await drain(outcomes) == [0, 1, 2]


@pytest.mark.anyio
async def test_without_a_breaker_only_401_and_402_stop_it() -> None:
    async with batch.send(refusing(lambda _: Forbidden()), rows(100), breaker=None) as outcomes:
        assert len(await drain(outcomes)) == 100


@pytest.mark.anyio
async def test_asked_to_stop_it_delivers_what_is_in_flight_and_can_go_on() -> None:
    source = rows(100)
    async with batch.send(answer, source, concurrency=4) as outcomes:
        taken = []
        async for outcome in outcomes:
            taken.append(outcome.index)
            outcomes.stop()
        assert sorted(taken) == list(range(outcomes.started))
        assert outcomes.started < 20
        assert outcomes.stopped == batch.Stopped("asked")
        stopped = "Stopped(reason='asked', error=None, missing=None)"
        assert repr(outcomes) == f"Outcomes(started={len(taken)}, settled={len(taken)}, stopped={stopped})"
        outcomes.resume()
        assert sorted(taken + await drain(outcomes)) == list(range(100))


@pytest.mark.anyio
async def test_asked_to_stop_while_waiting_it_ends_once_all_has_settled() -> None:
    go = anyio.Event()

    async def api(a_call: Call[T]) -> Result[T]:
        await go.wait()
        return Ok(a_call.returns())

    taken: list[int] = []
    async with batch.send(api, rows(100), concurrency=4) as outcomes, anyio.create_task_group() as tasks:
        _ = tasks.start_soon(drain, outcomes, taken)
        await anyio.wait_all_tasks_blocked()
        outcomes.stop()
        await anyio.wait_all_tasks_blocked()
        assert (outcomes.in_flight, taken) == (4, [])
        go.set()
    assert sorted(taken) == [0, 1, 2, 3]


@pytest.mark.anyio
async def test_resumed_while_the_last_are_in_flight_it_goes_on_at_once() -> None:
    go = anyio.Event()

    async def api(a_call: Call[T]) -> Result[T]:
        if number(a_call) == 0:
            await go.wait()
        return await answer(a_call)

    taken: list[int] = []
    async with batch.send(api, rows(10), concurrency=2) as outcomes, anyio.create_task_group() as tasks:
        _ = tasks.start_soon(drain, outcomes, taken)
        while not outcomes.started:
            await anyio.lowlevel.checkpoint()
        outcomes.stop()
        await anyio.wait_all_tasks_blocked()
        assert outcomes.in_flight == 1
        outcomes.resume()
        await anyio.wait_all_tasks_blocked()
        assert (outcomes.started, outcomes.in_flight) == (10, 1)
        go.set()
    assert sorted(taken) == list(range(10))


@pytest.mark.anyio
async def test_the_first_refusal_gives_the_reason() -> None:
    both_sent = anyio.Event()

    async def api(a_call: Call[T]) -> Result[T]:
        if number(a_call) == 0:
            await both_sent.wait()
            return InsufficientBalance()
        both_sent.set()
        await anyio.wait_all_tasks_blocked()
        return Unauthorized()

    async with batch.send(api, rows(10), concurrency=2) as outcomes:
        assert await drain(outcomes) == [0, 1]
        assert outcomes.stopped == batch.Stopped("balance", InsufficientBalance())


@pytest.mark.anyio
async def test_asked_to_stop_at_the_end_of_the_source_there_is_nothing_to_stop() -> None:
    async with batch.send(answer, rows(10)) as outcomes:
        assert len(await drain(outcomes)) == 10
        outcomes.stop()
    assert outcomes.stopped is None


@pytest.mark.anyio
async def test_a_stop_does_not_wait_for_a_slow_source_and_the_call_that_comes_later_is_kept() -> None:
    give, take = anyio.create_memory_object_stream[Call[int]](10)
    taken: list[int] = []
    async with give, take, batch.send(answer, take, concurrency=3) as outcomes:
        async with anyio.create_task_group() as tasks:
            _ = tasks.start_soon(drain, outcomes, taken)
            await give.send(call(0))
            await anyio.wait_all_tasks_blocked()
            outcomes.stop()
        assert taken == [0]
        await give.send(call(1))
        await give.send(call(2))
        await give.aclose()
        await anyio.wait_all_tasks_blocked()
        assert outcomes.started == 1
        outcomes.resume()
        rest = [outcome async for outcome in outcomes]
    assert [(outcome.index, number(outcome.call)) for outcome in rest] == [(1, 1), (2, 2)]


@pytest.mark.anyio
async def test_asking_to_stop_outranks_an_earlier_reason() -> None:
    async with batch.send(refusing(lambda _: InsufficientBalance()), rows(10), concurrency=1) as outcomes:
        _ = await drain(outcomes)
        outcomes.stop()
        assert outcomes.stopped == batch.Stopped("asked")


@pytest.mark.anyio
async def test_a_batch_that_is_no_longer_wanted_stops_before_the_next_row_leaves() -> None:
    left: list[int] = []

    async def api(a_call: Call[T]) -> Result[T]:
        left.append(number(a_call))
        await anyio.lowlevel.checkpoint()
        return Ok(a_call.returns())

    async with batch.send(api, rows(100), concurrency=1, only_while=lambda: len(left) < 3) as outcomes:
        assert await drain(outcomes) == [0, 1, 2]
    assert outcomes.stopped == batch.Stopped("asked")
