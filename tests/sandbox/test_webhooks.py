"""Webhook endpoints of the sandbox: create, update, delete and test them."""

from typing import Any
from uuid import UUID

import pytest

from msgapi import NotFound, webhooks
from msgapi.sandbox import Sandbox
from msgapi.sandbox.model.webhooks import PendingDelivery
from msgapi.sandbox.routes.webhooks import EVENT_FIELDS, sample_data
from msgapi.webhooks import EndpointChanges, NewEndpoint
from tests.support.sandbox_calls import call, done, post
from tests.support.sandbox_requests import NOW, fields_of, get, refusal, said, still

HOOK = NewEndpoint(url="https://shop.example/hook", events=("message.read", "email.opened"), secret="whsec_1")


def made(box: Sandbox, **fields: Any) -> str:  # noqa: ANN401 - those of an endpoint
    given = {"url": HOOK.url, "events": HOOK.events, "secret": HOOK.secret, **fields}
    return done(box, webhooks.create(NewEndpoint(**given))).id


def test_the_response_to_a_new_endpoint_has_its_location_and_not_its_secret() -> None:
    box = still()
    body = {"url": "https://shop.example/hook", "events": ["message.read", "message.read"], "secret": "whsec_1"}
    answer = post(box, "/v1/webhooks", body)
    assert answer.status == 201
    endpoint = said(answer)
    assert endpoint == {
        "id": endpoint["id"],
        "url": "https://shop.example/hook",
        "events": ["message.read"],
        "created_at": "2026-05-04T00:00:00.000Z",
    }
    assert str(UUID(endpoint["id"], version=4)) == endpoint["id"]
    assert answer.headers["location"] == f"/v1/webhooks/{endpoint['id']}"
    assert said(get(box, "/v1/webhooks")) == {"webhooks": [endpoint]}
    assert "whsec" not in repr(box.account.state.endpoints.find(endpoint["id"]))


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["url", "events", "secret"]),
        ({"url": "http://shop.example", "events": [], "secret": ""}, ["url", "events", "secret"]),
        ({"url": "http://[::2]/", "events": ["message.read"], "secret": "s"}, ["url"]),
        ({"url": "https://shop.example", "events": ["message.read", "message.*"], "secret": "s"}, ["events[1]"]),
        ({"url": "https://shop.example", "events": ["message.read", {}], "secret": "s"}, ["events[1]"]),
        ({"url": "https://shop.example", "events": ["message.read"], "secret": "s", "id": "x"}, ["id"]),
    ],
)
def test_the_problems_of_an_endpoint_are_returned(body: object, fields: list[str]) -> None:
    box = still()
    assert fields_of(post(box, "/v1/webhooks", body)) == fields
    assert said(get(box, "/v1/webhooks")) == {"webhooks": []}


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080/hook", "http://localhost/", "http://[::1]:9/", "http://127.9.9.9/"]
)
def test_an_endpoint_on_this_machine_may_be_http(url: str) -> None:
    box = still()
    one = made(box, url=url)
    assert [(found.id, found.url) for found in done(box, webhooks.list()).webhooks] == [(one, url)]


def test_an_endpoint_can_subscribe_to_every_documented_event() -> None:
    box = still()
    assert len(webhooks.EVENT_TYPES) == 23
    one = made(box, events=tuple(webhooks.EVENT_TYPES))
    assert done(box, webhooks.list()).webhooks[0].events == tuple(webhooks.EVENT_TYPES)
    assert [found.id for found in box.account.state.endpoints.subscribed_to("agent.approved")] == [one]


def test_an_endpoint_is_changed_field_by_field() -> None:
    box = still()
    one = made(box)
    assert done(box, webhooks.update(one, EndpointChanges(secret="whsec_2"))).extra["events"] == list(HOOK.events)
    changed = done(
        box, webhooks.update(one, EndpointChanges(url="https://other.example/", events=("agent.approved",)))
    ).extra
    assert (changed["url"], changed["events"]) == ("https://other.example/", ["agent.approved"])
    endpoints = box.account.state.endpoints
    (found,) = endpoints.subscribed_to("agent.approved")
    assert (found.secret, endpoints.subscribed_to("message.read")) == ("whsec_2", ())
    target = f"/v1/webhooks/{one}"
    assert fields_of(post(box, target, {}, method="PATCH")) == [""]
    assert fields_of(post(box, target, {"events": ["none"]}, method="PATCH")) == ["events[0]"]
    assert fields_of(post(box, target, {"url": "ftp://x.example"}, method="PATCH")) == ["url"]


def test_a_deleted_endpoint_is_not_found() -> None:
    box = still()
    one, other = made(box), made(box)
    assert done(box, webhooks.delete(one)).extra == {"success": True}
    assert [found.id for found in done(box, webhooks.list()).webhooks] == [other]
    for again in (webhooks.delete(one), webhooks.update(one, EndpointChanges(secret="s")), webhooks.test(one)):
        assert isinstance(call(box, again), NotFound)
    assert [found.id for found in box.account.state.endpoints] == [other]


def brought(box: Sandbox) -> PendingDelivery:
    delivery = box.account.state.webhook_queue.take(NOW)
    assert delivery is not None
    return delivery


def test_a_test_event_is_scheduled_for_the_tested_endpoint_only() -> None:
    box = still()
    _, one = made(box), made(box, events=("billing.balance_low", "message.read"))
    answered = done(box, webhooks.test(one)).extra
    assert box.events == ()
    delivery = brought(box)
    event = delivery.event
    assert (delivery.webhook_id, event.event, event.at) == (one, "billing.balance_low", NOW)
    assert answered == {"success": True, "event_id": event.id, "event": "billing.balance_low"}
    assert box.account.state.webhook_queue.next_at() is None


@pytest.mark.parametrize("name", webhooks.EVENT_TYPES)
def test_a_test_event_is_read_as_its_event_class(name: str) -> None:
    box = still()
    one = made(box, events=(name,))
    _ = done(box, webhooks.test(one))
    event = brought(box).event
    body = event.body()
    read = webhooks.read({webhooks.SIGNATURE_HEADER: webhooks.sign(body, secret="s")}, body, secret="s")
    assert type(read) is webhooks.EVENT_TYPES[name]
    assert event.data == sample_data(name, NOW)
    if name.startswith("message.") and "status" in event.data:
        assert event.data["status"] == name.removeprefix("message.")


def test_there_is_a_sample_of_every_event() -> None:
    assert set(EVENT_FIELDS) == set(webhooks.EVENT_TYPES)


def test_the_same_key_creates_one_endpoint() -> None:
    box = still()
    body = {"url": HOOK.url, "events": ["message.read"], "secret": "s"}
    first, again = (post(box, "/v1/webhooks", body, key="k") for _ in range(2))
    assert (first.status, first.headers["location"]) == (again.status, again.headers["location"])
    assert refusal(post(box, "/v1/webhooks", {**body, "secret": "t"}, key="k")) == (409, "idempotency_conflict")
    other = post(box, "/v1/webhooks", body, key="l")
    for target in (first.headers["location"], other.headers["location"]):
        changed = post(box, target, {"secret": "t"}, key="m", method="PATCH")
        assert f"/v1/webhooks/{said(changed)['id']}" == target
