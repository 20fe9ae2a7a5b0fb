"""The direction of imports: each file imports only from files above it."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import msgapi

PACKAGE = Path(msgapi.__file__).parent
ORDER = [
    "version",
    "redact",
    "models",
    "config",
    "codegen",
    "concurrency",
    "clock",
    "http",
    "results",
    "calls",
    "fallback",
    "observe",
    "codec",
    "retry",
    "decode",
    "ratelimit",
    "schema",
    "recipients",
    "messages",
    "billing",
    "agents",
    "contacts",
    "campaigns",
    "testagent",
    "webhooks",
    "transports",
    "client",
    "journal",
    "batch",
    "blocking",
    "fleet",
    "telemetry",
    "sandbox",
    "testing",
    "pytest_plugin",
    "cli",
    "__main__",
]
PROGRAMS = {"cli"}


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[str]:
    """Every module of the package that a file names in an import, as its first name below msgapi."""
    depth = len(path.relative_to(PACKAGE).parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == depth:
            yield from [node.module.split(".")[0]] if node.module else [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            assert node.module.split(".")[0] != "msgapi", f"{path.name}: imports inside the package are relative"


FILES = [path for path in sorted(PACKAGE.rglob("*.py")) if path.name != "__init__.py" or path.parent != PACKAGE]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_each_file_imports_only_from_files_above_it(path: Path) -> None:
    here = room(path)
    for other in imported(path):
        if (here, other) == ("client", "transports"):
            continue
        assert ORDER.index(other) < ORDER.index(here), f"{here} imports {other}, which stands below it"


def test_every_file_has_its_place_in_the_order() -> None:
    assert {room(path) for path in FILES} == set(ORDER)


@pytest.mark.usefixtures("unmeasured_processes")
@pytest.mark.parametrize(
    ("module", "strangers"),
    [
        ("msgapi", "anyio aiohttp httpx httpx2 httpcore2 trio requests urllib3 http.client cattrs orjson click rich"),
        ("msgapi", "attrs logging opentelemetry msgapi.results msgapi.webhooks"),
        ("msgapi.client", "aiohttp http.client cattrs orjson click rich opentelemetry"),
        ("msgapi.messages", "aiohttp http.client click rich"),
        ("msgapi.recipients", "aiohttp http.client cattrs orjson click rich anyio phonenumbers email_validator"),
        ("msgapi.batch", "aiohttp http.client click rich opentelemetry"),
        ("msgapi.fleet", "aiohttp http.client click rich coredis streaq nats faststream"),
        ("msgapi.observe", "anyio aiohttp http.client cattrs orjson click rich opentelemetry"),
        ("msgapi.telemetry", "anyio aiohttp http.client cattrs orjson click rich opentelemetry"),
        ("msgapi.transports", "aiohttp httpx2 http.client click rich"),
        ("msgapi.transports.httpx2", "aiohttp click rich"),
        ("msgapi.webhooks", "aiohttp http.client click rich django flask redis"),
        ("msgapi.pytest_plugin", "aiohttp cattrs orjson click rich"),
        ("msgapi.sandbox", "aiohttp http.client click rich"),
        ("msgapi.testing", "aiohttp http.client click rich"),
        ("msgapi.cli", "aiohttp http.client rich attrs cattrs click"),
    ],
)
def test_importing_loads_nothing_that_is_not_needed_yet(module: str, strangers: str) -> None:
    program = f"import sys, {module}; print(*(set('{strangers}'.split()) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout.split() == []
