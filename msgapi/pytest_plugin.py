"""Fixtures for pytest: the sandbox, its clock, a client of it, a server and a process of it, and recordings.

pytest loads this plugin if the package is installed. The client and the sandbox are imported when a test uses them.
No fixture needs an event loop, so they work with the plugins of anyio, pytest-asyncio and pytest-trio, and without one.
"""

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final, cast

import pytest

if TYPE_CHECKING:
    from .client import Client
    from .clock import VirtualClock
    from .sandbox import Sandbox, ServedSandbox
    from .testing import SandboxProcess
    from .transports import Cassette, RecordMode

_MODES: Final = ("none", "once", "new", "all")
_STANDSTILL: Final = "error:a VirtualClock stands still:RuntimeWarning"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option of `msgapi_cassette`."""
    parser.getgroup("msgapi").addoption(
        "--msgapi-record",
        choices=_MODES,
        default="none",
        help="which requests the fixture msgapi_cassette sends and records; none (the default): only replay",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Let a wait on a clock that stands still fail, because pytest shows a warning only after the test has ended."""
    config.getini("filterwarnings").insert(0, _STANDSTILL)  # before the filters of the project, which can override it


@pytest.fixture
def msgapi_clock() -> "VirtualClock":
    """Return the clock of the sandbox. It jumps to the end of the next wait when every task is blocked.

    A test that decides itself when time passes uses a clock that stands still: it overrides this fixture by one that
    returns `msgapi.VirtualClock()`, and calls `advance`.
    """
    from .clock import VirtualClock

    return VirtualClock(autojump=True)


@pytest.fixture
def msgapi_sandbox(msgapi_clock: "VirtualClock") -> "Sandbox":
    """Return a new sandbox, which is a transport for `msgapi.Client`.

    A control such as `msgapi_sandbox.set_balance(Decimal(10))` or `set_faults` changes it during a test. A test that
    needs other options at the start, such as prices, overrides this fixture by one that constructs a `Sandbox`.
    """
    from .sandbox import Sandbox

    return Sandbox(clock=msgapi_clock)


@pytest.fixture
def msgapi_client(msgapi_sandbox: "Sandbox", msgapi_clock: "VirtualClock") -> "Client":
    """Return a client of `msgapi_sandbox` that waits by `msgapi_clock`."""
    from .client import BASE_URL, Client

    return Client(transport=msgapi_sandbox, api_key=msgapi_sandbox.api_key, base_url=BASE_URL, clock=msgapi_clock)


@pytest.fixture
def msgapi_server() -> "Iterator[ServedSandbox]":
    """Return a new sandbox that is served on a socket of this machine, for programs with a client of their own.

    Its `url`, `api_key` and `environ` are for the program, and `call` is for the test; see `sandbox.serve_in_thread`.
    It runs by the system clock.
    """
    from .sandbox import serve_in_thread

    with serve_in_thread() as served:
        yield served


@pytest.fixture(scope="session")
def msgapi_process_options() -> Sequence[str]:
    """Return the options of `msgapi sandbox` for `msgapi_process`: none. A project overrides it in its conftest.py."""
    return ()


@pytest.fixture(scope="session")
def msgapi_session_process(msgapi_process_options: Sequence[str]) -> "Iterator[SandboxProcess]":
    """Return a sandbox in a process of its own, one for the whole session; see `testing.SandboxProcess`.

    With pytest-xdist, each worker has its own. What a test leaves in it is there in the next one: see `msgapi_process`.
    """
    from .testing import SandboxProcess

    with SandboxProcess(options=msgapi_process_options) as process:
        yield process


@pytest.fixture
def msgapi_process(msgapi_session_process: "SandboxProcess") -> "SandboxProcess":
    """Return the sandbox of `msgapi_session_process`, which is reset before each test that uses it.

    Its `url`, `api_key` and `environ` are for the program that is tested, and `run` is for the test:
    `msgapi_process.run(testing.controls.wait_for_message(to=number))`. Starting a process takes about a second, a reset
    some milliseconds. The fixture is for tests of a program that runs all the time, or in another language;
    `msgapi_server` has a sandbox of its own for each test.
    """
    msgapi_session_process.reset()
    return msgapi_session_process


@pytest.fixture
def msgapi_cassette(request: pytest.FixtureRequest) -> "Cassette":
    """Return the recording of this test, a transport: `cassettes/MODULE/TEST.jsonl` beside the file of the test.

    By default it is only replayed, and the test fails at a request that it does not have. To record it, run pytest
    with `--msgapi-record=once`, `new` or `all`, and a client with the base URL and the key of a server; see
    `transports.Cassette`.
    """
    from .transports import Cassette

    name = re.sub(r"[^\w.-]+", "_", request.node.name).strip("_")
    path = request.path.parent / "cassettes" / request.path.stem / f"{name}.jsonl"
    mode = cast("RecordMode", request.config.getoption("--msgapi-record"))
    return Cassette(path, record=mode)
