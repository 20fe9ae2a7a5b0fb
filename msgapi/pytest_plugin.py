"""Fixtures for pytest: the sandbox, its clock, and a client of it, for tests on asyncio and on trio.

pytest loads this plugin if the package is installed. The client and the sandbox are imported when a test uses them.
No fixture needs an event loop, so they work with the plugins of anyio, pytest-asyncio and pytest-trio.
"""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .client import Client
    from .clock import VirtualClock
    from .sandbox import Sandbox


@pytest.fixture
def msgapi_clock() -> "VirtualClock":
    """Return the clock of the sandbox. It stands still until the test calls `advance` or uses `autojump`."""
    from .clock import VirtualClock

    return VirtualClock()


@pytest.fixture
def msgapi_sandbox(msgapi_clock: "VirtualClock") -> "Sandbox":
    """Return a new sandbox, which is a transport for `msgapi.Client`.

    A test that needs other options, such as a lower balance or faults, constructs its own `Sandbox`.
    """
    from .sandbox import Sandbox

    return Sandbox(clock=msgapi_clock)


@pytest.fixture
def msgapi_client(msgapi_sandbox: "Sandbox", msgapi_clock: "VirtualClock") -> "Client":
    """Return a client of `msgapi_sandbox` that waits by `msgapi_clock`."""
    from .client import BASE_URL, Client

    return Client(transport=msgapi_sandbox, api_key=msgapi_sandbox.api_key, base_url=BASE_URL, clock=msgapi_clock)
