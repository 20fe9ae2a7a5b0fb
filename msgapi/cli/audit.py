"""The audit of the demo: what the files say, held against what the sandbox knows."""

import csv
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, final

import orjson
from attrs import frozen

from ..sandbox import Sandbox
from .people import Person


@final
@frozen
class Check:
    """One thing that must be so: the two figures, and whether they are about the same rows."""

    what: str
    expected: str
    found: str
    holds: bool


def audit(people: Sequence[Person], box: Sandbox, balance: Decimal, directory: Path) -> tuple[Check, ...]:
    """Check that every row of *people* came to what it must, in the files and in the account of *box*."""
    results = [orjson.loads(line) for line in (directory / "results.jsonl").read_bytes().splitlines()]
    with (directory / "failed.csv").open(newline="", encoding="utf-8") as file:
        failed = [cells[0] for cells in csv.reader(file)][1:]
    good = [person for person in people if person.kind == "Accepted"]
    bad = [person for person in people if person.kind not in {"Accepted", "Duplicate"}]
    log = Counter(entry.to for entry in box.messages)
    spent = balance - (box.balance.free or 0)
    told = sum((Decimal(str(one["price"])) for one in results if one["kind"] == "Accepted"), Decimal(0))
    once = {person.to for person in good}
    return (
        _same("good rows accepted, each exactly once", once, {to for to, times in log.items() if times == 1}),
        Check("messages in the log altogether", f"{len(good):,}", f"{log.total():,}", log.total() == len(good)),
        _same("rows reported, each exactly once", _numbers(people), Counter(one["row"] for one in results)),
        *_kinds(people, results),
        _same("bad rows kept to be sent again", Counter(person.id for person in bad), Counter(failed)),
        _same("message ids of the results", _ids(results), Counter(entry.id for entry in box.messages)),
        Check("EUR, by the answers and by the account", f"{spent:.2f}", f"{told:.2f}", spent == told),
    )


def _numbers(people: Sequence[Person]) -> Counter[int]:
    return Counter(person.number for person in people)


def _ids(results: Sequence[dict[str, Any]]) -> Counter[str]:
    return Counter(one["message_id"] for one in results if one["kind"] == "Accepted")


def _kinds(people: Sequence[Person], results: Sequence[dict[str, Any]]) -> list[Check]:
    kinds = sorted({person.kind for person in people} - {"Accepted"})
    return [
        _same(
            f"bad rows reported as {kind}",
            {person.number for person in people if person.kind == kind},
            {one["row"] for one in results if one["kind"] == kind and one["message"]},
        )
        for kind in kinds
    ]


def _same(what: str, expected: "Counter[Any] | set[Any]", found: "Counter[Any] | set[Any]") -> Check:
    return Check(what, f"{_size(expected):,}", f"{_size(found):,}", expected == found)


def _size(rows: "Counter[Any] | set[Any]") -> int:
    return rows.total() if isinstance(rows, Counter) else len(rows)
