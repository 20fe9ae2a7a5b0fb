"""Excel workbooks for tests, written by hand: no library of the project writes them."""

import io
import zipfile
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_STYLES = ("0", "14", "22", "21", "46")  # of numbers: general, a date, date and time, a time, a duration

Cell = str | float | bool | tuple[float, int] | None
"""A text, a number, a truth value, or a number with its style."""


def workbook(sheets: Mapping[str, Sequence[Sequence[Cell]]], *, hidden: Sequence[str] = ()) -> bytes:
    """Return a workbook with these *sheets*, some of them *hidden*."""
    names = list(sheets)
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types"><Default Extension="xml" '
        'ContentType="application/xml"/></Types>',
        "_rels/.rels": _relationships([("officeDocument", "xl/workbook.xml")]),
        "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets>'
        + "".join(
            f'<sheet name="{escape(name)}" sheetId="{at}" r:id="rId{at}"{_state(name in hidden)}/>'
            for at, name in enumerate(names, 1)
        )
        + "</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": _relationships(
            [*(("worksheet", f"worksheets/sheet{at}.xml") for at in range(1, len(names) + 1)), ("styles", "styles.xml")]
        ),
        "xl/styles.xml": f'<styleSheet xmlns="{_MAIN}"><cellXfs>'
        + "".join(f'<xf numFmtId="{one}" applyNumberFormat="1"/>' for one in _STYLES)
        + "</cellXfs></styleSheet>",
    }
    for at, rows in enumerate(sheets.values(), 1):
        data = "".join(_row(number, row) for number, row in enumerate(rows, 1))
        parts[f"xl/worksheets/sheet{at}.xml"] = f'<worksheet xmlns="{_MAIN}"><sheetData>{data}</sheetData></worksheet>'
    return zipped({name: f'<?xml version="1.0" encoding="UTF-8"?>{text}'.encode() for name, text in parts.items()})


def zipped(members: Mapping[str, bytes]) -> bytes:
    """Return a zip archive with these *members*."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def _state(hidden: bool) -> str:
    return ' state="hidden"' if hidden else ""


def _relationships(targets: Sequence[tuple[str, str]]) -> str:
    rows = "".join(
        f'<Relationship Id="rId{at}" Type="{_OFFICE}/{kind}" Target="{target}"/>'
        for at, (kind, target) in enumerate(targets, 1)
    )
    return f'<Relationships xmlns="{_PACKAGE}/relationships">{rows}</Relationships>'


def _row(number: int, cells: Sequence[Cell]) -> str:
    return (
        f'<row r="{number}">'
        + "".join(_cell(f"{chr(65 + at)}{number}", one) for at, one in enumerate(cells))
        + "</row>"
    )


def _cell(place: str, value: Cell) -> str:
    match value:
        case None:
            return ""
        case str():
            return f'<c r="{place}" t="inlineStr"><is><t xml:space="preserve">{escape(value)}</t></is></c>'
        case bool():
            return f'<c r="{place}" t="b"><v>{value:d}</v></c>'
        case tuple():
            return f'<c r="{place}" s="{value[1]}"><v>{value[0]!r}</v></c>'
        case _:
            return f'<c r="{place}"><v>{value!r}</v></c>'
