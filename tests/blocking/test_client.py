"""BlockingClient: calls of synchronous programs, from any number of threads."""

import asyncio
import contextvars
import copy
import inspect
import pickle
import threading
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

import msgapi
from msgapi import BlockingClient, Call, Client, Misconfigured, Ok, Request, Response, batch, messages
from msgapi.observe import Observer, Watch
from msgapi.sandbox import Sandbox
from msgapi.transports import Transport
from tests.blocking.conftest import SoftTimeLimit
from tests.support.served_sandbox import served

TEXT = messages.Text(agent_id="ag_live_demo", to="+4915112345678", traffic_type="TRANSACTION", text="Hi")
CALL = messages.get("msg_1")
NOT_FOUND = Response(404, {}, b'{"error":"not_found","message":"unknown"}')


def client_of(
    transport: Transport | AbstractAsyncContextManager[Transport], *, observer: Observer | None = None
) -> BlockingClient:
    return BlockingClient(api_key="k", base_url="http://127.0.0.1:9", transport=transport, observer=observer)


async def answer(_: Request, /) -> Response:
    await asyncio.sleep(0)
    return NOT_FOUND


def raising(error: BaseException) -> Transport:
    async def transport(_: Request, /) -> Response:
        await asyncio.sleep(0)
        raise error

    return transport


class Blocked:
    """A transport that never answers; *arrived* is set when a request is there."""

    def __init__(self) -> None:
        self.arrived, self.cancelled = threading.Event(), threading.Event()

    async def __call__(self, _: Request, /) -> Response:
        self.arrived.set()
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            self.cancelled.set()
            raise
        return NOT_FOUND


def in_thread(function: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=function)
    thread.start()
    return thread


def raised_by(function: Callable[[], object]) -> BaseException | None:
    try:
        _ = function()
    except BaseException as error:  # noqa: BLE001 - returned
        return error
    return None


def test_its_arguments_are_those_of_the_async_client() -> None:
    assert inspect.signature(BlockingClient) == inspect.signature(Client)
    mine, theirs = inspect.signature(BlockingClient.__call__), inspect.signature(Client.__call__)
    assert [*mine.parameters] == [*theirs.parameters]
    assert [*mine.parameters.values()][2:] == [*theirs.parameters.values()][2:]

    mine, theirs = inspect.signature(BlockingClient.with_options), inspect.signature(Client.with_options)
    assert mine.parameters == theirs.parameters


def test_the_options_of_its_batches_are_those_of_batch_send() -> None:
    mine, theirs = inspect.signature(BlockingClient.batch), inspect.signature(batch.send)
    assert [*mine.parameters.values()][2:] == [*theirs.parameters.values()][2:]


def test_it_carries_out_calls_and_is_closed_at_the_end_of_with() -> None:
    sandbox = Sandbox()
    with BlockingClient(transport=sandbox, api_key=sandbox.api_key) as client:
        accepted = client(messages.send(TEXT))
        assert isinstance(accepted, Ok)
        found = client(messages.get(accepted.value.message_id))
        assert isinstance(found, Ok)
        assert found.value.id == accepted.value.message_id
    with pytest.raises(RuntimeError, match="this client is closed"):
        _ = client(messages.send(TEXT))
    assert len(sandbox.messages) == 1


def test_it_opens_at_its_first_call_and_can_be_closed_twice() -> None:
    client = client_of(answer)
    assert repr(client) == "BlockingClient(http://127.0.0.1:9, not open)"
    assert not isinstance(client(CALL), Ok)
    assert repr(client) == "BlockingClient(http://127.0.0.1:9, open)"
    client.close()
    client.close()
    assert repr(client) == "BlockingClient(http://127.0.0.1:9, closed)"


def test_one_that_was_never_used_can_be_closed() -> None:
    client = client_of(answer)
    before = threading.active_count()
    client.close()
    assert (repr(client), threading.active_count()) == ("BlockingClient(http://127.0.0.1:9, closed)", before)
    with pytest.raises(RuntimeError, match="this client is closed"):
        _ = client.__enter__()


def test_arguments_are_checked_when_it_is_constructed() -> None:
    with pytest.raises(TypeError, match="Retry"):
        _ = BlockingClient(retry=3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="unexpected keyword argument 'apikey'"):
        _ = BlockingClient(apikey="k")  # type: ignore[call-arg]


def test_opening_that_fails_can_be_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MSGAPI_API_KEY", raising=False)
    client = BlockingClient(transport=answer)
    with pytest.raises(Misconfigured, match="MSGAPI_API_KEY"):
        _ = client(CALL)
    monkeypatch.setenv("MSGAPI_API_KEY", "k")
    with client:
        assert not isinstance(client(CALL), Ok)


def test_opening_can_be_repeated_when_no_thread_could_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    client = client_of(answer)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            _ = client(CALL)
    with client:
        assert not isinstance(client(CALL), Ok)


