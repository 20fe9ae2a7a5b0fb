"""What a run has done over time: the buckets, the waits, the slowest rows, and how they are stored."""

from contextlib import closing
from decimal import Decimal
from pathlib import Path
from shutil import copyfile
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from msgapi import Forbidden, Meta, Ok, VirtualClock, batch, journal
from msgapi.journal import State, Unusable, mainfile, opening
from msgapi.journal.opening import create, open_existing, open_to_read
from msgapi.journal.sqlite import JournalFile, Statement
from msgapi.journal.timeline import (
    LEAST_WIDTH,
    MOST_BUCKETS,
    MOST_SAMPLES,
    MOST_SLOW,
    SLOTS,
    Bucket,
    NotableRow,
    RunHistory,
    Timeline,
    cost_of,
    slot_bound,
    slot_of,
    write_history,
)
from msgapi.messages import Accepted, Billing
from tests.journal.test_opening import in_another_process
from tests.support.journals import PRICE, Service, edited, message, opened, rows, sent

BEGAN = 1_000_000.0
FIVE = ("accepted", "refused", "invalid", "unknown", "not_sent")


class Clock:
    """Unix time that a test sets."""

    def __init__(self) -> None:
        self.at = BEGAN

    def time(self) -> float:
        return self.at


def accepted(elapsed: float = 0.1, attempts: int = 1) -> Ok[Accepted]:
    return Ok(Accepted(message_id="msg_1", billing=PRICE), meta=Meta(attempts=attempts, elapsed=elapsed))


def refused(code: str = "forbidden", elapsed: float = 0.1, attempts: int = 1) -> Forbidden:
    return Forbidden(code=code, meta=Meta(attempts=attempts, elapsed=elapsed))


def timeline(number: int = 1) -> tuple[Timeline, Clock]:
    clock = Clock()
    return Timeline(number, clock.time), clock


def values(taken: list[Statement], table: str) -> list[tuple[object, ...]]:
    return [row for statement, some in taken if statement.startswith("INSERT") and table in statement for row in some]


def buckets_of(taken: list[Statement]) -> dict[int, tuple[object, ...]]:
    return {int(str(row[1])): row[2:] for row in values(taken, "buckets")}


def test_rows_count_in_the_bucket_in_which_they_end() -> None:
    one, clock = timeline()
    one.add("1", State.ACCEPTED, accepted())
    clock.at += 0.9
    for name, state in enumerate((State.REFUSED, State.INVALID, State.UNKNOWN, State.NOT_SENT)):
        one.add(f"x{name}", state, refused(f"code{name}"))
    found = buckets_of(one.take())
    assert found[0] == (1, 0, 0, 0, 0, "0.07", 0.0, 0.0, 0.0, 0.0)
    assert found[3] == (0, 1, 1, 1, 1, "0", 0.0, 0.0, 0.0, 0.0)
    assert one.last == BEGAN + 0.9


def test_only_what_has_changed_is_taken_again() -> None:
    one, clock = timeline()
    one.add("1", State.ACCEPTED, accepted(attempts=0))
    assert list(buckets_of(one.take())) == [0]
    assert (one.take(), one.is_pending) == ([], False)
    clock.at += 1
    one.add("2", State.ACCEPTED, accepted(attempts=0))
    assert (one.number, one.is_pending) == (1, True)
    taken = one.take()
    assert list(buckets_of(taken)) == [4]
    assert not values(taken, "notable")


def test_what_could_not_be_written_is_taken_once_more() -> None:
    one, clock = timeline()
    one.add("1", State.ACCEPTED, accepted())
    clock.at += 1
    one.add("2", State.ACCEPTED, accepted())
    _ = one.take()
    one.put_back()
    taken = one.take()
    assert list(buckets_of(taken)) == [0, 4]
    assert [row[1] for row in values(taken, "notable")] == ["1", "2"]
    assert any(statement.startswith("DELETE FROM buckets") for statement, _ in taken)


