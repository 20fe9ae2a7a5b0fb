"""The command `msgapi fleet enqueue`: the rows of a file are put into the queue of a fleet as a batch."""

from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any, Final, Protocol, final

import click

from .... import fleet as fleets
from ....clock import SYSTEM_CLOCK, Clock
from ....fleet import Manifest
from ....fleet.batches import begin_batch
from ....journal import key_of
from ...batch import journal
from ...batch.calls import RowCalls
from ...batch.command import BatchConfig, open_rows
from ...batch.counts import DUPLICATE
from ...connection import run_async
from ...files.rows import InputRow
from ...files.tables import InputFile
from ...options import file_options, id_column_option, json_option, message_options, message_values
from ...outcomes import CliError, Exit, RowOutcome, cannot_read
from ...output import counted, emit, emit_json, note
from . import connection
from .connection import FleetAddress, OpenFleet, engine_errors, fleet_option, lease_option, url_option

_INTERVAL: Final = 5.0  # seconds between two lines of progress
_CONTINUE: Final = "run the same command again to continue"
_CHANGED: Final = (
    "restore the file and run the same command again to continue, or queue the changed file as another --batch"
)


@click.command
@click.argument("file")
@click.option(
    "--batch", required=True, metavar="NAME", help="The name of the batch; no other batch with this key may have it."
)
@message_options
@file_options
@id_column_option
@lease_option
@url_option
@fleet_option
@json_option
def enqueue(*, file: str, batch: str, lease: float, url: str, fleet: str, **options: Any) -> int:  # noqa: ANN401 - BatchConfig
    """Queue a message for each row of a file.

    FILE and the options are those of `msgapi batch`; `msgapi batch --dry-run` shows what would be sent. If this
    command is interrupted, run it again to continue: no row is queued twice.

    The idempotency keys of the rows are derived from NAME: a second batch with the same NAME would be taken for the
    first one.
    """
    address = FleetAddress(url=url, fleet=fleet, lease=lease)
    config = BatchConfig(path=file, message_values=message_values(), **options)
    address.check(batch)
    with open_rows(config, remedy=_CHANGED) as (table, calls):
        manifest = Manifest(
            batch=batch,
            source=table.digest(),
            rows=table.count,
            about=journal.store_command(config.stored, table.count),
        )
        rows = partial(_rows, table, calls, batch)
        done, counts, new = run_async(partial(_enqueue, config, address, manifest, rows))
        _check(table)
    for line in table.line_breaks.describe():
        note(line)
    if table.left_out:
        note(f"{counted(table.left_out, verb='were')} left out by --where")
    if config.json:
        emit_json(_facts(done, counts) | {"left_out": table.left_out, "queued": new, "exit": int(Exit.ACCEPTED)})
    else:
        _print(done, counts, new=new)
    return Exit.ACCEPTED


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


def _facts(done: Manifest, counts: Counter[RowOutcome]) -> dict[str, object]:
    return {
        "batch": done.batch,
        "rows": done.rows,
        "chunks": done.chunks_total,
        RowOutcome.INVALID.value: counts[RowOutcome.INVALID],
        RowOutcome.DUPLICATE.value: counts[RowOutcome.DUPLICATE],
    }


def _print(done: Manifest, counts: Counter[RowOutcome], *, new: bool) -> None:
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
