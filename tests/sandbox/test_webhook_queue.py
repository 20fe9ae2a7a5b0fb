"""The queue of webhook deliveries: each event for each endpoint, by the documented schedule."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msgapi.sandbox.model.webhooks import EmittedEvent, PendingDelivery, WebhookFaults, WebhookQueue
from tests.support.sandbox_requests import NOW

ONE, TWO = "one", "two"


def event(number: int) -> EmittedEvent:
    return EmittedEvent(id=f"evt_{number}", event="message.read", at=NOW, data={})


def taken(queue: WebhookQueue, now: float) -> list[PendingDelivery]:
    found = []
    while (delivery := queue.take(now)) is not None:
        found.append(delivery)
    return found


def test_an_event_is_due_for_each_endpoint_at_once_and_once() -> None:
    queue = WebhookQueue(WebhookFaults())
    assert queue.next_at() is None
    queue.schedule(event(1), [ONE, TWO], NOW)
    assert queue.next_at() == NOW
    found = taken(queue, NOW)
    assert [(one.event.id, one.webhook_id, one.attempt) for one in found] == [("evt_1", "one", 1), ("evt_1", "two", 1)]
    for one in found:
        assert queue.record_attempt(one, NOW, status=204).succeeded
    assert queue.next_at() is None
    assert len(queue.attempts) == 2


@pytest.mark.parametrize("status", [None, 199, 300, 401, 500])
def test_a_failed_delivery_is_repeated_by_the_schedule_and_then_given_up(status: int | None) -> None:
    queue = WebhookQueue(WebhookFaults())
    queue.schedule(event(1), [ONE], NOW)
    now, gaps = NOW, []
    while (due := queue.next_at()) is not None:
        gaps.append(due - now)
        now = due
        assert taken(queue, now - 0.001) == []
        (delivery,) = taken(queue, now)
        assert not queue.record_attempt(delivery, now, status=status, reason="no").succeeded
    assert gaps == [0, 60, 300, 3600, 86_400]
    assert [one.attempt for one in queue.attempts] == [1, 2, 3, 4, 5]


def test_the_second_attempt_may_be_the_last() -> None:
    queue = WebhookQueue(WebhookFaults())
    queue.schedule(event(1), [ONE], NOW)
    (first,) = taken(queue, NOW)
    _ = queue.record_attempt(first, NOW, status=503)
    (second,) = taken(queue, NOW + 60)
    _ = queue.record_attempt(second, NOW + 60, status=200)
    assert [one.succeeded for one in queue.attempts] == [False, True]
    assert queue.next_at() is None


def test_taken_deliveries_can_be_put_back_unless_their_endpoint_is_removed() -> None:
    queue = WebhookQueue(WebhookFaults())
    queue.schedule(event(1), [ONE, TWO], NOW)
    under_way = taken(queue, NOW)
    queue.remove_endpoint(ONE)
    queue.put_back(under_way)
    assert [one.webhook_id for one in taken(queue, NOW)] == [TWO]


@given(st.integers(0, 2**32), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_with_any_webhook_faults_each_event_is_due_at_least_once(
    seed: int, late: float, repeated: float, reordered: float
) -> None:
    faults = WebhookFaults(late=late, late_by=9, repeated=repeated, reordered=reordered, seed=seed)
    queue = WebhookQueue(faults)
    for number in range(20):
        queue.schedule(event(number), [ONE], NOW)
    found = taken(queue, NOW + 9 + 5 + 1)
    assert {one.event.id for one in found} == {event(number).id for number in range(20)}
    assert len(found) <= 40


def test_a_share_of_one_affects_every_event() -> None:
    late = WebhookFaults(late=1.0, late_by=9)
    assert all(late.delays(f"evt_{number}") == (9.0,) for number in range(20))
    assert all(len(WebhookFaults(repeated=1.0).delays(f"evt_{number}")) == 2 for number in range(20))
    queue = WebhookQueue(WebhookFaults(reordered=1.0))
    for number in range(20):
        queue.schedule(event(number), [ONE], NOW)
    order = [one.event.id for one in taken(queue, NOW + 5)]
    assert sorted(order) != order or len(order) < 20
    assert order != [event(number).id for number in range(20)]


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_a_share_is_between_zero_and_one(share: float) -> None:
    with pytest.raises(ValueError, match="must be"):
        _ = WebhookFaults(late=share)
