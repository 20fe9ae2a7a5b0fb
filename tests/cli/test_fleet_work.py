"""fleet work: a worker sends what is queued, says how far it is, and ends as a batch would."""

import os
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import anyio
import orjson
import pytest
from attrs import define, field

from msgapi import (
    Call,
    Caller,
    Client,
    Forbidden,
    InsufficientBalance,
    Invalid,
    NotSent,
    Ok,
    Pace,
    Request,
    Response,
    Result,
    Unanswered,
    Unavailable,
    VirtualClock,
    fleet,
    journal,
    messages,
)
from msgapi.batch import Outcome, Stopped
from msgapi.cli import main
from msgapi.cli.batch.counts import ErrorGroup
from msgapi.cli.commands.fleet import work
from msgapi.cli.commands.fleet.connection import FleetAddress
from msgapi.cli.commands.fleet.work import FleetWorker, WorkerConfig, WorkerCounts
from msgapi.cli.output import Exit, RowOutcome
from msgapi.fleet import ChunkRow, InvalidChunk, Manifest, make_row
from msgapi.fleet.opening import claim
from msgapi.fleet.sending import ChunkResult
from msgapi.fleet.worker import BackendUnreachable, ChunkFinished, ChunkLeased, Event, Paused, Resumed, RowFinished
from msgapi.messages import Accepted
from msgapi.sandbox import Sandbox
from msgapi.transports import Answer
from tests.support.cli_files import people, through
from tests.support.cli_fleets import REPORT, Fleet, enqueue, placed
from tests.support.journals import PRICE

T = TypeVar("T")
ACCEPTED = Accepted(message_id="msg_1", billing=PRICE)
OWNER = ("_fleet", "key")
Captured = pytest.CaptureFixture[str]


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> Fleet:
    return placed(monkeypatch)


@define
class Paper:
    """A screen that keeps what it shows."""

    interval: float = 1.0
    poll: float = 1.0
    eager: bool = False
    shortest_wait: float = 0.0
    drawn: list[str] = field(factory=list)
    said: list[str] = field(factory=list)
    fine: bool = True

    def draw(self, said: list[str], done: float | None, *, fine: bool) -> None:
        assert done is None
        self.drawn.append(", ".join(said))
        self.fine = fine

    def print_line(self, line: str) -> None:
        self.said.append(line)


def queue(tmp_path: Path, rows: int) -> None:
    assert main(enqueue(people(tmp_path, rows))) == 0


