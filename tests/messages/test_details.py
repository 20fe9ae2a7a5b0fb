"""messages.calls: the details of a message that is not valid."""

from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar, cast

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msgapi import messages
from msgapi.messages import (
    USE_CASES,
    Card,
    Carousel,
    CreateCalendarEvent,
    Email,
    Media,
    Message,
    Reply,
    RichCard,
    Suggestion,
    Text,
    ViewLocation,
    check,
    check_key,
)
from msgapi.schema.validators import email_address
from tests.support.strategies import JUNK, any_message

T = TypeVar("T")
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
TEXT = Text(agent_id="ag_live_demo", to="+4915112345678", traffic_type="TRANSACTION", text="Hi")
CARD = Card(title="T", suggestions=(Reply(text="Yes"),))
RICH = RichCard(agent_id="ag_live_demo", to="+4915112345678", traffic_type="PROMOTION", card=CARD)
ROW = Carousel(agent_id="ag_live_demo", to="+4915112345678", traffic_type="PROMOTION", cards=(CARD, CARD))
INLINE = Email(channel_id="ch_1", to="ann@example.org", subject="S", text="Hi")
RENDERED = Email(channel_id="ch_1", to="ann@example.org", template_id="tpl_1")
PLACE = ViewLocation(text="Go", latitude=0, longitude=0)
EVENT = CreateCalendarEvent(text="Go", title="T", start_time=NOON, end_time=NOON + timedelta(hours=1))

CHIPS = "Reply, OpenUrl, OpenUrlInWebview, Dial, ViewLocation, ShareLocation, CreateCalendarEvent"


def evolve(part: T, **fields: Any) -> T:  # noqa: ANN401 - as an untyped caller may
    return attrs.evolve(part, **fields)  # type: ignore[misc]


def told(message: object) -> dict[str, str]:
    return {detail.field: detail.message for detail in check(cast("Message", message))}


def with_chip(chip: Suggestion) -> Text:
    return evolve(TEXT, suggestions=(chip,))


@pytest.mark.parametrize(
    ("message", "field", "said"),
    [
        (evolve(TEXT, text="x" * 3073), "content.text", "must have at most 3072 characters, and has 3073"),
        (evolve(TEXT, text=5), "content.text", "must be a string, not int"),
        (evolve(TEXT, to=None), "to", "must be a phone number in E.164: + and 7 to 15 digits, the first not 0"),
        (
            evolve(TEXT, suggestions=[Reply(text="x")]),
            "content.suggestions",
            "must be a tuple, not list",
        ),
        (
            evolve(TEXT, suggestions=(Reply(text="x"),) * 12),
            "content.suggestions",
            "must be at most 11, and are 12",
        ),
        (
            evolve(ROW, cards=(CARD,)),
            "content.rich_card.carousel.cards",
            "must be 2 to 10, and are 1",
        ),
        (
            with_chip(Reply(text="x", postback_data="x" * 1537)),
            "content.suggestions[0].reply.postback_data",
            "must have at most 2048 characters in base64, and has 2052",
        ),
        (
            with_chip(evolve(PLACE, latitude=91)),
            "content.suggestions[0].action.view_location.latitude",
            "must be a number from -90 to 90",
        ),
        (
            with_chip(evolve(EVENT, end_time=NOON)),
            "content.suggestions[0].action.create_calendar_event.end_time",
            "must be after start_time",
        ),
        (
            evolve(RICH, card=evolve(CARD, media=Media(url="http://x.example"))),
            "content.rich_card.standalone.content.media.url",
            "must be a URL with a host that starts with https://",
        ),
        (
            evolve(ROW, cards=(CARD, Card())),
            "content.rich_card.carousel.cards[1]",
            "must have a title, a description, media or suggestions",
        ),
        (
            evolve(ROW, cards=(CARD, evolve(CARD, suggestions=(Reply(text=""),)))),
            "content.rich_card.carousel.cards[1].suggestions[0].reply.text",
            "must not be empty",
        ),
        (evolve(TEXT, suggestions=(TEXT,)), "content.suggestions[0]", f"must be one of {CHIPS}"),
        (evolve(INLINE, subject="a\nb"), "subject", "must be a single line"),
        (evolve(INLINE, to="x"), "to", "must be one e-mail address such as name@example.org"),
        (evolve(INLINE, text=None), "content", "is required without a template_id"),
        (evolve(INLINE, text=""), "content", "is required without a template_id"),
        (evolve(INLINE, subject=None), "subject", "is required without a template_id"),
        (evolve(INLINE, template_id="tpl_1"), "template_id", "must not be given beside content"),
        (evolve(RENDERED, html=""), "template_id", "must not be given beside content"),
        (evolve(INLINE, template_version="4"), "template_version", "must not be given without a template_id"),
        (evolve(INLINE, template_data={}), "template_data", "must not be given without a template_id"),
        (evolve(RENDERED, template_data=[]), "template_data", "must be a mapping, not list"),
        (None, "", "must be one of Text, RichCard, Carousel, Email"),
        (CARD, "", "must be one of Text, RichCard, Carousel, Email"),
        (Text, "", "must be one of Text, RichCard, Carousel, Email"),
    ],
)
def test_a_detail_states_the_limit_and_the_size_found(message: object, field: str, said: str) -> None:
    assert told(message) == {field: said}


