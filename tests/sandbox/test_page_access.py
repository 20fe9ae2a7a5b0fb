"""Who may open the page of a served sandbox, read with its cookie, and change something with its token."""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from attrs import frozen

import msgapi.sandbox.page
from msgapi import Request
from msgapi.sandbox import Sandbox, SimulatedResponse, Workspaces, serve
from msgapi.sandbox.page.access import PageAccess, is_local
from msgapi.sandbox.page.serving import POLICY, PageServer, read_file
from msgapi.version import VERSION
from tests.support.sandbox_requests import KEY, TO, email, text

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]
STATIC = Path(msgapi.sandbox.page.__file__).parent / "static"
SECRET = "known-to-the-user"
REPLY = {"agent_id": "ag_live_demo", "user": TO, "text": "Hello"}


@frozen
class Answer:
    """The answer to one request."""

    status: int
    headers: Mapping[str, str]
    body: str


@frozen
class Browser:
    """A browser with a cookie, as far as a server sees it; *headers* are sent with each request."""

    url: str
    session: aiohttp.ClientSession

    async def ask(self, target: str, *, method: str = "GET", body: object = None, **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        call = self.session.request(method, f"{self.url}{target}", json=body, headers=named, allow_redirects=False)
        async with call as answer:
            return Answer(answer.status, answer.headers, await answer.text())

    async def open(self, target: str = "/", **headers: str) -> str:
        """Open the page; gives its token."""
        answer = await self.ask(target, **headers)
        assert answer.status == 200, answer
        return meta(answer)["sandbox-token"]


def meta(answer: Answer) -> dict[str, str]:
    return dict(re.findall(r'<meta name="(sandbox-[a-z]+)" content="([^"]*)">', answer.body))


@asynccontextmanager
async def browsing(sandbox: Sandbox | Workspaces | None = None, **options: Any) -> AsyncIterator[Browser]:  # noqa: ANN401 - those of `serve`
    async with (
        serve(sandbox or Sandbox(), **options) as url,
        aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session,
    ):
        yield Browser(url, session)


async def test_the_page_has_a_strict_policy_a_cookie_and_its_values() -> None:
    async with browsing() as browser:
        answer = await browser.ask("/")
        port = browser.url.rpartition(":")[2]
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"] == POLICY
    assert "unsafe" not in POLICY
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert re.fullmatch(
        rf"msgapi_sandbox_{port}=[\w-]{{43}}; Path=/; HttpOnly; SameSite=Strict", answer.headers["set-cookie"]
    )
    found = meta(answer)
    assert (found["sandbox-key"], found["sandbox-version"]) == (KEY, VERSION)
    assert len(found["sandbox-token"]) == 43
    assert found["sandbox-token"] not in answer.headers["set-cookie"]


async def test_a_key_of_the_user_is_not_in_the_page() -> None:
    async with browsing(Sandbox(api_key="sk_secret")) as browser:
        answer = await browser.ask("/")
    assert meta(answer)["sandbox-key"] == ""
    assert "sk_secret" not in answer.body


async def test_two_servers_have_other_cookies_and_tokens() -> None:
    async with browsing() as one, browsing() as other:
        tokens = {await one.open(), await other.open()}
        assert len(tokens) == 2


async def test_the_cookie_reads_and_the_token_changes() -> None:
    box = Sandbox(timing=None)
    async with browsing(box) as browser:
        assert (await browser.ask("/_sandbox/account")).status == 401
        token = await browser.open()
        assert (await browser.ask("/_sandbox/account")).status == 200
        for wrong in ({}, {"X_Sandbox_Token": "x"}, {"X_Sandbox_Token": token[:-1]}, {"X_Sandbox_Token": "é"}):
            answer = await browser.ask("/_sandbox/replies", method="POST", body=REPLY, **wrong)
            assert (answer.status, '"token_invalid"' in answer.body) == (403, True)
        assert len(box.messages) == 0
        answer = await browser.ask("/_sandbox/replies", method="POST", body=REPLY, X_Sandbox_Token=token)
        assert answer.status == 201
        assert len(box.messages) == 1


async def test_the_cookie_is_nothing_to_the_api() -> None:
    async with browsing() as browser:
        token = await browser.open()
        assert (await browser.ask("/v1/billing/balance")).status == 401
        answer = await browser.ask("/v1/messages", method="POST", body=text(), X_Sandbox_Token=token)
        assert answer.status == 401


async def test_a_program_with_the_key_needs_neither_cookie_nor_token() -> None:
    async with browsing() as browser:
        bearer = f"Bearer {KEY}"
        assert (await browser.ask("/_sandbox/account", Authorization=bearer)).status == 200
        answer = await browser.ask("/_sandbox/replies", method="POST", body=REPLY, Authorization=bearer)
        assert answer.status == 201
        _ = await browser.open()
        assert (await browser.ask("/_sandbox/account", Authorization="Bearer sk_wrong")).status == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Origin": "http://localhost:1"},
        {"Origin": "http://127.0.0.1:1"},
    ],
)
async def test_the_cookie_is_not_honoured_for_another_origin_of_the_same_machine(headers: dict[str, str]) -> None:
    async with browsing() as browser:
        token = await browser.open()
        assert (await browser.ask("/_sandbox/account", **headers)).status == 401
        answer = await browser.ask("/_sandbox/replies", method="POST", body=REPLY, X_Sandbox_Token=token, **headers)
        assert answer.status == 401
        assert (await browser.ask("/_sandbox/events", **headers)).status == 401


