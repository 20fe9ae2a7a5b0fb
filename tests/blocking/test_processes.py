"""BlockingClient and its process: exit, Ctrl-C and fork. Each test runs a program."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from msgapi import journal
from msgapi.journal import State
from msgapi.sandbox import Sandbox
from tests.support.served_sandbox import served

BEGIN = """
import os, signal, sys, threading
import msgapi
from msgapi import Ok, journal, messages

# A shell starts programs in the background with SIGINT ignored, and so these tests.
signal.signal(signal.SIGINT, signal.default_int_handler)

def send(number=1):
    text = messages.Text(agent_id="ag_live_demo", to=f"+49151{number:08}", traffic_type="TRANSACTION", text="Hi")
    return messages.send(text)

def rows(count):
    for number in range(count):
        yield f"row-{number}", send(number)

"""
TIMEOUT = 30.0  # seconds that no program needs
only_with_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


@pytest.fixture
def sandbox() -> Sandbox:
    return Sandbox()


@pytest.fixture
def env(sandbox: Sandbox) -> Iterator[dict[str, str]]:
    with served(sandbox) as env:
        yield env


# From Python 3.12 on, a fork of a process that has threads is a warning; here it is what is tested.
FORK = ("-W", "ignore:This process:DeprecationWarning")


def run(program: str, env: dict[str, str], *flags: str) -> tuple[str, str, int]:
    command = [sys.executable, *flags, "-c", BEGIN + program]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=TIMEOUT, check=False)  # noqa: S603
    return done.stdout, done.stderr, done.returncode


NEVER_CLOSED = """
client = msgapi.BlockingClient()
print(type(client(send())).__name__)
"""


def test_a_program_that_never_closes_its_client_ends_at_once_and_prints_nothing(env: dict[str, str]) -> None:
    assert run(NEVER_CLOSED, env) == ("Ok\n", "", 0)


def test_it_warns_once_if_resource_warnings_are_on(env: dict[str, str]) -> None:
    said, complaint, status = run(NEVER_CLOSED, env, "-W", "always")
    assert (said, status) == ("Ok\n", 0)
    assert complaint.count("ResourceWarning: unclosed") == 1, complaint
    assert "unclosed msgapi.BlockingClient: close it by `with` or by `client.close()`" in complaint


def test_one_that_is_closed_does_not_warn(env: dict[str, str]) -> None:
    program = "with msgapi.BlockingClient() as client: print(type(client(send())).__name__)"
    assert run(program, env, "-W", "error::ResourceWarning") == ("Ok\n", "", 0)


def test_a_batch_that_is_never_closed_does_not_delay_the_exit(env: dict[str, str], tmp_path: Path) -> None:
    program = f"""
client = msgapi.BlockingClient()
outcomes = client.batch(rows(100), journal=journal.open({str(tmp_path / "b.journal")!r}, batch="b"))
print(type(next(outcomes).result).__name__)
"""
    assert run(program, env) == ("Ok\n", "", 0)
    with journal.open_readonly(str(tmp_path / "b.journal")) as record:
        assert record.summary().rows(State.ACCEPTED) > 0


def test_a_daemon_thread_that_waits_for_a_call_does_not_delay_the_exit(env: dict[str, str]) -> None:
    program = """
arrived = threading.Event()

async def transport(request):
    import anyio
    arrived.set()
    await anyio.sleep_forever()

client = msgapi.BlockingClient(transport=transport)
threading.Thread(target=client, args=[send()], daemon=True).start()
print(arrived.wait(10))
"""
    said, _, status = run(program, env)
    assert (said, status) == ("True\n", 0)


def test_threads_that_outlive_the_main_thread_can_still_call(env: dict[str, str], sandbox: Sandbox) -> None:
    program = """
client = msgapi.BlockingClient()
assert isinstance(client(send()), Ok)

def work():
    threading.main_thread().join()
    print(type(client(send())).__name__)

threading.Thread(target=work).start()
"""
    assert run(program, env) == ("Ok\n", "", 0)
    assert len(sandbox.messages) == 2


def test_a_function_that_is_registered_for_the_exit_can_still_call(env: dict[str, str]) -> None:
    program = """
import atexit
client = msgapi.BlockingClient()
assert isinstance(client(send()), Ok)
atexit.register(lambda: print(type(client(send())).__name__))
"""
    assert run(program, env) == ("Ok\n", "", 0)


def test_ctrl_c_during_a_call_ends_the_program(env: dict[str, str]) -> None:
    program = """
async def transport(request):
    import anyio
    try:
        os.kill(os.getpid(), signal.SIGINT)
        await anyio.sleep_forever()
    finally:
        print("cancelled")

try:
    with msgapi.BlockingClient(transport=transport) as client:
        client(send())
except KeyboardInterrupt:
    print("interrupted", "closed" in repr(client))
