"""The OpenAPI document is complete, and contains what the client sends and reads."""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import orjson
import pytest
from attrs import evolve

from msgapi import Request
from msgapi.sandbox import Sandbox
from msgapi.sandbox.openapi.operations import CONTROLS, OPERATIONS, Operation
from msgapi.sandbox.routes.table import ROUTES
from tests.support.sandbox_refusals import ACCEPTED, Asked
from tests.support.sandbox_requests import ask, check_documented, fields_of, request, said, still, text


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


def with_fields(**fields: object) -> Callable[[Asked], Asked]:
    def vary(asked: Asked) -> Asked:
        assert asked.body is None or isinstance(asked.body, dict)
        return evolve(asked, body={**(asked.body or {}), **fields})

    return vary


def without(name: str) -> Callable[[Asked], Asked]:
    def vary(asked: Asked) -> Asked:
        assert isinstance(asked.body, dict)
        return evolve(asked, body={field: part for field, part in asked.body.items() if field != name})

    return vary


def asked_with(query: str) -> Callable[[Asked], Asked]:
    return lambda asked: evolve(asked, query=query)


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


def test_every_reference_has_a_schema() -> None:
    found = document()
    names = {f"#/components/{kind}/{name}" for kind in ("schemas", "headers") for name in found["components"][kind]}
    assert set(map(str, every(found, "$ref"))) <= names
    assert all(found["components"]["schemas"].values())


def test_the_schema_of_a_message_is_that_of_its_json() -> None:
    schemas = document()["components"]["schemas"]
    assert schemas["Text"]["properties"].keys() == {*text(), "ttl", "idempotency_key"}
    assert schemas["Text"]["properties"]["content"]["required"] == ["text"]
    action = schemas["ShareLocation"]["properties"]["action"]
    assert action["required"] == ["text", "share_location"]
    assert schemas["Reply"]["properties"]["reply"]["required"] == ["text"]
    assert schemas["Accepted"]["required"] == ["message_id"]


def test_a_field_has_the_bounds_of_its_own_model_and_is_required_where_it_is_needed() -> None:
    schemas = document()["components"]["schemas"]
    assert schemas["Text"]["properties"]["content"]["properties"]["text"]["maxLength"] == 3072
    assert schemas["Reply"]["properties"]["reply"]["properties"]["text"]["maxLength"] == 25
    assert "maxLength" not in schemas["UserReply"]["properties"]["text"]
    assert schemas["CarrierDecision"]["required"] == ["carrier"]
    assert "required" not in schemas["CampaignHalt"]
    assert {"message_type", "traffic_type"} <= {*schemas["Text"]["required"]}


def test_an_operation_lists_its_own_refusals_and_no_others() -> None:
    paths = document()["paths"]
    assert paths["/v1/billing/balance"]["get"]["responses"].keys() == {"200", "401", "429", "500", "502", "503"}
    created = paths["/v1/rcs/agents"]["post"]["responses"]
    assert created.keys() == {"201", "400", "401", "409", "429", "500", "502", "503"}
    refused = created["409"]["content"]["application/json"]["schema"]
    assert refused["properties"]["error"]["enum"] == ["idempotency_conflict"]
    assert created["502"]["content"].keys() == {"text/html"}


def test_each_model_of_changes_is_a_schema_of_its_own() -> None:
    schemas = document()["components"]["schemas"]
    assert {"AgentChanges", "ContactChanges", "EndpointChanges"} <= schemas.keys()
    assert "logo_url" not in schemas["ContactChanges"]["properties"]


def test_another_method_on_the_path_of_the_document_is_not_found() -> None:
    assert Sandbox().handle(request("POST", "/openapi.json", body={})).response.status == 404


