"""Every request to any route of the sandbox has a documented response."""

from typing import Any, Final

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msgapi import Request
from msgapi.sandbox import Sandbox
from msgapi.sandbox.model.campaigns import CAMPAIGNS
from msgapi.sandbox.routes.table import ROUTES, Route, find_route, max_body_of
from tests.support.sandbox_calls import post
from tests.support.sandbox_requests import TO, ask, email, get, refusal, request, said, still, text

VALUES: Final[st.SearchStrategy[object]] = st.sampled_from(
    [
        *(
            None,
            True,
            False,
            0,
            -1,
            7,
            10,
            50.5,
            1e300,
            "",
            "x",
            "API",
            "EUR",
            "EUROPE",
            "CONVERSATIONAL",
            "OTP",
            "MESSAGE",
        ),
        *(
            "NEWSLETTER",
            "EMAIL",
            "RCS",
            "BLOCKED",
            "ACTIVE",
            "credit_card",
            "000000",
            TO,
            "ada@shop.example",
            "#000000",
        ),
        *("https://shop.example/", "http://[", "message.read", "ag_test_demo", "ag_live_demo", [], {}, [{}], ["x"]),
        *([{"email": "bob@shop.example"}], ["message.read"], {"text": "Hello"}, {"a": [[{}]]}, "\u0000", "ß" * 300),
    ]
)
NAMES: Final = (
    *("source email phone external_id first_name last_name tags custom_fields status contacts channel_type").split(),
    *("message_type proof_text enforced_doi doi_channel display_name region billing_category use_case color").split(),
    *("newsletter_enabled description logo_url website url events secret amount currency payment_method_id").split(),
    *(
        "type enabled trigger_threshold reload_amount low_balance_threshold code agent_id to content traffic_type"
    ).split(),
    *("idempotency_key channel_id subject").split(),
)
QUERIES: Final = st.sampled_from(
    [
        "",
        "?",
        "?month=2026-05",
        "?from=2026-05-01&to=2026-06-01",
        "?limit=1&cursor=cur_0000000000000001",
        "?channel=RCS",
        *("?group_by=unit", "?%ff=%00", "?a=1&a=2", "?limit=\u0661", "?from=\ud800", f"?{'&'.join('a' * 60)}"),
    ]
)
DEEP: Final = b'{"custom_fields":' + b"[" * 300 + b"]" * 300 + b',"source":"API"}'


def full() -> tuple[Sandbox, list[str]]:
    """Open a sandbox that has one of each, and give their ids."""
    box = still()
    made = [
        post(box, "/v1/contacts", {"source": "API", "email": "ada@shop.example", "phone": TO}),
        post(box, "/v1/rcs/agents", dict(zip(NAMES[15:19], ("A", "EUROPE", "CONVERSATIONAL", "OTP"), strict=True))),
        post(box, "/v1/webhooks", {"url": "https://shop.example", "events": ["message.read"], "secret": "s"}),
        post(box, "/v1/messages", text()),
    ]
    ids = [next(part for name, part in said(one).items() if name in {"id", "agent_id", "message_id"}) for one in made]
    return box, ["ag_live_demo", *ids, *(one.campaign_id for one in CAMPAIGNS), "", "%00", "\ud800", "..%2f", "ß"]


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
_LIKELY = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=6)
_BODIES = st.one_of(
    st.none(),
    st.binary(max_size=20),
    st.just(DEEP),
    st.one_of(_LIKELY, _JSON, st.sampled_from([text(), email()])).map(lambda value: orjson.dumps(value, default=str)),
)


@given(st.lists(st.tuples(st.sampled_from(ROUTES), st.integers(0, 20), QUERIES, _BODIES), max_size=8), st.data())
def test_any_body_query_and_id_on_any_route_has_a_response(
    steps: list[tuple[Route, int, str, bytes | None]], data: st.DataObject
) -> None:
    box, ids = full()
    for route, number, query, body in steps:
        target = route.path.replace("{id}", ids[number % len(ids)]) + query
        form = data.draw(st.sampled_from(["application/json", "text/plain"]))
        asked = request(route.method, target, body=body, key="k" if number == 7 else None, Content_Type=form)
        answer = ask(box, asked)
        assert answer.status < 500
        assert orjson.loads(answer.body) is not None


@given(st.sampled_from(ROUTES), _JSON)
def test_a_body_of_another_schema_is_refused(route: Route, value: Any) -> None:  # noqa: ANN401
    box, ids = full()
    for one in ids:
        answer = post(box, route.path.replace("{id}", one), value, method=route.method)
        assert answer.status < 300 or "error" in said(answer)


def test_routes_are_listed_once_and_found_by_their_paths() -> None:
    assert len({(route.method, route.path) for route in ROUTES}) == len(ROUTES)
    for route in ROUTES:
        assert find_route(route.method, route.path.replace("{id}", "a%5Fb")) == (
            route,
            "a_b" if "{id}" in route.path else "",
        )


@pytest.mark.parametrize(
    ("method", "path", "bytes_"),
    [
        ("POST", "/v1/contacts/import", 16_777_216),
        ("POST", "/v1/contacts", 1_048_576),
        ("POST", "/nowhere", 1_048_576),
    ],
)
def test_the_size_of_a_body_is_limited_by_its_route(method: str, path: str, bytes_: int) -> None:
    assert max_body_of(method, path) == bytes_


@pytest.mark.parametrize(
    "route", [route for route in ROUTES if route.writes and not route.without_fields], ids=lambda one: one.path
)
def test_a_route_that_writes_needs_a_json_object(route: Route) -> None:
    box, ids = full()
    target = route.path.replace("{id}", ids[1])
    for body in (b"", b"[]", b"{"):
        answer = post(box, target, body, method=route.method)
        assert refusal(answer) == (400, "validation_error")
    bare = Request(route.method, f"https://x{target}", {"Authorization": "Bearer sk_sandbox"})
    assert refusal(ask(box, bare)) == (400, "validation_error")


def test_each_noun_has_a_rate_limit_of_its_own() -> None:
    box = still(read_limit=1)
    targets = (
        "/v1/billing/balance",
        "/v1/webhooks",
        "/v1/test/status",
        "/v1/contacts/c_1",
        "/v1/rcs/agents/ag_live_demo",
    )
    assert [get(box, target).status for target in targets] == [200, 200, 200, 404, 200]
    assert {refusal(get(box, target)) for target in targets} == {(429, "rate_limit_exceeded")}
