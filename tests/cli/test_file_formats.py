"""Encodings, and files that are named for what they are."""

import codecs
from pathlib import Path

import pytest

from msgapi.cli.files import formats
from msgapi.cli.output import CliError
from tests.cli.test_file_tables import read, values

TEXT = "to,name\r\n+4915100000001,Jörg Šťastný\r\n+4915100000002,李 🎉\r\n"
ROWS = [{"to": "+4915100000001", "name": "Jörg Šťastný"}, {"to": "+4915100000002", "name": "李 🎉"}]


@pytest.mark.parametrize("piece", [1, 3, 1 << 14])
@pytest.mark.parametrize(
    ("mark", "codec"),
    [
        (b"", "utf-8"),
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be"),
    ],
)
def test_an_encoding_is_known_by_its_mark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mark: bytes, codec: str, piece: int
) -> None:
    monkeypatch.setattr(formats, "_PIECE", piece)
    assert values(tmp_path / "a.csv", mark + TEXT.encode(codec)) == ROWS
    assert values(tmp_path / "b.csv", mark + TEXT.encode(codec), encoding=codec) == ROWS
    assert values(tmp_path / "c.csv", (mark + TEXT.encode(codec)) * 2) == [*ROWS, {}, *ROWS]


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        ("cp1252", "Jörg"),
        (" Windows-1252 ", "Jörg"),
        ("latin-1", "Jörg"),
        ("mac_roman", "Jörg"),
        ("cp850", "Jörg"),
        ("cp1250", "Šťastný"),
        ("shift_jis", "日本"),
        ("gb18030", "李"),
        ("utf-16-le", "Jörg"),
        ("UTF-16BE", "Jörg"),
        ("utf-8-sig", "Jörg"),
        ("UTF8", "Jörg"),
    ],
)
def test_an_encoding_without_a_mark_is_given(tmp_path: Path, encoding: str, name: str) -> None:
    codec = "utf-8" if encoding == "utf-8-sig" else encoding.strip()
    content = f"to,name\n+4915100000001,{name}\n".encode(codec)
    assert values(tmp_path / "a.csv", content, encoding=encoding) == [{"to": "+4915100000001", "name": name}]


@pytest.mark.parametrize(
    ("content", "encoding", "said"),
    [
        ("to,name\n1,Привет\n".encode("cp1251"), None, "line 2 is not UTF-8 .*, such as cp1252"),
        ("to,name\n1,山田太郎\n".encode("gb18030"), None, "line 2 is not UTF-8 .*, such as cp1252"),
        (b"to,name\n1,J\xf6rg\n", None, "line 2 is not UTF-8 .*looks like Windows-1252, --encoding cp1252"),
        (b"to,name\r1,A\r2,J\xf6rg\r", None, "line 3 is not UTF-8"),
        (b"to,name\n1,J\x9arg\n", None, r"line 2 is not UTF-8 .* such as cp1252 \(Windows\), mac_roman"),
        (b"to,name\n1,J\xc3", None, "line 2 is not UTF-8 .*may be cut off"),
        (
            b"to,name\n1,J\xc3\xb6rg\n2,J\xf6rg\n",
            None,
            "line 3 is not UTF-8 .*different encodings may have been joined",
        ),
        (b"\xef\xbb\xbfto,name\n2,J\xf6rg\n", None, "line 2 is not UTF-8, though the file has its mark"),
        (b"to,name\n1,J\x81rg\n", "cp1252", r"line 2 is not cp1252 .* give the --encoding of the file"),
        (b"\xff\xfet\x00o\x00\n\x00x", None, r"line 2 is not UTF-16-LE, though the file has its mark"),
        (TEXT.encode("utf-16-le"), None, "looks like UTF-16 without a byte order mark: give --encoding utf-16-le"),
        (TEXT.encode("utf-16-be"), None, "without a byte order mark: give --encoding utf-16-be"),
        (TEXT.encode("utf-16-be"), "utf-16", "no byte order mark, and --encoding utf-16 needs one: give utf-16-be"),
        (b"to\n1\n", "utf-16", "give utf-16-le or utf-16-be"),
        (TEXT.encode("utf-16-be"), "utf-16-le", "looks like utf-16-be"),
        (b"to\n1\n", "utf-16-le", "is not utf-16-le"),
        (TEXT.encode(), "cp1252", "is UTF-8, so that --encoding cp1252 would garble it"),
        (TEXT.encode("utf-8-sig"), "latin-1", "has the byte order mark of UTF-8: leave --encoding latin-1 out"),
        (TEXT.encode("utf-16"), "utf-8", "has the byte order mark of UTF-16: leave --encoding utf-8 out"),
        *(
            (b"to\n1\n", name, f"--encoding {name} is unknown: .*cp1252")
            for name in ("klingon", "base64", "idna", "a\x00")
        ),
    ],
)
def test_what_is_wrong_with_an_encoding_is_said_with_the_option(
    tmp_path: Path, content: bytes, encoding: str | None, said: str
) -> None:
    with pytest.raises(CliError, match=said):
        _ = read(tmp_path / "a.csv", content, encoding=encoding)


