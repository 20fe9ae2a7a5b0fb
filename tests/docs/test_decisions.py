"""The records of decisions: their form, their links to one another, and the names of the code in them."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from .pages import ROOT
from .test_generated import GENERATE

RECORDS: Final[Mapping[str, Mapping[str, str]]] = GENERATE.records()
SUPERSEDED: Final = re.compile(r"superseded by \[(\d{4})\]\((\d{4}-[a-z0-9-]+\.md)\)")
SOURCES: Final = ("msgapi", "tests", "benchmarks", "docs/recipes", "docs/sandbox")
SUFFIXES: Final = {".py", ".js", ".css", ".html", ".lua", ".yaml", ".yml"}
WORD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
LONGEST: Final = 120  # characters of a line


@pytest.fixture(scope="module")
def words() -> set[str]:
    files = [file for folder in SOURCES for file in (ROOT / folder).rglob("*") if file.suffix in SUFFIXES]
    files += [ROOT / name for name in ("docs/generate.py", "noxfile.py", "pyproject.toml")]
    return {word for file in files for word in WORD.findall(f"{file.name} {file.parent.name} {file.read_text()}")}


def test_the_numbers_of_the_records_have_no_gap() -> None:
    assert [record["number"] for record in RECORDS.values()] == [f"{one:04}" for one in range(1, len(RECORDS) + 1)]


def test_the_name_of_a_file_begins_with_its_number() -> None:
    assert [name for name, record in RECORDS.items() if not name.startswith(f"{record['number']}-")] == []


def test_a_record_has_a_known_area() -> None:
    assert [name for name, record in RECORDS.items() if record["area"] not in GENERATE.AREAS] == []


def test_a_record_is_accepted_or_names_the_record_that_has_replaced_it() -> None:
    for name, record in RECORDS.items():
        found = SUPERSEDED.fullmatch(record["status"])
        assert found or record["status"] == "accepted", name
        if found:
            assert RECORDS[found[2]]["number"] == found[1], name
            assert f"]({name})" in (ROOT / "docs/decisions" / found[2]).read_text(), name


def test_a_record_has_no_other_heading_and_no_long_line() -> None:
    for name in RECORDS:
        text = (ROOT / "docs/decisions" / name).read_text()
        assert text.count("\n#") == 3, name
        assert [line for line in text.splitlines() if len(line) > LONGEST and "](" not in line] == [], name


def test_each_name_in_the_decision_of_an_accepted_record_occurs_in_the_project(words: set[str]) -> None:
    for name, record in RECORDS.items():
        if record["status"] == "accepted":
            spans = re.findall(r"`([^`]+)`", record["decision"])
            assert sorted({word for span in spans for word in WORD.findall(span)} - words) == [], name


def test_each_name_that_a_decision_places_in_a_file_occurs_there() -> None:
    for name, record in RECORDS.items():
        for found, file in re.findall(r"`([\w.]+)` in\s`([\w/.-]+\.\w+)`", record["decision"]):
            known = {*WORD.findall((ROOT / file).read_text()), *WORD.findall(file)}
            assert {*found.split(".")} <= known, f"{name}: {found} in {file}"


def test_a_record_of_another_form_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _ = (tmp_path / "0001-x.md").write_text("# 0001. X\n\nStatus: accepted\n\n## Context\n\nY.\n")
    monkeypatch.setattr(GENERATE, "DECISIONS", tmp_path)
    with pytest.raises(ValueError, match=r"0001-x\.md has not the form"):
        _ = GENERATE.records()
