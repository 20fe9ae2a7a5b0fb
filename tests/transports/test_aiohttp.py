"""Transport over aiohttp: the outcome of each thing that can happen on a real socket."""

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from unittest.mock import Mock

import aiohttp as library
import anyio
import pytest
import trustme
from aiohttp.client_proto import ResponseHandler
from hypothesis import given, settings
from hypothesis import strategies as st

from msgapi import NotSent, Request, Response, Unanswered
from msgapi.transports import Transport, aiohttp
from msgapi.transports.aiohttp.connection import AiohttpConnection
from msgapi.transports.aiohttp.session import head_limits
from msgapi.transports.common.connections import Deadlines
from msgapi.transports.common.http1 import RequestCoalescer
from tests.support.exchanges import FRAGMENTS, HEAD, OK, PACKED, Exchanges, Over, get, peer, post, refused, saying
from tests.support.raw_servers import Arrived, Wire, free_port, reply, serving

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]


@asynccontextmanager
async def a_session(**options: Any) -> AsyncIterator[Transport]:  # noqa: ANN401 - those of `opened`
    async with library.ClientSession() as session, aiohttp.open(session=session, **options) as transport:
        yield transport


EXCHANGES = Exchanges(aiohttp.open)
between, asked, arrived = EXCHANGES.between, EXCHANGES.asked, EXCHANGES.arrived
BOTH = pytest.mark.parametrize("over", [aiohttp.open, a_session])


# What surely did not leave.


@BOTH
async def test_a_refused_connection_is_not_sent(over: Over) -> None:
    async with over() as transport:
        url = f"http://127.0.0.1:{free_port()}"
        assert await transport(post(url)) == refused(url)


async def test_a_host_name_that_does_not_exist_is_not_sent() -> None:
    async with aiohttp.open() as transport:
        answer = await transport(post("http://nothing.invalid"))
        assert isinstance(answer, NotSent)
        assert answer.reason.startswith("the host name of nothing.invalid:80 could not be resolved: EAI_")


@BOTH
@pytest.mark.parametrize(
    "url",
    [
        "",
        "/v1",
        "127.0.0.1/v1",
        "http://",
        "http:///v1",
        "ftp://127.0.0.1/",
        "http://[::1/",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1:x/",
        "http://a..b/",
        f"http://{'a' * 64}.test/",
        "http://127.0.0.1/a b",
        "http://127.0.0.1/\r\nX-Injected: 1",
        "http://127.0.0.1/ä",
    ],
)
async def test_a_url_that_is_none_is_not_sent(over: Over, url: str) -> None:
    async with over() as transport:
        assert await transport(Request("GET", url)) == NotSent("the URL is not valid")


async def test_a_host_that_only_looks_like_an_address_is_not_sent() -> None:
    async with aiohttp.open() as transport:
        assert isinstance(await transport(get(f"http://127.1:{free_port()}")), NotSent)


async def test_an_untrusted_certificate_is_not_sent() -> None:
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(server)
    async with serving(saying(OK), tls=server) as url, aiohttp.open() as transport:
        answer = await transport(post(url))
        assert isinstance(answer, NotSent)
        assert answer.reason.startswith(f"no secure connection to {peer(url)}: unable to get local issuer certificate")


async def test_a_certificate_for_another_host_is_not_sent() -> None:
    authority, server = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("other.test").configure_cert(server)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with serving(saying(OK), tls=server) as url, aiohttp.open(ssl=trusting) as transport:
        reason = "IP address mismatch, certificate is not valid for '127.0.0.1'."
        assert await transport(post(url)) == NotSent(f"no secure connection to {peer(url)}: {reason}")


async def test_a_certificate_that_is_trusted_lets_the_request_through() -> None:
    authority, server = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with serving(saying(OK), tls=server) as url, aiohttp.open(ssl=trusting) as transport:
        assert isinstance(await transport(post(url)), Response)


async def test_a_server_that_does_not_speak_tls_is_not_sent() -> None:
    async def serve(wire: Wire) -> None:
        _ = await wire.stream.receive()
        await wire.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    async with between(serve) as (transport, url):
        answer = await transport(post(url.replace("http:", "https:")))
        assert isinstance(answer, NotSent)
        assert answer.reason in {
            f"no secure connection to {peer(url)}: wrong version number",
            f"no secure connection to {peer(url)}: record layer failure",
        }


