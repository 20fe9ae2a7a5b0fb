"""The report at the end of a batch: what became of the rows, what it cost, and what to do next."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, assert_never

from ..batch import Stopped
from .advice import advise, explain
from .exits import Exit
from .output import emit, emit_json, note, table_of
from .run import Run

if TYPE_CHECKING:
    from rich.table import Table


def report(run: Run, *, json: bool, results: str | None, failed: str | None) -> Exit:
    """Print the report on standard output, and on standard error what needs doing; give the status."""
    if json:
        emit_json(summary(run))
    else:
        emit(outcomes(run))
        emit(money(run))
        if not results and run.tally.first:
            emit("\n".join(_first(run)))
    for line in _notices(run, failed):
        note(line)
    return run.status


def summary(run: Run) -> dict[str, object]:
    """Put the report into plain JSON; amounts are decimal strings in EUR."""
    tally = run.tally
    return {
        "rows": tally.total,
        "accepted": tally.accepted,
        "refused": tally.refused,
        "duplicates": tally.duplicates,
        "interrupted": tally.lost,
        "unsent": tally.unsent,
        "may_have_been_sent": tally.doubtful + tally.lost,
        "price": str(tally.spend),
        "held": str(tally.held),
        "outcomes": [
            {"kind": kind, "code": code, "count": count, "advice": advise(tally.samples[kind, code])}
            for (kind, code), count in tally.errors.most_common()
        ],
        "stopped": run.stopped.reason if run.stopped is not None else None,
        "trouble": run.trouble,
        "exit": int(run.status),
    }


def outcomes(run: Run) -> "Table":
    """Draw the outcomes by kind, with what to do about each."""
    tally = run.tally
    table = table_of("outcome", "#rows", "code", "what to do")
    table.add_row("Accepted", f"{tally.accepted:,}", "", "Nothing: queued for delivery.", style="green")
    for (kind, code), count in tally.errors.most_common():
        table.add_row(kind, f"{count:,}", code, advise(tally.samples[kind, code]))
    if tally.lost:
        table.add_row("Cut off", f"{tally.lost:,}", "", "May have been sent: send again under their keys.", style="red")
    if tally.unsent:
        table.add_row("Never sent", f"{tally.unsent:,}", "", "Send them when what stopped the batch is mended.")
    return table


def money(run: Run) -> str:
    """Say how many rows were accepted, and what they cost."""
    tally = run.tally
    held = "" if tally.held == tally.spend else f" (held: {tally.held} EUR)"
    return f"{tally.accepted:,} of {tally.total:,} rows accepted, {tally.spend} EUR{held}"


def _first(run: Run) -> Iterator[str]:
    more = run.tally.refused - len(run.tally.first)
    yield f"refused{' first' if more else ''} (all of them: --results FILE.jsonl):"
    for row, error in run.tally.first:
        yield f"  line {row.line}: {type(error).__name__}, {explain(error)}"


def _notices(run: Run, failed: str | None) -> Iterator[str]:
    tally = run.tally
    why = "" if run.stopped is None else _why(run.stopped)
    if why:
        yield why
    if run.trouble:
        yield f"stopped: {run.trouble}"
    if run.interrupted:
        yield f"interrupted: {tally.settled:,} rows settled, {tally.lost:,} cut off, {tally.unsent:,} never sent"
    again = tally.refused + tally.lost + tally.unsent
    if again and failed and run.ledger.failure is None:
        yield f"the {again:,} rows that were not accepted are in {failed}: the same options send them from there"
    elif again:
        yield f"{again:,} rows were not accepted: --failed FILE.jsonl keeps them, to be sent again"


def _why(stopped: Stopped) -> str:
    said = "" if stopped.error is None else f": {explain(stopped.error).rstrip('.')}"
    match stopped.reason:
        case "unauthorized":
            return f"stopped: the API key was refused{said}; check MSGAPI_API_KEY"
        case "balance":
            return f"stopped: the balance is used up{said}"
        case "refusals":
            return f"stopped after a run of the same refusal{said}"
        case "outage":
            return f"stopped: the service did not answer for too long{said}"
        case "spend":
            return "stopped: the next message could cost more than --max-spend leaves"
        case "exception" | "asked":  # what is behind these is told by itself
            return ""
        case _:
            assert_never(stopped.reason)
