"""The connection to a Redis or Valkey server, and commands with a timeout."""

import ssl
from collections.abc import AsyncIterator, Awaitable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, TypeVar, final

import anyio
from anyio.abc import ByteStream, TaskStatus
from attrs import field, frozen
from coredis import ConnectionPool, Redis, RedisCluster
from coredis.connection import TCPConnection
from coredis.exceptions import ConnectionError, RedisError  # noqa: A004 - Redis's own
from coredis.retry import ConstantRetryPolicy

from ...backend import Unreachable

T = TypeVar("T")
COMMAND_TIMEOUT: Final = 5.0
"""Seconds that any command may take; waiting for a chunk is no command."""

RETRY_POLICY: Final = ConstantRetryPolicy((ConnectionError,), retries=2, delay=0.1)
"""Retries of a command whose connection was lost, possibly since it was last used."""

_CONNECT_TIMEOUT: Final = 2.0  # seconds
_LONGEST_TEXT: Final = 200  # characters of an error that are shown


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