async def test_a_connection_that_ends_while_it_is_being_secured_is_not_sent() -> None:
    async def serve(wire: Wire) -> None:
        _ = await wire.stream.receive()
        await wire.reset()

    async with between(serve) as (transport, url):
        assert isinstance(await transport(post(url.replace("http:", "https:"))), NotSent)


@pytest.mark.parametrize(("timeout", "connect_timeout"), [(30.0, 0.05), (1.0, 30.0)])
async def test_a_time_out_while_connecting_is_not_sent(timeout: float, connect_timeout: float) -> None:  # noqa: ASYNC109
    async with between(Wire.hang, timeout=timeout, connect_timeout=connect_timeout) as (transport, url):
        assert await transport(post(url.replace("http:", "https:"))) == NotSent(
            f"could not connect to {peer(url)} in time"
        )


async def test_a_proxy_that_refuses_is_not_sent() -> None:
    async def serve(wire: Wire) -> None:
        assert (await wire.until(b"\r\n\r\n")).startswith(b"CONNECT ")
        await wire.send(reply(407))

    async with (
        serving(serve) as proxy,
        library.ClientSession(proxy=proxy) as session,
        aiohttp.open(session=session) as transport,
    ):
        answer = await transport(post("https://127.0.0.1:9"))
    assert answer == NotSent("the proxy refused to connect to 127.0.0.1:9: HTTP 407")
    proxy = f"http://127.0.0.1:{free_port()}"
    async with library.ClientSession(proxy=proxy) as session, aiohttp.open(session=session) as transport:
        answer = await transport(post("https://127.0.0.1:9"))
    assert answer == NotSent(f"could not connect to the proxy {peer(proxy)}: ECONNREFUSED (Connection refused)")


async def test_another_certificate_than_the_pinned_one_is_not_sent() -> None:
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(server)
    connector = library.TCPConnector(ssl=library.Fingerprint(bytes(32)))
    async with (
        serving(saying(OK), tls=server) as url,
        library.ClientSession(connector=connector) as session,
        aiohttp.open(session=session) as transport,
    ):
        assert isinstance(await transport(post(url)), NotSent)


# What may have left.


@BOTH
async def test_a_connection_closed_without_an_answer_is_unanswered(over: Over) -> None:
    assert await asked(saying(), over) == Unanswered("the connection was lost")


@BOTH
async def test_a_reset_after_the_request_is_unanswered(over: Over) -> None:
    async def serve(wire: Wire) -> None:
        _ = await wire.request()
        await wire.reset()

    reason = "the connection was lost: ECONNRESET (Connection reset by peer)"
    assert await asked(serve, over) == Unanswered(reason)


async def test_a_reset_before_the_request_was_read_is_unanswered() -> None:
    assert isinstance(await asked(Wire.reset), Unanswered)


@BOTH
async def test_a_reset_in_the_middle_of_a_large_request_is_unanswered(over: Over) -> None:
    async def serve(wire: Wire) -> None:
        _ = await wire.until(b"\r\n\r\n")
        await wire.reset()

    async with between(serve, over) as (transport, url):
        assert isinstance(await transport(post(url, b"x" * 2**24)), Unanswered)


@BOTH
@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([], id="nothing"),
        pytest.param([HEAD], id="half a head"),
        pytest.param([HEAD, b"Content-Length: 9\r\n\r\n", b"{"], id="half a body"),
    ],
)
async def test_an_answer_that_does_not_end_in_time_is_unanswered(over: Over, parts: list[bytes]) -> None:
    async def serve(wire: Wire) -> None:
        _ = await wire.request()
        await wire.send(*parts)
        await wire.hang()

    assert await asked(serve, over, timeout=0.1) == Unanswered("no answer in time")


async def test_the_time_out_is_for_the_whole_exchange_not_for_each_part_of_it() -> None:
    async def serve(wire: Wire) -> None:
        _ = await wire.request()
        await wire.send(HEAD, b"Transfer-Encoding: chunked\r\n\r\n")
        while True:
            await wire.send(b"1\r\n.\r\n")
            await anyio.sleep(0.01)

    assert await asked(serve, timeout=0.2) == Unanswered("no answer in time")


