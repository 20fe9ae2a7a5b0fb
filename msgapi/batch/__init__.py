"""Batches: any number of calls, so many at once, each outcome as it ends."""

from collections.abc import AsyncIterable, AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeVar

import anyio

from ..calls import Api, Call
from .breaker import Breaker, Reason, Stopped
from .outcomes import Outcome, Outcomes
from .source import Source

T = TypeVar("T")

__all__ = ["Outcome", "Outcomes", "Reason", "Stopped", "sending"]


def sending(
    api: Api,
    calls: Iterable[Call[T]] | AsyncIterable[Call[T]],
    *,
    at_once: int = 64,
    breaker: int | None = 25,
) -> AbstractAsyncContextManager[Outcomes[T]]:
    """Send *calls* through *api*, at most *at_once* of them in flight.

    Use it as `async with sending(api, calls) as outcomes: async for outcome in outcomes: ...`.
    Sending starts with the iteration and keeps its pace: *calls* is pulled only as fast as they are
    sent and their outcomes taken, so its length costs no memory. A plain iterable is pulled in the
    event loop and must not block; what waits, such as a slow file, belongs in an async iterable,
    which is pulled by one task at a time. An async generator is closed at the end.

    The first 401 or 402 stops the sending, and so do *breaker* refusals in a row that say the same
    and are not the row's own fault (None: never); see `Outcomes.stopped`. What *calls* or *api*
    raises comes out of the iteration, and what the loop's body raises out of the `async with`: as
    itself, never in a group. Leaving early cancels what is in flight; `Outcomes.stop` lets it end.
    An *at_once* or a *breaker* below 1 is a ValueError.
    """
    if at_once < 1:
        raise ValueError(f"at_once must be at least 1, not {at_once}")
    if breaker is not None and breaker < 1:
        raise ValueError(f"breaker must be at least 1, or None for no breaker, not {breaker}")
    return _opened(api, Source(calls), at_once, Breaker(breaker))


@asynccontextmanager
async def _opened(api: Api, source: Source[T], at_once: int, breaker: Breaker) -> AsyncIterator[Outcomes[T]]:
    # What leaves a task group leaves it as a group, so an exception is carried around it instead.
    left: BaseException | None = None
    try:
        try:
            async with anyio.create_task_group() as tasks:
                try:
                    yield Outcomes(api, source, breaker, tasks, at_once)
                except anyio.get_cancelled_exc_class():
                    raise
                except BaseException as error:  # noqa: BLE001 - raised again below
                    left = error
                finally:
                    tasks.cancel_scope.cancel()
        except BaseExceptionGroup as group:  # workers let nothing out but the likes of KeyboardInterrupt
            left = group.exceptions[0]
        if left is not None:
            raise left
    finally:
        await source.close()