@pytest.mark.usefixtures("there")
def test_a_worker_sends_what_is_queued_and_the_report_adds_up(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = Sandbox()
    through(monkeypatch, box)
    assert main(enqueue(people(tmp_path, 250, more="251,bad,Ann\n252,+4915100000001,Ann\n"))) == 0
    _ = capsys.readouterr()
    assert main(["fleet", "work", "--until-empty", "--rate", "9000"]) == 1
    told = capsys.readouterr()
    assert "250 rows accepted by this worker, 17.50 EUR, 3 chunks done" in told.out
    assert "Invalid" in told.out
    assert len(box.messages) == 250
    assert main([*REPORT, "--json"]) == 1
    facts = orjson.loads(capsys.readouterr().out)
    assert (facts["rows"], facts["accepted"], facts["refused"], facts["duplicate"]) == (252, 250, 1, 1)
    assert facts["chunks"]["left"] == 0
    assert main(["fleet", "work", "--until-empty", "--json"]) == 0
    facts = orjson.loads(capsys.readouterr().out)
    assert (facts["accepted"], facts["chunks"], facts["stopped"], facts["exit"]) == (0, {}, None, 0)


def test_a_key_that_is_refused_ends_the_worker_and_owns_nothing(
    tmp_path: Path, there: Fleet, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue(tmp_path, 150)
    through(monkeypatch, Sandbox(api_key="sk_other"))
    assert main(["fleet", "work", "--until-empty"]) == 4
    assert "msgapi: stopped: the API key was refused" in capsys.readouterr().err
    assert (len(there.queued()), OWNER in there.records._documents) == (2, False)
    assert main(["fleet", "work", "--until-empty", "--json"]) == 4
    facts = orjson.loads(capsys.readouterr().out)
    assert (facts["accepted"], facts["stopped"], facts["exit"]) == (0, "unauthorized", 4)


REFUSED_KEY = Response(401, {}, b'{"error":"unauthorized","message":"m"}')


def test_a_key_that_is_refused_later_on_ends_the_worker_and_owns_nothing_any_more(
    tmp_path: Path, there: Fleet, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = Sandbox()

    async def revoked(request: Request) -> Answer:
        return await box(request) if request.method == "GET" else REFUSED_KEY

    queue(tmp_path, 150)
    through(monkeypatch, revoked)
    assert main(["fleet", "work", "--until-empty"]) == 4
    assert there.records._documents[OWNER][0] == b""
    assert "msgapi: stopped: the API key was refused" in capsys.readouterr().err
    assert len(there.queued()) == 2


def test_a_worker_with_another_key_than_that_of_the_fleet_ends_before_it_sends(
    tmp_path: Path, there: Fleet, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = Sandbox()
    through(monkeypatch, box)
    queue(tmp_path, 150)
    anyio.run(claim, there.records, "msgapi", "sk_other")
    assert main(["fleet", "work", "--until-empty"]) == 4
    assert "msgapi: the fleet msgapi sends with another API key: set that one" in capsys.readouterr().err
    assert not box.messages


def test_a_service_that_is_away_keeps_no_worker_from_beginning(
    tmp_path: Path, there: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    box, asked = Sandbox(), Counter[str]()

    async def late(request: Request) -> Answer:
        asked[request.method] += 1
        return await box(request) if request.method == "POST" else NotSent("no way there")

    queue(tmp_path, 50)
    through(monkeypatch, late)
    assert main(["fleet", "work", "--until-empty"]) == 0
    assert (len(box.messages), asked) == (50, {"GET": 1, "POST": 50})
    assert not there.queued()


@pytest.mark.parametrize(
    ("key", "url", "told"),
    [
        ("", "redis://127.0.0.1:1", "no API key: set MSGAPI_API_KEY"),
        ("a b", "redis://127.0.0.1:1", "the API key has characters that no key has"),
        ("sk_x", "", "no server: give --fleet-url or set MSGAPI_FLEET_URL"),
    ],
)
def test_what_is_missing_is_one_line(
    key: str, url: str, told: str, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = placed(monkeypatch)
    monkeypatch.setenv("MSGAPI_API_KEY", key)
    assert main(["fleet", "work", "--fleet-url", url]) == 4
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line
    assert not there.places


def test_an_unsafe_base_url_is_one_line(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    _ = placed(monkeypatch)
    monkeypatch.setenv("MSGAPI_API_KEY", "sk_x")
    monkeypatch.setenv("MSGAPI_BASE_URL", "http://api.example")
    assert main(["fleet", "work", "--fleet-url", "redis://127.0.0.1:1"]) == 4
    (line,) = capsys.readouterr().err.splitlines()
    assert "the base URL must be https" in line


@pytest.mark.usefixtures("there")
def test_a_worker_that_finds_no_money_says_so_and_one_that_is_started_after_a_top_up_goes_on(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = Sandbox(balance=Decimal("0.07") * 120)
    through(monkeypatch, box)
    queue(tmp_path, 200)
    assert main(["fleet", "work", "--until-empty"]) == 3
    told = capsys.readouterr().err
    assert "msgapi: stopped: the balance is used up" in told
    assert "; top up at https://" in told
    assert main(REPORT) == 3
    assert "msgapi: sending is paused: " in capsys.readouterr().err
    assert main(["fleet", "work", "--until-empty"]) == 3
    box.top_up(Decimal(100))
    assert main(["fleet", "work", "--until-empty"]) == 0
    assert len(box.messages) == 200
    assert main(REPORT) == 0


@define
class Service:
    """An api that asks a function before each answer of a sandbox."""

    client: Client
    before: Callable[[int], Awaitable[None]]
    count: int = 0

    async def __call__(self, call: Call[T], /) -> Result[T]:
        self.count += 1
        await self.before(self.count)
        return await self.client(call)


async def worked(
    there: Fleet,
    service: Callable[[Client], Caller],
    clock: VirtualClock | None = None,
    **options: Any,  # noqa: ANN401 - those of a shift
) -> tuple[FleetWorker, Paper]:
    clock, box, paper = clock or VirtualClock(), Sandbox(), Paper()
    there.queue.clock, there.queue.lease_seconds = clock, 30.0
    pace = Pace()
    worker = FleetWorker(WorkerConfig(**options), WorkerCounts(paper, clock), clock)
    async with (
        clock.autojump(),
        Client(api_key=box.api_key, transport=box, base_url="http://127.0.0.1", clock=clock) as api,
    ):
        await worker.run(there, service(api), pace)
    return worker, paper


async def _filled(there: Fleet, rows: int, *more: ChunkRow) -> None:
    def row(at: int) -> ChunkRow:
        text = messages.Text(agent_id="ag_live_demo", to=f"+49151{at:08}", traffic_type="TRANSACTION", text="Hi")
        return make_row(f"{at}", messages.send(text, idempotency_key=journal.key_of("may", f"{at}")))

    manifest = Manifest(batch="may", source="x", rows=rows)
    _ = await fleet.enqueue([*map(row, range(rows)), *more], manifest, queue=there.queue, records=there.records)


def _itself(api: Client) -> Caller:
    return api


def interrupting(at: int, times: int) -> Callable[[Client], Service]:
    async def before(count: int) -> None:
        if count == at:
            for _ in range(times):
                os.kill(os.getpid(), signal.SIGINT)
                await anyio.sleep(0.02)
        elif count > at and times > 1:
            await anyio.sleep(60)

    return partial(Service, before=before)


@pytest.mark.anyio
@pytest.mark.parametrize(("until_empty", "status"), [(True, Exit.INTERRUPTED), (False, Exit.ACCEPTED)])
async def test_one_ctrl_c_lets_what_is_in_flight_settle(there: Fleet, until_empty: bool, status: Exit) -> None:
    await _filled(there, 1_000)
    options: dict[str, Any] = {"concurrency": 4, "concurrent_chunks": 2, "until_empty": until_empty}
    worker, paper = await worked(there, interrupting(50, 1), **options)
    assert worker.status is status
    assert worker.stopped == Stopped("asked")
    assert worker.counts.counts.accepted < 100
    assert "stopping: no more rows are sent, waiting for requests in flight of 2 chunks" in paper.said[0]
    assert not worker.counts.held


@pytest.mark.anyio
async def test_a_second_ctrl_c_stops_at_once(there: Fleet) -> None:
    await _filled(there, 1_000)
    worker, paper = await worked(there, interrupting(50, 2), concurrency=4, concurrent_chunks=2)
    assert worker.status is Exit.INTERRUPTED
    assert paper.said[1].startswith("stopped at once: ")


def scored(*, eager: bool = False) -> tuple[WorkerCounts, Paper, VirtualClock]:
    paper, clock = Paper(eager=eager), VirtualClock()
    return WorkerCounts(paper, clock), paper, clock


def outcome(result: Result[Any], at: int = 0) -> Outcome[Any]:
    return Outcome(at, Call("POST", "/v1/messages", object), result)


def test_what_is_not_of_every_day_is_said_once() -> None:
    score, paper, _ = scored()
    short = Stopped("balance", InsufficientBalance(topup_url="https://top.example"))
    events: tuple[Event, ...] = (
        *[BackendUnreachable("no answer from the server at 127.0.0.1")] * 3,
        ChunkLeased("may/000001", 1),
        BackendUnreachable("no answer from the server at 127.0.0.1"),
        Paused(short),
        Resumed(),
        ChunkFinished("may/000001", "buried", ChunkResult(invalid=InvalidChunk("it is not JSON"))),
        ChunkFinished("may/000002", "done", ChunkResult(done=True)),
    )
    for event in events:
        score.handle(event)
    assert paper.said == [
        "no answer from the server at 127.0.0.1; waiting for it",
        "the server answers again: continuing",
        "no answer from the server at 127.0.0.1; waiting for it",
        "the balance is used up; top up at https://top.example: waiting for a top-up; Ctrl-C stops",
        "the balance was topped up: continuing",
        "the chunk may/000001 was abandoned: it is not JSON",
    ]
    assert score.chunks == {"buried": 1, "done": 1}
    assert not score.held


def test_how_far_a_worker_is_stands_in_one_line() -> None:
    score, paper, clock = scored()
    score.show()
    assert not paper.drawn
    score.handle(ChunkLeased("may/000001", 1))
    for at in range(100):
        score.handle(RowFinished("may/000001", outcome(Ok(ACCEPTED), at)))
    clock.advance(1)
    score.show()
    assert paper.drawn == ["100 accepted, 100/s, 1 chunks held"]
    assert paper.fine
    score.handle(RowFinished("may/000001", outcome(Forbidden(), 100)))
    score.left = 1_234
    clock.advance(1)
    score.show()
    assert paper.drawn[1] == "1 refused, 100 accepted, 50/s, 1 chunks held, 1,234 chunks left"
    assert not paper.fine


def test_a_row_that_is_tried_again_counts_once_by_how_it_ended() -> None:
    score, _, _ = scored()
    away, unfit = NotSent("no way there"), Invalid(message="no such number")
    doubtful = Unavailable(may_have_happened=True)
    tries: list[list[Result[Any]]] = [
        [away, unfit, doubtful, Ok(ACCEPTED), away],
        [away, unfit, Invalid(code="duplicate_row")],
        [Ok(ACCEPTED), unfit, Forbidden()],
    ]
    for results in tries:
        score.handle(ChunkLeased("may/000001", 1))
        for at, result in enumerate(results):
            score.handle(RowFinished("may/000001", outcome(result, at)))
        score.handle(ChunkFinished("may/000001", "released", ChunkResult()))
    score.handle(RowFinished("may/000002", outcome(unfit)))
    tally = score.counts
    assert (tally.total, tally.accepted, tally.refused, tally.duplicate, tally.unknown) == (6, 2, 3, 0, 0)
    assert tally.not_carried_out == 1
    assert sorted(group.kind for group, count in tally.errors.items() for _ in range(count)) == [
        "Forbidden",
        "Invalid",
        "Invalid",
        "NotSent",
    ]
    score.handle(ChunkFinished("may/000001", "done", ChunkResult(done=True)))
    assert score._open == {"may/000002": {0: unfit}}


def test_a_row_that_was_accepted_counts_and_costs_once_though_its_record_was_lost_and_it_goes_out_again() -> None:
    score, _, _ = scored()
    for result in (Ok(ACCEPTED), Ok(ACCEPTED), Unanswered("no answer in time")):
        score.handle(ChunkLeased("may/000001", 1))
        score.handle(RowFinished("may/000001", outcome(result)))
        score.handle(ChunkFinished("may/000001", "released", ChunkResult()))
    tally = score.counts
    assert (tally.total, tally.accepted, tally.refused, tally.unknown) == (1, 1, 0, 0)
    assert tally.spend == ACCEPTED.billing.message_price
    score.handle(ChunkFinished("may/000001", "done", ChunkResult(done=True)))
    assert not score._open


def test_of_many_kinds_of_refusal_the_right_one_is_taken_back() -> None:
    score, _, _ = scored()
    for _again in range(2):
        for at in range(45):
            score.handle(RowFinished("may/000001", outcome(Forbidden(code=f"code_{at}"), at)))
        assert (score.counts.refused, score.counts.errors.total()) == (45, 45)
        assert score.counts.errors[ErrorGroup(RowOutcome.REFUSED, "Forbidden", "(others)")] == 5


@define
class Flaky:
    """An api that does not get through with every seventh call, of which it is said that nothing left."""

    inner: Client
    count: int = 0

    async def __call__(self, call: Call[T], /) -> Result[T]:
        self.count += call.invalid is None
        lost = call.invalid is None and self.count % 7 == 0
        return NotSent("no way there") if lost else await self.inner(call)


@pytest.mark.anyio
async def test_what_a_worker_says_at_its_end_is_what_the_records_say(there: Fleet) -> None:
    await _filled(there, 250, ChunkRow(id="unfit", invalid=Invalid(message="no such number")))
    worker, _ = await worked(there, Flaky, outage_timeout=0, until_empty=True)
    tally = worker.counts.counts
    assert (tally.total, tally.accepted, tally.refused) == (251, 250, 1)
    assert worker.counts.chunks["released"] > 0
    assert not worker.counts._open


def test_a_terminal_shows_also_that_nothing_has_happened_yet() -> None:
    paper, clock = Paper(eager=True), VirtualClock()
    WorkerCounts(paper, clock).show()
    assert paper.drawn == ["0 accepted, 0 chunks held"]


@pytest.mark.parametrize(
    ("stopped", "refused", "interrupted", "until_empty", "status"),
    [
        (None, 0, 0, True, Exit.ACCEPTED),
        (None, 2, 0, True, Exit.REFUSED),
        (Stopped("outage"), 0, 0, False, Exit.STOPPED),
        (Stopped("balance"), 0, 0, False, Exit.STOPPED),
        (Stopped("unauthorized"), 1, 1, False, Exit.CONFIGURATION),
        (Stopped("asked"), 1, 1, False, Exit.REFUSED),
        (Stopped("asked"), 1, 1, True, Exit.INTERRUPTED),
        (None, 0, 2, False, Exit.INTERRUPTED),
    ],
)
def test_a_worker_exits_as_it_ended(
    stopped: Stopped | None, refused: int, interrupted: int, until_empty: bool, status: Exit
) -> None:
    score, _, clock = scored()
    worker = FleetWorker(WorkerConfig(until_empty=until_empty), score, clock)
    worker.stopped, worker.interrupted, score.counts.refused = stopped, interrupted, refused
    assert worker.status is status


@pytest.mark.anyio
async def test_a_queue_that_is_away_is_waited_for(there: Fleet) -> None:
    await _filled(there, 10)
    there.queue.unreachable = True

    async def come_back() -> None:
        await there.queue.clock.sleep(30)
        there.queue.unreachable = False

    clock = there.queue.clock = VirtualClock()
    async with anyio.create_task_group() as tasks:
        _ = tasks.start_soon(come_back)
        worker, paper = await worked(there, _itself, clock, until_empty=True)
    assert (worker.status, worker.counts.counts.accepted) == (Exit.ACCEPTED, 10)
    assert paper.said == [
        "the backend in memory is unreachable: its `unreachable` is set; waiting for it",
        "the server answers again: continuing",
    ]
    assert worker.counts.left is None


@pytest.mark.anyio
async def test_a_worker_is_done_when_nothing_is_left(
    there: Fleet, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = Sandbox()
    through(monkeypatch, box)
    await _filled(there, 10)
    assert await work._work(WorkerConfig(until_empty=True), FleetAddress(url="redis://127.0.0.1:1")) == Exit.ACCEPTED
    assert "10 rows accepted by this worker, 0.70 EUR, 1 chunk done" in capsys.readouterr().out
