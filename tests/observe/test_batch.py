"""observe: which hooks an observer gets for a batch."""

from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import TypeVar

import anyio
import pytest

from msgapi import Call, InsufficientBalance, Ok, Response, Result, Retry, Unauthorized, batch, journal, observe
from msgapi.observe import BatchWatch, Observer
from tests.support.batch_calls import answer, drain, rows
from tests.support.observers import ACCEPTED, DOWN, SEND, Notes, observed

T = TypeVar("T")

pytestmark = pytest.mark.anyio


def of_the_batch(notes: Notes) -> list[str]:
    hooks = {"batch", "outcome", "stopped", "resumed", "broken", "ended"}
    return [line for line in notes.recorded if line.split()[0] in hooks]


async def test_each_outcome_and_the_end_of_a_batch_are_observed() -> None:
    notes = Notes()
    async with batch.send(answer, rows(3), concurrency=1, observer=notes) as outcomes:
        _ = await drain(outcomes)
    assert notes.recorded == ["batch", *(f"outcome /v1/rows/{n} Ok" for n in range(3)), "ended"]


async def test_the_observer_of_the_client_gets_the_hooks_of_its_batches() -> None:
    notes = Notes()
    async with observed(notes, ACCEPTED) as (api, _), batch.send(api, [SEND]) as outcomes:
        async for _ in outcomes:
            pass
    assert notes.recorded[0] == "batch"
    assert notes.recorded[1:5] == ["call /v1/messages", "attempt POST", "answer Ok 1", "result Ok"]
    assert notes.recorded[5:] == ["outcome /v1/messages Ok", "ended"]


async def test_an_observer_of_the_batch_comes_in_place_of_the_clients() -> None:
    mine, notes = Notes(), Notes()
    async with observed(notes, ACCEPTED) as (api, _), batch.send(api, [SEND], observer=mine) as outcomes:
        async for _ in outcomes:
            pass
    assert of_the_batch(notes) == []
    assert mine.recorded == ["batch", "outcome /v1/messages Ok", "ended"]


async def test_a_stop_and_a_resume_are_observed() -> None:
    notes, poor = Notes(), [True]

    async def api(a_call: Call[T]) -> Result[T]:
        return InsufficientBalance() if poor[0] else await answer(a_call)

    async with batch.send(api, rows(2), concurrency=1, observer=notes) as outcomes:
        async for outcome in outcomes:
            if poor[0]:
                poor[0] = False
                outcomes.resume(outcome)
                outcomes.resume()  # there is nothing to resume
    assert notes.recorded == [
        "batch",
        "outcome /v1/rows/0 InsufficientBalance",
        "stopped balance InsufficientBalance",
        "resumed",
        "outcome /v1/rows/0 Ok",
        "outcome /v1/rows/1 Ok",
        "ended",
    ]


async def test_a_stop_that_is_asked_for_is_observed() -> None:
    notes = Notes()
    async with batch.send(answer, rows(5), concurrency=1, observer=notes) as outcomes:
        async for _ in outcomes:
            outcomes.stop()
            break
    assert notes.recorded[-2:] == ["stopped asked None", "ended"]


async def test_a_batch_that_is_left_in_anger_has_ended() -> None:
    notes = Notes()
    with pytest.raises(LookupError):
        async with batch.send(answer, rows(5), observer=notes):
            raise LookupError
    assert notes.recorded == ["batch", "broken LookupError", "ended"]


async def test_a_batch_that_is_left_early_has_ended() -> None:
    notes = Notes()
    try:
        raise LookupError
    except LookupError:  # which is none of the batch's
        async with batch.send(answer, rows(5), observer=notes):
            pass
    assert notes.recorded == ["batch", "ended"]


async def test_a_batch_that_is_cancelled_has_ended() -> None:
    notes = Notes()
    with anyio.CancelScope() as scope:
        async with batch.send(answer, rows(5), observer=notes) as outcomes:
            async for _ in outcomes:
                scope.cancel()
    assert scope.cancelled_caught
    assert notes.recorded[-2:] == [f"broken {anyio.get_cancelled_exc_class().__name__}", "ended"]
    assert len([line for line in notes.recorded if line.startswith(("broken", "ended"))]) == 2


