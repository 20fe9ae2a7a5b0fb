"""Examples of the README and of the pages whose effect is checked, beyond that they run.

`test_pages.py` runs the others. The environment has the key and the address of a sandbox on a socket, and nothing else.
"""

import os
import re
import sys
from decimal import Decimal
from pathlib import Path
from shutil import which
from typing import Any, get_args

import anyio
import anyio.lowlevel
import anyio.to_thread
import orjson
import pytest

import msgapi
from msgapi import ApiError, Ok, Request, Response, codec, messages, transports, webhooks
from msgapi.results import Scope
from msgapi.sandbox import Sandbox, Timing, serve
from tests.support.programs import SERVER

from .pages import EXAMPLES, PAGES, PLUGINS, ROOT


def code(page: str, heading: str, number: int = 0) -> str:
    """Return an example in Python: the one with this *number* under a heading of a page."""
    return EXAMPLES[page if page == "README.md" else f"docs/{page}", heading, number]


pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("anyio_backend", ["asyncio"]),
    pytest.mark.usefixtures("unmeasured_processes"),
]


async def run(program: str, sandbox: Sandbox, directory: Path | None = None) -> str:
    async with serve(sandbox, host="127.0.0.1", port=0) as url:
        environment = os.environ | {"MSGAPI_API_KEY": sandbox.api_key, "MSGAPI_BASE_URL": url}
        done = await anyio.to_thread.run_sync(SERVER.run, program, environment, directory)
    assert (done.stderr, done.returncode) == ("", 0)
    return done.stdout


async def test_the_first_example_sends_a_message() -> None:
    sandbox = Sandbox()
    printed = await run(code("README.md", "msgapi"), sandbox)
    (sent,) = sandbox.messages
    assert printed == f"{sent.id} 0.07\n"


async def test_the_first_example_deals_with_an_empty_balance() -> None:
    sandbox = Sandbox(balance=Decimal("0.01"))
    assert await run(code("README.md", "msgapi"), sandbox) == "top up 0.07 at https://app.arowana.app/billing\n"
    assert sandbox.messages == ()


async def test_the_first_example_says_what_else_went_wrong() -> None:
    sandbox = Sandbox()
    printed = await run(code("README.md", "msgapi").replace("ag_live_demo", "ag_live_unknown"), sandbox)
    assert printed.startswith("not_found ")


async def test_the_batch_example_sends_all_of_them() -> None:
    sandbox = Sandbox()
    assert await run(code("how-to/batches.md", "Batches"), sandbox) == "100 accepted \n"
    assert len(sandbox.messages) == 100


async def test_the_journal_example_finishes_the_job_when_it_is_run_again(tmp_path: Path) -> None:
    sandbox = Sandbox(balance=Decimal("2.80"))
    example = code("how-to/batches.md", "Batches", 1)
    first = await run(example, sandbox, tmp_path)
    assert "insufficient_balance" in first
    assert "0 done before Stopped(reason='balance'" in first
    assert len(sandbox.messages) == 40
    sandbox = Sandbox()
    assert await run(example, sandbox, tmp_path) == "40 done before \n"
    assert len(sandbox.messages) == 60


