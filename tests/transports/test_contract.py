"""The contract of a transport, tested on every transport."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import aiohttp as library
import anyio
import anyio.lowlevel
import pytest
from attrs import define, field, frozen

from msgapi import Request, Response, transports
from msgapi.transports import Answer, Faulty, Recording, Replay, Transport
from msgapi.transports import aiohttp as over_aiohttp
from msgapi.transports import httptools as over_httptools
from msgapi.transports import httpx2 as over_httpx2
from tests.support.raw_servers import Wire, reply, serving

MEMORY = "http://memory.test"


@frozen
class Seen:
    """What the other end saw of a request."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@define(eq=False)
class Stage:
    """A transport, and the other end of it: `answer` decides, `seen` remembers."""

    base_url: str = MEMORY
    transport: Transport | None = None
    seen: list[Seen] = field(factory=list)
    answer: Callable[[Seen], Awaitable[Response]] | None = None
    default: Response = field(factory=lambda: Response(200, {"content-type": "application/json"}, b"{}"))

    async def respond(self, seen: Seen) -> Response:
        self.seen.append(seen)
        return self.default if self.answer is None else await self.answer(seen)

    async def ask(self, method: str = "GET", target: str = "/v1/messages", **more: object) -> Answer:
        assert self.transport is not None
        return await self.transport(Request(method, self.base_url + target, **more))  # type: ignore[arg-type]


Opened = Callable[..., AbstractAsyncContextManager[Transport]]


@asynccontextmanager
async def in_memory(_: Path) -> AsyncIterator[Stage]:
    stage = Stage()

    async def transport(request: Request, /) -> Answer:
        await anyio.lowlevel.checkpoint()
        headers = {name.lower(): value for name, value in request.headers.items()}
        target = request.url.removeprefix(MEMORY)
        return await stage.respond(Seen(request.method, target, headers, request.body or b""))

    stage.transport = transport
    yield stage


@asynccontextmanager
async def by_socket(opened: Opened, **options: object) -> AsyncIterator[Stage]:
    stage = Stage()

    async def serve(wire: Wire) -> None:
        while True:
            request = await wire.request()
            seen = Seen(request.method, request.target, dict(request.headers), request.body)
            answer = await stage.respond(seen)
            await wire.send(reply(answer.status, answer.body, headers=answer.headers))

    async with serving(serve) as stage.base_url, opened(**options) as stage.transport:
        yield stage


def by_aiohttp(_: Path, **options: object) -> AbstractAsyncContextManager[Stage]:
    return by_socket(over_aiohttp.open, **options)


def by_httpx2(_: Path) -> AbstractAsyncContextManager[Stage]:
    return by_socket(over_httpx2.open)


def by_httptools(_: Path) -> AbstractAsyncContextManager[Stage]:
    return by_socket(over_httptools.open)


@asynccontextmanager
async def by_a_session(folder: Path) -> AsyncIterator[Stage]:
    jar = library.DummyCookieJar()
    async with library.ClientSession(cookie_jar=jar) as session, by_aiohttp(folder, session=session) as stage:
        yield stage


Staging = Callable[[Path], AbstractAsyncContextManager[Stage]]


def recorded(inner: Staging, *, unmasked: bool) -> Staging:
    @asynccontextmanager
    async def staging(folder: Path) -> AsyncIterator[Stage]:
        async with inner(folder) as stage:
            assert stage.transport is not None
            with Recording(stage.transport, folder / "recording.jsonl", unmasked=unmasked) as stage.transport:
                yield stage

    return staging


@asynccontextmanager
async def replayed(folder: Path) -> AsyncIterator[Stage]:
    """Each request is recorded on its own, and answered from that recording."""
    async with in_memory(folder) as stage:
        live = stage.transport
        assert live is not None
        numbers = iter(range(1000))

        async def transport(request: Request, /) -> Answer:
            path = folder / f"{next(numbers)}.jsonl"
            with Recording(live, path, unmasked=True) as recording:
                _ = await recording(request)
            return await Replay(path)(request)

        stage.transport = transport
        yield stage


@asynccontextmanager
async def without_faults(folder: Path) -> AsyncIterator[Stage]:
    async with in_memory(folder) as stage:
        assert stage.transport is not None
        stage.transport = Faulty(stage.transport, seed=1, rates={"lost": 0.0})
        yield stage


# Every transport has its line here: how to stage it, and the event loops on which it runs. A further one,
# such as another HTTP library or the sandbox behind a handler that echoes, needs a staging and a line.
STAGINGS: dict[str, tuple[Staging, tuple[str, ...]]] = {
    "in_memory": (in_memory, ("asyncio", "trio")),
    "aiohttp": (by_aiohttp, ("asyncio",)),
    "httpx2": (by_httpx2, ("asyncio", "trio")),
    "httptools": (by_httptools, ("asyncio",)),
    "aiohttp_session": (by_a_session, ("asyncio",)),
    "recording": (recorded(in_memory, unmasked=False), ("asyncio", "trio")),
    "recording_unmasked_aiohttp": (recorded(by_aiohttp, unmasked=True), ("asyncio",)),
    "replay": (replayed, ("asyncio", "trio")),
    "faulty": (without_faults, ("asyncio", "trio")),
}
EVERYWHERE = pytest.mark.parametrize(
    ("staging", "anyio_backend"),
    [pytest.param(staging, loop, id=f"{name}-{loop}") for name, (staging, loops) in STAGINGS.items() for loop in loops],
)
pytestmark = pytest.mark.anyio


