"""Waiting for what happens in a sandbox: a change of any kind, or a message.

Rules:
- A wait ends by itself: its timeout is on the clock that the sandbox was given, which is not paused with the sandbox.
- What is due meanwhile happens at its time, whether or not something else moves the account on.
- Only what has changed is looked at again, so that a wait costs the same in a log of any length.
"""

from collections.abc import Callable
from typing import Protocol

import anyio

from ..clock import Clock
from ..concurrency import task_group
from ..http import Request
from .account import Account
from .http.responses import SimulatedResponse
from .model.changes import ChangeFeed
from .model.inspection import MessageFilter, find_awaited
from .model.messages import LogEntry
from .rules.lifecycle import advance


class Waitable(Protocol):
    """A sandbox. Its account may be replaced by another one, whose feed of changes is another one, too."""

    clock: Clock

    @property
    def account(self) -> Account:
        """The account."""
        ...  # pragma: no cover

    def time(self) -> float:
        """Return the time of the sandbox, in Unix seconds."""
        ...  # pragma: no cover

    async def sleep(self, seconds: float) -> None:
        """Wait until *seconds* of the time of the sandbox have passed."""
        ...  # pragma: no cover

    def handle(self, request: Request) -> SimulatedResponse:
        """Return the response to *request* at once."""
        ...  # pragma: no cover


async def wait_for_change(sandbox: Waitable, feed: ChangeFeed, seconds: float) -> None:
    """Wait until *feed* has a further change or has ended, something was due, or *seconds* have passed.

    *feed* is that of the present account, and the caller has seen all of its changes.
    """
    ended, due = anyio.Event(), sandbox.account.state.schedule.next_at()
    async with task_group() as tasks:

        async def expire() -> None:
            await sandbox.clock.sleep(seconds)
            ended.set()

        async def carry_out(at: float) -> None:
            await sandbox.sleep(max(0.0, at - sandbox.time()))
            advance(sandbox.account.state, sandbox.time())
            ended.set()

        _ = tasks.start_soon(expire)
        if due is not None:
            _ = tasks.start_soon(carry_out, due)
        with feed.notifying(ended.set):
            await ended.wait()
        tasks.cancel_scope.cancel()


async def answer(sandbox: Waitable, request: Request) -> SimulatedResponse:
    """Return the response to *request*; one that waits for a message is answered when that has come."""
    simulated = sandbox.handle(request)
    if simulated.wait is None:
        return simulated
    until = sandbox.clock.now() + simulated.wait.seconds
    while simulated.wait is not None and await _wait_for_match(sandbox, simulated.wait.matches, until):
        simulated = sandbox.handle(request)
    return simulated


async def wait_for_message(sandbox: Waitable, wanted: MessageFilter, timeout: float) -> LogEntry:  # noqa: ASYNC109 - on the clock of the sandbox
    """Return the message that is *wanted*, when it has come. Raise TimeoutError if that takes *timeout* seconds."""
    until = sandbox.clock.now() + timeout
    while True:
        advance(sandbox.account.state, sandbox.time())
        state = sandbox.account.state
        entry = find_awaited(state.log, state.conversations, wanted)
        if entry is not None:
            return entry
        if not await _wait_for_match(sandbox, wanted.matches, until):
            newest = next(state.log.newest_first(), None)
            seen = "there is none" if newest is None else f"the newest of {len(state.log)} is {newest.status}"
            raise TimeoutError(f"no message matched within {timeout:g} seconds: {seen}")


async def _wait_for_match(sandbox: Waitable, matches: Callable[[LogEntry], bool], until: float) -> bool:
    """Wait until a message that matches has changed, or all may have; return False if the time is over before."""
    feed = sandbox.account.state.changes
    position = feed.count
    while (left := until - sandbox.clock.now()) > 0:
        await wait_for_change(sandbox, feed, left)
        summary = feed.since(position)
        if summary is None:
            return True
        log = sandbox.account.state.log
        entries = [log.find(one) for one in summary.messages]
        if any(entry is not None and matches(entry) for entry in entries):
            return True
        position = summary.position
    return False
