"""testing.SandboxProcess: a sandbox in a process of its own, which always ends."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from msgapi import NotSent, Ok, messages
from msgapi.testing import SandboxError, SandboxProcess, controls, process

TO = "+4915112345678"
TEXT = messages.Text(agent_id="ag_live_demo", to=TO, traffic_type="TRANSACTION", text="Your code is 123456")
_SEND = """
import msgapi
from msgapi import messages

with msgapi.BlockingClient() as client:
    text = messages.Text(agent_id="ag_live_demo", to="+4915112345678", traffic_type="TRANSACTION", text="Hello")
    print(client(messages.send(text)).unwrap().message_id)
"""
_PARENT = """
import sys
from msgapi.testing import SandboxProcess

with SandboxProcess() as sandbox:
    print(sandbox.url, flush=True)
    sys.stdin.read()
"""


def wait_for_the_end(connection: socket.socket) -> None:
    """Wait until the server that has this *connection* has ended: it is closed, or reset if it was not accepted."""
    with suppress(ConnectionResetError):
        assert connection.recv(1) == b""


def connect(url: str) -> socket.socket:
    parts = urlsplit(url)
    assert parts.hostname is not None
    return socket.create_connection((parts.hostname, parts.port or 0), timeout=20)


def test_a_program_of_its_own_sends_to_it_and_the_test_waits_for_the_message() -> None:
    with SandboxProcess() as sandbox:
        environment = {**os.environ, **sandbox.environ}
        sent = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-c", _SEND], env=environment, capture_output=True, text=True, check=True
        )
        arrival = sandbox.run(controls.wait_for_message(to=TO)).unwrap()
        assert arrival.message is not None
        assert arrival.message.id == sent.stdout.strip()
        assert repr(sandbox) == f"SandboxProcess({sandbox.url})"
        assert sandbox.api_key == "sk_sandbox"
        assert sandbox.page == f"{sandbox.url}/"
        connection = connect(sandbox.url)
    with connection:
        wait_for_the_end(connection)
    with pytest.raises(ConnectionRefusedError):
        _ = connect(sandbox.url)
    with pytest.raises(RuntimeError, match="not running"):
        _ = sandbox.run(controls.health())


def test_it_keeps_its_state_in_a_file_and_takes_the_options_of_the_command(tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    with SandboxProcess(state_file=state, options=("--balance", "5"), allow_hosts=("sandbox",)) as sandbox:
        sent = sandbox.run(messages.send(TEXT)).unwrap()
        assert sandbox.run(controls.account()).unwrap().balance.total == 5
    assert json.loads(state.read_text())["format"] == "msgapi-sandbox"
    with SandboxProcess(state_file=state) as sandbox:
        assert sandbox.run(controls.get_message(sent.message_id)).unwrap().id == sent.message_id


@pytest.mark.usefixtures("unmeasured_processes")
def test_an_exception_ends_it_and_comes_out_as_itself() -> None:
    class Failed(Exception):
        pass

    with pytest.raises(Failed) as caught, SandboxProcess() as sandbox:
        raise Failed
    assert not hasattr(caught.value, "__notes__")
    with pytest.raises(ConnectionRefusedError):
        _ = connect(sandbox.url)


@pytest.mark.usefixtures("unmeasured_processes")
def test_an_option_that_is_wrong_is_an_error_with_what_the_command_wrote() -> None:
    with (
        pytest.raises(SandboxError, match=r"did not start: the process has ended with status 2, .*'--nonsense'"),
        SandboxProcess(options=("--nonsense",)),
    ):
        pass


@pytest.mark.usefixtures("unmeasured_processes")
def test_an_output_without_an_address_is_an_error() -> None:
    with pytest.raises(SandboxError, match="did not start"), SandboxProcess(options=("--list-recipients",)):
        pass


@pytest.mark.usefixtures("unmeasured_processes")
def test_a_process_that_does_not_listen_in_time_is_an_error_and_is_ended() -> None:
    with pytest.raises(SandboxError, match=r"did not listen within 0.001 seconds \(timeout\)"):
        _ = SandboxProcess(timeout=0.001).__enter__()


@pytest.mark.usefixtures("unmeasured_processes")
def test_a_server_that_does_not_answer_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "health", lambda: controls.get_message("msg_none"))
    with pytest.raises(SandboxError, match="does not answer: There is no such message"), SandboxProcess():
        pass


def test_a_timeout_that_is_no_number_of_seconds_is_refused() -> None:
    with pytest.raises(ValueError, match="timeout"):
        _ = SandboxProcess(timeout=-1)


def kill_and_send(sandbox: SandboxProcess) -> bool:
    """Kill the process, wait for its end, and return whether a message cannot be sent."""
    assert sandbox.pid is not None
    with connect(sandbox.url) as connection:
        os.kill(sandbox.pid, signal.SIGKILL)
        wait_for_the_end(connection)
    return isinstance(sandbox.run(messages.send(TEXT)), NotSent)


@pytest.mark.usefixtures("unmeasured_processes")
def test_a_process_that_has_ended_by_itself_is_an_error_at_the_end() -> None:
    with (
        pytest.raises(SandboxError, match="the sandbox: the process has ended with status -9"),
        SandboxProcess() as box,
    ):
        assert kill_and_send(box)


@pytest.mark.usefixtures("unmeasured_processes")
def test_an_exception_after_its_end_has_a_note_about_that() -> None:
    with pytest.raises(ZeroDivisionError) as caught, SandboxProcess() as sandbox:
        assert kill_and_send(sandbox) / 0
    (note,) = caught.value.__notes__
    assert note.startswith("The sandbox: the process has ended with status -9, and wrote: ")


@pytest.mark.usefixtures("unmeasured_processes")
def test_a_process_that_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "STOP_TIMEOUT", 0.05)
    with pytest.raises(SandboxError, match="status -9"), SandboxProcess() as sandbox:
        os.kill(sandbox.pid or 0, signal.SIGSTOP)


def test_it_ends_when_the_process_that_started_it_is_killed() -> None:
    with subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-c", _PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        url = parent.stdout.readline().strip()
        with connect(url) as connection:
            parent.kill()
            wait_for_the_end(connection)


@pytest.mark.usefixtures("unmeasured_processes")
def test_it_is_entered_once_has_an_address_only_then_and_is_used_while_the_thread_runs_an_event_loop() -> None:
    async def main() -> None:
        assert isinstance(sandbox.run(controls.health()), Ok)

    sandbox = SandboxProcess()
    assert repr(sandbox) == "SandboxProcess(not started)"
    assert (sandbox.pid, sandbox.page) == (None, None)
    with pytest.raises(RuntimeError, match="enter it with `with`"):
        _ = sandbox.url
    with sandbox:
        with pytest.raises(RuntimeError, match="is entered once"):
            _ = sandbox.__enter__()
        asyncio.run(main())
