"""webhooks.merge_status: the state of a message does not depend on the order in which its events arrive."""

from datetime import UTC, datetime, timedelta, timezone
from functools import reduce
from itertools import permutations
from typing import Any, get_args

import pytest
from attrs import evolve, fields
from hypothesis import given
from hypothesis import strategies as st

from msgapi.webhooks import (
    EVENT_TYPES,
    BalanceLow,
    EmailBounced,
    EmailClicked,
    EmailComplained,
    EmailDelivered,
    EmailOpened,
    EmailUnsubscribed,
    Event,
    KnownEvent,
    MessageDelivered,
    MessageExpired,
    MessageFailed,
    MessageQueued,
    MessageRead,
    MessageRevoked,
    MessageState,
    UnknownEvent,
    merge_status,
)

START = datetime(2026, 5, 4, 7, 30, tzinfo=UTC)
RCS = [MessageQueued, MessageDelivered, MessageRead, MessageFailed, MessageExpired, MessageRevoked]
EMAIL = [EmailDelivered, EmailBounced, EmailOpened, EmailClicked, EmailComplained, EmailUnsubscribed]
TIMES = st.none() | st.integers(0, 5).map(lambda minutes: START + timedelta(minutes=minutes))


def event_of(kind: Any, at: datetime | None, timestamp: datetime | None, reason: str | None) -> Event:  # noqa: ANN401
    names = {one.name for one in fields(kind)}
    known: dict[str, object] = {name: at for name in names if name.endswith("_at")}
    reasons = {"failure_reason": reason, "bounce_code": reason, "bounce_type": "soft" if reason == "452" else reason}
    known |= {name: value for name, value in reasons.items() if name in names}
    event: Event = kind(id="evt_1", message_id="msg_1", timestamp=timestamp, **known)
    return event


def unknown(name: str, timestamp: datetime | None) -> Event:
    return UnknownEvent(id="evt_1", event=name, timestamp=timestamp, data={"message_id": "msg_1"})


EVENTS = st.one_of(
    st.builds(event_of, st.sampled_from(RCS + EMAIL), TIMES, TIMES, st.sampled_from([None, "hard", "452", "A"])),
    st.builds(unknown, st.sampled_from(["message.dispatched", "message.sent", "message.other"]), TIMES),
    st.just(BalanceLow(id="evt_2")),
)


def fold(events: Any, known: MessageState | None = None) -> MessageState | None:  # noqa: ANN401 - any iterable
    return reduce(merge_status, events, known)


@given(st.lists(EVENTS, max_size=5))
def test_the_result_is_the_same_for_every_order(events: list[Event]) -> None:
    assert len({fold(order) for order in permutations(events)}) == 1


@given(st.lists(EVENTS, max_size=8), st.randoms(use_true_random=False))
def test_repeated_and_shuffled_events_change_nothing(events: list[Event], random: Any) -> None:  # noqa: ANN401
    expected = fold(events)
    many = [*events, *events, *random.choices(events, k=5)] if events else []
    random.shuffle(many)
    assert fold(many) == expected
    assert fold(many, expected) == expected


@given(st.lists(EVENTS, max_size=8), st.integers(0, 8))
def test_states_of_two_parts_merge_to_the_state_of_all(events: list[Event], at: int) -> None:
    left, right = fold(events[:at]), fold(events[at:])
    merged = (left or right) if left is None or right is None else merge_status(left, right)
    assert merged == fold(events)


def statuses(*kinds: Any) -> set[str | None]:  # noqa: ANN401 - classes of events
    events = [event_of(kind, START + timedelta(minutes=number), None, "hard") for number, kind in enumerate(kinds)]
    found = [fold(order) for order in permutations(events)]
    return {one and one.status for one in found}


@pytest.mark.parametrize(
    ("kinds", "status"),
    [
        ((MessageQueued, MessageDelivered, MessageRead), "read"),
        ((MessageQueued, MessageDelivered), "delivered"),
        ((MessageQueued, MessageFailed), "failed"),
        ((MessageQueued, MessageExpired), "expired"),
        ((MessageQueued, MessageRevoked), "revoked"),
        ((MessageQueued, MessageRevoked, MessageDelivered), "delivered"),
        ((MessageFailed, MessageExpired), "expired"),
        ((EmailDelivered, EmailOpened, EmailClicked), "clicked"),
        ((EmailDelivered, EmailBounced), "bounced"),
        ((EmailDelivered, EmailBounced, EmailOpened), "opened"),
        ((EmailDelivered, EmailUnsubscribed, EmailComplained), "complained"),
    ],
)
def test_the_documented_life_cycle(kinds: tuple[Any, ...], status: str) -> None:
    assert statuses(*kinds) == {status}


