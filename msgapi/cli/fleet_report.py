"""The command `fleet report`: what the records of a batch on a fleet add up to, as a local batch is reported."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from shlex import quote
from tempfile import TemporaryDirectory
from typing import Final, final

import anyio
from attrs import field, frozen

from ..codec import Problems, load_error
from ..fleet import Collection, collect
from ..journal import Unusable
from ..results import ApiError
from . import fleet_reach, recount
from .advice import advise, explain, facts
from .connection import launch
from .diary import SUFFIX
from .exits import Halt
from .fleet_reach import Place, told
from .output import note
from .report import Words

_WORDS: Final = Words(
    cut=("Begun", "With a worker, or lost with one: they go out again while their keys are known."),
    unsent=("Waiting", "Nothing: a worker sends them when it is their turn."),
)
_WAIT: Final = 5.0  # seconds for what is only told besides


@final
@frozen(kw_only=True)
class Asked:
    """What the command was given."""

    batch: str
    journal: str | None = None
    export: str | None = None
    only: str | None = None
    json: bool = False


@final
@frozen(kw_only=True)
class _Standing:
    """How a batch stands: what was collected, how many chunks of the fleet are waiting, and why nobody sends."""

    collection: Collection
    left: int
    paused: ApiError | None = field(default=None)


def start(asked: Asked, place: Place) -> int:
    """Collect the batch, and tell what it comes to; gives the exit status."""
    place.check(asked.batch)
    recount.check(asked.export, asked.only)
    with _place_of(asked) as path:
        standing = launch(partial(_collected, asked, place, path))
        more = _plain(standing) | {"batch": asked.batch, "journal": asked.journal}
        how = partial(recount.start, path, export=asked.export, only=asked.only, json=asked.json)
        status = how(more=more, words=_WORDS)
    for line in _notices(standing, asked):
        note(line)
    return status


@contextmanager
def _place_of(asked: Asked) -> Iterator[str]:
    if asked.journal is not None:
        yield asked.journal
        return
    with TemporaryDirectory(prefix="msgapi-") as directory:
        yield str(Path(directory) / f"{asked.batch}{SUFFIX}")


async def _collected(asked: Asked, place: Place, path: str) -> _Standing:
    batch = asked.batch
    async with fleet_reach.reach(place) as there:
        with told("what was collected is not complete, so there is no report"):
            try:
                collection = await collect(there.records, batch, path, only_read=asked.journal is None)
            except Unusable as error:
                raise Halt(f"{error}") from None
            if collection is None:
                raise Halt(f"there is no batch {batch} on the fleet {place.fleet}: `msgapi fleet enqueue` makes one")
            left = await there.queue.size()
        why: bytes | None = None
        with anyio.move_on_after(_WAIT):
            why = await there.shared_rate.paused()
    return _Standing(collection=collection, left=left, paused=_error(why))


def _error(why: bytes | None) -> ApiError | None:
    error = None if why is None else load_error(why)
    return None if isinstance(error, Problems) else error


def _plain(standing: _Standing) -> dict[str, object]:
    found = standing.collection
    return {
        "chunks": {
            "total": found.manifest.chunks_total,
            "queued": found.manifest.chunks_queued,
            "begun": found.begun,
            "done": found.done,
            "buried": found.buried,
            "unreadable": found.unreadable,
            "left": standing.left,
        },
        "paused": None if standing.paused is None else facts(standing.paused),
    }


def _notices(standing: _Standing, asked: Asked) -> Iterator[str]:
    found, manifest = standing.collection, standing.collection.manifest
    waiting = max(0, manifest.chunks_queued - found.done - found.begun - len(found.buried))
    if manifest.chunks_total is None:
        yield "not all rows are queued: give the same `msgapi fleet enqueue` again"
    if waiting or found.begun:
        said = f"{found.done:,} of {manifest.chunks_queued:,} chunks are done, {found.begun:,} are begun"
        yield f"{said}, {waiting:,} are waiting; `msgapi fleet work` goes on"
    for name, why in sorted(found.buried.items()):
        yield f"chunk {name} was given up: {why}"
    if found.unreadable:
        yield f"these records cannot be read: {', '.join(sorted(found.unreadable))}"
    if standing.paused is not None:
        yield f"nobody sends: {explain(standing.paused).rstrip('.')}. {advise(standing.paused)}"
    if asked.journal is not None:
        yield f"every row is in {asked.journal}: `msgapi batch report {quote(asked.journal)}` tells of them"
