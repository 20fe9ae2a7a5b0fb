"""What `msgapi batch` shows while it waits: for the service, the rate limit, a top-up, the disk, the last answers."""

from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from msgapi import (
    Balance,
    Client,
    InsufficientBalance,
    Meta,
    NotSent,
    Ok,
    Pace,
    Request,
    Response,
    Retry,
    Throttled,
    Unavailable,
    VirtualClock,
)
from msgapi.batch import OutageState, Stopped
from msgapi.cli.batch.command import open_rows, run_batch
from msgapi.cli.batch.runner import BatchRun, ServiceWatch, Waiting
from msgapi.journal import Unusable
from msgapi.messages import Accepted, get
from msgapi.observe import log
from tests.support.cli_files import mailing, people

STATE = OutageState(lasted=83.0, next_probe=7.5, time_left=817.0, error=Unavailable())


def watch() -> tuple[ServiceWatch, VirtualClock]:
    clock = VirtualClock()
    return ServiceWatch(900.0, clock), clock


def test_failures_for_two_seconds_are_announced_once_and_their_end_too() -> None:
    service, clock = watch()
    assert service.call(get("msg_1")) is service
    for _ in range(5):
        service.answer(Unavailable(code="down", message="maintenance", meta=Meta(status=503)))
    assert service.news() is None
    clock.advance(2)
    news = service.news()
    assert news is not None
    assert "Unavailable down: maintenance" in news
    assert "--outage-timeout 900 s" in news
    assert service.news() is None
    service.answer(Ok(Accepted(message_id="msg_1")))
    assert service.news() == "the service answers again: the batch continues"
    assert service.news() is None


@pytest.mark.parametrize("between", [Throttled(), Ok(Accepted(message_id="msg_1"))])
def test_a_few_failures_and_the_rate_limit_are_no_news(between: Throttled | Ok[Accepted]) -> None:
    service, clock = watch()
    for _ in range(20):
        for _ in range(4):
            service.answer(NotSent("no route"))
        clock.advance(1)
        service.answer(between)
        assert service.news() is None


@pytest.mark.anyio
@pytest.mark.parametrize("observed", [True, False])
async def test_a_batch_prints_that_the_service_is_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, observed: bool
) -> None:
    monkeypatch.setattr("msgapi.cli.batch.runner._PATIENCE", 0.0)
    monkeypatch.setattr("msgapi.cli.batch.progress.PlainDisplay.poll", 0.01)
    sent = 0

    async def transport(_: Request, /) -> Response:
        nonlocal sent
        sent += 1
        if 5 < sent < 40:
            return Response(503, {}, b'{"error":"down","message":"maintenance"}')
        return Response(200, {}, b'{"message_id":"msg_1","status":"queued","created_at":"2026-05-04T07:30:00Z"}')

    retry = Retry(attempts=60, base=0.001, longest_backoff=0.02)
    config = mailing(tmp_path, people(tmp_path, 20), concurrency=4, outage_timeout=30.0)
    observer = log() if observed else None
    async with Client(transport=transport, api_key="sk_test_0123456789", retry=retry, observer=observer) as client:
        with open_rows(config) as (table, calls):
            run = await run_batch(config, table, calls, api=client, pace=Pace())
    said = capsys.readouterr().err
    assert "the service is out of reach or down (Unavailable down: maintenance): the rows wait" in said
    assert run.counts.accepted == 20


def test_the_wait_for_the_service_shows_the_next_retry_and_the_time_left() -> None:
    service, clock = watch()
    assert service.waiting(None) is None
    assert service.waiting(STATE) == Waiting("outage", ("retry in 8 s", "stops in 13:37", "for 1:23"))
    now = OutageState(lasted=0.5, next_probe=0.0, time_left=9.5, error=NotSent("no route"))
    assert service.waiting(now) == Waiting("outage", ("retrying now", "stops in 10 s", "for 1 s"))
    limited = OutageState(lasted=5.0, next_probe=60.0, time_left=817.0, error=Throttled(retry_after=60.0))
    assert service.waiting(limited) == Waiting("rate limit", ("wait 1:00", "stops in 13:37"))
    for _ in range(5):
        service.answer(Unavailable())
    clock.advance(10)
    assert service.waiting(None) == Waiting("outage", ("retrying now", "for 10 s"))
    for seconds in (20.0, 8.0, 30.0):
        service.retry(Unavailable(), seconds)
    assert service.waiting(None) == Waiting("outage", ("retry in 8 s", "for 10 s"))
    clock.advance(9)
    service.retry(Unavailable(), 4.0)
    assert service.waiting(None) == Waiting("outage", ("retry in 4 s", "for 19 s"))
    clock.advance(100)
    assert service.waiting(STATE) == Waiting("outage", ("retry in 8 s", "stops in 13:37", "for 1:59"))
    service.answer(Ok(Accepted(message_id="msg_1")))
    assert service.waiting(None) is None


def outcomes(**facts: object) -> Any:  # noqa: ANN401 - stands for `Outcomes`
    return SimpleNamespace(**({"stopped": None, "outage": None, "failure": None, "in_flight": 9} | facts))


