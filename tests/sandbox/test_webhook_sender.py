"""Webhooks sent by the sandbox: signed, on the clock, and over real HTTP to a real receiver."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from aiohttp import web

import msgapi
from msgapi import NotSent, Ok, Request, Response, VirtualClock, messages, webhooks
from msgapi.sandbox import ControlError, Sandbox, WebhookFaults, serve
from msgapi.sandbox.model import webhooks as model
from msgapi.transports import Answer
from tests.support.sandbox_requests import KEY, TO, refused, settled

pytestmark = pytest.mark.anyio
SECRET = "whsec_1"
ALL = tuple(webhooks.EVENT_TYPES)
TEXT = messages.Text(agent_id="ag_live_demo", to=TO, traffic_type="TRANSACTION", text="Hello")


class Endpoint:
    """The other end of the webhooks: reads what comes, and answers as the test has it."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.got: list[webhooks.Event] = []

    async def __call__(self, request: Request, /) -> Answer:
        await anyio.lowlevel.checkpoint()
        event = webhooks.read(request.headers, request.body or b"", secret=SECRET)
        assert not isinstance(event, webhooks.InvalidDelivery)
        self.got.append(event)
        return self.answers.pop(0) if self.answers else Response(200)


@asynccontextmanager
async def asked(box: Sandbox, names: tuple[str, ...] = ALL, **options: Any) -> AsyncIterator[msgapi.Client]:  # noqa: ANN401 - of `connect`
    async with msgapi.Client(transport=box, api_key=KEY, clock=box.clock, **options) as api:
        endpoint = webhooks.NewEndpoint(url="https://shop.example/hook", events=names, secret=SECRET)
        assert isinstance(await api(webhooks.create(endpoint)), Ok)
        yield api


async def test_events_are_delivered_signed_and_when_they_are_due() -> None:
    clock, endpoint = VirtualClock(), Endpoint()
    box = Sandbox(clock=clock)
    async with clock.autojump(), asked(box) as api, box.deliver_webhooks(endpoint):
        assert isinstance(await api(messages.send(TEXT)), Ok)
        _ = box.reply_from(TO, "ag_live_demo", text="Thanks")
        await clock.sleep(60)
    names = [type(one).__name__ for one in endpoint.got]
    assert set(names[:2]) == {"MessageQueued", "ConversationStarted"}  # of one moment, so in any order
    assert names[2:] == ["MessageDelivered", "MessageRead"]
    assert all(one.succeeded for one in box.attempts)


async def test_only_the_subscribed_events_are_delivered() -> None:
    clock, endpoint = VirtualClock(), Endpoint()
    box = Sandbox(clock=clock)
    async with clock.autojump(), asked(box, ("message.read",)) as api, box.deliver_webhooks(endpoint):
        assert isinstance(await api(messages.send(TEXT)), Ok)
        await clock.sleep(60)
    assert [type(one) for one in endpoint.got] == [webhooks.MessageRead]


async def test_a_failed_delivery_is_repeated_after_one_and_after_five_minutes() -> None:
    clock, endpoint = VirtualClock(), Endpoint(Response(500), NotSent("could not connect"))
    box = Sandbox(clock=clock, timing=None)
    async with clock.autojump(), asked(box) as api, box.deliver_webhooks(endpoint):
        result = await api(messages.send(TEXT))
        assert isinstance(result, Ok)
        await clock.sleep(3600)
    first, second, third = box.attempts
    assert [one.status for one in box.attempts] == [500, None, 200]
    assert second.reason == "could not connect"
    assert [round(second.at - first.at), round(third.at - second.at)] == [60, 300]
    assert len({one.id for one in endpoint.got}) == 1


async def test_a_test_event_is_delivered_to_the_tested_endpoint_only() -> None:
    clock, endpoint = VirtualClock(), Endpoint()
    box = Sandbox(clock=clock)
    async with clock.autojump(), asked(box) as api, box.deliver_webhooks(endpoint):
        other = webhooks.NewEndpoint(url="https://other.example/hook", events=ALL, secret=SECRET)
        made = await api(webhooks.create(other))
        assert isinstance(made, Ok)
        assert isinstance(await api(webhooks.test(made.value.id)), Ok)
        await clock.sleep(1)
    assert [one.webhook_id for one in box.attempts] == [made.value.id]


