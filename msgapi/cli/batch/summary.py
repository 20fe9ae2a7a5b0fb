"""The summary at the end of a batch, and the report of its journal.

They have the outcomes of the rows, their cost, and what to do next. A report can be an export of the rows of a journal.
"""

import csv
from collections.abc import Iterator, Mapping
from shlex import quote
from typing import Any, Final, assert_never, final

import orjson
from attrs import asdict, frozen

from ...batch import Stopped
from ...batch.stops import NEVER_REACHED
from ...fallback import leg_key
from ...journal import JournalReader, JournalRow, State, Summary, key_of
from ...results import NotFound
from ..advice import BASE_URL, advise_row, explain
from ..output import (
    CliError,
    Exit,
    RowOutcome,
    counted,
    csv_cell,
    emit,
    emit_json,
    emit_prose,
    escaped,
    note,
    write_if_open,
)
from .counts import (
    BATCH_ADVICE,
    Counts,
    RestAdvice,
    cost_line,
    group_of,
    outcome_table,
    plain_counts,
    plain_shares,
    recorded_kind,
)
from .journal import BatchJournal, reading, row_count
from .runner import BatchRun
from .spending import missing, shortage

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
_IN_USE: Final = RestAdvice(
    unknown="Sent, and without an answer so far.",
    not_sent_yet="Nothing: the program that sends the batch sends them.",
    finish="another program is sending them",
)

_LIMITED: Final = RestAdvice(
    not_sent_yet="Run the same command with a higher --max-spend to send them.",
    finish="to continue, run the same command with a higher --max-spend, or `msgapi batch --resume {journal} "
    "--max-spend EUR`",
)


def report(run: BatchRun, *, json: bool, results: str | None, failed: str | None) -> Exit:
    """Print the summary on standard output and what to do next on standard error. Return the exit status."""
    if json:
        emit_json(summary(run))
    else:
        emit(outcome_table(run.counts, _advice(run)))
        emit(cost_line(run.counts))
        if not results and run.counts.first:
            emit_prose("\n".join(_first(run)))
        if run.counts.changed_lines:
            emit_prose(_changed(run.counts))
        for line in run.calls.recipients.lines():
            emit_prose(line)
    for line in run.table.left_out_lines():
        note(line)
    for line in _notices(run, failed):
        note(line)
    return run.status


def summary(run: BatchRun) -> dict[str, object]:
    """Return the summary as plain JSON. Amounts are decimal strings in EUR."""
    return (
        plain_counts(run.counts)
        | plain_shares(run.share, run.counts)
        | run.calls.recipients.facts()
        | {
            "left_out": run.table.left_out,
            "stopped": run.stopped.reason if run.stopped is not None else None,
            "sent_before": None if run.journal is None else _sent_before(run.journal),
            "warnings": run.calls.builder.warnings.facts(),
            "missing": None if (amount := missing(run.stopped, run.counts)) is None else str(amount),
            "failure": run.failure,
            "next": next_step(run.counts, None if run.journal is None else run.journal.path, _advice(run)),
            "journal": None if run.journal is None else run.journal.path,
            "exit": int(run.status),
        }
    )


def _advice(run: BatchRun) -> RestAdvice:
    return _advice_after(None if run.stopped is None else run.stopped.reason)


def _advice_after(ended_by: str | None) -> RestAdvice:
    return _LIMITED if ended_by == "spend" else BATCH_ADVICE


def _sent_before(found: BatchJournal) -> dict[str, object] | None:
    return None if found.sent_before is None else asdict(found.sent_before)


def next_step(counts: Counts, journal: str | None, advice: RestAdvice = BATCH_ADVICE) -> str | None:
    """Return how to finish the batch; None if it is finished: each row is settled, or was left out by request.

    *journal* is its path; None if there is none.
    """
    left, on_request = counts.without_verdict, counts.on_request
    if not left:
        return None
    if journal is None:
        return (
            f"not finished, {counted(left, verb='are')} not sent yet or unknown: --results FILE.jsonl shows which; "
            "with a journal, the same command sends the rest"
        )
    steps = [advice.finish.format(journal=quote(journal))] if left > sum(on_request.values()) else []
    for group, rows in on_request.items():
        steps.append(f"{counted(rows)} with the code {group.code}: {advise_row(counts.samples[group]).rstrip('.')}")
    return f"not finished, {counted(left, verb='are')} left: {'; '.join(steps)}"


def _first(run: BatchRun) -> Iterator[str]:
    more = run.counts.failed - len(run.counts.first)
    yield f"{'first ' if more else ''}rows that were not accepted (all of them: --results FILE.jsonl):"
    for row, error in sorted(run.counts.first, key=lambda one: one[0].number):
        yield f"  {row.place}: {group_of(error).title}, {explain(error)}"


def _changed(counts: Counts) -> str:
    more = ", ..." if counts.changed > len(counts.changed_lines) else ""
    return f"changed rows, not sent: line {', '.join(map(str, counts.changed_lines))}{more}"


