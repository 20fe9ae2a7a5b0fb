"""What kind of file it is, by its first bytes; its encoding, its lines of text, and the delimiter of a CSV file.

Rules:
- The content decides, whatever the name says. What cannot be read is named for what it is, with the next step.
- An encoding is known by its byte order mark, else it is UTF-8, else it is given by --encoding. Nothing is guessed:
  what the bytes look like is only proposed.
- The delimiter is found by the first lines: by an expected column, by the rows that fit the header, and by the columns.
- A file is decoded in pieces, with lines that end in CR, LF or CRLF. Byte order marks are left out wherever they are,
  since files are often joined.
"""

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Final, final

from attrs import frozen

from ..output import CliError
from .blocks import FileBlocks
from .rows import fold

HEAD: Final = 64 << 10  # bytes that are looked at
GZIP: Final = b"\x1f\x8b"
ZIP: Final = (b"PK\x03\x04", b"PK\x05\x06")
_PIECE: Final = 16 << 10  # bytes that are decoded at a time
LONGEST_LINE: Final = 4 << 20
_MARK: Final = "\ufeff"
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark is its beginning
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_NO_TEXT: Final = frozenset({"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "utf-7"})
_SAVE: Final = "save it as .xlsx, or as CSV in UTF-8"
_UNPACK: Final = "unpack it first"
_SIGNATURES: Final[tuple[tuple[bytes, str], ...]] = (
    (b"%PDF-", "a PDF: export the table itself, as CSV or .xlsx"),
    (b"\x09\x08", f"an old Excel workbook (.xls): {_SAVE}"),
    (b"\x09\x04\x06\x00", f"an old Excel workbook (.xls): {_SAVE}"),
    (b"\x09\x00\x04\x00", f"an old Excel workbook (.xls): {_SAVE}"),
    (b"ID;PWXL", f"a SYLK spreadsheet (.slk): {_SAVE}"),
    (b"{\\rtf", "an RTF document: export the table as CSV"),
    (b"\x89PNG\r\n", "an image (PNG), not a table"),
    (b"\xff\xd8\xff", "an image (JPEG), not a table"),
    (b"GIF87a", "an image (GIF), not a table"),
    (b"GIF89a", "an image (GIF), not a table"),
    (b"II*\x00", "an image (TIFF), not a table"),
    (b"MM\x00*", "an image (TIFF), not a table"),
    (b"SQLite format 3\x00", "an SQLite database: export the table, for example with `sqlite3 -header -csv`"),
    (b"PAR1\x15", "a Parquet file: export it as CSV or JSONL"),
    (b"Obj\x01", "an Avro file: export it as CSV or JSONL"),
    (b"ARROW1\x00\x00", "an Arrow file: export it as CSV or JSONL"),
    (b"7z\xbc\xaf\x27\x1c", f"a 7-Zip archive: {_UNPACK}"),
    (b"Rar!\x1a\x07", f"a RAR archive: {_UNPACK}"),
    *((b"BZh%d1AY&SY" % level, f"compressed with bzip2: {_UNPACK} (bunzip2)") for level in range(1, 10)),
    (b"\xfd7zXZ\x00", f"compressed with xz: {_UNPACK} (unxz)"),
    (b"\x28\xb5\x2f\xfd", f"compressed with Zstandard: {_UNPACK} (unzstd)"),
    (b"-----BEGIN PGP MESSAGE", "encrypted with PGP: decrypt it first (gpg --decrypt)"),
    (b"version https://git-lfs.github.com", "a Git LFS pointer, not a table with columns: run `git lfs pull`"),
    (b"bplist00", "an Apple property list, not a table"),
    (b"\x7fELF", "a program, not a table"),
)
_OFFICE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_HTML: Final = re.compile(r"<(!doctype\s+html|html|head|body|table|meta|script|style|div|p|br)\b", re.IGNORECASE)
_TEXTS: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    (
        re.compile(r"<\?xml.*schemas-microsoft-com:office:spreadsheet", re.DOTALL),
        f"an Excel 2003 XML spreadsheet: {_SAVE}",
    ),
    (
        re.compile(r"(?>\s*<!--.*?-->|\s*<\?xml[^>]*>)*\s*" + _HTML.pattern, re.IGNORECASE | re.DOTALL),
        f"an HTML page, not a table with columns: {_SAVE}, or look whether it is a login or an error page",
    ),
    (re.compile(r"<\?xml|<[a-z][^<>,;|]*>\s*<", re.IGNORECASE), "XML: export the table as CSV, JSON or .xlsx"),
    (re.compile(r"MIME-Version:", re.IGNORECASE), f"a web archive (MHTML): {_SAVE}"),
    (re.compile(r"BEGIN:VCARD", re.IGNORECASE), "a vCard: export the contacts as CSV"),
    (re.compile(r"BEGIN:VCALENDAR", re.IGNORECASE), "a calendar (iCalendar), not a table with columns"),
)
_TAR: Final = slice(257, 262)
_MOST_CONTROLS: Final = 0.02  # of the characters of a text
_CONTROLS: Final = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_LONG_RUN: Final = re.compile(rb"[\x80-\xff]{4}")
_MANY_NULS: Final = 0.1
_DELIMITERS: Final = ("\t", ";", "|", ",")
_DELIMITER_NAMES: Final = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}
_SEP_LINE: Final = re.compile(r'\s*"?sep=(.)"?[;,|\s]*', re.IGNORECASE)
_SAMPLE: Final = 100  # lines by which the delimiter is found


