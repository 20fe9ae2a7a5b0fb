"""collected: a journal that is written from what others have found."""

import sqlite3
import stat
from pathlib import Path
from typing import Any

import pytest

from msgapi import Forbidden, Ok, Unanswered, VirtualClock, journal
from msgapi.journal import JournalRow, Merge, State, Unusable
from msgapi.journal.resumption import request_digest
from msgapi.journal.sqlite import JournalFile
from tests.support.cli_files import mode
from tests.support.journals import Service, message, opened, rows, sent

pytestmark = pytest.mark.anyio


def line(name: str, state: State = State.ACCEPTED, **more: Any) -> JournalRow:  # noqa: ANN401 - the fields of a line
    facts: dict[str, Any] = (
        dict.fromkeys(JournalRow.__annotations__)
        | {"id": name, "state": state, "started": 1.0, "in_file": True, "leg": 1}
        | more
    )
    return JournalRow(**facts)


def mark(number: int) -> bytes:
    return request_digest(message(number))


def files(directory: Path) -> list[str]:
    return [one.name for one in directory.iterdir()]


def found(path: Path) -> dict[str, JournalRow]:
    with journal.open_readonly(str(path)) as record:
        return {one.id: one for one in record.rows()}


def test_what_is_collected_is_a_journal_of_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    with journal.merge(str(path), batch="b1", about={"rows": "3"}, clock=VirtualClock()) as collected:
        assert not path.exists()
        collected.add([(mark(1), line("1", price="0.07", hold="0.08", kind="Accepted", message_id="msg_1"))])
        collected.add([(mark(2), line("2", State.REFUSED, kind="Forbidden", code="forbidden", status=403))])
        collected.add([])
    assert files(tmp_path) == ["run.db"]
    assert mode(str(path)) == stat.S_IRUSR | stat.S_IWUSR
    with journal.open_readonly(str(path)) as record:
        assert record.about["batch"] == "b1"
        assert record.about["rows"] == "3"
        assert record.summary().rows() == 2
        assert f"{record.summary().price}" == "0.07"
        assert list(record.rows(State.REFUSED)) == [
            line("2", State.REFUSED, kind="Forbidden", code="forbidden", status=403)
        ]


async def test_a_batch_goes_on_with_it_and_sends_the_rest_under_the_same_keys(tmp_path: Path) -> None:
    api = Service()
    with journal.merge(str(tmp_path / "run.db"), batch="b1", about={}, clock=VirtualClock()) as collected:
        collected.add([(mark(0), line("0")), (mark(1), line("1", State.NOT_SENT, key="mine"))])
    async with opened(tmp_path) as record:
        _ = await sent(api, ((str(at), message(at)) for at in range(3)), record)
    assert sorted(str(key) for key in api.keys) == sorted(["mine", journal.key_of("b1", "2")])


