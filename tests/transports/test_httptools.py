"""Transport over httptools: the outcome of each thing that a server can do, on asyncio and on uvloop."""

import asyncio
import gzip
import socket
from importlib.util import find_spec
from typing import Any

import anyio
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from msgapi import NotSent, Request, Response, Unanswered
from msgapi.transports import Answer, httptools
from msgapi.transports.common.connections import Deadlines
from msgapi.transports.common.http1 import RequestCoalescer
from msgapi.transports.httptools import HttpConnection
from tests.support.exchanges import FRAGMENTS, HEAD, OK, PACKED, Exchanges, peer, post, refused, saying, secured
from tests.support.raw_servers import Serve, Wire, free_port, reply, serving

UVLOOP = pytest.param(
    ("asyncio", {"use_uvloop": True}),
    id="uvloop",
    marks=pytest.mark.skipif(not find_spec("uvloop"), reason="no uvloop"),
)
pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio", UVLOOP])]
EXCHANGES = Exchanges(httptools.open)
between, arrived = EXCHANGES.between, EXCHANGES.arrived
LOST = Unanswered("the connection was lost")
RESET = Unanswered("the connection was lost: ECONNRESET (Connection reset by peer)")


async def asked(serve: Serve, request: Request | None = None, **options: Any) -> Answer:  # noqa: ANN401 - those of `open`
    async with between(serve, **options) as (transport, url):
        return await transport(request or post(url))


# What surely did not leave.


async def test_a_refused_connection_is_not_sent() -> None:
    async with httptools.open() as transport:
        url = f"http://127.0.0.1:{free_port()}"
        assert await transport(post(url)) == refused(url)


async def test_each_address_of_a_host_is_tried() -> None:
    async with between(saying(OK)) as (transport, url):
        assert isinstance(await transport(post(url.replace("127.0.0.1", "localhost"))), Response)
        closed = f"http://localhost:{free_port()}"
        assert await transport(post(closed)) == refused(closed)


async def test_a_host_name_that_does_not_exist_is_not_sent() -> None:
    async with httptools.open() as transport:
        answer = await transport(post("http://nothing.invalid"))
        assert isinstance(answer, NotSent)
        assert answer.reason.startswith("the host name of nothing.invalid:80 could not be resolved: EAI_")


@pytest.mark.parametrize("url", ["", "ftp://127.0.0.1/", "http://127.0.0.1/\r\nX-Injected: 1", "http://[::1/"])
async def test_a_url_that_is_none_is_not_sent(url: str) -> None:
    async with httptools.open() as transport:
        assert await transport(Request("GET", url)) == NotSent("the URL is not valid")


@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("127.0.0.1", "unable to get local issuer certificate"),
        ("other.test", "IP address mismatch, certificate is not valid for '127.0.0.1'."),
    ],
)
async def test_a_certificate_that_does_not_fit_is_not_sent(host: str, why: str) -> None:
    server, trusting = secured(host)
    trusted = None if host == "127.0.0.1" else trusting
    async with serving(saying(OK), tls=server) as url, httptools.open(ssl=trusted) as transport:
        assert await transport(post(url)) == NotSent(f"no secure connection to {peer(url)}: {why}")


async def test_over_a_certificate_that_is_trusted_any_number_of_requests_go() -> None:
    async def serve(wire: Wire) -> None:
        while True:
            await wire.send(reply(200, b"%d" % len((await wire.request()).body)))

    server, trusting = secured("127.0.0.1")
    async with serving(serve, tls=server) as url, httptools.open(ssl=trusting) as transport:
        for size in (0, 1, 2**20):
            assert await transport(post(url, b"x" * size)) == Response(
                200, {"content-length": str(len(str(size)))}, b"%d" % size
            )


async def test_a_connection_that_ends_while_it_is_being_secured_is_not_sent() -> None:
    async def serve(wire: Wire) -> None:
        _ = await wire.stream.receive()
        await wire.reset()

    async with between(serve) as (transport, url):
        assert await transport(post(url.replace("http:", "https:"))) == NotSent(
            f"could not connect to {peer(url)}: ECONNRESET (Connection reset by peer)"
        )


