"""to_dict, from_dict, to_json and from_json: models, events and results in the form of the API, and back."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeAlias, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msgapi import (
    ApiError,
    Balance,
    Conflict,
    Detail,
    Invalid,
    Meta,
    NotSent,
    Ok,
    RateLimit,
    Result,
    Throttled,
    Unreadable,
    agents,
    billing,
    contacts,
    messages,
    webhooks,
)
from msgapi.integrations import from_dict, from_json, to_dict, to_json

SendResult: TypeAlias = Result[messages.Accepted]
TEXT = messages.Text(agent_id="ag_1", to="+4915112345678", traffic_type="TRANSACTION", text="Grüße")
AT = datetime(2026, 5, 4, 7, 30, tzinfo=UTC)
ACCEPTED = messages.Accepted(
    message_id="msg_1", created_at=AT, billing=messages.Billing(message_price=Decimal("0.07")), extra={"new": [1]}
)
VALUES: list[tuple[Any, Any]] = [
    (TEXT, messages.Text),
    (TEXT, messages.Message),
    (messages.Email(channel_id="ch_1", to="a@example.org", subject="S", text="Hi"), messages.Message),
    (contacts.NewContact(source="API", phone="+4915112345678", tags=("a",)), contacts.NewContact),
    (agents.AgentChanges(display_name="S"), agents.AgentChanges),
    (billing.Alert(low_balance_threshold=Decimal("12.34")), billing.Alert),
    (Balance(free=Decimal("0.1"), extra={"odd": None}), Balance),
    (ACCEPTED, messages.Accepted),
    (webhooks.MessageRead(id="evt_1", message_id="msg_1", read_at=AT), webhooks.MessageRead),
    (webhooks.MessageRead(id="evt_1", message_id="msg_1", extra={"a": 1}), webhooks.Event),
    (webhooks.ConversationStarted(id="evt_1", agent_id="ag_1", user="+49151"), webhooks.KnownEvent),
    (webhooks.UnknownEvent(id="evt_1", event="other", data={"a": [1]}), webhooks.Event),
    (webhooks.UnknownEvent(id="evt_1", event="other"), webhooks.UnknownEvent),
    (webhooks.MessageState("msg_1", "read", AT), webhooks.MessageState),
    (Ok(ACCEPTED, meta=Meta(status=200, rate_limit=RateLimit(limit=5))), Ok[messages.Accepted]),
    (Ok(ACCEPTED), SendResult),
    (Throttled(code="rate_limit_exceeded", retry_after=3.0, meta=Meta(status=429)), SendResult),
    (Invalid(details=(Detail("to", "is wrong"),), from_service=False), ApiError),
    (NotSent(reason="refused"), NotSent),
    (Conflict(extra={"kind": "other"}), Ok[messages.Accepted] | Conflict),
]


@pytest.mark.parametrize(("value", "kind"), VALUES, ids=lambda one: type(one).__name__)
def test_what_was_written_reads_as_the_same(value: Any, kind: Any) -> None:  # noqa: ANN401 - any value
    written = to_dict(value)
    assert json.loads(json.dumps(written)) == written
    assert from_dict(written, kind) == value
    assert from_json(to_json(value), kind) == value
    assert from_json(to_json(value).encode(), kind) == value


def test_a_request_has_the_form_in_which_it_is_sent() -> None:
    body = messages.send(TEXT).body
    assert body is not None
    assert to_dict(TEXT) == json.loads(body)


def test_an_answer_has_the_form_in_which_it_was_received() -> None:
    assert to_dict(ACCEPTED) == {
        "message_id": "msg_1",
        "status": "queued",
        "created_at": "2026-05-04T07:30:00Z",
        "billing": {"message_price": 0.07},
        "extra": {"new": [1]},
    }


def test_a_result_has_its_class_as_kind() -> None:
    assert to_dict(Ok(ACCEPTED)) == {"kind": "Ok", "value": to_dict(ACCEPTED)}
    assert to_dict(Throttled(retry_after=3.0)) == {"kind": "Throttled", "retry_after": 3.0}


def test_an_event_has_the_form_of_a_delivery() -> None:
    event = webhooks.ConversationStarted(id="evt_1", agent_id="ag_1", user="+49151")
    data = {"agent_id": "ag_1", "from": "+49151"}
    assert to_dict(event) == {"id": "evt_1", "event": "conversation.started", "data": data}


@pytest.mark.parametrize(
    ("data", "kind", "problem"),
    [
        ({}, messages.Accepted, "is required @ $.message_id"),
        ([], messages.Accepted, "must be an object, not an array"),
        ({"kind": "Ok", "value": {}}, SendResult, "is required @ $.value.message_id"),
        ({"kind": "Ok"}, Ok[messages.Accepted], "is required @ $.value"),
        ({"kind": "None"}, SendResult, "kind must be one of Ok, Invalid,"),
        ({"kind": ["Ok"]}, ApiError, "kind must be one of Invalid,"),
        (None, NotSent, "kind must be one of NotSent"),
        ({"kind": "Conflict"}, NotSent, "kind must be one of NotSent"),
        ({"agent_id": "ag_1"}, messages.Text, "is required @ $.content.text"),
        ({"channel_id": "ch_1", "to": 1}, messages.Message, "fits none of Text, .*; the nearest is .*string.* @ $.to"),
        ({"id": "evt_1"}, webhooks.Event, "the body has no id, or no event"),
        ({"id": "evt_1", "event": "message.read", "data": {}}, webhooks.MessageRead, "is required @ $.message_id"),
        ({"id": "evt_1", "event": "other"}, webhooks.MessageRead, "is the event of another class, UnknownEvent"),
        (to_dict(webhooks.BalanceLow(id="e")), webhooks.MessageRead, "is the event of another class, BalanceLow"),
    ],
)
def test_data_that_do_not_fit_are_a_value_error_that_names_the_field(data: Any, kind: Any, problem: str) -> None:  # noqa: ANN401
    with pytest.raises(ValueError, match=problem.replace("$", r"\$")):
        _ = from_dict(data, kind)
    with pytest.raises(ValueError, match=problem.replace("$", r"\$")):
        _ = from_json(json.dumps(data), kind)


def test_a_union_of_a_model_and_errors_reads_both() -> None:
    kind = messages.Accepted | Throttled
    assert from_dict({"message_id": "msg_1"}, kind) == messages.Accepted(message_id="msg_1")
    assert from_dict({"kind": "Throttled"}, kind) == Throttled()


@pytest.mark.parametrize("text", ["", "{", "nonsense", "\ud800", b"\xff"])
def test_text_that_is_not_json_is_a_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"is not JSON|is empty"):
        _ = from_json(text, messages.Accepted)


def test_an_error_quotes_no_value() -> None:
    data = {**to_dict(TEXT), "to": ["+4915112345678"], "+4915112345678": 1}
    with pytest.raises(ValueError, match="must be a string, not an array") as caught:
        _ = from_dict({**data, "+4915112345678": 1}, messages.Text)
    assert "must be a string, not an array @ $.to" in str(caught.value)


@pytest.mark.parametrize("kind", [int, str, dict, None, "Accepted", list[messages.Accepted], messages.Accepted | None])
def test_another_kind_is_a_type_error(kind: Any) -> None:  # noqa: ANN401 - as a caller may
    with pytest.raises(TypeError, match="kind must be a model"):
        _ = from_dict({}, kind)


@pytest.mark.parametrize("kind", [Ok, Ok[int]])
def test_ok_without_its_model_is_a_type_error(kind: Any) -> None:  # noqa: ANN401 - as a caller may
    with pytest.raises(TypeError, match=r"Ok\[messages.Accepted\]"):
        _ = from_dict({"kind": "Ok", "value": 1}, kind)


@pytest.mark.parametrize("value", [None, 1, "x", {}, [TEXT], messages.Text, object()])
def test_another_value_is_a_type_error(value: Any) -> None:  # noqa: ANN401 - as a caller may
    for write in (to_dict, to_json):
        with pytest.raises(TypeError, match="takes a model, an event or a result"):
            _ = write(value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(JSON, st.sampled_from([kind for _, kind in VALUES]))
def test_reading_any_data_gives_a_value_or_a_value_error(data: Any, kind: Any) -> None:  # noqa: ANN401 - any JSON
    try:
        found = from_dict(data, kind)
    except ValueError:
        pass
    else:
        assert isinstance(to_dict(found), dict)


def test_every_error_is_written_and_read() -> None:
    for kind in get_args(ApiError):
        value = kind(reason="x") if kind.__name__ in {"NotSent", "Unanswered"} else kind()
        assert from_json(to_json(value), SendResult) == value
    assert Unreadable in get_args(ApiError)
