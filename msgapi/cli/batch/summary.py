"""The summary at the end of a batch: the outcomes of the rows, their cost, and what to do next."""

from collections.abc import Iterator
from shlex import quote
from typing import Final, assert_never, final

from attrs import asdict, frozen

from ...batch import Stopped
from ...results import NotFound
from ..advice import advise_row, explain
from ..outcomes import Exit, RowOutcome
from ..output import TextTable, counted, emit, emit_json, note, table_of
from .counts import Counts, group_of
from .journal import BatchJournal
from .runner import BatchRun
from .spending import missing, shortage


def report(run: BatchRun, *, json: bool, results: str | None, failed: str | None) -> Exit:
    """Print the summary on standard output and what to do next on standard error. Return the exit status."""
    if json:
        emit_json(summary(run))
    else:
        emit(outcome_table(run.counts))
        emit(cost_line(run.counts))
        if not results and run.counts.first:
            emit("\n".join(_first(run)))
        if run.counts.changed_lines:
            emit(_changed(run.counts))
    if run.table.left_out:
        note(f"{counted(run.table.left_out, verb='were')} left out by --where")
    for line in _notices(run, failed):
        note(line)
    return run.status


def summary(run: BatchRun) -> dict[str, object]:
    """Return the summary as plain JSON. Amounts are decimal strings in EUR."""
    return plain_counts(run.counts) | {
        "left_out": run.table.left_out,
        "stopped": run.stopped.reason if run.stopped is not None else None,
        "sent_before": None if run.journal is None else _sent_before(run.journal),
        "missing": None if (amount := missing(run.stopped, run.counts)) is None else str(amount),
        "failure": run.failure,
        "journal": None if run.journal is None else run.journal.path,
        "exit": int(run.status),
    }


def _sent_before(found: BatchJournal) -> dict[str, object] | None:
    return None if found.sent_before is None else asdict(found.sent_before)


def plain_counts(counts: Counts) -> dict[str, object]:
    """Return the counts as plain JSON.

    `unknown` is all rows that may have been sent, `interrupted` ones included, and `not_sent_yet` all rows that the
    next run sends, whether they were tried or not. `sent_by_email` and `sent_earlier` are parts of `accepted`;
    `not_in_the_file` is no part of `rows`.
    """
    return {
        "rows": counts.total,
        RowOutcome.ACCEPTED.value: counts.accepted,
        RowOutcome.BY_EMAIL.value: counts.accepted_by_fallback,
        RowOutcome.REFUSED.value: counts.refused,
        RowOutcome.DUPLICATE.value: counts.duplicate,
        RowOutcome.CHANGED.value: counts.changed,
        RowOutcome.SENT_EARLIER.value: counts.sent_earlier,
        RowOutcome.NOT_IN_THE_FILE.value: counts.not_in_file,
        "interrupted": counts.interrupted,
        RowOutcome.NOT_SENT_YET.value: counts.not_sent_yet + counts.not_carried_out,
        RowOutcome.UNKNOWN.value: counts.unknown + counts.interrupted,
        "price": str(counts.spend),
        "hold": str(counts.held),
        "price_not_in_the_file": str(counts.spend_not_in_file),
        "outcomes": [
            {
                "outcome": group.outcome.value,
                "kind": group.kind,
                "code": group.code,
                "count": count,
                "advice": advise_row(counts.samples[group]),
            }
            for group, count in counts.errors.most_common()
        ],
    }


@final
@frozen
class RestAdvice:
    """What to do about rows without a result: those that may have been sent, and those that were not."""

    unknown: str = "May have been sent: send them again with the same idempotency keys."
    not_sent_yet: str = "Run the same command to send them."


_BATCH_ADVICE: Final = RestAdvice()


