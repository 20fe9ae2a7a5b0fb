"""A later pass over an input file yields rows of the first pass only, whatever happens to the file in between."""

import contextlib
import csv
import io
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from msgapi import Pace
from msgapi import fleet as fleets
from msgapi.calls import Call
from msgapi.cli import main
from msgapi.cli.batch.command import open_rows, run_batch
from msgapi.cli.commands.fleet import batches
from msgapi.cli.files import blocks as file_blocks
from msgapi.cli.files.rows import FirstPass, InputRow
from msgapi.cli.files.tables import InputFile, InputSource
from msgapi.cli.output import CliError, Exit
from msgapi.messages import Accepted
from msgapi.results import Ok, Result
from tests.support.cli_files import mailing, people, scanned
from tests.support.cli_fleets import enqueue, placed

Values = dict[str, object]
Edit = Callable[[Path], None]


@contextlib.contextmanager
def blocks_of(size: int) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(file_blocks, "BLOCK", size)
        yield


def overwritten(path: Path) -> None:
    _ = path.write_bytes(path.read_bytes().translate(bytes.maketrans(b"0123456789", b"9876543210")))


def grown(path: Path) -> None:
    with path.open("ab") as file:
        _ = file.write(b"9,+4917000000009,Eve\n")


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size * 2 // 3)


def emptied(path: Path) -> None:
    os.truncate(path, 0)


def replaced(path: Path) -> None:
    other = path.with_suffix(".new")
    _ = other.write_bytes(path.read_bytes())
    _ = other.rename(path)


def deleted(path: Path) -> None:
    path.unlink()


def folder_replaced(path: Path) -> None:
    path.unlink()
    path.parent.rmdir()
    _ = path.parent.write_text("a file")


def changed_in_place(path: Path) -> None:
    """Change one digit in the last row, and keep the size and the times of the file."""
    before, content = path.stat(), bytearray(path.read_bytes())
    at = content.rindex(b"+49") + 5
    content[at] ^= 1
    with path.open("r+b") as file:
        _ = file.write(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)


EDITS: dict[Edit, str] = {
    overwritten: "its content is different",
    grown: "it is longer",
    truncated: "it is shorter",
    emptied: "it is shorter",
    replaced: "another file has its name",
    deleted: "it was moved or deleted",
    folder_replaced: "it was moved or deleted",
    changed_in_place: "its content is different",
}


def collect(table: InputFile, edit: Callable[[], object], at: int) -> tuple[list[Values], CliError | None]:
    """Return the values of the rows of a pass, with *edit* before the row *at*, and the error that ended it."""
    found: list[Values] = []
    rows = table.rows()
    try:
        while True:
            if len(found) == at:
                edit()
            found.append(dict(next(rows).values))
    except StopIteration:
        return found, None
    except CliError as error:
        return found, error


@pytest.mark.parametrize("at", [0, 1, 20, 59, 60])
@pytest.mark.parametrize("size", [64, 1 << 20])
@pytest.mark.parametrize("edit", EDITS)
def test_a_change_between_two_passes_ends_the_second_one_before_a_changed_row(
    tmp_path: Path, edit: Edit, size: int, at: int
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    path = Path(people(folder, 60))
    with blocks_of(size), scanned(str(path)) as table:
        first = [dict(row.values) for row in table.rows()]
        found, error = collect(table, lambda: edit(path), at)
    assert found == first[: len(found)]
    assert len(found) >= at
    assert error is not None
    assert error.status is Exit.STOPPED
    assert f"{error}" == (
        f"{path} has changed since it was first read ({EDITS[edit]}): run the same command again to continue with it"
    )


def test_rows_are_yielded_up_to_the_block_that_has_changed(tmp_path: Path) -> None:
    path = Path(people(tmp_path, 60))
    with blocks_of(256), scanned(str(path)) as table:
        found, error = collect(table, lambda: changed_in_place(path), 0)
    length = path.stat().st_size // 256 * 256
    assert len(found) == path.read_bytes()[:length].count(b"\n") - 1
    assert error is not None


@pytest.mark.parametrize("rest", [b"", b"5", b"5,Ann\n", b"\n7,Ann\n"])
@pytest.mark.parametrize("size", [4, 16, 1 << 20])
def test_a_last_row_without_a_line_end_is_not_sent_if_the_file_is_longer_now(
    tmp_path: Path, size: int, rest: bytes
) -> None:
    path = tmp_path / "a.csv"
    _ = path.write_bytes(b"to,name\n1,A\n2,B\n3,+4915")
    with blocks_of(size), scanned(str(path)) as table, path.open("ab") as file:
        _ = file.write(rest)
        file.flush()
        found, error = collect(table, list, -1)
    assert [row["to"] for row in found] == (["1", "2"] if rest else ["1", "2", "3"])
    assert (error is None) == (not rest)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 11, 16])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_line_ends_characters_and_quoted_cells_may_span_blocks(tmp_path: Path, size: int, end: str) -> None:
    lines = ["to,name", '1,"Zoë, 日本', 'x ""quoted"" 🎉"', "2,ßß", '3,"\u00e9', "", '"', "4,last"]
    path = tmp_path / "a.csv"
    _ = path.write_bytes(b"\xef\xbb\xbf" + end.join(lines).encode())
    expected = [dict(row.values) for row in _rows(path)]
    assert [row["to"] for row in expected] == ["1", "2", "3", "4"]
    with blocks_of(size):
        assert [dict(row.values) for row in _rows(path)] == expected


