"""What the sandbox decides where the contract has a hole or contradicts itself is what it does."""

import re
from collections.abc import Callable
from typing import Any, TypeVar

import anyio
import pytest

from msgapi import Request, Response, webhooks
from msgapi.sandbox import DECISIONS, Sandbox, serve
from msgapi.sandbox.rules.lifecycle import change_status
from tests.sandbox.test_codecs import ACTIONS
from tests.sandbox.test_hosts import asked
from tests.support.sandbox_refusals import HOOK, NEW_AGENT, draft, hook, paused
from tests.support.sandbox_requests import (
    NOW,
    TO,
    ask,
    email,
    fields_of,
    get,
    refusal,
    request,
    said,
    send,
    still,
    text,
)

T = TypeVar("T", bound=Callable[..., Any])
SHOWN: dict[str, str] = {}


def shows(*topics: str) -> Callable[[T], T]:
    """Note which decisions a test is about."""

    def note(test: T) -> T:
        SHOWN.update(dict.fromkeys(topics, test.__name__))
        return test

    return note


def post(box: Sandbox, target: str, body: object = None, method: str = "POST") -> Response:
    return ask(box, request(method, f"/v1{target}", body=body))


def chip(suggestion: dict[str, Any]) -> dict[str, Any]:
    return text(content={"text": "Hi", "suggestions": [suggestion]})


def record(box: Sandbox, body: object = None) -> Any:  # noqa: ANN401 - JSON
    return said(get(box, f"/v1/messages/{said(send(box, body))['message_id']}"))


def test_each_decision_has_its_section_and_its_reason() -> None:
    for one in DECISIONS:
        assert re.fullmatch(r"[1-8](\.[0-9]+)?(, [1-8](\.[0-9]+)?)*", one.section), one.topic
        assert one.choice, one.topic
        assert one.why, one.topic
    assert {one.topic for one in DECISIONS} >= SHOWN.keys()
    assert len(SHOWN) >= 22


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@shows("Host and Origin")
async def test_a_foreign_host_and_a_foreign_origin_are_refused() -> None:
    async with serve(Sandbox(), allow_hosts=["sandbox"]) as url:
        lines = [["Host: x"], ["Host: localhost", "Origin: http://x"], ["Host: localhost"], ["Host: sandbox"]]
        assert [(await asked(url, *one))[0] for one in lines] == [403, 403, 200, 200]


@shows("JSON types", "money in a request")
def test_a_value_of_another_type_is_400() -> None:
    assert fields_of(send(still(), text(to=True))) == ["to"]
    assert fields_of(post(still(), "/billing/topup", {"amount": "10"})) == ["amount"]
    assert fields_of(post(still(), "/billing/topup", {"amount": True})) == ["amount"]
    assert post(still(), "/billing/topup", {"amount": 10, "currency": None}).status == 200


@shows("size of an amount", "amount of a top-up")
def test_an_amount_is_in_whole_cents_and_bounded() -> None:
    for amount, status in ((10, 200), (10.07, 200), (10.005, 400), (9.99, 400), (10**12, 400)):
        assert post(still(), "/billing/topup", {"amount": amount}).status == status
    limit = {"low_balance_threshold": 999_999_999_999.99}
    assert said(post(still(), "/billing/alerts", limit, "PUT")) == limit


@shows("times in a request", "calendar event")
def test_an_event_has_times_with_a_zone_and_ends_after_it_starts() -> None:
    for start, status in (
        ("2026-05-04T07:30:00Z", 200),
        ("2026-05-04T07:30:00.5+02:00", 200),
        ("2026-05-04T07:30:00", 400),
        ("2026-05-04", 400),
        ("2026-05-04T12:00:00Z", 400),
    ):
        event = {"title": "T", "start_time": start, "end_time": "2026-05-04T12:00:00Z"}
        assert send(still(), chip({"action": {"text": "Go", "create_calendar_event": event}})).status == status


