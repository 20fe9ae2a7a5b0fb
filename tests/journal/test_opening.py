"""Opening a journal: the lock, the WAL that may be lost, forked children, read-only disks and special names."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from textwrap import dedent
from types import SimpleNamespace

import anyio
import pytest

from msgapi import Forbidden, Ok, Unanswered, Unauthorized, journal
from msgapi.clock import VirtualClock
from msgapi.journal import Send, State, Unusable, opening, sqlite
from msgapi.journal.mainfile import open_main, publish, translated
from msgapi.journal.sqlite import JournalFile
from tests.support.journals import HOUR, Service, drained, message, opened, rows, sent

pytestmark = pytest.mark.anyio
START = 1_800_000_000.0


def names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


def states(folder: Path) -> dict[State, int]:
    with journal.open_readonly(str(folder / "run.db")) as read:
        return {state: read.summary().rows(state) for state in State if read.summary().rows(state)}


async def killed(folder: Path, copied: Path, accepted: int = 3, clock: VirtualClock | None = None) -> Path:
    """Copy the journal of a program in the middle of a batch: the first rows are accepted, the next two are begun."""
    async with opened(folder, clock=clock) as record:
        _ = await sent(Service(), rows(accepted), record)
        _ = await record.begin([(f"{at}", message(at)) for at in range(accepted, accepted + 2)])
        await record.flush()
        _ = shutil.copytree(folder, copied)
    return copied


def drop_wal(folder: Path, how: str) -> None:
    wal = folder / "run.db-wal"
    match how:
        case "missing":
            wal.unlink()
        case "empty":
            _ = wal.write_bytes(b"")
        case "cut":
            os.truncate(wal, 32)
        case "short":
            os.truncate(wal, 20)
        case "changed":
            changed = bytearray(wal.read_bytes())
            changed[20] ^= 1
            _ = wal.write_bytes(changed)
        case _:
            changed = bytearray(wal.read_bytes())
            changed[0] ^= 1 << 7
            _ = wal.write_bytes(changed)


LOST = ["missing", "empty", "cut", "short", "changed", "magic"]


async def test_the_main_file_names_its_batch_before_a_row_is_begun(tmp_path: Path) -> None:
    async with opened(tmp_path, about={"file": "people.csv"}) as record:
        first = shutil.copytree(tmp_path, tmp_path / "copied", ignore=shutil.ignore_patterns("*-wal"))
        _ = await record.begin([("1", message(1))])
    with journal.open_readonly(str(first / "run.db")) as read:
        assert (read.about["batch"], read.about["file"]) == ("b1", "people.csv")
        assert read.lost_since == START
    assert (names(tmp_path) - {"copied"}) == {"run.db"}


async def test_a_killed_program_leaves_all_that_was_written(tmp_path: Path) -> None:
    folder = await killed(tmp_path, tmp_path / "copied")
    assert states(folder) == {State.ACCEPTED: 3, State.STARTED: 2}
    service = Service()
    async with opened(folder) as record:
        found, _ = await sent(service, rows(6), record)
    assert sorted(found) == ["3", "4", "5"]
    assert states(folder) == {State.ACCEPTED: 6}
    assert [file.name for file in folder.iterdir()] == ["run.db"]


@pytest.mark.parametrize("how", LOST)
async def test_without_its_wal_unsettled_rows_go_under_their_keys_for_23_hours_after_the_opening(
    tmp_path: Path, how: str
) -> None:
    clock = VirtualClock()
    folder = await killed(tmp_path, tmp_path / "copied", clock=clock)
    drop_wal(folder, how)
    clock.advance(22 * HOUR)
    with journal.open_readonly(str(folder / "run.db")) as read:
        assert read.lost_since == START
        assert read.summary().rows() == 0
    async with opened(folder, clock=clock) as record:
        assert await record.begin([("0", message(0))]) == [Send(record.key("0"), maybe_sent=True, started=START)]
    clock.advance(2 * HOUR)
    async with opened(folder, clock=clock) as record:
        found = await record.begin([("0", message(0)), ("9", message(9))])
    for verdict in found:
        assert isinstance(verdict, Unanswered)
        assert (verdict.code, verdict.may_have_happened) == (journal.UNKNOWN, True)
        assert "24.0 hours ago" in verdict.reason
    assert states(folder) == {State.STARTED: 2}
    async with opened(folder, clock=clock, unknown="resend") as record:
        assert await record.begin([("9", message(9))]) == [Send(record.key("9"), maybe_sent=True, started=clock.time())]


async def test_without_its_wal_what_the_main_file_has_settled_stays_settled(tmp_path: Path) -> None:
    async with opened(tmp_path) as record:
        _ = await sent(Service({2: Forbidden(), 3: Unauthorized()}), rows(3), record, concurrency=1)
        _ = await record.begin([("3", message(3))])
        record.note("4", message(4, ""), Forbidden())
    clock = VirtualClock()
    clock.advance(HOUR)
    folder = await killed(tmp_path, tmp_path / "copied", 0, clock)
    drop_wal(folder, "missing")
    async with opened(folder, clock=clock) as record:
        found = await record.begin([(f"{at}", message(at)) for at in range(5)])
        assert found == [
            journal.SETTLED,
            journal.SETTLED,
            Send(record.key("2"), maybe_sent=True, started=START + HOUR),
            Send(record.key("3"), maybe_sent=True, started=START),
            Send(record.key("4"), maybe_sent=True, started=START + HOUR),
        ]


async def test_what_may_not_be_repeated_is_not_sent_after_the_wal_was_lost(tmp_path: Path) -> None:
    from msgapi import Call

    folder = await killed(tmp_path, tmp_path / "copied")
    drop_wal(folder, "missing")
    async with opened(folder) as record:
        (found,) = await record.begin([("1", Call("POST", "/v1/rcs/agents/1/submit", object))])
    assert isinstance(found, Unanswered)


async def test_at_the_end_of_the_input_rows_that_the_journal_lacks_are_new_again(tmp_path: Path) -> None:
    clock = VirtualClock()
    folder = await killed(tmp_path, tmp_path / "copied", clock=clock)
    drop_wal(folder, "missing")
    async with opened(folder, clock=clock) as record:
        _ = await sent(Service(), rows(5), record)
        await record.confirm_complete()
        await record.confirm_complete()
    clock.advance(30 * HOUR)
    async with opened(folder, clock=clock) as record:
        assert await record.begin([("7", message(7))]) == [
            Send(record.key("7"), maybe_sent=False, started=clock.time())
        ]
    with journal.open_readonly(str(folder / "run.db")) as read:
        assert read.lost_since is None


async def test_a_loss_is_remembered_from_the_first_on(tmp_path: Path) -> None:
    clock = VirtualClock()
    folder = await killed(tmp_path, tmp_path / "copied", clock=clock)
    drop_wal(folder, "missing")
    clock.advance(HOUR)
    again = await killed(folder, tmp_path / "again", clock=clock)
    drop_wal(again, "missing")
    with journal.open_readonly(str(again / "run.db")) as read:
        assert read.lost_since == START


async def test_a_wal_of_another_journal_is_not_used_and_kept(tmp_path: Path) -> None:
    folder = await killed(tmp_path, tmp_path / "copied")
    (tmp_path / "other").mkdir()
    other = await killed(tmp_path / "other", tmp_path / "others", 7)
    _ = shutil.copy(other / "run.db-wal", folder / "run.db-wal")
    foreign = (folder / "run.db-wal").read_bytes()
    with journal.open_readonly(str(folder / "run.db")) as read:
        assert (read.lost_since, read.summary().rows()) == (START, 0)
    async with opened(folder):
        pass
    assert (folder / "run.db-wal.foreign").read_bytes() == foreign


@pytest.mark.parametrize("salt", ["that of the first WAL", "that of a later WAL"])
async def test_a_wal_of_another_journal_whose_salt_fits_is_not_used_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, salt: str
) -> None:
    if salt == "that of the first WAL":
        monkeypatch.setattr("msgapi.journal.mainfile._wal_salt", lambda _: 1)
    else:
        monkeypatch.setattr("msgapi.journal.mainfile._RESTARTS", 1 << 32)
    folder = await killed(tmp_path, tmp_path / "copied")
    (tmp_path / "other").mkdir()
    other = await killed(tmp_path / "other", tmp_path / "others", 7)
    assert states(folder) == {State.ACCEPTED: 3, State.STARTED: 2}
    foreign = (other / "run.db-wal").read_bytes()
    _ = (folder / "run.db-wal").write_bytes(foreign)
    with journal.open_readonly(str(folder / "run.db")) as read:
        assert (read.lost_since, read.summary().rows()) == (START, 0)
    async with opened(folder):
        pass
    assert (folder / "run.db-wal.foreign").read_bytes() == foreign
    assert states(folder) == {}


async def test_a_wal_next_to_a_journal_that_was_closed_is_refused(tmp_path: Path) -> None:
    folder = await killed(tmp_path, tmp_path / "copied")
    _ = shutil.copy(folder / "run.db-wal", tmp_path / "run.db-wal")
    with pytest.raises(Unusable, match="does not belong to the journal"):
        async with opened(tmp_path):
            pass
    with pytest.raises(Unusable, match="move it away"), journal.open_readonly(str(tmp_path / "run.db")):
        pass


async def test_a_program_that_may_not_continue_without_the_wal_is_refused(tmp_path: Path) -> None:
    folder = await killed(tmp_path, tmp_path / "copied")
    drop_wal(folder, "missing")
    with pytest.raises(Unusable, match=r"its .*run.db-wal is missing or of another journal") as caught:
        async with opened(folder, incomplete="refuse"):
            pass
    assert caught.value.reason == "incomplete"
    async with opened(folder):
        pass
    async with opened(tmp_path, incomplete="refuse"):
        pass


@pytest.mark.parametrize("lost", [None, START])
@pytest.mark.parametrize("same_file", [False, True])
@pytest.mark.parametrize("same_recipe", [False, True])
@pytest.mark.parametrize("new_batch", [False, True])
def test_rows_that_may_be_missing_are_sent_only_as_the_same_rows_of_the_same_batch(
    lost: float | None, *, same_file: bool, same_recipe: bool, new_batch: bool
) -> None:
    why = "a new batch" if new_batch else "the options" if not same_recipe else "the input" if not same_file else None

    def check() -> None:
        opening.check_complete("x", lost, same_file=same_file, same_recipe=same_recipe, new_batch=new_batch)

    if lost is None or why is None:
        check()
        return
    with pytest.raises(Unusable, match=why) as caught:
        check()
    assert caught.value.reason == "incomplete"


async def test_a_program_that_was_killed_while_it_opened_has_begun_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path) as record:
        _ = await sent(Service(), rows(3), record)

    def die(*_: object) -> None:
        shutil.copytree(tmp_path, tmp_path / "copied")
        raise Unusable("unwritable", "killed")

    with monkeypatch.context() as patch:
        patch.setattr("msgapi.journal.mainfile.MainFile.mark_open", die)
        with pytest.raises(Unusable, match="killed"):
            async with opened(tmp_path):
                pass
    assert (tmp_path / "copied" / "run.db-wal").exists()
    for folder in (tmp_path / "copied", tmp_path):
        assert states(folder) == {State.ACCEPTED: 3}
        async with opened(folder) as record:
            assert await record.begin([("0", message(0))]) == [journal.SETTLED]


async def test_a_journal_can_be_renamed_with_all_that_is_in_its_wal(tmp_path: Path) -> None:
    folder = await killed(tmp_path, tmp_path / "copied")
    opening.rename(str(folder / "run.db"), str(folder / "old.db"))
    assert [file.name for file in folder.iterdir()] == ["old.db"]
    with journal.open_readonly(str(folder / "old.db")) as read:
        assert read.summary().rows() == 5
    (folder / "run.db").touch()
    with pytest.raises(Unusable, match="in use"):
        opening.rename(str(folder / "old.db"), str(folder / "run.db"))


# Names.


@pytest.mark.parametrize("name", ["", ":memory:", "file:run.db", "file::memory:?cache=shared", "run\0.db"])
async def test_a_name_that_would_keep_nothing_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Unusable, match="name a file") as caught:
        async with journal.open(name, batch="b1"):
            pass
    assert caught.value.reason == "unwritable"
    with pytest.raises(Unusable), journal.open_readonly(name):
        pass
    with pytest.raises(Unusable), journal.merge(name, batch="b1", about={}):
        pass
    assert names(tmp_path) == set()


@pytest.mark.parametrize("kind", ["device", "folder", "fifo"])
async def test_what_is_no_regular_file_is_refused_in_one_line(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "run.db"
    if kind == "device":
        path = Path("/dev/null")
    elif kind == "folder":
        path.mkdir()
    else:
        os.mkfifo(path)
    with anyio.fail_after(5):
        with pytest.raises(Unusable, match="is not a regular file") as caught:
            async with journal.open(str(path), batch="b1"):
                pass
        assert "\n" not in str(caught.value)
        with pytest.raises(Unusable, match="is not a regular file"), journal.open_readonly(str(path)):
            pass


async def test_a_journal_behind_a_symbolic_link_lies_where_the_link_points(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "run.db").symlink_to(tmp_path / "disk" / "real.db")
    for _ in range(2):
        async with opened(tmp_path) as record:
            _ = await record.begin([("1", message(1))])
    assert [file.name for file in (tmp_path / "disk").iterdir()] == ["real.db"]
    assert (tmp_path / "run.db").is_symlink()


async def test_on_a_file_system_without_links_a_new_journal_is_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", link)
    async with opened(tmp_path) as record:
        _ = await record.begin([("1", message(1))])
    assert names(tmp_path) == {"run.db"}


async def test_two_programs_that_create_one_journal_at_once_do_not_both_have_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(part: str, path: str, *, replace: bool) -> None:
        with monkeypatch.context() as patch:
            patch.setattr("msgapi.journal.opening.publish", publish)
            opening.create(path, {"batch": "other"})
        publish(part, path, replace=replace)

    monkeypatch.setattr("msgapi.journal.opening.publish", late)
    with pytest.raises(Unusable) as caught:
        async with opened(tmp_path):
            pass
    assert caught.value.reason == "in use"
    with journal.open_readonly(str(tmp_path / "run.db")) as read:
        assert read.about["batch"] == "other"


# The lock.


def in_another_process(program: str, *arguments: str) -> str:
    return subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", dedent(program), *arguments], check=True, capture_output=True, text=True, timeout=30
    ).stdout.strip()


OPEN = """
    import sys
    from msgapi.journal import Unusable, opening
    try:
        opening.open_existing(sys.argv[1]).close()
    except Unusable as error:
        print(error.reason)
    else:
        print("opened")
