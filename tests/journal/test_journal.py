"""journal: what is on the disk, and what is made of it at the next run."""

import os
import sqlite3
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msgapi import (
    ApiError,
    Call,
    Forbidden,
    InsufficientBalance,
    Invalid,
    NotSent,
    Ok,
    Result,
    Throttled,
    Unanswered,
    Unauthorized,
    Unavailable,
    Unreadable,
    journal,
)
from msgapi.clock import VirtualClock
from msgapi.journal import SETTLED, Send, State, Unusable
from tests.support.journals import HOUR, Service, message, opened, rows, sent

pytestmark = pytest.mark.anyio
FINAL: list[Result[object]] = [Ok(1), Forbidden(), Unreadable(), Throttled(code="newsletter_daily_cap"), Invalid()]
HELD_UP: list[ApiError] = [Unauthorized(), InsufficientBalance(), NotSent("x"), Throttled(code="rate_limit_exceeded")]
MAYBE_SENT: list[ApiError] = [Unanswered("x"), Unavailable(), Forbidden(may_have_happened=True)]


@given(st.text(), st.text())
def test_a_key_is_a_uuid_that_both_names_decide(batch: str, row: str) -> None:
    key = journal.key_of(batch, row)
    assert key == journal.key_of(batch, row)
    assert (len(key), key[14], key[19] in "89ab") == (36, "8", True)
    assert key not in {journal.key_of(batch, row + "x"), journal.key_of(batch + "x", row)}


@pytest.mark.parametrize("result", FINAL, ids=lambda result: type(result).__name__)
async def test_what_is_settled_does_not_begin_again(tmp_path: Path, result: Result[object]) -> None:
    for verdict in (Send, None):
        async with opened(tmp_path) as record:
            (found,) = await record.begin([("1", message(1))])
            if verdict is None:
                assert found is SETTLED
            else:
                assert found == Send(record.key("1"), maybe_sent=False, started=1_800_000_000.0)
                record.settle("1", result)


@pytest.mark.parametrize("result", HELD_UP, ids=lambda result: type(result).__name__)
async def test_what_was_held_up_begins_anew_however_late(tmp_path: Path, result: ApiError) -> None:
    clock = VirtualClock()
    for _ in range(2):
        async with opened(tmp_path, clock=clock) as record:
            (found,) = await record.begin([("1", message(1))])
            assert found == Send(record.key("1"), maybe_sent=False, started=clock.time())
            record.settle("1", result)
        clock.advance(100 * HOUR)


@pytest.mark.parametrize("result", [None, *MAYBE_SENT], ids=lambda result: type(result).__name__)
async def test_what_is_in_doubt_goes_again_under_its_key_for_as_long_as_that_is_remembered(
    tmp_path: Path, result: ApiError | None
) -> None:
    clock = VirtualClock()
    for hours in (0.0, 12.0, 10.0):
        clock.advance(hours * HOUR)
        async with opened(tmp_path, clock=clock) as record:
            (found,) = await record.begin([("1", message(1))])
            assert found == Send(record.key("1"), maybe_sent=hours > 0, started=1_800_000_000.0)
            if result is not None:
                record.settle("1", result)
    clock.advance(2 * HOUR)
    async with opened(tmp_path, clock=clock) as record:
        (found,) = await record.begin([("1", message(1))])
    assert isinstance(found, Unanswered)
    assert (found.code, found.may_have_happened) == (journal.UNKNOWN, True)
    assert "24.0 hours ago" in found.reason
    async with opened(tmp_path, clock=clock, unknown="resend") as record:
        assert await record.begin([("1", message(1))]) == [Send(record.key("1"), maybe_sent=True, started=clock.time())]


async def test_a_clock_that_has_gone_back_is_not_relied_on(tmp_path: Path) -> None:
    async with opened(tmp_path) as record:
        _ = await record.begin([("1", message(1))])
    async with opened(tmp_path, clock=VirtualClock(start=1_700_000_000.0)) as record:
        (found,) = await record.begin([("1", message(1))])
    assert isinstance(found, Unanswered)


async def test_what_may_not_be_sent_twice_is_not(tmp_path: Path) -> None:
    submit = Call("POST", "/v1/rcs/agents/1/submit", object)
    async with opened(tmp_path) as record:
        assert await record.begin([("1", submit)]) == [Send(None, maybe_sent=False, started=1_800_000_000.0)]
    async with opened(tmp_path) as record:
        (found,) = await record.begin([("1", submit)])
    assert isinstance(found, Unanswered)


async def test_doubt_outlasts_a_run_in_which_the_row_was_held_up(tmp_path: Path) -> None:
    clock = VirtualClock()
    async with opened(tmp_path, clock=clock) as record:
        _ = await record.begin([("1", message(1))])
    async with opened(tmp_path, clock=clock) as record:
        _ = await record.begin([("1", message(1))])
        record.settle("1", Unauthorized())
    clock.advance(24 * HOUR)
    async with opened(tmp_path, clock=clock) as record:
        (found,) = await record.begin([("1", message(1))])
    assert isinstance(found, Unanswered)


