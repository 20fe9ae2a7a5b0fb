"""webhooks.read, write and sign: deliveries are verified, then parsed."""

import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256
from typing import Any, get_args

import attrs
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msgapi import Balance, webhooks
from msgapi.webhooks import EVENT_TYPES, SIGNATURE_HEADER, Event, InvalidDelivery, KnownEvent, UnknownEvent

SECRET = "whsec_1"
AT = datetime(2026, 5, 4, 7, 30, tzinfo=UTC)
VALUES: Mapping[object, Any] = {
    str: st.text(st.characters(codec="utf-8"), max_size=9),
    bool: st.booleans(),
    datetime: st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    Decimal: st.decimals(0, 5000, places=2),
    Balance: st.builds(Balance, free=st.decimals(0, 99, places=2)),
    Mapping[str, object]: st.dictionaries(st.sampled_from(["latitude", "brand_new"]), st.integers(0, 9)),
    tuple[str, ...]: st.lists(st.sampled_from(["email", "tags"])).map(tuple),
    webhooks.UserMessage: st.builds(webhooks.UserMessage, type=st.just("text"), text=st.text(max_size=9)),
}


def value_of(kind: object) -> st.SearchStrategy[Any]:
    parts = get_args(kind) if kind not in VALUES else (kind,)
    inner = next(part for part in parts if part is not type(None))
    found: st.SearchStrategy[Any] = VALUES[inner]
    return found if len(parts) == 1 else st.none() | found


def made(model: type[KnownEvent]) -> st.SearchStrategy[Any]:
    fields = {one.name: value_of(one.type) for one in attrs.fields(attrs.resolve_types(model)) if one.name != "id"}
    return st.builds(model, id=st.just("evt_1"), **{**fields, "timestamp": VALUES[datetime]})


EVENTS: st.SearchStrategy[Any] = st.one_of(*(made(model) for model in EVENT_TYPES.values()))
SAMPLE = b'{"id":"evt_1","event":"message.read","timestamp":"2026-05-04T07:30:00Z","data":{"message_id":"msg_1"}}'


def signed(body: bytes, secret: str = SECRET) -> dict[str, str]:
    return {SIGNATURE_HEADER: webhooks.sign(body, secret=secret)}


def read(value: object) -> Event | InvalidDelivery:
    body = value if isinstance(value, bytes) else orjson.dumps(value)
    return webhooks.read(signed(body), body, secret=SECRET)


def test_a_signed_event_is_read() -> None:
    assert read(SAMPLE) == webhooks.MessageRead(id="evt_1", timestamp=AT, message_id="msg_1")


def test_the_signature_is_the_documented_hmac() -> None:
    expected = "sha256=" + hmac.new(b"whsec_1", SAMPLE, sha256).hexdigest()
    assert webhooks.sign(SAMPLE, secret=SECRET) == expected


@pytest.mark.parametrize("name", [SIGNATURE_HEADER, SIGNATURE_HEADER.lower(), SIGNATURE_HEADER.upper()])
def test_the_signature_header_is_found_in_any_case(name: str) -> None:
    given_in = {"Host": "x", name: webhooks.sign(SAMPLE, secret=SECRET).upper()}
    assert isinstance(webhooks.read(given_in, SAMPLE, secret=SECRET), webhooks.MessageRead)


@given(EVENTS)
def test_reading_a_written_event_returns_an_equal_event(event: Event) -> None:
    body = webhooks.write(event)
    assert webhooks.read(signed(body), body, secret=SECRET) == event


def test_there_are_twenty_three_events_and_each_has_a_class() -> None:
    assert len(EVENT_TYPES) == len(set(EVENT_TYPES.values())) == 23
    assert set(get_args(KnownEvent)) == set(EVENT_TYPES.values())
    assert set(get_args(Event)) == {*EVENT_TYPES.values(), UnknownEvent}


