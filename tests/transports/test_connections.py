"""The contract of connections, tested on every transport: what is reused, repeated, limited and closed.

The servers are raw sockets, so that each test decides on every byte and on when a connection ends.
"""

import gzip
import os
import resource
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Any

import aiohttp as library
import anyio
import httpx2 as httpx2_library
import pytest
from anyio.abc import SocketAttribute, SocketListener
from attrs import define, field

from msgapi import NotSent, Request, Response, Unanswered
from msgapi.results import NO_FREE_CONNECTION, TOO_MANY_OPEN_FILES
from msgapi.transports import Answer, Transport, aiohttp, httptools, httpx2
from msgapi.transports.common.http1 import make_response
from tests.support.exchanges import peer, refused, secured
from tests.support.raw_servers import Arrived, Serve, Wire, free_port, reply, serving

Opened = Callable[..., AbstractAsyncContextManager[Transport]]


@asynccontextmanager
async def a_session(**options: Any) -> AsyncIterator[Transport]:  # noqa: ANN401 - those of `open`
    async with library.ClientSession() as session, aiohttp.open(session=session, **options) as transport:
        yield transport


@asynccontextmanager
async def a_client(**options: Any) -> AsyncIterator[Transport]:  # noqa: ANN401 - those of `open`
    async with (
        httpx2_library.AsyncClient(trust_env=False, limits=httpx2_library.Limits(max_connections=100)) as client,
        httpx2.open(client=client, **options) as transport,
    ):
        yield transport


# Every transport has its line here: how it is opened, on which event loops, and why its tests are skipped, if they are.
TRANSPORTS: dict[str, tuple[Opened, tuple[str, ...], str]] = {
    "aiohttp": (aiohttp.open, ("asyncio",), ""),
    "aiohttp_session": (a_session, ("asyncio",), ""),
    "httptools": (httptools.open, ("asyncio",), ""),
    "httpx2": (httpx2.open, ("asyncio", "trio"), ""),
    "httpx2_client": (a_client, ("asyncio", "trio"), ""),
}


def transports(*without: str) -> pytest.MarkDecorator:
    """Parametrize a test with every transport and its event loops."""
    return pytest.mark.parametrize(
        ("over", "anyio_backend"),
        [
            pytest.param(opened, loop, id=f"{name}-{loop}", marks=[pytest.mark.skip(reason=reason)] if reason else [])
            for name, (opened, loops, reason) in TRANSPORTS.items()
            if name not in without
            for loop in loops
        ],
    )


# aiohttp and httpx2 choose the connections of a session or client, and parse what comes over them.
EVERY = transports()
OWN = transports("aiohttp_session", "httpx2_client")
pytestmark = pytest.mark.anyio
OK = reply(200, b"{}")


def get(url: str) -> Request:
    return Request("GET", f"{url}/v1/messages")


def post(url: str, body: bytes = b"{}", *, key: str | None = None) -> Request:
    return Request("POST", f"{url}/v1/messages", {} if key is None else {"Idempotency-Key": key}, body)


def keyed(url: str) -> Request:
    return post(url, key="key_1")


def saying(*parts: bytes) -> Serve:
    """Answer one request with *parts*, then close the connection."""

    async def serve(wire: Wire) -> None:
        _ = await wire.request()
        await wire.send(*parts)

    return serve


async def asked(over: Opened, serve: Serve, **options: object) -> Answer:
    async with serving(serve) as url, over(**options) as transport:
        return await transport(post(url))


@define(eq=False)
class Service:
    """Answers each request, but for those that *refuses* wants lost with their connections."""

    refuses: Callable[[int], bool] = lambda _: False
    last: bytes = b""
    requests: list[Arrived] = field(factory=list)
    numbers: list[int] = field(factory=list)
    wires: list[Wire] = field(factory=list)

    async def serve(self, wire: Wire) -> None:
        self.wires.append(wire)
        while True:
            self.requests.append(await wire.request())
            self.numbers.append(wire.number)
            if self.refuses(len(self.requests)):
                await wire.send(self.last)
                return await wire.reset()
            await wire.send(reply(200, self.requests[-1].body))


# A kept connection is checked before it is reused.


