"""Transport over httpx2: the outcome of each thing that can happen on a real socket, on asyncio and on trio."""

import gzip
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx2 as library
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msgapi import NotSent, Request, Response, Unanswered
from msgapi.results import NO_FREE_CONNECTION
from msgapi.transports import Answer, Transport, httpx2
from tests.support.exchanges import (
    FRAGMENTS,
    HEAD,
    OK,
    PACKED,
    Exchanges,
    Over,
    get,
    peer,
    post,
    refused,
    saying,
    secured,
)
from tests.support.raw_servers import Wire, free_port, reply, serving

pytestmark = pytest.mark.anyio
RESET = "ECONNRESET (Connection reset by peer)"


@asynccontextmanager
async def a_client(**options: Any) -> AsyncIterator[Transport]:  # noqa: ANN401 - those of `opened`
    async with (
        library.AsyncClient(verify=options.pop("ssl", True), trust_env=False) as client,
        httpx2.open(client=client, **options) as transport,
    ):
        yield transport


EXCHANGES = Exchanges(httpx2.open)
between, asked, arrived = EXCHANGES.between, EXCHANGES.asked, EXCHANGES.arrived
BOTH = pytest.mark.parametrize("over", [httpx2.open, a_client])


# What surely did not leave.


@BOTH
async def test_a_refused_connection_is_not_sent(over: Over) -> None:
    async with over() as transport:
        url = f"http://127.0.0.1:{free_port()}"
        assert await transport(post(url)) == refused(url)


async def test_a_host_name_that_does_not_exist_is_not_sent() -> None:
    async with httpx2.open() as transport:
        answer = await transport(post("http://nothing.invalid"))
        assert isinstance(answer, NotSent)
        assert answer.reason.startswith("the host name of nothing.invalid:80 could not be resolved: EAI_")


@BOTH
@pytest.mark.parametrize("url", ["", "ftp://127.0.0.1/", "http://127.0.0.1/\r\nX-Injected: 1", "http://[::1/"])
async def test_a_url_that_is_none_is_not_sent(over: Over, url: str) -> None:
    async with over() as transport:
        assert await transport(Request("GET", url)) == NotSent("the URL is not valid")


async def test_a_url_that_only_httpx2_finds_fault_with_is_not_sent() -> None:
    async with a_client() as transport:
        assert await transport(get("http://127.0.0.999")) == NotSent("the URL is not valid")


async def test_port_zero_is_not_taken_for_the_usual_one() -> None:
    async with httpx2.open() as transport:
        assert await transport(get("http://127.0.0.1:0")) == NotSent(
            "could not connect to 127.0.0.1:0: ECONNREFUSED (Connection refused)"
        )


@BOTH
@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("127.0.0.1", "unable to get local issuer certificate"),
        ("other.test", "IP address mismatch, certificate is not valid for '127.0.0.1'."),
    ],
)
async def test_a_certificate_that_does_not_fit_is_not_sent(over: Over, host: str, why: str) -> None:
    server, trusting = secured(host)
    trusted = ssl.create_default_context() if host == "127.0.0.1" else trusting
    async with serving(saying(OK), tls=server) as url, over(ssl=trusted) as transport:
        assert await transport(post(url)) == NotSent(f"no secure connection to {peer(url)}: {why}")


@BOTH
async def test_a_certificate_that_is_trusted_lets_the_request_through(over: Over) -> None:
    server, trusting = secured("127.0.0.1")
    async with serving(saying(OK), tls=server) as url, over(ssl=trusting) as transport:
        assert isinstance(await transport(post(url)), Response)


@BOTH
async def test_a_connection_that_ends_while_it_is_being_secured_is_not_sent(over: Over) -> None:
    async def serve(wire: Wire) -> None:
        _ = await wire.stream.receive()
        await wire.reset()

    async with between(serve, over) as (transport, url):
        assert await transport(post(url.replace("http:", "https:"))) == NotSent(
            f"could not connect to {peer(url)}: {RESET}"
        )


@BOTH
@pytest.mark.parametrize(("timeout", "connect_timeout"), [(30.0, 0.05), (1.0, 30.0)])
async def test_a_time_out_while_connecting_is_not_sent(over: Over, timeout: float, connect_timeout: float) -> None:  # noqa: ASYNC109
    async with between(Wire.hang, over, timeout=timeout, connect_timeout=connect_timeout) as (transport, url):
        assert await transport(post(url.replace("http:", "https:"))) == NotSent(
            f"could not connect to {peer(url)} in time"
        )