def test_a_clock_that_is_set_back_counts_in_the_latest_bucket() -> None:
    one, clock = timeline()
    clock.at += 2
    one.add("1", State.ACCEPTED, accepted())
    clock.at -= 3600
    one.add("2", State.ACCEPTED, accepted())
    one.add_wait("outage", 5)
    assert buckets_of(one.take()) == {
        0: (0, 0, 0, 0, 0, "0", 0.0, 0.0, 0.0, 0.0),
        8: (2, 0, 0, 0, 0, "0.14", 0.0, 0.0, 0.0, 0.0),
    }
    assert one.last == BEGAN + 2


@given(st.lists(st.floats(0, 1e5), min_size=1, max_size=60))
@settings(max_examples=50, deadline=None)
def test_however_long_a_run_lasts_its_buckets_are_bounded_and_no_row_is_lost(pauses: list[float]) -> None:
    one, clock = timeline()
    for number, pause in enumerate(pauses):
        clock.at += pause
        one.add(f"{number}", State.ACCEPTED, accepted())
        one.add_wait("rate_limit", pause / 2)
    taken = one.take()
    found = buckets_of(taken)
    ((_, began, ended, width, _, answers),) = values(taken, "runs")
    assert isinstance(width, float)
    assert max(found) < MOST_BUCKETS
    assert (began, ended) == (BEGAN, clock.at)
    assert sum(int(str(row[0])) for row in found.values()) == len(pauses)
    assert sum(Decimal(str(row[5])) for row in found.values()) == len(pauses) * Decimal("0.07")
    waited = sum(float(str(row[6])) for row in found.values())
    assert waited == pytest.approx(sum(pauses) / 2, abs=1e-3, rel=1e-6)
    assert all(float(str(row[6])) <= width + 1e-6 for row in found.values())
    assert sum(map(int, str(answers).split())) == len(pauses)


def test_a_wait_is_spread_over_the_time_that_it_has_taken() -> None:
    one, clock = timeline()
    clock.at += 0.625
    one.add_wait("balance", 0.5)
    found = buckets_of(one.take())
    assert [found[number][8] for number in (0, 1, 2)] == [0.125, 0.25, 0.125]


def test_waits_of_several_rows_at_a_time_count_once_and_not_before_the_run() -> None:
    one, clock = timeline()
    clock.at += 0.2
    one.add_wait("rate_limit", 60)
    one.add_wait("rate_limit", 0.1)
    one.add_wait("disk", 0.0)
    assert buckets_of(one.take())[0] == (0, 0, 0, 0, 0, "0", pytest.approx(0.2), 0.0, 0.0, 0.0)


def test_the_slowest_rows_are_kept_with_their_places() -> None:
    one, _ = timeline()
    for number in range(50):
        one.add(f"{number}", State.ACCEPTED, accepted(elapsed=(number * 7) % 50 / 10))
        one.locate(f"{number}", number + 1, number + 2)
    one.locate("nobody", 1, 1)
    found = values(one.take(), "notable")
    assert sorted(float(str(row[4])) for row in found) == [4.0, 4.1, 4.2, 4.3, 4.4, 4.5, 4.6, 4.7, 4.8, 4.9]
    assert len(found) == MOST_SLOW
    assert all(row[2] == 1 and row[9] == int(str(row[1])) + 2 for row in found)


def test_a_place_is_stored_once_and_a_row_that_ends_twice_keeps_it() -> None:
    one, _ = timeline()
    one.add("1", State.NOT_SENT, refused(elapsed=0.2))
    one.locate("1", 7, 8)
    one.locate("1", 70, 80)
    one.add("1", State.ACCEPTED, accepted(elapsed=0.3))
    assert [(row[1], row[2], row[6], row[8], row[9]) for row in values(one.take(), "notable")] == [
        ("1", 1, "Accepted", 7, 8)
    ]


def test_the_first_rows_with_each_error_are_kept_also_if_they_are_not_slow() -> None:
    one, _ = timeline()
    for number in range(20):
        one.add(f"r{number}", State.REFUSED, refused(elapsed=0.001))
    for number in range(20):
        one.add(f"a{number}", State.ACCEPTED, accepted(elapsed=5.0))
    found = values(one.take(), "notable")
    assert [row[1] for row in found if not row[2]] == ["r0", "r1", "r2", "r3", "r4"][:MOST_SAMPLES]
    assert sum(bool(row[2]) for row in found) == MOST_SLOW


