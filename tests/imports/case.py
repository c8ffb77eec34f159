"""One file of the corpus, with what an import has to say of it."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import escape, quoteattr

FIELDS = ("phone_no", "first_name", "last_name", "email_id", "company", "job_title")


@dataclass(frozen=True)
class Case:
    """A file in the shape that some program writes."""

    name: str  #: with its ending
    content: bytes
    rows: list[dict[str, Any]]
    args: list[str] = field(default_factory=list)


def case(
    name: str, content: str | bytes, *rows: dict[str, Any], encoding: str = "utf-8", args: str = ""
) -> Case:
    """Lines of a text end as they do where it is from: give them with their ends."""
    data = content if isinstance(content, bytes) else content.encode(encoding)
    return Case(name, data, list(rows), args.split("|") if args else [])


def add(row: int, *values: str, **more: Any) -> dict[str, Any]:
    """A new contact: its six fields in order, blanks left out."""
    fields = {name: value for name, value in zip(FIELDS, values, strict=False) if value}
    return {"row": row, "verdict": "add", "fields": fields, **more}


def update(row: int, contact: int, **fields: str) -> dict[str, Any]:
    return {"row": row, "verdict": "update", "contact": contact, "fields": fields}


def same(row: int, contact: int, **more: Any) -> dict[str, Any]:
    return {"row": row, "verdict": "same", "contact": contact, "fields": {}, **more}


def duplicate(row: int, of: int, **more: Any) -> dict[str, Any]:
    return {"row": row, "verdict": "duplicate", "of": of, "fields": {}, **more}


def unreadable(row: int, reason: str) -> dict[str, Any]:
    return {"row": row, "verdict": "unreadable", "reason": reason, "fields": {}}


# -- workbooks ---------------------------------------------------------------------------------------

_MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
_REL = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'

#: A cell: text, a number, a failed formula, or nothing.
Cell = str | int | float | None


def workbook(
    *rows: list[Cell],
    shared: bool = True,
    dimension: str = "",
    before: str = "",
    hidden: list[list[Cell]] | None = None,
) -> bytes:
    """An XLSX, written by hand as Excel does (`shared` texts) or as Google Sheets and scripts do (texts in their cells)."""
    texts: list[str] = []
    sheets = [*([("Notes", hidden, ' state="hidden"')] if hidden else []), ("Contacts", list(rows), "")]
    parts = {}
    for n, (_, content, _) in enumerate(sheets, start=1):
        body = "".join(_row(r, cells, texts if shared else None) for r, cells in enumerate(content, start=1))
        parts[f"xl/worksheets/sheet{n}.xml"] = (
            f"<worksheet {_MAIN}>{dimension}<sheetData>{body}</sheetData></worksheet>"
        )
    listed = "".join(
        f'<sheet name={quoteattr(title)} sheetId="{n}"{state} r:id="rId{n}"/>'
        for n, (title, _, state) in enumerate(sheets, start=1)
    )
    parts["xl/workbook.xml"] = f'<workbook {_MAIN} xmlns:r="{_REL}"><sheets>{listed}</sheets></workbook>'
    relations = "".join(
        f'<Relationship Id="rId{n}" Type="{_REL}/worksheet" Target="worksheets/sheet{n}.xml"/>'
        for n in range(1, len(sheets) + 1)
    )
    if shared:
        items = "".join(f'<si><t xml:space="preserve">{escape(text)}</t></si>' for text in texts)
        parts["xl/sharedStrings.xml"] = f"<sst {_MAIN}>{before}{items}</sst>"
        relations += f'<Relationship Id="rIdS" Type="{_REL}/sharedStrings" Target="sharedStrings.xml"/>'
    parts["xl/_rels/workbook.xml.rels"] = (
        f'<Relationships xmlns="{_PACKAGE}/relationships">{relations}</Relationships>'
    )
    parts["_rels/.rels"] = (
        f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="rId1" Type="{_REL}/officeDocument" '
        'Target="xl/workbook.xml"/></Relationships>'
    )
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    overrides = "".join(
        f'<Override PartName="/xl/worksheets/sheet{n}.xml" ContentType="{kind}.worksheet+xml"/>'
        for n in range(1, len(sheets) + 1)
    )
    if shared:
        overrides += f'<Override PartName="/xl/sharedStrings.xml" ContentType="{kind}.sharedStrings+xml"/>'
    parts["[Content_Types].xml"] = (
        f'<Types xmlns="{_PACKAGE}/content-types"><Default Extension="rels" '
        'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{kind}.sheet.main+xml"/>'
        f"{overrides}</Types>"
    )
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, _HEAD + text)
    return out.getvalue()


def _row(number: int, cells: list[Cell], texts: list[str] | None) -> str:
    return (
        f'<row r="{number}">'
        + "".join(_cell(f"{chr(65 + n)}{number}", one, texts) for n, one in enumerate(cells))
        + "</row>"
    )


def _cell(place: str, value: Cell, texts: list[str] | None) -> str:
    match value:
        case None:
            return ""
        case str() if value.startswith("#"):
            return f'<c r="{place}" t="e"><v>{value}</v></c>'
        case str() if texts is None:
            return f'<c r="{place}" t="inlineStr"><is><t>{escape(value)}</t></is></c>'
        case str():
            assert texts is not None
            texts.append(value)
            return f'<c r="{place}" t="s"><v>{len(texts) - 1}</v></c>'
    return f'<c r="{place}"><v>{value!r}</v></c>'