def outcome_table(counts: Counts, advice: RestAdvice = _BATCH_ADVICE) -> TextTable:
    """Return the table of outcomes, with what to do about each."""
    table = table_of("outcome", "#rows", "code", "what to do")
    table.add_row(RowOutcome.ACCEPTED.title, f"{counts.accepted:,}", "", "Nothing: queued for delivery.", style="green")
    if counts.accepted_by_fallback:
        why = "Nothing: they are among the accepted ones, and could not be reached by RCS."
        table.add_row(RowOutcome.BY_EMAIL.title, f"{counts.accepted_by_fallback:,}", "", why)
    if counts.sent_earlier:
        earlier = "Nothing: they are among the accepted ones."
        table.add_row(RowOutcome.SENT_EARLIER.title, f"{counts.sent_earlier:,}", "", earlier)
    for group, count in counts.errors.most_common():
        table.add_row(group.title, f"{count:,}", group.code, advise_row(counts.samples[group]))
    if counts.interrupted:
        table.add_row(RowOutcome.UNKNOWN.title, f"{counts.interrupted:,}", "", advice.unknown, style="red")
    if counts.not_sent_yet:
        table.add_row(RowOutcome.NOT_SENT_YET.title, f"{counts.not_sent_yet:,}", "", advice.not_sent_yet)
    if counts.not_in_file:
        gone = f"Nothing: rows of earlier runs, {counts.spend_not_in_file} EUR."
        table.add_row(RowOutcome.NOT_IN_THE_FILE.title, f"{counts.not_in_file:,}", "", gone)
    return table


def cost_line(counts: Counts) -> str:
    """Return the line with the number of accepted rows and their cost."""
    held = "" if counts.held == counts.spend else f" (held: {counts.held} EUR)"
    return f"{counts.accepted:,} of {counted(counts.total)} accepted, {counts.spend} EUR{held}"


def _first(run: BatchRun) -> Iterator[str]:
    more = run.counts.failed - len(run.counts.first)
    yield f"{'first ' if more else ''}rows that were not accepted (all of them: --results FILE.jsonl):"
    for row, error in run.counts.first:
        yield f"  line {row.line}: {group_of(error).title}, {explain(error)}"


def _changed(counts: Counts) -> str:
    more = ", ..." if counts.changed > len(counts.changed_lines) else ""
    return f"changed rows, not sent: line {', '.join(map(str, counts.changed_lines))}{more}"


def _notices(run: BatchRun, failed: str | None) -> Iterator[str]:
    counts = run.counts
    reason = "" if run.stopped is None else stop_reason(run.stopped, shortage(run.stopped, run.counts))
    if reason:
        yield reason
    if run.failure:
        yield f"stopped: {run.failure}"
    if run.interrupted:
        unknown, not_sent_yet = counts.unknown + counts.interrupted, counts.not_sent_yet + counts.not_carried_out
        yield (
            f"interrupted: {counted(counts.total - counts.without_verdict)} settled, "
            f"{unknown:,} {RowOutcome.UNKNOWN.words}, {not_sent_yet:,} {RowOutcome.NOT_SENT_YET.words}"
        )
    failed = failed if run.files.failure is None else None
    if run.journal is not None:
        if not run.attempted and not counts.not_sent_yet and not run.failure and run.journal.before is not None:
            yield "nothing was sent: all rows were settled earlier; to send all of them again, use --new-batch"
        yield from _journal_notices(run.journal.path, counts, failed if run.files.refused else None)
        return
    refused = run.files.refused
    left = counts.without_verdict
    if refused and failed:
        yield f"{counted(refused, verb='were')} refused, see {failed}: correct what is wrong and send that file"
    elif refused:
        yield f"{counted(refused, verb='were')} refused: --failed FILE.jsonl writes a file with them to send again"
    if left:
        yield (
            f"{counted(left, verb='were')} not sent or may have been: --results FILE.jsonl shows which; "
            "with a journal, the same command sends the rest"
        )


def _journal_notices(path: str, counts: Counts, failed: str | None) -> Iterator[str]:
    if counts.resumable or counts.not_sent_yet:
        yield f"run the same command again to continue, or `msgapi batch --resume {quote(path)}`"
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
            text = f"the API key was refused{cause}; check MSGAPI_API_KEY"
        case "balance":
            text = f"the balance is used up{cause}{short}"
        case "refusals":
            where = "; check MSGAPI_BASE_URL, too" if isinstance(stopped.error, NotFound) else ""
            text = f"the same refusal was repeated too often{cause}{where}"
        case "foreign":
            text = f"the answers are not the service's{cause}; check MSGAPI_BASE_URL and any proxy"
        case "outage":
            text = f"the service was down for longer than --outage-timeout{cause}"
        case "rate_limit":
            text = f"the rate limit let no row through for longer than --outage-timeout{cause}"
        case "spend":
            text = "the next message could cost more than --max-spend leaves"
        case "exception" | "asked":  # another line reports these
            return ""
        case _:
            assert_never(stopped.reason)
    return f"stopped: {text}"