def test_errors_with_ever_new_codes_are_bounded() -> None:
    one, _ = timeline()
    for number in range(500):
        one.add(f"r{number}", State.REFUSED, refused(f"code_{number}", attempts=0))
    assert len(values(one.take(), "notable")) == 40


def test_the_first_reason_for_the_end_counts() -> None:
    one, _ = timeline()
    _ = one.take()
    one.end("interrupted")
    one.end("done")
    ((*_, ended_by, _),) = values(one.take(), "runs")
    assert ended_by == "interrupted"


@given(st.floats(0, 1e7))
@settings(max_examples=100)
def test_a_duration_is_within_the_bounds_of_its_slot(seconds: float) -> None:
    slot = slot_of(seconds)
    assert 0 <= slot < SLOTS
    assert slot == SLOTS - 1 or seconds <= slot_bound(slot) * (1 + 1e-9)
    assert slot == 0 or seconds >= slot_bound(slot - 1) * (1 - 1e-9)


@pytest.mark.parametrize(
    ("billing", "cost"),
    [
        (None, Decimal(0)),
        (Billing(hold_amount=Decimal("0.08")), Decimal("0.08")),
        (PRICE, Decimal("0.07")),
        (Billing(), Decimal(0)),
    ],
)
def test_the_cost_is_the_price_or_the_hold(billing: Billing | None, cost: Decimal) -> None:
    accepted_ = Accepted(message_id="msg_1")
    assert cost_of(accepted_ if billing is None else evolve(accepted_, billing=billing)) == cost
    assert cost_of(None) == 0


def runs_of(path: Path | str) -> tuple[RunHistory, ...]:
    with journal.open_readonly(str(path)) as record:
        return record.runs()


@pytest.mark.anyio
async def test_each_run_of_a_journal_has_a_history(tmp_path: Path) -> None:
    clock = VirtualClock(1_777_852_800.0)
    async with opened(tmp_path, clock=clock) as record:
        _ = await sent(Service({3: refused()}), rows(20), record, concurrency=1)
        clock.advance(1.0)
        record.add_wait("rate_limit", 0.75)
        record.locate("2", 3, 4)
        record.end_run("balance")
    clock.advance(3600)
    async with opened(tmp_path, clock=clock) as record:
        _ = await sent(Service(), rows(30), record)
    first, second = runs_of(tmp_path / "run.db")
    assert (first.number, first.ended_by, second.number, second.ended_by) == (1, "balance", 2, "ended")
    assert second.began - first.began >= 3600
    assert sum(one.accepted for one in first.buckets) == 19
    assert sum(one.refused for one in first.buckets) == 1
    assert sum(one.waits[0] for one in first.buckets) == 0.75
    assert sum(one.spend for one in first.buckets) == 19 * Decimal("0.07")
    assert sum(one.accepted for one in second.buckets) == 10
    (sample,) = [one for one in first.notable if one.code == "forbidden"]
    assert (sample.id, sample.number, sample.line, sample.kind) == ("2", 3, 4, "Forbidden")
    with journal.open_readonly(str(tmp_path / "run.db")) as reader:
        assert reader.run_count == 2
        assert [row.id for row in reader.samples(State.REFUSED, "Forbidden", "forbidden")] == ["2"]


@pytest.mark.anyio
async def test_a_run_that_is_killed_keeps_what_was_committed(tmp_path: Path) -> None:
    clock = VirtualClock(1_777_852_800.0)
    async with opened(tmp_path, clock=clock) as record:
        _ = await sent(Service(), rows(5), record)
        await record.flush()
        for name in ("run.db", "run.db-wal"):
            _ = (tmp_path / f"killed-{name}").write_bytes((tmp_path / name).read_bytes())
    (found,) = runs_of(tmp_path / "killed-run.db")
    assert found.ended_by is None
    assert sum(one.accepted for one in found.buckets) == 5


