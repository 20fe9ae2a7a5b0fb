"""observe.drift: how answers differ from the models, by name and type only."""

import logging
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import attrs
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

import msgapi
from msgapi import Call, Ok, Response, VirtualClock, billing, messages, observe
from msgapi.decode import decode
from msgapi.observe import FieldDifference
from msgapi.sandbox import Sandbox
from tests.support.observers import SEND, observed

pytestmark = pytest.mark.anyio
RECIPIENT = "+4915112345678"


def ok(body: object) -> Response:
    return Response(200, {}, orjson.dumps(body))


async def differences(call: Call[Any], *answers: Response) -> list[tuple[str, str, str, str]]:
    observer = observe.drift(report=lambda _: None)
    async with observed(observer, *answers) as (client, _):
        for _ in answers:
            _ = await client(call)
    return [(one.field, one.kind, one.expected, one.found) for one in observer.differences()]


async def test_a_field_that_the_model_has_not_is_unknown() -> None:
    found = await differences(SEND, ok({"message_id": "m", "x": [{"y": 1, "z": None}], "billing": {"price": "1"}}))
    assert [one for one in found if one[1] == "unknown"] == [
        ("billing.price", "unknown", "", "a string"),
        ("x", "unknown", "", "an array"),
        ("x[].y", "unknown", "", "a number"),
        ("x[].z", "unknown", "", "null"),
    ]


async def test_a_field_of_another_type_is_reported_with_both_types() -> None:
    found = await differences(
        SEND, ok({"message_id": "m", "created_at": 5, "billing": {"hold_amount": True, "tier": [1], "balance": "x"}})
    )
    assert [one for one in found if one[1] == "unexpected_type"] == [
        ("billing.balance", "unexpected_type", "an object", "a string"),
        ("billing.hold_amount", "unexpected_type", "a number", "a boolean"),
        ("billing.tier", "unexpected_type", "an object", "an array"),
        ("created_at", "unexpected_type", "an ISO 8601 time", "a number"),
    ]


async def test_a_field_is_absent_if_no_answer_has_it() -> None:
    balances = {"free": 1, "reserved": 1, "total": None}
    found = await differences(billing.balance(), ok({"free": 1}), ok(balances))
    assert found == [("total", "absent", "a number", "")]


async def test_an_absent_object_is_one_difference() -> None:
    found = await differences(SEND, ok({"message_id": "m"}))
    assert found == [("billing", "absent", "an object", ""), ("created_at", "absent", "an ISO 8601 time", "")]


async def test_rows_of_a_list_count_once_for_an_answer() -> None:
    observer = observe.drift(report=lambda _: None)
    rows = [{"id": f"m{n}", "status": "SENT", "new": n} for n in range(3)]
    async with observed(observer, ok({"messages": rows})) as (client, _):
        for _ in range(2):
            assert isinstance(await client(messages.list()), Ok)
    (new,) = [one for one in observer.differences() if one.kind == "unknown"]
    assert (new.field, new.answers, new.compared) == ("messages[].new", 2, 2)
    assert str(new) == "GET /v1/messages: messages[].new is not a field of the model, and arrived as a number"
    (cost,) = [one for one in observer.differences() if one.field == "messages[].cost"]
    assert str(cost) == "GET /v1/messages: messages[].cost was absent in 2 of 2 answers"


async def test_a_field_that_one_row_has_is_not_absent() -> None:
    found = await differences(messages.list(), ok({"messages": [{"id": "1"}, {"id": "2", "cost": "0.1"}]}))
    assert "messages[].cost" not in [field for field, *_ in found]


async def test_odd_rows_and_elements_are_reported_by_their_type() -> None:
    found = await differences(messages.list(), ok({"messages": [{"id": "1"}, 5, {"status": "x"}]}))
    assert [one for one in found if one[1] == "unexpected_type"] == [
        ("messages[]", "unexpected_type", "an object", "a number"),
        ("messages[]", "unexpected_type", "an object", "an object"),
    ]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"message_id": "m", "id": "x", "status": "y", "billing": {}, "error": "e", "message": "m"}, []),
        ({"message_id": 5, "id": "x"}, []),
    ],
)
async def test_an_answer_that_is_not_the_services_is_not_compared(body: object, expected: list[object]) -> None:
    assert await differences(SEND, ok(body)) == expected


@attrs.frozen(kw_only=True)
class Parcel:
    """An answer with required fields beside its id."""

    id: str
    weight: Decimal
    at: datetime
    label: str
    extra: Mapping[str, object] = attrs.field(factory=dict)


