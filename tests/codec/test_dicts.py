"""codec: what to_dict and to_json write, from_dict and from_json read as an equal value, for every model."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msgapi import Balance, Detail, Invalid, Meta, NotSent, Ok, Result, Throttled, codec, contacts, messages, webhooks
from msgapi.codec import Problems, json
from tests.support.models import MODELS, instances

TEXT = messages.Text(agent_id="ag_1", to="+4915112345678", traffic_type="TRANSACTION", text="Hi")
ACCEPTED = messages.Accepted(message_id="msg_1", extra={"region": "eu"})


def kind_of(value: object) -> Any:  # noqa: ANN401 - a class, or an `Ok` of one
    return Ok[messages.Accepted] if isinstance(value, Ok) else type(value)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
@settings(max_examples=10)
@given(st.data())
def test_every_model_is_read_back_from_its_dict_and_its_json(model: type, data: st.DataObject) -> None:
    value = data.draw(instances(model))
    written = codec.to_dict(value)
    assert codec.from_dict(written, kind_of(value)) == value
    assert orjson.loads(codec.to_json(value)) == orjson.loads(orjson.dumps(written))
    assert codec.from_json(codec.to_json(value), kind_of(value)) == value


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
@settings(max_examples=10)
@given(st.data())
def test_what_was_written_is_read_without_the_slow_reader(model: type, data: st.DataObject) -> None:
    value = data.draw(instances(model))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json, "_read_in_detail", None)
        assert codec.from_dict(codec.to_dict(value), kind_of(value)) == value


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_model_has_problems_for_what_is_no_object(model: type) -> None:
    for value in (None, 5, "secret", b"x", object()):
        found = codec.from_dict(value, model)
        assert isinstance(found, Problems)
        assert "secret" not in str(found)


def test_a_message_is_written_in_the_form_of_the_api() -> None:
    assert codec.to_dict(TEXT) == {
        "agent_id": "ag_1",
        "to": "+4915112345678",
        "traffic_type": "TRANSACTION",
        "content": {"text": "Hi"},
        "message_type": "MESSAGE",
    }


def test_an_answer_is_written_with_its_defaults_and_without_none() -> None:
    assert codec.to_dict(ACCEPTED) == {
        "message_id": "msg_1",
        "status": "queued",
        "billing": {},
        "extra": {"region": "eu"},
    }


def test_an_error_is_written_with_its_kind_and_what_matters_for_the_next_step() -> None:
    assert codec.to_dict(NotSent("no route")) == {
        "kind": "NotSent",
        "code": "not_sent",
        "message": "nothing was sent: no route",
        "reason": "no route",
        "may_have_happened": False,
        "from_service": False,
        "meta": {"attempts": 0, "elapsed": 0.0, "leg": 1, "refused": []},
    }


def test_amounts_and_times_are_exact() -> None:
    at = datetime(2026, 5, 4, 9, 30, tzinfo=timezone(timedelta(hours=2)))
    value = messages.Accepted(
        message_id="m",
        created_at=at,
        billing=messages.Billing(hold_amount=Decimal("0.1"), message_price=Decimal("0.12345678901234567890")),
    )
    written = codec.to_dict(value)
    assert written["created_at"] == "2026-05-04T07:30:00Z"
    assert written["billing"] == {"hold_amount": 0.1, "message_price": "0.12345678901234567890"}
    read = codec.from_dict(written, messages.Accepted)
    assert isinstance(read, messages.Accepted)
    assert (read, read.created_at and read.created_at.tzinfo) == (value, UTC)


@pytest.mark.parametrize(
    "result",
    [
        Ok(ACCEPTED, meta=Meta(status=202, attempts=2)),
        Invalid(details=(Detail("to", "must be E.164"),)),
        Throttled(retry_after=2.5, meta=Meta(status=429)),
    ],
)
def test_a_result_is_read_back_by_its_kind(result: Result[messages.Accepted]) -> None:
    assert codec.result_from_dict(codec.to_dict(result), messages.Accepted) == result


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (None, "must be an object with the kind of a result @ $"),
        ({}, "must be an object with the kind of a result @ $"),
        ({"kind": "Text"}, "must be an object with the kind of a result @ $"),
        ({"kind": ["Ok"]}, "must be an object with the kind of a result @ $"),
        ({"kind": "Ok"}, "is required @ $.value"),
        ({"kind": "Ok", "value": {}}, "is required @ $.value.message_id"),
        ({"kind": "Ok", "value": {"message_id": "m"}, "meta": 5}, "must be an object, not a number @ $.meta"),
        ({"kind": "NotSent"}, "is required @ $.reason"),
    ],
)
def test_what_is_no_result_has_problems(value: object, problem: str) -> None:
    found = codec.result_from_dict(value, messages.Accepted)
    assert isinstance(found, Problems)
    assert found.lines() == (problem,)


def test_an_outcome_is_read_only_as_its_own_class() -> None:
    written = codec.to_dict(Throttled())
    assert codec.from_dict(written, Throttled) == Throttled()
    assert codec.from_dict(written, Invalid) == Problems((Detail("kind", "must be Invalid"),))
    assert codec.from_dict({}, Ok[Balance]) == Problems((Detail("kind", "must be Ok"),))


def test_an_ok_whose_class_of_value_is_not_given_holds_plain_json() -> None:
    assert codec.from_dict({"kind": "Ok", "value": {"a": [1]}}, Ok) == Ok({"a": [1]})


def test_an_event_is_read_only_as_its_own_class_though_others_have_the_same_fields() -> None:
    event = webhooks.MessageRead(id="evt_1", message_id="msg_1", extra={"event": "data"})
    written = codec.to_dict(event)
    assert written["event"] == "message.read"
    assert codec.from_dict(written, webhooks.MessageRead) == event
    assert codec.from_dict(written, webhooks.MessageQueued) == Problems((Detail("event", "must be message.queued"),))


def test_data_of_an_event_with_a_field_of_the_same_name_are_kept() -> None:
    body = b'{"id":"evt_1","event":"message.read","data":{"message_id":"m","event":"other"}}'
    headers = {webhooks.SIGNATURE_HEADER: webhooks.sign(body, secret="s")}
    event = webhooks.read(headers, body, secret="s")
    assert isinstance(event, webhooks.MessageRead)
    assert event.extra == {"event": "other"}
    assert orjson.loads(webhooks.write(event)) == orjson.loads(body)


def test_a_request_with_an_unknown_field_has_a_problem_and_an_answer_keeps_it() -> None:
    assert codec.from_dict({"source": "API", "nick": "x"}, contacts.NewContact) == Problems(
        (Detail("nick", "is not a known field"),)
    )
    assert codec.from_dict({"id": "c", "nick": "x"}, contacts.Contact) == contacts.Contact(id="c", extra={"nick": "x"})


@pytest.mark.parametrize("value", [None, 5, "text", {"a": 1}, Decimal(1), [ACCEPTED], messages.Text])
def test_what_is_not_a_model_has_no_dict(value: object) -> None:
    with pytest.raises(TypeError, match="to_dict takes a model or a result, not "):
        _ = codec.to_dict(value)


@pytest.mark.parametrize("number", ["18446744073709551616", "1e20", "-1e20", "9223372036854775808.0"])
def test_an_answer_with_a_whole_number_of_any_size_can_be_written_again(number: str) -> None:
    found = codec.from_json(f'{{"volume_used": {number}}}'.encode(), messages.Tier)
    assert isinstance(found, messages.Tier)
    assert codec.from_json(codec.to_json(found), messages.Tier) == found
