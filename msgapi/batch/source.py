"""Source: the calls of a batch, one iterator that many workers pull from."""

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from enum import Enum
from typing import Final, Generic, Literal, Protocol, TypeAlias, TypeVar, final

import anyio

from ..calls import Call
from ..results import Result
from .outcome import Due, Outcome

T = TypeVar("T")


class _End(Enum):
    END = "end"


End: TypeAlias = Literal[_End.END]
END: Final = _End.END


class Queue(Protocol[T]):
    """Where workers find what is due, and say what became of it."""

    @property
    def exhausted(self) -> bool:
        """Whether there is nothing more to come."""
        ...  # pragma: no cover

    async def pull(self, wanted: Callable[[], bool]) -> Due[T] | End:
        """Take the next row; END if there is none, or if *wanted* says no when its turn has come."""
        ...  # pragma: no cover

    def settle(self, due: Due[T], result: Result[T]) -> Result[T]:
        """Take down what became of *due*; gives what is to be told of it."""
        ...  # pragma: no cover

    def release(self, due: Due[T]) -> None:
        """Take back that *due* was pulled: it was not sent."""
        ...  # pragma: no cover

    def repeat(self, outcome: Outcome[T]) -> None:
        """Have the call of *outcome* come again, before all else."""
        ...  # pragma: no cover

    async def close(self) -> None:
        """Let go of what was opened."""
        ...  # pragma: no cover


@final
class Source(Generic[T]):
    """Items that are still to come. Any number of tasks may pull from it.

    Nothing pulled is lost: an item that arrives when it is no longer wanted is kept for the next pull.
    """

    def __init__(self, items: Iterable[T] | AsyncIterable[T]) -> None:
        """Begin at the start of *items*."""
        self.exhausted: bool = False
        self._awaited: AsyncIterator[T] | None = None
        self._ready: Iterator[T] = iter(())
        if isinstance(items, AsyncIterable):
            self._awaited = aiter(items)
        else:
            self._ready = iter(items)
        self._turn = anyio.Lock(fast_acquire=True)
        self._kept: list[T] = []

    async def pull(self, wanted: Callable[[], bool]) -> T | End:
        """Take the next item; END if there is none, or if *wanted* says no when its turn has come."""
        if self._awaited is not None:
            return await self._pull_in_turn(self._awaited, wanted)
        item = next(self._ready, END)
        self.exhausted = item is END
        return item

    async def _pull_in_turn(self, items: AsyncIterator[T], wanted: Callable[[], bool]) -> T | End:
        async with self._turn:  # an async generator cannot be entered twice
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
        if isinstance(self._awaited, AsyncGenerator):
            await self._awaited.aclose()


@final
class Plain(Generic[T]):
    """Calls without a journal."""

    def __init__(self, calls: Iterable[Call[T]] | AsyncIterable[Call[T]]) -> None:
        """Begin at the start of *calls*."""
        self._source = Source(calls)
        self._pulled = 0
        self._again: deque[Due[T]] = deque()

    @property
    def exhausted(self) -> bool:
        """Whether there is nothing more to come."""
        return self._source.exhausted and not self._again

    async def pull(self, wanted: Callable[[], bool]) -> Due[T] | End:
        """Take the next call."""
        if self._again:
            return self._again.popleft()
        call = await self._source.pull(wanted)
        if call is END:
            return END
        self._pulled += 1
        return Due(self._pulled - 1, call)

    def settle(self, due: Due[T], result: Result[T]) -> Result[T]:  # noqa: ARG002 - of the protocol
        """Keep nothing."""
        return result

    def release(self, due: Due[T]) -> None:
        """Keep nothing."""

    def repeat(self, outcome: Outcome[T]) -> None:
        """Have the call of *outcome* come again, before all else."""
        self._again.append(Due(outcome.index, outcome.call))

    async def close(self) -> None:
        """Close the source."""
        await self._source.close()
