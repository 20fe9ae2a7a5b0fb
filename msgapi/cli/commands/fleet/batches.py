"""The batches of a fleet: `msgapi fleet enqueue` puts the rows of a file into the queue, `fleet report` shows outcomes.

The report is made from the records of the batch on the fleet.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from shlex import quote
from tempfile import TemporaryDirectory
from typing import Any, Final, Protocol, final

import anyio
import click
from attrs import field, frozen

from .... import fleet as fleets
from ....clock import SYSTEM_CLOCK, Clock
from ....codec import Problems
from ....codec.json import error_from_json
from ....fleet import Collection, Manifest, collect
from ....fleet.batches import begin_batch
from ....journal import Unusable, key_of
from ....results import ApiError
from ...advice import advise_row, explain, facts
from ...batch import journal
from ...batch.calls import RowCalls
from ...batch.command import BatchConfig, open_rows
from ...batch.counts import DUPLICATE, RestAdvice
from ...batch.journal import SUFFIX
from ...batch.summary import JournalReportOptions, show_journal
from ...connection import run_async
from ...files.rows import InputRow
from ...files.tables import InputFile
from ...options import (
    FILE_PATH,
    GroupedCommand,
    export_option,
    file_options,
    html_option,
    json_option,
    message_values,
    only_option,
    option_group,
    overwrite_page_option,
)
from ...output import CliError, Exit, RowOutcome, cannot_read, counted, emit, emit_json, note
from . import connection
from .connection import FleetAddress, OpenFleet, engine_errors, fleet_option, lease_option, url_option

_INTERVAL: Final = 5.0  # seconds between two lines of progress
_MOST_SHOWN: Final = 3  # bad rows that the error for a file without a good one names
_CONTINUE: Final = "run the same command again to continue"
_CHANGED: Final = (
    "restore the file and run the same command again to continue, or queue the changed file as another --batch"
)
_ADVICE: Final = RestAdvice(
    unknown="A worker has or had them: they are sent again while the service knows their keys.",
    not_sent_yet="Nothing: a worker sends them.",
    finish="a worker sends them: `msgapi fleet work`",
)
_TIMEOUT: Final = 5.0  # seconds to wait for the reason of a pause, which is optional


@click.command(cls=GroupedCommand)
@click.argument("file", type=FILE_PATH)
@file_options
@option_group(
    "The fleet",
    click.option(
        "--batch",
        required=True,
        metavar="NAME",
        help="Give the batch this name. No other batch with the same API key may have it.",
    ),
    url_option,
    fleet_option,
    lease_option,
)
@json_option
def enqueue(*, file: str, batch: str, lease: float, url: str, fleet: str, **options: Any) -> int:  # noqa: ANN401 - BatchConfig
    """Queue a message for each row of a file.

    FILE and the options for what to send are those of `msgapi batch`, and `msgapi batch --dry-run` shows what would be
    sent. There is no limit for what a fleet spends except the balance. If this command is interrupted, run it again to
    continue. No row is queued twice.

    The idempotency keys of the rows are derived from the name of the batch. So a second batch with the same name would
    be taken for the first one.

    The exit status is 0 if the rows are queued, and 2 if no row of FILE can be sent.
    """
    address = FleetAddress(url=url, fleet=fleet, lease=lease)
    config = BatchConfig(path=file, message_values=message_values(), **options)
    address.check(batch)
    with open_rows(config, remedy=_CHANGED) as (table, calls):
        _check_rows(table, calls)
        manifest = Manifest(
            batch=batch,
            source=table.digest(),
            rows=table.count,
            about=journal.store_command(config.stored, table.count),
        )
        rows = partial(_rows, table, calls, batch)
        done, counts, new = run_async(partial(_enqueue, config, address, manifest, rows))
        _check(table)
    for text in calls.builder.warnings.texts():
        note(text)
    for line in table.line_breaks.describe():
        note(line)
    for line in table.left_out_lines():
        note(line)
    if config.json:
        found = {"left_out": table.left_out} | (calls.recipients.facts() if new else {})
        emit_json(_queued_facts(done, counts) | found | {"queued": new, "exit": int(Exit.ACCEPTED)})
    else:
        _print_queued(done, counts, new=new)
        for line in calls.recipients.lines():
            emit(line)
    return Exit.ACCEPTED


def _check_rows(table: InputFile, calls: RowCalls) -> None:
    # A file without one good row is a mistake in the command or in the file, and would be a batch without messages.
    bad: list[str] = []
    for made in calls.make_each(table.rows(), table.count):
        if made.message is not None:
            return
        if made.call.invalid is not None and len(bad) < _MOST_SHOWN:
            bad.append(f"line {made.row.line}: {explain(made.call.invalid)}")
    more = "; ..." if table.count > len(bad) else ""
    raise CliError(f"no row of {table.name} can be sent, and nothing was queued: {'; '.join(bad)}{more}")


async def _enqueue(
    config: BatchConfig, address: FleetAddress, wanted: Manifest, rows: "_Rows"
) -> tuple[Manifest, Counter[RowOutcome], bool]:
    # Returns the manifest at the end, the counts of rows that are not sent, and whether anything was queued.
    counts: Counter[RowOutcome] = Counter()
    async with connection.open_fleet(address) as opened:
        with engine_errors(_CONTINUE):
            begun = await _begun(opened, config, wanted)
            done = await fleets.enqueue(
                rows(counts),
                wanted,
                queue=opened.queue,
                records=opened.records,
                on_progress=_ProgressLine(SYSTEM_CLOCK).show,
            )
    return done, counts, begun.chunks_total is None


async def _begun(opened: OpenFleet, config: BatchConfig, wanted: Manifest) -> Manifest:
    # The first to begin the batch stores its manifest, so two that begin at the same time both read the same one.
    begun = await begin_batch(opened.records, wanted, SYSTEM_CLOCK.time())
    other = journal.differing(journal.stored_command(begun.about, f"the batch {wanted.batch}"), config.stored)
    if other is not None:
        raise CliError(
            f"the batch {wanted.batch} was queued with a different {other}: "
            "finish that batch by its own command, or name another batch"
        )
    return begun


class _Rows(Protocol):
    def __call__(self, counts: Counter[RowOutcome], /) -> Iterator[fleets.ChunkRow]: ...  # pragma: no cover


def _rows(table: InputFile, calls: RowCalls, batch: str, counts: Counter[RowOutcome]) -> Iterator[fleets.ChunkRow]:
    for _, name, call in calls.make(_read(table), table.count, partial(key_of, batch)):
        made = fleets.make_row(name, call)
        if made.invalid is not None:
            outcome = RowOutcome.DUPLICATE if made.invalid.code == DUPLICATE else RowOutcome.INVALID
            counts[outcome] += 1
        yield made


def _read(table: InputFile) -> Iterator[InputRow]:
    # The file was read once without an error.
    try:
        yield from table.rows()
    except OSError as error:
        raise _unreadable(table, error) from None


def _check(table: InputFile) -> None:
    # The rows were queued as they were first read; if the file has changed since then, the user has to know.
    try:
        table.check()
    except OSError as error:
        raise _unreadable(table, error) from None


def _unreadable(table: InputFile, error: OSError) -> CliError:
    return CliError(f"{cannot_read(table.name, error)}; {_CONTINUE}", Exit.STOPPED)


@final
class _ProgressLine:
    """Prints the progress every few seconds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last = clock.now()

    def show(self, manifest: Manifest) -> None:
        if self._clock.now() - self._last >= _INTERVAL:
            self._last = self._clock.now()
            note(
                f"queued: {min(manifest.chunks_queued * manifest.rows_per_chunk, manifest.rows):,}"
                f"/{counted(manifest.rows)}"
            )