def test_a_soft_bounce_is_overwritten_by_a_delivery() -> None:
    bounced = fold([event_of(EmailBounced, START, None, "452")])
    assert bounced == MessageState("msg_1", "soft_bounced", START, "452")
    assert bounced is not None
    assert not bounced.is_undelivered
    assert merge_status(bounced, event_of(EmailDelivered, None, START, None)).status == "delivered"


def test_a_late_event_does_not_overwrite_a_newer_state() -> None:
    known = MessageState("msg_1", "READ", START)
    late = MessageDelivered(id="evt_9", message_id="msg_1", timestamp=START + timedelta(days=1))
    assert merge_status(known, late) is known


def test_the_time_and_the_reason_come_from_the_event() -> None:
    failed = event_of(MessageFailed, START, START + timedelta(minutes=1), "UNKNOWN_RCS_USER")
    state = merge_status(None, failed)
    assert state == MessageState("msg_1", "failed", START, "UNKNOWN_RCS_USER")
    assert state is not None
    assert state.is_undelivered
    assert merge_status(None, event_of(MessageRead, None, START, None)) == MessageState("msg_1", "read", START)


def test_of_two_events_for_one_status_the_earlier_time_stays() -> None:
    early, late = (event_of(MessageRead, START + timedelta(minutes=n), None, None) for n in (0, 1))
    unknown_time = event_of(MessageRead, None, None, None)
    assert (
        fold([late, early, unknown_time]) == fold([unknown_time, early, late]) == MessageState("msg_1", "read", START)
    )


def test_the_words_of_the_message_log_are_converted() -> None:
    assert MessageState("msg_1", "SENT") == MessageState("msg_1", "dispatched")
    assert merge_status(MessageState("msg_1", "QUEUED"), MessageState("msg_1", "SENT")).status == "dispatched"
    odd = MessageState("msg_1", "PAUSED")
    assert odd.status == "paused"
    assert merge_status(odd, MessageState("msg_1", "queued")).status == "queued"


def test_a_time_without_a_time_zone_is_in_utc() -> None:
    naive = MessageState("msg_1", "read", START.replace(tzinfo=None))
    elsewhere = MessageState("msg_1", "read", START.astimezone(timezone(timedelta(hours=2))))
    assert naive == elsewhere == merge_status(naive, elsewhere)


def test_an_event_that_is_not_about_a_status_changes_nothing() -> None:
    known = MessageState("msg_1", "queued")
    without_id = UnknownEvent(id="evt_1", event="message.dispatched", data={"message_id": 5})
    for event in (BalanceLow(id="evt_1"), without_id, unknown("message.other", START)):
        assert merge_status(known, event) is known
        assert merge_status(None, event) is None


def test_an_event_of_another_message_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="another message"):
        _ = merge_status(MessageState("msg_2", "queued"), event_of(MessageRead, None, None, None))


def test_every_documented_event_about_a_message_has_a_state() -> None:
    kinds: Any = EVENT_TYPES
    for name, kind in kinds.items():
        is_about_message = "message_id" in {one.name for one in fields(kind)}
        event = kind(id="evt_1", **{"message_id": "msg_1"} if is_about_message else needed(kind))
        assert (merge_status(None, event) is not None) is is_about_message, name
    assert set(EVENT_TYPES.values()) == set(get_args(KnownEvent))


def needed(kind: Any) -> dict[str, str]:  # noqa: ANN401 - a class of events
    return {one: "x" for one in ("agent_id", "contact_id") if one in {field.name for field in fields(kind)}}


def test_a_state_can_be_stored_in_columns_and_made_again() -> None:
    state = MessageState("msg_1", "failed", START, "A")
    row = (state.message_id, state.status, state.at, state.reason)
    assert MessageState(*row) == state == evolve(state)
