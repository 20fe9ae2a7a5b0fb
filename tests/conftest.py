"""Fixtures for every test: both event loops, hypothesis settings that fit a noisy machine, and no profiles."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.support.brokers import nats_broker, valkey_broker
from tests.support.programs import SERVER
from tests.support.served_sandbox import COVERAGE

__all__ = ["anyio_backend", "nats_broker", "valkey_broker"]

collect_ignore = ["browser"]  # these run where they are named, as the nox session `browser` does: they need Chromium
settings.register_profile("msgapi", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("msgapi")


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True, scope="session")
def config_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Give the commands a directory without profiles, so that no test reads those of the user."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        for name in ("MSGAPI_CONFIG", "MSGAPI_PROFILE", "MSGAPI_PROXY"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture
def unmeasured_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start Python programs without coverage, which costs each of them more than to import the package.

    For tests whose programs reach no line that is not measured elsewhere.
    """
    for name in COVERAGE:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True, scope="session")
def _fork_server() -> Iterator[None]:
    """End the process that runs programs, if a test has started it."""
    yield
    SERVER.close()
