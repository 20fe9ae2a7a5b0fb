"""batch with a journal, as a state machine: whatever happens and however it dies, each row is sent once or told of.

`MSGAPI_SCHEDULES=5000` has it play that many lives; without it, as many as fit into a few seconds.
"""

import os
from collections.abc import Iterable
from contextlib import ExitStack
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

from attrs import define, evolve
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from msgapi import Call, Client, Ok, Result, batch, journal, messages
from msgapi.batch import Outcome, Outcomes, SpendLimit
from msgapi.clock import VirtualClock
from msgapi.fallback import AnyCall
from msgapi.journal import CHANGED, KEY_USED, REPEATED, UNKNOWN, JournalRow, State, Unusable
from msgapi.journal.resumption import changed_key, request_digest
from msgapi.messages import Accepted
from msgapi.sandbox import MAGIC_RECIPIENTS, LogEntry, Sandbox
from msgapi.transports.faults import FAULTS
from tests.support.batch_calls import BACKENDS
from tests.support.simulated_crash import Dead, Death, Process, Weather, World

SCHEDULES = int(os.environ.get("MSGAPI_SCHEDULES", "60"))
DAY, EACH, PLENTY = 86_400.0, Decimal("0.11"), Decimal(1000)
REFUSED = {magic.phone for magic in MAGIC_RECIPIENTS if magic.digits in {"403", "404", "422"}}
BAD_LUCK = [
    magic.phone
    for magic in MAGIC_RECIPIENTS
    if magic.digits in {"403", "404", "422", "428", "501", "504", "600", "601"}
]
MAYBE_SENT = {State.STARTED, State.UNKNOWN}
Told: TypeAlias = "dict[str, list[Result[Accepted]]]"


@define
class Row:
    id: str
    to: str
    text: str

    def call(self) -> AnyCall[Accepted]:
        return self.rcs()

    def rcs(self) -> Call[Accepted]:
        made = messages.Text(agent_id="ag_live_demo", to=self.to, traffic_type="TRANSACTION", text=self.text)
        return messages.send(made, idempotency_key=f"own-{self.id}")


@define(kw_only=True)
class Life:
    """How a program is run once: what it is told to do, and what it does itself."""

    concurrency: int
    slowly: bool
    outage_timeout: float
    unknown: Any
    ends: str | None = None
    after: int = 0  # outcomes
    waits: tuple[float, ...] = ()  # seconds before each top-up


LIVES = st.builds(
    Life,
    concurrency=st.integers(1, 6),
    slowly=st.booleans(),
    outage_timeout=st.sampled_from([0.0, 30.0, 900.0]),
    unknown=st.sampled_from(["report", "report", "report", "resend"]),
    ends=st.sampled_from([None, None, "left", "raises", "asked"]),
    after=st.integers(0, 8),
    waits=st.lists(st.sampled_from([1.0, 3600.0, 22 * 3600.0, 25 * 3600.0]), max_size=2).map(tuple),
)
WEATHER = st.lists(
    st.tuples(st.sampled_from([None, None, "late", *FAULTS]), st.integers(1, 8)).map(lambda run: [run[0]] * run[1]),
    max_size=6,
).map(lambda runs: [fault for run in runs for fault in run])


