"""sandbox.openapi: the document is whole, and what the client sends and reads is in it."""

from typing import Any

import orjson
from sandboxing import request, text

from msgapi import Request
from msgapi.sandbox import Sandbox
from msgapi.sandbox.catalogue import OPERATIONS


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
    assert names == {one.name for one in OPERATIONS}


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


def test_two_models_of_one_name_are_two_schemas() -> None:
    schemas = document()["components"]["schemas"]
    assert {"AgentsChanges", "ContactsChanges", "WebhooksChanges"} <= schemas.keys()
    assert "logo_url" not in schemas["ContactsChanges"]["properties"]


def test_another_method_on_its_path_is_not_found() -> None:
    assert Sandbox().handle(request("POST", "/openapi.json", body={})).response.status == 404
