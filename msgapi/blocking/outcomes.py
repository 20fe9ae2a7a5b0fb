"""BlockingOutcomes: a batch that runs in the event loop, and whose rows and outcomes belong to the consumer's thread.

Rules:
- The source of the rows runs in the thread that iterates, as it may hold a database cursor. It is pulled while that
  thread waits for outcomes, and once for each outcome, up to `concurrency` rows ahead.
- The task in the event loop has no reference to a `BlockingOutcomes`, so a loop that is left early ends its batch.
- The batch ends when the `with` is left; without a `with`, at the end of the iteration, by an exception that leaves the
  iteration, and when the object is no longer used. It is over when its calls are cancelled and its journal is closed.
"""

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from threading import Event, Lock
from typing import Any, Final, Generic, TypeVar, cast, final

import anyio

from .. import batch
from ..batch import Outcome, Outcomes, Stopped
from ..calls import Call
from ..client import Client
from .loop_thread import Job, LoopThread, wait_for, wait_for_release

T = TypeVar("T")
R = TypeVar("R")
_DROP_TIMEOUT: Final = 5.0  # seconds for the end of a batch that is no longer used; a collection must not hang
_END: Final = object()


@final
class _Raised:
    # An exception of the source.
    def __init__(self, error: Exception) -> None:
        self.error = error


