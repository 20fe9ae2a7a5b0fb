"""schema.pydantic_schema: models and results as types of pydantic and FastAPI."""

import json
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Any, Literal, get_args

import pytest
from fastapi import Body, FastAPI
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

from msgapi import (
    ApiError,
    Balance,
    Detail,
    Invalid,
    Meta,
    NotSent,
    Ok,
    Result,
    Throttled,
    agents,
    billing,
    codec,
    contacts,
    messages,
    testagent,
    webhooks,
)
from msgapi.codec import Problems
from msgapi.schema.validators import CHECKS, problems_of
from tests.support.json_schema import problems
from tests.support.models import MODELS, instances
from tests.support.strategies import MESSAGES

TEXT = messages.Text(agent_id="ag_1", to="+4915112345678", traffic_type="TRANSACTION", text="Hi")
BODY = codec.to_dict(TEXT)
ACCEPTED = messages.Accepted(
    message_id="msg_1",
    created_at=datetime(2026, 5, 4, 7, 30, tzinfo=UTC),
    billing=messages.Billing(hold_amount=Decimal("0.1"), message_price=Decimal("0.12345678901234567890")),
    extra={"region": "eu"},
)


class Order(BaseModel):
    number: int
    message: messages.Text | messages.Email
    result: Result[messages.Accepted] | None = None
    event: webhooks.KnownEvent | None = None


def endpoints() -> FastAPI:
    app = FastAPI()

    @app.post("/texts")
    def send_text(text: Annotated[messages.Text, Body()]) -> messages.Accepted:
        assert text == TEXT
        return ACCEPTED

    @app.post("/contacts")
    def create(contact: Annotated[contacts.NewContact, Body()], agent: Annotated[agents.NewAgent, Body()]) -> int:
        return len(contact.source + agent.display_name)

    @app.post("/orders")
    def order(order: Order) -> Result[messages.Accepted]:
        return order.result or NotSent("no route")

    return app


@pytest.fixture
def http() -> TestClient:
    return TestClient(endpoints())


@lru_cache
def adapter_of(model: type) -> TypeAdapter[object]:
    return TypeAdapter(Ok[messages.Accepted] if model is Ok else model)


@lru_cache
def schema_of(model: type, mode: Literal["validation", "serialization"]) -> Mapping[str, Any]:
    return adapter_of(model).json_schema(mode=mode)


def test_a_model_is_the_body_and_another_the_response_of_an_endpoint(http: TestClient) -> None:
    response = http.post("/texts", json=BODY)
    assert response.status_code == 200
    assert response.json() == {
        "message_id": "msg_1",
        "status": "queued",
        "created_at": "2026-05-04T07:30:00Z",
        "billing": {"hold_amount": 0.1, "message_price": "0.12345678901234567890"},
        "extra": {"region": "eu"},
    }
    assert codec.from_dict(response.json(), messages.Accepted) == ACCEPTED


def test_each_problem_of_a_body_is_an_error_of_a_422_at_its_place(http: TestClient) -> None:
    cards = {"content": {"text": "Hi", "suggestions": [{"reply": {"text": "secret" * 9}}]}}
    response = http.post("/texts", json={**BODY, **cards, "to": "secret", "traffic_type": "secret"})
    assert response.status_code == 422
    assert {(*one["loc"], one["msg"]) for one in response.json()["detail"]} == {
        ("body", "to", "must be a phone number in E.164: + and 7 to 15 digits, the first not 0"),
        (
            "body",
            "traffic_type",
            "must be one of AUTHENTICATION, TRANSACTION, PROMOTION, SERVICEREQUEST, ACKNOWLEDGEMENT",
        ),
        (
            *("body", "content", "suggestions", 0, "reply", "text"),
            "must have at most 25 characters, and has 54",
        ),
    }
    assert "secret" not in response.text


def test_a_missing_a_wrong_and_an_unknown_field_are_errors_of_a_422(http: TestClient) -> None:
    body = {"to": 5, "traffic_type": "TRANSACTION", "message_type": "MESSAGE", "content": {"text": "x", "more": 1}}
    response = http.post("/texts", json=body)
    assert response.status_code == 422
    assert {(one["type"], *one["loc"]) for one in response.json()["detail"]} == {
        ("missing", "body", "agent_id"),
        ("msgapi_invalid", "body", "to"),
        ("msgapi_invalid", "body", "content", "more"),
    }