@pytest.mark.parametrize(("timeout", "connect_timeout"), [(30.0, 0.05), (1.0, 30.0)])
async def test_a_time_out_while_connecting_is_not_sent(timeout: float, connect_timeout: float) -> None:  # noqa: ASYNC109
    async with between(Wire.hang, timeout=timeout, connect_timeout=connect_timeout) as (transport, url):
        assert await transport(post(url.replace("http:", "https:"))) == NotSent(
            f"could not connect to {peer(url)} in time"
        )


# What may have left.


@pytest.mark.parametrize("parts", [[], [HEAD], [HEAD, b"Content-Length: 9\r\n\r\n", b"{"]])
async def test_an_answer_that_does_not_end_in_time_is_unanswered(parts: list[bytes]) -> None:
    async def serve(wire: Wire) -> None:
        _ = await wire.request()
        await wire.send(*parts)
        await wire.hang()

    assert await asked(serve, timeout=0.3) == Unanswered("no answer in time")


async def test_a_connection_that_is_lost_is_unanswered() -> None:
    async def reset(wire: Wire) -> None:
        _ = await wire.until(b"\r\n\r\n")
        await wire.reset()

    assert [await asked(saying()), await asked(saying(HEAD)), await asked(reset)] == [LOST, LOST, RESET]
    async with between(reset) as (transport, url):
        assert await transport(post(url, b"x" * 2**24)) == RESET