async def test_a_row_that_changed_under_its_id_is_refused(tmp_path: Path) -> None:
    for text, code in (("Hi", None), ("Ho", journal.CHANGED), ("Hi", None)):
        async with opened(tmp_path) as record:
            (found,) = await record.begin([("1", message(1, text))])
            assert getattr(found, "code", None) == code


async def test_an_id_that_comes_twice_is_refused_the_second_time(tmp_path: Path) -> None:
    async with opened(tmp_path) as record:
        first, second = await record.begin([("1", message(1)), ("1", message(2))])
        (third,) = await record.begin([("1", message(1))])
    assert isinstance(first, Send)
    for found in (second, third):
        assert isinstance(found, Invalid)
        assert found.code == journal.REPEATED


async def test_what_was_not_fit_to_be_sent_can_be_mended(tmp_path: Path) -> None:
    async with opened(tmp_path) as record:
        _ = await record.begin([("2", message(2))])
        record.note("1", message(1, ""), Invalid(message="to +4915112345678"))
        record.note("2", message(2), Invalid())  # another has that id, and is under way
    with journal.open_readonly(str(tmp_path / "run.db")) as read:
        (line,) = read.rows(State.INVALID)
        assert (line.id, line.kind, line.message) == ("1", "Invalid", "to ***")
        assert read.summary().rows() == 2
    async with opened(tmp_path) as record:
        assert isinstance((await record.begin([("1", message(1))]))[0], Send)


async def test_what_was_released_is_as_though_it_had_never_begun(tmp_path: Path) -> None:
    async with opened(tmp_path) as record:
        _ = await record.begin([("1", message(1)), ("2", message(2))])
        record.release("1")
    with journal.open_readonly(str(tmp_path / "run.db")) as read:
        assert [line.id for line in read.rows()] == ["2"]
    async with opened(tmp_path) as record:  # a row that is in doubt stays so
        _ = await record.begin([("2", message(2))])
        record.release("2")
    with journal.open_readonly(str(tmp_path / "run.db")) as read:
        assert [line.state for line in read.rows()] == [State.STARTED]


async def test_calls_can_keep_keys_of_their_own(tmp_path: Path) -> None:
    call = message(1)
    async with opened(tmp_path, keys="own") as record:
        (found,) = await record.begin([("1", call)])
    assert isinstance(found, Send)
    assert found.key == call.idempotency_key
    async with opened(tmp_path, keys="own") as record:
        (found,) = await record.begin([("1", call)])
    assert found == Send(call.idempotency_key, maybe_sent=True, started=1_800_000_000.0)
    async with opened(tmp_path, keys="own") as record:  # another key is another operation
        (found,) = await record.begin([("1", message(1))])
    assert isinstance(found, Invalid)
    assert found.code == journal.CHANGED


async def test_a_report_counts_and_adds_up_to_the_cent(tmp_path: Path) -> None:
    api = Service({3: Forbidden(code="no", message="not to ada@shop.example")})
    async with opened(tmp_path, about={"file": "people.csv"}) as record:
        _ = await sent(api, rows(10), record, concurrency=1)
        assert repr(record) == f"Journal({record.path}, batch=b1)"
    with journal.open_readonly(str(tmp_path / "run.db")) as read:
        summary = read.summary()
        assert (summary.rows(), summary.rows(State.ACCEPTED), summary.rows(State.REFUSED)) == (10, 9, 1)
        assert (summary.price, summary.hold) == (Decimal("0.63"), Decimal("0.72"))
        assert (read.about["batch"], read.about["file"]) == ("b1", "people.csv")
        assert [line.message for line in read.rows(State.REFUSED)] == ["not to ***"]
        assert {line.message_id for line in read.rows(State.ACCEPTED)} == {f"msg_{at}" for at in (1, 2, *range(4, 11))}


async def test_an_answer_without_figures_costs_nothing_that_is_known(tmp_path: Path) -> None:
    async with opened(tmp_path) as record:
        _ = await record.begin([("1", message(1))])
        record.settle("1", Ok(1))
    with journal.open_readonly(str(tmp_path / "run.db")) as read:
        assert read.summary().price == 0


async def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    async with opened(tmp_path):
        assert (tmp_path / "run.db").stat().st_mode & 0o777 == 0o600


async def refused(directory: Path, name: str = "b1") -> Unusable:
    with pytest.raises(Unusable) as caught:
        async with opened(directory, name):
            pass
    assert str(directory / "run.db") in str(caught.value)
    assert "\n" not in str(caught.value)
    return caught.value


async def test_the_journal_of_another_batch_is_named(tmp_path: Path) -> None:
    async with opened(tmp_path, "november"):
        pass
    error = await refused(tmp_path, "december")
    assert error.reason == "other batch"
    assert "november" in str(error)


async def test_a_file_that_is_none_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    _ = path.write_text("id,to\n" * 500)
    assert (await refused(tmp_path)).reason == "foreign"
    assert path.read_text() == "id,to\n" * 500
    path.unlink()
    with sqlite3.connect(path) as other:
        _ = other.execute("CREATE TABLE mine (a)")
    other.close()
    assert (await refused(tmp_path)).reason == "foreign"


