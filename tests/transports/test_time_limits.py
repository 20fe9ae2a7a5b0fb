"""Time limits of single requests, and the age of connections, over every transport with connections."""

import time
from pathlib import Path
from typing import Any

import anyio
import httpx2 as httpx2_library
import pytest

from msgapi import NotSent, Request, Response, Unanswered
from msgapi.http import TimeLimits
from msgapi.results import NO_FREE_CONNECTION
from msgapi.transports import Cassette, Recording, httpx2
from msgapi.transports.common import connections
from msgapi.transports.httpx2 import connection
from tests.support.exchanges import peer
from tests.support.raw_servers import Wire, reply, serving
from tests.transports.test_connections import EVERY, OK, OWN, Opened, transports

pytestmark = pytest.mark.anyio
SHORT = 0.03
LONG = 0.3  # a tenth of it is the time to notice that a connection is not made in time


def limited(
    url: str, timeout: float | None = None, connect: float | None = None, total: float | None = None
) -> Request:
    return Request("GET", f"{url}/v1/x", limits=TimeLimits(timeout, connect, total))


@EVERY
async def test_a_request_with_limits_ends_within_them_and_the_others_are_not_affected(over: Opened) -> None:
    async def serve(wire: Wire) -> None:
        while True:
            request = await wire.request()
            if request.target.endswith("/x"):
                await wire.hang()
            await wire.send(OK)

    async with serving(serve) as url, over(timeout=30.0) as transport:
        assert transport.keeps_limits  # type: ignore[attr-defined]
        for request in (limited(url, SHORT), limited(url, total=SHORT), limited(url, 20.0, total=SHORT)):
            assert isinstance(await transport(Request("GET", f"{url}/v1/y")), Response)  # its connection is used again
            assert await transport(request) == Unanswered("no answer in time")
        assert isinstance(await transport(Request("GET", f"{url}/v1/y")), Response)


@EVERY
async def test_a_limit_may_be_longer_than_the_time_out_of_the_transport(over: Opened) -> None:
    late = anyio.Event()

    async def serve(wire: Wire) -> None:
        _ = await wire.request()
        await late.wait()
        await wire.send(OK)

    async with serving(serve) as url, over(timeout=SHORT) as transport, anyio.create_task_group() as tasks:
        answers: list[Any] = []

        async def send() -> None:
            answers.append(await transport(limited(url, 20.0, 20.0)))

        tasks.start_soon(send)
        await anyio.sleep(2 * SHORT)
        assert answers == []
        late.set()
    assert isinstance(answers[0], Response)


@EVERY
async def test_the_limit_of_connecting_is_kept(over: Opened) -> None:
    async with serving(Wire.hang) as url, over() as transport:
        secure = url.replace("http:", "https:")
        assert await transport(limited(secure, connect=SHORT)) == NotSent(f"could not connect to {peer(url)} in time")


@EVERY
async def test_the_total_limit_ends_the_wait_for_a_free_connection(over: Opened) -> None:
    asked = anyio.Event()

    async def serve(wire: Wire) -> None:
        _ = await wire.request()
        asked.set()
        await wire.hang()

    async with serving(serve) as url, over(max_connections=1) as transport, anyio.create_task_group() as tasks:
        tasks.start_soon(transport, limited(url))
        await asked.wait()
        answer = await transport(limited(url, 20.0, total=SHORT))
        assert isinstance(answer, NotSent)
        assert answer.code == NO_FREE_CONNECTION
        tasks.cancel_scope.cancel()


@EVERY
async def test_a_call_with_limits_that_is_in_flight_when_its_transport_closes_ends(over: Opened) -> None:
    asked = anyio.Event()

    async def serve(wire: Wire) -> None:
        _ = await wire.request()
        asked.set()
        await wire.hang()

    answers: list[Any] = []
    async with serving(serve) as url, anyio.create_task_group() as tasks, over() as transport:

        async def send() -> None:
            answers.append(await transport(limited(url, 20.0)))

        tasks.start_soon(send)
        await asked.wait()
    assert answers == [Unanswered("the transport was closed")]


