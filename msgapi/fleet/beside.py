"""Beside: tasks that run together, or for as long as a block does; what they raise comes out as itself."""

from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import anyio

Task: TypeAlias = Callable[[], Coroutine[Any, Any, object]]


@asynccontextmanager
async def beside(task: Task) -> AsyncIterator[None]:
    """Run *task* for the time of a block, and cancel it at its end; what either raises comes out as itself."""
    # What leaves a task group leaves it as a group, so an exception is carried around it instead.
    left: BaseException | None = None
    try:
        async with anyio.create_task_group() as tasks:
            _ = tasks.start_soon(task)
            try:
                yield
            except anyio.get_cancelled_exc_class():
                raise
            except BaseException as error:  # noqa: BLE001 - raised again below
                left = error
            finally:
                tasks.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        left = left or group.exceptions[0]
    if left is not None:
        raise left


async def together(tasks: Iterable[Task]) -> None:
    """Run *tasks* until all have ended; what one raises cancels the others and comes out as itself."""
    left: BaseException | None = None
    try:
        async with anyio.create_task_group() as group:
            for task in tasks:
                _ = group.start_soon(task)
    except BaseExceptionGroup as several:
        left = several.exceptions[0]
    if left is not None:
        raise left
