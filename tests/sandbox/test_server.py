"""The sandbox over a socket: the same responses, byte for byte, and what is special to a socket."""

import gzip
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from io import BytesIO
from urllib.parse import urlsplit

import aiohttp
import anyio
import anyio.abc
import anyio.lowlevel
import orjson
import pytest

import msgapi
from msgapi import InsufficientBalance, NotFound, Ok, Request, Response, Retry, ServerFault, Unanswered, messages
from msgapi.sandbox import MAGIC_RECIPIENTS, Sandbox, connections, serve, server
from tests.support.sandbox_requests import email, request, said, text

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]
PHONE = {recipient.fault: recipient.phone for recipient in MAGIC_RECIPIENTS}
BEARER = b"Host: localhost\r\nAuthorization: Bearer sk_sandbox\r\nContent-Type: application/json\r\n"


@asynccontextmanager
async def over_http(box: Sandbox, **headers: str) -> AsyncIterator[tuple[str, aiohttp.ClientSession]]:
    said_by_all = {"Authorization": f"Bearer {box.api_key}", "Content-Type": "application/json", **headers}
    async with serve(box) as url, aiohttp.ClientSession(headers=said_by_all) as session:
        yield url, session


async def whole(answer: aiohttp.ClientResponse) -> Response:
    return Response(answer.status, {name.lower(): value for name, value in answer.headers.items()}, await answer.read())


def like(one: Response) -> tuple[int, bytes, set[str]]:
    ours = {name for name in one.headers if name.startswith("x-") or name in {"content-type", "date"}}
    return one.status, one.body, ours


REQUESTS = [
    request("GET", "/v1/billing/balance"),
    request("GET", "/v1/messages?limit=0"),
    request("GET", "/v1/messages/a%2Fb"),
    request("GET", "/v1/messages/%2e%2e"),
    request("PUT", "/v1/messages", body={}),
    request("DELETE", "/v1/messages/msg_none"),
    request("POST", "/v1/messages", body=b"{"),
    request("POST", "/v1/messages", body=text(to="1")),
    request("POST", "/v1/messages", body=text(to=PHONE["402"])),
    request("POST", "/v1/messages", body=text(to=PHONE["502"])),
    request("POST", "/v1/messages", body=text(), Authorization="Bearer sk_other"),
]


@pytest.mark.parametrize("asked", REQUESTS, ids=range(len(REQUESTS)))
async def test_over_a_socket_a_request_is_answered_as_in_memory(asked: Request) -> None:
    import yarl

    box, alone = Sandbox(), Sandbox()
    target = asked.url.removeprefix("https://sandbox.example")
    async with serve(box) as url, aiohttp.ClientSession() as session:
        call = session.request(
            asked.method, yarl.URL(url + target, encoded=True), headers=dict(asked.headers), data=asked.body
        )
        async with call as answer:
            assert like(await whole(answer)) == like(alone.handle(asked).response)


async def test_the_server_listens_on_loopback_and_is_closed_afterwards() -> None:
    async with serve(Sandbox()) as url:
        host, port = url.removeprefix("http://").split(":")
        assert host == "127.0.0.1"
        with socket.create_connection((host, int(port)), timeout=5):
            pass
    with pytest.raises(ConnectionRefusedError):
        _ = socket.create_connection((host, int(port)), timeout=5)


async def test_an_ipv6_host_is_in_brackets() -> None:
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    async with serve(Sandbox(), host="::1") as url:
        assert url.startswith("http://[::1]:")


