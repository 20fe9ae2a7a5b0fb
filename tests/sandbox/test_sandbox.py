"""Sending in the sandbox: keys, validation, policy, and the options of a sandbox."""

import subprocess
import sys
from decimal import Decimal

import pytest

import msgapi
from msgapi import Invalid, Ok, Request, Response, VirtualClock, billing, messages, sandbox
from msgapi.sandbox import CODES, DECISIONS, EmailChannel, EmailTemplate, PriceList, Sandbox, SandboxAgent
from tests.support.sandbox_requests import (
    KEY,
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


def test_an_accepted_text_is_answered_as_the_docs_show() -> None:
    box = still(balance=Decimal(75))
    answer = said(send(box, key="k1"))
    (entry,) = box.messages
    assert answer == {
        "message_id": entry.id,
        "status": "queued",
        "created_at": "2026-05-04T00:00:00.000Z",
        "billing": {
            "channel": "RCS",
            "message_type": "basic_message",
            "hold_amount": 0.07,
            "message_price": 0.07,
            "balance": {"free": 74.93, "reserved": 0.07, "total": 75.0},
            "tier": {"channel": "RCS", "current": "tier_1", "volume_used": 1},
        },
    }
    assert entry.id.startswith("msg_")
    assert (entry.to, entry.idempotency_key, entry.sender, entry.status) == (TO, "k1", "ag_live_demo", "QUEUED")


def test_an_entry_and_a_sandbox_show_neither_key_nor_recipient_nor_content() -> None:
    box = still(api_key="sk_secret")
    headers = {"Authorization": "Bearer sk_secret", "Content-Type": "application/json", "Idempotency-Key": "order-77"}
    _ = box.account.handle(Request("POST", "https://x/v1/messages", headers, request("POST", "/", body=text()).body), 0)
    shown = f"{box!r} {box.account!r} {box.messages!r}"
    assert len(box.messages) == 1
    for secret in ("sk_secret", TO, "Hello", "order-77"):
        assert secret not in shown


@pytest.mark.parametrize(
    "header", ["", "sk_sandbox", "Basic sk_sandbox", "Bearer", "Bearer ", "Bearer sk_other", "Bearer sk_sandbox "]
)
def test_a_missing_malformed_or_wrong_key_is_unauthorized(header: str) -> None:
    box = still()
    assert refusal(send(box, Authorization=header)) == (401, "unauthorized")
    assert refusal(ask(box, Request("GET", "https://x/nowhere"))) == (401, "unauthorized")
    assert box.messages == ()


def test_the_scheme_of_the_key_is_read_in_any_case() -> None:
    assert send(still(), authorization=f"bearer {KEY}", Authorization=f"bearer {KEY}").status == 200


def test_a_request_without_a_valid_key_does_not_count_for_the_rate_limit() -> None:
    box = still(rate_limit=1)
    refused = send(box, Authorization="Bearer sk_other")
    assert refused.headers["x-ratelimit-remaining"] == "1"
    assert send(box).status == 200


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/"),
        ("GET", ""),
        ("POST", "/v1/messages/"),
        ("POST", "//v1/messages"),
        ("POST", "/v2/messages"),
        ("PUT", "/v1/messages"),
        ("OPTIONS", "/v1/messages"),
        ("post", "/v1/messages"),
        ("POST", "/v1/billing/balance"),
        ("GET", "/v1/messages/a/b"),
        ("GET", "/v1/messages/"),
        ("GET", "/v1/messages/%ff%00"),
    ],
)
def test_an_unknown_route_method_or_id_is_not_found(method: str, target: str) -> None:
    assert refusal(ask(still(), request(method, target, body=b"{}"))) == (404, "not_found")


def test_an_invalid_url_is_not_found() -> None:
    headers = {"Authorization": f"Bearer {KEY}"}
    assert refusal(ask(still(), Request("GET", "http://[", headers))) == (404, "not_found")


def test_an_id_may_be_percent_encoded() -> None:
    box = still()
    message_id = said(send(box))["message_id"]
    assert said(get(box, f"/v1/messages/{message_id.replace('_', '%5F')}"))["id"] == message_id


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"a":NaN}', b"[]", b'"text"', b"null", b"[" * 5000])
def test_a_body_that_is_not_a_json_object_is_invalid(body: bytes) -> None:
    assert fields_of(send(still(), body)) == [""]