@BOTH
@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([HEAD, b"Content-Length: 99\r\n\r\n{}"], id="less than its length"),
        pytest.param([HEAD, b"Transfer-Encoding: chunked\r\n\r\n", b"2\r\n{}\r\n"], id="no last chunk"),
        pytest.param([HEAD, b"Transfer-Encoding: chunked\r\n\r\n", b"9\r\n{}"], id="half a chunk"),
        pytest.param([HEAD, b"Transfer-Encoding: chunked\r\n\r\n"], id="no chunk"),
    ],
)
async def test_an_answer_that_is_cut_is_unanswered(over: Over, parts: list[bytes]) -> None:
    assert await asked(saying(*parts), over) == Unanswered("the response was cut short")


@BOTH
@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([b"SSH-2.0-OpenSSH_9.6\r\n"], id="another protocol"),
        pytest.param([b"HTTP/1.1 abc\r\n\r\n"], id="no status"),
        pytest.param([HEAD, b"Content-Length: x\r\n\r\n{}"], id="no length"),
        pytest.param([HEAD, b"no colon\r\n\r\n{}"], id="no header"),
        pytest.param([HEAD, b"A: ", b"a" * 200_000, b"\r\n\r\n{}"], id="endless header"),
        pytest.param([b"\x00" * 100], id="zeros"),
    ],
)
async def test_an_answer_that_is_not_http_is_unanswered(over: Over, parts: list[bytes]) -> None:
    assert await asked(saying(*parts), over) == Unanswered("the response is not HTTP")


@BOTH
@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([HEAD, b"Content-Length: 1001\r\n\r\n", b"x" * 1001], id="with a length"),
        pytest.param([HEAD, b"Transfer-Encoding: chunked\r\n\r\n", *([b"9\r\nxxxxxxxxx\r\n"] * 200)], id="in chunks"),
        pytest.param([HEAD, b"\r\n", b"x" * 1001], id="until the end"),
        pytest.param([reply(200, PACKED, headers={"Content-Encoding": "gzip"})], id="unpacked"),
    ],
)
async def test_an_answer_that_is_too_large_is_unanswered(over: Over, parts: list[bytes]) -> None:
    assert await asked(saying(*parts), over, max_response=1000) == Unanswered("the response is larger than 1000 bytes")


@BOTH
async def test_an_endless_answer_ends_the_connection(over: Over) -> None:
    gone = anyio.Event()

    async def serve(wire: Wire) -> None:
        _ = await wire.request()
        await wire.send(HEAD, b"Transfer-Encoding: chunked\r\n\r\n")
        try:
            while True:
                await wire.send(b"400\r\n", b"x" * 1024, b"\r\n")
        finally:
            gone.set()

    async with between(serve, over, max_response=10_000) as (transport, url):
        assert isinstance(await transport(post(url)), Unanswered)
        await gone.wait()


@BOTH
async def test_an_answer_as_large_as_allowed_is_an_answer(over: Over) -> None:
    answer = await asked(saying(reply(200, b"x" * 10)), over, max_response=10)
    assert isinstance(answer, Response)
    assert answer.body == b"x" * 10


@BOTH
@given(st.lists(st.binary(max_size=40) | st.sampled_from(FRAGMENTS)))
@settings(max_examples=60)
async def test_nothing_that_a_server_says_raises(over: Over, parts: list[bytes]) -> None:
    answer = await asked(saying(*parts), over, timeout=2.0)
    assert isinstance(answer, Response | Unanswered)


# What goes over the wire.


@BOTH
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("body", [None, b""])
async def test_a_request_that_could_have_a_body_says_that_it_has_none(
    over: Over, method: str, body: bytes | None
) -> None:
    assert (await arrived(Request(method, "/", {}, body), over)).headers["content-length"] == "0"


async def test_a_request_that_has_no_body_by_nature_says_nothing_of_one() -> None:
    assert "content-length" not in (await arrived(Request("GET", "/"))).headers


@BOTH
@pytest.mark.parametrize("size", [2**20, 2**20 + 1, 2**22])
async def test_a_large_body_arrives_whole_under_the_same_headers(over: Over, size: int) -> None:
    request = await arrived(Request("POST", "/", {}, b"x" * size), over)
    assert request.body == b"x" * size
    assert set(request.headers) == {"host", "accept-encoding", "content-length"}


