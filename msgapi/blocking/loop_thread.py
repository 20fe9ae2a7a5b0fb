"""Loop thread: an event loop in a thread of its own, which runs coroutines for other threads.

Rules:
- The thread starts at the first use and runs one event loop until `close`. It does not keep the interpreter alive.
- Every thread that waits gets an answer: a result, an exception, or RuntimeError if the loop ends before.
- A thread that is interrupted while it waits (Ctrl-C, a signal handler that raises) cancels its coroutine, and does not
  wait for the end of that.
- A forked child has no such thread. It touches neither the event loop nor its sockets, which belong to the parent.
- The event loop is asyncio's own: with open connections of uvloop, a forked child crashes when it exits.
- The thread has no reference to a `BlockingClient`, so a client that is no longer used is collected.

Most of the cost of a call is the change from thread to thread, as only one of them holds the interpreter lock. So:
- A thread whose job has ended is woken when the event loop has nothing else to do, or a few iterations later.
- Threads that are woken together wake each other, and the event loop waits for them. Otherwise they wait a second time,
  for the interpreter lock, which the event loop takes back after each of its system calls.
- A thread with a new job wakes the event loop only if that waits for I/O. It looks for new jobs in each iteration.
- No wake-up is lost: a thread adds its job before it reads whether the event loop waits, and the event loop states that
  it waits before it looks for jobs. Whichever comes second sees what the other did.
"""

import asyncio
import atexit
import logging
import os
import sys
import warnings
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from contextvars import Context, copy_context
from functools import partial
from selectors import DefaultSelector, SelectorKey
from threading import Event, Lock, Thread, current_thread
from typing import Any, Final, Generic, TypeVar, cast, final
from weakref import WeakSet

import anyio

from ..client import Client

T = TypeVar("T")
_log: Final = logging.getLogger("msgapi")
_EXIT_TIMEOUT: Final = 1.0  # seconds that closing may take while the interpreter exits
_POLL: Final = 0.25
"""Seconds of one wait. A signal does not end a wait on Windows, and elsewhere not if it arrives just before it."""

_RUN_TIMEOUT: Final = 0.001  # seconds that the event loop waits for the threads that it wakes
_MAX_DELAY: Final = 4  # iterations of the event loop for which a thread is not woken because there is other work


def wait_for(wait: Callable[[float], bool]) -> None:
    """Call *wait*, such as `Event.wait`, with a few seconds at a time until it returns True. Ctrl-C interrupts this."""
    while not wait(_POLL):
        pass


def wait_for_release(lock: Lock) -> None:
    """Acquire *lock*, which the event loop releases. Ctrl-C interrupts this."""
    if not lock.acquire(timeout=_POLL):
        wait_for(lambda seconds: lock.acquire(timeout=seconds))