async def test_a_required_field_that_cannot_be_read_is_reported() -> None:
    found = await differences(Call("GET", "/v1/parcels", Parcel), ok({"id": "p", "weight": "x", "at": 5}))
    assert found == [
        ("at", "unexpected_type", "an ISO 8601 time", "a number"),
        ("label", "absent", "", ""),
        ("weight", "unexpected_type", "a decimal number", "another value"),
    ]


async def test_the_fields_of_an_error_are_compared_too() -> None:
    body = {"error": "insufficient_balance", "message": "m", "required_amount": "ten", "hint": {"to": RECIPIENT}}
    observer = observe.drift(report=lambda _: None)
    async with observed(observer, Response(402, {}, orjson.dumps(body))) as (client, _):
        _ = await client(SEND)
    assert [(one.route, one.field, one.kind) for one in observer.differences()] == [
        ("POST /v1/messages 402", "balance", "absent"),
        ("POST /v1/messages 402", "hint", "unknown"),
        ("POST /v1/messages 402", "hint.to", "unknown"),
        ("POST /v1/messages 402", "required_amount", "unexpected_type"),
        ("POST /v1/messages 402", "topup_url", "absent"),
    ]


async def test_each_new_difference_is_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    observer = observe.drift()
    async with observed(observer, ok({"message_id": "m", "x": RECIPIENT, RECIPIENT: 1})) as (client, _):
        for _ in range(2):
            _ = await client(SEND)
    assert [(one.levelno, one.getMessage()) for one in caplog.records] == [
        (logging.WARNING, "POST /v1/messages: *** is not a field of the model, and arrived as a number"),
        (logging.WARNING, "POST /v1/messages: x is not a field of the model, and arrived as a string"),
    ]
    assert caplog.records[1].__dict__["msgapi_field"] == "x"


async def test_an_unknown_object_is_described_to_a_bounded_depth() -> None:
    deep: dict[str, Any] = {}
    for _ in range(10):
        deep = {"a": deep}
    found = await differences(SEND, ok({"message_id": "m", "x": deep}))
    assert max(field.count(".") for field, *_ in found) == 4


async def test_the_number_of_differences_is_bounded() -> None:
    many = {f"n{'abcdefghij'[n // 100]}{n % 100}": n for n in range(1000)}
    observer = observe.drift(report=lambda _: None)
    async with observed(observer, ok({"message_id": "m", **many}), ok({"message_id": "m", "one_more": 1})) as (
        client,
        _,
    ):
        for _ in range(2):
            _ = await client(SEND)
    found = [one for one in observer.differences() if one.kind == "unknown"]
    assert len(found) == 1000
    assert "one_more" not in {one.field for one in found}


async def test_the_answers_of_the_sandbox_have_only_fields_of_the_models() -> None:
    observer, clock = observe.drift(report=lambda _: None), VirtualClock()
    sandbox = Sandbox(clock=clock)
    text = messages.Text(agent_id="ag_live_demo", to=RECIPIENT, traffic_type="TRANSACTION", text="Hi")
    client = msgapi.Client(transport=sandbox, api_key=sandbox.api_key, clock=clock, observer=observer)
    async with clock.autojump(), client:
        accepted = await client(messages.send(text))
        assert isinstance(accepted, Ok)
        calls = (messages.list(), messages.get(accepted.value.message_id), billing.balance(), billing.transactions())
        for call in calls:
            assert isinstance(await client(call), Ok)
    assert [str(one) for one in observer.differences() if one.kind != "absent"] == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)


@given(body=st.dictionaries(st.sampled_from(["message_id", "status", "billing", "created_at", "x"]) | st.text(), JSON))
def test_no_answer_makes_it_raise_and_no_value_is_shown(body: dict[str, Any]) -> None:
    body |= {"message_id": "secret-value", "y": "secret-value", "z": {"k": "secret-value"}}
    observer = observe.drift(report=lambda _: None)
    watch = observer.call(SEND)
    watch.answer(decode(SEND, Response(200, {}, orjson.dumps(body))))
    assert all(isinstance(one, FieldDifference) for one in observer.differences())
    assert not any("secret-value" in str(one) for one in observer.differences())


def test_differences_can_be_asked_for_while_another_thread_compares(monkeypatch: pytest.MonkeyPatch) -> None:
    drift = observe.drift(report=lambda _: None)
    answer = Ok(messages.Accepted(message_id="m", extra={"x": 1}))
    drift.compare("a", answer)
    drift.compare("b", answer)
    difference = drift._difference

    def interrupted(*arguments: Any) -> FieldDifference:  # noqa: ANN401 - those of the method
        # An answer of another route arrives in the middle.
        monkeypatch.setattr(drift, "_difference", difference)
        drift.compare("c", answer)
        return difference(*arguments)

    monkeypatch.setattr(drift, "_difference", interrupted)
    assert {found.route for found in drift.differences()} >= {"a", "b"}