def _rows(path: Path) -> list[InputRow]:
    with scanned(str(path)) as table:
        return list(table.rows())


def test_a_quoted_cell_is_not_sent_if_its_end_is_in_a_block_that_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    _ = path.write_bytes(b'to,name\n1,Ann\n2,"' + b"x" * 100 + b'"\n')
    with blocks_of(32), scanned(str(path)) as table, path.open("r+b") as file:
        _ = file.seek(-3, io.SEEK_END)
        _ = file.write(b"y")
        file.flush()
        found, error = collect(table, list, -1)
    assert [row["to"] for row in found] == ["1"]
    assert error is not None


cell = st.text(st.sampled_from('aé日🎉 ,"\n;'), max_size=6)
pair = st.tuples(st.integers(1, 10**6).map(str), cell)


@st.composite
def edits(draw: st.DrawFn, length: int) -> tuple[bool, Callable[[bytes], bytes]]:
    """Draw whether the file is replaced, and what becomes of its content."""
    at, size = draw(st.integers(0, length)), draw(st.integers(0, 20))
    added = draw(st.binary(max_size=20) | st.sampled_from([b"7,x\n", b"\n", b'"', b"\r\n8,y"]))
    return draw(st.booleans()), lambda content: content[:at] + added + content[at + size :]


@settings(max_examples=300, deadline=None)
@given(data=st.data(), rows=st.lists(pair, min_size=1, max_size=12), size=st.sampled_from([1, 3, 8, 32, 1 << 20]))
@example(data=None, rows=[("1", ""), ("2", "")], size=8)
def test_what_a_pass_yields_is_the_beginning_of_the_first_content(
    data: Any,  # noqa: ANN401 - what hypothesis draws
    rows: list[tuple[str, str]],
    size: int,
) -> None:
    text = io.StringIO()
    end = "\r\n" if data is None else data.draw(st.sampled_from(["\n", "\r\n"]))
    csv.writer(text, lineterminator=end).writerows([("to", "name"), *rows])
    whole = data is not None and data.draw(st.booleans())
    content = (text.getvalue() if whole else text.getvalue().removesuffix(end)).encode()
    rename, change = (False, lambda old: old) if data is None else data.draw(edits(len(content)))
    at = 0 if data is None else data.draw(st.integers(0, len(rows)))
    with tempfile.TemporaryDirectory() as folder, blocks_of(size):
        path = Path(folder) / "a.csv"
        _ = path.write_bytes(content)

        def edit() -> None:
            target = path.with_suffix(".new") if rename else path
            _ = target.write_bytes(change(content))
            _ = target.rename(path)

        with scanned(str(path)) as table:
            first = [dict(row.values) for row in table.rows()]
            found, error = collect(table, edit, at)
    assert found == first[: len(found)]
    if rename or change(content) != content:
        assert error is not None
        assert error.status is Exit.STOPPED
    else:
        assert error is None
        assert found == first


