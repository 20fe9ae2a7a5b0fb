"""Streams, gzip, zip and Excel workbooks are copied and read; what cannot be unpacked is named."""

import errno
import gzip
import io
import os
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from msgapi.cli.files import blocks, unpacking
from msgapi.cli.files.tables import InputFile
from msgapi.cli.output import CliError, Exit
from tests.cli.test_file_tables import read, values
from tests.support.cli_files import scanned
from tests.support.workbooks import Cell, workbook, zipped


def gzipped(content: bytes) -> bytes:
    # Without the time, so that each process of the tests has the same names of tests.
    return gzip.compress(content, mtime=0)


CSV = b"to,name\n1,J\xc3\xb6rg\n2,Ann\n"
ROWS = [{"to": "1", "name": "Jörg"}, {"to": "2", "name": "Ann"}]
TABLE: list[list[Cell]] = [["to", "name"], ["1", "Jörg"], ["2", "Ann"]]


@pytest.mark.parametrize("name", ["a.csv.gz", "a.csv", "a"])
@pytest.mark.parametrize(
    "content",
    [
        gzipped(CSV),
        gzipped(CSV[:10]) + gzipped(CSV[10:]),
        gzipped(CSV) + b"\x00" * 100,
        gzipped(gzipped(CSV)),
        zipped({"a.csv": CSV}),
        zipped({"export/": b"", "export/a.csv": CSV, "__MACOSX/export/._a.csv": b"x", "export/.DS_Store": b"x"}),
        gzipped(zipped({"a.xlsx": workbook({"People": TABLE})})),
        zipped({"a.xlsx": workbook({"People": TABLE})}),
        workbook({"People": TABLE, "Empty": []}),
        gzipped(b"\xff\xfe" + CSV.decode().encode("utf-16-le")),
        zipped({"a.csv.gz": gzipped(CSV)}),
    ],
)
def test_what_is_packed_is_read_whatever_its_name_is(tmp_path: Path, content: bytes, name: str) -> None:
    assert values(tmp_path / name, content) == ROWS


def test_the_name_inside_decides_about_tabs_and_json(tmp_path: Path) -> None:
    assert read(tmp_path / "a.tsv.gz", gzipped(b"to, x\tn\n1\t2\n"))[0] == ("to, x", "n")
    assert read(tmp_path / "a.zip", zipped({"b.tsv": b"to, x\tn\n1\t2\n"}))[0] == ("to, x", "n")
    assert values(tmp_path / "b.zip", zipped({"b.jsonl": b'{"to":"1"}\n'})) == [{"to": "1"}]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (gzipped(CSV * 50)[:-10], "is cut off: its gzip data ends too early"),
        (gzipped(CSV)[:12], "is cut off"),
        (gzipped(CSV)[:-8] + b"\x00" * 8, r"is damaged: its gzip data cannot be unpacked \(CRC"),
        (gzipped(CSV) + b"garbage", "is damaged: its gzip data"),
        (b"\x1f\x8b\x08\x00" + b"\xff" * 60, "is damaged: its gzip data"),
        (gzipped(b""), "is empty"),
        (gzipped(b"%PDF-1.7"), "is a PDF"),
        (gzipped(gzipped(gzipped(gzipped(CSV)))), "is binary data"),
        (zipped({"a.csv": CSV})[:-30], "is a zip or .xlsx file that is cut off or damaged"),
        (zipped({}), "is a zip archive with no files"),
        (zipped({"a.csv": CSV, "b.csv": CSV}), r"with several files \(a.csv, b.csv\): unpack it"),
        (zipped({f"{at}.csv": CSV for at in range(9)}), r"\(0.csv, 1.csv, 2.csv, 3.csv, 4.csv, \.\.\.\)"),
        (zipped({"mimetype": b"x", "content.xml": b"x"}), "is an OpenDocument file"),
        (zipped({"[Content_Types].xml": b"x", "word/document.xml": b"x"}), "is a Word document"),
        (zipped({"[Content_Types].xml": b"x", "ppt/slides.xml": b"x"}), "is a PowerPoint or other Office document"),
        (zipped({"Index/Document.iwa": b"x"}), "is an Apple Numbers file"),
        (zipped({"[Content_Types].xml": b"x", "xl/workbook.xml": b"x"}), "is an Excel workbook that is damaged"),
    ],
)
def test_what_cannot_be_unpacked_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(CliError, match=said):
        _ = read(tmp_path / "a.csv", content)


