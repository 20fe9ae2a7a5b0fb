"""Strategies for messages that can be sent, and for what an untyped caller may put into one."""

from collections.abc import Mapping
from datetime import UTC, timedelta, timezone
from decimal import Decimal
from typing import Any, NamedTuple, get_args

import attrs
from hypothesis import strategies as st

from msgapi.messages import (
    Card,
    CardWidth,
    Carousel,
    CreateCalendarEvent,
    Dial,
    Email,
    Media,
    MediaHeight,
    Message,
    MessageType,
    OpenUrl,
    OpenUrlInWebview,
    Orientation,
    Reply,
    RichCard,
    ShareLocation,
    Suggestion,
    Text,
    TrafficType,
    ViewLocation,
)

MODELS: tuple[type, ...] = (*get_args(Message), *get_args(Suggestion), Card, Media)


def one_of(literal: object) -> st.SearchStrategy[Any]:
    return st.sampled_from(get_args(literal))


def texts(most: int) -> st.SearchStrategy[str]:
    return st.text(min_size=1, max_size=most)


NUMBERS = st.from_regex(r"\+[1-9][0-9]{6,14}", fullmatch=True)
ADDRESSES = st.from_regex(r"[a-z.+]{1,20}@[a-zäö]{1,20}(\.[a-z]{1,10}){1,3}", fullmatch=True)
LINKS = st.from_regex(r"https?://[a-z]{1,10}\.example(:[1-9][0-9]{1,3})?/[a-z0-9/?&=#%]{0,40}", fullmatch=True)
FILES = LINKS.map(lambda link: link.replace("http://", "https://"))
ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
TIMES = st.datetimes(timezones=st.one_of(st.just(UTC), ZONES)).filter(lambda time: 2 <= time.year <= 9000)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)

ACTION: Mapping[str, Any] = {"text": texts(25), "fallback_url": st.none() | LINKS}
SUGGESTIONS: st.SearchStrategy[Suggestion] = st.one_of(
    st.builds(Reply, text=texts(25), postback_data=st.none() | st.text(max_size=380)),
    st.builds(OpenUrl, **ACTION, url=LINKS),
    st.builds(OpenUrlInWebview, **ACTION, url=LINKS),
    st.builds(Dial, **ACTION, phone_number=NUMBERS),
    st.builds(
        ViewLocation, **ACTION, latitude=st.floats(-90, 90), longitude=st.floats(-180, 180), label=st.none() | st.text()
    ),
    st.builds(ShareLocation, **ACTION),
    st.tuples(TIMES, st.timedeltas(timedelta(microseconds=1), timedelta(days=9))).flatmap(
        lambda when: st.builds(
            CreateCalendarEvent,
            **ACTION,
            title=texts(30),
            start_time=st.just(when[0]),
            end_time=st.just(when[0] + when[1]),
            description=st.none() | st.text(),
        )
    ),
)


def chips(most: int) -> st.SearchStrategy[tuple[Suggestion, ...]]:
    return st.lists(SUGGESTIONS, max_size=most).map(tuple)


CARDS = st.builds(
    Card,
    title=st.none() | texts(200),
    description=texts(60),
    media=st.none()
    | st.builds(Media, url=FILES, thumbnail_url=st.none() | FILES, height=st.none() | one_of(MediaHeight)),
    suggestions=chips(4),
)
RCS: Mapping[str, Any] = {
    "agent_id": texts(20),
    "to": NUMBERS,
    "message_type": one_of(MessageType),
    "traffic_type": one_of(TrafficType),
    "ttl": st.sampled_from([None, "900s", "24h", "0.5s"]),
}
EMAIL: Mapping[str, Any] = {
    "channel_id": texts(20),
    "to": ADDRESSES,
    "message_type": st.sampled_from(["MESSAGE", "NEWSLETTER"]),
}
MESSAGES: st.SearchStrategy[Message] = st.one_of(
    st.builds(Text, **RCS, text=texts(400), suggestions=chips(11)),
    st.builds(RichCard, **RCS, orientation=one_of(Orientation), card=CARDS),
    st.builds(Carousel, **RCS, card_width=one_of(CardWidth), cards=st.lists(CARDS, min_size=2, max_size=3).map(tuple)),
    st.builds(Email, **EMAIL, subject=st.just("Your order"), html=texts(50), text=st.none() | st.text()),
    st.builds(
        Email,
        **EMAIL,
        template_id=texts(20),
        template_version=st.none() | texts(4),
        template_data=st.none() | st.dictionaries(st.text(), JSON, max_size=4),
    ),
)


class Kilos(float):
    """A number of a library's own, such as numpy.float64."""


class Point(NamedTuple):
    x: object
    y: object


WILD_TEXT = st.text(st.characters(), max_size=20)
JUNK: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.floats().map(Kilos),
        st.builds(Point, st.floats().map(Kilos), st.integers()),
        st.decimals(),
        WILD_TEXT,
        st.binary(max_size=5),
        st.datetimes(timezones=st.none() | ZONES),
        st.dates(),
        st.builds(object),
        st.sampled_from([10**300, "\ud800", "+49151234567\u0661", ".", "..", Decimal("sNaN"), Text]),
        st.sampled_from(["https://[", "http://x:99999", "https://\u2100.example"]),
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.one_of(WILD_TEXT, st.integers()), inner, max_size=3)
    ),
    max_leaves=5,
)


def any_message() -> st.SearchStrategy[Any]:
    """Every model, each field of it either junk, another model, or as it should be."""
    return st.deferred(lambda: st.sampled_from(MODELS).flatmap(_wild))


PARTS: st.SearchStrategy[Any] = st.deferred(
    lambda: st.one_of(
        JUNK, SUGGESTIONS, CARDS, st.lists(st.one_of(SUGGESTIONS, JUNK, any_message()), max_size=3).map(tuple)
    )
)


def _wild(model: type) -> st.SearchStrategy[Any]:
    parts = st.fixed_dictionaries({one.name: st.one_of(PARTS, _fit(model, one.name)) for one in attrs.fields(model)})
    return parts.map(lambda fields: model(**fields))


def _fit(model: type, name: str) -> st.SearchStrategy[Any]:
    fitting: dict[str, st.SearchStrategy[Any]] = {
        **RCS,
        **EMAIL,
        "to": NUMBERS | ADDRESSES,
        "text": texts(25),
        "url": FILES,
        "title": texts(20),
    }
    return fitting.get(name, st.just(attrs.fields_dict(model)[name].default))