@final
@frozen
class Encoding:
    """The *codec* by which a file is decoded, whether the file begins with a byte order *mark*, and its *label*."""

    codec: str
    mark: bool = False
    given: bool = False


def is_packed(head: bytes) -> bool:
    """Return whether a file that begins with *head* is a gzip, a zip or a workbook, which is unpacked first."""
    return head.startswith((GZIP, *ZIP))


def check_kind(name: str, head: bytes) -> None:
    """Raise CliError if a file that begins with *head* is known not to be a table that can be read."""
    found = _kind(head)
    if found is not None:
        raise CliError(f"{name} is {found}")


def _kind(head: bytes) -> str | None:
    if head.startswith(_OFFICE):
        return _office_kind(head)
    if head[_TAR] == b"ustar":
        return f"a tar archive: {_UNPACK}"
    found = next((what for start, what in _SIGNATURES if head.startswith(start)), None)
    if found is not None:
        return found
    if _mark_of(head) is None and _is_binary(head):
        return _binary_kind(head)
    text = _sample(head).lstrip(_MARK + " \t\r\n")
    return next((what for pattern, what in _TEXTS if pattern.match(text)), None)


def _office_kind(head: bytes) -> str:
    if "EncryptedPackage".encode("utf-16-le") in head:
        return "an Excel workbook with a password: save it without one"
    if "WordDocument".encode("utf-16-le") in head:
        return "a Word document: export the table as CSV"
    return f"an old Excel workbook (.xls), or one with a password: {_SAVE}"


def _is_binary(head: bytes) -> bool:
    if _looks_like_utf16(head) is not None:
        return False
    controls = len(_CONTROLS.findall(head))
    if head.count(b"\x00") > _MANY_NULS * len(head):
        return True
    return controls > _MOST_CONTROLS * len(head) and not _is_utf8(head)


def _binary_kind(head: bytes) -> str:
    rest = head.replace(b"\x00", b"")
    if not rest:
        return "damaged: it consists of NUL characters"
    if _CONTROLS.search(rest) is None and _is_utf8(rest):
        return "full of NUL characters: export the table again, as CSV in UTF-8"
    return "binary data, not text: export the table as CSV"


def _sample(head: bytes) -> str:
    mark = _mark_of(head)
    return head.decode("utf-8" if mark is None else mark, "replace")


def _mark_of(head: bytes) -> str | None:
    return next((codec for mark, codec in _MARKS if head.startswith(mark)), None)


def _is_utf8(head: bytes) -> bool:
    try:
        _ = codecs.getincrementaldecoder("utf-8")().decode(head, len(head) < HEAD)
    except UnicodeDecodeError:
        return False
    return True


def _looks_like_utf16(head: bytes) -> str | None:
    # A table has delimiters and line ends, and mostly digits and Latin letters: each second byte is a NUL.
    pairs = len(head) // 2
    if pairs < 2 or b"\x00" not in head:  # noqa: PLR2004 - a line of one character
        return None
    even, odd = head[: pairs * 2 : 2].count(0), head[1 : pairs * 2 : 2].count(0)
    few, many = pairs * 0.02, pairs * 0.4
    if odd >= many and even <= few:
        return "utf-16-le"
    return "utf-16-be" if even >= many and odd <= few else None