async def test_the_receiver_of_the_page_hands_events_over(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    scope: dict[str, Any] = {}
    exec(code("how-to/webhooks.md", "Webhooks"), scope)  # noqa: S102 - the page's own
    mounted = scope["app"].routes[-1].app
    data = {"agent_id": "ag_1", "from": "+4915112345678", "user_message": {"type": "text", "text": "Hello"}}
    at = "2026-05-04T07:30:00Z"
    body = orjson.dumps({"id": "evt_1", "event": "conversation.started", "timestamp": at, "data": data})
    answers: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        await anyio.lowlevel.checkpoint()
        return {"type": "http.request", "body": body}

    async def send(message: Any) -> None:  # noqa: ANN401 - as ASGI has it
        answers.append(message)

    headers = [(webhooks.SIGNATURE_HEADER.encode(), webhooks.sign(body, secret="whsec_1").encode())]
    await mounted({"type": "http", "method": "POST", "headers": headers}, receive, send)
    assert answers[0]["status"] == 200
    assert capsys.readouterr().out == "a user says Hello\n"


RECEIVING = """
import logging
import anyio
from msgapi import Request, webhooks
from msgapi.transports import aiohttp
from tests.support.raw_servers import by_uvicorn

logging.disable()

async def main():
    runner = web.AppRunner(in_aiohttp)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with by_uvicorn(in_litestar) as litestar, aiohttp.open() as transport:
        for name, url in (("evt_1", litestar), ("evt_2", f"http://127.0.0.1:{runner.addresses[0][1]}")):
            body = webhooks.write(webhooks.UnknownEvent(id=name, event="other"))
            headers = {webhooks.SIGNATURE_HEADER: webhooks.sign(body, secret="whsec_1")}
            print((await transport(Request("POST", f"{url}/webhooks", headers, body))).status)
    await runner.cleanup()

anyio.run(main)
"""


async def test_the_receivers_of_the_page_for_other_frameworks_hand_events_over() -> None:
    with_servers = f"import sys; sys.path.append({str(ROOT)!r})\n"
    assert (
        await run(with_servers + code("how-to/webhooks.md", "Webhooks", 1) + RECEIVING, Sandbox())
        == "evt_1\n200\nevt_2\n200\n"
    )


async def test_the_example_for_trio_asks_for_the_balance() -> None:
    assert await run(code("how-to/trio.md", "On trio"), Sandbox()) == "1000.0\n"


async def test_the_double_in_the_page_works_as_written() -> None:
    assert await run(code("how-to/testing.md", "In your tests"), Sandbox()) == ""


async def test_the_fixtures_in_the_page_work_as_written(tmp_path: Path) -> None:
    _ = (tmp_path / "test_example.py").write_text(code("how-to/testing.md", "With pytest"))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = await anyio.run_process(command, check=False, env=os.environ | PLUGINS)
    assert done.returncode == 0, done.stdout.decode()


async def test_the_observers_of_the_page_see_the_call() -> None:
    example = "import sys\n" + code("how-to/telemetry.md", "An observer of your own").replace(
        "basicConfig(", "basicConfig(stream=sys.stdout, "
    )
    printed = await run(example, Sandbox())
    assert printed == "DEBUG msgapi POST /v1/messages: Ok, status=200, attempts=1\n1\n"


async def test_an_error_is_raised_by_unwrap() -> None:
    printed = await run(code("reference/outcomes.md", "As exceptions"), Sandbox())
    assert printed.startswith("not_found ")
    assert "msg_unknown" not in printed


@pytest.mark.skipif(which("node") is None, reason="it needs Node.js")
async def test_the_end_to_end_test_in_javascript_passes(tmp_path: Path) -> None:
    for block in (block for page in PAGES for block in page.blocks if block.language == "js"):
        _ = (tmp_path / str(block.value)).write_text(block.code)
    command = ["-m", "msgapi", "sandbox", "--", "node", "--test", "app.test.mjs"]
    done = await anyio.run_process([sys.executable, *command], check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout.decode()
    assert b"pass 3" in done.stdout


async def test_each_key_of_the_summary_is_in_the_table(tmp_path: Path) -> None:
    _ = (tmp_path / "people.csv").write_text("to\n+4915112345678\n")
    options = ["--agent", "ag_live_demo", "--traffic", "TRANSACTION", "--text", "Hi", "--sandbox", "--json"]
    command = [sys.executable, "-m", "msgapi", "batch", "people.csv", *options]
    printed = (await anyio.run_process(command, cwd=tmp_path)).stdout
    (page,) = (page for page in PAGES if page.path == "docs/how-to/batch-from-a-file.md")
    table = page.text.partition("## The summary as JSON\n")[2].partition("\n## ")[0]
    keys = {key for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for key in re.findall(r"`(\w+)`", row)}
    assert keys == set(orjson.loads(printed))


async def test_a_job_with_a_key_of_its_own_that_runs_twice_sends_one_message() -> None:
    sandbox = Sandbox()
    assert await run(code("explanation/sent-once.md", "The key of a call"), sandbox) == "True\n"
    (sent,) = sandbox.messages
    assert sent.idempotency_key == "order-4711-arrived"


async def test_the_example_for_all_outcomes_is_the_one_whose_types_are_checked() -> None:
    example, sandbox = code("reference/outcomes.md", "All of them"), Sandbox()
    assert (ROOT / "tests/docs/typing_outcomes.py").read_text().endswith(f"reader\n\n{example}")
    for kind in (Ok, *get_args(ApiError)):
        assert f"{kind.__name__}(" in example
    printed = (await run(example, sandbox)).splitlines()
    assert printed == [
        f"accepted as {sandbox.messages[0].id}",
        "use another channel for this recipient, or check the agent",
        "correct to",
    ]


async def test_the_table_for_task_queues_has_each_error_under_its_scope() -> None:
    (page,) = (page for page in PAGES if page.path == "docs/reference/outcomes.md")
    table = re.findall(r"^\| `(\w+)` \| (.*?) \| ", page.prose, re.MULTILINE)
    rows = [(scope, errors) for scope, errors in table if scope in get_args(Scope)]
    assert {scope for scope, _ in rows} == set(get_args(Scope))
    named = {(scope, name) for scope, errors in rows for name in re.findall(r"`([A-Z]\w+)`", errors)}
    assert named - {("service", "Unexpected"), ("recipient", "Throttled")} == {
        (_sample(kind).scope, kind.__name__) for kind in get_args(ApiError)
    }
    assert msgapi.Throttled(code="newsletter_daily_cap").scope == "recipient"
    assert msgapi.Unexpected(meta=msgapi.Meta(status=408)).scope == "service"


def _sample(kind: type[Any]) -> ApiError:
    reasons = {"reason": "x"} if kind in {msgapi.NotSent, msgapi.Unanswered} else {}
    code = {"code": "rate_limit_exceeded"} if kind is msgapi.Throttled else {}
    error: ApiError = kind(**reasons, **code)
    return error


async def test_options_of_a_call_and_of_a_derived_client_are_taken() -> None:
    sandbox = Sandbox()
    assert await run(code("how-to/timeouts.md", "Timeouts, deadlines and other options"), sandbox) == ""
    assert len(sandbox.messages) == 2


async def test_the_iteration_over_messages_yields_those_that_failed() -> None:
    sandbox = Sandbox(timing=Timing(sent=0, delivered=0, read=0))
    message = messages.Text(agent_id="ag_live_demo", to="+447700900704", traffic_type="TRANSACTION", text="Hi")
    async with msgapi.Client(transport=sandbox, api_key=sandbox.api_key) as client:
        accepted = (await client(messages.send(message))).unwrap()
    assert await run(code("how-to/client.md", "Lists, item by item"), sandbox) == f"{accepted.message_id} FAILED\n"


async def test_calls_that_the_sandbox_does_not_know_are_refused_as_the_page_says() -> None:
    example = code("how-to/client.md", "Headers, routes and fields that this package does not know")
    assert await run(example, Sandbox()) == "not_found\nvalidation_error\n"


async def test_the_blocking_client_sends_a_message_and_lists_it() -> None:
    sandbox = Sandbox()
    printed = await run(code("how-to/synchronous.md", "Synchronous programs"), sandbox)
    (sent,) = sandbox.messages
    assert printed == f"{sent.id} 0.07\n1\n"


async def test_the_blocking_batch_finishes_the_job_when_it_is_run_again(tmp_path: Path) -> None:
    sandbox, example = Sandbox(balance=Decimal("2.80")), code("how-to/synchronous.md", "Synchronous programs", 1)
    first = await run(example, sandbox, tmp_path)
    assert "insufficient_balance" in first
    assert " 0 done before Stopped(reason='balance'" in first
    assert len(sandbox.messages) == 40
    sandbox = Sandbox()
    assert await run(example, sandbox, tmp_path) == "60 settled, 40 done before \n"
    assert len(sandbox.messages) == 60


async def test_the_fallback_sends_an_email_after_a_refusal() -> None:
    sandbox = Sandbox()
    assert (
        await run(code("how-to/fallback.md", "Fallback"), sandbox) == "leg 2 was accepted, after ['not_rcs_capable']\n"
    )
    assert [message.to for message in sandbox.messages] == ["ada@example.org"]


async def test_a_batch_of_fallbacks_sends_nothing_when_it_is_run_again(tmp_path: Path) -> None:
    sandbox, example = Sandbox(), code("how-to/fallback.md", "Fallbacks in a batch")
    printed = await run(example, sandbox, tmp_path)
    assert sorted(message.to for message in sandbox.messages) == ["+4915112345678", "ada@example.org"]
    assert printed == "".join(f"by email: {one.id}\n" for one in sandbox.messages if "@" in one.to)
    assert await run(example, sandbox, tmp_path) == ""
    assert len(sandbox.messages) == 2


async def test_a_message_that_fails_and_expires_is_followed_by_one_email(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sandbox, scope = Sandbox(), dict[str, Any]()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MSGAPI_API_KEY", sandbox.api_key)
    async with serve(sandbox, host="127.0.0.1", port=0) as url:
        monkeypatch.setenv("MSGAPI_BASE_URL", url)
        exec(code("how-to/fallback.md", "Messages that fail later"), scope)  # noqa: S102 - the page's own
        async with scope["client"]:
            for event in (
                webhooks.MessageFailed(id="evt_1", message_id="msg_1", failure_reason="REJECTED_SPAM"),
                webhooks.MessageFailed(id="evt_2", message_id="msg_2", failure_reason="UNKNOWN_RCS_USER"),
                webhooks.MessageExpired(id="evt_3", message_id="msg_2"),
            ):
                await scope["handle"](event)
    scope["store"].close()
    assert [message.to for message in sandbox.messages] == ["ada@example.org"]


RECEIVING_WSGI = """
import django
from django.conf import settings

settings.configure(ROOT_URLCONF="__main__", ALLOWED_HOSTS=["*"], LOGGING_CONFIG=None)
django.setup()

from django.test import Client

body = webhooks.write(webhooks.UnknownEvent(id="evt_1", event="other"))
headers = {webhooks.SIGNATURE_HEADER: webhooks.sign(body, secret="whsec_1")}
print(Client().post("/webhooks", data=body, content_type="application/json", headers=headers).status_code)
print(app.test_client().post("/webhooks", data=body, headers=headers).status_code)
"""


async def test_the_receivers_for_django_and_flask_share_the_store_of_handled_events(tmp_path: Path) -> None:
    assert (
        await run(code("how-to/webhooks.md", "Webhooks", 2) + RECEIVING_WSGI, Sandbox(), tmp_path)
        == "evt_1\n200\n200\n"
    )


async def test_the_merged_state_of_a_message_is_that_of_the_comment() -> None:
    assert await run(code("how-to/webhooks.md", "The order of events"), Sandbox()) == "read\n"


async def test_the_cassette_records_once_and_replays_once(tmp_path: Path) -> None:
    printed = await run(code("how-to/recordings.md", "Recordings"), Sandbox(), tmp_path)
    assert [line.partition(", meta=")[0] for line in printed.splitlines()] == [
        "Ok(value=Balance(free=Decimal('1000.0'), reserved=Decimal('0.0'), total=Decimal('1000.0'))"
    ] * 2
    assert len((tmp_path / "balance.jsonl").read_text().splitlines()) == 2  # the head of the file, and one exchange


async def test_the_sandbox_delivers_its_webhooks_to_an_application_in_memory() -> None:
    printed = await run(code("how-to/testing.md", "Webhooks without a socket"), Sandbox())
    assert printed.count("\n") == 1
    assert printed.startswith("MessageRead(")


async def test_the_example_of_recipients_makes_a_message_to_the_number_in_e164() -> None:
    example = code("how-to/files.md", "Recipients")
    assert await run(f"{example}\nprint(message.to)", Sandbox()) == "+491512345678\n"


async def test_models_are_written_and_read_as_json() -> None:
    assert await run(code("how-to/frameworks.md", "Models as JSON"), Sandbox()) == ""


async def test_models_are_bodies_of_fastapi_and_fields_of_pydantic() -> None:
    scope: dict[str, Any] = {"__name__": "example"}
    exec(code("how-to/frameworks.md", "Models in FastAPI and pydantic"), scope)  # noqa: S102 - the page's own
    text = messages.Text(agent_id="ag_live_demo", to="+4915112345678", traffic_type="TRANSACTION", text="Hi")
    job = scope["Job"](message=text, result=Ok(messages.Accepted(message_id="msg_1")))
    assert scope["Job"].model_validate_json(job.model_dump_json()) == job
    transport, url, headers = transports.asgi(scope["app"]), "http://app/texts", {"content-type": "application/json"}
    accepted = await transport(Request("POST", url, headers, codec.to_json(text)))
    assert isinstance(accepted, Response)
    assert (accepted.status, orjson.loads(accepted.body)["message_id"]) == (200, "msg_1")
    refused = await transport(Request("POST", url, headers, codec.to_json(text).replace(b"+49", b"0049")))
    assert isinstance(refused, Response)
    assert refused.status == 422
    assert b"0049" not in refused.body


ODD = """
import logging
import msgapi

logging.disable()
client = msgapi.Client

async def odd(request):
    return msgapi.Response(200, {}, b'{"messages": [{"id": "msg_1", "cost": true}], "total": 1}')

msgapi.Client = lambda observer: client(observer=observer, transport=odd)
"""


async def test_the_drift_example_prints_the_line_of_its_comment() -> None:
    example = code("how-to/telemetry.md", "Where the service differs from the documentation")
    printed = await run(ODD + example, Sandbox())
    comment = re.search(r"print\(difference\)  # (.+)", example)
    assert comment is not None
    assert comment[1] in printed.splitlines()
    assert await run(example, Sandbox()) == ""