@pytest.mark.parametrize("at", [10, formats.HEAD + 10, 3 << 20])
def test_a_byte_of_another_encoding_is_found_wherever_it_is(tmp_path: Path, at: int) -> None:
    content = bytearray(b"to,name\n" + b"1,Ann Other\n" * (at // 12 + 5))
    line = content.count(b"\n", 0, at) + 1
    content[at] = 0xE9
    with pytest.raises(CliError, match=f"line {line} is not UTF-8"):
        _ = read(tmp_path / "a.csv", bytes(content))


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"%PDF-1.7\n...", "a PDF"),
        (b"\x89PNG\r\n\x1a\n", r"an image \(PNG\)"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", r"an image \(JPEG\)"),
        (b"GIF89a..", r"an image \(GIF\)"),
        (codecs.BOM_UTF8[:0] + b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x00" * 600, r"an old Excel workbook \(\.xls\)"),
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x00" * 600 + "EncryptedPackage".encode("utf-16-le"),
            "an Excel workbook with a password",
        ),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "WordDocument".encode("utf-16-le"), "a Word document"),
        (b"\x09\x08\x10\x00\x00\x06", "an old Excel workbook"),
        (b"ID;PWXL;N;E\r\nC;Y1;X1", "a SYLK"),
        (b"{\\rtf1\\ansi", "an RTF document"),
        (b"SQLite format 3\x00", "an SQLite database"),
        (b"BZh91AY&SY\x00", "bzip2"),
        (b"\xfd7zXZ\x00\x00", "compressed with xz"),
        (b"\x28\xb5\x2f\xfd\x04", "Zstandard"),
        (b"7z\xbc\xaf\x27\x1c", "a 7-Zip"),
        (b"Rar!\x1a\x07\x01", "a RAR"),
        (b"people.csv" + b"\x00" * 247 + b"ustar\x0000", "a tar archive"),
        (b"-----BEGIN PGP MESSAGE-----\n", "encrypted with PGP"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        (b"<!DOCTYPE html>\n<html>", "an HTML page"),
        (b"\xef\xbb\xbf \r\n<html xmlns:x='urn:schemas-microsoft-com:office:excel'>", "an HTML page"),
        (b"<!-- made by --> <table><tr><td>to</td>", "an HTML page"),
        ("<TABLE border=1>".encode("utf-16"), "an HTML page"),
        (b"<?xml version='1.0'?><html>", "an HTML page"),
        (
            b"<?xml version='1.0'?>\n<Workbook xmlns='urn:schemas-microsoft-com:office:spreadsheet'>",
            "an Excel 2003",
        ),
        (b"<?xml version='1.0'?><people/>", "XML"),
        (b"<people> <person/>", "XML"),
        (b"MIME-Version: 1.0\r\n", "a web archive"),
        (b"BEGIN:VCARD\r\nVERSION:3.0", "a vCard"),
        (b"BEGIN:VCALENDAR\r\n", "a calendar"),
        (b"\x00" * 5000, "damaged: it consists of NUL characters"),
        (bytes(range(256)) * 8, "binary data"),
        (b"to,name\n" + b"\x00\x01\x02" * 100, "binary data"),
        (b"to,name\n" + b"+4915100000001,Jo\x00\x00\x00\x00\x00" * 100, "full of NUL characters"),
    ],
)
@pytest.mark.parametrize("name", ["a.csv", "a.xls", "a.json"])
def test_what_cannot_be_read_is_named_for_what_it_is(tmp_path: Path, content: bytes, kind: str, name: str) -> None:
    with pytest.raises(CliError, match=rf"{name} is (compressed with |encrypted with )?{kind}"):
        _ = read(tmp_path / name, content)


@pytest.mark.parametrize(
    "content",
    [
        b"ID;Phone\n1;2\n",
        b"to,<name>\n1,2\n",
        b"PDF,to\n1,2\n",
        b"BZh,to\n1,2\n",
        b"to,n\n1,a\x00b and more text\n",
        b"to\n1\n2\n3\n4\n5\x00\n",
    ],
)
def test_text_is_not_taken_for_another_kind(tmp_path: Path, content: bytes) -> None:
    assert read(tmp_path / "a.csv", content)[1]


@pytest.mark.parametrize(
    "line",
    [b"<!---->" * 2_000 + b"x,", b"<" + b"a" * 60_000 + b",", b"sep=," + b"\t" * 60_000 + b"x,"],
)
def test_a_long_first_line_of_markup_or_spaces_does_not_take_long(tmp_path: Path, line: bytes) -> None:
    # A pattern that backtracks would need minutes or more.
    assert len(values(tmp_path / "a.csv", line + b"to\n1,+4915100000001\n", delimiter=",")) == 1
