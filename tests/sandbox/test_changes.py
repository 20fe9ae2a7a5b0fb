"""The feed of changes: what has changed since a position, who is called, and when a reader has to start anew."""

from collections.abc import Callable

import pytest

from msgapi.sandbox import Sandbox
from msgapi.sandbox.model.agents import SandboxAgent
from msgapi.sandbox.model.changes import MAX_CHANGES, MAX_IDS, ChangeFeed
from tests.support.sandbox_calls import post
from tests.support.sandbox_refusals import CONTACT, HOOK, RUNS, TOP_UP, attempted, pending, sent
from tests.support.sandbox_requests import NOW, delete, request, still


def test_a_summary_has_what_has_changed_since_a_position() -> None:
    feed = ChangeFeed()
    feed.add("agents")
    position = feed.count
    feed.add("messages", "msg_1")
    feed.add("messages", "msg_2")
    feed.add("messages", "msg_1")
    found = feed.since(position)
    assert found is not None
    assert found.position == feed.count
    assert found.to_json() == {"account": True, "messages": ("msg_1", "msg_2")}
    assert (feed.since(feed.count), feed.since(0)) != (None, None)


def test_nothing_has_changed_since_the_last_position() -> None:
    feed = ChangeFeed()
    found = feed.since(0)
    assert found is not None
    assert found.to_json() == {}


@pytest.mark.parametrize(("count", "named"), [(MAX_IDS, True), (MAX_IDS + 1, False)])
def test_a_summary_names_a_bounded_number_of_messages(count: int, named: bool) -> None:
    feed = ChangeFeed()
    for number in range(count):
        feed.add("messages", f"msg_{number}")
    found = feed.since(0)
    assert found is not None
    assert len(found.messages) == count
    assert (found.to_json()["messages"] is True) != named


def test_a_reader_that_is_too_far_behind_or_has_no_position_of_this_feed_starts_anew() -> None:
    feed = ChangeFeed()
    for _ in range(MAX_CHANGES + 1):
        feed.add("requests")
    assert feed.since(0) is None
    assert feed.since(1) is not None
    assert feed.since(feed.count + 1) is None


def test_a_waiting_reader_is_called_once_and_one_that_left_is_not() -> None:
    feed, calls = ChangeFeed(), list[str]()
    with feed.notifying(lambda: calls.append("left")):
        pass
    with feed.notifying(lambda: calls.append("stayed")):
        feed.add("clock")
        feed.add("clock")
    assert calls == ["stayed"]


def test_the_end_of_a_feed_calls_its_readers_and_leaves_them_no_position() -> None:
    feed, calls = ChangeFeed(), list[str]()
    with feed.notifying(lambda: calls.append("woken")):
        feed.end()
    assert calls == ["woken"]
    assert feed.since(feed.count) is None


def test_two_feeds_have_two_names() -> None:
    one, two = ChangeFeed(), ChangeFeed()
    assert one.instance == one.instance != two.instance


def topics(box: Sandbox, change: Callable[[], object]) -> set[str]:
    feed = box.account.state.changes
    position = feed.count
    _ = change()
    found = feed.since(position)
    assert found is not None
    return {*found.topics}


def test_what_changes_is_in_the_feed() -> None:
    box = still()
    name = sent(box)
    assert topics(box, lambda: post(box, "/v1/contacts", CONTACT)) == {"requests", "account", "contacts"}
    assert topics(box, lambda: sent(box)) == {"requests", "account", "messages"}
    assert topics(box, lambda: delete(box, name)) == {"requests", "account", "messages"}
    assert topics(box, lambda: post(box, "/v1/billing/topup", TOP_UP)) == {"requests", "account"}
    assert topics(box, lambda: pending(box)) == {"requests", "account", "agents"}
    assert topics(box, lambda: box.approve(next(one.agent.agent_id for one in reversed([*box.account.state.agents]))))
    assert topics(box, lambda: post(box, f"/v1/campaigns/{RUNS}/trigger")) == {"requests", "account", "campaigns"}
    assert topics(box, lambda: post(box, "/v1/webhooks", HOOK)) == {"requests", "account", "webhooks"}
    assert topics(box, lambda: box.add(SandboxAgent(agent_id="ag_new", channel_id="ch_new"))) == {"agents"}
    assert topics(box, lambda: box.balance) == set()


def test_a_delivery_and_each_of_its_attempts_change_the_webhooks() -> None:
    box = still()
    assert "webhooks" in topics(box, lambda: attempted(box))
    hook = next(iter(box.account.state.endpoints)).id
    queue = box.account.state.webhook_queue
    assert topics(box, lambda: queue.record_attempt(queue.pending[0], NOW, status=200)) == {"webhooks"}
    assert "webhooks" in topics(box, lambda: post(box, f"/v1/webhooks/{hook}", method="DELETE"))
    assert "webhooks" not in topics(box, lambda: post(box, f"/v1/webhooks/{hook}", method="DELETE"))


def test_reading_below_the_control_prefix_changes_nothing() -> None:
    box = still()
    assert topics(box, lambda: box.handle(request("GET", "/_sandbox/account"))) == set()
    assert box.requests == 0
