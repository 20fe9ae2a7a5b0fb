"""testing.controls: the control plane of the sandbox as calls, over the sandbox in memory and over HTTP."""

from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal

import anyio
import pytest

import msgapi
from msgapi import (
    Call,
    Invalid,
    NotFound,
    Request,
    Response,
    VirtualClock,
    agents,
    campaigns,
    codec,
    contacts,
    messages,
    testing,
    webhooks,
)
from msgapi.sandbox import CAMPAIGNS, FaultShares, Sandbox, WebhookFaults
from msgapi.sandbox.controls import SandboxControls
from msgapi.sandbox.model.inspection import MessageFilters
from msgapi.testing import controls
from tests.support.sandbox_calls import COMPLETE

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
async def test_a_filter_leaves_the_other_messages_out(client: msgapi.Client, filters: MessageFilters) -> None:
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
    controls.reply_from(TO, "ag_live_demo"),
    controls.tap("msg_1", "Yes"),
    controls.top_up(Decimal(5)),
    controls.set_balance(Decimal(0)),
    controls.pause_clock(),
    controls.resume_clock(),
    controls.advance_clock(60),
    controls.set_faults(0.5),
    controls.approve("ag_1"),
    controls.reject("ag_1", "No logo."),
    controls.launch("ag_1"),
    controls.halt("camp_1"),
    controls.fail_executions("camp_1"),
    controls.confirm("con_1"),
    controls.replay("evt_1.wh_1"),
    controls.duplicate("evt_1.wh_1"),
    controls.delay("evt_1.wh_1", 5),
    controls.reorder("evt_1.wh_1"),
]


async def test_a_message_is_delivered_and_read_and_another_one_fails_and_a_third_expires(client: msgapi.Client) -> None:
    ids = [(await client(messages.send(TEXT))).unwrap().message_id for _ in range(3)]
    assert (await client(controls.deliver(ids[0]))).unwrap().status == "DELIVERED"
    assert (await client(controls.read(ids[0]))).unwrap() == testing.StatusChange(message_id=ids[0], status="READ")
    assert (await client(controls.fail(ids[1], "REJECTED_SPAM"))).unwrap().status == "FAILED"
    assert (await client(controls.get_message(ids[1]))).unwrap().error_code == "REJECTED_SPAM"
    assert (await client(controls.expire(ids[2]))).unwrap().status == "EXPIRED"


async def test_a_control_that_is_not_possible_is_not_found_and_one_with_a_wrong_value_invalid(
    client: msgapi.Client,
) -> None:
    unknown = await client(controls.deliver("msg_none"))
    assert isinstance(unknown, NotFound)
    assert (unknown.code, unknown.from_service) == ("not_found", True)
    sent = (await client(messages.send(TEXT))).unwrap()
    wrong = await client(controls.fail(sent.message_id, "TOO_LATE"))
    assert isinstance(wrong, Invalid)
    assert [one.field for one in wrong.details] == ["reason"]


async def test_a_user_replies_and_taps_a_suggestion(client: msgapi.Client) -> None:
    suggestions = (messages.Reply(text="Yes", postback_data="yes-1"),)
    offer = messages.Text(
        agent_id="ag_live_demo", to=TO, traffic_type="TRANSACTION", text="Tea?", suggestions=suggestions
    )
    sent = (await client(messages.send(offer))).unwrap()
    _ = (await client(controls.deliver(sent.message_id))).unwrap()
    assert (await client(controls.get_message(sent.message_id))).unwrap().taps == ("Yes",)
    tapped = (await client(controls.tap(sent.message_id, "Yes"))).unwrap()
    replied = (await client(controls.reply_from(TO, "ag_live_demo", text="Thanks"))).unwrap()
    found = (await client(controls.list_messages(direction="INBOUND", order="oldest"))).unwrap().messages
    assert [one.id for one in found] == [tapped.message_id, replied.message_id]
    assert [one.content["text"] for one in found] == ["Yes", "Thanks"]


async def test_the_balance_is_topped_up_and_set(client: msgapi.Client) -> None:
    assert (await client(controls.top_up(Decimal("0.0001")))).unwrap().free == Decimal("1000.0001")
    assert (await client(controls.set_balance(Decimal(0)))).unwrap().total == 0
    assert isinstance(await client(messages.send(TEXT)), msgapi.InsufficientBalance)


async def test_the_clock_is_paused_advanced_and_resumed(client: msgapi.Client) -> None:
    paused = (await client(controls.pause_clock())).unwrap()
    advanced = (await client(controls.advance_clock(3600))).unwrap()
    assert paused.paused
    assert advanced.paused
    assert advanced.time - paused.time == timedelta(hours=1)
    assert advanced == (await client(controls.clock())).unwrap()
    resumed = (await client(controls.resume_clock())).unwrap()
    assert not resumed.paused
    assert resumed.offset >= 3600


