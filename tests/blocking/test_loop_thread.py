"""The loop thread: every job ends, whatever the moment at which the thread is opened, used and closed."""

import sys
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from types import SimpleNamespace

import anyio
import anyio.to_thread
import pytest

from msgapi import Client, Request, Response
from msgapi.blocking import loop_thread
from msgapi.blocking.loop_thread import Job, LoopThread, _Group, _Waiter, wait_for, wait_for_release
from msgapi.transports import Transport


async def answer(_: Request, /) -> Response:
    await anyio.lowlevel.checkpoint()
    return Response(404, {}, b"")


async def one() -> int:
    await anyio.lowlevel.checkpoint()
    return 1


def job_of(thread: LoopThread, coroutine: Coroutine[object, object, int], notify: Callable[[], None]) -> Job[int]:
    job = Job(thread, coroutine, notify)
    thread.jobs.add(job)
    return job


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
    thread._waits = False  # and the event loop was not woken
    assert thread.run(one()) == 1


class Recorded:
    """What `threading.Lock` returns; *waiting* is set when a thread waits for it."""

    waiting = threading.Event()

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.release = self.lock.release

    def acquire(self, *, timeout: float = -1) -> bool:
        if timeout > 0:
            self.waiting.set()
        return self.lock.acquire(timeout=timeout)


class Inbox(deque[Job[int]]):
    """Jobs to start; *after_look* is called once, after the next look into it."""

    after_look: Callable[[], None] | None = None

    def __bool__(self) -> bool:
        found, after_look, self.after_look = len(self) > 0, self.after_look, None
        if after_look is not None:
            after_look()
        return found


@pytest.mark.parametrize(("after_look", "wake_ups"), [(False, 0), (True, 1)])
def test_a_job_that_comes_when_the_event_loop_is_about_to_wait_is_started(
    monkeypatch: pytest.MonkeyPatch, *, after_look: bool, wake_ups: int
) -> None:
    # The two orders of the race: the job comes before the event loop looks for jobs, or after it has found none.
    thread, inbox = thread_of(answer), Inbox()
    begin_wait, wake = thread.begin_wait, thread._wake
    armed, waiting = threading.Event(), threading.Event()
    results: list[int] = []
    woken: list[int] = []
    caller = threading.Thread(target=lambda: results.append(thread.run(one())))

    def come() -> None:
        caller.start()
        assert waiting.wait(10)  # it has added its job, and has decided whether to wake the event loop

    def begin(seconds: float | None) -> float | None:
        if armed.is_set() and seconds != 0:
            armed.clear()
            if after_look:
                inbox.after_look = come
            else:
                come()
        return begin_wait(seconds)

    def recorded_wake() -> None:
        woken.append(1)
        wake()

    monkeypatch.setattr(loop_thread, "_POLL", 60.0)  # the wait is not repeated
    monkeypatch.setattr(loop_thread, "Lock", Recorded)
    monkeypatch.setattr(Recorded, "waiting", waiting)
    monkeypatch.setattr(thread, "_inbox", inbox)
    monkeypatch.setattr(thread, "begin_wait", begin)
    monkeypatch.setattr(thread, "_wake", recorded_wake)
    thread.enter()
    armed.set()
    thread.post(lambda: None)  # after this it is about to wait
    assert waiting.wait(10)
    caller.join(10)
    assert (results, len(woken)) == ([1], wake_ups)
    thread.close()


def test_a_thread_is_woken_when_the_event_loop_would_wait() -> None:
    thread, waiter = thread_of(answer), _Waiter()
    thread._answered.append(waiter)
    assert thread.begin_wait(0) == 0
    assert waiter.lock.locked()
    assert thread.begin_wait(None) is None
    assert not waiter.lock.locked()


def test_an_event_loop_that_never_waits_wakes_threads_after_a_few_iterations() -> None:
    thread, waiter = thread_of(answer), _Waiter()
    for _ in range(2):
        thread._answered.append(waiter)
        woken = []
        for _ in range(4):
            _ = thread.begin_wait(0)
            woken.append(not waiter.lock.locked())
        assert woken == [False, False, False, True]
        _ = waiter.lock.acquire()