def _queued_facts(done: Manifest, counts: Counter[RowOutcome]) -> dict[str, object]:
    return {
        "batch": done.batch,
        "rows": done.rows,
        "chunks": done.chunks_total,
        RowOutcome.INVALID.value: counts[RowOutcome.INVALID],
        RowOutcome.DUPLICATE.value: counts[RowOutcome.DUPLICATE],
    }


def _print_queued(done: Manifest, counts: Counter[RowOutcome], *, new: bool) -> None:
    if new:
        chunks = counted(done.chunks_total or 0, "chunk")
        emit(f"{counted(done.rows, verb='are')} queued as the batch {done.batch}, in {chunks}")
    else:
        emit(f"nothing was queued: all {done.rows:,} rows of the batch {done.batch} are queued already")
    if counts[RowOutcome.INVALID]:
        note(f"{counted(counts[RowOutcome.INVALID], verb='are')} invalid and not sent: the report shows why")
    if counts[RowOutcome.DUPLICATE]:
        duplicates = counted(counts[RowOutcome.DUPLICATE], verb="are")
        note(f"{duplicates} not sent, because an earlier row has the same message and recipient")
    note(f"`msgapi fleet work` sends them; `msgapi fleet report --batch {done.batch}` shows their outcomes")


@final
@frozen(kw_only=True)
class _BatchStatus:
    """What was collected, how many chunks of the fleet are in the queue, and why sending is paused."""

    collection: Collection
    left: int
    paused: ApiError | None = field(default=None)


