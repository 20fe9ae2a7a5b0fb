"""sandbox.couriers: each event to each endpoint, by the documented schedule."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sandboxing import NOW

from msgapi.sandbox.model.webhooks import EmittedEvent, PendingDelivery, WebhookFaults, WebhookQueue

ONE, TWO = "one", "two"


def event(number: int) -> EmittedEvent:
    return EmittedEvent(id=f"evt_{number}", event="message.read", at=NOW, data={})


def taken(couriers: WebhookQueue, now: float) -> list[PendingDelivery]:
    found = []
    while (delivery := couriers.take(now)) is not None:
        found.append(delivery)
    return found


def test_an_event_is_brought_to_each_endpoint_at_once_and_once() -> None:
    couriers = WebhookQueue(WebhookFaults())
    assert couriers.next_at() is None
    couriers.schedule(event(1), [ONE, TWO], NOW)
    assert couriers.next_at() == NOW
    found = taken(couriers, NOW)
    assert [(one.event.id, one.webhook_id, one.attempt) for one in found] == [("evt_1", "one", 1), ("evt_1", "two", 1)]
    for one in found:
        assert couriers.record_attempt(one, NOW, status=204).succeeded
    assert couriers.next_at() is None
    assert len(couriers.attempts) == 2


@pytest.mark.parametrize("status", [None, 199, 300, 401, 500])
def test_what_was_not_taken_is_brought_again_by_the_schedule_and_then_never(status: int | None) -> None:
    couriers = WebhookQueue(WebhookFaults())
    couriers.schedule(event(1), [ONE], NOW)
    now, gaps = NOW, []
    while (due := couriers.next_at()) is not None:
        gaps.append(due - now)
        now = due
        assert taken(couriers, now - 0.001) == []
        (delivery,) = taken(couriers, now)
        assert not couriers.record_attempt(delivery, now, status=status, reason="no").succeeded
    assert gaps == [0, 60, 300, 3600, 86_400]
    assert [one.attempt for one in couriers.attempts] == [1, 2, 3, 4, 5]


def test_the_second_attempt_may_be_the_last() -> None:
    couriers = WebhookQueue(WebhookFaults())
    couriers.schedule(event(1), [ONE], NOW)
    (first,) = taken(couriers, NOW)
    _ = couriers.record_attempt(first, NOW, status=503)
    (second,) = taken(couriers, NOW + 60)
    _ = couriers.record_attempt(second, NOW + 60, status=200)
    assert [one.succeeded for one in couriers.attempts] == [False, True]
    assert couriers.next_at() is None


def test_what_was_taken_can_be_called_back_unless_its_endpoint_is_gone() -> None:
    couriers = WebhookQueue(WebhookFaults())
    couriers.schedule(event(1), [ONE, TWO], NOW)
    under_way = taken(couriers, NOW)
    couriers.remove_endpoint(ONE)
    couriers.put_back(under_way)
    assert [one.webhook_id for one in taken(couriers, NOW)] == [TWO]


@given(st.integers(0, 2**32), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_whatever_happens_on_the_way_each_event_comes_at_least_once(
    seed: int, late: float, repeated: float, reordered: float
) -> None:
    mischief = WebhookFaults(late=late, late_by=9, repeated=repeated, reordered=reordered, seed=seed)
    couriers = WebhookQueue(mischief)
    for number in range(20):
        couriers.schedule(event(number), [ONE], NOW)
    found = taken(couriers, NOW + 9 + 5 + 1)
    assert {one.event.id for one in found} == {event(number).id for number in range(20)}
    assert len(found) <= 40


def test_a_share_of_one_strikes_every_event() -> None:
    late = WebhookFaults(late=1.0, late_by=9)
    assert all(late.delays(f"evt_{number}") == (9.0,) for number in range(20))
    assert all(len(WebhookFaults(repeated=1.0).delays(f"evt_{number}")) == 2 for number in range(20))
    couriers = WebhookQueue(WebhookFaults(reordered=1.0))
    for number in range(20):
        couriers.schedule(event(number), [ONE], NOW)
    order = [one.event.id for one in taken(couriers, NOW + 5)]
    assert sorted(order) != order or len(order) < 20
    assert order != [event(number).id for number in range(20)]


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_a_share_is_a_share(share: float) -> None:
    with pytest.raises(ValueError, match="must be"):
        _ = WebhookFaults(late=share)
