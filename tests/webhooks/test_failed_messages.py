"""webhooks.fallback_due: after a failed message the next leg is due, once for each message."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from attrs import define, field

from msgapi import Client, Ok, VirtualClock, fallback, messages, webhooks
from msgapi.fallback import leg_key
from msgapi.sandbox import Sandbox
from msgapi.webhooks import (
    EmailBounced,
    Event,
    EventStore,
    MemoryEventStore,
    MessageDelivered,
    MessageExpired,
    MessageFailed,
    SqliteEventStore,
    UnknownEvent,
    fallback_due,
)

pytestmark = pytest.mark.anyio


def failed(number: int = 1, reason: str | None = "UNKNOWN_RCS_USER", message: str = "msg_1") -> MessageFailed:
    return MessageFailed(id=f"evt_{number}", message_id=message, failure_reason=reason)


async def due(event: Event, store: EventStore, **how: Any) -> bool:  # noqa: ANN401 - those of `fallback_due`
    async with fallback_due(event, store, **how) as found:
        return found


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EventStore]:
    if request.param == "memory":
        yield MemoryEventStore()
    else:
        with SqliteEventStore(tmp_path / "events.db") as opened:
            yield opened


async def test_it_is_due_once_for_each_message_whatever_events_come(store: EventStore) -> None:
    expired = MessageExpired(id="evt_2", message_id="msg_1")
    found = [
        await due(event, store) for event in (failed(1), failed(1), expired, failed(3), failed(4, message="msg_2"))
    ]
    assert found == [True, False, False, False, True]


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (failed(reason="UNKNOWN_RCS_USER"), True),
        (failed(reason="CARRIER_NOT_LAUNCHED"), True),
        (failed(reason="MESSAGE_EXPIRED"), True),
        (failed(reason="REJECTED_SPAM"), False),
        (failed(reason="ACCOUNT_SUSPENDED"), False),
        (failed(reason="SOMETHING_NEW"), False),
        (failed(reason=None), False),
        (MessageExpired(id="evt_1", message_id="msg_1"), True),
        (MessageDelivered(id="evt_1", message_id="msg_1"), False),
        (EmailBounced(id="evt_1", message_id="msg_1"), False),
        (UnknownEvent(id="evt_1", event="message.other"), False),
    ],
    ids=lambda value: f"{value}" if isinstance(value, bool) else type(value).__name__,
)
async def test_only_a_message_that_cannot_be_delivered_over_its_channel_has_a_next_leg(
    event: Event, *, expected: bool
) -> None:
    store = MemoryEventStore()
    assert await due(event, store) is expected
    assert await due(failed(9), store) is not expected or not isinstance(event, MessageFailed | MessageExpired)


async def test_the_reasons_can_be_chosen() -> None:
    assert await due(failed(reason="REJECTED_SPAM"), MemoryEventStore(), reasons=None)
    assert await due(failed(reason="REJECTED_SPAM"), MemoryEventStore(), reasons={"REJECTED_SPAM"})
    assert not await due(failed(reason="UNKNOWN_RCS_USER"), MemoryEventStore(), reasons={"REJECTED_SPAM"})


async def refused(store: EventStore) -> None:
    async with fallback_due(failed(), store) as found:
        assert found
        raise LookupError("not accepted")


async def test_a_block_that_raises_leaves_it_due(store: EventStore) -> None:
    with pytest.raises(LookupError, match="not accepted"):
        await refused(store)
    assert await due(failed(2), store)
    assert not await due(failed(3), store)


async def test_a_block_that_is_cancelled_leaves_it_due(store: EventStore) -> None:
    with anyio.CancelScope() as scope:
        async with fallback_due(failed(), store):
            scope.cancel()
            await anyio.lowlevel.checkpoint()
    assert scope.cancelled_caught
    assert await due(failed(2), store)


async def test_while_one_block_runs_it_is_not_due_for_another() -> None:
    store = MemoryEventStore()
    async with fallback_due(failed(), store) as first, fallback_due(failed(2), store) as second:
        assert (first, second) == (True, False)


async def test_a_claim_is_renewed_while_the_block_runs_and_ends_with_a_process_that_died() -> None:
    clock = VirtualClock()
    store = MemoryEventStore(clock=clock)
    async with clock.autojump(), fallback_due(failed(), store, clock=clock) as found:
        assert found
        await clock.sleep(10 * store.lease)
        assert not await due(failed(2), store)
    assert await store.claim("fallback/msg_2", "a process that dies") == "new"
    clock.advance(store.lease + 1)
    assert await due(failed(3, message="msg_2"), store)


@define
class Broken:
    """A store that raises when a claim is renewed."""

    store: MemoryEventStore = field(factory=MemoryEventStore)
    claims: int = 0

    @property
    def lease(self) -> float:
        return 30.0

    async def claim(self, event_id: str, owner: str) -> Any:  # noqa: ANN401 - the state
        self.claims += 1
        if self.claims > 1:
            raise ConnectionError("no store")
        return await self.store.claim(event_id, owner)

    async def complete(self, event_id: str, owner: str) -> None:
        await self.store.complete(event_id, owner)

    async def release(self, event_id: str, owner: str) -> None:
        raise ConnectionError(f"no store for {event_id} of {owner}")


async def test_a_store_that_cannot_release_a_claim_does_not_hide_why_the_block_failed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.ERROR, "msgapi"), pytest.raises(LookupError, match="not accepted"):
        await refused(Broken())
    assert caplog.messages == ["the claim of a fallback could not be released"]


async def test_a_store_that_cannot_renew_a_claim_is_logged_and_the_block_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock, store = VirtualClock(), Broken()
    with caplog.at_level(logging.ERROR, "msgapi"):
        async with clock.autojump(), fallback_due(failed(), store, clock=clock) as found:
            assert found
            await clock.sleep(25)
    assert caplog.messages == ["the claim of a fallback could not be renewed"] * 2
    assert await store.store.claim("fallback/msg_1", "other") == "done"


async def test_a_message_that_expires_is_followed_by_one_email_under_the_derived_key() -> None:
    clock = VirtualClock()
    box = Sandbox(clock=clock, timing=None)
    text = messages.Text(agent_id="ag_live_demo", to="+4915112345678", traffic_type="TRANSACTION", text="Hi")
    mail = messages.Email(channel_id="ch_demo", to="ada@example.org", subject="Hi", html="<p>Hi</p>")
    value = fallback.chain(messages.send(text, idempotency_key="order-17"), messages.send(mail))
    store = MemoryEventStore()
    async with Client(api_key=box.api_key, transport=box, clock=clock) as client:
        first = (await client(value)).unwrap()
        assert first.message_id
        for _ in range(3):
            event = webhooks.MessageFailed(
                id="evt_1", message_id=first.message_id, failure_reason="CARRIER_NOT_LAUNCHED"
            )
            async with fallback_due(event, store) as found:
                if found:
                    assert isinstance(await client(value.start_at(2)), Ok)
    assert [entry.idempotency_key for entry in box.messages] == ["order-17", leg_key("order-17", 2)]