def changed(content: bytes, at: int, value: int) -> bytes:
    """Return a zip archive of one member with another byte in both of its headers, *at* from the version."""
    central = content.rindex(b"PK\x01\x02")
    made = bytearray(content)
    made[4 + at] = made[central + 6 + at] = value
    return bytes(made)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (changed(zipped({"a.csv": CSV}), 2, 1), "is a zip archive with a password"),
        (changed(zipped({"a.csv": CSV}), 4, 97), "is a zip archive that cannot be unpacked here"),
        (changed(zipped({"a.csv": CSV}), 10, 1), "is damaged: its zip data cannot be unpacked"),
    ],
)
def test_a_zip_with_a_password_or_of_another_method_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(CliError, match=said):
        _ = read(tmp_path / "a.zip", content)


@pytest.mark.parametrize("kind", ["gzip", "zip", "xlsx"])
def test_what_would_fill_the_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(unpacking, "_LARGE", 1 << 20)
    bomb = b"to\n" + b"1\n" * (1 << 20)
    content = {"gzip": gzipped(bomb), "zip": zipped({"a.csv": bomb})}.get(kind)
    content = content or zipped({"[Content_Types].xml": b"x", "xl/workbook.xml": b" " * (4 << 20)})
    with pytest.raises(CliError, match="more than 200 times as large"):
        _ = read(tmp_path / "a", content)


def test_a_workbook_is_read_as_a_spreadsheet_shows_it(tmp_path: Path) -> None:
    rows: list[list[Cell]] = [
        [],
        [None, "To", "name", "when", "at", "long", "vip", "amount", "note", ""],
        [None, 4915100000001.0, "A", (45000, 1), (45000.5, 2), (1.5, 4), True, 0.1 + 0.2, 'x "y"\nz, w', None],
        [],
        [None, "+491", " ", (0.5, 3), 2.5e20, 1e15, False, -12.0, "", None],
    ]
    columns, found = read(tmp_path / "a.xlsx", workbook({"People": rows}))
    assert columns == ("To", "name", "when", "at", "long", "vip", "amount", "note", "")
    assert [row.line for row in found] == [3, 5]
    assert [row.cells[:8] for row in found] == [
        ("4915100000001", "A", "2023-03-15", "2023-03-15 12:00:00", "1 day, 12:00:00", "TRUE", "0.3", 'x "y"\nz, w'),
        ("+491", " ", "12:00:00", "2.5e+20", "1e+15", "FALSE", "-12", ""),
    ]


def test_a_date_and_time_at_midnight_is_a_date(tmp_path: Path) -> None:
    assert values(tmp_path / "a.xlsx", workbook({"A": [["to", "d"], ["1", (45000, 2)]]}))[0]["d"] == "2023-03-15"


def test_a_sheet_is_named_if_there_are_several(tmp_path: Path) -> None:
    content = workbook({"Mai 2026": TABLE, "June": [["to"], ["3"]], "Codes": TABLE}, hidden=["Codes"])
    with pytest.raises(CliError, match=r"has several sheets with rows \('Mai 2026', 'June'\): .* --sheet"):
        _ = read(tmp_path / "a.xlsx", content)
    assert values(tmp_path / "a.xlsx", content, sheet="june") == [{"to": "3"}]
    assert values(tmp_path / "a.xlsx", content, sheet="Codes") == ROWS
    with pytest.raises(CliError, match="has no sheet July; the sheets are: Mai 2026, June, Codes"):
        _ = read(tmp_path / "a.xlsx", content, sheet="July")
    assert values(tmp_path / "b.xlsx", workbook({"A": TABLE, "B": TABLE}, hidden=["B"])) == ROWS
    with pytest.raises(CliError, match="is empty"):
        _ = read(tmp_path / "c.xlsx", workbook({"A": []}))
    with pytest.raises(CliError, match="is empty"):
        _ = read(tmp_path / "d.xlsx", workbook({"A": [["", " "]]}))
    with pytest.raises(CliError, match=r"is not an Excel workbook \(\.xlsx\): leave --sheet out"):
        _ = read(tmp_path / "a.csv", CSV, sheet="June")


def test_a_workbook_without_the_extra_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "python_calamine", None)
    with pytest.raises(CliError, match=r"needs an extra: pip install 'msgapi-sdk\[xlsx\]'; or save it as CSV"):
        _ = read(tmp_path / "a.xlsx", workbook({"A": TABLE}))


