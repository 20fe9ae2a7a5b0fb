"""Calls on a sandbox without a client; each response is checked against the docs and decoded as the client does."""

from typing import TypeVar

import orjson

from msgapi import Call, Ok, Response, Result, agents, webhooks
from msgapi.decode import decode
from msgapi.sandbox import Sandbox
from msgapi.sandbox.routes.webhooks import EVENT_FIELDS
from tests.support.sandbox_requests import NOW, ask, request

T = TypeVar("T")
COMPLETE = agents.AgentChanges(
    description="News about your parcels",
    color="#1a2b3c",
    logo_url="https://shop.example/logo.png",
    banner_url="https://shop.example/banner.png",
    privacy_policy_url="https://shop.example/privacy",
    terms_of_service_url="https://shop.example/terms",
    email="hello@shop.example",
)
"""What a draft of an agent needs before it can be submitted."""


def call(box: Sandbox, made: Call[T], *, now: float = NOW) -> Result[T]:
    assert made.invalid is None, made.invalid
    asked = request(made.method, made.target, body=made.body, key=made.idempotency_key)
    return decode(made, ask(box, asked, now=now))


def done(box: Sandbox, made: Call[T], *, now: float = NOW) -> T:
    result = call(box, made, now=now)
    assert isinstance(result, Ok), result
    return result.value


def post(
    box: Sandbox, target: str, body: object = None, *, key: str | None = None, now: float = NOW, method: str = "POST"
) -> Response:
    return ask(box, request(method, target, body=body, key=key), now=now)


def emitted(box: Sandbox, *names: str) -> list[dict[str, object]]:
    """The data of all events with these names, each as the docs show it and as the client reads it."""
    found = []
    for event in box.account.state.events:
        if event.event in names:
            assert set(event.data) == set(EVENT_FIELDS[event.event].split())
            read = webhooks.read(
                {webhooks.SIGNATURE_HEADER: webhooks.sign(event.body(), secret="s")}, event.body(), secret="s"
            )
            assert type(read) is webhooks.EVENT_TYPES[event.event]
            found.append(orjson.loads(orjson.dumps(event.data)))
    return found