@shows("durations")
def test_a_duration_is_in_seconds_or_hours() -> None:
    for ttl in ("900s", "0.5s", "24h", "1.123456789s"):
        assert send(still(), text(ttl=ttl)).status == 200
    for ttl in ("15m", "1d", "0s", "0h", "0.0s", "1.5h", "900", "900 s", "-1s", "1.1234567890s", ""):
        assert fields_of(send(still(), text(ttl=ttl))) == ["ttl"]


@shows("phone numbers")
def test_a_phone_number_is_in_e164() -> None:
    for number in ("4915112345678", "+49 151 12345678", "+0123456789", "00491511234567", "+49151", "+4915112345678901"):
        assert fields_of(send(still(), text(to=number))) == ["to"]
        assert fields_of(post(still(), "/contacts", {"source": "API", "phone": number})) == ["phone"]
        assert fields_of(post(still(), "/test/register", {"phone": number})) == ["phone"]


@shows("postback data")
def test_postback_data_is_base64() -> None:
    for data, status in (("/w==", 200), ("MENU", 200), ("Menu 1", 400), ("YES", 400), ("A" * 2052, 400)):
        assert send(still(), chip({"reply": {"text": "x", "postback_data": data}})).status == status


@shows("fields of actions", "postback data of an action")
def test_actions_have_these_fields_and_no_postback_data() -> None:
    choice = next(one.choice for one in DECISIONS if one.topic == "fields of actions")
    for one in ACTIONS:
        ((name, inner),) = one.items()
        assert name in choice
        assert all(field in choice for field in inner)
        assert send(still(), chip({"action": {"text": "Go", **one}})).status == 200
        wrong = chip({"action": {"text": "Go", **one, "postback_data": "eWVz"}})
        assert fields_of(send(still(), wrong)) == ["content.suggestions[0].action.postback_data"]
        for field in inner:
            other = {name: {f"{field}_": inner[field]}}
            assert send(still(), chip({"action": {"text": "Go", **other}})).status == 400


@shows("content_type of a message", "content of a card in the log")
def test_a_card_is_media_or_interactive_and_is_logged_as_it_was_sent() -> None:
    plain: dict[str, Any] = {"title": "T"}
    media = {"title": "T", "media": {"url": "https://x.example/a.png"}}
    for card, kind in ((plain, "INTERACTIVE"), (media, "MEDIA")):
        standalone = {"rich_card": {"standalone": {"orientation": "VERTICAL", "content": card}}}
        carousel = {"rich_card": {"carousel": {"card_width": "SMALL", "cards": [plain, card]}}}
        for content in (standalone, carousel):
            found = record(still(), text(content=content))
            assert (found["content_type"], found["content"]) == (kind, content)
    assert record(still(), chip({"reply": {"text": "Yes"}}))["content_type"] == "INTERACTIVE"
    assert record(still())["content_type"] == "TEXT"
    template = {name: part for name, part in email(template_id="tpl_welcome").items() if name != "content"}
    assert record(still(), template)["content_type"] == "TEMPLATE"


@shows("id and status of a message")
def test_a_message_has_an_id_and_a_status_in_upper_case() -> None:
    box = still()
    one = record(box)
    (listed,) = said(get(box, "/v1/messages"))["messages"]
    for found in (one, listed):
        assert (found["id"], found["status"]) == (box.messages[0].id, "QUEUED")
        assert "message_id" not in found


@shows("revoking what is sent by RCS")
def test_a_sent_message_can_be_revoked_until_it_is_delivered() -> None:
    for status, expected in (("SENT", 200), ("DELIVERED", 404)):
        box = still()
        name = said(send(box))["message_id"]
        assert change_status(box.account.state, name, status, NOW) is not None  # type: ignore[arg-type]
        assert post(box, f"/messages/{name}", method="DELETE").status == expected


