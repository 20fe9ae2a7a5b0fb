"""The recipes for logs, errors and metrics: what they record, and that it has no key, recipient or content."""

import json
from pathlib import Path
from typing import Any, TypeAlias, final

import pytest
from attrs import frozen
from prometheus_client.parser import text_string_to_metric_families

from msgapi.sandbox import MAGIC_RECIPIENTS, Sandbox
from tests.recipes.conftest import program_env
from tests.recipes.test_recipes import RECIPES, run
from tests.support.served_sandbox import served

GOOD = "+4915112345678"
WITHOUT_RCS, NO_BALANCE, DOWN_ONCE = (
    next(magic.phone for magic in MAGIC_RECIPIENTS if magic.digits == digits) for digits in ("404", "402", "504")
)
NUMBERS = [GOOD, WITHOUT_RCS, NO_BALANCE, DOWN_ONCE]
CONTENT = "parcel"


def check_private(recorded: str, sandbox: Sandbox) -> None:
    for number in NUMBERS:
        assert number not in recorded
        assert number.removeprefix("+") not in recorded
    assert CONTENT not in recorded
    assert sandbox.api_key not in recorded


def test_structlog_writes_a_line_for_each_outcome_with_the_context_of_the_application(
    env: dict[str, str], sandbox: Sandbox, tmp_path: Path
) -> None:
    printed = run(env, tmp_path, str(RECIPES / "structlog_logging.py"), *NUMBERS)
    lines: list[dict[str, Any]] = [json.loads(line) for line in printed.splitlines()]
    ours = [line for line in lines if "msgapi_route" in line]
    assert [(one["order"], one["level"], one["msgapi_outcome"], one.get("msgapi_code")) for one in ours] == [
        (2, "warning", "NotFound", "not_rcs_capable"),
        (3, "warning", "InsufficientBalance", "insufficient_balance"),
        (4, "info", "Ok", None),  # it took two attempts
    ]
    assert (ours[-1]["msgapi_attempts"], ours[0]["msgapi_route"]) == (2, "POST /v1/messages")
    assert all("timestamp" in line for line in lines)
    theirs = [(one["order"], one["event"]) for one in lines if "msgapi_route" not in one]
    assert theirs == [(1, "notice sent"), (2, "notice not sent"), (3, "notice not sent"), (4, "notice sent")]
    check_private(printed, sandbox)


# From Python 3.13 on, a traceback shows the source of a program of -c, so numbers and content are not in it.
SENTRY = """
import json
import os
import sys
import anyio
import sentry_observer
import sentry_sdk
from sentry_sdk.transport import Transport
import msgapi
from msgapi import batch, messages

class Kept(Transport):
    def capture_envelope(self, envelope):
        for item in envelope.items:
            if item.get_event():
                print(json.dumps(item.get_event(), default=str))

async def send_all():
    await sentry_observer.main(numbers)
    secret = numbers[0]
    try:
        raise LookupError("of the application")
    except LookupError as error:
        sentry_sdk.capture_exception(error)

async def stop_and_cancel():
    observer = sentry_observer.SentryObserver(capture=())
    text = messages.Text(agent_id="ag_live_demo", to=numbers[2], traffic_type="TRANSACTION", text=content)
    async with msgapi.Client(observer=observer) as client:
        async with batch.send(client, [messages.send(text)]) as outcomes:
            async for _ in outcomes:
                pass
        with anyio.CancelScope() as scope:
            scope.cancel()
            await client(messages.send(text))
    sentry_sdk.capture_message("the end")

numbers, content = os.environ["NUMBERS"].split(), os.environ["CONTENT"]
sys.argv += numbers  # as the program is run
sentry_observer.start_sentry(Kept({"dsn": "https://key@sentry.invalid/1"}))
for main in (send_all, stop_and_cancel):
    with sentry_sdk.isolation_scope():
        anyio.run(main)
sentry_sdk.flush()
"""
Event: TypeAlias = dict[str, Any]


