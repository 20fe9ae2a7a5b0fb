"""The message log of the sandbox: list, show and revoke messages."""

from decimal import Decimal
from typing import Any
from urllib.parse import quote

import pytest

from msgapi import Response, codec, messages
from msgapi.messages.models import MessageRecord, Page
from msgapi.sandbox import Sandbox
from msgapi.sandbox.rules.lifecycle import change_status
from tests.support.sandbox_requests import (
    NOW,
    TO,
    delete,
    email,
    fields_of,
    get,
    refusal,
    said,
    send,
    still,
    subscribe,
    text,
)

DAY = 86_400.0
CARD = {"title": "Hello", "media": {"url": "https://x.example/a.png", "height": "TALL"}}


def ids(answer: Response) -> list[str]:
    assert answer.status == 200
    return [item["id"] for item in said(answer)["messages"]]


def filled() -> tuple[Sandbox, list[str]]:
    box = still()
    _ = subscribe(box)
    bodies = [text(), email(), text(agent_id="ag_live_shop"), text(message_type="NEWSLETTER"), email(to="b@b.example")]
    return box, [said(send(box, body, now=NOW + day * DAY))["message_id"] for day, body in enumerate(bodies)]


def test_the_log_lists_the_newest_first_fifty_to_a_page() -> None:
    box = still()
    sent = [said(send(box))["message_id"] for _ in range(60)][::-1]
    assert ids(get(box, "/v1/messages")) == sent[:50]
    assert ids(get(box, "/v1/messages?offset=50")) == sent[50:]
    assert ids(get(box, "/v1/messages?limit=2&offset=3")) == sent[3:5]
    assert ids(get(box, f"/v1/messages?offset={2**63 - 1}&limit=200")) == []


def test_an_item_of_the_log_has_the_documented_fields() -> None:
    box, sent = filled()
    assert box.deliver(sent[0])
    item = said(get(box, "/v1/messages?offset=4"))["messages"][0]
    delivered, contact = item.pop("delivered_at"), item.pop("contact_id")
    assert delivered.endswith("Z")
    assert contact.startswith("c_")
    assert item == {
        "id": sent[0],
        "direction": "OUTBOUND",
        "channel_id": "ch_rcs_demo",
        "campaign_id": None,
        "message_type": "MESSAGE",
        "content_type": "TEXT",
        "status": "DELIVERED",
        "cost": "0.0700",
        "sent_at": None,
        "read_at": None,
        "created_at": "2026-05-04T00:00:00.000Z",
    }


def test_the_log_can_be_filtered() -> None:
    box, (one, two, three, four, five) = filled()
    assert delete(box, three).status == 200
    contact = said(get(box, f"/v1/messages/{one}"))["contact_id"]

    def found(query: str) -> list[str]:
        return ids(get(box, f"/v1/messages?{query}"))

    assert found("direction=OUTBOUND") == [five, four, three, two, one]
    assert found("direction=INBOUND") == []
    assert found("status=QUEUED") == [five, four, two, one]
    assert found("status=DELIVERED") == []
    assert found("channel_id=ch_demo") == [five, two]
    assert found("channel_id=ch_demo&limit=1&offset=1") == [two]
    assert found("message_type=NEWSLETTER") == [four]
    assert found(f"contact_id={contact}") == [four, three, one]
    assert found("campaign_id=0b0b") == []
    assert found("from=2026-05-05&to=2026-05-07") == [four, three, two]
    assert found("from=2026-05-05T00:00:00Z&to=2026-05-06T00:00:00.000Z") == [three, two]
    assert found("from=2026-05-05T00:00:00.001") == [five, four, three]
    assert found(f"to={quote('2026-05-05T02:00:00+02:00')}") == [two, one]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=ten", "limit"),
        ("limit=%D9%A3", "limit"),
        ("limit=", "limit"),
        ("offset=-1", "offset"),
        (f"offset={2**63}", "offset"),
        ("direction=outbound", "direction"),
        ("status=REVOKED", "status"),
        ("message_type=SMS", "message_type"),
        ("from=yesterday", "from"),
        ("to=2026-02-30", "to"),
        ("to=9999-12-31", "to"),
        ("from=2026-05-04T00:00:00+00:00", "from"),
        ("since=2026-05-04", "since"),
        ("limit=1&limit=2", "limit"),
        ("&".join(f"p{number}=1" for number in range(60)), "query"),
    ],
)
def test_an_invalid_parameter_is_refused(query: str, field: str) -> None:
    assert fields_of(get(filled()[0], f"/v1/messages?{query}")) == [field]


def test_all_problems_of_a_query_are_returned_together() -> None:
    assert fields_of(get(still(), "/v1/messages?limit=0&page=2&status=NEW")) == ["limit", "page", "status"]


def test_a_message_is_shown_with_its_content_and_events() -> None:
    box, (one, *_) = filled()
    shown = said(get(box, f"/v1/messages/{one}"))
    assert shown["content"] == {"text": "Hello"}
    assert shown["events"] == [{"type": "queued", "at": "2026-05-04T00:00:00.000Z"}]
    assert (shown["error_code"], shown["error_message"]) == (None, None)


