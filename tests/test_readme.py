"""The README: every example in it is run, against the sandbox on a socket, with nothing else set."""

import os
import re
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import orjson
import pytest

from msgapi import webhooks
from msgapi.sandbox import Sandbox, serve

README = (Path(__file__).parent.parent / "README.md").read_text()
EXAMPLES = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]


async def run(program: str, sandbox: Sandbox) -> str:
    async with serve(sandbox, host="127.0.0.1", port=0) as url:
        environment = os.environ | {"MSGAPI_API_KEY": sandbox.api_key, "MSGAPI_BASE_URL": url}
        done = await anyio.run_process([sys.executable, "-c", program], env=environment, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stderr == b""
    return done.stdout.decode()


async def test_the_first_example_sends_a_message() -> None:
    sandbox = Sandbox()
    printed = await run(EXAMPLES[0], sandbox)
    (sent,) = sandbox.messages
    assert printed == f"{sent.id} 0.07\n"


async def test_the_first_example_deals_with_an_empty_balance() -> None:
    sandbox = Sandbox(balance=Decimal("0.01"))
    assert await run(EXAMPLES[0], sandbox) == "top up 0.07 at https://app.arowana.app/billing\n"
    assert sandbox.messages == ()


async def test_the_first_example_says_what_else_went_wrong() -> None:
    sandbox = Sandbox()
    printed = await run(EXAMPLES[0].replace("ag_live_demo", "ag_live_unknown"), sandbox)
    assert printed.startswith("not_found ")


async def test_the_batch_example_sends_all_of_them() -> None:
    sandbox = Sandbox()
    assert await run(EXAMPLES[1], sandbox) == "100 accepted \n"
    assert len(sandbox.messages) == 100


async def test_the_journal_example_finishes_the_job_when_it_is_run_again(tmp_path: Path) -> None:
    sandbox = Sandbox(balance=Decimal("2.80"))
    example = EXAMPLES[2].replace("november.db", str(tmp_path / "november.db"))
    first = await run(example, sandbox)
    assert "insufficient_balance" in first
    assert "0 done before Stopped(reason='balance'" in first
    assert len(sandbox.messages) == 40
    sandbox = Sandbox()
    assert await run(example, sandbox) == "40 done before \n"
    assert len(sandbox.messages) == 60


async def test_the_receiver_of_the_readme_hands_events_over(capsys: pytest.CaptureFixture[str]) -> None:
    scope: dict[str, Any] = {}
    exec(EXAMPLES[3], scope)  # noqa: S102 - the README's own
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


async def test_the_receivers_of_the_readme_for_other_frameworks_hand_events_over() -> None:
    with_servers = f"import sys; sys.path.append({str(Path(__file__).parents[1])!r})\n"
    assert await run(with_servers + EXAMPLES[4] + RECEIVING, Sandbox()) == "evt_1\n200\nevt_2\n200\n"


async def test_the_example_for_trio_asks_for_the_balance() -> None:
    assert await run(EXAMPLES[5], Sandbox()) == "1000.0\n"


async def test_the_double_in_the_readme_works_as_written() -> None:
    assert await run(EXAMPLES[6], Sandbox()) == ""


async def test_the_fixtures_in_the_readme_work_as_written(tmp_path: Path) -> None:
    _ = (tmp_path / "test_example.py").write_text(EXAMPLES[7])
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = await anyio.run_process(command, check=False)
    assert done.returncode == 0, done.stdout.decode()


async def test_the_observers_of_the_readme_see_the_call() -> None:
    example = "import sys\n" + EXAMPLES[8].replace("basicConfig(", "basicConfig(stream=sys.stdout, ")
    printed = await run(example, Sandbox())
    assert printed == "DEBUG msgapi POST /v1/messages: Ok, status=200, attempts=1\n1\n"


def test_there_is_no_example_that_is_not_run(anyio_backend: str) -> None:
    del anyio_backend
    assert len(EXAMPLES) == 10  # that of Celery runs in test_fleet_celery
