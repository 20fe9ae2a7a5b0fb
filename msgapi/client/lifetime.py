"""The lifetime of a client: what it opens, when it is open, and in which event loop, thread and process it can be used.

Rules:
- A client belongs to the event loop, the thread and the process of its first use. Elsewhere it raises RuntimeError
  before anything is sent.
- A transport that a client opened is closed in its own event loop: by `aclose`, or with one ResourceWarning when the
  client is collected, when the loop ends or when the interpreter exits.
- In a forked child process nothing is closed: the connections belong to the parent.
- For every call after the first one, the checks make no system call.
"""

import asyncio
import atexit
import logging
import os
import sys
import warnings
from asyncio import AbstractEventLoop
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from threading import get_ident
from typing import Any, Final, cast, final
from weakref import WeakSet

import anyio
from anyio.lowlevel import current_token
from attrs import define, field, frozen

from ..config import Misconfigured, check_url, is_unopened, key_problem
from ..transports import Transport
from ..transports.common.opening import FROM_ENVIRONMENT, ProxySetting, read_proxies
from ..version import VERSION

_log: Final = logging.getLogger("msgapi")
_EXIT_TIMEOUT: Final = 1.0  # seconds that closing may take while the interpreter exits


@final
@define(eq=False)
class OpenTransport:
    """An open transport that a client must close, and the *manager* that opened it. *name* is used in warnings."""

    name: str
    loop: Any  # asyncio's loop, or trio's token
    manager: AbstractAsyncContextManager[Transport]
    closed: bool = False
    inherited: bool = False
    _reported: bool = False
    _sentinel: AsyncGenerator[None, None] = field(init=False)

    async def begin(self) -> None:
        """Arrange that the transport is closed when the event loop ends."""
        self._sentinel = self._until_loop_ends()
        await anext(self._sentinel)
        _OPEN.add(self)

    async def close(self) -> None:
        """Close the transport. May be repeated."""
        try:
            await self._close()
        finally:
            await anext(self._sentinel, None)

    def close_with_warning(self) -> None:
        """Warn that the transport was not closed, and close it in its event loop. May be called in any thread."""
        if self.closed or self.inherited:
            return
        try:
            self._report()
        finally:
            with suppress(RuntimeError):  # the loop has ended
                self._close_in_loop()

    def close_at_exit(self) -> None:
        """Do the same as `close_with_warning` at the exit of the interpreter, when no event loop is running."""
        self.close_with_warning()
        loop = self.loop
        left = isinstance(loop, asyncio.AbstractEventLoop) and not (self.closed or self.inherited or loop.is_running())
        if left:
            _ = loop.run_until_complete(asyncio.wait([loop.create_task(self._end())], timeout=_EXIT_TIMEOUT))

    def _close_in_loop(self) -> None:
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

        with suppress(RuntimeError):  # the loop is ending, which closes the transport
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
        # When an event loop ends, it closes the remaining asynchronous generators. That is the last moment to close.
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
class _Owner:
    # Where a client may be used: asyncio's loop or trio's token, and the thread. The lock is taken while it opens.
    loop: Any
    thread: int
    lock: anyio.Lock


@final
@define(eq=False)
class Lifetime:
    """The *state* of one client ("not open", "open", "closed" or "forked"), and where it may be used.

    A call may proceed if it runs in *thread* and in a task of *loop*. If these are None, `enter` must check instead:
    the client is not open, or it runs on trio.
    """

    thread: int | None = None
    loop: asyncio.AbstractEventLoop | None = None
    state: str = "not open"
    _owner: dict[str, _Owner] = field(factory=dict, init=False)  # at most one entry; `setdefault` is thread-safe
    _transport: OpenTransport | None = None

    async def enter(self, start: Callable[[], Awaitable[OpenTransport | None]]) -> None:
        """Open the client with *start* if it is not open.

        Raise RuntimeError if it is closed, or belongs to another event loop, thread or process.
        """
        self._check()
        if self.state == "open":
            return
        owner = self._claim()
        async with owner.lock:
            self._check()
            if self.state == "not open":
                await self._open(start)

    async def close(self) -> None:
        """Close the transport that the client opened. May be repeated.

        Raise RuntimeError if the open transport belongs to another event loop or thread.
        """
        opened = self._transport
        if opened is not None and not opened.closed and not opened.inherited:
            self._check_place()
        self._end("closed")
        if opened is not None and not opened.inherited:
            await opened.close()

    def mark_forked(self) -> None:
        """Refuse every later use: this process was forked from the process of the first use."""
        if self.state != "closed":
            self._end("forked")
        if self._transport is not None:
            self._transport.inherited = True

    def _claim(self) -> _Owner:
        _LIFETIMES.add(self)
        return self._owner.setdefault("", _Owner(current_token().native_token, get_ident(), anyio.Lock()))

    async def _open(self, start: Callable[[], Awaitable[OpenTransport | None]]) -> None:
        owner = self._claim()
        try:
            opened = self._transport = await start()
        except BaseException:
            self._owner.clear()  # it may be opened elsewhere
            raise
        if self.state != "not open":  # it was closed while it opened
            if opened is not None:
                await opened.close()
            self._check()
        self.state = "open"
        if isinstance(owner.loop, asyncio.AbstractEventLoop):
            self.thread, self.loop = owner.thread, owner.loop

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
        owner = self._owner.get("")
        if owner is None:
            return
        if owner.thread != get_ident():
            raise RuntimeError(_ELSEWHERE.format("thread and event loop"))
        if current_token().native_token is not owner.loop:
            raise RuntimeError(_ELSEWHERE.format("event loop"))