@final
class Job(Generic[T]):
    """A coroutine that runs in the event loop of *thread* for another thread.

    It runs in a copy of the context variables of the thread that makes it. *notify* is called once, when it has ended,
    in the thread of the event loop. Until then it must be in the *jobs* of *thread*.
    """

    __slots__ = ("_begun", "_context", "_coroutine", "_error", "_notify", "_result", "_thread", "ended", "task")

    def __init__(self, thread: "LoopThread", coroutine: Coroutine[Any, Any, T], notify: Callable[[], None]) -> None:
        self._thread, self._coroutine, self._notify = thread, coroutine, notify
        self._context = copy_context()
        self.ended: bool = False
        self._begun = False
        self._result: T | None = None
        self._error: BaseException | None = None
        self.task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the coroutine. Called in the event loop."""
        if self._thread.closed:
            self.cancel()
        elif not self.ended:
            self.task = asyncio.get_running_loop().create_task(self._run(), context=self._context)

    def cancel(self) -> None:
        """Cancel the coroutine. Called in the event loop, or after its end."""
        if self.task is not None:
            _ = self.task.cancel()
        if not self._begun and not self.ended:
            self._coroutine.close()
            self._end(RuntimeError(_CLOSED))

    def result(self) -> T:
        """Return the result of the coroutine, which has ended, or raise what it raised."""
        error, self._error = self._error, None
        if error is None:
            return cast("T", self._result)
        try:
            raise error
        finally:
            del error  # its traceback has this frame

    async def _run(self) -> None:
        self._begun = True
        error: BaseException | None = None
        try:
            self._result = await self._coroutine
        except asyncio.CancelledError as cancelled:
            error = RuntimeError(_CLOSED_MEANWHILE if self._thread.closed else _CANCELLED)
            error.__cause__ = cancelled
        except BaseException as raised:  # noqa: BLE001 - raised in the thread that waits
            error = raised
        self._end(error)

    def _end(self, error: BaseException | None) -> None:
        try:
            self._thread.jobs.remove(self)
        except KeyError:  # another thread has ended it: after the end of the event loop, there may be two at once
            return
        self._error = error
        self.ended = True
        self._notify()


@final
class _Waiter:
    """A thread that waits for its job. *group* are the threads that are woken with it; None if it is alone."""

    __slots__ = ("group", "lock")

    def __init__(self) -> None:
        self.lock = Lock()  # is released to wake it
        _ = self.lock.acquire()
        self.group: _Group | None = None


@final
class _Group:
    """Threads that are woken one after the other: each by the one before, which runs by then."""

    __slots__ = ("_all_run", "_locks")

    def __init__(self, waiters: list[_Waiter]) -> None:
        self._all_run = Lock()  # is released by the last thread
        _ = self._all_run.acquire()
        self._locks = deque([*(waiter.lock for waiter in waiters), self._all_run])

    def wake_next(self) -> bool:
        """Wake the next thread. Return False if there is none."""
        try:
            lock = self._locks.popleft()
        except IndexError:
            return False
        lock.release()
        return True

    def wake(self) -> None:
        """Wake all of them, and wait until they run, but only for a moment: one that was interrupted wakes no other."""
        _ = self.wake_next()
        if not self._all_run.acquire(timeout=_RUN_TIMEOUT):
            while self.wake_next():
                pass


@final
class _Selector(DefaultSelector):
    """The selector of the event loop, which calls `begin_wait` and `end_wait` of *thread* in each iteration."""

    def __init__(self, thread: "LoopThread") -> None:
        super().__init__()
        self._thread = thread

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        """Wait for at most *timeout* seconds until a socket is ready; None is for ever."""
        events = super().select(self._thread.begin_wait(timeout))
        self._thread.end_wait()
        return events


@final
class LoopThread:
    """The event loop of one *client*, and its thread. All methods are thread-safe.

    *pid* is the process in which it was started, None before. *closed* is True once it is to end. *jobs* are those that
    have not ended.
    """

    def __init__(self, client: Client) -> None:
        self.pid: int | None = None
        self.closed: bool = False
        self.client = client
        self._lock = Lock()
        self._opening: Future[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: Thread | None = None
        self._stop = asyncio.Event()
        self.jobs: set[Job[Any]] = set()
        self._inbox: deque[Job[Any]] = deque()  # jobs to start
        self._waits = False  # whether the event loop waits for I/O, or has ended: then a new job must wake it
        self._answered: list[_Waiter] = []  # threads whose jobs have ended, and that are not woken yet
        self._delay = 0  # iterations since the first of them
        self._ended = Event()
        self._failure: BaseException | None = None
        _THREADS.add(self)

    def enter(self) -> None:
        """Start the thread and open the client, if that is not done yet.

        Raise RuntimeError if it is closed, in a forked process, or in a thread that runs an event loop.
        """
        if _runs_event_loop():
            raise RuntimeError(_IN_EVENT_LOOP)
        if self.pid is not None and self.pid != os.getpid():
            raise RuntimeError(_FORKED)
        if self.closed:
            raise RuntimeError(_CLOSED)
        if self._loop is None:
            self._start().result()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run *coroutine* and return its result. `enter` must come before."""
        waiter = _Waiter()
        job = Job(self, coroutine, partial(self._answer, waiter))
        try:
            self.jobs.add(job)
            self._inbox.append(job)
            if self._waits:
                self._waits = False  # other threads need not wake it, too
                self._wake()
            while not waiter.lock.acquire(timeout=_POLL):
                self._wake()  # a thread that was interrupted here may have woken nothing
            if waiter.group is not None:
                _ = waiter.group.wake_next()
        except BaseException:
            self.post(job.cancel)
            raise
        return job.result()

    def submit(self, job: Job[Any]) -> None:
        """Start *job* and do not wait for it. `enter` must come before."""
        self.jobs.add(job)
        loop = cast("asyncio.AbstractEventLoop", self._loop)
        try:
            _ = loop.call_soon_threadsafe(job.start)
        except RuntimeError:  # the loop has ended
            job.cancel()

    def post(self, callback: Callable[[], object]) -> None:
        """Call *callback* in the event loop, soon; do nothing if that has ended, or in a forked process."""
        if self._loop is not None and self.pid == os.getpid():
            with suppress(RuntimeError):
                _ = self._loop.call_soon_threadsafe(callback)

    def begin_wait(self, seconds: float | None) -> float | None:
        """Wake threads whose jobs have ended. Return how long the event loop may wait for I/O.

        *seconds* is how long it would wait; None is for ever, and 0 is not at all, as it has other work.
        """
        waits = seconds is None or seconds > 0
        if self._answered:
            self._delay += 1
            if waits or self._delay == _MAX_DELAY:
                self._wake_answered()
        self._waits = waits  # before the look
        return 0 if self._inbox else seconds

    def end_wait(self) -> None:
        """Start the new jobs: in time for the iteration that begins, which runs their first steps."""
        self._waits = False
        self._start_all()

    def is_current(self) -> bool:
        """Return whether the current thread is that of the event loop."""
        return self._thread is current_thread()

    def close(self) -> None:
        """Cancel what runs, close the client and end the thread. May be repeated. It waits for the end."""
        with self._lock:
            self.closed, opening = True, self._opening
        if opening is None:
            with suppress(StopIteration):
                self.client.aclose().send(None)  # it is not open, so there is nothing to wait for
        if opening is None or self.pid != os.getpid() or opening.exception() is not None:
            return
        self._request_stop()
        if self.is_current():  # it cannot wait for itself
            return
        wait_for(self._ended.wait)
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def abandon(self) -> None:
        """Close with a ResourceWarning and without waiting, if it was not closed before."""
        if self.closed or self._opening is None or self.pid != os.getpid():
            return
        self.closed = True
        try:
            text = "unclosed msgapi.BlockingClient: close it by `with` or by `client.close()`"
            warnings.warn(text, ResourceWarning, stacklevel=2, source=self)
        finally:
            self._request_stop()

    def close_at_exit(self) -> None:
        """Do the same as `abandon`, and wait for a moment."""
        if self.pid == os.getpid():
            try:
                self.abandon()
            finally:
                _ = self._ended.wait(_EXIT_TIMEOUT)

    def renew_lock(self) -> None:
        """Replace the lock, which another thread may have held when this process was forked."""
        self._lock = Lock()

    def _start(self) -> "Future[None]":
        with self._lock:
            if self.closed:
                raise RuntimeError(_CLOSED)
            if self._opening is not None:
                return self._opening
            _check_threads()
            opening: Future[None] = Future()
            run = partial(Context().run, self._work, opening)
            self._thread = Thread(target=run, name="msgapi.BlockingClient", daemon=True)
            try:
                self.pid, self._opening = os.getpid(), opening
                _RUNNING.add(self)
                _ = atexit.register(self.close_at_exit)  # runs before all that was registered earlier
                self._thread.start()
            except BaseException:  # the system allows no more threads, or this one was interrupted
                self._reset()
                raise
            return opening

    def _reset(self) -> None:
        self._forget()
        self.pid = self._opening = None

    def _forget(self) -> None:
        _RUNNING.discard(self)
        atexit.unregister(self.close_at_exit)

    def _wake(self) -> None:
        loop = cast("asyncio.AbstractEventLoop", self._loop)
        try:
            _ = loop.call_soon_threadsafe(self._start_all)
        except RuntimeError:  # the loop has ended
            self._waits = True
            with self._lock:  # one thread at a time, as the event loop was
                self._start_all()

    def _start_all(self) -> None:
        while self._inbox:
            self._inbox.popleft().start()

    def _answer(self, waiter: _Waiter) -> None:
        if cast("asyncio.AbstractEventLoop", self._loop).is_closed():
            waiter.lock.release()
        else:
            self._answered.append(waiter)

    def _wake_answered(self) -> None:
        waiters, self._answered, self._delay = self._answered, [], 0
        if len(waiters) > 1:
            group = _Group(waiters)
            for waiter in waiters:
                waiter.group = group
            group.wake()
        elif waiters:
            waiters[0].lock.release()

    def _request_stop(self) -> None:
        self.post(self._stop.set)

    def _work(self, opening: "Future[None]") -> None:
        with self._lock:
            if self._opening is not opening:  # the thread that started this one was interrupted, and has reset it
                return
        try:
            options = {"loop_factory": lambda: asyncio.SelectorEventLoop(_Selector(self))}
            anyio.run(self._main, opening, backend_options=options)
        except BaseException as error:  # noqa: BLE001 - raised in the thread that opens or closes
            if not opening.done():
                with self._lock:
                    self._reset()
                opening.set_exception(error)
                return
            self._failure = error
        self.closed = self._waits = True
        self._wake_answered()
        for job in tuple(self.jobs):  # they came too late for the loop
            job.cancel()
        self._forget()
        self._ended.set()

    async def _main(self, opening: "Future[None]") -> None:
        async with self.client:
            self._loop = asyncio.get_running_loop()
            opening.set_result(None)
            if not self.closed:
                _ = await self._stop.wait()
            await self._cancel_jobs()

    async def _cancel_jobs(self) -> None:
        jobs = tuple(self.jobs)
        for job in jobs:
            job.cancel()
        if tasks := [job.task for job in jobs if job.task is not None]:
            _ = await asyncio.wait(tasks)


