"""Cancellation at every await of client, batch and journal together: nothing is left, and the same batch goes on."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from msgapi import Client, Ok, Retry, batch, journal
from msgapi.journal import State, Unusable
from msgapi.sandbox import Sandbox
from msgapi.transports.faults import Faulty
from tests.support.batch_calls import BACKENDS
from tests.support.journals import rows

T = TypeVar("T")
COUNT = 20


@pytest.fixture(autouse=True)
def no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads would bring chance into it: what is for one is done here, between two waits."""

    async def run_sync(work: Callable[..., T], *what: object) -> T:
        await anyio.lowlevel.checkpoint()
        done = work(*what)
        await anyio.lowlevel.cancel_shielded_checkpoint()
        return done

    monkeypatch.setattr(anyio.to_thread, "run_sync", run_sync)


async def cancel_after(steps: int, scope: anyio.CancelScope) -> None:
    for _ in range(steps):
        await anyio.lowlevel.checkpoint()
    scope.cancel()


async def send(api: Client, path: Path) -> None:
    async with (
        journal.open(str(path), batch="b") as record,
        batch.send(api, rows(COUNT), journal=record, concurrency=2) as outcomes,
    ):
        async for outcome in outcomes:
            assert isinstance(outcome.result, Ok)
            await anyio.lowlevel.checkpoint()


async def cancelled(steps: int, path: Path) -> bool:
    """Send a batch, and cancel it after so many *steps* of the loop; tells whether it had ended before."""
    box, before, ended = Sandbox(timing=None), len(anyio.get_running_tasks()), False
    lossy = Faulty(box, rates={"lost": 0.2, "unavailable": 0.2}, seed=7)
    async with Client(api_key=box.api_key, transport=lossy, retry=Retry(base=1e-6, attempts=20)) as api:
        async with anyio.create_task_group() as tasks:
            with anyio.CancelScope() as scope:
                tasks.start_soon(cancel_after, steps, scope)
                await send(api, path)
                ended = True
            tasks.cancel_scope.cancel()
        assert len(anyio.get_running_tasks()) == before
        assert sum(api._sender.pace.lane(band).in_flight for band in api._sender.queues) == 0
        check_journal(path, box)
        await send(api, path)
    assert len({message.to for message in box.messages}) == len(box.messages) == COUNT
    with journal.open_readonly(str(path)) as read:
        assert read.summary().rows() == read.summary().rows(State.ACCEPTED) == COUNT
        assert read.summary().hold == box.balance.reserved
    return ended


def check_journal(path: Path, box: Sandbox) -> None:
    """What the journal has of a batch that was cancelled is so, and nothing that was accepted is missing in it."""
    try:
        with journal.open_readonly(str(path)) as read:
            lines = list(read.rows())
    except Unusable as error:
        if error.reason != "missing":
            raise
        lines = []
    told = {line.message_id for line in lines if line.state is State.ACCEPTED}
    sent = {message.id for message in box.messages}
    assert told <= sent
    assert len(sent - told) <= sum(line.state in {State.STARTED, State.UNKNOWN} for line in lines)


@BACKENDS
def test_cancelled_at_every_await_nothing_is_left_and_the_same_batch_goes_on(backend: str, tmp_path: Path) -> None:
    steps = 1
    while not anyio.run(cancelled, steps, tmp_path / f"{steps}.db", backend=backend):
        steps += 1
        assert steps < 500, "the batch does not end"
    assert steps > COUNT