def test_a_failed_message_has_its_reason_and_costs_nothing() -> None:
    box, (one, *_) = filled()
    assert box.fail(one)
    shown = said(get(box, f"/v1/messages/{one}"))
    assert (shown["status"], shown["error_code"], shown["cost"]) == ("FAILED", "UNKNOWN_RCS_USER", "0.0000")
    assert [event["type"] for event in shown["events"]] == ["queued", "failed"]
    assert shown["error_message"]


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"content": {"text": "x"}}, "TEXT"),
        ({"content": {"text": "x", "suggestions": [{"reply": {"text": "y"}}]}}, "INTERACTIVE"),
        (
            {"content": {"rich_card": {"standalone": {"orientation": "VERTICAL", "content": {"title": "t"}}}}},
            "INTERACTIVE",
        ),
        ({"content": {"rich_card": {"standalone": {"orientation": "VERTICAL", "content": CARD}}}}, "MEDIA"),
        ({"content": {"rich_card": {"carousel": {"card_width": "SMALL", "cards": [CARD, CARD]}}}}, "MEDIA"),
        (
            {"content": {"rich_card": {"carousel": {"card_width": "SMALL", "cards": [{"title": "t"}] * 2}}}},
            "INTERACTIVE",
        ),
    ],
)
def test_the_content_type_follows_from_the_content(fields: dict[str, object], kind: str) -> None:
    box = still()
    message_id = said(send(box, text(**fields)))["message_id"]
    shown = said(get(box, f"/v1/messages/{message_id}"))
    assert (shown["content_type"], shown["content"]) == (kind, fields["content"])


def test_an_email_by_template_shows_the_template() -> None:
    box = still()
    body = {"channel_id": "ch_demo", "to": "a@b.example", "message_type": "MESSAGE", "template_id": "tpl_welcome"}
    message_id = said(send(box, {**body, "template_version": "4", "template_data": {"deep": [[{}]]}}))["message_id"]
    shown = said(get(box, f"/v1/messages/{message_id}"))
    assert shown["content_type"] == "TEMPLATE"
    assert shown["content"] == {"template_id": "tpl_welcome", "template_version": "4"}


def test_a_queued_message_can_be_revoked_once() -> None:
    box, (one, *_) = filled()
    assert said(delete(box, one, now=NOW + 1)) == {
        "id": one,
        "status": "REVOKED",
        "revoked_at": "2026-05-04T00:00:01.000Z",
    }
    assert refusal(delete(box, one)) == (409, "already_revoked")
    assert said(get(box, f"/v1/messages/{one}"))["cost"] == "0.0000"


def test_a_message_that_was_sent_can_be_revoked_and_a_delivered_or_failed_one_cannot() -> None:
    box, (one, two, three, *_) = filled()
    for message_id in (one, two):
        assert change_status(box.account.state, message_id, "SENT", NOW) is not None
    assert change_status(box.account.state, one, "SENT", NOW) is None
    assert change_status(box.account.state, one, "QUEUED", NOW) is None
    assert box.deliver(two)
    assert change_status(box.account.state, two, "READ", NOW) is not None
    assert box.fail(three)
    assert delete(box, one).status == 200
    assert refusal(delete(box, two)) == (404, "already_delivered")
    assert refusal(delete(box, three)) == (409, "wrong_state")
    assert refusal(delete(box, "msg_none")) == refusal(get(box, "/v1/messages/msg_none")) == (404, "not_found")


def test_an_email_that_was_sent_cannot_be_revoked_any_more() -> None:
    box = still()
    queued, sent = (said(send(box, email()))["message_id"] for _ in range(2))
    assert change_status(box.account.state, sent, "SENT", NOW) is not None
    assert refusal(delete(box, sent)) == (404, "already_delivered")
    assert delete(box, queued).status == 200
    assert {entry.id: entry.status for entry in box.messages} == {queued: "REVOKED", sent: "SENT"}
    assert box.balance.reserved == Decimal("0.005")


@pytest.mark.parametrize("status", ["FAILED", "BOUNCED", "EXPIRED"])
def test_a_message_that_will_not_be_delivered_cannot_be_revoked(status: Any) -> None:  # noqa: ANN401
    box = still()
    name = said(send(box))["message_id"]
    assert change_status(box.account.state, name, status, NOW) is not None
    answer = delete(box, name)
    assert refusal(answer) == (409, "wrong_state")
    assert said(answer)["message_status"] == status


def test_the_client_reads_the_responses_of_the_log() -> None:
    box, (one, *_) = filled()
    page = codec.from_json(get(box, "/v1/messages").body, Page)
    assert isinstance(page, Page)
    assert len(page.messages) == 5
    single = codec.from_json(get(box, f"/v1/messages/{one}").body, MessageRecord)
    assert isinstance(single, MessageRecord)
    assert single.content == {"text": "Hello"}
    assert messages.get(one).path == f"/v1/messages/{one}"


def test_the_listed_log_does_not_contain_the_recipient() -> None:
    box, _ = filled()
    assert TO.encode() not in get(box, "/v1/messages").body


@pytest.mark.parametrize("after", [0.0, 4192 / 2**22, 4193 / 2**22, 4194 / 2**22, 0.0015, 0.1, 0.9999999])
def test_a_message_is_found_from_and_to_the_time_that_is_shown_for_it(after: float) -> None:
    box = still()
    _ = send(box, now=NOW + after)
    shown = said(get(box, "/v1/messages", now=NOW + 9))["messages"][0]["created_at"]
    for query in (f"from={shown}", f"to={shown}", f"from={shown}&to={shown}"):
        assert len(said(get(box, f"/v1/messages?{query}", now=NOW + 9))["messages"]) == 1