async def test_no_header_is_added_but_the_host_and_what_frames_the_body() -> None:
    request = Request("POST", "/", {"Accept": "application/json", "X-Own": "1"}, b"{}")
    assert set((await arrived(request)).headers) == {"accept", "x-own", "host", "accept-encoding", "content-length"}


async def test_compression_is_declined() -> None:
    assert (await arrived(Request("GET", "/"))).headers["accept-encoding"] == "identity"


@BOTH
async def test_a_header_with_a_line_break_raises_and_nothing_arrives(over: Over) -> None:
    async def serve(wire: Wire) -> None:
        _ = await wire.request()
        raise AssertionError

    async with between(serve, over) as (transport, url):
        with pytest.raises(ValueError, match="header") as caught:
            _ = await transport(Request("GET", url, {"X-Key": "secret\r\nX-Injected: 1"}))
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "X Own", "X-Own:", "X-Own\r\nX-Injected", "Ä"])
async def test_a_header_with_a_name_that_none_can_have_raises(name: str) -> None:
    async with aiohttp.open() as transport:
        with pytest.raises(ValueError, match="header"):
            _ = await transport(Request("GET", "http://127.0.0.1:9", {name: "1"}))


@pytest.mark.parametrize("method", ["", "GET /", "GET\r\n"])
async def test_a_method_that_is_none_raises(method: str) -> None:
    async with aiohttp.open() as transport:
        with pytest.raises(ValueError, match="method"):
            _ = await transport(Request(method, "http://127.0.0.1:9"))


@pytest.mark.parametrize("name", ["Content-Length", "Transfer-Encoding", "connection", "Upgrade", "Expect"])
async def test_a_header_that_would_frame_the_body_anew_raises(name: str) -> None:
    async with aiohttp.open() as transport:
        with pytest.raises(ValueError, match=name.lower()):
            _ = await transport(Request("POST", "http://127.0.0.1:9", {name: "1"}, b"{}"))


async def test_a_host_and_an_encoding_that_are_given_are_kept() -> None:
    request = await arrived(Request("GET", "/", {"host": "other.test", "ACCEPT-ENCODING": "gzip"}))
    assert (request.headers["host"], request.headers["accept-encoding"]) == ("other.test", "gzip")


async def test_the_answer_to_a_head_has_no_body_whatever_its_length_says() -> None:
    async def serve(wire: Wire) -> None:
        while True:
            _ = await wire.request()
            await wire.send(HEAD, b"Content-Length: 99\r\n\r\n")

    async with between(serve) as (transport, url):
        for _ in range(2):
            answer = await transport(Request("HEAD", url))
            assert isinstance(answer, Response)
            assert (answer.headers["content-length"], answer.body) == ("99", b"")


@BOTH
@pytest.mark.parametrize(
    ("method", "status"), [("GET", b"204 No Content"), ("GET", b"304 Not Modified"), ("HEAD", b"200 OK")]
)
async def test_the_length_of_a_body_that_is_not_there_is_no_part_of_the_next_answer(
    over: Over, method: str, status: bytes
) -> None:
    connections = []

    async def serve(wire: Wire) -> None:
        connections.append(wire.number)
        for _ in range(2):
            _ = await wire.request()
            await wire.send(b"HTTP/1.1 ", status, b"\r\nContent-Length: 9\r\n\r\n")
            _ = await wire.request()
            await wire.send(OK)
        await wire.hang()

    async with between(serve, over) as (transport, url):
        answers = [await transport(Request(name, f"{url}/v1")) for name in (method, "GET", method, "GET")]
    assert [one.body for one in answers if isinstance(one, Response)] == [b"", b"{}", b"", b"{}"]
    if over is aiohttp.open:
        assert len(connections) == 1


async def test_an_answer_before_the_request_was_read_ends_the_connection() -> None:
    numbers: list[int] = []

    async def serve(wire: Wire) -> None:
        _ = await wire.until(b"\r\n\r\n")
        numbers.append(wire.number)
        await wire.send(reply(413))
        await wire.hang()

    async with between(serve) as (transport, url):
        for _ in range(2):
            answer = await transport(post(url, b"x" * 2**25))
            assert isinstance(answer, Response)
            assert answer.status == 413
    assert numbers == [1, 2]


