"""Fixtures that several tests of commands share."""

from collections.abc import Callable
from decimal import Decimal

import pytest

from msgapi import VirtualClock
from msgapi.cli import connection, main
from msgapi.sandbox import Sandbox


@pytest.fixture
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take key and base URL out of the environment."""
    for name in ("MSGAPI_API_KEY", "MSGAPI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """A sandbox that outlives a command."""
    account = Sandbox(timing=None, balance=Decimal(100), clock=VirtualClock(1_777_852_800.0))
    monkeypatch.setattr(connection, "private_sandbox", lambda _: account)
    return account


@pytest.fixture
def run(box: Sandbox, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command over the sandbox, and return what it prints."""

    def run(*arguments: str, status: int = 0) -> str:
        assert box.api_key
        assert main([*arguments, "--sandbox"]) == status, capsys.readouterr().err
        shown = capsys.readouterr()
        return shown.out if status == 0 or "--json" in arguments else shown.err

    return run