def _runs_event_loop() -> bool:
    if asyncio._get_running_loop() is not None:  # noqa: SLF001 - does not raise, as the public function does
        return True
    trio = sys.modules.get("trio.lowlevel")
    return trio is not None and bool(trio.in_trio_run())


def _check_threads() -> None:
    # A thread that is a greenlet cannot run an event loop beside its program.
    gevent, eventlet = sys.modules.get("gevent.monkey"), sys.modules.get("eventlet.patcher")
    if gevent is not None and gevent.is_module_patched("threading"):
        raise RuntimeError(_NO_THREADS.format("gevent"))
    if eventlet is not None and eventlet.is_monkey_patched("thread"):
        raise RuntimeError(_NO_THREADS.format("eventlet"))


_CLOSED: Final = "this client is closed: make another by msgapi.BlockingClient(), or close it after its last call"
_CLOSED_MEANWHILE: Final = "this client was closed during the call, whose outcome is therefore not known"
_FORKED: Final = (
    "this client was opened in the process from which this one was forked: "
    "make a msgapi.BlockingClient in each process, or use it only after the fork"
)
_IN_EVENT_LOOP: Final = (
    "a msgapi.BlockingClient blocks its thread, and an event loop runs in this one: "
    "use `async with msgapi.Client() as client` and `await client(call)` here, or call it in a worker thread"
)
_NO_THREADS: Final = (
    "{} has replaced the threads of this program, and a msgapi.BlockingClient needs a real one: "
    "use workers with threads, such as `gunicorn --worker-class gthread` or `celery worker --pool prefork`"
)
_CANCELLED: Final = "the call was cancelled from within: the program did not cancel it"
_RUNNING: Final[set[LoopThread]] = set()  # strong references: in a forked child the event loop must not be collected
_THREADS: Final[WeakSet[LoopThread]] = WeakSet()


def _renew_locks() -> None:
    for thread in _THREADS:
        thread.renew_lock()


if hasattr(os, "register_at_fork"):  # pragma: no branch - not on Windows
    os.register_at_fork(after_in_child=_renew_locks)
