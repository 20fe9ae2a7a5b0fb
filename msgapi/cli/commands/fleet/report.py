"""The command `msgapi fleet report`: the outcomes of a batch from its records on the fleet."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from shlex import quote
from tempfile import TemporaryDirectory
from typing import Final, final

import anyio
import click
from attrs import field, frozen

from ....codec import Problems
from ....codec.json import error_from_json
from ....fleet import Collection, collect
from ....journal import Unusable
from ....results import ApiError
from ...advice import advise_row, explain, facts
from ...batch.journal import SUFFIX
from ...batch.summary import RestAdvice
from ...connection import run_async
from ...options import FILE_PATH, export_option, json_option, only_option
from ...outcomes import CliError
from ...output import note
from ..batch_report import JournalReportOptions, show_journal
from . import connection
from .connection import FleetAddress, engine_errors, fleet_option, url_option

_ADVICE: Final = RestAdvice(
    unknown="A worker has or had them: they are sent again while the service knows their keys.",
    not_sent_yet="Nothing: a worker sends them.",
)
_TIMEOUT: Final = 5.0  # seconds to wait for the reason of a pause, which is optional


@final
@frozen(kw_only=True)
class _BatchStatus:
    """What was collected, how many chunks of the fleet are in the queue, and why sending is paused."""

    collection: Collection
    left: int
    paused: ApiError | None = field(default=None)


@click.command
@click.option("--batch", required=True, metavar="NAME", help="The name of the batch.")
@click.option(
    "--journal", type=FILE_PATH, metavar="FILE", help="Write the rows to this file, as the journal of a batch."
)
@export_option
@only_option
@url_option
@fleet_option
@json_option
def report(
    *, batch: str, journal: str | None, export: str | None, only: str | None, url: str, fleet: str, json: bool
) -> int:
    """Show the outcomes of a queued batch so far.

    \b
      msgapi fleet report --batch may
      msgapi fleet report --batch may --export csv --only refused > refused.csv

    --journal writes a file like that of `msgapi batch`: `msgapi batch report FILE` reads it and, once the workers
    have ended, `msgapi batch --resume FILE` sends the rest from here, with the same keys. A day after that, workers
    treat the rows of it that are still queued as unknown, and do not send them.

    Exit status: 0 every row accepted, 1 all rows settled, but some were not accepted, 3 some rows are not sent yet.
    """  # noqa: D301 - \b is click's own
    address = FleetAddress(url=url, fleet=fleet, read_only=True)
    options = JournalReportOptions(export=export, only=only, json=json)
    address.check(batch)
    options.check()
    with _journal_path(batch, journal) as path:
        status = run_async(partial(_collect, address, batch, path, only_read=journal is None))
        more = _plain(status) | {"batch": batch, "journal": journal}
        exit_status = show_journal(path, options, more=more, advice=_ADVICE)
    for line in _notices(status, journal):
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


def _plain(status: _BatchStatus) -> dict[str, object]:
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


def _notices(status: _BatchStatus, journal: str | None) -> Iterator[str]:
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
