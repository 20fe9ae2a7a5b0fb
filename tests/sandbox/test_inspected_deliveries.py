"""The webhook endpoints and the deliveries to them, as the sandbox shows them."""

from typing import Any

import orjson
import pytest

from msgapi import webhooks
from msgapi.sandbox import Sandbox
from msgapi.sandbox.model import webhooks as model
from tests.support.sandbox_calls import post
from tests.support.sandbox_refusals import HOOK, attempted, hook, sent
from tests.support.sandbox_requests import NOW, get, said, still


def deliveries(box: Sandbox, query: str = "") -> list[Any]:
    found: list[Any] = said(get(box, f"/_sandbox/deliveries{query}"))["data"]
    return found


def attempt(box: Sandbox, at: float, **result: Any) -> None:  # noqa: ANN401 - those of `record_attempt`
    queue = box.account.state.webhook_queue
    delivery = queue.take(at)
    assert delivery is not None
    _ = queue.record_attempt(delivery, at, **result)


def test_an_endpoint_is_shown_without_its_secret() -> None:
    box = still()
    name = hook(box)
    (one,) = said(get(box, "/_sandbox/webhooks"))["data"]
    assert one == {"id": name, "url": HOOK["url"], "events": ["message.read"], "created_at": "2026-05-04T00:00:00.000Z"}


def test_a_delivery_has_its_body_its_signature_and_its_attempts() -> None:
    box = still()
    attempted(box)
    (one,) = deliveries(box)
    assert one["id"] == f"{one['event_id']}.{one['webhook_id']}"
    assert (one["event"], one["url"], one["state"]) == ("message.queued", HOOK["url"], "pending")
    assert one["attempts"] == [{"number": 1, "at": "2026-05-04T00:00:00.000Z", "status": 500, "reason": ""}]
    assert one["next_attempt_at"] == "2026-05-04T00:01:00.000Z"
    assert one["signature"] == webhooks.sign(one["body"].encode(), secret="whsec_1")
    assert orjson.loads(one["body"])["event"] == "message.queued"
    attempt(box, NOW + 60, status=200)
    (one,) = deliveries(box)
    assert (one["state"], one["next_attempt_at"], [part["number"] for part in one["attempts"]]) == (
        "delivered",
        None,
        [1, 2],
    )


def test_a_delivery_whose_attempts_have_all_failed_has_failed() -> None:
    box = still()
    attempted(box)
    for delay in (60, 360, 3960, 90_360):
        attempt(box, NOW + delay, status=None, reason="no connection")
    (one,) = deliveries(box)
    assert (one["state"], len(one["attempts"]), one["attempts"][-1]["reason"]) == ("failed", 5, "no connection")


def test_a_delivery_that_is_under_way_is_pending() -> None:
    box = still()
    _ = post(box, "/v1/webhooks", {**HOOK, "events": ["message.queued"]})
    _ = sent(box)
    assert box.account.state.webhook_queue.take(NOW) is not None
    (one,) = deliveries(box)
    assert (one["state"], one["attempts"]) == ("pending", [])


def test_a_delivery_to_a_deleted_endpoint_has_no_url() -> None:
    box = still()
    attempted(box)
    (one,) = deliveries(box)
    _ = post(box, f"/v1/webhooks/{one['webhook_id']}", method="DELETE")
    (one,) = deliveries(box)
    assert (one["url"], one["signature"], one["state"]) == (None, None, "failed")


def test_deliveries_are_listed_newest_first_and_filtered() -> None:
    box = still()
    first = post(box, "/v1/webhooks", {**HOOK, "events": ["message.queued"]})
    second = post(box, "/v1/webhooks", {**HOOK, "events": ["message.queued", "message.read"]})
    name = sent(box)
    _ = (box.deliver(name), box.read(name))
    found = deliveries(box)
    one, other = said(first)["id"], said(second)["id"]
    assert [(part["event"], part["webhook_id"]) for part in found] == [
        ("message.read", other),
        ("message.queued", other),
        ("message.queued", one),
    ]
    assert deliveries(box, "?event=message.read") == found[:1]
    assert deliveries(box, f"?webhook_id={one}") == found[2:]
    page = said(get(box, "/_sandbox/deliveries?limit=2"))
    assert deliveries(box, f"?cursor={page['next_cursor']}") == found[2:]


def test_the_last_deliveries_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "MAX_RECORDS", 2)
    box = still()
    _ = post(box, "/v1/webhooks", {**HOOK, "events": ["message.queued"]})
    names = [sent(box) for _ in range(3)]
    assert [orjson.loads(one["body"])["data"]["message_id"] for one in deliveries(box)] == names[:0:-1]


def test_a_delivery_is_found_by_its_id() -> None:
    box = still()
    attempted(box)
    (one,) = deliveries(box)
    found = box.account.state.webhook_queue.find(one["id"])
    assert found is not None
    assert (found.event.id, found.webhook_id) == (one["event_id"], one["webhook_id"])
    assert box.account.state.webhook_queue.find("evt_none.x") is None


def test_the_deliveries_are_the_same_in_a_restored_sandbox() -> None:
    box = still()
    attempted(box)
    _ = sent(box)
    hook_id = said(get(box, "/_sandbox/webhooks"))["data"][0]["id"]
    _ = post(box, f"/v1/webhooks/{hook_id}/test")
    tested, *others = deliveries(box)
    restored = Sandbox.from_snapshot(box.snapshot())
    assert [one["id"] for one in deliveries(restored)] == [tested["id"], *(one["id"] for one in others)]
    assert deliveries(restored)[1:] == others


def test_an_event_that_tested_an_endpoint_is_not_known_after_it_was_restored() -> None:
    box = still()
    name = hook(box)
    _ = post(box, f"/v1/webhooks/{name}/test")
    attempt(box, NOW, status=200)
    assert len(deliveries(box)) == 1
    assert deliveries(Sandbox.from_snapshot(box.snapshot())) == []
