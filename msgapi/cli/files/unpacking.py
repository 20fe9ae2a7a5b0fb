"""Unpacked copies of packed files: gzip, zip and Excel workbooks.

Rules:
- Nothing is unpacked in memory, except that python-calamine holds a whole sheet.
- An archive with several files, or a workbook with several sheets, is refused by their names: none of them is guessed.
- What is cut off or damaged is refused as a whole.
- A copy of a sheet has a line for each of its rows, so that line numbers are those of the spreadsheet.
"""

import datetime as dt
import gzip
import lzma
import os
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, Final

import orjson

from ..output import CliError
from .blocks import BLOCK, Content, FileBlocks, open_copy
from .formats import GZIP, HEAD, is_packed
from .rows import find_column

if TYPE_CHECKING:
    from python_calamine import CalamineSheet, CalamineWorkbook

_DEEPEST: Final = 3  # a gzip in a zip, and a workbook in it
_LARGE: Final = 1 << 30  # bytes; more than this, from a much shorter file, is no table
_HIGHEST_RATIO: Final = 200
_MOST_NAMED: Final = 5
_EXACT: Final = 10**15  # spreadsheets store 15 digits


def unpack(content: Content, head: bytes, sheet: str | None, stack: ExitStack) -> Content:
    """Return what is packed in *content*, which begins with *head*; *sheet* names the one of a workbook that is read.

    The copies are closed with *stack*.
    """
    for _ in range(_DEEPEST):
        content = _unpack_gzip(content, stack) if head.startswith(GZIP) else _unpack_zip(content, sheet, stack)
        if content.sheet or not is_packed(head := content.blocks.head(HEAD)):
            break
    return content


def _copied(found: Content, name: str, parts: Iterable[bytes], stack: ExitStack, *, sheet: bool = False) -> Content:
    shown = found.blocks.name
    blocks = FileBlocks(shown, stack.enter_context(open_copy(shown, parts)), source=found.blocks)
    found.blocks.read_through()
    return Content(blocks, name, sheet)


def _unpack_gzip(found: Content, stack: ExitStack) -> Content:
    name = found.name.removesuffix(".gz").removesuffix(".GZ")
    with found.blocks.open() as packed, gzip.GzipFile(fileobj=packed) as file:
        return _copied(found, name, _unpacked(found, file, "gzip"), stack)


def _unpack_zip(found: Content, sheet: str | None, stack: ExitStack) -> Content:
    found.blocks.read_through()
    name = found.blocks.name
    with _duplicate(found.blocks) as file:
        try:
            archive = stack.enter_context(zipfile.ZipFile(file))
        except (zipfile.BadZipFile, ValueError, OverflowError, NotImplementedError):
            raise CliError(f"{name} is a zip or .xlsx file that is cut off or damaged: copy it again") from None
        members = [one for one in archive.infolist() if not one.is_dir() and not _is_extra(one.filename)]
        _check_document(name, {one.filename for one in members})
        if any(one.filename in {"xl/workbook.xml", "xl/workbook.bin"} for one in members):
            _check_size(name, sum(one.file_size for one in members), os.fstat(file.fileno()).st_size)
            return _copied(found, "", _sheet_lines(name, file, sheet), stack, sheet=True)
        if len(members) != 1:
            names = [one.filename for one in members]
            shown = ", ".join([*names[:_MOST_NAMED], *(["..."] if len(names) > _MOST_NAMED else [])])
            what = f"several files ({shown}): unpack it and name the one to send" if names else "no files"
            raise CliError(f"{name} is a zip archive with {what}")
        (member,) = members
        if member.flag_bits & 1:
            raise CliError(f"{name} is a zip archive with a password: unpack it first")
        try:
            opened = stack.enter_context(archive.open(member))
        except (NotImplementedError, zipfile.BadZipFile) as error:
            raise CliError(f"{name} is a zip archive that cannot be unpacked here ({error}): unpack it first") from None
        return _copied(found, member.filename, _unpacked(found, opened, "zip"), stack)


def _duplicate(blocks: FileBlocks) -> IO[bytes]:
    return os.fdopen(os.dup(blocks.file.fileno()), "rb")