@EVERYWHERE
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("body", [None, b"", b"{}", b"\x00\xff\r\n"])
async def test_method_and_body_arrive_as_they_are(
    staging: Staging, tmp_path: Path, method: str, body: bytes | None
) -> None:
    async with staging(tmp_path) as stage:
        assert isinstance(await stage.ask(method, body=body), Response)
        assert [(seen.method, seen.body) for seen in stage.seen] == [(method, body or b"")]


@EVERYWHERE
@pytest.mark.parametrize(
    "target",
    [
        "/v1/messages/a%2Fb?x=%2B49",
        "/v1/%7euser/%41?q=a+b&q=&c=%2f",
        "/v1//x/../y/./z",
        "/v1/%C3%A4;p=1,2?from=2026-05-04T07:30:00Z&to=%22",
        "/",
    ],
)
async def test_the_target_arrives_with_its_percent_encoding_untouched(
    staging: Staging, tmp_path: Path, target: str
) -> None:
    async with staging(tmp_path) as stage:
        for _ in range(2):
            _ = await stage.ask(target=target)
        assert [seen.target for seen in stage.seen] == [target, target]


@EVERYWHERE
async def test_headers_arrive_with_their_values_as_they_are(staging: Staging, tmp_path: Path) -> None:
    headers = {"Authorization": "Bearer sk_test", "Idempotency-Key": "k 1;=,", "Content-Type": "application/json"}
    async with staging(tmp_path) as stage:
        _ = await stage.ask("POST", headers=headers, body=b"{}")
        seen = stage.seen[0].headers
        assert {name: seen[name.lower()] for name in headers} == headers


@EVERYWHERE
async def test_the_answer_comes_with_lower_case_header_names_and_its_bytes(staging: Staging, tmp_path: Path) -> None:
    async with staging(tmp_path) as stage:
        stage.default = Response(201, {"X-RateLimit-Limit": "7", "LOCATION": "/v1/x/%2F"}, b'{ "a" : 1.50 }\n\xff')
        answer = await stage.ask("POST", body=b"{}")
        assert isinstance(answer, Response)
        assert (answer.status, answer.body) == (201, b'{ "a" : 1.50 }\n\xff')
        assert (answer.headers["x-ratelimit-limit"], answer.headers["location"]) == ("7", "/v1/x/%2F")


@EVERYWHERE
async def test_every_status_comes_as_it_is(staging: Staging, tmp_path: Path) -> None:
    async with staging(tmp_path) as stage:
        for status in range(200, 600):
            stage.default = Response(status, {"location": "/elsewhere"}, b"")
            answer = await stage.ask("POST", body=b"{}")
            assert isinstance(answer, Response)
            assert answer.status == status
        assert len(stage.seen) == 400


@EVERYWHERE
async def test_a_cookie_is_not_sent_back(staging: Staging, tmp_path: Path) -> None:
    async with staging(tmp_path) as stage:
        stage.default = Response(200, {"set-cookie": "a=b; Path=/"}, b"{}")
        for _ in range(2):
            _ = await stage.ask()
        assert not any("cookie" in seen.headers for seen in stage.seen)


@EVERYWHERE
@pytest.mark.parametrize("size", [0, 1, 2**20])
async def test_bodies_of_any_size_go_both_ways(staging: Staging, tmp_path: Path, size: int) -> None:
    async with staging(tmp_path) as stage:
        stage.default = Response(200, {}, b"b" * size)
        answer = await stage.ask("POST", body=b"a" * size)
        assert isinstance(answer, Response)
        assert (stage.seen[0].body, answer.body) == (b"a" * size, b"b" * size)


@EVERYWHERE
async def test_calls_at_the_same_time_do_not_mix(staging: Staging, tmp_path: Path) -> None:
    async with staging(tmp_path) as stage, anyio.create_task_group() as tasks:
        everyone = anyio.Event()

        async def echo(seen: Seen) -> Response:
            if len(stage.seen) == 20:
                everyone.set()
            await everyone.wait()
            return Response(200, {}, seen.target.encode() + seen.body)

        async def one(name: str) -> None:
            answer = await stage.ask("POST", f"/{name}", body=name.encode())
            assert isinstance(answer, Response)
            assert answer.body == f"/{name}{name}".encode()

        stage.answer = echo
        for number in range(20):
            tasks.start_soon(one, str(number))


@EVERYWHERE
async def test_cancellation_passes_and_the_next_call_reads_its_own_answer(staging: Staging, tmp_path: Path) -> None:
    async with staging(tmp_path) as stage:
        scope = anyio.CancelScope()

        async def never(_: Seen) -> Response:
            scope.cancel()
            await anyio.sleep_forever()
            raise AssertionError

        stage.answer = never
        with scope:
            _ = await stage.ask()
            raise AssertionError
        assert scope.cancelled_caught
        stage.answer, stage.default = None, Response(200, {}, b"mine")
        answer = await stage.ask()
        assert isinstance(answer, Response)
        assert answer.body == b"mine"


@pytest.mark.parametrize("name", transports.__all__)
def test_the_transports_can_be_imported_from_where_they_are_promised(name: str) -> None:
    assert getattr(transports, name) is not None


def test_a_transport_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        transports.nonsense  # type: ignore[attr-defined]  # noqa: B018
