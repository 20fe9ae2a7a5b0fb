"""pytest_plugin: the fixtures, as a user's own tests would ask for them."""

import pytest

pytest_plugins = "pytester"

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
    pytester.runpytest_inprocess().assert_outcomes(passed=3)


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
    pytester.runpytest_inprocess("-p", "no:anyio").assert_outcomes(passed=2)