def _is_extra(name: str) -> bool:
    return name.startswith("__MACOSX/") or PurePosixPath(name).name.startswith(".")


def _check_document(name: str, members: set[str]) -> None:
    folders = {one.split("/")[0] for one in members}
    if "mimetype" in members and "content.xml" in members:
        kind = "an OpenDocument file: save it as .xlsx, or as CSV in UTF-8"
    elif "[Content_Types].xml" in members and "xl" not in folders:
        kind = f"{'a Word' if 'word' in folders else 'a PowerPoint or other Office'} document: export the table as CSV"
    elif "Index" in folders or "Index.zip" in members:
        kind = "an Apple Numbers file: export it as .xlsx or CSV"
    else:
        return
    raise CliError(f"{name} is {kind}")


def _check_size(name: str, size: int, packed: int) -> None:
    if size > _LARGE and size > packed * _HIGHEST_RATIO:
        raise CliError(
            f"{name} would be more than {_HIGHEST_RATIO} times as large when it is unpacked: it is no table; unpack it "
            "yourself if it is one"
        )


def _unpacked(found: Content, file: "IO[bytes] | gzip.GzipFile", kind: str) -> Iterator[bytes]:
    name, size, packed = found.blocks.name, 0, os.fstat(found.blocks.file.fileno()).st_size
    try:
        while part := file.read(BLOCK):
            size += len(part)
            _check_size(name, size, packed)
            yield part
    except EOFError:
        raise CliError(f"{name} is cut off: its {kind} data ends too early; copy it again") from None
    except (gzip.BadGzipFile, zipfile.BadZipFile, zlib.error, lzma.LZMAError) as error:
        raise CliError(f"{name} is damaged: its {kind} data cannot be unpacked ({error}); copy it again") from None


def _sheet_lines(name: str, file: IO[bytes], wanted: str | None) -> Iterator[bytes]:
    try:
        from python_calamine import CalamineError, CalamineWorkbook
    except ModuleNotFoundError:
        raise CliError(
            f"{name} is an Excel workbook, which needs an extra: pip install 'msgapi-sdk[xlsx]'; or save it as CSV "
            "in UTF-8"
        ) from None
    _ = file.seek(0)
    try:
        with CalamineWorkbook.from_filelike(file) as workbook:
            sheet = _find_sheet(name, workbook, wanted)
            for row in sheet.iter_rows():
                cells = [_as_text(value) for value in row]
                yield orjson.dumps(cells) + b"\n" if any(map(str.strip, cells)) else b"\n"
    except CalamineError as error:
        raise CliError(f"{name} is an Excel workbook that is damaged or has a password ({error})") from None


def _find_sheet(name: str, workbook: "CalamineWorkbook", wanted: str | None) -> "CalamineSheet":
    names = workbook.sheet_names
    if wanted is not None:
        found = find_column(names, wanted)
        if found is None:
            raise CliError(f"{name} has no sheet {wanted}; the sheets are: {', '.join(names)}")
        return workbook.get_sheet_by_name(found)
    from python_calamine import SheetVisibleEnum

    visible = [one.name for one in workbook.sheets_metadata if one.visible == SheetVisibleEnum.Visible]
    sheets = [workbook.get_sheet_by_name(one) for one in visible]
    filled = [one for one in sheets if one.height]
    if len(filled) > 1:
        shown = ", ".join(repr(one.name) for one in filled)
        raise CliError(f"{name} has several sheets with rows ({shown}): name the one to send with --sheet")
    if not filled:
        raise CliError(f"{name} is empty: it has no rows")
    return filled[0]


def _as_text(value: object) -> str:
    # As a spreadsheet shows it without a format of its own: dates as in ISO 8601.
    match value:
        case str():
            return value
        case bool():
            return "TRUE" if value else "FALSE"
        case float():
            return f"{value:.0f}" if value.is_integer() and abs(value) < _EXACT else f"{value:.15g}"
        case dt.datetime():
            at_midnight = value.time() == dt.time()
            return value.date().isoformat() if at_midnight else value.isoformat(" ", "seconds")
        case dt.time():
            return value.isoformat("seconds")
        case _:
            return "" if value is None else str(value)
