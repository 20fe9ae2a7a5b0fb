"""The report at the end of a batch: what became of the rows, what it cost, and what to do next."""

from collections.abc import Iterator
from shlex import quote
from typing import Final, assert_never, final

from attrs import frozen

from ..batch import Stopped
from .advice import advise, explain
from .exits import Exit
from .funds import missing, shortage
from .output import Table, emit, emit_json, note, table_of
from .run import Run
from .tally import Tally


def report(run: Run, *, json: bool, results: str | None, failed: str | None) -> Exit:
    """Print the report on standard output, and on standard error what needs doing; give the status."""
    if json:
        emit_json(summary(run))
    else:
        emit(outcomes(run.tally))
        emit(money(run.tally))
        if not results and run.tally.first:
            emit("\n".join(_first(run)))
    for line in _notices(run, failed):
        note(line)
    return run.status


def summary(run: Run) -> dict[str, object]:
    """Put the report into plain JSON; amounts are decimal strings in EUR."""
    return plain(run.tally) | {
        "stopped": run.stopped.reason if run.stopped is not None else None,
        "missing": None if (amount := missing(run.stopped, run.tally)) is None else str(amount),
        "trouble": run.trouble,
        "journal": None if run.diary is None else run.diary.path,
        "exit": int(run.status),
    }


def plain(tally: Tally) -> dict[str, object]:
    """Put what a batch has come to into plain JSON."""
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
    }


@final
@frozen
class Words:
    """How rows without an outcome are called, and what to do about them: those *cut* off, and those *unsent*."""

    cut: tuple[str, str] = "Cut off", "May have been sent: send again under their keys."
    unsent: tuple[str, str] = "Never sent", "Send them when what stopped the batch is mended."


OF_A_BATCH: Final = Words()


def outcomes(tally: Tally, words: Words = OF_A_BATCH) -> Table:
    """Draw the outcomes by kind, with what to do about each."""
    table = table_of("outcome", "#rows", "code", "what to do")
    table.add_row("Accepted", f"{tally.accepted:,}", "", "Nothing: queued for delivery.", style="green")
    for (kind, code), count in tally.errors.most_common():
        table.add_row(kind, f"{count:,}", code, advise(tally.samples[kind, code]))
    if tally.lost:
        name, advice = words.cut
        table.add_row(name, f"{tally.lost:,}", "", advice, style="red")
    if tally.unsent:
        name, advice = words.unsent
        table.add_row(name, f"{tally.unsent:,}", "", advice)
    return table


def money(tally: Tally) -> str:
    """Say how many rows were accepted, and what they cost."""
    held = "" if tally.held == tally.spend else f" (held: {tally.held} EUR)"
    return f"{tally.accepted:,} of {tally.total:,} rows accepted, {tally.spend} EUR{held}"


def _first(run: Run) -> Iterator[str]:
    more = run.tally.refused - len(run.tally.first)
    yield f"refused{' first' if more else ''} (all of them: --results FILE.jsonl):"
    for row, error in run.tally.first:
        yield f"  line {row.line}: {type(error).__name__}, {explain(error)}"


def _notices(run: Run, failed: str | None) -> Iterator[str]:
    tally = run.tally
    said = "" if run.stopped is None else why(run.stopped, shortage(run.stopped, run.tally))
    if said:
        yield said
    if run.trouble:
        yield f"stopped: {run.trouble}"
    if run.interrupted:
        yield f"interrupted: {tally.settled:,} rows settled, {tally.lost:,} cut off, {tally.unsent:,} never sent"
    again = tally.refused + tally.lost + tally.unsent
    if run.diary is not None:
        if not run.sent and not tally.unsent and not run.trouble and run.diary.before is not None:
            yield "nothing was sent: every row had settled before; another --journal makes it another batch"
        yield from _on(run.diary.path, tally, failed if run.ledger.failure is None else None)
    elif again and failed and run.ledger.failure is None:
        yield f"the {again:,} rows that were not accepted are in {failed}: the same options send them from there"
    elif again:
        yield f"{again:,} rows were not accepted: --failed FILE.jsonl keeps them, to be sent again"


def _on(path: str, tally: Tally, failed: str | None) -> Iterator[str]:
    if tally.again or tally.unsent:
        yield f"the same command goes on where this one ended; so does `msgapi batch --resume {quote(path)}`"
    if tally.refused and failed:
        yield f"the {tally.refused:,} rows that were refused are in {failed}, to be mended and sent"
    yield f"every row is in {path}: `msgapi batch report {quote(path)}` tells of them"


def why(stopped: Stopped, short: str) -> str:
    """Say why nothing more was sent, and what is *short* if it is money; nothing if that is told by itself."""
    said = "" if stopped.error is None else f": {explain(stopped.error).rstrip('.')}"
    match stopped.reason:
        case "unauthorized":
            return f"stopped: the API key was refused{said}; check MSGAPI_API_KEY"
        case "balance":
            return f"stopped: the balance is used up{said}{short}"
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
