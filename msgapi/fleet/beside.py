"""Beside: a task that runs for as long as a block does."""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import anyio


@asynccontextmanager
async def beside(task: Callable[[], Coroutine[Any, Any, object]]) -> AsyncIterator[None]:
    """Run *task* for the time of a block, and cancel it at its end; what either raises comes out as itself."""
    left: BaseException | None = None
    try:
        async with anyio.create_task_group() as tasks:
            _ = tasks.start_soon(task)
            try:
                yield
            except anyio.get_cancelled_exc_class():
                raise
            except BaseException as error:  # noqa: BLE001 - raised again below, as itself and not in a group
                left = error
            finally:
                tasks.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        left = left or group.exceptions[0]
    if left is not None:
        raise left