def test_any_of_several_secrets_is_accepted() -> None:
    for secret in ("old", "new"):
        assert isinstance(webhooks.read(signed(SAMPLE, secret), SAMPLE, secret=["old", "new"]), webhooks.MessageRead)
    assert isinstance(webhooks.read(signed(SAMPLE, "other"), SAMPLE, secret=iter(["old", "new"])), InvalidDelivery)


@pytest.mark.parametrize("secret", ["", [], ["new", ""]])
def test_an_empty_secret_raises_value_error(secret: Any) -> None:  # noqa: ANN401 - as a caller may
    with pytest.raises(ValueError, match="secret"):
        _ = webhooks.read({}, b"", secret=secret)


@pytest.mark.parametrize("body", ["{}", {"id": "evt_1"}, None, bytearray(b"{}")])
def test_a_body_that_is_not_bytes_raises_type_error(body: Any) -> None:  # noqa: ANN401 - as a caller may
    with pytest.raises(TypeError, match="raw bytes"):
        _ = webhooks.read({}, body, secret=SECRET)


@pytest.mark.parametrize(
    "header",
    ["", "sha256=", "sha256", "ä", "\udcff", "sha256=" + "0" * 64, "sha256=" + "0" * 10_000, "md5=0", "=" * 71],
)
def test_a_malformed_signature_is_refused(header: str) -> None:
    assert webhooks.read({SIGNATURE_HEADER: header}, SAMPLE, secret=SECRET) == InvalidDelivery(
        401, "the signature does not match the body"
    )


def test_a_delivery_without_a_signature_is_refused() -> None:
    assert webhooks.read({}, SAMPLE, secret=SECRET) == InvalidDelivery(401, f"there is no {SIGNATURE_HEADER} header")


@given(st.integers(0, len(SAMPLE) * 8 - 1))
def test_a_body_with_one_bit_changed_is_refused(at: int) -> None:
    body = bytearray(SAMPLE)
    body[at // 8] ^= 1 << at % 8
    assert isinstance(webhooks.read(signed(SAMPLE), bytes(body), secret=SECRET), InvalidDelivery)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"null",
        b"7",
        b'"x"',
        b"{}",
        b'{"event": []}',
        b'{"id": 7, "event": "message.read"}',
        b'{"id": "", "event": "message.read"}',
        b'{"id": "evt_1", "event": {}}',
        b"[" * 100_000,
        b'{"id":"evt_1","event":' * 3000,
        b"x" * 10_000_000,
    ],
    ids=lambda body: repr(body[:30]),
)
def test_a_signed_body_that_is_not_an_event_is_refused(body: bytes) -> None:
    refused = read(body)
    assert isinstance(refused, InvalidDelivery)
    assert refused.status == 400


@given(st.dictionaries(st.text(), st.text()), st.binary())
def test_reading_never_raises_for_any_headers_and_body(headers: dict[str, str], body: bytes) -> None:
    assert webhooks.read(headers, body, secret=SECRET)
    assert webhooks.read({**headers, SIGNATURE_HEADER: webhooks.sign(body, secret=SECRET)}, body, secret=SECRET)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=9,
)


@given(
    st.sampled_from([*EVENT_TYPES, "other"]),
    st.dictionaries(st.sampled_from([one.name for model in EVENT_TYPES.values() for one in attrs.fields(model)]), JSON),
    JSON,
)
@settings(max_examples=400)
def test_a_signed_event_is_never_refused_because_of_its_data(
    name: str, data: dict[str, Any], timestamp: object
) -> None:
    event = read({"id": "evt_1", "event": name, "timestamp": timestamp, "data": data})
    assert not isinstance(event, InvalidDelivery)
    assert event.id == "evt_1"
    if isinstance(event, UnknownEvent):
        assert event.event == name
        assert (name == "other") == (not event.problems)


