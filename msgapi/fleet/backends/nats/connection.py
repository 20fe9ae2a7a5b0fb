"""The connection to a NATS server, and commands with a timeout; on asyncio only."""

import logging
import re
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar
from urllib.parse import unquote

import anyio
from nats.aio.client import Client
from nats.errors import Error, MaxPayloadError
from nats.js.errors import APIError, NoStreamResponseError

from ...backend import Unreachable

T = TypeVar("T")
COMMAND_TIMEOUT: Final = 3.0
"""Seconds that any command may take, also over a connection that broke; waiting for a chunk is no command."""

_LOG: Final = logging.getLogger("msgapi")
_PLAIN_LETTER: Final = re.compile(r"[A-Za-z0-9_-]")
_LONGEST_TEXT: Final = 200  # characters of an error that are shown


def connection_options(url: str) -> dict[str, Any]:
    """Return the options of nats-py for *url*: a lost server is noticed within 10 seconds, and reconnected forever."""
    return {
        "servers": [url],
        "connect_timeout": 2,
        "max_reconnect_attempts": -1,
        "reconnect_time_wait": 0.25,
        "ping_interval": 5,
        "max_outstanding_pings": 1,
        "error_cb": log_error,
    }


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[Client]:
    """Open a client for *url* for the time of a block; raise `Unreachable` if the server cannot be reached now."""
    client, connected = Client(), False

    async def on_error(error: Exception) -> None:
        if not connected:
            raise error  # otherwise nats-py would try forever
        await log_error(error)

    try:
        connecting = client.connect(**{**connection_options(url), "error_cb": on_error})
        del url  # it may hold a password, and an error tracker shows the local variables of a frame that raises
        await run_command(connecting)
        connected = True
        yield client
    finally:
        await close_all(client.close())


async def close_all(*closing: Awaitable[object]) -> None:
    """Await each of *closing* in turn, up to `COMMAND_TIMEOUT` seconds each; log what they raise."""
    for one in closing:
        with anyio.move_on_after(COMMAND_TIMEOUT, shield=True):
            try:
                _ = await one
            except Exception as error:  # noqa: BLE001 - nats-py lets through what sockets and event loops raise
                await log_error(error)


async def log_error(error: Exception) -> None:
    """Log an *error* of a connection that reconnects by itself."""
    _LOG.debug("fleet: NATS: %s", describe_error(error))


async def run_command(command: Awaitable[T], *expected: type[Exception], within: float = COMMAND_TIMEOUT) -> T:
    """Await a *command*; raise `Unreachable` if it fails or takes more than *within* seconds.

    An exception of an *expected* type is raised as it is. A command without a response may have been carried out.
    """
    try:
        with anyio.fail_after(within):
            return await command
    except expected:
        raise
    except (TimeoutError, NoStreamResponseError):
        text = f"NATS did not answer within {within:g} seconds; is it up, with JetStream, and is it reachable?"
        raise Unreachable(text) from None
    except MaxPayloadError:
        raise Unreachable("NATS takes no message of this size: raise `max_payload` in its settings") from None
    except (Error, OSError) as error:
        raise Unreachable(f"NATS: {describe_error(error)}") from None


def describe_error(error: BaseException) -> str:
    """Return *error* as one line."""
    text = error.description if isinstance(error, APIError) else None
    return (text or f"{error}").removeprefix("nats: ").replace("\n", " ")[:_LONGEST_TEXT] or type(error).__name__


def encode_name(name: str) -> str:
    """Return *name* in the letters that NATS allows in a name: others become `=` and two hexadecimal digits a byte."""
    return "".join(
        letter if _PLAIN_LETTER.fullmatch(letter) else letter.encode().hex("=").join(("=", "")) for letter in name
    )


def decode_name(name: str) -> str:
    """Return the name that `encode_name` has encoded as *name*."""
    return unquote(name.replace("=", "%"))
