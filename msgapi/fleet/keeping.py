"""Keeping: what must stay open until those who use it have said farewell."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeVar

import anyio
from anyio.abc import TaskStatus

T = TypeVar("T")


@asynccontextmanager
async def kept(context: AbstractAsyncContextManager[T]) -> AsyncIterator[T]:
    """Open *context* for a block; who cancels the block does not cancel it, so that it serves to the block's end.

    A connection whose tasks run in a group of the block would be gone when the block gives its chunks back.
    """
    over = anyio.Event()

    async def keep(*, task_status: TaskStatus[T]) -> None:
        with anyio.CancelScope(shield=True):
            async with context as value:
                task_status.started(value)
                await over.wait()

    async with anyio.create_task_group() as tasks:
        value: T = await tasks.start(keep)
        try:
            yield value
        finally:
            over.set()
