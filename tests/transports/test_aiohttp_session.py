"""Transport over a session of the caller's: what aiohttp would do by itself, and what it is kept from."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp as library
import anyio
import pytest
import trustme
from aiohttp import client_proto

import msgapi
from msgapi import NotSent, Request, Response, Unanswered, messages
from msgapi.transports import Transport, aiohttp
from msgapi.transports.aiohttp import connection
from msgapi.transports.aiohttp.session import AiohttpSessionTransport, head_limits
from tests.support.exchanges import OK, get, peer, post, saying
from tests.support.raw_servers import Wire, reply, serving
from tests.transports.test_connections import Service, keyed

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]


@asynccontextmanager
async def over(session: library.ClientSession, **options: Any) -> AsyncIterator[Transport]:  # noqa: ANN401
    async with session, aiohttp.open(session=session, **options) as transport:
        yield transport


# It sends once.


async def test_a_delete_that_the_server_has_received_is_not_called_not_sent() -> None:
    service = Service(refuses=lambda number: number == 2)
    async with serving(service.serve) as url, over(library.ClientSession()) as transport:
        assert isinstance(await transport(get(url)), Response)
        assert isinstance(await transport(Request("DELETE", url)), Unanswered)
    assert [request.method for request in service.requests] == ["GET", "DELETE"]


@pytest.mark.parametrize("seconds", [0.0, 0.02], ids=["not read yet", "read by aiohttp"])
@pytest.mark.parametrize("more", [reply(200, b"not asked for"), reply(408)])
async def test_data_that_no_request_asked_for_retires_a_kept_connection(more: bytes, seconds: float) -> None:
    asking, sent, numbers = anyio.Event(), anyio.Event(), list[int]()

    async def serve(wire: Wire) -> None:
        while True:
            answer = reply(200, (await wire.request()).body)
            numbers.append(wire.number)
            await wire.send(answer)
            await asking.wait()
            await wire.send(more)
            sent.set()

    async with serving(serve) as url, over(library.ClientSession()) as transport:
        for body in (b"one", b"two", b"three"):
            answer = await transport(Request("POST", url, {}, body))
            assert isinstance(answer, Response)
            assert answer.body == body
            asking.set()
            await sent.wait()
            await anyio.sleep(seconds)
            asking, sent = anyio.Event(), anyio.Event()
    assert numbers == [1, 2, 3]


async def test_attempts_of_a_client_count_what_was_sent() -> None:
    service = Service(refuses=lambda number: number == 2)
    once = msgapi.Retry(attempts=1)
    async with (
        serving(service.serve) as url,
        over(library.ClientSession()) as transport,
        msgapi.Client(transport=transport, api_key="sk_1", base_url=url, retry=once) as client,
    ):
        _ = await client(messages.get("msg_1"))
        lost = await client(messages.revoke("msg_1"))
        read = await client(messages.get("msg_1"))
    assert (lost.meta.attempts, read.meta.attempts) == (1, 1)
    assert [request.method for request in service.requests] == ["GET", "DELETE", "GET"]


async def test_the_first_request_of_a_session_has_no_kept_connection_and_is_not_repeated() -> None:
    service = Service(refuses=lambda _: True)
    async with serving(service.serve) as url, over(library.ClientSession()) as transport:
        assert isinstance(await transport(keyed(url)), Unanswered)
    assert len(service.requests) == 1


async def test_a_middleware_of_the_session_that_repeats_is_counted() -> None:
    async def twice(request: library.ClientRequest, handler: library.ClientHandlerType) -> library.ClientResponse:
        try:
            return await handler(request)
        except library.ClientConnectionError:
            return await handler(request)

    service = Service(refuses=lambda number: number == 1)
    session = library.ClientSession(middlewares=(twice,))
    async with serving(service.serve) as url, over(session) as transport:
        answer = await transport(keyed(url))
    assert isinstance(answer, Response)
    assert answer.attempts == len(service.requests) == 2


async def test_a_middleware_of_the_session_cannot_repeat_what_must_not_be_repeated() -> None:
    async def twice(request: library.ClientRequest, handler: library.ClientHandlerType) -> library.ClientResponse:
        try:
            return await handler(request)
        except library.ClientConnectionError:
            return await handler(request)

    service = Service(refuses=lambda _: True)
    session = library.ClientSession(middlewares=(twice,))
    async with serving(service.serve) as url, over(session) as transport:
        assert isinstance(await transport(post(url)), Unanswered)
    assert len(service.requests) == 1


# What was certainly not sent.


async def test_a_handshake_that_stalls_is_not_sent() -> None:
    async with (
        serving(Wire.hang) as url,
        over(library.ClientSession(), timeout=2.0, connect_timeout=0.05) as transport,
    ):
        assert await transport(post(url.replace("http:", "https:"))) == NotSent(
            f"could not connect to {peer(url)} in time"
        )


async def test_a_certificate_that_is_not_trusted_is_not_sent() -> None:
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(server)
    async with serving(saying(OK), tls=server) as url, over(library.ClientSession()) as transport:
        answer = await transport(post(url))
    assert isinstance(answer, NotSent)
    assert answer.reason == f"no secure connection to {peer(url)}: unable to get local issuer certificate"


async def test_a_time_out_of_the_session_is_unanswered() -> None:
    session = library.ClientSession(timeout=library.ClientTimeout(sock_read=0.05))
    async with serving(Wire.hang) as url, over(session) as transport:
        assert await transport(post(url)) == Unanswered("no answer in time")


# Its settings, and ours.


@pytest.mark.parametrize("name", ["Authorization", "authorization"])
async def test_our_authorization_stands_beside_a_netrc(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    netrc = tmp_path / "netrc"
    _ = netrc.write_text("default login user password word\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    service = Service()
    async with serving(service.serve) as url, over(library.ClientSession(trust_env=True)) as transport:
        assert isinstance(await transport(Request("GET", url, {name: "Bearer sk_1"})), Response)
        assert isinstance(await transport(get(url)), Response)
    given = [request.headers.get("authorization") for request in service.requests]
    assert given == ["Bearer sk_1", "Basic dXNlcjp3b3Jk"]


@pytest.mark.parametrize(
    ("connector", "wanted", "limit"),
    [
        ({}, None, 100),
        ({"limit": 7}, None, 7),
        ({"limit": 7}, 200, 7),
        ({"limit": 7, "limit_per_host": 3}, 5, 3),
        ({"limit": 0}, None, 100),
        ({"limit": 0}, 200, 200),
    ],
)
async def test_its_connector_limits_the_connections_too(
    connector: dict[str, int], wanted: int | None, limit: int
) -> None:
    session = library.ClientSession(connector=library.TCPConnector(**connector))  # type: ignore[arg-type]
    async with over(session, max_connections=wanted) as transport:
        assert isinstance(transport, AiohttpSessionTransport)
        assert transport.max_connections == limit


async def test_a_closed_session_has_no_connector_and_the_usual_limit() -> None:
    session = library.ClientSession()
    await session.close()
    async with aiohttp.open(session=session) as transport:
        assert isinstance(transport, AiohttpSessionTransport)
        assert transport.max_connections == 100


async def test_a_call_after_its_end_raises_although_the_session_is_open() -> None:
    async with library.ClientSession() as session:
        async with aiohttp.open(session=session) as transport:
            pass
        with pytest.raises(RuntimeError, match="this transport is closed"):
            _ = await transport(get("http://127.0.0.1:9"))


async def test_a_gzip_request_of_the_callers_is_sent_as_it_is() -> None:
    service = Service()
    async with serving(service.serve) as url, over(library.ClientSession()) as transport:
        _ = await transport(Request("GET", url, {"accept-encoding": "gzip"}))
    assert service.requests[0].headers["accept-encoding"] == "gzip"


# In place of our own connections.


@pytest.mark.parametrize("fault", ["a name", "the module"])
async def test_where_aiohttp_lacks_a_name_a_session_is_used_and_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    if fault == "a name":
        monkeypatch.setattr(connection, "NAMES", [*connection.NAMES, "gone_in_aiohttp_4"])
    else:
        monkeypatch.delattr(connection, "AiohttpConnection")
    numbers: list[int] = []

    async def serve(wire: Wire) -> None:
        while True:
            _ = await wire.request()
            numbers.append(wire.number)
            await wire.send(reply(200, b"{}"))

    async with serving(serve) as url, aiohttp.open(max_connections=2) as transport:
        assert isinstance(transport, AiohttpSessionTransport)
        transport.max_connections = 3
        assert transport.max_connections == 3
        for _ in range(2):
            assert isinstance(await transport(post(url)), Response)
    assert numbers == [1, 1]
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert f"aiohttp {library.__version__} lacks what msgapi's own connections need" in record.getMessage()
    assert ("gone_in_aiohttp_4" if fault == "a name" else "AiohttpConnection") in record.getMessage()


async def test_the_limits_of_a_head_are_raised_as_far_as_a_version_has_them() -> None:
    assert head_limits(client_proto.ResponseHandler.set_response_params).keys() >= {"max_line_size", "max_field_size"}
    assert head_limits(print) == {}


async def test_doubles_that_replace_the_session_see_the_requests_of_a_session_and_no_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = list[str]()

    async def double(_: library.ClientSession, method: str, url: object, **__: object) -> object:
        seen.append(f"{method} {url}")
        raise library.ClientConnectionError("no such response")

    async with serving(saying(OK)) as url, library.ClientSession() as session:
        monkeypatch.setattr(library.ClientSession, "_request", double)
        async with aiohttp.open() as transport:
            assert isinstance(await transport(post(url)), Response)
        assert seen == []
        async with aiohttp.open(session=session) as transport:
            assert not isinstance(await transport(post(url)), Response)
    assert seen == [f"POST {url}/v1/messages"]