@pytest.mark.parametrize("edit", EDITS)
def test_a_change_during_the_first_pass_sends_nothing(
    tmp_path: Path, edit: Edit, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    path, scan = Path(people(folder, 60)), InputSource.scan

    def changing(source: InputSource, first: FirstPass | None = None) -> InputFile:
        edit(path)
        return scan(source, first)

    monkeypatch.setattr(InputSource, "scan", changing)
    options = ["--agent", "ag_live_demo", "--traffic", "TRANSACTION", "--text", "Hi {name}", "--dry-run"]
    assert main(["batch", str(path), *options]) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{path} has changed since it was first read ({EDITS[edit]}): run the same" in line


def test_blocks_that_changed_behind_the_first_pass_are_found_at_its_end(tmp_path: Path) -> None:
    path = Path(people(tmp_path, 60))
    with blocks_of(64), path.open("rb", buffering=0) as file:
        blocks = file_blocks.FileBlocks("a.csv", file, str(path))
        _ = [blocks.read(number) for number in range(5)]
        overwritten(path)
        with pytest.raises(CliError, match="its content is different"):
            _ = [blocks.read(number) for number in range(5, 60)]


def test_a_file_of_whole_blocks_ends_with_an_empty_one(tmp_path: Path) -> None:
    path = tmp_path / "a"
    _ = path.write_bytes(b"x" * 64)
    with blocks_of(32), path.open("rb", buffering=0) as file:
        blocks = file_blocks.FileBlocks("a", file, str(path))
        for _ in range(2):
            assert [blocks.read(number) for number in range(3)] == [b"x" * 32, b"x" * 32, b""]
        grown(path)
        with pytest.raises(CliError, match="it is longer"):
            _ = blocks.read(2)


def test_the_digest_depends_on_the_whole_content_and_not_on_the_name(tmp_path: Path) -> None:
    def digest(name: str, content: bytes) -> str:
        path = tmp_path / name
        _ = path.write_bytes(content)
        with scanned(str(path)) as table:
            return table.digest()

    content = b"to\n" + (b"1" * 1023 + b"\n") * 2500
    assert digest("a.csv", content) == digest("b.csv", content)
    others = {digest("c.csv", other) for other in (content, content[:-1], content + b"\n", b"to\n2" + content[4:])}
    assert len(others) == 4
    assert all(len(other) == 32 for other in others)


def test_a_copy_is_readable_by_its_owner_only_and_has_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"to\n1\n")))
    with scanned("-") as table:
        assert table._stored._stat().st_mode & 0o777 == 0o600
        assert not list(tmp_path.iterdir())
        assert [row.values for row in table.rows()] == [{"to": "1"}]


class _Service:
    """Accepts every call, and changes a file when it receives the call *at*."""

    def __init__(self, at: int, edit: Callable[[], object]) -> None:
        self.received: list[str] = []
        self._at, self._edit = at, edit

    async def __call__(self, call: Call[Any], /) -> Result[Any]:
        self.received.append(orjson.loads(call.body or b"")["to"])
        if len(self.received) == self._at:
            self._edit()
        return Ok(Accepted(message_id="msg_1"))


@pytest.mark.anyio
@pytest.mark.parametrize("edit", EDITS)
async def test_a_batch_whose_file_changes_ends_as_stopped_and_sends_no_changed_row(tmp_path: Path, edit: Edit) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    path = Path(people(folder, 60))
    config = mailing(tmp_path, str(path), concurrency=2)
    service = _Service(20, lambda: edit(path))
    with blocks_of(256), open_rows(config) as (table, calls):
        run = await run_batch(config, table, calls, api=service, pace=Pace())
    assert len(service.received) == len(set(service.received))
    assert set(service.received) <= {f"+49151{at:08}" for at in range(1, 61)}
    assert run.status is Exit.STOPPED
    assert (run.failure or "").endswith("run the same command again to continue with it")
    assert run.counts.accepted == len(service.received)
    assert run.counts.accepted + run.counts.not_sent_yet == 60


@pytest.mark.parametrize("edit", EDITS)
def test_a_file_that_changes_while_it_is_queued_ends_with_a_sentence(
    tmp_path: Path, edit: Edit, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet = placed(monkeypatch)
    folder = tmp_path / "folder"
    folder.mkdir()
    path, begun = Path(people(folder, 250)), batches._begun

    async def changing(*arguments: Any) -> object:  # noqa: ANN401 - passed on
        edit(path)
        return await begun(*arguments)

    monkeypatch.setattr(batches, "_begun", changing)
    with blocks_of(256):
        assert main(enqueue(str(path))) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert f"({EDITS[edit]}): restore the file and run the same command again to continue" in line
    assert {orjson.loads(row.body)["to"] for chunk in fleet.queued() for row in chunk.rows} <= {
        f"+49151{at:08}" for at in range(1, 251)
    }


def test_a_file_that_changes_after_its_last_row_was_queued_ends_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet = placed(monkeypatch)
    path, queue = Path(people(tmp_path, 250)), fleets.enqueue

    async def growing(*arguments: Any, **options: Any) -> object:  # noqa: ANN401 - passed on
        done = await queue(*arguments, **options)
        grown(path)
        return done

    monkeypatch.setattr(fleets, "enqueue", growing)
    assert main(enqueue(str(path))) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert "(it is longer)" in line
    assert sum(len(chunk.rows) for chunk in fleet.queued()) == 250


def test_a_disk_that_fails_after_the_last_row_was_queued_ends_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing(_: InputFile) -> None:
        raise OSError(5, "Input/output error")

    _ = placed(monkeypatch)
    path = people(tmp_path, 3)
    monkeypatch.setattr(InputFile, "check", failing)
    assert main(enqueue(path)) == 3
    assert capsys.readouterr().err.splitlines() == [
        f"msgapi: cannot read {path}: Input/output error; run the same command again to continue"
    ]
