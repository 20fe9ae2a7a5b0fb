"""The connection to a Redis or Valkey server, commands with a timeout, and the shared rate over it.

Rules of the shared rate, which is the arithmetic of `RateState` as a script (`redis_shared_rate.lua`) and goes by the
server's clock:
- The script and `RateState` compute the same at each step; a test compares them.
- No key is named after the API key itself.
"""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final, TypeVar, final

import anyio
from anyio.abc import ByteStream, TaskStatus
from attrs import define, field, frozen
from coredis import ConnectionPool, Redis, RedisCluster
from coredis.commands import Script
from coredis.connection import TCPConnection
from coredis.exceptions import ConnectionError, RedisError  # noqa: A004 - Redis's own
from coredis.retry import ConstantRetryPolicy

from ...clock import SYSTEM_CLOCK, Clock
from ...ratelimit.shared import FIGURES, Grant
from ..backend import Unreachable
from ..opening import hash_key
from ..sending import Backoff

T = TypeVar("T")
COMMAND_TIMEOUT: Final = 5.0
"""Seconds that any command may take; waiting for a chunk is no command."""

RETRY_POLICY: Final = ConstantRetryPolicy((ConnectionError,), retries=2, delay=0.1)
"""Retries of a command whose connection was lost, possibly since it was last used."""

_CONNECT_TIMEOUT: Final = 2.0  # seconds
_LONGEST_TEXT: Final = 200  # characters of an error that are shown
_LUA: Final = Path(__file__).with_name("redis_shared_rate.lua").read_text(encoding="utf-8")
_FIRST_PAUSE: Final = 0.05  # seconds until an unreachable server is asked again
_LONGEST_PAUSE: Final = 1.0
_GROWTH: Final = 1.6

SCRIPT: Final = "".join((*(f"local {name} = {value!r}\n" for name, value in FIGURES.items()), _LUA))
"""The script, with the constants of the arithmetic."""


@final
class _ClosingConnection(TCPConnection):
    """A connection that closes its streams if it cannot be made; coredis 6.9 leaves them open."""

    async def _connect(self) -> ByteStream:
        try:
            return await super()._connect()
        except BaseException:
            for into in (self._write_buffer_in, self._push_message_buffer_in, self._streamed_message_buffer_in):
                into.close()
            for out in (self._write_buffer_out, self._push_message_buffer_out, self._streamed_message_buffer_out):
                out.close()
            raise


@final
@frozen
class Address:
    """The *url* of a server. It can have a password, so no local variable of a frame that can raise is a text of it."""

    url: str = field(repr=False)

    def create_pool(self, *, timeout: float = COMMAND_TIMEOUT, decode: bool = False) -> ConnectionPool[Any]:
        """Return a pool of connections to the server, which wait up to *timeout* seconds for a response.

        With *decode* responses are text. TLS certificates are checked.
        """
        return _create_pool(self.url, timeout=timeout, decode=decode)


def _create_pool(url: str, *, timeout: float, decode: bool) -> ConnectionPool[Any]:
    more: dict[str, Any] = {"ssl_context": ssl.create_default_context()} if url.startswith("rediss:") else {}
    pool: ConnectionPool[Any] = ConnectionPool.from_url(
        url,
        decode_components=True,
        decode_responses=decode,
        connect_timeout=_CONNECT_TIMEOUT,
        stream_timeout=timeout,
        **more,
    )
    pool.connection_class = _ClosingConnection
    return pool


def connect(url: str) -> "Redis[bytes]":
    """Return a client for *url*, to be entered with `async with`; it connects when it is used."""
    return Redis(connection_pool=Address(url).create_pool(), retry_policy=RETRY_POLICY)


async def run_command(client: "Redis[Any] | RedisCluster[Any]", command: Awaitable[T]) -> T:
    """Await a *command* of *client*; raise `Unreachable` if it fails or takes longer than `COMMAND_TIMEOUT`.

    A command whose connection is lost may have been carried out.
    """
    try:
        with anyio.fail_after(COMMAND_TIMEOUT):
            return await command
    except TimeoutError:
        client.connection_pool.disconnect()  # the connection may be dead; the next command opens another one
        raise Unreachable(
            f"Redis did not answer within {COMMAND_TIMEOUT:g} seconds; is it up, and is it reachable?"
        ) from None
    except (RedisError, OSError) as error:
        raise Unreachable(f"Redis: {describe_error(error)}") from None


