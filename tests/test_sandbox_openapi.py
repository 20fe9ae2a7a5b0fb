"""sandbox.openapi: the document is whole, and what the client sends and reads is in it."""

from typing import Any

import orjson
from sandboxing import request, text

from msgapi import Request
from msgapi.sandbox import Sandbox
from msgapi.sandbox.catalogue import CONTROLS, OPERATIONS
from msgapi.sandbox.routes import ROUTES


def document() -> dict[str, Any]:
    answer = Sandbox().handle(Request("GET", "https://sandbox.example/openapi.json")).response
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    found: dict[str, Any] = orjson.loads(answer.body)
    return found


def every(value: object, name: str) -> list[object]:
    """Everything that stands under *name*, wherever it is."""
    found: list[object] = []
    if isinstance(value, dict):
        found += [value[name]] if name in value else []
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            found += every(part, name)
    return found


def test_every_operation_is_in_it_and_needs_a_key() -> None:
    found = document()
    assert found["openapi"] == "3.1.0"
    assert found["security"] == [{"key": []}]
    assert {one for path in found["paths"].values() for one in path.values() if isinstance(one, str)} == set()
    names = {one["operationId"] for path in found["paths"].values() for one in path.values()}
    assert names == {one.name for one in (*OPERATIONS, *CONTROLS)}
    described = {(verb.upper(), path) for path, verbs in found["paths"].items() for verb in verbs}
    assert described == {(route.method, route.path) for route in ROUTES}
    tags = {one["operationId"].split(".")[0]: one["tags"] for path in found["paths"].values() for one in path.values()}
    assert tags == {name: [name] for name in tags}
    assert tags["sandbox"] == ["sandbox"]


def test_every_reference_leads_to_a_schema() -> None:
    found = document()
    names = {f"#/components/schemas/{name}" for name in found["components"]["schemas"]}
    assert set(map(str, every(found, "$ref"))) <= names
    assert all(found["components"]["schemas"].values())


def test_a_message_stands_in_it_as_it_goes_over_the_wire() -> None:
    schemas = document()["components"]["schemas"]
    assert schemas["Text"]["properties"].keys() == {*text(), "ttl"}
    assert schemas["Text"]["properties"]["content"]["required"] == ["text"]
    action = schemas["ShareLocation"]["properties"]["action"]
    assert action["required"] == ["text", "share_location"]
    assert schemas["Reply"]["properties"]["reply"]["required"] == ["text"]
    assert schemas["Accepted"]["required"] == ["message_id"]


def test_a_field_has_the_bounds_of_its_own_model_and_is_required_where_it_is_needed() -> None:
    schemas = document()["components"]["schemas"]
    assert schemas["Text"]["properties"]["content"]["properties"]["text"]["maxLength"] == 3072
    assert schemas["Reply"]["properties"]["reply"]["properties"]["text"]["maxLength"] == 25
    assert "maxLength" not in schemas["Written"]["properties"]["text"]
    assert schemas["Launched"]["required"] == ["carrier"]
    assert "required" not in schemas["Halted"]
    assert {"message_type", "traffic_type"} <= {*schemas["Text"]["required"]}


def test_an_operation_lists_its_own_refusals_and_no_others() -> None:
    paths = document()["paths"]
    assert paths["/v1/billing/balance"]["get"]["responses"].keys() == {"200", "401", "429", "500", "502", "503"}
    created = paths["/v1/rcs/agents"]["post"]["responses"]
    assert created.keys() == {"201", "400", "401", "409", "429", "500", "502", "503"}
    refused = created["409"]["content"]["application/json"]["schema"]
    assert refused["properties"]["error"]["enum"] == ["idempotency_conflict"]
    assert created["502"]["content"].keys() == {"text/html"}


def test_two_models_of_one_name_are_two_schemas() -> None:
    schemas = document()["components"]["schemas"]
    assert {"AgentsChanges", "ContactsChanges", "WebhooksChanges"} <= schemas.keys()
    assert "logo_url" not in schemas["ContactsChanges"]["properties"]


def test_another_method_on_its_path_is_not_found() -> None:
    assert Sandbox().handle(request("POST", "/openapi.json", body={})).response.status == 404
