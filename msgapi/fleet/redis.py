"""Redis: the connection to a Redis or Valkey of a fleet, and what is asked of it in bounded time."""

import ssl
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import anyio
from coredis import Redis, RedisCluster
from coredis.exceptions import ConnectionError, RedisError  # noqa: A004 - Redis's own
from coredis.retry import ConstantRetryPolicy

from .chunks import Unreachable

T = TypeVar("T")
PATIENCE: Final = 5.0
"""Seconds that anything but waiting for a chunk may take."""

_CONNECT: Final = 2.0
_LONGEST: Final = 200  # characters of an error that are shown


def settings(url: str) -> dict[str, Any]:
    """Tell how to connect to *url*: with time limits, percent-encoded names, and certificates that are checked."""
    again = ConstantRetryPolicy((ConnectionError,), retries=2, delay=0.1)
    made: dict[str, Any] = {"connect_timeout": _CONNECT, "decode_components": True, "retry_policy": again}
    if url.startswith("rediss:"):
        made["ssl_context"] = ssl.create_default_context()
    return made


@asynccontextmanager
async def connected(url: str) -> AsyncIterator["Redis[bytes]"]:
    """Open a client for *url*, which closes with the block; connections are made as they are needed."""
    async with Redis.from_url(url, **settings(url)) as client:
        yield client


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
    """Tell an *error* of Redis in one line, without what was sent to it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{error}".partition(", with args")[0].replace("\n", " ")[:_LONGEST] or type(error).__name__