def test_every_invalid_field_has_a_detail() -> None:
    message = Text(
        agent_id="",
        to="secret",
        traffic_type=cast("Any", "secret"),
        text="",
        suggestions=(Reply(text=""), cast("Any", None)),
        ttl="secret",
    )
    assert list(told(message)) == [
        "agent_id",
        "to",
        "traffic_type",
        "ttl",
        "content.text",
        "content.suggestions[0].reply.text",
        "content.suggestions[1]",
    ]
    assert "secret" not in str(told(message))


def nested(levels: int) -> dict[str, object]:
    data: dict[str, object] = {}
    for _ in range(levels - 1):
        data = {"a": data}
    return data


def test_template_data_may_be_64_levels_deep() -> None:
    assert check(evolve(RENDERED, template_data=nested(64))) == ()
    said = "must be nested in at most 64 levels"
    assert told(evolve(RENDERED, template_data=nested(65))) == {"template_data.a": said}
    endless: dict[str, object] = {}
    endless["a"] = endless
    assert told(evolve(RENDERED, template_data=endless)) == {"template_data.a": said}


def test_the_use_cases_are_those_of_the_docs() -> None:
    assert {name: (use.message_types, use.traffic_types) for name, use in USE_CASES.items()} == {
        "OTP": (("MESSAGE",), ("AUTHENTICATION",)),
        "TRANSACTIONAL": (("MESSAGE", "CONVERSATION"), ("TRANSACTION", "SERVICEREQUEST", "ACKNOWLEDGEMENT")),
        "PROMOTIONAL": (("MESSAGE", "NEWSLETTER"), ("PROMOTION",)),
        "MULTI_USE": (
            ("MESSAGE", "CONVERSATION", "NEWSLETTER"),
            ("AUTHENTICATION", "TRANSACTION", "PROMOTION", "SERVICEREQUEST", "ACKNOWLEDGEMENT"),
        ),
    }


@given(any_message() | JUNK)
def test_neither_checking_nor_sending_raises(value: Any) -> None:  # noqa: ANN401 - anything at all
    details = check(value)
    call = messages.send(value)
    assert (call.invalid is None) == (details == ()) == (call.body is not None)
    assert call.invalid is None or call.invalid.details == details
    assert all(detail.message for detail in details)


@pytest.mark.parametrize("key", ["a", "x" * 255, "batch-7/row!~"])
def test_a_key_of_visible_ascii_is_valid(key: str) -> None:
    assert check_key(key) is None


@pytest.mark.parametrize("key", ["", "x" * 256, "a b", "a\r\nX: y", "a\n", "ä", "\x7f", None, 5])
def test_a_key_that_does_not_fit_into_a_header_is_a_problem(key: Any) -> None:  # noqa: ANN401 - from an untyped caller
    detail = check_key(key)
    assert detail is not None
    assert (detail.field, detail.message) == ("idempotency_key", "must be 1 to 255 visible ASCII characters")


@given(st.text(max_size=300))
def test_any_key_is_either_valid_or_a_problem(key: str) -> None:
    assert (check_key(key) is None) == (0 < len(key) <= 255 and all("!" <= sign <= "~" for sign in key))


def is_one_address(text: str) -> bool:
    """Return whether *text* is one address, by the parts of it."""
    local, _, domain = text.partition("@")
    labels = domain.split(".")
    alone = text.isprintable() and not any(sign in text for sign in " <>,;") and "@" not in domain
    return len(text) <= 254 and alone and bool(local) and len(labels) > 1 and all(labels)


@given(
    st.text(st.sampled_from("aZ0._-+@@.. <>,;\n\u00e4\u0660\"'"), max_size=12)
    | st.text("a.", min_size=240, max_size=250).map("a@".__add__)
)
def test_an_address_of_the_usual_form_is_one_by_its_parts(text: str) -> None:
    assert (email_address(text) is None) == is_one_address(text)
