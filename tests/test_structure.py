"""The structure of the package: what a reader can rely on when he looks for something by its file name."""

import ast
import importlib
from collections import defaultdict
from pathlib import Path

import pytest

import msgapi

PACKAGE = Path(msgapi.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
MOST_LINES = 500
MOST_LOOSE = 20
PACKAGES = [path.parent for path in FILES if path.name == "__init__.py"]


def name_of(path: Path) -> str:
    return ".".join((PACKAGE.name, *path.relative_to(PACKAGE).parts))


def test_no_two_public_classes_have_the_same_name() -> None:
    found = defaultdict(list)
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(str(path.relative_to(PACKAGE)))
    assert {name: places for name, places in found.items() if len(places) > 1} == {}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_is_one_topic_of_at_most_500_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MOST_LINES


def test_at_most_20_modules_lie_loose_at_the_top() -> None:
    assert len(list(PACKAGE.glob("*.py"))) <= MOST_LOOSE


@pytest.mark.parametrize("folder", PACKAGES, ids=name_of)
def test_a_package_has_at_least_two_modules(folder: Path) -> None:
    # What fits into one module is one module, beside the others.
    assert len([path for path in folder.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()]) > 2


@pytest.mark.parametrize("folder", PACKAGES, ids=name_of)
def test_no_module_has_the_name_of_a_function_that_its_package_exports(folder: Path) -> None:
    package = importlib.import_module(name_of(folder))
    modules = {path.stem for path in folder.glob("*.py")} | {path.parent.name for path in folder.glob("*/__init__.py")}
    exported = {name for name in getattr(package, "__all__", ()) if not isinstance(getattr(package, name), type(ast))}
    assert modules & exported == set()


@pytest.mark.parametrize("folder", PACKAGES, ids=name_of)
def test_the_init_file_of_a_package_defines_no_class_and_only_the_functions_that_load_and_list_names(
    folder: Path,
) -> None:
    tree = ast.parse((folder / "__init__.py").read_text())
    defined = {
        node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert defined <= {"__getattr__", "__dir__"}
