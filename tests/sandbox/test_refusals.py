"""Every error response that the OpenAPI document has for an operation is reached by that operation."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest
from attrs import evolve

from msgapi import Request, Response
from msgapi.sandbox import CODES, FaultShares, Sandbox
from msgapi.sandbox.account import WindowLimit
from msgapi.sandbox.openapi.operations import CONTROLS, OPERATIONS, Operation
from msgapi.sandbox.routes.table import ROUTES
from tests.support.sandbox_refusals import ACCEPTED, ALSO, OWN, Asked, Case, unknown
from tests.support.sandbox_requests import NOW, ask, document, request, said, still

ALL = (*OPERATIONS, *CONTROLS)
Way = Callable[[Sandbox, Operation], Response]


def responses(one: Operation) -> dict[str, Any]:
    found: dict[str, Any] = document()["paths"][one.path][one.method.lower()]["responses"]
    return found


def documented(one: Operation) -> list[tuple[int, str]]:
    """The statuses of an operation that are no success, each with each of its codes; a page has none."""
    found = []
    for status, response in responses(one).items():
        if int(status) >= 400:
            schema = next(iter(response["content"].values()))["schema"]
            codes = schema.get("properties", {}).get("error", {}).get("enum", [""])
            found += [(int(status), code) for code in codes]
    return found


def make(one: Operation, asked: Asked, **headers: str) -> Request:
    target = one.path.replace("{id}", asked.id) + asked.query
    return request(one.method, target, body=asked.body, **headers)


def by(case: Case) -> Way:
    return lambda box, one: ask(box, make(one, case(box)))


def with_a_wrong_key(box: Sandbox, one: Operation) -> Response:
    return ask(box, make(one, ACCEPTED[one.name](box), Authorization="Bearer sk_other"))


def as_a_viewer(box: Sandbox, one: Operation) -> Response:
    asked = ACCEPTED[one.name](box)
    box.account.role = "viewer"
    return ask(box, make(one, asked))


def too_often(box: Sandbox, one: Operation) -> Response:
    asked = ACCEPTED[one.name](box)
    window = 1e7
    box.account.send_limit = box.account.read_limit = WindowLimit(1, window)
    box.account.counters.clear()  # as if the preparations had been in another window
    if one.name in {"sandbox.reset", "sandbox.restore"}:  # set the count to what it was
        box.account.counter("controls").counted = (int(NOW // window), 1)
    else:
        _ = ask(box, make(one, asked))
    return ask(box, make(one, asked))


def with_nonsense(box: Sandbox, one: Operation) -> Response:
    asked = ACCEPTED[one.name](box)
    if one.method in {"GET", "DELETE"}:
        return ask(box, make(one, evolve(asked, query="?nonsense=1")))
    return ask(box, make(one, evolve(asked, body=b"nonsense")))


def under_the_same_key(box: Sandbox, one: Operation) -> Response:
    asked = evolve(given := ACCEPTED[one.name](box), body=orjson.dumps(given.body))
    assert ask(box, make(one, asked, Idempotency_Key="k")).status < 300
    assert isinstance(given.body, dict)
    other = orjson.dumps({**given.body, "strange": 1})
    return ask(box, make(one, evolve(asked, body=other), Idempotency_Key="k"))


def by_chance(status: int) -> Way:
    def way(box: Sandbox, one: Operation) -> Response:
        asked = ACCEPTED[one.name](box)
        box.account.state.faults.shares = FaultShares.spread(1.0)
        answers = (ask(box, make(one, asked, Idempotency_Key=f"k{number}")) for number in range(100))
        return next(answer for answer in answers if answer.status == status)

    return way


def way_to(one: Operation, status: int, code: str) -> Way:
    if (one.name, code) in OWN:
        return by(OWN[one.name, code])
    ways: dict[str, Way] = {
        "unauthorized": with_a_wrong_key,
        "forbidden": as_a_viewer,
        "not_found": by(unknown(one.name)),
        "validation_error": with_nonsense,
        "idempotency_conflict": under_the_same_key,
        "rate_limit_exceeded": too_often,
    }
    return ways[code] if code in ways else by_chance(status)


REFUSALS = [(one, *refusal) for one in ALL for refusal in documented(one)]


@pytest.mark.parametrize(
    ("one", "status", "code"), REFUSALS, ids=[f"{one.name} {status} {code}" for one, status, code in REFUSALS]
)
def test_every_refusal_that_is_documented_for_an_operation_is_reached(one: Operation, status: int, code: str) -> None:
    answer = way_to(one, status, code)(still(), one)
    assert answer.status == status
    assert not code or said(answer)["error"] == code


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.name)
def test_every_success_that_is_documented_for_an_operation_is_reached(one: Operation) -> None:
    found = {ask(box := still(), make(one, ACCEPTED[one.name](box))).status}
    found |= {ask(box := still(), make(one, case(box))).status for (name, _), case in ALSO.items() if name == one.name}
    assert found == {int(status) for status in responses(one) if int(status) < 300} == {*one.statuses}


def test_a_refusal_by_role_and_one_by_the_operation_are_both_reached() -> None:
    for name in ("messages.send", "testagent.send"):
        one = next(one for one in ALL if one.name == name)
        for way in (as_a_viewer, by(OWN[name, "forbidden"])):
            assert (answer := way(still(), one)).status == 403
            assert said(answer)["error"] == "forbidden"


def test_every_code_of_the_sandbox_belongs_to_an_operation_and_has_one_status() -> None:
    codes = {code.code for code in CODES}
    assert len(codes) == len(CODES)
    assert {code for route in ROUTES for code in route.error_codes} == codes
    assert {(status, code) for _, status, code in REFUSALS} == {*((one.status, one.code) for one in CODES), (502, "")}


def test_the_refusals_of_these_tests_are_in_the_document() -> None:
    assert {(one.name, code) for one, _, code in REFUSALS} >= {*OWN}
    assert {one.name for one in ALL} == {*ACCEPTED}
