"""AsJson: models, events and results as types of pydantic, and in FastAPI with their schema."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Annotated, Any, TypeAlias, get_args

import pytest
from fastapi import Body, FastAPI
from fastapi.testclient import TestClient
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic_core import to_jsonable_python

import msgapi
from msgapi import ApiError, Ok, Result, Throttled, contacts, messages, webhooks
from msgapi.integrations import AsJson, to_dict
from msgapi.integrations.values import is_value_type
from msgapi.sandbox import Sandbox
from tests.integrations.test_values import ACCEPTED, TEXT, VALUES
from tests.support.json_schema import problems

SendResult: TypeAlias = Result[messages.Accepted]


def adapter(kind: Any) -> TypeAdapter[Any]:  # noqa: ANN401 - any type
    return TypeAdapter(AsJson[kind])


class Job(BaseModel):
    model_config = ConfigDict(extra="forbid")
    text: AsJson[messages.Text]
    results: list[AsJson[SendResult]] = []
    event: AsJson[webhooks.Event] | None = None


def test_a_model_has_fields_of_the_types_and_round_trips() -> None:
    event = webhooks.MessageRead(id="evt_1", message_id="msg_1")
    job = Job(text=TEXT, results=[Ok(ACCEPTED), Throttled(retry_after=1.0)], event=event)
    assert job.text is TEXT
    dumped = job.model_dump()
    assert dumped["text"] == to_dict(TEXT)
    assert dumped == job.model_dump(mode="json") == to_jsonable_python(job)
    assert Job.model_validate(dumped) == job
    assert Job.model_validate_json(job.model_dump_json()) == job


@pytest.mark.parametrize(("value", "kind"), VALUES, ids=lambda one: type(one).__name__)
def test_every_value_is_read_written_and_fits_its_schema(value: Any, kind: Any) -> None:  # noqa: ANN401 - any value
    found = adapter(kind)
    written = found.dump_python(value)
    assert written == to_dict(value)
    assert found.validate_python(value) is value
    assert found.validate_python(written) == value
    assert found.validate_json(found.dump_json(value)) == value
    for mode in ("validation", "serialization"):
        schema = found.json_schema(mode=mode)
        assert list(problems(written, schema, schema)) == []


def test_what_does_not_fit_is_a_validation_error_that_names_the_field() -> None:
    with pytest.raises(ValidationError) as caught:
        _ = Job.model_validate({"text": {**to_dict(TEXT), "to": 5}, "results": [{"kind": "Ok", "value": {}}]})
    first, second = caught.value.errors()
    assert (first["loc"], first["type"], first["msg"]) == (
        ("text",),
        "msgapi_value",
        "must be a string, not a number @ $.to",
    )
    assert (second["loc"], second["msg"]) == (("results", 0), "is required @ $.value.message_id")


def test_braces_in_a_problem_are_kept() -> None:
    with pytest.raises(ValidationError, match=r"is not a known field @ \$\.\{name\}"):
        _ = TypeAdapter(AsJson[messages.Text]).validate_python({**to_dict(TEXT), "{name}": 5})


def test_another_type_is_refused_when_the_model_is_defined() -> None:
    kinds: list[Any] = [int, Ok, list[messages.Text], webhooks.Receiver, msgapi.Call]
    for kind in kinds:
        with pytest.raises(TypeError, match=r"must be a model|Ok needs the model"):
            _ = adapter(kind)


def test_the_schema_of_an_event_has_the_names_of_the_wire() -> None:
    schema = TypeAdapter(AsJson[webhooks.ConversationStarted]).json_schema()
    assert schema["properties"]["event"] == {"enum": ["conversation.started"]}
    data = schema["properties"]["data"]["properties"]
    assert {"agent_id", "from", "user_message"} < data.keys()
    assert "raw_postback_data" not in str(schema)
    assert schema["description"].startswith("A user sent a message.")
    every = TypeAdapter(AsJson[webhooks.Event]).json_schema()
    assert len(every["anyOf"]) == len(webhooks.EVENT_TYPES) + 1


def test_the_schema_of_a_request_has_the_documented_limits_and_of_a_result_its_kinds() -> None:
    schema = TypeAdapter(AsJson[messages.Text]).json_schema()
    assert schema["title"] == "Text"
    assert schema["properties"]["content"]["properties"]["text"]["maxLength"] == 3072
    kinds = [one["properties"]["kind"]["enum"][0] for one in TypeAdapter(AsJson[SendResult]).json_schema()["anyOf"]]
    assert kinds == ["Ok", *(one.__name__ for one in get_args(ApiError))]


# FastAPI.


@pytest.fixture
def application() -> Iterator[TestClient]:
    sandbox = Sandbox()
    app = FastAPI()
    client = msgapi.Client(api_key=sandbox.api_key, transport=sandbox)

    @app.post("/messages")
    async def send(text: Annotated[AsJson[messages.Text], Body()]) -> AsJson[SendResult]:
        return await client(messages.send(text))

    @app.post("/unwrapped", response_model=AsJson[messages.Accepted])
    async def unwrapped(job: Job) -> object:
        result = await client(messages.send(job.text))
        assert isinstance(result, Ok)
        return result.value

    @app.post("/any")
    async def any_message(message: Annotated[AsJson[messages.Message], Body()]) -> str:
        return type(message).__name__

    with TestClient(app) as found:
        yield found


def test_a_model_is_a_request_body_and_a_result_a_response(application: TestClient) -> None:
    answer = application.post("/messages", json=to_dict(TEXT)).json()
    assert answer["kind"] == "NotFound"  # the sandbox has no such agent
    good = {**to_dict(TEXT), "agent_id": "ag_live_demo"}
    answer = application.post("/messages", json=good).json()
    assert answer["kind"] == "Ok"
    assert answer["value"]["message_id"].startswith("msg_")


def test_a_model_is_a_response_model_and_a_field_of_a_body(application: TestClient) -> None:
    body = {"text": {**to_dict(TEXT), "agent_id": "ag_live_demo"}}
    answer = application.post("/unwrapped", json=body)
    assert answer.json()["status"] == "queued"
    assert application.post("/any", json=body["text"]).json() == "Text"


def test_a_body_that_does_not_fit_is_422_with_the_field(application: TestClient) -> None:
    answer = application.post("/messages", json={**to_dict(TEXT), "more": 1})
    assert answer.status_code == 422
    (problem,) = answer.json()["detail"]
    assert (problem["loc"], problem["msg"]) == (["body"], "is not a known field @ $.more")


def test_the_openapi_document_describes_bodies_and_responses(application: TestClient) -> None:
    document = application.get("/openapi.json").json()
    operation = document["paths"]["/messages"]["post"]
    body = operation["requestBody"]["content"]["application/json"]["schema"]
    assert body["properties"]["content"]["required"] == ["text"]
    response = operation["responses"]["200"]["content"]["application/json"]["schema"]
    assert response["anyOf"][0]["properties"]["value"]["required"] == ["message_id"]
    assert "Job" in document["components"]["schemas"]
    for reference in references(document):
        assert reference.removeprefix("#/components/schemas/") in document["components"]["schemas"]


def references(part: Any) -> Iterator[str]:  # noqa: ANN401 - a part of a JSON document
    if isinstance(part, dict):
        yield from [part["$ref"]] if isinstance(part.get("$ref"), str) else []
        for child in part.values():
            yield from references(child)
    elif isinstance(part, list):
        for child in part:
            yield from references(child)


def test_every_model_has_a_schema() -> None:
    found: set[str] = set()
    for module in (messages, contacts, webhooks, msgapi.agents, msgapi.billing, msgapi.testagent, msgapi.campaigns):
        for name in module.__all__:
            kind = getattr(module, name)
            if is_value_type(kind):
                schema = adapter(kind).json_schema()
                found.add(name)
                assert "$ref" not in str(schema), name
    assert {"Text", "Accepted", "NewContact", "MessageRead", "UnknownEvent", "MessageState"} < found
    assert not {"Receiver", "MemoryEventStore", "SqliteEventStore"} & found


def test_the_types_can_be_used_without_pydantic_being_imported() -> None:
    program = (
        "import sys; from msgapi import messages; from msgapi.integrations import AsJson;"
        "AsJson[messages.Text]; print('pydantic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)  # noqa: S603 - this interpreter
    assert done.stdout == "False\n"
