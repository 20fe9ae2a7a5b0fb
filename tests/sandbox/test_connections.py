"""Requests that are answered on arrival: the same responses as those by aiohttp, with the same timeouts."""

import asyncio
import re
from typing import cast
from urllib.parse import urlsplit

import anyio
import anyio.lowlevel
import orjson
import pytest
from aiohttp.http import RawRequestMessage

from msgapi import Response
from msgapi.clock import VirtualClock
from msgapi.sandbox import MAGIC_RECIPIENTS, Sandbox, connections, serve
from msgapi.sandbox.connections import ServerConnection, ServerConnections
from msgapi.sandbox.http.responses import SimulatedResponse
from tests.support.sandbox_requests import text

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]
PHONE = {recipient.fault: recipient.phone for recipient in MAGIC_RECIPIENTS}
KEY = b"Authorization: Bearer sk_sandbox\r\n"
BEARER = b"Host: localhost\r\n" + KEY
JSON = BEARER + b"Content-Type: application/json\r\n"
WHOLE = Response(200, {"date": "today"}, b"{}")


def get(path: str = "/v1/billing/balance", *fields: bytes, version: bytes = b"1.1", method: bytes = b"GET") -> bytes:
    lines = b"".join(field + b"\r\n" for field in fields)
    return method + b" " + path.encode() + b" HTTP/" + version + b"\r\n" + BEARER + lines + b"\r\n"


def post(body: bytes | None = None, *fields: bytes, head: bytes = JSON) -> bytes:
    content = orjson.dumps(text()) if body is None else body
    lines = b"".join(field + b"\r\n" for field in (b"Content-Length: %d" % len(content), *fields))
    return b"POST /v1/messages HTTP/1.1\r\n" + head + lines + b"\r\n" + content


REQUESTS = {
    "send": post(),
    "send with a key": post(None, b"Idempotency-Key: one"),
    "two keys": post(None, b"Idempotency-Key: one", b"Idempotency-Key: two"),
    "two names of one header": post(None, b"IDEMPOTENCY-KEY: one", b"idempotency-key: one"),
    "get": get(),
    "get with a body": get("/v1/messages", b"Content-Length: 2") + b"{}",
    "no such route": get("/v1/none"),
    "not of the API": get("/openapi.json"),
    "no body": b"POST /v1/messages HTTP/1.1\r\n" + JSON + b"\r\n",
    "empty body": post(b""),
    "large body": post(b'{"text":"' + b"a" * 100_000 + b'"}'),
    "not JSON": post(b"{"),
    "packed": post(b"\x1f\x8b", b"Content-Encoding: gzip"),
    "chunked": post(b"5\r\n{    \r\n0\r\n\r\n").replace(b"Content-Length: 15", b"Transfer-Encoding: chunked"),
    "two lengths": post(b"{}", b"Content-Length: 3"),
    "a negative length": get("/v1/messages", b"Content-Length: -1"),
    "one after the other": get() + post(),
    "bytes after it": get() + b"\x00",
    "half of the next": post(b"G") + b"G",
    "lines before it": b"\r\n\r\n" + get(),
    "HTTP/1.0": get(version=b"1.0"),
    "HTTP/1.0 that stays": get("/v1/messages", b"Connection: keep-alive", version=b"1.0"),
    "HTTP/2.0": get(version=b"2.0"),
    "closes": get("/v1/messages", b"Connection: close"),
    "head": get(method=b"HEAD"),
    "lower-case method": get(method=b"get"),
    "other method": get(method=b"BREW"),
    "expects": post(None, b"Expect: 100-continue"),
    "upgrade": get("/v1/messages", b"Connection: Upgrade", b"Upgrade: websocket"),
    "line feeds": get().replace(b"\r\n", b"\n"),
    "folded": get("/v1/messages", b"X-A: 1\r\n 2"),
    "space before the colon": get("/v1/messages", b"X-A : 1"),
    "two spaces": get(" /v1/messages"),
    "a space in the path": get("/v1/mes sages"),
    "control character": get("/v1/messages", b"X-A: \x01"),
    "tab": get("/v1/messages", b"X-A: \t1\t"),
    "not ASCII": get("/v1/messages", b"X-A: \xff\xc3\xa4"),
    "long header": get("/v1/messages", b"X-A: " + b"a" * 9_000),
    "long line": get("/v1/messages?" + "a" * 9_000),
    "many headers": get("/v1/messages", *(b"X-%d: 1" % at for at in range(200))),
    "escaped path": get("/v1/messages/%2e%2e%2F"),
    "fragment": get("/v1/messages#a"),
    "absolute target": get("http://localhost/v1/messages"),
    "absolute target elsewhere": get("http://a.example/v1/messages"),
    "no Host": b"GET /v1/messages HTTP/1.1\r\n" + KEY + b"\r\n",
    "other Host": get().replace(b"localhost", b"a.example"),
    "two Hosts": get("/v1/messages", b"Host: a.example"),
    "other Origin": get("/v1/messages", b"Origin: http://a.example"),
    "lost response": post(orjson.dumps(text(to=PHONE["lost"]))),
    "slow response": post(orjson.dumps(text(to=PHONE["slow"]))),
    "page of a proxy": post(orjson.dumps(text(to=PHONE["502"]))),
    "wrong key": get().replace(b"sk_sandbox", b"sk_other"),
}