PACKED = [
    ("a.csv.gz", gzipped(CSV)),
    ("a.zip", zipped({"a.csv": CSV})),
    ("a.xlsx", workbook({"A": TABLE})),
    ("a.json", b'[{"to": "1", "name": "J\xc3\xb6rg"},\n{"to": "2", "name": "Ann"}]'),
]


@pytest.mark.parametrize(("name", "content"), PACKED)
def test_a_copy_is_sent_whole_and_a_change_of_the_file_is_found_at_the_end(
    tmp_path: Path, name: str, content: bytes
) -> None:
    path = tmp_path / name
    _ = path.write_bytes(content)
    with scanned(str(path)) as table:
        digest = table.digest()
        assert [dict(row.values) for row in table.rows()] == ROWS
        assert table.is_same_file(path.stat())
        with path.open("ab") as file:
            _ = file.write(b"x")
        rows, found = table.rows(), list[dict[str, object]]()
        with pytest.raises(CliError, match="has changed since it was first read") as caught:
            found.extend(dict(row.values) for row in rows)
        assert caught.value.status is Exit.STOPPED
        with pytest.raises(CliError, match="it is longer"):
            table.check()
    _ = path.write_bytes(content)
    with scanned(str(path)) as table:
        assert table.digest() == digest
    other = tmp_path / "other"
    _ = other.write_bytes(content)
    with scanned(str(other)) as table:
        assert table.digest() == digest
        assert not table.is_same_file(path.stat())


def test_a_copy_has_no_name_and_is_readable_by_its_owner_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    made: list[int] = []
    copy = tempfile.TemporaryFile

    def noted(**options: Any) -> Any:  # noqa: ANN401 - of the standard library
        file = copy(**options)
        made.append(os.fstat(file.fileno()).st_mode & 0o777)
        return file

    monkeypatch.setattr(blocks, "TemporaryFile", noted)
    _ = (tmp_path / "a.csv.gz").write_bytes(gzipped(CSV))
    with scanned(str(tmp_path / "a.csv.gz")) as table:
        assert table.count == 2
        assert not list(folder.iterdir())
    assert made == [0o600]


@pytest.mark.parametrize(
    ("number", "said", "status"),
    [
        (errno.ENOSPC, "cannot copy standard input to the temporary folder .*TMPDIR names another", Exit.STOPPED),
        (errno.EIO, "cannot read standard input: ", Exit.USAGE),
    ],
)
def test_a_copy_that_cannot_be_written_is_one_line(
    monkeypatch: pytest.MonkeyPatch, number: int, said: str, status: Exit
) -> None:
    def fail(**_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(CSV)))
    monkeypatch.setattr(blocks, "TemporaryFile", fail)
    with pytest.raises(CliError, match=said) as caught, scanned("-"):
        pass
    assert caught.value.status is status


def test_standard_input_is_copied_and_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(gzipped(CSV))))
    with scanned("-") as table:
        assert isinstance(table, InputFile)
        assert (table.name, table.count) == ("standard input", 2)


@pytest.mark.parametrize("path", ["-", "/dev/stdin", "/dev/fd/63", "/proc/self/fd/0", "/proc/1/fd/3", "/dev/null"])
def test_what_can_be_read_only_once_is_a_stream(path: str) -> None:
    assert blocks.is_stream(path)


def test_a_file_is_no_stream(tmp_path: Path) -> None:
    assert not blocks.is_stream(str(tmp_path))
    assert not blocks.is_stream(str(tmp_path / "none.csv"))
    _ = (tmp_path / "a.csv").write_bytes(CSV)
    assert not blocks.is_stream(str(tmp_path / "a.csv"))


def test_archives_of_several_blocks_are_read(tmp_path: Path) -> None:
    rows = b"to\n" + b"".join(b"%d\n" % at for at in range(300_000))
    _ = (tmp_path / "a.gz").write_bytes(gzipped(rows))
    with scanned(str(tmp_path / "a.gz")) as table:
        assert table.count == 300_000
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive, archive.open("a.csv", "w") as member:
        _ = member.write(b"to\n")
        for at in range(30):
            _ = member.write(b"".join(b"%d\n" % (at * 10_000 + one) for one in range(10_000)))
    _ = (tmp_path / "a.zip").write_bytes(file.getvalue())
    with scanned(str(tmp_path / "a.zip")) as table:
        assert table.count == 300_000