@final
class _Rows:
    """Rows that were pulled in the consumer's thread, as an async iterator in the event loop."""

    def __init__(self, limit: int, wake: Callable[[], None]) -> None:
        self._limit, self._wake = limit, wake
        self._items: deque[object] = deque()
        self._exhausted = self._hungry = False
        self._arrived = asyncio.Event()

    def has_room(self) -> bool:
        """Return whether another row should be pulled."""
        return len(self._items) < self._limit and not self._exhausted

    def pull(self, source: Iterator[Any], post: Callable[[Callable[[], object]], None]) -> None:
        """Pull one row of *source*. Called in the consumer's thread; *post* calls a function in the event loop."""
        try:
            item = next(source, _END)
        except Exception as error:  # noqa: BLE001 - it leaves the iteration after the outcomes of the calls in flight
            item = _Raised(error)
        self._exhausted = item is _END
        self._items.append(item)
        if self._hungry:
            self._hungry = False
            post(self._arrived.set)

    def __aiter__(self) -> AsyncIterator[Any]:
        """Iterate over the rows."""
        return self

    async def __anext__(self) -> Any:  # noqa: ANN401 - the batch checks what a row is
        """Return the next row, and wait for it if necessary."""
        self._hungry = True  # before the look, so that a row that comes after it sets the event
        while not self._items:
            self._wake()
            _ = await self._arrived.wait()
            self._arrived.clear()
            self._hungry = True
        self._hungry = False
        if self._items[0] is _END:  # stays there: the end may be asked for again
            raise StopAsyncIteration
        item = self._items.popleft()
        if len(self._items) in (0, self._limit // 2):
            self._wake()
        if isinstance(item, _Raised):
            raise item.error
        return item


@final
class _BatchTask(Generic[T]):
    """The task in the event loop. The consumer's thread reads *ready* and *failure*, and asks for more by `want`."""

    def __init__(self, client: Client, rows: _Rows, options: dict[str, Any], wake: Callable[[], None]) -> None:
        self.rows = rows
        self.ready: deque[Outcome[T]] = deque()
        self.asked = False
        self.end: Exception | None = None
        self.outcomes: Outcomes[T] | None = None
        self._client, self._options, self._wake = client, options, wake
        self._wanted = asyncio.Event()
        self._leaving = False
        self._taking: anyio.CancelScope | None = None

    async def run(self) -> None:
        """Open the journal and the batch, serve the consumer until it leaves, and close both."""
        journal = self._options.pop("journal", None)
        async with AsyncExitStack() as stack:
            if isinstance(journal, AbstractAsyncContextManager):
                journal = await stack.enter_async_context(journal)
            if journal is not None:
                self._options["journal"] = journal
            sending = batch.send(self._client, self.rows, **self._options)
            self.outcomes = outcomes = await stack.enter_async_context(sending)
            self._wake()
            while not self._leaving:
                _ = await self._wanted.wait()
                self._wanted.clear()
                with anyio.CancelScope() as self._taking:
                    await self._take(outcomes)

    def want(self) -> None:
        """Take the next outcomes. Called in the event loop."""
        self._wanted.set()

    def leave(self) -> None:
        """End the batch. Called in the event loop."""
        self._leaving = True
        if self._taking is not None:
            self._taking.cancel()
        self._wanted.set()

    async def _take(self, outcomes: Outcomes[T]) -> None:
        if self._leaving:
            return
        try:
            first = await anext(outcomes)
        except StopAsyncIteration:
            self.end = StopIteration()
        except Exception as error:  # noqa: BLE001 - raised to the consumer
            self.end = error
        else:
            self.ready.extend((first, *outcomes.take_ended()))
        self.asked = False
        self._wake()


@final
class BlockingOutcomes(Generic[T]):
    """An iterator over the outcomes of a batch, in the order in which they end. Made by `BlockingClient.batch`.

    Use it as `with client.batch(calls) as outcomes: for outcome in outcomes: ...`, or iterate over it directly. It has
    the attributes and methods of `batch.Outcomes`. One thread at a time may iterate; `stop` and the attributes can be
    used in any thread.
    """

    def __init__(
        self, held: object, client: Client, thread: LoopThread, calls: Iterable[Any], options: dict[str, Any]
    ) -> None:
        """Open the batch and its journal."""
        if not isinstance(calls, Iterable):
            raise TypeError(f"a blocking batch takes an iterable of calls, not {type(calls).__name__}")
        self._held = held  # a client that is collected is closed
        self._thread, self._source = thread, iter(calls)
        self._on_skip: Callable[[int, str], None] | None = options.get("on_skip")
        self._skipped: deque[tuple[int, str]] = deque()
        if self._on_skip is not None:
            skipped = self._skipped
            options["on_skip"] = lambda index, row: skipped.append((index, row))
        self._signal, self._ended, self._iterating = Lock(), Event(), Lock()
        _ = self._signal.acquire()
        self._entered = False
        wake, end = _notifiers(self._signal, self._ended)
        concurrency = options.get("concurrency", 64)
        rows = _Rows(concurrency if isinstance(concurrency, int) else 1, wake)
        self._task: _BatchTask[T] = _BatchTask(client, rows, options, wake)
        self._job = Job(thread, self._task.run(), end)
        try:
            thread.submit(self._job)
            while self._task.outcomes is None and not self._job.ended:
                wait_for_release(self._signal)
        except BaseException:
            thread.post(self._job.cancel)
            del self._job
            raise
        if self._task.outcomes is None:
            self._job.result()

    @property
    def started(self) -> int:
        """The number of calls that were given to the client."""
        return self._outcomes.started

    @property
    def settled(self) -> int:
        """The number of calls that the service has carried out or refused for certain; see `batch.Outcomes`."""
        return self._outcomes.settled

    @property
    def in_flight(self) -> int:
        """The number of calls that are in flight, or wait for the service to respond again."""
        return self._outcomes.in_flight

    @property
    def in_outage(self) -> bool:
        """Whether the service seems to be down; nothing new is sent until it responds again."""
        return self._outcomes.in_outage

    @property
    def skipped(self) -> int:
        """The number of rows that an earlier run has settled; they have no outcome in this one."""
        return self._outcomes.skipped

    @property
    def unsettled(self) -> frozenset[int]:
        """The positions of the calls that were given to the client and have no result: they may have been sent."""
        return self._in_loop(lambda: self._outcomes.unsettled)

    @property
    def unsettled_calls(self) -> Mapping[int, Call[T]]:
        """The calls of `unsettled`, by position: of a fallback the leg that was sent last, whose key it has."""
        return self._in_loop(lambda: self._outcomes.unsettled_calls)

    @property
    def stopped(self) -> Stopped | None:
        """Why no more calls are sent; None while the batch runs, and after the end of the source."""
        return self._outcomes.stopped

    def __repr__(self) -> str:
        """Show the progress."""
        return f"Blocking{self._outcomes!r}"

    def stop(self) -> None:
        """Send no more calls. Calls in flight end and are yielded, then the iteration ends.

        It does not wait, so a signal handler may call it. It replaces the reason of an earlier stop, and does nothing
        after the end of the source.
        """
        self._thread.post(self._outcomes.stop)

    def resume(self, *again: Outcome[T]) -> None:
        """Continue after a stop: inside the loop, or before iterating again inside the same `with`.

        It starts with *again*, outcomes whose calls are to be sent once more, as after a 402. See
        `batch.Outcomes.resume`. Raise RuntimeError if the batch is over.
        """
        if self._ended.is_set():
            raise RuntimeError(_OVER)
        self._in_loop(lambda: self._outcomes.resume(*again))

    def take_ended(self) -> list[Outcome[T]]:
        """Return the outcomes that were not yielded yet. It can be called after the batch was left, too."""
        taken = [self._task.ready.popleft() for _ in range(len(self._task.ready))]
        return [*taken, *self._in_loop(self._outcomes.take_ended)]

    def close(self) -> None:
        """Cancel the calls in flight, and close the batch and its journal. May be repeated. It waits for the end.

        Raise `journal.Unusable` if the last results cannot be written to the journal.
        """
        if self._leave():
            wait_for(self._ended.wait)
            self._job.result()

    def __enter__(self) -> "BlockingOutcomes[T]":
        """Return this object. The batch ends with the block."""
        self._entered = True
        return self

    def __exit__(self, *_: object) -> None:
        """Close the batch."""
        self.close()

    def __iter__(self) -> "BlockingOutcomes[T]":
        """Iterate over the outcomes."""
        return self

    def __next__(self) -> Outcome[T]:
        """Return the next outcome, and wait for it if necessary."""
        self._thread.enter()
        if not self._iterating.acquire(blocking=False):
            raise RuntimeError("another thread iterates over this batch already: only one may")
        try:
            return self._next()
        except BaseException:
            if not self._entered:
                self.close()
            raise
        finally:
            self._iterating.release()

    def __del__(self) -> None:
        """Close the batch if it is not over."""
        if hasattr(self, "_job") and self._leave() and self._ended.wait(_DROP_TIMEOUT):
            self._job.result()

    @property
    def _outcomes(self) -> Outcomes[T]:
        return cast("Outcomes[T]", self._task.outcomes)  # set before `__init__` returns

    def _leave(self) -> bool:
        # Return whether to wait for the end.
        if self._ended.is_set() or self._thread.pid != os.getpid():
            return False
        self._thread.post(self._task.leave)
        return not self._thread.is_current()

    def _in_loop(self, read: Callable[[], R]) -> R:
        # What changes in the event loop is read there, as long as it runs.
        if self._ended.is_set():
            return read()
        self._thread.enter()

        async def run() -> R:
            return read()

        return self._thread.run(run())

    def _next(self) -> Outcome[T]:
        task, rows = self._task, self._task.rows
        while True:
            end = task.end  # before the look at the others, which the event loop adds to before it ends
            while self._skipped and self._on_skip is not None:
                self._on_skip(*self._skipped.popleft())
            if task.ready:
                if rows.has_room():
                    rows.pull(self._source, self._thread.post)
                return task.ready.popleft()
            if end is not None:
                task.end = None
                raise end
            if self._ended.is_set():
                self._job.result()
                raise RuntimeError(_OVER)
            if not task.asked:
                task.asked = True
                self._thread.post(task.want)
            if rows.has_room():
                rows.pull(self._source, self._thread.post)
            else:
                wait_for_release(self._signal)


def _notifiers(signal: Lock, ended: Event) -> tuple[Callable[[], None], Callable[[], None]]:
    # Return a function that ends one wait for *signal*, the present or the next one, and one that sets *ended* before.
    # They are called in the event loop only, and keep no BlockingOutcomes alive.
    def wake() -> None:
        if signal.locked():
            signal.release()

    def end() -> None:
        ended.set()
        wake()

    return wake, end


_OVER: Final = "this batch is over: iterate inside its `with client.batch(...)`"