async def test_the_faults_are_set_and_read(client: msgapi.Client) -> None:
    shares = FaultShares(status_503=0.25, lost=0.25)
    webhooks = WebhookFaults(late=0.5, late_by=9.0, repeated=0.25, reordered=0.125)
    found = (await client(controls.set_faults(shares, slow=7, webhooks=webhooks))).unwrap()
    assert found == testing.SandboxFaults(
        status_503=0.25, lost=0.25, slow_seconds=7.0, late=0.5, late_by=9.0, repeated=0.25, reordered=0.125
    )
    changed = (await client(controls.set_faults(0.5))).unwrap()
    assert (changed.status_429, changed.late) == (0.1, 0.5)
    assert (await client(controls.set_faults(0))).unwrap().status_503 == 0
    again = (await client(controls.faults())).unwrap()
    assert (again.status_429, again.late, again.extra) == (0, 0.5, {})
    account = (await client(controls.account())).unwrap()
    assert account.faults == again


def test_new_faults_of_a_later_sandbox_are_kept_in_the_extra() -> None:
    found = codec.from_json(
        b'{"429": 0.5, "502-twice": 1, "webhooks": {"late": 1, "lost": 0.5}}', testing.SandboxFaults
    )
    assert isinstance(found, testing.SandboxFaults)
    assert (found.status_429, found.late) == (0.5, 1)
    assert found.extra == {"502-twice": 1, "webhooks": {"lost": 0.5}}
    odd = codec.from_json(b'{"webhooks": 7}', testing.SandboxFaults)
    assert isinstance(odd, testing.SandboxFaults)
    assert odd.extra == {"webhooks": 7}


async def test_an_agent_is_approved_and_launched_or_rejected(client: msgapi.Client) -> None:
    drafts = [await draft(client) for _ in range(2)]
    approved = (await client(controls.approve(drafts[0]))).unwrap()
    assert approved.status == "APPROVED"
    launched = (await client(controls.launch(approved.agent_id, "telekom_de"))).unwrap()
    assert launched == testing.AgentLaunch(agent_id=approved.agent_id, carrier="telekom_de", status="LAUNCHED")
    suspended = await client(controls.launch(approved.agent_id, "telekom_de", status="SUSPENDED", reason="Spam."))
    assert suspended.unwrap().status == "SUSPENDED"
    assert (await client(controls.reject(drafts[1], "No logo."))).unwrap().status == "REJECTED"
    assert (await client(agents.get(drafts[1]))).unwrap().rejection_reason == "No logo."


async def draft(client: msgapi.Client) -> str:
    new = agents.NewAgent(
        display_name="Parcels", region="EUROPE", billing_category="CONVERSATIONAL", use_case="MULTI_USE"
    )
    agent_id = (await client(agents.create(new))).unwrap().agent_id
    _ = (await client(agents.update(agent_id, COMPLETE))).unwrap()
    return (await client(agents.submit(agent_id))).unwrap().agent_id


async def test_a_campaign_is_halted_and_its_executions_fail(client: msgapi.Client) -> None:
    campaign = CAMPAIGNS[0].campaign_id
    _ = (await client(campaigns.trigger(campaign))).unwrap()
    failed = (await client(controls.fail_executions(campaign, 2))).unwrap()
    assert failed == testing.FailedExecutions(campaign_id=campaign, failed=2)
    halted = (await client(controls.halt(campaign, "PAUSED_BALANCE"))).unwrap()
    assert halted == testing.HaltedCampaign(campaign_id=campaign, status="PAUSED_BALANCE")


async def test_a_consent_is_confirmed(client: msgapi.Client) -> None:
    contact = (await client(contacts.create(contacts.NewContact(source="API", email="ada@shop.example")))).unwrap()
    consent = contacts.NewConsent(channel_type="EMAIL", message_type="NEWSLETTER", source="form", enforced_doi=True)
    pending = (await client(contacts.create_consent(contact.id, consent))).unwrap()
    assert (await client(controls.confirm(pending.id))).unwrap().status == "GRANTED"