# What may have left.


@BOTH
@pytest.mark.parametrize("parts", [[], [HEAD], [HEAD, b"Content-Length: 9\r\n\r\n", b"{"]])
async def test_an_answer_that_does_not_end_in_time_is_unanswered(over: Over, parts: list[bytes]) -> None:
    async def serve(wire: Wire) -> None:
        _ = await wire.request()
        await wire.send(*parts)
        await wire.hang()

    assert await asked(serve, over, timeout=0.3) == Unanswered("no answer in time")


@BOTH
async def test_a_connection_that_is_lost_is_unanswered(over: Over) -> None:
    async def reset(wire: Wire) -> None:
        _ = await wire.until(b"\r\n\r\n")
        await wire.reset()

    lost = Unanswered("the connection was lost")
    assert [await asked(saying(), over), await asked(saying(HEAD), over)] == [lost] * 2
    after_reset = Unanswered(f"the connection was lost: {RESET}")
    # A client writes head and body apart: if the second write finds the reset, reading finds only the end.
    assert await asked(reset, over) in ([after_reset] if over is httpx2.open else [after_reset, lost])
    async with between(reset, over) as (transport, url):
        assert isinstance(await transport(post(url, b"x" * 2**24)), Unanswered)


@BOTH
@pytest.mark.parametrize(
    ("reason", "parts"),
    [
        ("the response was cut short", [HEAD, b"Content-Length: 99\r\n\r\n{}"]),
        ("the response was cut short", [HEAD, b"Transfer-Encoding: chunked\r\n\r\n", b"2\r\n{}\r\n"]),
        ("the response was cut short", [HEAD, b"Transfer-Encoding: chunked\r\n\r\n", b"9\r\n{}"]),
        ("the response is not HTTP", [b"SSH-2.0-OpenSSH_9.6\r\n\r\n"]),
        ("the response is not HTTP", [HEAD, b"Content-Length: x\r\n\r\n{}"]),
        ("the response is not HTTP", [HEAD, b"A: ", b"a" * 200_000, b"\r\n\r\n{}"]),
        ("the response is larger than 1000 bytes", [HEAD, b"Content-Length: 1001\r\n\r\n", b"x" * 1001]),
        ("the response is larger than 1000 bytes", [HEAD, b"\r\n", b"x" * 1001]),
        ("the response is larger than 1000 bytes", [reply(200, PACKED, headers={"Content-Encoding": "gzip"})]),
    ],
)
async def test_an_answer_that_is_none_is_unanswered(over: Over, reason: str, parts: list[bytes]) -> None:
    assert await asked(saying(*parts), over, max_response=1000) == Unanswered(reason)


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
@given(st.lists(st.binary(max_size=40) | st.sampled_from(FRAGMENTS)))
@settings(max_examples=40)
async def test_nothing_that_a_server_says_raises(over: Over, parts: list[bytes]) -> None:
    assert isinstance(await asked(saying(*parts), over, timeout=2.0), Response | Unanswered)


# What goes over the wire.


@BOTH
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("body", [None, b""])
async def test_a_request_that_could_have_a_body_says_that_it_has_none(
    over: Over, method: str, body: bytes | None
) -> None:
    assert (await arrived(Request(method, "/", {}, body), over)).headers["content-length"] == "0"


async def test_no_header_is_added_but_the_host_and_what_frames_the_body() -> None:
    request = await arrived(Request("POST", "/", {"Accept": "application/json", "X-Own": " ä "}, b"x" * 2**20))
    assert set(request.headers) == {"accept", "x-own", "host", "accept-encoding", "content-length"}
    assert (request.headers["x-own"], request.headers["accept-encoding"]) == ("ä", "identity")
    assert set((await arrived(Request("GET", "/"))).headers) == {"host", "accept-encoding"}


@BOTH
async def test_a_host_and_an_accept_encoding_of_the_request_are_sent_as_they_are(over: Over) -> None:
    given = await arrived(Request("GET", "/", {"host": "other.test", "ACCEPT-ENCODING": "gzip"}), over)
    assert (given.headers["host"], given.headers["accept-encoding"]) == ("other.test", "gzip")
    assert given.head.lower().count(b"\r\nhost:") == given.head.lower().count(b"\r\naccept-encoding:") == 1