async def test_a_client_works_over_the_served_sandbox() -> None:
    box = Sandbox()

    def to(phone: str) -> messages.Text:
        return messages.Text(agent_id="ag_live_demo", to=phone, traffic_type="TRANSACTION", text="Hello")

    async with serve(box) as url, msgapi.Client(base_url=url, api_key=box.api_key, retry=Retry(attempts=2)) as api:
        fine = await api(messages.send(to("+4915112345678")))
        lost = await api(messages.send(to(PHONE["lost"])))
        once = await api(messages.send(to(PHONE["500-once"])))
        dry = await api(messages.send(to(PHONE["402"])))
        gone = await api(messages.send(to(PHONE["404"])))
        page = await api(messages.send(to(PHONE["502"])))
    assert isinstance(fine, Ok)
    assert isinstance(lost, Ok)
    assert isinstance(once, Ok)
    assert [lost.meta.attempts, once.meta.attempts] == [2, 2]
    assert isinstance(dry, InsufficientBalance)
    assert isinstance(gone, NotFound)
    assert isinstance(page, ServerFault)
    assert [entry.id for entry in box.messages] == [one.value.message_id for one in (fine, lost, once)]


async def test_a_lost_response_closes_the_connection() -> None:
    box = Sandbox()
    call = messages.send(messages.Text(agent_id="ag_live_demo", to=PHONE["lost"], traffic_type="TRANSACTION", text="x"))
    async with serve(box) as url, msgapi.Client(base_url=url, api_key=box.api_key, retry=Retry(attempts=1)) as api:
        assert isinstance(await api(call), Unanswered)
        assert len(box.messages) == 1
        assert isinstance(await api(call), Ok)
    assert len(box.messages) == 1


async def test_a_slow_response_is_sent_later() -> None:
    box = Sandbox(slow=0.05)
    async with (
        over_http(box) as (url, session),
        session.post(f"{url}/v1/messages", json=text(to=PHONE["slow"])) as answer,
    ):
        assert answer.status == 200
    assert len(box.messages) == 1


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_that_is_too_large_is_refused_with_the_envelope(chunked: bool) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b" " * 65_536

    box = Sandbox()
    async with over_http(box) as (url, session):
        data = parts() if chunked else BytesIO(b" " * 1_100_000)
        async with session.post(f"{url}/v1/messages", data=data) as answer:
            got = await whole(answer)
    assert got.status == 400
    assert said(got)["details"] == [{"field": "", "message": "is larger than 1048576 bytes"}]


async def test_a_body_without_end_is_refused_before_its_end() -> None:
    box = Sandbox()
    head = "POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000\r\n"
    head += f"Authorization: Bearer {box.api_key}\r\n"
    async with serve(box) as url:
        host, port = url.removeprefix("http://").split(":")
        async with await anyio.connect_tcp(host, int(port)) as stream:
            await stream.send(head.encode() + b"\r\n" + b" " * 1_100_000)
            with anyio.fail_after(30):
                assert (await stream.receive()).startswith(b"HTTP/1.1 400 ")


async def test_a_large_body_that_is_allowed_arrives_whole() -> None:
    box = Sandbox()
    html = "x" * 400_000
    async with (
        over_http(box) as (url, session),
        session.post(f"{url}/v1/messages", json=email(content={"html": html})) as answer,
    ):
        assert answer.status == 200
    assert html.encode() in box.messages[0].body


async def test_a_repeated_header_is_joined() -> None:
    box = Sandbox()
    async with over_http(box) as (url, session):
        headers = [("Idempotency-Key", "k1"), ("Idempotency-Key", "k2")]
        async with session.post(f"{url}/v1/messages", json=text(), headers=headers) as answer:
            got = await whole(answer)
    assert [detail["field"] for detail in said(got)["details"]] == ["idempotency-key"]


@pytest.mark.parametrize("target", ["*", "http://localhost/v1/messages", "/v1/messages#a", "//"])
async def test_an_unknown_request_target_is_not_found(target: str) -> None:
    box = Sandbox()
    async with serve(box) as url:
        host, port = url.removeprefix("http://").split(":")
        stream = await anyio.connect_tcp(host, int(port))
        async with stream:
            await stream.send(
                f"OPTIONS {target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {box.api_key}\r\n\r\n".encode()
            )
            assert (await stream.receive()).startswith(b"HTTP/1.1 404 ")


