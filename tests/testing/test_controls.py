"""testing.controls: the control plane of the sandbox as calls, over the sandbox in memory and over HTTP."""

from collections.abc import AsyncIterator
from decimal import Decimal

import anyio
import pytest

import msgapi
from msgapi import Call, Invalid, VirtualClock, messages, testing
from msgapi.sandbox import Sandbox
from msgapi.testing import controls

TO = "+4915112345678"
TEXT = messages.Text(agent_id="ag_live_demo", to=TO, traffic_type="TRANSACTION", text="Your code is 123456")
pytestmark = pytest.mark.anyio


@pytest.fixture
def box() -> Sandbox:
    return Sandbox(timing=None, clock=VirtualClock(autojump=True))


@pytest.fixture
async def client(box: Sandbox) -> AsyncIterator[msgapi.Client]:
    opened = msgapi.Client(transport=box, api_key=box.api_key, base_url="https://sandbox.example", clock=box.clock)
    async with opened as client:
        yield client


async def test_health_needs_no_key(box: Sandbox) -> None:
    async with msgapi.Client(transport=box, api_key="sk_other", base_url="https://sandbox.example") as client:
        health = (await client(controls.health())).unwrap()
    assert (health.status, health.version) == ("ok", msgapi.__version__)
    assert health.time is not None


async def test_the_account_has_the_balance_the_prices_and_the_counts(client: msgapi.Client) -> None:
    _ = (await client(messages.send(TEXT))).unwrap()
    account = (await client(controls.account())).unwrap()
    assert account.balance.reserved == Decimal("0.07")
    assert account.prices["basic_message"] == 0.07
    assert account.counts["messages"] == 1
    assert account.role == "manager"
    assert account.clock is not None
    assert not account.clock.paused
    assert "magic_recipients" in account.extra


async def test_a_message_is_listed_with_its_content(client: msgapi.Client) -> None:
    sent = (await client(messages.send(TEXT, idempotency_key="k-1"))).unwrap()
    page = (await client(controls.list_messages(to=TO, contains="code", idempotency_key="k-1"))).unwrap()
    (found,) = page.messages
    assert (found.id, found.number, found.content) == (sent.message_id, 0, {"text": "Your code is 123456"})
    assert (found.status, found.hold, found.sender) == ("QUEUED", Decimal("0.07"), "ag_live_demo")
    assert [one.type for one in found.events] == ["queued"]
    assert found == (await client(controls.get_message(found.id))).unwrap()
    assert found.extra == {}
    assert "4915112345678" not in repr(page)
    assert "123456" not in repr(page)


@pytest.mark.parametrize(
    "filters",
    [{"to": "+4915100000000"}, {"status": "READ"}, {"direction": "INBOUND"}, {"channel": "EMAIL"}, {"contains": "x9"}],
)
async def test_a_filter_leaves_the_other_messages_out(client: msgapi.Client, filters: testing.MessageFilters) -> None:
    _ = (await client(messages.send(TEXT))).unwrap()
    assert (await client(controls.list_messages(**filters))).unwrap().messages == ()
    assert (await client(controls.wait_for_message(timeout=0, **filters))).unwrap().message is None


async def test_the_log_is_iterated_over_all_pages_in_both_orders(client: msgapi.Client) -> None:
    for _ in range(3):
        _ = (await client(messages.send(TEXT))).unwrap()
    first = (await client(controls.list_messages(limit=2))).unwrap()
    rest = (await client(controls.list_messages(limit=2, cursor=first.next_cursor))).unwrap()
    assert [one.number for one in (*first.messages, *rest.messages)] == [2, 1, 0]
    assert rest.next_cursor is None
    later = (await client(controls.list_messages(after=0, order="oldest"))).unwrap()
    assert [one.number for one in later.messages] == [1, 2]
    found = [one async for one in controls.iterate_messages(client, order="oldest", to=TO)]
    assert [one.number for one in found if isinstance(one, testing.SandboxMessage)] == [0, 1, 2]


async def test_the_iteration_ends_with_an_error(box: Sandbox) -> None:
    async with msgapi.Client(transport=box, api_key="sk_other", base_url="https://sandbox.example") as client:
        (error,) = [one async for one in controls.iterate_messages(client)]
    assert isinstance(error, msgapi.Unauthorized)


async def test_a_wait_ends_when_a_message_that_matches_arrives() -> None:
    box = Sandbox(timing=None)
    arrivals: list[testing.Arrival] = []

    async def wait() -> None:
        arrivals.append((await client(controls.wait_for_message(to=TO, after=0))).unwrap())

    async with (
        msgapi.Client(transport=box, api_key=box.api_key) as client,
        anyio.create_task_group() as tasks,
    ):
        _ = (await client(messages.send(TEXT))).unwrap()
        _ = tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        sent = (await client(messages.send(TEXT))).unwrap()
    (arrival,) = arrivals
    assert arrival.message is not None
    assert (arrival.message.id, arrival.message.number) == (sent.message_id, 1)


async def test_a_wait_returns_none_when_the_time_is_up(client: msgapi.Client, box: Sandbox) -> None:
    began = box.clock.now()
    assert (await client(controls.wait_for_message(to=TO, timeout=20))).unwrap().message is None
    assert box.clock.now() - began == pytest.approx(20, abs=1)


async def test_the_requests_are_listed_with_their_refusals(client: msgapi.Client) -> None:
    bad = msgapi.extend_call(messages.send(TEXT), {"to": "1"})
    assert isinstance(await client(bad), Invalid)
    _ = await client(messages.get("msg_none"))
    page = (await client(controls.list_requests(status="400", path="/v1/messages"))).unwrap()
    (found,) = page.requests
    assert (found.method, found.path, found.status, found.code) == ("POST", "/v1/messages", 400, "validation_error")
    assert [one.field for one in found.details] == ["to"]
    assert found.idempotency_key == bad.idempotency_key
    assert found.extra == {}


def test_every_change_is_a_post_that_is_not_repeated_and_every_read_a_get() -> None:
    calls: list[Call[object]] = [*CHANGES]
    assert {call.method for call in calls} == {"POST", "PUT"}
    assert not any(call.repeatable for call in calls)
    assert all(call.invalid is None for call in calls)
    assert all(call.repeatable for call in READS)


READS: list[Call[object]] = [
    controls.health(),
    controls.account(),
    controls.snapshot(),
    controls.list_messages(),
    controls.get_message("msg_1"),
    controls.wait_for_message(),
    controls.clock(),
    controls.faults(),
    controls.list_deliveries(),
    controls.list_requests(),
]
CHANGES: list[Call[object]] = [
    controls.reset(),
    controls.seed({}),
    controls.restore({}),
    controls.deliver("msg_1"),
    controls.read("msg_1"),
    controls.fail("msg_1"),
    controls.expire("msg_1"),
    controls.reply("ag_live_demo", TO, "Hello"),
    controls.tap("msg_1", "Yes"),
    controls.top_up(Decimal(5)),
    controls.set_balance(Decimal(0)),
    controls.pause_clock(),
    controls.resume_clock(),
    controls.advance_clock(60),
    controls.set_faults(lost=0.5),
    controls.approve_agent("ag_1"),
    controls.reject_agent("ag_1", "No logo."),
    controls.launch_agent("ag_1"),
    controls.halt_campaign("camp_1"),
    controls.fail_executions("camp_1"),
    controls.confirm_consent("con_1"),
    controls.replay_delivery("evt_1.wh_1"),
    controls.duplicate_delivery("evt_1.wh_1"),
    controls.delay_delivery("evt_1.wh_1", 5),
    controls.reorder_delivery("evt_1.wh_1"),
]