@pytest.mark.parametrize("form", ["", "text/plain", "application/jsonp", "application/x-www-form-urlencoded"])
def test_another_content_type_is_invalid(form: str) -> None:
    assert fields_of(send(still(), Content_Type=form)) == ["content-type"]


def test_a_content_type_may_be_in_capitals_and_have_parameters() -> None:
    assert send(still(), Content_Type="Application/JSON; charset=utf-8").status == 200


def test_a_body_of_more_than_a_mebibyte_is_invalid() -> None:
    box = still()
    whole = request("POST", "/", body=email(content={"html": ""})).body or b""
    padded = whole + b" " * (1_048_576 - len(whole))
    assert fields_of(send(box, padded)) != [""]
    assert fields_of(send(box, padded + b" ")) == [""]


INVALID: list[messages.Message] = [
    messages.Text(agent_id="", to="0151", traffic_type="TRANSACTION", text=""),
    messages.Text(agent_id="ag_live_demo", to=TO, traffic_type="TRANSACTION", text="x" * 3073),
    messages.Text(agent_id="ag_live_demo", to=TO, traffic_type="NONE", text="x", ttl="soon"),  # type: ignore[arg-type]
    messages.Text(
        agent_id="ag_live_demo",
        to=TO,
        traffic_type="PROMOTION",
        text="x",
        suggestions=(messages.Reply(text="y" * 26), messages.OpenUrl(text="z", url="ftp://x.example")),
    ),
    messages.RichCard(agent_id="ag_live_demo", to=TO, traffic_type="PROMOTION", card=messages.Card(title="t" * 201)),
    messages.Carousel(agent_id="ag_live_demo", to=TO, traffic_type="PROMOTION", cards=(messages.Card(title="one"),)),
    messages.Email(channel_id="ch_demo", to="nobody", message_type="CONVERSATION"),
    messages.Email(channel_id="ch_demo", to="a@b.example", subject="s", text="t", template_id="tpl_welcome"),
]


@pytest.mark.parametrize("message", INVALID, ids=range(len(INVALID)))
def test_an_invalid_message_is_refused_with_the_details_that_the_client_gives(message: messages.Message) -> None:
    box = still()
    own = messages.check(message)
    answer = send(box, msgapi.codec.to_json(message))
    told = [(detail["field"], detail["message"]) for detail in said(answer)["details"]]
    assert refusal(answer) == (400, "validation_error")
    assert told == [(detail.field, detail.message) for detail in own]
    assert box.messages == ()


def test_a_misspelt_field_is_invalid() -> None:
    assert fields_of(send(still(), text(trafic_type="TRANSACTION"))) == ["trafic_type"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (text(agent_id="ag_live_none"), (404, "not_found")),
        (text(agent_id="ag_draft_demo"), (403, "agent_not_approved")),
        (text(agent_id="ag_live_unlaunched"), (403, "agent_not_launched")),
        (text(agent_id="ag_live_otp"), (422, "traffic_type_not_allowed")),
        (text(agent_id="ag_live_otp", traffic_type="AUTHENTICATION"), (200, "")),
        (
            text(agent_id="ag_live_otp", traffic_type="AUTHENTICATION", message_type="CONVERSATION"),
            (422, "message_type_not_allowed"),
        ),
        (text(agent_id="ag_live_shop", message_type="NEWSLETTER"), (422, "message_type_not_allowed")),
        (
            text(agent_id="ag_live_promo", message_type="NEWSLETTER", traffic_type="PROMOTION"),
            (403, "newsletter_not_enabled"),
        ),
        (email(channel_id="ch_none"), (404, "not_found")),
        (email(channel_id="ch_rcs_demo"), (404, "not_found")),
        (email(channel_id="ch_unverified"), (403, "sender_not_verified")),
        (email(channel_id="ch_receipts", message_type="NEWSLETTER"), (422, "message_type_not_allowed")),
        (email(message_type="NEWSLETTER"), (422, "consent_missing")),
        (text(message_type="NEWSLETTER"), (422, "consent_missing")),
    ],
)
def test_a_sender_may_send_what_its_state_and_use_case_allow(
    body: dict[str, object], expected: tuple[int, str]
) -> None:
    box = still()
    answer = send(box, body)
    assert (answer.status, said(answer).get("error", "")) == expected
    assert len(box.messages) == (answer.status == 200)


