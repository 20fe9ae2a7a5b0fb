"""The generated pages and pictures are what the code makes of them."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Final
from xml.etree import ElementTree as ET

import pytest

from .pages import ROOT


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATE = _load(ROOT / "docs/generate.py")


@pytest.mark.parametrize("name", GENERATE.GENERATED)
def test_a_generated_file_is_what_the_code_makes_of_it(name: str) -> None:
    made = GENERATE.GENERATED[name]()
    assert (ROOT / "docs" / name).read_text() == made, "run: python docs/generate.py"
    if name.endswith(".svg"):
        assert ET.fromstring(made).tag.endswith("svg")  # noqa: S314 - our own


INCLUDING: Final = ("how-to/fastapi-flask", "how-to/sandbox", "reference/changelog")


def test_the_files_of_everything_have_each_page_once() -> None:
    toctree = "```{toctree}\n:maxdepth: 1\n\nb\n```\n"
    pages = [
        ("index", "# msgapi\n"),
        ("start/tutorial", "# A start\n\nText.\n"),
        ("decisions/0001-a", f"# A\n\n{toctree}More.\n"),
        ("decisions/0002-b", "no title\n"),
    ]
    index, everything = GENERATE.whole(pages)
    assert index.splitlines()[:3] == ["# msgapi", "", f"> {index.splitlines()[2][2:]}"]
    links = [line for line in index.splitlines() if line.startswith(("## ", "- "))]
    assert links == [
        "## Start",
        "- [A start](start/tutorial.html)",
        "## Optional",
        "- [A](decisions/0001-a.html)",
        "- [decisions/0002-b](decisions/0002-b.html)",
    ]
    assert everything.count("# A start") == everything.count("More.") == everything.count("no title") == 1
    assert "toctree" not in everything


def test_the_files_of_everything_have_what_a_page_includes() -> None:
    _, everything = GENERATE.whole((path, (ROOT / f"docs/{path}.md").read_text()) for path in INCLUDING)
    assert everything.count("# Changelog") == 1
    for name in ("recipes/flask_app.py", "sandbox/compose.yaml"):
        assert (ROOT / "docs" / name).read_text().strip() in everything, name
    assert "`flask_app.py`:\n\n```python\n" in everything
    assert "include}" not in everything


@pytest.mark.parametrize("path", sorted((ROOT / "docs/inventories").glob("*.txt")), ids=lambda path: str(path.stem))
def test_each_name_of_an_inventory_exists_and_its_page_is_named_for_its_module(path: Path) -> None:
    lines = path.read_text().partition("\n\n")[2].splitlines()
    assert lines == sorted(lines, key=str.lower)
    for name, kind, priority, uri, shown in (line.split() for line in lines):
        module, _, attribute = name.rpartition(".")
        found = getattr(importlib.import_module(module or "builtins"), attribute)
        assert kind == f"py:{_kind_of(found)}", name
        assert (priority, shown) == ("1", "-"), name
        page, _, anchor = uri.partition("#")
        assert path.stem != "python" or not module or page == f"library/{module}.html"
        assert anchor.replace("$", name) in {name, f"{path.stem}.{attribute}"}


def _kind_of(found: object) -> str:
    if not isinstance(found, type):
        return "function"
    return "exception" if issubclass(found, BaseException) else "class"