async def test_a_delivery_is_listed_delayed_and_made_again(client: msgapi.Client) -> None:
    endpoint = webhooks.NewEndpoint(url="https://shop.example/hook", events=("message.queued",), secret="whsec_1")
    created = (await client(webhooks.create(endpoint))).unwrap()
    for _ in range(2):
        _ = (await client(messages.send(TEXT))).unwrap()
    page = (await client(controls.list_deliveries(webhook_id=created.id, event="message.queued", limit=1))).unwrap()
    (found,) = page.deliveries
    assert page.next_cursor is not None
    assert (found.state, found.attempts, found.webhook_id, found.extra) == ("pending", (), created.id, {})
    assert found.body is not None
    assert found.signature == webhooks.sign(found.body.encode(), secret="whsec_1")
    assert found.next_attempt_at is not None
    delayed = (await client(controls.delay(found.id, 60))).unwrap()
    assert delayed.next_attempt_at is not None
    assert delayed.next_attempt_at - found.next_attempt_at >= timedelta(seconds=60)
    for call in (controls.replay(found.id), controls.duplicate(found.id), controls.reorder(found.id)):
        assert (await client(call)).unwrap().id == found.id
    assert "whsec" not in repr(page)
    assert "4915112345678" not in repr(page)


async def test_the_sandbox_is_seeded_saved_reset_and_restored(client: msgapi.Client) -> None:
    added = (await client(controls.seed({"contacts": [{"phone": TO}], "balance": 5}))).unwrap()
    assert added == testing.SeedSummary(contacts=1)
    wrong = await client(controls.seed({"contacts": [{"phone": "1"}], "colour": 1}))
    assert isinstance(wrong, Invalid)
    sent = (await client(messages.send(TEXT))).unwrap()
    saved = (await client(controls.snapshot())).unwrap()
    _ = (await client(controls.reset())).unwrap()
    assert (await client(controls.list_messages())).unwrap().messages == ()
    assert (await client(controls.account())).unwrap().balance.total == 1000
    _ = (await client(controls.restore(saved))).unwrap()
    (found,) = (await client(controls.list_messages())).unwrap().messages
    assert found.id == sent.message_id
    assert (await client(controls.account())).unwrap().balance.total == 5
    assert isinstance(await client(controls.restore({"format": "other"})), Invalid)


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (controls.fail("..", ""), "message_id reason"),
        (controls.reply_from("1", ""), "agent_id user"),
        (controls.tap("", "x"), "message_id"),
        (controls.top_up(Decimal("0.00001")), "amount"),
        (controls.set_balance(Decimal(-1)), "free"),
        (controls.advance_clock(-1), "advance"),
        (controls.set_faults(2), "shares"),
        (controls.set_faults(0.5, slow=-1, webhooks={"late": 1}), "slow webhooks"),  # type: ignore[arg-type]
        (controls.launch("ag_1", "o2", status="GONE"), "carrier status"),  # type: ignore[arg-type]
        (controls.fail_executions("camp_1", 0), "executions"),
        (controls.delay("evt_1.wh_1", float("nan")), "seconds"),
        (controls.list_messages(limit=201, order="up", status="OPEN", after=-1), "status after limit order"),  # type: ignore[arg-type]
        (controls.wait_for_message(timeout=61), "timeout"),
        (controls.list_requests(limit=0), "limit"),
        (controls.list_deliveries(event=""), "event"),
    ],
)
async def test_a_call_with_a_wrong_value_is_invalid_and_is_not_sent(
    client: msgapi.Client, call: Call[object], field: str
) -> None:
    result = await client(call)
    assert isinstance(result, Invalid)
    assert [one.field for one in result.details] == field.split()
    assert result.meta.status is None


@pytest.mark.parametrize(
    "answer",
    [
        Response(404, {"content-type": "application/json"}, b'{"error": "not_found", "message": "No such route."}'),
        Response(404, {"content-type": "text/html"}, b"<h1>Not found</h1>"),
    ],
)
async def test_a_server_that_is_not_a_sandbox_is_named_as_the_cause(answer: Response) -> None:
    requests = []

    async def serve(request: Request) -> Response:
        requests.append(request)
        return answer

    async with msgapi.Client(transport=serve, api_key="sk_live_1") as client:
        for call in (controls.reset(), controls.health()):
            result = await client(call)
            assert isinstance(result, NotFound)
            assert result.code == "not_a_sandbox"
            assert "MSGAPI_BASE_URL" in result.message
            assert result.explanation == result.message
    assert len(requests) == 2


def test_a_blocking_client_takes_the_calls_too() -> None:
    box = Sandbox(timing=None)
    with msgapi.BlockingClient(transport=box, api_key=box.api_key) as client:
        sent = client(messages.send(TEXT)).unwrap()
        assert client(controls.deliver(sent.message_id)).unwrap().status == "DELIVERED"


def test_each_control_of_the_sandbox_is_a_call_of_the_same_name() -> None:
    names = {name for name in vars(SandboxControls) if not name.startswith("_")} - {"time", "clock_state", "set_clock"}
    assert names <= set(dir(controls))
