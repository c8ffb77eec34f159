"""Writes contacts as CSV, XLSX, vCard or JSON, row by row.

`contacts_file.py` reads the same contacts from the result.
"""

from __future__ import annotations

import csv
import io
import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO, Final, NamedTuple

from syncer.core.import_rows import tidy
from syncer.core.model import FIELDS, Fields
from syncer.core.phonebook import folded, vcard_escaped


class Exported(NamedTuple):
    """A contact to write."""

    provider: str
    account: str
    fields: Fields  #: `phone_no` in E.164, or unchanged if it cannot be read


#: Writes contacts to a file. The flag adds their accounts.
Writer = Callable[[Iterable[Exported], BinaryIO, bool], None]


def _header(accounts: bool) -> tuple[str, ...]:
    return (*FIELDS, "account") if accounts else FIELDS


def _values(row: Exported, accounts: bool) -> tuple[str, ...]:
    return (*row.fields, row.account) if accounts else row.fields


def write_csv(rows: Iterable[Exported], sink: BinaryIO, accounts: bool) -> None:
    """UTF-8, with each value unchanged, although a spreadsheet may read it as a formula or a number."""
    text = io.TextIOWrapper(sink, encoding="utf-8", errors="replace", newline="", write_through=True)
    try:
        writer = csv.writer(text)
        writer.writerow(_header(accounts))
        writer.writerows(_values(row, accounts) for row in rows)
    finally:
        text.detach()


def write_xlsx(rows: Iterable[Exported], sink: BinaryIO, accounts: bool) -> None:
    """One sheet of text cells, so that no value becomes a formula and no number loses digits."""
    from openpyxl import Workbook

    book = Workbook(write_only=True)
    sheet = book.create_sheet("Contacts")
    sheet.freeze_panes = "A2"
    for letter in "ABCDEFG":
        sheet.column_dimensions[letter].width = 22
    try:
        sheet.append(_header(accounts))
        for row in rows:
            sheet.append(_text_cells(sheet, _values(row, accounts)))
    finally:
        sheet.close()
    with tempfile.TemporaryFile() as whole:  # openpyxl does not handle a broken pipe
        book.save(whole)
        whole.seek(0)
        shutil.copyfileobj(whole, sink)


def _text_cells(sheet: Any, values: Iterable[str]) -> list[Any]:
    from openpyxl.cell import WriteOnlyCell

    cells = []
    for value in values:
        cell = WriteOnlyCell(sheet, tidy(value))
        cell.data_type = "s"
        cells.append(cell)
    cells[0].number_format = "@"  # so that it stays text when a person edits it
    return cells


def write_vcard(rows: Iterable[Exported], sink: BinaryIO, accounts: bool) -> None:
    """vCard 3.0, which phones and mail programs read best."""
    for row in rows:
        for line in _card(row, accounts):
            sink.write(folded(line).encode())


def _card(row: Exported, accounts: bool) -> Iterator[str]:
    fields = Fields(*map(tidy, row.fields))
    name = f"{fields.first_name} {fields.last_name}".strip()
    yield "BEGIN:VCARD"
    yield "VERSION:3.0"
    yield f"N:{vcard_escaped(fields.last_name)};{vcard_escaped(fields.first_name)};;;"
    yield f"FN:{vcard_escaped(name or fields.company or fields.phone_no)}"
    for head, value in (
        ("TEL;TYPE=VOICE", fields.phone_no),
        ("EMAIL;TYPE=INTERNET", fields.email_id),
        ("ORG", fields.company),
        ("TITLE", fields.job_title),
        ("X-SYNCER-ACCOUNT", row.account if accounts else ""),
    ):
        if value:
            yield f"{head}:{vcard_escaped(value)}"
    yield "END:VCARD"


def write_json(rows: Iterable[Exported], sink: BinaryIO, accounts: bool) -> None:  # noqa: ARG001 - always named
    """One array of objects."""
    sink.write(b"[")
    for n, row in enumerate(rows):
        record = {"provider": row.provider, "account": row.account, **row.fields.asdict()}
        text = json.dumps(record, ensure_ascii=False)
        sink.write(("," if n else "").encode() + b"\n  " + text.encode("utf-8", "replace"))
    sink.write(b"\n]\n")


WRITERS: Final[dict[str, Writer]] = {
    "csv": write_csv,
    "xlsx": write_xlsx,
    "vcard": write_vcard,
    "json": write_json,
}