async def exchange(parts: list[bytes]) -> bytes:
    """Return what a new sandbox writes to a client that sends *parts* and ends its input."""
    box = Sandbox(slow=0.0, clock=VirtualClock())
    async with serve(box) as url, await anyio.connect_tcp("127.0.0.1", urlsplit(url).port or 0) as stream:
        got = bytearray()
        for part in parts:
            await stream.send(part)
            await anyio.sleep(0.02)
        with anyio.move_on_after(0.05):
            while True:
                try:
                    got += await stream.receive()
                except (anyio.EndOfStream, anyio.BrokenResourceError):
                    return bytes(got) + b"(closed)"
    return bytes(got)


def fields_of(written: bytes) -> list[bytes]:
    # aiohttp writes the names of headers in its own case and order, and the date in some responses.
    lines = [line.lower() if b": " in line else line for line in re.split(rb"\r\n", written)]
    return sorted(b"date" if line.startswith(b"date:") else line for line in lines)


@pytest.mark.parametrize("asked", REQUESTS.values(), ids=REQUESTS.keys())
async def test_a_request_that_arrives_whole_is_answered_as_one_that_arrives_in_parts(asked: bytes) -> None:
    whole, parts = await exchange([asked]), await exchange([asked[:1], asked[1:]])
    assert fields_of(whole) == fields_of(parts)


class FakeTransport:
    """A transport that keeps what is written, and how it was closed."""

    def __init__(self, unread: int = 0) -> None:
        self.written = b""
        self.closed: list[str] = []
        self.unread = unread

    def get_extra_info(self, _: str) -> None:
        return None

    def write(self, data: bytes) -> None:
        self.written += data

    def get_write_buffer_size(self) -> int:
        return self.unread

    def close(self) -> None:
        self.closed.append("closed")

    def abort(self) -> None:
        self.closed.append("aborted")