WILD = st.sampled_from(
    ["NaN", "-Infinity", "1e999", "9" * 30, "-" + "9" * 400, '"\\ud800"', '{"\\udfff":1}', "-0.0", "1E5"]
)
RAW = st.recursive(
    WILD | JSON.map(lambda value: orjson.dumps(value).decode()),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda parts: f"[{','.join(parts)}]")
        | st.dictionaries(st.sampled_from(["extra", "id", "a"]), inner, max_size=3).map(
            lambda parts: "{%s}" % ",".join(f'"{name}":{part}' for name, part in parts.items())  # noqa: UP031
        )
    ),
    max_leaves=4,
)
NAMES = sorted(
    {one.name for model in EVENT_TYPES.values() for one in attrs.fields(model)} | {"from", "with", "text", "x"}
)


@given(
    st.sampled_from([*EVENT_TYPES, "other"]),
    st.dictionaries(st.sampled_from(NAMES), RAW, max_size=6),
    st.dictionaries(st.sampled_from(["timestamp", "data"]), RAW),
    st.booleans(),
)
@settings(max_examples=600)
def test_whatever_is_read_can_be_written_and_reads_the_same(
    name: str, data: dict[str, str], envelope: dict[str, str], known: bool
) -> None:
    ids = dict.fromkeys(("message_id", "agent_id", "contact_id"), '"i_1"') if known else {}
    inner = ",".join(f'"{one}":{part}' for one, part in {**ids, **data}.items())
    parts = {"id": '"evt_1"', "event": f'"{name}"', "data": "{" + inner + "}", **envelope}
    body = "{" + ",".join(f'"{one}":{part}' for one, part in parts.items()) + "}"
    event = read(body.encode())
    assert not isinstance(event, InvalidDelivery)
    assert read(webhooks.write(event)) == event


@given(st.integers(0, len(SAMPLE)), st.binary(max_size=5), st.integers(0, 9))
@settings(max_examples=400)
def test_a_damaged_body_that_was_signed_is_an_event_or_refused(at: int, more: bytes, cut: int) -> None:
    body = SAMPLE[:at] + more + SAMPLE[at + cut :]
    assert isinstance(read(body), webhooks.MessageRead | UnknownEvent | InvalidDelivery)


def test_an_event_with_an_unknown_name_is_an_unknown_event() -> None:
    event = read({"id": "evt_1", "event": "campaign.ended", "timestamp": "2026-05-04T07:30:00Z", "data": {"a": 1}})
    assert event == UnknownEvent(id="evt_1", event="campaign.ended", timestamp=AT, data={"a": 1})


def test_an_event_without_what_it_requires_names_the_paths_and_quotes_no_value() -> None:
    event = read({"id": "evt_1", "event": "message.read", "timestamp": "soon", "data": {"to": 7, "message_id": 5}})
    assert event == UnknownEvent(
        id="evt_1",
        event="message.read",
        data={"to": 7, "message_id": 5},
        problems=("must be a string, not a number @ $.message_id",),
        extra={"timestamp": "soon"},
    )
    assert read(webhooks.write(event)) == event


@pytest.mark.parametrize("name", EVENT_TYPES)
@pytest.mark.parametrize("odd", [7.5, [], {"a": [1]}, True, [[None]]])
def test_an_odd_field_is_kept_as_it_came_and_does_not_cost_the_event(name: str, odd: object) -> None:
    whole = {"message_id": "msg_1", "agent_id": "ag_1", "contact_id": "c_1"}
    required = {one.name for one in attrs.fields(EVENT_TYPES[name]) if one.default is attrs.NOTHING}
    renamed = {"conversation.started": "from", "conversation.ended": "with"}
    for one in attrs.fields(EVENT_TYPES[name]):
        if one.name in {*required, "extra", "timestamp"}:
            continue
        wire = renamed.get(name, "user") if one.name == "user" else one.name
        event = read({"id": "evt_1", "event": name, "timestamp": "2026-05-04T07:30:00Z", "data": {**whole, wire: odd}})
        assert isinstance(event, EVENT_TYPES[name])
        assert event.timestamp == AT
        raw = orjson.loads(webhooks.write(event))["data"]
        assert raw[wire] == odd
        assert read(webhooks.write(event)) == event
    odd_time = read({"id": "evt_1", "event": name, "timestamp": odd, "data": whole})
    assert isinstance(odd_time, EVENT_TYPES[name])
    assert odd_time.extra["timestamp"] == odd
    assert read(webhooks.write(odd_time)) == odd_time