def _notices(run: BatchRun, failed: str | None) -> Iterator[str]:
    counts = run.counts
    yield from run.calls.builder.warnings.texts()
    reason = "" if run.stopped is None else stop_reason(run.stopped, shortage(run.stopped, run.counts))
    if reason:
        yield reason
    if run.failure:
        yield f"stopped: {run.failure}"
    if run.interrupted:
        unknown, not_sent_yet = counts.unknown + counts.interrupted, counts.not_sent_yet + counts.not_carried_out
        yield (
            f"interrupted: {counted(counts.settled)} settled, "
            f"{unknown:,} {RowOutcome.UNKNOWN.words}, {not_sent_yet:,} {RowOutcome.NOT_SENT_YET.words}"
        )
    files = run.files
    failed = failed if files is not None and files.failure is None else None
    if run.journal is not None:
        if not run.attempted and not counts.not_sent_yet and not run.failure and run.journal.before is not None:
            yield "nothing was sent: all rows were settled earlier; to send all of them again, use --new-batch"
        refused_in = failed if files is not None and files.refused else None
        yield from _journal_notices(run.journal.path, counts, refused_in, _advice(run))
        return
    refused = counts.refused
    if refused and failed:
        yield f"{counted(refused, verb='were')} refused, see {failed}: correct them there and send that file"
    elif refused:
        yield f"{counted(refused, verb='were')} refused: --failed FILE.jsonl writes a file with them to send again"
    if (step := next_step(counts, None)) is not None:
        yield step


def _journal_notices(path: str, counts: Counts, failed: str | None, advice: RestAdvice) -> Iterator[str]:
    if (step := next_step(counts, path, advice)) is not None:
        yield step
    if failed:
        yield (
            f"the rows that were refused are in {failed}: correct them in the input and repeat the command, "
            "or correct them there and send that file, not both"
        )
    yield f"all rows are recorded in {path}: `msgapi batch report {quote(path)}` shows them"


def stop_reason(stopped: Stopped, short: str) -> str:
    """Return why sending stopped, with *short* if the balance is used up; empty if another line says so."""
    cause = "" if stopped.error is None else f": {explain(stopped.error).rstrip('.')}"
    match stopped.reason:
        case "unauthorized":
            text = f"the API key was refused{cause}; check MSGAPI_API_KEY or the profile"
        case "balance":
            text = f"the balance is used up{cause}{short}"
        case "refusals":
            where = f"; check {BASE_URL}, too" if isinstance(stopped.error, NotFound) else ""
            text = f"the same refusal was repeated too often{cause}{where}"
        case "foreign":
            text = f"the answers are not the service's{cause}; check {BASE_URL} and any proxy"
        case "outage":
            text = (
                "the service was down for longer than --outage-timeout, or did not answer in the first "
                f"{NEVER_REACHED:g} s{cause}; if it has never answered, check {BASE_URL}, network and proxy"
            )
        case "rate_limit":
            text = f"the rate limit let no row through for longer than --outage-timeout{cause}"
        case "spend":
            text = "the next message could cost more than --max-spend leaves"
        case "exception" | "asked":  # another line reports these
            return ""
        case _:
            assert_never(stopped.reason)
    return f"stopped: {text}"


@final
@frozen(kw_only=True)
class JournalReportOptions:
    """How a journal is shown: *export* is csv or jsonl, *only* the outcome to export, *html* the file of a page."""

    export: str | None = None
    only: str | None = None
    html: str | None = None
    overwrite: bool = False
    json: bool = False

    def check(self) -> None:
        """Raise CliError if the options do not go together."""
        if self.only is not None and self.export is None:
            raise CliError("--only needs --export csv or --export jsonl")
        if self.overwrite and self.html is None:
            raise CliError("--overwrite needs --html FILE")
        if self.html is not None and self.export is not None:
            raise CliError("--html and --export cannot be used together: run the command twice")
        if self.html == "-" and self.json:
            raise CliError("--html - and --json both write to standard output: name a file")


def show_journal(
    path: str,
    options: JournalReportOptions,
    *,
    more: Mapping[str, object] | None = None,
    advice: RestAdvice | None = None,
    command: str | None = None,
) -> int:
    """Print the summary of the journal at *path*, export its rows, or write a page. Return the exit status.

    *more* is added to the JSON. *advice* is for rows without a verdict; by default it is that of the last run.
    *command* shows the summary, if it is not `msgapi batch report`. Of a batch that is being sent, what is committed so
    far is shown.
    """
    options.check()
    with reading(path, in_use="copy") as record:
        counts, incomplete = count_rows(record, record.summary()), record.lost_since is not None
        if record.is_in_use:
            note("another program is sending this batch: the report has what is recorded so far")
            advice = _IN_USE
        elif advice is None:
            advice = _advice_after(next((run.ended_by for run in reversed(record.runs())), None))
        if incomplete:
            note(
                f"the -wal file of {path} is missing, with its newest rows: rows that are shown as not sent yet may "
                "have been sent. Put it back, or run the command of the batch again: it keeps their idempotency keys"
            )
        if options.html is not None:
            from .report_page import write_report  # only this option needs it

            write_report(record, path, options.html, overwrite=options.overwrite, command=command, advice=advice)
        if options.html == "-":
            return counts.status
        if options.export is not None:
            for line in _exported(record, options.export, options.only):
                write_if_open(line)
        elif options.json:
            step = next_step(counts, path, advice)
            facts = {
                "next": step,
                "journal": path,
                "incomplete": incomplete,
                "in_use": record.is_in_use,
                "exit": int(counts.status),
            }
            emit_json(plain_counts(counts) | facts | dict(more or {}))
        else:
            emit(outcome_table(counts, advice))
            emit(cost_line(counts))
            if (step := next_step(counts, path, advice)) is not None:
                note(step)
    return counts.status


def count_rows(record: JournalReader, summary: Summary) -> Counts:
    """Count the rows of a journal with this *summary*. Rows of the file that it lacks are not sent yet."""
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
