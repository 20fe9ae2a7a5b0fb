"""Beside: tasks that run together, or for as long as a block does; what they raise comes out as itself."""

from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeAlias, TypeVar

import anyio

T = TypeVar("T")
Task: TypeAlias = Callable[[], Coroutine[Any, Any, object]]


def _own(group: BaseExceptionGroup[BaseException]) -> BaseException:
    return group.exceptions[0]


@asynccontextmanager
async def as_itself(
    context: AbstractAsyncContextManager[T], first: Callable[[BaseExceptionGroup[BaseException]], BaseException] = _own
) -> AsyncIterator[T]:
    """Enter *context*, which has tasks; what the block or, by *first* of several, a task raises comes out as itself."""
    # What leaves a task group leaves it as a group, so an exception is carried around it instead.
    left: BaseException | None = None
    try:
        async with context as value:
            try:
                yield value
            except anyio.get_cancelled_exc_class():
                raise
            except BaseException as error:  # noqa: BLE001 - raised again below
                left = error
    except BaseExceptionGroup as group:
        left = left or first(group)
    if left is not None:
        raise left


@asynccontextmanager
async def beside(task: Task) -> AsyncIterator[None]:
    """Run *task* for the time of a block, and cancel it at its end; what either raises comes out as itself."""
    async with as_itself(anyio.create_task_group()) as tasks:
        _ = tasks.start_soon(task)
        try:
            yield
        finally:
            tasks.cancel_scope.cancel()


async def together(tasks: Iterable[Task]) -> None:
    """Run *tasks* until all have ended; what one raises cancels the others and comes out as itself."""
    async with as_itself(anyio.create_task_group()) as group:
        for task in tasks:
            _ = group.start_soon(task)
