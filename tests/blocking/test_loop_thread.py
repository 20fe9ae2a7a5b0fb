"""The loop thread: every job ends, whatever the moment at which the thread is opened, used and closed."""

import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from types import SimpleNamespace

import anyio
import anyio.to_thread
import pytest

from msgapi import Client, Request, Response
from msgapi.blocking import loop_thread
from msgapi.blocking.loop_thread import Job, LoopThread, wait_for, wait_for_release
from msgapi.transports import Transport


async def answer(_: Request, /) -> Response:
    await anyio.lowlevel.checkpoint()
    return Response(404, {}, b"")


async def one() -> int:
    await anyio.lowlevel.checkpoint()
    return 1


def thread_of(transport: object) -> LoopThread:
    return LoopThread(Client(api_key="k", base_url="http://127.0.0.1:9", transport=transport))  # type: ignore[arg-type]


@pytest.fixture
def thread() -> Iterator[LoopThread]:
    opened = thread_of(answer)
    opened.enter()
    yield opened
    opened.close()


def test_a_wait_is_repeated_until_it_succeeds() -> None:
    answers = iter([False, False, True])
    wait_for(lambda _: next(answers))
    assert [*answers] == []


def test_a_lock_is_waited_for_as_long_as_it_takes() -> None:
    class Held:
        def __init__(self) -> None:
            self.answers = iter([False, False, True])

        def acquire(self, *, timeout: float) -> bool:
            assert timeout > 0
            return next(self.answers)

    held = Held()
    wait_for_release(held)  # type: ignore[arg-type]
    assert [*held.answers] == []


def test_a_thread_that_was_interrupted_before_it_woke_the_loop_delays_no_other(
    thread: LoopThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop_thread, "_POLL", 0.001)
    thread._woken = True  # and the event loop was not woken
    assert thread.run(one()) == 1


def test_a_job_that_waits_when_the_loop_has_ended_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_thread, "_POLL", 0.001)
    thread = thread_of(answer)
    thread.enter()
    thread.close()
    thread._woken = True  # by a thread that came just before the end
    with pytest.raises(RuntimeError, match="this client is closed"):
        _ = thread.run(one())


def test_a_job_is_run_for_the_thread_that_waits(thread: LoopThread) -> None:
    assert thread.run(one()) == 1
    assert thread.jobs == set()


def test_a_job_that_is_cancelled_before_it_starts_never_starts(thread: LoopThread) -> None:
    ended = threading.Event()
    job = Job(thread, one(), ended.set)

    def cancel_and_start() -> None:
        job.cancel()
        job.start()

    thread.post(cancel_and_start)
    assert ended.wait(10)
    assert job.task is None
    with pytest.raises(RuntimeError, match="this client is closed"):
        _ = job.result()


def test_a_job_that_is_cancelled_before_its_first_step_ends(thread: LoopThread) -> None:
    ended = threading.Event()
    job = Job(thread, one(), ended.set)

    def start_and_cancel() -> None:
        job.start()
        job.cancel()

    thread.post(start_and_cancel)
    assert ended.wait(10)


def test_a_job_that_comes_after_the_end_ends_at_once() -> None:
    thread = thread_of(answer)
    thread.enter()
    thread.close()
    with pytest.raises(RuntimeError, match="this client is closed"):
        _ = thread.run(one())
    ended = threading.Event()
    thread.submit(Job(thread, one(), ended.set))
    assert ended.is_set()
    thread.post(thread.close)


def test_a_job_that_comes_while_the_thread_ends_is_not_started(thread: LoopThread) -> None:
    ended = threading.Event()
    job = Job(thread, one(), ended.set)
    thread.closed = True
    job.start()
    assert ended.is_set()


def test_a_job_that_the_loop_never_saw_ends_with_the_thread() -> None:
    thread, ended = thread_of(answer), threading.Event()
    thread.enter()
    job = Job(thread, one(), ended.set)
    thread._cancel_jobs = anyio.lowlevel.checkpoint  # type: ignore[method-assign]
    thread.jobs.add(job)
    thread.close()
    assert ended.is_set()


@pytest.mark.parametrize(
    ("module", "function", "name"),
    [("gevent.monkey", "is_module_patched", "gevent"), ("eventlet.patcher", "is_monkey_patched", "eventlet")],
)
def test_greenlets_in_the_place_of_threads_are_refused(
    monkeypatch: pytest.MonkeyPatch, module: str, function: str, name: str
) -> None:
    patched = {"threading", "thread"}
    monkeypatch.setitem(sys.modules, module, SimpleNamespace(**{function: patched.__contains__}))
    thread = thread_of(answer)
    with pytest.raises(RuntimeError, match=f"{name} has replaced the threads of this program.*gthread"):
        thread.enter()
    patched.clear()
    thread.enter()
    thread.close()


class Opening:
    """A transport that opens when *may_open* is set."""

    def __init__(self) -> None:
        self.opening, self.may_open = threading.Event(), threading.Event()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Transport]:
        self.opening.set()
        _ = await anyio.to_thread.run_sync(self.may_open.wait)
        yield answer


def test_threads_that_use_it_while_it_opens_wait_for_the_same_opening() -> None:
    opening = Opening()
    thread = thread_of(opening.open())
    first = threading.Thread(target=thread.enter)
    first.start()
    assert opening.opening.wait(10)
    second = thread._start()
    assert not second.done()
    opening.may_open.set()
    assert second.result(10) is None
    first.join()
    thread.close()


def test_one_that_is_abandoned_while_it_opens_ends() -> None:
    opening = Opening()
    thread = thread_of(opening.open())
    first = threading.Thread(target=thread.enter)
    first.start()
    assert opening.opening.wait(10)
    with pytest.warns(ResourceWarning, match="unclosed msgapi.BlockingClient"):
        thread.abandon()
    opening.may_open.set()
    first.join()
    thread.close()
    with pytest.raises(RuntimeError, match="this client is closed"):
        thread.enter()


def test_one_that_is_closed_between_the_check_and_the_start_does_not_start() -> None:
    thread = thread_of(answer)
    thread.close()
    with pytest.raises(RuntimeError, match="this client is closed"):
        _ = thread._start()
    thread.abandon()
    assert thread.pid is None


def test_one_whose_opening_has_failed_can_be_closed() -> None:
    class Failing:
        async def __aenter__(self) -> Transport:
            raise LookupError("no network")

        async def __aexit__(self, *_: object) -> None:
            pass

    thread = thread_of(Failing())
    with pytest.raises(LookupError, match="no network"):
        thread.enter()
    thread.close()
    thread.close_at_exit()