def test_a_refusal_for_the_state_or_use_case_of_the_agent_names_it() -> None:
    assert said(send(still(), text(agent_id="ag_draft_demo")))["agent_status"] == "DRAFT"
    details = said(send(still(), text(agent_id="ag_live_otp")))["details"]
    assert details == [{"field": "traffic_type", "message": "is not allowed for the use case OTP"}]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"template_id": "tpl_welcome"}, (200, "")),
        ({"template_id": "tpl_welcome", "template_version": "4", "template_data": {"name": "Ada"}}, (200, "")),
        ({"template_id": "tpl_welcome", "template_version": "5"}, (404, "template_not_found")),
        ({"template_id": "tpl_none"}, (404, "template_not_found")),
        ({"template_id": "tpl_draft"}, (422, "template_not_published")),
        ({"template_id": "tpl_bare"}, (422, "subject_missing")),
        ({"template_id": "tpl_bare", "subject": "Hello"}, (200, "")),
    ],
)
def test_a_template_must_exist_be_published_and_have_a_subject(
    fields: dict[str, object], expected: tuple[int, str]
) -> None:
    body = {"channel_id": "ch_demo", "to": "ada@shop.example", "message_type": "MESSAGE", **fields}
    answer = send(still(), body)
    assert (answer.status, said(answer).get("error", "")) == expected


def test_the_same_seed_gives_the_same_answers() -> None:
    def answers(seed: int) -> list[Response]:
        box = still(random_seed=seed, faults=0.5)
        return [send(box, key=f"k{number}") for number in range(50)]

    assert answers(1) == answers(1)
    assert answers(1) != answers(2)


def test_a_sandbox_can_be_given_its_senders_and_prices() -> None:
    box = still(
        agents=[SandboxAgent(agent_id="ag_mine", channel_id="ch_mine")],
        channels=[EmailChannel(channel_id="ch_mail")],
        templates=[EmailTemplate(template_id="tpl_mine", versions=("1",))],
        prices=PriceList(basic_message=Decimal("0.0123"), email=Decimal(2)),
    )
    assert refusal(send(box)) == (404, "not_found")
    assert said(send(box, text(agent_id="ag_mine")))["billing"]["hold_amount"] == 0.0123
    mail = {"channel_id": "ch_mail", "to": "ada@shop.example", "message_type": "MESSAGE", "template_id": "tpl_mine"}
    assert said(send(box, mail))["billing"]["hold_amount"] == 2


@pytest.mark.anyio
async def test_a_client_works_over_the_sandbox_in_memory() -> None:
    box = still(clock=VirtualClock())
    message = messages.Text(agent_id="ag_live_demo", to=TO, traffic_type="TRANSACTION", text="Hello")
    async with msgapi.Client(transport=box, api_key=box.api_key) as api:
        accepted = await api(messages.send(message))
        assert isinstance(accepted, Ok)
        listed = await api(messages.list())
        assert isinstance(listed, Ok)
        balance = await api(billing.balance())
        assert isinstance(balance, Ok)
        refused = await api(messages.send(messages.Text(agent_id="", to=TO, traffic_type="PROMOTION", text="x")))
    assert [one.id for one in listed.value.messages] == [accepted.value.message_id]
    assert balance.value == box.balance
    assert isinstance(refused, Invalid)
    assert box.requests == 3


@pytest.mark.usefixtures("unmeasured_processes")
def test_importing_the_sandbox_loads_no_http_library() -> None:
    code = "import sys, msgapi.sandbox; sys.exit('aiohttp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0  # noqa: S603 - ours


def test_no_code_or_decision_is_listed_twice() -> None:
    assert len({(code.status, code.code) for code in CODES}) == len(CODES)
    assert len({decision.topic for decision in DECISIONS}) == len(DECISIONS)
    assert sandbox.Sandbox is Sandbox
