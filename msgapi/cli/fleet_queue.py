"""The command `fleet enqueue`: the rows of a file, put into the queue of a fleet under the name of a batch."""

from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Final, Protocol, final

from .. import fleet
from ..clock import SYSTEM_CLOCK, Clock
from ..fleet import Manifest
from ..fleet.records.manifest import begin_batch
from ..journal import key_of
from . import diary, fleet_reach
from .calls import Calls
from .connection import launch
from .exits import Exit, Halt, unreadable
from .fleet_reach import Place, Reached, told
from .mailing import Mailing, read
from .output import emit, emit_json, note
from .rows import Row, Table
from .tally import DUPLICATE

_EVERY: Final = 5.0  # seconds between two lines of progress
_GOES_ON: Final = "the same command goes on where this one ended"


def start(mailing: Mailing, place: Place, batch: str) -> int:
    """Queue the file as *batch* of the fleet at *place*; gives the exit status."""
    place.check(batch)
    with read(mailing) as (table, plan):
        found = Manifest(
            batch=batch,
            source=table.digest(),
            rows=table.count,
            about=diary.told(mailing.command, table.count),
        )
        calls = Calls(plan, mailing.naming, mailing.duplicates)
        return launch(partial(_queued, mailing, place, found, partial(_rows, table, calls, batch)))


async def _queued(mailing: Mailing, place: Place, wanted: Manifest, rows: "_Rows") -> int:
    counts: Counter[str] = Counter()
    async with fleet_reach.reach(place) as there:
        with told(_GOES_ON):
            begun = await _begun(there, mailing, wanted)
            done = await fleet.enqueue(
                rows(counts), wanted, queue=there.queue, records=there.records, on_progress=_Shown(SYSTEM_CLOCK).show
            )
    new = begun.chunks_total is None
    if mailing.json:
        emit_json(_facts(done, counts) | {"queued": new, "exit": int(Exit.ACCEPTED)})
        return Exit.ACCEPTED
    _tell(done, counts, new=new)
    return Exit.ACCEPTED


async def _begun(there: Reached, mailing: Mailing, wanted: Manifest) -> Manifest:
    # Whoever has begun the batch has written it down, so of two that begin at once both see the same.
    begun = await begin_batch(there.records, wanted, SYSTEM_CLOCK.time())
    other = diary.differing(diary.command_of(begun.about, f"the batch {wanted.batch}"), mailing.command)
    if other is not None:
        raise Halt(
            f"the batch {wanted.batch} was queued with other options ({other}): "
            "finish it by its own command, or name another batch"
        )
    return begun


class _Rows(Protocol):
    def __call__(self, counts: Counter[str], /) -> Iterator[fleet.ChunkRow]: ...  # pragma: no cover


def _rows(table: Table, calls: Calls, batch: str, counts: Counter[str]) -> Iterator[fleet.ChunkRow]:
    for _, name, call in calls.over(_read(table), table.count, partial(key_of, batch)):
        made = fleet.make_row(name, call)
        if made.invalid is not None:
            counts["duplicates" if made.invalid.code == DUPLICATE else "invalid"] += 1
        yield made


def _read(table: Table) -> Iterator[Row]:
    # The file was read before without trouble: what goes wrong now has gone wrong since.
    try:
        yield from table.rows()
    except OSError as error:
        raise unreadable(table.name, error) from None
    except Halt as error:
        raise Halt(f"{error} (the file has changed meanwhile)", error.status) from None


@final
class _Shown:
    """A line of progress every few seconds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last = clock.now()

    def show(self, manifest: Manifest) -> None:
        if self._clock.now() - self._last >= _EVERY:
            self._last = self._clock.now()
            queued = min(manifest.chunks_queued * manifest.rows_per_chunk, manifest.rows)
            note(f"queued: {queued:,}/{manifest.rows:,} rows")


def _facts(done: Manifest, counts: Counter[str]) -> dict[str, object]:
    return {
        "batch": done.batch,
        "rows": done.rows,
        "chunks": done.chunks_total,
        "invalid": counts["invalid"],
        "duplicates": counts["duplicates"],
    }


def _tell(done: Manifest, counts: Counter[str], *, new: bool) -> None:
    if new:
        emit(f"{done.rows:,} rows are queued as the batch {done.batch}, in {done.chunks_total:,} chunks")
    else:
        emit(f"nothing was queued: all {done.rows:,} rows of the batch {done.batch} were before")
    if counts["invalid"]:
        note(f"{counts['invalid']:,} of the rows are not fit to be sent: the report tells what is wrong with them")
    if counts["duplicates"]:
        note(f"{counts['duplicates']:,} of the rows repeat an earlier one and are not sent a second time")
    note(f"`msgapi fleet work` sends them, `msgapi fleet report --batch {done.batch}` tells of them")