def detect_encoding(name: str, head: bytes, given: str | None) -> Encoding:
    """Return the encoding of the file *name* that begins with *head*: that *given*, else that of its mark, else UTF-8.

    Raise CliError if the encoding that is given is unknown, or is not that of the file.
    """
    mark = _mark_of(head)
    guess = _looks_like_utf16(head) if mark is None else None
    if given is None:
        if guess is not None:
            raise CliError(f"{name} looks like UTF-16 without a byte order mark: give --encoding {guess}")
        return Encoding(mark or "utf-8", mark is not None)
    codec = _codec(given)
    if mark is not None:
        if codec not in {mark, mark[:6], "utf-8-sig"}:
            raise CliError(f"{name} has the byte order mark of {mark[:6].upper()}: leave --encoding {given} out")
        return Encoding(mark, mark=True)
    if codec in {"utf-16", "utf-32"}:
        proposal = guess or f"{codec}-le or {codec}-be"
        raise CliError(f"{name} has no byte order mark, and --encoding {given} needs one: give {proposal}")
    if codec.startswith("utf-16") and guess not in {None, codec}:
        raise CliError(f"{name} looks like {guess}: give --encoding {guess}")
    if not codec.startswith("utf-8") and not head.isascii() and _is_utf8(head):
        raise CliError(f"{name} is UTF-8, so that --encoding {given} would garble it: leave the option out")
    if codec.startswith(("utf-16", "utf-32")) and b"\x00" not in head:
        raise CliError(f"{name} is not {given}: leave --encoding out, or give another one")
    return Encoding("utf-8" if codec == "utf-8-sig" else codec, given=True)


def _codec(given: str) -> str:
    try:
        info = codecs.lookup(given.strip())
    except (LookupError, ValueError, UnicodeError):
        info = None
    if info is None or info.name in _NO_TEXT or not info._is_text_encoding or info.incrementaldecoder is None:  # noqa: SLF001
        raise CliError(
            f"--encoding {given} is unknown: give a name such as utf-8, cp1252 (Windows, Western Europe), cp1250, "
            "latin-1, mac_roman, utf-16-le or shift_jis"
        )
    return info.name


def read_lines(blocks: FileBlocks, encoding: Encoding) -> Iterator[str]:
    """Yield the lines of a file with their line ends. Raise CliError if it cannot be decoded, or a line is too long."""
    return chain.from_iterable(_whole_lines(blocks, encoding))


def _whole_lines(blocks: FileBlocks, encoding: Encoding) -> Iterator[io.StringIO]:
    # What is iterated by C code costs little a line.
    rest, line = "", 1
    for piece in read_text(blocks, encoding):
        text = rest + piece
        end = max(text.rfind("\n"), text.rfind("\r")) + 1
        yield io.StringIO(text[:end], newline="")
        line += count_lines(text[:end])
        rest = text[end:]
        if len(rest) >= LONGEST_LINE:
            raise CliError(f"{blocks.name}: line {line} is longer than {LONGEST_LINE >> 20} MB: is it CSV or JSON?")
    if rest:
        yield io.StringIO(rest, newline="")
        blocks.check()  # the file may have changed since the line was read


def read_text(blocks: FileBlocks, encoding: Encoding) -> Iterator[str]:
    """Yield the text of a file in pieces, none of which ends within CR LF. Raise CliError if it cannot be decoded."""
    decoder = codecs.getincrementaldecoder(encoding.codec)()
    held, line = "", 1
    for raw in _raw_pieces(blocks):
        try:
            text = held + decoder.decode(raw, not raw).replace(_MARK, "")
        except UnicodeDecodeError as error:
            decoded = error.object[: error.start].decode(encoding.codec, "replace")
            raise CliError(_undecodable(blocks.name, line + count_lines(held + decoded), encoding, error)) from None
        held = "\r" if raw and text.endswith("\r") else ""
        text = text.removesuffix(held) if held else text
        line += count_lines(text)
        yield text


def _raw_pieces(blocks: FileBlocks) -> Iterator[bytes]:
    # The last one is empty. No piece of a block is read before the whole block was checked.
    number = 0
    while block := blocks.read(number):
        number += 1
        for at in range(0, len(block), _PIECE):
            yield block[at : at + _PIECE]
    yield b""


def count_lines(text: str) -> int:
    """Return the number of line ends in *text*: LF, CR or CRLF."""
    alone = text.count("\r")
    return text.count("\n") + (alone - text.count("\r\n") if alone else 0)