@pytest.mark.anyio
async def test_a_run_that_ends_with_an_exception_says_so(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        async with opened(tmp_path):
            raise RuntimeError
    (found,) = runs_of(tmp_path / "run.db")
    assert found.ended_by == "exception"


@pytest.mark.anyio
async def test_long_waits_without_a_row_are_written_every_few_seconds(tmp_path: Path) -> None:
    clock = VirtualClock(1_777_852_800.0)
    async with opened(tmp_path, clock=clock) as record:
        await record.flush()
        for _ in range(8):
            clock.advance(1.0)
            record.add_wait("outage", 1.0)
        assert record._due.is_set()
        await record.flush()
        clock.advance(1.0)
        record.add_wait("outage", 1.0)
        assert not record._due.is_set()
    (found,) = runs_of(tmp_path / "run.db")
    assert sum(one.waits[1] for one in found.buckets) == pytest.approx(9.0)


@pytest.mark.anyio
async def test_a_history_that_could_not_be_written_is_written_with_the_next_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path) as record:
        await record.flush()
        _ = await record.begin([("1", message(1))])
        record.settle("1", accepted())
        with monkeypatch.context() as patch:

            def fail(*_: object) -> bool:
                raise Unusable("full", "the disk is full")

            patch.setattr("msgapi.journal.sqlite.JournalFile.write", fail)
            with pytest.raises(Unusable):
                await record.flush()
    (found,) = runs_of(tmp_path / "run.db")
    assert sum(one.accepted for one in found.buckets) == 1


@pytest.mark.anyio
async def test_a_journal_of_an_earlier_version_has_no_histories_until_its_next_run(tmp_path: Path) -> None:
    async with opened(tmp_path) as record:
        _ = await sent(Service(), rows(5), record)
    with edited(tmp_path / "run.db") as connection:
        for table in ("runs", "buckets", "notable"):
            _ = connection.execute(f"DROP TABLE {table}")
    assert runs_of(tmp_path / "run.db") == ()
    async with opened(tmp_path) as record:
        _ = await sent(Service(), rows(8), record)
    (found,) = runs_of(tmp_path / "run.db")
    assert (found.number, sum(one.accepted for one in found.buckets)) == (2, 3)


@pytest.mark.anyio
async def test_the_histories_of_the_last_hundred_runs_are_kept(tmp_path: Path) -> None:
    async with opened(tmp_path) as record:
        _ = await sent(Service(), rows(1), record)
    with edited(tmp_path / "run.db") as connection:
        _ = connection.execute("UPDATE about SET value = '150' WHERE name = 'run'")
        for run in (0, 51, 52):
            copied = "INSERT INTO runs SELECT ?, began, ended, width, ended_by, answers FROM runs WHERE run = 1"
            _ = connection.execute(copied, (run,))
    async with opened(tmp_path):
        pass
    assert [run.number for run in runs_of(tmp_path / "run.db")] == [0, 52, 151]


HISTORY = RunHistory(
    number=0,
    began=BEGAN,
    ended=BEGAN + 60,
    width=LEAST_WIDTH,
    buckets=(Bucket(number=3, accepted=5, spend=Decimal("0.35"), waits=(0.1, 0.0, 0.0, 0.0)),),
    answers=(0, 5),
    notable=(NotableRow(id="1", at=BEGAN, elapsed=2.0, attempts=3, kind="Accepted", is_slow=True),),
)


@pytest.fixture
def path(tmp_path: Path) -> str:
    path = str(tmp_path / "run.db")
    create(path, {"batch": "b1"})
    with closing(open_existing(path)) as file:
        file.begin_opening(0.0)
        write_history(file, evolve(HISTORY, ended_by="done", answers=()))
        write_history(file, HISTORY)
    return path


def test_a_history_that_is_written_at_once_replaces_the_one_before(path: str) -> None:
    assert runs_of(path) == (HISTORY,)


DAMAGE = [
    ("runs", "began", -1.0),
    ("runs", "ended", "x"),
    ("runs", "width", 0.0),
    ("runs", "width", 9e999),
    ("runs", "answers", "1 x"),
    ("runs", "ended_by", b"x"),
    ("buckets", "accepted", -1),
    ("buckets", "accepted", 1.5),
    ("buckets", "spend", "x"),
    ("buckets", "outage", "x"),
    ("notable", "attempts", "x"),
    ("notable", "line", "x"),
    ("notable", "elapsed", -1.0),
    ("notable", "kind", b"x"),
    ("notable", "code", b"x"),
]


