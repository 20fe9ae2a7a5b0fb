"""The log of the requests, and each of them as a curl command and as a program with the client."""

import ast
import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson
import pytest
from attrs import evolve
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import msgapi
from msgapi import Request, Response, messages
from msgapi.sandbox import MAGIC_RECIPIENTS, Sandbox
from msgapi.sandbox.model import inspection
from msgapi.sandbox.openapi.operations import OPERATIONS, Operation
from msgapi.sandbox.routes.inspection.snippets import curl_command, python_program
from tests.support.sandbox_refusals import ACCEPTED, CONTACT
from tests.support.sandbox_requests import KEY, NOW, TO, ask, email, get, request, said, send, still, text
from tests.support.strategies import MESSAGES

PHONE = {recipient.fault: recipient.phone for recipient in MAGIC_RECIPIENTS}
CALLS = Path(__file__).with_name("request_calls.py")


def logged(box: Sandbox, query: str = "") -> list[Any]:
    answer = get(box, f"/_sandbox/requests{query}")
    assert answer.status == 200, answer.body
    found: list[Any] = said(answer)["data"]
    return found


def test_a_request_is_logged_with_its_response_and_without_the_key() -> None:
    box = still()
    name = said(send(box, key="k1"))["message_id"]
    (one,) = logged(box)
    assert (one["number"], one["method"], one["path"], one["query"], one["status"]) == (
        1,
        "POST",
        "/v1/messages",
        "",
        200,
    )
    assert (one["idempotency_key"], one["replayed"], one["code"], one["fault"]) == ("k1", False, None, None)
    assert orjson.loads(one["body"]) == text()
    assert orjson.loads(one["response"])["message_id"] == name
    assert KEY not in repr(one)
    assert KEY not in repr([*box.account.state.requests.newest_first()])


def test_a_refusal_has_its_code_and_its_details() -> None:
    box = still()
    _ = send(box, text(to="1"))
    _ = ask(box, request("GET", "/v1/nowhere?x=1"))
    _ = ask(box, request("GET", "/v1/messages", Authorization="Bearer sk_wrong"))
    wrong, unknown, invalid = logged(box)
    assert (invalid["status"], invalid["code"], invalid["details"][0]["field"]) == (400, "validation_error", "to")
    assert invalid["message"]
    assert (unknown["path"], unknown["query"], unknown["body"], unknown["python"]) == ("/v1/nowhere", "x=1", None, None)
    assert (wrong["status"], wrong["code"], wrong["details"]) == (401, "unauthorized", [])
    assert "sk_wrong" not in repr(wrong)


def test_a_repeated_request_is_marked() -> None:
    box = still()
    for _ in range(2):
        _ = send(box, key="k1")
    assert [one["replayed"] for one in logged(box)] == [True, False]


def test_the_key_in_a_body_is_the_key_of_the_request() -> None:
    box = still()
    _ = send(box, text(idempotency_key="k1"))
    _ = send(box, text(idempotency_key=7))
    strange, one = logged(box)
    assert (one["idempotency_key"], strange["idempotency_key"]) == ("k1", None)
    assert 'idempotency_key="k1"' in one["python"]


@pytest.mark.parametrize(
    ("fault", "faults"),
    [
        ("402", ["402", "402"]),
        ("430", ["430", "430"]),
        ("500-once", ["500-once", None]),
        ("lost", ["lost", "lost"]),
        ("slow", ["slow", "slow"]),
    ],
)
def test_a_request_to_a_magic_recipient_names_its_fault(fault: Any, faults: list[str | None]) -> None:  # noqa: ANN401 - a fault
    box = still()
    for _ in range(2):
        _ = send(box, text(to=PHONE[fault]), key="k1")
    assert [one["fault"] for one in logged(box)][::-1] == faults