def test_reading_a_written_unknown_event_returns_an_equal_event() -> None:
    for event in (
        UnknownEvent(id="evt_1", event="campaign.ended", timestamp=AT, data={"a": 1}),
        UnknownEvent(id="evt_1", event="campaign.ended"),
    ):
        assert read(webhooks.write(event)) == event


def test_data_that_are_not_an_object_are_left_out() -> None:
    problems = ("data: must be an object",)
    event = read({"id": "evt_1", "event": "campaign.ended", "data": [1]})
    assert event == UnknownEvent(id="evt_1", event="campaign.ended", problems=problems, extra={"data": [1]})
    assert read(webhooks.write(event)) == event


@pytest.mark.parametrize(
    ("sent", "plain"),
    [
        ("eWVzLTc=", "yes-7"),
        ("Yes!", "Yes!"),
        ("/w==", "/w=="),
        (None, None),
        ("MENU", "0CT"),
        ("", ""),
        ("AAAA", "AAAA"),
        ("f39/", "f39/"),
        ("YQpiCWM=", "a\nb\tc"),
        ("wpA=", "wpA="),
    ],
)
def test_postback_data_are_decoded_and_kept_if_they_are_not_base64(sent: str | None, plain: str | None) -> None:
    message = {"type": "suggested_reply", "text": "Yes", "postback_data": sent}
    data = {"agent_id": "ag_1", "from": "+4915112345678", "user_message": message}
    event = read({"id": "evt_1", "event": "conversation.started", "timestamp": "2026-05-04T07:30:00Z", "data": data})
    assert isinstance(event, webhooks.ConversationStarted)
    assert event.user_message is not None
    assert (event.user, event.user_message.postback_data) == ("+4915112345678", plain)
    assert event.user_message.raw_postback_data == sent
    assert read(webhooks.write(event)) == event
    assert orjson.loads(webhooks.write(event))["data"]["user_message"].get("postback_data") == sent
    changed = attrs.evolve(event, user_message=attrs.evolve(event.user_message, postback_data="other"))
    assert orjson.loads(webhooks.write(changed))["data"]["user_message"]["postback_data"] == "b3RoZXI="


def test_undocumented_fields_are_kept_in_extra() -> None:
    message = {"type": "location", "location": {"latitude": 52.5}}
    data = {"agent_id": "ag_1", "from": "+4915112345678", "user_message": message, "carrier": "one"}
    event = read({"id": "evt_1", "event": "conversation.started", "timestamp": "2026-05-04T07:30:00Z", "data": data})
    assert isinstance(event, webhooks.ConversationStarted)
    assert event.user_message is not None
    assert event.user_message.extra == {"location": {"latitude": 52.5}}
    assert event.extra == {"carrier": "one"}
    assert read(webhooks.write(event)) == event


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (rb'"Hi \ud83d"', "Hi \ufffd"),
        (rb'"Hi \ud83d\ude00"', "Hi \U0001f600"),
        (b'"Hi", "n": 1e999', "Hi"),
        (b'"Hi", "n": ' + b"9" * 400, "Hi"),
        (b'"Hi", "n": ' + b"9" * 30, "Hi"),
        (b'"Hi", "n": NaN, "m": [-Infinity, "\\ud800", {"\\udfff": 1}]', "Hi"),
    ],
)
def test_signed_json_with_invalid_unicode_or_numbers_is_read(written: bytes, text: str) -> None:
    head = b'{"id":"evt_1","event":"conversation.started","timestamp":"2026-05-04T07:30:00Z","data":'
    event = read(head + b'{"agent_id":"ag_1","user_message":{"text":' + written + b"}}}")
    assert isinstance(event, webhooks.ConversationStarted)
    assert event.user_message is not None
    assert event.user_message.text == text


