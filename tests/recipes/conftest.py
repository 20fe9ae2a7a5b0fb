"""The sandbox that the recipes use, and the environment of their programs."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from msgapi.sandbox import Sandbox
from tests.support.served_sandbox import served, without_coverage

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "docs" / "recipes"


def program_env(served_env: Mapping[str, str], home: Path) -> dict[str, str]:
    """Return the environment of a program that imports recipes. It is not measured: other tests reach each line."""
    paths = {"PYTHONPATH": f"{RECIPES}:{ROOT}", "IPYTHONDIR": str(home), "HOME": str(home)}
    return without_coverage(served_env) | paths


@pytest.fixture
def sandbox() -> Sandbox:
    return Sandbox()


@pytest.fixture
def env(sandbox: Sandbox, tmp_path: Path) -> Iterator[dict[str, str]]:
    with served(sandbox) as env:
        yield program_env(env, tmp_path)
