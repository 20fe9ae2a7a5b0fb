"""The command `batch report`: what a journal comes to, and its rows as a file."""

import csv
from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson
from attrs import asdict

from ..journal import JournalReader, JournalRow, State, key_of
from .diary import reading, rows_of
from .exits import Exit, Halt
from .output import emit, emit_json, put
from .report import OF_A_BATCH, Words, money, outcomes, plain
from .tally import DUPLICATE, Tally

STATES: Final[Mapping[str, tuple[State, ...]]] = {
    "accepted": (State.ACCEPTED,),
    "refused": (State.REFUSED, State.INVALID),
    "held-up": (State.NOT_SENT,),
    "doubtful": (State.STARTED, State.UNKNOWN),
}
_COLUMNS: Final = tuple(JournalRow.__annotations__)


def start(
    path: str,
    *,
    export: str | None,
    only: str | None,
    json: bool,
    more: Mapping[str, object] | None = None,
    words: Words = OF_A_BATCH,
) -> int:
    """Tell what the journal at *path* comes to, or *export* its rows as `csv` or `jsonl`; gives the exit status.

    *more* is told besides, as JSON; *words* are for rows without an outcome.
    """
    check(export, only)
    with reading(path) as record:
        tally = recount(record)
        if export is not None:
            for line in _written(record, export, only):
                put(line)
        elif json:
            emit_json(plain(tally) | {"journal": path} | dict(more or {}))
        else:
            emit(outcomes(tally, words))
            emit(money(tally))
    return Exit.STOPPED if tally.unsent or tally.again else Exit.REFUSED if tally.refused else Exit.ACCEPTED


def check(export: str | None, only: str | None) -> None:
    """Refuse options that do not go together."""
    if only is not None and export is None:
        raise Halt("--only goes with --export csv or --export jsonl")


def recount(record: JournalReader) -> Tally:
    """Count the rows of a journal; what the file has beyond them was never sent."""
    summary = record.summary()
    tally = Tally(max(rows_of(record.about) or 0, summary.rows()))
    tally.fill(summary)
    return tally


def _written(record: JournalReader, export: str, only: str | None) -> Iterator[str]:
    batch = record.about["batch"]
    rows = (_facts(line) | {"key": line.key or key_of(batch, line.id)} for line in _lines(record, only))
    if export == "jsonl":
        yield from (orjson.dumps(row).decode() + "\n" for row in rows)
        return
    writer = csv.DictWriter(_Echo(), _COLUMNS, lineterminator="\n")
    yield ",".join(_COLUMNS) + "\n"
    for row in rows:
        yield writer.writerow(row)


def _lines(record: JournalReader, only: str | None) -> Iterator[JournalRow]:
    if only is None:
        yield from record.rows()
        return
    for state in STATES[only]:
        yield from record.rows(state)


def _facts(line: JournalRow) -> dict[str, Any]:
    kind = "Duplicate" if line.code == DUPLICATE else line.kind
    return asdict(line) | {"state": line.state.name.lower(), "kind": kind}


class _Echo:
    """Gives back what is written: `csv` writes into files only."""

    def write(self, text: str) -> str:
        """Give *text* back."""
        return text
