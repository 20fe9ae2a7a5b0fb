"""Redis: the connection to a Redis or Valkey of a fleet, and what is asked of it in bounded time."""

import ssl
from collections.abc import Awaitable
from typing import Any, Final, TypeVar, final

import anyio
from anyio.abc import ByteStream
from coredis import ConnectionPool, Redis, RedisCluster
from coredis.connection import TCPConnection
from coredis.exceptions import ConnectionError, RedisError  # noqa: A004 - Redis's own
from coredis.retry import ConstantRetryPolicy

from .chunks import Unreachable

T = TypeVar("T")
PATIENCE: Final = 5.0
"""Seconds that anything but waiting for a chunk may take."""

AGAIN: Final = ConstantRetryPolicy((ConnectionError,), retries=2, delay=0.1)
"""What is tried again: a connection may have been lost since it was last used."""

_CONNECT: Final = 2.0
_LONGEST: Final = 200  # characters of an error that are shown


@final
class _Tidy(TCPConnection):
    """A connection that leaves nothing open when it cannot be made, which coredis 6.9 does."""

    async def _connect(self) -> ByteStream:
        try:
            return await super()._connect()
        except BaseException:
            for into in (self._write_buffer_in, self._push_message_buffer_in, self._streamed_message_buffer_in):
                into.close()
            for out in (self._write_buffer_out, self._push_message_buffer_out, self._streamed_message_buffer_out):
                out.close()
            raise


def pooled(url: str, *, patience: float = PATIENCE, decode: bool = False) -> ConnectionPool[Any]:
    """Make connections to *url* that wait up to *patience* seconds for an answer; certificates are checked."""
    more: dict[str, Any] = {"ssl_context": ssl.create_default_context()} if url.startswith("rediss:") else {}
    pool: ConnectionPool[Any] = ConnectionPool.from_url(
        url,
        decode_components=True,
        decode_responses=decode,
        connect_timeout=_CONNECT,
        stream_timeout=patience,
        **more,
    )
    pool.connection_class = _Tidy
    return pool


def connected(url: str) -> "Redis[bytes]":
    """Make a client for *url*, to be entered; connections are made as they are needed."""
    return Redis(connection_pool=pooled(url), retry_policy=AGAIN)


async def asked(client: "Redis[Any] | RedisCluster[Any]", command: Awaitable[T]) -> T:
    """Await a *command* of *client*; what it does not do in `PATIENCE` is `Unreachable`.

    A command whose connection is lost may have been carried out.
    """
    try:
        with anyio.fail_after(PATIENCE):
            return await command
    except TimeoutError:
        client.connection_pool.disconnect()  # it may lead nowhere, and the next one is made anew
        raise Unreachable(f"Redis did not answer within {PATIENCE:g} seconds; is it up, and is it reachable?") from None
    except (RedisError, OSError) as error:
        raise Unreachable(f"Redis: {plainly(error)}") from None


def plainly(error: BaseException) -> str:
    """Tell an *error* of Redis in one line, with what a socket or TLS says of it, without what was sent to it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    why = f": {error.__cause__}" if isinstance(error.__cause__, OSError) else ""
    text = f"{error}".partition(", with args")[0] + why
    return text.replace("\n", " ")[:_LONGEST] or type(error).__name__