@transports("aiohttp", "httptools", "httpx2")
async def test_a_handshake_that_outlasts_the_limits_of_its_request_is_not_sent(over: Opened) -> None:
    async with serving(Wire.hang) as url, over(timeout=30.0) as transport:
        secure = url.replace("http:", "https:")
        for limits in ((LONG, None, None), (None, 20.0, LONG)):
            assert await transport(limited(secure, *limits)) == NotSent(f"could not connect to {peer(url)} in time")


async def test_a_wait_for_a_connection_of_the_client_that_outlasts_the_limits_is_not_sent() -> None:
    limits = httpx2_library.Limits(max_connections=1)
    async with (
        serving(Wire.hang) as url,
        httpx2_library.AsyncClient(limits=limits, trust_env=False) as client,
        httpx2.open(client=client) as transport,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(transport, Request("GET", url))
        await anyio.wait_all_tasks_blocked()
        for seconds in (None, LONG):
            outcome = await transport(limited(url, seconds, total=2 * LONG))
            assert isinstance(outcome, NotSent)
            assert outcome.code == NO_FREE_CONNECTION
        tasks.cancel_scope.cancel()


@OWN
async def test_a_connection_is_not_used_for_longer_than_its_age(over: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    now, real = [0.0], time.monotonic
    monkeypatch.setattr(connections, "monotonic", lambda: real() + now[0])
    numbers: list[int] = []

    async def serve(wire: Wire) -> None:
        while True:
            _ = await wire.request()
            numbers.append(wire.number)
            await wire.send(reply(200, b"{}"))

    async with serving(serve) as url, over(max_connection_age=100.0, keepalive_timeout=5.0) as transport:
        for seconds in (0.0, 89.0, 2.0, 0.0, 89.0):
            now[0] += seconds
            assert isinstance(await transport(Request("GET", f"{url}/v1/x")), Response)
    # Nine tenths of its age after it was opened, the connection is closed once its exchange has ended.
    assert numbers == [1, 1, 1, 2, 2]


async def test_a_connection_that_was_idle_beyond_its_age_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    now, real = [0.0], time.monotonic
    for module in (connections, connection):
        monkeypatch.setattr(module, "monotonic", lambda: real() + now[0])
    numbers: list[int] = []

    async def serve(wire: Wire) -> None:
        while True:
            _ = await wire.request()
            numbers.append(wire.number)
            await wire.send(reply(200, b"{}"))

    async with serving(serve) as url, httpx2.open(max_connection_age=20.0) as transport:
        for seconds in (0.0, 4.0, 12.0):
            now[0] += seconds
            assert isinstance(await transport(Request("GET", f"{url}/v1/x")), Response)
    assert numbers == [1, 1, 2]


async def test_a_recording_keeps_limits_if_its_transport_does(tmp_path: Path) -> None:
    class Transport:
        keeps_limits = True

        async def __call__(self, request: Request, /) -> Response:
            raise NotImplementedError(request)

    async def other(request: Request, /) -> Response:
        raise NotImplementedError(request)

    for transport, expected in ((Transport(), True), (other, False)):
        with Recording(transport, tmp_path / "tape.jsonl") as recording:
            assert recording.keeps_limits is expected
        async with Cassette(tmp_path / "new.jsonl", record="new", transport=transport) as cassette:
            assert cassette.keeps_limits is expected  # type: ignore[attr-defined]
    async with Cassette(tmp_path / "new.jsonl", record="none") as cassette:
        assert not cassette.keeps_limits  # type: ignore[attr-defined]


@OWN
async def test_times_of_connections_are_checked(over: Opened) -> None:
    for option in ("keepalive_timeout", "max_connection_age"):
        with pytest.raises(ValueError, match=f"{option} must be a number of seconds above 0"):
            async with over(**{option: 0}):
                pass
