"""webhooks: the five calls that manage endpoints."""

from typing import Any, TypeVar

import anyio.lowlevel
import pytest

from msgapi import Call, Ok, Result, webhooks
from msgapi.webhooks import EndpointChanges, NewEndpoint
from tests.support.call_bodies import answered, route, sent, wrong

T = TypeVar("T")
NEW = NewEndpoint(url="https://shop.example/hook", events=("message.read",), secret="whsec_1")
ID = "5f0c7f3e-8f5e-4b3c-9a55-0d9c0a1b2c3d"


def test_creating_an_endpoint_sends_its_secret_and_never_shows_it() -> None:
    call = webhooks.create(NEW)
    assert route(call) == ("POST", "/v1/webhooks")
    assert sent(call) == {"url": NEW.url, "events": ["message.read"], "secret": "whsec_1"}
    assert not call.repeatable
    assert "whsec" not in repr(call) + repr(NEW)


def test_every_field_is_checked() -> None:
    bad: Any = {"url": "http://shop.example/hook", "events": (), "secret": ""}
    assert set(wrong(webhooks.create(NewEndpoint(**bad)))) == set(bad)
    assert set(wrong(webhooks.update(ID, EndpointChanges(**bad)))) == set(bad)
    assert wrong(webhooks.update(ID, EndpointChanges())) == {"": "must change something"}


def test_an_endpoint_on_a_loopback_address_may_be_http() -> None:
    for url in ("http://127.0.0.1:8080/hook", "http://localhost/hook", "http://[::1]/"):
        assert webhooks.create(NewEndpoint(url=url, events=("message.read",), secret="s")).invalid is None
    for url in ("http://127.0.0.1.example/", "http://10.0.0.1/", "ftp://localhost/"):
        assert set(wrong(webhooks.update(ID, EndpointChanges(url=url)))) == {"url"}


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (webhooks.list(), ("GET", "/v1/webhooks")),
        (webhooks.list(cursor="c2", limit=5), ("GET", "/v1/webhooks?cursor=c2&limit=5")),
        (webhooks.update(ID, EndpointChanges(secret="whsec_2")), ("PATCH", f"/v1/webhooks/{ID}")),
        (webhooks.delete(ID), ("DELETE", f"/v1/webhooks/{ID}")),
        (webhooks.test(ID), ("POST", f"/v1/webhooks/{ID}/test")),
    ],
)
def test_the_routes_are_the_documented_ones(call: Call[object], expected: tuple[str, str]) -> None:
    assert route(call) == expected


@pytest.mark.parametrize("body", [[{"webhook_id": ID}], {"webhooks": [{"id": ID}]}, {"endpoints": [{"id": ID}]}])
def test_a_list_is_read_as_an_array_or_an_object(body: object) -> None:
    assert [one.id for one in answered(webhooks.list(), body).webhooks] == [ID]


def test_unknown_fields_of_a_response_are_kept_in_extra() -> None:
    assert answered(webhooks.delete(ID), {"success": True}).extra == {"success": True}
    assert answered(webhooks.create(NEW), {"id": ID, "webhook_id": "x"}, 201).extra == {"webhook_id": "x"}


@pytest.mark.anyio
async def test_pages_yields_every_page_to_the_last() -> None:
    asked: list[str] = []

    async def api(call: Call[T], /) -> Result[T]:
        await anyio.lowlevel.checkpoint()
        asked.append(call.target)
        more = {"next_cursor": "c2", "has_more": True} if len(asked) == 1 else {}
        return Ok(answered(call, {"webhooks": [{"id": f"{len(asked)}"}], **more}))

    found = [page async for page in webhooks.pages(api, limit=1)]
    assert [one.id for page in found if isinstance(page, Ok) for one in page.value.webhooks] == ["1", "2"]
    assert asked == ["/v1/webhooks?limit=1", "/v1/webhooks?cursor=c2&limit=1"]


def test_an_endpoint_needs_at_least_one_event() -> None:
    none = NewEndpoint(url=NEW.url, events=(), secret="s")
    assert wrong(webhooks.create(none)) == {"events": "must be at least 1, and are 0"}
