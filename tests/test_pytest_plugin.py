"""pytest_plugin: the fixtures, as a user's own tests would ask for them."""

import textwrap

import pytest

pytest_plugins = "pytester"

ALONE = ("-p", "anyio.pytest_plugin", "-p", "msgapi.pytest_plugin")  # no other plugin: loading them takes seconds


@pytest.fixture(autouse=True)
def _no_other_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


TESTS = """
    import msgapi, pytest
    from msgapi import InsufficientBalance, Ok, messages
    from msgapi.sandbox import Sandbox

    TEXT = messages.Text(agent_id="ag_live_demo", to="+4915112345678", traffic_type="TRANSACTION", text="Hi")

    @pytest.mark.anyio
    async def test_a_message_is_delivered_when_the_clock_moves_on(msgapi_client, msgapi_sandbox, msgapi_clock):
        match await msgapi_client(messages.send(TEXT)):
            case Ok(accepted):
                msgapi_clock.advance(60)
        (message,) = msgapi_sandbox.messages
        assert (message.id, message.status) == (accepted.message_id, "READ")
        assert [one.event for one in msgapi_sandbox.events] == ["message.queued", "message.delivered", "message.read"]

    @pytest.mark.anyio
    async def test_every_test_has_a_sandbox_of_its_own(msgapi_client, msgapi_sandbox):
        assert msgapi_sandbox.messages == ()

    def test_no_event_loop_is_needed_to_hold_a_sandbox(msgapi_sandbox):
        assert msgapi_sandbox.balance.free == 1000
"""


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_the_fixtures_are_there_on_both_loops(pytester: pytest.Pytester, loop: str) -> None:
    _ = pytester.makeconftest(f"import pytest\n@pytest.fixture\ndef anyio_backend():\n    return {loop!r}\n")
    _ = pytester.makepyfile(TESTS)
    pytester.runpytest_inprocess(*ALONE).assert_outcomes(passed=3)


def test_the_package_tells_pytest_of_them() -> None:
    from importlib.metadata import entry_points

    (found,) = entry_points(group="pytest11", name="msgapi")
    assert found.value == "msgapi.pytest_plugin"


def test_whoever_runs_the_loop_may_use_them(pytester: pytest.Pytester) -> None:
    # As pytest-asyncio and pytest-trio do: the loop is there for the test alone, not for its fixtures.
    _ = pytester.makepyfile("""
        import asyncio, trio
        from msgapi import Ok, messages

        TEXT = messages.Text(agent_id="ag_live_demo", to="+4915112345678", traffic_type="TRANSACTION", text="Hi")

        def test_on_asyncio(msgapi_client):
            async def main():
                return await msgapi_client(messages.send(TEXT))
            assert isinstance(asyncio.run(main()), Ok)

        def test_on_trio(msgapi_client):
            assert isinstance(trio.run(msgapi_client, messages.send(TEXT)), Ok)
    """)
    pytester.runpytest_inprocess("-p", "msgapi.pytest_plugin").assert_outcomes(passed=2)


PLUGINS = {
    "anyio": ("anyio", "anyio.pytest_plugin"),
    "asyncio": ("asyncio", "pytest_asyncio.plugin"),
    "trio": ("trio", "pytest_trio.plugin"),
}
RETRIED = """
    import msgapi
    from msgapi import Ok, messages
    from msgapi.sandbox import MAGIC_RECIPIENTS, Sandbox

    FLAKY = next(one.phone for one in MAGIC_RECIPIENTS if one.fault == "500")

    def text(to):
        return messages.Text(agent_id="ag_live_demo", to=to, traffic_type="TRANSACTION", text="Hi")

    @library
    async def test_a_retry_takes_no_time(msgapi_client, msgapi_clock):
        result = await msgapi_client(messages.send(text(FLAKY)))
        assert result.meta.attempts > 1
        assert msgapi_clock.now() > 0
"""


@pytest.mark.parametrize("plugin", PLUGINS)
def test_the_clock_runs_by_default_under_every_plugin(pytester: pytest.Pytester, plugin: str) -> None:
    mark, module = PLUGINS[plugin]
    _ = pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    _ = pytester.makepyfile(f"import pytest\nlibrary = pytest.mark.{mark}\n" + textwrap.dedent(RETRIED))
    done = pytester.runpytest_subprocess("-p", module, "-p", "msgapi.pytest_plugin", "-W", "error::RuntimeWarning")
    done.assert_outcomes(passed=2 if plugin == "anyio" else 1)


