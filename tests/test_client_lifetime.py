"""client: opened at its first use, closed once, and used in one event loop, thread and process only."""

import asyncio
import copy
import os
import pickle
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import anyio
import pytest

import msgapi
from msgapi import Client, Ok, Request, Response, billing
from msgapi.client import lifetime as lifetimes
from msgapi.client.lifetime import OpenTransport
from msgapi.transports import Transport, aiohttp, httptools, httpx2
from tests.support.raw_servers import Wire, reply, serving

BODY = b'{"free":1.0,"reserved":0.0,"total":1.0}'
CALL = billing.balance()
on_both = pytest.mark.anyio
on_asyncio = pytest.mark.parametrize("anyio_backend", ["asyncio"])
WORDS_OF_OTHERS = ("Unclosed", "Event loop is closed", "destroyed", "ignored", "Traceback")
ON_ASYNCIO = [aiohttp.open, httptools.open, httpx2.open]


async def answer(_: Request, /) -> Response:
    return Response(200, {}, BODY)


async def answering(wire: Wire) -> None:
    while True:
        _ = await wire.request()
        await wire.send(reply(200, BODY))


class Opening:
    """A transport that is not open, which remembers how often it was opened and closed."""

    def __init__(self, fault: BaseException | None = None, *, waits: bool = False) -> None:
        self.opened = self.closed = 0
        self.fault, self.waits = fault, waits
        self.may_open = anyio.Event()

    async def __aenter__(self) -> Transport:
        self.opened += 1
        if self.waits:
            await self.may_open.wait()
        if self.fault is not None:
            fault, self.fault = self.fault, None
            raise fault
        return answer

    async def __aexit__(self, *_: object) -> None:
        self.closed += 1
        await anyio.lowlevel.checkpoint()
        if self.fault is not None:
            raise self.fault


def client_of(transport: Transport | AbstractAsyncContextManager[Transport]) -> Client:
    return Client(api_key="k", base_url="http://127.0.0.1:9", transport=transport)


@on_both
async def test_it_opens_at_its_first_call_and_is_closed_by_aclose_once() -> None:
    opening = Opening()
    client = client_of(opening)
    assert (opening.opened, repr(client)) == (0, "Client(http://127.0.0.1:9, not open)")
    assert isinstance(await client(CALL), Ok)
    assert isinstance(await client(CALL), Ok)
    assert (opening.opened, opening.closed) == (1, 0)
    async with client:
        assert repr(client) == "Client(http://127.0.0.1:9, open)"
    await client.aclose()
    assert (opening.opened, opening.closed, repr(client)) == (1, 1, "Client(http://127.0.0.1:9, closed)")
    for use in (client(CALL), client.__aenter__()):
        with pytest.raises(RuntimeError, match="this client is closed"):
            await use


@on_both
async def test_one_that_was_never_used_can_be_closed() -> None:
    client = client_of(opening := Opening())
    await client.aclose()
    with pytest.raises(RuntimeError, match="this client is closed"):
        await client(CALL)
    assert (opening.opened, opening.closed) == (0, 0)


@on_both
async def test_first_calls_of_many_tasks_open_it_once() -> None:
    client = client_of(opening := Opening(waits=True))
    results: list[object] = []

    async def call() -> None:
        results.append(await client(CALL))

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(call)
        await anyio.wait_all_tasks_blocked()
        opening.may_open.set()
    assert [type(one) for one in results] == [Ok] * 5
    await client.aclose()
    assert (opening.opened, opening.closed) == (1, 1)


@on_both
@pytest.mark.parametrize("owned", [True, False])
async def test_one_that_is_closed_while_it_opens_ends_closed(owned: bool) -> None:
    opening = Opening(waits=True)
    client = client_of(opening)
    if not owned:
        client._sender.setup.given = None

        async def start() -> None:
            await opening.may_open.wait()

        entering = client._sender.lifetime.enter(start)
    else:
        entering = client._sender.lifetime.enter(client._sender._open)

    async def enter() -> None:
        with pytest.raises(RuntimeError, match="this client is closed"):
            await entering

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(enter)
        await anyio.wait_all_tasks_blocked()
        await client.aclose()
        opening.may_open.set()
    assert opening.closed == owned