async def test_a_batch_whose_source_raises_has_ended() -> None:
    def broken() -> Iterator[Call[int]]:
        yield from rows(1)
        raise LookupError

    notes = Notes()
    with pytest.raises(LookupError):
        async with batch.send(answer, broken(), concurrency=1, observer=notes) as outcomes:
            _ = await drain(outcomes)
    assert notes.recorded[-3:] == ["stopped exception None", "broken LookupError", "ended"]


async def test_a_batch_with_a_worker_that_is_interrupted_has_ended() -> None:
    class Interrupted(BaseException):
        pass

    async def api(_: Call[T]) -> Result[T]:
        raise Interrupted

    notes = Notes()
    with pytest.raises(Interrupted):
        async with batch.send(api, rows(5), concurrency=1, observer=notes) as outcomes:
            _ = await drain(outcomes)
    assert notes.recorded == ["batch", "broken Interrupted", "ended"]


async def test_a_batch_whose_source_cannot_be_closed_has_ended() -> None:
    async def stubborn() -> AsyncIterator[Call[int]]:
        try:
            for row in rows(5):
                yield row
        finally:
            raise LookupError

    notes = Notes()
    with pytest.raises(LookupError):
        async with batch.send(answer, stubborn(), concurrency=1, observer=notes) as outcomes:
            _ = await anext(outcomes)
    assert notes.recorded[-2:] == ["broken LookupError", "ended"]


async def test_a_batch_that_has_ended_tells_nothing_more() -> None:
    notes = Notes()
    async with batch.send(answer, rows(5), observer=notes) as outcomes:
        pass
    outcomes.stop()
    outcomes.resume()
    assert outcomes.stopped is None
    assert notes.recorded == ["batch", "ended"]


async def test_a_row_that_goes_again_after_an_outage_has_one_outcome() -> None:
    notes = Notes()
    async with (
        observed(notes, DOWN, ACCEPTED, retry=Retry(attempts=1)) as (api, script),
        batch.send(api, [SEND], clock=script.clock) as outcomes,
    ):
        async for outcome in outcomes:
            assert isinstance(outcome.result, Ok)
    assert of_the_batch(notes) == ["batch", "outcome /v1/messages Ok", "ended"]
    assert [line for line in notes.recorded if line.startswith("result")] == ["result Unavailable", "result Ok"]


@pytest.mark.parametrize("hook", ["batch", "outcome", "stopped", "resumed", "broken", "ended"])
async def test_an_observer_that_raises_changes_nothing_of_the_batch(
    hook: str, caplog: pytest.LogCaptureFixture
) -> None:
    notes, other = Notes(frozenset({hook})), Notes()
    denied = Response(401, {}, b'{"error":"unauthorized","message":"m"}')
    with suppress(ZeroDivisionError):
        async with (
            observed(observe.combine(notes, other), denied, ACCEPTED) as (api, _),
            batch.send(api, [SEND, SEND], concurrency=1) as outcomes,
        ):
            async for outcome in outcomes:
                if isinstance(outcome.result, Unauthorized):
                    outcomes.resume(outcome)
            raise ZeroDivisionError
    recorded = of_the_batch(other)
    at = next(at for at, one in enumerate(recorded) if one.split()[0] == hook)
    assert of_the_batch(notes) == recorded[: at + 1]
    assert [one.split()[0] for one in recorded] == "batch outcome stopped resumed outcome outcome broken ended".split()
    assert len(caplog.records) == 1


async def test_every_hook_of_a_batch_does_nothing_by_default() -> None:
    class Plain(Observer):
        def batch(self) -> BatchWatch:
            return BatchWatch()

    for observer in (Plain(), Observer()):
        async with batch.send(answer, rows(3), concurrency=1, observer=observer) as outcomes:
            async for _ in outcomes:
                if outcomes.stopped is None:
                    outcomes.stop()
                    outcomes.resume()
        assert outcomes.settled == 3
        with pytest.raises(LookupError):
            async with batch.send(answer, rows(3), observer=observer):
                raise LookupError


async def test_a_row_that_the_journal_decides_on_has_an_outcome(tmp_path: object) -> None:
    notes = Notes()
    async with journal.open(f"{tmp_path}/a.db", batch="b") as record:
        pairs = [("same", call) for call in rows(2)]
        async with batch.send(answer, pairs, journal=record, observer=notes) as outcomes:
            assert len(await drain(outcomes)) == 2
    assert len([line for line in notes.recorded if line.startswith("outcome")]) == 2