def _undecodable(name: str, line: int, encoding: Encoding, error: UnicodeDecodeError) -> str:
    label = encoding.codec.upper()
    if encoding.given:
        return f"{name}: line {line} is not {encoding.codec} ({error.reason}): give the --encoding of the file"
    if encoding.mark:
        return f"{name}: line {line} is not {label}, though the file has its mark ({error.reason}): export it again"
    sample = error.object[error.start : error.start + _PIECE]
    what = "save the file as UTF-8, or give its encoding with --encoding"
    if "unexpected end" in error.reason:
        return f"{name}: line {line} is not UTF-8 ({error.reason}): the file may be cut off; else {what}"
    if not error.object[: error.start].rpartition(b"\n")[0].isascii():
        what = "lines before it are, so files in different encodings may have been joined: save each as UTF-8 first"
    elif _looks_like_windows(sample):
        what += ": it looks like Windows-1252, --encoding cp1252 (check the names with --dry-run)"
    else:
        what += ", such as cp1252 (Windows), mac_roman (Excel for Mac) or cp850 (DOS)"
    return f"{name}: line {line} is not UTF-8 ({error.reason}): {what}"


def _looks_like_windows(sample: bytes) -> bool:
    # Letters with accents are C0 to FF there; typographic signs, and few letters, are below. Four in a row are rare: in
    # other alphabets, whole words are such bytes.
    high = bytes(one for one in sample if one >= 0x80)  # noqa: PLR2004 - what is not ASCII
    if _LONG_RUN.search(sample):
        return False
    low = [one for one in high if one < 0xA0 and one not in b"\x80\x82\x84\x85\x91\x92\x93\x94\x95\x96\x97"]  # noqa: PLR2004
    return not low


@final
@frozen
class Dialect:
    """How a CSV file is written: its *delimiter*, and the number of lines before the header that are *skipped*.

    If *spaced* is true, quotes may follow a space after the delimiter, as in `to, "name"`.
    """

    delimiter: str
    spaced: bool
    skipped: int


def detect_dialect(lines: Iterable[str], *, given: str | None, tabs: bool, expected: str | None) -> Dialect:
    """Return how the CSV file with *lines* is written.

    The delimiter is the one *given*, else that of a first line such as `sep=;`, else a tab if *tabs* is true. Else the
    first lines show it. *expected* is a column that the file probably has.
    """
    sample = list(islice(lines, _SAMPLE))
    sep = _SEP_LINE.fullmatch(sample[0]) if sample else None
    skipped = 0 if sep is None else 1
    if given is None and sep is not None:
        given = sep[1]
    delimiter = given or ("\t" if tabs else _find_delimiter(sample[skipped:], expected))
    return Dialect(delimiter, _has_spaced_quotes(sample[skipped:], delimiter), skipped)


def parse_delimiter(text: str) -> str:
    """Return the character that *text*, the value of --delimiter, means. Raise CliError if it is none."""
    found = _DELIMITER_NAMES.get(text.strip().lower(), text)
    if len(found) != 1 or found in '"\r\n':
        raise CliError("--delimiter is one character, or tab, and not a quote or a line break")
    return found


def _has_spaced_quotes(lines: Sequence[str], delimiter: str) -> bool:
    found = re.compile(rf'{re.escape(delimiter)} +"[^"]*"(?={re.escape(delimiter)}|[\r\n]*\Z)')
    return any(found.search(line) for line in lines)


def _find_delimiter(lines: Sequence[str], expected: str | None) -> str:
    # By the expected column, by the rows that fit the header, and by the number of columns.
    scores = {one: _score(lines, one, expected) for one in _DELIMITERS}
    best = max(_DELIMITERS, key=lambda one: scores[one])
    return best if any(scores[best]) else ","


def _score(lines: Sequence[str], delimiter: str, expected: str | None) -> tuple[bool, float, int]:
    records = [cells for cells in _sample_records(lines, delimiter) if any(map(str.strip, cells))]
    width = len(records[0]) if records else 0
    if width <= 1:
        return False, 0.0, 0
    has_expected = expected is not None and fold(expected) in map(fold, records[0])
    fitting = sum(len(cells) > 1 and not any(map(str.strip, cells[width:])) for cells in records[1:])
    return has_expected, round(fitting / max(1, len(records) - 1), 1), width


def _sample_records(lines: Sequence[str], delimiter: str) -> list[list[str]]:
    found: list[list[str]] = []
    try:
        found.extend(csv.reader(lines, delimiter=delimiter, strict=True))
    except csv.Error:
        return found  # a quote is not closed within the sample, or at all
    return found