@on_both
async def test_an_opening_that_fails_can_be_repeated() -> None:
    client = client_of(opening := Opening(LookupError("not now")))
    with pytest.raises(LookupError, match="not now"):
        await client(CALL)
    assert isinstance(await client(CALL), Ok)
    await client.aclose()
    assert (opening.opened, opening.closed) == (2, 1)


@on_both
async def test_a_transport_that_is_open_stays_open() -> None:
    opening = Opening()
    async with opening as transport:
        async with client_of(transport) as client:
            assert isinstance(await client(CALL), Ok)
        assert opening.closed == 0


@on_both
async def test_a_transport_is_opened_by_one_client_only() -> None:
    opening = httpx2.open()
    async with client_of(opening):
        with pytest.raises(RuntimeError, match="open already"):
            await client_of(opening).__aenter__()
    await opening.__aexit__(None, None, None)  # a second time does nothing


@on_both
async def test_an_observer_hears_of_no_call_in_a_wrong_place() -> None:
    heard: list[object] = []

    class Hearing(msgapi.observe.Observer):
        def call(self, call: object, /) -> None:
            heard.append(call)

    client = Client(api_key="k", transport=answer, observer=Hearing())
    assert isinstance(await client(CALL), Ok)
    await client.aclose()
    with pytest.raises(RuntimeError, match="closed"):
        await client(CALL)
    assert len(heard) == 1


@pytest.mark.anyio
@on_asyncio
@pytest.mark.parametrize("opened", [None, *ON_ASYNCIO])
async def test_another_thread_and_its_loop_are_refused_before_anything_is_sent(
    opened: Callable[[], AbstractAsyncContextManager[Transport]] | None,
) -> None:
    sent: list[object] = []

    async def counting(wire: Wire) -> None:
        while True:
            sent.append(await wire.request())
            await wire.send(reply(200, BODY))

    async with serving(counting) as url:
        client = Client(api_key="k", base_url=url, transport=answer if opened is None else opened())
        assert isinstance(await client(CALL), Ok)
        before, came = len(sent), list[BaseException]()

        def elsewhere() -> None:
            for attempt in (client.__call__, lambda _: client.aclose()):
                try:
                    asyncio.run(attempt(CALL))
                except RuntimeError as error:
                    came.append(error)

        thread = threading.Thread(target=elsewhere)
        thread.start()
        await anyio.to_thread.run_sync(thread.join)
        assert len(sent) == before
        assert ["thread and event loop that used it first" in str(error) for error in came] == [True] * len(came)
        assert len(came) == (1 if opened is None else 2)
        await client.aclose()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_another_loop_of_the_same_thread_is_refused(backend: str) -> None:
    client = client_of(answer)
    assert isinstance(anyio.run(client, CALL, backend=backend), Ok)
    for other in ("asyncio", "trio"):
        with pytest.raises(RuntimeError, match="belongs to the event loop that used it first"):
            anyio.run(client, CALL, backend=other)


def test_assertions_are_not_needed_to_refuse_another_loop() -> None:
    program = """if True:
        import asyncio, msgapi
        async def answer(request): return msgapi.NotSent("x")
        client = msgapi.Client(api_key="k", transport=answer, retry=msgapi.Retry(attempts=1))
        call = msgapi.billing.balance()
        print(asyncio.run(client(call)).code)
        asyncio.run(client(call))
    """
    done = subprocess.run([sys.executable, "-O", "-c", program], capture_output=True, text=True, check=False)  # noqa: S603
    assert (done.stdout, done.returncode) == ("not_sent\n", 1)
    assert "RuntimeError: this client belongs to the event loop" in done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.parametrize("opened", [None, aiohttp.open, httptools.open])
def test_a_forked_process_is_refused_and_closes_nothing_of_its_parent(
    opened: Callable[[], AbstractAsyncContextManager[Transport]] | None,
) -> None:
    async def main() -> str:
        async with serving(answering) as url:
            client = Client(api_key="k", base_url=url, transport=answer if opened is None else opened())
            assert isinstance(await client(CALL), Ok)
            reading, writing = os.pipe()
            child = os.fork()
            if child == 0:  # pragma: no cover - another process
                try:
                    try:
                        _ = await client(CALL)
                    except RuntimeError as error:
                        said = str(error)
                    await client.aclose()
                    os.write(writing, f"{said} {client!r}".encode())
                finally:
                    os._exit(0)
            os.close(writing)
            with os.fdopen(reading) as pipe:
                said = pipe.read()
            _ = os.waitpid(child, 0)  # noqa: ASYNC222 - it has ended
            assert isinstance(await client(CALL), Ok)  # over the same connection
            await client.aclose()
            return said

    said = asyncio.run(main())
    assert "belongs to the process that used it first, and this process is a fork of it" in said
    assert said.endswith(", closed)")