def test_several_models_are_parts_of_one_body(http: TestClient) -> None:
    response = http.post("/contacts", json={"contact": {"source": "API", "email": "x"}, "agent": {}})
    assert response.status_code == 422
    places = {tuple(one["loc"]) for one in response.json()["detail"]}
    assert ("body", "contact", "email") in places
    assert ("body", "agent", "display_name") in places


@pytest.mark.parametrize(
    "result",
    [Ok(ACCEPTED, meta=Meta(status=202)), Invalid(details=(Detail("to", "is wrong"),)), Throttled(retry_after=1.5)],
)
def test_a_result_in_a_model_is_read_and_returned_by_its_kind(
    http: TestClient, result: Result[messages.Accepted]
) -> None:
    order = Order(number=1, message=TEXT, result=result)
    assert Order.model_validate_json(order.model_dump_json()) == order
    response = http.post("/orders", content=order.model_dump_json(), headers={"Content-Type": "application/json"})
    assert response.status_code == 200
    assert codec.result_from_dict(response.json(), messages.Accepted) == result


def test_an_event_in_a_model_is_read_as_its_own_class_though_others_have_the_same_fields() -> None:
    for event in (webhooks.MessageDelivered(id="e", message_id="m"), webhooks.MessageRead(id="e", message_id="m")):
        order = Order(number=1, message=TEXT, event=event)
        assert Order.model_validate_json(order.model_dump_json()) == order


def test_in_python_a_model_stays_a_value() -> None:
    order = Order(number=1, message=TEXT, result=Ok(ACCEPTED))
    assert order.model_dump() == {"number": 1, "message": TEXT, "result": Ok(ACCEPTED), "event": None}
    assert Order.model_validate(order.model_dump()) == order
    assert order.model_dump(mode="json")["message"] == BODY


def test_an_instance_is_accepted_as_it_is_and_another_object_is_not() -> None:
    adapter = TypeAdapter(messages.Text)
    wrong = messages.Text(agent_id="", to="", traffic_type="TRANSACTION", text="")
    assert adapter.validate_python(wrong) is wrong  # `send` returns a call that is `Invalid`
    with pytest.raises(ValidationError, match=r"must be an object, or a Text"):
        _ = adapter.validate_python(ACCEPTED)


def test_an_error_of_validation_quotes_no_value() -> None:
    with pytest.raises(ValidationError) as caught:
        _ = Order.model_validate({"number": 1, "message": {**BODY, "to": "secret", "content": {"text": ["secret"]}}})
    assert "secret" not in str(caught.value)
    assert "secret" not in str(caught.value.errors())
    assert "message.function-wrap[Text()].to" in str(caught.value) or "content.text" in str(caught.value)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
@settings(max_examples=5)
@given(st.data())
def test_pydantic_writes_what_the_codec_writes_and_reads_what_it_and_the_limits_accept(
    model: type, data: st.DataObject
) -> None:
    value = data.draw(instances(model))
    adapter = adapter_of(model)
    written = adapter.dump_json(value)
    assert json.loads(written) == codec.to_dict(value)
    if model in CHECKS and problems_of("", CHECKS[model], value):
        with pytest.raises(ValidationError):
            _ = adapter.validate_json(written)
    else:
        assert adapter.validate_json(written) == value


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
@settings(max_examples=5)
@given(st.data())
def test_what_is_written_is_as_the_json_schema_has_it(model: type, data: st.DataObject) -> None:
    written = codec.to_dict(data.draw(instances(model)))
    for schema in (schema_of(model, "validation"), schema_of(model, "serialization")):
        document = {"components": {"$defs": schema.get("$defs", {})}}
        assert [*problems(written, schema, document)] == []


@given(MESSAGES)
def test_a_valid_message_is_read_from_what_was_written(message: messages.Message) -> None:
    union: TypeAdapter[messages.Message] = TypeAdapter(messages.Message)
    assert union.validate_json(union.dump_json(message)) == message