@shows("ttl")
def test_a_message_expires_by_the_clock() -> None:
    box = still()
    name = said(send(box, text(ttl="900s")))["message_id"]
    assert said(get(box, f"/v1/messages/{name}", now=NOW + 900))["status"] == "EXPIRED"
    assert box.account.state.wallet.reserved == 0


@shows("session whose paying message fails")
def test_a_message_that_was_accepted_at_0_stays_at_0() -> None:
    box = still()
    _ = box.reply_from(TO, "ag_live_demo")
    talk = text(message_type="CONVERSATION")

    def hold() -> tuple[str, float]:
        answer = said(send(box, talk, now=box.clock.time()))
        return answer["message_id"], answer["billing"]["hold_amount"]

    (first, paid), (second, free) = hold(), hold()
    assert (paid, free) == (0.16, 0.0)
    assert box.fail(first).cost == "0.0000"
    assert box.deliver(second).cost == "0.0000"
    assert (hold()[1], hold()[1]) == (0.16, 0.0)


@shows("message_type of a test message", "responses of the test routes")
def test_the_test_routes_answer_so() -> None:
    box = still()
    status = {"agent_id": "ag_test_demo", "phone": TO, "verified": True, "sends_used": 0, "sends_remaining": 5}
    code = post(box, "/test/register", {"phone": TO})
    assert (code.status, said(code)) == (200, {"phone": TO, "status": "code_sent"})
    bound = post(box, "/test/verify", {"phone": TO, "code": "000000"})
    assert (bound.status, said(bound)) == (200, status)
    message = text(agent_id="ag_test_demo")
    untyped = {name: part for name, part in message.items() if name != "message_type"}
    for body in (message, untyped, {**message, "message_type": None}):
        answer = post(box, "/test/messages", body)
        assert (answer.status, said(answer).keys()) == (200, said(send(still())).keys())
    assert [entry.message_type for entry in box.messages] == ["MESSAGE"] * 3
    assert said(get(box, "/v1/test/status")) == {**status, "sends_used": 3, "sends_remaining": 2}


@shows("statuses that no page shows")
def test_what_is_created_is_201_and_the_rest_is_200() -> None:
    box = still()
    name = hook(box)
    assert post(box, "/billing/payment-methods", {"type": "sepa"}).status == 201
    assert post(box, "/webhooks", HOOK).status == 201
    assert post(box, "/billing/topup", {"amount": 10}).status == 200
    assert post(box, f"/webhooks/{name}", {"secret": "s"}, "PATCH").status == 200
    assert post(box, f"/webhooks/{name}/test").status == 200
    assert post(box, f"/webhooks/{name}", method="DELETE").status == 200
    assert post(box, f"/campaigns/{paused(box)}/resume").status == 200
    assert post(box, "/rcs/agents", NEW_AGENT).status == 201


@shows("a PATCH that has no field")
def test_a_patch_without_a_field_is_400() -> None:
    box = still()
    contact = said(post(box, "/contacts", {"source": "API", "phone": TO}))["id"]
    for target in (f"/rcs/agents/{draft(box)}", f"/contacts/{contact}", f"/webhooks/{hook(box)}"):
        assert refusal(post(box, target, {}, "PATCH")) == (400, "validation_error")


@pytest.mark.anyio
@shows("signature of a webhook")
async def test_a_signature_is_in_lower_case() -> None:
    received: list[Request] = []
    arrived = anyio.Event()

    async def transport(delivery: Request, /) -> Response:
        await anyio.lowlevel.checkpoint()
        received.append(delivery)
        arrived.set()
        return Response(200, {}, b"")

    box = still()
    created = request("POST", "/v1/webhooks", body={**HOOK, "events": ["message.queued"]})
    assert box.handle(created).response.status == 201
    async with box.deliver_webhooks(transport):
        _ = box.handle(request("POST", "/v1/messages", body=text()))
        with anyio.fail_after(10):
            await arrived.wait()
    signature = received[0].headers[webhooks.SIGNATURE_HEADER]
    assert re.fullmatch("sha256=[0-9a-f]{64}", signature)
