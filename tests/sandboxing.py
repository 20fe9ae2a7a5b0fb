"""Requests to a sandbox, and what every answer of it must look like."""

from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import orjson

from msgapi import Request, Response
from msgapi.sandbox import CODES, Account, Reply, Sandbox
from msgapi.sandbox.openapi import document as written
from msgapi.sandbox.routes import find

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


def reply(sandbox: Sandbox | Account, asked: Request, *, now: float = NOW) -> Reply:
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


def check_documented(asked: Request, response: Response) -> None:
    """Hold an answer against what the OpenAPI document has for its operation."""
    try:
        found = find(asked.method, urlsplit(asked.url).path)
    except ValueError:
        found = None
    if found is None:
        assert response.status in {401, 404, 429}
        return
    responses = document()["paths"][found[0].path][asked.method.lower()]["responses"]
    assert str(response.status) in responses, (found[0], response.status)
    ((media, body),) = responses[str(response.status)]["content"].items()
    assert response.headers["content-type"].startswith(media)
    if response.status >= 400 and media == "application/json":
        assert said(response)["error"] in body["schema"]["properties"]["error"]["enum"], (found[0], response.body)


def check(response: Response) -> None:
    """Hold an answer against the documented envelope."""
    assert response.headers["date"].endswith(" GMT")
    if response.status == 502:
        assert response.headers["content-type"].startswith("text/html")
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
