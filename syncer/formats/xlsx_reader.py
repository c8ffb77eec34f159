"""Reads XLSX row by row, with openpyxl.

A workbook is a zip of XML, so the size that it would unpack to is checked first.
"""

from __future__ import annotations

import contextlib
import datetime
import warnings
import zipfile
from collections.abc import Iterator
from typing import Any, BinaryIO

from syncer.errors import UsageError

#: What a workbook may unpack to, in bytes: a million rows of contacts are less.
_MOST = 600_000_000
#: The same for the texts of its cells, which openpyxl keeps in memory.
_MOST_TEXT = 100_000_000
#: A part above this many bytes that was compressed to less than a hundredth is not a sheet of contacts.
_SUSPICIOUS, _RATIO = 20_000_000, 100

#: The first bytes of an encrypted XLSX, and of the older .xls.
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"

_DIGITS = 10**15  #: a cell keeps 15 digits of a number


def read_cells(file: BinaryIO, name: str) -> Iterator[tuple[int, list[str]]]:
    """Each row of the first visible sheet, with its number. UsageError if it is not a workbook."""
    _guard(file, name)
    from openpyxl import load_workbook

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about parts of a workbook that are not read
        try:
            book = load_workbook(file, read_only=True, data_only=True, keep_links=False)
        except Exception as error:  # noqa: BLE001 - openpyxl raises anything for a damaged workbook
            raise _no_workbook(name, error) from None
        with contextlib.closing(book):
            sheet = next((one for one in book.worksheets if one.sheet_state == "visible"), None)
            if sheet is None:
                raise UsageError(f"{name} has no visible sheet with cells; nothing was changed")
            yield from _rows(sheet, name)


def _rows(sheet: Any, name: str) -> Iterator[tuple[int, list[str]]]:
    sheet.reset_dimensions()  # some programs write wrong ones, and rows would be left out
    row = 0
    rows = iter(sheet.iter_rows(values_only=True))
    while True:
        try:
            cells = next(rows, None)
        except Exception as error:  # noqa: BLE001 - likewise
            raise _no_workbook(name, error, f", after row {row}") from None
        if cells is None:
            return
        row += 1
        values = [_text(value) for value in cells]
        while values and not values[-1]:
            values.pop()
        yield row, values


def _text(value: object) -> str:
    """A cell's value as text, without the format of numbers."""
    match value:
        case None:
            return ""
        case bool():
            return "TRUE" if value else "FALSE"
        case float() if value.is_integer() and abs(value) < _DIGITS:
            return str(int(value))
        case datetime.datetime() if value.time() == datetime.time():
            return value.date().isoformat()
    return str(value)


def _guard(file: BinaryIO, name: str) -> None:
    """Raise UsageError if it is not a workbook, is encrypted, or unpacks to far more than a list of contacts."""
    head = file.read(8)
    if not head:
        raise UsageError(f"{name} is empty; nothing was changed")
    if head == _OLE:
        raise UsageError(
            f"{name} is encrypted, or a workbook in the old .xls format: save it as .xlsx without a password; "
            "nothing was changed"
        )
    if not head.startswith(b"PK"):
        raise UsageError(
            f"{name} is not a workbook, whatever its name says: if it is CSV or vCard, add --format csv or vcard; "
            "nothing was changed"
        )
    file.seek(0)
    try:
        with zipfile.ZipFile(file) as archive:
            parts = archive.infolist()
            if "[Content_Types].xml" not in archive.namelist():
                raise UsageError(f"{name} is a zip file, but not a workbook; nothing was changed")
            _guard_size(parts, name)
            for part in parts:
                with archive.open(part) as content:
                    if part.filename.endswith((".xml", ".rels")) and b"<!DOCTYPE" in content.read(1024):
                        raise UsageError(
                            f"{name} declares entities, as no workbook does; nothing was changed"
                        )
    except UsageError:
        raise
    except Exception as error:  # noqa: BLE001 - zipfile raises anything for odd bytes
        raise _no_workbook(name, error) from None
    file.seek(0)


def _guard_size(parts: list[zipfile.ZipInfo], name: str) -> None:
    texts = sum(part.file_size for part in parts if "sharedstrings" in part.filename.lower())
    bomb = any(part.file_size > max(_SUSPICIOUS, _RATIO * part.compress_size) for part in parts)
    if bomb or texts > _MOST_TEXT or sum(part.file_size for part in parts) > _MOST:
        raise UsageError(
            f"{name} would unpack to far more than a list of contacts: save it as CSV, or in parts; nothing was changed"
        )


def _no_workbook(name: str, error: Exception, where: str = "") -> UsageError:
    kind = type(error).__name__
    return UsageError(
        f"{name} cannot be read as a workbook{where} ({kind}): open and save it again; nothing was changed"
    )
