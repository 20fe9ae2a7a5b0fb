"""How long a client is open, and where it may be used.

Rules:
- A client belongs to the event loop, the thread and the process of its first use: elsewhere it raises RuntimeError
  before anything leaves.
- A transport that a client opened is closed in its own event loop: by `aclose`, or else when the client is collected,
  when the loop ends or when the interpreter exits, with one ResourceWarning.
- In the process that a fork makes, nothing is closed: the connections are the parent's.
- A call that follows the first one makes no system call here.
"""

import asyncio
import atexit
import logging
import os
import warnings
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from threading import get_ident
from typing import Any, Final, final
from weakref import WeakSet

import anyio
from anyio.lowlevel import current_token
from attrs import define, field, frozen

from .transports import Transport

_log: Final = logging.getLogger("msgapi")
_PATIENCE: Final = 1.0  # seconds that closing may take while the interpreter exits


@final
@define(eq=False)
class Held:
    """An open transport that a client closes, by the *manager* that opened it; *name* is that of the client."""

    name: str
    loop: Any  # asyncio's loop, or trio's token
    manager: AbstractAsyncContextManager[Transport]
    closed: bool = False
    inherited: bool = False
    _reported: bool = False
    _sentinel: AsyncGenerator[None, None] = field(init=False)

    async def begin(self) -> None:
        """Have it closed when the event loop ends."""
        self._sentinel = self._until_loop_ends()
        await anext(self._sentinel)
        _OPEN.add(self)

    async def close(self) -> None:
        """Close it, once."""
        try:
            await self._close()
        finally:
            await anext(self._sentinel, None)

    def abandon(self) -> None:
        """Report that nobody closed it, and close it in its loop; callable in any thread."""
        if self.closed or self.inherited:
            return
        try:
            self._report()
        finally:
            with suppress(RuntimeError):  # the loop has ended by now
                self._leave_to_loop()

    def abandon_at_exit(self) -> None:
        """Do the same when no loop will run any more."""
        self.abandon()
        loop = self.loop
        left = isinstance(loop, asyncio.AbstractEventLoop) and not (self.closed or self.inherited or loop.is_running())
        if left:
            _ = loop.run_until_complete(asyncio.wait([loop.create_task(self._end())], timeout=_PATIENCE))

    def _leave_to_loop(self) -> None:
        if not isinstance(self.loop, asyncio.AbstractEventLoop):
            self.loop.run_sync_soon(self._spawn_on_trio)
        elif self.loop.is_closed():
            _run_without_loop(self.close)
        else:
            _ = self.loop.call_soon_threadsafe(self._spawn)

    def _spawn(self) -> None:
        _TASKS.add(task := asyncio.ensure_future(self._end()))
        task.add_done_callback(_TASKS.discard)

    def _spawn_on_trio(self) -> None:
        from trio.lowlevel import spawn_system_task

        with suppress(RuntimeError):  # the loop is ending, and closes it then
            _ = spawn_system_task(self._end)

    async def _end(self) -> None:
        try:
            await self.close()
        except Exception as error:  # noqa: BLE001 - there is no caller to raise it to
            _log.warning("a transport could not be closed: %s", type(error).__name__)

    async def _close(self) -> None:
        if not self.closed:
            self.closed = True
            _OPEN.discard(self)
            _ = await self.manager.__aexit__(None, None, None)

    async def _until_loop_ends(self) -> AsyncGenerator[None, None]:
        # At its end an event loop closes the asynchronous generators that are left: the last moment to close anything.
        try:
            yield
        except GeneratorExit:
            try:
                self._report()
            finally:
                await self._close()
            raise

    def _report(self) -> None:
        if not self._reported:
            self._reported = True
            text = f"unclosed {self.name}: close it by `async with` or by `await client.aclose()`"
            warnings.warn(text, ResourceWarning, stacklevel=2, source=self)


@final
@frozen(eq=False)
class _Home:
    # Where a client is used: asyncio's loop or trio's token, the thread, and the lock to open it under.
    loop: Any
    thread: int
    lock: anyio.Lock