class Inner(asyncio.Protocol):
    """Keeps what is passed to it."""

    def __init__(self) -> None:
        self.received = b""
        self.calls: list[str] = []

    def data_received(self, data: bytes) -> None:
        self.received += data

    def pause_writing(self) -> None:
        self.calls.append("pause")

    def resume_writing(self) -> None:
        self.calls.append("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.calls.append("lost" if exc is None else "broken")


def connect(
    answer: SimulatedResponse | None = None, *, unread: int = 0
) -> tuple[ServerConnection, Inner, FakeTransport]:
    """Return a new connection on which each whole request has the response *answer*, and both of its ends."""

    def respond(_: RawRequestMessage, __: bytes, ___: str | None) -> SimulatedResponse | None:
        return answer

    inner, transport = Inner(), FakeTransport(unread)
    one = ServerConnections(respond).wrap(inner)
    one.connection_made(cast("asyncio.Transport", transport))
    return one, inner, transport


async def arrive(one: ServerConnection, data: bytes) -> None:
    """Let *data* arrive, and wait until it is answered or passed on."""
    one.data_received(data)
    await anyio.lowlevel.checkpoint()


async def connect_without_reader() -> tuple[ServerConnection, Inner, FakeTransport]:
    """Return the same after one response, which the client does not read."""
    one, inner, transport = connect(SimulatedResponse(WHOLE))
    await arrive(one, get())
    one.pause_writing()
    return one, inner, transport


async def test_after_a_request_in_parts_all_others_of_the_connection_are_passed_on() -> None:
    one, inner, transport = connect(SimulatedResponse(WHOLE))
    asked = get()
    await arrive(one, asked)
    assert (transport.written.count(b"HTTP/1.1 200 OK"), inner.received) == (1, b"")
    for data in (asked[:9], asked[9:], asked):
        await arrive(one, data)
    assert (transport.written.count(b"HTTP/1.1 200 OK"), inner.received) == (1, asked * 2)
    one.connection_lost(None)


@pytest.mark.parametrize(
    "special",
    [
        SimulatedResponse(WHOLE, delay=1.0),
        SimulatedResponse(WHOLE, lost=True),
        SimulatedResponse(Response(204, {"date": "today"}, b"")),
        SimulatedResponse(Response(502, {"date": "today", "server": "proxy"}, b"<html>")),
        SimulatedResponse(Response(200, {}, b"{}")),
    ],
    ids=["delay", "lost", "no body", "server", "no date"],
)
async def test_a_special_response_is_kept_for_aiohttp(special: SimulatedResponse) -> None:
    one, inner, transport = connect(special)
    await arrive(one, get())
    assert (transport.written, inner.received) == (b"", get())
    assert (one.take_answer(), one.take_answer()) == (special, None)
    one.connection_lost(None)


async def test_a_client_that_does_not_read_is_answered_by_aiohttp_and_disconnected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "REQUEST_TIMEOUT", 0.03)
    one, inner, transport = await connect_without_reader()
    one.pause_writing()
    await arrive(one, get())
    assert (transport.written.count(b"HTTP/1.1 200 OK"), inner.received) == (1, get())
    await anyio.sleep(0.1)
    assert transport.closed == ["aborted"]
    one.connection_lost(ConnectionResetError())
    assert inner.calls == ["pause", "pause", "broken"]


async def test_a_request_that_begins_to_be_answered_does_not_stop_the_timer_of_a_client_that_does_not_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "REQUEST_TIMEOUT", 0.03)
    one, _, transport = await connect_without_reader()
    await arrive(one, get())
    one.begin_response()
    one.body_received(b"")
    one.end_response()
    await anyio.sleep(0.1)
    assert transport.closed == ["aborted"]
    one.connection_lost(None)


async def test_half_of_a_request_that_arrives_while_the_client_does_not_read_has_a_timeout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "REQUEST_TIMEOUT", 0.03)
    one, _, transport = await connect_without_reader()
    await arrive(one, get()[:9])
    one.resume_writing()
    await anyio.sleep(0.1)
    assert transport.closed == ["aborted"]
    one.connection_lost(None)


async def test_an_idle_connection_with_responses_that_are_not_read_is_aborted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "KEEP_ALIVE", 0.03)
    one, _, transport = connect(SimulatedResponse(WHOLE), unread=1)
    await arrive(one, get())
    await anyio.sleep(0.1)
    assert transport.closed == ["aborted"]
    one.connection_lost(None)


async def test_a_response_that_cannot_be_written_is_a_defect() -> None:
    one, inner, transport = connect(SimulatedResponse(Response(201, {"date": "today", "location": "\udcff"}, b"{}")))
    await arrive(one, get())
    assert (transport.written, inner.received) == (b"", get())
    with pytest.raises(UnicodeEncodeError):
        _ = one.take_answer()
    one.connection_lost(None)


async def test_a_status_without_a_standard_reason_is_written_without_one() -> None:
    one, _, transport = connect(SimulatedResponse(Response(299, {"date": "today"}, b"{}")))
    await arrive(one, get())
    assert transport.written.startswith(b"HTTP/1.1 299 \r\n")
    one.connection_lost(None)


@pytest.mark.parametrize("responding", [True, False])
async def test_a_client_that_reads_again_stays_connected(monkeypatch: pytest.MonkeyPatch, responding: bool) -> None:
    monkeypatch.setattr(connections, "REQUEST_TIMEOUT", 0.03)
    one, inner, transport = connect()
    await arrive(one, get())
    one.begin_response()
    one.body_received(b"")
    if not responding:
        one.end_response()
    one.pause_writing()
    one.resume_writing()
    await anyio.sleep(0.1)
    assert (transport.closed, inner.calls) == ([], ["pause", "resume"])
    one.connection_lost(None)