async def test_the_journal_of_another_version_is_named(tmp_path: Path) -> None:
    async with opened(tmp_path):
        pass
    path = tmp_path / "run.db"
    stored = bytearray(path.read_bytes())
    stored[63], stored[8192 - 64 : 8192] = 99, bytes(64)  # the number of the format, and the seal
    _ = path.write_bytes(stored)
    assert (await refused(tmp_path)).reason == "newer"


@pytest.mark.parametrize("where", [0.3, 0.9])
async def test_a_damaged_journal_is_not_guessed_at(tmp_path: Path, where: float) -> None:
    async with opened(tmp_path) as record:
        _ = await sent(Service(), rows(2000), record)
    path = tmp_path / "run.db"
    with path.open("r+b") as file:
        _ = file.seek(int(path.stat().st_size * where) // 4096 * 4096)
        _ = file.write(os.urandom(4096))
    assert (await refused(tmp_path)).reason == "damaged"


async def test_a_journal_cut_short_is_not_guessed_at(tmp_path: Path) -> None:
    async with opened(tmp_path) as record:
        _ = await sent(Service(), rows(2000), record)
    os.truncate(tmp_path / "run.db", 3 * 4096)
    assert (await refused(tmp_path)).reason == "damaged"


async def test_two_programs_cannot_write_one_journal(tmp_path: Path) -> None:
    async with opened(tmp_path):
        assert (await refused(tmp_path)).reason == "in use"


async def test_a_journal_where_none_can_be_is_said(tmp_path: Path) -> None:
    (tmp_path / "run.db").mkdir()
    assert (await refused(tmp_path)).reason == "unwritable"
    assert (await refused(tmp_path / "nowhere")).reason == "unwritable"


def test_a_report_on_a_journal_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unusable) as caught, journal.open_readonly(str(tmp_path / "run.db")):
        pass
    assert caught.value.reason == "missing"


async def test_a_real_disk_that_is_full_is_said_and_the_rest_is_finished_later(tmp_path: Path) -> None:
    api = Service()

    async def filling() -> None:
        async with opened(tmp_path) as record:
            _ = list(record._file.select("PRAGMA max_page_count = 20"))
            _ = await sent(api, rows(2000), record)

    with pytest.raises(Unusable, match="the disk is full") as caught:
        await filling()
    assert caught.value.reason == "full"
    assert len(api.keys) < 2000
    async with opened(tmp_path) as record:
        _ = await sent(api, rows(2000), record)
    assert len(set(api.keys)) == 2000
    with journal.open_readonly(str(tmp_path / "run.db")) as read:
        assert read.summary().rows(State.ACCEPTED) == read.summary().rows() == 2000


async def test_a_journal_shows_for_how_long_it_has_been_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = VirtualClock()
    seen: list[float] = []
    async with opened(tmp_path, clock=clock) as record:
        write = type(record._file).write

        def slow(*arguments: Any) -> bool:  # noqa: ANN401 - those of `write`
            seen.append(record.writing_for)
            clock.advance(3.0)
            seen.append(record.writing_for)
            return write(*arguments)

        monkeypatch.setattr(type(record._file), "write", slow)
        assert record.writing_for == 0.0
        _ = await record.begin([("1", message(1))])
        assert (seen, record.writing_for) == ([0.0, 3.0], 0.0)
        monkeypatch.setattr(type(record._file), "write", write)


async def test_a_journal_that_was_closed_says_so(tmp_path: Path) -> None:
    async with opened(tmp_path) as record:
        await record.flush()
    with pytest.raises(Unusable, match="closed"):
        _ = await record.begin([("1", message(1))])


async def test_a_row_that_was_sent_and_is_not_fit_any_more_stays_as_it_was_sent(tmp_path: Path) -> None:
    async with opened(tmp_path) as record:
        _ = await record.begin([("1", message(1))])
        record.settle("1", Ok(1))
    async with opened(tmp_path) as record:
        record.note("1", message(1, ""), Invalid())
        record.note("2", message(2, ""), Invalid())
        record.note("2", message(2, ""), Invalid(code="again"))
    with journal.open_readonly(str(tmp_path / "run.db")) as read:
        found = read.rows_by_id(["1", "2", "3", *(f"x{at}" for at in range(1000))])
        assert {name: (line.state, line.code) for name, line in found.items()} == {
            "1": (State.ACCEPTED, None),
            "2": (State.INVALID, "again"),
        }


async def test_whoever_asks_is_told_of_each_row_that_is_passed_over(tmp_path: Path) -> None:
    told: list[tuple[int, str]] = []
    service = Service()
    async with opened(tmp_path) as record:
        _ = await sent(service, rows(2), record)
    async with opened(tmp_path) as record:
        found, outcomes = await sent(service, rows(4), record, on_skip=lambda index, name: told.append((index, name)))
    assert told == [(0, "0"), (1, "1")]
    assert (set(found), outcomes.skipped) == ({"2", "3"}, 2)
