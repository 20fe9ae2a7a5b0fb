"""msgapi doctor --probe: the read-only routes, and how their answers differ from the models."""

from collections.abc import Callable
from functools import partial

import orjson
import pytest

from msgapi import Client, Request, Response, Unanswered
from msgapi.cli import main
from msgapi.cli.commands import doctor
from msgapi.sandbox import Sandbox
from msgapi.transports import Answer, Transport
from tests.support.sandbox_requests import request, text

Captured = pytest.CaptureFixture[str]
Serve = Callable[[Transport], list[Request]]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Serve:
    """Return a function that lets a transport answer the command, and returns the requests as they arrive."""
    monkeypatch.setenv("MSGAPI_API_KEY", "sk_sandbox")
    monkeypatch.setenv("MSGAPI_BASE_URL", "http://127.0.0.1")

    def served(transport: Transport) -> list[Request]:
        requests: list[Request] = []

        async def recorded(request: Request, /) -> Answer:
            requests.append(request)
            return await transport(request)

        monkeypatch.setattr(doctor, "Client", partial(Client, transport=recorded))
        return requests

    return served


def sandbox_with_a_message() -> Sandbox:
    sandbox = Sandbox()
    assert sandbox.handle(request("POST", "/v1/messages", body=text())).response.status == 200
    return sandbox


def test_every_read_only_route_is_called_once(serve: Serve, capsys: Captured) -> None:
    requests = serve(sandbox_with_a_message())
    assert main(["doctor", "--probe", "--agent", "ag_live_demo"]) == 0
    shown = capsys.readouterr().out
    assert {one.method for one in requests} == {"GET"}
    paths = [one.url.partition("?")[0] for one in requests[1:]]  # the first one is the check of the balance
    assert len(paths) == len(set(paths)) == 16
    assert "GET /v1/rcs/agents/{id}/launch    Ok" in shown
    assert "GET /v1/campaigns/{id}/status     not called: the last messages name no campaign" in shown
    assert "unknown" in shown
    assert "no values, so they can be shared" in shown
    assert "ag_live_demo" not in shown
    assert "+49" not in shown


def test_the_result_is_json_with_the_checks(serve: Serve, capsys: Captured) -> None:
    _ = serve(Sandbox())
    assert main(["doctor", "--probe", "--json"]) == 0
    found = orjson.loads(capsys.readouterr().out)
    assert {one["name"]: one["ok"] for one in found["checks"]}["service"] is True
    routes = {one["route"]: one for one in found["probe"]["routes"]}
    assert routes["GET /v1/messages/{id}"]["skipped"] == "the message log is empty"
    assert routes["GET /v1/rcs/agents/{id}"]["skipped"] == "pass --agent ID"
    fields = {(one["route"], one["field"], one["kind"], one["found"]) for one in found["probe"]["differences"]}
    assert ("GET /v1/billing/tier", "tiers[].current", "unknown", "a string") in fields


def test_answers_of_another_shape_are_listed_by_type_and_without_values(serve: Serve, capsys: Captured) -> None:
    async def changed(request: Request, /) -> Answer:
        if "/v1/messages?" in request.url:
            row = {"id": "m-1", "cost": True, "contact_id": "c-1", "campaign_id": "k-1", "note": "Ann"}
            return Response(200, {}, orjson.dumps({"messages": [{"id": "m-0"}, row]}))
        if "/balance" in request.url:
            return Response(200, {}, b'{"free":1,"reserved":0,"total":1}')
        return Response(404, {}, b'{"error":"not_found","message":"Ann","hint":"Ann"}')

    requests = serve(changed)
    assert main(["doctor", "--probe"]) == 0
    shown = capsys.readouterr().out
    assert [one.url.partition("/v1/")[2] for one in requests[-4:]] == [
        "messages/m-0",
        "contacts/c-1",
        "contacts/c-1/consent",
        "campaigns/k-1/status",
    ]
    rows = [line.split() for line in shown.splitlines()]
    assert ["GET", "/v1/messages", "Ok"] in [row[:3] for row in rows]
    assert ["GET", "/v1/contacts/{id}", "NotFound", "not_found", "1"] in rows
    assert "GET /v1/messages messages[].cost unexpected type a number a boolean 1 of 1".split() in rows
    assert "GET /v1/messages messages[].note unknown a string 1 of 1".split() in rows
    assert "Ann" not in shown


def test_it_ends_where_the_service_is_lost(serve: Serve, capsys: Captured) -> None:
    async def lost(request: Request, /) -> Answer:
        return Response(200, {}, b'{"free":1,"reserved":0,"total":1}') if "balance" in request.url else Unanswered("x")

    _ = serve(lost)
    assert main(["doctor", "--probe"]) == 0
    shown = capsys.readouterr().out
    assert "GET /v1/billing/usage     Unanswered unanswered" in shown
    assert "/tier" not in shown
    assert "difference  " not in shown


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_nothing_is_probed_while_a_check_fails(serve: Serve, capsys: Captured, more: list[str]) -> None:
    async def refused(_: Request, /) -> Answer:
        return Response(401, {}, b'{"error":"unauthorized","message":"m"}')

    requests = serve(refused)
    assert main(["doctor", "--probe", *more]) == 4
    assert len(requests) == 1
    shown = capsys.readouterr()
    assert ("nothing was probed" in shown.err) is (not more)
    if more:
        assert orjson.loads(shown.out)["probe"] is None


def test_an_agent_without_a_probe_is_a_mistake(capsys: Captured) -> None:
    assert main(["doctor", "--agent", "ag_1"]) == 2
    assert capsys.readouterr().err == "msgapi: --agent is for --probe only\n"
