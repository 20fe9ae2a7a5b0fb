"""messages.wire: one table for writing, reading and naming fields."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msgapi import messages
from msgapi.codec import Problems
from msgapi.messages import (
    Card,
    Carousel,
    CreateCalendarEvent,
    Dial,
    Email,
    Media,
    Message,
    OpenUrl,
    OpenUrlInWebview,
    Reply,
    RichCard,
    ShareLocation,
    Text,
    ViewLocation,
)
from tests.support.strategies import JUNK, MESSAGES

TO = "+4915112345678"
RCS: dict[str, Any] = {"agent_id": "ag_live_demo", "to": TO, "traffic_type": "TRANSACTION"}
BODY: dict[str, Any] = {**RCS, "message_type": "MESSAGE"}
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
CARD = Card(title="T", media=Media(url="https://x.example/a.png", height="TALL"))


def written(message: Message) -> dict[str, Any]:
    call = messages.send(message)
    assert call.invalid is None
    assert call.body is not None
    body: dict[str, Any] = json.loads(call.body)
    return body


def problems_of(value: object) -> dict[str, str]:
    found = messages.read(value)
    assert isinstance(found, Problems)
    return {detail.field: detail.message for detail in found.details}


def test_a_text_stands_on_the_wire_as_documented() -> None:
    message = Text(**RCS, text="Hi", suggestions=(Reply(text="Yes", postback_data="yes"),), ttl="900s")
    assert written(message) == {
        **BODY,
        "content": {"text": "Hi", "suggestions": [{"reply": {"text": "Yes", "postback_data": "eWVz"}}]},
        "ttl": "900s",
    }


@pytest.mark.parametrize(
    ("chip", "inner"),
    [
        (OpenUrl(text="Go", url="https://x.example"), {"open_url": {"url": "https://x.example"}}),
        (OpenUrlInWebview(text="Go", url="http://x.example"), {"open_url_in_webview": {"url": "http://x.example"}}),
        (Dial(text="Go", phone_number=TO), {"dial": {"phone_number": TO}}),
        (
            ViewLocation(text="Go", latitude=50.5, longitude=-8, label="Here"),
            {"view_location": {"latitude": 50.5, "longitude": -8, "label": "Here"}},
        ),
        (ShareLocation(text="Go"), {"share_location": {}}),
        (
            CreateCalendarEvent(text="Go", title="T", start_time=NOON, end_time=NOON.replace(hour=13), description="D"),
            {
                "create_calendar_event": {
                    "title": "T",
                    "start_time": "2026-05-04T12:00:00Z",
                    "end_time": "2026-05-04T13:00:00Z",
                    "description": "D",
                }
            },
        ),
        (
            ShareLocation(text="Go", fallback_url="https://x.example"),
            {"share_location": {}, "fallback_url": "https://x.example"},
        ),
    ],
)
def test_every_action_stands_under_its_own_name(chip: messages.Suggestion, inner: dict[str, Any]) -> None:
    message = Text(**RCS, text="Hi", suggestions=(chip,))
    body = written(message)
    assert body["content"]["suggestions"] == [{"action": {"text": "Go", **inner}}]
    assert messages.read(body) == message


def test_a_card_of_its_own_stands_nested_under_standalone() -> None:
    card = {"title": "T", "media": {"url": "https://x.example/a.png", "height": "TALL"}}
    assert written(RichCard(**RCS, card=CARD, orientation="HORIZONTAL")) == {
        **BODY,
        "content": {"rich_card": {"standalone": {"content": card, "orientation": "HORIZONTAL"}}},
    }


def test_the_cards_of_a_carousel_stand_directly_in_their_list() -> None:
    card = {"title": "T", "media": {"url": "https://x.example/a.png", "height": "TALL"}}
    assert written(Carousel(**RCS, cards=(CARD, CARD))) == {
        **BODY,
        "content": {"rich_card": {"carousel": {"card_width": "MEDIUM", "cards": [card, card]}}},
    }


def test_an_email_has_its_content_or_its_template() -> None:
    inline = Email(channel_id="ch_1", to="a@b.example", subject="S", html="<p>", text="t")
    assert written(inline) == {
        "channel_id": "ch_1",
        "to": "a@b.example",
        "message_type": "MESSAGE",
        "subject": "S",
        "content": {"html": "<p>", "text": "t"},
    }
    rendered = Email(channel_id="ch_1", to="a@b.example", template_id="tpl_1", template_data={"a": [1, {"b": None}]})
    assert written(rendered) == {
        "channel_id": "ch_1",
        "to": "a@b.example",
        "message_type": "MESSAGE",
        "template_id": "tpl_1",
        "template_data": {"a": [1, {"b": None}]},
    }


@given(MESSAGES)
def test_what_is_written_reads_back_as_the_same_message(message: Message) -> None:
    assert messages.check(message) == ()
    assert messages.read(written(message)) == message


def test_every_problem_is_told_at_its_path_and_without_the_value() -> None:
    chips = [
        {"reply": {"text": 1, "postback_data": "secret!"}},
        {"action": {"text": "x", "share_location": {"accuracy": 1}}},
        {"action": {"text": "x", "open_url": "secret"}},
        {"reply": {"text": "x"}, "action": {"text": "y", "dial": {"phone_number": TO}}},
        {"action": {"text": "x", "fly": {}}},
        "secret",
    ]
    body = {**BODY, "to": 7, "ttl": [], "content": {"suggestions": chips, "footer": "secret"}, "colour": "secret"}
    found = problems_of(body)
    kinds = ", ".join(["reply", *(f"action.{name}" for name in ACTIONS)])
    assert found == {
        "to": "must be a string, not a number",
        "ttl": "must be a string, not an array",
        "colour": "is not a known field",
        "content.text": "is required",
        "content.footer": "is not a known field",
        "content.suggestions[0].reply.text": "must be a string, not a number",
        "content.suggestions[0].reply.postback_data": "must be base64 of UTF-8",
        "content.suggestions[1].action.share_location.accuracy": "is not a known field",
        "content.suggestions[2].action.open_url": "must be an object, not a string",
        "content.suggestions[3]": f"must have exactly one of {kinds}",
        "content.suggestions[4]": f"must have exactly one of {kinds}",
        "content.suggestions[5]": f"must have exactly one of {kinds}",
    }
    assert "secret" not in str(messages.read(body))


ACTIONS = ("open_url", "open_url_in_webview", "dial", "view_location", "share_location", "create_calendar_event")


@pytest.mark.parametrize("data", ["eWV", "eWVz\n", "ÿ", "/w==", 5, ["eWVz"]])
def test_postback_data_that_are_not_base64_of_text_are_a_problem(data: object) -> None:
    body = {**BODY, "content": {"text": "x", "suggestions": [{"reply": {"text": "y", "postback_data": data}}]}}
    assert problems_of(body) == {"content.suggestions[0].reply.postback_data": "must be base64 of UTF-8"}


@pytest.mark.parametrize(
    ("body", "field", "said"),
    [
        (None, "", "must be an object, not null"),
        ([], "", "must be an object, not an array"),
        ({**BODY, "content": {"text": "x"}, "channel_id": "ch"}, "channel_id", "must not be given beside agent_id"),
        ({**BODY, "content": {"text": "x", "rich_card": {}}}, "content", "must have exactly one of text, rich_card"),
        (
            {**BODY, "content": {"rich_card": {"standalone": {}, "carousel": {}}}},
            "content.rich_card",
            "must have exactly one of standalone, carousel",
        ),
        ({**BODY, "content": {"rich_card": {}}}, "content.rich_card.standalone.content", "is required"),
        ({**BODY, "content": {"rich_card": 5}}, "content.rich_card", "must be an object, not a number"),
        ({**BODY, "content": "x"}, "content", "must be an object, not a string"),
        ({**BODY, "content": None}, "content.text", "is required"),
        ({**RCS, "content": {"text": "x"}}, "message_type", "is required"),
        ({**BODY, "agent_id": None, "content": {"text": "x"}}, "agent_id", "is required"),
        ({**BODY, "content": {"text": "x"}, "idempotency_key": 5}, "idempotency_key", "must be a string"),
        (
            {**BODY, "content": {"text": "x", "suggestions": {}}},
            "content.suggestions",
            "must be an array, not an object",
        ),
        (
            {"channel_id": "c", "to": "a@b.example", "message_type": "MESSAGE", "template_data": []},
            "template_data",
            "must be an object, not an array",
        ),
    ],
)
def test_a_body_that_is_no_message_is_a_problem_at_its_path(body: object, field: str, said: str) -> None:
    assert problems_of(body)[field] == said


def test_a_key_in_the_body_is_passed_over() -> None:
    body = {**BODY, "content": {"text": "x"}, "idempotency_key": "k"}
    assert messages.read(body) == Text(**RCS, text="x")
    assert "idempotency_key" in body


def test_a_value_outside_an_enum_is_read_and_left_to_the_limits() -> None:
    message = messages.read({**BODY, "traffic_type": "TRANSACTIONAL", "content": {"text": "x"}})
    assert isinstance(message, Text)
    assert [detail.field for detail in messages.check(message)] == ["traffic_type"]


@given(st.one_of(JUNK, st.fixed_dictionaries({}, optional=dict.fromkeys([*BODY, "channel_id", "content"], JUNK))))
def test_reading_never_raises(value: object) -> None:
    message = messages.read(value)
    assert isinstance(message, Problems) or messages.check(message) is not None
