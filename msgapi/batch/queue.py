"""Queue: the rows of a batch, one source that many workers pull from."""

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from enum import Enum
from typing import Final, Generic, Literal, Protocol, TypeAlias, TypeVar, final

import anyio
from attrs import define

from ..calls import Call
from ..results import ApiError, Result
from .outcomes import Outcome

T = TypeVar("T")


class _End(Enum):
    END = "end"


End: TypeAlias = Literal[_End.END]
END: Final = _End.END


@final
@define(eq=False, repr=False)
class PendingRow(Generic[T]):
    """A row that is to be sent.

    *maybe_sent* says whether an earlier run may have sent it. *verdict* is its result if it is not to be sent. If it
    has failed and is to be sent again, *last* is the error, and *recoveries* counts how often the service had responded
    by then.
    """

    index: int
    call: Call[T]
    id: str = ""
    verdict: ApiError | None = None
    maybe_sent: bool = False
    last: ApiError | None = None
    recoveries: int = 0


class RowQueue(Protocol[T]):
    """Where workers get rows from, and report their results to."""

    @property
    def exhausted(self) -> bool:
        """Whether no more rows will come."""
        ...  # pragma: no cover

    async def pull(self, wanted: Callable[[], bool]) -> PendingRow[T] | End:
        """Return the next row; END if there is none, or if *wanted* returns False when it is this caller's turn."""
        ...  # pragma: no cover

    def settle(self, row: PendingRow[T], result: Result[T]) -> Result[T]:
        """Record the result of *row*; return the result to report."""
        ...  # pragma: no cover

    def release(self, row: PendingRow[T]) -> None:
        """Record that *row* was pulled but not sent."""
        ...  # pragma: no cover

    def repeat(self, outcome: Outcome[T]) -> None:
        """Put the call of *outcome* at the front of the queue."""
        ...  # pragma: no cover

    async def close(self) -> None:
        """Close the source."""
        ...  # pragma: no cover


@final
class Source(Generic[T]):
    """The remaining items of an iterable or async iterable. Any number of tasks may pull from it.

    No pulled item is lost: an item that arrives when it is no longer wanted is kept for the next pull.
    """

    def __init__(self, items: Iterable[T] | AsyncIterable[T]) -> None:
        """Start at the first of *items*."""
        self.exhausted: bool = False
        self._async_items: AsyncIterator[T] | None = None
        self._items: Iterator[T] = iter(())
        if isinstance(items, AsyncIterable):
            self._async_items = aiter(items)
        else:
            self._items = iter(items)
        self._lock = anyio.Lock(fast_acquire=True)
        self._kept: list[T] = []

    async def pull(self, wanted: Callable[[], bool]) -> T | End:
        """Return the next item; END if there is none, or if *wanted* returns False when it is this caller's turn."""
        if self._async_items is not None:
            return await self._pull_async(self._async_items, wanted)
        item = next(self._items, END)
        self.exhausted = item is END
        return item

    async def _pull_async(self, items: AsyncIterator[T], wanted: Callable[[], bool]) -> T | End:
        async with self._lock:  # an async generator cannot be entered twice
            if not wanted():
                return END
            if self._kept:
                return self._kept.pop()
            item = await anext(items, END)
            self.exhausted = item is END
        if item is END or wanted():
            return item
        self._kept.append(item)
        return END

    async def close(self) -> None:
        """Close an async generator, which must not be left to the garbage collector."""
        if isinstance(self._async_items, AsyncGenerator):
            await self._async_items.aclose()


@final
class PlainQueue(Generic[T]):
    """The rows of a batch without a journal."""

    def __init__(self, calls: Iterable[Call[T]] | AsyncIterable[Call[T]]) -> None:
        """Start at the first of *calls*."""
        self._source = Source(calls)
        self._pulled = 0
        self._repeated: deque[PendingRow[T]] = deque()

    @property
    def exhausted(self) -> bool:
        """Whether no more rows will come."""
        return self._source.exhausted and not self._repeated

    async def pull(self, wanted: Callable[[], bool]) -> PendingRow[T] | End:
        """Return the next row."""
        if self._repeated:
            return self._repeated.popleft()
        call = await self._source.pull(wanted)
        if call is END:
            return END
        self._pulled += 1
        return PendingRow(self._pulled - 1, call)

    def settle(self, row: PendingRow[T], result: Result[T]) -> Result[T]:  # noqa: ARG002 - of the protocol
        """Return *result*; nothing is recorded."""
        return result

    def release(self, row: PendingRow[T]) -> None:
        """Do nothing; nothing is recorded."""

    def repeat(self, outcome: Outcome[T]) -> None:
        """Put the call of *outcome* at the front of the queue."""
        self._repeated.append(PendingRow(outcome.index, outcome.call))

    async def close(self) -> None:
        """Close the source."""
        await self._source.close()