async def test_a_deleted_endpoint_receives_no_test_event() -> None:
    clock, endpoint = VirtualClock(), Endpoint()
    box = Sandbox(clock=clock)
    async with asked(box) as api:
        listed = await api(webhooks.list())
        assert isinstance(listed, Ok)
        name = listed.value.webhooks[0].id
        assert isinstance(await api(webhooks.test(name)), Ok)
        assert isinstance(await api(webhooks.delete(name)), Ok)
    async with clock.autojump(), box.deliver_webhooks(endpoint):
        await clock.sleep(1)
    assert endpoint.got == []


async def changed(api: msgapi.Client, **changes: Any) -> None:  # noqa: ANN401 - those of an endpoint, None deletes it
    listed = await api(webhooks.list())
    assert isinstance(listed, Ok)
    name = listed.value.webhooks[0].id
    result = await api(webhooks.update(name, webhooks.EndpointChanges(**changes)) if changes else webhooks.delete(name))
    assert isinstance(result, Ok)


async def test_a_failed_delivery_to_a_deleted_endpoint_is_not_repeated() -> None:
    clock, endpoint = VirtualClock(), Endpoint(Response(500), Response(500))
    box = Sandbox(clock=clock, timing=None)
    async with clock.autojump(), asked(box) as api, box.deliver_webhooks(endpoint):
        assert isinstance(await api(messages.send(TEXT)), Ok)
        await clock.sleep(90)
        await changed(api)
        await clock.sleep(200_000)
    assert [one.status for one in box.attempts] == [500, 500]
    assert len(endpoint.got) == 2


async def test_each_attempt_uses_the_current_url_and_secret_of_the_endpoint() -> None:
    clock, seen = VirtualClock(), list[tuple[str, bool]]()

    async def elsewhere(request: Request, /) -> Answer:
        await anyio.lowlevel.checkpoint()
        read = webhooks.read(request.headers, request.body or b"", secret="whsec_2")
        seen.append((request.url, not isinstance(read, webhooks.InvalidDelivery)))
        return Response(500)

    box = Sandbox(clock=clock, timing=None)
    async with clock.autojump(), asked(box) as api, box.deliver_webhooks(elsewhere):
        assert isinstance(await api(messages.send(TEXT)), Ok)
        await clock.sleep(30)
        await changed(api, url="https://other.example/hook", secret="whsec_2", events=("message.read",))
        await clock.sleep(60)
    assert seen == [("https://shop.example/hook", False), ("https://other.example/hook", True)]


async def test_every_event_can_be_delivered_twice_late_and_out_of_order() -> None:
    clock, endpoint = VirtualClock(), Endpoint()
    box = Sandbox(clock=clock, webhooks=WebhookFaults(repeated=1.0, late=0.5, reordered=0.5))
    async with clock.autojump(), asked(box) as api, box.deliver_webhooks(endpoint):
        for _ in range(10):
            assert isinstance(await api(messages.send(TEXT)), Ok)
        await clock.sleep(3600)
    assert len(endpoint.got) == 60
    assert len({one.id for one in endpoint.got}) == 30
    moments = [one.timestamp for one in endpoint.got]
    assert sorted(moments) != moments  # type: ignore[type-var]


async def test_an_exception_in_the_users_block_is_raised_unchanged() -> None:
    box = Sandbox(clock=VirtualClock())
    with pytest.raises(LookupError, match="mine"):
        async with box.deliver_webhooks(Endpoint()):
            raise LookupError("mine")
    _ = box.reply_from(TO, "ag_live_demo")


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_real_receiver_gets_what_the_served_sandbox_sends() -> None:
    got: list[webhooks.Event] = []
    everything = anyio.Event()

    async def handle(event: webhooks.Event) -> None:
        got.append(event)
        if len(got) == 3:
            everything.set()
        await anyio.lowlevel.checkpoint()

    app = web.Application()
    _ = app.router.add_post("/hook", webhooks.aiohttp(handle, secret=SECRET))
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        box = Sandbox(timing=msgapi.sandbox.Timing(sent=0, delivered=0, read=0))
        async with serve(box) as url, msgapi.Client(api_key=KEY, base_url=url) as api:
            where = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
            endpoint = webhooks.NewEndpoint(url=where, events=ALL, secret=SECRET)
            assert isinstance(await api(webhooks.create(endpoint)), Ok)
            assert isinstance(await api(messages.send(TEXT)), Ok)
            with anyio.fail_after(10):
                await everything.wait()
    finally:
        await runner.cleanup()
    assert sorted(type(one).__name__ for one in got) == ["MessageDelivered", "MessageQueued", "MessageRead"]


