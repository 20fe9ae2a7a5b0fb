"""Waiting for a message: in Python, and by the long poll, on either event loop and on a clock of tests."""

from collections.abc import Awaitable, Callable

import anyio
import orjson
import pytest

from msgapi import Request, Response
from msgapi.clock import VirtualClock
from msgapi.sandbox import LogEntry, Sandbox, Workspaces
from msgapi.sandbox.model.changes import MAX_CHANGES
from tests.support.sandbox_calls import post
from tests.support.sandbox_refusals import REPLY
from tests.support.sandbox_requests import TO, fields_of, request, said, text

pytestmark = pytest.mark.anyio
OTHER = "+4915187654321"


def send(box: Sandbox, **fields: object) -> str:
    answer = box.handle(request("POST", "/v1/messages", body=text(**fields))).response
    assert answer.status == 200, answer.body
    return str(said(answer)["message_id"])


async def poll(box: Callable[[Request], Awaitable[object]], query: str) -> object:
    answer = await box(request("GET", f"/_sandbox/messages/wait?{query}"))
    assert isinstance(answer, Response)
    assert answer.status == 200, answer.body
    found = orjson.loads(answer.body)["message"]
    return found if found is None else found["id"]


async def during(wait: Callable[[], Awaitable[object]], happens: Callable[[], object]) -> object:
    """The result of *wait*, while which something *happens*."""
    found: list[object] = []

    async def keep() -> None:
        found.append(await wait())

    async with anyio.create_task_group() as tasks:
        _ = tasks.start_soon(keep)
        await anyio.wait_all_tasks_blocked()
        assert found == []
        _ = happens()
    return found[0]


async def test_a_message_that_is_there_is_returned_at_once() -> None:
    box = Sandbox(clock=VirtualClock(), timing=None)
    first, second = send(box), send(box)
    assert (await box.wait_for_message(to=TO)).id == second
    assert (await box.wait_for_message(after=-1)).id == first
    assert (await box.wait_for_message(after=0)).id == second
    assert await poll(box, f"to={TO}") == second
    assert await poll(box, "after=0") == second


async def test_a_wait_ends_when_a_message_that_matches_comes() -> None:
    box = Sandbox(clock=VirtualClock(autojump=False), timing=None)

    def happens() -> None:
        _ = send(box)
        _ = send(box, to=OTHER)

    entry = await during(lambda: box.wait_for_message(to=OTHER), happens)
    assert isinstance(entry, LogEntry)
    assert (entry.to, entry.number) == (OTHER, 1)
    assert await during(lambda: poll(box, f"to={OTHER}&after=1"), happens) == box.messages[3].id


async def test_a_wait_for_another_message_continues() -> None:
    box = Sandbox(clock=VirtualClock(), timing=None)

    async def wait() -> object:
        return await box.wait_for_message(contains="code")

    found: list[object] = []

    async def keep() -> None:
        found.append(await wait())

    async with anyio.create_task_group() as tasks:
        _ = tasks.start_soon(keep)
        await anyio.wait_all_tasks_blocked()
        _ = send(box)
        await anyio.wait_all_tasks_blocked()
        assert found == []
        name = send(box, content={"text": "Your code is 1234"})
    assert [one.id for one in found if isinstance(one, LogEntry)] == [name]


async def test_a_wait_sees_what_happens_by_itself() -> None:
    box = Sandbox(clock=VirtualClock(autojump=True))
    name = send(box)
    entry = await box.wait_for_message(status="READ")
    assert (entry.id, box.clock.now()) == (name, 12.0)
    assert await poll(box, "status=READ") == name


async def test_a_reply_can_be_waited_for() -> None:
    box = Sandbox(clock=VirtualClock(), timing=None)
    found = await during(lambda: poll(box, "direction=INBOUND"), lambda: post(box, "/_sandbox/replies", REPLY))
    assert found == box.messages[0].id