@BOTH
@pytest.mark.parametrize("encoding", ["gzip", "x-gzip"])
async def test_a_packed_answer_that_was_not_asked_for_is_unpacked(over: Over, encoding: str) -> None:
    headers = {"Content-Encoding": encoding, "X-Other": "1"}
    answer = await asked(saying(reply(402, gzip.compress(b"plain"), headers=headers)), over)
    assert answer == Response(402, {"x-other": "1"}, b"plain")


@BOTH
@pytest.mark.parametrize(("encoding", "body"), [("gzip", b"no gzip"), ("br", b"\x0b\x02\x80plain\x03")])
async def test_an_answer_that_cannot_be_unpacked_stays_as_it_came(over: Over, encoding: str, body: bytes) -> None:
    answer = await asked(saying(reply(500, body, headers={"Content-Encoding": encoding})), over)
    assert isinstance(answer, Response)
    assert (answer.status, answer.headers["content-encoding"], answer.body) == (500, encoding, body)


@BOTH
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_an_answer(over: Over, status: int) -> None:
    answer = await asked(saying(reply(status, headers={"Location": "http://nothing.invalid/"})), over)
    assert isinstance(answer, Response)
    assert answer.status == status


@BOTH
async def test_an_interim_answer_is_not_the_answer(over: Over) -> None:
    answer = await asked(saying(b"HTTP/1.1 102 Processing\r\n\r\n", reply(201)), over)
    assert isinstance(answer, Response)
    assert answer.status == 201


@BOTH
async def test_an_answer_in_chunks_is_put_together(over: Over) -> None:
    chunks = [HEAD, b"Transfer-Encoding: chunked\r\n\r\n", b"2\r\nab\r\n", b"1\r\nc\r\n", b"0\r\n\r\n"]
    answer = await asked(saying(*chunks), over)
    assert isinstance(answer, Response)
    assert answer.body == b"abc"


async def test_more_urls_than_are_kept_parsed_still_arrive() -> None:
    targets: list[str] = []

    async def serve(wire: Wire) -> None:
        while True:
            targets.append((await wire.request()).target)
            await wire.send(OK)

    async with between(serve) as (transport, url):
        for number in range(300):
            assert isinstance(await transport(Request("GET", f"{url}/{number}")), Response)
    assert targets == [f"/{number}" for number in range(300)]


# Connections.


@BOTH
async def test_a_connection_is_used_again(over: Over) -> None:
    numbers: list[int] = []

    async def serve(wire: Wire) -> None:
        while True:
            _ = await wire.request()
            numbers.append(wire.number)
            await wire.send(OK)

    async with between(serve, over) as (transport, url):
        for _ in range(3):
            assert isinstance(await transport(post(url)), Response)
    assert numbers == [1, 1, 1]


@BOTH
async def test_no_post_is_ever_sent_again(over: Over) -> None:
    requests = 0

    async def serve(wire: Wire) -> None:
        nonlocal requests
        while True:
            _ = await wire.request()
            requests += 1
            if requests == 2:
                return  # as a server that closes a kept connection just when it is used again
            await wire.send(OK)

    async with between(serve, over) as (transport, url):
        assert isinstance(await transport(post(url)), Response)
        assert isinstance(await transport(post(url)), Unanswered)
        assert isinstance(await transport(post(url)), Response)
    assert requests == 3


@BOTH
@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([], id="before the answer"),
        pytest.param([HEAD, b"Content-Length: 9\r\n\r\n", b"old"], id="in its middle"),
        pytest.param([HEAD, b"Transfer-Encoding: chunked\r\n\r\n", b"3\r\nold\r\n"], id="between its chunks"),
    ],
)
async def test_a_cancelled_call_leaves_nothing_for_the_next_one_to_read(over: Over, parts: list[bytes]) -> None:
    scope = anyio.CancelScope()

    async def serve(wire: Wire) -> None:
        while True:
            request = await wire.request()
            if request.body == b"cancel":
                await wire.send(*parts)
                await anyio.sleep(0.02)
                scope.cancel()
                await anyio.sleep(0.02)
                await wire.send(b"answer")
            else:
                await wire.send(reply(200, request.body))

    async with between(serve, over) as (transport, url):
        assert isinstance(await transport(post(url)), Response)
        with scope:
            _ = await transport(post(url, b"cancel"))
            raise AssertionError
        for body in (b"one", b"two"):
            answer = await transport(post(url, body))
            assert isinstance(answer, Response)
            assert answer.body == body