@pytest.mark.parametrize("started", [False, True])
def test_a_first_call_that_is_interrupted_can_be_repeated(monkeypatch: pytest.MonkeyPatch, *, started: bool) -> None:
    threads: list[threading.Thread] = []
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        threads.append(thread)
        if started:
            start(thread)
        raise SoftTimeLimit

    client = client_of(answer)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(SoftTimeLimit):
            _ = client(CALL)
    with client:
        assert not isinstance(client(CALL), Ok)
    if started:
        threads[0].join()


def test_eight_threads_share_one_client() -> None:
    sandbox, results = Sandbox(), []
    with served(sandbox) as env, BlockingClient(api_key=sandbox.api_key, base_url=env["MSGAPI_BASE_URL"]) as client:
        start = threading.Barrier(8)

        def work() -> None:
            _ = start.wait()
            for _ in range(25):
                call = messages.send(TEXT)
                results.append((call, client(call)))

        for thread in [in_thread(work) for _ in range(8)]:
            thread.join()
    assert len(sandbox.messages) == len(results) == 200
    assert all(
        isinstance(result, Ok) and result.meta.idempotency_key == call.idempotency_key for call, result in results
    )


def test_first_calls_of_many_threads_open_it_once() -> None:
    opened = []

    @asynccontextmanager
    async def opening() -> AsyncIterator[Transport]:
        opened.append(1)
        await anyio.lowlevel.checkpoint()
        yield answer

    with client_of(opening()) as client:
        for thread in [in_thread(lambda: client(CALL)) for _ in range(8)]:
            thread.join()
    assert opened == [1]


@pytest.mark.anyio
async def test_in_a_running_event_loop_it_names_the_async_client() -> None:
    client = client_of(answer)

    def iterate() -> object:
        return client.iterate(messages.pages)

    uses: list[Callable[[], object]] = [client.__enter__, lambda: client(CALL), lambda: client.batch([CALL]), iterate]
    for use in uses:
        with pytest.raises(RuntimeError, match=r"async with msgapi.Client\(\) as client.*worker thread"):
            _ = use()
    client.close()


@pytest.mark.anyio
async def test_a_worker_thread_of_an_async_program_can_use_it() -> None:
    client = client_of(answer)
    assert not isinstance(await anyio.to_thread.run_sync(client, CALL), Ok)
    client.close()


@pytest.mark.parametrize("duplicate", [pickle.dumps, copy.copy, copy.deepcopy])
def test_it_cannot_be_pickled_or_copied(duplicate: Callable[[object], object]) -> None:
    client = BlockingClient(api_key="k")
    for one in (client, client.with_options(total_timeout=5.0)):
        with pytest.raises(TypeError, match=r"BlockingClient cannot be pickled or copied: make one in each process"):
            _ = duplicate(one)


def test_what_is_not_a_call_is_a_type_error() -> None:
    with client_of(answer) as client, pytest.raises(TypeError, match=r"takes a call, such as messages\.send"):
        _ = client(messages.send)  # type: ignore[arg-type]


def test_an_exception_of_the_transport_leaves_the_call_as_itself() -> None:
    for error in (LookupError("lost"), SystemExit(3), KeyboardInterrupt()):
        with client_of(raising(error)) as client:
            assert raised_by(lambda client=client: client(CALL)) is error  # type: ignore[misc]
            assert raised_by(lambda client=client: client(CALL)) is error  # type: ignore[misc]


def test_a_cancellation_that_no_one_requested_is_a_runtime_error() -> None:
    client = client_of(raising(asyncio.CancelledError()))
    with client, pytest.raises(RuntimeError, match="cancelled from within"):
        _ = client(CALL)


def test_only_while_stops_a_call() -> None:
    with client_of(answer) as client:
        result = client(CALL, only_while=lambda: False)
    assert not isinstance(result, Ok)
    assert result.code == "called_off"


def test_derived_clients_share_the_thread_and_keep_it_open() -> None:
    seen = []

    async def transport(request: Request, /) -> Response:
        await asyncio.sleep(0)
        seen.append(request.headers.get("X-Tenant"))
        return NOT_FOUND

    derived = client_of(transport).with_options(headers={"X-Tenant": "a"}).with_options(total_timeout=5.0)
    _ = derived(CALL), derived(CALL, headers={"X-Tenant": "b"})
    assert len([*derived.batch([CALL])]) == 1
    assert len([*derived.iterate(messages.pages)]) == 1
    assert seen == ["a", "b", "a", "a"]
    derived.close()
    with pytest.raises(RuntimeError, match="this client is closed"):
        _ = derived(CALL)


def test_an_observer_sees_the_context_of_the_thread_that_calls() -> None:
    request_id = contextvars.ContextVar("request_id", default="none")
    seen = []

    class Seeing(Observer, Watch):
        def call(self, call: Call[object], /) -> Watch:
            del call
            seen.append(request_id.get())
            return self

    with client_of(answer, observer=Seeing()) as client:
        _ = request_id.set("r1")
        _ = client(CALL)
        _ = contextvars.Context().run(client, CALL)
    assert seen == ["r1", "none"]