def test_a_field_of_a_user_message_that_is_called_extra_is_kept_under_its_name() -> None:
    data = {"agent_id": "ag_1", "user_message": {"text": "Hi", "extra": {"text": "other"}}}
    event = read({"id": "evt_1", "event": "conversation.started", "timestamp": "2026-05-04T07:30:00Z", "data": data})
    assert isinstance(event, webhooks.ConversationStarted)
    assert event.user_message is not None
    assert (event.user_message.text, event.user_message.extra) == ("Hi", {"extra": {"text": "other"}})
    assert read(webhooks.write(event)) == event


@pytest.mark.parametrize("turned", [False, True])
def test_a_data_field_with_the_name_of_an_envelope_field_is_kept_in_extra(turned: bool) -> None:
    data = {"agent_id": "ag_1", "with": "+4915112345678", "user": {"id": 1}, "id": "X", "timestamp": "T", "extra": 5}
    given = dict(reversed(data.items())) if turned else data
    event = read({"id": "evt_1", "event": "conversation.ended", "timestamp": "2026-05-04T07:30:00Z", "data": given})
    assert isinstance(event, webhooks.ConversationEnded)
    assert (event.id, event.timestamp, event.user) == ("evt_1", AT, "+4915112345678")
    assert event.extra == {"user": {"id": 1}, "id": "X", "timestamp": "T", "extra": 5}
    assert read(webhooks.write(event)) == event


@pytest.mark.parametrize("name", ["message.read", "other"])
@pytest.mark.parametrize(("levels", "inmost"), [(150, b"1"), (150, b"NaN"), (400, b"1"), (400, b"NaN"), (900, b"1")])
def test_data_nested_too_deeply_are_left_out_and_reported(name: str, levels: int, inmost: bytes) -> None:
    deep = b"[" * levels + inmost + b"]" * levels
    head = b'{"id":"evt_1","event":"%b","timestamp":"2026-05-04T07:30:00Z","data":' % name.encode()
    event = read(head + b'{"message_id":"m","deep":%b}}' % deep)
    assert not isinstance(event, InvalidDelivery)
    assert isinstance(read(webhooks.write(event)), type(event))
    assert isinstance(event, webhooks.MessageRead) is (levels == 150 and name == "message.read")
    if levels > 150:
        problems = ("data: is nested too deeply, and was left out",)
        assert event == UnknownEvent(id="evt_1", event=name, timestamp=AT, problems=problems)


@pytest.mark.parametrize("body", [b"\xff", b"{", b"[" * 100_000, b'{"id":' * 20_000])
def test_a_body_that_is_not_json_is_refused(body: bytes) -> None:
    assert read(body) == InvalidDelivery(400, "the body is not a JSON object")


def test_a_repr_shows_no_recipient_and_no_content() -> None:
    data = {"message_id": "m", "to": "+4915112345678", "subject": "Secret", "url": "https://secret.example"}
    for name in ("message.read", "email.delivered", "email.clicked", "other"):
        shown = repr(read({"id": "evt_1", "event": name, "timestamp": "2026-05-04T07:30:00Z", "data": data}))
        assert "4915" not in shown
        assert "ecret" not in shown


def test_headers_may_be_bytes_or_text() -> None:
    signed = webhooks.sign(SAMPLE, secret=SECRET)
    assert not isinstance(
        webhooks.read({SIGNATURE_HEADER.encode(): signed.encode()}, SAMPLE, secret=SECRET), InvalidDelivery
    )
    assert webhooks.read({b"\xff": b"\xff"}, SAMPLE, secret=SECRET) == InvalidDelivery(
        401, f"there is no {SIGNATURE_HEADER} header"
    )


def test_a_secret_that_is_not_valid_unicode_raises_value_error() -> None:
    with pytest.raises(ValueError, match="Unicode"):
        _ = webhooks.sign(b"{}", secret="\udcff")
