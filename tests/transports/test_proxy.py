"""Proxies: which one is chosen, tunnels and forwarded requests over real sockets, and what a proxy may answer."""

import contextlib
from collections.abc import Mapping
from typing import Any

import aiohttp as library
import anyio
import pytest
from yarl import URL

from msgapi import Client, Misconfigured, NotSent, Request, Response, Retry, billing
from msgapi.http import TimeLimits
from msgapi.transports import aiohttp, httptools
from msgapi.transports.aiohttp import opening
from msgapi.transports.common.opening import FROM_ENVIRONMENT, Proxy, ProxyRules, parse_setting, read_proxies
from tests.support.exchanges import peer, secured
from tests.support.proxy import proxying
from tests.support.raw_servers import Arrived, Wire, free_port, reply, serving
from tests.transports.test_connections import OWN, Opened

pytestmark = pytest.mark.anyio
PROXY = "http://proxy.test:3128"
SECRET = "pa:ss@w%rd"
CREDENTIALS = "us%20er:pa%3Ass%40w%25rd@"
AUTHORIZATION = b"Proxy-Authorization: Basic dXMgZXI6cGE6c3NAdyVyZA=="


class Service:
    """Answers each request on a connection, and keeps what arrived."""

    def __init__(self) -> None:
        self.requests: list[Arrived] = []

    async def serve(self, wire: Wire) -> None:
        while True:
            self.requests.append(await wire.request())
            await wire.send(reply(200, b'{"free": 1}'))


def chosen(url: str, environment: Mapping[str, str], proxy: str | None = FROM_ENVIRONMENT) -> str | None:
    rules = read_proxies(parse_setting(proxy)[0], environment)
    found = None if rules is None else rules.choose(URL(url))
    return None if found is None else f"{found}"


# Which proxy.


@pytest.mark.parametrize(
    ("url", "environment", "expected"),
    [
        ("https://h.test", {}, None),
        ("https://h.test", {"HTTPS_PROXY": PROXY}, PROXY),
        ("https://h.test", {"HTTP_PROXY": PROXY}, None),
        ("http://h.test", {"HTTP_PROXY": PROXY}, PROXY),
        ("http://h.test", {"HTTPS_PROXY": PROXY}, None),
        ("https://h.test", {"ALL_PROXY": PROXY}, PROXY),
        ("http://h.test", {"all_proxy": PROXY}, PROXY),
        ("https://h.test", {"HTTPS_PROXY": "http://a.test", "https_proxy": "http://b.test:8"}, "http://b.test:8"),
        ("https://h.test", {"HTTPS_PROXY": PROXY, "ALL_PROXY": "http://b.test"}, PROXY),
        ("https://h.test", {"https_proxy": "", "HTTPS_PROXY": PROXY, "ALL_PROXY": PROXY}, None),
        ("https://h.test", {"HTTPS_PROXY": "proxy.test:3128"}, PROXY),
        ("https://h.test", {"HTTPS_PROXY": " proxy.test "}, "http://proxy.test:80"),
        ("https://h.test", {"HTTPS_PROXY": "http://u:p@[fd00::1]:3128"}, "http://[fd00::1]:3128"),
        # httpoxy: a header of a request to a CGI program becomes this variable.
        ("http://h.test", {"HTTP_PROXY": PROXY, "REQUEST_METHOD": "GET"}, None),
        ("http://h.test", {"http_proxy": PROXY, "REQUEST_METHOD": "GET"}, PROXY),
        ("https://h.test", {"HTTPS_PROXY": PROXY, "REQUEST_METHOD": "GET"}, PROXY),
        # This machine is never reached through a proxy of the environment.
        ("http://localhost:8025", {"ALL_PROXY": PROXY}, None),
        ("http://LOCALHOST.:8025", {"ALL_PROXY": PROXY}, None),
        ("https://127.0.0.2", {"ALL_PROXY": PROXY}, None),
        ("https://[::1]:1", {"ALL_PROXY": PROXY}, None),
        ("https://[::ffff:127.0.0.1]", {"ALL_PROXY": PROXY}, None),
        ("https://[::ffff:10.0.0.1]", {"ALL_PROXY": PROXY}, PROXY),
        # NO_PROXY.
        ("https://h.test", {"ALL_PROXY": PROXY, "NO_PROXY": "*"}, None),
        ("https://h.test", {"ALL_PROXY": PROXY, "NO_PROXY": "a.test, h.test"}, None),
        ("https://h.test", {"ALL_PROXY": PROXY, "no_proxy": "H.TEST b.test"}, None),
        ("https://h.test", {"ALL_PROXY": PROXY, "no_proxy": "", "NO_PROXY": "h.test"}, PROXY),
        ("https://a.h.test", {"ALL_PROXY": PROXY, "NO_PROXY": "h.test"}, None),
        ("https://a.h.test", {"ALL_PROXY": PROXY, "NO_PROXY": ".h.test"}, None),
        ("https://a.h.test", {"ALL_PROXY": PROXY, "NO_PROXY": "*.h.test"}, None),
        ("https://ah.test", {"ALL_PROXY": PROXY, "NO_PROXY": "h.test"}, PROXY),
        ("https://h.test:8443", {"ALL_PROXY": PROXY, "NO_PROXY": "h.test:8443"}, None),
        ("https://h.test", {"ALL_PROXY": PROXY, "NO_PROXY": "h.test:8443"}, PROXY),
        ("https://h.test", {"ALL_PROXY": PROXY, "NO_PROXY": f"h.test:{'9' * 5000}"}, PROXY),
        ("https://10.1.2.3", {"ALL_PROXY": PROXY, "NO_PROXY": "10.0.0.0/8"}, None),
        ("https://11.1.2.3", {"ALL_PROXY": PROXY, "NO_PROXY": "10.0.0.0/8,11.1.2.4"}, PROXY),
        ("https://h.test", {"ALL_PROXY": PROXY, "NO_PROXY": "10.0.0.0/8"}, PROXY),
        ("https://[fd00::5]", {"ALL_PROXY": PROXY, "NO_PROXY": "[fd00::5]"}, None),
    ],
)
def test_the_environment_chooses_the_proxy(url: str, environment: dict[str, str], expected: str | None) -> None:
    assert chosen(url, environment) == expected


