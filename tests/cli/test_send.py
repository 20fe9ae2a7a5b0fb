"""The idempotency key of `msgapi send`, which is printed before the message is sent."""

import os
import re
import sys
from functools import partial
from subprocess import DEVNULL, PIPE

import anyio
import anyio.to_thread
import orjson
import pytest

from msgapi import Request, Response
from msgapi.cli import main
from msgapi.sandbox import Sandbox
from msgapi.transports import Answer
from tests.support.cli_files import through
from tests.support.raw_servers import Wire, reply, serving

Captured = pytest.CaptureFixture[str]
SEND = ["send", "--to", "+4915112345678", "--agent", "ag_live_demo", "--traffic", "TRANSACTION", "--text", "Hi"]
PRINTED = r"msgapi: to repeat this command without a second effect: --idempotency-key (\S+)\n"


@pytest.mark.anyio
async def test_a_command_that_was_killed_before_the_answer_is_repeated_with_the_printed_key() -> None:
    box, answers, carried_out = Sandbox(timing=None), False, anyio.Event()

    async def serve(wire: Wire) -> None:
        arrived = await wire.request()
        key = {"Idempotency-Key": arrived.headers["idempotency-key"]}
        headers = {"Authorization": arrived.headers["authorization"], "Content-Type": "application/json"}
        answer = await box(Request("POST", f"http://127.0.0.1{arrived.target}", headers | key, arrived.body))
        assert isinstance(answer, Response)
        carried_out.set()
        await (wire.send(reply(answer.status, answer.body)) if answers else wire.hang())

    async with serving(serve) as url:
        environ = os.environ | {"MSGAPI_API_KEY": box.api_key, "MSGAPI_BASE_URL": url}
        command = [sys.executable, "-m", "msgapi", *SEND]
        async with await anyio.open_process(command, env=environ, stdout=DEVNULL, stderr=PIPE) as killed:
            await carried_out.wait()
            killed.kill()
            assert killed.stderr is not None
            said = b"".join([part async for part in killed.stderr]).decode()
        found = re.fullmatch(PRINTED, said)
        assert found is not None, said
        answers = True
        run = partial(anyio.run_process, env=environ, check=False)
        again = await run([*command, "--idempotency-key", found[1], "--json"])
    assert (again.returncode, again.stderr) == (0, b"")
    assert [message.idempotency_key for message in box.messages] == [found[1]]
    assert orjson.loads(again.stdout)["message_id"] == box.messages[0].id


def test_the_key_is_printed_unless_it_was_given_or_the_sandbox_ends_with_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    assert main([*SEND, "--sandbox"]) == 0
    assert capsys.readouterr().err == ""
    keys = []

    async def transport(request: Request, /) -> Answer:
        keys.append(request.headers["Idempotency-Key"])
        return await Sandbox()(request)

    through(monkeypatch, transport)
    assert main([*SEND, "--idempotency-key", "k1"]) == 0
    assert capsys.readouterr().err == ""
    assert main([*SEND, "--json"]) == 0
    shown = capsys.readouterr()
    found = re.fullmatch(PRINTED, shown.err)
    assert found is not None
    assert (orjson.loads(shown.out)["idempotency_key"], keys) == (found[1], ["k1", found[1]])


@pytest.mark.usefixtures("no_settings")
@pytest.mark.parametrize("command", [SEND, ["billing", "top-up", "50", "--yes"]])
def test_without_an_api_key_no_idempotency_key_is_printed(command: list[str], capsys: Captured) -> None:
    assert main(command) == 4
    assert capsys.readouterr().err == "msgapi: no API key: set MSGAPI_API_KEY, or run `msgapi configure`\n"
