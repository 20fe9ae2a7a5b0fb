"""fleet.work, as a state machine: whatever happens to its workers, each row is accepted once, and its record says so.

`MSGAPI_SCHEDULES=5000` has it play that many lives; without it, as many as fit into a few seconds.
"""

import os
from decimal import Decimal

import anyio
import pytest
from attrs import define
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from msgapi import Client, Invalid, Pace, messages
from msgapi.clock import VirtualClock
from msgapi.fleet import Chunk, ChunkRecord, ChunkRow, MemoryChunkQueue, MemoryRecordStore, RowRecord, make_row, work
from msgapi.fleet.chunk import load_record
from msgapi.fleet.chunk_journal import ACCEPTED
from msgapi.journal import State, key_of
from msgapi.ratelimit import LocalSharedRate
from msgapi.sandbox import MAGIC_RECIPIENTS, LogEntry, Sandbox
from msgapi.transports.faults import FAULTS
from tests.support.batch_calls import BACKENDS
from tests.support.simulated_crash import Weather
from tests.support.simulated_fleet_crash import Death, Killed, Mortal, MortalChunks, MortalRecords, World

SCHEDULES = int(os.environ.get("MSGAPI_SCHEDULES", "30"))
PLENTY, REMEMBERED = Decimal(1000), 23 * 3600
BAD_LUCK = [
    magic.phone
    for magic in MAGIC_RECIPIENTS
    if magic.digits in {"403", "404", "422", "428", "501", "504", "600", "601"}
]
WEATHER = st.lists(
    st.tuples(st.sampled_from([None, None, "late", *FAULTS]), st.integers(1, 8)).map(lambda run: [run[0]] * run[1]),
    max_size=4,
).map(lambda runs: [fault for run in runs for fault in run])
_LONGEST = 60.0  # real seconds of one life


@define(kw_only=True)
class Worker:
    """How a worker is run once, and what it meets."""

    concurrent_chunks: int
    concurrency: int
    outage_timeout: float
    weather: Weather
    death: Death | None
    at: int
    frozen: float


WORKERS = st.builds(
    Worker,
    concurrent_chunks=st.integers(1, 3),
    concurrency=st.integers(1, 6),
    outage_timeout=st.sampled_from([0.0, 30.0, 900.0]),
    weather=WEATHER,
    death=st.sampled_from([None, "killed", "killed", "cancelled", "frozen"]),
    at=st.integers(1, 90),
    frozen=st.sampled_from([5.0, 40.0, 1200.0]),
)
WELL = Worker(concurrent_chunks=2, concurrency=4, outage_timeout=900.0, weather=[], death=None, at=0, frozen=0.0)


def row(number: int, to: str) -> ChunkRow:
    made = messages.Text(agent_id="ag_live_demo", to=to, traffic_type="TRANSACTION", text="Hi")
    return make_row(f"{number}", messages.send(made, idempotency_key=key_of("b", f"{number}")))


