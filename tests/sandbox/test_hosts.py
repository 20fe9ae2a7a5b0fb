"""A served sandbox answers for the hosts that it has, and to no web page of another one."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import anyio
import orjson
import pytest

from msgapi.sandbox import Sandbox, Workspaces, serve
from msgapi.sandbox.server import AllowedHosts, host_of
from tests.support.sandbox_requests import text

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]
EVERY = "0.0.0.0"  # noqa: S104 - bound to in tests only
EVIL = [
    "evil.example",
    "evil.example:8025",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "192.0.2.1",
    "10.0.0.7:80",
]
ODD = [
    "",
    "localhost:port",
    "user@localhost",
    "localhost/",
    "local host",
    "[::1",
    "[::2]",
    EVERY,
    "127.0.0.1, evil.example",
]


async def asked(
    url: str, *lines: str, target: str = "/v1/messages", body: bytes = b"", version: str = "1.1"
) -> tuple[int, Any]:
    """Send a request with these lines of its head over a socket of its own."""
    parts = urlsplit(url)
    head = [f"{'POST' if body else 'GET'} {target} HTTP/{version}", *lines, "Authorization: Bearer sk_sandbox"]
    head += ["Content-Type: application/json", f"Content-Length: {len(body)}", "Connection: close", "", ""]
    async with await anyio.connect_tcp(parts.hostname or "", parts.port or 0) as stream:
        await stream.send("\r\n".join(head).encode() + body)
        answer = b"".join([part async for part in stream])
    first, _, rest = answer.partition(b"\r\n\r\n")
    return int(first.split(b" ")[1]), orjson.loads(rest)


@asynccontextmanager
async def served(**options: Any) -> AsyncIterator[tuple[Sandbox, str]]:  # noqa: ANN401 - those of `serve`
    box = Sandbox()
    async with serve(box, **options) as url:
        yield box, url.replace("localhost", "127.0.0.1")


@pytest.mark.parametrize("bound", ["127.0.0.1", EVERY, "localhost"])
@pytest.mark.parametrize("host", [*EVIL, *ODD])
async def test_a_host_that_is_not_its_own_is_refused_whatever_it_is_bound_to(bound: str, host: str) -> None:
    async with served(host=bound) as (box, url):
        status, body = await asked(url, f"Host: {host}", body=orjson.dumps(text()))
        assert (status, body["error"]) == (403, "forbidden")
        assert "--allow-host" in body["message"]
        assert "MSGAPI_SANDBOX_ALLOW_HOST" in body["message"]
    assert (len(box.messages), box.requests) == (0, 0)


@pytest.mark.parametrize("bound", ["127.0.0.1", EVERY])
@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:8025", "localhost.", "app.localhost", "127.0.0.1", "127.0.0.1:1", "127.9.9.9", "[::1]:80"],
)
async def test_a_loopback_name_is_accepted(bound: str, host: str) -> None:
    async with served(host=bound) as (box, url):
        assert (await asked(url, f"Host: {host}", body=orjson.dumps(text())))[0] == 200
    assert len(box.messages) == 1


async def test_the_message_names_the_host_to_allow() -> None:
    async with served() as (_, url):
        _, body = await asked(url, "Host: sandbox:8025")
        assert "--allow-host sandbox, or set MSGAPI_SANDBOX_ALLOW_HOST=sandbox." in body["message"]
        _, body = await asked(url, "Host: <b>x</b>")
        assert "--allow-host NAME" in body["message"]


@pytest.mark.parametrize("allowed", ["sandbox", "Sandbox", "sandbox:8025", "sandbox."])
@pytest.mark.parametrize("bound", ["127.0.0.1", EVERY])
async def test_a_host_that_is_allowed_by_name_is_accepted_with_any_port(bound: str, allowed: str) -> None:
    async with served(host=bound, allow_hosts=["other", allowed]) as (_, url):
        for host in ("sandbox", "SANDBOX:8025", "sandbox:1"):
            assert (await asked(url, f"Host: {host}"))[0] == 200
        assert (await asked(url, "Host: notsandbox"))[0] == 403


async def test_the_address_of_the_connection_is_accepted() -> None:
    async with served(host="127.0.0.2") as (_, url):
        assert (await asked(url, f"Host: {urlsplit(url).netloc}"))[0] == 200
    hosts = AllowedHosts(["192.0.2.7"], ["[2001:DB8::0:1]"])
    assert [hosts._accepts(one, "198.51.100.4") for one in ("192.0.2.7:80", "[2001:db8::1]", "198.51.100.4")] == [
        True
    ] * 3
    assert not hosts._accepts("192.0.2.8", "198.51.100.4")


async def test_each_host_of_a_request_counts() -> None:
    async with served() as (_, url):
        assert (await asked(url, "Host: localhost", target="http://evil.example/v1/messages"))[0] == 403
        assert (await asked(url, "Host: evil.example", target="http://localhost/v1/messages"))[0] == 403
        assert (await asked(url, "Host: localhost", target="http://localhost/v1/messages"))[0] == 200


async def test_a_request_without_a_host_is_not_from_a_browser() -> None:
    async with served() as (_, url):
        assert (await asked(url, version="1.0"))[0] == 200
        assert (await asked(url, "Origin: http://evil.example", version="1.0"))[0] == 403


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "https://evil.example:8025",
        "null",
        "",
        "localhost",
        "file://",
        "http://localhost.evil.example",
    ],
)
async def test_a_page_of_another_host_is_refused_although_the_host_is_right(origin: str) -> None:
    async with served() as (box, url):
        status, body = await asked(url, "Host: localhost", f"Origin: {origin}", body=orjson.dumps(text()))
        assert (status, body["error"]) == (403, "forbidden")
        assert "Origin" in body["message"]
    assert box.requests == 0


@pytest.mark.parametrize(
    "origin", ["http://localhost:3000", "http://127.0.0.1:8025", "https://sandbox", "http://[::1]"]
)
async def test_a_page_of_its_own_hosts_is_answered(origin: str) -> None:
    async with served(allow_hosts=["sandbox"]) as (_, url):
        assert (await asked(url, "Host: localhost", f"Origin: {origin}"))[0] == 200


async def test_several_workspaces_and_the_document_are_behind_the_same_rule() -> None:
    async with serve(Workspaces([Sandbox(), Sandbox(api_key="sk_two")])) as url:
        for target in ("/openapi.json", "/v1/messages", "/_sandbox/replies", "/nowhere"):
            assert (await asked(url, "Host: evil.example", target=target))[0] == 403
        assert (await asked(url, "Host: localhost", target="/openapi.json"))[0] == 200


@pytest.mark.parametrize("name", ["", "http://sandbox", "a b", "*", "sandbox/", "-x-", "a" * 300])
async def test_what_is_not_the_name_of_a_host_cannot_be_allowed(name: str) -> None:
    with pytest.raises(ValueError, match="is not a host name"):
        async with serve(Sandbox(), allow_hosts=[name]):
            pass


async def test_a_host_is_compared_in_its_usual_form() -> None:
    found = [host_of(one) for one in ("Sandbox:80", "sandbox.", "[0:0::1]:80", "a_b", "münchen.example")]
    assert found == ["sandbox", "sandbox", "::1", "a_b", None]


async def test_a_server_for_every_address_accepts_the_loopback_address_that_it_names() -> None:
    async with serve(Sandbox(), host=EVERY) as url:
        assert url.startswith("http://127.0.0.1:")
        assert (await asked(url, f"Host: {urlsplit(url).netloc}"))[0] == 200
    assert socket.gethostbyname("localhost").startswith("127.")