class Hanging:
    """An endpoint that answers as the test has it, once the test lets it; *got* counts what has come."""

    def __init__(self, *answers: Answer, but: str = "") -> None:
        self.answers, self.but = list(answers), but
        self.got: list[str] = []
        self.free = anyio.Event()

    async def __call__(self, request: Request, /) -> Answer:
        self.got.append(request.url)
        if request.url != self.but:
            await self.free.wait()
        await anyio.lowlevel.checkpoint()
        return self.answers.pop(0) if self.answers else Response(200)


async def test_a_cancelled_delivery_is_repeated_when_webhooks_are_sent_again() -> None:
    clock, hanging = VirtualClock(), Hanging()
    box = Sandbox(clock=clock, timing=None)
    async with asked(box) as api:
        for _ in range(70):
            assert isinstance(await api(messages.send(TEXT)), Ok)
        async with box.deliver_webhooks(hanging):
            await settled()
        assert (len(hanging.got), box.attempts) == (64, ())
        endpoint = Endpoint()
        async with box.deliver_webhooks(endpoint):
            await settled()
    assert len({one.id for one in endpoint.got}) == 70
    assert [(one.attempt, one.succeeded) for one in box.attempts] == [(1, True)] * 70


async def test_a_sender_that_ends_does_not_cancel_the_deliveries_of_another() -> None:
    clock, hanging = VirtualClock(), Hanging()
    box = Sandbox(clock=clock, timing=None)
    async with asked(box) as api, box.deliver_webhooks(hanging):
        for _ in range(10):
            assert isinstance(await api(messages.send(TEXT)), Ok)
        await settled()
        async with box.deliver_webhooks(Endpoint()):
            await settled()
        await settled()
        assert len(hanging.got) == 10
    assert box.attempts == ()


async def test_a_hanging_endpoint_does_not_delay_the_others() -> None:
    clock, hanging = VirtualClock(), Hanging(but="https://other.example/hook")
    box = Sandbox(clock=clock, timing=None)
    async with asked(box) as api:
        other = webhooks.NewEndpoint(url=hanging.but, events=ALL, secret=SECRET)
        assert isinstance(await api(webhooks.create(other)), Ok)
        async with box.deliver_webhooks(hanging):
            for _ in range(70):
                assert isinstance(await api(messages.send(TEXT)), Ok)
            await settled()
            assert len(box.attempts) == hanging.got.count(hanging.but) == 70


async def test_pending_deliveries_to_a_deleted_endpoint_are_dropped() -> None:
    clock, hanging = VirtualClock(), Hanging(*[Response(500)] * 64)
    box = Sandbox(clock=clock, timing=None)
    async with asked(box) as api, box.deliver_webhooks(hanging):
        for _ in range(70):
            assert isinstance(await api(messages.send(TEXT)), Ok)
        await settled()
        await changed(api)
        hanging.free.set()
        await settled()
        clock.advance(200_000)
        await settled()
    assert len(hanging.got) == 64
    assert [one.attempt for one in box.attempts] == [1] * 64


@pytest.mark.parametrize("steps", [1, 72])
async def test_the_schedule_does_not_depend_on_how_the_clock_is_moved(steps: int) -> None:
    clock, endpoint = VirtualClock(), Endpoint(*[Response(500)] * 9)
    box = Sandbox(clock=clock, timing=None)
    async with asked(box) as api:
        assert isinstance(await api(messages.send(TEXT)), Ok)
        clock.advance(1000)
        async with box.deliver_webhooks(endpoint):
            await settled()
            for _ in range(steps):
                clock.advance(3 * 86_400 / steps)
                await settled()
    begun = clock.start + 1000
    assert [one.at - begun for one in box.attempts] == [0, 60, 360, 3960, 90_360]