@BOTH
@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", {"X-Key": "secret\r\nX-Injected: 1"}),
        ("GET", {"X-Key": "secret\0"}),
        ("GET", {"Ä": "secret"}),
        ("GET", {"": "secret"}),
        ("GET", {"X-Own": "secret", "x-own": "secret"}),
        ("POST", {"Transfer-Encoding": "secret"}),
        ("GET /secret", {}),
    ],
)
async def test_a_head_that_cannot_be_sent_raises_and_nothing_arrives(
    over: Over, method: str, headers: dict[str, str]
) -> None:
    async def serve(wire: Wire) -> None:
        _ = await wire.request()
        raise AssertionError

    async with between(serve, over) as (transport, url):
        with pytest.raises(ValueError, match="header") as caught:
            _ = await transport(Request(method, url, headers))
        assert "secret" not in str(caught.value)


@BOTH
@pytest.mark.parametrize("target", ["/a%2Fb?x=%2B49", "/v1//x/../y/./z", "/%7e;p=1,2?q={|}&to=%22", "/?", "/a'b\"c<"])
async def test_the_target_arrives_as_it_is(over: Over, target: str) -> None:
    assert (await arrived(Request("GET", target), over)).target == target.removesuffix("?")


@BOTH
async def test_a_packed_answer_that_was_not_asked_for_is_unpacked(over: Over) -> None:
    headers = {"Content-Encoding": "gzip", "X-Other": "1"}
    answer = await asked(saying(reply(402, gzip.compress(b"plain"), headers=headers)), over)
    assert answer == Response(402, {"x-other": "1"}, b"plain")


@BOTH
@pytest.mark.parametrize(("encoding", "body"), [("gzip", b"no gzip"), ("br", b"\x0b\x02\x80plain\x03")])
async def test_an_answer_that_cannot_be_unpacked_stays_as_it_came(over: Over, encoding: str, body: bytes) -> None:
    headers = {"content-encoding": encoding, "content-length": str(len(body))}
    answer = await asked(saying(reply(500, body, headers={"Content-Encoding": encoding})), over)
    assert answer == Response(500, headers, body)


@BOTH
async def test_a_redirect_is_an_answer_and_an_interim_answer_is_not(over: Over) -> None:
    moved = reply(307, headers={"Location": "http://nothing.invalid/"})
    answer = await asked(saying(b"HTTP/1.1 102 Processing\r\n\r\n", moved), over)
    assert isinstance(answer, Response)
    assert answer.status == 307


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
@pytest.mark.parametrize("last", [b"", HEAD], ids=["no word", "half an answer"])
async def test_no_post_is_ever_sent_again(over: Over, last: bytes) -> None:
    requests = 0

    async def serve(wire: Wire) -> None:
        nonlocal requests
        while True:
            _ = await wire.request()
            requests += 1
            if requests == 2:
                return await wire.send(last)  # as a server that closes a kept connection just when it is used again
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


@pytest.mark.parametrize(("over", "scheme"), [(httpx2.open, "http"), (httpx2.open, "https"), (a_client, "http")])
async def test_a_cancellation_passes_and_closes_the_connection(over: Over, scheme: str) -> None:
    gone, scope = anyio.Event(), anyio.CancelScope()

    async def serve(wire: Wire) -> None:
        _ = await wire.stream.receive()
        scope.cancel()
        try:
            await wire.hang()
        finally:
            gone.set()

    async with between(serve, over) as (transport, url):
        with scope:
            _ = await transport(post(url.replace("http", scheme)))
        assert scope.cancelled_caught
        await gone.wait()


async def test_a_call_after_the_end_is_a_mistake_and_raises() -> None:
    for over in (httpx2.open, a_client):
        async with over() as transport:
            pass
        with pytest.raises(RuntimeError, match="closed"):
            _ = await transport(get("http://127.0.0.1:9"))


# A client of the caller's.