@pytest.mark.parametrize(("table", "column", "value"), DAMAGE)
def test_a_value_that_no_journal_writes_is_damage(path: str, table: str, column: str, value: Any) -> None:  # noqa: ANN401 - of SQLite
    with edited(path) as connection:
        _ = connection.execute(f"UPDATE {table} SET {column} = ?", (value,))  # noqa: S608 - names of the test
    with pytest.raises(Unusable, match="damaged"):
        _ = runs_of(path)


@pytest.mark.anyio
async def test_a_journal_in_use_is_read_from_a_copy(tmp_path: Path) -> None:
    path = str(tmp_path / "run.db")
    async with opened(tmp_path) as record:
        _ = await sent(Service(), rows(5), record)
        await record.flush()
        with pytest.raises(Unusable, match="in use"), journal.open_readonly(path, in_use="copy"):
            pass  # this process cannot open it twice
        assert in_another_process(READ, path) == "True 5"
        _ = await sent(Service(), rows(3000), record)
        assert in_another_process(READ, path) == "True 3000"
    assert in_another_process(READ, path) == "False 3000"


READ = """
    import sys
    from msgapi import journal
    with journal.open_readonly(sys.argv[1], in_use="copy") as reader:
        print(reader.is_in_use, reader.summary().rows())
"""


@pytest.mark.anyio
async def test_a_copy_that_was_made_while_the_wal_began_anew_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, copies = tmp_path / "run.db", list[str]()

    def opened_elsewhere(place: str, *, name: str | None = None) -> JournalFile:
        if place == str(path):
            raise Unusable("in use", "another program has it")
        return open_to_read(place, name=name)

    def copy(place: Path | str, target: Path | str) -> None:
        copies.append(Path(target).name)
        _ = copyfile(place, target)
        if len(copies) == 1:
            _ = (tmp_path / "run.db-wal").write_bytes(bytes(32))
        if len(copies) == 2:
            (tmp_path / "run.db-wal").unlink()

    async with opened(tmp_path) as record:
        _ = await sent(Service(), rows(5), record)
    monkeypatch.setattr(opening, "open_to_read", opened_elsewhere)
    monkeypatch.setattr(mainfile, "copyfile", copy)
    with journal.open_readonly(str(path), in_use="copy") as reader:
        assert (reader.is_in_use, reader.summary().rows()) == (True, 5)
    assert copies == ["journal", "journal", "journal-wal", "journal"]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("error", "reason"), [(FileNotFoundError(), "in use"), (OSError(5, "I/O error"), "unwritable")]
)
async def test_a_journal_that_cannot_be_copied_is_unusable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, reason: str
) -> None:
    path = str(tmp_path / "run.db")
    async with opened(tmp_path):
        pass

    def fail(*_: object, **__: object) -> JournalFile:
        raise Unusable("in use", "another program has it")

    def fail_to_copy(*_: object) -> None:
        raise error

    monkeypatch.setattr(opening, "open_to_read", fail)
    monkeypatch.setattr(mainfile, "copyfile", fail_to_copy)
    with pytest.raises(Unusable) as caught, journal.open_readonly(path, in_use="copy"):
        pass
    assert caught.value.reason == reason


def test_a_journal_that_is_missing_is_not_copied(tmp_path: Path) -> None:
    with (
        pytest.raises(Unusable) as caught,
        journal.open_readonly(str(tmp_path / "run.db"), in_use="copy"),
    ):
        pass
    assert caught.value.reason == "missing"


@pytest.mark.anyio
async def test_an_empty_batch_has_a_history_without_buckets(tmp_path: Path) -> None:
    async with opened(tmp_path) as record, batch.send(Service(), rows(0), journal=record) as outcomes:
        async for _ in outcomes:
            raise AssertionError
    (found,) = runs_of(tmp_path / "run.db")
    assert [one.accepted for one in found.buckets] == [0]