async def test_the_number_of_pending_deliveries_is_bounded_and_a_deleted_endpoint_has_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(model, "MAX_KEPT", 50)
    box = Sandbox(clock=VirtualClock(), timing=None)
    async with asked(box) as api:
        listed = await api(webhooks.list())
        assert isinstance(listed, Ok)
        for _ in range(60):
            assert isinstance(await api(messages.send(TEXT)), Ok)
            assert isinstance(await api(webhooks.test(listed.value.webhooks[0].id)), Ok)
        endpoint = Endpoint()
        async with box.deliver_webhooks(endpoint):
            await settled()
        assert [type(one) for one in endpoint.got].count(webhooks.MessageQueued) >= 25
        assert len(endpoint.got) == 50
        assert isinstance(await api(messages.send(TEXT)), Ok)
        await changed(api)
        assert box.account.state.webhook_queue.next_at() is None


# The deliveries that are controlled, and a sender whose state is replaced.


def delivery_of(box: Sandbox, at: int = -1) -> tuple[str, str]:
    """The event and the endpoint of one of the attempts."""
    attempt = box.attempts[at]
    return attempt.event_id, attempt.webhook_id


async def test_a_delivery_that_was_made_is_replayed_duplicated_and_delayed() -> None:
    clock, endpoint = VirtualClock(), Endpoint()
    box = Sandbox(clock=clock, timing=None)
    async with asked(box) as api, box.deliver_webhooks(endpoint):
        assert isinstance(await api(messages.send(TEXT)), Ok)
        await settled()
        one = delivery_of(box)
        box.replay(*one)
        box.duplicate(*one)
        await settled()
        assert len(endpoint.got) == 3
        box.delay(*one, 30)
        await settled()
        assert len(endpoint.got) == 3
        clock.advance(30)
        await settled()
    assert len({event.id for event in endpoint.got}) == 1
    assert [(attempt.attempt, attempt.at - clock.start) for attempt in box.attempts] == [
        (1, 0),
        (1, 0),
        (1, 0),
        (1, 30),
    ]


async def test_the_next_attempt_of_a_pending_delivery_is_made_now_or_later_or_twice() -> None:
    clock, endpoint = VirtualClock(), Endpoint(*[Response(500)] * 3)
    box = Sandbox(clock=clock, timing=None)
    async with asked(box) as api, box.deliver_webhooks(endpoint):
        assert isinstance(await api(messages.send(TEXT)), Ok)
        await settled()
        one = delivery_of(box)
        box.replay(*one)
        await settled()
        box.delay(*one, 100)
        clock.advance(399)
        await settled()
        assert len(endpoint.got) == 2
        box.duplicate(*one)
        clock.advance(1)
        await settled()
    assert sorted((attempt.attempt, attempt.at - clock.start) for attempt in box.attempts) == [
        (1, 0),
        (1, 400),
        (2, 0),
        (3, 400),
    ]


async def test_an_event_and_the_one_before_it_arrive_in_the_other_order() -> None:
    clock, endpoint = VirtualClock(), Endpoint()
    box = Sandbox(clock=clock, timing=None)
    async with asked(box) as api, box.deliver_webhooks(endpoint):
        result = await api(messages.send(TEXT))
        assert isinstance(result, Ok)
        _ = box.deliver(result.value.message_id)
        await settled()
        del endpoint.got[:]
        sent = {attempt.event: (attempt.event_id, attempt.webhook_id) for attempt in box.attempts}
        box.reorder(*sent["message.delivered"])
        await settled()
        clock.advance(1)
        await settled()
        with pytest.raises(ControlError, match="no delivery to this endpoint before it"):
            box.reorder(*sent["message.queued"])
    assert [type(event).__name__ for event in endpoint.got] == ["MessageDelivered", "MessageQueued"]