async def test_a_client_that_was_passed_in_is_used_and_not_closed() -> None:
    def respond(request: library.Request) -> library.Response:
        said = map(request.headers.get, ("authorization", "x-own", "cookie"))
        return library.Response(200, headers={"Set-Cookie": "a=b"}, content=" ".join(map(str, (request.url, *said))))

    mock = library.MockTransport(respond)
    async with library.AsyncClient(transport=mock, auth=("me", "pw"), headers={"X-Own": "1"}) as client:
        async with httpx2.open(client=client) as transport:
            for _ in range(2):
                answer = await transport(Request("GET", "https://a.test/b", {"Authorization": "Bearer sk"}))
                assert isinstance(answer, Response)
                assert answer.body == b"https://a.test/b Bearer sk 1 None"
        assert not client.is_closed


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (library.ProxyError("403"), NotSent("the proxy refused to connect to a.test:80")),
        (library.ReadTimeout("x"), Unanswered("no answer in time")),
        (library.WriteError("x"), Unanswered("the connection was lost")),
        (library.CloseError("x"), Unanswered("the connection was lost")),
        (library.LocalProtocolError("x"), Unanswered("the connection was lost")),
        (ConnectionResetError(), Unanswered("the connection was lost: closed by the peer")),
    ],
)
async def test_what_a_client_raises_is_a_value(error: Exception, answer: Answer) -> None:
    def respond(_: library.Request) -> library.Response:
        raise error

    async with (
        library.AsyncClient(transport=library.MockTransport(respond)) as client,
        httpx2.open(client=client) as transport,
    ):
        assert await transport(get("http://a.test")) == answer


class Connecting(library.AsyncBaseTransport):
    """Connects for ever, and says so as httpx2's own transport does."""

    def __init__(self, *more: str) -> None:
        self.events = ["connection.connect_tcp.started", *more]
        self.began = anyio.Event()

    async def handle_async_request(self, request: library.Request) -> library.Response:
        for event in self.events:
            await request.extensions["trace"](event, {})
        self.began.set()
        await anyio.sleep_forever()
        raise AssertionError


SENDING = "http11.send_request_headers.started"


@pytest.mark.parametrize(
    ("events", "answer"),
    [([], NotSent("could not connect to a.test:80 in time")), ([SENDING], Unanswered("no answer in time"))],
)
async def test_a_deadline_of_a_client_that_expires_while_it_connects_is_not_sent(
    events: list[str], answer: Answer
) -> None:
    async with (
        library.AsyncClient(transport=Connecting(*events)) as client,
        httpx2.open(client=client, timeout=0.05) as transport,
    ):
        assert await transport(get("http://a.test")) == answer


@pytest.mark.parametrize(
    ("events", "answer"),
    [([], NotSent("the transport was closed")), ([SENDING], Unanswered("the transport was closed"))],
)
async def test_a_call_over_a_client_that_connects_when_the_transport_closes_is_not_sent(
    events: list[str], answer: Answer
) -> None:
    connecting, answers = Connecting(*events), list[Answer]()

    async def call() -> None:
        answers.append(await transport(get("http://a.test")))

    async with (
        library.AsyncClient(transport=connecting) as client,
        anyio.create_task_group() as tasks,
        httpx2.open(client=client) as transport,
    ):
        tasks.start_soon(call)
        await connecting.began.wait()
    assert answers == [answer]


async def test_a_call_waits_for_a_connection_of_the_client_until_the_deadline_of_the_caller() -> None:
    taken, free = anyio.Event(), anyio.Event()

    async def serve(wire: Wire) -> None:
        _ = await wire.request()
        taken.set()
        await free.wait()
        await wire.send(OK)

    async with (
        serving(serve) as url,
        library.AsyncClient(limits=library.Limits(max_connections=1), trust_env=False) as client,
        httpx2.open(client=client, connect_timeout=0.05) as transport,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(transport, post(url))
        await taken.wait()
        with anyio.fail_after(0.5):
            answer = await transport(post(url))
        assert answer == NotSent("no free connection: those of the client are in use", code=NO_FREE_CONNECTION)
        free.set()


@BOTH
async def test_no_log_and_no_repr_names_a_recipient(over: Over, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with between(saying(OK), over) as (transport, url):
        _ = await transport(
            Request("GET", f"{url}/v1/contacts/%2B4915112345678", {"Authorization": "Bearer sk_secret"})
        )
        logging.getLogger("httpx2").info("another line, of %(name)s", {"name": "somebody else"})
        assert "somebody else" in caplog.text
        assert "4915112345678" not in caplog.text + repr(transport)
        assert "sk_secret" not in caplog.text + repr(transport)
