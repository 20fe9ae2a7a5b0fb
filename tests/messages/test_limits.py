"""messages.calls: every documented limit, on both sides of its boundary."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from types import MappingProxyType
from typing import Any, TypeVar, cast

import attrs
import pytest

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
    Suggestion,
    Text,
    ViewLocation,
    check,
)

T = TypeVar("T")
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
TEXT = Text(agent_id="ag_live_demo", to="+4915112345678", traffic_type="TRANSACTION", text="Hi")
CARD = Card(title="T", suggestions=(Reply(text="Yes"),))
RICH = RichCard(agent_id="ag_live_demo", to="+4915112345678", traffic_type="PROMOTION", card=CARD)
ROW = Carousel(agent_id="ag_live_demo", to="+4915112345678", traffic_type="PROMOTION", cards=(CARD, CARD))
INLINE = Email(channel_id="ch_1", to="ann@example.org", subject="S", text="Hi")
RENDERED = Email(channel_id="ch_1", to="ann@example.org", template_id="tpl_1")
MEDIA = Media(url="https://x.example/a.png")
PLACE = ViewLocation(text="Go", latitude=0, longitude=0)
EVENT = CreateCalendarEvent(text="Go", title="T", start_time=NOON, end_time=NOON + timedelta(hours=1))


def evolve(part: T, **fields: Any) -> T:  # noqa: ANN401 - as an untyped caller may
    return attrs.evolve(part, **fields)  # type: ignore[misc]


def told(message: object) -> dict[str, str]:
    return {detail.field: detail.message for detail in check(cast("Message", message))}


def with_chip(chip: Suggestion) -> Text:
    return evolve(TEXT, suggestions=(chip,))


@pytest.mark.parametrize("message", [TEXT, RICH, ROW, INLINE, RENDERED])
def test_a_valid_message_has_no_problems(message: Message) -> None:
    assert check(message) == ()


BREAKS = "\n\r\v\f\0\x1b\x1c\x7f\x85\x9b\u2028\u2029"
GOOD: list[tuple[Any, str, list[Any]]] = [
    (TEXT, "to", ["+1234567", "+123456789012345"]),
    (TEXT, "text", ["x", "x" * 3072, "\U0001f600" * 3072]),
    (TEXT, "ttl", ["1s", "900s", "24h", "0.5s", "0.000000001s", None]),
    (TEXT, "message_type", ["MESSAGE", "CONVERSATION", "NEWSLETTER"]),
    (
        TEXT,
        "traffic_type",
        ["AUTHENTICATION", "TRANSACTION", "PROMOTION", "SERVICEREQUEST", "ACKNOWLEDGEMENT"],
    ),
    (TEXT, "suggestions", [(), (Reply(text="x"),) * 11]),
    (RICH, "orientation", ["VERTICAL", "HORIZONTAL"]),
    (RICH, "card", [Card(description="d"), Card(media=MEDIA), Card(suggestions=(Reply(text="x"),)), Card(title="t")]),
    (ROW, "card_width", ["SMALL", "MEDIUM"]),
    (ROW, "cards", [(CARD,) * 2, (CARD,) * 10]),
    (CARD, "title", ["x" * 200, "", None]),
    (CARD, "description", ["x" * 2000, "", None]),
    (CARD, "suggestions", [(Reply(text="x"),) * 4, ()]),
    (MEDIA, "url", ["https://x.example/a", "HTTPS://x.example:8443/a?b#c", "https://münchen.example/ä"]),
    (MEDIA, "thumbnail_url", [None, "https://x.example"]),
    (MEDIA, "height", [None, "SHORT", "MEDIUM", "TALL"]),
    (Reply(text="x"), "text", ["x" * 25]),
    (Reply(text="x"), "postback_data", [None, "", "x" * 1536, "ä" * 768]),
    (OpenUrl(text="x", url="https://x.example"), "url", ["http://x.example", "https://x"]),
    (OpenUrl(text="x", url="https://x.example"), "fallback_url", [None, "http://x.example"]),
    (OpenUrlInWebview(text="x", url="https://x.example"), "url", ["http://x.example"]),
    (Dial(text="x", phone_number="+4915112345678"), "phone_number", ["+1234567"]),
    (ShareLocation(text="x"), "text", ["y" * 25]),
    (PLACE, "latitude", [-90, 90.0, 0]),
    (PLACE, "longitude", [-180, 180.0]),
    (PLACE, "label", [None, "", "Here"]),
    (
        EVENT,
        "end_time",
        [NOON + timedelta(microseconds=1), NOON.astimezone(timezone(timedelta(hours=-9))) + timedelta(1)],
    ),
    (EVENT, "description", [None, "", "x"]),
    (INLINE, "to", ["a@b.c", f"{'a' * 250}@b.c", "ännchen@münchen.example", "o'ann+x@example.org"]),
    (INLINE, "subject", ["x", "ä"]),
    (Email(channel_id="ch_1", to="ann@example.org", subject="S", html="<p>"), "text", ["", None, "x"]),
    (INLINE, "html", ["<p>"]),
    (INLINE, "message_type", ["MESSAGE", "NEWSLETTER"]),
    (RENDERED, "template_version", [None, "4"]),
    (RENDERED, "subject", [None, "S"]),
    (
        RENDERED,
        "template_data",
        [
            None,
            {},
            {"a": [1, 2.5, None, True, "ä", {"b": ()}], "n": -(2**63), "m": 2**64 - 1},
            MappingProxyType({"price": Decimal("1.50"), "at": NOON}),
        ],
    ),
]
BAD: list[tuple[Any, str, list[Any]]] = [
    (TEXT, "agent_id", ["", None, 5, "\ud800"]),
    (
        TEXT,
        "to",
        [
            "",
            "4915112345678",
            "+0123456789",
            "+123456",
            "+1234567890123456",
            "+49 1511234567",
            "+4915112345678\n",
            "+49151234567\u0661",
            None,
            5,
            ["+4915112345678"],
        ],
    ),
    (TEXT, "text", ["", "x" * 3073, None, 5, b"x", "\ud800"]),
    (TEXT, "ttl", ["", "0s", "0.000s", "0h", "900", "1.5h", "0.0000000001s", "-1s", "1m", "\u0661s", 900, "900s\n"]),
    (TEXT, "message_type", ["", "message", None, 5, ["MESSAGE"]]),
    (TEXT, "traffic_type", ["TRANSACTIONAL", None, {}]),
    (TEXT, "suggestions", [(Reply(text="x"),) * 12, [Reply(text="x")], None, "x"]),
    (RICH, "orientation", ["UP", None]),
    (RICH, "card", [Card(), Card(title=""), None, {}, "x"]),
    (ROW, "card_width", ["LARGE", None]),
    (ROW, "cards", [(CARD,), (CARD,) * 11, (), [CARD, CARD], None]),
    (CARD, "title", ["x" * 201, 5, "\udfff"]),
    (CARD, "description", ["x" * 2001, 5]),
    (CARD, "media", ["https://x.example", {}]),
    (CARD, "suggestions", [(Reply(text="x"),) * 5, None]),
    (MEDIA, "url", ["http://x.example", "", None, "https://", "https://x .example", "https://x.example/\n", "x", 5]),
    (MEDIA, "thumbnail_url", ["", "http://x.example"]),
    (MEDIA, "height", ["HUGE", ""]),
    (Reply(text="x"), "text", ["", "x" * 26, None, 5]),
    (Reply(text="x"), "postback_data", ["x" * 1537, "ä" * 769, 5, b"x", "\ud800"]),
    (
        OpenUrl(text="x", url="https://x.example"),
        "url",
        ["ftp://x.example", "javascript:alert(1)", "https:x", "https://[", "https://x:99999", "https://x:0", None],
    ),
    (OpenUrl(text="x", url="https://x.example"), "fallback_url", ["", "x"]),
    (OpenUrlInWebview(text="x", url="https://x.example"), "url", ["mailto:a@b.c"]),
    (Dial(text="x", phone_number="+4915112345678"), "phone_number", ["110", None]),
    (ShareLocation(text="x"), "text", ["", "y" * 26]),
    (PLACE, "latitude", [-90.1, 91, float("nan"), True, "0", None, Decimal(0)]),
    (PLACE, "longitude", [-180.1, 181, float("inf")]),
    (PLACE, "label", [5]),
    (EVENT, "title", ["", None]),
    (EVENT, "start_time", [NOON.replace(tzinfo=None), "2026-05-04T12:00:00Z", None, NOON.date()]),
    (EVENT, "start_time", [datetime.max.replace(tzinfo=timezone(timedelta(hours=-9)))]),
    (EVENT, "end_time", [NOON, NOON - timedelta(hours=1), None]),
    (EVENT, "description", [5]),
    (INLINE, "channel_id", ["", None]),
    (
        INLINE,
        "to",
        [
            "",
            "ann",
            "@example.org",
            "ann@",
            "ann@example",
            "ann@.org",
            "ann@example.",
            "a@b@c.org",
            "a b@example.org",
            "ann@example.org\r\nBcc: x@y.org",
            "ann@example.org\n",
            "Ann <ann@example.org>",
            "a,b@example.org",
            f"{'a' * 251}@b.c",
            None,
            5,
            "\ud800@example.org",
            "a\u202eb@example.org",
        ],
    ),
    (INLINE, "subject", ["", "a\r\nBcc: x@y.org", *(f"a{sign}b" for sign in BREAKS), 5, None]),
    (INLINE, "html", [5, "\ud800"]),
    (INLINE, "message_type", ["CONVERSATION", None]),
    (RENDERED, "template_id", ["", 5]),
    (RENDERED, "template_version", ["", 4]),
    (
        RENDERED,
        "template_data",
        [
            [],
            "x",
            {1: 2},
            {"\ud800": 1},
        ],
    ),
    *(
        (RENDERED, "template_data.a", [{"a": value}])
        for value in (
            b"x",
            {1},
            float("nan"),
            "\ud800",
            object(),
            2**64,
            -(2**63) - 1,
            Decimal("NaN"),
            NOON.replace(tzinfo=None),
        )
    ),
]


def cases(table: list[tuple[Any, str, list[Any]]]) -> Iterator[tuple[Message, str]]:
    for base, name, values in table:
        for value in values:
            part = evolve(base, **{name.partition(".")[0]: value})
            if isinstance(part, Message):
                yield part, name
            elif isinstance(part, Media):
                yield evolve(RICH, card=evolve(CARD, media=part)), f".content.media.{name}"
            elif isinstance(part, Card):
                yield evolve(ROW, cards=(CARD, part)), f".cards[1].{name}"
            else:
                yield with_chip(part), f".suggestions[0].{name}"


@pytest.mark.parametrize(("message", "name"), list(cases(GOOD)))
def test_a_value_that_the_contract_allows_has_no_problem(message: Message, name: str) -> None:
    assert check(message) == (), name


@pytest.mark.parametrize(("message", "name"), list(cases(BAD)))
def test_a_value_that_the_contract_does_not_allow_has_one_problem_at_its_path(message: Message, name: str) -> None:
    ((field, said),) = told(message).items()
    parent, _, leaf = name.rpartition(".")
    assert field.endswith({"card": "standalone.content"}.get(leaf, leaf))
    assert parent in field
    assert said