@click.command
@click.option("--batch", required=True, metavar="NAME", help="Show the batch with this name.")
@click.option(
    "--journal", type=FILE_PATH, metavar="FILE", help="Write the rows to this file, as a journal of `msgapi batch`."
)
@export_option
@only_option
@html_option
@overwrite_page_option
@url_option
@fleet_option
@json_option
def report(
    *,
    batch: str,
    journal: str | None,
    url: str,
    fleet: str,
    **options: Any,  # noqa: ANN401 - the fields of JournalReportOptions
) -> int:
    """Show the outcomes of a queued batch so far.

    \b
      msgapi fleet report --batch may
      msgapi fleet report --batch may --export csv --only refused
      msgapi fleet report --batch may --html may.html

    The file of --journal is like the journal of `msgapi batch`. `msgapi batch report FILE` reads it, and `msgapi batch
    --resume FILE` sends the rest from this machine, with the same idempotency keys, so workers may send meanwhile. 23
    hours after the first report with --journal, workers no longer send rows of the batch that are still queued, but
    report them as unknown.

    The exit status is 0 if every row was accepted, 3 if rows are not sent yet or their outcome is unknown, and 1
    otherwise.
    """  # noqa: D301 - \b is click's own
    address = FleetAddress(url=url, fleet=fleet, read_only=True)
    shown = JournalReportOptions(**options)
    address.check(batch)
    shown.check()
    with _journal_path(batch, journal) as path:
        status = run_async(partial(_collect, address, batch, path, only_read=journal is None))
        more = _report_facts(status) | {"batch": batch, "journal": journal}
        exit_status = show_journal(
            path, shown, more=more, advice=_ADVICE, command=f"msgapi fleet report --batch {batch}"
        )
    for line in _report_notices(status, journal):
        note(line)
    return exit_status


@contextmanager
def _journal_path(batch: str, journal: str | None) -> Iterator[str]:
    if journal is not None:
        yield journal
        return
    with TemporaryDirectory(prefix="msgapi-") as directory:
        yield str(Path(directory) / f"{batch}{SUFFIX}")


async def _collect(address: FleetAddress, batch: str, path: str, *, only_read: bool) -> _BatchStatus:
    async with connection.open_fleet(address) as fleet:
        with engine_errors("not all records were read, so there is no report"):
            try:
                collection = await collect(fleet.records, batch, path, only_read=only_read)
            except Unusable as error:
                raise CliError(f"{error}") from None
            if collection is None:
                raise CliError(
                    f"there is no batch {batch} on the fleet {address.fleet}: `msgapi fleet enqueue` creates one"
                )
            left = await fleet.queue.size()
        why: bytes | None = None
        with anyio.move_on_after(_TIMEOUT):
            why = await fleet.shared_rate.paused()
    return _BatchStatus(collection=collection, left=left, paused=_error(why))


def _error(why: bytes | None) -> ApiError | None:
    error = None if why is None else error_from_json(why)
    return None if isinstance(error, Problems) else error


def _report_facts(status: _BatchStatus) -> dict[str, object]:
    found = status.collection
    return {
        "chunks": {
            "total": found.manifest.chunks_total,
            "queued": found.manifest.chunks_queued,
            "begun": found.begun,
            "done": found.done,
            "buried": found.buried,
            "unreadable": found.unreadable,
            "left": status.left,
        },
        "paused": None if status.paused is None else facts(status.paused),
    }


def _report_notices(status: _BatchStatus, journal: str | None) -> Iterator[str]:
    found, manifest = status.collection, status.collection.manifest
    waiting = max(0, manifest.chunks_queued - found.done - found.begun - len(found.buried))
    if manifest.chunks_total is None:
        yield "not all rows are queued: run the same `msgapi fleet enqueue` again"
    if waiting or found.begun:
        text = f"{found.done:,} of {manifest.chunks_queued:,} chunks are done"
        text += f", {found.begun:,} are begun, {waiting:,} are waiting"
        yield f"{text}; `msgapi fleet work` continues"
    for name, why in sorted(found.buried.items()):
        yield f"chunk {name} was abandoned: {why}"
    if found.unreadable:
        yield f"these records cannot be read: {', '.join(sorted(found.unreadable))}"
    if status.paused is not None:
        yield f"sending is paused: {explain(status.paused).rstrip('.')}. {advise_row(status.paused)}"
    if journal is not None:
        yield f"all rows are recorded in {journal}: `msgapi batch report {quote(journal)}` shows them"
