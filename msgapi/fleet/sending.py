"""Sending a chunk: what a worker of any engine does with one, from its JSON to what stands in its record.

Rules:
- It may be called for one chunk any number of times, by several workers at once: a row that is settled is
  passed over, and one that is in doubt goes out under the key it had.
- A chunk that is not done is the engine's to hand out again; nothing of it is lost or sent twice by that.
"""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from functools import partial
from typing import Final, TypeAlias, TypeVar, final

import anyio
from attrs import define, field, frozen

from ..batch import Outcome, Outcomes, Stopped, sending
from ..calls import Caller
from ..clock import Clock, SystemClock
from ..codec import Problems, dump, load_error
from ..messages import Accepted
from ..pace import Pace
from ..quota import Quota
from ..results import InsufficientBalance
from .beside import beside
from .chunk import Chunk, Unfit, load
from .chunks import Unreachable
from .entry import ChunkRecord, Found
from .leaf import Leaf, Place, begun
from .records import Records

T = TypeVar("T")
_SYSTEM_CLOCK: Final = SystemClock()
_LOOK: Final = 1.0  # seconds between looks at whether the rows are still wanted
_LONGEST: Final = 1800.0  # seconds for which a chunk that was begun is sent: then its record is looked at again
_PERSIST: Final = 60.0  # seconds for which what became of a chunk is held on to while the store is away
_FIRST_PAUSE: Final = 0.25  # seconds; it doubles
_LONGEST_PAUSE: Final = 5.0
_FAREWELL: Final = 5.0  # seconds to write it in, when cancelled
_PATIENCE: Final = 5.0  # seconds that the quota may take to tell or to be told whether all are paused


OnOutcome: TypeAlias = Callable[[Outcome[Accepted]], object]


@final
@frozen(kw_only=True)
class Sent:
    """What came of a chunk.

    *done*: each of its rows is settled, and the engine may forget it. *unfit*: nobody can send it, and its
    record says so. Neither: it is to be handed out again, as *left* rows are not settled. *stopped* is why
    sending stopped, if it did: what stopped a local batch would stop the other chunks too. *rows* is what
    the record says now.
    """

    batch: str = ""
    id: str = ""
    done: bool = False
    unfit: Unfit | None = None
    stopped: Stopped | None = None
    left: int = 0
    rows: tuple[Found, ...] = field(default=(), repr=False)


async def send_chunk(
    chunk: bytes | Chunk,
    api: Caller,
    pace: Pace,
    *,
    records: Records,
    at_once: int = 64,
    breaker: int | None = 25,
    patience: float = 900.0,
    only_while: Callable[[], bool] | None = None,
    on_outcome: OnOutcome | None = None,
    clock: Clock = _SYSTEM_CLOCK,
) -> Sent:
    """Send the rows of *chunk*, as its JSON or read already, and write into *records* what became of them.

    *pace* is the one that *api* was made with. A 402 pauses all who share its quota, or the next one does if that
    is away; while it is paused nothing is sent. *at_once*, *breaker* and *patience* are those of `batch.sending`.
    *only_while* is asked before each row leaves and once a second; *on_outcome* is told of each row that ends.

    May be called again for the same chunk after any end, and by several workers. A store that is away
    is `Unreachable`; it is waited for only where it must take what has been found. What *api* or
    *on_outcome* raises comes out as itself, and the rows it left are in doubt. A bad number is a ValueError.
    """
    loaded = load(chunk) if isinstance(chunk, bytes) else chunk
    if isinstance(loaded, Unfit):
        return Sent(unfit=loaded)
    quota = pace.shared
    paused = None if quota is None else await in_time(clock, quota.paused)
    if paused is not None:
        return Sent(batch=loaded.batch, id=loaded.id, stopped=short_of_money(paused), left=len(loaded.rows))
    place = Place(loaded.batch, loaded.id, records)
    leaf = await begun(loaded, place, clock.time())
    if isinstance(leaf, Unfit):
        await place.bury(leaf.why)
        return Sent(batch=loaded.batch, id=loaded.id, unfit=leaf)
    run = _Run(leaf, quota, clock, only_while, on_outcome)
    calls = ((row.id, row.call) for row in loaded.rows)
    how = sending(
        api,
        calls,
        journal=leaf,
        at_once=at_once,
        breaker=breaker,
        patience=patience,
        clock=clock,
        only_while=run.wanted,
    )
    stopped, record, left = await run.through(how)
    return Sent(batch=loaded.batch, id=loaded.id, done=not left, stopped=stopped, left=left, rows=record.rows)


