"""What `msgapi batch` prints while the service does not answer."""

from pathlib import Path

import pytest

from msgapi import Client, Meta, NotSent, Ok, Pace, Request, Response, Retry, Throttled, Unavailable, VirtualClock
from msgapi.cli.batch.command import open_rows, run_batch
from msgapi.cli.batch.runner import ServiceWatch
from msgapi.messages import Accepted, get
from msgapi.observe import log
from tests.support.cli_files import mailing, people


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
    monkeypatch.setattr("msgapi.cli.batch.display.PlainDisplay.interval", 0.01)
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
