"""The routes that read: messages, conversations, contacts, agents, campaigns, the account, and their pages."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msgapi.sandbox import DELIVERY_OUTCOMES, MAGIC_RECIPIENTS, Sandbox
from msgapi.sandbox.rules.lifecycle import change_status
from tests.support.sandbox_calls import post
from tests.support.sandbox_refusals import REPLY, RUNS, chips_sent, pending, sent, suppressed, to_confirm
from tests.support.sandbox_requests import (
    NOW,
    TO,
    ask,
    email,
    fields_of,
    get,
    refusal,
    refused,
    request,
    said,
    still,
    text,
)

OTHER = "+4915187654321"


def read(box: Sandbox, target: str, *, now: float = NOW) -> Any:  # noqa: ANN401 - JSON
    answer = get(box, f"/_sandbox/{target}", now=now)
    assert answer.status == 200, answer.body
    return said(answer)


def ids(box: Sandbox, target: str) -> list[str]:
    return [one["id"] for one in read(box, target)["data"]]


def mail(box: Sandbox, **fields: object) -> str:
    body = {name: part for name, part in email(**fields).items() if part is not None}
    return str(said(post(box, "/v1/messages", body))["message_id"])


def test_the_health_needs_no_key_and_is_never_limited() -> None:
    box = still(read_limit=1)
    bare = request("GET", "/_sandbox/health")
    bare.headers.pop("Authorization")  # type: ignore[attr-defined]
    for _ in range(5):
        answer = box.account.handle(bare, NOW).response
        assert (answer.status, said(answer)["status"], said(answer)["time"]) == (200, "ok", "2026-05-04T00:00:00.000Z")


def test_a_message_has_what_was_sent_and_what_became_of_it() -> None:
    box = still()
    name = sent(box, ttl="60s", content={"text": "Hi", "suggestions": [{"reply": {"text": "Yes"}}]})
    found = read(box, f"messages/{name}")
    assert (found["to"], found["sender"], found["status"], found["direction"]) == (
        TO,
        "ag_live_demo",
        "QUEUED",
        "OUTBOUND",
    )
    assert found["content"] == {"text": "Hi", "suggestions": [{"reply": {"text": "Yes"}}]}
    assert found["expires_at"] == "2026-05-04T00:01:00.000Z"
    assert (found["hold"], found["cost"], found["revocable"], found["taps"]) == (0.11, 0.11, True, [])
    assert found["events"] == [{"type": "queued", "at": "2026-05-04T00:00:00.000Z"}]
    assert change_status(box.account.state, name, "DELIVERED", NOW) is not None
    assert read(box, f"messages/{name}")["taps"] == ["Yes"]
    other = sent(box)
    _ = box.fail(other)
    failed = read(box, f"messages/{other}")
    assert (failed["cost"], failed["error_code"]) == (0.0, "UNKNOWN_RCS_USER")
    assert failed["error_message"]
    assert refusal(get(box, "/_sandbox/messages/msg_none")) == (404, "not_found")


def test_a_reply_is_a_message_of_its_conversation() -> None:
    box = still()
    tapped = chips_sent(box)
    _ = post(box, "/_sandbox/taps", tapped.body)
    _ = post(box, "/_sandbox/replies", {**REPLY, "user": OTHER})
    second, first = (one for one in read(box, "messages?direction=INBOUND")["data"])
    assert (first["to"], first["content"], first["cost"]) == (TO, {"text": "Yes"}, None)
    assert (second["to"], second["content"], second["idempotency_key"]) == (OTHER, {"text": "Hello"}, None)
    assert [one["direction"] for one in read(box, f"messages?to={TO}")["data"]] == ["INBOUND", "OUTBOUND"]


def test_messages_are_filtered() -> None:
    box = still()
    first = sent(box, content={"text": "Your code is 1234"})
    second = mail(box, subject="Grüße", content={"html": "<b>Straße</b>"})
    third = str(said(ask(box, request("POST", "/v1/messages", body=text(to=OTHER), key="k1")))["message_id"])
    _ = box.deliver(first)
    assert ids(box, "messages") == [third, second, first]
    assert ids(box, "messages?order=oldest") == [first, second, third]
    for query, wanted in {
        f"to={OTHER.replace('+', '%2B')}": [third],
        f"to={OTHER}": [third],
        "to=ADA@shop.example": [second],
        "to=%2B4900000000": [],
        "sender=ch_demo": [second],
        "status=DELIVERED": [first],
        "channel=RCS": [third, first],
        "direction=INBOUND": [],
        "idempotency_key=k1": [third],
        "contains=CODE": [first],
        "contains=gr%C3%BC%C3%9Fe": [second],
        "contains=STRASSE": [second],
        "contains=agent_id": [],
        "after=0": [third, second],
        "before=2&after=0": [second],
        "before=1": [first],
        "channel=RCS&status=QUEUED": [third],
        f"to={OTHER}&order=oldest&after=1": [third],
    }.items():
        assert ids(box, f"messages?{query}") == wanted, query


@pytest.mark.parametrize("body", [b'{"content":{"text":"a\\/b \\u00e9"}}', '{"content":{"text":"a/b é"}}'.encode()])
def test_escapes_are_read_before_a_text_is_looked_for(body: bytes) -> None:
    box = still()
    _ = ask(
        box,
        request(
            "POST",
            "/v1/messages",
            body=b'{"agent_id":"ag_live_demo","to":"+4915112345678",'
            b'"message_type":"MESSAGE","traffic_type":"TRANSACTION",' + body[1:],
        ),
    )
    assert len(ids(box, "messages?contains=A/B%20%C3%89")) == 1
    assert ids(box, "messages?contains=a/c") == []


@pytest.mark.parametrize("order", ["newest", "oldest"])
def test_the_pages_of_messages_are_whole_while_messages_come(order: str) -> None:
    box = still()
    before = [sent(box) for _ in range(5)]
    target, found = f"messages?limit=2&order={order}", list[str]()
    page = read(box, target)
    while True:
        found += [one["id"] for one in page["data"]]
        if page["next_cursor"] is None:
            break
        _ = sent(box) if order == "newest" else None
        page = read(box, f"{target}&cursor={page['next_cursor']}")
    assert found == (before[::-1] if order == "newest" else before)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("status=queued", "status"),
        ("channel=SMS", "channel"),
        ("direction=BOTH", "direction"),
        ("after=-1", "after"),
        ("before=x", "before"),
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("cursor=cur_1", "cursor"),
        ("order=random", "order"),
        ("to=1&to=2", "to"),
        ("search=x", "search"),
    ],
)
def test_a_query_that_is_not_valid_is_refused(query: str, field: str) -> None:
    assert fields_of(get(still(), f"/_sandbox/messages?{query}")) == [field]


def test_each_recipient_has_one_conversation_the_newest_first() -> None:
    box = still()
    _ = sent(box)
    _ = mail(box, to="Ada@shop.example", subject="First")
    _ = sent(
        box, to=OTHER, content={"rich_card": {"standalone": {"content": {"title": "Card"}, "orientation": "VERTICAL"}}}
    )
    _ = mail(box, to="ada@shop.example", subject="Second")
    _ = post(box, "/_sandbox/replies", {**REPLY, "text": "Thanks"})
    found = read(box, "conversations")["data"]
    assert [(one["recipient"], one["last_text"], one["last_direction"]) for one in found] == [
        (TO, "Thanks", "INBOUND"),
        ("ada@shop.example", "Second", "OUTBOUND"),
        (OTHER, "Card", "OUTBOUND"),
    ]
    assert [one["last_number"] for one in found] == [4, 3, 2]
    assert [one["recipient"] for one in read(box, "conversations?search=ADA")["data"]] == ["ada@shop.example"]
    assert [one["recipient"] for one in read(box, "conversations?search=card")["data"]] == [OTHER]
    assert [one["recipient"] for one in read(box, f"conversations?search={TO}")["data"]] == [TO]
    page = read(box, "conversations?limit=2")
    _ = sent(box, to="+4915100000001")
    assert [one["recipient"] for one in read(box, f"conversations?cursor={page['next_cursor']}")["data"]] == [OTHER]


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        (
            {"content": {"rich_card": {"carousel": {"card_width": "SMALL", "cards": [{"description": "One"}] * 2}}}},
            "One",
        ),
        (
            {
                "content": {
                    "rich_card": {
                        "standalone": {
                            "orientation": "VERTICAL",
                            "content": {"media": {"url": "https://shop.example/x"}},
                        }
                    }
                }
            },
            "",
        ),
    ],
)
def test_a_conversation_shows_the_text_of_a_card(content: dict[str, object], shown: str) -> None:
    box = still()
    _ = sent(box, **content)
    assert read(box, "conversations")["data"][0]["last_text"] == shown


def test_a_template_is_the_text_and_the_content_of_its_message() -> None:
    box = still()
    name = mail(box, content=None, subject=None, template_id="tpl_welcome", template_version="2")
    assert read(box, "conversations")["data"][0]["last_text"] == "tpl_welcome"
    found = read(box, f"messages/{name}")
    assert found["content"] == {"template_id": "tpl_welcome", "template_version": "2"}
    assert (found["has_html"], found["subject"]) == (False, None)


def test_a_conversation_has_its_senders_its_sessions_and_its_contact() -> None:
    box = still()
    suppressed(box)
    _ = post(box, "/_sandbox/replies", REPLY)
    _ = post(box, "/_sandbox/replies", {**REPLY, "agent_id": "ag_live_shop", "user": OTHER})
    found = read(box, "conversations/%2B4915112345678")
    assert found["senders"] == [{"sender": "ag_live_demo", "sender_name": "ag_live_demo", "channel": "RCS"}]
    assert found["sessions"] == [{"agent_id": "ag_live_demo", "expires_at": "2026-05-05T00:00:00.000Z", "paid": False}]
    assert found["suppressed"]
    assert found["contact_id"].startswith("c_")
    other = read(box, f"conversations/{OTHER}")
    assert (other["contact_id"], other["suppressed"]) == (None, False)
    later = read(box, f"conversations/{OTHER}", now=NOW + 86_401)
    assert later["sessions"] == []
    assert refusal(get(box, "/_sandbox/conversations/nobody")) == (404, "not_found")


def test_a_conversation_of_which_no_message_is_kept_is_not_listed() -> None:
    box = still(keep_messages=1)
    for to in (TO, OTHER):
        for _ in range(2):
            _ = box.deliver(sent(box, to=to))
    assert [one["recipient"] for one in read(box, "conversations")["data"]] == [OTHER]
    assert refusal(get(box, f"/_sandbox/conversations/{TO}")) == (404, "not_found")
    assert read(box, f"messages?to={TO}")["data"] == []
    counts = read(box, "account")["counts"]
    assert (counts["messages"], counts["dropped"]) == (4, 3)


def test_conversations_are_built_anew_when_most_of_their_messages_were_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("msgapi.sandbox.model.inspection.MAX_REQUESTS", 2)
    box = still(keep_messages=1)
    for number in range(8):
        _ = box.deliver(sent(box, to=f"+49151000000{number}"))
        _ = read(box, "conversations")
    assert len(box.account.state.conversations._ids) < 6
    assert [one["recipient"] for one in read(box, "conversations")["data"]] == ["+491510000007"]


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.sampled_from([TO, OTHER, "+4915100000001"]), st.booleans()), max_size=12), st.integers(0, 3)
)
def test_the_conversations_are_those_of_the_log(steps: list[tuple[str, bool]], keep: int) -> None:
    box = still(keep_messages=keep)
    for to, look in steps:
        _ = box.deliver(sent(box, to=to))
        _ = read(box, "conversations") if look else None
    log = [*box.messages]
    latest = {one.to: one.number for one in log}
    assert [one["recipient"] for one in read(box, "conversations")["data"]] == sorted(
        latest, key=lambda to: -latest[to]
    )
    for to in {to for to, _ in steps}:
        assert ids(box, f"messages?to={to}&order=oldest") == [one.id for one in log if one.to == to]


HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>"


def test_the_html_of_a_mail_is_a_page_that_can_do_nothing() -> None:
    box = still()
    name = mail(box, content={"html": HOSTILE})
    answer = get(box, f"/_sandbox/messages/{name}/mail")
    assert answer.body == HOSTILE.encode()
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    assert answer.headers["content-security-policy"] == policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert read(box, f"messages/{name}")["has_html"]


def test_a_mail_without_html_is_shown_as_text() -> None:
    box = still()
    plain = get(box, f"/_sandbox/messages/{mail(box, content={'text': HOSTILE})}/mail")
    assert b"&lt;script&gt;" in plain.body
    assert b"<script" not in plain.body
    assert plain.headers["content-security-policy"].startswith("sandbox;")
    fields = {"content": None, "subject": None, "template_id": "tpl_welcome"}
    assert b"template tpl_welcome." in get(box, f"/_sandbox/messages/{mail(box, **fields)}/mail").body
    versioned = mail(box, **fields, template_version="2")
    assert b"template tpl_welcome, version 2." in get(box, f"/_sandbox/messages/{versioned}/mail").body


def test_only_an_email_has_a_page() -> None:
    box = still()
    assert refusal(get(box, f"/_sandbox/messages/{sent(box)}/mail")) == (404, "not_found")
    assert refusal(get(box, "/_sandbox/messages/msg_none/mail")) == (404, "not_found")


def test_the_account_has_its_numbers_its_limits_and_the_fixed_recipients() -> None:
    box = still(rate_limit=7, window=2.0)
    name = sent(box)
    _ = to_confirm(box)
    found = read(box, "account")
    assert found["balance"] == {"free": 999.93, "reserved": 0.07, "total": 1000.0}
    assert found["prices"]["basic_message"] == 0.07
    assert found["counts"] == {"messages": 1, "dropped": 0, "requests": 3, "events": 3, "contacts": 1}
    assert found["holds"] == [{"message_id": name, "amount": 0.07}]
    limits = {one.pop("endpoint_class"): one for one in found["rate_limits"]}
    reset = "2026-05-04T00:00:02.000Z"
    assert limits["sends"] == {"limit": 7, "remaining": 6, "reset": reset, "window": 2.0}
    assert limits["campaigns"]["remaining"] == limits["campaigns"]["limit"]
    later = {one["endpoint_class"]: one for one in read(box, "account", now=NOW + 2)["rate_limits"]}
    assert later["sends"]["remaining"] == 7
    assert [one["phone"] for one in found["magic_recipients"]] == [one.phone for one in MAGIC_RECIPIENTS]
    assert [one["effect"] for one in found["delivery_outcomes"]] == [one.effect for one in DELIVERY_OUTCOMES]
    assert "UNKNOWN_RCS_USER" in found["fail_reasons"]


def test_reading_uses_no_limit_of_the_api_and_is_not_in_the_log() -> None:
    box = still(rate_limit=1, read_limit=3, faults=1.0)
    for _ in range(3):
        assert get(box, "/_sandbox/requests").status == 200
    assert refusal(get(box, "/_sandbox/requests")) == (429, "rate_limit_exceeded")
    assert (box.requests, [*box.account.state.requests.newest_first()]) == (0, [])


def test_transactions_are_listed_newest_first_in_pages() -> None:
    box = still()
    names = [sent(box), sent(box), sent(box)]
    for name in names:
        _ = box.deliver(name)
    box.top_up(Decimal(5))
    page = read(box, "transactions?limit=3")
    assert [(one["number"], one["type"], one["amount"]) for one in page["data"]] == [
        (3, "credit", 5.0),
        (2, "charge", 0.07),
        (1, "charge", 0.07),
    ]
    rest = read(box, f"transactions?cursor={page['next_cursor']}")
    assert [one["message_id"] for one in rest["data"]] == [names[0]]
    assert rest["next_cursor"] is None
    assert len(read(box, "transactions?cursor=cur_ffffffffffffffff")["data"]) == 4


def test_agents_have_their_launch_on_every_carrier() -> None:
    box = still()
    name = pending(box)
    box.reject(name, "No logo")
    found = {one["agent_id"]: one for one in read(box, "agents")["data"]}
    assert (found[name]["status"], found[name]["rejection_reason"], found[name]["launched"]) == (
        "REJECTED",
        "No logo",
        False,
    )
    assert {one["status"] for one in found[name]["carriers"]} == {"UNLAUNCHED"}
    assert {one["status"] for one in found["ag_live_demo"]["carriers"]} == {"LAUNCHED"}
    assert len(found["ag_live_demo"]["carriers"]) == 3


def test_a_list_without_numbers_is_read_page_by_page() -> None:
    box = still()
    found, target = list[str](), "agents?limit=4"
    page = read(box, target)
    while True:
        found += [one["agent_id"] for one in page["data"]]
        if page["next_cursor"] is None:
            break
        page = read(box, f"{target}&cursor={page['next_cursor']}")
    assert found == [one.agent.agent_id for one in box.account.state.agents]
    assert read(box, "agents?cursor=cur_ffffffffffffffff")["data"] == []


def test_campaigns_have_the_progress_of_their_last_run() -> None:
    box = still()
    _ = post(box, f"/v1/campaigns/{RUNS}/trigger")
    first, second, _ = read(box, "campaigns", now=NOW + 5)["data"]
    assert (first["status"], first["total"], first["done"], first["failed"]) == ("RUNNING", 100, 5, 0)
    assert (second["status"], second["done"], second["by_api"]) == ("SCHEDULED", 0, False)


def test_contacts_have_their_consents_and_are_searched() -> None:
    box = still()
    consent = to_confirm(box)
    _ = post(box, "/v1/contacts", {"source": "API", "phone": OTHER, "tags": ["vip"], "custom_fields": {"a": 1}})
    first, second = read(box, "contacts")["data"]
    assert [(one["id"], one["status"], one["channel"]) for one in first["consents"]] == [(consent, "PENDING", "RCS")]
    assert (second["custom_fields"], second["tags"], second["suppressed"]) == ({"a": 1}, ["vip"], False)
    box.confirm(consent)
    assert read(box, "contacts")["data"][0]["consents"][0]["granted_at"] is not None
    for query, wanted in {"ADA": [first], "vip": [second], OTHER: [second], "nobody": []}.items():
        assert [one["id"] for one in read(box, f"contacts?search={query}")["data"]] == [one["id"] for one in wanted]


def test_the_data_of_a_template_may_be_nested_and_are_not_suggestions() -> None:
    box = still()
    nested = b"[" * 60 + b"]" * 60
    body = b'{"channel_id":"ch_demo","to":"ada@shop.example","message_type":"MESSAGE","template_id":"tpl_welcome",'
    data = b'"template_data":{"suggestions":[{"reply":{"text":"Yes"}}],"a":' + nested + b"}}"
    answer = ask(box, request("POST", "/v1/messages", body=body + data))
    name = said(answer)["message_id"]
    assert change_status(box.account.state, name, "DELIVERED", NOW) is not None
    assert read(box, f"messages/{name}")["taps"] == []
    assert read(box, "messages?contains=yes")["data"] == []
    assert refused(box.tap, name, "Yes")
