"""Reads the contacts of a file, row by row, in any of its formats.

A file is read to its end, and so known to be good, before anything is done with it. A `Spool` keeps its rows, so that
memory use does not depend on the size of the file.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from syncer.core.import_columns import Columns, UnknownColumnError, find_columns, read_row
from syncer.core.import_rows import Candidate, card_candidate
from syncer.core.model import Fields
from syncer.errors import UsageError
from syncer.formats import csv_reader, source, vcard_reader, xlsx_reader


def read_candidates(path: Path, form: str, mapping: Mapping[str, str]) -> Iterator[Candidate]:
    """Each row that is not blank. `form` is `csv`, `xlsx` or `vcard`; `mapping` is field -> column.

    UsageError if the file cannot be read in this format, or if no column holds phone numbers.
    """
    with source.opened(path) as file:
        if form == "vcard":
            yield from _cards(file, path.name)
        else:
            yield from _table(file, path.name, form, mapping)


def _table(file: BinaryIO, name: str, form: str, mapping: Mapping[str, str]) -> Iterator[Candidate]:
    def score(header: Sequence[str]) -> int:
        try:
            return find_columns(header, mapping).known
        except UnknownColumnError:
            return 0

    if form == "csv":
        rows = csv_reader.read_cells(source.text_of(file, name), name, score)
    else:
        rows = xlsx_reader.read_cells(file, name)
    columns: Columns | None = None
    for number, cells in rows:
        if columns is None:
            if any(text.strip() for text in cells):
                columns = _header(cells, name, mapping)
        elif (candidate := read_row(columns, number, cells)) is not None:
            yield candidate
    if columns is None:
        raise UsageError(f"{name} is empty: it has no header; nothing was changed")


def _header(cells: list[str], name: str, mapping: Mapping[str, str]) -> Columns:
    try:
        columns = find_columns(cells, mapping)
    except UnknownColumnError as error:
        known = ", ".join(text.strip() for text in cells if text.strip())
        raise UsageError(
            f"{name} has no column {error}; its columns are {known}; nothing was changed"
        ) from None
    if "phone_no" not in columns.places:
        raise UsageError(
            f"{name}: no column of the first row is known to hold phone numbers: name it with --map phone_no=COLUMN; "
            "the names of the columns have to be in the first row, without a title above; nothing was changed"
        )
    return columns


def _cards(file: BinaryIO, name: str) -> Iterator[Candidate]:
    for card in vcard_reader.read_cards(source.text_of(file, name), name):
        yield card_candidate(
            card.number,
            structured=card.structured,
            full=card.full,
            numbers=card.numbers,
            email=card.email,
            company=card.company,
            title=card.title,
            account=card.account,
        )


class Spool:
    """Rows that were read, in a temporary file without a name."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - closed by `close`
        self.rows = 0

    def add(self, candidate: Candidate) -> None:
        """Keep a row."""
        with _kept():
            self._file.write(json.dumps(candidate) + "\n")
        self.rows += 1

    def __iter__(self) -> Iterator[Candidate]:
        with _kept():
            self._file.seek(0)  # this writes the rest of the buffer
        for line in self._file:
            row, fields, one_name, others, account, problem = json.loads(line)
            yield Candidate(row, Fields(*fields), one_name, tuple(others), account, problem)

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *exc: object) -> None:
        with contextlib.suppress(OSError):  # `add` has reported a full disk
            self._file.close()


@contextlib.contextmanager
def _kept() -> Iterator[None]:
    """Raise UsageError, with the folder, if there is no room for the rows of a file."""
    try:
        yield
    except OSError as error:
        raise UsageError(
            f"what was read cannot be kept in the temporary folder {tempfile.gettempdir()}: {error.strerror}; set TMPDIR "
            "to a folder with room; nothing was changed"
        ) from None
