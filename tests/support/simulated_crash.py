"""A program for tests that may die at any moment: what stays is its disk, and what the service has seen.

A kill at an await differs from one at another only if the world outside has changed in between. So a
program may die before and after each request, each statement to SQLite, each row that is pulled and
each outcome that is taken. Then its disk is copied as it is, and the next run goes on with the copy: what
the dead one still does while its loop winds down meets the old disk, and no service.
"""

import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar

import anyio.lowlevel
import anyio.to_thread
import pytest
from attrs import define, field

from msgapi import Request, Response, Unanswered
from msgapi.clock import VirtualClock
from msgapi.journal import Unusable
from msgapi.sandbox import Sandbox
from msgapi.transports import Answer, Transport
from msgapi.transports.faults import Fault, Faulty

T = TypeVar("T")
Death: TypeAlias = Literal["killed", "cancelled", "disk full"]
Weather: TypeAlias = "list[Fault | Literal['late'] | None]"
_LATE_BY = 3  # requests that overtake one that is late
_LONGEST = 60.0  # real seconds of one run; it is stuck if it takes longer


class Dead(Exception):
    """The program has raised, somewhere in its own loop."""


@define(eq=False)
class Service:
    """The service, its clock, and requests that are still on their way to it."""

    clock: VirtualClock
    box: Sandbox
    under_way: list[Request] = field(factory=list, init=False)

    def arrive(self, most: int = 0) -> None:
        """Let requests that are late come to the service, all but *most* of them."""
        while len(self.under_way) > most:
            _ = self.box.handle(self.under_way.pop(0))

    async def meet(self, weather: Weather, request: Request, wire: Transport) -> Answer:
        """Send *request* over *wire*, through the next of the *weather*."""
        self.arrive(_LATE_BY)
        struck = weather.pop(0) if weather else None
        if struck == "late":
            self.under_way.append(request)
            return Unanswered("it is still on its way")
        plan = [None if struck == "twice" else struck]
        answer = await Faulty(wire, plan=plan, clock=self.clock)(request)
        if struck == "twice" and isinstance(answer, Response) and answer.status < 300:
            # No other: a refusal whose double is accepted later is beyond what a program can know.
            self.under_way.append(request)
        return answer


@define(eq=False)
class World(Service):
    """What outlives a program: beside the service, its *disk*."""

    disk: Path
    _disks: int = 0

    @property
    def journal(self) -> str:
        return str(self.disk / "run.db")

    def save(self) -> None:
        """Go on with a copy of the disk as it is."""
        self._disks += 1
        self.disk = shutil.copytree(self.disk, self.disk.parent / str(self._disks))


@define(eq=False)
class Process:
    """One run of a program, whose requests meet *weather* and which ends by *death* at its n-th moment, *at*."""

    world: World
    weather: Weather = field(factory=list)
    death: Death | None = None
    at: int = 0
    moments: int = 0
    ended: bool = False
    dead: bool = False
    full: bool = False
    scope: anyio.CancelScope | None = None

    def tick(self, *, within: bool = False) -> None:
        """Be at a moment at which the world may have changed; *within* a statement nothing but a kill can come."""
        self.moments += not self.dead
        if self.ended or self.moments < self.at or self.death is None or (within and self.death != "killed"):
            return
        self.ended = True
        self.full = self.death == "disk full"
        if self.death == "killed":
            self.world.save()
            self.dead = True
        if not self.full and self.scope is not None:
            self.scope.cancel()

    async def transport(self, request: Request, /) -> Answer:
        """Send *request* through the weather; the dead send nothing."""
        await self._live()
        answer = await self.world.meet(self.weather, request, self._wire)
        await self._live()
        return answer

    async def _wire(self, request: Request, /) -> Answer:
        await self._live()
        return await self.world.box(request)

    async def _live(self) -> None:
        self.tick()
        if self.dead:
            await anyio.sleep_forever()

    async def source(self, rows: list[T]) -> AsyncIterator[T]:
        """Bring *rows* one by one."""
        for row in rows:
            self.tick()
            await anyio.lowlevel.checkpoint()
            yield row

    def run(self, program: Callable[["Process"], Any], backend: str) -> None:
        """Let it run until it ends, however that is."""
        with self._disk():
            anyio.run(self._watched, program, backend=backend)

    async def _watched(self, program: Callable[["Process"], Any]) -> None:
        async with anyio.create_task_group() as tasks:
            _ = tasks.start_soon(self._despair)
            try:
                with anyio.CancelScope() as self.scope:
                    await program(self)
            except Dead:
                pass
            except Unusable:
                if not self.full:
                    raise
            tasks.cancel_scope.cancel()

    async def _despair(self) -> None:
        await anyio.sleep(_LONGEST)  # no deadline, which would be seen by the client
        pytest.fail("the program is stuck")

    @contextmanager
    def _disk(self) -> Iterator[None]:
        # Threads would bring chance into it: what is for a worker thread is done here, between two waits.
        connect = sqlite3.connect

        def traced(*where: Any, **how: Any) -> sqlite3.Connection:  # noqa: ANN401 - those of `connect`
            connection: sqlite3.Connection = connect(*where, **how)
            connection.set_trace_callback(lambda _: self.tick(within=True))
            return connection

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sqlite3, "connect", traced)
            patch.setattr(anyio.to_thread, "run_sync", self._carry_out)
            yield

    async def _carry_out(self, work: Callable[..., T], *what: object) -> T:
        await anyio.lowlevel.checkpoint()
        await anyio.lowlevel.cancel_shielded_checkpoint()
        self.tick()
        if self.full and getattr(work, "__name__", "") in {"write", "restart"}:
            raise Unusable("unwritable", "the disk is full")
        done = work(*what)
        self.tick()
        await anyio.lowlevel.cancel_shielded_checkpoint()
        return done
