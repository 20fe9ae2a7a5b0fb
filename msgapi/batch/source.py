"""Source: the calls of a batch, one iterator that many workers pull from."""

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from enum import Enum
from typing import Final, Generic, Literal, TypeAlias, TypeVar, final

import anyio

from ..calls import Call

T = TypeVar("T")


class _End(Enum):
    END = "end"


End: TypeAlias = Literal[_End.END]
END: Final = _End.END


@final
class Source(Generic[T]):
    """The calls that are still to be sent. Any number of tasks may pull from it.

    Nothing pulled is lost: a call that arrives when it is no longer wanted is kept for the next pull.
    """

    def __init__(self, calls: Iterable[Call[T]] | AsyncIterable[Call[T]]) -> None:
        """Begin at the start of *calls*."""
        self.exhausted: bool = False
        self._awaited: AsyncIterator[Call[T]] | None = None
        self._ready: Iterator[Call[T]] = iter(())
        if isinstance(calls, AsyncIterable):
            self._awaited = aiter(calls)
        else:
            self._ready = iter(calls)
        self._turn = anyio.Lock(fast_acquire=True)
        self._kept: list[Call[T]] = []

    async def pull(self, wanted: Callable[[], bool]) -> Call[T] | End:
        """Take the next call; END if there is none, or if *wanted* says no when its turn has come."""
        if self._awaited is not None:
            return await self._pull_in_turn(self._awaited, wanted)
        call = next(self._ready, END)
        self.exhausted = call is END
        return call

    async def _pull_in_turn(self, calls: AsyncIterator[Call[T]], wanted: Callable[[], bool]) -> Call[T] | End:
        async with self._turn:  # an async generator cannot be entered twice
            if not wanted():
                return END
            if self._kept:
                return self._kept.pop()
            call = await anext(calls, END)
            self.exhausted = call is END
        if call is END or wanted():
            return call
        self._kept.append(call)
        return END

    async def close(self) -> None:
        """Close an async generator, which must not be left to the garbage collector."""
        if isinstance(self._awaited, AsyncGenerator):
            await self._awaited.aclose()