@pytest.mark.parametrize("ini", ["", "filterwarnings = ignore:a VirtualClock:RuntimeWarning\n"])
def test_a_test_on_a_clock_that_stands_still_fails_unless_the_project_says_otherwise(
    pytester: pytest.Pytester, ini: str
) -> None:
    _ = pytester.makeini(f"[pytest]\n{ini}")
    _ = pytester.makepyfile("""
        import anyio, msgapi, pytest

        @pytest.fixture
        def anyio_backend():
            return "asyncio"

        @pytest.fixture
        def msgapi_clock():
            return msgapi.VirtualClock()

        @pytest.mark.anyio
        async def test_a_wait(msgapi_clock, monkeypatch):
            monkeypatch.setattr("msgapi.clock._STANDSTILL", 0.01)
            with anyio.move_on_after(0.5):
                await msgapi_clock.sleep(60)
    """)
    done = pytester.runpytest_inprocess(*ALONE)
    if ini:
        done.assert_outcomes(passed=1)
    else:
        done.assert_outcomes(failed=1)
        done.stdout.fnmatch_lines("*a VirtualClock stands still*clock.advance(60)*")


PROGRAM = """
import anyio
import msgapi
from msgapi import messages

TEXT = messages.Text(agent_id="ag_live_demo", to="+4915112345678", traffic_type="TRANSACTION", text="Hi")


async def main():
    async with msgapi.Client() as client:
        print(type(await client(messages.send(TEXT))).__name__)


anyio.run(main)
"""


def test_a_program_with_a_client_of_its_own_finds_the_server(pytester: pytest.Pytester) -> None:
    _ = pytester.makepyfile(program=PROGRAM)
    _ = pytester.makepyfile("""
        import os, subprocess, sys
        from decimal import Decimal

        def test_a_program(msgapi_server):
            env = {**os.environ, **msgapi_server.environ}
            done = subprocess.run([sys.executable, "program.py"], env=env, capture_output=True, text=True, check=True)
            assert done.stdout == "Ok\\n"
            (message,) = msgapi_server.call(lambda sandbox: sandbox.messages)
            assert message.to == "+4915112345678"
            msgapi_server.call(lambda sandbox: sandbox.top_up(Decimal(5)))
            assert msgapi_server.api_key not in repr(msgapi_server)
    """)
    pytester.runpytest_inprocess(*ALONE).assert_outcomes(passed=1)


def test_a_test_is_recorded_on_request_and_replayed_by_default(pytester: pytest.Pytester) -> None:
    _ = pytester.makepyfile(
        test_shop="""
        import msgapi, pytest
        from msgapi import NotFound, messages

        @pytest.fixture
        def anyio_backend():
            return "asyncio"

        @pytest.mark.anyio
        @pytest.mark.parametrize("name", ["msg_a", "msg_b/c"])
        async def test_an_unknown_message(msgapi_cassette, msgapi_server, name):
            async with msgapi.Client(
                transport=msgapi_cassette, api_key=msgapi_server.api_key, base_url=msgapi_server.url
            ) as client:
                assert isinstance(await client(messages.get(name)), NotFound)
            assert not msgapi_server.call(lambda sandbox: sandbox.requests) or not msgapi_cassette.left
    """
    )
    done = pytester.runpytest_inprocess(*ALONE)
    done.assert_outcomes(failed=2)
    done.stdout.fnmatch_lines("*FileNotFoundError*test_an_unknown_message_msg_a.jsonl*")
    pytester.runpytest_inprocess(*ALONE, "--msgapi-record=once").assert_outcomes(passed=2)
    folder = pytester.path / "cassettes" / "test_shop"
    names = ["test_an_unknown_message_msg_a.jsonl", "test_an_unknown_message_msg_b_c.jsonl"]
    assert sorted(path.name for path in folder.iterdir()) == names
    pytester.runpytest_inprocess(*ALONE).assert_outcomes(passed=2)


def test_the_process_is_one_for_the_session_and_is_reset_before_each_test(pytester: pytest.Pytester) -> None:
    _ = pytester.makeconftest("""
        import pytest

        @pytest.fixture(scope="session")
        def msgapi_process_options(msgapi_process_options):
            return (*msgapi_process_options, "--balance", "7")
    """)
    _ = pytester.makepyfile("""
        import pytest
        from msgapi import messages
        from msgapi.testing import controls

        TEXT = messages.Text(agent_id="ag_live_demo", to="+4915112345678", traffic_type="TRANSACTION", text="Hi")
        PIDS = []

        @pytest.mark.parametrize("number", [1, 2])
        def test_it_has_the_messages_of_this_test_alone(msgapi_process, number):
            sent = msgapi_process.run(messages.send(TEXT)).unwrap()
            found = msgapi_process.run(controls.list_messages()).unwrap().messages
            assert [one.id for one in found] == [sent.message_id]
            assert msgapi_process.run(controls.account()).unwrap().balance.total == 7
            PIDS.append(msgapi_process.pid)

        def test_it_is_one_process(msgapi_session_process):
            assert set(PIDS) == {msgapi_session_process.pid}
    """)
    pytester.runpytest_inprocess(*ALONE).assert_outcomes(passed=3)