@pytest.mark.parametrize("asked", [b"", get()], ids=["no request", "answered on arrival"])
async def test_a_connection_without_a_request_is_closed(monkeypatch: pytest.MonkeyPatch, asked: bytes) -> None:
    monkeypatch.setattr(connections, "REQUEST_TIMEOUT", 0.03)
    monkeypatch.setattr(connections, "KEEP_ALIVE", 0.06)
    one, _, transport = connect(SimulatedResponse(WHOLE))
    if asked:
        await arrive(one, asked)
    await anyio.sleep(0.15)
    assert transport.closed == (["closed"] if asked else ["aborted"])
    one.connection_lost(None)
    one._close()


async def test_half_of_a_request_after_an_idle_time_closes_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "REQUEST_TIMEOUT", 0.03)
    one, _, transport = connect(SimulatedResponse(WHOLE))
    await arrive(one, get())
    await anyio.sleep(0.05)
    closed = [*transport.closed]
    await arrive(one, get()[:-1])
    await anyio.sleep(0.05)
    assert (closed, transport.closed) == ([], ["aborted"])
    one.connection_lost(None)


async def test_a_connection_that_is_closed_is_without_effect() -> None:
    one, inner, transport = connect(SimulatedResponse(WHOLE))
    one.connection_lost(None)
    await arrive(one, get())
    assert (transport.written, inner.received) == (b"", get())
    ServerConnections(lambda *_: None).find(None).connection_lost(None)


@pytest.mark.parametrize("count", [2, 40])
async def test_requests_of_several_connections_are_answered_in_their_order(count: int) -> None:
    asked: list[bytes] = []

    def respond(_: RawRequestMessage, body: bytes, __: str | None) -> SimulatedResponse:
        asked.append(body)
        return SimulatedResponse(WHOLE, lost=body == b"1")

    every = ServerConnections(respond)
    ends = [(Inner(), FakeTransport()) for _ in range(count)]
    made = [every.wrap(inner) for inner, _ in ends]
    for one, (_, transport) in zip(made, ends, strict=True):
        one.connection_made(cast("asyncio.Transport", transport))
    for at, one in enumerate(made):
        one.data_received(post(b"%d" % at))
    assert asked == []
    await anyio.lowlevel.checkpoint()
    assert asked == [b"%d" % at for at in range(count)]
    assert [at for at, (_, transport) in enumerate(ends) if not transport.written] == [1]
    assert [at for at, (inner, _) in enumerate(ends) if inner.received] == [1]
    for one in made:
        one.connection_lost(None)


async def test_bytes_that_arrive_in_one_turn_of_the_event_loop_are_read_as_one() -> None:
    one, inner, transport = connect(SimulatedResponse(WHOLE))
    one.data_received(get()[:9])
    await arrive(one, get()[9:])
    assert (transport.written.count(b"HTTP/1.1 200 OK"), inner.received) == (1, b"")
    one.data_received(get())
    await arrive(one, get())
    assert (transport.written.count(b"HTTP/1.1 200 OK"), inner.received) == (1, get() * 2)
    one.connection_lost(None)


@pytest.mark.parametrize("by_eof", [True, False], ids=["end of input", "connection lost"])
async def test_a_request_before_the_end_of_a_connection_is_answered(by_eof: bool) -> None:
    one, inner, transport = connect(SimulatedResponse(WHOLE))
    one.data_received(get())
    if by_eof:
        assert one.eof_received() is None
    else:
        one.connection_lost(None)
    assert (transport.written.count(b"HTTP/1.1 200 OK"), inner.received) == (1, b"")
    await anyio.lowlevel.checkpoint()
    assert (transport.written.count(b"HTTP/1.1 200 OK"), inner.received) == (1, b"")
    one.connection_lost(None)


async def test_a_request_that_waits_while_the_client_stops_reading_is_answered_by_aiohttp() -> None:
    one, inner, transport = connect(SimulatedResponse(WHOLE))
    one.data_received(get())
    one.pause_writing()
    await anyio.lowlevel.checkpoint()
    assert (transport.written, inner.received) == (b"", get())
    one.connection_lost(None)