@on_both
async def test_a_fork_is_told_to_open_clients_and_what_they_hold() -> None:
    client = client_of(opening := Opening())
    assert isinstance(await client(CALL), Ok)
    lifetime = client._sender.lifetime
    over_an_open_one = client_of(answer)
    assert isinstance(await over_an_open_one(CALL), Ok)
    lifetimes._mark_all_forked()
    with pytest.raises(RuntimeError, match="a fork of it"):
        await over_an_open_one(CALL)
    with pytest.raises(RuntimeError, match="a fork of it"):
        await client(CALL)
    held = lifetime._transport
    assert held is not None
    held.close_with_warning()
    held.close_at_exit()
    await client.aclose()
    lifetime.mark_forked()
    assert opening.closed == 0
    assert repr(client).endswith(", closed)")
    await held.close()


ENDS = [
    ("none", "asyncio", ["collected", "dropped", "loop ended", "exit"]),
    ("none", "asyncio", ["loop closed by hand"]),
    ("none", "asyncio", ["loop left idle"]),
    ("httptools", "asyncio", ["collected", "dropped", "exit"]),
    ("httpx2", "asyncio", ["exit"]),
    ("httpx2", "trio", ["collected", "dropped", "loop ended", "exit"]),
]
"""Ways to end that one process can take one after another: all but the last are over before it exits."""


@pytest.mark.parametrize(("transport", "loop", "ends"), ENDS)
def test_one_that_is_never_closed_prints_nothing_and_one_warning_under_dev(
    transport: str, loop: str, ends: list[str], request: pytest.FixtureRequest
) -> None:
    program = [str(Path(__file__).parent / "support" / "unclosed_client.py"), transport, loop, *ends]
    dev = [sys.executable, "-X", "dev", "-W", "always::ResourceWarning"]  # not only once for each line
    done = subprocess.run([*dev, *program], capture_output=True, text=True, check=True)  # noqa: S603
    before, *printed = re.split(r"^== .+\n", done.stderr, flags=re.MULTILINE)
    assert (before, len(printed)) == ("", len(ends))
    for end, text in zip(ends, printed, strict=True):
        assert text.count("ResourceWarning: unclosed msgapi.Client") == 1, end
        assert not any(word in text for word in WORDS_OF_OTHERS), end
        if "by hand" not in end and "idle" not in end:  # these are mistakes of their own, which asyncio reports
            assert text.count("unclosed") == 1, end
    request.getfixturevalue("unmeasured_processes")
    silent = subprocess.run([sys.executable, *program], capture_output=True, text=True, check=True)  # noqa: S603
    assert silent.stdout + silent.stderr == "".join(f"== {end}\n" for end in ends)


@on_both
async def test_what_cannot_be_closed_by_anybody_is_logged_by_its_type(caplog: pytest.LogCaptureFixture) -> None:
    opening = Opening()
    held = OpenTransport("msgapi.Client", None, opening)
    await held.begin()
    opening.fault = LookupError("a secret")
    await held._end()
    assert caplog.messages == ["a transport could not be closed: LookupError"]


@on_both
async def test_a_client_that_is_dropped_is_closed_in_its_loop() -> None:
    client = client_of(opening := Opening())
    assert isinstance(await client(CALL), Ok)
    with pytest.warns(ResourceWarning, match="unclosed msgapi.Client"):
        del client
    with anyio.fail_after(5):
        while not opening.closed:  # noqa: ASYNC110 - nothing tells
            await anyio.sleep(0.01)


@pytest.mark.parametrize("duplicate", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_client_is_neither_pickled_nor_copied(duplicate: Callable[[object], object]) -> None:
    # A pickle would hold the API key as text.
    with pytest.raises(TypeError, match=r"make one in each process; for other options use `client\.with_options`"):
        _ = duplicate(msgapi.Client(api_key="sk_1"))
