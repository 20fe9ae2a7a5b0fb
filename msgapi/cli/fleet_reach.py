"""Reach: the server that a fleet is on, and the one line for each way in which there is none."""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Final, Protocol, final

from attrs import field, frozen

from ..fleet import ChunkQueue, FleetConflict, RecordStore, Unreachable
from ..fleet.records.manifest import is_valid_name
from ..ratelimit import SharedRate
from .exits import Exit, Halt

_EXAMPLE: Final = "such as redis://127.0.0.1:6379 or nats://127.0.0.1:4222"


class Reached(Protocol):
    """A fleet that is reached: its parts."""

    @property
    def queue(self) -> ChunkQueue:
        """Its queue."""
        ...  # pragma: no cover

    @property
    def records(self) -> RecordStore:
        """What became of its batches."""
        ...  # pragma: no cover

    @property
    def shared_rate(self) -> SharedRate:
        """The pace that its workers share."""
        ...  # pragma: no cover


@final
@frozen(kw_only=True)
class Place:
    """Where a fleet is: on the server at *url*, under the name *fleet*; a chunk is a worker's for *lease* seconds."""

    url: str = field(repr=False)
    fleet: str = "msgapi"
    lease: float = 3.0
    only_reading: bool = False

    def check(self, batch: str | None = None) -> None:
        """Refuse what cannot be a fleet, or the name of a *batch*, before anything is asked of anybody."""
        for option, name in [("--fleet", self.fleet), *([("--batch", batch)] if batch is not None else [])]:
            if not is_valid_name(name):
                raise Halt(f"{option} takes up to 64 of A-Z a-z 0-9 . _ - and no sign first, not {name!r}")
        if not self.url:
            raise Halt(f"which fleet? give --fleet-url or set MSGAPI_FLEET_URL, {_EXAMPLE}", Exit.CONFIGURATION)


@asynccontextmanager
async def reach(place: Place, chunks_at_once: int = 1) -> AsyncIterator[Reached]:
    """Open the fleet at *place*, for so many *chunks_at_once*; one that cannot be reached ends the program.

    It is not claimed for the key: who is about to send with that tries it first.
    """
    from ..fleet.opening import open as open_fleet

    key = os.environ.get("MSGAPI_API_KEY", "")
    async with AsyncExitStack() as stack:
        try:
            fleet = await stack.enter_async_context(
                open_fleet(
                    place.url,
                    fleet=place.fleet,
                    api_key=key,
                    lease_seconds=place.lease,
                    concurrent_chunks=chunks_at_once,
                    claim_key=False,
                    read_only=place.only_reading,
                )
            )
        except (FleetConflict, Unreachable, ValueError) as error:
            raise Halt(f"{error}", Exit.CONFIGURATION) from None
        yield fleet


@contextmanager
def told(rest: str) -> Iterator[None]:
    """End the program if the engine fails inside, with the *rest* of what there is to say; or the name is taken."""
    try:
        yield
    except Unreachable as error:
        raise Halt(f"{error}; {rest}", Exit.STOPPED) from None
    except FleetConflict as error:
        raise Halt(f"{error}") from None