async def test_what_a_batch_has_found_since_is_kept_where_it_says_more(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    rows = [(mark(0), line("0", State.NOT_SENT)), (mark(1), line("1", State.UNKNOWN)), (mark(2), line("2"))]
    with journal.merge(str(path), batch="b1", about={"rows": "3"}, clock=VirtualClock()) as collected:
        collected.add(rows)
    async with opened(tmp_path) as record:
        _ = await record.begin([("0", message(0)), ("1", message(1))])
        record.settle("0", Forbidden())
    with journal.merge(str(path), batch="b1", about={"rows": "4", "more": "x"}, clock=VirtualClock()) as collected:
        collected.add([*rows[:1], (mark(1), line("1", State.REFUSED)), rows[2], (mark(3), line("3"))])
    states = {name: one.state for name, one in found(path).items()}
    assert states == {"0": State.REFUSED, "1": State.REFUSED, "2": State.ACCEPTED, "3": State.ACCEPTED}
    with journal.open_readonly(str(path)) as again:
        assert (again.about["rows"], again.about["more"], again.about["batch"]) == ("4", "x", "b1")
    assert files(tmp_path) == ["run.db"]


def test_a_row_that_was_begun_as_it_was_collected_is_told_anew_the_next_time(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    for lot in (
        [(mark(at), line(f"{at}", State.STARTED)) for at in range(3)],
        [(mark(0), line("0", State.NOT_SENT, started=9.0)), (mark(1), line("1", State.STARTED, started=9.0))],
    ):
        with journal.merge(str(path), batch="b1", about={}, clock=VirtualClock()) as collected:
            collected.add(lot)
    assert {name: (one.state, one.started) for name, one in found(path).items()} == {
        "0": (State.NOT_SENT, 9.0),
        "1": (State.STARTED, 9.0),
    }


async def test_a_row_that_a_local_run_may_have_begun_stays_begun(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    with journal.merge(str(path), batch="b1", about={}, clock=VirtualClock()) as collected:
        collected.add([(mark(0), line("0", State.NOT_SENT))])
    async with opened(tmp_path) as record:
        _ = await record.begin([("0", message(0))])
    for _ in range(2):
        with journal.merge(str(path), batch="b1", about={}, clock=VirtualClock()) as collected:
            collected.add([(mark(0), line("0", State.NOT_SENT))])
    assert found(path)["0"].state is State.STARTED


def test_nobody_uses_a_journal_while_it_is_collected_anew(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    for there in (False, True):
        with journal.merge(str(path), batch="b1", about={}, clock=VirtualClock()), pytest.raises(Unusable) as told:
            _ = found(path)
        assert told.value.reason == ("in use" if there else "missing")
    assert files(tmp_path) == ["run.db"]
    assert found(path) == {}


def test_what_fails_half_way_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "run.db"

    def collect(name: str, *, fails: bool) -> None:
        with journal.merge(str(path), batch="b1", about={}, clock=VirtualClock()) as collected:
            collected.add([(mark(0), line(name))])
            if fails:
                raise ZeroDivisionError

    for there in (False, True):
        with pytest.raises(ZeroDivisionError):
            collect("lost", fails=True)
        assert files(tmp_path) == (["run.db"] if there else [])
        collect("kept", fails=False)
    assert list(found(path)) == ["kept"]


def unusable(path: Path) -> Unusable:
    with pytest.raises(Unusable) as told, journal.merge(str(path), batch="b1", about={}, clock=VirtualClock()):
        pytest.fail("it is not to be used")
    return told.value


def test_a_file_that_is_not_this_batch_s_is_refused_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    _ = path.write_text("hello, this is a letter")
    assert unusable(path).reason == "foreign"
    assert path.read_text() == "hello, this is a letter"
    path.unlink()
    with journal.merge(str(path), batch="december", about={}, clock=VirtualClock()):
        pass
    assert unusable(path).reason == "other batch"
    assert "is of the batch december, not of b1" in str(unusable(path))
    assert files(tmp_path) == ["run.db"]


def test_a_place_that_cannot_be_written_is_told_in_one_line(tmp_path: Path) -> None:
    error = unusable(tmp_path / "nowhere" / "run.db")
    assert (error.reason, str(error)) == (
        "unwritable",
        f"cannot write the journal {tmp_path}/nowhere/run.db: No such file or directory",
    )


def test_a_place_that_is_a_directory_is_told_when_it_is_written(tmp_path: Path) -> None:
    assert unusable(tmp_path).reason == "unwritable"


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.db").touch()
    assert unusable(tmp_path / "run.db").reason == "damaged"
    assert [file.name for file in tmp_path.iterdir()] == ["run.db"]


def test_a_disk_that_takes_no_more_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def rename(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.link", rename)
    monkeypatch.setattr("os.rename", rename)
    path = tmp_path / "run.db"
    with (
        pytest.raises(Unusable, match="No space left"),
        journal.merge(str(path), batch="b1", about={}, clock=VirtualClock()),
    ):
        pass
    assert not list(tmp_path.iterdir())


def test_a_damaged_line_is_told_as_the_store_tells_it(tmp_path: Path) -> None:
    def add(collected: Merge) -> None:
        collected.add([(mark(0), line(None))])  # type: ignore[arg-type]  # to see an error of the database

    with (
        pytest.raises(Unusable) as told,
        journal.merge(str(tmp_path / "run.db"), batch="b1", about={}, clock=VirtualClock()) as collected,
    ):
        add(collected)
    assert isinstance(told.value.__cause__, sqlite3.Error)


async def test_a_journal_that_cannot_be_gone_on_with_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "run.db")
    with journal.merge(path, batch="b1", about={}, clock=VirtualClock()) as collected:
        collected.add([(mark(1), line("1"))])

    def full(_: JournalFile) -> None:
        raise Unusable("unwritable", "the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(JournalFile, "begin_run", full)
        with pytest.raises(Unusable, match="the disk is full"):
            async with journal.open(path, batch="b1"):
                pass
    async with journal.open(path, batch="b1"):
        pass  # which would be in use


async def test_what_is_not_settled_in_an_old_one_is_in_doubt_until_it_is_collected_anew(tmp_path: Path) -> None:
    path, api, clock = tmp_path / "run.db", Service(), VirtualClock()
    with journal.merge(str(path), batch="b1", about={}, clock=clock) as collected:
        collected.add([(mark(0), line("0")), (mark(1), line("1", State.NOT_SENT))])
    clock.advance(journal.REMEMBERED + 1)
    for _ in range(2):
        async with opened(tmp_path, clock=clock) as record:
            results, _ = await sent(api, rows(3), record)
        assert set(results) == {"1", "2"}
        for result in results.values():
            assert isinstance(result, Unanswered)
            assert result.code == journal.OUTDATED
            assert "merge the journal again" in result.message
    assert api.keys == []
    assert found(path)["1"].state is State.NOT_SENT
    with journal.merge(str(path), batch="b1", about={}, clock=clock):
        pass
    async with opened(tmp_path, clock=clock) as record:
        _ = await sent(api, rows(3), record)
    assert sorted(map(str, api.keys)) == sorted(journal.key_of("b1", name) for name in ("1", "2"))


async def test_what_gets_old_while_a_batch_goes_on_with_it_is_in_doubt_as_well(tmp_path: Path) -> None:
    path, api, clock = tmp_path / "run.db", Service(), VirtualClock()
    with journal.merge(str(path), batch="b1", about={}, clock=clock):
        pass
    async with opened(tmp_path, clock=clock) as record:
        first, _ = await sent(api, rows(2), record)
        clock.advance(journal.REMEMBERED + 1)
        then, _ = await sent(api, rows(3), record)
    assert all(isinstance(result, Ok) for result in first.values())
    assert [type(result) for result in then.values()] == [Unanswered]
    assert len(api.keys) == 2


async def test_what_others_may_have_sent_long_ago_goes_out_if_its_user_has_decided(tmp_path: Path) -> None:
    path, api, clock = tmp_path / "run.db", Service(), VirtualClock()
    with journal.merge(str(path), batch="b1", about={}, clock=clock):
        pass
    clock.advance(journal.REMEMBERED + 1)
    async with opened(tmp_path, clock=clock, unknown="resend") as record:
        _ = await sent(api, rows(2), record)
    assert len(api.keys) == 2
    assert {one.state for one in found(path).values()} == {State.ACCEPTED}


async def test_what_is_in_doubt_is_as_old_as_the_journal_if_a_worker_may_have_sent_it_first(tmp_path: Path) -> None:
    path, api, clock = tmp_path / "run.db", Service(), VirtualClock()
    with journal.merge(str(path), batch="b1", about={}, clock=clock):
        pass
    clock.advance(journal.REMEMBERED - 1)
    async with opened(tmp_path, clock=clock) as record:
        _ = await record.begin([("0", message(0))])
    clock.advance(2)
    async with opened(tmp_path, clock=clock) as record:
        results, _ = await sent(api, rows(1), record)
    assert [getattr(result, "code", "") for result in results.values()] == [journal.UNKNOWN]
    async with opened(tmp_path, clock=clock, unknown="resend") as record:
        _ = await sent(api, rows(1), record)
    assert api.keys == [journal.key_of("b1", "0")]


@pytest.mark.parametrize("there", [State.STARTED, State.UNKNOWN])
@pytest.mark.parametrize("elsewhere", [State.STARTED, State.UNKNOWN])
@pytest.mark.parametrize("first", [1.0, 9.0])
async def test_what_is_in_doubt_here_and_there_is_as_old_as_the_older_of_the_two(
    tmp_path: Path, there: State, elsewhere: State, first: float
) -> None:
    path, clock = tmp_path / "run.db", VirtualClock()
    for at, (state, started) in enumerate(((there, first), (elsewhere, 10.0 - first))):
        with journal.merge(str(path), batch="b1", about={}, clock=clock) as collected:
            collected.add([(mark(0), line("0", state, started=started))])
        if not at:
            async with opened(tmp_path, clock=clock):
                pass  # so that what stands in it is not only what was collected
    assert {(one.state, one.started) for one in found(path).values()} == {(max(there, elsewhere), 1.0)}