@final
@define(eq=False)
class Lifetime:
    """The state of one client: not open, open or closed, and the place that it belongs to.

    A call is in the right place if it runs in *thread* and a task of *loop* is running; both are None where
    that does not suffice, and then `enter` finds out.
    """

    thread: int | None = None
    loop: asyncio.AbstractEventLoop | None = None
    state: str = "not open"
    _home: dict[str, _Home] = field(factory=dict, init=False)  # one at most, as `setdefault` is safe between threads
    _held: Held | None = None

    async def enter(self, start: Callable[[], Awaitable[Held | None]]) -> None:
        """Return once the client is open, which *start* does at the first use; raise RuntimeError in a wrong place."""
        self._check()
        if self.state == "open":
            return
        home = self._claim()
        async with home.lock:
            self._check()
            if self.state == "not open":
                await self._open(start)

    async def close(self) -> None:
        """Close what the client has opened, once; a transport that was passed in opened stays as it is."""
        held = self._held
        if held is not None and not held.closed and not held.inherited:
            self._check_place()
        self._end("closed")
        if held is not None and not held.inherited:
            await held.close()

    def disown(self) -> None:
        """Refuse every further use, since this is another process than that of the first use."""
        if self.state != "closed":
            self._end("forked")
        if self._held is not None:
            self._held.inherited = True

    def _claim(self) -> _Home:
        _LIFETIMES.add(self)
        return self._home.setdefault("", _Home(current_token().native_token, get_ident(), anyio.Lock()))

    async def _open(self, start: Callable[[], Awaitable[Held | None]]) -> None:
        home = self._claim()
        try:
            held = self._held = await start()
        except BaseException:
            self._home.clear()  # it may be opened elsewhere
            raise
        if self.state != "not open":  # it was closed in the meantime
            if held is not None:
                await held.close()
            self._check()
        self.state = "open"
        if isinstance(home.loop, asyncio.AbstractEventLoop):
            self.thread, self.loop = home.thread, home.loop

    def _end(self, state: str) -> None:
        self.state, self.thread, self.loop = state, None, None

    def _check(self) -> None:
        if self.state == "closed":
            raise RuntimeError(
                "this client is closed: make another by msgapi.Client(), or close it after its last call"
            )
        if self.state == "forked":
            raise RuntimeError(
                "this client belongs to the process that used it first, and this process is a fork of it: "
                "make a msgapi.Client in each process, or use it only after the fork"
            )
        self._check_place()

    def _check_place(self) -> None:
        home = self._home.get("")
        if home is None:
            return
        if home.thread != get_ident():
            raise RuntimeError(_ELSEWHERE.format("thread and event loop"))
        if current_token().native_token is not home.loop:
            raise RuntimeError(_ELSEWHERE.format("event loop"))


async def hold(manager: AbstractAsyncContextManager[Transport], name: str) -> tuple[Held, Transport]:
    """Open the transport of *manager* for a client called *name*, to be closed at the end of the event loop at last."""
    transport = await manager.__aenter__()
    held = Held(name, current_token().native_token, manager)
    await held.begin()
    return held, transport


def _run_without_loop(close: Callable[[], Awaitable[None]]) -> None:
    # As far as it goes: the loop is closed, so nothing that waits for it ends.
    steps = close().__await__()
    with suppress(StopIteration, RuntimeError):
        _ = next(steps)
    steps.close()


_ELSEWHERE: Final = (
    "this client belongs to the {} that used it first, and this is another: make a msgapi.Client for each event loop"
)
_OPEN: Final[set[Held]] = set()  # strong references, so that none of them is collected while it is open
_TASKS: Final[set[asyncio.Future[None]]] = set()  # the same, for asyncio's weak ones
_LIFETIMES: Final[WeakSet[Lifetime]] = WeakSet()


def _disown_all() -> None:
    for lifetime in _LIFETIMES:
        lifetime.disown()


@atexit.register
def _abandon_all() -> None:
    for held in tuple(_OPEN):
        held.abandon_at_exit()


if hasattr(os, "register_at_fork"):  # pragma: no branch - not on Windows
    os.register_at_fork(after_in_child=_disown_all)
