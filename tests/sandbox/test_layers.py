"""The layers of the sandbox: each file imports only from its own layer and from those below it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import msgapi.sandbox

PACKAGE = Path(msgapi.sandbox.__file__).parent
LAYERS = [
    "contract_gaps",
    "decisions",
    "http",
    "model",
    "rules",
    "routes",
    "openapi",
    "account",
    "snapshots",
    "seeding",
    "clock",
    "controls",
    "webhook_sender",
    "waiting",
    "sandbox",
    "page",
    "connections",
    "server",
]
FILES = [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"]


def module_of(path: Path) -> tuple[str, ...]:
    return path.relative_to(PACKAGE).with_suffix("").parts


def imported(path: Path) -> Iterator[tuple[str, ...]]:
    """Every module of the sandbox that a file imports, wherever in the file."""
    package = module_of(path)[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and 0 < node.level <= len(package) + 1:
            base = package[: len(package) + 1 - node.level]
            names = [node.module] if node.module else [alias.name for alias in node.names]
            yield from ((*base, *name.split(".")) for name in names)


@pytest.mark.parametrize("path", FILES, ids=lambda path: ".".join(module_of(path)))
def test_each_file_imports_only_from_its_own_layer_and_those_below(path: Path) -> None:
    here = module_of(path)[0]
    for other in imported(path):
        assert LAYERS.index(other[0]) <= LAYERS.index(here), f"{here} imports {'.'.join(other)} from a layer above it"


def test_every_file_is_in_a_layer() -> None:
    assert {module_of(path)[0] for path in FILES} == set(LAYERS)


@pytest.mark.parametrize("folder", ["http", "model", "rules", "routes", "openapi", "page"])
def test_the_files_of_a_layer_do_not_import_each_other_in_a_circle(folder: str) -> None:
    files = {module_of(path): path for path in FILES if module_of(path)[0] == folder}
    waiting = {name: {other for other in imported(path) if other in files} for name, path in files.items()}
    while waiting:
        free = {name for name, others in waiting.items() if not others & waiting.keys()}
        assert free, f"a circle among {sorted('.'.join(name) for name in waiting)}"
        waiting = {name: others for name, others in waiting.items() if name not in free}


def test_the_nouns_of_the_routes_have_their_state_in_the_model() -> None:
    routes = {path.stem for path in (PACKAGE / "routes").glob("*.py")} - {"__init__", "table", "controls"}
    model = {path.stem for path in (PACKAGE / "model").glob("*.py")}
    assert routes - model == {"usage"}, "usage is computed from the log"
