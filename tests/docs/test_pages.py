"""The README and the pages: their examples and commands are run, their links, tables and names are checked."""

import importlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, Final, get_args

import pytest

import msgapi
from msgapi import webhooks
from msgapi.sandbox import Sandbox, serve_in_thread
from tests.support.programs import SERVER, Ended

from .pages import PAGES, PLUGINS, ROOT, Block, Page

HERE: Final = Path(__file__).parent
EXAMINED: Final = {
    *(
        (page if page == "README.md" else f"docs/{page}", heading, int(number or 0))
        for page, heading, number in re.findall(
            r'code\("([^"]+)", "([^"]+)"(?:, (\d))?\)', (HERE / "test_examples.py").read_text()
        )
    ),
    ("docs/how-to/fleet.md", "Many hosts, one key", 0),  # in tests/fleet/test_celery.py
    ("docs/how-to/rate-limits.md", "Rate limits", 1),  # in tests/fleet/test_opening.py
}
"""The examples in Python that a test of their own runs."""
NOT_RUN: Final = {
    "it asks for a key": 1,
    "it installs packages": 6,
    "it needs Node.js": 1,  # tests/docs/test_examples.py runs it where there is one
    "it needs Redis": 1,
    "it serves until Ctrl-C": 1,
    "it waits for events": 1,
    "tests/recipes runs the cells": 6,
    "the tests have set them": 1,
    "tests/browser runs these commands": 1,
}
"""Why blocks are not run, and how many for each reason."""
LANGUAGES: Final = {"python", "shell"}
OTHERS: Final = {"js", "json", "sh", "text", "toml", "ini", "yaml", "html", "csv"}
NO_NAMES: Final = {*webhooks.EVENT_TYPES, "fallback.to", "batch.rows"}  # events, a field, and a metric
NOT_ON_A_PAGE: Final = {"SCHEMAS", "Balance"}  # the rules of the requests; and a class that `msgapi` exports, too
MODULES: Final = {name for name in msgapi.__all__ if isinstance(getattr(msgapi, name), ModuleType)}
REASON: Final[Mapping[type, Mapping[str, Any]]] = {
    kind: {"reason": "x"} for kind in (msgapi.NotSent, msgapi.Unanswered)
}
"""What the errors without a response need."""
TIMEOUT: Final = 120  # seconds for one block
FILES: Final = {
    "people.csv": "to,name,mail,consent,Lead Status\n"
    "+4915100000001,Ann,ann@example.org,yes,open\n"
    "+4915100000002,Bob,,no,open\n",
    "orders.csv": "to,name,mail\n+4915100000003,Cleo,cleo@example.org\n+4915100000004,Dan,\n",
    "contacts.csv": "Mobile,First Name\n+4915100000005,Eve\n+4915100000006,Finn\n",
}
"""The files of people that every page may use."""


def is_run(block: Block) -> bool:
    key = (block.page, block.heading, block.number)
    examined = block.language == "python" and key in EXAMINED
    return block.language in LANGUAGES and block.kind not in {"file", "not run", "output"} and not examined


@pytest.mark.usefixtures("unmeasured_processes")
@pytest.mark.parametrize(
    "page", [page for page in PAGES if any(map(is_run, page.blocks))], ids=lambda page: page.path.replace("/", ".")
)
def test_the_examples_of_a_page_run(page: Page, tmp_path: Path) -> None:
    for name, text in FILES.items():
        _ = (tmp_path / name).write_text(text)
    with serve_in_thread(Sandbox()) as server:
        environment = {**_environment(tmp_path), **server.environ}
        printed = ""
        for block in page.blocks:
            if block.kind == "file":
                target = tmp_path / str(block.value)
                target.parent.mkdir(parents=True, exist_ok=True)
                _ = target.write_text(block.code)
            elif block.kind == "output":
                assert _matches(block.code, printed), f"{block.place}: {printed!r}"
            elif is_run(block):
                printed = _run(block, tmp_path, environment)


