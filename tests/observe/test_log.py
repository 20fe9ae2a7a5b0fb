"""observe.log: one record for what is worth one, with its fields, and with nobody in it."""

import logging
from collections.abc import Iterator
from typing import Any

import anyio
import attrs
import pytest

from msgapi import Caller, Invalid, NotSent, Ok, Pace, Response, Retry, batch, observe
from msgapi.results import ApiError, Unauthorized
from msgapi.transports import Answer
from tests.support.batch_calls import answer, rows
from tests.support.observers import ACCEPTED, DOWN, KEY, LOST, REFUSED, SEND, observed

pytestmark = pytest.mark.anyio


def fields(record: logging.LogRecord) -> dict[str, Any]:
    return {name.removeprefix("msgapi_"): value for name, value in vars(record).items() if name.startswith("msgapi_")}


@pytest.fixture
def records() -> Iterator[list[logging.LogRecord]]:
    kept: list[logging.LogRecord] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            kept.append(record)

    handler, logger = Keep(), logging.getLogger("msgapi")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield kept
    logger.setLevel(logging.NOTSET)
    logger.removeHandler(handler)


async def test_a_good_call_is_for_debugging(records: list[logging.LogRecord]) -> None:
    async with observed(observe.log(), ACCEPTED) as (api, _):
        assert isinstance(await api(SEND), Ok)
    (record,) = records
    assert (record.name, record.levelno) == ("msgapi", logging.DEBUG)
    assert record.getMessage() == "POST /v1/messages: Ok, status=202, attempts=1"
    assert fields(record) == {
        "route": "POST /v1/messages",
        "outcome": "Ok",
        "key": KEY,
        "attempts": 1,
        "seconds": 0.0,
        "status": 202,
    }


async def test_a_call_that_took_more_than_one_attempt_is_worth_knowing(records: list[logging.LogRecord]) -> None:
    async with observed(observe.log(), DOWN, ACCEPTED) as (api, _):
        assert isinstance(await api(SEND), Ok)
    (record,) = records
    assert record.levelno == logging.INFO
    assert fields(record)["attempts"] == 2


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (DOWN, "Unavailable, status=503, code=unavailable, reason=HTTP 503: the service is unavailable, attempts=1"),
        (
            Response(500, {}, b""),
            (
                "ServerFault, status=500, code=http_500, reason=HTTP 500, but not from the service: "
                "a gateway answers so in an outage, attempts=1"
            ),
        ),
        (
            Response(400, {}, b'{"error":"call +4915112345678"}'),
            (
                "Invalid, status=400, code=http_400, reason=HTTP 400, but not from the service: "
                "check MSGAPI_BASE_URL and any proxy, attempts=1"
            ),
        ),
        (
            Response(400, {}, b'{"error":"c4915112345678","message":"m"}'),
            "Invalid, status=400, code=***, reason=HTTP 400: the input is not valid, attempts=1",
        ),
        (LOST, "Unanswered, code=unanswered, reason=reset, attempts=1"),
        (NotSent("no +4915112345678"), "NotSent, code=not_sent, reason=no ***, attempts=1"),
    ],
)
async def test_a_call_that_ended_badly_is_a_warning(
    said: Answer,
    message: str,
    records: list[logging.LogRecord],
) -> None:
    async with observed(observe.log(), said, retry=Retry(attempts=1)) as (api, _):
        assert not isinstance(await api(SEND), Ok)
    (record,) = records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == f"POST /v1/messages: {message}"


async def test_bad_input_has_no_status(records: list[logging.LogRecord]) -> None:
    async with observed(observe.log(), ACCEPTED) as (api, _):
        assert await api(attrs.evolve(SEND, invalid=Invalid(code=""), idempotency_key=None)) == Invalid(code="")
    (record,) = records
    assert record.getMessage() == "POST /v1/messages: Invalid, reason=the input is not valid, attempts=0"
    assert set(fields(record)) == {"route", "outcome", "reason", "attempts", "seconds"}


async def test_a_key_that_is_no_uuid_is_not_in_the_record(records: list[logging.LogRecord]) -> None:
    async with observed(observe.log(), ACCEPTED) as (api, _):
        assert isinstance(await api(SEND.under("order-4711")), Ok)
    assert "key" not in fields(records[0])


async def test_what_the_program_ended_itself_is_for_debugging(records: list[logging.LogRecord]) -> None:
    async with observed(observe.log(), ACCEPTED) as (api, script):
        assert not isinstance(await api(SEND, only_while=lambda: False), Ok)
        script.latency = 10.0
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(api, SEND)
            await script.clock.sleep(1)
            tasks.cancel_scope.cancel()
    assert [record.levelno for record in records] == [logging.DEBUG] * 2
    assert records[1].getMessage() == "POST /v1/messages: Cancelled"


async def test_a_transport_that_raises_is_a_warning_without_its_text(records: list[logging.LogRecord]) -> None:
    async with observed(observe.log(), LookupError("+4915112345678")) as (api, _):
        with pytest.raises(LookupError):
            await api(SEND)
    (record,) = records
    assert (record.levelno, record.getMessage()) == (logging.WARNING, "POST /v1/messages: Raised")
    assert record.exc_info is None


async def test_a_long_wait_for_a_turn_is_worth_knowing(records: list[logging.LogRecord]) -> None:
    for slow, count in ((1.0, 1), (5.0, 0)):
        records.clear()
        async with observed(observe.log(slow=slow), ACCEPTED, pace=Pace(per_second=0.5)) as (api, _):
            assert isinstance(await api(SEND), Ok)
            assert isinstance(await api(SEND), Ok)
        told = [record for record in records if "delayed" in record.getMessage()]
        assert [record.levelno for record in told] == [logging.INFO] * count
        assert all(fields(record)["seconds"] > 1 for record in told)


@pytest.mark.parametrize("result", [Unauthorized(code="no_key"), None])
async def test_the_stop_of_a_batch_is_worth_knowing(result: ApiError | None, records: list[logging.LogRecord]) -> None:
    async def refusing(_: Any) -> Any:  # noqa: ANN401
        return result

    api: Caller = answer if result is None else refusing
    async with batch.send(api, rows(3), concurrency=1, observer=observe.log()) as outcomes:
        async for _ in outcomes:
            if result is None:
                outcomes.stop()
    (record,) = records
    assert record.levelno == logging.INFO
    if result is None:
        assert record.getMessage() == "a batch has stopped: asked"
        assert fields(record) == {"stopped": "asked"}
    else:
        assert record.getMessage() == (
            "a batch has stopped: unauthorized, code=no_key, "
            "reason=the API key is missing or not valid: check api_key, or MSGAPI_API_KEY"
        )
        reason = "the API key is missing or not valid: check api_key, or MSGAPI_API_KEY"
        assert fields(record) == {"stopped": "unauthorized", "code": "no_key", "reason": reason}


async def test_nothing_is_made_up_for_a_level_that_nobody_reads(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "msgapi")
    async with (
        observed(observe.log(), REFUSED, pace=Pace(per_second=0.5)) as (api, script),
        batch.send(api, [SEND] * 4, concurrency=1, outage_timeout=0, clock=script.clock) as outcomes,
    ):
        async for _ in outcomes:
            outcomes.stop()
    assert outcomes.stopped == batch.Stopped("asked")
    assert caplog.records == []