async def test_many_requests_at_once_are_each_answered() -> None:
    box = Sandbox()
    call = [
        messages.send(messages.Text(agent_id="ag_live_demo", to=f"+49151{n:08d}", traffic_type="PROMOTION", text="x"))
        for n in range(200)
    ]
    async with serve(box) as url, msgapi.Client(base_url=url, api_key=box.api_key) as api:

        async def send(one: msgapi.Call[messages.Accepted]) -> None:
            assert isinstance(await api(one), Ok)

        async with anyio.create_task_group() as tasks:
            for one in call:
                tasks.start_soon(send, one)
    assert sorted(entry.to for entry in box.messages) == [f"+49151{n:08d}" for n in range(200)]


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"POST /v1/mess", id="half a line"),
        pytest.param(b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", id="half a head"),
        pytest.param(b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n{", id="half a body"),
    ],
)
async def test_a_request_that_does_not_arrive_in_time_closes_the_connection(
    monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(connections, "REQUEST_TIMEOUT", 0.05)
    box = Sandbox()
    async with serve(box) as url, await anyio.connect_tcp("127.0.0.1", urlsplit(url).port or 0) as stream:
        if sent:
            await stream.send(sent)
        with anyio.fail_after(5), pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
            _ = await stream.receive()
    assert box.requests == 0


async def test_a_body_that_arrives_in_parts_is_read_and_the_connection_stays_open() -> None:
    body = b'{"agent_id":"ag_live_demo"}'
    head = f"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    box = Sandbox()
    async with serve(box) as url, await anyio.connect_tcp("127.0.0.1", urlsplit(url).port or 0) as stream:
        for _ in range(2):
            for part in (head[:9], head[9:], body[:5], body[5:]):
                await stream.send(part)
                await anyio.sleep(0.01)
            assert (await stream.receive()).startswith(b"HTTP/1.1 401 ")
    assert box.requests == 2


async def test_closing_a_closed_connection_has_no_effect() -> None:
    from types import SimpleNamespace
    from typing import Any, cast

    await anyio.lowlevel.checkpoint()
    gone = cast("Any", SimpleNamespace(transport=None))
    assert server._abort(gone).status == server._respond_to_malformed(Sandbox(), gone).status == 200


@pytest.mark.parametrize("body", [b"nonsense", gzip.compress(orjson.dumps(text()))], ids=["nonsense", "packed"])
async def test_a_compressed_body_is_refused_with_the_envelope(body: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async with over_http(Sandbox()) as (url, session):
        session.headers["Content-Encoding"] = "gzip"
        async with session.post(f"{url}/v1/messages", data=body) as answer:
            assert (answer.status, (await answer.json())["error"]) == (400, "validation_error")
    assert not caplog.records


UNREADABLE = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
    b"GET /v1/messages HTTP/9.9\r\n\r\n",
    b"GET /v1/messages HTTP/2.0\r\n" + BEARER + b"\r\n",
    b"GET /v1/messages\r\n\r\n",
    b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
    b"GET /v1/messages HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer sk_secret\x01\r\n\r\n",
    b"GET /v1/messages HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"a" * 9000 + b"\r\n\r\n",
]


@pytest.mark.parametrize("sent", UNREADABLE, ids=["tls", "version", "two", "none", "length", "control", "long"])
async def test_malformed_requests_get_the_envelope_and_are_neither_quoted_nor_logged(
    sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with serve(Sandbox()) as url, await anyio.connect_tcp("127.0.0.1", urlsplit(url).port or 0) as stream:
        await stream.send(sent)
        with anyio.fail_after(5):
            answer = b"".join([part async for part in stream])
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert [*orjson.loads(body)] == ["error", "message", "details"]
    assert orjson.loads(body)["details"] == [{"field": "", "message": "is not HTTP/1.1 that can be read"}]
    said_of_it = {line.partition(b":")[0] for line in head.split(b"\r\n")}
    assert {b"x-ratelimit-limit", b"x-ratelimit-remaining", b"x-ratelimit-reset", b"date"} <= said_of_it
    assert b"secret" not in answer
    assert not caplog.records


async def test_a_defect_of_the_sandbox_is_a_500_and_is_logged(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Sandbox, __: Request) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Sandbox, "handle", broken)
    async with over_http(Sandbox()) as (url, session), session.get(f"{url}/v1/messages") as answer:
        assert answer.status == 500
    assert "ZeroDivisionError" in caplog.text


async def test_a_client_that_disconnects_during_its_body_is_not_an_error(caplog: pytest.LogCaptureFixture) -> None:
    head = b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"
    async with serve(Sandbox()) as url:
        async with await anyio.connect_tcp("127.0.0.1", urlsplit(url).port or 0) as stream:
            await stream.send(head)
            await anyio.sleep(0.05)
        async with aiohttp.ClientSession() as session, session.get(f"{url}/v1/messages") as answer:
            assert answer.status == 401
    assert not caplog.records


BALANCE = b"GET /v1/billing/balance HTTP/1.1\r\n" + BEARER + b"\r\n"
HALF = b"GET /v1/billing/balance HTTP/1.1\r\nA: b\r\n"


ONE_BYTE = b"GET /v1/billing/balance HTTP/1.1\r\nContent-Length: 1\r\n" + BEARER + b"\r\nG"


def posted(body: dict[str, object], *, chunked: bool = False) -> bytes:
    raw = orjson.dumps(body)
    if chunked:  # but for its end
        head = b"POST /v1/messages HTTP/1.1\r\n" + BEARER + b"Transfer-Encoding: chunked\r\n\r\n"
        return head + b"%x\r\n%s\r\n" % (len(raw), raw)
    return b"POST /v1/messages HTTP/1.1\r\n" + BEARER + b"Content-Length: %d\r\n\r\n" % len(raw) + raw


async def until_the_end(stream: anyio.abc.ByteStream) -> bytes:
    parts = bytearray()
    with anyio.fail_after(5), suppress(anyio.EndOfStream, anyio.BrokenResourceError):
        while True:
            parts += await stream.receive()
    return bytes(parts)


@pytest.mark.parametrize(
    ("sent", "answered"),
    [
        pytest.param([BALANCE + HALF], 1, id="behind one without a body"),
        pytest.param([BALANCE * 3 + b"GE"], 3, id="behind three"),
        pytest.param([posted(text()) + HALF], 1, id="behind one with a body"),
        pytest.param([posted(text()), HALF], 1, id="after an answer"),
        pytest.param([posted(text(to=PHONE["slow"])), HALF], 1, id="during an answer"),
        pytest.param([BALANCE + posted(text())[:-1]], 1, id="half a body"),
        pytest.param([ONE_BYTE + b"G"], 1, id="what looks like the body before"),
    ],
)
async def test_a_slow_request_closes_the_connection_whatever_came_before_it(
    monkeypatch: pytest.MonkeyPatch, sent: list[bytes], answered: int
) -> None:
    monkeypatch.setattr(connections, "REQUEST_TIMEOUT", 0.1)
    box = Sandbox(slow=0.05)
    async with serve(box) as url, await anyio.connect_tcp("127.0.0.1", urlsplit(url).port or 0) as stream:
        for part in sent:
            await stream.send(part)
            await anyio.sleep(0.02)
        got = await until_the_end(stream)
    assert got.count(b"HTTP/1.1 200 ") == answered == box.requests


async def test_a_request_that_arrives_during_a_slow_response_is_answered_after_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "REQUEST_TIMEOUT", 0.05)
    box = Sandbox(slow=0.2)
    async with serve(box) as url, await anyio.connect_tcp("127.0.0.1", urlsplit(url).port or 0) as stream:
        await stream.send(posted(text(to=PHONE["slow"])))
        await anyio.sleep(0.02)
        await stream.send(BALANCE[:20])
        await anyio.sleep(0.02)
        await stream.send(BALANCE[20:])
        got = bytearray()
        with anyio.fail_after(5):
            while got.count(b"HTTP/1.1 200 ") < 2:
                got += await stream.receive()
    assert box.requests == 2


async def test_an_idle_connection_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "REQUEST_TIMEOUT", 0.05)
    monkeypatch.setattr(connections, "KEEP_ALIVE", 0.3)
    async with serve(Sandbox()) as url, await anyio.connect_tcp("127.0.0.1", urlsplit(url).port or 0) as stream:
        for asked in (posted(text(), chunked=True), b"0\r\n\r\n", posted(text()), BALANCE):
            await stream.send(asked)
            await anyio.sleep(0.15 if asked.endswith((b"\r\n\r\n", b"}")) else 0.01)
        got = await until_the_end(stream)
    assert got.count(b"HTTP/1.1 200 ") == 3