def test_an_event_loop_with_new_jobs_does_not_wait(thread: LoopThread) -> None:
    asleep = thread_of(answer)
    assert asleep.begin_wait(5.0) == 5.0
    job = job_of(thread, one(), lambda: None)
    asleep._inbox.append(job)
    assert asleep.begin_wait(5.0) == 0
    job.cancel()


def test_threads_that_are_woken_together_wake_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_thread, "_RUN_TIMEOUT", 60.0)
    waiters, ran = [_Waiter() for _ in range(3)], []
    group = _Group(waiters)

    def wait(number: int) -> None:
        _ = waiters[number].lock.acquire()
        ran.append(number)
        assert group.wake_next()

    threads = [threading.Thread(target=wait, args=[number]) for number in range(3)]
    for one_of_them in threads:
        one_of_them.start()
    group.wake()
    assert ran == [0, 1, 2]
    for one_of_them in threads:
        one_of_them.join()


def test_a_thread_that_was_interrupted_does_not_keep_its_group_asleep() -> None:
    waiters = [_Waiter() for _ in range(3)]
    group = _Group(waiters)
    group.wake()  # the first does not run
    assert not any(waiter.lock.locked() for waiter in waiters)
    assert not group.wake_next()


def test_threads_whose_jobs_end_together_are_woken_together(
    thread: LoopThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups, both = [], anyio.Event()

    class Recording(_Group):  # type: ignore[misc]
        def __init__(self, waiters: list[_Waiter]) -> None:
            groups.append(len(waiters))
            super().__init__(waiters)

    async def meet() -> int:
        if both.statistics().tasks_waiting:
            both.set()
        await both.wait()
        return 1

    monkeypatch.setattr(loop_thread, "_Group", Recording)
    results: list[int] = []
    threads = [threading.Thread(target=lambda: results.append(thread.run(meet()))) for _ in range(2)]
    for one_of_them in threads:
        one_of_them.start()
    for one_of_them in threads:
        one_of_them.join(10)
    assert (results, groups) == ([1, 1], [2])


def test_a_job_that_two_threads_cancel_at_once_ends_once(thread: LoopThread) -> None:
    class Closed:
        def close(self) -> None:
            if not closing:
                closing.append(1)
                job.cancel()  # the other thread

    closing: list[int] = []
    ended: list[int] = []
    job = job_of(thread, Closed(), lambda: ended.append(1))  # type: ignore[arg-type]
    job.cancel()
    assert (closing, ended) == ([1], [1])


def test_every_thread_that_comes_after_the_end_is_answered_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_thread, "_POLL", 60.0)
    thread = thread_of(answer)
    thread.enter()
    thread.close()
    for _ in range(3):
        with pytest.raises(RuntimeError, match="this client is closed"):
            _ = thread.run(one())


def test_a_job_that_waits_when_the_loop_has_ended_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_thread, "_POLL", 0.001)
    thread = thread_of(answer)
    thread.enter()
    thread.close()
    thread._waits = False  # by a thread that came just before the end
    with pytest.raises(RuntimeError, match="this client is closed"):
        _ = thread.run(one())


def test_a_job_is_run_for_the_thread_that_waits(thread: LoopThread) -> None:
    assert thread.run(one()) == 1
    assert thread.jobs == set()


def test_a_job_that_is_cancelled_before_it_starts_never_starts(thread: LoopThread) -> None:
    ended = threading.Event()
    job = job_of(thread, one(), ended.set)

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
    job = job_of(thread, one(), ended.set)

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
    job = job_of(thread, one(), ended.set)
    thread.closed = True
    job.start()
    assert ended.is_set()


def test_a_job_that_the_loop_never_saw_ends_with_the_thread() -> None:
    thread, ended = thread_of(answer), threading.Event()
    thread.enter()
    _ = job_of(thread, one(), ended.set)
    thread._cancel_jobs = anyio.lowlevel.checkpoint  # type: ignore[method-assign]
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
