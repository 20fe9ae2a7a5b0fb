"""The generated pages and pictures are what the code makes of them."""

import importlib.util
from pathlib import Path
from types import ModuleType
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


def test_the_files_of_everything_have_each_page_once() -> None:
    index, everything = GENERATE.whole([("start/tutorial", "# Start\n\nText.\n"), ("a", "# A\n\nMore.\n")])
    assert index.splitlines()[-2:] == ["- [Start](start/tutorial.html)", "- [A](a.html)"]
    assert everything.count("# Start") == everything.count("More.") == 1