async def test_a_delivery_that_does_not_exist_or_whose_endpoint_was_deleted_is_not_controlled() -> None:
    box = Sandbox(clock=VirtualClock(), timing=None)
    async with asked(box) as api, box.deliver_webhooks(Endpoint()):
        assert isinstance(await api(messages.send(TEXT)), Ok)
        await settled()
        event_id, webhook_id = delivery_of(box)
        assert refused(box.replay, event_id, "none")
        assert refused(box.duplicate, "none", webhook_id)
        assert refused(box.delay, event_id, webhook_id, -1)
        await changed(api)
        assert refused(box.replay, event_id, webhook_id)
    assert len(box.attempts) == 1


async def test_all_attempts_of_a_day_are_made_at_their_own_times_when_a_day_is_skipped() -> None:
    clock, endpoint = VirtualClock(), Endpoint(*[Response(500)] * 9)
    box = Sandbox(clock=clock, timing=None)
    async with asked(box) as api, box.deliver_webhooks(endpoint):
        assert isinstance(await api(messages.send(TEXT)), Ok)
        await settled()
        box.pause_clock()
        box.advance_clock(86_400)
        await settled()
        assert [one.at - clock.start for one in box.attempts] == [0, 60, 360, 3960]
        box.advance_clock(86_400)
        await settled()
    assert [one.at - clock.start for one in box.attempts] == [0, 60, 360, 3960, 90_360]


async def test_no_attempt_becomes_due_while_the_clock_is_paused() -> None:
    clock, endpoint = VirtualClock(), Endpoint(Response(500))
    box = Sandbox(clock=clock, timing=None)
    async with asked(box) as api, box.deliver_webhooks(endpoint):
        assert isinstance(await api(messages.send(TEXT)), Ok)
        await settled()
        box.pause_clock()
        await settled()
        clock.advance(1000)
        await settled()
        assert len(endpoint.got) == 1
        box.resume_clock()
        await settled()
        assert len(endpoint.got) == 1
        clock.advance(60)
        await settled()
    assert len(endpoint.got) == 2


async def test_a_sender_continues_with_the_state_that_is_restored() -> None:
    clock, hanging = VirtualClock(), Hanging()
    box = Sandbox(clock=clock, timing=None)
    async with asked(box) as api, box.deliver_webhooks(hanging):
        assert isinstance(await api(messages.send(TEXT)), Ok)
        await settled()
        taken = box.snapshot()
        assert isinstance(await api(messages.send(TEXT)), Ok)
        await settled()
        assert len(hanging.got) == 2
        box.restore(taken)
        await settled()
        assert len(hanging.got) == 3, "the delivery that was in flight in the snapshot is made again"
        hanging.free.set()
        await settled()
        assert [one.status for one in box.attempts] == [200], "the attempts of the state before are not recorded"
        assert isinstance(await api(messages.send(TEXT)), Ok)
        await settled()
    assert len(hanging.got) == 4
    assert len(box.attempts) == 2


async def test_a_sender_sends_nothing_of_the_state_before_a_reset() -> None:
    clock, endpoint = VirtualClock(), Endpoint(Response(500))
    box = Sandbox(clock=clock, timing=None)
    async with asked(box) as api, box.deliver_webhooks(endpoint):
        assert isinstance(await api(messages.send(TEXT)), Ok)
        await settled()
        box.advance_clock(59)
        box.reset()
        clock.advance(1000)
        await settled()
    assert len(endpoint.got) == 1
    assert box.attempts == ()


async def test_an_attempt_after_a_reset_is_not_before_it() -> None:
    clock, endpoint = VirtualClock(), Endpoint(Response(500))
    box = Sandbox(clock=clock, timing=None)
    async with asked(box) as api, box.deliver_webhooks(endpoint):
        box.advance_clock(86_400)
        await settled()
        box.reset()
        await settled()
        endpoint_again = webhooks.NewEndpoint(url="https://shop.example/hook", events=ALL, secret=SECRET)
        assert isinstance(await api(webhooks.create(endpoint_again)), Ok)
        assert isinstance(await api(messages.send(TEXT)), Ok)
        await settled()
        clock.advance(60)
        await settled()
    assert [one.at - clock.start for one in box.attempts] == [0, 60]
