"""Task groups whose exceptions leave as themselves, and cancellations that were not requested.

A task group of anyio wraps every exception in an ExceptionGroup. Callers of this package expect the exception itself,
so it is carried around the group.
"""

import math
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeAlias, TypeVar

import anyio
from anyio.abc import TaskGroup

T = TypeVar("T")
Task: TypeAlias = Callable[[], Coroutine[Any, Any, object]]


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    return group.exceptions[0]


@asynccontextmanager
async def unwrapped(
    context: AbstractAsyncContextManager[T],
    select: Callable[[BaseExceptionGroup[BaseException]], BaseException] = _first,
) -> AsyncIterator[T]:
    """Enter *context*, which runs tasks, and raise what leaves it as itself instead of in a group.

    An exception of the block takes precedence over those of the tasks, except for a KeyboardInterrupt or SystemExit of
    a task. Of several exceptions of tasks, *select* chooses one; by default it is the first.
    """
    raised: BaseException | None = None
    try:
        async with context as value:
            try:
                yield value
            except anyio.get_cancelled_exc_class():
                raise
            except BaseException as error:  # noqa: BLE001 - raised again below
                raised = error
    except BaseExceptionGroup as group:
        selected = select(group)
        if raised is None or not isinstance(selected, Exception):
            raised = selected
    if raised is not None:
        raise raised


@asynccontextmanager
async def task_group() -> AsyncIterator[TaskGroup]:
    """Open a task group that is cancelled at the end of the block; exceptions leave as themselves."""
    async with unwrapped(anyio.create_task_group()) as tasks:
        try:
            yield tasks
        finally:
            tasks.cancel_scope.cancel()


@asynccontextmanager
async def background(task: Task) -> AsyncIterator[None]:
    """Run *task* for the duration of the block and cancel it at its end; exceptions leave as themselves."""
    async with task_group() as tasks:
        _ = tasks.start_soon(task)
        yield


async def run_all(tasks: Iterable[Task]) -> None:
    """Run *tasks* until all have ended; an exception of one cancels the others and leaves as itself."""
    async with unwrapped(anyio.create_task_group()) as group:
        for task in tasks:
            _ = group.start_soon(task)


def unrequested_cancellation(error: BaseException, what: str) -> Exception:
    """Return a RuntimeError for a cancellation that no scope requested; raise *error* again if one did.

    Such a cancellation arrives when somebody cancels a future or task that *what* awaits.
    """
    if anyio.current_effective_deadline() == -math.inf:
        raise error
    unrequested = RuntimeError(f"{what} was cancelled from within: the batch itself was not cancelled")
    unrequested.__cause__ = error
    return unrequested