"""
    said = "cancelled\ninterrupted True\n"
    assert run(program, env, "-W", "error::ResourceWarning") == (said, "", 0)


INTERRUPTED = """
outcomes = None
taken = 0
try:
    with msgapi.BlockingClient() as client:
        for outcome in client.batch(rows(600), journal=journal.open(sys.argv[1], batch="b")):
            assert isinstance(outcome.result, Ok), outcome.result
            taken += 1
            if taken == 100 and sys.argv[2] == "interrupt":
                os.kill(os.getpid(), signal.SIGINT)
except KeyboardInterrupt:
    print("interrupted")
print(taken)
"""


def test_ctrl_c_during_a_batch_loses_nothing_and_sends_nothing_twice(
    env: dict[str, str], sandbox: Sandbox, tmp_path: Path
) -> None:
    path = tmp_path / "b.journal"

    def batch(how: str) -> str:
        command = [sys.executable, "-W", "error::ResourceWarning", "-c", BEGIN + INTERRUPTED, str(path), how]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=TIMEOUT, check=False)  # noqa: S603
        assert (done.stderr, done.returncode) == ("", 0)
        return done.stdout

    assert batch("interrupt").startswith("interrupted\n1")
    before = len(sandbox.messages)
    with journal.open_readonly(str(path)) as record:
        assert 100 <= record.summary().rows(State.ACCEPTED) <= before < 600
    _ = batch("finish")
    assert len({message.to for message in sandbox.messages}) == len(sandbox.messages) == 600
    with journal.open_readonly(str(path)) as record:
        assert record.summary().rows(State.ACCEPTED) == 600


@only_with_fork
def test_a_forked_child_is_refused_and_does_not_disturb_its_parent(env: dict[str, str], sandbox: Sandbox) -> None:
    program = """
client = msgapi.BlockingClient()
outcomes = client.batch(send(number) for number in range(100))
assert isinstance(next(outcomes).result, Ok)
pid = os.fork()
if pid == 0:
    for use in (client.__enter__, lambda: client(send()), lambda: next(outcomes), outcomes.take_ended):
        try:
            use()
        except RuntimeError as error:
            print(error)
    outcomes.stop()
    outcomes.close()
    client.close()
    del outcomes, client
    sys.exit(0)
_, status = os.waitpid(pid, 0)
print(status, len([*outcomes]), type(client(send())).__name__)
client.close()
"""
    said, complaint, status = run(program, env, *FORK, "-W", "error::ResourceWarning")
    assert (complaint, status) == ("", 0)
    refused, after = said.splitlines()[:-1], said.splitlines()[-1]
    assert len(refused) == 4
    assert all("make a msgapi.BlockingClient in each process, or use it only after the fork" in one for one in refused)
    assert after == "0 99 Ok"
    assert len(sandbox.messages) == 101


@only_with_fork
def test_one_that_is_constructed_before_the_fork_is_opened_in_each_child(env: dict[str, str], sandbox: Sandbox) -> None:
    program = """
client = msgapi.BlockingClient()
children = []
for _ in range(3):
    pid = os.fork()
    if pid == 0:
        with client:
            os._exit(0 if isinstance(client(send()), Ok) else 1)
    children.append(pid)
print([os.waitpid(pid, 0)[1] for pid in children], client)
"""
    said, complaint, status = run(program, env, *FORK, "-W", "error::ResourceWarning")
    assert (complaint, status) == ("", 0)
    assert said == "[0, 0, 0] BlockingClient(not open)\n"
    assert len(sandbox.messages) == 3


@only_with_fork
def test_a_fork_while_another_thread_opens_the_client_leaves_no_lock_held(env: dict[str, str]) -> None:
    program = """
from contextlib import asynccontextmanager
opening, go_on = threading.Event(), threading.Event()

@asynccontextmanager
async def slow():
    import anyio
    opening.set()
    while not go_on.is_set():
        await anyio.sleep(0)
    yield print  # a transport that is not used

client, other = msgapi.BlockingClient(transport=slow()), msgapi.BlockingClient()
thread = threading.Thread(target=client.__enter__)
other._thread._lock.acquire()  # as if a thread were just opening it
thread.start()
opening.wait()
pid = os.fork()
if pid == 0:
    try:
        client(send())
    except RuntimeError as error:
        print("in each process" in str(error))
    client.close()
    print(type(other(send())).__name__, flush=True)
    os._exit(0)
print(os.waitpid(pid, 0)[1], flush=True)
go_on.set()
thread.join()
client.close()
"""
    said, complaint, status = run(program, env, *FORK)
    assert (said, complaint, status) == ("True\nOk\n0\n", "", 0)


@only_with_fork
def test_the_process_is_checked_where_the_hooks_of_fork_are_not_run(env: dict[str, str]) -> None:
    program = """
client = msgapi.BlockingClient().__enter__()
os.getpid = lambda: 1  # as in a server that forks without Python
try:
    client(send())
except RuntimeError as error:
    print("in each process" in str(error))
"""
    assert run(program, env, *FORK) == ("True\n", "", 0)