def test_an_invalid_request_to_a_magic_recipient_has_no_fault() -> None:
    box = still()
    _ = send(box, text(to=PHONE["500"], traffic_type="x"))
    assert [one["fault"] for one in logged(box)] == [None]


def test_a_random_fault_is_named() -> None:
    box = still(faults=1.0)
    for number in range(40):
        _ = send(box, key=f"k{number}")
    statuses = {one["fault"]: one["status"] for one in logged(box)}
    assert statuses == {"500": 500, "502": 502, "503": 503, "429": 429, "lost": 200}


def test_requests_are_filtered_and_paged() -> None:
    box = still()
    name = said(send(box))["message_id"]
    _ = get(box, "/v1/messages/msg_none")
    _ = get(box, f"/v1/messages/{name}")
    _ = ask(box, request("POST", "/v1/contacts", body=CONTACT))
    assert [one["number"] for one in logged(box, "?status=404")] == [2]
    assert [one["number"] for one in logged(box, "?status=2xx")] == [4, 3, 1]
    assert [one["number"] for one in logged(box, "?path=contacts")] == [4]
    assert [one["number"] for one in logged(box, f"?message_id={name}")] == [1]
    page = said(get(box, "/_sandbox/requests?limit=3"))
    assert [one["number"] for one in logged(box, f"?cursor={page['next_cursor']}")] == [1]
    for query in ("status=4", "status=600", "status=40x", "status=4xxx"):
        assert get(box, f"/_sandbox/requests?{query}").status == 400


def test_the_last_requests_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection, "MAX_REQUESTS", 3)
    box = still()
    for _ in range(5):
        _ = get(box, "/v1/billing/balance")
    assert [one["number"] for one in logged(box)] == [5, 4, 3]


def test_large_requests_are_kept_only_as_far_as_they_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection, "MAX_REQUEST_BYTES", 10_000)
    box = still()
    for _ in range(3):
        _ = send(box, email(content={"html": "x" * 4000}))
    assert [one["number"] for one in logged(box)] == [3, 2]
    _ = send(box, email(content={"html": "x" * 20_000}))
    assert [one["number"] for one in logged(box)] == [4]
    _ = get(box, "/v1/billing/balance")
    assert [one["number"] for one in logged(box)] == [5]


def test_a_long_body_is_shown_in_part() -> None:
    box = still()
    _ = send(box, email(content={"html": "x" * 200_000}))
    (one,) = logged(box)
    assert len(one["body"]) < 70_000
    assert one["body"].endswith("bytes)")
    assert one["curl"].endswith("--data-binary @body.json")


@pytest.mark.parametrize("body", [b"\xff", b"a\0b", b"[1]", b"{"])
def test_any_body_is_shown(body: bytes) -> None:
    box = still()
    _ = send(box, body)
    (one,) = logged(box)
    assert one["body"] == body.decode(errors="replace")
    assert one["python"] is None


# curl.


def words(method: str, target: str, body: bytes = b"", key: str | None = None) -> list[str]:
    """The words of the command as a shell reads them, with the two variables as they are."""
    command = curl_command(method, f"http://sandbox{target}", body, key)
    return shlex.split(command.replace(" \\\n  ", " "))


def test_a_request_is_a_curl_command() -> None:
    assert words("GET", "/v1/messages?limit=1&x=a%20b") == [
        "curl",
        "$MSGAPI_BASE_URL/v1/messages?limit=1&x=a%20b",
        "-H",
        "Authorization: Bearer $MSGAPI_API_KEY",
    ]
    assert words("POST", "/v1/messages", b'{"text":"it\'s $HOME `id`"}', "k'1") == [
        *("curl", "-X", "POST", "$MSGAPI_BASE_URL/v1/messages", "-H", "Authorization: Bearer $MSGAPI_API_KEY"),
        *("-H", "Idempotency-Key: k'1", "-H", "Content-Type: application/json"),
        *("--data-raw", '{"text":"it\'s $HOME `id`"}'),
    ]
    assert words("HEAD", "/v1/messages")[:2] == ["curl", "-I"]
    assert words("GET", "/v1/messages/{1}")[:2] == ["curl", "-g"]
    assert words("GET", "/v1/../x")[:2] == ["curl", "--path-as-is"]


