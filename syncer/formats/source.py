"""A file to be read: opened once, as a plain file, with its encoding found."""

from __future__ import annotations

import codecs
import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, TextIO

from syncer import files
from syncer.errors import UsageError

#: How a file's name ends -> its format.
FORMATS: Final = {
    ".csv": "csv", ".tsv": "csv", ".txt": "csv", ".xlsx": "xlsx", ".xlsm": "xlsx", ".vcf": "vcard", ".vcard": "vcard",
    ".json": "json",
}  # fmt: skip

#: How files of other kinds begin.
_ZIP, _OLE, _PDF = b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"%PDF-"

_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))

#: Bytes that are looked at in one go.
_BLOCK = 1 << 20


def format_of(path: Path) -> str | None:
    """The format that a file's name tells; None if it tells none."""
    return FORMATS.get(path.suffix.lower())


@contextlib.contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The open file. UsageError where it cannot be read, or was written to while it was read."""
    try:
        file = files.open_linked(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}; nothing was changed") from None
    handle = os.dup(file.fileno())  # who reads the file as text closes it
    try:
        before = os.fstat(handle)
        with file:
            yield file
        after = os.fstat(handle)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}; nothing was changed") from None
    finally:
        os.close(handle)
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise UsageError(
            f"{path.name} changed while it was read: try again when it is complete; nothing was changed"
        )


def text_of(file: BinaryIO, name: str) -> TextIO:
    """The file as text: by its byte order mark, else UTF-8, else cp1252. UsageError for what is no text."""
    head = file.read(8)
    if head.startswith(_ZIP):
        raise UsageError(
            f"{name} is a workbook or another zip file, not text: use --format xlsx if it is a workbook"
        )
    if head.startswith(_OLE):
        raise UsageError(f"{name} is an Office file in an old format, not text: save it as .xlsx or .csv")
    if head.startswith(_PDF):
        raise UsageError(f"{name} is a PDF, not text: export the contacts as .csv, .xlsx or .vcf")
    encoding = next((encoding for mark, encoding in _BOMS if head.startswith(mark)), None) or _guessed(
        file, name
    )
    _check(file, name, encoding)
    file.seek(0)
    return io.TextIOWrapper(file, encoding=encoding, newline="")


def _guessed(file: BinaryIO, name: str) -> str:
    decoder = codecs.getincrementaldecoder("utf-8")()
    encoding = "utf-8"
    file.seek(0)
    line = 1
    while block := file.read(_BLOCK):
        if (at := block.find(b"\0")) >= 0:
            line += block.count(b"\n", 0, at)
            raise UsageError(f"{name} is not a text file: line {line} holds a zero byte; nothing was changed")
        line += block.count(b"\n")
        if encoding == "utf-8":
            try:
                decoder.decode(block)
            except UnicodeDecodeError:
                encoding = "cp1252"
    if encoding == "utf-8":
        try:
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            encoding = "cp1252"
    return encoding


def _check(file: BinaryIO, name: str, encoding: str) -> None:
    """Raise UsageError, with the line, for bytes that the encoding does not have."""
    if encoding == "utf-8":
        return  # it was found by reading all of it
    decoder = codecs.getincrementaldecoder(encoding)()
    file.seek(0)
    line = 1
    while True:
        block = file.read(_BLOCK)
        try:
            text = decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            line += bytes(error.object[: error.start]).count(b"\n")
            known = "UTF-8 nor cp1252" if encoding == "cp1252" else "what its byte order mark says"
            raise UsageError(
                f"{name}: line {line} holds bytes that are {'neither ' if encoding == 'cp1252' else 'not '}{known}: "
                "save the file as UTF-8; nothing was changed"
            ) from None
        if not block:
            return
        if "\0" in text:
            line += text.count("\n", 0, text.index("\0"))
            raise UsageError(
                f"{name} is not a text file: line {line} holds a zero character; nothing was changed"
            )
        line += text.count("\n")
