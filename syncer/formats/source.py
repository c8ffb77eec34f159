"""Opens a file to be read, as a plain file, and detects its encoding."""

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

#: The suffix of a file's name -> its format.
FORMATS: Final = {
    ".csv": "csv", ".tsv": "csv", ".txt": "csv", ".xlsx": "xlsx", ".xlsm": "xlsx", ".vcf": "vcard", ".vcard": "vcard",
    ".json": "json",
}  # fmt: skip

#: The first bytes of files that are not text.
_ZIP, _OLE, _PDF = b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"%PDF-"

_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))

#: How many bytes are checked at a time.
_BLOCK = 1 << 20


def format_of(path: Path) -> str | None:
    """The format by the suffix of a file's name; None if that is unknown."""
    return FORMATS.get(path.suffix.lower())


@contextlib.contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The open file. UsageError if it cannot be read, or was written to meanwhile."""
    try:
        file = files.open_linked(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}; nothing was changed") from None
    handle = os.dup(file.fileno())  # the reader of text closes the file
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
    """The file as text: by its byte order mark, else UTF-8, else cp1252. UsageError if it is not text."""
    head = file.read(8)
    if head.startswith(_ZIP):
        raise UsageError(
            f"{name} is a workbook or another zip file, not text: use --format xlsx if it is a workbook; nothing was changed"
        )
    if head.startswith(_OLE):
        raise UsageError(
            f"{name} is an Office file in an old format, not text: save it as .xlsx or .csv; nothing was changed"
        )
    if head.startswith(_PDF):
        raise UsageError(
            f"{name} is a PDF, not text: export the contacts as .csv, .xlsx or .vcf; nothing was changed"
        )
    marked = next((encoding for mark, encoding in _BOMS if head.startswith(mark)), None)
    for encoding in (marked,) if marked else ("utf-8", "cp1252"):
        line = _undecodable(file, name, encoding)
        if line is None:
            file.seek(0)
            return io.TextIOWrapper(file, encoding=encoding, newline="")
    problem = "not what its byte order mark says" if marked else "neither UTF-8 nor cp1252"
    raise UsageError(
        f"{name}: line {line} holds bytes that are {problem}: save the file as UTF-8; nothing was changed"
    )


def _undecodable(file: BinaryIO, name: str, encoding: str) -> int | None:
    """The line of the first bytes that the encoding does not have. UsageError for a zero byte."""
    decoder = codecs.getincrementaldecoder(encoding)()
    file.seek(0)
    line = 1
    while True:
        block = file.read(_BLOCK)
        try:
            text = decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            return line + bytes(error.object[: error.start]).count(b"\n")
        if not block:
            return None
        if (at := text.find("\0")) >= 0:
            line += text.count("\n", 0, at)
            raise UsageError(f"{name} is not a text file: line {line} holds a zero byte; nothing was changed")
        line += text.count("\n")