@OWN
@pytest.mark.parametrize("size", [1, 9, 20])
async def test_the_beginning_of_a_second_response_retires_its_connection(over: Opened, size: int) -> None:
    numbers: list[int] = []
    second = reply(200, b"not asked for")

    async def serve(wire: Wire) -> None:
        rest = b""
        while True:
            request = await wire.request()
            numbers.append(wire.number)
            await wire.send(rest + reply(200, request.body) + second[:size])
            rest = second[size:]

    async with serving(serve) as url, over() as transport:
        for body in (b"one", b"two", b"three"):
            answer = await transport(post(url, body))
            assert isinstance(answer, Response)
            assert answer.body == body
    assert numbers == [1, 2, 3]


@OWN
@pytest.mark.parametrize("moment", [0.0, 0.05], ids=["right before the next call", "some time before it"])
async def test_an_answer_that_no_request_asked_for_is_not_the_next_answer(over: Opened, moment: float) -> None:
    service = Service()
    async with serving(service.serve) as url, over() as transport:
        for body in (b"one", b"two"):
            answer = await transport(post(url, body))
            assert isinstance(answer, Response)
            assert (answer.body, answer.attempts) == (body, 1)
            raw = service.wires[-1].stream.extra(SocketAttribute.raw_socket)  # noqa: S610 - anyio's, not Django's
            _ = os.write(raw.fileno(), reply(200, b"an answer to nothing"))
            if moment:
                await anyio.sleep(moment)
    assert service.numbers == [1, 2]


@OWN
@pytest.mark.parametrize("moment", [0.0, 0.05], ids=["right before the next call", "some time before it"])
async def test_a_connection_that_the_server_has_closed_is_not_reused(over: Opened, moment: float) -> None:
    service = Service()
    async with serving(service.serve) as url, over() as transport:
        for _ in range(2):
            answer = await transport(post(url))
            assert isinstance(answer, Response)
            assert answer.attempts == 1
            raw = service.wires[-1].stream.extra(SocketAttribute.raw_socket)  # noqa: S610 - anyio's, not Django's
            raw.shutdown(2)
            if moment:
                await anyio.sleep(moment)
    assert service.numbers == [1, 2]


@EVERY
async def test_a_connection_is_used_again(over: Opened) -> None:
    service = Service()
    async with serving(service.serve) as url, over() as transport:
        for _ in range(3):
            assert isinstance(await transport(post(url)), Response)
    assert service.numbers == [1, 1, 1]


# A reused connection that is lost before the first byte of an answer.


@EVERY
@pytest.mark.parametrize("make", [get, keyed])
async def test_what_may_be_repeated_is_sent_again_at_once_over_a_new_connection(
    over: Opened, make: Callable[[str], Request]
) -> None:
    service = Service(refuses=lambda number: number == 2)
    async with serving(service.serve) as url, over() as transport:
        assert isinstance(await transport(make(url)), Response)
        answer = await transport(make(url))
        assert isinstance(answer, Response)
        assert answer.attempts == 2
    assert service.numbers == [1, 1, 2]
    assert service.requests[1].headers == service.requests[2].headers


@EVERY
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_what_must_not_be_repeated_is_sent_once(over: Opened, method: str) -> None:
    service = Service(refuses=lambda number: number == 2)
    async with serving(service.serve) as url, over() as transport:
        assert isinstance(await transport(get(url)), Response)
        answer = await transport(Request(method, url, {}, b"{}"))
        assert isinstance(answer, Unanswered)
        assert answer.meta.attempts <= 1
    assert service.numbers == [1, 1]


@OWN
async def test_what_is_lost_on_a_new_connection_is_not_sent_again(over: Opened) -> None:
    service = Service(refuses=lambda _: True)
    async with serving(service.serve) as url, over() as transport:
        assert isinstance(await transport(keyed(url)), Unanswered)
    assert service.numbers == [1]


@OWN
async def test_an_answer_that_has_begun_is_not_asked_for_again(over: Opened) -> None:
    service = Service(refuses=lambda number: number == 2, last=b"HTTP/1.1 2")
    async with serving(service.serve) as url, over() as transport:
        assert isinstance(await transport(keyed(url)), Response)
        assert isinstance(await transport(keyed(url)), Unanswered)
    assert service.numbers == [1, 1]


