"""What a key of the sandbox may do by its role."""

import pytest

from msgapi.sandbox import Sandbox
from msgapi.sandbox.model.state import ROLES, Role
from msgapi.sandbox.routes.table import ROUTES
from tests.support.sandbox_requests import request, text

CONTACT = {"source": "API", "email": "ada@shop.example"}


@pytest.mark.parametrize(
    ("role", "statuses"),
    [("viewer", (403, 403, 403, 200)), ("editor", (201, 200, 403, 200)), ("manager", (201, 200, 200, 200))],
)
def test_a_key_may_do_what_its_role_allows(role: Role, statuses: tuple[int, ...]) -> None:
    box = Sandbox(role=role, timing=None)
    created = box.handle(request("POST", "/v1/contacts", body=CONTACT)).response
    name = created.headers.get("location", "/v1/contacts/c_1")
    asked = (
        request("POST", "/v1/messages", body=text()),
        request("DELETE", name),
        request("GET", "/v1/billing/balance"),
    )
    found = (created.status, *(box.handle(one).response.status for one in asked))
    assert found == statuses


def test_every_route_requires_an_existing_role() -> None:
    assert {route.role for route in ROUTES} == set(ROLES)