@settings(max_examples=100)
@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=30))
def test_no_value_of_a_request_is_code_for_the_shell(value: str) -> None:
    found = words("POST", "/v1/messages", value.encode(), value)
    assert found[found.index("--data-raw") + 1] == value
    assert f"Idempotency-Key: {value}" in found


# Programs.


def run(program: str, box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    """Run a program on a sandbox; gives its requests."""
    sent: list[Request] = []
    real = msgapi.Client

    async def transport(asked: Request) -> Response:
        sent.append(asked)
        return box.account.handle(asked, NOW).response

    with monkeypatch.context() as patch:
        patch.setattr(msgapi, "Client", lambda: real(transport=transport, api_key=KEY, retry=msgapi.Retry(attempts=1)))
        patch.setattr("builtins.print", lambda *_: None)
        exec(compile(program, "program", "exec"), {"__name__": "__main__"})  # noqa: S102 - made by the sandbox
    return sent


QUERIES = {
    "messages.list": "?limit=5&offset=1&status=READ&from=2026-05-04&to=2026-05-04T07:30:00Z",
    "billing.usage": "?month=2026-05",
    "billing.detailed_usage": "?from=2026-05-01&to=2026-05-04&group_by=day",
    "billing.transactions": "?from=2026-05-01&limit=5",
    "billing.tier": "?channel=RCS",
}


def recorded(box: Sandbox, one: Operation) -> Any:  # noqa: ANN401 - JSON
    asked = ACCEPTED[one.name](box)
    asked = evolve(asked, query=QUERIES.get(one.name, asked.query))
    sent = request(one.method, one.path.replace("{id}", asked.id) + asked.query, body=asked.body, key="k1")
    assert ask(box, sent).status < 300
    return logged(box)[0]


@pytest.mark.parametrize("one", OPERATIONS, ids=lambda one: one.name)
def test_the_program_of_a_request_makes_it_again(one: Operation, monkeypatch: pytest.MonkeyPatch) -> None:
    box = still()
    found = recorded(box, one)
    (again,) = run(found["python"], box, monkeypatch)
    before = orjson.loads(found["body"] or b"{}")
    after = orjson.loads(again.body or b"{}")
    asked, sent = (dict(parse_qsl(query)) for query in (found["query"], urlsplit(again.url).query))
    assert again.method == found["method"]
    assert urlsplit(again.url).path == found["path"]
    assert {name: as_time(value) for name, value in asked.items()} == {
        name: as_time(value) for name, value in sent.items() if name in asked
    }
    assert before.items() <= after.items()


def as_time(value: str) -> object:
    try:
        return datetime.fromisoformat(value).replace(tzinfo=UTC)
    except ValueError:
        return value


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(message=MESSAGES)
def test_the_program_of_any_message_sends_it_again(message: messages.Message, monkeypatch: pytest.MonkeyPatch) -> None:
    call = messages.send(message, idempotency_key="k1", strict=False)
    if call.invalid is not None:
        return
    sent = orjson.loads(call.body or b"")
    program = python_program("POST", "http://sandbox/v1/messages", sent, "k1")
    assert program is not None
    (again,) = run(program, still(), monkeypatch)
    assert again.headers["Idempotency-Key"] == "k1"
    assert orjson.loads(again.body or b"") == sent


def python(box: Sandbox, method: str, target: str, body: object = None) -> object:
    _ = ask(box, request(method, target, body=body))
    return logged(box)[0]["python"]


@pytest.mark.parametrize(
    ("method", "target", "body"),
    [
        ("POST", "/v1/campaigns/x/trigger", {"strange": 1}),
        ("POST", "/v1/contacts", {**CONTACT, "strange": 1}),
        ("POST", "/v1/contacts", {"email": 1}),
        ("POST", "/v1/contacts/import", {"contacts": [{"strange": 1}]}),
        ("POST", "/v1/test/register", {"phone": TO, "strange": 1}),
        ("POST", "/v1/test/register", {"phone": 1}),
        ("POST", "/v1/billing/topup", {"amount": 10, "currency": "USD"}),
        ("POST", "/v1/messages", text(traffic_type="STRANGE")),
        ("POST", "/v1/messages", text(strange=1)),
        ("GET", "/v1/messages?strange=1", None),
        ("GET", "/v1/messages?status=STRANGE", None),
        ("GET", "/v1/messages?limit=many", None),
        ("GET", "/v1/messages?from=yesterday", None),
        ("GET", "/v1/messages?limit=1&limit=2", None),
        ("GET", "/v1/billing/usage/detailed?from=2026-05-01", None),
        ("PUT", "/v1/messages", {}),
        ("GET", "/v1/messages/a/b/c", None),
    ],
)
def test_a_request_that_the_client_cannot_make_has_no_program(method: str, target: str, body: object) -> None:
    assert python(still(), method, target, body) is None


@pytest.mark.parametrize("depth", [40, 100, 300, 900, 3000])
def test_a_body_of_any_depth_is_shown(depth: int) -> None:
    box = still()
    nested = b"[" * depth + b"]" * depth
    _ = ask(
        box,
        request(
            "POST", "/v1/contacts", body=b'{"custom_fields":{"a":' + nested + b'},"source":"API","email":"a@b.example"}'
        ),
    )
    (one,) = logged(box)
    assert (one["python"] is not None) == (depth == 40)


def test_an_amount_with_cents_is_written_as_text() -> None:
    program = python(still(), "POST", "/v1/billing/topup", {"amount": 12.5, "currency": "EUR"})
    assert 'billing.top_up(Decimal("12.5"))' in str(program)


def test_a_time_without_a_zone_is_one_in_utc() -> None:
    program = str(python(still(), "GET", "/v1/messages?from=2026-05-04T07:30&to=2026-05-04T09:30:00%2B02:00"))
    assert program.count("datetime(2026, 5, 4, 7, 30, tzinfo=UTC)") == 2


@given(value=st.text(max_size=20))
@settings(max_examples=100)
def test_no_value_of_a_request_is_code_in_a_program(value: str) -> None:
    sent = text(content={"text": value})
    program = python_program("POST", "http://sandbox/v1/messages", sent, value)
    assert program is not None
    strings = [node.value for node in ast.walk(ast.parse(program)) if isinstance(node, ast.Constant)]
    assert strings.count(value) >= 2
    assert [node.id for node in ast.walk(ast.parse(program)) if isinstance(node, ast.Name)].count("messages") == 2


def test_the_programs_pass_the_type_checkers_which_read_them_in_a_file_of_these_tests() -> None:
    modules = "agents, billing, campaigns, contacts, messages, testagent, webhooks"
    parts = [
        '"""The programs of the requests that the operations accept, for type checkers."""\n',
        "# ruff: noqa: T201",
        "from datetime import UTC, date, datetime\nfrom decimal import Decimal\n",
        f"import msgapi\nfrom msgapi import {modules}\n\n",
    ]
    for one in OPERATIONS:
        program = recorded(still(), one)["python"]
        begin, _, rest = program.partition("async def main()")
        assert begin.startswith("import asyncio\n")
        body = rest.partition("\n\n\nasyncio.run")[0]
        parts.append(f"async def {one.name.replace('.', '_')}(){body}\n\n")
    written = "\n".join(parts).rstrip("\n") + "\n"
    assert CALLS.read_text(encoding="utf-8") == written, CALLS.write_text(written, encoding="utf-8")