async def test_the_cookie_is_honoured_for_the_own_origin() -> None:
    async with browsing() as browser:
        _ = await browser.open()
        for headers in ({"Origin": browser.url}, {"Sec_Fetch_Site": "same-origin"}, {"Sec_Fetch_Site": "none"}):
            assert (await browser.ask("/_sandbox/account", **headers)).status == 200


FOREIGN = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Host": "evil.example"},
    {"Host": "evil.example:8025"},
]


@pytest.mark.parametrize("headers", FOREIGN)
@pytest.mark.parametrize(
    "target", ["/", "/_sandbox/page/main.js", "/_sandbox/events", "/_sandbox/health", "/_sandbox/account"]
)
async def test_a_foreign_origin_and_a_rebinding_host_are_refused(target: str, headers: dict[str, str]) -> None:
    async with browsing() as browser:
        _ = await browser.open()
        answer = await browser.ask(target, **headers)
        assert (answer.status, answer.headers["content-type"]) == (403, "application/json")
        assert "set-cookie" not in answer.headers


async def test_the_page_is_not_given_to_a_script_of_another_site() -> None:
    async with browsing() as browser:
        answer = await browser.ask("/", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="no-cors")
        assert (answer.status, "set-cookie" in answer.headers, meta(answer)) == (403, False, {})
        assert await browser.open(Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate")


# Other addresses.


async def test_on_another_address_the_page_opens_with_the_secret_of_the_printed_url() -> None:
    away = {"Host": "sandbox.test"}
    async with browsing(allow_hosts=["sandbox.test"], access=SECRET) as browser:
        closed = await browser.ask("/", **away)
        assert (closed.status, meta(closed), "set-cookie" in closed.headers) == (403, {}, False)
        assert "/?access=" in closed.body
        assert (await browser.ask("/?access=wrong", **away)).status == 403
        opened = await browser.ask(f"/?access={SECRET}", **away)
        assert (opened.status, opened.headers["location"]) == (303, "/")
        cookie = opened.headers["set-cookie"].partition(";")[0]
        page = await browser.ask("/", Cookie=cookie, **away)
        assert page.status == 200
        assert (await browser.ask("/_sandbox/account", Cookie=cookie, **away)).status == 200
        browser.session.cookie_jar.clear()
        forged = cookie[:-1] + ("a" if cookie[-1] != "a" else "b")
        assert (await browser.ask("/", Cookie=forged, **away)).status == 403


async def test_from_a_link_of_another_site_the_page_goes_on_by_itself() -> None:
    async with browsing(access=SECRET) as browser:
        answer = await browser.ask(f"/?access={SECRET}", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate")
        assert (answer.status, "location" in answer.headers) == (200, False)
        assert '<meta http-equiv="refresh" content="0;url=/">' in answer.body
        assert "set-cookie" in answer.headers


async def test_without_a_secret_the_page_opens_on_this_machine_only() -> None:
    async with browsing(allow_hosts=["sandbox.test"]) as browser:
        for query in ("", "?access=", "?access=None", "?access=x&access=y", f"?{'&'.join(['a=b'] * 300)}"):
            assert (await browser.ask(f"/{query}", Host="sandbox.test")).status == 403


@pytest.mark.parametrize(
    ("address", "host", "local"),
    [
        ("127.0.0.1", "localhost:8025", True),
        ("127.0.0.1", "127.0.0.1", True),
        ("::1", "[::1]:8025", True),
        ("127.0.0.1", "sandbox.localhost", True),
        ("127.0.0.1", "sandbox.test", False),
        ("192.0.2.1", "localhost", False),
        ("127.0.0.1", "", False),
        (None, "localhost", False),
    ],
)
async def test_a_connection_is_local_if_its_address_and_its_host_are(
    address: str | None, host: str, local: bool
) -> None:
    assert is_local(address, host) == local


# Files.


async def test_a_file_has_an_etag_by_which_it_is_not_sent_again() -> None:
    async with browsing() as browser:
        first = await browser.ask("/_sandbox/page/main.js")
        assert (first.status, first.headers["content-type"]) == (200, "text/javascript; charset=utf-8")
        assert first.headers["x-content-type-options"] == "nosniff"
        assert first.headers["cross-origin-resource-policy"] == "same-origin"
        tag = first.headers["etag"]
        for known in (tag, f"W/{tag}", f'"x", {tag}'):
            again = await browser.ask("/_sandbox/page/main.js", If_None_Match=known)
            assert (again.status, again.body, again.headers["etag"]) == (304, "", tag)
        assert (await browser.ask("/_sandbox/page/main.js", If_None_Match='"x"')).status == 200


@pytest.mark.parametrize("target", ["/", "/_sandbox/page/main.js"])
async def test_the_head_of_the_page_is_that_of_a_get(target: str) -> None:
    async with browsing() as browser:
        whole, head = await browser.ask(target), await browser.ask(target, method="HEAD")
    assert (head.status, head.body) == (200, "")
    assert head.headers["content-length"] == whole.headers["content-length"]


@pytest.mark.parametrize("path", sorted(STATIC.iterdir()), ids=lambda path: path.name)
async def test_each_file_of_the_page_is_served_and_loads_nothing_from_elsewhere(path: Path) -> None:
    answer = read_file(path.name, None)
    assert (answer.status, answer.body) == (200, path.read_bytes())  # noqa: ASYNC240 - a file of the package
    found = re.findall(rb"(?:src|href|url|import|from)\s*[=(]?\s*[\"'](https?:)?//", answer.body)
    assert found == []


@pytest.mark.parametrize(
    "name",
    [
        "",
        "..",
        "../stream.py",
        "%2e%2e/stream.py",
        "none.js",
        ".hidden.js",
        "a/b.js",
        "main.py",
        "main",
        "main.js/",
        "\0.js",
        f"{'a' * 300}.js",
    ],
)
async def test_there_is_no_other_file(name: str) -> None:
    assert read_file(name, None).status == 404


async def test_a_path_out_of_the_folder_is_not_found_over_http() -> None:
    async with browsing() as browser:
        for target in ("/_sandbox/page/..%2fstream.py", "/_sandbox/page/", "/_sandbox/page/none.js"):
            assert (await browser.ask(target)).status == 404
        assert (await browser.ask("/_sandbox/page/main.js", method="POST")).status == 401


# A mail.


async def test_a_mail_is_served_with_its_own_policy_and_not_that_of_the_page() -> None:
    async with browsing() as browser:
        _ = await browser.open()
        sent = await browser.ask("/v1/messages", method="POST", body=email(), Authorization=f"Bearer {KEY}")
        name = re.findall("msg_[0-9a-f]+", sent.body)[0]
        answer = await browser.ask(f"/_sandbox/messages/{name}/mail")
        assert answer.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
        assert answer.body == "<p>Hello</p>"


async def test_the_page_is_that_of_the_first_workspace() -> None:
    boxes = [Sandbox(api_key=key, timing=None) for key in ("sk_one", "sk_two")]
    async with browsing(Workspaces(boxes)) as browser:
        token = await browser.open()
        answer = await browser.ask("/_sandbox/replies", method="POST", body=REPLY, X_Sandbox_Token=token)
        assert answer.status == 201
        by_key = await browser.ask("/_sandbox/messages", Authorization="Bearer sk_two")
        assert '"data":[]' in by_key.body
        health = await browser.ask("/_sandbox/health")
    assert health.status == 200
    assert [len(one.messages) for one in boxes] == [1, 0]


async def test_the_repr_has_no_secret() -> None:
    access = PageAccess(SECRET)
    shown = f"{access!r} {PageServer(Sandbox(), access)!r}"
    assert not any(one in shown for one in (SECRET, access.cookie, access.token))


async def test_other_requests_are_left_as_they_are() -> None:
    access = PageAccess()
    cookie = {"cookie": f"x=y; msgapi_sandbox_80={access.cookie}", "host": "localhost"}
    request = Request("GET", "http://localhost/v1/messages", cookie)
    assert access.authorize(request, "/v1/messages", 80, KEY) is request
    other_port = access.authorize(request, "/_sandbox/account", 81, KEY)
    assert other_port is request
    allowed = access.authorize(request, "/_sandbox/account", 80, KEY)
    assert not isinstance(allowed, SimulatedResponse)
    assert allowed.headers["authorization"] == f"Bearer {KEY}"
