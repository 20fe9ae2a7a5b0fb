"""NATS: the connection to the NATS server of a fleet, and what is asked of it in bounded time. On asyncio only."""

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

from .chunks import Unreachable

T = TypeVar("T")
PATIENCE: Final = 3.0
"""Seconds that anything but waiting for a chunk may take; what was asked of a connection that broke takes as long."""

_LOG: Final = logging.getLogger("msgapi")
_FINE: Final = re.compile(r"[A-Za-z0-9_-]")
_LONGEST: Final = 200  # characters of an error that are shown


def settings(url: str) -> dict[str, Any]:
    """Tell how to connect to *url*: again and again if the server goes away, which is seen within 10 seconds."""
    return {
        "servers": [url],
        "connect_timeout": 2,
        "max_reconnect_attempts": -1,
        "reconnect_time_wait": 0.25,
        "ping_interval": 5,
        "max_outstanding_pings": 1,
        "error_cb": noted,
    }


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Client]:
    """Open a client for *url*, which closes with the block; it is `Unreachable` if the server isn't there now."""
    client, up = Client(), False

    async def failed(error: Exception) -> None:
        if not up:
            raise error  # else it would try for ever
        await noted(error)

    try:
        how: dict[str, Any] = {**settings(url), "error_cb": failed}
        await asked(client.connect(**how))
        up = True
        yield client
    finally:
        await ended(client.close())


async def ended(*closing: Awaitable[object]) -> None:
    """Await what is *closing*, one after the other; what breaks as it is closed, its server being away, is logged."""
    for one in closing:
        with anyio.move_on_after(PATIENCE, shield=True):
            try:
                _ = await one
            except Exception as error:  # noqa: BLE001 - nats-py lets through what sockets and event loops raise
                await noted(error)


async def noted(error: Exception) -> None:
    """Log what happens to a connection, which comes back by itself."""
    _LOG.debug("fleet: NATS: %s", plainly(error))


async def asked(command: Awaitable[T], *expected: type[Exception], within: float = PATIENCE) -> T:
    """Await a *command*; what the server does not do *within* seconds is `Unreachable`, but for what is *expected*.

    A command whose answer does not come may have been carried out.
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
        raise Unreachable(f"NATS: {plainly(error)}") from None


def plainly(error: BaseException) -> str:
    """Tell an *error* of NATS in one line."""
    text = error.description if isinstance(error, APIError) else None
    return (text or f"{error}").removeprefix("nats: ").replace("\n", " ")[:_LONGEST] or type(error).__name__


def plain(name: str) -> str:
    """Write a *name* with what NATS allows in one: letters, digits, `-`, `_`, and for the rest `=` with two digits."""
    return "".join(letter if _FINE.fullmatch(letter) else letter.encode().hex("=").join(("=", "")) for letter in name)


def bare(name: str) -> str:
    """Read what `plain` has written."""
    return unquote(name.replace("=", "%"))
