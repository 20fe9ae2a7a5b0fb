"""The command `msgapi batch report`: the summary of a journal, and the export of its rows."""

import csv
from collections.abc import Iterator, Mapping
from typing import Any, Final, final

import click
import orjson
from attrs import asdict, frozen

from ...fallback import leg_key
from ...journal import JournalReader, JournalRow, State, key_of
from ..batch.counts import Counts, recorded_kind
from ..batch.journal import reading, row_count
from ..batch.summary import RestAdvice, cost_line, outcome_table, plain_counts
from ..options import FILE_PATH, export_option, json_option, only_option
from ..outcomes import CliError, Exit, RowOutcome
from ..output import csv_cell, emit, emit_json, escaped, note, write_if_open

STATES: Final[Mapping[str, tuple[State, ...]]] = {
    RowOutcome.ACCEPTED.choice: (State.ACCEPTED,),
    RowOutcome.REFUSED.choice: (State.REFUSED, State.INVALID),
    RowOutcome.NOT_SENT_YET.choice: (State.NOT_SENT,),
    RowOutcome.UNKNOWN.choice: (State.STARTED, State.UNKNOWN),
    RowOutcome.CHANGED.choice: (State.CHANGED,),
}
_WORDS: Final[Mapping[State, RowOutcome]] = {
    State.STARTED: RowOutcome.UNKNOWN,
    State.ACCEPTED: RowOutcome.ACCEPTED,
    State.REFUSED: RowOutcome.REFUSED,
    State.NOT_SENT: RowOutcome.NOT_SENT_YET,
    State.UNKNOWN: RowOutcome.UNKNOWN,
    State.INVALID: RowOutcome.INVALID,
    State.CHANGED: RowOutcome.CHANGED,
}
_COLUMNS: Final = tuple(JournalRow.__annotations__)


@final
@frozen(kw_only=True)
class JournalReportOptions:
    """How a journal is shown: *export* is csv or jsonl, *only* the outcome to export."""

    export: str | None = None
    only: str | None = None
    json: bool = False

    def check(self) -> None:
        """Raise CliError if the options do not go together."""
        if self.only is not None and self.export is None:
            raise CliError("--only needs --export csv or --export jsonl")


@click.command("batch report")
@click.argument("journal", type=FILE_PATH)
@export_option
@only_option
@json_option
def batch_report(*, journal: str, export: str | None, only: str | None, json: bool) -> int:
    """Show the outcomes of a batch from its journal.

    \b
      msgapi batch report people.csv.journal
      msgapi batch report people.csv.journal --export csv --only refused > refused.csv

    In CSV, a cell that a spreadsheet would run as a formula begins with '. JSONL has each value as it is.

    Exit status: 0 every row accepted, 1 all rows settled, but some were not accepted, 3 some rows are not sent yet.
    """  # noqa: D301 - \b is click's own
    return show_journal(journal, JournalReportOptions(export=export, only=only, json=json))


def show_journal(
    path: str,
    options: JournalReportOptions,
    *,
    more: Mapping[str, object] | None = None,
    advice: RestAdvice | None = None,
) -> int:
    """Print the summary of the journal at *path*, or export its rows. Return the exit status.

    *more* is added to the JSON; *advice* is for rows without a result.
    """
    options.check()
    with reading(path) as record:
        counts, incomplete = count_rows(record), record.lost_since is not None
        if incomplete:
            note(
                f"the -wal file of {path} is missing, with its newest rows: rows that are shown as not sent yet may "
                "have been sent. Put it back, or run the command of the batch again: it keeps their idempotency keys"
            )
        if options.export is not None:
            for line in _exported(record, options.export, options.only):
                write_if_open(line)
        elif options.json:
            emit_json(plain_counts(counts) | {"journal": path, "incomplete": incomplete} | dict(more or {}))
        else:
            emit(outcome_table(counts, advice or RestAdvice()))
            emit(cost_line(counts))
    if counts.not_sent_yet or counts.resumable:
        return Exit.STOPPED
    return Exit.REFUSED if counts.failed else Exit.ACCEPTED


def count_rows(record: JournalReader) -> Counts:
    """Count the rows of a journal. Rows of the file that it lacks are not sent yet."""
    summary = record.summary()
    counts = Counts(max(row_count(record.about) or 0, summary.in_file.rows()))
    counts.load(summary)
    return counts


def _exported(record: JournalReader, export: str, only: str | None) -> Iterator[str]:
    batch = record.about["batch"]
    rows = (
        _plain(line) | {"key": leg_key(line.key or key_of(batch, line.id), line.leg)} for line in _lines(record, only)
    )
    if export == "jsonl":
        yield from (escaped(orjson.dumps(row).decode()) for row in rows)
        return
    writer = csv.DictWriter(_Echo(), _COLUMNS, lineterminator="\n")
    yield ",".join(_COLUMNS) + "\n"
    for row in rows:
        yield writer.writerow({name: csv_cell(part) if isinstance(part, str) else part for name, part in row.items()})


def _lines(record: JournalReader, only: str | None) -> Iterator[JournalRow]:
    if only is None:
        yield from record.rows()
        return
    for state in STATES[only]:
        yield from record.rows(state)


def _plain(line: JournalRow) -> dict[str, Any]:
    return asdict(line) | {"state": _WORDS[line.state].value, "kind": recorded_kind(line.kind, line.code)}


class _Echo:
    """Returns what is written, since `csv` can only write to a file."""

    def write(self, text: str) -> str:
        """Return *text*."""
        return text