def _environment(directory: Path) -> dict[str, str]:
    # The commands of this environment come first, and nothing of the user's is read.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MSGAPI_", "XDG_"))}
    terminal = {"NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "100"}
    return kept | PLUGINS | terminal | {"PATH": path, "HOME": str(directory)}


def _run(block: Block, directory: Path, environment: dict[str, str]) -> str:
    if block.language == "python":
        done: Ended | subprocess.CompletedProcess[str] = SERVER.run(block.code, environment, directory)
    else:
        done = subprocess.run(  # noqa: S603 - blocks of our own pages
            ["bash", "-euo", "pipefail", "-c", block.code],  # noqa: S607
            cwd=directory,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT,
            stdin=subprocess.DEVNULL,
        )
    expected = int(block.value or 0) if block.kind == "exit" else 0
    assert done.returncode == expected, f"{block.place}: {done.stdout}{done.stderr}"
    return done.stdout


def _matches(expected: str, printed: str) -> bool:
    pattern = ".*?".join(map(re.escape, expected.strip().split("...")))
    return re.fullmatch(pattern, printed.strip(), re.DOTALL) is not None


def test_what_is_not_run_has_a_known_reason() -> None:
    found = [block for page in PAGES for block in page.blocks if block.kind == "not run"]
    assert {(block.value, sum(one.value == block.value for one in found)) for block in found} == set(NOT_RUN.items())


def test_each_example_with_a_test_of_its_own_exists() -> None:
    found = {(b.page, b.heading, b.number) for page in PAGES for b in page.blocks if b.language == "python"}
    assert found >= EXAMINED


def test_each_block_has_a_language() -> None:
    for block in (block for page in PAGES for block in page.blocks):
        language = block.language.strip("{}").split()[0].rstrip("}") if block.language else ""
        is_directive = block.language.startswith("{")
        assert is_directive or language in LANGUAGES | OTHERS, block.place
        assert block.kind != "output" or language == "text", block.place
    assert [page.path for page in PAGES if "```" in page.prose] == []


def test_each_row_of_a_table_has_the_cells_of_its_head() -> None:
    for page in PAGES:
        for table in re.findall(r"(?:^\|.*\n)+", page.prose, re.MULTILINE):
            rows = [re.sub(r"`[^`]*`|\\\|", "", row).count("|") for row in table.splitlines()]
            assert len(set(rows)) == 1, f"{page.path}: {table}"
            assert re.fullmatch(r"\|(:?-+:?\|)+", table.splitlines()[1].replace(" ", "")), f"{page.path}: {table}"


def anchors(page: Page) -> list[str]:
    return [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in page.headings]


def test_each_heading_of_a_page_is_there_once() -> None:
    for page in PAGES:
        assert len(set(anchors(page))) == len(page.headings), page.path


def test_each_link_leads_to_a_heading_or_a_file() -> None:
    known = {one.path: anchors(one) for one in PAGES}
    for page, target in [(one, target) for one in PAGES for target in _links(one)]:
        path, _, anchor = target.partition("#")
        file = (ROOT / page.path).parent / path if path else ROOT / page.path
        assert file.exists(), f"{page.path}: {target}"
        if anchor:
            assert anchor in known[str(file.resolve().relative_to(ROOT))], f"{page.path}: {target}"


def _links(page: Page) -> Iterator[str]:
    found: list[str] = re.findall(r"\]\(([^)]+)\)", page.prose)
    return (one for one in found if not one.startswith("https://"))


def test_each_file_that_is_named_exists() -> None:
    folders = ("msgapi", "benchmarks", "docs", "tests")
    files = {f"/{path.relative_to(ROOT)}" for name in folders for path in (ROOT / name).rglob("*")}
    for page in PAGES:
        for name in re.findall(r"`([\w/]+(?:\.py|/))`", page.prose):
            is_there = any(file.endswith(f"/{name.rstrip('/')}") for file in files) or (ROOT / name).exists()
            assert is_there or _is_saved(page, name), f"{page.path}: {name}"


def _is_saved(page: Page, name: str) -> bool:
    return any(block.kind == "file" and block.value == name for block in page.blocks)


def test_each_name_of_a_module_that_is_mentioned_exists() -> None:
    for page in PAGES:
        for module, name in sorted(set(re.findall(r"`(?:msgapi\.)?([a-z]+)\.(\w+)", page.prose))):
            if name == "py" or f"{module}.{name}" in NO_NAMES or module not in MODULES:
                continue
            owner = getattr(msgapi, module)
            found = hasattr(owner, name) or (module == "sandbox" and hasattr(Sandbox, name))
            assert found or find_spec(f"msgapi.{module}.{name}"), f"{page.path}: {module}.{name}"


@pytest.mark.parametrize("module", sorted(MODULES - {"fallback"}))
def test_each_public_name_is_on_the_page_of_its_module(module: str) -> None:
    page = (ROOT / f"docs/reference/api/{module}.md").read_text()
    found = re.findall(rf"^\.\. auto\w+:: msgapi\.{module}\.(\w+)$", page, re.MULTILINE)
    assert sorted(found) == sorted({*getattr(msgapi, module).__all__} - NOT_ON_A_PAGE)


@pytest.mark.parametrize("path", sorted((ROOT / "docs/reference/api").glob("*.md")), ids=lambda path: str(path.stem))
def test_what_a_public_class_inherits_is_on_the_page(path: Path) -> None:
    text = path.read_text()
    for module, name, options in re.findall(r"^\.\. autoclass:: ([\w.]+)\.(\w+)\n((?:   :.*\n)*)", text, re.MULTILINE):
        kind = getattr(importlib.import_module(module), name)
        if kind not in get_args(msgapi.ApiError):  # the fields of all errors are in one list
            assert not _inherited(kind) or ":inherited-members:" in options, f"{path.name}: {name}"


def _inherited(kind: type) -> set[str]:
    bases = [one for one in kind.__mro__[1:] if one.__module__.startswith("msgapi")]
    return {name for one in bases for name in vars(one) if not name.startswith("_")} - {*vars(kind)}


def test_each_field_that_all_errors_have_is_in_the_list_of_the_reference() -> None:
    page = (ROOT / "docs/reference/api/msgapi.md").read_text()
    listed = set(re.findall(r"^\.\. py:(?:attribute|method):: ApiError\.(\w+)", page, re.MULTILINE))
    assert listed == set.intersection(
        *({name for name in dir(kind(**REASON.get(kind, {}))) if name[0] != "_"} for kind in get_args(msgapi.ApiError))
    )


def test_each_recipe_is_shown_on_one_page() -> None:
    shown = [
        (Path(page.path).parent / name).as_posix().replace("how-to/../", "")
        for page in PAGES
        for name in re.findall(r"^```\{literalinclude\} (\S+)$", page.text, re.MULTILINE)
    ]
    files = [*(ROOT / "docs/recipes").glob("*.py"), *(ROOT / "docs/sandbox").iterdir()]
    assert sorted(shown) == sorted(file.relative_to(ROOT).as_posix() for file in files)


def test_the_distribution_is_named_in_full() -> None:
    assert [page.path for page in PAGES if re.search(r"pip install [\"']?msgapi(?!-sdk)", page.text)] == []


def test_the_readme_fits_on_one_screen() -> None:
    (readme,) = (page for page in PAGES if page.path == "README.md")
    assert readme.text.count("\n") <= 150