ALL = (*OPERATIONS, *CONTROLS)
VARIED: list[tuple[str, Callable[[Asked], Asked]]] = [
    *[("messages.send", with_fields(ttl=ttl)) for ttl in ("24h", "0.5s", "900s", None)],
    ("messages.send", with_fields(content={"text": "x", "suggestions": None})),
    (
        "messages.send",
        with_fields(content={"text": "x", "suggestions": [{"reply": {"text": "y", "postback_data": None}}]}),
    ),
    ("contacts.create", with_fields(phone=None, tags=None, custom_fields=None)),
    ("contacts.update", with_fields(email=None, status=None)),
    ("contacts.create_consent", with_fields(doi_channel=None, enforced_doi=None)),
    ("contacts.import_contacts", with_fields(contacts=[{"email": "ada@shop.example", "phone": None}])),
    ("agents.create", with_fields(newsletter_enabled=None)),
    ("agents.update", with_fields(color="#0057B8", website=None)),
    ("webhooks.update", with_fields(url=None, events=None)),
    ("billing.top_up", with_fields(payment_method_id=None, currency=None)),
    ("billing.set_auto_reload", with_fields(trigger_threshold=None, reload_amount=None)),
    ("billing.add_payment_method", with_fields(number="4111", token=None)),
    ("testagent.send", without("message_type")),
    *[
        ("messages.list", asked_with(query=f"?from={moment}&to={moment}"))
        for moment in ("2026-05-04", "2026-05-04T00:00", "2026-05-04T00:00:00.123Z", "2026-05-04 00:00:00%2B02:00")
    ],
    *[(one.name, with_fields(idempotency_key="k")) for one in ALL if one.method not in {"GET", "DELETE"}],
]


@pytest.mark.parametrize(("name", "vary"), VARIED, ids=range(len(VARIED)))
def test_what_is_accepted_is_in_the_document(name: str, vary: Callable[[Asked], Asked]) -> None:
    one = next(one for one in ALL if one.name == name)
    box = still()
    asked = vary(ACCEPTED[name](box))
    target = one.path.replace("{id}", asked.id) + asked.query
    assert ask(box, request(one.method, target, body=asked.body)).status in one.statuses


def test_a_time_in_another_format_is_refused() -> None:
    for moment in ("20260504", "2026-W19-1", "2026-05-04T00", "2026-05-04T00:00:00+0200"):
        assert fields_of(ask(still(), request("GET", f"/v1/messages?from={quote(moment)}"))) == ["from"]


@pytest.mark.parametrize("one", [one for one in ALL if one.media == "application/json"], ids=lambda one: one.name)
def test_a_header_or_a_property_that_the_document_lacks_is_an_error(one: Operation) -> None:
    box = still()
    asked = ACCEPTED[one.name](box)
    sent = request(one.method, one.path.replace("{id}", asked.id) + asked.query, body=asked.body)
    answer = ask(box, sent)
    for header in ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "Location"):
        whole = document()
        described = whole["paths"][one.path][one.method.lower()]["responses"][str(answer.status)]
        if described["headers"].pop(header, None) is not None:
            with pytest.raises(AssertionError):
                check_documented(sent, answer, whole)
    dropped = 0
    for place in _places(said(answer)):
        whole = document()
        described = whole["paths"][one.path][one.method.lower()]["responses"][str(answer.status)]
        if _drop(described["content"]["application/json"]["schema"], place, whole):
            dropped += 1
            with pytest.raises(AssertionError):
                check_documented(sent, answer, whole)
    assert dropped >= len(said(answer))


def _places(value: Any) -> set[tuple[str, ...]]:  # noqa: ANN401 - JSON
    """The way to each property of a body; `*` stands for the parts of a list."""
    if isinstance(value, list):
        return {("*", *place) for part in value for place in _places(part)} | {()}
    if not isinstance(value, dict):
        return {()}
    return {(name, *place) for name, part in value.items() for place in _places(part)} | {()}


def _drop(schema: Any, place: tuple[str, ...], whole: Any) -> bool:  # noqa: ANN401 - JSON
    """Take the property at *place* out of a schema, wherever that is defined; False if it names none there."""
    if "$ref" in schema:
        schema = whole["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        return sum(_drop(part, place, whole) for part in schema["anyOf"]) > 0
    name, *rest = place or ("*",)
    if name == "*":
        return bool(rest) and _drop(schema["items"], tuple(rest), whole)
    properties = schema.get("properties", {})
    if rest and name in properties:
        return _drop(properties[name], tuple(rest), whole)
    return properties.pop(name, None) is not None
