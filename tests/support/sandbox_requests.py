"""Requests to a sandbox, and checks that every response must pass."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import anyio
import anyio.lowlevel
import orjson

from msgapi import Request, Response
from msgapi.sandbox import CODES, ControlError, Sandbox, SimulatedResponse
from msgapi.sandbox.account import Account
from msgapi.sandbox.openapi.operations import document as written
from msgapi.sandbox.routes.table import find_route
from tests.support.json_schema import problems, resolved

NOW = 1_777_852_800.0  # 2026-05-04T00:00:00Z
TO = "+4915112345678"
KEY = "sk_sandbox"


def still(**options: Any) -> Sandbox:  # noqa: ANN401 - those of `Sandbox`
    """Open a sandbox in which nothing happens by itself, for tests that bring the time along."""
    return Sandbox(timing=None, **options)


def text(**fields: object) -> dict[str, object]:
    return {
        "agent_id": "ag_live_demo",
        "to": TO,
        "message_type": "MESSAGE",
        "traffic_type": "TRANSACTION",
        "content": {"text": "Hello"},
        **fields,
    }


def email(**fields: object) -> dict[str, object]:
    return {
        "channel_id": "ch_demo",
        "to": "ada@shop.example",
        "message_type": "MESSAGE",
        "subject": "Hello",
        "content": {"text": "Hello", "html": "<p>Hello</p>"},
        **fields,
    }


def request(method: str, target: str, *, body: object = None, key: str | None = None, **headers: str) -> Request:
    raw = body if isinstance(body, bytes) or body is None else orjson.dumps(body)
    said = {"Authorization": f"Bearer {KEY}"} | ({"Content-Type": "application/json"} if raw is not None else {})
    said |= {} if key is None else {"Idempotency-Key": key}
    said |= {name.replace("_", "-"): value for name, value in headers.items()}
    return Request(method, f"https://sandbox.example{target}", said, raw)


def reply(sandbox: Sandbox | Account, asked: Request, *, now: float = NOW) -> SimulatedResponse:
    account = sandbox.account if isinstance(sandbox, Sandbox) else sandbox
    got = account.handle(asked, now)
    check(got.response)
    check_documented(asked, got.response)
    return got


def ask(sandbox: Sandbox | Account, asked: Request, *, now: float = NOW) -> Response:
    return reply(sandbox, asked, now=now).response


def send(
    sandbox: Sandbox, body: object = None, *, key: str | None = None, now: float = NOW, **headers: str
) -> Response:
    body = text() if body is None else body
    return ask(sandbox, request("POST", "/v1/messages", body=body, key=key, **headers), now=now)


def subscribe(sandbox: Sandbox, to: str = TO, *, now: float = NOW) -> str:
    """Make a contact of *to* that has consented to newsletters; gives its id."""
    channel, field = ("EMAIL", "email") if "@" in to else ("RCS", "phone")
    made = request("POST", "/v1/contacts", body={"source": "API", field: to})
    contact_id = str(said(ask(sandbox, made, now=now))["id"])
    consent = {"channel_type": channel, "message_type": "NEWSLETTER", "source": "form"}
    granted = ask(sandbox, request("POST", f"/v1/contacts/{contact_id}/consent", body=consent), now=now)
    assert said(granted)["status"] == "GRANTED"
    return contact_id


def get(sandbox: Sandbox, target: str, *, now: float = NOW) -> Response:
    return ask(sandbox, request("GET", target), now=now)


def delete(sandbox: Sandbox, message_id: object, *, now: float = NOW) -> Response:
    return ask(sandbox, request("DELETE", f"/v1/messages/{message_id}"), now=now)


async def settled() -> None:
    """Let all other tasks run until each of them waits."""
    for _ in range(20):
        await anyio.lowlevel.checkpoint()
    await anyio.wait_all_tasks_blocked()


def refused(control: Callable[..., object], *args: object, **options: object) -> bool:
    """Whether a control is not possible."""
    try:
        _ = control(*args, **options)
    except ControlError:
        return True
    return False


def said(response: Response) -> Any:  # noqa: ANN401 - JSON has no better type
    return orjson.loads(response.body)


def refusal(response: Response) -> tuple[int, str]:
    return response.status, str(said(response)["error"])


def fields_of(response: Response) -> list[str]:
    assert refusal(response) == (400, "validation_error")
    return [detail["field"] for detail in said(response)["details"]]


@lru_cache(1)
def document() -> Any:  # noqa: ANN401 - JSON has no better type
    return orjson.loads(written())


def operation(asked: Request, whole: Any) -> Any:  # noqa: ANN401 - JSON has no better type
    """What the OpenAPI document *whole* has for a request, None if that is not of a route."""
    try:
        found = find_route(asked.method, urlsplit(asked.url).path)
    except ValueError:
        found = None
    return None if found is None else whole["paths"][found[0].path][asked.method.lower()]


def check_documented(asked: Request, response: Response, whole: Any = None) -> None:  # noqa: ANN401 - JSON
    """Hold an answer, and a request that was accepted, against what the OpenAPI document has for its operation."""
    whole = whole or document()
    one = operation(asked, whole)
    if one is None:
        assert response.status in {401, 404, 429}
        return
    name = one["operationId"]
    assert str(response.status) in one["responses"], (name, response.status)
    described = one["responses"][str(response.status)]
    ((media, body),) = described["content"].items()
    assert response.headers["content-type"].startswith(media)
    if media != "application/json":
        return
    headers = {known.lower(): resolved(header, whole) for known, header in described["headers"].items()}
    assert {*response.headers} == {"content-type", "date", *headers}, name
    assert all(header["required"] for header in headers.values())
    for known, header in headers.items():
        numeric = header["schema"]["type"] != "string"
        value = float(response.headers[known]) if numeric else response.headers[known]
        assert [*problems(int(value) if numeric and value == int(value) else value, header["schema"], whole)] == [], (
            name
        )
    assert [*problems(said(response), body["schema"], whole, strict=True)] == [], (name, response.body)
    if response.status < 300:
        check_asked(asked, one, whole)


def check_asked(asked: Request, one: Any, whole: Any) -> None:  # noqa: ANN401 - JSON has no better type
    name = one["operationId"]
    parameters = {known["name"]: known["schema"] for known in one["parameters"] if known["in"] != "path"}
    writes = asked.method not in {"GET", "DELETE"}
    headers = [("Idempotency-Key", value) for known, value in asked.headers.items() if known == "Idempotency-Key"]
    query = parse_qsl(urlsplit(asked.url).query, keep_blank_values=True)
    takes_a_query = any(known["in"] == "query" for known in one["parameters"])
    for known, value in [*(query if takes_a_query else ()), *(headers if writes else ())]:
        assert known in parameters, (name, known)
        wanted = int(value) if parameters[known].get("type") == "integer" else value
        assert [*problems(wanted, parameters[known], whole)] == [], (name, known)
    body = one.get("requestBody", {"required": False})
    assert asked.body or not body["required"], name
    if asked.body and writes:
        schema = body["content"]["application/json"]["schema"]
        assert [*problems(orjson.loads(asked.body), schema, whole)] == [], (name, asked.body)


def check(response: Response) -> None:
    """Hold an answer against the documented envelope."""
    assert response.headers["date"].endswith(" GMT")
    if response.status == 502:
        assert response.headers["content-type"].startswith("text/html")
        return
    if response.headers["content-type"].startswith("text/html"):  # an email
        assert response.status == 200
        return
    assert response.headers["content-type"] == "application/json"
    limit, remaining = (int(response.headers[f"x-ratelimit-{name}"]) for name in ("limit", "remaining"))
    assert 0 <= remaining <= limit
    assert float(response.headers["x-ratelimit-reset"]) > 0
    if response.status < 300:
        return
    body = said(response)
    assert (response.status, body["error"]) in {(code.status, code.code) for code in CODES}
    assert isinstance(body["message"], str)
    assert ("retry_after" in body) == (response.status == 429)
    assert "retry-after" not in response.headers
    details = body.get("details", [])
    assert all(set(detail) == {"field", "message"} for detail in details)
    assert bool(details) or response.status != 400
    if response.status == 402:
        assert set(body) == {"error", "message", "details", "balance", "required_amount", "topup_url"}
