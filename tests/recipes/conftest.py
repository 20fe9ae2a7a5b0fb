"""The sandbox that the recipes use, and the environment of their programs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from msgapi.sandbox import Sandbox
from tests.support.served_sandbox import served

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "docs" / "recipes"


@pytest.fixture
def sandbox() -> Sandbox:
    return Sandbox()


@pytest.fixture
def env(sandbox: Sandbox, tmp_path: Path, unmeasured_processes: None) -> Iterator[dict[str, str]]:
    del unmeasured_processes
    with served(sandbox) as env:
        yield env | {"PYTHONPATH": f"{RECIPES}:{ROOT}", "IPYTHONDIR": str(tmp_path), "HOME": str(tmp_path)}