class Fleets(RuleBasedStateMachine):
    """One batch on a fleet whose workers come and go."""

    backend = "asyncio"

    @initialize(
        sizes=st.lists(st.integers(1, 6), min_size=1, max_size=4),
        odd=st.sets(st.sampled_from([*BAD_LUCK, "invalid"]), max_size=3),
        balance=st.sampled_from([PLENTY, PLENTY, Decimal("0.20"), Decimal(0)]),
        pace=st.sampled_from([10, 10_000]),
        shared=st.booleans(),
    )
    def begin(self, *, sizes: list[int], odd: set[str], balance: Decimal, pace: int, shared: bool) -> None:
        clock = VirtualClock()
        box = Sandbox(clock=clock, timing=None, rate_limit=pace, balance=balance)
        self.shared = shared
        self.world = World(
            clock, box, MemoryChunkQueue(clock, lease_seconds=30.0), MemoryRecordStore(), LocalSharedRate(clock)
        )
        some = iter(range(1000))
        rows = [[row(at, f"+49151{at:08}") for _, at in zip(range(size), some, strict=False)] for size in sizes]
        for at, kind in enumerate(sorted(odd), 2000):
            unfit = ChunkRow(id=f"{at}", invalid=Invalid(message="no"))
            rows[at % len(rows)].append(unfit if kind == "invalid" else row(at, kind))
        self.chunks = [Chunk(batch="b", id=f"{at:06}", rows=tuple(some)) for at, some in enumerate(rows)]
        self.names = {key_of("b", row.id): row.id for chunk in self.chunks for row in chunk.rows}
        anyio.run(self._put, backend=self.backend)

    async def _put(self) -> None:
        for chunk in self.chunks:
            await self.world.queue.put(chunk.name, chunk.dump())

    @rule(workers=st.lists(WORKERS, min_size=1, max_size=3))
    def run(self, *, workers: list[Worker]) -> None:
        anyio.run(self._live, workers, backend=self.backend)

    async def _live(self, workers: list[Worker]) -> None:
        async with anyio.create_task_group() as despair:
            _ = despair.start_soon(self._despair)
            async with self.world.clock.autojump(), anyio.create_task_group() as tasks:
                for worker in workers:
                    _ = tasks.start_soon(self._work, worker)
            despair.cancel_scope.cancel()

    async def _despair(self) -> None:
        await anyio.sleep(_LONGEST)
        pytest.fail("the workers are stuck")

    async def _work(self, how: Worker) -> None:
        world = self.world
        who = Mortal(world, list(how.weather), how.death, how.at, how.frozen)
        pace = Pace(shared=world.shared_rate) if self.shared else Pace()
        try:
            with who.scope:
                async with Client(
                    api_key=world.box.api_key, transport=who.transport, clock=world.clock, pace=pace
                ) as api:
                    _ = await work(
                        MortalChunks(who),
                        api,
                        pace,
                        records=MortalRecords(who),
                        concurrent_chunks=how.concurrent_chunks,
                        concurrency=how.concurrency,
                        outage_timeout=how.outage_timeout,
                        until_empty=True,
                        clock=world.clock,
                    )
        except Killed:
            assert who.dead

    @rule(seconds=st.sampled_from([60.0, 3600.0, 22 * 3600.0, 25 * 3600.0]))
    def pass_time(self, seconds: float) -> None:
        self.world.arrive()
        self.world.clock.advance(seconds)

    @rule(cents=st.integers(1, 100))
    def top_up(self, cents: int) -> None:
        self.world.box.top_up(Decimal(cents) / 100)

    def accepted(self) -> dict[str, list[LogEntry]]:
        found: dict[str, list[LogEntry]] = {}
        for entry in self.world.box.messages:
            found.setdefault(self.names[entry.idempotency_key or ""], []).append(entry)
        return found

    def records(self) -> dict[str, ChunkRecord]:
        found: dict[str, ChunkRecord] = {}
        for (_, name), (value, _) in self.world.records._documents.items():
            if name == ACCEPTED:
                continue
            record = load_record(value)
            assert isinstance(record, ChunkRecord)
            found[name] = record
        return found

    @invariant()
    def nothing_is_accepted_twice(self) -> None:
        assert all(len(entries) == 1 for entries in self.accepted().values())

    @invariant()
    def the_records_claim_nothing_that_is_not_so(self) -> None:
        accepted = self.accepted()
        rows = {found.id: found for record in self.records().values() for found in record.rows}
        assert accepted.keys() <= rows.keys()
        for name, found in rows.items():
            self._check(found, accepted.get(name, []))

    def _check(self, found: RowRecord, entries: list[LogEntry]) -> None:
        match State(found.state):
            case State.ACCEPTED:
                assert [found.message_id or entries[0].id] == [entry.id for entry in entries]
            case State.REFUSED | State.NOT_SENT | State.INVALID:
                assert not entries
            case _:
                pass

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        self.world.arrive()
        self.world.box.top_up(PLENTY)
        for _ in range(2):
            self.run(workers=[WELL, WELL])
        assert anyio.run(self.world.queue.size, backend=self.backend) == 0
        self.check_end()

    def check_end(self) -> None:
        """Each row is accepted once, or its record tells why not."""
        accepted, records = self.accepted(), self.records()
        for chunk in self.chunks:
            record = records[chunk.id]
            found = {found.id: found for found in record.rows}
            if record.stage == "buried":
                assert record.attempts - record.excused_attempts >= 5
                continue
            assert record.stage == "done"
            for row in chunk.rows:
                self._check_row(found[row.id], accepted.get(row.id, []))
        self.nothing_is_accepted_twice()
        self.the_records_claim_nothing_that_is_not_so()

    def _check_row(self, found: RowRecord, entries: list[LogEntry]) -> None:
        match State(found.state):
            case State.ACCEPTED:
                assert len(entries) == 1
            case State.REFUSED | State.INVALID:
                assert found.code
            case _:  # in doubt for longer than its key is remembered
                assert self.world.clock.time() - found.started > REMEMBERED


@BACKENDS
def test_whatever_happens_to_its_workers_each_row_of_a_fleet_is_accepted_once(backend: str) -> None:
    machine = type("Machine", (Fleets,), {"backend": backend})
    few = settings(max_examples=SCHEDULES, stateful_step_count=6, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(machine, settings=few)