class Batches(RuleBasedStateMachine):
    """One batch, run again and again."""

    backend = "asyncio"

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.told: Told = {}
        self.resumed = set[str | None]()
        self.resent = False

    @initialize(
        plain=st.integers(0, 9),
        odd=st.sets(st.sampled_from([*BAD_LUCK, "long", "invalid", "repeated"]), max_size=4),
        own=st.booleans(),
        limit=st.one_of(st.none(), st.integers(0, 120)),
        balance=st.sampled_from([PLENTY, PLENTY, Decimal("0.20"), Decimal(0)]),
        pace=st.sampled_from([2, 10, 10_000]),
    )
    def begin(self, *, plain: int, odd: set[str], own: bool, limit: int | None, balance: Decimal, pace: int) -> None:
        disk = Path(self.stack.enter_context(TemporaryDirectory())) / "0"
        disk.mkdir()
        clock = VirtualClock()
        self.world = World(clock, Sandbox(clock=clock, timing=None, rate_limit=pace, balance=balance), disk)
        self.keys: Any = "own" if own else "derived"
        self.limit = None if limit is None else Decimal(limit) / 100
        self.put = balance
        self.rows = [self.row(f"{at}", f"+49151{at:08}", "Hi") for at in range(plain)] + [*self._odd(sorted(odd))]

    def row(self, name: str, to: str, text: str) -> Row:
        return Row(name, to, text)

    def _odd(self, kinds: Iterable[str]) -> Iterable[Row]:
        for at, kind in enumerate(kinds, 100):
            to = kind if kind in BAD_LUCK else f"+49151{at:08}"
            text = {"long": "Hello " * 40, "invalid": ""}.get(kind, "Hi")
            yield self.row("0" if kind == "repeated" else f"{at}", to, text)

    @rule(
        life=LIVES,
        weather=WEATHER,
        death=st.sampled_from([None, "killed", "killed", "cancelled", "disk full"]),
        at=st.integers(1, 160),
    )
    def run(self, *, life: Life, weather: Weather, death: Death | None, at: int) -> None:
        self.resent |= life.unknown == "resend"
        process = Process(self.world, list(weather), death, at)
        _ = self._live(process, life)

    def _live(self, process: Process, life: Life) -> Told:
        told: Told = {}
        self.resumed.clear()
        settled = self._settled()
        limit = None if self.limit is None else SpendLimit(total=self.limit, per_message=EACH, spent=self._spent())

        async def program(process: Process) -> None:
            clock, waits, broke = self.world.clock, list(life.waits), list[Outcome[Accepted]]()
            items = [(row.id, row.call()) for row in self.rows]
            async with (
                clock.autojump(),
                Client(api_key=self.world.box.api_key, transport=process.transport, clock=clock) as client,
                journal.open(
                    self.world.journal, batch="b", unknown=life.unknown, keys=self.keys, clock=clock
                ) as record,
                batch.send(
                    client,
                    process.source(items) if life.slowly else items,
                    journal=record,
                    concurrency=life.concurrency,
                    outage_timeout=life.outage_timeout,
                    max_spend=limit,
                    clock=clock,
                ) as outcomes,
            ):
                while True:
                    async for outcome in outcomes:
                        process.tick()
                        if process.dead:
                            return
                        told.setdefault(outcome.id, []).append(outcome.result)
                        self.check_claim(outcome)
                        if outcome.result.meta.status == 402:
                            broke.append(outcome)
                        self._take(outcomes, life, sum(map(len, told.values())))
                    if not waits or outcomes.stopped is None or outcomes.stopped.reason != "balance":
                        break
                    self.pass_time(waits.pop(0))
                    self.top_up(50)
                    outcomes.resume(*broke)
                    self.resumed |= {outcome.id for outcome in broke}
                    broke.clear()
            if outcomes.stopped is None and not process.full:
                everyone = {row.id for row in self.rows}
                assert everyone - settled <= told.keys() <= everyone

        process.run(program, self.backend)
        if not process.ended and life.ends not in {"left", "raises"}:
            self.check_told(told)
        for row, results in told.items():
            self.told.setdefault(row, []).extend(results)
        return told

    def _take(self, outcomes: Outcomes[Accepted], life: Life, taken: int) -> None:
        if taken != life.after:
            return
        match life.ends:
            case "left" | "raises":
                raise Dead
            case "asked":
                outcomes.stop()
            case _:
                pass

    @rule(seconds=st.sampled_from([60.0, 3600.0, 22 * 3600.0, 23.5 * 3600, 25 * 3600.0]))
    def pass_time(self, seconds: float) -> None:
        self.world.arrive()
        self.world.clock.advance(seconds)

    @rule(cents=st.integers(1, 100))
    def top_up(self, cents: int) -> None:
        self.put += Decimal(cents) / 100
        self.world.box.top_up(Decimal(cents) / 100)

    @precondition(lambda self: self.rows)
    @rule(data=st.data(), text=st.sampled_from(["Hi", "Ho", ""]))
    def change(self, data: st.DataObject, text: str) -> None:
        at = data.draw(st.integers(0, len(self.rows) - 1))
        self.rows[at] = evolve(self.rows[at], text=text)

    def accepted(self) -> dict[str, list[LogEntry]]:
        found: dict[str, list[LogEntry]] = {}
        names = {key: row.id for row in self.rows for key in self._keys(row)}
        for entry in self.world.box.messages:
            found.setdefault(names[entry.idempotency_key or ""], []).append(entry)
        return found

    def _keys(self, row: Row) -> Iterable[str]:
        if self.keys == "own":
            return [f"own-{row.id}"]
        changed = (request_digest(*evolve(row, text=text).call().legs) for text in ("Hi", "Ho", row.text))
        return [journal.key_of("b", row.id), *(changed_key("b", row.id, digest) for digest in changed)]

    def lines(self) -> dict[str, JournalRow]:
        try:
            with journal.open_readonly(self.world.journal) as read:
                return {line.id: line for line in read.rows()}
        except Unusable as error:
            if error.reason != "missing":
                raise
            return {}

    def _settled(self) -> set[str]:
        return {line.id for line in self.lines().values() if line.state in {State.ACCEPTED, State.REFUSED}}

    def _spent(self) -> Decimal:
        lines = self.lines().values()
        unsure = sum(line.state in MAYBE_SENT or (line.state is State.ACCEPTED and line.hold is None) for line in lines)
        return sum((Decimal(line.hold or 0) for line in lines), Decimal(0)) + unsure * EACH

    @invariant()
    def nothing_is_accepted_twice(self) -> None:
        for entries in self.accepted().values():
            times = sorted(entry.created_at for entry in entries)
            assert len(times) == 1 or self.resent
            assert all(later - earlier >= DAY for earlier, later in pairwise(times))

    @invariant()
    def no_more_is_spent_than_may_be(self) -> None:
        reserved = self.world.box.balance.reserved or Decimal(0)
        twice = sum((entry.hold for entries in self.accepted().values() for entry in entries[:-1]), Decimal(0))
        assert self.limit is None or reserved - twice <= self.limit
        assert self.put == self.world.box.balance.total

    @invariant()
    def the_journal_claims_nothing_that_is_not_so(self) -> None:
        accepted, lines = self.accepted(), self.lines()
        assert accepted.keys() <= lines.keys()
        for row, line in lines.items():
            entries = accepted.get(row, [])
            match line.state:
                case State.ACCEPTED if line.kind == "Accepted":
                    assert (line.message_id, Decimal(line.hold or 0)) == (entries[-1].id, entries[-1].hold)
                case State.ACCEPTED:
                    assert entries
                case State.REFUSED | State.NOT_SENT | State.INVALID:
                    assert not entries
                case _:
                    pass

    def check_claim(self, outcome: Outcome[Accepted]) -> None:
        """What is told is so, at the moment at which it is told."""
        entries, result = self.accepted().get(outcome.id, []), outcome.result
        if isinstance(result, Ok):
            assert entries[-1].id == result.value.message_id
            return
        assert result.code != "idempotency_conflict"
        assert (
            not entries or result.may_have_happened or result.code in {CHANGED, KEY_USED, REPEATED, "validation_error"}
        )

    def check_told(self, told: Told) -> None:
        """What was told last of each row stands in the journal."""
        lines = self.lines()
        for row, results in told.items():
            result, line = results[-1], lines.get(row)
            if isinstance(result, Ok):
                assert line
                assert (line.state, line.message_id) == (State.ACCEPTED, result.value.message_id)
            elif result.code not in {UNKNOWN, CHANGED, KEY_USED, REPEATED, "validation_error"} and line is not None:
                assert line.state is not State.INVALID
                if line.state is State.STARTED:
                    # Its outcome was unknown before the resume, and it was not sent again: it is still unknown.
                    assert result.may_have_happened
                elif (line.state, line.code) == (State.NOT_SENT, None):
                    assert row in self.resumed  # it was begun again, and released before it was sent
                else:
                    assert (line.code, line.kind) == (result.code, type(result).__name__)
            else:
                # One that was to go again after a 402, and did not get its turn, is as though it had never been begun.
                assert line or result.meta.status == 402

    def teardown(self) -> None:
        with self.stack:
            if not hasattr(self, "world"):
                return
            self.world.arrive()
            self.put += PLENTY
            self.world.box.top_up(PLENTY)
            self.limit = None
            life = Life(concurrency=4, slowly=False, outage_timeout=900.0, unknown="report")
            for _ in range(2):
                _ = self._live(Process(self.world), life)
            asked = self.world.box.requests
            told = self._live(Process(self.world), life)
            assert self.world.box.requests == asked
            self.check_end(told)

    def check_end(self, told: Told) -> None:
        """Each row is accepted once, or is told of; and the money agrees to the cent."""
        accepted, lines = self.accepted(), self.lines()
        unsaid = Decimal(0)
        for row in {row.id for row in self.rows}:
            line = lines[row]
            if line.state is State.ACCEPTED and line.hold is not None:
                unsaid += sum((entry.hold for entry in accepted[row][:-1]), Decimal(0))
                continue
            unsaid += sum((entry.hold for entry in accepted.get(row, [])), Decimal(0))
            if line.state is State.ACCEPTED:
                assert line.code == "unreadable"
            elif line.state is State.REFUSED:
                assert line.code
            else:
                codes = {result.code for result in told[row] if not isinstance(result, Ok)}
                assert codes & {UNKNOWN, CHANGED, KEY_USED, "validation_error"}
        held = sum((Decimal(line.hold or 0) for line in lines.values()), Decimal(0))
        assert held + unsaid == self.world.box.balance.reserved
        self.the_journal_claims_nothing_that_is_not_so()
        self.nothing_is_accepted_twice()


@BACKENDS
def test_through_any_weather_and_any_death_each_row_is_sent_once_or_told_of(backend: str) -> None:
    machine = type("Machine", (Batches,), {"backend": backend})
    few = settings(max_examples=SCHEDULES, stateful_step_count=8, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(machine, settings=few)