@pytest.mark.parametrize(
    ("reason", "parts"),
    [
        ("the response was cut short", [HEAD, b"Content-Length: 99\r\n\r\n{}"]),
        ("the response was cut short", [HEAD, b"Transfer-Encoding: chunked\r\n\r\n", b"2\r\n{}\r\n"]),
        ("the response was cut short", [HEAD, b"Transfer-Encoding: chunked\r\n\r\n", b"9\r\n{}"]),
        ("the response was cut short", [HEAD, b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n", b"9\r\n{}"]),
        ("the response is not HTTP", [b"SSH-2.0-OpenSSH_9.6\r\n\r\n"]),
        ("the response is not HTTP", [HEAD, b"Content-Length: x\r\n\r\n{}"]),
        ("the response is not HTTP", [HEAD, b"A: ", b"a" * 200_000, b"\r\n\r\n{}"]),
        ("the response is not HTTP", [HEAD, *[b"A: a\r\n" * 10_000] * 9, b"\r\n{}"]),
        ("the response is not HTTP", [HEAD + b"A: a\r\n" * 80_000 + b"Content-Length: 2\r\n\r\n{}"]),
        ("the response is not HTTP", [HEAD + b"A: a\r\n" * 40_000 + b"Content-Length: 2\r\n\r\n{}"]),
        ("the response is larger than 1000 bytes", [HEAD, b"Content-Length: 1001\r\n\r\n", b"x" * 1001]),
        ("the response is larger than 1000 bytes", [HEAD, b"\r\n", b"x" * 1001]),
        ("the response is larger than 1000 bytes", [reply(200, PACKED, headers={"Content-Encoding": "gzip"})]),
    ],
)
async def test_an_answer_that_is_none_is_unanswered(reason: str, parts: list[bytes]) -> None:
    assert await asked(saying(*parts), max_response=1000) == Unanswered(reason)


async def test_of_what_comes_in_one_piece_the_head_may_not_be_too_long_and_the_body_does_not_count() -> None:
    ours, theirs = socket.socketpair()

    class Stub(asyncio.Transport):
        def __init__(self) -> None:
            super().__init__({"socket": ours})

        def is_closing(self) -> bool:
            return False

        def write(self, data: object) -> None:
            del data

        def abort(self) -> None:
            pass

    async def read(headers: bytes, body: bytes) -> Answer:
        connection = HttpConnection(200_000, RequestCoalescer(Deadlines(30.0)))
        connection.connection_made(Stub())
        waiting = connection.send(b"", bodiless=False)
        connection.data_received(HEAD + headers + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        return await waiting

    with ours, theirs:
        for fields in (b"A: " + b"a" * 200_000 + b"\r\n", b"A: a\r\n" * 40_000):
            assert await read(fields, b"{}") == Unanswered("the response is not HTTP")
        answer = await read(b"A: a\r\n" * 10_000, b"x" * 200_000)
    assert isinstance(answer, Response)
    assert len(answer.body) == 200_000


async def test_an_answer_without_a_length_ends_with_its_connection_unless_that_is_reset() -> None:
    async def reset(wire: Wire) -> None:
        _ = await wire.request()
        await wire.send(HEAD, b"\r\n{}")
        await anyio.sleep(0.05)
        await wire.reset()

    assert await asked(saying(HEAD, b"\r\n", b"{", b"}")) == Response(200, {}, b"{}")
    cut = Unanswered("the response was cut short: ECONNRESET (Connection reset by peer)")
    assert await asked(reset) == cut


async def test_a_header_that_is_not_utf_8_keeps_its_bytes() -> None:
    async with between(saying(b"HTTP/1.1 200 OK\r\nServer: caf\xe9\r\nContent-Length: 0\r\n\r\n")) as (transport, url):
        answer = await transport(post(url))
    assert isinstance(answer, Response)
    assert answer.headers["server"] == "caf\udce9"


async def test_an_endless_answer_ends_the_connection() -> None:
    gone = anyio.Event()

    async def serve(wire: Wire) -> None:
        _ = await wire.request()
        await wire.send(HEAD, b"Transfer-Encoding: chunked\r\n\r\n")
        try:
            while True:
                await wire.send(b"400\r\n", b"x" * 1024, b"\r\n")
        finally:
            gone.set()

    async with between(serve, max_response=10_000) as (transport, url):
        assert isinstance(await transport(post(url)), Unanswered)
        await gone.wait()


@given(st.lists(st.binary(max_size=40) | st.sampled_from(FRAGMENTS)))
@settings(max_examples=40)
async def test_nothing_that_a_server_says_raises(parts: list[bytes]) -> None:
    assert isinstance(await asked(saying(*parts)), Response | Unanswered)


# What goes over the wire.


@pytest.mark.parametrize("method", ["POST", "P%STCH"])
async def test_a_percent_sign_arrives_as_it_is(method: str) -> None:
    found = await arrived(Request(method, "/v1/50%25?q=%73", {"X-100%s": "5%d %(x)s %%"}, b"%s"))
    assert (found.method, found.target, found.body) == (method, "/v1/50%25?q=%73", b"%s")
    assert found.headers["x-100%s"] == "5%d %(x)s %%"


async def test_no_header_is_added_but_the_host_and_what_frames_the_body() -> None:
    request = await arrived(Request("POST", "/", {"Accept": "application/json", "X-Own": "ä"}, b"x" * 2**20))
    assert set(request.headers) == {"accept", "x-own", "host", "accept-encoding", "content-length"}
    assert set((await arrived(Request("GET", "/"))).headers) == {"host", "accept-encoding"}


@pytest.mark.parametrize("headers", [{"X-Key": "secret\r\nX-Injected: 1"}, {"Transfer-Encoding": "secret"}])
async def test_a_head_that_cannot_be_sent_raises_and_nothing_arrives(headers: dict[str, str]) -> None:
    async with httptools.open() as transport:
        with pytest.raises(ValueError, match="header") as caught:
            _ = await transport(Request("GET", f"http://127.0.0.1:{free_port()}", headers))
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize("target", ["/a%2Fb?x=%2B49", "/v1//x/../y/./z", "/%7e;p=1,2?q={|}&to=%22", "/a'b\"c<"])
async def test_the_target_arrives_as_it_is(target: str) -> None:
    assert (await arrived(Request("GET", target))).target == target


async def test_a_packed_answer_that_was_not_asked_for_is_unpacked() -> None:
    headers = {"Content-Encoding": "gzip", "X-Other": "1"}
    answer = await asked(saying(reply(402, gzip.compress(b"plain"), headers=headers)))
    assert answer == Response(402, {"x-other": "1"}, b"plain")


async def test_a_redirect_is_an_answer_and_an_interim_answer_is_not() -> None:
    moved = reply(307, headers={"Location": "http://nothing.invalid/"})
    answer = await asked(saying(b"HTTP/1.1 102 Processing\r\nX-Early: 1\r\n\r\n", moved))
    assert answer == Response(307, {"location": "http://nothing.invalid/", "content-length": "2"}, b"{}")
    switched = await asked(saying(b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", b"xyz"))
    assert isinstance(switched, Response)
    assert switched.status == 101


async def test_on_trio_it_says_where_it_runs() -> None:
    async def main() -> None:
        async with httptools.open():
            raise AssertionError

    with pytest.raises(RuntimeError, match="asyncio only"):
        await anyio.to_thread.run_sync(trio.run, main)
