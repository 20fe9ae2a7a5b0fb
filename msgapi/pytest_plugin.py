"""Fixtures for pytest: the sandbox, its clock, and a client to it, on asyncio and on trio.

Found by pytest as soon as the package is installed; nothing of it is loaded until a test asks for it.
The client's fixture is run by anyio's own plugin, so a test that wants it is marked `anyio`.
"""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .client import Client
    from .sandbox import Sandbox
    from .virtual import VirtualClock


@pytest.fixture
def msgapi_clock() -> "VirtualClock":
    """Give the sandbox's clock: it stands still until the test moves it with `advance`, or runs it."""
    from .virtual import VirtualClock

    return VirtualClock()


@pytest.fixture
def msgapi_sandbox(msgapi_clock: "VirtualClock") -> "Sandbox":
    """Give a fresh sandbox: a transport for `msgapi.connect`, whose messages and events are values.

    A test that needs another one, with less money or with faults, makes its own `Sandbox`.
    """
    from .sandbox import Sandbox

    return Sandbox(clock=msgapi_clock)


@pytest.fixture
async def msgapi_client(
    anyio_backend: object,  # noqa: ARG001 - asks anyio's plugin to run this fixture
    msgapi_sandbox: "Sandbox",
    msgapi_clock: "VirtualClock",
) -> AsyncIterator["Client"]:
    """Give a client that is connected to `msgapi_sandbox`; its waits are those of `msgapi_clock`."""
    from .client import connect

    async with connect(transport=msgapi_sandbox, api_key=msgapi_sandbox.api_key, clock=msgapi_clock) as client:
        yield client
