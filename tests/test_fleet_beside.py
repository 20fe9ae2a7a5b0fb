"""fleet.beside: what tasks and blocks raise comes out as itself, and a cancellation passes through."""

import anyio
import pytest

from msgapi.fleet.beside import beside, together

pytestmark = pytest.mark.anyio


async def forever() -> None:
    await anyio.sleep_forever()


async def failing() -> None:
    raise ValueError("of the task")


async def test_the_task_ends_with_the_block() -> None:
    with anyio.fail_after(5):
        async with beside(forever):
            pass


async def test_what_the_block_raises_comes_out_as_itself() -> None:
    with pytest.raises(KeyError, match="of the block"):
        async with beside(forever):
            raise KeyError("of the block")


async def test_what_the_task_raises_comes_out_as_itself_and_ends_the_block() -> None:
    with pytest.raises(ValueError, match="of the task"):
        async with beside(failing):
            await anyio.sleep_forever()


async def test_a_cancellation_passes_through() -> None:
    with anyio.CancelScope() as scope:
        async with beside(forever):
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught


async def test_of_tasks_that_run_together_one_that_raises_ends_the_others() -> None:
    with pytest.raises(ValueError, match="of the task"):
        await together([forever, failing])
