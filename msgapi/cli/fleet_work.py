"""The command `fleet work`: one worker of a fleet, until there is nothing left, or Ctrl-C.

Rules:
- The fleet is the key's only once the service has taken that, and before the first row goes out under it.
- The first Ctrl-C takes no more, lets what is in flight settle and gives the rest back; the second cuts it off.
"""

import os
import signal
from collections.abc import AsyncIterator
from functools import partial
from typing import TYPE_CHECKING, Final, final

import anyio
from attrs import define, field, frozen

from .. import billing
from ..batch import Stopped
from ..calls import Caller
from ..clock import SYSTEM_CLOCK, Clock
from ..concurrency import background
from ..config import Misconfigured, key_problem
from ..fleet import FleetConflict, Unreachable, disclaim
from ..fleet.api_key import claim
from ..fleet.worker import work
from ..ratelimit import Pace
from ..results import Unauthorized
from . import connection, fleet_reach
from .connection import launch
from .exits import Exit, Halt
from .fleet_reach import Place, Reached, told
from .fleet_score import Score, where
from .output import emit, emit_json, note
from .progress import screen
from .report import outcomes, plain, why

if TYPE_CHECKING:
    from signal import Signals

_TRYING: Final = 5.0  # seconds for the service to say whether it knows the key
_COUNTING: Final = 2.0  # seconds between two looks at what is left


@final
@frozen(kw_only=True)
class Shift:
    """What the command was given."""

    concurrency: int = 64
    chunks_at_once: int = 4
    per_second: float | None = None
    outage_timeout: float = 900.0
    wait: bool = False
    until_empty: bool = False
    json: bool = False


@final
@define(eq=False)
class Worker:
    """One worker: what it was given, what it has done, and how it ended."""

    shift: Shift
    score: Score
    clock: Clock
    stopped: Stopped | None = field(default=None, init=False)
    interrupted: int = field(default=0, init=False)
    _stopping: anyio.Event = field(factory=anyio.Event, init=False)

    @property
    def status(self) -> Exit:
        """Tell what to exit with: being asked to end is what a worker without an end of its own waits for."""
        reason = None if self.stopped is None else self.stopped.reason
        if reason == "unauthorized":
            return Exit.CONFIGURATION
        if self.interrupted > 1 or (self.interrupted and self.shift.until_empty):
            return Exit.INTERRUPTED
        if reason not in {None, "asked"}:
            return Exit.STOPPED
        return Exit.REFUSED if self.score.tally.refused else Exit.ACCEPTED

    async def go(self, there: Reached, api: Caller, pace: Pace) -> None:
        """Send what is queued *there* through *api*."""
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals, anyio.CancelScope() as scope:
            listen, count = partial(self._listen, signals, scope), partial(self._count, there)
            async with background(listen), background(self._show), background(count):
                self.stopped = await work(
                    there.queue,
                    api,
                    pace,
                    records=there.records,
                    concurrent_chunks=self.shift.chunks_at_once,
                    concurrency=self.shift.concurrency,
                    outage_timeout=self.shift.outage_timeout,
                    until_empty=self.shift.until_empty,
                    wait_for_balance=self.shift.wait,
                    stop_event=self._stopping,
                    on_event=self.score.take,
                    clock=self.clock,
                )
        self.score.left = None
        self.score.show()

    async def _listen(self, signals: "AsyncIterator[Signals]", scope: anyio.CancelScope) -> None:
        async for _ in signals:
            self.interrupted += 1
            if self.interrupted > 1:
                self.score.screen.say("stopped at once: what was in flight may have been sent, and goes out again")
                scope.cancel()
                return
            self._stopping.set()
            self.score.screen.say(
                f"stopping: no more is sent, waiting for what is in flight of {len(self.score.held)} chunks; "
                "Ctrl-C again stops at once"
            )

    async def _show(self) -> None:
        while True:
            self.score.show()
            await self.clock.sleep(self.score.screen.every)

    async def _count(self, there: Reached) -> None:
        while True:
            try:
                self.score.left = await there.queue.size()
            except Unreachable:  # the worker tells of it
                self.score.left = None
            await self.clock.sleep(_COUNTING)


def start(shift: Shift, place: Place) -> int:
    """Work at the fleet at *place*; gives the exit status."""
    place.check()
    if (problem := key_problem(os.environ.get("MSGAPI_API_KEY"))) is not None:  # before anything is sent
        raise Halt(f"{problem}", Exit.CONFIGURATION)
    try:
        return launch(partial(_worked, shift, place))
    except Misconfigured as error:
        raise Halt(f"{error}", Exit.CONFIGURATION) from None


async def _worked(shift: Shift, place: Place) -> int:
    async with fleet_reach.reach(place, shift.chunks_at_once) as there:
        worker = await _done(shift, there, place.fleet)
        await _let_go(there, worker.status)
    return _report(worker)


async def _done(shift: Shift, there: Reached, fleet: str) -> Worker:
    pace, clock = Pace(shift.per_second, shared=there.shared_rate), SYSTEM_CLOCK
    async with connection.reach(pace=pace) as api:
        with screen() as shown:
            worker = Worker(shift, Score(shown, clock), clock)
            if await _accepted(api, worker):
                await _claim(there, fleet)
                await worker.go(there, api, pace)
    return worker


async def _accepted(api: Caller, worker: Worker) -> bool:
    # A key that is not known must not own the fleet. A service that is away says nothing of it: the first 401 will.
    result: object = None
    with anyio.move_on_after(_TRYING):
        result = await api(billing.balance())
    if isinstance(result, Unauthorized):
        worker.stopped = Stopped("unauthorized", result)
    return worker.stopped is None


async def _claim(there: Reached, fleet: str) -> None:
    try:
        await claim(there.records, fleet, os.environ["MSGAPI_API_KEY"])
    except (FleetConflict, Unreachable) as error:
        raise Halt(f"{error}", Exit.CONFIGURATION) from None


async def _let_go(there: Reached, status: Exit) -> None:
    # A key that was refused owns nothing.
    if status is Exit.CONFIGURATION:
        with told("the key was refused"):
            await disclaim(there.records, os.environ["MSGAPI_API_KEY"])


def _report(worker: Worker) -> int:
    tally, chunks, status = worker.score.tally, worker.score.chunks, worker.status
    reason = None if worker.stopped is None else worker.stopped.reason
    if worker.shift.json:
        emit_json(plain(tally) | {"chunks": dict(chunks), "stopped": reason, "exit": int(status)})
    else:
        emit(outcomes(tally))
        emit(f"{tally.accepted:,} rows accepted by this worker, {tally.spend} EUR, {chunks['done']:,} chunks done")
    said = "" if worker.stopped is None else why(worker.stopped, where(worker.stopped))
    if said:
        note(said)
    return status