@pytest.fixture
def run() -> BatchRun:
    table: Any = SimpleNamespace(count=100)
    calls: Any = None
    return BatchRun(table, calls, None)


def test_a_batch_that_sends_waits_for_nothing(run: BatchRun) -> None:
    assert run._waiting(outcomes(), watch()[0]) is None


def test_the_wait_for_the_rate_limit_is_shown_if_it_lasts_and_calls_are_delayed(run: BatchRun) -> None:
    service, clock = watch()
    lane = run.pace.lane("POST messages")
    lane.record_sent(clock.now())
    lane.record_throttled(clock.now(), clock.now(), 12.0)
    assert run._waiting(outcomes(), service) == Waiting("rate limit", ("wait 12 s",), 12.0)
    assert run._waiting(outcomes(in_flight=0), service) is None
    assert run._waiting(outcomes(outage=STATE), service) == service.waiting(STATE)
    clock.advance(11.5)
    assert run._waiting(outcomes(), service) is None


def test_the_wait_for_the_disk_is_shown_if_the_journal_is_slow(run: BatchRun) -> None:
    journal: Any = SimpleNamespace(writing_for=1.0)
    run._opened = journal
    assert run._waiting(outcomes(), watch()[0]) is None
    journal.writing_for = 12.0
    assert run._waiting(outcomes(), watch()[0]) == Waiting("disk", ("journal not written for 12 s",))


@pytest.mark.parametrize(
    ("failure", "part"),
    [
        (Unusable("full", "no space"), ("disk full",)),
        (Unusable("unwritable", "read-only"), ("journal cannot be written",)),
        (ValueError("x"), ()),
        (None, ()),
    ],
)
def test_the_wait_for_the_last_answers_says_why_the_batch_ends(
    run: BatchRun, failure: Exception | None, part: tuple[str, ...]
) -> None:
    ending = outcomes(stopped=Stopped("exception"), failure=failure, outage=STATE)
    assert run._waiting(ending, watch()[0]) == Waiting("stopping", (*part, "9 in flight"))


@pytest.mark.parametrize("failure", [None, "cannot write results.jsonl"])
def test_results_that_cannot_be_written_end_a_batch(run: BatchRun, failure: str | None) -> None:
    files: Any = SimpleNamespace(failure=failure)
    run.files = files
    part = () if failure is None else ("results cannot be written",)
    assert run._waiting(outcomes(stopped=Stopped("asked")), watch()[0]) == Waiting("stopping", (*part, "9 in flight"))


def test_the_wait_for_a_top_up_shows_what_is_missing(run: BatchRun) -> None:
    scope: Any = object()
    run._top_up_wait = scope
    used_up = InsufficientBalance(balance=Balance(free=Decimal(1)))
    known = outcomes(stopped=Stopped("balance", used_up, Decimal("12.34")), in_flight=0)
    assert run._waiting(known, watch()[0]) == Waiting("waiting for top-up", ("12.34 EUR missing",))
    assert run._waiting(outcomes(stopped=Stopped("balance", used_up)), watch()[0]) == Waiting("waiting for top-up")
    run.interrupted = 1
    assert run._waiting(known, watch()[0]) == Waiting("stopping", ("0 in flight",))


@pytest.mark.parametrize(
    ("waiting", "in_outage", "recorded"),
    [
        (None, True, None),
        (Waiting("rate limit", (), 12.0), False, "rate_limit"),
        (Waiting("waiting for top-up"), False, "balance"),
        (Waiting("disk"), False, "disk"),
        (Waiting("outage"), True, "outage"),
        (Waiting("outage"), False, None),  # a single failure
        (Waiting("stopping"), False, None),
    ],
)
def test_the_journal_records_what_the_rows_wait_for(
    run: BatchRun, waiting: Waiting | None, recorded: str | None, *, in_outage: bool
) -> None:
    waits: list[tuple[str, float]] = []
    journal: Any = SimpleNamespace(add_wait=lambda cause, seconds: waits.append((cause, seconds)))
    service, clock = watch()
    assert run._record_wait(waiting, clock.now(), service, in_outage=True) == clock.now()  # without a journal
    run._opened = journal
    since = clock.now()
    clock.advance(0.5)
    assert run._record_wait(waiting, since, service, in_outage=in_outage) == clock.now()
    assert waits == ([] if recorded is None else [(recorded, 0.5)])


def test_an_outage_that_only_the_client_sees_is_recorded_too(run: BatchRun) -> None:
    waits: list[tuple[str, float]] = []
    journal: Any = SimpleNamespace(add_wait=lambda cause, seconds: waits.append((cause, seconds)))
    service, clock = watch()
    run._opened = journal
    for _ in range(5):
        service.answer(Unavailable())
    clock.advance(3)
    _ = run._record_wait(Waiting("outage"), clock.now() - 0.5, service, in_outage=False)
    assert waits == [("outage", 0.5)]


def test_each_delay_by_the_rate_limit_is_reported_if_there_is_a_journal() -> None:
    service, _ = watch()
    service.wait(0.25)
    waits: list[tuple[str, float]] = []
    service.on_wait = lambda cause, seconds: waits.append((cause, seconds))
    service.wait(0.75)
    assert waits == [("rate_limit", 0.75)]