def test_the_openapi_document_names_each_model_once_with_its_fields_in_the_form_of_the_api() -> None:
    document = endpoints().openapi()
    schemas = document["components"]["schemas"]
    operation = document["paths"]["/texts"]["post"]
    body = operation["requestBody"]["content"]["application/json"]["schema"]
    response = operation["responses"]["200"]["content"]["application/json"]["schema"]
    assert body == {"$ref": "#/components/schemas/Text"}
    assert response == {"$ref": "#/components/schemas/Accepted"}
    text = schemas["Text"]
    assert {*text["required"]} == {"agent_id", "to", "traffic_type", "content", "message_type"}
    assert text["additionalProperties"] is False
    assert text["properties"]["message_type"]["enum"] == [*get_args(messages.MessageType)]
    assert text["properties"]["content"]["required"] == ["text"]
    assert {"$ref": "#/components/schemas/OpenUrl"} in text["properties"]["content"]["properties"]["suggestions"][
        "items"
    ]["anyOf"]
    assert schemas["Accepted"]["properties"]["created_at"]["anyOf"][0] == {"type": "string", "format": "date-time"}
    assert [one["type"] for one in schemas["Billing"]["properties"]["hold_amount"]["anyOf"]] == [
        "number",
        "string",
        "null",
    ]
    assert schemas["Ok_Accepted_"]["properties"]["value"] == {"$ref": "#/components/schemas/Accepted"}
    assert {one.__name__ for one in get_args(ApiError)} <= schemas.keys()
    assert schemas["ShareLocation"]["properties"]["action"]["required"] == ["text", "share_location"]


def test_the_errors_before_a_result_are_read_and_the_schema_of_a_result_does_not_contain_itself() -> None:
    adapter = TypeAdapter(Ok[messages.Accepted])
    before = Throttled(retry_after=1.5, meta=Meta(refused=(NotSent("no route"),)))
    result = Ok(ACCEPTED, meta=Meta(leg=2, refused=(before,)))
    assert adapter.validate_json(adapter.dump_json(result)) == result
    refused = adapter.json_schema()["$defs"]["Meta"]["properties"]["refused"]["items"]
    assert {*refused["properties"]["kind"]["enum"]} == {one.__name__ for one in get_args(ApiError)}


def test_results_of_different_values_have_schemas_of_their_own() -> None:
    class Both(BaseModel):
        sent: Ok[messages.Accepted]
        money: Ok[Balance]

    names = Both.model_json_schema()["$defs"].keys()
    assert {"Ok_Accepted_", "Ok_Balance_"} <= names
    with pytest.raises(ValidationError, match=r"money\.value"):
        _ = Both.model_validate({"sent": codec.to_dict(Ok(ACCEPTED)), "money": {"kind": "Ok", "value": 5}})


def test_an_ok_without_the_class_of_its_value_holds_plain_json() -> None:
    adapter = TypeAdapter(Ok)
    assert adapter.validate_python({"kind": "Ok", "value": [1]}) == Ok([1])
    assert adapter.json_schema()["required"] == ["kind", "value"]


def test_every_request_model_has_a_check_by_the_documented_limits() -> None:
    requests = {one.model for noun in (agents, contacts, testagent, webhooks) for one in noun.SCHEMAS}
    for model in (*get_args(messages.Message), *get_args(messages.Suggestion), messages.Card, messages.Media):
        assert model in CHECKS
    assert {contacts.NewContact, billing.AutoReload, billing.Alert, *requests} <= {*CHECKS}


@pytest.mark.usefixtures("unmeasured_processes")
def test_importing_and_using_the_models_loads_no_pydantic() -> None:
    program = "import sys, msgapi; from msgapi import codec, messages, webhooks; print('pydantic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout.strip() == "False"


def test_problems_are_never_a_value_of_a_field() -> None:
    with pytest.raises(ValidationError):
        _ = TypeAdapter(messages.Accepted).validate_python({})
    assert isinstance(codec.from_dict({}, messages.Accepted), Problems)