def test_an_explicit_proxy_is_for_every_host_and_none_is_for_no_proxy() -> None:
    environment = {"HTTPS_PROXY": "http://other.test", "NO_PROXY": "*"}
    assert chosen("https://h.test", environment, PROXY) == PROXY
    assert chosen("http://127.0.0.1", environment, PROXY) == PROXY
    assert chosen("https://h.test", {"HTTPS_PROXY": PROXY}, None) is None


def test_credentials_are_sent_and_shown_nowhere() -> None:
    rules = read_proxies(parse_setting(f"http://{CREDENTIALS}proxy.test:3128")[0], {})
    assert rules is not None
    proxy = rules.choose(URL("https://h.test"))
    assert proxy is not None
    assert proxy.header_lines == AUTHORIZATION + b"\r\n"
    for shown in (repr(proxy), str(proxy), repr(rules)):
        assert "us er" not in shown
        assert SECRET not in shown
        assert "pa%3A" not in shown
    assert Proxy("proxy", "h", 80).header_lines == b""


@pytest.mark.parametrize(
    ("proxy", "kind", "text"),
    [
        (1, TypeError, "proxy must be a URL such as http://proxy.example:3128, or None, not int"),
        ("", Misconfigured, "proxy must be the URL of a proxy"),
        ("http://u:hidden@", Misconfigured, "proxy must be the URL of a proxy"),
        ("http://u:hidden@h:port", Misconfigured, "proxy must be the URL of a proxy"),
        ("http://u:hidden@h x", Misconfigured, "proxy must be the URL of a proxy"),
        ("socks5://u:hidden@h:1080", Misconfigured, "a proxy of the kind socks5, which is not supported"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_one_sentence_without_its_password(
    proxy: str, kind: type[Exception], text: str
) -> None:
    for make in (lambda proxy: Client(proxy=proxy), lambda proxy: httptools.open(proxy=proxy)):
        with pytest.raises(kind, match=text) as error:
            make(proxy)
        assert "hidden" not in str(error.value)


def test_values_of_the_option_are_accepted() -> None:
    for proxy in (None, FROM_ENVIRONMENT, PROXY, "proxy.test:3128"):
        assert parse_setting(proxy)[1] is None
        assert isinstance(Client(proxy=proxy), Client)
    with pytest.raises(ValueError, match="proxy is that of the default transport"):
        Client(proxy=PROXY, transport=httptools.open())


# Over sockets.


@OWN
async def test_a_request_over_tls_goes_through_a_tunnel_with_credentials(over: Opened) -> None:
    service, (certificate, trusting) = Service(), secured("h.test")
    async with (
        serving(service.serve, tls=certificate) as url,
        proxying(url) as proxy,
        over(proxy=proxy.url(CREDENTIALS), ssl=trusting) as transport,
    ):
        for _ in range(2):
            answer = await transport(Request("GET", "https://h.test/v1/x"))
            assert isinstance(answer, Response)
    assert proxy.lines() == ["CONNECT h.test:443 HTTP/1.1"]
    assert proxy.heads[0].endswith(b"Host: h.test:443\r\n" + AUTHORIZATION)
    assert [request.target for request in service.requests] == ["/v1/x", "/v1/x"]
    assert all("proxy-authorization" not in request.headers for request in service.requests)


@OWN
async def test_a_request_over_plain_http_is_forwarded_with_its_whole_url(over: Opened) -> None:
    service = Service()
    async with (
        serving(service.serve) as url,
        proxying(url) as proxy,
        over(proxy=proxy.url(CREDENTIALS)) as transport,
    ):
        answer = await transport(Request("POST", "http://h.test:8025/v1/x", {"X-A": "1"}, b"body"))
        assert isinstance(answer, Response)
    assert proxy.lines() == ["POST http://h.test:8025/v1/x HTTP/1.1"]
    assert proxy.heads[0].splitlines()[1] == AUTHORIZATION
    (request,) = service.requests
    assert (request.body, request.headers["host"], request.headers["x-a"]) == (b"body", "h.test:8025", "1")


@OWN
async def test_the_proxy_of_the_environment_is_read_when_the_transport_opens(
    over: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Service()
    async with serving(service.serve) as url, proxying(url) as proxy:
        unopened = over()
        monkeypatch.setenv("ALL_PROXY", proxy.url())
        async with unopened as transport:
            monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
            for target in ("http://h.test/v1/x", f"{url}/v1/y"):
                assert isinstance(await transport(Request("GET", target)), Response)
    assert proxy.lines() == ["GET http://h.test/v1/x HTTP/1.1"]
    assert [request.target for request in service.requests] == ["/v1/x", "/v1/y"]


@OWN
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "HTTP 403"),
        (b"HTTP/1.0 407 Auth\r\n\r\n", "HTTP 407 (it wants a user name and a password)"),
        (b"SSH-2.0-x\r\n\r\n", "its answer is not that of a proxy"),
        (b"HTTP/1.1 200 OK\r\n\r\nmore", "its answer is not that of a proxy"),
        (b"x" * 40_000, "its answer is not that of a proxy"),
        (b"HTTP/1.1 200 OK\r\n", "it closed the connection"),
    ],
)
async def test_a_tunnel_that_is_refused_is_not_sent(over: Opened, answer: bytes, reason: str) -> None:
    async with proxying(answer=answer) as proxy, over(proxy=proxy.url(CREDENTIALS)) as transport:
        assert await transport(Request("POST", "https://h.test/v1/x")) == NotSent(
            f"the proxy {peer(proxy.url())} refused to connect to h.test:443: {reason}"
        )


@OWN
async def test_a_proxy_that_cannot_be_reached_is_not_sent(over: Opened) -> None:
    proxy = f"127.0.0.1:{free_port()}"
    async with over(proxy=f"http://{CREDENTIALS}{proxy}") as transport:
        for scheme in ("http", "https"):
            answer = await transport(Request("POST", f"{scheme}://h.test/v1/x"))
            assert answer == NotSent(f"could not connect to the proxy {proxy}: ECONNREFUSED (Connection refused)")
    async with over(proxy="http://nothing.invalid") as transport:
        answer = await transport(Request("POST", "https://h.test/v1/x"))
        assert isinstance(answer, NotSent)
        assert answer.reason.startswith("the host name of the proxy nothing.invalid:80 could not be resolved: EAI_")


@OWN
async def test_a_proxy_that_does_not_answer_is_a_connection_that_was_not_made_in_time(over: Opened) -> None:
    async with serving(Wire.hang) as url, over(proxy=url) as transport:
        request = Request("POST", "https://h.test/v1/x", limits=TimeLimits(None, 0.03))
        reason = f"could not connect to h.test:443 through the proxy {peer(url)} in time"
        assert await transport(request) == NotSent(reason)


@OWN
async def test_a_proxy_of_the_environment_that_cannot_be_used_is_not_sent(
    over: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://u:hidden@127.0.0.1:1")
    async with over() as transport:
        for scheme in ("http", "https"):
            answer = await transport(Request("POST", f"{scheme}://h.test/v1/x"))
            assert isinstance(answer, NotSent)
            assert answer.reason.startswith("ALL_PROXY names a proxy of the kind socks5, which is not supported")


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_client_does_not_open_with_a_proxy_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://u:hidden@127.0.0.1:1")
    with pytest.raises(Misconfigured, match="ALL_PROXY names a proxy of the kind socks5") as error:
        async with Client(api_key="sk"):
            pass
    assert "hidden" not in str(error.value)
    for client in (Client(api_key="sk", proxy=None), Client(api_key="sk", base_url="http://localhost:1")):
        async with client:
            pass


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_client_goes_through_the_proxy_that_it_is_given() -> None:
    service, (certificate, trusting) = Service(), secured("h.test")
    async with serving(service.serve, tls=certificate) as url, proxying(url) as proxy:
        once = Retry(attempts=1)
        how: dict[str, Any] = {"api_key": "sk", "base_url": "https://h.test", "ssl": trusting, "retry": once}
        async with Client(proxy=proxy.url(CREDENTIALS), **how) as client:
            _ = await client(billing.balance())
            assert SECRET not in repr(client)
    assert proxy.lines() == ["CONNECT h.test:443 HTTP/1.1"]
    assert len(service.requests) == 1


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("credentials", ["", CREDENTIALS])
async def test_the_session_that_is_used_with_an_unknown_version_of_aiohttp_has_the_same_proxy(
    monkeypatch: pytest.MonkeyPatch, credentials: str
) -> None:
    monkeypatch.setattr(opening, "_own_connections", lambda: None)
    service, (certificate, trusting) = Service(), secured("h.test")
    async with serving(service.serve, tls=certificate) as url, proxying(url) as proxy:
        async with aiohttp.open(proxy=proxy.url(credentials), ssl=trusting) as transport:
            assert isinstance(await transport(Request("GET", "https://h.test/v1/x")), Response)
        monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1")
        async with aiohttp.open() as transport:
            assert isinstance(await transport(Request("GET", "https://h.test/v1/x")), NotSent)
        async with aiohttp.open(proxy=None) as transport:
            assert isinstance(await transport(Request("GET", f"http://127.0.0.1:{free_port()}")), NotSent)
        service = Service()
        async with (
            serving(service.serve) as plain,
            proxying(plain) as forwarding,
            aiohttp.open(proxy=forwarding.url(credentials)) as transport,
        ):
            assert isinstance(await transport(Request("GET", "http://h.test/v1/x")), Response)
    assert proxy.lines() == ["CONNECT h.test:443 HTTP/1.1"]
    assert forwarding.lines() == ["GET http://h.test/v1/x HTTP/1.1"]
    for head in (proxy.heads[0], forwarding.heads[0]):
        assert (AUTHORIZATION in head) is bool(credentials)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_session_that_is_passed_in_keeps_its_own_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service()
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    async with (
        serving(service.serve) as url,
        library.ClientSession() as session,
        aiohttp.open(session=session) as transport,
    ):
        assert isinstance(await transport(Request("GET", url)), Response)


@OWN
async def test_a_call_that_is_cancelled_while_its_tunnel_opens_closes_the_connection(over: Opened) -> None:
    gone = anyio.Event()
    asked = anyio.Event()

    async def serve(wire: Wire) -> None:
        _ = await wire.until(b"\r\n\r\n")
        asked.set()
        with contextlib.suppress(anyio.EndOfStream, anyio.BrokenResourceError):
            await wire.hang()
        gone.set()

    async with serving(serve) as url, over(proxy=url) as transport, anyio.create_task_group() as tasks:
        tasks.start_soon(transport, Request("GET", "https://h.test/v1/x"))
        await asked.wait()
        tasks.cancel_scope.cancel()
    with anyio.fail_after(5):
        await gone.wait()


def test_rules_show_no_host_that_is_bypassed() -> None:
    rules = read_proxies(FROM_ENVIRONMENT, {"ALL_PROXY": PROXY, "NO_PROXY": "internal.test"})
    assert isinstance(rules, ProxyRules)
    assert "internal" not in repr(rules)