@pytest.mark.parametrize("later", [False, True], ids=["with the answer", "after it"])
async def test_an_answer_that_comes_twice_is_not_read_by_the_next_call(*, later: bool) -> None:
    connections = set()
    sent = 0

    async def serve(wire: Wire) -> None:
        nonlocal sent
        connections.add(wire.number)
        while True:
            request = await wire.request()
            twice = reply(200, request.body)
            await wire.send(twice) if later else await wire.send(twice + twice)
            if later:
                await anyio.sleep(0.01)
                await wire.send(twice)
            sent += 1

    async with between(serve) as (transport, url):
        for body in (b"one", b"two", b"three"):
            answer = await transport(post(url, body))
            assert isinstance(answer, Response)
            assert answer.body == body
            while sent < len(connections):  # noqa: ASYNC110 - the server and this test share a loop
                await anyio.sleep(0.01)
            await anyio.sleep(0.03)
    assert len(connections) == 3


async def test_nothing_is_sent_to_a_server_that_sends_data_first(monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[Callable[[], object]] = []
    monkeypatch.setattr(RequestCoalescer, "add", lambda _, write: writes.append(write))
    heard: list[Arrived] = []

    async def serve(wire: Wire) -> None:
        await wire.send(OK)
        heard.append(await wire.request())

    assert await asked(serve) == NotSent("the server sent data before the request")
    writes[0]()
    assert heard == []


@pytest.mark.parametrize("paused", [False, True])
async def test_reading_is_resumed_only_if_it_was_paused(monkeypatch: pytest.MonkeyPatch, *, paused: bool) -> None:
    resumed = Mock()
    monkeypatch.setattr(ResponseHandler, "resume_reading", resumed)
    connection = AiohttpConnection(asyncio.get_running_loop(), 100, RequestCoalescer(Deadlines(30.0)))
    connection._reading_paused = paused
    connection.resume_reading()
    assert resumed.called is paused


async def test_a_response_that_pauses_reading_is_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    paused, body = Mock(wraps=ResponseHandler.pause_reading), bytes(2**20)
    small = {**head_limits(ResponseHandler.set_response_params), "read_bufsize": 2**10}
    monkeypatch.setattr("msgapi.transports.aiohttp.connection.head_limits", lambda _: small)
    monkeypatch.setattr(ResponseHandler, "pause_reading", lambda self: paused(self))  # noqa: PLW0108 - binds self

    async def serve(wire: Wire) -> None:
        _ = await wire.request()
        await wire.send(reply(body=body))

    answer = await asked(serve)
    assert isinstance(answer, Response)
    assert answer.body == body
    assert paused.called


async def test_a_deadline_of_the_caller_passes() -> None:
    async with between(Wire.hang) as (transport, url):
        with anyio.move_on_after(0.05) as scope:
            _ = await transport(post(url))
        assert scope.cancelled_caught


# A session of the caller's.


async def test_a_session_that_was_passed_in_is_used_and_not_closed() -> None:
    async def serve(wire: Wire) -> None:
        while True:
            request = await wire.request()
            await wire.send(reply(200, request.headers["x-own"].encode()))

    async with serving(serve) as url, library.ClientSession(headers={"X-Own": "mine"}) as session:
        async with aiohttp.open(session=session) as transport:
            answer = await transport(post(url))
            assert isinstance(answer, Response)
            assert answer.body == b"mine"
        assert not session.closed


async def test_a_session_that_raises_for_a_status_and_unpacks_does_neither_here() -> None:
    packed = gzip.compress(b"x" * 1000)
    async with (
        serving(saying(reply(404, packed, headers={"Content-Encoding": "gzip"}))) as url,
        library.ClientSession(raise_for_status=True, auto_decompress=True) as session,
        aiohttp.open(session=session, max_response=100) as transport,
    ):
        assert await transport(post(url)) == Unanswered("the response is larger than 100 bytes")


@BOTH
async def test_a_call_after_the_end_is_a_mistake_and_raises(over: Over) -> None:
    async with over() as transport:
        pass
    with pytest.raises(RuntimeError, match="closed"):
        _ = await transport(get("http://127.0.0.1:9"))


async def test_its_repr_shows_no_url() -> None:
    async with between(saying(OK)) as (transport, url):
        _ = await transport(get(url))
        assert "/v1" not in repr(transport)