def test_pages_are_iterated_lazily() -> None:
    sandbox = Sandbox()
    with BlockingClient(transport=sandbox, api_key=sandbox.api_key) as client:
        for _ in range(5):
            _ = client(messages.send(TEXT))
        pages = client.iterate(messages.pages, limit=2)
        first = next(pages)
        assert isinstance(first, Ok)
        assert len(first.value.messages) == 2
        rest = [page for page in pages if isinstance(page, Ok)]
        assert [len(page.value.messages) for page in rest] == [2, 1]


def test_rows_of_pages_are_iterated() -> None:
    sandbox = Sandbox()
    with BlockingClient(transport=sandbox, api_key=sandbox.api_key) as client:
        for _ in range(5):
            _ = client(messages.send(TEXT))
        found = [*client.iterate(messages.iterate, limit=2)]
    assert [isinstance(one, messages.MessageRecord) for one in found] == [True] * 5


def test_pages_that_are_left_early_do_no_harm() -> None:
    sandbox = Sandbox()
    with BlockingClient(transport=sandbox, api_key=sandbox.api_key) as client:
        for _ in range(3):
            _ = client(messages.send(TEXT))
        for page in client.iterate(messages.pages, limit=1):
            assert isinstance(page, Ok)
            break
        assert isinstance(client(messages.list()), Ok)


def test_an_error_of_a_page_is_yielded_once() -> None:
    with client_of(answer) as client:
        assert [type(page) for page in client.iterate(messages.pages)] == [msgapi.NotFound]


def test_iterate_takes_the_function_and_not_its_result() -> None:
    with client_of(answer) as client:
        for wrong in (3, lambda _: 3):
            with pytest.raises(TypeError, match=r"iterate takes a function, such as messages\.pages"):
                _ = client.iterate(wrong)  # type: ignore[arg-type]


def test_a_call_that_is_in_flight_when_the_client_is_closed_raises() -> None:
    blocked, raised = Blocked(), []
    client = client_of(blocked)
    thread = in_thread(lambda: raised.append(raised_by(lambda: client(CALL))))
    assert blocked.arrived.wait(10)
    client.close()
    thread.join()
    assert isinstance(raised[0], RuntimeError)
    assert "this client was closed during the call" in str(raised[0])


def test_an_observer_that_closes_the_client_does_not_wait_for_itself() -> None:
    class Closing(Observer):
        def call(self, call: Call[object], /) -> None:
            del call
            client.close()

    client = client_of(Blocked(), observer=Closing())
    with pytest.raises(RuntimeError, match="this client was closed during the call"):
        _ = client(CALL)
    client.close()


def test_an_exception_of_closing_the_transport_leaves_close() -> None:
    @asynccontextmanager
    async def opening() -> AsyncIterator[Transport]:
        yield answer
        raise OSError("the disk is full")

    client = client_of(opening())
    _ = client(CALL)
    with pytest.raises(OSError, match="the disk is full"):
        client.close()
    client.close()


def test_a_thread_that_is_interrupted_cancels_its_call(alarm: Callable[[], None]) -> None:
    blocked = Blocked()

    def interrupt() -> None:
        assert blocked.arrived.wait(10)
        alarm()

    with client_of(blocked) as client:
        thread = in_thread(interrupt)
        with pytest.raises(SoftTimeLimit):
            _ = client(CALL)
        thread.join()
        assert blocked.cancelled.wait(10)


def test_one_that_is_collected_while_it_is_open_warns_and_ends_its_thread() -> None:
    held = [client_of(answer)]
    _ = held[0](CALL)
    (thread,) = [one for one in threading.enumerate() if one.name == "msgapi.BlockingClient"]
    collected = weakref.ref(held[0])
    with pytest.warns(ResourceWarning, match=r"unclosed msgapi.BlockingClient.*client.close\(\)"):
        held.clear()
    assert collected() is None
    thread.join(10)
    assert not thread.is_alive()


def test_slips_are_answered_with_the_line_to_write() -> None:
    client = client_of(answer)
    with pytest.raises(AttributeError, match=r"a call is a value: client\(messages.send\(...\)\)"):
        _ = client.messages  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match=r"for page in client.iterate\(webhooks.pages\)"):
        _ = client.pages  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match=r"'aclose': client.close\(\)"):
        _ = client.aclose  # type: ignore[attr-defined]
    for name in ("observer", "_other"):
        with pytest.raises(AttributeError, match=f"'BlockingClient' has no attribute '{name}'$"):
            getattr(client, name)


@pytest.mark.anyio
async def test_async_with_is_a_type_error() -> None:
    client = client_of(answer)
    with pytest.raises(TypeError, match=r"write `with`, or use msgapi\.Client"):
        async with client:  # type: ignore[attr-defined]
            pass
