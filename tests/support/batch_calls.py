"""What the tests of batch share: rows, apis and ways to run them."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import Any, TypeVar

import anyio
import anyio.lowlevel
import pytest

from msgapi import Call, Caller, Ok, Result, batch

T = TypeVar("T")
BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])


def call(number: int) -> Call[int]:
    return Call("GET", f"/v1/rows/{number}", int)


def number(a_call: Call[Any]) -> int:
    return int(a_call.path.rsplit("/", 1)[1])


def rows(count: int) -> Iterator[Call[int]]:
    return map(call, range(count))


async def rows_later(count: int) -> AsyncIterator[Call[int]]:
    for row in rows(count):
        await anyio.lowlevel.checkpoint()
        yield row


async def drain(outcomes: batch.Outcomes[int], taken: list[int] | None = None) -> list[int]:
    taken = [] if taken is None else taken
    async for outcome in outcomes:
        taken.append(outcome.index)
    return taken


async def run(api: Caller, calls: Iterable[Call[int]], taken: list[int], concurrency: int) -> None:
    async with batch.send(api, calls, concurrency=concurrency) as outcomes:
        _ = await drain(outcomes, taken)


async def answer(a_call: Call[T]) -> Result[T]:
    await anyio.lowlevel.checkpoint()
    return Ok(a_call.returns())


async def answer_at_once(a_call: Call[T]) -> Result[T]:
    return Ok(a_call.returns())


class Busy:
    """An api that counts the calls in it; *wait* says what each of them does meanwhile."""

    def __init__(self, wait: Callable[[int], Awaitable[None]]) -> None:
        self.wait, self.now, self.most = wait, 0, 0

    async def __call__(self, a_call: Call[T]) -> Result[T]:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await self.wait(number(a_call))
        finally:
            self.now -= 1
        return Ok(a_call.returns())