@final
@frozen
class Captured:
    """What one program has sent to Sentry, and the sandbox that it used."""

    sandbox: Sandbox
    from_service: Event
    of_application: Event
    note: Event


@pytest.fixture(scope="module")
def captured(tmp_path_factory: pytest.TempPathFactory) -> Captured:
    """Run the program once: Sentry imports what it could observe, which takes seconds."""
    sandbox, directory = Sandbox(), tmp_path_factory.mktemp("sentry")
    with served(sandbox) as env:
        more = {"SENTRY_DSN": "https://key@sentry.invalid/1", "NUMBERS": " ".join(NUMBERS), "CONTENT": CONTENT}
        printed = run(program_env(env, directory) | more, directory, "-c", SENTRY)
    from_service, of_application, note = (json.loads(line) for line in printed.splitlines())
    return Captured(sandbox, from_service, of_application, note)


def calls_before(event: Event) -> list[Event]:
    return [one for one in event["breadcrumbs"]["values"] if one.get("category") == "msgapi"]


def test_sentry_gets_the_outcomes_to_act_on_with_the_calls_before_them_as_breadcrumbs(captured: Captured) -> None:
    event = captured.from_service
    assert event["fingerprint"] == ["msgapi", "POST /v1/messages", "InsufficientBalance", "insufficient_balance"]
    assert event["tags"]["msgapi.code"] == "insufficient_balance"
    value = event["exception"]["values"][-1]
    assert value["type"] == "CallFailed"
    assert "the free balance does not cover the call" in value["value"]
    assert [one["data"]["outcome"] for one in calls_before(event)] == ["Ok", "NotFound", "InsufficientBalance"]
    check_private(json.dumps(event), captured.sandbox)


def test_sentry_shows_the_retries_of_a_call_and_an_error_that_the_application_raises(captured: Captured) -> None:
    crumbs = calls_before(captured.of_application)
    assert [one["message"] for one in crumbs][-2:] == ["POST /v1/messages: retry", "POST /v1/messages"]
    assert crumbs[-1]["data"]["attempts"] == 2
    check_private(json.dumps(captured.of_application), captured.sandbox)


def test_sentry_shows_the_stop_of_a_batch_and_a_call_that_was_cancelled(captured: Captured) -> None:
    messages = [one["message"] for one in calls_before(captured.note)]
    assert messages == ["POST /v1/messages", "a batch has stopped: balance", "POST /v1/messages: not finished"]
    check_private(json.dumps(captured.note), captured.sandbox)


PROMETHEUS = f"""
import anyio
import prometheus_metrics
from prometheus_client import REGISTRY, generate_latest

provider = prometheus_metrics.make_provider()
anyio.run(prometheus_metrics.main, {[GOOD, WITHOUT_RCS, DOWN_ONCE]!r}, provider)
print(generate_latest(REGISTRY).decode())
provider.shutdown()
"""


def test_prometheus_scrapes_calls_attempts_and_rows(env: dict[str, str], sandbox: Sandbox, tmp_path: Path) -> None:
    printed = run(env, tmp_path, "-c", PROMETHEUS)
    samples = {
        (sample.name, sample.labels.get("msgapi_outcome") or sample.labels.get("http_response_status_code")): sample
        for family in text_string_to_metric_families(printed)
        for sample in family.samples
    }
    assert samples["msgapi_calls_total", "Ok"].value == 2
    assert samples["msgapi_calls_total", "NotFound"].value == 1
    assert samples["msgapi_calls_total", "Ok"].labels["msgapi_route"] == "POST /v1/messages"
    assert samples["msgapi_batch_rows_total", "Ok"].value == 2
    assert samples["http_client_request_duration_seconds_count", "503"].value == 1
    assert samples["http_client_request_duration_seconds_count", "200"].value == 2
    check_private(printed, sandbox)