def describe_error(error: BaseException) -> str:
    """Return *error* as one line, with the cause in the socket or in TLS, without the arguments of the command."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    cause = f": {error.__cause__}" if isinstance(error.__cause__, OSError) else ""
    text = f"{error}".partition(", with args")[0] + cause
    return text.replace("\n", " ")[:_LONGEST_TEXT] or type(error).__name__


@asynccontextmanager
async def open_shielded(context: AbstractAsyncContextManager[T]) -> AsyncIterator[T]:
    """Enter *context* for a block, in a task that a cancellation of the block does not reach until the block has ended.

    A connection whose tasks run in a task group of the block would be closed before the block returns its chunks.
    """
    ended = anyio.Event()

    async def hold(*, task_status: TaskStatus[T]) -> None:
        with anyio.CancelScope(shield=True):
            async with context as value:
                task_status.started(value)
                await ended.wait()

    async with anyio.create_task_group() as tasks:
        value: T = await tasks.start(hold)
        try:
            yield value
        finally:
            ended.set()


def open_shared_rate(client: Redis[Any], *, key: str, clock: Clock = SYSTEM_CLOCK) -> "RedisSharedRate":
    """Return the shared rate of an API *key* over a *client* that is open.

    All clients of the same database with the same key share it. *clock* is only used to sleep.
    """
    return RedisSharedRate(client, f"msgapi:quota:{hash_key(key)}", clock)


def _backoff() -> Backoff:
    return Backoff(_FIRST_PAUSE, _LONGEST_PAUSE, _GROWTH)


@final
@define(eq=False, repr=False)
class RedisSharedRate:
    """A `SharedRate` on Redis; made by `open_shared_rate`."""

    _client: Redis[Any]
    _name: str
    _clock: Clock
    _backoff: Backoff = field(factory=_backoff, init=False)
    _script: Script[Any] = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Prepare the script, which is loaded into the server when it is missing there."""
        self._script = self._client.register_script(SCRIPT)

    async def reserve(self, endpoint_class: str, slots: int, at_most: float | None = None) -> Grant:
        """Reserve up to *slots* slots of *endpoint_class*; grant none while the server is unreachable."""
        try:
            number, after, spacing = await self._run(endpoint_class, "reserve", slots, at_most or 0.0)
        except Unreachable:
            return Grant(0, self._backoff.next(), 0.0)
        self._backoff.reset()
        return Grant(int(number), float(after), float(spacing))

    async def throttle(self, endpoint_class: str, seconds: float) -> None:
        """Grant nothing of *endpoint_class* for *seconds* and lower its rate."""
        with suppress(Unreachable):
            _ = await self._run(endpoint_class, "throttle", seconds)

    async def set_limit(self, endpoint_class: str, per_second: float) -> None:
        """Set the limit of *endpoint_class* that response headers give, in requests per second."""
        with suppress(Unreachable):
            _ = await self._run(endpoint_class, "set_limit", per_second)

    async def pause(self, why: bytes) -> None:
        """Pause all sends; *why* is the error as JSON. Wait while the server is unreachable."""
        _ = await self._retry(lambda: self._client.set(self._pause_key, why))

    async def paused(self) -> bytes | None:
        """Return the error that sends are paused for, None if they are not; wait while the server is unreachable."""
        why: str | bytes | None = await self._retry(lambda: self._client.get(self._pause_key))
        return why.encode() if isinstance(why, str) else why

    async def resume(self) -> None:
        """End the pause; wait while the server is unreachable."""
        _ = await self._retry(lambda: self._client.delete([self._pause_key]))

    @property
    def _pause_key(self) -> str:
        return f"{self._name}:pause"

    async def _run(self, endpoint_class: str, operation: str, *numbers: float) -> list[Any]:
        arguments = (operation, *map(repr, numbers))  # coredis would cut off the last digits of a float
        response: Any = await run_command(self._client, self._script([f"{self._name}:{endpoint_class}"], arguments))
        return list(response)

    async def _retry(self, command: Callable[[], Awaitable[T]]) -> T:
        backoff = _backoff()
        while True:
            try:
                return await run_command(self._client, command())
            except Unreachable:
                await self._clock.sleep(backoff.next())