@final
@define(eq=False, repr=False)
class _Run:
    # One chunk while its rows are sent.
    leaf: Leaf
    quota: Quota | None
    clock: Clock
    only_while: Callable[[], bool] | None
    on_outcome: OnOutcome | None
    paused: Stopped | None = field(default=None, init=False)

    def wanted(self) -> bool:
        fresh = self.clock.time() - self.leaf.at < _LONGEST
        return self.paused is None and fresh and (self.only_while is None or self.only_while())

    async def through(
        self, how: AbstractAsyncContextManager[Outcomes[Accepted]]
    ) -> tuple[Stopped | None, ChunkRecord, int]:
        stopped: Stopped | None = None
        try:
            async with how as outcomes, beside(partial(self._look, outcomes)):
                async for outcome in outcomes:
                    if self.on_outcome is not None:
                        _ = self.on_outcome(outcome)
                stopped = outcomes.stopped
            if self.quota is not None and stopped is not None and stopped.reason == "balance":
                with suppress(Unreachable):  # whoever sends next gets a 402 as well, and tells of it
                    await in_time(self.clock, partial(self.quota.pause, dump(stopped.error)))
            if stopped is not None and stopped.reason == "asked":
                stopped = self.paused or stopped
            return stopped, *await self._written(stopped)
        except BaseException as error:
            await self._leave(error)
            raise

    async def _look(self, outcomes: Outcomes[Accepted]) -> None:
        while True:
            await self.clock.sleep(_LOOK)
            why = None if self.quota is None else await self.quota.paused()
            if why is not None:
                self.paused = short_of_money(why)
            if outcomes.stopped is None and not self.wanted():
                outcomes.stop()

    async def _written(self, stopped: Stopped | None) -> tuple[ChunkRecord, int]:
        until, pause = self.clock.now() + _PERSIST, _FIRST_PAUSE
        while True:
            try:
                return await self.leaf.close(stopped)
            except Unreachable:
                if self.clock.now() + pause > until:
                    raise
            await self.clock.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _leave(self, error: BaseException) -> None:
        # A worker that is called off is not held against the chunk; whatever raises may be.
        called_off = isinstance(error, anyio.get_cancelled_exc_class())
        with anyio.move_on_after(_FAREWELL, shield=True):
            try:
                _ = await self.leaf.close(Stopped("asked") if called_off else None)
            except Unreachable as lost:  # nothing is: those rows go out again under their keys
                error.add_note(f"msgapi: the last outcomes are not in the record: {lost}")


async def in_time(clock: Clock, ask: Callable[[], Awaitable[T]]) -> T:
    """Await what a quota is asked about its pause; one that does not answer in time is `Unreachable`.

    It waits for its store, for as long as that is away; who may be asked to end meanwhile does not.
    """

    async def give_up() -> None:
        await clock.sleep(_PATIENCE)
        scope.cancel()

    with anyio.CancelScope() as scope:
        async with beside(give_up):
            return await ask()
    raise Unreachable(f"the pace that all share did not answer within {_PATIENCE:g} seconds")


def short_of_money(why: bytes) -> Stopped:
    """Read what a quota says of *why* it is paused."""
    error = load_error(why)
    if isinstance(error, Problems):
        error = InsufficientBalance(message="all who send with this key are paused")
    return Stopped("balance", error)