@EVERY
async def test_what_is_lost_twice_is_unanswered_after_two_attempts(over: Opened) -> None:
    service = Service(refuses=lambda number: number > 1)
    async with serving(service.serve) as url, over() as transport:
        assert isinstance(await transport(keyed(url)), Response)
        answer = await transport(keyed(url))
    assert isinstance(answer, Unanswered)
    assert (answer.meta.attempts, answer.may_have_happened) == (2, True)
    assert answer.reason == "the connection was lost: ECONNRESET (Connection reset by peer)"
    assert service.numbers == [1, 1, 2]


@EVERY
async def test_what_is_lost_and_then_cannot_connect_is_unanswered(over: Opened) -> None:
    async def serve() -> None:
        assert isinstance(listener, SocketListener)
        wire = Wire(await listener.accept(), 1)
        _ = await wire.request()
        await wire.send(OK)
        _ = await wire.request()
        await listener.aclose()
        await wire.reset()

    listener = (await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)).listeners[0]
    url = f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}"  # noqa: S610 - anyio's, not Django's
    async with listener, over() as transport, anyio.create_task_group() as tasks:
        tasks.start_soon(serve)
        assert isinstance(await transport(keyed(url)), Response)
        answer = await transport(keyed(url))
    assert isinstance(answer, Unanswered)
    assert (answer.meta.attempts, answer.may_have_happened) == (2, True)
    assert answer.reason == f"the connection was lost, and a new one failed: {refused(url).reason}"


@EVERY
async def test_a_server_that_closes_after_each_answer_loses_no_request(over: Opened) -> None:
    service = Service(refuses=lambda number: number % 2 == 0)
    async with serving(service.serve) as url, over() as transport:
        for number in range(20):
            answer = await transport(keyed(url))
            assert isinstance(answer, Response)
            assert answer.attempts == (1 if number == 0 else 2)


@OWN
async def test_after_a_time_out_on_a_reused_connection_the_others_are_closed(over: Opened) -> None:
    dead = False
    numbers: list[int] = []
    everyone = anyio.Event()

    async def serve(wire: Wire) -> None:
        while True:
            _ = await wire.request()
            numbers.append(wire.number)
            if len(numbers) == 6:
                everyone.set()
            await everyone.wait()
            if dead and wire.number <= 6:
                await wire.hang()
            await wire.send(OK)

    async with serving(serve) as url, over(timeout=0.5) as transport:
        async with anyio.create_task_group() as tasks:
            for _ in range(6):
                tasks.start_soon(transport, keyed(url))
        dead = True
        assert await transport(keyed(url)) == Unanswered("no answer in time")
        assert isinstance(await transport(keyed(url)), Response)
    assert sorted(numbers[:6]) == [1, 2, 3, 4, 5, 6]
    assert numbers[7] == 7


# There are at most so many connections.


@EVERY
async def test_there_are_as_many_connections_as_calls_in_flight(over: Opened) -> None:
    wires: set[int] = set()
    everyone = anyio.Event()

    async def serve(wire: Wire) -> None:
        while True:
            _ = await wire.request()
            wires.add(wire.number)
            if len(wires) == 100:
                everyone.set()
            await everyone.wait()
            await wire.send(OK)

    async with serving(serve) as url, over() as transport:
        for _ in range(2):
            async with anyio.create_task_group() as tasks:
                for _ in range(100):
                    tasks.start_soon(transport, post(url))
    assert wires == set(range(1, 101))


@EVERY
async def test_calls_beyond_the_limit_wait_for_a_free_connection_and_not_for_their_timeout(over: Opened) -> None:
    open_now = most = 0
    answers: list[Answer] = []

    async def serve(wire: Wire) -> None:
        nonlocal open_now, most
        open_now += 1
        most = max(most, open_now)
        try:
            while True:
                _ = await wire.request()
                await anyio.sleep(0.1)
                await wire.send(OK)
        finally:
            open_now -= 1

    async def call(url: str) -> None:
        answers.append(await transport(post(url)))

    async with (
        serving(serve) as url,
        over(max_connections=2, timeout=0.5) as transport,
        anyio.create_task_group() as tasks,
    ):
        for _ in range(16):  # for 0.8 seconds
            tasks.start_soon(call, url)
    assert [type(answer) for answer in answers] == [Response] * 16
    assert most == 2


