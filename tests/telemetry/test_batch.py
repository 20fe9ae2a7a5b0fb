"""telemetry: a batch as one span."""

from collections.abc import Iterator
from typing import TypeVar

import anyio
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

from msgapi import Call, InsufficientBalance, Ok, Result, batch
from tests.support.batch_calls import answer, drain, rows
from tests.support.observers import ACCEPTED, SEND, observed
from tests.support.otel_exporter import Seen, facts, happened

T = TypeVar("T")

pytestmark = pytest.mark.anyio


@pytest.fixture
def seen() -> Seen:
    return Seen()


def of_the_batch(seen: Seen) -> ReadableSpan:
    (span,) = [one for one in seen.exporter.get_finished_spans() if one.name == "batch"]
    return span


async def poor(a_call: Call[T]) -> Result[T]:
    return InsufficientBalance() if a_call.path.endswith("/2") else await answer(a_call)


async def test_a_batch_is_a_span_with_its_outcomes_counted(seen: Seen) -> None:
    observer = seen.observer()
    async with batch.send(answer, rows(3), observer=observer) as outcomes:
        assert len(await drain(outcomes)) == 3
        assert seen.exporter.get_finished_spans() == ()
    span = of_the_batch(seen)
    assert (span.kind, span.status.status_code, span.parent) == (SpanKind.INTERNAL, StatusCode.UNSET, None)
    assert facts(span) == {"msgapi.rows.Ok": 3}
    assert happened(span) == []


async def test_a_batch_is_below_the_span_that_it_began_in_and_its_calls_are_not_below_it(seen: Seen) -> None:
    tracer = seen.tracer_provider.get_tracer("mine")
    async with observed(seen.observer(), ACCEPTED) as (api, _):
        with tracer.start_as_current_span("mine") as mine:
            async with batch.send(api, [SEND, SEND]) as outcomes:
                assert [outcome.result.meta.attempts async for outcome in outcomes] == [1, 1]
    assert of_the_batch(seen).parent == mine.get_span_context()
    calls = [span for span in seen.exporter.get_finished_spans() if span.name == "POST /v1/messages"]
    assert [call.parent for call in calls] == [mine.get_span_context()] * 2


async def test_calls_of_a_batch_are_traces_of_their_own_where_there_is_no_span(seen: Seen) -> None:
    async with observed(seen.observer(), ACCEPTED) as (api, _), batch.send(api, [SEND, SEND]) as outcomes:
        assert [isinstance(outcome.result, Ok) async for outcome in outcomes] == [True, True]
    roots = [span for span in seen.exporter.get_finished_spans() if span.parent is None]
    assert sorted(span.name for span in roots) == ["POST /v1/messages", "POST /v1/messages", "batch"]
    assert len({span.context.trace_id for span in roots if span.context is not None}) == 3


async def test_a_batch_that_ends_for_want_of_money_says_so(seen: Seen) -> None:
    async with batch.send(poor, rows(5), concurrency=1, observer=seen.observer()) as outcomes:
        assert len(await drain(outcomes)) == 3
    span = of_the_batch(seen)
    assert span.status.status_code is StatusCode.ERROR
    assert facts(span) == {
        "msgapi.rows.Ok": 2,
        "msgapi.rows.InsufficientBalance": 1,
        "msgapi.stopped": "balance",
        "error.type": "balance",
    }
    assert happened(span) == [("msgapi.stopped", {"msgapi.reason": "balance", "msgapi.outcome": "InsufficientBalance"})]


async def test_a_batch_that_went_on_after_a_stop_is_well_in_the_end(seen: Seen) -> None:
    async with batch.send(poor, rows(5), concurrency=1, observer=seen.observer()) as outcomes:
        _ = await drain(outcomes)
        outcomes.resume()
        assert len(await drain(outcomes)) == 2
    span = of_the_batch(seen)
    assert span.status.status_code is StatusCode.UNSET
    assert facts(span) == {"msgapi.rows.Ok": 4, "msgapi.rows.InsufficientBalance": 1}
    assert [name for name, _ in happened(span)] == ["msgapi.stopped", "msgapi.resumed"]


async def test_a_batch_that_was_asked_to_stop_has_not_failed(seen: Seen) -> None:
    async with batch.send(answer, rows(5), concurrency=1, observer=seen.observer()) as outcomes:
        async for _ in outcomes:
            outcomes.stop()
    span = of_the_batch(seen)
    assert span.status.status_code is StatusCode.UNSET
    assert facts(span)["msgapi.stopped"] == "asked"
    assert "error.type" not in facts(span)
    assert happened(span) == [("msgapi.stopped", {"msgapi.reason": "asked"})]


async def test_a_batch_that_is_cancelled_is_a_span_that_says_so(seen: Seen) -> None:
    with anyio.CancelScope() as scope:
        async with batch.send(answer, rows(5), concurrency=1, observer=seen.observer()) as outcomes:
            async for _ in outcomes:
                scope.cancel()
    span = of_the_batch(seen)
    assert (span.status.status_code, facts(span)["error.type"]) == (StatusCode.ERROR, "Cancelled")
    assert facts(span)["msgapi.rows.Ok"] >= 1


async def test_a_batch_that_is_broken_off_is_a_span_that_says_so_and_not_by_what(seen: Seen) -> None:
    with pytest.raises(LookupError):
        async with batch.send(answer, rows(5), observer=seen.observer()):
            raise LookupError("+4915112345678")
    span = of_the_batch(seen)
    assert facts(span) == {"error.type": "Raised"}
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, None)
    assert happened(span) == []


async def test_a_batch_whose_source_raises_stops_and_is_broken_off(seen: Seen) -> None:
    def failing() -> Iterator[Call[int]]:
        yield from rows(1)
        raise LookupError("+4915112345678")

    with pytest.raises(LookupError):
        async with batch.send(answer, failing(), concurrency=1, observer=seen.observer()) as outcomes:
            _ = await drain(outcomes)
    span = of_the_batch(seen)
    assert facts(span) == {"msgapi.rows.Ok": 1, "msgapi.stopped": "exception", "error.type": "Raised"}
    assert "4915112345678" not in span.to_json()