async def open_transport(manager: AbstractAsyncContextManager[Transport], name: str) -> tuple[OpenTransport, Transport]:
    """Open the transport of *manager*, and close it at the end of the event loop at the latest.

    Return the handle that closes it, and the transport. *name* is the class of the client, for warnings.
    """
    transport = await manager.__aenter__()
    opened = OpenTransport(name, current_token().native_token, manager)
    await opened.begin()
    return opened, transport


def _run_without_loop(close: Callable[[], Awaitable[None]]) -> None:
    # The loop is closed, so this runs only up to the first wait.
    steps = close().__await__()
    with suppress(StopIteration, RuntimeError):
        _ = next(steps)
    steps.close()


_ELSEWHERE: Final = (
    "this client belongs to the {} that used it first, and this is another: make a msgapi.Client for each event loop"
)
_OPEN: Final[set[OpenTransport]] = set()  # strong references: an open transport must not be collected
_TASKS: Final[set[asyncio.Future[None]]] = set()  # strong references: asyncio keeps only weak ones
_LIFETIMES: Final[WeakSet[Lifetime]] = WeakSet()


def _mark_all_forked() -> None:
    for lifetime in _LIFETIMES:
        lifetime.mark_forked()


@atexit.register
def _close_all() -> None:
    for opened in tuple(_OPEN):
        opened.close_at_exit()


if hasattr(os, "register_at_fork"):  # pragma: no branch - not on Windows
    os.register_at_fork(after_in_child=_mark_all_forked)


BASE_URL: Final = "https://api.arowana.app"
MAX_CONNECTIONS: Final = 100
_SANDBOX_KEY: Final = "sk_sandbox"


@final
@define(eq=False, repr=False)
class ClientSetup:
    """The arguments of a client that are used when it opens, and what follows from them.

    *given* is the transport that was passed in. *connections* are the options of the default transport.
    """

    api_key: str | None
    base_url: str | None
    given: Transport | AbstractAsyncContextManager[Transport] | None
    connections: dict[str, Any]
    app_name: str | None
    allow_http: tuple[str, ...] = ()
    transport: Transport | None = None
    lifetime: Lifetime = field(factory=Lifetime, init=False)

    @property
    def is_sandbox(self) -> bool:
        """Whether no real messages are sent: the transport is a sandbox, or the key is that of one on a socket."""
        return getattr(self.given, "is_sandbox", False) or self.api_key == _SANDBOX_KEY

    async def open(self) -> OpenTransport | None:
        """Read the environment, and open the transport if it is not open; return what must be closed with the client.

        Raise Misconfigured if there is no API key, or if an environment variable is unsafe.
        """
        if self.base_url is None:
            self.base_url = check_url(os.environ.get("MSGAPI_BASE_URL") or BASE_URL, self.allow_http)
        self.api_key = self.api_key or os.environ.get("MSGAPI_API_KEY")
        if (problem := key_problem(self.api_key)) is not None:
            raise problem
        given = self.given
        if given is not None and not is_unopened(given):
            self.transport = cast("Transport", given)
            return None
        if given is None:
            check_proxy(self.connections.get("proxy", FROM_ENVIRONMENT), self.base_url)
        manager = _default_transport(self.connections) if given is None else given
        opened, self.transport = await open_transport(
            cast("AbstractAsyncContextManager[Transport]", manager), "msgapi.Client"
        )
        return opened

    def headers(self) -> Mapping[str, str]:
        """Return the headers of every request."""
        program = "" if self.app_name is None else f" {self.app_name}"
        return {
            "Authorization": f"Bearer {self.api_key}",
            "Accept": "application/json",
            "User-Agent": f"msgapi-sdk/{VERSION} Python/{sys.version_info.major}.{sys.version_info.minor}{program}",
        }

    def allow_connections(self, count: int) -> None:
        """Raise the limit of the default transport to *count* if it is lower; check that of one that is passed in."""
        if self.given is not None:
            limit = getattr(self.given, "max_connections", None)
            if limit is not None and limit < count:
                raise ValueError(
                    f"{count} calls at once are more than the max_connections of the transport, {limit}: "
                    f"open it with max_connections={count}"
                )
        elif count > self.connections.get("max_connections", MAX_CONNECTIONS):
            self.connections["max_connections"] = count
            if self.transport is not None:
                self.transport.max_connections = count  # type: ignore[attr-defined]  # the default transport has it


def check_proxy(setting: ProxySetting, base_url: str) -> None:
    """Raise Misconfigured if, by *setting*, a proxy is used for *base_url* that the environment states wrongly."""
    from yarl import URL

    rules = read_proxies(setting, os.environ)
    proxy = None if rules is None else rules.choose(URL(base_url))
    if proxy is not None and proxy.problem:
        raise Misconfigured(proxy.problem)


def _default_transport(options: dict[str, Any]) -> AbstractAsyncContextManager[Transport]:
    if not isinstance(current_token().native_token, AbstractEventLoop):
        raise Misconfigured(
            "the default transport runs on asyncio only: on trio, "
            'pip install "msgapi-sdk[trio]" and pass transport=transports.httpx2.open()'
        )
    from ..transports import aiohttp

    return aiohttp.open(**options)