@EVERY
async def test_waiting_for_a_free_connection_ends_with_the_callers_deadline(over: Opened) -> None:
    async with (
        serving(Wire.hang) as url,
        over(max_connections=1) as transport,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(transport, post(url))
        await anyio.sleep(0.05)
        with anyio.fail_after(2):  # the longest margin: 0.1 seconds
            answer = await transport(post(url))
        tasks.cancel_scope.cancel()
        assert isinstance(answer, NotSent)
        assert answer.code == NO_FREE_CONNECTION
        assert answer.reason == "no free connection: all 1 are in use (max_connections)"


@EVERY
async def test_a_call_that_is_cancelled_while_it_waits_leaves_its_place_to_the_next(over: Opened) -> None:
    service, release = Service(), anyio.Event()
    answers: list[Answer] = []

    async def serve(wire: Wire) -> None:
        await release.wait()
        await service.serve(wire)

    async def call(url: str, scope: anyio.CancelScope | None = None) -> None:
        with scope or nullcontext():
            answers.append(await transport(post(url)))

    async with serving(serve) as url, over(max_connections=1) as transport, anyio.create_task_group() as tasks:
        scope = anyio.CancelScope()
        tasks.start_soon(call, url)
        await anyio.sleep(0.02)
        tasks.start_soon(call, url, scope)
        await anyio.sleep(0.02)
        tasks.start_soon(call, url)
        await anyio.sleep(0.02)
        scope.cancel()
        release.set()
    assert [type(answer) for answer in answers] == [Response, Response]
    assert len(service.requests) == 2


@OWN
async def test_an_idle_connection_to_another_origin_makes_room(over: Opened) -> None:
    gone = anyio.Event()
    first, second = Service(), Service()

    async def serve(wire: Wire) -> None:
        try:
            await first.serve(wire)
        finally:
            gone.set()

    async with serving(serve) as one, serving(second.serve) as other, over(max_connections=1) as transport:
        assert isinstance(await transport(post(one)), Response)
        assert isinstance(await transport(post(other)), Response)
        await gone.wait()
        assert isinstance(await transport(post(other)), Response)
    assert second.numbers == [1, 1]


# A call in flight when its transport closes ends.


@EVERY
async def test_calls_in_flight_and_calls_that_wait_end_when_the_transport_closes(over: Opened) -> None:
    answers: dict[str, Answer] = {}

    async def call(name: str, url: str) -> None:
        answers[name] = await transport(post(url))

    async with serving(Wire.hang) as url, anyio.create_task_group() as tasks:
        async with over(max_connections=1) as transport:
            tasks.start_soon(call, "in flight", url)
            await anyio.sleep(0.05)
            tasks.start_soon(call, "waiting", url)
            await anyio.sleep(0.05)
        with anyio.fail_after(2):
            while len(answers) < 2:  # noqa: ASYNC110 - what it waits for has no event
                await anyio.sleep(0.01)
    assert answers["waiting"] == NotSent("the transport was closed")
    assert isinstance(answers["in flight"], Unanswered)


@OWN
async def test_a_call_that_connects_when_the_transport_closes_is_not_sent(over: Opened) -> None:
    answers: list[Answer] = []

    async def call(url: str) -> None:
        answers.append(await transport(post(url)))

    async with serving(Wire.hang) as url, anyio.create_task_group() as tasks:
        async with over() as transport:
            tasks.start_soon(call, url.replace("http:", "https:"))
            await anyio.sleep(0.05)
        with anyio.fail_after(2):
            while not answers:  # noqa: ASYNC110 - what it waits for has no event
                await anyio.sleep(0.01)
    assert answers == [NotSent("the transport was closed")]


# The same answer over every transport.


@EVERY
@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "X-Gzip", " gzip "])
@pytest.mark.parametrize("cuts", [[], [3], [0, 9]], ids=["one member", "two members", "three members"])
async def test_a_gzip_body_is_unpacked_whatever_its_case_and_members(
    over: Opened, encoding: str, cuts: list[int]
) -> None:
    plain = b"a body that is packed"
    ends = [*cuts, len(plain)]
    packed = b"".join(gzip.compress(plain[start:end]) for start, end in zip([0, *cuts], ends, strict=True))
    answer = await asked(over, saying(reply(200, packed, headers={"Content-Encoding": encoding})))
    assert answer == Response(200, {}, plain)


@EVERY
async def test_zeros_behind_a_gzip_body_are_padding(over: Opened) -> None:
    answer = await asked(over, saying(reply(200, gzip.compress(b"x") + bytes(9), headers={"Content-Encoding": "gzip"})))
    assert answer == Response(200, {}, b"x")


