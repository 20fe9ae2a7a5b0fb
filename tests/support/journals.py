"""What the tests of journals share: rows with ids, and a journal in a folder of its own."""

import sqlite3
from collections.abc import AsyncIterable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, closing, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import anyio.lowlevel
from attrs import define, field

from msgapi import Call, Caller, Ok, Result, batch, journal, messages
from msgapi.clock import VirtualClock
from msgapi.journal import Journal
from msgapi.journal.opening import open_part
from msgapi.messages import Accepted, Billing

T = TypeVar("T")
PRICE = Billing(message_price=Decimal("0.07"), hold_amount=Decimal("0.08"), message_type="basic_message")
HOUR = 3600.0


def message(number: int, text: str = "Hi") -> Call[Accepted]:
    to = f"+49151{number:08}"
    return messages.send(messages.Text(agent_id="ag_live_demo", to=to, traffic_type="TRANSACTION", text=text))


def rows(count: int, text: str = "Hi") -> Iterator[tuple[str, Call[Accepted]]]:
    return ((str(number), message(number, text)) for number in range(count))


def opened(
    directory: Path,
    name: str = "b1",
    clock: VirtualClock | None = None,
    **options: Any,  # noqa: ANN401 - those of `opened`
) -> AbstractAsyncContextManager[Journal]:
    return journal.open(str(directory / "run.db"), batch=name, clock=clock or VirtualClock(), **options)


@contextmanager
def edited(path: Path | str) -> Iterator[sqlite3.Connection]:
    """Change a closed journal in a way that its own program could have done."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection
    with open_part(str(path), str(path)):
        pass  # seals it


@define
class Service:
    """An api that accepts, and answers what *instead* has for the n-th call; remembers the keys."""

    instead: dict[int, Result[Any]] = field(factory=dict)
    keys: list[str | None] = field(factory=list)

    async def __call__(self, call: Call[T], /) -> Result[T]:
        await anyio.lowlevel.checkpoint()
        if call.invalid is not None:
            return call.invalid
        self.keys.append(call.idempotency_key)
        value: Any = Accepted(message_id=f"msg_{len(self.keys)}", billing=PRICE)
        return self.instead.get(len(self.keys), Ok(value))


Rows = Iterable[tuple[str, Call[Accepted]]] | AsyncIterable[tuple[str, Call[Accepted]]]


async def sent(
    api: Caller,
    items: Rows,
    record: Journal,
    **options: Any,  # noqa: ANN401 - those of `sending`
) -> tuple[dict[str, Result[Accepted]], batch.Outcomes[Accepted]]:
    found: dict[str, Result[Accepted]] = {}
    async with batch.send(api, items, journal=record, outage_timeout=0, **options) as outcomes:
        async for outcome in outcomes:
            found[outcome.id] = outcome.result
    return found, outcomes


async def drained(
    directory: Path, api: Caller, items: Rows, taken: list[str], clock: VirtualClock | None = None
) -> None:
    async with (
        opened(directory, clock=clock) as record,
        batch.send(api, items, journal=record, concurrency=4, outage_timeout=0) as outcomes,
    ):
        async for outcome in outcomes:
            taken.append(outcome.id)  # noqa: PERF401 - counts even if the next raises
