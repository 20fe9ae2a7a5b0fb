"""The people of the demo: a file of recipients that do not exist, some of them with something wrong."""

import csv
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Final, TypeAlias, final

from attrs import frozen

from ..sandbox import MAGIC_RECIPIENTS, PriceList
from .exits import Halt, unwritable

Cells: TypeAlias = tuple[str, ...]
HEADER: Final[Cells] = ("id", "to", "name", "parcel")
_NAMES: Final = ("Ada", "Björn", "Chloé", "Dmitri", "Eun-ji", "Fatima", "O'Neil, Gus", 'Hal "Ace" Ito', "İpek", "Jörg")
_BAD_NUMBERS: Final = ("0151 23456", "+49", "+0123456789", "none", "")
_UNLUCKY: Final = {"403": "Forbidden", "404": "NotFound", "422": "Unprocessable"}
_PHONES: Final[Mapping[str, str]] = {luck.fault: luck.phone for luck in MAGIC_RECIPIENTS}
_SHARE: Final = 50  # one row in so many is bad


@final
@frozen
class Person:
    """One row: its *number* from 1, and the kind of outcome that it must come to."""

    number: int
    id: str
    to: str
    kind: str


def write(path: Path, rows: int, seed: int) -> tuple[Person, ...]:
    """Write so many *rows* to *path*, and tell what must become of each."""
    random = Random(seed)  # noqa: S311 - the same file for the same seed is the point
    people: list[Person] = []
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            out = csv.writer(file)
            _ = out.writerow(HEADER)
            for person, cells in _rows(rows, random):
                people.append(person)
                _ = out.writerow(cells)
    except OSError as error:
        raise Halt(unwritable(str(path), error)) from None
    return tuple(people)


def money_for(rows: int) -> Decimal:
    """Tell a balance that is enough for so many texts."""
    return PriceList().single_message * rows


def _rows(rows: int, random: Random) -> Iterator[tuple[Person, Cells]]:
    last: tuple[Person, Cells] | None = None
    for number in range(1, rows + 1):
        good = (f"c{number}", f"+999{100_000_000 + number}", random.choice(_NAMES), f"P{random.randrange(10**6):06}")
        # +999 is no country's: whatever happens, nobody has this number.
        if number % _SHARE != 0 or last is None:
            last = Person(number, good[0], good[1], "Accepted"), good
            yield last
        else:
            kind, cells = _spoilt(number // _SHARE, good, last[1])
            yield Person(number, cells[0], cells[1], kind), cells


def _spoilt(which: int, good: Cells, last: Cells) -> tuple[str, Cells]:
    name, to, called, parcel = good
    ways: Mapping[int, tuple[str, Cells]] = {
        0: ("Invalid", (name, _BAD_NUMBERS[which // 7 % len(_BAD_NUMBERS)], called, parcel)),
        1: ("Invalid", (name, to, "", parcel)),
        2: ("Invalid", (name, to, called, parcel, "a cell too many")),
        3: ("Duplicate", (name, *last[1:])),
        **{4 + at: (kind, (name, _PHONES[fate], called, parcel)) for at, (fate, kind) in enumerate(_UNLUCKY.items())},
    }
    return ways[which % len(ways)]