async def test_after_the_timeout_there_is_no_message() -> None:
    box = Sandbox(clock=VirtualClock(autojump=True), timing=None)
    assert await poll(box, "timeout=5") is None
    assert box.clock.now() == 5.0
    assert await poll(box, "") is None
    assert box.clock.now() == 35.0
    assert await poll(box, "timeout=0") is None
    assert box.clock.now() == 35.0
    with pytest.raises(TimeoutError, match=r"no message matched within 2\.5 seconds: there is none"):
        _ = await box.wait_for_message(timeout=2.5)
    _ = send(box)
    with pytest.raises(TimeoutError, match="within 2 seconds: the newest of 1 is QUEUED"):
        _ = await box.wait_for_message(timeout=2, status="READ")
    assert box.clock.now() == 39.5


async def test_a_wait_without_a_match_ends_in_time_whatever_comes_meanwhile() -> None:
    box = Sandbox(clock=VirtualClock(autojump=True))
    _ = send(box)
    assert await poll(box, f"to={OTHER}&timeout=20") is None
    assert box.clock.now() == 20.0


async def test_a_wait_that_has_missed_too_many_changes_looks_at_all_messages() -> None:
    box = Sandbox(clock=VirtualClock(), timing=None)
    names = list[str]()

    def happens() -> None:
        names.append(send(box, to=OTHER))
        for _ in range(MAX_CHANGES):
            box.account.state.changes.add("agents")

    assert await during(lambda: poll(box, f"to={OTHER}"), happens) == names[0]


async def test_a_wait_continues_in_an_account_that_replaces_another() -> None:
    box = Sandbox(clock=VirtualClock(), timing=None)
    other = Sandbox(clock=box.clock, timing=None)

    def happens() -> None:
        before, box.account = box.account, other.account
        _ = send(box, to=OTHER)
        before.state.changes.end()

    assert await during(lambda: poll(box, f"to={OTHER}"), happens) == other.messages[0].id


async def test_a_wait_is_for_the_workspace_of_its_key() -> None:
    clock = VirtualClock()
    one, other = (Sandbox(api_key=key, clock=clock, timing=None) for key in ("sk_one", "sk_other"))
    both = Workspaces([one, other])

    async def wait() -> object:
        return await both(request("GET", "/_sandbox/messages/wait", Authorization="Bearer sk_other"))

    def happens() -> None:
        for key in ("sk_one", "sk_other"):
            _ = both.handle(request("POST", "/v1/messages", body=text(), Authorization=f"Bearer {key}"))

    answer = await during(wait, happens)
    assert isinstance(answer, Response)
    assert said(answer)["message"]["id"] == other.messages[0].id


async def test_messages_are_found_by_the_same_filters() -> None:
    box = Sandbox(clock=VirtualClock(), timing=None)
    names = [send(box), send(box, to=OTHER, content={"text": "Your code"}), send(box)]
    assert [one.id for one in box.find_messages(to=TO)] == [names[0], names[2]]
    assert [one.id for one in box.find_messages(contains="CODE", channel="RCS")] == [names[1]]
    assert [one.id for one in box.find_messages()] == names


@pytest.mark.parametrize("wanted", [{"status": "read"}, {"direction": "IN"}, {"channel": "SMS"}])
async def test_a_filter_that_can_never_match_is_an_error(wanted: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="must be in"):
        _ = Sandbox().find_messages(**wanted)  # type: ignore[arg-type]


@pytest.mark.parametrize("query", ["timeout=61", "timeout=-1", "timeout=1.5", "order=oldest", "limit=1"])
async def test_a_wait_with_an_invalid_query_is_refused(query: str) -> None:
    field = query.partition("=")[0]
    assert fields_of(Sandbox().handle(request("GET", f"/_sandbox/messages/wait?{query}")).response) == [field]


async def test_a_cancelled_wait_leaves_nothing_behind() -> None:
    box = Sandbox(clock=VirtualClock(), timing=None)
    async with anyio.create_task_group() as tasks:
        _ = tasks.start_soon(box.wait_for_message)
        await anyio.wait_all_tasks_blocked()
        assert len(box.account.state.changes._waiting) == 1
        tasks.cancel_scope.cancel()
    assert box.account.state.changes._waiting == []