"""


async def test_a_journal_is_locked_for_other_programs_until_it_is_closed(tmp_path: Path) -> None:
    path = str(tmp_path / "run.db")
    async with opened(tmp_path) as record:
        with pytest.raises(Unusable, match="in use"), journal.open_readonly(path):
            pass
        with pytest.raises(Unusable, match="in use"):
            async with opened(tmp_path):
                pass
        _ = await record.begin([("1", message(1))])
        assert in_another_process(OPEN, path) == "in use"  # also after this program has tried to open it twice
    assert in_another_process(OPEN, path) == "opened"
    with journal.open_readonly(path):
        assert in_another_process(OPEN, path) == "in use"


async def test_a_full_disk_leaves_a_journal_that_the_same_program_can_open_again(tmp_path: Path) -> None:
    kept: list[Unusable] = []  # with its frames, and what these refer to
    service = Service()
    for _ in range(3):
        try:
            async with opened(tmp_path) as record:
                pages = list(record._file.select("PRAGMA max_page_count = 20"))
                assert pages
                _ = await sent(service, rows(2000), record)
        except Unusable as error:
            kept.append(error)
    assert ["the disk is full" in str(error) for error in kept] == [True] * 3
    async with opened(tmp_path) as record:
        _ = await sent(service, rows(2000), record)
    assert len(set(service.keys)) == 2000
    assert states(tmp_path) == {State.ACCEPTED: 2000}


async def test_a_disk_that_is_full_when_the_journal_is_closed_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: JournalFile) -> None:
        raise Unusable("unwritable", "the disk is full")

    with monkeypatch.context() as patch:
        async with opened(tmp_path) as record:
            _ = await sent(Service(), rows(3), record)
            patch.setattr(JournalFile, "seal", full)
    assert states(tmp_path) == {State.ACCEPTED: 3}


async def test_rows_that_are_read_after_the_journal_was_closed_say_so(tmp_path: Path) -> None:
    async with opened(tmp_path) as record:
        _ = await sent(Service(), rows(3), record)
    with journal.open_readonly(str(tmp_path / "run.db")) as read:
        found = read.rows()
        _ = next(found)
    with pytest.raises(Unusable, match=r"[Cc]losed|closed"):
        _ = list(found)
    async with opened(tmp_path):
        pass


# Forked children.


def in_a_fork(work: str, path: str) -> str:
    """Fork a program that has a journal open; let the child do *work* and the parent go on, and die."""
    program = """
        import asyncio, os, signal, sys
        from msgapi import Ok, journal
        from msgapi.journal.sqlite import RowResults, StartedRow
        from tests.support.journals import message

        async def main():
            async with journal.open(sys.argv[1], batch="b1") as record:
                _ = await record.begin([(f"{at}", message(at)) for at in range(300)])
                if child := os.fork():
                    _, status = os.waitpid(child, 0)
                    print(status, flush=True)
                    # The child has taken down the event loop of both, so this is written here.
                    starts = [StartedRow(f"{at}", b"x", 1.0, None, b"", 1) for at in range(300, 320)]
                    _ = record._file.write(starts, RowResults((), (), (), ()))
                    os.kill(os.getpid(), signal.SIGKILL)
                else:
                    WORK

        asyncio.run(main())
    """
    ended = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", dedent(program.replace("WORK", work)), path],
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    return ended.stdout.strip()


@pytest.mark.parametrize(
    "work",
    [
        "record._file.close(); os._exit(0)",
        "sys.exit(0)",
        "record.settle('1', Ok(1)); return",
        "raise RuntimeError",
        "del record; import gc; gc.collect(); os._exit(0)",
        "record._file._connection = None; import gc; gc.collect(); os._exit(0)",
    ],
)
def test_a_forked_child_cannot_close_or_move_what_it_has_inherited(tmp_path: Path, work: str) -> None:
    path = str(tmp_path / "run.db")
    _ = in_a_fork(work, path)
    assert (tmp_path / "run.db-wal").exists()
    assert states(tmp_path) == {State.STARTED: 320}


def test_a_forked_child_cannot_write_or_unlock_what_it_has_inherited(tmp_path: Path) -> None:
    path = str(tmp_path / "run.db")
    lines = [
        "import subprocess",
        "from msgapi.journal import Unusable",
        "try:",
        "    record._file.restart([])",
        "except Unusable as error:",
        "    wrong = error.reason != 'in use'",
        "record._file.close()",
        f"command = [sys.executable, '-c', {dedent(OPEN)!r}, sys.argv[1]]",
        "print(subprocess.run(command, capture_output=True, text=True).stdout.strip(), flush=True)",
        "os._exit(wrong)",
    ]
    work = f"\n{' ' * 20}".join(lines)
    assert in_a_fork(work, path).split() == ["in", "use", "0"]
    assert states(tmp_path) == {State.STARTED: 320}


def test_the_connections_of_a_forked_child_are_kept_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = object()
    monkeypatch.setattr(sqlite, "_files", [SimpleNamespace(_connection=connection)])
    before = sys.getrefcount(connection)
    sqlite._keep_connections()
    assert sys.getrefcount(connection) == before + 1


async def test_a_process_that_has_inherited_a_journal_neither_writes_nor_closes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path) as record:
        _ = await record.begin([("1", message(1))])
        file = record._file
        with monkeypatch.context() as patch:
            patch.setattr(os, "getpid", lambda: -1)
            with pytest.raises(Unusable, match="belongs to the process that opened it"):
                _ = await record.begin([("2", message(2))])
            file.close()
        assert len(list(file.select("SELECT id FROM rows"))) == 1


@pytest.mark.parametrize("raised", [False, True])
async def test_a_process_that_leaves_an_inherited_journal_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, raised: bool
) -> None:
    files: list[JournalFile] = []

    async def leave() -> None:
        async with opened(tmp_path) as record:
            _ = await record.begin([("1", message(1))])
            record.settle("1", Ok(1))
            files.append(record._file)
            monkeypatch.setattr(os, "getpid", lambda: -1)
            if raised:
                raise ZeroDivisionError

    if raised:
        with pytest.raises(ZeroDivisionError):
            await leave()
    else:
        await leave()
    monkeypatch.undo()
    files[0].close()
    assert states(tmp_path) == {State.STARTED: 1}


async def test_a_wal_that_is_taken_away_at_once_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("msgapi.journal.mainfile._wal_salt", lambda _: None)
    with pytest.raises(Unusable, match=r"run\.db-wal is missing"):
        async with opened(tmp_path):
            pass


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (sqlite3.SQLITE_BUSY, "in use"),
        (sqlite3.SQLITE_FULL, "full"),
        (sqlite3.SQLITE_IOERR, "unwritable"),
        (sqlite3.SQLITE_NOTADB, "damaged"),
        (sqlite3.SQLITE_ERROR, "damaged"),
        (None, "damaged"),
    ],
)
def test_an_error_of_sqlite_is_a_reason(code: int | None, reason: str) -> None:
    error = sqlite3.OperationalError("a text")
    if code is not None:
        error.sqlite_errorcode = code

    def fail() -> None:
        with translated("run.db"):
            raise error

    with pytest.raises(Unusable) as caught:
        fail()
    assert caught.value.reason == reason


async def test_a_disk_that_cannot_be_read_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(tmp_path):
        pass

    def read(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("os.read", read)
    with (
        pytest.raises(Unusable, match=r"cannot read the journal .*: Input/output error"),
        journal.open_readonly(str(tmp_path / "run.db")),
    ):
        pass


async def test_a_page_that_is_damaged_is_noticed_if_the_journal_was_not_closed(tmp_path: Path) -> None:
    folder = await killed(tmp_path, tmp_path / "copied")
    with sqlite3.connect(folder / "run.db") as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
    connection.close()
    with (folder / "run.db").open("r+b") as file:
        _ = file.seek(3 * 4096 + 1)
        _ = file.write(bytes(range(1, 60)))
    with pytest.raises(Unusable, match="is damaged"):
        async with opened(folder):
            pass


# Reading.


@contextmanager
def read_only(folder: Path) -> Iterator[Path]:
    """Copy *folder* to where this process may only read; root may write anywhere, so it is another user meanwhile."""
    with tempfile.TemporaryDirectory() as place:
        copied = Path(place) / "disk"
        _ = shutil.copytree(folder, copied)
        for file in copied.iterdir():
            file.chmod(0o444)
        copied.chmod(0o555)
        Path(place).chmod(0o755)
        root = os.geteuid() == 0
        try:
            if root:
                os.seteuid(65534)
            yield copied
        finally:
            if root:
                os.seteuid(0)
            copied.chmod(0o755)


@pytest.mark.parametrize("how", ["closed", "killed", "missing"])
async def test_a_report_works_where_nothing_can_be_written(tmp_path: Path, how: str) -> None:
    folder = await killed(tmp_path, tmp_path / "copied")
    if how == "missing":
        drop_wal(folder, how)
    if how == "closed":
        async with opened(folder):
            pass
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    with read_only(folder) as disk:
        with pytest.raises(OSError, match="denied"):
            (disk / "new").touch()
        with journal.open_readonly(str(disk / "run.db")) as read:
            assert read.summary().rows() == len(list(read.rows())) == (0 if how == "missing" else 5)
        with pytest.raises(Unusable, match="cannot open the journal"):
            async with opened(disk):
                pass
        assert {file.name: file.read_bytes() for file in disk.iterdir()} == before


@pytest.mark.parametrize("how", ["closed", "killed", "missing"])
async def test_a_report_changes_nothing_where_it_could_write(tmp_path: Path, how: str) -> None:
    folder = await killed(tmp_path, tmp_path / "copied")
    if how == "missing":
        drop_wal(folder, how)
    if how == "closed":
        async with opened(folder):
            pass
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    with journal.open_readonly(str(folder / "run.db")) as read:
        _ = read.summary(), list(read.rows())
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


async def test_a_journal_whose_last_results_could_not_be_written_knows_them(tmp_path: Path) -> None:
    async with opened(tmp_path) as record:
        _ = await record.begin([(f"{at}", message(at)) for at in range(3)])
        record.settle("0", Ok(1))
        record.settle("1", Forbidden(code="no"))
        unwritten = record.unwritten()
        await record.flush()
        assert record.unwritten() == ()
    assert [(count.state, count.kind, count.code, count.rows) for count in unwritten] == [
        (State.ACCEPTED, "Accepted", None, 1),
        (State.REFUSED, "Forbidden", "no", 1),
    ]


async def test_the_wal_grows_no_further_than_it_is_moved(tmp_path: Path) -> None:
    taken: list[str] = []
    async with opened(tmp_path) as record:
        for at in range(0, 12_000, 500):
            _ = await record.begin([(f"row {row} {'x' * 200}", message(row)) for row in range(at, at + 500)])
        folder = Path(shutil.copytree(tmp_path, tmp_path / "copied"))
    assert (folder / "run.db").stat().st_size > 1_000_000  # so some of it was moved, and the WAL began anew
    assert states(folder) == {State.STARTED: 12_000}
    await drained(folder, Service(), rows(1), taken)
    assert taken == ["0"]


def test_a_main_file_whose_lock_cannot_be_had_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run.db"
    path.touch()

    def lockf(*_: object) -> None:
        raise OSError(37, "No locks available")

    with monkeypatch.context() as patch:
        patch.setattr("fcntl.lockf", lockf)  # a file system without locks
        open_main(str(path), write=True).close()

    def broken(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("fcntl.lockf", broken)
        with pytest.raises(KeyboardInterrupt):
            _ = open_main(str(path), write=True)
    open_main(str(path), write=True).close()


async def test_a_journal_with_the_earlier_table_is_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    earlier = sqlite.SCHEMA.replace("price TEXT, hold TEXT\n);", "price TEXT, hold TEXT\n) WITHOUT ROWID;")
    with monkeypatch.context() as patched:
        patched.setattr(opening, "SCHEMA", earlier)
        async with opened(tmp_path) as record:
            _ = await sent(Service(), rows(3), record)
    with closing(sqlite3.connect(tmp_path / "run.db")) as connection:
        assert connection.execute("SELECT wr FROM pragma_table_list WHERE name = 'rows'").fetchone() == (1,)
    service = Service()
    async with opened(tmp_path) as record:
        _ = await sent(service, rows(5), record)
    assert len(service.keys) == 2
    with journal.open_readonly(str(tmp_path / "run.db")) as reader:
        assert reader.summary().rows(State.ACCEPTED) == 5
