from pathlib import Path

import pytest

from msgapi import Forbidden, Meta, Ok, Result
from msgapi.cli.batch import result_files
from msgapi.cli.output import CliError
from msgapi.messages import Accepted
from tests.support.cli_files import lines, mailed, mailing, people, scanned

pytestmark = pytest.mark.anyio
REFUSED: Result[Accepted] = Forbidden(code="forbidden", message="no", meta=Meta(status=403, attempts=1))


def refuse(_: int) -> Result[Accepted]:
    return REFUSED


def content(path: Path) -> bytes:
    return path.read_bytes()


def accept(_: int) -> Result[Accepted]:
    return Ok(Accepted(message_id="m"))


MIXED_CSV = 'to;name;n\n+4915100000001;"A;\nB";1\nshort\nlong;a;b;c\nbad;Ann;2\n'
MIXED_JSONL = '{"to":"+4915100000001","name":"A\\nB","n":[1]}\nnonsense\n[1]\n{"to":"bad","name":"Ann"}\n'


@pytest.mark.parametrize("written", ["failed.csv", "failed.jsonl", "failed.tsv", "failed"])
@pytest.mark.parametrize(("name", "content"), [("in.csv", MIXED_CSV), ("in.jsonl", MIXED_JSONL)])
async def test_failed_rows_come_to_the_same_when_they_are_sent_again(
    tmp_path: Path, written: str, name: str, content: str
) -> None:
    _ = (tmp_path / name).write_text(content)
    job = mailing(tmp_path, str(tmp_path / name), failed=str(tmp_path / written))
    first = await mailed(job, refuse)
    assert {(group.kind, group.code): rows for group, rows in first.counts.errors.items()} == {
        ("Forbidden", "forbidden"): 1,
        ("Invalid", "validation_error"): 3,
    }
    again = mailing(tmp_path, str(job.failed), failed=None, results=str(tmp_path / "again.jsonl"))
    second = await mailed(again, refuse)
    assert second.counts.errors == first.counts.errors
    keys = [
        [one["idempotency_key"] for one in lines(path) if one["kind"] == "Forbidden"]
        for path in (job.results, again.results)
    ]
    assert keys[0] != keys[1]  # a row that is corrected is another operation
    assert keys[0] != [None]


async def test_a_row_that_never_went_out_keeps_only_the_key_that_it_brought(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    _ = path.write_text(
        '{"to":"bad","name":"A","idempotency_key":"mine"}\n{"to":"bad","name":"B","idempotency_key":""}\n'
    )
    job = mailing(tmp_path, str(path), failed=str(tmp_path / "out.jsonl"))
    _ = await mailed(job, accept)
    kept = {row["name"]: row for row in lines(job.failed)}
    assert kept["A"]["idempotency_key"] == "mine"
    assert kept["B"]["idempotency_key"] == ""


def make(path: str, **options: object) -> None:
    chosen = {"results": None, "failed": None, "overwrite": False, "with_recipients": False} | options
    with scanned(path) as table, result_files.open_files(table, "to", **chosen):  # type: ignore[arg-type]
        pass


def test_the_input_is_never_written_over(tmp_path: Path) -> None:
    path = people(tmp_path, 1)
    link = tmp_path / "link.csv"
    link.symlink_to(path)
    for output in (path, str(link)):
        with pytest.raises(CliError, match="is the input"):
            make(path, failed=output, overwrite=True)
    assert "Ann" in Path(path).read_text()


def test_a_file_with_something_in_it_is_only_replaced_when_asked_to(tmp_path: Path) -> None:
    path, old = people(tmp_path, 1), tmp_path / "old.jsonl"
    _ = old.write_text("x")
    with pytest.raises(CliError, match="exists and is not empty: move it away, or use --overwrite"):
        make(path, results=str(old))
    make(path, results=str(old), overwrite=True)
    assert old.read_text() == ""


def test_one_file_for_both_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CliError, match="are both"):
        make(people(tmp_path, 1), results=str(tmp_path / "x"), failed=str(tmp_path / "x"))


@pytest.mark.parametrize("name", ["results.csv", "R.XLSX", "a.tsv"])
def test_results_are_not_written_to_a_file_whose_name_promises_a_table(tmp_path: Path, name: str) -> None:
    with pytest.raises(CliError, match=r"--results writes JSONL, .*: name its file \.jsonl"):
        make(people(tmp_path, 1), results=str(tmp_path / name))
    assert not (tmp_path / name).exists()


def test_a_file_that_cannot_be_made_ends_the_program_before_anything_is_sent(tmp_path: Path) -> None:
    with pytest.raises(CliError, match=r"cannot write .*nowhere/x: No such file or directory"):
        make(people(tmp_path, 1), results=str(tmp_path / "nowhere" / "x"))
    with pytest.raises(CliError, match="cannot write /dev/full: No space left"):
        make(people(tmp_path, 1), failed="/dev/full")


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
async def test_failed_rows_have_the_mark_and_the_delimiter_of_their_input(
    tmp_path: Path, mark: bytes, delimiter: str
) -> None:
    path = tmp_path / "people.csv"
    rows = ("to", "name"), ("bad", "J\u00fcrgen"), ("+4915100000001", "Ann")
    _ = path.write_bytes(mark + "".join(f"{delimiter.join(row)}\n" for row in rows).encode())
    config = mailing(tmp_path, str(path), delimiter=delimiter if delimiter == "|" else None)
    run = await mailed(config, accept)
    assert (run.counts.accepted, run.counts.refused) == (1, 1)
    failed = Path(str(config.failed))
    expected = f"to{delimiter}name{delimiter}idempotency_key\nbad{delimiter}J\u00fcrgen{delimiter}\n"
    assert content(failed) == mark + expected.encode()
    again = await mailed(
        mailing(tmp_path, str(failed), delimiter=config.delimiter, failed=None, results=None),
        accept,
    )
    assert (again.counts.total, again.counts.refused) == (1, 1)