async def test_a_head_whose_last_bytes_arrive_late_is_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "REQUEST_TIMEOUT", 0.1)
    async with serve(Sandbox()) as url, await anyio.connect_tcp("127.0.0.1", urlsplit(url).port or 0) as stream:
        for cut in (1, 2, 3):
            await stream.send(BALANCE[:-cut])
            await anyio.sleep(0.02)
            await stream.send(BALANCE[-cut:])
            await anyio.sleep(0.2)
            assert (await stream.receive()).startswith(b"HTTP/1.1 200 ")


async def test_a_client_that_does_not_read_its_responses_is_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "REQUEST_TIMEOUT", 0.2)
    box, asked = Sandbox(rate_limit=10**6), b"GET /v1/messages?limit=200 HTTP/1.1\r\n" + BEARER + b"\r\n"
    for _ in range(200):
        assert box.handle(request("POST", "/v1/messages", body=text())).response.status == 200
    async with serve(box) as url, await anyio.connect_tcp("127.0.0.1", urlsplit(url).port or 0) as stream:
        await stream.send(asked * 400)
        await anyio.sleep(1.0)
        got = await until_the_end(stream)
    assert 0 < got.count(b"HTTP/1.1 200 ") < 400


@pytest.mark.parametrize("host", ["http://localhost", "HTTPS://127.0.0.1:99"])
async def test_a_target_may_have_a_host(host: str) -> None:
    box = Sandbox()
    body = orjson.dumps({**text(), "ttl": "9s"})
    async with serve(box) as url, await anyio.connect_tcp("127.0.0.1", urlsplit(url).port or 0) as stream:
        for asked in (
            f"GET {host}/v1/messages?limit=1 HTTP/1.1\r\n".encode() + BEARER + b"\r\n",
            f"POST {host}/v1/messages HTTP/1.1\r\nContent-Length: {len(body)}\r\n".encode() + BEARER + b"\r\n" + body,
        ):
            await stream.send(asked)
            assert (await stream.receive()).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("asked", REQUESTS, ids=range(len(REQUESTS)))
async def test_a_response_that_is_written_at_once_has_the_headers_of_any_other_one(asked: Request) -> None:
    async with over_http(Sandbox()) as (url, session):
        path = asked.url.partition("://")[2].partition("/")[2]
        answers: list[aiohttp.ClientResponse] = []
        for more in ({}, {"Connection": "close"}):
            headers = {**asked.headers, **more}
            async with session.request(asked.method, f"{url}/{path}", headers=headers, data=asked.body) as answer:
                answers.append(answer)
    at_once, usual = ({name.lower(): answer.headers.getall(name) for name in answer.headers} for answer in answers)
    assert usual.pop("connection") == ["close"]
    assert at_once.keys() == usual.keys()
    assert [at_once[name] for name in ("server", "content-type")] == [
        usual[name] for name in ("server", "content-type")
    ]
