"""Work: a worker, who takes chunks from an engine and sends them until there are none, or something is against it.

Rules:
- What stops a local batch ends the worker: what it has goes back at once, for others to take.
- While the workers of the key are paused for want of money it takes nothing.
- An engine or a store that is away is waited for.
"""

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final, final

import anyio
from attrs import define, field

from ..batch import Outcome, Stopped
from ..batch.outage import well
from ..calls import Caller
from ..clock import Clock, SystemClock
from ..gate import rest
from ..messages import Accepted
from ..pace import Pace
from ..quota import Local
from .beside import beside, together
from .chunk import Unfit
from .chunks import Chunks, Lease, Unreachable
from .events import Away, Event, Fate, Given, Leased, Told
from .funds import End, Till
from .held import Held
from .leaf import TRIES, Place
from .records import Records
from .sending import Sent, send_chunk

_SYSTEM_CLOCK: Final = SystemClock()
_WAIT: Final = 1.0  # seconds for which one waits for a chunk, before looking whether it is still wanted
_AGAIN: Final = 5.0  # seconds until a chunk with rows that are not settled is handed out again
_FIRST_PAUSE: Final = 0.25  # seconds that an engine that is away is left alone; it doubles
_LONGEST_PAUSE: Final = 15.0
_FAREWELL: Final = 5.0  # seconds to give a chunk back in, when cancelled
_LOST: Final = Unfit(f"{TRIES} workers have had it and were lost with it: it may be what ends them")


async def work(
    chunks: Chunks,
    api: Caller,
    pace: Pace,
    *,
    records: Records,
    chunks_at_once: int = 4,
    at_once: int = 64,
    breaker: int | None = 25,
    patience: float = 900.0,
    until_empty: bool = False,
    wait_for_balance: bool = False,
    stopping: anyio.Event | None = None,
    on_event: Callable[[Event], object] | None = None,
    clock: Clock = _SYSTEM_CLOCK,
) -> Stopped | None:
    """Send chunks as they come, *chunks_at_once* of them at a time, each as `send_chunk` does; gives why it ended.

    It ends at a 401, at a run of refusals, and when the service has not answered for *patience* seconds; when
    *stopping* is set (`asked`), once what is in flight has settled; with *until_empty*, when no chunk is left
    in the queue or with any worker: None. It ends at a 402 as well, its own or another worker's, unless it is
    to *wait_for_balance*: then it looks every 15 seconds, and lets all go on when there is money. One that
    finds all paused when it begins looks once.

    What *api* or *on_event* raises comes out as itself. Cancelled, it gives its chunks back.
    """
    if chunks_at_once < 1:
        raise ValueError(f"chunks_at_once must be at least 1, not {chunks_at_once}")
    quota = Local(clock) if pace.shared is None else pace.shared  # at least the chunks of this worker share it
    send = partial(
        send_chunk,
        api=api,
        pace=Pace(shared=quota),
        records=records,
        at_once=at_once,
        breaker=breaker,
        patience=patience,
        clock=clock,
    )
    end = End(stopping)
    tell = on_event or _nobody
    till = Till(api, quota, clock, wait_for_balance, end, tell)
    worker = _Worker(chunks, records, send, till, clock, patience, until_empty, end, tell)
    await together([worker.hand] * chunks_at_once)
    return end.why


def _nobody(event: Event) -> None:
    """Tell nobody."""


@final
@define(eq=False, repr=False)
class _Worker:
    chunks: Chunks
    records: Records
    send: Callable[..., Coroutine[Any, Any, Sent]]
    till: Till
    clock: Clock
    patience: float
    until_empty: bool
    end: End
    tell: Callable[[Event], object]
    well_at: float | None = field(default=None, init=False)
    _turn: anyio.Lock = field(factory=anyio.Lock, init=False)

    async def hand(self) -> None:
        # One of several that take a chunk each; they wait for chunks one at a time.
        while True:
            async with self._turn:
                lease = await self._next()
            if lease is None:
                return
            await self._take(lease)

    async def _next(self) -> Lease | None:
        pause = _FIRST_PAUSE
        while self.end.going():
            try:
                if await self.till.open():
                    lease = await self.chunks.lease(_WAIT)
                    if lease is not None:
                        return lease
                    if self.until_empty and not await self.chunks.left():
                        self.end.come(None)
                pause = _FIRST_PAUSE
            except Unreachable as error:
                self._away(error)
                await rest(self.clock, pause, self.end.going)
                pause = min(2 * pause, _LONGEST_PAUSE)
        return None

    async def _take(self, lease: Lease) -> None:
        _ = self.tell(Leased(lease.id, lease.delivery))
        held = Held(self.chunks, lease, self.clock, self._away)
        async with beside(held.keep):
            try:
                sent = await self._sent(held)
                fate = await self._give(held, sent)
            except BaseException:
                with anyio.move_on_after(_FAREWELL, shield=True):
                    await held.release(0)
                raise
        _ = self.tell(Given(lease.id, fate, sent))

    async def _sent(self, held: Held) -> Sent:
        lease = held.lease
        if lease.delivery > TRIES:
            return Sent(unfit=_LOST)

        def told(outcome: Outcome[Accepted]) -> None:
            if outcome.result.meta.status is not None and well(outcome.result):
                self.well_at = self.clock.now()
            _ = self.tell(Told(lease.id, outcome))

        try:
            return await self.send(lease.body, only_while=lambda: held.ours and self.end.going(), on_outcome=told)
        except Unreachable as error:
            self._away(error)
            return Sent()

    async def _give(self, held: Held, sent: Sent) -> Fate:
        stopped = sent.stopped
        if stopped is not None and self._ends(stopped):
            self.end.come(stopped)
        if sent.unfit is not None and await self._noted(held.lease, sent.unfit):
            await held.bury()
            return "buried"
        if sent.done:
            await held.ack()
            return "done"
        if not held.ours:
            return "lost"
        await held.release(_AGAIN if stopped is None or stopped.reason == "outage" else 0)
        return "released"

    def _ends(self, stopped: Stopped) -> bool:
        if stopped.reason == "outage":  # of a chunk that has seen no answer; others may have
            return self.well_at is None or self.clock.now() - self.well_at >= self.patience
        return stopped.reason not in {"asked", "balance"}

    async def _noted(self, lease: Lease, unfit: Unfit) -> bool:
        batch, _, name = lease.id.partition("/")
        try:
            await Place(batch, name, self.records).bury(unfit.why)
        except Unreachable as error:
            self._away(error)
            return False
        return True

    def _away(self, error: Unreachable) -> None:
        _ = self.tell(Away(f"{error}"))
