"""concurrency: what tasks and blocks raise leaves as itself, and a cancellation passes through."""

from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import pytest

from msgapi.concurrency import background, run_all

pytestmark = pytest.mark.anyio


async def forever() -> None:
    await anyio.sleep_forever()


async def failing() -> None:
    raise ValueError("of the task")


async def test_the_task_ends_with_the_block() -> None:
    with anyio.fail_after(5):
        async with background(forever):
            pass


async def test_what_the_block_raises_comes_out_as_itself() -> None:
    with pytest.raises(KeyError, match="of the block"):
        async with background(forever):
            raise KeyError("of the block")


async def test_what_the_task_raises_comes_out_as_itself_and_ends_the_block() -> None:
    with pytest.raises(ValueError, match="of the task"):
        async with background(failing):
            await anyio.sleep_forever()


async def test_a_cancellation_passes_through() -> None:
    with anyio.CancelScope() as scope:
        async with background(forever):
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught


async def test_of_tasks_that_run_together_one_that_raises_ends_the_others() -> None:
    with pytest.raises(ValueError, match="of the task"):
        await run_all([forever, failing])


class Interrupt(BaseException):
    """Stands for KeyboardInterrupt, which asyncio raises out of its event loop."""


async def interrupted() -> None:
    raise Interrupt


async def run_beside(task: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async with background(task):
        try:
            await anyio.sleep_forever()
        finally:
            raise KeyError("of the block")


async def test_an_interrupt_of_a_task_takes_precedence_over_the_exception_of_the_block() -> None:
    with pytest.raises(Interrupt):
        await run_beside(interrupted)


async def test_an_exception_of_the_block_takes_precedence_over_that_of_a_task() -> None:
    with pytest.raises(KeyError, match="of the block"):
        await run_beside(failing)