@pytest.mark.parametrize("size", [4094, 4095, 4096, 4097, 9000])
def test_a_gzip_body_is_unpacked_wherever_its_members_end(size: int) -> None:
    first = gzip.compress(os.urandom(size), mtime=0)
    packed = first + bytes(size) + gzip.compress(b"end", mtime=0) + bytes(5000)
    answer = make_response(200, {"Content-Encoding": "gzip"}, packed, 10_000)
    assert answer == Response(200, {}, gzip.decompress(first) + b"end")


def test_many_small_gzip_members_cost_no_more_than_their_size() -> None:
    packed = gzip.compress(b"", mtime=0) * 200_000
    before = time.process_time()
    assert make_response(200, {"Content-Encoding": "gzip"}, packed, 100) == Response(200, {}, b"")
    assert time.process_time() - before < 5


PACKED = gzip.compress(b"x" * 100 + bytes(range(256)))


@EVERY
@pytest.mark.parametrize(
    "packed",
    [PACKED[:1], PACKED[: len(PACKED) // 2], PACKED[:-1], PACKED[:-8] + bytes(8), PACKED + PACKED[:9], PACKED + b"x"],
    ids=["one byte", "half", "one byte short", "another checksum", "half a second member", "something else behind it"],
)
async def test_a_gzip_body_that_was_cut_or_damaged_is_unanswered(over: Opened, packed: bytes) -> None:
    answer = await asked(over, saying(reply(200, packed, headers={"Content-Encoding": "gzip"})))
    assert answer == Unanswered("the response was cut short: its gzip body is incomplete or damaged")


@EVERY
async def test_an_empty_body_that_is_called_gzip_is_empty(over: Opened) -> None:
    answer = await asked(over, saying(reply(200, b"", headers={"Content-Encoding": "gzip"})))
    assert isinstance(answer, Response)
    assert answer.body == b""


@EVERY
async def test_no_encoding_is_accepted_that_is_not_unpacked(over: Opened) -> None:
    service = Service()
    async with serving(service.serve) as url, over() as transport:
        _ = await transport(post(url))
    assert service.requests[0].headers["accept-encoding"] == "identity"


@OWN
@pytest.mark.parametrize(
    "parts",
    [
        [reply(204, headers={"Content-Length": "2"}) + b"{}"],
        [reply(204) + b"{}"],
        [b"HTTP/1.1 204 None\r", b"\nContent-Length: 2\r\n\r", b"\n{}"],
        [reply(204), b"{}"],
        [reply(304) + b"{}"],
    ],
    ids=["with a length", "without one", "in parts", "later", "a 304"],
)
async def test_a_status_without_a_body_is_an_answer_even_with_a_body(over: Opened, parts: list[bytes]) -> None:
    numbers: list[int] = []

    async def serve(wire: Wire) -> None:
        while True:
            _ = await wire.request()
            numbers.append(wire.number)
            for part in parts:
                await wire.send(part)
                await anyio.sleep(0.02)

    async with serving(serve) as url, over() as transport:
        for _ in range(2):
            answer = await transport(post(url))
            assert isinstance(answer, Response)
            assert (answer.status, answer.body) == (304 if b" 304 " in parts[0] else 204, b"")
            await anyio.sleep(0.1)
    assert numbers == [1, 2]


@EVERY
@pytest.mark.parametrize(
    "headers",
    [{"X-Trace": "x" * 100_000}, {f"X-{number}": "x" * 100 for number in range(1000)}],
    ids=["a long line", "many lines"],
)
async def test_a_head_of_100_kilobytes_is_read(over: Opened, headers: dict[str, str]) -> None:
    answer = await asked(over, saying(reply(200, b"{}", headers=headers)))
    assert isinstance(answer, Response)
    assert answer.headers.items() >= {name.lower(): value for name, value in headers.items()}.items()


@OWN
@pytest.mark.parametrize(
    "headers",
    [{"X-Trace": "x" * 140_000}, {f"X-{number}": "x" * 100 for number in range(1400)}],
    ids=["a long line", "many lines"],
)
@pytest.mark.parametrize("body", [b"{}", b"x" * 300_000], ids=["a short body", "a long body"])
async def test_a_head_of_140_kilobytes_is_not_read(over: Opened, headers: dict[str, str], body: bytes) -> None:
    assert await asked(over, saying(reply(200, body, headers=headers))) == Unanswered("the response is not HTTP")


@OWN
async def test_a_head_that_does_not_end_is_not_read_for_ever(over: Opened) -> None:
    async def serve(wire: Wire) -> None:
        _ = await wire.request()
        await wire.send(b"HTTP/1.1 200 OK\r\n")
        while True:
            await wire.send(b"X-More: 1\r\n" * 1000)

    assert await asked(over, serve) == Unanswered("the response is not HTTP")


@EVERY
async def test_a_long_body_that_arrives_with_its_head_does_not_count_as_head(over: Opened) -> None:
    answer = await asked(over, saying(reply(200, b"x" * 400_000, headers={"X-Trace": "x" * 1000})))
    assert isinstance(answer, Response)
    assert len(answer.body) == 400_000


@EVERY
async def test_a_body_without_a_length_ends_with_its_connection(over: Opened) -> None:
    assert await asked(over, saying(b"HTTP/1.1 200 OK\r\n\r\n", b"all of it")) == Response(200, {}, b"all of it")


@EVERY
async def test_a_reset_is_not_the_end_of_a_body_without_a_length(over: Opened) -> None:
    async def serve(wire: Wire) -> None:
        _ = await wire.request()
        await wire.send(b"HTTP/1.1 200 OK\r\n\r\nhalf of it")
        await anyio.sleep(0.05)
        await wire.reset()

    cause = "ECONNRESET (Connection reset by peer)"
    assert await asked(over, serve) == Unanswered(f"the response was cut short: {cause}")


@EVERY
async def test_a_refused_connection_names_its_errno(over: Opened) -> None:
    async with over() as transport:
        answer = await transport(post(url := f"http://127.0.0.1:{free_port()}"))
    assert answer == refused(url)
    assert peer(url) in answer.explanation  # an IP address is no number of a recipient


@OWN
async def test_a_process_without_a_free_file_descriptor_names_it(over: Opened) -> None:
    async with over() as transport:
        _, hard = limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        lowest_free = os.dup(0)
        os.close(lowest_free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
        try:
            answer = await transport(post("http://127.0.0.1:9"))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert isinstance(answer, NotSent)
    assert answer.code == TOO_MANY_OPEN_FILES
    assert answer.reason.startswith("could not connect to 127.0.0.1:9: EMFILE (Too many open files): raise the limit")


@OWN
async def test_a_server_that_speaks_no_tls_is_named(over: Opened) -> None:
    async def serve(wire: Wire) -> None:
        _ = await wire.stream.receive()
        await wire.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with serving(serve) as url, over() as transport:
        answer = await transport(post(url.replace("http:", "https:")))
    assert answer == NotSent(f"no secure connection to {peer(url)}: wrong version number")


@OWN
async def test_a_tls_alert_is_named(over: Opened) -> None:
    async def serve(wire: Wire) -> None:
        _ = await wire.stream.receive()
        await wire.send(b"\x15\x03\x03\x00\x02\x02\x28")
        await wire.hang()

    async with serving(serve) as url, over() as transport:
        answer = await transport(post(url.replace("http:", "https:")))
    assert isinstance(answer, NotSent)
    assert answer.reason.startswith(f"no secure connection to {peer(url)}: ")
    assert answer.reason.endswith("alert handshake failure")


@OWN
async def test_a_file_of_certificates_that_does_not_exist_is_named(
    over: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nothing/here.pem")
    server, _ = secured("127.0.0.1")
    async with serving(saying(OK), tls=server) as url, over(ssl=ssl.create_default_context()) as transport:
        answer = await transport(post(url))
    assert isinstance(answer, NotSent)
    assert answer.reason.startswith(f"no secure connection to {peer(url)}: unable to get local issuer certificate")
    assert answer.reason.endswith("(SSL_CERT_FILE names /nothing/here.pem, which does not exist)")


@pytest.mark.parametrize("name", ["", "0", None, 1.5, 0])
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_limit_that_is_none_is_a_mistake(name: object) -> None:
    if name is None:
        pytest.skip("None is the default limit")
    with pytest.raises((TypeError, ValueError), match="max_connections"):
        _ = aiohttp.open(max_connections=name)  # type: ignore[arg-type]
