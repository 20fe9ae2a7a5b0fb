"""Fixtures for pytest: the sandbox, its clock, and a client to it, for tests on asyncio and on trio.

Found by pytest as soon as the package is installed; client and sandbox are loaded when a test asks for them.
No fixture needs an event loop, so whichever plugin runs the tests will do: anyio's, pytest-asyncio, pytest-trio.
"""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .client import Client
    from .clock import VirtualClock
    from .sandbox import Sandbox


@pytest.fixture
def msgapi_clock() -> "VirtualClock":
    """Give the sandbox's clock: it stands still until the test moves it with `advance`, or runs it."""
    from .clock import VirtualClock

    return VirtualClock()


@pytest.fixture
def msgapi_sandbox(msgapi_clock: "VirtualClock") -> "Sandbox":
    """Give a fresh sandbox: a transport for `msgapi.Client`, whose messages and events are values.

    A test that needs another one, with less money or with faults, makes its own `Sandbox`.
    """
    from .sandbox import Sandbox

    return Sandbox(clock=msgapi_clock)


@pytest.fixture
def msgapi_client(msgapi_sandbox: "Sandbox", msgapi_clock: "VirtualClock") -> "Client":
    """Give a client that is connected to `msgapi_sandbox`; its waits are those of `msgapi_clock`."""
    from .client import BASE_URL, Client

    return Client(transport=msgapi_sandbox, api_key=msgapi_sandbox.api_key, base_url=BASE_URL, clock=msgapi_clock)
